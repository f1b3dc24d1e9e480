/* Tensors to TensorProto. */
#include "formats/onnx/ops.h"
#include "support/memory.h"

enum { BLOCK_BYTES = 65536 };

void nnfi_tensor_write_header(nnfi_text *to, const nnf_tensor *tensor, const char *name) {
    for (int i = 0; i < nnf_tensor_ndim(tensor); i++) {
        nnfi_put_int(to, TENSOR_DIMS, nnf_tensor_shape(tensor)[i]);
    }
    nnfi_put_int(to, TENSOR_DATA_TYPE, nnfi_onnx_dtype_of(nnf_tensor_dtype(tensor))->number);
    if (*name) nnfi_put_string(to, TENSOR_NAME, name);
}

nnf_status nnfi_tensor_write_raw(nnfi_text *to, const nnf_tensor *tensor) {
    char block[BLOCK_BYTES];
    int64_t size = (int64_t)nnf_dtype_size(nnf_tensor_dtype(tensor));
    int64_t n = nnf_tensor_numel(tensor), step = BLOCK_BYTES / size;
    nnfi_put_tag(to, TENSOR_RAW_DATA, NNFI_WIRE_BYTES);
    nnfi_put_varint(to, (uint64_t)(n * size));
    for (int64_t i = 0; i < n; i += step) {
        int64_t count = n - i < step ? n - i : step;
        NNFI_TRY(nnf_tensor_read(tensor, i, count, block));
        nnfi_text_add_bytes(to, block, (size_t)(count * size));
    }
    return NNF_OK;
}
