/* The contract's row on accuracy, along the whole way: from batch norm's numbers to the folded
 * weight and bias, against __float128. */
#include "fuse_support.h"

#include <math.h>
#include <quadmath.h>

#include "tensor/tensor_internal.h"

typedef struct fold_case {
    nnf_dtype conv, norm;
    int spatial;
    bool transposed, cancelling;
    int64_t in, out, groups;
} fold_case;

static double element(const nnf_module *module, const char *name, int64_t i) {
    const void *data;
    const nnf_tensor *tensor = nnf_module_tensor(module, name);
    assert_ok(nnf_tensor_data(tensor, &data));
    return nnfi_load_f64(nnf_tensor_dtype(tensor), data, i);
}

static void set_element(const nnf_module *module, const char *name, int64_t i, double value) {
    void *data;
    nnf_tensor *tensor = nnf_module_tensor(module, name);
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    nnfi_store_f64(nnf_tensor_dtype(tensor), data, i, value);
}

/* The distance between neighbours of `value` in the dtype. */
static __float128 unit_in_the_last_place(nnf_dtype dtype, __float128 value) {
    static const struct {
        int bits, least;
    } formats[NNF_DTYPE_COUNT] = {[NNF_F32] = {24, -149},
                                  [NNF_F64] = {53, -1074},
                                  [NNF_F16] = {11, -24},
                                  [NNF_BF16] = {8, -133}};
    int exponent = formats[dtype].least;
    if (value != 0) {
        int e;
        frexpq(value, &e);
        if (e - formats[dtype].bits > exponent) exponent = e - formats[dtype].bits;
    }
    return ldexpq(1, exponent);
}

static __float128 scale_of(const nnf_module *norm, int64_t c) {
    const nnf_batchnorm_options *options = nnf_module_options(norm);
    __float128 var = (__float128)element(norm, "running_var", c) + options->eps;
    return element(norm, "weight", c) / sqrtq(var);
}

static void assert_rounded(nnf_dtype dtype, double actual, __float128 exact, __float128 addend,
                           const char *what) {
    __float128 error = fabsq(actual - exact), unit = unit_in_the_last_place(dtype, exact);
    /* Below 2^-60 of the larger addend the error is held against that. Above it f64 has 106 bits
     * to be exact in, and __float128 no more than 113. */
    bool tiny = fabsq(exact) < ldexpq(addend, dtype == NNF_F64 ? -30 : -60);
    if (error <= 0.5001 * unit || (tiny && error <= ldexpq(addend, -90) + 0.5 * unit)) return;
    fail_msg("%s %s: %.20g, %.3f units off", nnf_dtype_name(dtype), what, actual,
             (double)(error / unit));
}

/* beta such that (b - mean) * scale + beta nearly vanishes. */
static void make_it_cancel(const nnf_module *conv, const nnf_module *norm, int64_t out) {
    for (int64_t c = 0; c < out; c += 2) {
        __float128 moved = (__float128)element(conv, "bias", c) - element(norm, "running_mean", c);
        set_element(norm, "bias", c, (double)(-moved * scale_of(norm, c)));
    }
}

static void check_fold(const fold_case *given, nnf_module *conv, nnf_module *norm,
                       nnf_module *fused) {
    const nnf_tensor *weight = nnf_module_tensor(fused, "weight");
    assert_int_equal(nnf_tensor_dtype(weight), given->conv);
    const int64_t *shape = nnf_tensor_shape(weight);
    int64_t per_row = nnf_tensor_numel(weight) / shape[0], inner = per_row / shape[1];
    for (int64_t i = 0; i < nnf_tensor_numel(weight); i++) {
        int64_t row = i / per_row, column = i % per_row / inner;
        int64_t group = row / (given->in / given->groups);
        int64_t c = given->transposed ? group * (given->out / given->groups) + column : row;
        __float128 exact = element(conv, "weight", i) * scale_of(norm, c);
        assert_rounded(given->conv, element(fused, "weight", i), exact, fabsq(exact), "weight");
    }
    assert_int_equal(nnf_tensor_dtype(nnf_module_tensor(fused, "bias")), given->conv);
    for (int64_t c = 0; c < given->out; c++) {
        __float128 moved = (__float128)element(conv, "bias", c) - element(norm, "running_mean", c);
        __float128 addend = moved * scale_of(norm, c), beta = element(norm, "bias", c);
        assert_rounded(given->conv, element(fused, "bias", c), addend + beta,
                       fmaxq(fabsq(addend), fabsq(beta)), "bias");
    }
}

static void run_case(const fold_case *given, uint64_t seed) {
    nnf_module *conv =
        new_conv(given->spatial, given->transposed, given->in, given->out, given->groups);
    nnf_module *norm = new_norm(given->spatial, given->out), *fused;
    assert_ok(nnf_module_to(conv, NNF_F64));
    assert_ok(nnf_module_to(norm, NNF_F64));
    fill(conv, seed);
    fill(norm, seed + 100);
    assert_ok(nnf_module_to(conv, given->conv));
    assert_ok(nnf_module_to(norm, given->norm));
    nnf_module_eval(conv);
    nnf_module_eval(norm);
    if (given->cancelling) make_it_cancel(conv, norm, given->out);
    assert_ok(nnf_fuse_conv_bn(&fused, false, conv, norm));
    check_fold(given, conv, norm, fused);
    nnf_module_release(fused);
    nnf_module_release(norm);
    nnf_module_release(conv);
}

static void folded_weight_and_bias_are_within_half_a_unit_in_every_dtype(void **state) {
    (void)state;
    static const nnf_dtype dtypes[] = {NNF_F32, NNF_F64, NNF_F16, NNF_BF16};
    for (size_t conv = 0; conv < 4; conv++)
        for (size_t norm = 0; norm < 4; norm++)
            for (int cancelling = 0; cancelling < 2; cancelling++) {
                fold_case given = {dtypes[conv], dtypes[norm], 2, false, cancelling, 4, 64, 2};
                run_case(&given, 17 * conv + 5 * norm + 1);
                given = (fold_case){dtypes[conv], dtypes[norm], 1, true, cancelling, 6, 64, 2};
                run_case(&given, 19 * conv + 3 * norm + 1);
            }
}

/* Issue 180995: PyTorch scales the wrong axis, or fails. */
static void convtranspose_folds_right_for_any_groups(void **state) {
    (void)state;
    for (int spatial = 1; spatial <= 3; spatial++)
        for (int64_t groups = 1; groups <= 4; groups++) {
            nnf_module *model = new_sequential(
                (nnf_module *const[]){new_conv(spatial, true, 2 * groups, 3 * groups, groups),
                                      new_norm(spatial, 3 * groups)},
                2);
            nnf_module *fused;
            nnf_module_eval(model);
            nnf_chain chain = CHAIN("0", "1");
            assert_ok(nnf_fuse_modules(&fused, model, &chain, 1, NULL));
            const int64_t shape[] = {1, 2 * groups, 4, 3, 2};
            nnf_tensor *x = random_tensor(NNF_F32, 2 + spatial, shape, -1, 1, 3);
            assert_same_function(model, fused, x, 1e-6);
            nnf_tensor_release(x);
            nnf_module_release(fused);
            nnf_module_release(model);
        }
}

static void linear_with_a_batch_norm_that_is_not_affine_folds(void **state) {
    (void)state;
    nnf_batchnorm_options options = nnf_batchnorm_options_default(1, 5);
    options.affine = false;
    nnf_module *norm, *fused;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    fill(norm, 8);
    nnf_module *model = new_sequential((nnf_module *const[]){new_linear(4, 5), norm}, 2);
    nnf_module_eval(model);
    nnf_chain chain = CHAIN("0", "1");
    assert_ok(nnf_fuse_modules(&fused, model, &chain, 1, NULL));
    nnf_tensor *x = random_tensor(NNF_F32, 2, (const int64_t[]){3, 4}, -1, 1, 3);
    assert_same_function(model, fused, x, 1e-6);
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(model);
}

static void an_unset_weight_is_no_constant(void **state) {
    (void)state;
    nnf_module *conv = new_conv(2, false, 2, 4, 1), *norm = new_norm(2, 4), *fused;
    nnf_module_eval(conv);
    nnf_module_eval(norm);
    assert_ok(nnf_module_set_parameter(conv, "weight", NULL));
    assert_error(nnf_fuse_conv_bn(&fused, false, conv, norm), NNF_ERROR_NOT_FUSABLE,
                 "is not a constant");
    nnf_module_release(conv);
    nnf_module_release(norm);
}

TEST_MAIN(cmocka_unit_test(folded_weight_and_bias_are_within_half_a_unit_in_every_dtype),
          cmocka_unit_test(convtranspose_folds_right_for_any_groups),
          cmocka_unit_test(linear_with_a_batch_norm_that_is_not_affine_folds),
          cmocka_unit_test(an_unset_weight_is_no_constant))
