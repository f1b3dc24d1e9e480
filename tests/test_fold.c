/* Folded tensors against 113-bit arithmetic: the numbers of a batch norm are random with a fixed
 * seed, the exact scale and shift are computed in __float128. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"

#include "tensor/dd.h"
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

/* A batch norm's affine map: the library's double-double arithmetic and the exact value. */
typedef struct affine {
    nnfi_dd scale, shift;
    quad exact_scale, exact_shift;
} affine;

static affine random_affine(void) {
    double gamma = (float)random_number(), beta = (float)random_number();
    double mean = (float)random_number(), var = (float)fabs(random_number()) + 0x1p-20, eps = 1e-5;
    nnfi_dd sigma = nnfi_dd_sqrt(nnfi_dd_two_sum(var, eps));
    affine map;
    map.scale = nnfi_dd_div((nnfi_dd){gamma, 0.0}, sigma);
    map.shift = nnfi_dd_add(nnfi_dd_mul_d(map.scale, -mean), (nnfi_dd){beta, 0.0});
    map.exact_scale = (quad)gamma / quad_sqrt((quad)var + (quad)eps);
    map.exact_shift = (quad)beta - (quad)mean * map.exact_scale;
    return map;
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

typedef struct fold_numbers {
    double *scale_hi, *scale_lo, *shift_hi, *shift_lo;
    quad *scale, *shift;
} fold_numbers;

static fold_numbers numbers_new(int64_t n) {
    size_t count = (size_t)n;
    double *doubles = calloc(4 * count, sizeof *doubles);
    quad *quads = calloc(2 * count, sizeof *quads);
    assert_non_null(doubles);
    assert_non_null(quads);
    return (fold_numbers){doubles, doubles + n, doubles + 2 * n, doubles + 3 * n, quads, quads + n};
}

static void numbers_free(fold_numbers *numbers) {
    free(numbers->scale_hi);
    free(numbers->scale);
}

static void numbers_set(fold_numbers *numbers, int64_t i, const affine *map) {
    numbers->scale_hi[i] = map->scale.hi;
    numbers->scale_lo[i] = map->scale.lo;
    numbers->shift_hi[i] = map->shift.hi;
    numbers->shift_lo[i] = map->shift.lo;
    numbers->scale[i] = map->exact_scale;
    numbers->shift[i] = map->exact_shift;
}

static nnfi_fold fold_of(const fold_numbers *numbers, nnfi_channel_view view, bool shift) {
    return (nnfi_fold){view, numbers->scale_hi, numbers->scale_lo, shift ? numbers->shift_hi : NULL,
                       shift ? numbers->shift_lo : NULL};
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
    fold_numbers numbers = numbers_new(n);
    for (int64_t i = 0; i < n; i++) {
        affine map = random_affine();
        numbers_set(&numbers, i, &map);
    }
    nnfi_fold fold = fold_of(&numbers, view, false);
    assert_ok(nnfi_tensor_fold(&folded, base, dtype, &fold));
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
    numbers_free(&numbers);
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

/* A shift that leaves about 2^-bits of the product; the rest is cancelled. */
static void make_cancel(affine *map, double base, int bits) {
    quad product = (quad)base * map->exact_scale;
    quad rest = product * (quad)ldexp(random_number() + 2.0, -bits);
    map->exact_shift = rest - product;
    map->shift.hi = (double)map->exact_shift;
    map->shift.lo = (double)(map->exact_shift - (quad)map->shift.hi);
    /* exact is what the double-double says: 106 bits of it */
    map->exact_shift = (quad)map->shift.hi + (quad)map->shift.lo;
    map->exact_scale = (quad)map->scale.hi + (quad)map->scale.lo;
}

static void check_biases(nnf_dtype dtype) {
    void *data;
    random_state = 40 + (uint64_t)dtype;
    nnf_tensor *base = random_tensor(dtype, MILLION, &data), *folded;
    fold_numbers numbers = numbers_new(MILLION);
    for (int64_t i = 0; i < MILLION; i++) {
        affine map = random_affine();
        if (i % 2 == 1) make_cancel(&map, nnfi_load_f64(dtype, data, i), (int)(i / 2 % 70));
        numbers_set(&numbers, i, &map);
    }
    nnfi_fold fold = fold_of(&numbers, (nnfi_channel_view){1, 1, MILLION, 1}, true);
    assert_ok(nnfi_tensor_fold(&folded, base, dtype, &fold));
    double *found = doubles_of(folded), *before = doubles_of(base);
    int64_t wrong = 0, cancelled = 0;
    for (int64_t i = 0; i < MILLION; i++) {
        quad product = (quad)before[i] * numbers.scale[i], exact = product + numbers.shift[i];
        /* where they cancel: the high parts' sum and the products are exact in 113 bits */
        if (i % 2 == 1)
            exact = (quad)before[i] * numbers.scale_hi[i] + numbers.shift_hi[i] +
                    ((quad)before[i] * numbers.scale_lo[i] + numbers.shift_lo[i]);
        quad addend = quad_abs(product), shift = quad_abs(numbers.shift[i]);
        if (shift > addend) addend = shift;
        /* below 2^-60 of the addend, 2^-90 of it may come to the rounding */
        bool tiny = quad_abs(exact) < addend * (quad)0x1p-60;
        quad allowed = (quad)0.5001 * ulp_of(dtype, exact) + (tiny ? addend * (quad)0x1p-90 : 0);
        cancelled += tiny;
        wrong += quad_abs((quad)found[i] - exact) > allowed;
    }
    assert_int_equal(wrong, 0);
    assert_true(cancelled > 1000);
    free(found);
    free(before);
    numbers_free(&numbers);
    nnf_tensor_release(base);
    nnf_tensor_release(folded);
}

static void accuracy_of_the_folded_bias_also_where_it_cancels(void **state) {
    (void)state;
    for (nnf_dtype dtype = NNF_F32; dtype <= NNF_BF16; dtype++)
        check_biases(dtype);
}

static void folds_compose_and_round_once(void **state) {
    (void)state;
    enum { N = 20000 };
    for (nnf_dtype dtype = NNF_F32; dtype <= NNF_BF16; dtype++) {
        void *data;
        random_state = 60 + (uint64_t)dtype;
        nnf_tensor *base = random_tensor(dtype, N, &data), *once, *twice;
        fold_numbers first = numbers_new(N), second = numbers_new(N);
        for (int64_t i = 0; i < N; i++) {
            affine map = random_affine();
            numbers_set(&first, i, &map);
            map = random_affine();
            numbers_set(&second, i, &map);
        }
        nnfi_channel_view view = {1, 1, N, 1};
        nnfi_fold fold = fold_of(&first, view, true);
        assert_ok(nnfi_tensor_fold(&once, base, dtype, &fold));
        fold = fold_of(&second, view, true);
        assert_ok(nnfi_tensor_fold(&twice, once, dtype, &fold));
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
        numbers_free(&first);
        numbers_free(&second);
        nnf_tensor_release(base);
        nnf_tensor_release(once);
        nnf_tensor_release(twice);
    }
}

static nnf_tensor *fold_doubles(nnf_dtype dtype, double base, double scale, double shift) {
    nnf_tensor *tensor, *folded;
    int64_t one = 1;
    unsigned char bytes[8];
    double zero = 0.0;
    nnfi_store_f64(dtype, bytes, 0, base);
    assert_ok(nnf_tensor_from_data(&tensor, dtype, 1, &one, bytes));
    nnfi_fold fold = {{1, 1, 1, 1}, &scale, &zero, &shift, &zero};
    assert_ok(nnfi_tensor_fold(&folded, tensor, dtype, &fold));
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
    double scale[3] = {1, 2, 3}, low[3] = {0}, shift[3] = {0.5, -1.25, 4};
    nnfi_fold fold = {{1, 1, 3, 1}, scale, low, shift, low};
    nnf_tensor *folded;
    assert_ok(nnfi_tensor_fold(&folded, NULL, NNF_BF16, &fold));
    assert_int_equal(nnf_tensor_ndim(folded), 1);
    assert_int_equal(nnf_tensor_shape(folded)[0], 3);
    double *found = doubles_of(folded);
    assert_memory_equal(found, shift, sizeof shift);
    free(found);
    nnf_tensor_release(folded);
}

/* [3 channels, 40]: 3 in all but channel 1, where the 7th element is `odd`. */
static nnf_status fold_channels(nnf_dtype dtype, double odd, double scale, double shift) {
    nnf_tensor *tensor, *folded = NULL;
    void *data;
    assert_ok(nnf_tensor_new(&tensor, dtype, 2, (int64_t[]){3, 40}));
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    for (int i = 0; i < 120; i++)
        nnfi_store_f64(dtype, data, i, i == 47 ? odd : 3.0);
    double scales[3] = {1, scale, 1}, low[3] = {0}, shifts[3] = {0, shift, 0};
    nnfi_fold fold = {{1, 1, 3, 40}, scales, low, shift != 0 ? shifts : NULL, low};
    nnf_status status = nnfi_tensor_fold(&folded, tensor, dtype, &fold);
    nnf_tensor_release(folded);
    nnf_tensor_release(tensor);
    return status;
}

static void a_fold_that_overflows_the_dtype_names_the_channel(void **state) {
    (void)state;
    assert_ok(fold_channels(NNF_F16, 60000.0, 1.09, 0.0));
    assert_error(fold_channels(NNF_F16, 60000.0, 1.1, 0.0), NNF_ERROR_NOT_FUSABLE, "channel 1",
                 "float16");
    assert_ok(fold_channels(NNF_F16, -60000.0, 1.1, 600.0));
    assert_error(fold_channels(NNF_F16, -60000.0, 1.0, -6000.0), NNF_ERROR_NOT_FUSABLE,
                 "channel 1");
    assert_ok(fold_channels(NNF_F32, 0x1p100, 0x1p27, 0.0));
    assert_error(fold_channels(NNF_F32, 0x1p100, 0x1p28, 0.0), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_error(fold_channels(NNF_F32, 1.0, 1.0, 1e300), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_ok(fold_channels(NNF_BF16, 0x1p100, 0x1p27, 0.0));
    assert_error(fold_channels(NNF_BF16, 0x1p100, 0x1p28, 0.0), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_error(fold_channels(NNF_F64, 1e300, 1e9, 0.0), NNF_ERROR_NOT_FUSABLE, "channel 1");
    assert_ok(fold_channels(NNF_F32, (double)INFINITY, 2.0, 0.0));
}

static void scales_that_are_not_finite_name_the_channel(void **state) {
    (void)state;
    assert_error(fold_channels(NNF_F32, 1.0, (double)INFINITY, 0.0), NNF_ERROR_NOT_FUSABLE,
                 "channel 1", "inf");
    assert_error(fold_channels(NNF_F32, 1.0, 1.0, (double)NAN), NNF_ERROR_NOT_FUSABLE, "channel 1",
                 "nan");
}

static void wrong_views_and_dtypes_are_refused(void **state) {
    (void)state;
    nnf_tensor *tensor, *integers, *folded = NULL;
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, 1, (int64_t[]){6}));
    assert_ok(nnf_tensor_new(&integers, NNF_I32, 1, (int64_t[]){6}));
    double ones[6] = {1, 1, 1, 1, 1, 1};
    nnfi_fold fold = {{1, 1, 3, 1}, ones, ones, NULL, NULL};
    assert_error(nnfi_tensor_fold(&folded, tensor, NNF_F32, &fold), NNF_ERROR_SHAPE, "6 elements",
                 "[1, 1, 3, 1]");
    fold.view.inner = 2;
    assert_error(nnfi_tensor_fold(&folded, integers, NNF_I32, &fold), NNF_ERROR_DTYPE, "int32");
    assert_null(folded);
    nnf_tensor_release(tensor);
    nnf_tensor_release(integers);
}

enum { LARGE = 200000 };

static nnf_tensor *fold_large(nnf_tensor *base, double scale) {
    double low = 0.0;
    nnfi_fold fold = {{1, 1, 1, LARGE}, &scale, &low, NULL, NULL};
    nnf_tensor *folded;
    assert_ok(nnfi_tensor_fold(&folded, base, NNF_F32, &fold));
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
    double by_row[2] = {1, 2}, by_column[3] = {10, 20, 30}, low[3] = {0};
    assert_ok(nnf_tensor_from_data(&base, NNF_F32, 2, (int64_t[]){2, 3}, in));
    nnfi_fold fold = {{1, 1, 2, 3}, by_row, low, NULL, NULL};
    assert_ok(nnfi_tensor_fold(&rows, base, NNF_F32, &fold));
    fold = (nnfi_fold){{1, 2, 3, 1}, by_column, low, NULL, NULL};
    assert_ok(nnfi_tensor_fold(&columns, rows, NNF_F32, &fold));
    assert_false(nnfi_tensor_is_deferred(rows));
    float found[6];
    assert_ok(nnf_tensor_read(columns, 0, 6, found));
    assert_memory_equal(found, expected, sizeof found);
    nnf_tensor_release(base);
    nnf_tensor_release(rows);
    nnf_tensor_release(columns);
}

static void folds_that_leave_double_doubles_range_are_computed_one_by_one(void **state) {
    (void)state;
    nnf_tensor *small = fold_doubles(NNF_F64, 0x1p1000, 0x1p-800, 0.0), *back;
    double scale = 0x1p-800, low = 0.0;
    nnfi_fold fold = {{1, 1, 1, 1}, &scale, &low, NULL, NULL};
    assert_ok(nnfi_tensor_fold(&back, small, NNF_F64, &fold));
    double *found = doubles_of(back);
    assert_true(found[0] == 0x1p-600);
    free(found);
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
          cmocka_unit_test(accuracy_of_the_folded_bias_also_where_it_cancels),
          cmocka_unit_test(folds_compose_and_round_once),
          cmocka_unit_test(doubles_fold_right_at_the_ends_of_their_range),
          cmocka_unit_test(weights_that_were_not_finite_before_are_no_error),
          cmocka_unit_test(a_bias_that_was_not_there_is_the_shift),
          cmocka_unit_test(a_fold_that_overflows_the_dtype_names_the_channel),
          cmocka_unit_test(scales_that_are_not_finite_name_the_channel),
          cmocka_unit_test(wrong_views_and_dtypes_are_refused),
          cmocka_unit_test(reading_computes_without_keeping),
          cmocka_unit_test(a_base_that_nobody_else_needs_is_folded_in_place),
          cmocka_unit_test(a_shared_base_stays_as_it_was),
          cmocka_unit_test(writing_the_base_does_not_change_the_fold),
          cmocka_unit_test(unaligned_borrowed_weights_fold),
          cmocka_unit_test(another_view_is_computed_first),
          cmocka_unit_test(folds_that_leave_double_doubles_range_are_computed_one_by_one),
          cmocka_unit_test(threads_may_read_one_folded_tensor_at_once))
