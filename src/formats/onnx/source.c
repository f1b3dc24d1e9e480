#include "formats/onnx/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/tensor_internal.h"

/* No address space is larger. */
#define BEGIN_MASK ((UINT64_C(1) << 48) - 1)

typedef struct shared_source {
    nnfi_source source; /* first: the two have one address */
    atomic_size_t references;
} shared_source;

void nnfi_source_retain(void *source) {
    atomic_fetch_add_explicit(&((shared_source *)source)->references, 1, memory_order_relaxed);
}

void nnfi_source_release(void *source) {
    shared_source *shared = source;
    if (!shared) return;
    if (atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel) != 1) return;
    nnfi_source *s = &shared->source;
    for (size_t i = 0; i < s->n_files; i++) {
        nnfi_bytes_release(s->files[i].bytes);
        nnfi_free(s->files[i].location);
    }
    nnfi_free(s->files);
    nnfi_map_clear(&s->file_by_location);
    nnfi_map_clear(&s->shadowed);
    nnfi_map_clear(&s->inner_names);
    nnfi_free(s->pieces);
    nnfi_free(s->nodes);
    nnfi_free(s->initializers);
    nnfi_free(s->name);
    nnfi_free(s->folder);
    nnfi_bytes_release(s->bytes);
    nnfi_free(shared);
}

char *nnfi_source_string(const nnfi_source *source, nnfi_span span) {
    return nnfi_strndup((const char *)nnfi_bytes_data(source->bytes) + span.begin,
                        span.end - span.begin);
}

bool nnfi_source_equals(const nnfi_source *source, nnfi_span span, const char *text) {
    size_t length = span.end - span.begin;
    return strlen(text) == length &&
           memcmp(nnfi_bytes_data(source->bytes) + span.begin, text, length) == 0;
}

nnfi_reader nnfi_source_reader(const nnfi_source *source, size_t piece, const char *place,
                               int64_t index) {
    const nnfi_piece *p = &source->pieces[piece];
    return (nnfi_reader){
        nnfi_bytes_data(source->bytes), p->begin + p->header, p[1].begin, 2, place, index};
}

static bool is_onnx_domain(const nnfi_source *source, nnfi_span domain) {
    return domain.begin == domain.end || nnfi_source_equals(source, domain, "ai.onnx");
}

static nnf_status read_opset_import(nnfi_source *source, const nnfi_reader *model,
                                    const nnfi_field *import) {
    nnfi_reader reader;
    nnfi_field field;
    nnfi_span domain = {0, 0};
    int64_t version = 0;
    NNFI_TRY(nnfi_reader_expect(model, import, NNFI_WIRE_BYTES));
    NNFI_TRY(nnfi_reader_enter(&reader, model, import->bytes, "opset_import", -1));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) break;
        if (field.number == OPSET_DOMAIN) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            domain = field.bytes;
        } else if (field.number == OPSET_VERSION) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_VARINT));
            version = (int64_t)field.value;
        }
    }
    if (is_onnx_domain(source, domain)) source->opset = version;
    return NNF_OK;
}

/* A function of the model may have an ONNX operator's name: its nodes aren't that operator. */
static nnf_status read_function(nnfi_source *source, const nnfi_reader *model,
                                const nnfi_field *function) {
    nnfi_reader reader;
    nnfi_field field;
    nnfi_span domain = {0, 0}, name = {0, 0};
    NNFI_TRY(nnfi_reader_expect(model, function, NNFI_WIRE_BYTES));
    NNFI_TRY(nnfi_reader_enter(&reader, model, function->bytes, "functions", -1));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) break;
        if (field.number == FUNCTION_DOMAIN && field.type == NNFI_WIRE_BYTES) domain = field.bytes;
        if (field.number == FUNCTION_NAME && field.type == NNFI_WIRE_BYTES) name = field.bytes;
    }
    if (!is_onnx_domain(source, domain)) return NNF_OK;
    const char *key = (const char *)reader.data + name.begin;
    if (nnfi_map_put(&source->shadowed, key, name.end - name.begin, 0)) return NNF_OK;
    return nnfi_error_memory(name.end - name.begin, "a function's name");
}

static nnf_status add_to_list(uint32_t **list, size_t *n, size_t *capacity, size_t piece) {
    if (!nnfi_reserve(list, capacity, *n + 1, sizeof **list)) {
        return nnfi_error_memory((*n + 1) * sizeof **list, "the index of the file");
    }
    (*list)[(*n)++] = (uint32_t)piece;
    return NNF_OK;
}

/* Room for a piece more, and for the end behind it. */
static nnf_status reserve_piece(nnfi_source *source) {
    if (source->n_pieces >= NNFI_PIECES_MOST) {
        return nnf_error(NNF_ERROR_UNSUPPORTED, "the graph has more than %zu fields",
                         NNFI_PIECES_MOST);
    }
    if (nnfi_reserve(&source->pieces, &source->pieces_capacity, source->n_pieces + 2,
                     sizeof *source->pieces)) {
        return NNF_OK;
    }
    return nnfi_error_memory((source->n_pieces + 2) * sizeof *source->pieces,
                             "the index of the file");
}

static void put_piece(nnfi_source *source, const nnfi_field *field) {
    size_t header = field->type == NNFI_WIRE_BYTES ? field->bytes.begin - field->whole.begin : 0;
    uint32_t number = field->number < NNFI_PIECE_OTHER ? field->number : NNFI_PIECE_OTHER;
    nnfi_piece *piece = &source->pieces[source->n_pieces++];
    piece[0] = (nnfi_piece){field->whole.begin & BEGIN_MASK, (uint8_t)header, (uint8_t)number};
    piece[1] = (nnfi_piece){field->whole.end & BEGIN_MASK, 0, 0};
}

static nnf_status index_graph(nnfi_source *source, const nnfi_reader *model,
                              const nnfi_field *graph) {
    nnfi_reader reader;
    nnfi_field field;
    NNFI_TRY(nnfi_reader_expect(model, graph, NNFI_WIRE_BYTES));
    if (source->graph.end > 0) {
        return nnfi_reader_error(model, graph->whole.begin, "there is a second graph");
    }
    source->graph = graph->whole;
    NNFI_TRY(nnfi_reader_enter(&reader, model, graph->bytes, "graph", -1));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        size_t piece = source->n_pieces;
        NNFI_TRY(reserve_piece(source));
        put_piece(source, &field);
        if (field.number == GRAPH_NODE) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            NNFI_TRY(add_to_list(&source->nodes, &source->n_nodes, &source->nodes_capacity, piece));
        } else if (field.number == GRAPH_INITIALIZER) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            NNFI_TRY(add_to_list(&source->initializers, &source->n_initializers,
                                 &source->initializers_capacity, piece));
        } else if (field.number == GRAPH_INPUT || field.number == GRAPH_OUTPUT ||
                   field.number == GRAPH_VALUE_INFO || field.number == GRAPH_SPARSE_INITIALIZER) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
        }
    }
}

static nnf_status index_model(nnfi_source *source) {
    nnfi_reader reader =
        nnfi_reader_of(nnfi_bytes_data(source->bytes), nnfi_bytes_size(source->bytes), "model");
    nnfi_field field;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        switch (field.number) {
        case MODEL_IR_VERSION:
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_VARINT));
            source->ir_version = (int64_t)field.value;
            break;
        case MODEL_OPSET_IMPORT:
            NNFI_TRY(read_opset_import(source, &reader, &field));
            break;
        case MODEL_FUNCTIONS:
            NNFI_TRY(read_function(source, &reader, &field));
            break;
        case MODEL_GRAPH:
            NNFI_TRY(index_graph(source, &reader, &field));
            break;
        default:
            break;
        }
    }
}

/* What a file that isn't ONNX looks like. */
static const char *other_format(const uint8_t *data, size_t size) {
    static const struct {
        const char *magic, *what;
    } formats[] = {
        {"PK\x03\x04", "a ZIP archive (as PyTorch and Keras write)"},
        {"\x89HDF", "an HDF5 file"},
        {"\x80\x02", "a pickle (as older PyTorch writes)"},
        {"\x93NUMPY", "a NumPy array"},
        {"{", "JSON or other text"},
        {"<", "XML or other text"},
    };
    if (size == 0) return "empty";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t length = strlen(formats[i].magic);
        if (size >= length && memcmp(data, formats[i].magic, length) == 0) return formats[i].what;
    }
    return NULL;
}

static nnf_status check_model(const nnfi_source *source) {
    if (source->graph.end == 0) {
        return nnf_error(NNF_ERROR_FORMAT, "the model has no graph");
    }
    if (source->ir_version < ONNX_OLDEST_IR) {
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "the model is of IR version %" PRId64
                         "; nnfuse reads version %d and newer ones",
                         source->ir_version, ONNX_OLDEST_IR);
    }
    if (source->opset != 0 && source->opset < ONNX_OLDEST_OPSET) {
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "the model uses opset %" PRId64 "; nnfuse reads opset %d and newer ones",
                         source->opset, ONNX_OLDEST_OPSET);
    }
    return NNF_OK;
}

static nnf_status read_source(nnfi_source *source) {
    const uint8_t *data = nnfi_bytes_data(source->bytes);
    size_t size = nnfi_bytes_size(source->bytes);
    const char *other = other_format(data, size);
    nnf_status status = index_model(source);
    /* Every writer puts ir_version first: without it, the bytes are not a damaged model but
     * something else. */
    if (source->ir_version == 0 && status != NNF_ERROR_MEMORY) {
        return nnf_error(NNF_ERROR_FORMAT, "this is not an ONNX model%s%s", other ? ": it is " : "",
                         other ? other : "");
    }
    return status == NNF_OK ? check_model(source) : status;
}

nnf_status nnfi_source_new(nnfi_source **out, nnfi_bytes *bytes, const char *name,
                           const char *folder, bool map) {
    shared_source *shared = nnfi_calloc(1, sizeof *shared);
    if (!shared) {
        nnfi_bytes_release(bytes);
        return nnfi_error_memory(sizeof *shared, "a model file");
    }
    atomic_init(&shared->references, 1);
    nnfi_source *source = &shared->source;
    source->bytes = bytes;
    source->number = nnfi_new_source();
    source->map = map;
    source->name = nnfi_strdup(name);
    source->folder = folder ? nnfi_strdup(folder) : NULL;
    nnf_status status = NNF_OK;
    if (!source->name || (folder && !source->folder)) status = nnfi_error_memory(1, "a file name");
    if (status == NNF_OK) status = read_source(source);
    if (status != NNF_OK) {
        nnfi_source_release(source);
        return status;
    }
    *out = source;
    return NNF_OK;
}

/* Symbolic links are followed: where they lead must be inside the folder too. */
static nnf_status check_inside(const char *folder, const char *path, const char *location) {
    char *real_folder = realpath(folder, NULL), *real_path = realpath(path, NULL);
    const int why = errno;
    bool inside = real_folder && real_path;
    if (inside) {
        size_t length = strlen(real_folder);
        if (length == 1) length = 0; /* "/" */
        inside = strncmp(real_path, real_folder, length) == 0 && real_path[length] == '/';
    }
    bool missing = !real_path;
    free(real_folder);
    free(real_path);
    if (missing) {
        return nnf_error(NNF_ERROR_READ, "cannot open '%s', which holds weights of the model: %s",
                         path, strerror(why));
    }
    if (inside) return NNF_OK;
    return nnf_error(NNF_ERROR_FORMAT,
                     "the external data file '%s' is a link that leaves the model's folder",
                     location);
}

static nnf_status open_external(nnfi_source *source, nnfi_bytes **out, const char *location) {
    if (!source->folder) {
        return nnf_error(NNF_ERROR_FORMAT,
                         "the model's weights are in another file, '%s', and it is not known in "
                         "which folder: read the model by its file's name, or give base_dir",
                         location);
    }
    if (!nnfi_path_is_inside(location)) {
        return nnf_error(NNF_ERROR_FORMAT,
                         "the external data file '%s' is not inside the model's folder", location);
    }
    char *path = nnfi_path_join(source->folder, location);
    if (!path) return nnfi_error_memory(strlen(location), "a path");
    nnf_status status = check_inside(source->folder, path, location);
    if (status == NNF_OK) status = nnfi_bytes_read(out, path, source->map);
    nnfi_free(path);
    return status;
}

nnf_status nnfi_source_external(nnfi_source *source, nnfi_bytes **out, const char *location) {
    int64_t index;
    if (nnfi_map_get(&source->file_by_location, location, strlen(location), &index)) {
        *out = source->files[index].bytes;
        return NNF_OK;
    }
    nnfi_external_file file = {nnfi_strdup(location), NULL};
    if (!file.location || !nnfi_reserve(&source->files, &source->files_capacity,
                                        source->n_files + 1, sizeof *source->files)) {
        nnfi_free(file.location);
        return nnfi_error_memory(sizeof file, "an external data file");
    }
    nnf_status status = open_external(source, &file.bytes, location);
    if (status == NNF_OK && !nnfi_map_put(&source->file_by_location, file.location,
                                          strlen(location), (int64_t)source->n_files)) {
        status = nnfi_error_memory(sizeof file, "an external data file");
    }
    if (status != NNF_OK) {
        nnfi_bytes_release(file.bytes);
        nnfi_free(file.location);
        return status;
    }
    source->files[source->n_files++] = file;
    *out = file.bytes;
    return NNF_OK;
}
