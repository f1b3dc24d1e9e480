/* Whether folding leaves the dtype's range somewhere: asked when a fold is made, before its
 * elements are computed; for weights that check late, of the elements that were computed. Elements
 * of channels that can overflow are compared with a bound first, as integers, which costs as little
 * as reading them; only where some reach it are the results computed and looked at. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "support/memory.h"
#include "support/threads.h"
#include "tensor/channel_view.h"
#include "tensor/folded.h"
#include "tensor/numbers.h"

#define PIECE NNFI_AFFINE_PIECE
#define BLOCK_ELEMENTS 16384
/* Fewer blocks are read about as soon as a thread is awake. */
enum { PARALLEL_BLOCKS = 4 };
/* Shorter runs of one channel are read without asking whether they need to be. */
enum { RUN_TO_SKIP = 64 };

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

/* The same for elements of any number, which are read from memory. */
static bool any_reaches(nnf_dtype dtype, const unsigned char *elements, int64_t n,
                        const void *bound) {
    int64_t size = (int64_t)nnf_dtype_size(dtype), piece = NNFI_READ_PIECE / size;
    bool any = false;
    for (int64_t i = 0; i < n; i += piece) {
        int64_t count = n - i < piece ? n - i : piece;
        nnfi_read_ahead(elements + i * size, (size_t)(count * size));
        any |= ranges[dtype].reaches(elements + i * size, count, bound);
    }
    return any;
}

/* A weight can only overflow where its channel's scale is above 1, or past what doubles do. */
static bool enlarges(double scale) {
    return !(fabs(scale) <= 1.0);
}

/* The largest scale of any channel; infinite where one is past what doubles do. */
static double largest_scale(const nnfi_folded *folded) {
    const double *scales = folded->scales;
    double largest = 0.0;
    for (int64_t i = 0; i < folded->view.groups * folded->view.channels; i++)
        largest = isnan(scales[i]) ? INFINITY : fmax(largest, fabs(scales[i]));
    return largest;
}

/* A size below which no weight can overflow; infinite where none can. A power of two at most half
 * of what just fits, so that rounding here doesn't matter. */
static double bound_of(const nnfi_folded *folded) {
    double scale = largest_scale(folded), largest = ranges[folded->dtype].largest;
    if (!enlarges(scale)) return INFINITY;
    int exponent;
    frexp(largest / 2.0 / scale, &exponent);
    return isfinite(scale) ? ldexp(1.0, exponent - 1) : 0.0;
}

/* The first of n elements that is finite in the source and not in the result; -1 where none is. */
static int64_t find_overflow(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                             int64_t n) {
    double before[PIECE], after[PIECE], results[PIECE];
    size_t size = nnf_dtype_size(folded->dtype);
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t count = n - i < PIECE ? n - i : PIECE;
        nnfi_folded_compute(folded, source, first + i, count, results);
        nnfi_to_f64(folded->dtype, results, after, count);
        if (source) nnfi_to_f64(folded->dtype, source + (size_t)(first + i) * size, before, count);
        for (int64_t k = 0; k < count; k++)
            if ((!source || isfinite(before[k])) && !isfinite(after[k])) return first + i + k;
    }
    return -1;
}

typedef struct search {
    const nnfi_folded *folded;
    const unsigned char *source;
    uint64_t bound; /* its bits */
    atomic_int_fast64_t found;
} search;

/* Whether a block has such an element; long runs of a channel that cannot overflow are not read. */
static bool is_large(const search *s, int64_t first, int64_t n) {
    const nnfi_folded *folded = s->folded;
    const bool skips = folded->view.inner >= RUN_TO_SKIP;
    int64_t size = (int64_t)nnf_dtype_size(folded->dtype);
    nnfi_place at = nnfi_place_of(&folded->view, first);
    bool any = false;
    for (int64_t i = 0; i < n && !any; nnfi_place_next_run(&at)) {
        int64_t run = skips ? nnfi_place_run(&at, n - i) : n;
        if (!skips || enlarges(folded->scales[at.channel]))
            any = any_reaches(folded->dtype, s->source + (first + i) * size, run, &s->bound);
        i += run;
    }
    return any;
}

/* Blocks are taken in their order: when one is found, all before it have been taken. */
static void search_block(void *payload, int64_t b) {
    search *s = payload;
    int64_t first = b * BLOCK_ELEMENTS, rest = nnfi_folded_numel(s->folded) - first;
    int64_t found = atomic_load(&s->found);
    if (b > found || !is_large(s, first, rest < BLOCK_ELEMENTS ? rest : BLOCK_ELEMENTS)) return;
    while (b < found && !atomic_compare_exchange_weak(&s->found, &found, b))
        continue;
}

/* The first block that holds an element of the bound's size, or more; INT64_MAX: none. */
static int64_t find_large(const nnfi_folded *folded, const unsigned char *source, double bound) {
    search s = {.folded = folded, .source = source, .found = INT64_MAX};
    int64_t numel = nnfi_folded_numel(folded);
    int64_t n_blocks = numel / BLOCK_ELEMENTS + (numel % BLOCK_ELEMENTS > 0);
    nnfi_from_f64(folded->dtype, &bound, &s.bound, 1);
    int n_threads = n_blocks >= PARALLEL_BLOCKS ? nnfi_default_threads() : 1;
    nnfi_share(n_threads, n_blocks, search_block, &s);
    return s.found;
}

static nnf_status overflow_error(const nnfi_folded *folded, const unsigned char *source,
                                 int64_t element) {
    int64_t channel = nnfi_place_of(&folded->view, element).channel;
    double base = source ? nnfi_load_f64(folded->dtype, source, element) : 0.0;
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "channel %lld: %g would become %g, too large for %s",
                     (long long)channel, base, nnfi_folded_exact(folded, channel, base),
                     nnf_dtype_name(folded->dtype));
}

nnf_status nnfi_folded_check_range(nnfi_folded *folded) {
    const unsigned char *source = nnfi_folded_source(folded);
    int64_t first = 0;
    if (!folded->is_bias) {
        if (!source) return NNF_OK;
        NNFI_TRY(nnfi_folded_prepare(folded));
        double bound = bound_of(folded);
        if (bound == INFINITY) return NNF_OK;
        folded->unchecked = nnfi_storage_checks_late(folded->base);
        if (folded->unchecked) return NNF_OK;
        int64_t block = find_large(folded, source, bound);
        if (block == INT64_MAX) return NNF_OK;
        first = block * BLOCK_ELEMENTS;
    }
    int64_t overflow = find_overflow(folded, source, first, nnfi_folded_numel(folded) - first);
    return overflow < 0 ? NNF_OK : overflow_error(folded, source, overflow);
}

nnf_status nnfi_folded_check_computed(const nnfi_folded *folded, int64_t first, int64_t count,
                                      const void *computed) {
    uint64_t bits;
    const double infinity = INFINITY;
    if (!folded->unchecked) return NNF_OK;
    nnfi_from_f64(folded->dtype, &infinity, &bits, 1);
    if (!any_reaches(folded->dtype, computed, count, &bits)) return NNF_OK;
    const unsigned char *source = nnfi_folded_source(folded);
    int64_t overflow = find_overflow(folded, source, first, count);
    return overflow < 0 ? NNF_OK : overflow_error(folded, source, overflow);
}
