/* Models, and the inputs that the command line gives for them. */
#ifndef MODEL_H
#define MODEL_H

#include "command.h"

/* Loads the model at `path` ("-": standard input); an exit status, told about already. */
int model_load(nnf_module **out, const char *path);
/* The same with nnf_onnx_load_options' check_range_late. */
int model_load_late(nnf_module **out, const char *path);
/* Says where a model uses operators that are newer than those that the library knows. */
void note_opset(const cli_settings *settings, const char *path, const nnf_module *model);
/* Makes a model ready to run: cleaned, and its chains fused, of which there were *n_fused. */
nnf_status model_fuse(nnf_module *model, const nnf_mapping *mapping, size_t *n_fused);

/* What follows from --input, --shape, --labels, --seed ...: options for nnf_verify and
 * nnf_make_inputs, and what they point to. */
typedef struct cli_bindings {
    nnf_verify_options options;
    nnf_named_tensor *inputs;
    nnf_named_shape *shapes;
    nnf_tensor *labels;
} cli_bindings;
int bindings_make(cli_bindings *out, const cli_settings *settings, const nnf_module *graph);
void bindings_clear(cli_bindings *bindings);

/* Splits "[NAME=]PATH" where NAME is one of the graph's inputs (of its outputs, where `option` is
 * "--output"); without a name, it is the only one. *name is the graph's own string, *path points
 * into `text`. */
int split_binding(const char **name, const char **path, const char *option, const char *text,
                  const nnf_module *graph);

/* How large a model is: its nodes as the file has them (a fused container counts with what it
 * stands for), and nnf_graph_n_parameters. */
typedef struct model_counts {
    int64_t nodes, parameters;
} model_counts;
model_counts model_count(nnf_module *model);

#endif
