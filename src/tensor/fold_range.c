/* Whether folding leaves the dtype's range somewhere: asked when a fold is made, before its
 * elements are computed. Elements are compared with a bound first, as integers, which costs as
 * little as reading them; only where some reach it are the results computed and looked at. */
#include <math.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/channel_view.h"
#include "tensor/folded.h"
#include "tensor/numbers.h"

#define PIECE 256
#define BLOCK_ELEMENTS 16384
#define LONG_RUN 16

/* Whether one of n elements has at least the size of *bound, NaN and infinity included. A float's
 * bits without the sign are ordered as integers; adding what is missing from the bound to the sign
 * bit sets that. */
#define REACHES(name, type, sign)                                                   \
    static bool name(const unsigned char *elements, int64_t n, const void *bound) { \
        type limit, any = 0;                                                        \
        memcpy(&limit, bound, sizeof limit);                                        \
        const type missing = (type)((sign)-limit);                                  \
        for (int64_t i = 0; i < n; i++) {                                           \
            type bits;                                                              \
            memcpy(&bits, elements + (size_t)i * sizeof bits, sizeof bits);         \
            any |= (type)((bits & (type)((sign)-1)) + missing);                     \
        }                                                                           \
        return (any & (sign)) != 0;                                                 \
    }

REACHES(reaches_16, uint16_t, 0x8000u)
REACHES(reaches_32, uint32_t, 0x80000000u)
REACHES(reaches_64, uint64_t, 0x8000000000000000u)

typedef struct range_row {
    double largest;
    bool (*reaches)(const unsigned char *elements, int64_t n, const void *bound);
} range_row;

static const range_row ranges[NNF_DTYPE_COUNT] = {
    [NNF_F32] = {0x1.fffffep127, reaches_32},
    [NNF_F64] = {0x1.fffffffffffffp1023, reaches_64},
    [NNF_F16] = {0x1.ffcp15, reaches_16},
    [NNF_BF16] = {0x1.fep127, reaches_16},
};

/* A size below which elements of a channel cannot overflow; infinite where none can. A power of two
 * at most half of what just fits, so that rounding here doesn't matter. */
static double bound_of(const nnfi_folded *folded, int64_t channel) {
    double scale = fabs(folded->scale_hi[channel]);
    double shift = folded->has_shift ? fabs(folded->shift_hi[channel]) : 0.0;
    double largest = ranges[folded->dtype].largest;
    if (scale <= 1.0 && shift == 0.0) return INFINITY;
    double room = (largest - shift) / 2.0;
    if (!(room > 0.0)) return 0.0;
    /* below 2^-900 the quotient is past every dtype's range or the same as at 2^-900 */
    double bound = room / fmax(scale, 0x1p-900);
    if (!(bound <= largest)) return INFINITY;
    int exponent;
    frexp(bound, &exponent);
    return ldexp(1.0, exponent - 1);
}

/* The first of n elements that is finite in the source and not in the result; -1 where none is. */
static int64_t find_overflow(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                             int64_t n) {
    double before[PIECE] = {0}, after[PIECE];
    size_t size = nnf_dtype_size(folded->dtype);
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t count = n - i < PIECE ? n - i : PIECE;
        double results[PIECE];
        nnfi_folded_compute(folded, source, first + i, count, results);
        nnfi_to_f64(folded->dtype, results, after, count);
        if (source) nnfi_to_f64(folded->dtype, source + (size_t)(first + i) * size, before, count);
        for (int64_t k = 0; k < count; k++)
            if (isfinite(before[k]) && !isfinite(after[k])) return first + i + k;
    }
    return -1;
}

static bool reaches(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                    int64_t n, double bound) {
    uint64_t bits = 0;
    nnfi_from_f64(folded->dtype, &bound, &bits, 1);
    source += (size_t)first * nnf_dtype_size(folded->dtype);
    return ranges[folded->dtype].reaches(source, n, &bits);
}

/* The first overflow in a block, or INT64_MAX. Runs too short to be worth a loop of their own are
 * first compared all at once with the channels' smallest bound. */
static int64_t scan_block(const nnfi_folded *folded, const unsigned char *source,
                          const double *bounds, double smallest, int64_t first, int64_t n) {
    if (folded->view.inner < LONG_RUN && !reaches(folded, source, first, n, smallest))
        return INT64_MAX;
    nnfi_place at = nnfi_place_of(&folded->view, first);
    for (int64_t i = 0; i < n; nnfi_place_next_run(&at)) {
        int64_t run = nnfi_place_run(&at, n - i), overflow = -1;
        double bound = bounds[at.channel];
        if (bound < INFINITY && reaches(folded, source, first + i, run, bound))
            overflow = find_overflow(folded, source, first + i, run);
        if (overflow >= 0) return overflow;
        i += run;
    }
    return INT64_MAX;
}

static int64_t scan(const nnfi_folded *folded, const unsigned char *source, const double *bounds,
                    double smallest) {
    int64_t overflow = INT64_MAX;
    int64_t n_blocks = folded->numel / BLOCK_ELEMENTS + (folded->numel % BLOCK_ELEMENTS > 0);
#pragma omp parallel for schedule(static) reduction(min : overflow) if (n_blocks > 3)
    for (int64_t b = 0; b < n_blocks; b++) {
        int64_t first = b * BLOCK_ELEMENTS, rest = folded->numel - first;
        int64_t n = rest < BLOCK_ELEMENTS ? rest : BLOCK_ELEMENTS;
        int64_t found = scan_block(folded, source, bounds, smallest, first, n);
        if (found < overflow) overflow = found;
    }
    return overflow;
}

nnf_status nnfi_folded_check_range(const nnfi_folded *folded) {
    int64_t n = folded->view.groups * folded->view.channels, overflow = INT64_MAX;
    const unsigned char *source = nnfi_folded_source(folded);
    double *bounds = nnfi_alloc((size_t)n * sizeof *bounds);
    if (!bounds) return nnfi_error_memory((size_t)n * sizeof *bounds, "the bounds of a fold");
    double smallest = INFINITY;
    for (int64_t c = 0; c < n; c++) {
        bounds[c] = bound_of(folded, c);
        smallest = fmin(smallest, bounds[c]);
    }
    if (smallest < INFINITY && source) {
        overflow = scan(folded, source, bounds, smallest);
    } else if (smallest < INFINITY) {
        int64_t found = find_overflow(folded, NULL, 0, folded->numel);
        if (found >= 0) overflow = found;
    }
    nnfi_free(bounds);
    if (overflow == INT64_MAX) return NNF_OK;
    int64_t channel = nnfi_place_of(&folded->view, overflow).channel;
    double base = source ? nnfi_load_f64(folded->dtype, source, overflow) : 0.0;
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "channel %lld: %g * %g + %g is too large for %s",
                     (long long)channel, base, folded->scale_hi[channel],
                     folded->has_shift ? folded->shift_hi[channel] : 0.0,
                     nnf_dtype_name(folded->dtype));
}
