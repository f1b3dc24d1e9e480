/* The parts of conv.c that depend on the element type: included once for each T. */

/* Gathers one row for each channel: LANES elements at offsets, zero where an offset is negative. */
static void TYPED(gather)(const geometry *g, const T *x, const int64_t *offsets, T *to) {
    int64_t step = g->kernel[0] * g->kernel[1] * g->kernel[2] * NNFI_GEMM_LANES;
    bool run = offsets[0] >= 0;
    for (int j = 1; j < NNFI_GEMM_LANES; j++)
        run = run && offsets[j] == offsets[0] + j;
    for (int64_t c = 0; c < g->channels; c++, x += g->in_plane, to += step) {
        if (run) {
            memcpy(to, x + offsets[0], NNFI_GEMM_LANES * sizeof *to);
            continue;
        }
        for (int j = 0; j < NNFI_GEMM_LANES; j++)
            to[j] = offsets[j] < 0 ? (T)0 : x[offsets[j]];
    }
}

/* The image as a matrix: row [channel, kernel place], column output place. */
static void TYPED(pack)(const void *payload, int64_t i, int64_t first, int64_t n_columns,
                        void *panel) {
    const geometry *g = payload;
    const T *x = (const T *)g->x + i * g->channels * g->in_plane;
    T *to = panel;
    int64_t out[3][NNFI_GEMM_LANES], in[3][NNFI_GEMM_LANES], offsets[NNFI_GEMM_LANES];
    output_places(g, first, n_columns, out);
    for (int64_t k0 = 0; k0 < g->kernel[0]; k0++) {
        input_places(g, 0, out[0], k0, in[0]);
        for (int64_t k1 = 0; k1 < g->kernel[1]; k1++) {
            input_places(g, 1, out[1], k1, in[1]);
            for (int64_t k2 = 0; k2 < g->kernel[2]; k2++, to += NNFI_GEMM_LANES) {
                input_places(g, 2, out[2], k2, in[2]);
                for (int j = 0; j < NNFI_GEMM_LANES; j++)
                    offsets[j] = (in[0][j] | in[1][j] | in[2][j]) < 0
                                     ? -1
                                     : (in[0][j] * g->in[1] + in[1][j]) * g->in[2] + in[2][j];
                TYPED(gather)(g, x, offsets, to);
            }
        }
    }
}

#undef T
#undef TYPED
