/* The blocked matrix product: see gemm.h. */
#include "run/reference/gemm.h"

#include <string.h>

#include "support/memory.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define NNFI_GEMM_X86 1
#else
#define NNFI_GEMM_X86 0
#endif

enum {
    PACKED_BYTES = 16 << 20, /* of a at one time, unless a few rows are more */
    PANEL_BYTES = 256 << 10  /* of b at one time and thread: what a second-level cache holds */
};

/* The rows [first, last) of a[first_i] ... a[last_i - 1] that are packed: `step` elements each. */
typedef struct rows_range {
    int64_t first_i, last_i, first, last, step;
    void *packed;
} rows_range;

#define T float
#define TYPED(name) name##_f32
#include "run/reference/gemm_typed.h"
#define T double
#define TYPED(name) name##_f64
#include "run/reference/gemm_typed.h"

typedef struct typed_parts {
    size_t size;
    void (*pack_rows)(const nnfi_gemm *gemm, int64_t i, int64_t row, void *to);
    void (*multiply)(const nnfi_gemm *gemm, const rows_range *rows, int64_t i, int64_t column,
                     int64_t last_column, void *panels);
} typed_parts;
static const typed_parts f32_parts = {sizeof(float), pack_rows_f32, multiply_f32};
static const typed_parts f64_parts = {sizeof(double), pack_rows_f64, multiply_f64};

static int64_t min(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t at_least_1(int64_t a) {
    return a < 1 ? 1 : a;
}
static int64_t blocks(int64_t n, int64_t size) {
    return n / size + (n % size != 0);
}

static void pack_range(const nnfi_gemm *g, const typed_parts *parts, const rows_range *rows) {
    int64_t per_i = blocks(rows->last - rows->first, NNFI_GEMM_ROWS);
    int64_t n = (rows->last_i - rows->first_i) * per_i;
#pragma omp parallel for num_threads(g->threads)
    for (int64_t block = 0; block < n; block++) {
        int64_t i = block / per_i, row = block % per_i * NNFI_GEMM_ROWS;
        char *to = (char *)rows->packed + (size_t)(i * rows->step + row * g->k) * parts->size;
        parts->pack_rows(g, rows->first_i + i, rows->first + row, to);
    }
}

/* Each thread takes every threads-th group of panels, with panel memory of its own. */
static void multiply_range(const nnfi_gemm *g, const typed_parts *parts, const rows_range *rows,
                           int64_t group, char *panels, size_t panel_bytes) {
    int64_t per_i = blocks(g->n, group * NNFI_GEMM_LANES);
    int64_t n = (rows->last_i - rows->first_i) * per_i;
#pragma omp parallel for num_threads(g->threads) schedule(static, 1)
    for (int thread = 0; thread < g->threads; thread++)
        for (int64_t task = thread; task < n; task += g->threads) {
            int64_t first = task % per_i * group * NNFI_GEMM_LANES;
            int64_t last = min(first + group * NNFI_GEMM_LANES, g->n);
            parts->multiply(g, rows, rows->first_i + task / per_i, first, last,
                            panels + (size_t)thread * panel_bytes);
        }
}

nnf_status nnfi_gemm_run(const nnfi_gemm *g) {
    const typed_parts *parts = g->dtype == NNF_F32 ? &f32_parts : &f64_parts;
    if (g->count == 0 || g->m == 0 || g->n == 0) return NNF_OK;
    int64_t size = (int64_t)parts->size, row_bytes, panel;
    if (!nnfi_mul(g->k, NNFI_GEMM_LANES * size, &panel) || panel > INT64_MAX / 1024)
        return nnfi_error_memory(SIZE_MAX, "a matrix product");
    row_bytes = at_least_1(g->k * size);
    int64_t rows = blocks(g->m, NNFI_GEMM_ROWS) * NNFI_GEMM_ROWS;
    int64_t fitting = at_least_1(PACKED_BYTES / row_bytes / NNFI_GEMM_ROWS) * NNFI_GEMM_ROWS;
    int64_t step_rows = min(rows, fitting), step_i = min(at_least_1(fitting / rows), g->count);
    /* Groups of panels as large as the cache allows, but enough of them for every thread. */
    int64_t group = min(at_least_1(PANEL_BYTES / at_least_1(panel)), 16);
    group = at_least_1(min(group, blocks(g->n, NNFI_GEMM_LANES) * step_i / g->threads));
    size_t panel_bytes = (size_t)(panel * group);
    size_t packed_bytes = (size_t)(step_i * step_rows * g->k * size);
    char *packed = nnfi_alloc(packed_bytes);
    char *panels = nnfi_alloc(panel_bytes * (size_t)g->threads);
    nnf_status status = NNF_OK;
    if (!packed || !panels)
        status =
            nnfi_error_memory(packed_bytes + panel_bytes * (size_t)g->threads, "a matrix product");
    for (int64_t i = 0; i < g->count && status == NNF_OK; i += step_i)
        for (int64_t row = 0; row < g->m; row += step_rows) {
            rows_range range = {.first_i = i,
                                .last_i = min(i + step_i, g->count),
                                .first = row,
                                .last = min(row + step_rows, g->m),
                                .step = step_rows * g->k,
                                .packed = packed};
            pack_range(g, parts, &range);
            multiply_range(g, parts, &range, group, panels, panel_bytes);
        }
    nnfi_free(packed);
    nnfi_free(panels);
    return status;
}
