/* Folded tensors against 113-bit arithmetic: the numbers of a batch norm are random with a fixed
 * seed, the exact scale and shift are computed in __float128. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"

#include "tensor/tensor_internal.h"

__extension__ typedef __float128 quad;

static uint64_t random_state;

static uint64_t random_bits(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state ^ random_state >> 33) * 0xff51afd7ed558ccdu;
}

/* in [-1, 1) */
static double random_number(void) {
    return (double)(int64_t)random_bits() * 0x1p-63;
}

/* The square root by Newton's method from the double one: each step doubles the 53 right bits. */
static quad quad_sqrt(quad x) {
    quad root = (quad)sqrt((double)x);
    for (int i = 0; i < 3; i++)
        root = (root + x / root) / 2;
    return root;
}

static quad quad_abs(quad x) {
    return x < 0 ? -x : x;
}

static const struct {
    int precision, min_exponent;
} formats[] = {
    [NNF_F32] = {24, -126}, [NNF_F64] = {53, -1022}, [NNF_F16] = {11, -14}, [NNF_BF16] = {8, -126}};

/* The unit in the last place of the exact value. */
static quad ulp_of(nnf_dtype dtype, quad exact) {
    int exponent;
    frexp((double)exact, &exponent);
    exponent--;
    if (exponent < formats[dtype].min_exponent) exponent = formats[dtype].min_exponent;
    return (quad)ldexp(1.0, exponent - formats[dtype].precision + 1);
}

static double ulps_off(nnf_dtype dtype, double found, quad exact) {
    return (double)(quad_abs((quad)found - exact) / ulp_of(dtype, exact));
}

/* Batch norms of n channels, and exactly what they scale and shift by. */
typedef struct norms {
    nnfi_affine *affine;
    quad *scale, *shift;
} norms;

/* A snapshot of doubles; NULL: none of these. */
static nnfi_affine *new_affine(int64_t n, const double *weight, const double *bias,
                               const double *mean, const double *var, double eps) {
    const double *values[] = {weight, bias, mean, var};
    nnf_tensor *tensors[4] = {NULL};
    nnfi_affine *affine;
    for (int i = 0; i < 4; i++)
        if (values[i]) assert_ok(nnf_tensor_from_data(&tensors[i], NNF_F64, 1, &n, values[i]));
    assert_ok(nnfi_affine_new(&affine, n, tensors[0], tensors[1], tensors[2], tensors[3], eps));
    for (int i = 0; i < 4; i++)
        nnf_tensor_release(tensors[i]);
    return affine;
}

static norms random_norms(int64_t n) {
    size_t count = (size_t)n;
    double *gamma = calloc(4 * count, sizeof *gamma), eps = 1e-5;
    norms out = {NULL, calloc(count, sizeof(quad)), calloc(count, sizeof(quad))};
    assert_non_null(gamma);
    assert_non_null(out.scale);
    assert_non_null(out.shift);
    double *beta = gamma + n, *mean = beta + n, *var = mean + n;
    for (int64_t i = 0; i < n; i++) {
        gamma[i] = (float)random_number();
        beta[i] = (float)random_number();
        mean[i] = (float)random_number();
        var[i] = (float)fabs(random_number()) + 0x1p-20;
        out.scale[i] = (quad)gamma[i] / quad_sqrt((quad)var[i] + (quad)eps);
        out.shift[i] = (quad)beta[i] - (quad)mean[i] * out.scale[i];
    }
    out.affine = new_affine(n, gamma, beta, mean, var, eps);
    free(gamma);
    return out;
}

static void norms_free(norms *given) {
    nnfi_affine_release(given->affine);
    free(given->scale);
    free(given->shift);
}

/* A tensor [n] of random numbers, rounded to the dtype; `data` is what to look at and change. */
static nnf_tensor *random_tensor(nnf_dtype dtype, int64_t n, void **data) {
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_new(&tensor, dtype, 1, &n));
    assert_ok(nnf_tensor_mut_data(tensor, data));
    for (int64_t i = 0; i < n; i++)
        nnfi_store_f64(dtype, *data, i, random_number());
    return tensor;
}

static double *doubles_of(const nnf_tensor *tensor) {
    int64_t n = nnf_tensor_numel(tensor);
    double *values = calloc((size_t)n + 1, sizeof *values);
    unsigned char *bytes = malloc((size_t)nnf_tensor_nbytes(tensor) + 1);
    assert_non_null(values);
    assert_non_null(bytes);
    assert_ok(nnf_tensor_read(tensor, 0, n, bytes));
    for (int64_t i = 0; i < n; i++)
        values[i] = nnfi_load_f64(nnf_tensor_dtype(tensor), bytes, i);
    free(bytes);
    return values;
}

enum { CHANNELS = 1000, INNER = 1000, MILLION = CHANNELS * INNER };

static void check_weights(nnf_dtype dtype, nnfi_channel_view view) {
    void *data;
    random_state = 20 + (uint64_t)dtype;
    nnf_tensor *base = random_tensor(dtype, MILLION, &data), *folded;
    int64_t n = view.groups * view.channels;
    norms numbers = random_norms(n);
    assert_ok(nnfi_tensor_fold(&folded, base, dtype, &view, numbers.affine));
    double *found = doubles_of(folded), *before = doubles_of(base), worst = 0.0;
    for (int64_t i = 0; i < MILLION; i++) {
        int64_t channel = i / view.inner % view.channels +
                          i / (view.inner * view.channels * view.outer) * view.channels;
        worst = fmax(worst, ulps_off(dtype, found[i], (quad)before[i] * numbers.scale[channel]));
    }
    assert_true(worst <= 0.5001);
    assert_true(worst > 0.49); /* the yardstick measures something */
    free(found);
    free(before);
    norms_free(&numbers);
    nnf_tensor_release(base);
    nnf_tensor_release(folded);
}

static void accuracy_of_the_folded_weight(void **state) {
    (void)state;
    for (nnf_dtype dtype = NNF_F32; dtype <= NNF_BF16; dtype++) {
        check_weights(dtype, (nnfi_channel_view){1, 1, CHANNELS, INNER});
        check_weights(dtype, (nnfi_channel_view){4, 50, 50, 100});
        check_weights(dtype, (nnfi_channel_view){10, 100, 1000, 1});
        check_weights(dtype, (nnfi_channel_view){1, 1000, 200, 5});
    }
}

static void folds_compose_and_round_once(void **state) {
    (void)state;
    enum { N = 20000 };
    for (nnf_dtype dtype = NNF_F32; dtype <= NNF_BF16; dtype++) {
        void *data;
        random_state = 60 + (uint64_t)dtype;
        nnf_tensor *base = random_tensor(dtype, N, &data), *once, *twice;
        norms first = random_norms(N), second = random_norms(N);
        assert_ok(nnfi_tensor_fold(&once, base, dtype, NULL, first.affine));
        assert_ok(nnfi_tensor_fold(&twice, once, dtype, NULL, second.affine));
        assert_true(nnfi_tensor_is_deferred(once));
        assert_true(nnfi_tensor_is_deferred(twice));
        double *found = doubles_of(twice), *before = doubles_of(base), worst = 0.0;
        for (int64_t i = 0; i < N; i++) {
            quad exact = (quad)before[i] * first.scale[i] + first.shift[i];
            exact = exact * second.scale[i] + second.shift[i];
            worst = fmax(worst, ulps_off(dtype, found[i], exact));
        }
        assert_true(worst <= 0.5001);
        free(found);
        free(before);
        norms_free(&first);
        norms_free(&second);
        nnf_tensor_release(base);
        nnf_tensor_release(once);
        nnf_tensor_release(twice);
    }
}

/* base * scale + shift */
static nnf_tensor *fold_doubles(nnf_dtype dtype, double base, double scale, double shift) {
    nnf_tensor *tensor, *folded;
    int64_t one = 1;
    unsigned char bytes[8];
    nnfi_store_f64(dtype, bytes, 0, base);
    assert_ok(nnf_tensor_from_data(&tensor, dtype, 1, &one, bytes));
    nnfi_affine *affine = new_affine(1, &scale, &shift, NULL, NULL, 0.0);
    assert_ok(nnfi_tensor_fold(&folded, tensor, dtype, NULL, affine));
    nnfi_affine_release(affine);
    nnf_tensor_release(tensor);
    return folded;
}

static void doubles_fold_right_at_the_ends_of_their_range(void **state) {
    (void)state;
    static const struct {
        double base, scale, shift, expected;
    } rows[] = {
        {0x1p-1074, 0.75, 0.0, 0x1p-1074},
        {0x1p-1074, 0.5, 0.0, 0.0}, /* a tie */
        {0x1.8p-1073, 0.5, 0.0, 0x1p-1073},
        {0x1p-600, 0x1p-470, 0x1p-1070, 0x1p-1069},
        {0x1.fp1023, 0x1.0p1, -0x1.fp1023, 0x1.fp1023},
        {3.0, 0.0, 0x1p-1074, 0x1p-1074},
        {0x1p1000, 0.0, 0x1p-1000, 0x1p-1000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nnf_tensor *folded = fold_doubles(NNF_F64, rows[i].base, rows[i].scale, rows[i].shift);
        double *found = doubles_of(folded);
        assert_true(found[0] == rows[i].expected);
        free(found);
        nnf_tensor_release(folded);
    }
}

static void weights_that_were_not_finite_before_are_no_error(void **state) {
    (void)state;
    nnf_tensor *folded = fold_doubles(NNF_F32, (double)INFINITY, -2.0, 1.0);
    double *found = doubles_of(folded);
    assert_true(isinf(found[0]) && found[0] < 0);
    free(found);
    nnf_tensor_release(folded);
    folded = fold_doubles(NNF_F16, (double)NAN, -2.0, 1.0);
    found = doubles_of(folded);
    assert_true(isnan(found[0]));
    free(found);
    nnf_tensor_release(folded);
}

static void a_bias_that_was_not_there_is_the_shift(void **state) {
    (void)state;
    double scale[3] = {1, 2, 3}, shift[3] = {0.5, -1.25, 4};
    nnfi_affine *affine = new_affine(3, scale, shift, NULL, NULL, 0.0);
    nnf_tensor *folded;
    assert_ok(nnfi_tensor_fold(&folded, NULL, NNF_BF16, NULL, affine));
    nnfi_affine_release(affine);
    assert_int_equal(nnf_tensor_ndim(folded), 1);
    assert_int_equal(nnf_tensor_shape(folded)[0], 3);
    double *found = doubles_of(folded);
    assert_memory_equal(found, shift, sizeof shift);
    free(found);
    nnf_tensor_release(folded);
}

/* [3 channels, 40]: 3 in all but channel 1, where the 7th element is `odd`. */
static nnf_status fold_weight(nnf_dtype dtype, double odd, double scale) {
    nnf_tensor *tensor, *folded = NULL;
    void *data;
    assert_ok(nnf_tensor_new(&tensor, dtype, 2, (int64_t[]){3, 40}));
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    for (int i = 0; i < 120; i++)
        nnfi_store_f64(dtype, data, i, i == 47 ? odd : 3.0);
    nnfi_affine *affine = new_affine(3, (double[]){1, scale, 1}, NULL, NULL, NULL, 0.0);
    nnf_status status =
        nnfi_tensor_fold(&folded, tensor, dtype, &(nnfi_channel_view){1, 1, 3, 40}, affine);
    nnfi_affine_release(affine);
    nnf_tensor_release(folded);
    nnf_tensor_release(tensor);
    return status;
}

/* Three biases of 3, but that of channel 1. */
static nnf_status fold_bias(nnf_dtype dtype, double odd, double scale, double shift) {
    nnf_tensor *tensor, *folded = NULL;
    void *data;
    assert_ok(nnf_tensor_new(&tensor, dtype, 1, (int64_t[]){3}));
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    for (int i = 0; i < 3; i++)
        nnfi_store_f64(dtype, data, i, i == 1 ? odd : 3.0);
    nnfi_affine *affine =
        new_affine(3, (double[]){1, scale, 1}, (double[]){0, shift, 0}, NULL, NULL, 0.0);
    nnf_status status = nnfi_tensor_fold(&folded, tensor, dtype, NULL, affine);
    nnfi_affine_release(affine);
    nnf_tensor_release(folded);
    nnf_tensor_release(tensor);
    return status;
}

static void a_fold_that_overflows_the_dtype_names_the_channel(void **state) {
    (void)state;
    assert_ok(fold_weight(NNF_F16, 60000.0, 1.09));
    assert_error(fold_weight(NNF_F16, 60000.0, 1.1), NNF_ERROR_NOT_FUSABLE, "channel 1", "float16");
    assert_ok(fold_bias(NNF_F16, -60000.0, 1.1, 600.0));
    assert_error(fold_bias(NNF_F16, -60000.0, 1.0, -6000.0), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_ok(fold_weight(NNF_F32, 0x1p100, 0x1p27));
    assert_error(fold_weight(NNF_F32, 0x1p100, 0x1p28), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_error(fold_bias(NNF_F32, 1.0, 1.0, 1e300), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_ok(fold_weight(NNF_BF16, 0x1p100, 0x1p27));
    assert_error(fold_weight(NNF_BF16, 0x1p100, 0x1p28), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_error(fold_weight(NNF_F64, 1e300, 1e9), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_error(fold_weight(NNF_F64, 0x1p60, 0x1p1000), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_ok(fold_weight(NNF_F64, 0x1p-60, 0x1p1000));
    assert_ok(fold_weight(NNF_F32, (double)INFINITY, 2.0));
}

/* Runs of channels that cannot overflow are not looked at, in blocks that may begin in any of them;
 * one that would is found there, and all others hold as much as they can. */
static void channels_that_others_scales_cannot_make_overflow(void **state) {
    (void)state;
    enum { ROWS = 40, WIDTH = 3001 };
    double scales[ROWS];
    void *data;
    nnf_tensor *tensor, *folded;
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, 2, (int64_t[]){ROWS, WIDTH}));
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    for (int i = 0; i < ROWS; i++) {
        scales[i] = i % 3 == 1 ? 4.0 : i % 3 - 1.0; /* -1, 4, 1 */
        for (int k = 0; k < WIDTH; k++)
            ((float *)data)[i * WIDTH + k] = i % 3 == 1 ? 0x1p125f : 0x1.fffffep127f;
    }
    for (int odd = 1; odd < ROWS; odd += 3)
        for (int to = 0; to < 2; to++) {
            float *element = (float *)data + odd * WIDTH + (to ? WIDTH - 1 : 0);
            nnfi_affine *affine = new_affine(ROWS, scales, NULL, NULL, NULL, 0.0);
            const nnfi_channel_view view = {1, 1, ROWS, WIDTH};
            char channel[32];
            snprintf(channel, sizeof channel, "channel %d:", odd);
            assert_ok(nnfi_tensor_fold(&folded, tensor, NNF_F32, &view, affine));
            nnf_tensor_release(folded);
            *element = -0x1p126f;
            assert_error(nnfi_tensor_fold(&folded, tensor, NNF_F32, &view, affine),
                         NNF_ERROR_NOT_FUSABLE, channel);
            *element = 0x1p125f;
            nnfi_affine_release(affine);
        }
    nnf_tensor_release(tensor);
}

static void numbers_that_are_not_finite_name_the_channel(void **state) {
    (void)state;
    static const struct {
        double value[4];
        const char *said;
    } rows[] = {{{INFINITY, 0, 0, 1}, "inf"},  {{1, NAN, 0, 1}, "nan"},
                {{1, 0, -INFINITY, 1}, "inf"}, {{1, 0, 0, -1}, "= -1"},
                {{1, 0, 0, NAN}, "= nan"},     {{1e300, 0, 0, 1e-300}, "inf"}};
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        nnf_tensor *tensors[4];
        nnfi_affine *affine;
        int64_t n = 2;
        for (int i = 0; i < 4; i++)
            assert_ok(nnf_tensor_from_data(&tensors[i], NNF_F64, 1, &n,
                                           (double[]){1, rows[row].value[i]}));
        assert_error(
            nnfi_affine_new(&affine, n, tensors[0], tensors[1], tensors[2], tensors[3], 0.0),
            NNF_ERROR_NOT_FUSABLE, "channel 1", rows[row].said);
        for (int i = 0; i < 4; i++)
            nnf_tensor_release(tensors[i]);
    }
}

/* A batch norm that is trained on does not change what was folded. */
static void writing_the_affine_maps_tensors_does_not_change_the_fold(void **state) {
    (void)state;
    const float ones[2] = {1, 1}, twos[2] = {2, 2};
    int64_t n = 2;
    nnf_tensor *weight, *base, *folded;
    nnfi_affine *affine;
    void *data;
    float found[2];
    assert_ok(nnf_tensor_from_data(&weight, NNF_F32, 1, &n, twos));
    assert_ok(nnf_tensor_from_data(&base, NNF_F32, 1, &n, ones));
    assert_ok(nnfi_affine_new(&affine, n, weight, NULL, NULL, NULL, 0.0));
    assert_ok(nnfi_tensor_fold(&folded, base, NNF_F32, &(nnfi_channel_view){1, 1, 2, 1}, affine));
    nnfi_affine_release(affine);
    assert_ok(nnf_tensor_mut_data(weight, &data));
    memset(data, 0, sizeof twos);
    nnf_tensor_release(weight);
    assert_ok(nnf_tensor_read(folded, 0, 2, found));
    assert_memory_equal(found, twos, sizeof twos);
    nnf_tensor_release(folded);
    nnf_tensor_release(base);
}

static void wrong_views_and_dtypes_are_refused(void **state) {
    (void)state;
    nnf_tensor *tensor, *integers, *folded = NULL;
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, 1, (int64_t[]){6}));
    assert_ok(nnf_tensor_new(&integers, NNF_I32, 1, (int64_t[]){6}));
    nnfi_affine *affine = new_affine(3, NULL, NULL, NULL, NULL, 0.0);
    nnfi_channel_view view = {1, 1, 3, 1};
    assert_error(nnfi_tensor_fold(&folded, tensor, NNF_F32, &view, affine), NNF_ERROR_SHAPE,
                 "6 elements", "[1, 1, 3, 1]");
    view.inner = 2;
    assert_error(nnfi_tensor_fold(&folded, integers, NNF_I32, &view, affine), NNF_ERROR_DTYPE,
                 "int32");
    view = (nnfi_channel_view){1, 1, 2, 3};
    assert_error(nnfi_tensor_fold(&folded, tensor, NNF_F32, &view, affine), NNF_ERROR_SHAPE,
                 "3 channels", "into 2");
    nnfi_affine_release(affine);
    assert_null(folded);
    nnf_tensor_release(tensor);
    nnf_tensor_release(integers);
}

enum { LARGE = 200000 };

static nnf_tensor *fold_large(nnf_tensor *base, double scale) {
    nnfi_affine *affine = new_affine(1, &scale, NULL, NULL, NULL, 0.0);
    nnf_tensor *folded;
    assert_ok(
        nnfi_tensor_fold(&folded, base, NNF_F32, &(nnfi_channel_view){1, 1, 1, LARGE}, affine));
    nnfi_affine_release(affine);
    return folded;
}

static void reading_computes_without_keeping(void **state) {
    (void)state;
    void *data;
    nnf_tensor *base = random_tensor(NNF_F32, LARGE, &data), *folded = fold_large(base, 0.5);
    float *part = malloc(LARGE * sizeof *part);
    const void *all;
    assert_ok(nnf_tensor_read(folded, 777, 100001, part));
    assert_true(nnfi_tensor_is_deferred(folded));
    assert_ok(nnf_tensor_data(folded, &all));
    assert_false(nnfi_tensor_is_deferred(folded));
    assert_memory_equal(part, (const float *)all + 777, 100001 * sizeof *part);
    free(part);
    nnf_tensor_release(folded);
    nnf_tensor_release(base);
}

static void a_base_that_nobody_else_needs_is_folded_in_place(void **state) {
    (void)state;
    void *data;
    const void *found;
    nnf_tensor *base = random_tensor(NNF_F32, LARGE, &data), *folded = fold_large(base, 0.5);
    float last = ((float *)data)[LARGE - 1];
    nnf_tensor_release(base);
    assert_ok(nnf_tensor_data(folded, &found));
    assert_ptr_equal(found, data);
    assert_true(((const float *)found)[LARGE - 1] == last * 0.5f);
    nnf_tensor_release(folded);
}

static void a_shared_base_stays_as_it_was(void **state) {
    (void)state;
    void *data;
    const void *found;
    nnf_tensor *base = random_tensor(NNF_F32, LARGE, &data), *folded = fold_large(base, 0.5);
    float last = ((float *)data)[LARGE - 1];
    assert_ok(nnf_tensor_data(folded, &found));
    assert_ptr_not_equal(found, data);
    assert_true(((float *)data)[LARGE - 1] == last);
    nnf_tensor_release(folded);
    nnf_tensor_release(base);
}

static void writing_the_base_does_not_change_the_fold(void **state) {
    (void)state;
    void *data;
    nnf_tensor *base = random_tensor(NNF_F32, LARGE, &data), *folded = fold_large(base, 0.5);
    float first = ((float *)data)[0], found;
    assert_ok(nnf_tensor_mut_data(base, &data));
    ((float *)data)[0] = 9.0f;
    assert_ok(nnf_tensor_read(folded, 0, 1, &found));
    assert_true(found == first * 0.5f);
    nnf_tensor_release(folded);
    nnf_tensor_release(base);
}

static void unaligned_borrowed_weights_fold(void **state) {
    (void)state;
    unsigned char *bytes = malloc(LARGE * 4 + 1);
    int64_t n = LARGE;
    for (int64_t i = 0; i < LARGE; i++) {
        float value = (float)i;
        memcpy(bytes + 1 + 4 * i, &value, 4);
    }
    nnf_tensor *base;
    assert_ok(nnf_tensor_borrow(&base, NNF_F32, 1, &n, bytes + 1, NULL, NULL));
    nnf_tensor *folded = fold_large(base, 0.5);
    nnf_tensor_release(base);
    const void *found;
    assert_ok(nnf_tensor_data(folded, &found));
    for (int64_t i = 0; i < LARGE; i++)
        assert_true(((const float *)found)[i] == 0.5f * (float)i);
    nnf_tensor_release(folded);
    free(bytes);
}

static void another_view_is_computed_first(void **state) {
    (void)state;
    nnf_tensor *base, *rows, *columns;
    const float in[6] = {1, 2, 3, 4, 5, 6}, expected[6] = {10, 40, 90, 80, 200, 360};
    nnfi_affine *by_row = new_affine(2, (double[]){1, 2}, NULL, NULL, NULL, 0.0);
    nnfi_affine *by_column = new_affine(3, (double[]){10, 20, 30}, NULL, NULL, NULL, 0.0);
    assert_ok(nnf_tensor_from_data(&base, NNF_F32, 2, (int64_t[]){2, 3}, in));
    assert_ok(nnfi_tensor_fold(&rows, base, NNF_F32, &(nnfi_channel_view){1, 1, 2, 3}, by_row));
    assert_ok(
        nnfi_tensor_fold(&columns, rows, NNF_F32, &(nnfi_channel_view){1, 2, 3, 1}, by_column));
    nnfi_affine_release(by_row);
    nnfi_affine_release(by_column);
    assert_false(nnfi_tensor_is_deferred(rows));
    float found[6];
    assert_ok(nnf_tensor_read(columns, 0, 6, found));
    assert_memory_equal(found, expected, sizeof found);
    nnf_tensor_release(base);
    nnf_tensor_release(rows);
    nnf_tensor_release(columns);
}

static void scales_at_the_ends_of_doubles_range_compose(void **state) {
    (void)state;
    nnf_tensor *base, *small, *back;
    double scale = 0x1p-800, value = 0x1p1000;
    int64_t one = 1;
    nnfi_channel_view view = {1, 1, 1, 1};
    nnfi_affine *affine = new_affine(1, &scale, NULL, NULL, NULL, 0.0);
    assert_ok(nnf_tensor_from_data(&base, NNF_F64, 1, &one, &value));
    assert_ok(nnfi_tensor_fold(&small, base, NNF_F64, &view, affine));
    assert_ok(nnfi_tensor_fold(&back, small, NNF_F64, &view, affine));
    double *found = doubles_of(back);
    assert_true(found[0] == 0x1p-600);
    free(found);
    nnfi_affine_release(affine);
    nnf_tensor_release(base);
    nnf_tensor_release(small);
    nnf_tensor_release(back);
}

typedef struct reader {
    nnf_tensor *tensor;
    const void *data;
    bool streams, right;
} reader;

static void *read_folded(void *payload) {
    reader *self = payload;
    float *part = malloc(LARGE * sizeof *part);
    self->right = part != NULL;
    for (int i = 0; self->right && i < 3; i++) {
        if (self->streams)
            self->right = nnf_tensor_read(self->tensor, 0, LARGE, part) == NNF_OK;
        else
            self->right = nnf_tensor_data(self->tensor, &self->data) == NNF_OK;
        const float *found = self->streams ? part : self->data;
        for (int64_t k = 0; self->right && k < LARGE; k++)
            self->right = found[k] == 0.5f * (float)k;
    }
    free(part);
    return NULL;
}

static void threads_may_read_one_folded_tensor_at_once(void **state) {
    (void)state;
    enum { THREADS = 6 };
    for (int round = 0; round < 10; round++) {
        int64_t n = LARGE;
        nnf_tensor *base;
        void *data;
        assert_ok(nnf_tensor_new(&base, NNF_F32, 1, &n));
        assert_ok(nnf_tensor_mut_data(base, &data));
        for (int64_t i = 0; i < LARGE; i++)
            ((float *)data)[i] = (float)i;
        nnf_tensor *folded = fold_large(base, 0.5);
        nnf_tensor_release(base);
        pthread_t threads[THREADS];
        reader readers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            readers[i] = (reader){folded, NULL, i % 2 == 0, false};
            assert_int_equal(pthread_create(&threads[i], NULL, read_folded, &readers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < THREADS; i++)
            assert_true(readers[i].right);
        assert_ptr_equal(readers[1].data, readers[3].data);
        nnf_tensor_release(folded);
    }
}

TEST_MAIN(cmocka_unit_test(accuracy_of_the_folded_weight),
          cmocka_unit_test(folds_compose_and_round_once),
          cmocka_unit_test(doubles_fold_right_at_the_ends_of_their_range),
          cmocka_unit_test(weights_that_were_not_finite_before_are_no_error),
          cmocka_unit_test(a_bias_that_was_not_there_is_the_shift),
          cmocka_unit_test(a_fold_that_overflows_the_dtype_names_the_channel),
          cmocka_unit_test(channels_that_others_scales_cannot_make_overflow),
          cmocka_unit_test(numbers_that_are_not_finite_name_the_channel),
          cmocka_unit_test(writing_the_affine_maps_tensors_does_not_change_the_fold),
          cmocka_unit_test(wrong_views_and_dtypes_are_refused),
          cmocka_unit_test(reading_computes_without_keeping),
          cmocka_unit_test(a_base_that_nobody_else_needs_is_folded_in_place),
          cmocka_unit_test(a_shared_base_stays_as_it_was),
          cmocka_unit_test(writing_the_base_does_not_change_the_fold),
          cmocka_unit_test(unaligned_borrowed_weights_fold),
          cmocka_unit_test(another_view_is_computed_first),
          cmocka_unit_test(scales_at_the_ends_of_doubles_range_compose),
          cmocka_unit_test(threads_may_read_one_folded_tensor_at_once))
