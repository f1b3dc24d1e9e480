/* Moving elements from one place to another: what Transpose, Slice, Concat and Pad come down to. */
#include <string.h>

#include "nn/nn_internal.h"

void nnfi_contiguous_strides(int64_t *strides, int ndim, const int64_t *shape) {
    int64_t stride = 1;
    for (int i = 0; i < ndim; i++)
        if (shape[i] == 0) stride = 0; /* the others' product may not fit a number */
    for (int i = ndim - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape[i];
    }
}

/* Leaves out axes of size 1 and merges neighbours that lie one behind the other on both sides, so
 * that the inner loop is as long as can be. False where there is nothing to copy. */
static bool simplify(nnfi_copy *out, const nnfi_copy *in) {
    *out = *in;
    out->ndim = 0;
    for (int i = 0; i < in->ndim; i++) {
        int64_t n = in->shape[i];
        if (n == 0) return false;
        if (n == 1) continue;
        int last = out->ndim - 1;
        if (last >= 0 && out->to_strides[last] == n * in->to_strides[i] &&
            out->from_strides[last] == n * in->from_strides[i]) {
            out->shape[last] *= n;
        } else {
            last = out->ndim++;
            out->shape[last] = n;
        }
        out->to_strides[last] = in->to_strides[i];
        out->from_strides[last] = in->from_strides[i];
    }
    if (out->ndim == 0) {
        out->ndim = 1;
        out->shape[0] = out->to_strides[0] = out->from_strides[0] = 1;
    }
    return true;
}

/* One row: n elements with constant steps. Fixed sizes become plain loads and stores. */
static void copy_row(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, int64_t n,
                     size_t size) {
#define ROW(bytes)                                                    \
    for (int64_t i = 0; i < n; i++, to += to_step, from += from_step) \
    memcpy(to, from, bytes)
    if (to_step == (ptrdiff_t)size && from_step == (ptrdiff_t)size) {
        memcpy(to, from, (size_t)n * size);
    } else if (size == 4) {
        ROW(4);
    } else if (size == 8) {
        ROW(8);
    } else if (size == 2) {
        ROW(2);
    } else if (size == 1) {
        ROW(1);
    } else {
        ROW(size);
    }
#undef ROW
}

/* Copies all but the first axis at one index of it, counting through the axes between. */
static void copy_slab(const nnfi_copy *copy, int64_t index) {
    int last = copy->ndim - 1;
    ptrdiff_t size = (ptrdiff_t)copy->size;
    char *to = (char *)copy->to;
    const char *from = (const char *)copy->from;
    int64_t at[NNF_MAX_DIMS] = {0};
    if (last > 0) {
        to += index * copy->to_strides[0] * size;
        from += index * copy->from_strides[0] * size;
    }
    for (;;) {
        copy_row(to, copy->to_strides[last] * size, from, copy->from_strides[last] * size,
                 copy->shape[last], copy->size);
        int axis = last - 1;
        for (; axis > 0; axis--) {
            to += copy->to_strides[axis] * size;
            from += copy->from_strides[axis] * size;
            if (++at[axis] < copy->shape[axis]) break;
            to -= copy->shape[axis] * copy->to_strides[axis] * size;
            from -= copy->shape[axis] * copy->from_strides[axis] * size;
            at[axis] = 0;
        }
        if (axis <= 0) return;
    }
}

void nnfi_strided_copy(const nnfi_copy *copy) {
    nnfi_copy simple;
    if (!simplify(&simple, copy)) return;
    int64_t n = simple.ndim > 1 ? simple.shape[0] : 1, slab = 1;
    for (int i = simple.ndim > 1 ? 1 : 0; i < simple.ndim; i++)
        slab *= simple.shape[i];
    if (n * slab <= 32768) simple.threads = 1;
#pragma omp parallel for num_threads(simple.threads) if (simple.threads > 1)
    for (int64_t i = 0; i < n; i++)
        copy_slab(&simple, i);
}

nnf_status nnfi_copy_elements(nnf_tensor *to, const nnf_tensor *from) {
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(to, &data));
    return nnf_tensor_read(from, 0, nnf_tensor_numel(from), data);
}
