#include "formats/onnx/schema.h"

#include "formats/onnx/wire.h"

static const nnfi_onnx_dtype dtypes[] = {
    {NNF_F32, 1, TENSOR_FLOAT_DATA, NNFI_WIRE_FIXED32},
    {NNF_U8, 2, TENSOR_INT32_DATA, NNFI_WIRE_VARINT},
    {NNF_I8, 3, TENSOR_INT32_DATA, NNFI_WIRE_VARINT},
    {NNF_I32, 6, TENSOR_INT32_DATA, NNFI_WIRE_VARINT},
    {NNF_I64, 7, TENSOR_INT64_DATA, NNFI_WIRE_VARINT},
    {NNF_BOOL, 9, TENSOR_INT32_DATA, NNFI_WIRE_VARINT},
    {NNF_F16, 10, TENSOR_INT32_DATA, NNFI_WIRE_VARINT},
    {NNF_F64, 11, TENSOR_DOUBLE_DATA, NNFI_WIRE_FIXED64},
    {NNF_BF16, 16, TENSOR_INT32_DATA, NNFI_WIRE_VARINT},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

const nnfi_onnx_dtype *nnfi_onnx_dtype_of_number(int64_t number) {
    for (int i = 0; i < N_DTYPES; i++) {
        if (dtypes[i].number == number) return &dtypes[i];
    }
    return NULL;
}

const nnfi_onnx_dtype *nnfi_onnx_dtype_of(nnf_dtype dtype) {
    for (int i = 0; i < N_DTYPES; i++) {
        if (dtypes[i].dtype == dtype) return &dtypes[i];
    }
    return NULL;
}
