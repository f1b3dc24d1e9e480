/* The contract's table of errors, row by row. Each leaves the model untouched. */
#include "fuse_support.h"

#include "tensor/tensor_internal.h"

/* conv, bn, relu in eval mode. */
static nnf_module *new_model(nnf_module *first, nnf_module *norm) {
    nnf_module *model = new_tree((const char *const[]){"conv", "bn", "relu"},
                                 (nnf_module *const[]){first, norm, new_relu()}, 3);
    nnf_module_eval(model);
    return model;
}

typedef enum way { EVAL, QAT } way;

static nnf_status fuse(nnf_module *model, const nnf_chain *chains, size_t n, way how) {
    nnf_module *out = NULL;
    const nnf_fuse_options options = {.inplace = true};
    nnf_status status = how == EVAL ? nnf_fuse_modules(&out, model, chains, n, &options)
                                    : nnf_fuse_modules_qat(&out, model, chains, n, &options);
    if (status == NNF_OK) nnf_module_release(out);
    return status;
}

/* The modules of the tree are the very ones that were there. */
#define assert_untouched(model, call_that_fails)                        \
    do {                                                                \
        size_t n_ = nnf_module_n_children(model);                       \
        nnf_module *before_[8];                                         \
        for (size_t i_ = 0; i_ < n_; i_++)                              \
            before_[i_] = nnf_module_child(model, i_);                  \
        call_that_fails;                                                \
        for (size_t i_ = 0; i_ < n_; i_++)                              \
            assert_ptr_equal(nnf_module_child(model, i_), before_[i_]); \
    } while (0)

static const nnf_chain conv_bn = CHAIN("conv", "bn");
static const nnf_chain conv_bn_relu = CHAIN("conv", "bn", "relu");

static void a_chain_with_a_batch_norm_and_its_modules_in_different_modes(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    static const char *const names[] = {"conv", "bn", "relu"};
    for (size_t i = 0; i < 3; i++)
        for (int how = EVAL; how <= QAT; how++) {
            nnf_module_eval(model);
            nnf_module_set_training(at(model, names[i]), true);
            assert_untouched(model, assert_error(fuse(model, &conv_bn_relu, 1, (way)how),
                                                 NNF_ERROR_NOT_FUSABLE, "'conv', 'bn', 'relu'",
                                                 "training mode", "eval mode"));
        }
    nnf_module_release(model);
}

static void fuse_modules_on_a_chain_with_a_batch_norm_in_training_mode(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    nnf_module_train(model, true);
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, EVAL), NNF_ERROR_NOT_FUSABLE,
                                         "'conv', 'bn'", "nnf_fuse_modules_qat"));
    nnf_module_release(model);
}

static void num_features_other_than_out_channels(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 5));
    for (int how = EVAL; how <= QAT; how++)
        assert_untouched(model, assert_error(fuse(model, &conv_bn_relu, 1, (way)how),
                                             NNF_ERROR_NOT_FUSABLE, "'bn'", "num_features 5",
                                             "4 output channels"));
    nnf_module_release(model);
}

static nnf_module *norm_with(bool affine, bool track_running_stats) {
    nnf_batchnorm_options options = nnf_batchnorm_options_default(2, 4);
    options.affine = affine;
    options.track_running_stats = track_running_stats;
    nnf_module *norm;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    return norm;
}

static void qat_bn_without_affine_or_without_running_statistics(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), norm_with(false, true));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, QAT), NNF_ERROR_NOT_FUSABLE,
                                         "'conv', 'bn'", "affine"));
    nnf_module_release(model);
    model = new_model(new_conv(2, false, 2, 4, 1), norm_with(true, false));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, QAT), NNF_ERROR_NOT_FUSABLE,
                                         "'conv', 'bn'", "running statistics"));
    nnf_module_release(model);
}

static void eval_bn_without_running_statistics(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), norm_with(true, false));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, EVAL), NNF_ERROR_NOT_FUSABLE,
                                         "'conv', 'bn'", "running statistics"));
    nnf_module_release(model);
}

static void qat_convtranspose_and_batch_norm(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, true, 2, 4, 1), new_norm(2, 4));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, QAT), NNF_ERROR_NOT_FUSABLE,
                                         "ConvTranspose2d", "BatchNorm2d", "not supported"));
    nnf_module_release(model);
}

static void qat_a_conv_with_a_parametrization_and_bn(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    assert_ok(nnf_weight_norm(at(model, "conv"), "weight", 0));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, QAT), NNF_ERROR_NOT_FUSABLE,
                                         "parametrization", "fix its value first",
                                         "nnf_module_remove_parametrizations"));
    assert_ok(nnf_module_remove_parametrizations(at(model, "conv"), "weight"));
    assert_ok(fuse(model, &conv_bn, 1, QAT));
    assert_string_equal(type_at(model, "conv"), "ConvBn2d");
    nnf_module_release(model);
}

static void set_f32(nnf_module *module, const char *name, int64_t index, float value) {
    void *data;
    assert_ok(nnf_tensor_mut_data(nnf_module_tensor(module, name), &data));
    ((float *)data)[index] = value;
}

static void var_plus_eps_not_positive_or_not_finite_in_some_channel(void **state) {
    (void)state;
    const float bad[] = {-1.0f, INFINITY, NAN, -2e-5f};
    for (size_t i = 0; i < 4; i++) {
        nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
        set_f32(at(model, "bn"), "running_var", 2, bad[i]);
        assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, EVAL), NNF_ERROR_NOT_FUSABLE,
                                             "'conv', 'bn'", "channel 2"));
        nnf_module_release(model);
    }
}

static void a_fold_that_overflows_the_dtype(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    set_f32(at(model, "bn"), "weight", 3, 60000.0f);
    set_f32(at(model, "bn"), "running_var", 3, 1e-4f);
    assert_ok(nnf_module_to(at(model, "conv"), NNF_F16));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, EVAL), NNF_ERROR_NOT_FUSABLE,
                                         "'conv', 'bn'", "channel 3"));
    nnf_module_release(model);
}

/* Also where the chain before it could be fused, and weights are large enough for several threads.
 */
static void a_fold_that_overflows_in_one_chain_of_several(void **state) {
    (void)state;
    nnf_module *convs[] = {new_conv(2, false, 128, 96, 1), new_conv(2, false, 128, 96, 1)};
    nnf_module *model =
        new_tree((const char *const[]){"a", "b", "c", "d"},
                 (nnf_module *const[]){convs[0], new_norm(2, 96), convs[1], new_norm(2, 96)}, 4);
    const nnf_chain chains[] = {CHAIN("a", "b"), CHAIN("c", "d")};
    const int64_t row = 128 * 9;
    nnf_module_eval(model);
    for (int64_t channel = 90; channel < 96; channel += 5) /* the first is told of */
        set_f32(convs[1], "weight", channel * row + row - 1, 0x1p127f);
    for (int64_t channel = 0; channel < 96; channel++) {
        set_f32(at(model, "d"), "running_var", channel, 1.0f);
        set_f32(at(model, "d"), "weight", channel, channel < 90 ? 0.5f : 4.0f);
    }
    assert_untouched(model, assert_error(fuse(model, chains, 2, EVAL), NNF_ERROR_NOT_FUSABLE,
                                         "'c', 'd'", "channel 90:"));
    assert_false(nnfi_tensor_is_deferred(nnf_module_tensor(at(model, "a"), "weight")));
    for (int64_t channel = 90; channel < 96; channel++)
        set_f32(at(model, "d"), "weight", channel, 1.0f);
    assert_ok(fuse(model, chains, 2, EVAL));
    nnf_module_release(model);
}

static void an_unknown_sequence(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(1, false, 2, 4, 1), new_norm(2, 4));
    assert_untouched(model, assert_error(fuse(model, &conv_bn, 1, EVAL), NNF_ERROR_NOT_FOUND,
                                         "'conv', 'bn'", "Conv1d, BatchNorm2d"));
    nnf_chain backwards = CHAIN("relu", "conv");
    assert_untouched(model, assert_error(fuse(model, &backwards, 1, EVAL), NNF_ERROR_NOT_FOUND,
                                         "'relu', 'conv'", "ReLU, Conv1d"));
    nnf_module_release(model);
}

static void one_module_or_no_module(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    nnf_chain one = CHAIN("conv"), none = {NULL, 0};
    assert_untouched(
        model, assert_error(fuse(model, &one, 1, EVAL), NNF_ERROR_NOT_FOUND, "'conv'", "Conv2d"));
    assert_untouched(model,
                     assert_error(fuse(model, &none, 1, EVAL), NNF_ERROR_INVALID, "chain 0"));
    nnf_module_release(model);
}

static void the_same_name_twice(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    nnf_chain twice = CHAIN("conv", "conv");
    assert_untouched(model, assert_error(fuse(model, &twice, 1, EVAL), NNF_ERROR_INVALID,
                                         "'conv', 'conv'", "twice"));
    nnf_chain overlapping[] = {CHAIN("conv", "bn"), CHAIN("bn", "relu")};
    assert_untouched(model, assert_error(fuse(model, overlapping, 2, EVAL), NNF_ERROR_INVALID,
                                         "'bn', 'relu'", "twice"));
    nnf_module_release(model);
}

static void a_path_that_is_not_there(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4));
    nnf_chain chain = CHAIN("conv", "norm.0");
    assert_untouched(model, assert_error(fuse(model, &chain, 1, EVAL), NNF_ERROR_NOT_FOUND,
                                         "'conv', 'norm.0'", "'norm'"));
    nnf_module_release(model);
}

/* ---- fuser_func ---- */

static nnf_status too_few(nnf_module **fused, size_t *n_fused, nnf_module *const *modules, size_t n,
                          bool is_qat, const nnf_mapping *additional, void *payload) {
    (void)n, (void)is_qat, (void)additional, (void)payload;
    fused[0] = nnf_module_retain(modules[0]);
    *n_fused = 1;
    return NNF_OK;
}
static nnf_status with_null(nnf_module **fused, size_t *n_fused, nnf_module *const *modules,
                            size_t n, bool is_qat, const nnf_mapping *additional, void *payload) {
    (void)is_qat, (void)additional, (void)payload;
    for (size_t i = 0; i < n; i++)
        fused[i] = i == 1 ? NULL : nnf_module_retain(modules[i]);
    *n_fused = n;
    return NNF_OK;
}

static void fuser_func_that_gives_back_too_few_modules_or_null(void **state) {
    (void)state;
    nnf_module *model = new_model(new_conv(2, false, 2, 4, 1), new_norm(2, 4)), *out;
    nnf_fuse_options options = {.inplace = true, .fuser_func = too_few};
    assert_untouched(model, assert_error(nnf_fuse_modules(&out, model, &conv_bn, 1, &options),
                                         NNF_ERROR_INVALID, "'conv', 'bn'", "1 modules for 2"));
    options.fuser_func = with_null;
    assert_untouched(model, assert_error(nnf_fuse_modules(&out, model, &conv_bn, 1, &options),
                                         NNF_ERROR_INVALID, "'conv', 'bn'", "NULL"));
    nnf_module_release(model);
}

TEST_MAIN(cmocka_unit_test(a_chain_with_a_batch_norm_and_its_modules_in_different_modes),
          cmocka_unit_test(fuse_modules_on_a_chain_with_a_batch_norm_in_training_mode),
          cmocka_unit_test(num_features_other_than_out_channels),
          cmocka_unit_test(qat_bn_without_affine_or_without_running_statistics),
          cmocka_unit_test(eval_bn_without_running_statistics),
          cmocka_unit_test(qat_convtranspose_and_batch_norm),
          cmocka_unit_test(qat_a_conv_with_a_parametrization_and_bn),
          cmocka_unit_test(var_plus_eps_not_positive_or_not_finite_in_some_channel),
          cmocka_unit_test(a_fold_that_overflows_the_dtype),
          cmocka_unit_test(a_fold_that_overflows_in_one_chain_of_several),
          cmocka_unit_test(an_unknown_sequence), cmocka_unit_test(one_module_or_no_module),
          cmocka_unit_test(the_same_name_twice), cmocka_unit_test(a_path_that_is_not_there),
          cmocka_unit_test(fuser_func_that_gives_back_too_few_modules_or_null))
