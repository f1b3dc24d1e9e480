#include "run/batch_statistics.h"

#include "nnfuse/nn.h"
#include "support/error.h"
#include "tensor/tensor_internal.h"

bool nnfi_uses_batch_statistics(const nnf_module *batchnorm, bool has_running) {
    const nnf_batchnorm_options *options = nnf_module_options(batchnorm);
    return options->training_mode || nnf_module_training(batchnorm) || !has_running;
}

nnf_status nnfi_statistic_blend(nnf_tensor *to, const nnf_tensor *old, nnf_dtype dtype,
                                const void *batch, double momentum, double factor) {
    const void *from;
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(to, &data)); /* first: it may move what `old` is, too */
    NNFI_TRY(nnf_tensor_data(old, &from));
    for (int64_t c = 0; c < nnf_tensor_numel(old); c++) {
        const double value = nnfi_load_f64(nnf_tensor_dtype(old), from, c);
        nnfi_store_f64(nnf_tensor_dtype(to), data, c,
                       (1.0 - momentum) * value +
                           momentum * factor * nnfi_load_f64(dtype, batch, c));
    }
    return NNF_OK;
}

nnf_status nnfi_batch_statistics_take(const nnf_module *batchnorm,
                                      const nnfi_batch_statistics *batch) {
    static const char *const names[] = {"running_mean", "running_var", "num_batches_tracked"};
    enum { MEAN, VAR, TRACKED, N };
    const nnf_batchnorm_options *options = nnf_module_options(batchnorm);
    double momentum = options->cumulative ? 0.0 : options->momentum;
    nnf_tensor *held[N];
    void *counter = NULL;
    if (!nnf_module_training(batchnorm) || options->training_mode) return NNF_OK;
    for (int i = 0; i < N; i++) { /* what can fail comes before anything is changed */
        held[i] = nnf_module_tensor(batchnorm, names[i]);
        if (held[i]) NNFI_TRY(nnf_tensor_mut_data(held[i], &counter));
    }
    if (held[TRACKED]) {
        int64_t batches = nnfi_load_i64(nnf_tensor_dtype(held[TRACKED]), counter, 0) + 1;
        nnfi_store_i64(nnf_tensor_dtype(held[TRACKED]), counter, 0, batches);
        if (options->cumulative) momentum = 1.0 / (double)batches;
    }
    if (held[MEAN])
        NNFI_TRY(
            nnfi_statistic_blend(held[MEAN], held[MEAN], batch->dtype, batch->mean, momentum, 1.0));
    if (held[VAR])
        NNFI_TRY(nnfi_statistic_blend(held[VAR], held[VAR], batch->dtype, batch->var, momentum,
                                      batch->count / (batch->count - 1.0)));
    return NNF_OK;
}
