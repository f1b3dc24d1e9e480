/* y = a OP b with broadcasting; comparisons give bytes, 0 or 1. Axes are merged where both operands
 * allow it, so that the inner loop runs over as many elements as can be, with steps of 0 or 1. */
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

/* The remainder with the divisor's sign; C's has the dividend's. */
static inline double float_mod(double a, double b) {
    double rest = fmod(a, b);
    if (rest == 0) return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}
static inline int64_t integer_mod(int64_t a, int64_t b) {
    int64_t rest = b == -1 ? 0 : a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
static inline int64_t integer_prelu(int64_t a, int64_t slope) {
    return a < 0 ? WRAP(*, a, slope) : a;
}
static inline int64_t integer_fmod(int64_t a, int64_t b) {
    return b == -1 ? 0 : a % b;
}

typedef void (*row_function)(void *y, const void *a, int64_t a_step, const void *b, int64_t b_step,
                             int64_t n);

/* Steps are 0 or 1; each combination is a loop of its own so that compilers vectorize it. */
#define LOOP(name, type, result, expression)                                               \
    static void name(void *y_data, const void *a_data, int64_t a_step, const void *b_data, \
                     int64_t b_step, int64_t n) {                                          \
        result *y = (result *)y_data;                                                      \
        const type *a_row = (const type *)a_data, *b_row = (const type *)b_data;           \
        if (a_step && b_step) {                                                            \
            for (int64_t i = 0; i < n; i++) {                                              \
                type a = a_row[i], b = b_row[i];                                           \
                y[i] = (result)(expression);                                               \
            }                                                                              \
        } else if (a_step) {                                                               \
            type b = *b_row;                                                               \
            for (int64_t i = 0; i < n; i++) {                                              \
                type a = a_row[i];                                                         \
                y[i] = (result)(expression);                                               \
            }                                                                              \
        } else {                                                                           \
            type a = *a_row;                                                               \
            for (int64_t i = 0; i < n; i++) {                                              \
                type b = b_row[i * b_step];                                                \
                y[i] = (result)(expression);                                               \
            }                                                                              \
        }                                                                                  \
    }
/* A NaN on either side gives NaN. */
#define LEAST(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define LARGEST(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))

/* A square, as norms have it, is a product: the same number, many times as fast. */
#define SQUARE(suffix, type)                                                        \
    static void pow_##suffix(void *y, const void *a, int64_t a_step, const void *b, \
                             int64_t b_step, int64_t n) {                           \
        if (a_step && !b_step && *(const type *)b == 2)                             \
            mul_##suffix(y, a, a_step, a, a_step, n);                               \
        else                                                                        \
            power_##suffix(y, a, a_step, b, b_step, n);                             \
    }

#define NUMBERS(suffix, type)                           \
    LOOP(min_##suffix, type, type, LEAST(a, b))         \
    LOOP(max_##suffix, type, type, LARGEST(a, b))       \
    LOOP(equal_##suffix, type, uint8_t, a == b)         \
    LOOP(less_##suffix, type, uint8_t, a < b)           \
    LOOP(less_or_equal_##suffix, type, uint8_t, a <= b) \
    LOOP(greater_##suffix, type, uint8_t, a > b)        \
    LOOP(greater_or_equal_##suffix, type, uint8_t, a >= b)
#define FLOATS(suffix, type)                                        \
    NUMBERS(suffix, type)                                           \
    LOOP(add_##suffix, type, type, a + b)                           \
    LOOP(sub_##suffix, type, type, a - b)                           \
    LOOP(mul_##suffix, type, type, a *b)                            \
    LOOP(div_##suffix, type, type, a / b)                           \
    LOOP(power_##suffix, type, type, pow((double)a, (double)b))     \
    SQUARE(suffix, type)                                            \
    LOOP(fmod_##suffix, type, type, fmod((double)a, (double)b))     \
    LOOP(mod_##suffix, type, type, float_mod((double)a, (double)b)) \
    LOOP(prelu_##suffix, type, type, a < 0 ? a * b : a)
#define INTEGERS(suffix, type)                            \
    NUMBERS(suffix, type)                                 \
    LOOP(add_##suffix, type, type, WRAP(+, a, b))         \
    LOOP(sub_##suffix, type, type, WRAP(-, a, b))         \
    LOOP(mul_##suffix, type, type, WRAP(*, a, b))         \
    LOOP(div_##suffix, type, type, integer_div(a, b))     \
    LOOP(pow_##suffix, type, type, integer_pow(a, b))     \
    LOOP(mod_##suffix, type, type, integer_mod(a, b))     \
    LOOP(fmod_##suffix, type, type, integer_fmod(a, b))   \
    LOOP(prelu_##suffix, type, type, integer_prelu(a, b)) \
    LOOP(and_##suffix, type, type, a &b)                  \
    LOOP(or_##suffix, type, type, a | b)                  \
    LOOP(xor_##suffix, type, type, a ^ b)

FLOATS(f32, float)
FLOATS(f64, double)
INTEGERS(i8, int8_t)
INTEGERS(u8, uint8_t)
INTEGERS(i32, int32_t)
INTEGERS(i64, int64_t)
LOOP(shift_left_u8, uint8_t, uint8_t, b < 8 ? a << b : 0)
LOOP(shift_right_u8, uint8_t, uint8_t, b < 8 ? a >> b : 0)
LOOP(equal_bool, uint8_t, uint8_t, !a == !b)
LOOP(and_bool, uint8_t, uint8_t, a &&b)
LOOP(or_bool, uint8_t, uint8_t, a || b)
LOOP(xor_bool, uint8_t, uint8_t, !a != !b)

#define NUMBER_ROWS(suffix)                                                                 \
    [NNF_ADD] = add_##suffix, [NNF_SUB] = sub_##suffix, [NNF_MUL] = mul_##suffix,           \
    [NNF_DIV] = div_##suffix, [NNF_POW] = pow_##suffix, [NNF_MOD] = mod_##suffix,           \
    [NNF_FMOD] = fmod_##suffix, [NNF_MIN] = min_##suffix, [NNF_MAX] = max_##suffix,         \
    [NNF_PRELU] = prelu_##suffix, [NNF_EQUAL] = equal_##suffix, [NNF_LESS] = less_##suffix, \
    [NNF_LESS_OR_EQUAL] = less_or_equal_##suffix, [NNF_GREATER] = greater_##suffix,         \
    [NNF_GREATER_OR_EQUAL] = greater_or_equal_##suffix
#define INTEGER_ROWS(suffix)                                                               \
    NUMBER_ROWS(suffix), [NNF_BITWISE_AND] = and_##suffix, [NNF_BITWISE_OR] = or_##suffix, \
                         [NNF_BITWISE_XOR] = xor_##suffix
static const row_function rows[NNF_DTYPE_COUNT][NNF_BINARY_COUNT] = {
    [NNF_F32] = {NUMBER_ROWS(f32)},
    [NNF_F64] = {NUMBER_ROWS(f64)},
    [NNF_I8] = {INTEGER_ROWS(i8)},
    [NNF_U8] =
        {INTEGER_ROWS(u8), [NNF_SHIFT_LEFT] = shift_left_u8, [NNF_SHIFT_RIGHT] = shift_right_u8},
    [NNF_I32] = {INTEGER_ROWS(i32)},
    [NNF_I64] = {INTEGER_ROWS(i64)},
    [NNF_BOOL] =
        {[NNF_EQUAL] = equal_bool, [NNF_AND] = and_bool, [NNF_OR] = or_bool, [NNF_XOR] = xor_bool},
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
                             "integers cannot be divided by zero: element %lld of the divisor is 0",
                             (long long)i);
    return NNF_OK;
}

nnf_status nnfi_reference_binary(nnf_session *session, const nnfi_binary *call) {
    row_function function = rows[call->dtype][call->kind];
    if (!function)
        return nnf_error(NNF_ERROR_DTYPE, "it is not defined on %s tensors",
                         nnf_dtype_name(call->dtype));
    nnfi_binary merged = *call;
    merge_axes(&merged);
    int64_t n = merged.shape[merged.ndim - 1], n_rows = 1;
    for (int i = 0; i < merged.ndim - 1; i++)
        n_rows *= merged.shape[i];
    if (n == 0 || n_rows == 0) return NNF_OK;
    bool divides = call->kind == NNF_DIV || call->kind == NNF_MOD || call->kind == NNF_FMOD;
    if (divides && !nnf_dtype_is_float(call->dtype)) NNFI_TRY(check_divisor(call));

    bool compares = call->kind >= NNF_EQUAL && call->kind <= NNF_GREATER_OR_EQUAL;
    int64_t size = (int64_t)nnf_dtype_size(call->dtype), y_size = compares ? 1 : size;
    int64_t a_step = merged.a_strides[merged.ndim - 1], b_step = merged.b_strides[merged.ndim - 1];
    int64_t block = n_rows > 1 ? n : 8192, per_row = (n + block - 1) / block;
    int threads = nnf_session_threads(session);
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1 && n * n_rows > 16384)
    for (int64_t task = 0; task < n_rows * per_row; task++) {
        int64_t row = task / per_row, first = task % per_row * block;
        int64_t a = row_offset(&merged, merged.a_strides, row) + first * a_step;
        int64_t b = row_offset(&merged, merged.b_strides, row) + first * b_step;
        function((char *)call->y + (row * n + first) * y_size, (const char *)call->a + a * size,
                 a_step, (const char *)call->b + b * size, b_step,
                 n - first < block ? n - first : block);
    }
    return NNF_OK;
}
