/* Reading, from the inside: what its files share. */
#ifndef NNFI_ONNX_READ_H
#define NNFI_ONNX_READ_H

#include "formats/onnx/source.h"
#include "module/graph_internal.h"

/* ---- Tensors ---- */

/* A TensorProto's fields, checked but not decoded. */
typedef struct nnfi_tensor_proto {
    nnfi_reader reader; /* at its beginning */
    nnfi_span name, raw;
    int64_t data_type;
    int ndim; /* may be more than NNF_MAX_DIMS; dims has the first of them */
    int64_t dims[NNF_MAX_DIMS];
    bool has_raw, external, segment;
} nnfi_tensor_proto;
nnf_status nnfi_tensor_proto_read(nnfi_tensor_proto *out, nnfi_reader reader);

/* The name of the file that external data is in. */
nnf_status nnfi_tensor_proto_location(nnfi_span *location, const nnfi_source *source,
                                      const nnfi_tensor_proto *proto);
/* Where the bytes of external data stand, checked against their file; `bytes` is the source's. */
nnf_status nnfi_tensor_proto_external(nnfi_bytes **bytes, size_t *offset, size_t *size,
                                      nnfi_source *source, const nnfi_tensor_proto *proto);
/* The tensor, borrowing from the source where its bytes are stored as they are; NULL in *out where
 * nnfuse has no such tensor (strings, complex numbers, more than NNF_MAX_DIMS dimensions ...). */
nnf_status nnfi_tensor_proto_tensor(nnf_tensor **out, nnfi_source *source,
                                    const nnfi_tensor_proto *proto);

/* ---- Nodes ---- */

/* A node of the main graph while it is read. Its values stand in nnfi_node_list.links, from `links`
 * on: inputs, outputs, and what subgraphs in it capture. */
typedef struct nnfi_node {
    nnfi_span name, op_type, domain;
    size_t links;
    uint32_t n_inputs, n_outputs, n_captures;
    const char *path; /* of its module; in the list's pile */
} nnfi_node;

typedef struct nnfi_node_list {
    nnfi_node *nodes;
    size_t n;
    nnf_value *links;
    size_t n_links, links_capacity;
    size_t *order; /* node numbers in execution order */
    nnfi_pile paths;
} nnfi_node_list;
void nnfi_node_list_clear(nnfi_node_list *list);

/* A new value with a name of the file. NNF_ERROR_FORMAT where the name is taken. */
nnf_status nnfi_add_named_value(nnf_value *out, nnfi_graph *graph, const nnfi_reader *reader,
                                nnfi_span name);

/* The nodes with their values: outputs are new values of the graph, which has its inputs and
 * initializers already. Errors: a name given twice, a read of a name that nothing gives. */
nnf_status nnfi_read_nodes(nnfi_node_list *out, nnfi_source *source, nnfi_graph *graph);

/* Calls `capture` with each name of the outer graph that a GraphProto reads, perhaps several times;
 * adds the names that it gives itself to `given`. */
typedef nnf_status (*nnfi_capture)(void *payload, const nnfi_reader *reader, nnfi_span name);
nnf_status nnfi_read_captures(const nnfi_reader *outer, nnfi_span graph, nnfi_map *given,
                              nnfi_capture capture, void *payload);

/* Fills list->order; an error names a cycle's node. */
nnf_status nnfi_order_nodes(nnfi_node_list *list, const nnfi_source *source,
                            const nnfi_graph *graph);
/* Fills every node's path: unique, and none is in front of another. */
nnf_status nnfi_name_nodes(nnfi_node_list *list, const nnfi_source *source,
                           const nnfi_graph *graph);
/* Makes the modules and the calls. */
nnf_status nnfi_build_calls(nnf_module *module, const nnfi_node_list *list, nnfi_source *source);

/* Reads the graph of a source into an empty Graph. */
nnf_status nnfi_read_graph(nnf_module *module, nnfi_source *source);

#endif
