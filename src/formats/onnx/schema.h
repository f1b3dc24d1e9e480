/* onnx.proto: the field numbers that nnfuse reads or writes, and ONNX's element types. */
#ifndef NNFI_ONNX_SCHEMA_H
#define NNFI_ONNX_SCHEMA_H

#include "nnfuse/tensor.h"

enum { /* ModelProto */
       MODEL_IR_VERSION = 1,
       MODEL_PRODUCER_NAME = 2,
       MODEL_PRODUCER_VERSION = 3,
       MODEL_GRAPH = 7,
       MODEL_OPSET_IMPORT = 8,
       MODEL_FUNCTIONS = 25
};
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { FUNCTION_NAME = 1, FUNCTION_DOMAIN = 10 };
enum { /* GraphProto */
       GRAPH_NODE = 1,
       GRAPH_NAME = 2,
       GRAPH_INITIALIZER = 5,
       GRAPH_INPUT = 11,
       GRAPH_OUTPUT = 12,
       GRAPH_VALUE_INFO = 13,
       GRAPH_SPARSE_INITIALIZER = 15
};
enum { /* NodeProto */
       NODE_INPUT = 1,
       NODE_OUTPUT = 2,
       NODE_NAME = 3,
       NODE_OP_TYPE = 4,
       NODE_ATTRIBUTE = 5,
       NODE_DOMAIN = 7
};
enum { /* AttributeProto */
       ATTRIBUTE_NAME = 1,
       ATTRIBUTE_F = 2,
       ATTRIBUTE_I = 3,
       ATTRIBUTE_S = 4,
       ATTRIBUTE_T = 5,
       ATTRIBUTE_G = 6,
       ATTRIBUTE_FLOATS = 7,
       ATTRIBUTE_INTS = 8,
       ATTRIBUTE_GRAPHS = 11,
       ATTRIBUTE_TYPE = 20,
       ATTRIBUTE_REF_NAME = 21
};
enum { /* AttributeProto.AttributeType */
       ATTRIBUTE_TYPE_UNDEFINED = 0,
       ATTRIBUTE_TYPE_FLOAT = 1,
       ATTRIBUTE_TYPE_INT = 2,
       ATTRIBUTE_TYPE_STRING = 3,
       ATTRIBUTE_TYPE_TENSOR = 4,
       ATTRIBUTE_TYPE_FLOATS = 6,
       ATTRIBUTE_TYPE_INTS = 7
};
enum { /* TensorProto */
       TENSOR_DIMS = 1,
       TENSOR_DATA_TYPE = 2,
       TENSOR_SEGMENT = 3,
       TENSOR_FLOAT_DATA = 4,
       TENSOR_INT32_DATA = 5,
       TENSOR_STRING_DATA = 6,
       TENSOR_INT64_DATA = 7,
       TENSOR_NAME = 8,
       TENSOR_RAW_DATA = 9,
       TENSOR_DOUBLE_DATA = 10,
       TENSOR_UINT64_DATA = 11,
       TENSOR_EXTERNAL_DATA = 13,
       TENSOR_DATA_LOCATION = 14
};
enum { TENSOR_LOCATION_EXTERNAL = 1 };
enum { SPARSE_VALUES = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { VALUE_INFO_NAME = 1, VALUE_INFO_TYPE = 2 };
enum { TYPE_TENSOR = 1 };
enum { TENSOR_TYPE_ELEM_TYPE = 1, TENSOR_TYPE_SHAPE = 2 };
enum { SHAPE_DIM = 1 };
enum { DIM_VALUE = 1, DIM_PARAM = 2 };

/* The oldest and the newest that nnfuse reads. Nodes of a newer opset are opaque: what they compute
 * may have changed. A newer IR version only adds fields, which pass through. */
enum { ONNX_OLDEST_IR = 3, ONNX_OLDEST_OPSET = 7, ONNX_NEWEST_OPSET = 28 };

/* TensorProto.DataType, for the element types that nnfuse has. */
typedef struct nnfi_onnx_dtype {
    nnf_dtype dtype;
    int number;
    uint32_t field; /* that holds its elements where there is no raw_data */
    uint32_t wire_type;
} nnfi_onnx_dtype;
/* The row of a number or a dtype; NULL where nnfuse (or ONNX) has none. */
const nnfi_onnx_dtype *nnfi_onnx_dtype_of_number(int64_t number);
const nnfi_onnx_dtype *nnfi_onnx_dtype_of(nnf_dtype dtype);

#endif
