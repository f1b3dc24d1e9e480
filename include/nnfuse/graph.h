/* Graph: a module that says which module is called on which values, in execution order
 * (PyTorch's GraphModule). File readers make Graphs; a program can too. */
#ifndef NNFUSE_GRAPH_H
#define NNFUSE_GRAPH_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A value's number in its graph; NNF_NO_VALUE where an optional input is left out. */
typedef int32_t nnf_value;
#define NNF_NO_VALUE (-1)

/* An empty Graph module. Its children are the tree that its calls name. */
NNF_API nnf_status nnf_graph_new(nnf_module **out);

/* An input of the graph. `name` is unique among the values; info may be NULL (nothing known).
 * NNF_ERROR_INVALID for a rank or sizes that no tensor has. */
NNF_API nnf_status nnf_graph_add_input(nnf_module *graph, nnf_value *out, const char *name,
                                       const nnf_type_info *info);
/* A constant (tensor retained). */
NNF_API nnf_status nnf_graph_add_constant(nnf_module *graph, nnf_value *out, const char *name,
                                          nnf_tensor *tensor);
/* Appends a call of the module at `path` in the graph's tree. Outputs are new values with the given
 * names (NULL: unique ones are made). NNF_ERROR_INVALID for "", the graph itself. */
NNF_API nnf_status nnf_graph_add_call(nnf_module *graph, const char *path, const nnf_value *inputs,
                                      size_t n_inputs, const char *const *output_names,
                                      nnf_value *outputs, size_t n_outputs);
/* Makes a value an output of the graph, behind those that are there. */
NNF_API nnf_status nnf_graph_add_output(nnf_module *graph, nnf_value value);

/* Symbolic dimensions: the number of a name ("batch"), made where it is new. */
NNF_API nnf_status nnf_graph_symbol(nnf_module *graph, int32_t *out, const char *name);
/* The name of a symbol; NULL for a number that is none. */
NNF_API const char *nnf_graph_symbol_name(const nnf_module *graph, int32_t symbol);

/* ---- Looking at it. Of a module that is no Graph, or for an index out of range, these give 0,
 * NULL or NNF_NO_VALUE. What they point to is the graph's, until it changes. ---- */

/* Whether the module is a Graph; false for NULL. */
NNF_API bool nnf_module_is_graph(const nnf_module *module);

/* How many inputs and outputs the graph has: the tensors of a run, in this order. */
NNF_API size_t nnf_graph_n_inputs(const nnf_module *graph);
NNF_API size_t nnf_graph_n_outputs(const nnf_module *graph);
/* The value that is input or output number `index`. One value may be several outputs. */
NNF_API nnf_value nnf_graph_input(const nnf_module *graph, size_t index);
NNF_API nnf_value nnf_graph_output(const nnf_module *graph, size_t index);

/* One more than the largest number that a value has: inputs, constants and what calls give. Numbers
 * stay when the graph changes; those of values that are gone have no name. */
NNF_API size_t nnf_graph_n_values(const nnf_module *graph);
/* The value of that name, or NNF_NO_VALUE. */
NNF_API nnf_value nnf_graph_find_value(const nnf_module *graph, const char *name);
/* The value's name, unique in the graph; NULL where there is no such value. */
NNF_API const char *nnf_graph_value_name(const nnf_module *graph, nnf_value value);
/* The constant that the value is, or the default of an input that need not be given, borrowed; NULL
 * where it is neither. Writing to the tensor changes the graph, but not the options that a module
 * got from it when the file was read (the scales of a Resize; that a Clip is a ReLU6): replace the
 * module then. */
NNF_API nnf_tensor *nnf_graph_value_constant(const nnf_module *graph, nnf_value value);
/* What the file or the program said of the value; for what follows from it, nnf_graph_infer. */
NNF_API const nnf_type_info *nnf_graph_value_info(const nnf_module *graph, nnf_value value);

/* How many calls there are, in execution order. */
NNF_API size_t nnf_graph_n_calls(const nnf_module *graph);
/* The path of the called module in the graph's tree, "layer1.0.conv1". */
NNF_API const char *nnf_graph_call_path(const nnf_module *graph, size_t call);
/* The module at that path, borrowed. */
NNF_API nnf_module *nnf_graph_call_module(const nnf_module *graph, size_t call);
/* How many values the call reads and gives. */
NNF_API size_t nnf_graph_call_n_inputs(const nnf_module *graph, size_t call);
NNF_API size_t nnf_graph_call_n_outputs(const nnf_module *graph, size_t call);
/* The values, as many as that; NNF_NO_VALUE for an input that is left out and an output that nobody
 * wants. */
NNF_API const nnf_value *nnf_graph_call_inputs(const nnf_module *graph, size_t call);
NNF_API const nnf_value *nnf_graph_call_outputs(const nnf_module *graph, size_t call);

/* How many numbers were trained: the elements of the float constants that the calls read and of
 * what modules hold in slots for parameters; not of buffers (running statistics), nor single
 * numbers that calls read. A tensor counts once; where Identity calls give it several names, once
 * for each.
 */
NNF_API nnf_status nnf_graph_n_parameters(int64_t *out, const nnf_module *graph);

/* Infers every value's type from the inputs' (given: n_inputs infos instead of the graph's own; or
 * NULL). *infos gets an array with one entry for each value: nnf_graph_infer_free. An error names
 * the path of the module that cannot take what it gets. */
NNF_API nnf_status nnf_graph_infer(const nnf_module *graph, const nnf_type_info *inputs,
                                   nnf_type_info **infos, size_t *n_infos);
NNF_API void nnf_graph_infer_free(nnf_type_info *infos, size_t n_infos);

#ifdef __cplusplus
}
#endif
#endif
