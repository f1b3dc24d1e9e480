/* Hooks: order, replacing, removing, moving, copying. */
#include "module_support.h"

#include "module/module_internal.h"

static char order[64];

static nnf_status note_before(nnf_module *module, nnf_tensor **inputs, size_t n, void *payload) {
    (void)module, (void)inputs, (void)n;
    strcat(order, payload);
    return NNF_OK;
}

static nnf_status note_after(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                             nnf_tensor **outputs, size_t n_outputs, void *payload) {
    (void)module, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs;
    strcat(order, payload);
    return NNF_OK;
}

static nnf_hook *before(nnf_module *module, const char *letter) {
    nnf_hook *hook = NULL;
    assert_ok(nnf_module_register_forward_pre_hook(&hook, module, note_before, (void *)letter));
    return hook;
}

static nnf_hook *after(nnf_module *module, const char *letter) {
    nnf_hook *hook = NULL;
    assert_ok(nnf_module_register_forward_hook(&hook, module, note_after, (void *)letter));
    return hook;
}

/* Runs the module on [1, 2]: the order of its hooks, and what it gives. */
static nnf_tensor *run(nnf_module *module) {
    nnf_tensor *x = VECTOR(1, 2), *y = NULL;
    order[0] = '\0';
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    nnf_tensor_release(x);
    return y;
}

static void assert_order(nnf_module *module, const char *expected) {
    nnf_tensor_release(run(module));
    assert_string_equal(order, expected);
}

static void hooks_run_in_the_order_of_registration_until_removed(void **state) {
    (void)state;
    nnf_module *module = new_scale(2);
    nnf_hook *a = before(module, "a"), *b = before(module, "b"), *c = after(module, "c");
    nnf_hook_release(after(module, "d")); /* without its handle it stays */
    assert_int_equal(nnf_module_n_forward_pre_hooks(module), 2);
    assert_int_equal(nnf_module_n_forward_hooks(module), 2);
    assert_order(module, "abcd");
    nnf_hook_remove(a);
    nnf_hook_remove(a);
    nnf_hook_remove(c);
    nnf_hook_remove(NULL);
    assert_order(module, "bd");
    nnf_module_release(module);
    nnf_hook_remove(b); /* the module is gone, the handle is good */
    nnf_hook_release(a);
    nnf_hook_release(b);
    nnf_hook_release(c);
}

static nnf_status put_tens(nnf_module *module, nnf_tensor **inputs, size_t n, void *payload) {
    (void)module, (void)n, (void)payload;
    nnf_tensor_release(inputs[0]);
    inputs[0] = VECTOR(10, 10, 10);
    return NNF_OK;
}
static nnf_status put_input(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                            nnf_tensor **outputs, size_t n_outputs, void *payload) {
    (void)module, (void)n_inputs, (void)n_outputs, (void)payload;
    assert_true(element(inputs[0], 2) == 10); /* it sees what the hook before put there */
    assert_true(element(outputs[0], 2) == 20);
    nnf_tensor_release(outputs[0]);
    outputs[0] = VECTOR(7);
    return NNF_OK;
}

static void hooks_replace_inputs_and_outputs(void **state) {
    (void)state;
    nnf_module *module = new_scale(2);
    nnf_hook *after_hook = NULL;
    assert_ok(nnf_module_register_forward_pre_hook(NULL, module, put_tens, NULL));
    nnf_tensor *y = run(module);
    assert_int_equal(nnf_tensor_numel(y), 3); /* shapes follow from the new input */
    assert_true(element(y, 0) == 20);
    nnf_tensor_release(y);
    assert_ok(nnf_module_register_forward_hook(&after_hook, module, put_input, NULL));
    y = run(module);
    assert_int_equal(nnf_tensor_numel(y), 1);
    assert_true(element(y, 0) == 7);
    nnf_tensor_release(y);
    nnf_hook_release(after_hook);
    nnf_module_release(module);
}

static nnf_status remove_itself(nnf_module *module, nnf_tensor **inputs, size_t n, void *payload) {
    strcat(order, "!");
    nnf_hook_remove(*(nnf_hook **)payload);
    (void)module, (void)inputs, (void)n;
    return NNF_OK;
}

static void a_hook_may_remove_itself_while_it_runs(void **state) {
    (void)state;
    nnf_module *module = new_scale(2);
    nnf_hook *hook = NULL;
    assert_ok(nnf_module_register_forward_pre_hook(&hook, module, remove_itself, &hook));
    nnf_hook_release(before(module, "b"));
    assert_order(module, "!b");
    assert_order(module, "b");
    nnf_hook_release(hook);
    nnf_module_release(module);
}

static nnf_status refuse(nnf_module *module, nnf_tensor **inputs, size_t n, void *payload) {
    (void)module, (void)inputs, (void)n, (void)payload;
    return nnf_error(NNF_ERROR_CANCELLED, "the hook does not want to");
}

static void an_error_of_a_hook_stops_the_run(void **state) {
    (void)state;
    nnf_module *module = new_scale(2);
    nnf_tensor *x = VECTOR(1), *y = NULL;
    assert_ok(nnf_module_register_forward_pre_hook(NULL, module, refuse, NULL));
    assert_error(nnf_module_forward(module, &x, 1, &y, 1), NNF_ERROR_CANCELLED,
                 "Scale: ", "does not want");
    assert_null(y);
    assert_error(nnf_module_register_forward_pre_hook(NULL, module, NULL, NULL), NNF_ERROR_INVALID,
                 "function");
    assert_error(nnf_module_register_forward_hook(NULL, module, NULL, NULL), NNF_ERROR_INVALID,
                 "function");
    nnf_tensor_release(x);
    nnf_module_release(module);
}

static void a_moved_hook_is_removed_by_its_handle(void **state) {
    (void)state;
    nnf_module *from = new_scale(1), *to = new_scale(1);
    nnf_hook *a = before(to, "a"), *b = before(from, "b"), *c = before(from, "c"),
             *d = after(from, "d");
    assert_ok(nnfi_module_reserve_hooks(to, 2, 1));
    nnfi_module_move_pre_hooks(to, from);
    assert_order(to, "abc");
    assert_order(from, "d");
    nnfi_module_move_forward_hooks(to, from);
    assert_order(to, "abcd");
    assert_order(from, "");
    nnf_module_release(from);
    nnf_hook_remove(b);
    nnf_hook_remove(d);
    assert_order(to, "ac");
    nnf_module_release(to);
    nnf_hook_release(a);
    nnf_hook_release(b);
    nnf_hook_release(c);
    nnf_hook_release(d);
}

static void a_copy_has_hooks_of_its_own(void **state) {
    (void)state;
    nnf_module *module = new_scale(1), *copy = NULL;
    nnf_hook *a = before(module, "a"), *b = after(module, "b");
    assert_ok(nnf_module_copy(&copy, module));
    nnf_hook_remove(a);
    assert_order(module, "b");
    assert_order(copy, "ab");
    nnf_module_release(copy);
    nnf_hook_release(a);
    nnf_hook_release(b);
    nnf_module_release(module);
}

static void saved_hooks_come_back_in_their_order(void **state) {
    (void)state;
    nnf_module *module = new_scale(1), *other = new_scale(1);
    nnf_hook *a = before(module, "a"), *b = before(module, "b"), *c = after(module, "c");
    nnfi_saved_hooks saved;
    assert_ok(nnfi_hooks_save(&saved, module));
    assert_ok(nnfi_module_reserve_hooks(other, 2, 1));
    nnfi_module_move_pre_hooks(other, module);
    nnfi_module_move_forward_hooks(other, module);
    nnfi_hooks_restore(&saved);
    nnfi_saved_hooks_clear(&saved);
    assert_order(module, "abc");
    assert_order(other, "");
    nnf_hook_release(a);
    nnf_hook_release(b);
    nnf_hook_release(c);
    nnf_module_release(module);
    nnf_module_release(other);
}

TEST_MAIN(cmocka_unit_test(hooks_run_in_the_order_of_registration_until_removed),
          cmocka_unit_test(hooks_replace_inputs_and_outputs),
          cmocka_unit_test(a_hook_may_remove_itself_while_it_runs),
          cmocka_unit_test(an_error_of_a_hook_stops_the_run),
          cmocka_unit_test(a_moved_hook_is_removed_by_its_handle),
          cmocka_unit_test(a_copy_has_hooks_of_its_own),
          cmocka_unit_test(saved_hooks_come_back_in_their_order))
