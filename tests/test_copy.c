/* Deep and shallow copies. */
#include "module_support.h"

#include "module/graph_internal.h"

static void shared_modules_and_tied_tensors_stay_so(void **state) {
    (void)state;
    nnf_module *root = new_box(), *shared = new_scale(1), *copy = NULL;
    nnf_tensor *tied = VECTOR(5);
    assert_ok(nnf_module_set(root, "a", shared));
    assert_ok(nnf_module_set(root, "b", shared));
    set_and_release(root, "c", new_scale(2));
    assert_ok(nnf_module_set_parameter(shared, "bias", tied));
    assert_ok(nnf_module_set_parameter(at(root, "c"), "bias", tied));
    nnf_module_set_training(shared, false);
    assert_ok(nnf_module_copy(&copy, root));
    assert_ptr_not_equal(at(copy, "a"), shared);
    assert_ptr_equal(at(copy, "a"), at(copy, "b"));
    assert_false(nnf_module_training(at(copy, "a")));
    nnf_tensor *copied = nnf_module_tensor(at(copy, "a"), "bias");
    assert_ptr_not_equal(copied, tied);
    assert_ptr_equal(copied, nnf_module_tensor(at(copy, "c"), "bias"));
    nnf_tensor_release(tied);
    nnf_module_release(shared);
    nnf_module_release(root);
    nnf_module_release(copy);
}

static void weights_are_shared_until_one_is_written(void **state) {
    (void)state;
    nnf_module *module = new_scale(1), *copy = NULL;
    nnf_tensor *bias = VECTOR(5);
    assert_ok(nnf_module_set_parameter(module, "bias", bias));
    assert_ok(nnf_module_copy(&copy, module));
    nnf_tensor *copied = nnf_module_tensor(copy, "bias");
    const void *a, *b;
    assert_ok(nnf_tensor_data(bias, &a));
    assert_ok(nnf_tensor_data(copied, &b));
    assert_ptr_equal(a, b);
    void *data;
    assert_ok(nnf_tensor_mut_data(copied, &data));
    *(float *)data = 6;
    assert_true(element(bias, 0) == 5);
    assert_true(element(copied, 0) == 6);
    nnf_tensor_release(bias);
    nnf_module_release(module);
    nnf_module_release(copy);
}

static void the_calls_of_a_copied_graph_are_of_its_own_tree(void **state) {
    (void)state;
    nnf_module *graph = NULL, *copy = NULL;
    assert_ok(nnf_graph_new(&graph));
    set_and_release(graph, "s", new_scale(3));
    set_and_release(graph, "p", new_pair());
    nnf_tensor *bias = VECTOR(1), *other = VECTOR(4), *x = VECTOR(2);
    assert_ok(nnf_module_set_parameter(at(graph, "s"), "bias", bias));
    nnf_value input, b, c, y, out[2];
    assert_ok(nnf_graph_add_input(graph, &input, "x", NULL));
    assert_ok(nnf_graph_add_constant(graph, &b, "s.bias", bias));
    assert_ok(nnf_graph_add_constant(graph, &c, "c", other));
    assert_ok(nnf_graph_add_call(graph, "s", (nnf_value[]){input, b}, 2, NULL, &y, 1));
    assert_ok(nnf_graph_add_call(graph, "p", (nnf_value[]){y, c}, 2, NULL, out, 2));
    assert_ok(nnf_graph_add_output(graph, out[1]));
    int32_t symbol;
    assert_ok(nnf_graph_symbol(graph, &symbol, "batch"));
    nnf_tensor_release(bias);
    nnf_tensor_release(other);
    assert_ok(nnf_module_copy(&copy, graph));
    nnf_module_release(graph);
    assert_ptr_equal(nnf_graph_call_module(copy, 0), at(copy, "s"));
    assert_ptr_equal(nnf_graph_call_module(copy, 1), at(copy, "p"));
    assert_ptr_equal(nnf_graph_value_constant(copy, b), nnf_module_tensor(at(copy, "s"), "bias"));
    assert_int_equal(nnfi_graph_find_value(nnfi_graph_of(copy), "c"), c);
    assert_string_equal(nnf_graph_symbol_name(copy, symbol), "batch");
    nnf_tensor *result = NULL;
    assert_ok(nnf_module_forward(copy, &x, 1, &result, 1));
    assert_true(element(result, 0) == 3 * 2 + 1 - 4);
    nnf_tensor_release(result);
    nnf_tensor_release(x);
    nnf_module_release(copy);
}

static void a_shallow_copy_shares_tensors_and_children(void **state) {
    (void)state;
    nnf_module *box = new_box(), *copy = NULL;
    nnf_tensor *steps = VECTOR(1);
    set_and_release(box, "s", new_scale(1));
    assert_ok(nnf_module_set_buffer(box, "steps", steps));
    nnf_module_set_training(box, false);
    assert_ok(nnfi_module_shallow_copy(&copy, box));
    assert_ptr_equal(at(copy, "s"), at(box, "s"));
    assert_ptr_equal(nnf_module_tensor(copy, "steps"), steps);
    assert_int_equal(nnf_module_tensor_kind(copy, 0), NNF_SLOT_BUFFER);
    assert_false(nnf_module_training(copy));
    nnf_tensor_release(steps);
    nnf_module_release(box);
    nnf_module_release(copy);
}

/* ---- Memory ---- */

typedef struct counter {
    size_t allocated;
    int64_t left; /* until allocation fails; negative: never */
} counter;
static bool spend(counter *count) {
    return count->left < 0 || count->left-- > 0;
}
static void *count_allocate(size_t size, void *payload) {
    counter *count = payload;
    if (!spend(count)) return NULL;
    count->allocated += size;
    return malloc(size);
}
static void *count_reallocate(void *old, size_t size, void *payload) {
    counter *count = payload;
    if (!spend(count)) return NULL;
    count->allocated += size;
    return realloc(old, size);
}
static void count_deallocate(void *old, void *payload) {
    (void)payload;
    free(old);
}
static void use_counter(counter *count) {
    const nnf_library_options options = {.allocate = count_allocate,
                                         .reallocate = count_reallocate,
                                         .deallocate = count_deallocate,
                                         .allocator_payload = count};
    assert_ok(nnf_library_set_options(&options));
}

/* 160 modules with five tensors of 200,000 bytes: the size of a ResNet-50. */
static nnf_module *large_tree(void) {
    nnf_module *root = new_box();
    const int64_t shape[1] = {50000};
    for (int i = 0; i < 160; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        nnf_module *module = new_scale(1);
        for (int t = 0; t < 5; t++) {
            char tensor_name[16];
            nnf_tensor *tensor = NULL;
            snprintf(tensor_name, sizeof tensor_name, "t%d", t);
            assert_ok(nnf_tensor_new(&tensor, NNF_F32, 1, shape));
            assert_ok(nnf_module_set_parameter(module, tensor_name, tensor));
            nnf_tensor_release(tensor);
        }
        set_and_release(root, name, module);
    }
    return root;
}

static void a_copy_of_a_large_tree_allocates_less_than_a_megabyte(void **state) {
    (void)state;
    counter count = {.left = -1};
    use_counter(&count);
    nnf_module *root = large_tree(), *copy = NULL;
    count.allocated = 0;
    assert_ok(nnf_module_copy(&copy, root));
    assert_true(count.allocated < 1000000);
    nnf_module_release(copy);
    nnf_module_release(root);
    assert_ok(nnf_library_set_options(NULL));
}

static void a_copy_without_memory_fails_and_leaks_nothing(void **state) {
    (void)state;
    counter count = {.left = -1};
    use_counter(&count);
    nnf_module *graph = NULL, *copy = NULL;
    assert_ok(nnf_graph_new(&graph));
    nnf_module *scale = new_scale(1);
    nnf_tensor *bias = VECTOR(1);
    nnf_value x, b, y;
    assert_ok(nnf_module_set_parameter(scale, "bias", bias));
    assert_ok(nnf_weight_norm(scale, "bias", 0));
    set_and_release(graph, "s", scale);
    assert_ok(nnf_graph_add_input(graph, &x, "x", NULL));
    assert_ok(nnf_graph_add_constant(graph, &b, "b", bias));
    assert_ok(nnf_graph_add_call(graph, "s", (nnf_value[]){x, b}, 2, NULL, &y, 1));
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_tensor_release(bias);
    int64_t allowed = 0;
    nnf_status status = NNF_ERROR_MEMORY;
    for (; status != NNF_OK; allowed++) {
        count.left = allowed;
        status = nnf_module_copy(&copy, graph);
        if (status != NNF_OK) {
            assert_int_equal(status, NNF_ERROR_MEMORY);
            assert_null(copy);
        }
    }
    assert_true(allowed > 10);
    count.left = -1;
    nnf_module_release(copy);
    nnf_module_release(graph);
    assert_ok(nnf_library_set_options(NULL));
}

TEST_MAIN(cmocka_unit_test(shared_modules_and_tied_tensors_stay_so),
          cmocka_unit_test(weights_are_shared_until_one_is_written),
          cmocka_unit_test(the_calls_of_a_copied_graph_are_of_its_own_tree),
          cmocka_unit_test(a_shallow_copy_shares_tensors_and_children),
          cmocka_unit_test(a_copy_of_a_large_tree_allocates_less_than_a_megabyte),
          cmocka_unit_test(a_copy_without_memory_fails_and_leaks_nothing))
