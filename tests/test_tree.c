/* Paths, children, walks, modes, conversion. */
#include "module_support.h"

static nnf_module *small_tree(void) {
    nnf_module *root = new_box();
    set_and_release(root, "layer1", new_box());
    set_and_release(root, "layer1.0", new_box());
    set_and_release(root, "layer1.0.conv", new_scale(1));
    set_and_release(root, "head", new_scale(2));
    return root;
}

static void modules_are_found_and_replaced_by_path(void **state) {
    (void)state;
    nnf_module *root = small_tree(), *other = new_scale(3);
    assert_ptr_equal(at(root, ""), root);
    assert_string_equal(nnf_module_type_name(at(root, "layer1.0.conv")), "Scale");
    assert_ok(nnf_module_set(root, "layer1.0.conv", other));
    assert_ptr_equal(at(root, "layer1.0.conv"), other);
    assert_int_equal(nnf_module_n_children(root), 2);
    assert_string_equal(nnf_module_child_name(root, 0), "layer1");
    assert_string_equal(nnf_module_child_name(root, 1), "head");
    assert_null(nnf_module_child(root, 2));
    assert_null(nnf_module_child_name(root, 2));
    nnf_module_release(other);
    nnf_module_release(root);
}

static void a_missing_part_is_named_with_the_module_that_lacks_it(void **state) {
    (void)state;
    nnf_module *root = small_tree(), *found = NULL, *other = new_box();
    assert_error(nnf_module_get(&found, root, "layer1.1.conv"), NNF_ERROR_NOT_FOUND,
                 "'layer1.1.conv'", "'layer1' (Box)", "no child '1'");
    assert_error(nnf_module_get(&found, root, "layer2"), NNF_ERROR_NOT_FOUND, "the root (Box)",
                 "'layer2'");
    assert_error(nnf_module_set(root, "layer2.0.x", other), NNF_ERROR_NOT_FOUND, "'layer2'");
    assert_error(nnf_module_get(&found, root, "head."), NNF_ERROR_NOT_FOUND, "no child ''");
    assert_error(nnf_module_get(&found, root, ".head"), NNF_ERROR_NOT_FOUND, "no child ''");
    assert_error(nnf_module_get(&found, root, "layer1..0"), NNF_ERROR_NOT_FOUND, "no child ''");
    assert_error(nnf_module_get(&found, root, "lay"), NNF_ERROR_NOT_FOUND, "'lay'");
    assert_null(found);
    nnf_module_release(other);
    nnf_module_release(root);
}

static void bad_names_are_refused(void **state) {
    (void)state;
    nnf_module *root = new_box(), *child = new_box();
    assert_error(nnf_module_set_child(root, "", child), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_set_child(root, "a.b", child), NNF_ERROR_INVALID, "'a.b'");
    assert_error(nnf_module_set(root, "", child), NNF_ERROR_INVALID, "''");
    assert_error(nnf_module_set(root, ".a", child), NNF_ERROR_INVALID, "'.a'");
    assert_error(nnf_module_set(root, "a.", child), NNF_ERROR_INVALID, "'a.'");
    char *deep = malloc(4000);
    assert_non_null(deep);
    for (size_t i = 0; i < 4000; i++)
        deep[i] = i % 2 ? '.' : 'a';
    deep[3999] = '\0';
    assert_error(nnf_module_set(root, deep, child), NNF_ERROR_INVALID, "2000 parts", "1000");
    free(deep);
    assert_int_equal(nnf_module_n_children(root), 0);
    nnf_module_release(child);
    nnf_module_release(root);
}

static void a_module_cannot_come_to_contain_itself(void **state) {
    (void)state;
    nnf_module *root = small_tree();
    assert_error(nnf_module_set_child(root, "x", root), NNF_ERROR_INVALID, "'x'", "contains");
    assert_error(nnf_module_set(root, "layer1.0.conv", at(root, "layer1")), NNF_ERROR_INVALID,
                 "'conv'");
    assert_string_equal(nnf_module_type_name(at(root, "layer1.0.conv")), "Scale");
    /* Two thousand siblings, the last of which holds what must not get it: past the number of
     * edges that are looked at without a table. */
    nnf_module *wide = new_box(), *leaf = new_box(), *last = new_box();
    char name[16];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_ok(nnf_module_set_child(wide, name, leaf));
    }
    assert_ok(nnf_module_set_child(wide, "last", last));
    assert_error(nnf_module_set_child(last, "back", wide), NNF_ERROR_INVALID, "'back'");
    nnf_module_release(last);
    nnf_module_release(leaf);
    nnf_module_release(wide);
    nnf_module_release(root);
}

static void a_hundred_thousand_children_are_found_by_name(void **state) {
    (void)state;
    nnf_module *root = new_box();
    char name[16];
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "%d", i);
        set_and_release(root, name, new_box());
    }
    assert_ptr_equal(at(root, "77777"), nnf_module_child(root, 77777));
    nnf_module *other = new_scale(1), *copy = NULL, *found = NULL;
    assert_ok(nnf_module_set(root, "99999", other));
    assert_ptr_equal(nnf_module_child(root, 99999), other);
    assert_error(nnf_module_get(&found, root, "100000"), NNF_ERROR_NOT_FOUND, "'100000'");
    assert_ok(nnf_module_copy(&copy, root));
    assert_ptr_equal(at(copy, "5"), nnf_module_child(copy, 5));
    nnf_module_release(copy);
    nnf_module_release(other);
    nnf_module_release(root);
}

static void nesting_of_a_hundred_thousand_is_walked_copied_and_freed(void **state) {
    (void)state;
    nnf_module *root = new_box(), *last = root, *copy = NULL;
    for (int i = 0; i < 100000; i++) {
        nnf_module *next = new_box();
        set_and_release(last, "x", next);
        last = next;
    }
    nnf_module_eval(root);
    assert_false(nnf_module_training(last));
    assert_ok(nnf_module_copy(&copy, root));
    nnf_module_release(root);
    nnf_module_release(copy);
}

typedef struct seen {
    char text[1024];
    int left; /* until the callback fails; negative: never */
} seen;
static nnf_status note_path(seen *to, const char *path) {
    if (to->left-- == 0) return nnf_error(NNF_ERROR_CANCELLED, "stopped at '%s'", path);
    strcat(to->text, path);
    strcat(to->text, "|");
    return NNF_OK;
}
static nnf_status see_module(const char *path, nnf_module *module, void *payload) {
    assert_non_null(module);
    return note_path(payload, path);
}
static nnf_status see_tensor(const char *path, nnf_tensor *tensor, void *payload) {
    assert_non_null(tensor);
    return note_path(payload, path);
}

static void walks_meet_everything_once_parents_first(void **state) {
    (void)state;
    nnf_module *root = small_tree();
    nnf_tensor *tied = VECTOR(1), *own = VECTOR(2);
    assert_ok(nnf_module_set_parameter(at(root, "layer1.0.conv"), "bias", tied));
    assert_ok(nnf_module_set_parameter(at(root, "head"), "bias", tied));
    assert_ok(nnf_module_set_parameter(at(root, "head"), "gain", own));
    assert_ok(nnf_module_set_buffer(root, "steps", own));
    assert_ok(nnf_module_set(root, "shared", at(root, "layer1.0")));
    seen modules = {.left = -1}, parameters = {.left = -1}, buffers = {.left = -1};
    assert_ok(nnf_module_named_modules(root, see_module, &modules));
    assert_string_equal(modules.text, "|layer1|layer1.0|layer1.0.conv|head|");
    assert_ok(nnf_module_named_tensors(root, NNF_SLOT_PARAMETER, see_tensor, &parameters));
    assert_string_equal(parameters.text, "layer1.0.conv.bias|head.gain|");
    assert_ok(nnf_module_named_tensors(root, NNF_SLOT_BUFFER, see_tensor, &buffers));
    assert_string_equal(buffers.text, "steps|");
    int64_t n;
    assert_ok(nnf_module_n_elements(&n, root, NNF_SLOT_PARAMETER));
    assert_int_equal(n, nnf_tensor_numel(tied) + nnf_tensor_numel(own));
    assert_ok(nnf_module_n_elements(&n, root, NNF_SLOT_BUFFER));
    assert_int_equal(n, nnf_tensor_numel(own));
    assert_error(nnf_module_n_elements(&n, NULL, NNF_SLOT_BUFFER), NNF_ERROR_INVALID, "no module");
    seen stopped = {.left = 2};
    assert_error(nnf_module_named_modules(root, see_module, &stopped), NNF_ERROR_CANCELLED,
                 "'layer1.0'");
    assert_error(nnf_module_named_modules(root, NULL, NULL), NNF_ERROR_INVALID, "callback");
    assert_error(nnf_module_named_tensors(root, NNF_SLOT_BUFFER, NULL, NULL), NNF_ERROR_INVALID,
                 "callback");
    nnf_tensor_release(tied);
    nnf_tensor_release(own);
    nnf_module_release(root);
}

static void train_and_eval_reach_the_whole_tree(void **state) {
    (void)state;
    nnf_module *root = small_tree();
    assert_ok(nnf_module_set(root, "shared", at(root, "layer1.0")));
    nnf_module_eval(root);
    assert_false(nnf_module_training(root));
    assert_false(nnf_module_training(at(root, "layer1.0.conv")));
    nnf_module_set_training(at(root, "layer1"), true);
    assert_false(nnf_module_training(at(root, "layer1.0")));
    nnf_module_train(at(root, "layer1.0"), true);
    assert_true(nnf_module_training(at(root, "layer1.0.conv")));
    assert_false(nnf_module_training(at(root, "head")));
    nnf_module_release(root);
}

static void conversion_keeps_ties_and_leaves_integers(void **state) {
    (void)state;
    nnf_module *root = small_tree();
    nnf_tensor *tied = VECTOR(1.0009765625f), *count = NULL;
    assert_ok(nnf_tensor_new(&count, NNF_I64, 0, NULL));
    assert_ok(nnf_module_set_parameter(at(root, "layer1.0.conv"), "bias", tied));
    assert_ok(nnf_module_set_parameter(at(root, "head"), "bias", tied));
    assert_ok(nnf_module_set_buffer(root, "steps", count));
    assert_ok(nnf_module_to(root, NNF_F16));
    nnf_tensor *now = nnf_module_tensor(at(root, "head"), "bias");
    assert_int_equal(nnf_tensor_dtype(now), NNF_F16);
    assert_ptr_equal(now, nnf_module_tensor(at(root, "layer1.0.conv"), "bias"));
    assert_ptr_equal(nnf_module_tensor(root, "steps"), count);
    assert_int_equal(nnf_tensor_dtype(tied), NNF_F32);
    assert_error(nnf_module_to(root, NNF_I32), NNF_ERROR_INVALID, "int32");
    nnf_tensor_release(tied);
    nnf_tensor_release(count);
    nnf_module_release(root);
}

TEST_MAIN(cmocka_unit_test(modules_are_found_and_replaced_by_path),
          cmocka_unit_test(a_missing_part_is_named_with_the_module_that_lacks_it),
          cmocka_unit_test(bad_names_are_refused),
          cmocka_unit_test(a_module_cannot_come_to_contain_itself),
          cmocka_unit_test(a_hundred_thousand_children_are_found_by_name),
          cmocka_unit_test(nesting_of_a_hundred_thousand_is_walked_copied_and_freed),
          cmocka_unit_test(walks_meet_everything_once_parents_first),
          cmocka_unit_test(train_and_eval_reach_the_whole_tree),
          cmocka_unit_test(conversion_keeps_ties_and_leaves_integers))
