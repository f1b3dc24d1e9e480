/* Tensors as the library sees them: storages, folded ones among them, and origins. */
#ifndef NNFI_TENSOR_INTERNAL_H
#define NNFI_TENSOR_INTERNAL_H

#include "nnfuse/tensor.h"
#include "support/error.h"

/* Where an object came from: something that a file reader put there and its writer understands.
 * `source` is a number unique to one loaded file (nnfi_new_source), 0: no origin. Copies keep it,
 * changes clear it. */
typedef struct nnfi_origin {
    uint64_t source;
    int64_t index;
} nnfi_origin;
uint64_t nnfi_new_source(void);
/* Objects keep fewer bits: 2^48 sources are more than a process will ever have. One with an index
 * that does not fit gets no origin. */
#define NNFI_SOURCE_BITS 48
#define NNFI_SOURCE_MASK ((UINT64_C(1) << NNFI_SOURCE_BITS) - 1)
static inline bool nnfi_origin_fits(nnfi_origin origin) {
    return origin.index >= INT32_MIN && origin.index <= INT32_MAX;
}

nnfi_origin nnfi_tensor_origin(const nnf_tensor *tensor);
void nnfi_tensor_set_origin(nnf_tensor *tensor, nnfi_origin origin);
/* Whether two tensors have one value for sure: they are one, or came from one place and were not
 * changed since. */
bool nnfi_tensor_same(const nnf_tensor *a, const nnf_tensor *b);
/* Makes two tensors of one dtype and shape, whose elements are equal, count as the same. */
void nnfi_tensor_set_same(nnf_tensor *tensor, nnf_tensor *equal);
/* Element number `index` (row-major) as a double. */
nnf_status nnfi_tensor_number(double *out, const nnf_tensor *tensor, int64_t index);
/* nnfi_storage_check_late for a borrowed tensor. */
void nnfi_tensor_check_late(nnf_tensor *tensor);

/* How the element at a row-major index finds its channel, for a scale along an axis: the tensor is
 * seen as [groups, outer, channels, inner]; the element's channel is group * channels + channel.
 * Conv weight [out, in/g, k...], output channels: {1, 1, out, in/g * k}.
 * The same, input channels: {g, out/g, in/g, k}.
 * ConvTranspose [in, out/g, k...], output channels: {g, in/g, out/g, k}. */
typedef struct nnfi_channel_view {
    int64_t groups, outer, channels, inner;
} nnfi_channel_view;

/* y[c] = (x[c] - mean[c]) * weight[c] / sqrt(var[c] + eps) + bias[c], a snapshot of the tensors
 * ([channels] each; NULL: a weight of 1, a bias and mean of 0, var + eps = 1).
 * NNF_ERROR_NOT_FUSABLE "channel C ..." where one of these is not finite or has no square root. */
typedef struct nnfi_affine nnfi_affine;
nnf_status nnfi_affine_new(nnfi_affine **out, int64_t channels, nnf_tensor *weight,
                           nnf_tensor *bias, nnf_tensor *mean, nnf_tensor *var, double eps);
nnfi_affine *nnfi_affine_retain(nnfi_affine *affine);
void nnfi_affine_release(nnfi_affine *affine); /* NULL is allowed */
int64_t nnfi_affine_channels(const nnfi_affine *affine);

/* A new tensor, made of the base's elements when it is read and rounded once to base's dtype:
 * with a view, a weight: each element times the scale of its channel, weight / sqrt(var + eps);
 * without, a bias: element c put through the whole map of channel c; base NULL: zeros of `dtype`.
 * Folding a folded tensor that has the same view composes; with another view it is computed first.
 * base is contiguous or made so. NNF_ERROR_NOT_FUSABLE "channel C ..." where an element would leave
 * the dtype's range: weights are read for that only where some scale is above 1. */
nnf_status nnfi_tensor_fold(nnf_tensor **out, nnf_tensor *base, nnf_dtype dtype,
                            const nnfi_channel_view *view, nnfi_affine *affine);
/* Whether its storage is a folded one that nobody has read yet. */
bool nnfi_tensor_is_deferred(const nnf_tensor *tensor);

/* For one run's values: a new tensor with undefined elements; one over aligned memory that outlives
 * it, written in place; whether somebody else holds a reference too. */
nnf_status nnfi_tensor_new_undefined(nnf_tensor **out, nnf_dtype dtype, int ndim,
                                     const int64_t *shape);
nnf_status nnfi_tensor_lend(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                            void *data);
bool nnfi_tensor_is_shared(const nnf_tensor *tensor);

/* A number for the state of the tensor's storage: a write gives it another, and no two storages
 * have the same. Packed forms are good for one version. */
uint64_t nnfi_tensor_version(const nnf_tensor *tensor);
/* The element of the storage that the tensor begins with. */
int64_t nnfi_tensor_offset(const nnf_tensor *tensor);
/* Where the elements stand now, unaligned perhaps; NULL where they must be computed. */
const void *nnfi_tensor_bytes(const nnf_tensor *tensor);

/* The product of the dimensions; false where it overflows or one is negative. */
bool nnfi_shape_numel(int ndim, const int64_t *shape, int64_t *numel);
/* Writes "[1, 3, 224, 224]" into a buffer of `size` bytes and returns it. */
const char *nnfi_shape_text(char *buffer, size_t size, int ndim, const int64_t *shape);
#define NNFI_SHAPE_TEXT 192

/* Element i (row-major) of a contiguous buffer, as a double or an integer; and back, rounded. */
double nnfi_load_f64(nnf_dtype dtype, const void *data, int64_t i);
int64_t nnfi_load_i64(nnf_dtype dtype, const void *data, int64_t i);
void nnfi_store_f64(nnf_dtype dtype, void *data, int64_t i, double value);
void nnfi_store_i64(nnf_dtype dtype, void *data, int64_t i, int64_t value);

#endif
