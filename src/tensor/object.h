/* What a tensor is: for the files of this folder only. */
#ifndef NNFI_TENSOR_OBJECT_H
#define NNFI_TENSOR_OBJECT_H

#include <stdatomic.h>

#include "tensor/storage.h"

struct nnf_tensor {
    atomic_size_t references;
    nnfi_storage *storage;
    nnf_dtype dtype;
    int ndim;
    int64_t offset; /* of element [0, 0, ...] in the storage */
    int64_t numel;
    nnfi_origin origin;
    bool contiguous;
    int64_t *strides; /* [ndim] elements, behind the shape: models have tensors by the million */
    int64_t shape[];  /* [ndim] */
};

/* A contiguous tensor from the storage's `offset`-th element on. Takes over the storage, also where
 * it fails. */
nnf_status nnfi_tensor_wrap(nnf_tensor **out, nnfi_storage *storage, nnf_dtype dtype, int ndim,
                            const int64_t *shape, int64_t offset);

#endif
