/* One tile of a matrix product: included once for each element type T and instruction set (TARGET),
 * as function TILE. Plain vector arithmetic that the compiler turns into what the target has. */

/* sums [ROWS, LANES] = a [k, ROWS] transposed times b [k, LANES] */
TARGET static void TILE(int64_t k, const T *a, const T *b, double *sums) {
    typedef T vector __attribute__((vector_size(NNFI_GEMM_LANES * sizeof(T))));
    typedef double wide __attribute__((vector_size(NNFI_GEMM_LANES * sizeof(double))));
    wide sum0 = {0}, sum1 = {0}, sum2 = {0}, sum3 = {0};
    for (int64_t begin = 0; begin < k; begin += NNFI_GEMM_BLOCK) {
        int64_t n = k - begin < NNFI_GEMM_BLOCK ? k - begin : NNFI_GEMM_BLOCK;
        vector block0 = {0}, block1 = {0}, block2 = {0}, block3 = {0};
        for (int64_t p = 0; p < n; p++, a += NNFI_GEMM_ROWS, b += NNFI_GEMM_LANES) {
            vector row;
            memcpy(&row, b, sizeof row);
            block0 += a[0] * row;
            block1 += a[1] * row;
            block2 += a[2] * row;
            block3 += a[3] * row;
        }
        sum0 += __builtin_convertvector(block0, wide);
        sum1 += __builtin_convertvector(block1, wide);
        sum2 += __builtin_convertvector(block2, wide);
        sum3 += __builtin_convertvector(block3, wide);
    }
    memcpy(sums, &sum0, sizeof sum0);
    memcpy(sums + NNFI_GEMM_LANES, &sum1, sizeof sum1);
    memcpy(sums + 2 * NNFI_GEMM_LANES, &sum2, sizeof sum2);
    memcpy(sums + 3 * NNFI_GEMM_LANES, &sum3, sizeof sum3);
}

#undef TARGET
#undef TILE
