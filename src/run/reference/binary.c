/* y = a OP b with broadcasting. Axes are merged where both operands allow it, so that the inner
 * loop runs over as many elements as can be, with steps of 0 or 1. */
#include <math.h>

#include "run/reference/reference.h"
#include "tensor/tensor_internal.h"

/* Integers wrap as two's complement does. Division by zero was refused before; the smallest number
 * by -1 wraps to itself. */
#define WRAP(op, a, b) ((int64_t)((uint64_t)(a)op(uint64_t)(b)))

static inline int64_t integer_div(int64_t a, int64_t b) {
    return b == -1 ? WRAP(-, 0, a) : a / b;
}

/* A negative exponent gives the fraction's integer part: 0, or +-1 for a base of +-1. */
static inline int64_t integer_pow(int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (base == 1) return 1;
        return base == -1 ? (exponent & 1 ? -1 : 1) : 0;
    }
    int64_t power = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) power = WRAP(*, power, base);
        base = WRAP(*, base, base);
    }
    return power;
}

typedef void (*row_function)(void *y, const void *a, int64_t a_step, const void *b, int64_t b_step,
                             int64_t n);

/* Steps are 0 or 1; each combination is a loop of its own so that compilers vectorize it. */
#define LOOP(name, type, expression)                                                       \
    static void name(void *y_data, const void *a_data, int64_t a_step, const void *b_data, \
                     int64_t b_step, int64_t n) {                                          \
        type *restrict y = (type *)y_data;                                                 \
        const type *a_row = (const type *)a_data, *b_row = (const type *)b_data;           \
        if (a_step && b_step) {                                                            \
            for (int64_t i = 0; i < n; i++) {                                              \
                type a = a_row[i], b = b_row[i];                                           \
                y[i] = (type)(expression);                                                 \
            }                                                                              \
        } else if (a_step) {                                                               \
            type b = *b_row;                                                               \
            for (int64_t i = 0; i < n; i++) {                                              \
                type a = a_row[i];                                                         \
                y[i] = (type)(expression);                                                 \
            }                                                                              \
        } else {                                                                           \
            type a = *a_row;                                                               \
            for (int64_t i = 0; i < n; i++) {                                              \
                type b = b_row[i * b_step];                                                \
                y[i] = (type)(expression);                                                 \
            }                                                                              \
        }                                                                                  \
    }
#define FLOATS(suffix, type)        \
    LOOP(add_##suffix, type, a + b) \
    LOOP(sub_##suffix, type, a - b) \
    LOOP(mul_##suffix, type, a *b)  \
    LOOP(div_##suffix, type, a / b) \
    LOOP(pow_##suffix, type, pow((double)a, (double)b))
#define INTEGERS(suffix, type)                  \
    LOOP(add_##suffix, type, WRAP(+, a, b))     \
    LOOP(sub_##suffix, type, WRAP(-, a, b))     \
    LOOP(mul_##suffix, type, WRAP(*, a, b))     \
    LOOP(div_##suffix, type, integer_div(a, b)) \
    LOOP(pow_##suffix, type, integer_pow(a, b))

FLOATS(f32, float)
FLOATS(f64, double)
INTEGERS(i8, int8_t)
INTEGERS(u8, uint8_t)
INTEGERS(i32, int32_t)
INTEGERS(i64, int64_t)

#define ROW(suffix) \
    { add_##suffix, sub_##suffix, mul_##suffix, div_##suffix, pow_##suffix }
static const row_function rows[NNF_DTYPE_COUNT][NNF_BINARY_COUNT] = {
    [NNF_F32] = ROW(f32), [NNF_F64] = ROW(f64), [NNF_I8] = ROW(i8),
    [NNF_U8] = ROW(u8),   [NNF_I32] = ROW(i32), [NNF_I64] = ROW(i64),
};

/* Merges axis i into the one before it where each operand steps through both as through one. */
static void merge_axes(nnfi_binary *call) {
    int to = 0;
    for (int i = 0; i < call->ndim; i++) {
        int64_t n = call->shape[i];
        if (n == 1) continue;
        if (to > 0 && call->a_strides[to - 1] == n * call->a_strides[i] &&
            call->b_strides[to - 1] == n * call->b_strides[i]) {
            n *= call->shape[to - 1];
            to--;
        }
        call->shape[to] = n;
        call->a_strides[to] = call->a_strides[i];
        call->b_strides[to] = call->b_strides[i];
        to++;
    }
    if (to == 0) call->shape[to++] = 1, call->a_strides[0] = call->b_strides[0] = 0;
    call->ndim = to;
}

/* Where row number `row` of the operand begins, in elements. */
static int64_t row_offset(const nnfi_binary *call, const int64_t *strides, int64_t row) {
    int64_t offset = 0;
    for (int i = call->ndim - 2; i >= 0; i--) {
        offset += row % call->shape[i] * strides[i];
        row /= call->shape[i];
    }
    return offset;
}

/* Integer division needs a divisor without zeros. b has the elements that its strides reach. */
static nnf_status check_divisor(const nnfi_binary *call) {
    int64_t count = 1;
    for (int i = 0; i < call->ndim; i++)
        if (call->b_strides[i] != 0) count *= call->shape[i];
    for (int64_t i = 0; i < count; i++)
        if (nnfi_load_i64(call->dtype, call->b, i) == 0)
            return nnf_error(NNF_ERROR_INVALID,
                             "Div divides integers by zero: element %lld of its divisor is 0",
                             (long long)i);
    return NNF_OK;
}

nnf_status nnfi_reference_binary(nnf_session *session, const nnfi_binary *call) {
    row_function function = rows[call->dtype][call->kind];
    if (!function)
        return nnf_error(NNF_ERROR_DTYPE, "there is no arithmetic on %s tensors",
                         nnf_dtype_name(call->dtype));
    nnfi_binary merged = *call;
    merge_axes(&merged);
    int64_t n = merged.shape[merged.ndim - 1], n_rows = 1;
    for (int i = 0; i < merged.ndim - 1; i++)
        n_rows *= merged.shape[i];
    if (n == 0 || n_rows == 0) return NNF_OK;
    if (call->kind == NNF_DIV && !nnf_dtype_is_float(call->dtype)) NNFI_TRY(check_divisor(call));

    int64_t size = (int64_t)nnf_dtype_size(call->dtype);
    int64_t a_step = merged.a_strides[merged.ndim - 1], b_step = merged.b_strides[merged.ndim - 1];
    int64_t block = n_rows > 1 ? n : 8192, per_row = (n + block - 1) / block;
    int threads = nnf_session_threads(session);
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1 && n * n_rows > 16384)
    for (int64_t task = 0; task < n_rows * per_row; task++) {
        int64_t row = task / per_row, first = task % per_row * block;
        int64_t a = row_offset(&merged, merged.a_strides, row) + first * a_step;
        int64_t b = row_offset(&merged, merged.b_strides, row) + first * b_step;
        function((char *)call->y + (row * n + first) * size, (const char *)call->a + a * size,
                 a_step, (const char *)call->b + b * size, b_step,
                 n - first < block ? n - first : block);
    }
    return NNF_OK;
}
