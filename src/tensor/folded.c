#include "tensor/folded.h"

#include <math.h>
#include <string.h>

#include "support/memory.h"
#include "support/threads.h"
#include "tensor/channel_view.h"
#include "tensor/numbers.h"

/* Elements that one thread computes before it takes the next ones: they stay in its cache between
 * being copied and being scaled. */
#define BLOCK_BYTES 65536
/* Fewer elements than this are not worth waking other threads. */
#define PARALLEL_ELEMENTS 65536
/* Elements that go through double at once. */
#define PIECE NNFI_AFFINE_PIECE
/* Elements in a row with one scale, from which on a loop over them is better than one over all. */
#define LONG_RUN 16

nnfi_folded *nnfi_folded_retain(nnfi_folded *folded) {
    atomic_fetch_add_explicit(&folded->references, 1, memory_order_relaxed);
    return folded;
}

void nnfi_folded_release(nnfi_folded *folded) {
    if (!folded) return;
    if (atomic_fetch_sub_explicit(&folded->references, 1, memory_order_acq_rel) != 1) return;
    nnfi_storage_release(folded->base);
    for (size_t i = 0; i < folded->n_affines; i++)
        nnfi_affine_release(folded->affines[i]);
    nnfi_free(atomic_load_explicit(&folded->scales, memory_order_relaxed));
    nnfi_free(folded);
}

bool nnfi_folded_is_shared(const nnfi_folded *folded) {
    return atomic_load_explicit(&folded->references, memory_order_acquire) != 1;
}

nnf_status nnfi_folded_new(nnfi_folded **out, nnf_dtype dtype, nnfi_storage *base,
                           int64_t base_offset, const nnfi_channel_view *view, bool is_bias,
                           nnfi_affine *affine, const nnfi_folded *before) {
    size_t n_before = before ? before->n_affines : 0;
    size_t size = sizeof(nnfi_folded) + (n_before + 1) * sizeof(nnfi_affine *);
    nnfi_folded *folded = nnfi_calloc(1, size);
    if (!folded) return nnfi_error_memory(size, "a fold");
    atomic_init(&folded->references, 1);
    atomic_init(&folded->scales, NULL);
    folded->dtype = (uint8_t)dtype;
    folded->base = base ? nnfi_storage_retain(base) : NULL;
    folded->base_offset = base_offset;
    folded->view = *view;
    folded->is_bias = is_bias;
    for (size_t i = 0; i < n_before; i++)
        folded->affines[i] = nnfi_affine_retain(before->affines[i]);
    folded->affines[n_before] = nnfi_affine_retain(affine);
    folded->n_affines = (uint16_t)(n_before + 1);
    *out = folded;
    return NNF_OK;
}

/* ---- Scales ---- */

/* Products in doubles are off by at most 2^-50 for each map. */
static void multiply_scales(const nnfi_folded *folded, int64_t first, int64_t n, double *scales) {
    double factors[NNFI_AFFINE_PIECE];
    nnfi_affine_scales(folded->affines[0], first, n, scales);
    for (size_t a = 1; a < folded->n_affines; a++) {
        nnfi_affine_scales(folded->affines[a], first, n, factors);
        for (int64_t i = 0; i < n; i++) {
            scales[i] *= factors[i];
            bool fits = fabs(scales[i]) > 0x1p-600 && fabs(scales[i]) < 0x1p600;
            if (scales[i] != 0.0 && !fits) scales[i] = NAN;
        }
    }
}

static nnfi_triple exact_scale(const nnfi_folded *folded, int64_t channel) {
    nnfi_triple scale = nnfi_affine_exact_scale(folded->affines[0], channel);
    for (size_t a = 1; a < folded->n_affines; a++)
        scale = nnfi_triple_mul(scale, nnfi_affine_exact_scale(folded->affines[a], channel));
    return scale;
}

/* The 106 leading bits of the scales that fit. */
static void refine_scales(const nnfi_folded *folded, int64_t first, int64_t n, double *high,
                          double *low) {
    for (int64_t i = 0; i < n; i++) {
        if (isnan(high[i])) continue;
        nnfi_triple scale = exact_scale(folded, first + i);
        high[i] = ldexp(scale.part[0], scale.exponent);
        low[i] = ldexp(scale.part[1], scale.exponent);
    }
}

nnf_status nnfi_folded_prepare(nnfi_folded *folded) {
    if (folded->is_bias || atomic_load_explicit(&folded->scales, memory_order_acquire))
        return NNF_OK;
    int64_t n = folded->view.groups * folded->view.channels;
    size_t each = (folded->dtype == NNF_F64 ? 2 : 1) * sizeof(double);
    double *scales = nnfi_calloc((size_t)n, each), *none = NULL;
    if (!scales) return nnfi_error_memory((size_t)n * each, "the scales of a fold");
    for (int64_t i = 0; i < n; i += NNFI_AFFINE_PIECE) {
        int64_t count = n - i < NNFI_AFFINE_PIECE ? n - i : NNFI_AFFINE_PIECE;
        multiply_scales(folded, i, count, scales + i);
        if (folded->dtype == NNF_F64) refine_scales(folded, i, count, scales + i, scales + n + i);
    }
    /* Another thread may have been faster with the same numbers. */
    if (!atomic_compare_exchange_strong(&folded->scales, &none, scales)) nnfi_free(scales);
    return NNF_OK;
}

/* ---- Elements ---- */

double nnfi_folded_exact(const nnfi_folded *folded, int64_t channel, double base) {
    if (!isfinite(base)) { /* the sign of an infinity is all that scales can change */
        for (size_t a = 0; a < folded->n_affines; a++)
            base *= nnfi_affine_exact_scale(folded->affines[a], channel).part[0];
        return base;
    }
    nnfi_triple value = nnfi_triple_of(base);
    if (!folded->is_bias)
        return nnfi_triple_round(nnfi_triple_mul(value, exact_scale(folded, channel)));
    for (size_t a = 0; a < folded->n_affines; a++)
        value = nnfi_affine_exact(folded->affines[a], channel, value);
    return nnfi_triple_round(value);
}

/* A piece of biases through one map in doubles; sizes bound what rounding may have done to them:
 * errors are below 2^-48 of these. */
static void map_piece(const nnfi_affine *affine, int64_t first, int64_t n, double *values,
                      double *sizes) {
    double scale[PIECE], bias[PIECE], mean[PIECE];
    nnfi_affine_scales(affine, first, n, scale);
    nnfi_affine_read(affine, NNFI_AFFINE_BIAS, first, n, bias);
    nnfi_affine_read(affine, NNFI_AFFINE_MEAN, first, n, mean);
    for (int64_t i = 0; i < n; i++) {
        values[i] = (values[i] - mean[i]) * scale[i] + bias[i];
        sizes[i] = (sizes[i] + fabs(mean[i])) * fabs(scale[i]) + fabs(bias[i]);
    }
}

/* In doubles first; f64 and where that may be off by more than 2^-38 of the value, exactly. */
static void fold_biases(const nnfi_folded *folded, int64_t first, int64_t n, void *elements) {
    double values[PIECE], quick[PIECE], sizes[PIECE];
    nnfi_to_f64(folded->dtype, elements, values, n);
    for (int64_t i = 0; i < n; i++) {
        quick[i] = values[i];
        sizes[i] = fabs(values[i]);
    }
    for (size_t a = 0; a < folded->n_affines && folded->dtype != NNF_F64; a++)
        map_piece(folded->affines[a], first, n, quick, sizes);
    for (int64_t i = 0; i < n; i++) {
        bool enough = folded->dtype != NNF_F64 && sizes[i] > 0x1p-900 && sizes[i] < 0x1p900 &&
                      fabs(quick[i]) >= 0x1p-10 * sizes[i];
        values[i] = enough ? quick[i] : nnfi_folded_exact(folded, first + i, values[i]);
    }
    nnfi_from_f64(folded->dtype, values, elements, n);
}

/* base times a scale of 106 bits, rounded once. */
static double scaled_f64(const nnfi_folded *folded, int64_t channel, double base, double high,
                         double low) {
    double product = base * high;
    bool fits = fabs(product) > 0x1p-900 && fabs(product) < 0x1p1000;
    if (fits) return product + (fma(base, high, -product) + base * low);
    bool exact = base == 0.0 || high == 0.0;
    return exact ? product : nnfi_folded_exact(folded, channel, base);
}

/* The channels of n elements. */
static void list_channels(const nnfi_channel_view *view, int64_t first, int64_t n, int64_t *out) {
    nnfi_place at = nnfi_place_of(view, first);
    for (int64_t i = 0; i < n; nnfi_place_next_run(&at))
        for (int64_t rest = nnfi_place_run(&at, n - i); rest > 0; rest--)
            out[i++] = at.channel;
}

/* A piece of at most PIECE weights, each with its own channel, in place. */
static void fold_piece(const nnfi_folded *folded, int64_t first, int64_t n, void *elements) {
    int64_t channels[PIECE];
    double values[PIECE];
    const double *high = folded->scales, *low = high + folded->view.groups * folded->view.channels;
    list_channels(&folded->view, first, n, channels);
    nnfi_to_f64(folded->dtype, elements, values, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t c = channels[i];
        if (isnan(high[c]))
            values[i] = nnfi_folded_exact(folded, c, values[i]);
        else if (folded->dtype == NNF_F64)
            values[i] = scaled_f64(folded, c, values[i], high[c], low[c]);
        else
            values[i] *= high[c];
    }
    nnfi_from_f64(folded->dtype, values, elements, n);
}

/* Elements may be written where they were read, which is no reason not to make vectors of them. */
#if defined(__GNUC__) && !defined(__clang__)
#define EACH_FOR_ITSELF _Pragma("GCC ivdep")
#else
#define EACH_FOR_ITSELF
#endif

/* A piece; once for each set of instructions that the compiler makes vectors of. Both round in the
 * same way. */
static inline __attribute__((always_inline)) void scale_piece(const unsigned char *source,
                                                              int64_t n, double scale, float *out) {
    EACH_FOR_ITSELF
    for (int64_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, source + i * (int64_t)sizeof value, sizeof value);
        out[i] = (float)(value * scale);
    }
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static void scale_wide(const unsigned char *source, int64_t n,
                                                       double scale, float *out) {
    scale_piece(source, n, scale, out);
}
#define HAS_WIDE __builtin_cpu_supports("avx2")
#else
#define scale_wide scale_piece
#define HAS_WIDE false
#endif

static void scale_f32(const unsigned char *source, int64_t n, double scale, float *out) {
    const int64_t piece = NNFI_READ_PIECE / (int64_t)sizeof *out;
    const bool wide = HAS_WIDE;
    for (int64_t i = 0; i < n; i += piece) {
        const unsigned char *from = source + i * (int64_t)sizeof *out;
        int64_t count = n - i < piece ? n - i : piece;
        nnfi_read_ahead(from, (size_t)count * sizeof *out);
        if (wide)
            scale_wide(from, count, scale, out + i);
        else
            scale_piece(from, count, scale, out + i);
    }
}

static void copy(unsigned char *to, const unsigned char *from, size_t size) {
    if (to != from) memcpy(to, from, size);
}

static void scale_any(nnf_dtype dtype, unsigned char *elements, int64_t n, double scale) {
    double values[PIECE];
    size_t size = nnf_dtype_size(dtype);
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t count = n - i < PIECE ? n - i : PIECE;
        nnfi_to_f64(dtype, elements + (size_t)i * size, values, count);
        for (int64_t k = 0; k < count; k++)
            values[k] *= scale;
        nnfi_from_f64(dtype, values, elements + (size_t)i * size, count);
    }
}

/* A run of weights of one scale. For those narrower than f64 one product in double is enough: scale
 * and product are off by at most 2^-49 of the value, which is 2^-25 of f32's unit in the last
 * place. */
static void fold_run(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                     int64_t n, double scale, unsigned char *out) {
    if (folded->dtype == NNF_F32 && !isnan(scale)) {
        scale_f32(source, n, scale, (float *)(void *)out);
        return;
    }
    size_t size = nnf_dtype_size(folded->dtype);
    copy(out, source, (size_t)n * size);
    if (!isnan(scale)) scale_any(folded->dtype, out, n, scale);
    for (int64_t i = 0; i < n && isnan(scale); i += PIECE)
        fold_piece(folded, first + i, n - i < PIECE ? n - i : PIECE, out + (size_t)i * size);
}

static void fold_runs(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                      int64_t n, unsigned char *out) {
    size_t size = nnf_dtype_size(folded->dtype);
    nnfi_place at = nnfi_place_of(&folded->view, first);
    for (int64_t i = 0; i < n; nnfi_place_next_run(&at)) {
        int64_t run = nnfi_place_run(&at, n - i);
        size_t offset = (size_t)i * size;
        fold_run(folded, source + offset, first + i, run, folded->scales[at.channel], out + offset);
        i += run;
    }
}

static bool has_nan(const double *numbers, int64_t n) {
    bool found = false;
    for (int64_t i = 0; i < n; i++)
        found |= numbers[i] != numbers[i];
    return found;
}

/* f32 weights in rows of one for each channel, as a linear layer's that stand input first. */
static void fold_rows(const nnfi_folded *folded, int64_t first, int64_t n, float *elements) {
    nnfi_place at = nnfi_place_of(&folded->view, first);
    for (int64_t i = 0; i < n; nnfi_place_next_run(&at)) {
        int64_t rest = folded->view.channels - at.in_group, run = rest < n - i ? rest : n - i;
        if (run > PIECE) run = PIECE;
        const double *scales = folded->scales + at.channel;
        bool exactly = has_nan(scales, run);
        if (exactly) fold_piece(folded, first + i, run, elements + i);
        for (int64_t k = 0; k < run && !exactly; k++)
            elements[i + k] = (float)(elements[i + k] * scales[k]);
        i += run;
        at.in_group += run - 1;
        at.channel += run - 1;
    }
}

static void fold_block(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                       int64_t n, unsigned char *out) {
    size_t size = nnf_dtype_size(folded->dtype);
    const unsigned char *from = source ? source + (size_t)first * size : out;
    if (!source) memset(out, 0, (size_t)n * size);
    if (!folded->is_bias && folded->dtype != NNF_F64 && folded->view.inner >= LONG_RUN) {
        fold_runs(folded, from, first, n, out);
        return;
    }
    copy(out, from, (size_t)n * size);
    if (!folded->is_bias && folded->dtype == NNF_F32 && folded->view.inner == 1) {
        fold_rows(folded, first, n, (float *)(void *)out);
        return;
    }
    for (int64_t i = 0; i < n; i += PIECE)
        (folded->is_bias ? fold_biases : fold_piece)(
            folded, first + i, n - i < PIECE ? n - i : PIECE, out + (size_t)i * size);
}

const unsigned char *nnfi_folded_source(const nnfi_folded *folded) {
    if (!folded->base) return NULL;
    return nnfi_storage_bytes(folded->base) +
           (size_t)folded->base_offset * nnf_dtype_size(folded->dtype);
}

typedef struct computation {
    const nnfi_folded *folded;
    const unsigned char *source;
    int64_t first, count, block;
    unsigned char *out;
} computation;

static void compute_block(void *payload, int64_t b) {
    const computation *c = payload;
    int64_t start = b * c->block, rest = c->count - start;
    fold_block(c->folded, c->source, c->first + start, rest < c->block ? rest : c->block,
               c->out + (size_t)start * nnf_dtype_size(c->folded->dtype));
}

void nnfi_folded_compute(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                         int64_t count, void *out) {
    computation all = {folded, source, first, count, .out = out};
    all.block = BLOCK_BYTES / (int64_t)nnf_dtype_size(folded->dtype);
    int64_t n_blocks = count / all.block + (count % all.block > 0);
    int n_threads = count >= PARALLEL_ELEMENTS ? nnfi_default_threads() : 1;
    nnfi_share(n_threads, n_blocks, compute_block, &all);
}
