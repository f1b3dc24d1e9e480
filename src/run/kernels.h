/* The table of functions that compute. A layer's forward says what is to be computed; a kernel set
 * computes it. Layers whose work is moving bytes (Reshape, Concat ...) do that themselves.
 *
 * Every tensor here is contiguous, shapes were checked by the layer's infer, and outputs are
 * allocated. Inputs of conv, matmul, batch norm, pool, activation and softmax are all f32 or all
 * f64; binary takes every dtype. */
#ifndef NNFI_KERNELS_H
#define NNFI_KERNELS_H

#include "nnfuse/nn.h"
#include "nnfuse/session.h"

/* Convolution or transposed convolution with its paddings made explicit (auto_pad, output_shape and
 * non-zero padding modes are resolved by the layer). x [N, C, D...] or [C, D...], w, b as
 * nnf_conv_options says (b NULL: none), y [N, out_channels, ...]. For a transposed one,
 * padding_begin crops the output.
 */
typedef struct nnfi_conv {
    const nnf_conv_options
        *options; /* spatial, transposed, groups, kernel_size, stride, dilation */
    int64_t padding_begin[NNF_MAX_SPATIAL];
    const nnf_tensor *x, *w, *b;
    nnf_tensor *y;
} nnfi_conv;

/* y [batch, m, n] = alpha op(a) op(b) + bias. a [batch or 1, m, k] (trans_a: [.., k, m]),
 * b [batch or 1, k, n] (trans_b: [.., n, k]): raw pointers because ranks are merged; batch strides
 * in elements, 0 where the operand is shared. bias [n] or NULL. */
typedef struct nnfi_matmul {
    nnf_dtype dtype;
    int64_t batch, m, n, k;
    const void *a, *b, *bias;
    void *y;
    int64_t a_batch_stride, b_batch_stride;
    bool trans_a, trans_b;
    double alpha;
} nnfi_matmul;

/* y[n, c, i] = x[n, c, i] * scale[c] + shift[c] over [outer, channels, inner]; scale and shift are
 * doubles. Batch norm in both modes comes down to this. */
typedef struct nnfi_channel_affine {
    nnf_dtype dtype;
    int64_t outer, channels, inner;
    const void *x;
    void *y;
    const double *scale, *shift;
} nnfi_channel_affine;

/* Max or average pooling over windows; indices (i64 tensor or NULL) as ONNX's MaxPool gives them.
 */
typedef struct nnfi_pool {
    const nnf_pool_options *options;
    int64_t padding_begin[NNF_MAX_SPATIAL], padding_end[NNF_MAX_SPATIAL];
    const nnf_tensor *x;
    nnf_tensor *y, *indices;
} nnfi_pool;

typedef struct nnfi_activation_call {
    nnf_dtype dtype;
    int64_t n;
    const void *x;
    void *y; /* may be x */
    nnf_activation kind;
    double alpha, beta;
} nnfi_activation_call;

/* Softmax over the middle of [outer, axis, inner], or its logarithm. */
typedef struct nnfi_softmax {
    nnf_dtype dtype;
    bool log;
    int64_t outer, axis, inner;
    const void *x;
    void *y;
} nnfi_softmax;

/* y = a OP b with broadcasting; strides (in elements, over y's axes) are 0 where an operand
 * repeats. dtype is the operands'; y has it too, but is bool where kind compares. */
typedef struct nnfi_binary {
    nnf_binary kind;
    nnf_dtype dtype; /* of the operands */
    int ndim;
    int64_t shape[NNF_MAX_DIMS], a_strides[NNF_MAX_DIMS], b_strides[NNF_MAX_DIMS];
    const void *a, *b;
    void *y;
} nnfi_binary;

typedef struct nnfi_kernels {
    const char *name;
    nnf_status (*conv)(nnf_session *session, const nnfi_conv *call);
    nnf_status (*matmul)(nnf_session *session, const nnfi_matmul *call);
    nnf_status (*channel_affine)(nnf_session *session, const nnfi_channel_affine *call);
    nnf_status (*pool)(nnf_session *session, const nnfi_pool *call);
    nnf_status (*activation)(nnf_session *session, const nnfi_activation_call *call);
    nnf_status (*softmax)(nnf_session *session, const nnfi_softmax *call);
    nnf_status (*binary)(nnf_session *session, const nnfi_binary *call);
} nnfi_kernels;

/* Plain C, for checking: float sums in float32 inputs are accumulated so that they err by less than
 * 1e-6 of the largest output. */
extern const nnfi_kernels nnfi_reference_kernels;

/* Whether a session may have so many threads; the error is set where not. */
nnf_status nnfi_check_threads(int threads);

/* The set that the session runs with. */
const nnfi_kernels *nnfi_session_kernels(const nnf_session *session);

#endif
