/* The file that a Graph was read from, kept as its bytes and an index of where everything stands in
 * them: tensors borrow from it, and the writer passes its ranges on. */
#ifndef NNFI_ONNX_SOURCE_H
#define NNFI_ONNX_SOURCE_H

#include "formats/onnx/schema.h"
#include "formats/onnx/wire.h"
#include "support/file.h"
#include "support/map.h"

/* One field of the GraphProto, in the file's order; it ends where the next one begins. A file has
 * millions. */
typedef struct nnfi_piece {
    uint64_t begin : 48; /* with its tag */
    uint64_t header : 8; /* bytes of the tag and length in front of the payload */
    uint64_t number : 8; /* GRAPH_...; all that ONNX has not got are NNFI_PIECE_OTHER */
} nnfi_piece;
#define NNFI_PIECE_OTHER UINT8_MAX
#define NNFI_PIECES_MOST ((size_t)INT32_MAX)

/* A file of external data. */
typedef struct nnfi_external_file {
    char *location;
    nnfi_bytes *bytes;
} nnfi_external_file;

typedef struct nnfi_source nnfi_source;
struct nnfi_source {
    nnfi_bytes *bytes;
    char *name;            /* for errors */
    char *folder;          /* of external data; NULL: there is none */
    bool map;              /* how external data is read */
    bool check_range_late; /* of folds of the file's weights; nnf_onnx_load_options */
    uint64_t number;       /* of nnfi_origin */
    int64_t ir_version, opset;
    nnfi_span graph;    /* the graph's field with its tag */
    nnfi_piece *pieces; /* and one behind the last */
    size_t n_pieces, pieces_capacity;
    uint32_t *nodes, *initializers; /* the pieces that they are */
    size_t n_nodes, nodes_capacity, n_initializers, initializers_capacity;
    nnfi_map shadowed;    /* functions of the model that have the name of an ONNX operator */
    nnfi_map inner_names; /* what subgraphs give: no new name may be one of these */
    nnfi_external_file *files;
    size_t n_files, files_capacity;
    nnfi_map file_by_location;
};

/* Takes `bytes` over, whatever comes of it, and indexes them. `name` and `folder` are copied. */
nnf_status nnfi_source_new(nnfi_source **out, nnfi_bytes *bytes, const char *name,
                           const char *folder, bool map);
/* For nnfi_graph's source_retain and source_release. */
void nnfi_source_retain(void *source);
void nnfi_source_release(void *source);

/* Where a piece stands, with its tag. */
static inline nnfi_span nnfi_source_piece(const nnfi_source *source, size_t piece) {
    return (nnfi_span){source->pieces[piece].begin, source->pieces[piece + 1].begin};
}

/* A reader over a piece's payload. */
nnfi_reader nnfi_source_reader(const nnfi_source *source, size_t piece, const char *place,
                               int64_t index);

/* The bytes of an external data file, kept by the source: refused where its path leaves the model's
 * folder. */
nnf_status nnfi_source_external(nnfi_source *source, nnfi_bytes **out, const char *location);

/* A span as a string; NULL where memory is short. */
char *nnfi_source_string(const nnfi_source *source, nnfi_span span);
bool nnfi_source_equals(const nnfi_source *source, nnfi_span span, const char *text);

#endif
