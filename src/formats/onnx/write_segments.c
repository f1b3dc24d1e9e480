/* Segments: what the file is put together from. */
#include <string.h>

#include "formats/onnx/write.h"
#include "support/memory.h"

/* Tensors of more bytes go into the data file, where there is one; each begins on a page. */
enum { LEAST_EXTERNAL = 1024, DATA_ALIGNMENT = 4096, BLOCK_BYTES = 65536 };

static nnf_status append(nnfi_segment **list, size_t *n, size_t *capacity,
                         const nnfi_segment *segment) {
    if (!nnfi_reserve(list, capacity, *n + 1, sizeof **list)) {
        return nnfi_error_memory((*n + 1) * sizeof **list, "what is written");
    }
    (*list)[(*n)++] = *segment;
    return NNF_OK;
}

nnf_status nnfi_file_layout_add(nnfi_file_layout *layout, const nnfi_segment *segment) {
    nnfi_segment *last = layout->n_segments > 0 ? &layout->segments[layout->n_segments - 1] : NULL;
    if (segment->size == 0) return NNF_OK;
    if (last && segment->kind != NNFI_SEGMENT_TENSOR && last->kind == segment->kind &&
        last->begin + last->size == segment->begin) {
        last->size += segment->size;
        return NNF_OK;
    }
    return append(&layout->segments, &layout->n_segments, &layout->capacity, segment);
}

nnf_status nnfi_file_layout_add_owned(nnfi_file_layout *layout, size_t begin) {
    if (layout->owned.failed) return nnfi_error_memory(layout->owned.length, "what is written");
    return nnfi_file_layout_add(
        layout, &(nnfi_segment){NNFI_SEGMENT_OWNED, begin, layout->owned.length - begin, NULL});
}

uint64_t nnfi_file_layout_size(const nnfi_file_layout *layout) {
    uint64_t size = 0;
    for (size_t i = 0; i < layout->n_segments; i++) {
        size += layout->segments[i].size;
    }
    return size;
}

/* ---- Tensors ---- */

static void put_entry(nnfi_text *to, const char *key, const char *value) {
    nnfi_text entry = {0};
    nnfi_put_string(&entry, ENTRY_KEY, key);
    nnfi_put_string(&entry, ENTRY_VALUE, value);
    nnfi_put_message(to, TENSOR_EXTERNAL_DATA, &entry);
}

static void put_number_entry(nnfi_text *to, const char *key, uint64_t value) {
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_entry(to, key, digits + at);
}

static nnf_status add_external(nnfi_file_layout *layout, const nnf_tensor *tensor,
                               nnfi_text *message) {
    uint64_t begin = (layout->data_size + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    size_t size = (size_t)nnf_tensor_nbytes(tensor);
    put_entry(message, "location", layout->data_name);
    put_number_entry(message, "offset", begin);
    put_number_entry(message, "length", size);
    nnfi_put_int(message, TENSOR_DATA_LOCATION, TENSOR_LOCATION_EXTERNAL);
    layout->data_size = begin + size;
    size_t at = layout->owned.length;
    nnfi_put_message(&layout->owned, GRAPH_INITIALIZER, message);
    NNFI_TRY(nnfi_file_layout_add_owned(layout, at));
    return append(&layout->data, &layout->n_data, &layout->data_capacity,
                  &(nnfi_segment){NNFI_SEGMENT_TENSOR, (size_t)begin, size, tensor});
}

nnf_status nnfi_file_layout_add_tensor(nnfi_file_layout *layout, const nnf_tensor *tensor,
                                       const char *name) {
    nnfi_text message = {0};
    size_t size = (size_t)nnf_tensor_nbytes(tensor);
    nnfi_tensor_write_header(&message, tensor, name);
    if (layout->data_name && size > LEAST_EXTERNAL) {
        nnf_status status = add_external(layout, tensor, &message);
        nnfi_text_clear(&message);
        return status;
    }
    nnfi_put_tag(&message, TENSOR_RAW_DATA, NNFI_WIRE_BYTES);
    nnfi_put_varint(&message, size);
    size_t at = layout->owned.length;
    nnfi_put_tag(&layout->owned, GRAPH_INITIALIZER, NNFI_WIRE_BYTES);
    nnfi_put_varint(&layout->owned, (uint64_t)message.length + size);
    nnfi_text_add_bytes(&layout->owned, message.data, message.length);
    if (message.failed) layout->owned.failed = true;
    nnfi_text_clear(&message);
    NNFI_TRY(nnfi_file_layout_add_owned(layout, at));
    return nnfi_file_layout_add(layout, &(nnfi_segment){NNFI_SEGMENT_TENSOR, 0, size, tensor});
}

/* An original initializer whose data goes elsewhere. */
static nnf_status move_external(nnfi_file_layout *layout, nnfi_tensor_proto *proto) {
    nnfi_source *source = layout->plan->source;
    nnf_tensor *tensor;
    char *name = nnfi_source_string(source, proto->name);
    if (!name) return nnfi_error_memory(1, "a name");
    nnf_status status = nnfi_tensor_proto_tensor(&tensor, source, proto);
    if (status == NNF_OK && !tensor) {
        status = nnf_error(NNF_ERROR_UNSUPPORTED,
                           "the external data of '%s' cannot be moved: nnfuse has no tensor of "
                           "ONNX's element type %lld",
                           name, (long long)proto->data_type);
    }
    if (status == NNF_OK) status = nnfi_write_plan_hold(layout->plan, tensor);
    if (status == NNF_OK) status = nnfi_file_layout_add_tensor(layout, tensor, name);
    nnfi_free(name);
    return status;
}

nnf_status nnfi_file_layout_add_original(nnfi_file_layout *layout, size_t index) {
    nnfi_source *source = layout->plan->source;
    const nnfi_piece *piece = &source->pieces[source->initializers[index]];
    if (source->n_files > 0 && !layout->same_folder) {
        nnfi_tensor_proto proto;
        nnfi_reader reader = nnfi_source_reader(source, source->initializers[index],
                                                "graph.initializer", (int64_t)index);
        NNFI_TRY(nnfi_tensor_proto_read(&proto, reader));
        if (proto.external) return move_external(layout, &proto);
    }
    return nnfi_file_layout_add(layout, &(nnfi_segment){NNFI_SEGMENT_SOURCE, piece->begin,
                                                        piece->end - piece->begin, NULL});
}

/* ---- Bytes ---- */

static nnf_status write_tensor(const nnf_tensor *tensor, nnfi_sink sink, void *to) {
    int64_t block[BLOCK_BYTES / sizeof(int64_t)];
    int64_t size = (int64_t)nnf_dtype_size(nnf_tensor_dtype(tensor));
    int64_t n = nnf_tensor_numel(tensor), step = BLOCK_BYTES / size;
    for (int64_t i = 0; i < n; i += step) {
        int64_t count = n - i < step ? n - i : step;
        NNFI_TRY(nnf_tensor_read(tensor, i, count, block));
        NNFI_TRY(sink(to, block, (size_t)(count * size)));
    }
    return NNF_OK;
}

nnf_status nnfi_segments_write(const nnfi_file_layout *layout, const nnfi_segment *segments,
                               size_t n, nnfi_sink sink, void *to) {
    const nnfi_source *source = layout->plan->source;
    for (size_t i = 0; i < n; i++) {
        const nnfi_segment *s = &segments[i];
        if (s->kind == NNFI_SEGMENT_TENSOR) {
            NNFI_TRY(write_tensor(s->tensor, sink, to));
        } else if (s->kind == NNFI_SEGMENT_OWNED) {
            NNFI_TRY(sink(to, layout->owned.data + s->begin, s->size));
        } else {
            NNFI_TRY(sink(to, nnfi_bytes_data(source->bytes) + s->begin, s->size));
        }
        if (!nnfi_progress("writing", (double)(i + 1) / (double)n)) {
            return nnf_error(NNF_ERROR_CANCELLED, "writing was cancelled");
        }
    }
    return NNF_OK;
}
