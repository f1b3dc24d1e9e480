#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "npy.h"
#include "options.h"

static int load(nnf_module **out, const char *path, bool check_range_late) {
    const nnf_onnx_load_options options = {
        .map = true, .check_range_late = check_range_late, .name = "standard input"};
    nnf_status status;
    if (strcmp(path, "-") == 0) {
        void *data = NULL;
        size_t size = 0;
        status = file_read(&data, &size, path);
        if (status == NNF_OK) status = nnf_onnx_load_memory(out, data, size, &options);
        free(data);
    } else {
        status = nnf_onnx_load(out, path, &options);
    }
    return status == NNF_OK ? STATUS_DONE : fail_library(status);
}

int model_load(nnf_module **out, const char *path) {
    return load(out, path, false);
}

int model_load_late(nnf_module **out, const char *path) {
    return load(out, path, true);
}

void note_opset(const cli_settings *settings, const char *path, const nnf_module *model) {
    int64_t opset = nnf_onnx_opset(model);
    if (opset <= nnf_onnx_newest_opset()) return;
    note(
        settings,
        "%s uses opset %lld, and the newest one that nnfuse knows is %d: nodes of ONNX's operators "
        "pass through untouched, and cannot be run",
        input_name(path), (long long)opset, nnf_onnx_newest_opset());
}

nnf_status model_fuse(nnf_module *model, const nnf_mapping *mapping, size_t *n_fused) {
    nnf_fuse_report fusing = {0};
    nnf_status status = nnf_clean(model, NULL);
    if (status == NNF_OK) status = nnf_fuse(model, mapping, &fusing);
    *n_fused = fusing.n_fused;
    nnf_fuse_report_clear(&fusing);
    return status;
}

/* ---- Names ---- */

static const char *port_name(const nnf_module *graph, bool is_output, size_t index) {
    nnf_value value = is_output ? nnf_graph_output(graph, index) : nnf_graph_input(graph, index);
    return nnf_graph_value_name(graph, value);
}

static size_t n_ports(const nnf_module *graph, bool is_output) {
    return is_output ? nnf_graph_n_outputs(graph) : nnf_graph_n_inputs(graph);
}

/* The port whose name is the first `length` bytes of `text`, or NULL. */
static const char *find_port(const nnf_module *graph, bool is_output, const char *text,
                             size_t length) {
    for (size_t i = 0; i < n_ports(graph, is_output); i++) {
        const char *name = port_name(graph, is_output, i);
        if (strlen(name) == length && memcmp(name, text, length) == 0) return name;
    }
    return NULL;
}

/* "'image', 'mask'" for an error message. */
static const char *list_ports(char *buffer, size_t size, const nnf_module *graph, bool is_output) {
    size_t n = n_ports(graph, is_output), used = 0;
    snprintf(buffer, size, "none");
    for (size_t i = 0; i < n && used < size; i++) {
        int more = snprintf(buffer + used, size - used, "%s'%s'", i > 0 ? ", " : "",
                            port_name(graph, is_output, i));
        used += more > 0 ? (size_t)more : size;
    }
    return buffer;
}

int split_binding(const char **name, const char **path, const char *option, const char *text,
                  const nnf_module *graph) {
    bool is_output = strcmp(option, "--output") == 0;
    const char *what = is_output ? "output" : "input";
    char names[512];
    /* A name may hold '=' itself: the longest one that fits counts. */
    for (const char *equals = strrchr(text, '='); equals != NULL;) {
        size_t length = (size_t)(equals - text);
        *name = find_port(graph, is_output, text, length);
        *path = equals + 1;
        if (*name != NULL && equals[1] != '\0') return STATUS_DONE;
        if (*name != NULL)
            return fail(STATUS_USAGE, "%s %s names no %s", option, text,
                        strcmp(option, "--shape") == 0 ? "shape" : "file");
        const char *before = equals;
        equals = NULL;
        for (const char *at = text; at < before; at++) {
            if (*at == '=') equals = at;
        }
    }
    list_ports(names, sizeof names, graph, is_output);
    size_t length = strcspn(text, "=");
    if (text[length] == '=') {
        return fail(STATUS_USAGE, "the model has no %s '%.*s'; it has %s", what, (int)length, text,
                    names);
    }
    if (n_ports(graph, is_output) != 1) {
        return fail(STATUS_USAGE,
                    "the model has %zu %ss: say which as %s NAME=%s, where NAME is one of %s",
                    n_ports(graph, is_output), what, option, text, names);
    }
    *name = port_name(graph, is_output, 0);
    *path = text;
    return STATUS_DONE;
}

/* ---- Inputs ---- */

static const nnf_type_info *input_info(const nnf_module *graph, const char *name) {
    for (size_t i = 0; i < nnf_graph_n_inputs(graph); i++) {
        nnf_value value = nnf_graph_input(graph, i);
        if (strcmp(nnf_graph_value_name(graph, value), name) == 0) {
            return nnf_graph_value_info(graph, value);
        }
    }
    return NULL;
}

/* numpy's default is float64, the models' float32: numbers become floats of the input's kind, and
 * integers wider ones; floats never become integers. */
static int convert(nnf_tensor **tensor, const cli_settings *settings, const char *path,
                   const char *name, nnf_dtype wanted) {
    nnf_dtype given = nnf_tensor_dtype(*tensor);
    if (wanted == NNF_DTYPE_UNKNOWN || wanted == given) return STATUS_DONE;
    bool wider = !nnf_dtype_is_float(given) && nnf_dtype_size(wanted) > nnf_dtype_size(given);
    if (!nnf_dtype_is_float(wanted) && !wider) {
        return fail(STATUS_INPUT, "%s: holds %s, but the input '%s' takes %s", path,
                    nnf_dtype_name(given), name, nnf_dtype_name(wanted));
    }
    nnf_tensor *converted = NULL;
    nnf_status status = nnf_tensor_convert(&converted, *tensor, wanted);
    if (status != NNF_OK) return fail_library(status);
    note(settings, "%s: holds %s; converted to the input's %s", path, nnf_dtype_name(given),
         nnf_dtype_name(wanted));
    nnf_tensor_release(*tensor);
    *tensor = converted;
    return STATUS_DONE;
}

static int add_input(cli_bindings *out, const cli_settings *settings, const nnf_module *graph,
                     const char *text) {
    const char *name = NULL, *path = NULL;
    int status = split_binding(&name, &path, "--input", text, graph);
    if (status != STATUS_DONE) return status;
    for (size_t i = 0; i < out->options.n_inputs; i++) {
        if (strcmp(out->inputs[i].name, name) == 0) {
            return fail(STATUS_USAGE, "the input '%s' is given twice", name);
        }
    }
    nnf_tensor *tensor = NULL;
    nnf_status read = npy_read(&tensor, path);
    if (read != NNF_OK) return fail_library(read);
    const nnf_type_info *info = input_info(graph, name);
    status = info != NULL ? convert(&tensor, settings, path, name, info->dtype) : STATUS_DONE;
    if (status != STATUS_DONE) {
        nnf_tensor_release(tensor);
        return status;
    }
    out->inputs[out->options.n_inputs++] = (nnf_named_tensor){.name = name, .tensor = tensor};
    return STATUS_DONE;
}

static int add_shape(cli_bindings *out, const nnf_module *graph, const char *text) {
    const char *name = NULL, *sizes = NULL;
    int status = split_binding(&name, &sizes, "--shape", text, graph);
    if (status != STATUS_DONE) return status;
    for (size_t i = 0; i < out->options.n_shapes; i++) {
        if (strcmp(out->shapes[i].name, name) == 0)
            return fail(STATUS_USAGE, "the shape of the input '%s' is given twice", name);
    }
    nnf_named_shape *shape = &out->shapes[out->options.n_shapes];
    shape->name = name;
    if (!parse_shape(sizes, &shape->ndim, shape->shape)) {
        return fail(STATUS_USAGE, "--shape takes sizes, as in --shape %s=1,3,224,224, not '%s'",
                    name, sizes);
    }
    out->options.n_shapes++;
    return STATUS_DONE;
}

static int fill(cli_bindings *out, const cli_settings *settings, const nnf_module *graph) {
    int status = STATUS_DONE;
    for (size_t i = 0; i < settings->inputs.n && status == STATUS_DONE; i++) {
        status = add_input(out, settings, graph, settings->inputs.items[i]);
    }
    for (size_t i = 0; i < settings->shapes.n && status == STATUS_DONE; i++) {
        status = add_shape(out, graph, settings->shapes.items[i]);
    }
    if (status != STATUS_DONE || settings->labels == NULL) return status;
    nnf_status read = npy_read(&out->labels, settings->labels);
    if (read != NNF_OK) return fail_library(read);
    if (nnf_dtype_is_float(nnf_tensor_dtype(out->labels)) || nnf_tensor_ndim(out->labels) != 1) {
        return fail(STATUS_INPUT, "%s: labels are integers of one dimension, [N]",
                    settings->labels);
    }
    return STATUS_DONE;
}

int bindings_make(cli_bindings *out, const cli_settings *settings, const nnf_module *graph) {
    *out = (cli_bindings){0};
    out->inputs = calloc(settings->inputs.n + 1, sizeof *out->inputs);
    out->shapes = calloc(settings->shapes.n + 1, sizeof *out->shapes);
    int status = out->inputs != NULL && out->shapes != NULL ? fill(out, settings, graph)
                                                            : fail(STATUS_INPUT, "out of memory");
    if (status != STATUS_DONE) {
        bindings_clear(out);
        return status;
    }
    out->options.inputs = out->inputs;
    out->options.shapes = out->shapes;
    out->options.labels = out->labels;
    out->options.int_max = settings->int_max;
    out->options.seed = (uint64_t)settings->seed;
    out->options.tolerance = settings->tolerance;
    out->options.threads = (int)settings->threads;
    return STATUS_DONE;
}

void bindings_clear(cli_bindings *bindings) {
    for (size_t i = 0; i < bindings->options.n_inputs; i++) {
        nnf_tensor_release(bindings->inputs[i].tensor);
    }
    free(bindings->inputs);
    free(bindings->shapes);
    nnf_tensor_release(bindings->labels);
    bindings->inputs = NULL;
    bindings->shapes = NULL;
    bindings->labels = NULL;
    bindings->options.n_inputs = 0;
}

/* ---- Counting ---- */

/* What counting needs to know of a call. */
typedef struct counted_call {
    const nnf_module *model;
    size_t index;
    nnf_type_info **infos; /* of the model's values; NULL until they are needed */
    size_t *n_infos;
} counted_call;

/* Whether ONNX says a Linear with two nodes, a MatMul and an Add: a Gemm takes rank 2 alone. */
static bool is_two_nodes(const counted_call *call, const nnf_module *module) {
    if (strcmp(nnf_module_type_name(module), "Linear") != 0 || !nnf_module_tensor(module, "bias"))
        return false;
    const nnf_value x = nnf_graph_call_inputs(call->model, call->index)[0];
    if (!*call->infos && nnf_graph_infer(call->model, NULL, call->infos, call->n_infos) != NNF_OK)
        return false;
    return (*call->infos)[x].ndim != 2;
}

/* The nodes of a module: a fused container's children, or what a layer was lifted from. */
static int64_t n_leaves(const counted_call *call, const nnf_module *module) {
    uint32_t flags = nnf_module_get_type(module)->flags;
    if ((flags & NNF_TYPE_RUNS_CHILDREN) && !(flags & NNF_TYPE_FUSED)) return 1;
    if (nnf_module_n_children(module) == 0) return is_two_nodes(call, module) ? 2 : 1;
    int64_t n = 0;
    for (size_t i = 0; i < nnf_module_n_children(module); i++) {
        n += n_leaves(call, nnf_module_child(module, i));
    }
    return n;
}

model_counts model_count(nnf_module *model) {
    model_counts counts = {0, 0};
    nnf_type_info *infos = NULL;
    size_t n_infos = 0;
    for (size_t i = 0; i < nnf_graph_n_calls(model); i++) {
        const counted_call call = {model, i, &infos, &n_infos};
        counts.nodes += n_leaves(&call, nnf_graph_call_module(model, i));
    }
    nnf_graph_infer_free(infos, n_infos);
    nnf_status status = nnf_graph_n_parameters(&counts.parameters, model);
    if (status != NNF_OK) counts.parameters = 0;
    return counts;
}
