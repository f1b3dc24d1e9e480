/* Layers: options, constructors and type rows, with PyTorch's names for PyTorch's layers and ONNX's
 * for the others. Option structs hold the union of what PyTorch and ONNX can say. */
#ifndef NNFUSE_NN_H
#define NNFUSE_NN_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NNF_MAX_SPATIAL 3

typedef enum nnf_auto_pad {
    NNF_AUTO_PAD_NOTSET = 0, /* the paddings are explicit */
    NNF_AUTO_PAD_SAME_UPPER,
    NNF_AUTO_PAD_SAME_LOWER,
    NNF_AUTO_PAD_VALID
} nnf_auto_pad;

typedef enum nnf_padding_mode {
    NNF_PADDING_ZEROS = 0,
    NNF_PADDING_REFLECT,
    NNF_PADDING_REPLICATE,
    NNF_PADDING_CIRCULAR
} nnf_padding_mode;

/* Conv1d/2d/3d and ConvTranspose1d/2d/3d.
 * Input [N, in_channels, D1 .. Dk] (PyTorch's unbatched [in_channels, D1 .. Dk] too), weight
 * [out_channels, in_channels / groups, k1 .. kk], transposed: [in_channels, out_channels / groups,
 * k1 .. kk], bias [out_channels]. Only the first `spatial` entries of each array count. */
typedef struct nnf_conv_options {
    int spatial; /* 1, 2 or 3 */
    bool transposed;
    int64_t in_channels, out_channels, groups;
    int64_t kernel_size[NNF_MAX_SPATIAL];
    int64_t stride[NNF_MAX_SPATIAL];
    int64_t dilation[NNF_MAX_SPATIAL];
    int64_t padding_begin[NNF_MAX_SPATIAL], padding_end[NNF_MAX_SPATIAL];
    int64_t output_padding[NNF_MAX_SPATIAL]; /* transposed only */
    int64_t output_shape[NNF_MAX_SPATIAL]; /* transposed only; all 0: not given. Given, it fixes the
                                              padding as ONNX's ConvTranspose says. */
    nnf_padding_mode padding_mode;         /* not transposed only */
    nnf_auto_pad auto_pad;
} nnf_conv_options;

/* PyTorch's defaults: stride 1, dilation 1, groups 1, no padding; kernel_size the same on each
 * axis. */
NNF_API nnf_conv_options nnf_conv_options_default(int spatial, bool transposed, int64_t in_channels,
                                                  int64_t out_channels, int64_t kernel_size);
/* A convolution (Conv1d ... ConvTranspose3d by the options) with zero weight, and zero bias if
 * `bias`; NNF_ERROR_INVALID names the option that is wrong. */
NNF_API nnf_status nnf_conv_new(nnf_module **out, const nnf_conv_options *options, bool bias,
                                nnf_dtype dtype);

/* Linear: y = x W^T + b; input [..., in_features], weight [out_features, in_features], or
 * [in_features, out_features] where weight_transposed (ONNX's Gemm with transB 0). */
typedef struct nnf_linear_options {
    int64_t in_features, out_features;
    bool weight_transposed;
} nnf_linear_options;
NNF_API nnf_status nnf_linear_new(nnf_module **out, int64_t in_features, int64_t out_features,
                                  bool bias, nnf_dtype dtype);

/* Gemm: y = alpha A' B' + beta C (ONNX), A rank 2; slots "weight" (B) and "bias" (C, broadcast). */
typedef struct nnf_gemm_options {
    double alpha, beta;
    bool trans_a, trans_b;
} nnf_gemm_options;

/* BatchNorm1d/2d/3d. Input [N, C, ...] (1d: [N, C] or [N, C, L]); weight, bias [C] where affine;
 * running_mean, running_var [C] where track_running_stats, and num_batches_tracked (i64 scalar). */
typedef struct nnf_batchnorm_options {
    int spatial; /* 1, 2, 3: the type; what it takes is rank 2 or 3, 4, 5 */
    int64_t num_features;
    double eps;
    double momentum; /* PyTorch's: the weight of the new statistics */
    bool cumulative; /* momentum None: cumulative average */
    bool affine;
    bool track_running_stats;
    bool training_mode; /* ONNX training_mode=1: normalizes with the batch's statistics whatever
                           the module's mode is, and gives the running ones as outputs */
} nnf_batchnorm_options;
/* PyTorch's defaults: eps 1e-5, momentum 0.1, affine, track_running_stats. */
NNF_API nnf_batchnorm_options nnf_batchnorm_options_default(int spatial, int64_t num_features);
NNF_API nnf_status nnf_batchnorm_new(nnf_module **out, const nnf_batchnorm_options *options,
                                     nnf_dtype dtype);

/* Activations without parameters: each element for itself. */
typedef enum nnf_activation {
    NNF_RELU = 0,
    NNF_RELU6,
    NNF_CLIP, /* alpha: lower, beta: upper bound (infinite where open); inputs 1 and 2, where they
                 are given, come before them */
    NNF_LEAKY_RELU, /* alpha: negative_slope */
    NNF_SIGMOID,
    NNF_TANH,
    NNF_SILU,
    NNF_HARDSWISH,
    NNF_HARDSIGMOID, /* max(0, min(1, alpha x + beta)); PyTorch: 1/6, 1/2 */
    NNF_GELU,        /* x Phi(x), exact */
    NNF_GELU_TANH,   /* its tanh approximation */
    NNF_SQRT,
    NNF_ERF,
    NNF_ELU,              /* x < 0: alpha (exp(x) - 1) */
    NNF_SELU,             /* the same times beta */
    NNF_CELU,             /* x < 0: alpha (exp(x / alpha) - 1) */
    NNF_SWISH,            /* x sigmoid(alpha x) */
    NNF_MISH,             /* x tanh(softplus(x)) */
    NNF_SOFTPLUS,         /* log(1 + exp(x)) */
    NNF_SOFTSIGN,         /* x / (1 + |x|) */
    NNF_THRESHOLDED_RELU, /* x where it is above alpha, else 0 */
    NNF_SHRINK,           /* x - beta above alpha, x + beta below -alpha, else 0 */
    NNF_ABS,              /* Abs, Neg, Sign, ReLU and Clip take integers too */
    NNF_NEG,
    NNF_SIGN,
    NNF_RECIPROCAL,
    NNF_EXP,
    NNF_LOG,
    NNF_FLOOR,
    NNF_CEIL,
    NNF_ROUND, /* to nearest, ties to even */
    NNF_SIN,
    NNF_COS,
    NNF_TAN,
    NNF_ASIN,
    NNF_ACOS,
    NNF_ATAN,
    NNF_SINH,
    NNF_COSH,
    NNF_ASINH,
    NNF_ACOSH,
    NNF_ATANH,
    NNF_ACTIVATION_COUNT
} nnf_activation;
typedef struct nnf_activation_options {
    nnf_activation kind;
    double alpha, beta;
} nnf_activation_options;
/* With PyTorch's default alpha and beta for the kind. Types: ReLU, ReLU6, Clip, LeakyReLU, Sigmoid,
 * Tanh, SiLU, Hardswish, Hardsigmoid, GELU (both kinds), Sqrt, Erf, ELU, SELU, CELU, Swish, Mish,
 * Softplus, Softsign, ThresholdedReLU, Shrink, Abs, Neg, Sign, Reciprocal, Exp, Log, Floor, Ceil,
 * Round, Sin ... Atanh. */
NNF_API nnf_status nnf_activation_new(nnf_module **out, nnf_activation kind);
NNF_API nnf_status nnf_activation_new_with(nnf_module **out, const nnf_activation_options *options);

/* Softmax over one axis; `flatten_from_axis`: ONNX before opset 13, over all axes from `axis` on.
 */
typedef struct nnf_softmax_options {
    int64_t axis;
    bool flatten_from_axis;
} nnf_softmax_options;
NNF_API nnf_status nnf_softmax_new(nnf_module **out, int64_t axis);

/* MaxPool1d/2d/3d and AvgPool1d/2d/3d. */
typedef struct nnf_pool_options {
    int spatial;
    bool average;
    int64_t kernel_size[NNF_MAX_SPATIAL];
    int64_t stride[NNF_MAX_SPATIAL];
    int64_t dilation[NNF_MAX_SPATIAL];
    int64_t padding_begin[NNF_MAX_SPATIAL], padding_end[NNF_MAX_SPATIAL];
    nnf_auto_pad auto_pad;
    bool ceil_mode;
    bool count_include_pad; /* average only */
    bool drop_last_outside; /* ceil_mode: no window starts in the end padding (PyTorch always; ONNX
                               since opset 19 in its text, before that in its runtimes) */
    bool column_major;      /* MaxPool's second output, the indices, count column-major (ONNX
                               storage_order 1) */
} nnf_pool_options;
NNF_API nnf_pool_options nnf_pool_options_default(int spatial, bool average, int64_t kernel_size);
NNF_API nnf_status nnf_pool_new(nnf_module **out, const nnf_pool_options *options);

/* AdaptiveAvgPool1d/2d/3d; output_size -1 keeps the input's. */
typedef struct nnf_adaptive_pool_options {
    int spatial;
    int64_t output_size[NNF_MAX_SPATIAL];
} nnf_adaptive_pool_options;
NNF_API nnf_status nnf_adaptive_avgpool_new(nnf_module **out, int spatial,
                                            const int64_t *output_size);
/* GlobalAveragePool, GlobalMaxPool: over every axis from the third on. */
typedef struct nnf_global_pool_options {
    bool average;
} nnf_global_pool_options;
NNF_API nnf_status nnf_global_pool_new(nnf_module **out, bool average);

/* Flatten. PyTorch's: merges start_dim .. end_dim. `to_matrix`: ONNX's, always to rank 2 with the
 * axes before start_dim in the first. */
typedef struct nnf_flatten_options {
    int64_t start_dim, end_dim;
    bool to_matrix;
} nnf_flatten_options;
NNF_API nnf_status nnf_flatten_new(nnf_module **out, int64_t start_dim, int64_t end_dim);

/* Dropout: in eval mode Identity; in training mode zeroes with probability p and scales the rest by
 * 1 / (1 - p), from a fixed seed and the module's count of calls. */
typedef struct nnf_dropout_options {
    double p;
    uint64_t seed;
    uint64_t calls;
} nnf_dropout_options;
NNF_API nnf_status nnf_dropout_new(nnf_module **out, double p);
NNF_API nnf_status nnf_identity_new(nnf_module **out);

/* Runs its children in order: torch.nn.Sequential. Children are named "0", "1", ... */
NNF_API nnf_status nnf_sequential_new(nnf_module **out, nnf_module *const *children, size_t n);
/* A module with children but no forward of its own: torch.nn.Module as a node of the tree. */
NNF_API nnf_status nnf_container_new(nnf_module **out);

/* Two inputs with numpy's broadcasting. Both have one dtype (Pow's exponent may have another);
 * integer Div truncates, as ONNX's does. Comparisons give bool. The types of Min, Max, Sum and Mean
 * take any number of inputs. PReLU has the slot "weight", as torch.nn.PReLU: its second input where
 * that is a constant. It broadcasts as ONNX's slope, from the last axis on: one slope for each
 * channel of images is [C, 1, 1], where PyTorch's parameter is [C]. */
typedef enum nnf_binary {
    NNF_ADD = 0,
    NNF_SUB,
    NNF_MUL,
    NNF_DIV,
    NNF_POW,
    NNF_MOD,  /* the result has the divisor's sign */
    NNF_FMOD, /* the dividend's sign, as C's % and fmod have it */
    NNF_MIN,
    NNF_MAX,
    NNF_PRELU, /* a, or a b where a is below 0 */
    NNF_EQUAL,
    NNF_LESS,
    NNF_LESS_OR_EQUAL,
    NNF_GREATER,
    NNF_GREATER_OR_EQUAL,
    NNF_AND, /* of bools */
    NNF_OR,
    NNF_XOR,
    NNF_BITWISE_AND, /* of integers */
    NNF_BITWISE_OR,
    NNF_BITWISE_XOR,
    NNF_SHIFT_LEFT, /* of unsigned integers */
    NNF_SHIFT_RIGHT,
    NNF_BINARY_COUNT
} nnf_binary;
typedef struct nnf_binary_options {
    nnf_binary kind;
    bool fmod; /* of a Mod: its kind is NNF_FMOD */
} nnf_binary_options;
NNF_API nnf_status nnf_binary_new(nnf_module **out, nnf_binary kind);

/* MatMul with numpy's rules; slot "weight": the second input where it is a constant. */
NNF_API nnf_status nnf_matmul_new(nnf_module **out);

/* ONNX operators with their attributes. Where newer opsets give an attribute as an input, it is an
 * input here too; the option is for older ones, and is used where the input is not there. */
typedef struct nnf_axes_options { /* ReduceMean, ReduceSum ..., Squeeze, Unsqueeze */
    int n_axes;                   /* -1: not given */
    int64_t axes[NNF_MAX_DIMS];
    bool keepdims;
    bool noop_with_empty_axes;
} nnf_axes_options;
typedef struct nnf_axis_options { /* Concat, Gather, GatherElements, OneHot */
    int64_t axis;
} nnf_axis_options;
typedef enum nnf_resize_mode {
    NNF_RESIZE_NEAREST = 0,
    NNF_RESIZE_LINEAR,
    NNF_RESIZE_CUBIC
} nnf_resize_mode;
typedef enum nnf_resize_coordinates { /* ONNX's coordinate_transformation_mode */
                                      NNF_RESIZE_HALF_PIXEL = 0,
                                      NNF_RESIZE_HALF_PIXEL_SYMMETRIC,
                                      NNF_RESIZE_PYTORCH_HALF_PIXEL,
                                      NNF_RESIZE_ALIGN_CORNERS,
                                      NNF_RESIZE_ASYMMETRIC,
                                      NNF_RESIZE_CROP /* tf_crop_and_resize */
} nnf_resize_coordinates;
typedef enum nnf_resize_nearest { /* which element is near a place between two */
                                  NNF_RESIZE_PREFER_FLOOR = 0,
                                  NNF_RESIZE_PREFER_CEIL,
                                  NNF_RESIZE_FLOOR,
                                  NNF_RESIZE_CEIL
} nnf_resize_nearest;
typedef enum nnf_resize_policy { /* what sizes mean */
                                 NNF_RESIZE_STRETCH = 0,
                                 NNF_RESIZE_NOT_LARGER, /* one scale for all axes: the smallest */
                                 NNF_RESIZE_NOT_SMALLER
} nnf_resize_policy;
/* Resize: inputs 1 roi, 2 scales, 3 sizes; `scales_first` (Upsample, Resize of opset 10): input 1
 * scales alone. Known scales are options as well, so that shapes can be told from them. */
typedef struct nnf_resize_options {
    nnf_resize_mode mode;
    nnf_resize_coordinates coordinates;
    nnf_resize_nearest nearest;
    nnf_resize_policy policy;
    bool antialias, exclude_outside, scales_first;
    double cubic_a, extrapolation_value;
    int n_axes; /* -1: all */
    int64_t axes[NNF_MAX_DIMS];
    int n_scales; /* -1: not known */
    double scales[NNF_MAX_DIMS];
} nnf_resize_options;
typedef struct nnf_arg_options { /* ArgMax, ArgMin */
    int64_t axis;
    bool keepdims, select_last_index;
} nnf_arg_options;
typedef struct nnf_top_k_options { /* what is found is always sorted; k is an input */
    int64_t axis;
    bool largest;
} nnf_top_k_options;
typedef struct nnf_split_options { /* n -1: an input, or n_outputs parts of one size */
    int64_t axis, num_outputs;     /* num_outputs 0: as many as the call has, which must divide */
    int n;
    int64_t sizes[2 * NNF_MAX_DIMS];
} nnf_split_options;
typedef struct nnf_cumulative_options { /* CumSum, CumProd; the axis is an input */
    bool exclusive, reverse;
} nnf_cumulative_options;
typedef struct nnf_trilu_options {
    bool upper;
} nnf_trilu_options;
typedef struct nnf_eye_options { /* EyeLike; dtype unknown: the input's */
    int64_t k;
    nnf_dtype dtype;
} nnf_eye_options;
typedef enum nnf_blocks_kind {                         /* how DepthToSpace reads channels */
                               NNF_BLOCKS_OUTSIDE = 0, /* [c, block]: mode CRD */
                               NNF_BLOCKS_INSIDE /* [block, c]: mode DCR; SpaceToDepth writes them
                                                    so */
} nnf_blocks_kind;
typedef struct nnf_blocks_options { /* DepthToSpace, SpaceToDepth */
    int64_t blocksize;
    nnf_blocks_kind kind;
} nnf_blocks_options;
typedef struct nnf_gather_nd_options {
    int64_t batch_dims;
} nnf_gather_nd_options;
typedef enum nnf_scatter_kind { /* what becomes of the element that was there */
                                NNF_SCATTER_REPLACE = 0,
                                NNF_SCATTER_ADD,
                                NNF_SCATTER_MUL,
                                NNF_SCATTER_MIN,
                                NNF_SCATTER_MAX
} nnf_scatter_kind;
typedef struct nnf_scatter_options { /* ScatterElements, ScatterND (which has no axis) */
    nnf_scatter_kind kind;
    int64_t axis;
} nnf_scatter_options;
/* LayerNorm and RMSNorm: over the axes from `axis` on, RMSNorm not `centred`. InstanceNorm (groups
 * 0) and GroupNorm: for each channel or group; scale_of_groups: scale and bias are [groups]. Scale
 * and bias are inputs. */
typedef struct nnf_norm_options {
    int64_t axis, groups;
    double eps;
    bool centred, scale_of_groups;
} nnf_norm_options;
typedef struct nnf_lp_norm_options {
    int64_t axis, p; /* p: 1 or 2 */
} nnf_lp_norm_options;
typedef struct nnf_lrn_options {
    int64_t size;
    double alpha, beta, bias;
} nnf_lrn_options;
typedef struct nnf_shape_options { /* Shape; end: NNF_SHAPE_TO_END is all */
    int64_t start, end;
} nnf_shape_options;
#define NNF_SHAPE_TO_END INT64_MAX
typedef struct nnf_slice_options { /* opset 1 - 9; n -1: starts, ends, axes, steps are inputs */
    int n;
    int64_t starts[NNF_MAX_DIMS], ends[NNF_MAX_DIMS], axes[NNF_MAX_DIMS];
} nnf_slice_options;
typedef struct nnf_isinf_options { /* which infinities count */
    bool negative, positive;
} nnf_isinf_options;
typedef struct nnf_cast_options {
    nnf_dtype to;
} nnf_cast_options;
typedef struct nnf_reshape_options {
    bool allowzero;
} nnf_reshape_options;
typedef struct nnf_transpose_options {
    int n; /* -1: reverse the axes */
    int64_t perm[NNF_MAX_DIMS];
} nnf_transpose_options;
typedef enum nnf_pad_kind {
    NNF_PAD_CONSTANT = 0,
    NNF_PAD_REFLECT,
    NNF_PAD_EDGE,
    NNF_PAD_WRAP
} nnf_pad_kind;
typedef struct nnf_pad_options { /* n -1: pads (and the value, and axes) are inputs */
    nnf_pad_kind kind;
    int n; /* entries in pads: begins, then ends */
    int64_t pads[2 * NNF_MAX_DIMS];
    double value;
} nnf_pad_options;

/* Constant (no input, gives its parameter "value") and ConstantOfShape (its parameter "value", one
 * element, in the shape that its input tells; unset: float32 zeros). */
NNF_API nnf_status nnf_constant_new(nnf_module **out, nnf_tensor *value);
NNF_API nnf_status nnf_constant_of_shape_new(nnf_module **out, nnf_tensor *value);
/* An operator that nnfuse does not know: it is carried along and cannot be run. */
typedef struct nnf_opaque_options {
    char *op_type, *domain; /* owned by the module; domain "" is ONNX's own */
} nnf_opaque_options;
NNF_API nnf_status nnf_opaque_new(nnf_module **out, const char *op_type, const char *domain);

/* The type row of that name ("Conv2d", "Add", "ReduceMean"), or NULL. */
NNF_API const nnf_module_type *nnf_type(const char *name);

/* ---- Fused types: containers of other modules, children "0", "1", ... ---- */

/* Makes the container of that name ("ConvReLU2d", "ConvBn2d", "LinearReLU", ...; see fuse.h) over
 * `modules` (retained). Names are torch.ao.nn.intrinsic's; ConvActivation2d, ConvAddActivation2d,
 * LinearActivation ... end in one of ReLU6, Clip, LeakyReLU, Sigmoid, Tanh, SiLU, Hardswish,
 * Hardsigmoid, GELU, ELU, Mish, Swish, PReLU (which holds its slope). A container with an Add
 * (ConvAdd2d, ConvAddReLU2d) takes the other operand as its last input; a Clip inside of one has
 * the bounds of its options. Its training flag is the first module's. NNF_ERROR_INVALID where a
 * module is not of the type that the name asks for: the message names both. */
NNF_API nnf_status nnf_fused_new(nnf_module **out, const char *name, nnf_module *const *modules,
                                 size_t n);

#ifdef __cplusplus
}
#endif
#endif
