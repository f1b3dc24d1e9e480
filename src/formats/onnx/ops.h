/* The operators that nnfuse knows: one row for each (and for each opset in which it changed), which
 * says how attributes and options correspond. Reading and writing use the same rows. */
#ifndef NNFI_ONNX_OPS_H
#define NNFI_ONNX_OPS_H

#include "formats/onnx/read.h"
#include "nnfuse/nn.h"

/* Room for the options of any row. */
typedef union nnfi_options {
    int spatial; /* what the structs of convolutions and pools begin with */
    nnf_conv_options conv;
    nnf_linear_options linear;
    nnf_gemm_options gemm;
    nnf_batchnorm_options batchnorm;
    nnf_activation_options activation;
    nnf_softmax_options softmax;
    nnf_pool_options pool;
    nnf_global_pool_options global_pool;
    nnf_flatten_options flatten;
    nnf_dropout_options dropout;
    nnf_binary_options binary;
    nnf_axes_options axes;
    nnf_axis_options axis;
    nnf_arg_options arg;
    nnf_top_k_options top_k;
    nnf_split_options split;
    nnf_cumulative_options cumulative;
    nnf_trilu_options trilu;
    nnf_eye_options eye;
    nnf_blocks_options blocks;
    nnf_gather_nd_options gather_nd;
    nnf_scatter_options scatter;
    nnf_norm_options norm;
    nnf_lp_norm_options lp_norm;
    nnf_lrn_options lrn;
    nnf_resize_options resize;
    nnf_shape_options shape;
    nnf_slice_options slice;
    nnf_isinf_options isinf;
    nnf_cast_options cast;
    nnf_reshape_options reshape;
    nnf_transpose_options transpose;
    nnf_pad_options pad;
} nnfi_options;

/* How an attribute's value stands in the options struct, at `offset`. */
typedef enum nnfi_attribute_kind {
    NNFI_ATTRIBUTE_INT,      /* int64_t */
    NNFI_ATTRIBUTE_BOOL,     /* bool; 0 or 1 in the file */
    NNFI_ATTRIBUTE_ONE,      /* nothing: it must be 1 */
    NNFI_ATTRIBUTE_ANY,      /* nothing: it does not matter to the dtypes that nnfuse has */
    NNFI_ATTRIBUTE_FLOAT,    /* double */
    NNFI_ATTRIBUTE_MOMENTUM, /* double; ONNX's is one minus PyTorch's */
    NNFI_ATTRIBUTE_LIST,     /* int64_t[NNF_MAX_DIMS], with their count, an int, at `count` */
    NNFI_ATTRIBUTE_PAD_LIST, /* the same with int64_t[2 * NNF_MAX_DIMS] */
    NNFI_ATTRIBUTE_SPATIAL,  /* int64_t[NNF_MAX_SPATIAL], one for each spatial axis */
    NNFI_ATTRIBUTE_PADS,     /* two of them, begins and ends */
    NNFI_ATTRIBUTE_AUTO_PAD, /* enums, strings in the file */
    NNFI_ATTRIBUTE_PAD_MODE,
    NNFI_ATTRIBUTE_GELU,
    NNFI_ATTRIBUTE_DIRECTION,
    NNFI_ATTRIBUTE_REDUCTION,
    NNFI_ATTRIBUTE_BLOCKS,
    NNFI_ATTRIBUTE_RESIZE_MODE,
    NNFI_ATTRIBUTE_COORDINATES,
    NNFI_ATTRIBUTE_NEAREST,
    NNFI_ATTRIBUTE_POLICY,
    NNFI_ATTRIBUTE_DTYPE,       /* nnf_dtype */
    NNFI_ATTRIBUTE_VALUE,       /* the module's parameter "value", as a tensor */
    NNFI_ATTRIBUTE_VALUE_FLOAT, /* other spellings of it, which are only read */
    NNFI_ATTRIBUTE_VALUE_FLOATS,
    NNFI_ATTRIBUTE_VALUE_INT,
    NNFI_ATTRIBUTE_VALUE_INTS,
    NNFI_ATTRIBUTE_FIXED /* no attribute: an option of `count` bytes that is the defaults' in every
                            node, because the operator means that and nothing else */
} nnfi_attribute_kind;

typedef struct nnfi_attribute_row {
    const char *name; /* NULL ends the table */
    nnfi_attribute_kind kind;
    size_t offset, count;
    bool required;
    int since; /* the opset that brought the attribute; 0: it is as old as the row */
} nnfi_attribute_row;
/* A row for an option that the operator fixes. */
#define NNFI_ATTRIBUTE_FIXES(options, member)                                                  \
    {                                                                                          \
#member, NNFI_ATTRIBUTE_FIXED, offsetof(options, member), sizeof((options){0}.member), \
            false, 0                                                                           \
    }

/* A node while its module is made. */
typedef struct nnfi_node_call {
    const nnf_type_info *const *inputs; /* NULL where an input is left out */
    nnf_tensor *const *constants;       /* of the inputs: NULL where one is not constant */
    nnf_tensor *const *numbers;         /* the same, and what nnfi_numbers has */
    size_t n_inputs, n_outputs;
    int spatial;       /* how many numbers the attributes have for each kind of padding, stride ...;
                          0: there was none */
    nnf_tensor *value; /* the tensor of NNFI_ATTRIBUTE_VALUE: one reference */
    char type[32];     /* of the module */
    int rank;          /* of the output, where the operator alone says it; 0: it does not */
} nnfi_node_call;

typedef struct nnfi_onnx_op {
    const char *op_type;
    int first_opset, last_opset;
    const char *type; /* of the module; a "#" stands for the number of spatial axes */
    size_t options_size;
    const nnfi_attribute_row *attributes;
    const void *defaults; /* options where the file has no attribute; NULL: all zero */
    /* Completes options and call->type from the inputs; false: nnfuse cannot express this node. */
    bool (*complete)(nnfi_node_call *call, nnfi_options *options);
} nnfi_onnx_op;

/* Rows of one theme, sorted by name and those of one operator by opset. */
typedef struct nnfi_onnx_table {
    const nnfi_onnx_op *ops;
    size_t n;
} nnfi_onnx_table;
#define NNFI_ONNX_TABLE(rows) \
    { (rows), sizeof(rows) / sizeof *(rows) }
#define NNFI_ONNX_ROW(op, first, last, type, options, attributes, defaults, complete) \
    { op, first, last, type, sizeof(options), attributes, defaults, complete }
/* Without options. */
#define NNFI_ONNX_PLAIN(op, first, type) \
    { op, first, ONNX_NEWEST_OPSET, type, 0, nnfi_no_attributes, NULL, NULL }
extern const nnfi_onnx_table nnfi_onnx_layers, nnfi_onnx_elementwise, nnfi_onnx_tensors;
extern const nnfi_attribute_row nnfi_no_attributes[1];

/* ---- Numbers (read_numbers.c) ---- */

/* Vectors of at most NNF_MAX_DIMS f32 that calls compute from nothing but constants. */
typedef struct nnfi_numbers {
    nnf_tensor **tensors; /* [n], of each value; NULL before the first one is known */
    size_t n;
} nnfi_numbers;
/* Computes what the call gives, whose type is `result`, where that is such a vector. */
nnf_status nnfi_numbers_add(nnfi_numbers *numbers, const nnfi_graph *graph, const nnfi_call *call,
                            const nnf_type_info *result);
/* Borrowed; NULL where it is not known. */
nnf_tensor *nnfi_numbers_get(const nnfi_numbers *numbers, nnf_value value);
void nnfi_numbers_clear(nnfi_numbers *numbers);

/* ---- Rows ---- */

/* For `complete`: the only element of a constant input; false where there is none. */
bool nnfi_constant_number(const nnfi_node_call *call, size_t index, double *value);

/* The row for an operator of ONNX's own domain; NULL where there is none. */
const nnfi_onnx_op *nnfi_onnx_op_find(const char *op_type, size_t length, int64_t opset);
/* The row that writes modules of this type; NULL where there is none. */
const nnfi_onnx_op *nnfi_onnx_op_of_type(const char *type, int64_t opset);

/* Reads the attributes of a node into options. *known is false where one is unknown or has a value
 * that the options cannot say. */
nnf_status nnfi_attributes_read(bool *known, nnfi_options *options, nnfi_node_call *call,
                                const nnfi_onnx_op *op, nnfi_reader node, nnfi_source *source);
/* Appends the attributes that differ from the operator's defaults to a NodeProto, which is empty
 * after an error. NNF_ERROR_UNSUPPORTED where the operator of this opset cannot say what the
 * options do. */
nnf_status nnfi_attributes_write(nnfi_text *node, const nnfi_onnx_op *op, int64_t opset,
                                 const void *options, const nnf_module *module);

/* Appends a TensorProto's fields but its elements; and the elements, as raw_data. */
void nnfi_tensor_write_header(nnfi_text *to, const nnf_tensor *tensor, const char *name);
nnf_status nnfi_tensor_write_raw(nnfi_text *to, const nnf_tensor *tensor);

#endif
