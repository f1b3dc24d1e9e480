/* Segments: what the file is put together from. */
#include <string.h>

#include "formats/onnx/replace.h"
#include "formats/onnx/write.h"
#include "support/memory.h"

/* Tensors of more bytes go into the data file, where there is one; each begins on a page. */
enum { LEAST_EXTERNAL = 1024, DATA_ALIGNMENT = 4096 };
/* Tensors of no more bytes are computed at once: as segments they would take more memory. */
enum { MOST_AT_ONCE = 128 };

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
    if (last && !segment->tensor && !last->tensor && last->bytes == segment->bytes &&
        last->begin + last->size == segment->begin) {
        last->size += segment->size;
        return NNF_OK;
    }
    return append(&layout->segments, &layout->n_segments, &layout->capacity, segment);
}

nnf_status nnfi_file_layout_add_owned(nnfi_file_layout *layout, size_t begin) {
    if (layout->owned.failed) return nnfi_error_memory(layout->owned.length, "what is written");
    return nnfi_file_layout_add(
        layout, &(nnfi_segment){.begin = begin, .size = layout->owned.length - begin});
}

nnf_status nnfi_file_layout_add_source(nnfi_file_layout *layout, size_t begin, size_t end) {
    return nnfi_file_layout_add(
        layout,
        &(nnfi_segment){.bytes = layout->plan->source->bytes, .begin = begin, .size = end - begin});
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

/* Appends the TensorProto that `header` begins, with the elements that `data` is. */
static nnf_status add_raw(nnfi_file_layout *layout, nnfi_text *header, const nnfi_segment *data) {
    size_t at = layout->owned.length;
    nnfi_put_tag(header, TENSOR_RAW_DATA, NNFI_WIRE_BYTES);
    nnfi_put_varint(header, data->size);
    nnfi_put_tag(&layout->owned, GRAPH_INITIALIZER, NNFI_WIRE_BYTES);
    nnfi_put_varint(&layout->owned, (uint64_t)header->length + data->size);
    nnfi_text_add_bytes(&layout->owned, header->data, header->length);
    if (header->failed) layout->owned.failed = true;
    NNFI_TRY(nnfi_file_layout_add_owned(layout, at));
    return nnfi_file_layout_add(layout, data);
}

/* The data file's first page says whose it is. */
static nnf_status add_mark(nnfi_file_layout *layout) {
    size_t at = layout->owned.length, size = strlen(nnfi_data_mark);
    nnfi_text_add_bytes(&layout->owned, nnfi_data_mark, size);
    layout->data_size = size;
    return append(&layout->data, &layout->n_data, &layout->data_capacity,
                  &(nnfi_segment){.begin = at, .size = size});
}

/* The same with the elements in the data file. */
static nnf_status add_external(nnfi_file_layout *layout, nnfi_text *header, nnfi_segment data) {
    if (layout->n_data == 0) NNFI_TRY(add_mark(layout));
    size_t at = layout->owned.length;
    data.at = (layout->data_size + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    put_entry(header, "location", layout->data_name);
    put_number_entry(header, "offset", data.at);
    put_number_entry(header, "length", data.size);
    nnfi_put_int(header, TENSOR_DATA_LOCATION, TENSOR_LOCATION_EXTERNAL);
    nnfi_put_message(&layout->owned, GRAPH_INITIALIZER, header);
    NNFI_TRY(nnfi_file_layout_add_owned(layout, at));
    layout->data_size = data.at + data.size;
    return append(&layout->data, &layout->n_data, &layout->data_capacity, &data);
}

/* Clears the header. */
static nnf_status add_initializer(nnfi_file_layout *layout, nnfi_text *header,
                                  const nnfi_segment *data) {
    bool external = layout->data_name && data->size > LEAST_EXTERNAL;
    nnf_status status =
        external ? add_external(layout, header, *data) : add_raw(layout, header, data);
    nnfi_text_clear(header);
    return status;
}

nnf_status nnfi_file_layout_add_tensor(nnfi_file_layout *layout, const nnf_tensor *tensor,
                                       const char *name) {
    nnfi_text header = {0};
    const size_t size = (size_t)nnf_tensor_nbytes(tensor);
    nnfi_tensor_write_header(&header, tensor, name);
    if (size > MOST_AT_ONCE)
        return add_initializer(layout, &header, &(nnfi_segment){.tensor = tensor, .size = size});
    const size_t at = layout->owned.length;
    nnf_status status = nnfi_tensor_write_raw(&header, tensor);
    nnfi_put_message(&layout->owned, GRAPH_INITIALIZER, &header);
    return status == NNF_OK ? nnfi_file_layout_add_owned(layout, at) : status;
}

/* Whether a field holds a tensor's elements as bytes, or says where they are. */
static bool is_data_field(uint32_t number) {
    return number == TENSOR_RAW_DATA || number == TENSOR_EXTERNAL_DATA ||
           number == TENSOR_DATA_LOCATION;
}

/* An original initializer whose elements stand elsewhere: all else in it stays. */
static nnf_status add_moved(nnfi_file_layout *layout, nnfi_reader reader,
                            const nnfi_segment *data) {
    nnfi_field field;
    nnfi_text header = {0};
    nnf_status status = NNF_OK;
    for (bool more;;) {
        status = nnfi_reader_next(&reader, &field, &more);
        if (status != NNF_OK || !more) break;
        if (is_data_field(field.number)) continue;
        nnfi_text_add_bytes(&header, (const char *)reader.data + field.whole.begin,
                            field.whole.end - field.whole.begin);
    }
    if (status == NNF_OK) return add_initializer(layout, &header, data);
    nnfi_text_clear(&header);
    return status;
}

/* Whether the initializer's elements must be moved, and where they are. */
static nnf_status must_move(bool *must, nnfi_segment *data, const nnfi_file_layout *layout,
                            const nnfi_tensor_proto *proto) {
    nnfi_source *source = layout->plan->source;
    nnfi_bytes *bytes = source->bytes;
    *must = layout->all_external && proto->has_raw &&
            proto->raw.end - proto->raw.begin > LEAST_EXTERNAL;
    *data = (nnfi_segment){.begin = proto->raw.begin, .size = proto->raw.end - proto->raw.begin};
    if (proto->external) {
        NNFI_TRY(nnfi_tensor_proto_external(&bytes, &data->begin, &data->size, source, proto));
        bool stays = layout->same_folder && !layout->all_external &&
                     (layout->same_model || !nnfi_data_is_marked(bytes));
        *must = !stays;
    }
    data->bytes = bytes;
    return NNF_OK;
}

/* ---- What stays in other files ---- */

void nnfi_kept_files_clear(nnfi_kept_files *files) {
    for (size_t i = 0; i < files->n; i++)
        nnfi_free(files->items[i].location);
    nnfi_free(files->items);
    nnfi_map_clear(&files->by_location);
    *files = (nnfi_kept_files){0};
}

static nnf_status add_kept(nnfi_kept_files *files, const nnfi_source *source,
                           const nnfi_tensor_proto *proto) {
    nnfi_span span;
    int64_t known;
    NNFI_TRY(nnfi_tensor_proto_location(&span, source, proto));
    const char *text = (const char *)nnfi_bytes_data(source->bytes) + span.begin;
    const size_t length = span.end - span.begin;
    if (nnfi_map_get(&files->by_location, text, length, &known)) {
        files->items[known].n_tensors++;
        return NNF_OK;
    }
    char *location = nnfi_strndup(text, length);
    if (location &&
        nnfi_reserve(&files->items, &files->capacity, files->n + 1, sizeof *files->items) &&
        nnfi_map_put(&files->by_location, text, length, (int64_t)files->n)) {
        files->items[files->n++] = (nnfi_kept_file){location, 1};
        return NNF_OK;
    }
    nnfi_free(location);
    return nnfi_error_memory(length, "a path");
}

nnf_status nnfi_file_layout_add_original(nnfi_file_layout *layout, size_t index) {
    nnfi_source *source = layout->plan->source;
    nnfi_span piece = nnfi_source_piece(source, source->initializers[index]);
    if (layout->plan->has_external || layout->all_external) {
        nnfi_tensor_proto proto;
        nnfi_segment data;
        bool must;
        nnfi_reader reader = nnfi_source_reader(source, source->initializers[index],
                                                "graph.initializer", (int64_t)index);
        NNFI_TRY(nnfi_tensor_proto_read(&proto, reader));
        NNFI_TRY(must_move(&must, &data, layout, &proto));
        if (must) return add_moved(layout, reader, &data);
        if (proto.external) NNFI_TRY(add_kept(&layout->kept, source, &proto));
    }
    return nnfi_file_layout_add_source(layout, piece.begin, piece.end);
}
