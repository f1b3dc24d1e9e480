/* The contract's row on accuracy, along the whole way: from batch norm's numbers to the folded
 * weight and bias, against MPFR. */
#include "fuse_support.h"

#include <math.h>
#include <mpfr.h>

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

enum { BITS = 320 };

/* The distance between neighbours of `value` in the dtype, as a power of two. */
static long last_place(nnf_dtype dtype, const mpfr_t value) {
    static const struct {
        int bits, least;
    } formats[NNF_DTYPE_COUNT] = {[NNF_F32] = {24, -149},
                                  [NNF_F64] = {53, -1074},
                                  [NNF_F16] = {11, -24},
                                  [NNF_BF16] = {8, -133}};
    long exponent =
        mpfr_zero_p(value) ? formats[dtype].least : (long)mpfr_get_exp(value) - formats[dtype].bits;
    return exponent > formats[dtype].least ? exponent : formats[dtype].least;
}

/* What a channel multiplies by. */
static void scale_of(mpfr_t scale, const nnf_module *norm, int64_t c) {
    const nnf_batchnorm_options *options = nnf_module_options(norm);
    mpfr_set_d(scale, element(norm, "running_var", c), MPFR_RNDN);
    mpfr_add_d(scale, scale, options->eps, MPFR_RNDN);
    mpfr_rec_sqrt(scale, scale, MPFR_RNDN);
    mpfr_mul_d(scale, scale, element(norm, "weight", c), MPFR_RNDN);
}

/* (b - mean) * scale */
static void moved_bias(mpfr_t moved, const nnf_module *conv, const nnf_module *norm, int64_t c) {
    mpfr_t scale;
    mpfr_init2(scale, BITS);
    scale_of(scale, norm, c);
    mpfr_set_d(moved, element(conv, "bias", c), MPFR_RNDN);
    mpfr_sub_d(moved, moved, element(norm, "running_mean", c), MPFR_RNDN);
    mpfr_mul(moved, moved, scale, MPFR_RNDN);
    mpfr_clear(scale);
}

/* Within 0.5001 units in the last place; where the result is below 2^-60 of its larger addend,
 * 2^-90 of that may come to the rounding. Gives whether it is that small. */
static bool assert_rounded(nnf_dtype dtype, double actual, const mpfr_t exact, double addend,
                           const char *what) {
    mpfr_t error, allowed;
    mpfr_inits2(BITS, error, allowed, (mpfr_ptr)NULL);
    long place = last_place(dtype, exact);
    bool tiny = fabs(mpfr_get_d(exact, MPFR_RNDN)) < ldexp(addend, -60);
    mpfr_sub_d(error, exact, actual, MPFR_RNDN);
    mpfr_set_d(allowed, 0.5001, MPFR_RNDN);
    mpfr_mul_2si(allowed, allowed, place, MPFR_RNDN);
    if (tiny) mpfr_add_d(allowed, allowed, ldexp(addend, -90), MPFR_RNDN);
    bool right = mpfr_cmpabs(error, allowed) <= 0;
    mpfr_mul_2si(error, error, -place, MPFR_RNDN);
    double units = mpfr_get_d(error, MPFR_RNDN);
    mpfr_clears(error, allowed, (mpfr_ptr)NULL);
    if (!right)
        fail_msg("%s %s: %.20g, %.3f units off", nnf_dtype_name(dtype), what, actual, units);
    return tiny;
}

/* beta such that (b - mean) * scale + beta nearly vanishes; with a mean that is b but for its last
 * bits in every fourth, so that both addends are small too. */
static void make_it_cancel(const nnf_module *conv, const nnf_module *norm, int64_t out) {
    mpfr_t moved;
    mpfr_init2(moved, BITS);
    for (int64_t c = 0; c < out; c += 2) {
        double b = element(conv, "bias", c);
        if (c % 4 == 0) set_element(norm, "running_mean", c, b * (1 + 0x1p-20));
        moved_bias(moved, conv, norm, c);
        set_element(norm, "bias", c, -mpfr_get_d(moved, MPFR_RNDN));
    }
    mpfr_clear(moved);
}

/* Gives how many biases are below 2^-60 of an addend. */
static int64_t check_fold(const fold_case *given, nnf_module *conv, nnf_module *norm,
                          nnf_module *fused) {
    mpfr_t exact, scale;
    mpfr_inits2(BITS, exact, scale, (mpfr_ptr)NULL);
    const nnf_tensor *weight = nnf_module_tensor(fused, "weight");
    assert_int_equal(nnf_tensor_dtype(weight), given->conv);
    assert_int_equal(nnf_tensor_dtype(nnf_module_tensor(fused, "bias")), given->conv);
    const int64_t *shape = nnf_tensor_shape(weight);
    int64_t per_row = nnf_tensor_numel(weight) / shape[0], inner = per_row / shape[1], tiny = 0;
    for (int64_t i = 0; i < nnf_tensor_numel(weight); i++) {
        int64_t row = i / per_row, column = i % per_row / inner;
        int64_t group = row / (given->in / given->groups);
        int64_t c = given->transposed ? group * (given->out / given->groups) + column : row;
        scale_of(scale, norm, c);
        mpfr_mul_d(exact, scale, element(conv, "weight", i), MPFR_RNDN);
        assert_rounded(given->conv, element(fused, "weight", i), exact, 0.0, "weight");
    }
    for (int64_t c = 0; c < given->out; c++) {
        moved_bias(exact, conv, norm, c);
        double beta = element(norm, "bias", c);
        double addend = fmax(fabs(mpfr_get_d(exact, MPFR_RNDN)), fabs(beta));
        mpfr_add_d(exact, exact, beta, MPFR_RNDN);
        tiny += assert_rounded(given->conv, element(fused, "bias", c), exact, addend, "bias");
    }
    mpfr_clears(exact, scale, (mpfr_ptr)NULL);
    return tiny;
}

static int64_t run_case(const fold_case *given, uint64_t seed) {
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
    int64_t tiny = check_fold(given, conv, norm, fused);
    nnf_module_release(fused);
    nnf_module_release(norm);
    nnf_module_release(conv);
    return tiny;
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

/* Three weights and one bias for each channel. Thousands of biases are below 2^-60 of an addend. */
static void a_million_of_each_dtype_cancelling_biases_included(void **state) {
    (void)state;
    const int64_t million = under_valgrind() ? 20000 : 1000000;
    static const nnf_dtype dtypes[] = {NNF_F32, NNF_F64, NNF_F16, NNF_BF16};
    for (size_t i = 0; i < 4; i++) {
        /* batch norms of f64, which a bias can cancel with to the last bits */
        fold_case given = {dtypes[i], NNF_F64, 1, false, true, 1, million, 1};
        assert_true(run_case(&given, 1000 + i) > million / 1000);
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
          cmocka_unit_test(a_million_of_each_dtype_cancelling_biases_included),
          cmocka_unit_test(convtranspose_folds_right_for_any_groups),
          cmocka_unit_test(linear_with_a_batch_norm_that_is_not_affine_folds),
          cmocka_unit_test(an_unset_weight_is_no_constant))
