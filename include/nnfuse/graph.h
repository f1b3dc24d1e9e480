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

/* Symbolic dimensions: the number of a name ("batch"), made where it is new; and back. */
NNF_API nnf_status nnf_graph_symbol(nnf_module *graph, int32_t *out, const char *name);
NNF_API const char *nnf_graph_symbol_name(const nnf_module *graph, int32_t symbol);

NNF_API bool nnf_module_is_graph(const nnf_module *module);
NNF_API size_t nnf_graph_n_inputs(const nnf_module *graph);
NNF_API size_t nnf_graph_n_outputs(const nnf_module *graph);
NNF_API nnf_value nnf_graph_input(const nnf_module *graph, size_t index);
NNF_API nnf_value nnf_graph_output(const nnf_module *graph, size_t index);
NNF_API const char *nnf_graph_value_name(const nnf_module *graph, nnf_value value);
NNF_API nnf_tensor *nnf_graph_value_constant(const nnf_module *graph,
                                             nnf_value value); /* or NULL */
/* What the file or the program said of the value; for what follows from it, nnf_graph_infer. */
NNF_API const nnf_type_info *nnf_graph_value_info(const nnf_module *graph, nnf_value value);

NNF_API size_t nnf_graph_n_calls(const nnf_module *graph);
NNF_API const char *nnf_graph_call_path(const nnf_module *graph, size_t call);
NNF_API nnf_module *nnf_graph_call_module(const nnf_module *graph, size_t call); /* borrowed */
NNF_API size_t nnf_graph_call_n_inputs(const nnf_module *graph, size_t call);
NNF_API size_t nnf_graph_call_n_outputs(const nnf_module *graph, size_t call);
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
