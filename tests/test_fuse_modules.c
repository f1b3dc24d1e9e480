/* fuse_modules on trees: what goes where, hooks, copies, all or nothing; and those rows of the
 * contract's table of what PyTorch gets wrong that are about trees. */
#include "fuse_support.h"

#include "tensor/tensor_internal.h"

static const char *const names[] = {"0", "1", "2"};
static const nnf_chain conv_bn_relu = {names, 3};
static const nnf_chain conv_bn = {names, 2};

static nnf_module *new_model(void) {
    nnf_module *model = new_sequential(
        (nnf_module *const[]){new_conv(2, false, 2, 4, 1), new_norm(2, 4), new_relu()}, 3);
    nnf_module_eval(model);
    return model;
}

static nnf_tensor *new_input(void) {
    return random_tensor(NNF_F32, 4, (const int64_t[]){1, 2, 5, 5}, -1, 1, 11);
}

/* Runs the model and compares what its hooks wrote. */
static void assert_trace(nnf_module *model, trace *trace_, const char *expected) {
    nnf_tensor *x = new_input();
    *trace_ = (trace){.n = 0};
    nnf_tensor_release(run(model, x));
    assert_string_equal(trace_->letters, expected);
    nnf_tensor_release(x);
}

static void fuse_in_place(nnf_module *model, const nnf_chain *chains, size_t n,
                          nnf_fuse_report *report) {
    nnf_module *out;
    const nnf_fuse_options options = {.inplace = true, .report = report};
    assert_ok(nnf_fuse_modules(&out, model, chains, n, &options));
    assert_ptr_equal(out, model);
    nnf_module_release(out);
}

/* ---- Functions ---- */

static void fuse_modules_works_on_a_deep_copy_unless_in_place(void **state) {
    (void)state;
    nnf_module *model = new_model(), *fused;
    nnf_module *conv = at(model, "0");
    nnf_tensor *x = new_input();
    assert_ok(nnf_fuse_modules(&fused, model, &conv_bn_relu, 1, NULL));
    assert_ptr_not_equal(fused, model);
    assert_ptr_equal(at(model, "0"), conv);
    assert_string_equal(type_at(fused, "0"), "ConvReLU2d");
    assert_string_equal(type_at(fused, "0.0"), "Conv2d");
    assert_string_equal(type_at(fused, "0.1"), "ReLU");
    assert_same_function(model, fused, x, 1e-6);
    nnf_module_release(fused);
    fuse_in_place(model, &conv_bn_relu, 1, NULL);
    assert_string_equal(type_at(model, "0"), "ConvReLU2d");
    nnf_tensor_release(x);
    nnf_module_release(model);
}

static void every_other_slot_is_a_new_identity_with_the_first_modules_training_flag(void **state) {
    (void)state;
    nnf_module *model = new_model(), *fused;
    assert_ok(nnf_fuse_modules(&fused, model, &conv_bn_relu, 1, NULL));
    assert_string_equal(type_at(fused, "1"), "Identity");
    assert_string_equal(type_at(fused, "2"), "Identity");
    assert_ptr_not_equal(at(fused, "1"), at(fused, "2"));
    assert_false(nnf_module_training(at(fused, "1")));
    nnf_module_release(fused);
    nnf_module_train(model, true);
    assert_ok(nnf_fuse_modules_qat(&fused, model, &conv_bn_relu, 1, NULL));
    assert_true(nnf_module_training(at(fused, "1")));
    nnf_module_release(fused);
    nnf_module_release(model);
}

static void the_fused_modules_training_flag_is_the_first_modules(void **state) {
    (void)state;
    nnf_module *model = new_model();
    fuse_in_place(model, &conv_bn_relu, 1, NULL);
    assert_false(nnf_module_training(at(model, "0")));
    assert_false(nnf_module_training(at(model, "0.0")));
    nnf_module_release(model);
}

static void several_chains_at_any_depth(void **state) {
    (void)state;
    nnf_module *model = new_tree((const char *const[]){"a", "b"},
                                 (nnf_module *const[]){new_model(), new_model()}, 2);
    nnf_chain chains[] = {CHAIN("a.0", "a.1", "a.2"), CHAIN("b.0", "b.1")};
    nnf_fuse_report report = {0};
    fuse_in_place(model, chains, 2, &report);
    assert_int_equal(report.n_fused, 2);
    assert_string_equal(type_at(model, "a.0"), "ConvReLU2d");
    assert_string_equal(type_at(model, "b.0"), "Conv2d");
    assert_string_equal(type_at(model, "b.2"), "ReLU");
    nnf_fuse_report_clear(&report);
    nnf_module_release(model);
}

static nnf_status keep_modules(nnf_module **fused, size_t *n_fused, nnf_module *const *modules,
                               size_t n, bool is_qat, const nnf_mapping *additional,
                               void *payload) {
    assert_false(is_qat);
    assert_null(additional);
    ++*(int *)payload;
    for (size_t i = 0; i < n; i++) /* the other way round */
        fused[i] = nnf_module_retain(modules[n - 1 - i]);
    *n_fused = n;
    return NNF_OK;
}

static void fuser_func_maps_n_modules_to_n_modules(void **state) {
    (void)state;
    nnf_module *model = new_model(), *out;
    int calls = 0;
    nnf_fuse_options options = {.inplace = true, .fuser_func = keep_modules, .payload = &calls};
    assert_ok(nnf_fuse_modules(&out, model, &conv_bn_relu, 1, &options));
    assert_int_equal(calls, 1);
    assert_string_equal(type_at(model, "0"), "ReLU");
    assert_string_equal(type_at(model, "2"), "Conv2d");
    nnf_module_release(out);
    nnf_module_release(model);
}

/* ---- Hooks ---- */

static void two_or_more_hooks_on_one_module_all_move_in_order(void **state) {
    (void)state;
    nnf_module *model = new_model();
    trace seen = {.n = 0};
    letter letters[] = {{&seen, 'a'}, {&seen, 'b'}, {&seen, 'c'},
                        {&seen, 'x'}, {&seen, 'y'}, {&seen, 'z'}};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(
            nnf_module_register_forward_pre_hook(NULL, at(model, "0"), pre_hook, &letters[i]));
        assert_ok(
            nnf_module_register_forward_hook(NULL, at(model, "2"), forward_hook, &letters[3 + i]));
    }
    fuse_in_place(model, &conv_bn_relu, 1, NULL);
    assert_int_equal(nnf_module_n_forward_pre_hooks(at(model, "0")), 3);
    assert_int_equal(nnf_module_n_forward_hooks(at(model, "0")), 3);
    assert_trace(model, &seen, "abcxyz");
    nnf_module_release(model);
}

static void a_pre_forward_hook_on_the_first_module_runs_once_on_the_fused_module(void **state) {
    (void)state;
    for (size_t length = 2; length <= 3; length++) {
        nnf_module *model = new_model();
        trace seen = {.n = 0};
        letter a = {&seen, 'a'};
        nnf_chain chain = {names, length};
        assert_ok(nnf_module_register_forward_pre_hook(NULL, at(model, "0"), pre_hook, &a));
        fuse_in_place(model, &chain, 1, NULL);
        assert_int_equal(nnf_module_n_forward_pre_hooks(at(model, "0")), 1);
        assert_trace(model, &seen, "a");
        nnf_module_release(model);
    }
}

static void the_handle_of_a_moved_hook_still_removes_it(void **state) {
    (void)state;
    nnf_module *model = new_model();
    trace seen = {.n = 0};
    letter a = {&seen, 'a'}, z = {&seen, 'z'};
    nnf_hook *before, *after;
    assert_ok(nnf_module_register_forward_pre_hook(&before, at(model, "0"), pre_hook, &a));
    assert_ok(nnf_module_register_forward_hook(&after, at(model, "2"), forward_hook, &z));
    fuse_in_place(model, &conv_bn_relu, 1, NULL);
    assert_trace(model, &seen, "az");
    nnf_hook_remove(before);
    assert_trace(model, &seen, "z");
    nnf_hook_remove(after);
    assert_trace(model, &seen, "");
    nnf_hook_release(before);
    nnf_hook_release(after);
    nnf_module_release(model);
}

static void hooks_on_the_batch_norm_are_dropped_counted_and_named(void **state) {
    (void)state;
    nnf_module *model = new_model();
    trace seen = {.n = 0};
    letter a = {&seen, 'a'};
    nnf_module *bn = at(model, "1");
    assert_ok(nnf_module_register_forward_pre_hook(NULL, bn, pre_hook, &a));
    assert_ok(nnf_module_register_forward_hook(NULL, bn, forward_hook, &a));
    nnf_fuse_report report = {0};
    fuse_in_place(model, &conv_bn_relu, 1, &report);
    assert_int_equal(report.n_hooks_dropped, 2);
    assert_string_equal(report.dropped, "1");
    assert_trace(model, &seen, "");
    nnf_fuse_report_clear(&report);
    nnf_module_release(model);
}

/* The last module vanishes into the first: its forward hooks move, its pre-forward hooks go. */
static void hooks_of_a_batch_norm_that_is_last(void **state) {
    (void)state;
    nnf_module *model = new_model();
    trace seen = {.n = 0};
    letter a = {&seen, 'a'}, b = {&seen, 'b'}, c = {&seen, 'c'};
    assert_ok(nnf_module_register_forward_hook(NULL, at(model, "0"), forward_hook, &a));
    assert_ok(nnf_module_register_forward_pre_hook(NULL, at(model, "1"), pre_hook, &b));
    assert_ok(nnf_module_register_forward_hook(NULL, at(model, "1"), forward_hook, &c));
    nnf_fuse_report report = {0};
    fuse_in_place(model, &conv_bn, 1, &report);
    assert_int_equal(report.n_hooks_dropped, 1);
    assert_string_equal(report.dropped, "1");
    assert_trace(model, &seen, "ac");
    nnf_fuse_report_clear(&report);
    nnf_module_release(model);
}

static void
a_forward_hook_on_the_first_and_a_pre_forward_hook_on_the_last_stay_inside_and_run(void **state) {
    (void)state;
    nnf_module *model = new_model();
    trace seen = {.n = 0};
    letter letters[] = {{&seen, 'a'}, {&seen, 'b'}, {&seen, 'c'}, {&seen, 'd'}};
    nnf_hook *on_conv;
    assert_ok(nnf_module_register_forward_pre_hook(NULL, at(model, "0"), pre_hook, &letters[0]));
    assert_ok(
        nnf_module_register_forward_hook(&on_conv, at(model, "0"), forward_hook, &letters[1]));
    assert_ok(nnf_module_register_forward_pre_hook(NULL, at(model, "2"), pre_hook, &letters[2]));
    assert_ok(nnf_module_register_forward_hook(NULL, at(model, "2"), forward_hook, &letters[3]));
    nnf_fuse_report report = {0};
    fuse_in_place(model, &conv_bn_relu, 1, &report);
    assert_int_equal(report.n_hooks_dropped, 0);
    assert_null(report.dropped);
    assert_int_equal(nnf_module_n_forward_hooks(at(model, "0.0")), 1);
    assert_int_equal(nnf_module_n_forward_pre_hooks(at(model, "0.1")), 1);
    assert_trace(model, &seen, "abcd");
    nnf_hook_remove(on_conv);
    assert_trace(model, &seen, "acd");
    nnf_hook_release(on_conv);
    nnf_module_release(model);
}

static void hooks_of_the_original_stay_when_a_copy_is_fused(void **state) {
    (void)state;
    nnf_module *model = new_model(), *fused;
    trace seen = {.n = 0};
    letter a = {&seen, 'a'}, z = {&seen, 'z'};
    assert_ok(nnf_module_register_forward_pre_hook(NULL, at(model, "0"), pre_hook, &a));
    assert_ok(nnf_module_register_forward_hook(NULL, at(model, "2"), forward_hook, &z));
    assert_ok(nnf_fuse_modules(&fused, model, &conv_bn_relu, 1, NULL));
    assert_trace(model, &seen, "az");
    assert_trace(fused, &seen, "az");
    nnf_module_release(fused);
    nnf_module_release(model);
}

static void fuse_known_modules_moves_hooks_at_once(void **state) {
    (void)state;
    nnf_module *model = new_model(), *fused[3];
    nnf_module *modules[] = {at(model, "0"), at(model, "1"), at(model, "2")};
    trace seen = {.n = 0};
    letter a = {&seen, 'a'};
    assert_ok(nnf_module_register_forward_pre_hook(NULL, modules[0], pre_hook, &a));
    assert_ok(nnf_fuse_known_modules(fused, modules, 3, false, NULL));
    assert_int_equal(nnf_module_n_forward_pre_hooks(modules[0]), 0);
    assert_int_equal(nnf_module_n_forward_pre_hooks(fused[0]), 1);
    assert_string_equal(nnf_module_type_name(fused[0]), "ConvReLU2d");
    assert_string_equal(nnf_module_type_name(fused[1]), "Identity");
    for (size_t i = 0; i < 3; i++)
        nnf_module_release(fused[i]);
    nnf_module_release(model);
}

/* ---- All or nothing ---- */

static nnf_status known_then_fail(nnf_module **fused, size_t *n_fused, nnf_module *const *modules,
                                  size_t n, bool is_qat, const nnf_mapping *additional,
                                  void *payload) {
    int *calls = payload;
    if (++*calls == 2) return nnf_error(NNF_ERROR_INVALID, "the second one fails");
    *n_fused = n;
    return nnf_fuse_known_modules(fused, modules, n, is_qat, additional);
}

static void a_failure_in_the_second_of_two_chains_in_place(void **state) {
    (void)state;
    nnf_module *model = new_tree((const char *const[]){"a", "b"},
                                 (nnf_module *const[]){new_model(), new_model()}, 2);
    trace seen = {.n = 0};
    letter a = {&seen, 'a'}, z = {&seen, 'z'};
    nnf_module *conv = at(model, "a.0"), *relu = at(model, "a.2"), *out;
    assert_ok(nnf_module_register_forward_pre_hook(NULL, conv, pre_hook, &a));
    assert_ok(nnf_module_register_forward_hook(NULL, relu, forward_hook, &z));
    nnf_chain chains[] = {CHAIN("a.0", "a.1", "a.2"), CHAIN("b.0", "b.2", "b.1")};
    int calls = 0;
    nnf_fuse_options options = {.inplace = true};
    for (int own_func = 0; own_func < 2; own_func++) {
        assert_error(nnf_fuse_modules(&out, model, chains, 2, &options),
                     own_func ? NNF_ERROR_INVALID : NNF_ERROR_NOT_FOUND, "'b.0', 'b.2', 'b.1'");
        assert_ptr_equal(at(model, "a.0"), conv);
        assert_ptr_equal(at(model, "a.2"), relu);
        assert_int_equal(nnf_module_n_forward_pre_hooks(conv), 1);
        assert_int_equal(nnf_module_n_forward_hooks(relu), 1);
        assert_trace(at(model, "a"), &seen, "az");
        options =
            (nnf_fuse_options){.inplace = true, .fuser_func = known_then_fail, .payload = &calls};
    }
    nnf_module_release(model);
}

/* ---- What is folded ---- */

static void a_conv_with_weight_norm_or_spectral_norm_folds_the_value_it_gives(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        nnf_module *model = new_model(), *fused;
        nnf_module *conv = at(model, "0");
        assert_ok(kind ? nnf_spectral_norm(conv, "weight", 1, 1e-12, 0)
                       : nnf_weight_norm(conv, "weight", 0));
        nnf_module_eval(model);
        nnf_tensor *x = new_input();
        assert_ok(nnf_fuse_modules(&fused, model, &conv_bn_relu, 1, NULL));
        assert_false(nnf_module_is_parametrized(at(fused, "0.0"), NULL));
        assert_non_null(nnf_module_tensor(at(fused, "0.0"), "weight"));
        assert_true(nnf_module_is_parametrized(conv, "weight"));
        assert_same_function(model, fused, x, 1e-5);
        nnf_tensor_release(x);
        nnf_module_release(fused);
        nnf_module_release(model);
    }
}

static void fp16_folds_and_a_bf16_conv_with_an_fp32_bn_keeps_its_dtype(void **state) {
    (void)state;
    static const nnf_dtype dtypes[] = {NNF_F16, NNF_BF16};
    for (size_t i = 0; i < 2; i++) {
        nnf_module *model = new_model();
        assert_ok(nnf_module_to(at(model, "0"), dtypes[i]));
        fuse_in_place(model, &conv_bn, 1, NULL);
        assert_int_equal(nnf_tensor_dtype(nnf_module_tensor(at(model, "0"), "weight")), dtypes[i]);
        assert_int_equal(nnf_tensor_dtype(nnf_module_tensor(at(model, "0"), "bias")), dtypes[i]);
        nnf_module_release(model);
    }
}

static void copying_copies_no_weight_and_folded_ones_are_made_when_read(void **state) {
    (void)state;
    nnf_module *model = new_model(), *fused;
    assert_ok(nnf_fuse_modules(&fused, model, &conv_bn, 1, NULL));
    nnf_tensor *weight = nnf_module_tensor(at(fused, "0"), "weight");
    assert_true(nnfi_tensor_is_deferred(weight));
    const void *data;
    assert_ok(nnf_tensor_data(weight, &data));
    assert_false(nnfi_tensor_is_deferred(weight));
    nnf_module_release(fused);
    nnf_module_release(model);
}

/* What the original's weights become later is nothing to the fused model. */
static void the_fused_model_keeps_its_values_when_the_original_is_written(void **state) {
    (void)state;
    nnf_module *model = new_model(), *twin = new_model(), *fused;
    assert_ok(nnf_fuse_modules(&fused, model, &conv_bn_relu, 1, NULL));
    void *data;
    nnf_tensor *weight = nnf_module_tensor(at(model, "0"), "weight"), *x = new_input();
    assert_ok(nnf_tensor_mut_data(weight, &data));
    memset(data, 0, (size_t)nnf_tensor_nbytes(weight));
    assert_same_function(twin, fused, x, 1e-6);
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(model);
    nnf_module_release(twin);
}

TEST_MAIN(cmocka_unit_test(fuse_modules_works_on_a_deep_copy_unless_in_place),
          cmocka_unit_test(every_other_slot_is_a_new_identity_with_the_first_modules_training_flag),
          cmocka_unit_test(the_fused_modules_training_flag_is_the_first_modules),
          cmocka_unit_test(several_chains_at_any_depth),
          cmocka_unit_test(fuser_func_maps_n_modules_to_n_modules),
          cmocka_unit_test(two_or_more_hooks_on_one_module_all_move_in_order),
          cmocka_unit_test(a_pre_forward_hook_on_the_first_module_runs_once_on_the_fused_module),
          cmocka_unit_test(the_handle_of_a_moved_hook_still_removes_it),
          cmocka_unit_test(hooks_on_the_batch_norm_are_dropped_counted_and_named),
          cmocka_unit_test(hooks_of_a_batch_norm_that_is_last),
          cmocka_unit_test(
              a_forward_hook_on_the_first_and_a_pre_forward_hook_on_the_last_stay_inside_and_run),
          cmocka_unit_test(hooks_of_the_original_stay_when_a_copy_is_fused),
          cmocka_unit_test(fuse_known_modules_moves_hooks_at_once),
          cmocka_unit_test(a_failure_in_the_second_of_two_chains_in_place),
          cmocka_unit_test(a_conv_with_weight_norm_or_spectral_norm_folds_the_value_it_gives),
          cmocka_unit_test(fp16_folds_and_a_bf16_conv_with_an_fp32_bn_keeps_its_dtype),
          cmocka_unit_test(copying_copies_no_weight_and_folded_ones_are_made_when_read),
          cmocka_unit_test(the_fused_model_keeps_its_values_when_the_original_is_written))
