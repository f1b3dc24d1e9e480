/* What a batch norm does beside normalizing where it computes with its input's own statistics,
 * whichever kernels it runs on. */
#ifndef NNFI_BATCH_STATISTICS_H
#define NNFI_BATCH_STATISTICS_H

#include "nnfuse/module.h"

/* Whether it does. `has_running`: it holds, or is given, running statistics. */
bool nnfi_uses_batch_statistics(const nnf_module *batchnorm, bool has_running);

/* Of a batch: [channels] each. */
typedef struct nnfi_batch_statistics {
    nnf_dtype dtype;
    const void *mean, *var; /* var is the population's */
    double count;           /* how many values a channel has, at least 2 */
} nnfi_batch_statistics;

/* Where the module is in training mode: moves its running statistics on, as PyTorch does, with the
 * unbiased variance. All or nothing. */
nnf_status nnfi_batch_statistics_take(const nnf_module *batchnorm,
                                      const nnfi_batch_statistics *batch);

/* to = (1 - momentum) old + momentum factor batch, [channels] each; `to` may be `old`. */
nnf_status nnfi_statistic_blend(nnf_tensor *to, const nnf_tensor *old, nnf_dtype dtype,
                                const void *batch, double momentum, double factor);

#endif
