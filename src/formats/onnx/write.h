/* Writing, from the inside. First a plan: which nodes (leaves: fused containers flattened) read and
 * give which names, and which tensors become initializers. Then a list of segments: ranges of the
 * source, small encoded pieces, tensors to be streamed. Then the bytes. */
#ifndef NNFI_ONNX_WRITE_H
#define NNFI_ONNX_WRITE_H

#include "formats/onnx/ops.h"
#include "nnfuse/formats.h"

/* One node to write. */
typedef struct nnfi_leaf {
    nnf_module *module;
    const char *path;    /* of the call, for names and errors */
    const char **inputs; /* names, "" where one is left out */
    const char **outputs;
    const int8_t *wires; /* of a child of a lifted layer: what its inputs are (nn_internal.h) */
    uint32_t lifted;     /* then: the leaf that is child 0 */
    uint32_t n_inputs, n_outputs;
    uint32_t call : 31;   /* that it is of */
    uint32_t dropped : 1; /* nobody reads it any more */
    int32_t node;         /* of the source that its bytes come from; -1: encoded anew */
    int32_t place; /* the node of the source whose place it takes, or behind which it comes */
} nnfi_leaf;

/* A tensor that becomes an initializer. */
typedef struct nnfi_new_tensor {
    nnf_tensor *tensor; /* one reference */
    const char *name;
    int32_t initializer; /* of the source: the one whose place it takes, or behind which it comes;
                            -1: behind them all */
    bool replaces;
} nnfi_new_tensor;

typedef struct nnfi_write_plan {
    const nnf_module *module;
    const nnfi_graph *graph;
    nnfi_source *source; /* NULL: the graph was built by a program */
    int64_t ir_version, opset;
    bool has_external; /* the source has external data */
    nnfi_leaf *leaves; /* in execution order */
    size_t n_leaves, leaves_capacity;
    nnfi_new_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    nnfi_index tensor_index;     /* of tensors */
    int32_t *initializer_values; /* [n_initializers]: values, -1: gone, -2: it never had a name */
    int32_t *value_initializers; /* [n_values], -1: none */
    bool *initializer_kept;      /* [n_initializers]: read by its name though its value is gone */
    bool *initializer_gone;      /* [n_initializers]: has lost its readers, or its place */
    bool *initializer_replaced;  /* [n_initializers]: a new tensor has its place and name */
    bool *name_used;             /* [n_values]: though the value is gone */
    nnfi_map names;              /* that are used beside the graph's values' */
    nnfi_map kept_names;  /* of values that are gone, for what they were: what the source says of
                             them is true still */
    nnfi_pile pile;       /* what names point to, and leaves' lists of names */
    size_t n_strings;     /* that were looked at: counts on, so that new names are found soon */
    nnf_type_info *infos; /* of every value; NULL until somebody needs them */
    size_t n_infos;
} nnfi_write_plan;

/* Whether a lifted layer holds what its steps read: a program may have given it another weight, and
 * then it is written as the layer that it is. How many of its call's captures are its steps'. */
bool nnfi_lifted_is_steps(const nnfi_write_plan *plan, const nnfi_call *call,
                          const nnf_module *lifted);
size_t nnfi_lifted_captures(const nnf_module *lifted);

nnf_status nnfi_write_plan_make(nnfi_write_plan *out, const nnf_module *graph,
                                const nnf_onnx_save_options *options);
void nnfi_write_plan_clear(nnfi_write_plan *plan);

/* Puts every leaf behind the new ones, and those that were moved, whose values it reads. */
nnf_status nnfi_write_plan_order(nnfi_write_plan *plan);

/* A name that nothing else has: `wish`, or `wish` with a number; good as long as the plan, NULL
 * where memory is short. */
const char *nnfi_write_plan_name(nnfi_write_plan *plan, const char *wish, size_t length);
/* Takes the very name; NULL in *out where something has it already. */
nnf_status nnfi_write_plan_take(nnfi_write_plan *plan, const char **out, const char *name,
                                size_t length);
/* A copy of a string that the plan owns; NULL where memory is short. */
const char *nnfi_write_plan_keep(nnfi_write_plan *plan, const char *text, size_t length);
/* Room for n names that the plan frees. */
const char **nnfi_write_plan_names(nnfi_write_plan *plan, size_t n);
/* An initializer beside those that the graph has; its name in *name. Retains the tensor. */
nnf_status nnfi_write_plan_tensor(nnfi_write_plan *plan, const char **name, nnf_tensor *tensor,
                                  const char *wish, int64_t behind);

/* The new initializer that a tensor is already, or NULL; and one more. */
const nnfi_new_tensor *nnfi_write_plan_find(const nnfi_write_plan *plan, const nnf_tensor *tensor);
nnf_status nnfi_write_plan_add(nnfi_write_plan *plan, const nnfi_new_tensor *model);

/* Appends the leaf as one or more node fields of a GraphProto. */
nnf_status nnfi_leaf_encode(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf);
/* Appends a NodeProto with a name and no attributes as a field; further fields may be in `rest`,
 * which is emptied. */
void nnfi_node_encode(nnfi_text *to, const char *op_type, const char *name,
                      const char *const *inputs, size_t n_inputs, const char *const *outputs,
                      size_t n_outputs, nnfi_text *rest);

/* ---- Segments ---- */

/* A range of bytes, those of a file or the layout's own; or the elements of a tensor. */
typedef struct nnfi_segment {
    const nnfi_bytes *bytes;
    const nnf_tensor *tensor; /* this and bytes NULL: a range of `owned` */
    size_t begin, size;
    uint64_t at; /* where it stands in the file that is written */
} nnfi_segment;

/* A file of external data that the written model goes on referring to. */
typedef struct nnfi_kept_file {
    char *location;
    size_t n_tensors;
} nnfi_kept_file;
typedef struct nnfi_kept_files {
    nnfi_kept_file *items;
    size_t n, capacity;
    nnfi_map by_location;
} nnfi_kept_files;
void nnfi_kept_files_clear(nnfi_kept_files *files);

/* A leaf's node field: a range of the source, or of the layout's own bytes. */
typedef struct nnfi_leaf_bytes {
    size_t begin;
    uint64_t size : 63, is_owned : 1;
} nnfi_leaf_bytes;

/* The whole file, in order. */
typedef struct nnfi_file_layout {
    nnfi_write_plan *plan;
    nnfi_segment *segments;
    size_t n_segments, capacity;
    nnfi_text owned;
    const char *data_name; /* of the external data file; NULL: everything is put into the model */
    bool all_external;     /* everything goes into the data file: from the model and from others */
    bool same_folder;      /* as the source: else what is external may stay where it is */
    bool same_model;       /* the source is the file that is replaced: its data file may stay too */
    nnfi_segment *data;    /* what the data file holds */
    size_t n_data, data_capacity;
    uint64_t data_size;
    nnfi_kept_files kept;
    nnfi_leaf_bytes *leaf_bytes; /* [n_leaves]: their node fields */
    nnfi_map stale; /* names of which the source's value_info, in IR 3 its inputs, are not true */
} nnfi_file_layout;

/* Takes a layout with plan, data_name and what stands between that and `data` set. */
nnf_status nnfi_file_layout_make(nnfi_file_layout *layout);
uint64_t nnfi_file_layout_size(const nnfi_file_layout *layout);
void nnfi_file_layout_clear(nnfi_file_layout *layout);

/* Appends a segment; neighbouring ranges become one. */
nnf_status nnfi_file_layout_add(nnfi_file_layout *layout, const nnfi_segment *segment);
/* Appends a range of the source. */
nnf_status nnfi_file_layout_add_source(nnfi_file_layout *layout, size_t begin, size_t end);
/* Appends what was put into `owned` from `begin` on. */
nnf_status nnfi_file_layout_add_owned(nnfi_file_layout *layout, size_t begin);
/* Appends an initializer. */
nnf_status nnfi_file_layout_add_tensor(nnfi_file_layout *layout, const nnf_tensor *tensor,
                                       const char *name);
/* Appends initializer number `index` of the source as it is, or with its external data moved. */
nnf_status nnfi_file_layout_add_original(nnfi_file_layout *layout, size_t index);
/* Fills leaf_bytes: the original bytes, those with other names in them, or new ones. */
nnf_status nnfi_file_layout_encode_leaves(nnfi_file_layout *layout);

/* Puts segments, sorted by their places, into an output, by several threads at once. */
nnf_status nnfi_segments_write(const nnfi_file_layout *layout, const nnfi_segment *segments,
                               size_t n, const nnfi_output *output);

#endif
