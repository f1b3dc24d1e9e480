/* Softmax: exp(x - max) / sum, the sum in double. */
#include <math.h>

#include "run/reference/reference.h"

/* One vector of n elements that lie `step` apart. */
#define SOFTMAX(name, type)                                                                 \
    static void name(const void *x_data, void *y_data, int64_t at, int64_t n, int64_t step, \
                     bool log_of) {                                                         \
        const type *x = (const type *)x_data + at;                                          \
        type *y = (type *)y_data + at;                                                      \
        type largest = (type)-INFINITY;                                                     \
        for (int64_t i = 0; i < n; i++)                                                     \
            if (!(x[i * step] <= largest)) largest = x[i * step];                           \
        double sum = 0;                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                   \
            double power = exp((double)x[i * step] - (double)largest);                      \
            y[i * step] = (type)power;                                                      \
            sum += power;                                                                   \
        }                                                                                   \
        double log_sum = log_of ? log(sum) : 0;                                             \
        for (int64_t i = 0; i < n; i++)                                                     \
            y[i * step] = (type)(log_of ? (double)x[i * step] - (double)largest - log_sum   \
                                        : (double)y[i * step] / sum);                       \
    }
SOFTMAX(softmax_f32, float)
SOFTMAX(softmax_f64, double)

nnf_status nnfi_reference_softmax(nnf_session *session, const nnfi_softmax *call) {
    void (*row)(const void *, void *, int64_t, int64_t, int64_t, bool) =
        call->dtype == NNF_F64 ? softmax_f64 : softmax_f32;
    int64_t n = call->outer * call->inner;
    int threads = nnf_session_threads(session);
    (void)threads;
#pragma omp parallel for num_threads(threads) if (threads > 1 && n > 1 && n * call->axis > 4096)
    for (int64_t i = 0; i < n; i++) {
        int64_t outer = i / call->inner, inner = i % call->inner;
        row(call->x, call->y, outer * call->axis * call->inner + inner, call->axis, call->inner,
            call->log);
    }
    return NNF_OK;
}
