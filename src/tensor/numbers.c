#include "tensor/numbers.h"

#include <math.h>
#include <string.h>

#include "tensor/tensor_internal.h"

/* The bits of |value| in a 16-bit float with `fraction` bits after the point, whose smallest normal
 * number is `smallest` and whose largest power of two is half of `infinity`; rounded once, to
 * nearest even. Adding 2^52 units in the last place rounds the value to a whole number of them; it
 * then stands in the sum's low bits, with the leading one where it is normal, so that the
 * exponent's field is one less than its own and a carry moves on into it. No branches: loops over
 * it become vector code. */
static inline uint16_t narrow(double value, int fraction, double smallest, double infinity,
                              uint16_t nan_bits) {
    double size = fabs(value);
    uint16_t sign = (uint16_t)(signbit(value) ? 0x8000 : 0);
    if (size != size) return sign | nan_bits;
    size = size < infinity ? size : infinity;
    double scale = size > smallest ? size : smallest;
    uint64_t scale_bits, smallest_bits, magic_bits, sum_bits;
    memcpy(&scale_bits, &scale, sizeof scale);
    memcpy(&smallest_bits, &smallest, sizeof smallest);
    uint64_t exponent = scale_bits >> 52;
    magic_bits = (exponent + 52 - (uint64_t)fraction) << 52;
    double sum;
    memcpy(&sum, &magic_bits, sizeof sum);
    sum += size;
    memcpy(&sum_bits, &sum, sizeof sum);
    uint64_t above_smallest = exponent - (smallest_bits >> 52);
    return (uint16_t)(sign | ((above_smallest << fraction) + (sum_bits - magic_bits)));
}

uint16_t nnf_f16_from_f64(double value) {
    return narrow(value, 10, 0x1p-14, 0x1p16, 0x7e00);
}

uint16_t nnf_bf16_from_f64(double value) {
    return narrow(value, 7, 0x1p-126, 0x1p128, 0x7fc0);
}

float nnf_f16_to_f32(uint16_t bits) {
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    uint32_t sign_bits = (uint32_t)(bits & 0x8000) << 16;
    /* leading one and fraction as a whole number, times the power of two of its last place */
    uint32_t power_bits = (127 - 25 + (exponent > 0 ? exponent : 1)) << 23;
    float power, value;
    memcpy(&power, &power_bits, sizeof power);
    value = (float)(int32_t)(exponent > 0 ? fraction + 1024 : fraction) * power;
    uint32_t value_bits;
    memcpy(&value_bits, &value, sizeof value);
    value_bits = exponent == 31 ? 0x7f800000 | fraction << 13 : value_bits;
    value_bits |= sign_bits;
    memcpy(&value, &value_bits, sizeof value);
    return value;
}

float nnf_bf16_to_f32(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* `value` truncated; `limit` is one more than the largest number, as a double */
static inline int64_t truncated(double value, int64_t smallest, int64_t largest, double limit) {
    if (value != value) return 0;
    if (value >= limit) return largest;
    return value > (double)smallest ? (int64_t)value : smallest;
}

/* An integer as a double that rounds to any narrower float as the integer itself would: what a
 * double cannot hold stays visible in its last bit ("round to odd"). */
static inline double odd_f64(int64_t x) {
    bool large = x > (int64_t)1 << 53 || x < -((int64_t)1 << 53);
    return (double)(large ? (x & ~(int64_t)2047) | ((x & 1023) != 0 ? 1024 : x & 1024) : x);
}

/* One loop: element i of `in`, read as bytes, is x of type `from`. */
#define LOOP(name, from, to, expression)                         \
    static void name(const void *in, void *out, int64_t n) {     \
        const unsigned char *source = in;                        \
        unsigned char *target = out;                             \
        for (int64_t i = 0; i < n; i++) {                        \
            from x;                                              \
            memcpy(&x, source + (size_t)i * sizeof x, sizeof x); \
            to y = (to)(expression);                             \
            memcpy(target + (size_t)i * sizeof y, &y, sizeof y); \
        }                                                        \
    }

#define INTEGER_LOOPS(name, type, smallest, largest, limit)                     \
    LOOP(name##_to_f64, type, double, x)                                        \
    LOOP(name##_from_f64, double, type, truncated(x, smallest, largest, limit)) \
    LOOP(name##_to_i64, type, int64_t, x)                                       \
    LOOP(name##_from_i64, int64_t, type, x)

#define FLOAT_LOOPS(name, type, wide, rounded, rounded_integer)                       \
    LOOP(name##_to_f64, type, double, wide)                                           \
    LOOP(name##_from_f64, double, type, rounded)                                      \
    LOOP(name##_to_i64, type, int64_t, truncated(wide, INT64_MIN, INT64_MAX, 0x1p63)) \
    LOOP(name##_from_i64, int64_t, type, rounded_integer)

FLOAT_LOOPS(f32, float, x, x, x)
FLOAT_LOOPS(f64, double, x, x, x)
FLOAT_LOOPS(f16, uint16_t, nnf_f16_to_f32(x), nnf_f16_from_f64(x), nnf_f16_from_f64(odd_f64(x)))
FLOAT_LOOPS(bf16, uint16_t, nnf_bf16_to_f32(x), nnf_bf16_from_f64(x), nnf_bf16_from_f64(odd_f64(x)))
INTEGER_LOOPS(i8, int8_t, INT8_MIN, INT8_MAX, 0x1p7)
INTEGER_LOOPS(u8, uint8_t, 0, UINT8_MAX, 0x1p8)
INTEGER_LOOPS(i32, int32_t, INT32_MIN, INT32_MAX, 0x1p31)
INTEGER_LOOPS(i64, int64_t, INT64_MIN, INT64_MAX, 0x1p63)
LOOP(bool_to_f64, uint8_t, double, x != 0)
LOOP(bool_from_f64, double, uint8_t, x != 0)
LOOP(bool_to_i64, uint8_t, int64_t, x != 0)
LOOP(bool_from_i64, int64_t, uint8_t, x != 0)

typedef void loop(const void *in, void *out, int64_t n);

typedef struct dtype_row {
    const char *name;
    size_t size;
    bool is_float;
    loop *to_f64, *from_f64, *to_i64, *from_i64;
} dtype_row;

#define LOOPS(name) name##_to_f64, name##_from_f64, name##_to_i64, name##_from_i64

static const dtype_row rows[NNF_DTYPE_COUNT] = {
    [NNF_DTYPE_UNKNOWN] = {"unknown", 0, false, NULL, NULL, NULL, NULL},
    [NNF_F32] = {"float32", 4, true, LOOPS(f32)},
    [NNF_F64] = {"float64", 8, true, LOOPS(f64)},
    [NNF_F16] = {"float16", 2, true, LOOPS(f16)},
    [NNF_BF16] = {"bfloat16", 2, true, LOOPS(bf16)},
    [NNF_I8] = {"int8", 1, false, LOOPS(i8)},
    [NNF_U8] = {"uint8", 1, false, LOOPS(u8)},
    [NNF_I32] = {"int32", 4, false, LOOPS(i32)},
    [NNF_I64] = {"int64", 8, false, LOOPS(i64)},
    [NNF_BOOL] = {"bool", 1, false, LOOPS(bool)},
};

static const dtype_row *row_of(nnf_dtype dtype) {
    unsigned number = (unsigned)dtype;
    return &rows[number < NNF_DTYPE_COUNT ? number : NNF_DTYPE_UNKNOWN];
}

size_t nnf_dtype_size(nnf_dtype dtype) {
    return row_of(dtype)->size;
}

const char *nnf_dtype_name(nnf_dtype dtype) {
    return row_of(dtype)->name;
}

bool nnf_dtype_is_float(nnf_dtype dtype) {
    return row_of(dtype)->is_float;
}

void nnfi_to_f64(nnf_dtype dtype, const void *in, double *out, int64_t n) {
    rows[dtype].to_f64(in, out, n);
}

void nnfi_from_f64(nnf_dtype dtype, const double *in, void *out, int64_t n) {
    rows[dtype].from_f64(in, out, n);
}

#define AT_ONCE 512

/* Floats go by way of doubles, which hold every one of them; integers by way of int64. */
void nnfi_convert(nnf_dtype to, void *out, nnf_dtype from, const void *in, int64_t n) {
    const dtype_row *target = &rows[to], *source = &rows[from];
    const unsigned char *read_at = in;
    unsigned char *write_at = out;
    union {
        double f64[AT_ONCE];
        int64_t i64[AT_ONCE];
    } numbers;
    loop *load = source->is_float ? source->to_f64 : source->to_i64;
    loop *store = source->is_float ? target->from_f64 : target->from_i64;
    for (int64_t i = 0; i < n; i += AT_ONCE) {
        int64_t count = n - i < AT_ONCE ? n - i : AT_ONCE;
        load(read_at + (size_t)i * source->size, &numbers, count);
        store(&numbers, write_at + (size_t)i * target->size, count);
    }
}

double nnfi_load_f64(nnf_dtype dtype, const void *data, int64_t i) {
    double value;
    rows[dtype].to_f64((const unsigned char *)data + (size_t)i * rows[dtype].size, &value, 1);
    return value;
}

int64_t nnfi_load_i64(nnf_dtype dtype, const void *data, int64_t i) {
    int64_t value;
    rows[dtype].to_i64((const unsigned char *)data + (size_t)i * rows[dtype].size, &value, 1);
    return value;
}

void nnfi_store_f64(nnf_dtype dtype, void *data, int64_t i, double value) {
    rows[dtype].from_f64(&value, (unsigned char *)data + (size_t)i * rows[dtype].size, 1);
}

void nnfi_store_i64(nnf_dtype dtype, void *data, int64_t i, int64_t value) {
    rows[dtype].from_i64(&value, (unsigned char *)data + (size_t)i * rows[dtype].size, 1);
}
