/* What a tensor is: for the files of this folder only. */
#ifndef NNFI_TENSOR_OBJECT_H
#define NNFI_TENSOR_OBJECT_H

#include <stdatomic.h>

#include "tensor/storage.h"

/* Models have tensors by the million: this is as small as it can be. */
struct nnf_tensor {
    atomic_uint references;
    int32_t origin_index;
    uint64_t origin_source : NNFI_SOURCE_BITS;
    uint64_t dtype : 8, ndim : 7; /* nnf_dtype; at most NNF_MAX_DIMS */
    uint64_t contiguous : 1;
    nnfi_storage *storage;
    int64_t offset; /* of element [0, 0, ...] in the storage */
    int64_t numel;
    int64_t shape[]; /* [ndim], and the strides, in elements, behind them */
};

static inline int64_t *nnfi_strides(nnf_tensor *tensor) {
    return tensor->shape + tensor->ndim;
}

/* A contiguous tensor from the storage's `offset`-th element on. Takes over the storage, also where
 * it fails. */
nnf_status nnfi_tensor_wrap(nnf_tensor **out, nnfi_storage *storage, nnf_dtype dtype, int ndim,
                            const int64_t *shape, int64_t offset);

#endif
