/* Graph from the inside: what finders, fusers, readers and writers work on. Surgery on calls is
 * done by the functions below and nowhere else. */
#ifndef NNFI_GRAPH_INTERNAL_H
#define NNFI_GRAPH_INTERNAL_H

#include "module/module_internal.h"
#include "nnfuse/graph.h"
#include "support/index.h"
#include "support/pile.h"

typedef struct nnfi_value {
    const char *name;         /* unique in the graph; in its pile */
    nnf_tensor *constant;     /* NULL where it is not known before running */
    nnf_type_info *info;      /* what the file said; NULL: nothing. See nnfi_value_info */
    bool is_input, is_output; /* an input with a constant is one that need not be given: the
                                 constant is its default, and so nothing that is known of it */
    bool is_hidden;           /* a subgraph gives its name too: nothing may give it, as ONNX has one
                                 name once, in front of the node that the subgraph is in */
    bool is_reshaped;         /* it has another type than the file says */
    bool is_foreign;          /* an input of a type that no tensor of nnfuse has */
    bool gone;                /* nobody gives or reads it any more; its number is not used again,
                                 its name may be */
} nnfi_value;

typedef struct nnfi_call {
    const char *path;   /* of the module in the graph's tree */
    nnf_module *module; /* the same object as at `path`, retained */
    nnf_value
        *inputs; /* as the ONNX operator's: those that the module holds in slots are here too */
    size_t n_inputs;
    nnf_value *outputs; /* NNF_NO_VALUE: nobody wants it */
    size_t n_outputs;
    nnf_value *captures; /* values that the module's forward is not given: those that a subgraph in
                            the node reads (If, Loop, Scan), and constants that the nodes of a fused
                            call name though its modules know them (a Clip's bounds) */
    size_t n_captures;
} nnfi_call;

typedef struct nnfi_graph {
    nnfi_value *values;
    size_t n_values, values_capacity;
    nnfi_index value_by_name; /* gone ones are here too, until their names are used again */
    bool reuses_names;        /* some were */
    nnfi_pile pile;           /* names, calls and their lists, also of those that are gone */
    nnfi_call **calls;        /* in execution order */
    size_t n_calls, calls_capacity;
    nnf_value *inputs, *outputs;
    size_t n_inputs, inputs_capacity, n_outputs, outputs_capacity;
    char **symbols; /* symbol n is symbols[n - 1] */
    size_t n_symbols, symbols_capacity;
    nnfi_map symbol_by_name;
    uint64_t changes; /* how often its values, calls, inputs or outputs changed: what was made from
                         the graph is good for one number */
    uint64_t source;  /* the number of the file it was read from, 0: none */
    const nnfi_map *inner_names; /* the source's: names that subgraphs give, which no new value may
                                    have; NULL: none */
    void *source_data; /* the reader's; what keeps it alive is retained and released by these */
    void (*source_retain)(void *source_data);
    void (*source_release)(void *source_data);
    nnfi_call **by_path; /* the calls sorted by path, for nnf_module_set; NULL until it is needed */
} nnfi_graph;

/* The graph of a Graph module; NULL for another module. */
nnfi_graph *nnfi_graph_of(const nnf_module *module);

/* What a run checks first: that the tensors fit what the graph says of its inputs. */
nnf_status nnfi_graph_check_inputs(const nnf_module *graph, nnf_tensor *const *inputs,
                                   size_t n_inputs);

/* nnf_graph_infer for a run: what follows from the inputs, and nothing that a file only says. */
nnf_status nnfi_graph_infer_run(const nnf_module *graph, const nnf_type_info *inputs,
                                nnf_type_info **infos, size_t *n_infos);

/* What the file said of a value, never NULL; and setting it, which copies. Most values of a file
 * have nothing said of them, and an info is larger than all the rest of a value. */
const nnf_type_info *nnfi_value_info(const nnfi_value *value);
/* The constant that a value is whoever runs the graph: no default of an input. NULL: none, or no
 * value. */
nnf_tensor *nnfi_constant_of(const nnfi_graph *graph, nnf_value value);
nnf_status nnfi_value_set_info(nnfi_value *value, const nnf_type_info *info);
/* The value gets another shape: what the file said of it goes. */
void nnfi_value_reshape(nnfi_value *value);

/* Adds a value. NNF_ERROR_INVALID where the name is taken. */
nnf_status nnfi_graph_add_value(nnfi_graph *graph, nnf_value *out, const char *name);
/* The same with a name of `length` bytes that is not empty. */
nnf_status nnfi_graph_add_name(nnfi_graph *graph, nnf_value *out, const char *name, size_t length);
/* The same with that name, or one made of it where it is taken. */
nnf_status nnfi_graph_add_value_like(nnfi_graph *graph, nnf_value *out, const char *name);
/* Takes the newest values away again, down to `n_values` of them. */
void nnfi_graph_drop_values(nnfi_graph *graph, size_t n_values);
/* The value of that name, or NNF_NO_VALUE. */
nnf_value nnfi_graph_find_value(const nnfi_graph *graph, const char *name);
nnf_value nnfi_graph_find_name(const nnfi_graph *graph, const char *name, size_t length);
/* The same, also one that is gone (a copy of a graph has forgotten the names of these). */
nnf_value nnfi_graph_find_any(const nnfi_graph *graph, const char *name, size_t length);
/* The same as find_name with a guess, which is looked at first: names are often asked for in their
 * values' order, and looking one up in a million takes the time of a visit to main memory. */
bool nnfi_graph_is_named(const nnfi_graph *graph, nnf_value value, const char *name, size_t length);
nnf_value nnfi_graph_find_near(const nnfi_graph *graph, nnf_value guess, const char *name,
                               size_t length);
/* Room for that many values and calls in all. */
nnf_status nnfi_graph_reserve(nnfi_graph *graph, size_t n_values, size_t n_calls);
/* Appends a call; the module must be in the tree at `path` already. outputs are values. */
nnf_status nnfi_graph_append_call(nnf_module *graph, const char *path, nnf_module *module,
                                  const nnf_value *inputs, size_t n_inputs,
                                  const nnf_value *outputs, size_t n_outputs,
                                  const nnf_value *captures, size_t n_captures);

/* Who reads and gives each value: one pass over the calls. Call numbers are indices into
 * graph->calls at that time. */
typedef struct nnfi_uses {
    int32_t *producer;      /* [n_values]: the call that gives it, -1 none */
    uint32_t *first_reader; /* [n_values + 1]: into readers */
    int32_t *readers; /* call numbers, ascending; a call that reads a value twice is there twice;
                         captures count; being a graph output does not */
} nnfi_uses;
nnf_status nnfi_uses_new(nnfi_uses *out, const nnfi_graph *graph);
void nnfi_uses_clear(nnfi_uses *uses);
/* The first of these alone: [n_values], to be freed. */
nnf_status nnfi_producers_new(int32_t **out, const nnfi_graph *graph);

/* Replaces calls by one: `gone` lists call numbers, ascending; the new call takes the place of the
 * last of them. Values that only gone calls gave or read are marked gone, and calls that gave only
 * such values (constants of a folded batch norm behind Identity nodes) go too. For many
 * replacements at once, in time linear in the graph: fill an array and call this once. Needs no
 * memory after `prepare` succeeded, so that commit cannot fail. */
typedef struct nnfi_replacement {
    const size_t *gone;
    size_t n_gone;
    const char *path;   /* the new call's */
    nnf_module *module; /* one reference, the replacement's until commit takes it */
    const nnf_value *inputs;
    size_t n_inputs;
    const nnf_value *outputs;
    size_t n_outputs;
    const nnf_value *captures;
    size_t n_captures;
} nnfi_replacement;
typedef struct nnfi_surgery nnfi_surgery;
nnf_status nnfi_surgery_prepare(nnfi_surgery **out, nnf_module *graph,
                                nnfi_replacement *replacements, size_t n);
void nnfi_surgery_commit(nnfi_surgery *surgery); /* frees it */
void nnfi_surgery_discard(nnfi_surgery *surgery);

/* Takes calls ([n_calls]) and values ([n_values]) out that nothing else refers to. */
void nnfi_graph_remove(nnf_module *graph, const bool *call_gone, const bool *value_gone);

#endif
