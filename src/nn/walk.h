/* A loop over some axes of a contiguous tensor: each step moves an offset, in elements. */
#ifndef NNFI_WALK_H
#define NNFI_WALK_H

#include "nnfuse/tensor.h"

typedef struct nnfi_walk {
    int ndim;
    int64_t shape[NNF_MAX_DIMS], strides[NNF_MAX_DIMS], at[NNF_MAX_DIMS];
    int64_t count, offset;
} nnfi_walk;

/* A walk of one step, to which axes are added from the outermost on. */
static inline nnfi_walk nnfi_walk_start(void) {
    return (nnfi_walk){.count = 1};
}
static inline void nnfi_walk_add(nnfi_walk *walk, int64_t n, int64_t stride) {
    walk->shape[walk->ndim] = n;
    walk->strides[walk->ndim++] = stride;
    walk->count *= n;
}
/* After the last step it is at the first again. */
static inline void nnfi_walk_next(nnfi_walk *walk) {
    for (int i = walk->ndim - 1; i >= 0; i--) {
        walk->offset += walk->strides[i];
        if (++walk->at[i] < walk->shape[i]) return;
        walk->offset -= walk->shape[i] * walk->strides[i];
        walk->at[i] = 0;
    }
}

/* A tensor seen as [outer, n, inner] with the axis in the middle. */
typedef struct nnfi_along {
    int64_t outer, n, inner;
} nnfi_along;
static inline nnfi_along nnfi_along_axis(const nnf_tensor *tensor, int axis) {
    nnfi_along along = {1, nnf_tensor_shape(tensor)[axis], 1};
    for (int i = 0; i < nnf_tensor_ndim(tensor); i++) {
        if (i < axis) along.outer *= nnf_tensor_shape(tensor)[i];
        if (i > axis) along.inner *= nnf_tensor_shape(tensor)[i];
    }
    return along;
}

#endif
