/* The parts of gemm.c that depend on the element type: included once for each T. */

#define TARGET
#define TILE TYPED(tile_plain)
#include "run/reference/gemm_tile.h"
#if NNFI_GEMM_X86
#define TARGET __attribute__((target("avx2,fma")))
#define TILE TYPED(tile_avx2)
#include "run/reference/gemm_tile.h"
#define TARGET __attribute__((target("avx512f")))
#define TILE TYPED(tile_avx512)
#include "run/reference/gemm_tile.h"
#endif

typedef void (*TYPED(tile_function))(int64_t k, const T *a, const T *b, double *sums);

static TYPED(tile_function) TYPED(best_tile)(void) {
#if NNFI_GEMM_X86
    if (__builtin_cpu_supports("avx512f")) return TYPED(tile_avx512);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return TYPED(tile_avx2);
#endif
    return TYPED(tile_plain);
}

/* Rows [row, row + ROWS) of a[i] as [k, ROWS], zeros below the last. */
static void TYPED(pack_rows)(const nnfi_gemm *g, int64_t i, int64_t row, void *to_data) {
    const T *from = (const T *)g->a + i % g->a_period * g->a_step;
    T *to = to_data;
    for (int64_t r = row; r < row + NNFI_GEMM_ROWS; r++, to++) {
        const T *line = from + r * g->a_row;
        for (int64_t p = 0, outer = 0; p < g->k; outer += g->a_outer)
            for (int64_t inner = 0; inner < g->a_inner && p < g->k; inner++, p++)
                to[p * NNFI_GEMM_ROWS] = r < g->m ? line[outer + inner * g->a_column] : (T)0;
    }
}

static void TYPED(store)(const nnfi_gemm *g, int64_t i, int64_t row, int64_t column,
                         const double *sums) {
    int64_t rows = g->m - row < NNFI_GEMM_ROWS ? g->m - row : NNFI_GEMM_ROWS;
    int64_t columns = g->n - column < NNFI_GEMM_LANES ? g->n - column : NNFI_GEMM_LANES;
    const T *row_bias = g->row_bias, *column_bias = g->column_bias;
    for (int64_t r = 0; r < rows; r++) {
        T *y = (T *)g->y + (i * g->m + row + r) * g->n + column;
        double bias = row_bias ? (double)row_bias[i % g->a_period * g->m + row + r] : 0.0;
        for (int64_t c = 0; c < columns; c++) {
            double both = column_bias ? bias + (double)column_bias[column + c] : bias;
            y[c] = (T)(g->alpha * sums[r * NNFI_GEMM_LANES + c] + both);
        }
    }
}

/* The rows that are packed, times some panels of b[i]: a block of rows is used for every panel
 * before the next one is read. */
static void TYPED(multiply)(const nnfi_gemm *g, const rows_range *rows, int64_t i, int64_t column,
                            int64_t last_column, void *panels) {
    TYPED(tile_function) tile = TYPED(best_tile)();
    int64_t panel_size = g->k * NNFI_GEMM_LANES;
    const T *packed = (const T *)rows->packed + (i - rows->first_i) * rows->step;
    T *panel = panels;
    for (int64_t c = column; c < last_column; c += NNFI_GEMM_LANES, panel += panel_size) {
        int64_t n = g->n - c < NNFI_GEMM_LANES ? g->n - c : NNFI_GEMM_LANES;
        g->pack(g->payload, i, c, n, panel);
    }
    for (int64_t r = rows->first; r < rows->last; r += NNFI_GEMM_ROWS) {
        const T *a = packed + (r - rows->first) * g->k;
        panel = panels;
        for (int64_t c = column; c < last_column; c += NNFI_GEMM_LANES, panel += panel_size) {
            double sums[NNFI_GEMM_ROWS * NNFI_GEMM_LANES];
            tile(g->k, a, panel, sums);
            TYPED(store)(g, i, r, c, sums);
        }
    }
}

#undef T
#undef TYPED
