/* What the layer rows share: the families that nnf_type finds rows in, the words of shape
 * inference, and the routines that move elements.
 *
 * Which constants are slots: the tensors that are a layer's weights (Conv's weight and bias, batch
 * norm's four, MatMul's and Gemm's second operand, PReLU's slope). Everything else that ONNX passes
 * as an input stays an input: Reshape's shape, Slice's starts, Clip's bounds, Add's second operand.
 * infer sees their known values in nnf_type_info.values. Constant and ConstantOfShape hold their
 * tensor as the parameter "value", which is no slot because no input can give it. */
#ifndef NNFI_NN_INTERNAL_H
#define NNFI_NN_INTERNAL_H

#include "module/module_internal.h"
#include "nnfuse/nn.h"
#include "run/kernels.h"
#include "support/memory.h"

/* ---- Families: one for each file of rows; nnf_type searches them all ---- */

#define NNFI_TYPE_FAMILY(rows) \
    { (rows), sizeof(rows) / sizeof *(rows), sizeof *(rows) }

extern const nnfi_type_family nnfi_conv_family;      /* Conv1d ... ConvTranspose3d */
extern const nnfi_type_family nnfi_linear_family;    /* Linear, Gemm, MatMul */
extern const nnfi_type_family nnfi_batchnorm_family; /* BatchNorm1d/2d/3d */
extern const nnfi_type_family nnfi_pool_family;      /* MaxPool1d ... GlobalMaxPool */
extern const nnfi_type_family nnfi_activation_family;
extern const nnfi_type_family nnfi_softmax_family;
extern const nnfi_type_family nnfi_elementwise_family; /* Add ... Xor, Min ... Mean */
extern const nnfi_type_family nnfi_logic_family;       /* Not, IsNaN, IsInf, Where */
extern const nnfi_type_family nnfi_cast_family;        /* Cast, CastLike */
extern const nnfi_type_family nnfi_reduce_family;      /* ReduceMean ... */
extern const nnfi_type_family nnfi_order_family;       /* ArgMax, ArgMin, TopK */
extern const nnfi_type_family nnfi_norm_family;        /* LayerNorm, GroupNorm ... */
extern const nnfi_type_family nnfi_arrange_family;     /* Split, Expand, Tile */
extern const nnfi_type_family nnfi_blocks_family;      /* DepthToSpace, SpaceToDepth */
extern const nnfi_type_family nnfi_cumulative_family;  /* CumSum, CumProd */
extern const nnfi_type_family nnfi_resize_family;
extern const nnfi_type_family nnfi_index_family; /* GatherElements, ScatterND ... */
extern const nnfi_type_family
    nnfi_generate_family;                        /* Range, Size, OneHot, EyeLike, Trilu, NonZero */
extern const nnfi_type_family nnfi_shape_family; /* Shape, Reshape, Flatten, Squeeze ... */
extern const nnfi_type_family nnfi_constant_family; /* Constant, ConstantOfShape */
extern const nnfi_type_family nnfi_movement_family; /* Transpose, Slice, Concat, Gather */
extern const nnfi_type_family nnfi_pad_family;
extern const nnfi_type_family nnfi_dropout_family;
extern const nnfi_type_family nnfi_container_family; /* Sequential, Module, Identity, Opaque */
extern const nnfi_type_family nnfi_fused_family;

/* ---- Fused containers ---- */

/* Whether fused types end in modules of this type. */
bool nnfi_is_fused_activation(const char *type);
/* The name of the container over exactly these types ("Conv2d", "ReLU": "ConvReLU2d"), or NULL. */
const char *nnfi_fused_name_of(const char *const *types, size_t n);

/* The activations beside ReLU that end a fused type: row(name, ...) for each, with commas. */
#define NNFI_FUSED_ACTIVATIONS(row, ...)                                                          \
    row("ReLU6", __VA_ARGS__), row("Clip", __VA_ARGS__), row("LeakyReLU", __VA_ARGS__),           \
        row("Sigmoid", __VA_ARGS__), row("Tanh", __VA_ARGS__), row("SiLU", __VA_ARGS__),          \
        row("Hardswish", __VA_ARGS__), row("Hardsigmoid", __VA_ARGS__), row("GELU", __VA_ARGS__), \
        row("ELU", __VA_ARGS__), row("Mish", __VA_ARGS__), row("Swish", __VA_ARGS__),             \
        row("PReLU", __VA_ARGS__)

/* Whether the module knows by itself what its input `index`, a constant, says: a Clip's bounds are
 * in its options, ReLU6's are its type. Inside a fused type it runs without that input. */
bool nnfi_activation_knows(const nnf_module *module, size_t index, const nnf_tensor *constant);

/* infer and forward of containers whose children run one after another (fused types too). */
nnf_status nnfi_infer_children(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs);
nnf_status nnfi_forward_children(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs);
/* Sets children "0" .. "n-1". */
nnf_status nnfi_set_numbered_children(nnf_module *module, nnf_module *const *children, size_t n);

/* ---- Lifted layers ---- */

/* Types of layers that a graph computed in several steps: the same as their namesakes, with the
 * modules that they were as children "0", "1", ... in execution order, which only a writer looks
 * at. */
extern const nnfi_type_family nnfi_lifted_activation_family;
extern const nnfi_type_family nnfi_lifted_norm_family;
extern const nnfi_type_family nnfi_lifted_linear_family;
enum { NNFI_LIFTED_NODES = 12, NNFI_LIFTED_INPUTS = 3 };

/* What a child's input is, if it is not what the child of that number gave. */
enum {
    NNFI_WIRE_NONE = -1,
    NNFI_WIRE_DATA = -2,    /* the lifted layer's first input */
    NNFI_WIRE_CAPTURE = -3, /* the call's next capture: counted over children, then inputs */
};
typedef struct nnfi_lifted_options {
    union {
        nnf_activation_options activation;
        nnf_norm_options norm;
        nnf_linear_options linear;
    } as; /* first: what the namesake's functions read */
    int8_t wires[NNFI_LIFTED_NODES][NNFI_LIFTED_INPUTS];
} nnfi_lifted_options;

/* The lifted type of that name, or NULL. */
const nnf_module_type *nnfi_lifted_type(const char *name);
bool nnfi_is_lifted(const nnf_module *module);
/* Whether an activation has PyTorch's default alpha and beta, but for rounding to float32. */
bool nnfi_activation_is_default(const nnf_module *module);

/* ---- Shape inference ---- */

static inline nnf_dim nnfi_dim(int64_t value) {
    return (nnf_dim){value, 0};
}
static inline nnf_dim nnfi_unknown_dim(void) {
    return (nnf_dim){0, NNF_DIM_UNKNOWN};
}
static inline bool nnfi_dim_known(nnf_dim dim) {
    return dim.symbol == 0;
}
static inline bool nnfi_dim_is(nnf_dim dim, int64_t value) {
    return dim.symbol == 0 && dim.value == value;
}
/* Equal for sure: two unknown dimensions are not. */
bool nnfi_dim_equal(nnf_dim a, nnf_dim b);
/* Different for sure: both known. */
bool nnfi_dim_differ(nnf_dim a, nnf_dim b);
/* Two statements about one dimension made one: the more telling of them. */
nnf_dim nnfi_dim_either(nnf_dim a, nnf_dim b);
/* The product as far as it is known (1 * x is x, 0 * x is 0); NNF_ERROR_SHAPE on overflow. */
nnf_status nnfi_dim_mul(nnf_dim *out, nnf_dim a, nnf_dim b);
/* The product of dims[first .. last). */
nnf_status nnfi_dim_product(nnf_dim *out, const nnf_dim *dims, int first, int last);

/* Whether shape inference keeps the elements of small tensors of this dtype. */
static inline bool nnfi_keeps_values(nnf_dtype dtype) {
    return dtype == NNF_I32 || dtype == NNF_I64 || dtype == NNF_BOOL;
}
/* Whether rank and every dimension are known. */
bool nnfi_info_is_static(const nnf_type_info *info);
/* Sets rank and shape; ndim at most NNF_MAX_DIMS. */
void nnfi_info_set_shape(nnf_type_info *info, int ndim, const nnf_dim *shape);
/* Sets dtype, rank and shape to those of `from` (not the values). */
void nnfi_info_set_like(nnf_type_info *info, const nnf_type_info *from);
/* Writes "float32 [s1, 3, ?, 32]" into a buffer and returns it; s1 is the graph's symbol 1. */
const char *nnfi_info_text(char *buffer, size_t size, const nnf_type_info *info);
#define NNFI_INFO_TEXT 256

/* inputs[index], or NULL where it was not given. */
static inline const nnf_type_info *nnfi_input(const nnf_type_info *const *inputs, size_t n_inputs,
                                              size_t index) {
    return index < n_inputs ? inputs[index] : NULL;
}
/* The same for tensors. */
static inline nnf_tensor *nnfi_input_tensor(nnf_tensor *const *inputs, size_t n_inputs,
                                            size_t index) {
    return index < n_inputs ? inputs[index] : NULL;
}
/* NNF_ERROR_INVALID "Conv2d needs at least 1 input and gives at most 1 output, not ..." unless
 * inputs[0 .. least) are there and the counts are within bounds. */
nnf_status nnfi_check_arity(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, size_t least, size_t most, size_t n_outputs,
                            size_t most_outputs);
/* NNF_ERROR_DTYPE unless the dtype is a float or unknown. */
nnf_status nnfi_check_float(const nnf_module *module, const nnf_type_info *info);
/* NNF_ERROR_DTYPE for bool. */
nnf_status nnfi_check_number(const nnf_module *module, const nnf_type_info *info);
/* Merges two inputs' dtypes, which must be the same where both are known. */
nnf_status nnfi_merge_dtype(const nnf_module *module, nnf_dtype *out, nnf_dtype a, nnf_dtype b);
/* An axis that counts from the end where it is negative, made one in [0, ndim). */
nnf_status nnfi_normalize_axis(const nnf_module *module, int *out, int64_t axis, int ndim);
/* numpy's broadcasting of the two shapes, into `out`'s rank and shape. */
nnf_status nnfi_broadcast(const nnf_module *module, nnf_type_info *out, const nnf_type_info *a,
                          const nnf_type_info *b);
/* infer of a layer whose output has its first input's dtype (a float) and shape. */
nnf_status nnfi_infer_float_same(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs);

/* A list of integers that is an option or an input, as far as it is known. */
typedef struct nnfi_ints {
    bool given; /* else the list is not there at all, and n is 0 */
    int n;      /* -1: not even the length is known */
    nnf_dim values[NNF_MAX_KNOWN_VALUES];
} nnfi_ints;
/* Of an option (n < 0: not given), which has room for `room` of them. NNF_ERROR_INVALID where a
 * program says that it holds more. */
nnf_status nnfi_ints_of_option(nnfi_ints *out, const nnf_module *module, const char *what,
                               const int64_t *values, int room, int n);
#define NNFI_ROOM(array) ((int)(sizeof(array) / sizeof *(array)))
/* Of an input (NULL: not given); a scalar is a list of one. NNF_ERROR_DTYPE unless i32 or i64. */
nnf_status nnfi_ints_of_info(nnfi_ints *out, const nnf_module *module, const char *what,
                             const nnf_type_info *info);
/* The numbers of a list of axes, normalized; *known false where one is unknown. NNF_ERROR_SHAPE
 * where one is out of range or there twice. */
nnf_status nnfi_ints_axes(const nnfi_ints *list, const nnf_module *module, int ndim, int *axes,
                          bool *known);

/* What the actual tensors of a call show: for a forward that plans as its infer does. */
typedef struct nnfi_infos {
    nnf_type_info info[5];
    const nnf_type_info *pointers[5];
    size_t n;
} nnfi_infos;
nnf_status nnfi_infos_of_tensors(nnfi_infos *out, nnf_tensor *const *inputs, size_t n_inputs);
void nnfi_infos_clear(nnfi_infos *infos);

/* ---- Arithmetic ---- */

/* y = a OP b, both of one dtype, broadcast to y's shape. y may be a (of the same shape). */
nnf_status nnfi_binary_run(nnf_session *session, nnf_binary kind, const nnf_tensor *a,
                           const nnf_tensor *b, nnf_tensor *y);
/* The same with a number for b. */
nnf_status nnfi_binary_number(nnf_session *session, nnf_binary kind, const nnf_tensor *a, double b,
                              nnf_tensor *y);
/* Strides, in elements, of an operand seen in the shape of the result: 0 where it repeats. */
void nnfi_broadcast_strides(int64_t *strides, int ndim, int operand_ndim, const int64_t *shape);
/* Spreads an operand's known elements over the shape of `result`, which is static as it is. */
void nnfi_spread_values(nnf_dim *to, const nnf_type_info *result, const nnf_type_info *operand);

/* ---- Moving elements ---- */

/* Writes the strides, in elements, of a contiguous tensor. */
void nnfi_contiguous_strides(int64_t *strides, int ndim, const int64_t *shape);

/* Copies an array of elements of `size` bytes: to[i . to_strides] = from[i . from_strides] for
 * every index i below `shape`. Strides count elements and may be 0 or negative in `from`. The one
 * routine behind Transpose, Slice, Concat and Pad; infer runs it on nnf_dim elements too. */
typedef struct nnfi_copy {
    size_t size;
    int ndim;
    int64_t shape[NNF_MAX_DIMS], to_strides[NNF_MAX_DIMS], from_strides[NNF_MAX_DIMS];
    void *to;
    const void *from;
    int threads;
} nnfi_copy;
void nnfi_strided_copy(const nnfi_copy *copy);

/* Pads (or, with negative numbers, crops) a contiguous array: y has begin + shape + end elements on
 * each axis. Shapes were checked: reflect needs every pad below its axis, edge and wrap an axis
 * that is not empty. NNF_ERROR_MEMORY. */
typedef struct nnfi_padding {
    nnf_pad_kind kind;
    size_t size; /* bytes of an element */
    int ndim;
    int64_t shape[NNF_MAX_DIMS], begin[NNF_MAX_DIMS], end[NNF_MAX_DIMS];
    const void *value; /* constant: one element */
    const void *x;
    void *y;
    int threads;
} nnfi_padding;
nnf_status nnfi_pad(const nnfi_padding *padding);

/* Copies all elements of `from`, row-major, into a contiguous tensor of the same dtype and count:
 * layers that only change the shape. */
nnf_status nnfi_copy_elements(nnf_tensor *to, const nnf_tensor *from);

/* ---- cuts.c ---- */

/* What Slices cut of a value: the operator's lists, an element of each for each axis. */
enum {
    NNFI_CUT_STARTS,
    NNFI_CUT_ENDS,
    NNFI_CUT_AXES, /* not negative */
    NNFI_CUT_STEPS,
    NNFI_CUT_LISTS
};
typedef struct nnfi_cuts {
    int64_t n, lists[NNFI_CUT_LISTS][NNF_MAX_DIMS];
} nnfi_cuts;
/* Adds what a Slice with these lists (the steps may be NULL) cuts of a value of rank `ndim`. False
 * where they are not lists for different axes, none of which is cut already. */
bool nnfi_add_cuts(nnfi_cuts *cuts, const nnf_tensor *const lists[NNFI_CUT_LISTS], int ndim);

#endif
