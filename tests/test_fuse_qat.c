/* fuse_modules_qat: batch norms stay, in containers that train. Values are in test_fuser_methods.
 */
#include "fuse_support.h"

static nnf_module *new_model(void) {
    return new_sequential(
        (nnf_module *const[]){new_conv(2, false, 2, 4, 1), new_norm(2, 4), new_relu()}, 3);
}
static const nnf_chain conv_bn_relu = CHAIN("0", "1", "2");

static nnf_tensor *new_input(void) {
    return random_tensor(NNF_F32, 4, (const int64_t[]){3, 2, 5, 5}, -1, 1, 2);
}

/* The container holds the modules themselves, so that nothing of theirs is lost. */
static void the_container_holds_the_modules_themselves(void **state) {
    (void)state;
    nnf_module *model = new_model(), *out;
    nnf_module *conv = at(model, "0"), *bn = at(model, "1"), *relu = at(model, "2");
    const nnf_fuse_options options = {.inplace = true};
    assert_ok(nnf_fuse_modules_qat(&out, model, &conv_bn_relu, 1, &options));
    assert_string_equal(type_at(model, "0"), "ConvBnReLU2d");
    assert_ptr_equal(at(model, "0.0"), conv);
    assert_ptr_equal(at(model, "0.1"), bn);
    assert_ptr_equal(at(model, "0.2"), relu);
    nnf_module_release(out);
    nnf_module_release(model);
}

static void training_writes_the_copys_statistics_only(void **state) {
    (void)state;
    nnf_module *model = new_model(), *twin = new_model(), *fused;
    assert_ok(nnf_fuse_modules_qat(&fused, model, &conv_bn_relu, 1, NULL));
    nnf_tensor *x = new_input();
    nnf_tensor_release(run(fused, x));
    assert_tensors_close(nnf_module_tensor(at(model, "1"), "running_mean"),
                         nnf_module_tensor(at(twin, "1"), "running_mean"), 0);
    nnf_tensor_release(run(twin, x));
    assert_tensors_close(nnf_module_tensor(at(fused, "0.1"), "running_mean"),
                         nnf_module_tensor(at(twin, "1"), "running_mean"), 1e-6);
    assert_tensors_close(nnf_module_tensor(at(fused, "0.1"), "running_var"),
                         nnf_module_tensor(at(twin, "1"), "running_var"), 1e-6);
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(model);
    nnf_module_release(twin);
}

static void hooks_of_every_module_run_inside_the_container(void **state) {
    (void)state;
    nnf_module *model = new_model(), *out;
    trace seen = {.n = 0};
    static letter letters[6];
    for (size_t i = 0; i < 6; i++)
        letters[i] = (letter){&seen, (char)('a' + i)};
    static const char *const names[] = {"0", "1", "2"};
    for (size_t i = 0; i < 3; i++) {
        nnf_module *module = at(model, names[i]);
        assert_ok(nnf_module_register_forward_pre_hook(NULL, module, pre_hook, &letters[2 * i]));
        assert_ok(
            nnf_module_register_forward_hook(NULL, module, forward_hook, &letters[2 * i + 1]));
    }
    nnf_fuse_report report = {0};
    const nnf_fuse_options options = {.inplace = true, .report = &report};
    assert_ok(nnf_fuse_modules_qat(&out, model, &conv_bn_relu, 1, &options));
    assert_int_equal(report.n_hooks_dropped, 0);
    nnf_tensor *x = new_input();
    nnf_tensor_release(run(model, x));
    assert_string_equal(seen.letters, "abcdef");
    nnf_tensor_release(x);
    nnf_fuse_report_clear(&report);
    nnf_module_release(out);
    nnf_module_release(model);
}

TEST_MAIN(cmocka_unit_test(the_container_holds_the_modules_themselves),
          cmocka_unit_test(training_writes_the_copys_statistics_only),
          cmocka_unit_test(hooks_of_every_module_run_inside_the_container))
