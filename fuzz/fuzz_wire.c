/* The protobuf reader on arbitrary bytes: every field of every message that could be one. */
#include "formats/onnx/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static nnf_status take(void *payload, uint64_t bits) {
    *(uint64_t *)payload ^= bits;
    return NNF_OK;
}

static void walk(nnfi_reader reader) {
    nnfi_field field;
    bool more = true;
    uint64_t mix = 0;
    while (nnfi_reader_next(&reader, &field, &more) == NNF_OK && more) {
        for (uint32_t type = 0; type <= NNFI_WIRE_FIXED32; type++) {
            if (type == NNFI_WIRE_VARINT || type == NNFI_WIRE_FIXED64 ||
                type == NNFI_WIRE_FIXED32) {
                (void)nnfi_reader_numbers(&reader, &field, type, take, &mix);
            }
        }
        nnfi_reader inner;
        if (field.type == NNFI_WIRE_BYTES &&
            nnfi_reader_enter(&inner, &reader, field.bytes, "field", field.number) == NNF_OK) {
            walk(inner);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    walk(nnfi_reader_of(data, size, "input"));
    return 0;
}
