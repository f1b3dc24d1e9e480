/* Tensors: a shape over a storage. Identity and storage are two things: two modules may hold one
 * tensor (tied weights: each sees the other's writes), and two tensors may share one storage until
 * one of them is written. */
#ifndef NNFUSE_TENSOR_H
#define NNFUSE_TENSOR_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The largest number of dimensions that a tensor can have. */
#define NNF_MAX_DIMS 8

typedef enum nnf_dtype {
    NNF_DTYPE_UNKNOWN = 0,
    NNF_F32,
    NNF_F64,
    NNF_F16,  /* IEEE 754 binary16 */
    NNF_BF16, /* the upper half of a binary32 */
    NNF_I8,
    NNF_U8,
    NNF_I32,
    NNF_I64,
    NNF_BOOL, /* one byte, 0 or 1 */
    NNF_DTYPE_COUNT
} nnf_dtype;

/* Bytes of one element; 0 for NNF_DTYPE_UNKNOWN. */
NNF_API size_t nnf_dtype_size(nnf_dtype dtype);
/* "float32", "bfloat16", "int64" ...: numpy's and PyTorch's names. */
NNF_API const char *nnf_dtype_name(nnf_dtype dtype);
/* True for f32, f64, f16 and bf16. */
NNF_API bool nnf_dtype_is_float(nnf_dtype dtype);

/* Conversion of single numbers; to 16 bits rounds to nearest, ties to even. */
NNF_API float nnf_f16_to_f32(uint16_t bits);
NNF_API uint16_t nnf_f16_from_f64(double value);
NNF_API float nnf_bf16_to_f32(uint16_t bits);
NNF_API uint16_t nnf_bf16_from_f64(double value);

typedef struct nnf_tensor nnf_tensor;

/* A new contiguous tensor filled with zeros. ndim 0 is a scalar; a dimension of 0 is allowed.
 * NNF_ERROR_SHAPE for a negative dimension or too many of them, NNF_ERROR_MEMORY where the bytes
 * don't fit or can't be had. */
NNF_API nnf_status nnf_tensor_new(nnf_tensor **out, nnf_dtype dtype, int ndim,
                                  const int64_t *shape);

/* The same with the bytes of `data`, copied. */
NNF_API nnf_status nnf_tensor_from_data(nnf_tensor **out, nnf_dtype dtype, int ndim,
                                        const int64_t *shape, const void *data);

/* A tensor over somebody else's contiguous bytes, not copied; they may be unaligned. They must stay
 * unchanged until `release` (NULL: nobody is told) is called with `payload`, which happens exactly
 * once, when the last storage that needs them goes; not if this call fails. Writing to the tensor
 * never writes to them. */
NNF_API nnf_status nnf_tensor_borrow(nnf_tensor **out, nnf_dtype dtype, int ndim,
                                     const int64_t *shape, const void *data,
                                     void (*release)(void *payload), void *payload);

/* A new tensor (an identity of its own) that shares `tensor`'s storage until one is written. */
NNF_API nnf_status nnf_tensor_copy(nnf_tensor **out, const nnf_tensor *tensor);

/* A new tensor over the same storage with another shape. Strides and offset count elements;
 * the offset from the tensor's own first element; strides NULL means contiguous (only allowed where
 * `tensor` is contiguous). Every element must lie inside the storage: NNF_ERROR_SHAPE otherwise. It
 * has its own identity, as a copy has. */
NNF_API nnf_status nnf_tensor_view(nnf_tensor **out, const nnf_tensor *tensor, int ndim,
                                   const int64_t *shape, const int64_t *strides, int64_t offset);

/* A new contiguous tensor with the values of `tensor` in `dtype`, rounded once to nearest even.
 * Floats become integers by truncation, as in PyTorch; anything but zero becomes true. */
NNF_API nnf_status nnf_tensor_convert(nnf_tensor **out, const nnf_tensor *tensor, nnf_dtype dtype);

/* A contiguous tensor with the same values: `tensor` itself, retained, where it is contiguous. */
NNF_API nnf_status nnf_tensor_contiguous(nnf_tensor **out, nnf_tensor *tensor);

NNF_API nnf_tensor *nnf_tensor_retain(nnf_tensor *tensor);
NNF_API void nnf_tensor_release(nnf_tensor *tensor);

NNF_API nnf_dtype nnf_tensor_dtype(const nnf_tensor *tensor);
NNF_API int nnf_tensor_ndim(const nnf_tensor *tensor);
/* ndim numbers each; owned by the tensor. Strides count elements. */
NNF_API const int64_t *nnf_tensor_shape(const nnf_tensor *tensor);
NNF_API const int64_t *nnf_tensor_strides(const nnf_tensor *tensor);
NNF_API int64_t nnf_tensor_numel(const nnf_tensor *tensor);
/* numel times the dtype's size. */
NNF_API int64_t nnf_tensor_nbytes(const nnf_tensor *tensor);
NNF_API bool nnf_tensor_is_contiguous(const nnf_tensor *tensor);

/* The address of element [0, 0, ...], aligned for the dtype; the others follow by the strides. A
 * folded or unaligned storage becomes numbers here, once for all its tensors (safe from several
 * threads at once). Valid until the tensor is written or released. */
NNF_API nnf_status nnf_tensor_data(const nnf_tensor *tensor, const void **data);

/* The same for writing: the tensor first gets a storage of its own where it shares one, in which it
 * is contiguous: ask for its strides afterwards. */
NNF_API nnf_status nnf_tensor_mut_data(nnf_tensor *tensor, void **data);

/* Copies `count` elements from the `first`-th on (row-major order) to `out`, computing them where
 * the storage is folded, and keeps nothing: what a writer uses to stream weights out. */
NNF_API nnf_status nnf_tensor_read(const nnf_tensor *tensor, int64_t first, int64_t count,
                                   void *out);

#ifdef __cplusplus
}
#endif
#endif
