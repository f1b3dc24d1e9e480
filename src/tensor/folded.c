#include "tensor/folded.h"

#include <math.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/channel_view.h"
#include "tensor/dd.h"
#include "tensor/numbers.h"

/* Elements that one thread computes before it takes the next ones: they stay in its cache between
 * being copied and being scaled. */
#define BLOCK_BYTES 32768
/* Fewer elements than this are not worth waking other threads. */
#define PARALLEL_ELEMENTS 65536
/* Elements that go through double at once. */
#define PIECE 256
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
    nnfi_free(folded->scale_hi);
    nnfi_free(folded);
}

bool nnfi_folded_is_shared(const nnfi_folded *folded) {
    return atomic_load_explicit(&folded->references, memory_order_acquire) != 1;
}

/* Whether a * b keeps both halves of double-double: below 2^-900 the low one may be too small for a
 * double, above 2^900 a sum may overflow. */
static bool product_is_precise(nnfi_dd a, nnfi_dd b) {
    double size = fabs(a.hi * b.hi);
    return a.hi == 0.0 || b.hi == 0.0 || (size > 0x1p-900 && size < 0x1p900);
}

/* One channel: scale * before.scale, scale * before.shift + shift. */
static void compose(nnfi_folded *folded, size_t channel, const nnfi_folded *before) {
    nnfi_dd scale = {folded->scale_hi[channel], folded->scale_lo[channel]};
    nnfi_dd old_scale = {before->scale_hi[channel], before->scale_lo[channel]};
    nnfi_dd product = nnfi_dd_mul(scale, old_scale);
    folded->precise = folded->precise && product_is_precise(scale, old_scale);
    folded->scale_hi[channel] = product.hi;
    folded->scale_lo[channel] = product.lo;
    if (!before->has_shift) return;
    nnfi_dd old_shift = {before->shift_hi[channel], before->shift_lo[channel]};
    nnfi_dd shift = {folded->shift_hi[channel], folded->shift_lo[channel]};
    folded->precise = folded->precise && product_is_precise(scale, old_shift);
    shift = nnfi_dd_add(nnfi_dd_mul(scale, old_shift), shift);
    folded->precise = folded->precise && isfinite(shift.hi);
    folded->shift_hi[channel] = shift.hi;
    folded->shift_lo[channel] = shift.lo;
}

nnf_status nnfi_folded_new(nnfi_folded **out, nnf_dtype dtype, nnfi_storage *base,
                           int64_t base_offset, const nnfi_fold *fold, const nnfi_folded *before) {
    const nnfi_channel_view *view = &fold->view;
    size_t n = (size_t)(view->groups * view->channels);
    bool has_shift = fold->shift_hi || (before && before->has_shift);
    nnfi_folded *folded = nnfi_calloc(1, sizeof *folded);
    double *numbers = nnfi_calloc(n, (has_shift ? 4 : 2) * sizeof *numbers);
    if (!folded || !numbers) {
        nnfi_free(folded);
        nnfi_free(numbers);
        return nnfi_error_memory(n * 4 * sizeof *numbers, "the scales of a fold");
    }
    atomic_init(&folded->references, 1);
    folded->dtype = dtype;
    folded->numel = view->groups * view->outer * view->channels * view->inner;
    folded->base = base ? nnfi_storage_retain(base) : NULL;
    folded->base_offset = base_offset;
    folded->view = *view;
    folded->has_shift = has_shift;
    folded->precise = true;
    folded->scale_hi = numbers;
    folded->scale_lo = numbers + n;
    if (n > 0) memcpy(folded->scale_hi, fold->scale_hi, n * sizeof *numbers);
    if (n > 0) memcpy(folded->scale_lo, fold->scale_lo, n * sizeof *numbers);
    if (has_shift) {
        folded->shift_hi = numbers + 2 * n;
        folded->shift_lo = numbers + 3 * n;
    }
    if (fold->shift_hi && n > 0) {
        memcpy(folded->shift_hi, fold->shift_hi, n * sizeof *numbers);
        memcpy(folded->shift_lo, fold->shift_lo, n * sizeof *numbers);
    }
    for (size_t i = 0; before && i < n; i++)
        compose(folded, i, before);
    *out = folded;
    return NNF_OK;
}

/* Rounds hi + lo, which stands for 2^300 times a number below the normal doubles, to a multiple of
 * 2^300 times the smallest double: adding 2^52 of these and a half as many does it. */
static double round_subnormal(nnfi_dd scaled) {
    const double units = 0x1.8p-722;
    nnfi_dd sum = nnfi_dd_two_sum(units, scaled.hi);
    return (sum.hi + (sum.lo + scaled.lo)) - units;
}

/* base * scale + shift where the two cancel: the exact products' parts and the shift's, summed as
 * if in 159 bits (Ogita, Rump and Oishi, "Accurate sum and dot product", 2005: SumK). */
static double cancelled_value(double base, nnfi_dd scale, nnfi_dd shift) {
    enum { PARTS = 6, PASSES = 2 };
    nnfi_dd high = nnfi_dd_two_prod(base, scale.hi), low = nnfi_dd_two_prod(base, scale.lo);
    double parts[PARTS] = {low.lo, shift.lo, low.hi, high.lo, shift.hi, high.hi};
    for (int pass = 0; pass < PASSES; pass++) {
        for (int i = 1; i < PARTS; i++) {
            nnfi_dd sum = nnfi_dd_two_sum(parts[i], parts[i - 1]);
            parts[i] = sum.hi;
            parts[i - 1] = sum.lo;
        }
    }
    double rest = 0.0;
    for (int i = 0; i < PARTS - 1; i++)
        rest += parts[i];
    return rest + parts[PARTS - 1];
}

/* base * scale + shift, rounded once. Products and sums near the ends of the doubles' range, where
 * double-double would lose its low half or overflow on the way, are computed 2^300 times larger or
 * smaller. */
static double value_of(double base, nnfi_dd scale, nnfi_dd shift) {
    double product = base * scale.hi;
    if (!isfinite(base)) return product + shift.hi;
    double largest = fmax(fabs(product), fabs(shift.hi));
    if (largest < 0x1p1000 && largest > 0x1p-700) {
        double value = nnfi_dd_add(nnfi_dd_mul_d(scale, base), shift).hi;
        bool cancels = fabs(value) < 0x1p-30 * largest;
        return cancels ? cancelled_value(base, scale, shift) : value;
    }
    if (scale.hi == 0.0) return product + shift.hi;
    double factor = largest < 1.0 ? 0x1p300 : 0x1p-300;
    nnfi_dd scaled_shift = {shift.hi * factor, shift.lo * factor};
    nnfi_dd sum = nnfi_dd_add(nnfi_dd_mul_d(scale, base * factor), scaled_shift);
    bool subnormal = factor > 1.0 && fabs(sum.hi) < 0x1p-722;
    return (subnormal ? round_subnormal(sum) : sum.hi) / factor;
}

/* The channels of n elements. */
static void list_channels(const nnfi_channel_view *view, int64_t first, int64_t n, int64_t *out) {
    nnfi_place at = nnfi_place_of(view, first);
    for (int64_t i = 0; i < n; nnfi_place_next_run(&at))
        for (int64_t rest = nnfi_place_run(&at, n - i); rest > 0; rest--)
            out[i++] = at.channel;
}

/* A piece of at most PIECE elements, each with its own channel, in place. */
static void fold_piece(const nnfi_folded *folded, int64_t first, int64_t n, void *elements) {
    int64_t channels[PIECE];
    double values[PIECE];
    list_channels(&folded->view, first, n, channels);
    nnfi_to_f64(folded->dtype, elements, values, n);
    if (!folded->has_shift && folded->dtype != NNF_F64) {
        for (int64_t i = 0; i < n; i++)
            values[i] *= folded->scale_hi[channels[i]];
    } else {
        for (int64_t i = 0; i < n; i++) {
            int64_t c = channels[i];
            nnfi_dd shift = {0.0, 0.0};
            if (folded->has_shift) shift = (nnfi_dd){folded->shift_hi[c], folded->shift_lo[c]};
            values[i] =
                value_of(values[i], (nnfi_dd){folded->scale_hi[c], folded->scale_lo[c]}, shift);
        }
    }
    nnfi_from_f64(folded->dtype, values, elements, n);
}

static void scale_f32(float *elements, int64_t n, double scale) {
    for (int64_t i = 0; i < n; i++)
        elements[i] = (float)(elements[i] * scale);
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

/* Elements with long runs of one scale and no shift. For f32 and narrower dtypes one product in
 * double is enough: dropping scale_lo and rounding the product are off by 2^-53 each, relative to
 * the value; together that is at most 2^-28 of f32's unit in the last place, so that the rounded
 * value is within 0.5 + 2^-28 of the exact one. */
static void fold_runs(const nnfi_folded *folded, int64_t first, int64_t n,
                      unsigned char *elements) {
    size_t size = nnf_dtype_size(folded->dtype);
    nnfi_place at = nnfi_place_of(&folded->view, first);
    for (int64_t i = 0; i < n; nnfi_place_next_run(&at)) {
        int64_t run = nnfi_place_run(&at, n - i);
        void *start = elements + (size_t)i * size;
        if (folded->dtype == NNF_F32)
            scale_f32(start, run, folded->scale_hi[at.channel]);
        else
            scale_any(folded->dtype, start, run, folded->scale_hi[at.channel]);
        i += run;
    }
}

static void fold_block(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                       int64_t n, unsigned char *out) {
    size_t size = nnf_dtype_size(folded->dtype);
    if (!source)
        memset(out, 0, (size_t)n * size);
    else if (source + (size_t)first * size != out)
        memcpy(out, source + (size_t)first * size, (size_t)n * size);
    bool plain = !folded->has_shift && folded->dtype != NNF_F64;
    if (plain && folded->view.inner >= LONG_RUN) {
        fold_runs(folded, first, n, out);
        return;
    }
    for (int64_t i = 0; i < n; i += PIECE)
        fold_piece(folded, first + i, n - i < PIECE ? n - i : PIECE, out + (size_t)i * size);
}

const unsigned char *nnfi_folded_source(const nnfi_folded *folded) {
    if (!folded->base) return NULL;
    return nnfi_storage_bytes(folded->base) +
           (size_t)folded->base_offset * nnf_dtype_size(folded->dtype);
}

void nnfi_folded_compute(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                         int64_t count, void *out) {
    size_t size = nnf_dtype_size(folded->dtype);
    const int64_t block = BLOCK_BYTES / (int64_t)size;
    int64_t n_blocks = count / block + (count % block > 0);
#pragma omp parallel for schedule(static) if (count >= PARALLEL_ELEMENTS)
    for (int64_t b = 0; b < n_blocks; b++) {
        int64_t start = b * block;
        fold_block(folded, source, first + start, count - start < block ? count - start : block,
                   (unsigned char *)out + (size_t)start * size);
    }
}
