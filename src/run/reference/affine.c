/* y = x * scale + shift for each channel, computed in double and rounded once. */
#include "run/reference/reference.h"

#define AFFINE(name, type)                                            \
    static void name(const nnfi_channel_affine *call, int64_t line) { \
        double scale = call->scale[line % call->channels];            \
        double shift = call->shift[line % call->channels];            \
        const type *x = (const type *)call->x + line * call->inner;   \
        type *y = (type *)call->y + line * call->inner;               \
        for (int64_t i = 0; i < call->inner; i++)                     \
            y[i] = (type)((double)x[i] * scale + shift);              \
    }
AFFINE(affine_f32, float)
AFFINE(affine_f64, double)

/* Channels that stand one behind another. */
#define AFFINE_ROW(name, type)                                             \
    static void name(const nnfi_channel_affine *call, int64_t line) {      \
        const type *x = (const type *)call->x + line * call->channels;     \
        type *y = (type *)call->y + line * call->channels;                 \
        for (int64_t c = 0; c < call->channels; c++)                       \
            y[c] = (type)((double)x[c] * call->scale[c] + call->shift[c]); \
    }
AFFINE_ROW(affine_row_f32, float)
AFFINE_ROW(affine_row_f64, double)

nnf_status nnfi_reference_channel_affine(nnf_session *session, const nnfi_channel_affine *call) {
    static void (*const ways[2][2])(const nnfi_channel_affine *, int64_t) = {
        {affine_f32, affine_f64}, {affine_row_f32, affine_row_f64}};
    const bool rows = call->inner == 1;
    void (*affine)(const nnfi_channel_affine *, int64_t) = ways[rows][call->dtype == NNF_F64];
    int64_t lines = rows ? call->outer : call->outer * call->channels;
    int threads = nnf_session_threads(session);
#pragma omp parallel for num_threads(threads)
    for (int64_t line = 0; line < lines; line++)
        affine(call, line);
    (void)threads;
    return NNF_OK;
}
