/* TensorProto to tensor. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/read.h"
#include "support/memory.h"

static nnf_status take_dim(void *payload, uint64_t bits) {
    nnfi_tensor_proto *proto = payload;
    if (proto->ndim < NNF_MAX_DIMS) proto->dims[proto->ndim] = (int64_t)bits;
    if (proto->ndim <= NNF_MAX_DIMS) proto->ndim++;
    return NNF_OK;
}

nnf_status nnfi_tensor_proto_read(nnfi_tensor_proto *out, nnfi_reader reader) {
    nnfi_field field;
    *out = (nnfi_tensor_proto){.reader = reader};
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        switch (field.number) {
        case TENSOR_DIMS:
            NNFI_TRY(nnfi_reader_numbers(&reader, &field, NNFI_WIRE_VARINT, take_dim, out));
            break;
        case TENSOR_DATA_TYPE:
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_VARINT));
            out->data_type = (int64_t)field.value;
            break;
        case TENSOR_SEGMENT:
            out->segment = true;
            break;
        case TENSOR_NAME:
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            out->name = field.bytes;
            break;
        case TENSOR_RAW_DATA:
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            out->raw = field.bytes;
            out->has_raw = true;
            break;
        case TENSOR_DATA_LOCATION:
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_VARINT));
            out->external = field.value == TENSOR_LOCATION_EXTERNAL;
            break;
        default:
            break;
        }
    }
}

/* ---- Where the bytes stand as they are ---- */

static void release_bytes(void *payload) {
    nnfi_bytes_release(payload);
}

static nnf_status borrow(nnf_tensor **out, const nnfi_tensor_proto *proto, nnf_dtype dtype,
                         const nnfi_source *source, nnfi_bytes *bytes, size_t offset) {
    nnf_status status =
        nnf_tensor_borrow(out, dtype, proto->ndim, proto->dims, nnfi_bytes_data(bytes) + offset,
                          release_bytes, nnfi_bytes_retain(bytes));
    if (status != NNF_OK)
        nnfi_bytes_release(bytes);
    else if (source->check_range_late)
        nnfi_tensor_check_late(*out);
    return status;
}

static nnf_status tensor_error(const nnfi_tensor_proto *proto, const char *what, int64_t has,
                               int64_t needs, const char *unit) {
    char shape[NNFI_SHAPE_TEXT];
    size_t length = proto->name.end - proto->name.begin;
    return nnfi_reader_error(&proto->reader, proto->reader.at,
                             "tensor '%.*s': %s %" PRId64 " %s, but shape %s needs %" PRId64,
                             (int)(length < 256 ? length : 256),
                             (const char *)proto->reader.data + proto->name.begin, what, has, unit,
                             nnfi_shape_text(shape, sizeof shape, proto->ndim, proto->dims), needs);
}

/* A non-negative decimal number, all of the span. */
static bool parse_number(const nnfi_reader *reader, nnfi_span span, int64_t *value) {
    int64_t result = 0;
    for (size_t i = span.begin; i < span.end; i++) {
        uint8_t c = reader->data[i];
        if (c < '0' || c > '9') return false;
        if (!nnfi_mul(result, 10, &result) || !nnfi_add(result, c - '0', &result)) return false;
    }
    *value = result;
    return span.end > span.begin;
}

typedef struct external_range {
    nnfi_span location;
    int64_t offset, length; /* length -1: not given */
} external_range;

static nnf_status read_external_entry(external_range *range, const nnfi_source *source,
                                      const nnfi_reader *outer, nnfi_span entry) {
    nnfi_reader reader;
    nnfi_field field;
    nnfi_span key = {0, 0}, value = {0, 0};
    NNFI_TRY(nnfi_reader_enter(&reader, outer, entry, outer->place, outer->index));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) break;
        if (field.type != NNFI_WIRE_BYTES) continue;
        if (field.number == ENTRY_KEY) key = field.bytes;
        if (field.number == ENTRY_VALUE) value = field.bytes;
    }
    bool good = true;
    if (nnfi_source_equals(source, key, "location")) {
        range->location = value;
    } else if (nnfi_source_equals(source, key, "offset")) {
        good = parse_number(&reader, value, &range->offset);
    } else if (nnfi_source_equals(source, key, "length")) {
        good = parse_number(&reader, value, &range->length);
    }
    if (good) return NNF_OK;
    return nnfi_reader_error(&reader, value.begin,
                             "the offset or length of external data is no number");
}

static nnf_status read_external_range(external_range *range, const nnfi_source *source,
                                      const nnfi_tensor_proto *proto) {
    nnfi_reader reader = proto->reader;
    nnfi_field field;
    *range = (external_range){.length = -1};
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == TENSOR_EXTERNAL_DATA && field.type == NNFI_WIRE_BYTES) {
            NNFI_TRY(read_external_entry(range, source, &reader, field.bytes));
        }
    }
}

nnf_status nnfi_tensor_proto_location(nnfi_span *location, const nnfi_source *source,
                                      const nnfi_tensor_proto *proto) {
    external_range range;
    NNFI_TRY(read_external_range(&range, source, proto));
    *location = range.location;
    return NNF_OK;
}

/* The bytes that a tensor's elements take; -1 where nnfuse does not know the element type. */
static nnf_status needed_bytes(int64_t *nbytes, const nnfi_tensor_proto *proto) {
    const nnfi_onnx_dtype *row = nnfi_onnx_dtype_of_number(proto->data_type);
    *nbytes = -1;
    if (!row || proto->ndim > NNF_MAX_DIMS) return NNF_OK;
    int64_t numel;
    if (nnfi_shape_numel(proto->ndim, proto->dims, &numel) &&
        nnfi_mul(numel, (int64_t)nnf_dtype_size(row->dtype), nbytes)) {
        return NNF_OK;
    }
    char shape[NNFI_SHAPE_TEXT];
    return nnfi_reader_error(&proto->reader, proto->reader.at, "there is no tensor of shape %s",
                             nnfi_shape_text(shape, sizeof shape, proto->ndim, proto->dims));
}

static nnf_status open_external(nnfi_bytes **bytes, nnfi_source *source,
                                const nnfi_tensor_proto *proto, nnfi_span span) {
    char *location = nnfi_source_string(source, span);
    if (!location) return nnfi_error_memory(1, "a file name");
    nnf_status status;
    if (strlen(location) != span.end - span.begin || !*location) {
        status = nnf_error(NNF_ERROR_FORMAT, "the external data's location is no file name");
    } else {
        status = nnfi_source_external(source, bytes, location);
    }
    nnfi_free(location);
    if (status == NNF_OK) return NNF_OK;
    return nnfi_error_prefix(status, "byte %zu, %s[%" PRId64 "]: ", proto->reader.at,
                             proto->reader.place, proto->reader.index);
}

nnf_status nnfi_tensor_proto_external(nnfi_bytes **bytes, size_t *offset, size_t *size,
                                      nnfi_source *source, const nnfi_tensor_proto *proto) {
    external_range range;
    int64_t needs;
    NNFI_TRY(needed_bytes(&needs, proto));
    NNFI_TRY(read_external_range(&range, source, proto));
    NNFI_TRY(open_external(bytes, source, proto, range.location));
    int64_t has = (int64_t)nnfi_bytes_size(*bytes) - range.offset;
    if (has < 0) has = 0;
    if (needs < 0) needs = range.length < 0 ? has : range.length;
    if (range.length >= 0 && range.length != needs) {
        return tensor_error(proto, "external data has", range.length, needs, "bytes");
    }
    if (needs > has || range.offset < 0) {
        return tensor_error(proto, "the external data file has, behind its offset,", has, needs,
                            "bytes");
    }
    *offset = (size_t)range.offset;
    *size = (size_t)needs;
    return NNF_OK;
}

static nnf_status external_tensor(nnf_tensor **out, nnfi_source *source,
                                  const nnfi_tensor_proto *proto, nnf_dtype dtype) {
    nnfi_bytes *bytes;
    size_t offset, size;
    NNFI_TRY(nnfi_tensor_proto_external(&bytes, &offset, &size, source, proto));
    return borrow(out, proto, dtype, source, bytes, offset);
}

/* ---- Where the elements stand in a typed field ---- */

typedef struct element_sink {
    int64_t n;
    nnf_dtype dtype;
    uint8_t *data;
} element_sink;

static nnf_status count_element(void *payload, uint64_t bits) {
    (void)bits;
    ((element_sink *)payload)->n++;
    return NNF_OK;
}

static nnf_status store_element(void *payload, uint64_t bits) {
    element_sink *sink = payload;
    size_t size = nnf_dtype_size(sink->dtype);
    uint8_t *to = sink->data + (size_t)sink->n++ * size;
    if (sink->dtype == NNF_BOOL) bits = bits != 0;
    for (size_t i = 0; i < size; i++) { /* little-endian, as raw data in a file is */
        to[i] = (uint8_t)(bits >> (8 * i));
    }
    return NNF_OK;
}

static nnf_status visit_elements(const nnfi_tensor_proto *proto, const nnfi_onnx_dtype *row,
                                 nnf_status (*take)(void *, uint64_t), element_sink *sink) {
    nnfi_reader reader = proto->reader;
    nnfi_field field;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != row->field) continue;
        NNFI_TRY(nnfi_reader_numbers(&reader, &field, row->wire_type, take, sink));
    }
}

static nnf_status typed_tensor(nnf_tensor **out, const nnfi_tensor_proto *proto,
                               const nnfi_onnx_dtype *row, int64_t numel) {
    element_sink sink = {0, row->dtype, NULL};
    void *data;
    nnf_tensor *tensor;
    NNFI_TRY(visit_elements(proto, row, count_element, &sink));
    if (sink.n != numel) return tensor_error(proto, "it has", sink.n, numel, "elements");
    NNFI_TRY(nnf_tensor_new(&tensor, row->dtype, proto->ndim, proto->dims));
    nnf_status status = nnf_tensor_mut_data(tensor, &data);
    if (status == NNF_OK) {
        sink = (element_sink){0, row->dtype, data};
        status = visit_elements(proto, row, store_element, &sink);
    }
    if (status != NNF_OK) {
        nnf_tensor_release(tensor);
        return status;
    }
    *out = tensor;
    return NNF_OK;
}

nnf_status nnfi_tensor_proto_tensor(nnf_tensor **out, nnfi_source *source,
                                    const nnfi_tensor_proto *proto) {
    const nnfi_onnx_dtype *row = nnfi_onnx_dtype_of_number(proto->data_type);
    *out = NULL;
    if (!row || proto->ndim > NNF_MAX_DIMS || proto->segment) return NNF_OK;
    int64_t nbytes;
    NNFI_TRY(needed_bytes(&nbytes, proto));
    if (proto->external) return external_tensor(out, source, proto, row->dtype);
    int64_t numel = nbytes / (int64_t)nnf_dtype_size(row->dtype);
    if (!proto->has_raw) return typed_tensor(out, proto, row, numel);
    int64_t has = (int64_t)(proto->raw.end - proto->raw.begin);
    if (has != nbytes) return tensor_error(proto, "raw_data has", has, nbytes, "bytes");
    return borrow(out, proto, row->dtype, source, source->bytes, proto->raw.begin);
}
