/* The matrix product that convolutions and linear layers come down to:
 *
 *     y[i] [m, n] = alpha a[i] [m, k] b[i] [k, n] + bias,    i = 0 .. count - 1
 *
 * Panels of b, NNFI_GEMM_LANES columns wide, are made by the caller when they are needed (a
 * convolution never has the whole of its b in memory). The order of every sum is fixed: results do
 * not depend on the number of threads. Sums of f32 are kept in f32 for at most NNFI_GEMM_BLOCK
 * products and collected in double. */
#ifndef NNFI_GEMM_H
#define NNFI_GEMM_H

#include "run/kernels.h"

enum { NNFI_GEMM_LANES = 16, NNFI_GEMM_ROWS = 4, NNFI_GEMM_BLOCK = 128 };

typedef struct nnfi_gemm {
    nnf_dtype dtype;
    int64_t count, m, n, k;
    int threads;
    double alpha;
    /* a[i] begins at a + (i % a_period) * a_step; its element [r, p] lies r * a_row +
     * p / a_inner * a_outer + p % a_inner * a_column further on. */
    const void *a;
    int64_t a_period, a_step, a_row, a_inner, a_outer, a_column;
    /* Writes columns [first, first + n_columns) of b[i] to panel [k, NNFI_GEMM_LANES], zeros
     * beside them. */
    void (*pack)(const void *payload, int64_t i, int64_t first, int64_t n_columns, void *panel);
    const void *payload;
    const void *row_bias;    /* [a_period, m] or NULL */
    const void *column_bias; /* [n] or NULL */
    void *y;                 /* [count, m, n] */
} nnfi_gemm;

/* NNF_ERROR_MEMORY where there is none for the packed operands. */
nnf_status nnfi_gemm_run(const nnfi_gemm *gemm);

#endif
