/* Activations: each element for itself. Those that need a transcendental function compute in double
 * and round once; the others compute in the tensor's own dtype, which loses nothing that PyTorch
 * keeps. Comparisons are written so that NaN passes through. */
#include <math.h>

#include "run/reference/reference.h"

#define SQRT_1_2 0.70710678118654752440
#define SQRT_2_PI 0.79788456080286535588 /* sqrt(2 / pi) */

static inline double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}
static inline double gelu(double x) {
    return 0.5 * x * (1.0 + erf(x * SQRT_1_2));
}
static inline double gelu_tanh(double x) {
    return 0.5 * x * (1.0 + tanh(SQRT_2_PI * (x + 0.044715 * x * x * x)));
}

static inline double softplus(double x) {
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

typedef void (*row_function)(const void *x, void *y, int64_t n, double alpha, double beta);

/* One loop over `type`: `expression` gives y from x, alpha (a) and beta (b). */
#define LOOP(name, type, work, expression)                                                     \
    static void name(const void *x_data, void *y_data, int64_t n, double alpha, double beta) { \
        const type *from = (const type *)x_data;                                               \
        type *to = (type *)y_data;                                                             \
        const work a = (work)alpha, b = (work)beta;                                            \
        (void)a, (void)b;                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                      \
            work x = (work)from[i];                                                            \
            to[i] = (type)(expression);                                                        \
        }                                                                                      \
    }
/* In the tensor's dtype, or in double. */
#define PLAIN(name, expression)                \
    LOOP(name##_f32, float, float, expression) \
    LOOP(name##_f64, double, double, expression)
#define IN_DOUBLE(name, expression)             \
    LOOP(name##_f32, float, double, expression) \
    LOOP(name##_f64, double, double, expression)

#define CLAMP(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))

PLAIN(relu, x < 0 ? 0 : x)
PLAIN(relu6, CLAMP(x, 0, 6))
PLAIN(clip, x<a ? (a > b ? b : a) : x> b ? b : x)
PLAIN(leaky_relu, x < 0 ? a * x : x)
PLAIN(hardswish, x *CLAMP(x + 3, 0, 6) / 6)
PLAIN(hardsigmoid, CLAMP(a *x + b, 0, 1))
IN_DOUBLE(sigmoid, sigmoid(x))
IN_DOUBLE(tanh, tanh(x))
IN_DOUBLE(silu, x / (1.0 + exp(-x)))
IN_DOUBLE(gelu, gelu(x))
IN_DOUBLE(gelu_tanh, gelu_tanh(x))
IN_DOUBLE(sqrt, sqrt(x))
IN_DOUBLE(erf, erf(x))
IN_DOUBLE(elu, x < 0 ? a * expm1(x) : x)
IN_DOUBLE(selu, b *(x < 0 ? a * expm1(x) : x))
IN_DOUBLE(celu, x < 0 ? a * expm1(x / a) : x)
IN_DOUBLE(swish, x / (1.0 + exp(-a * x)))
IN_DOUBLE(mish, x *tanh(softplus(x)))
IN_DOUBLE(softplus, softplus(x))
PLAIN(softsign, x / (1 + (x < 0 ? -x : x)))
PLAIN(thresholded_relu, x <= a ? 0 : x)
PLAIN(shrink, x<-a ? x + b : x> a ? x - b : 0)
PLAIN(abs, x < 0 ? -x : x == 0 ? 0 : x)
PLAIN(neg, -x)
PLAIN(sign, x > 0 ? 1 : x < 0 ? -1 : x)
PLAIN(reciprocal, 1 / x)
IN_DOUBLE(exp, exp(x))
IN_DOUBLE(log, log(x))
IN_DOUBLE(floor, floor(x))
IN_DOUBLE(ceil, ceil(x))
IN_DOUBLE(round, nearbyint(x))
IN_DOUBLE(sin, sin(x))
IN_DOUBLE(cos, cos(x))
IN_DOUBLE(tan, tan(x))
IN_DOUBLE(asin, asin(x))
IN_DOUBLE(acos, acos(x))
IN_DOUBLE(atan, atan(x))
IN_DOUBLE(sinh, sinh(x))
IN_DOUBLE(cosh, cosh(x))
IN_DOUBLE(asinh, asinh(x))
IN_DOUBLE(acosh, acosh(x))
IN_DOUBLE(atanh, atanh(x))

#define BOTH(name) \
    { name##_f32, name##_f64 }
static const row_function rows[NNF_ACTIVATION_COUNT][2] = {
    [NNF_RELU] = BOTH(relu),
    [NNF_RELU6] = BOTH(relu6),
    [NNF_CLIP] = BOTH(clip),
    [NNF_LEAKY_RELU] = BOTH(leaky_relu),
    [NNF_SIGMOID] = BOTH(sigmoid),
    [NNF_TANH] = BOTH(tanh),
    [NNF_SILU] = BOTH(silu),
    [NNF_HARDSWISH] = BOTH(hardswish),
    [NNF_HARDSIGMOID] = BOTH(hardsigmoid),
    [NNF_GELU] = BOTH(gelu),
    [NNF_GELU_TANH] = BOTH(gelu_tanh),
    [NNF_SQRT] = BOTH(sqrt),
    [NNF_ERF] = BOTH(erf),
    [NNF_ELU] = BOTH(elu),
    [NNF_SELU] = BOTH(selu),
    [NNF_CELU] = BOTH(celu),
    [NNF_SWISH] = BOTH(swish),
    [NNF_MISH] = BOTH(mish),
    [NNF_SOFTPLUS] = BOTH(softplus),
    [NNF_SOFTSIGN] = BOTH(softsign),
    [NNF_THRESHOLDED_RELU] = BOTH(thresholded_relu),
    [NNF_SHRINK] = BOTH(shrink),
    [NNF_ABS] = BOTH(abs),
    [NNF_NEG] = BOTH(neg),
    [NNF_SIGN] = BOTH(sign),
    [NNF_RECIPROCAL] = BOTH(reciprocal),
    [NNF_EXP] = BOTH(exp),
    [NNF_LOG] = BOTH(log),
    [NNF_FLOOR] = BOTH(floor),
    [NNF_CEIL] = BOTH(ceil),
    [NNF_ROUND] = BOTH(round),
    [NNF_SIN] = BOTH(sin),
    [NNF_COS] = BOTH(cos),
    [NNF_TAN] = BOTH(tan),
    [NNF_ASIN] = BOTH(asin),
    [NNF_ACOS] = BOTH(acos),
    [NNF_ATAN] = BOTH(atan),
    [NNF_SINH] = BOTH(sinh),
    [NNF_COSH] = BOTH(cosh),
    [NNF_ASINH] = BOTH(asinh),
    [NNF_ACOSH] = BOTH(acosh),
    [NNF_ATANH] = BOTH(atanh),
};

nnf_status nnfi_reference_activation(nnf_session *session, const nnfi_activation_call *call) {
    enum { BLOCK = 8192 };
    row_function row = rows[call->kind][call->dtype == NNF_F64];
    int64_t size = (int64_t)nnf_dtype_size(call->dtype), n = call->n;
    int threads = nnf_session_threads(session);
    const char *x = (const char *)call->x;
    char *y = (char *)call->y;
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1 && n > 2 * BLOCK)
    for (int64_t first = 0; first < n; first += BLOCK) {
        int64_t count = n - first < BLOCK ? n - first : BLOCK;
        row(x + first * size, y + first * size, count, call->alpha, call->beta);
    }
    return NNF_OK;
}
