/* The matrix product of linear layers. */
#include <string.h>

#include "run/reference/gemm.h"
#include "run/reference/reference.h"

/* Columns of op(b) as a panel [k, LANES]. */
#define PACK(name, type)                                                                           \
    static void name(const void *payload, int64_t i, int64_t first, int64_t n, void *panel) {      \
        const nnfi_matmul *call = payload;                                                         \
        const type *b = (const type *)call->b + i * call->b_batch_stride;                          \
        type *to = panel;                                                                          \
        memset(to, 0, (size_t)call->k *NNFI_GEMM_LANES * sizeof *to);                              \
        if (call->trans_b) {                                                                       \
            for (int64_t j = 0; j < n; j++)                                                        \
                for (int64_t p = 0; p < call->k; p++)                                              \
                    to[p * NNFI_GEMM_LANES + j] = b[(first + j) * call->k + p];                    \
        } else {                                                                                   \
            for (int64_t p = 0; p < call->k; p++)                                                  \
                memcpy(to + p * NNFI_GEMM_LANES, b + p * call->n + first, (size_t)n * sizeof *to); \
        }                                                                                          \
    }
PACK(pack_f32, float)
PACK(pack_f64, double)

nnf_status nnfi_reference_matmul(nnf_session *session, const nnfi_matmul *call) {
    nnfi_gemm gemm = {.dtype = call->dtype,
                      .count = call->batch,
                      .m = call->m,
                      .n = call->n,
                      .k = call->k,
                      .threads = nnf_session_threads(session),
                      .alpha = call->alpha,
                      .a = call->a,
                      .a_period = call->batch,
                      .a_step = call->a_batch_stride,
                      .a_row = call->trans_a ? 1 : call->k,
                      .a_inner = call->k,
                      .a_column = call->trans_a ? call->m : 1,
                      .pack = call->dtype == NNF_F32 ? pack_f32 : pack_f64,
                      .payload = call,
                      .column_bias = call->bias,
                      .y = call->y};
    return nnfi_gemm_run(&gemm);
}
