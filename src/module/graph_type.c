/* The Graph row: copying, freeing and running a Graph, and how its calls follow its tree. */
#include <stdlib.h>
#include <string.h>

#include "module/object.h"
#include "nnfuse/session.h"

/* ---- Freeing and copying ---- */

static void destroy_graph(void *options) {
    nnfi_graph *graph = options;
    for (size_t i = 0; i < graph->n_calls; i++)
        nnf_module_release(graph->calls[i]->module);
    for (size_t i = 0; i < graph->n_values; i++) {
        nnf_tensor_release(graph->values[i].constant);
        nnfi_value_forget_info(&graph->values[i]);
    }
    for (size_t i = 0; i < graph->n_symbols; i++)
        nnfi_free(graph->symbols[i]);
    nnfi_free(graph->calls);
    nnfi_free(graph->values);
    nnfi_free(graph->inputs);
    nnfi_free(graph->outputs);
    nnfi_free(graph->symbols);
    nnfi_free(graph->by_path);
    nnfi_index_clear(&graph->value_by_name);
    nnfi_pile_clear(&graph->pile);
    nnfi_map_clear(&graph->symbol_by_name);
    if (graph->source_release) graph->source_release(graph->source_data);
}

static bool copy_list(nnf_value **to, size_t *capacity, const nnf_value *from, size_t n) {
    if (n == 0) return true;
    if (!nnfi_reserve(to, capacity, n, sizeof **to)) return false;
    memcpy(*to, from, n * sizeof **to);
    return true;
}

/* Gone values come along, so that numbers stay. */
static bool copy_values(nnfi_graph *to, const nnfi_graph *from) {
    to->values = nnfi_calloc(from->n_values, sizeof *to->values);
    if (!to->values) return false;
    to->values_capacity = from->n_values;
    for (; to->n_values < from->n_values; to->n_values++) {
        const nnfi_value *model = &from->values[to->n_values];
        nnfi_value *value = &to->values[to->n_values];
        value->name = nnfi_pile_strndup(&to->pile, model->name, strlen(model->name));
        if (!value->name || (model->info && nnfi_value_set_info(value, model->info) != NNF_OK) ||
            (!model->gone && !nnfi_graph_index_name(to, to->n_values))) {
            nnfi_value_forget_info(value);
            return false;
        }
        value->constant = model->constant ? nnf_tensor_retain(model->constant) : NULL;
        value->is_input = model->is_input;
        value->is_output = model->is_output;
        value->is_hidden = model->is_hidden;
        value->is_reshaped = model->is_reshaped;
        value->is_foreign = model->is_foreign;
        value->gone = model->gone;
    }
    return true;
}

static bool copy_calls(nnfi_graph *to, const nnfi_graph *from) {
    if (!nnfi_reserve(&to->calls, &to->calls_capacity, from->n_calls, sizeof *to->calls))
        return false;
    for (; to->n_calls < from->n_calls; to->n_calls++) {
        const nnfi_call *model = from->calls[to->n_calls];
        if (nnfi_call_new(&to->calls[to->n_calls], to, model) != NNF_OK) return false;
        nnf_module_retain(model->module);
    }
    return true;
}

static bool copy_symbols(nnfi_graph *to, const nnfi_graph *from) {
    if (!nnfi_reserve(&to->symbols, &to->symbols_capacity, from->n_symbols, sizeof *to->symbols))
        return false;
    for (; to->n_symbols < from->n_symbols; to->n_symbols++) {
        char *name = nnfi_strdup(from->symbols[to->n_symbols]);
        if (!name ||
            !nnfi_map_put(&to->symbol_by_name, name, strlen(name), (int64_t)to->n_symbols + 1)) {
            nnfi_free(name);
            return false;
        }
        to->symbols[to->n_symbols] = name;
    }
    return true;
}

static nnf_status copy_graph(void *to, const void *from) {
    const nnfi_graph *model = from;
    nnfi_graph graph = {.source = model->source, .reuses_names = model->reuses_names};
    if (!copy_values(&graph, model) || !copy_calls(&graph, model) || !copy_symbols(&graph, model) ||
        !copy_list(&graph.inputs, &graph.inputs_capacity, model->inputs, model->n_inputs) ||
        !copy_list(&graph.outputs, &graph.outputs_capacity, model->outputs, model->n_outputs)) {
        destroy_graph(&graph);
        return nnfi_error_memory(model->n_calls * sizeof(nnfi_call), "a copy of a graph");
    }
    graph.n_inputs = model->n_inputs;
    graph.n_outputs = model->n_outputs;
    graph.inner_names = model->inner_names;
    graph.source_data = model->source_data;
    graph.source_retain = model->source_retain;
    graph.source_release = model->source_release;
    if (graph.source_retain) graph.source_retain(graph.source_data);
    *(nnfi_graph *)to = graph;
    return NNF_OK;
}

void nnfi_graph_relink(nnf_module *module, const nnfi_walk *originals, nnf_module *const *copies) {
    nnfi_graph *graph = nnfi_graph_of(module);
    for (size_t i = 0; i < graph->n_calls; i++) {
        nnf_module *original = graph->calls[i]->module;
        size_t index;
        if (!nnfi_pointers_get(&originals->index, original, &index)) continue;
        graph->calls[i]->module = nnf_module_retain(copies[index]);
        nnf_module_release(original);
    }
}

/* ---- Calls follow the tree ---- */

static int compare_paths(const void *a, const void *b) {
    return strcmp((*(nnfi_call *const *)a)->path, (*(nnfi_call *const *)b)->path);
}

static nnf_status sort_by_path(nnfi_graph *graph) {
    if (graph->by_path) return NNF_OK;
    graph->by_path = nnfi_alloc(graph->n_calls * sizeof *graph->by_path);
    if (!graph->by_path)
        return nnfi_error_memory(graph->n_calls * sizeof *graph->by_path, "the calls by path");
    memcpy(graph->by_path, graph->calls, graph->n_calls * sizeof *graph->by_path);
    qsort(graph->by_path, graph->n_calls, sizeof *graph->by_path, compare_paths);
    return NNF_OK;
}

/* The first of the sorted calls whose path is not below path + end. */
static size_t lower_bound(const nnfi_graph *graph, const char *path, const char *end) {
    size_t low = 0, high = graph->n_calls, length = strlen(path);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = graph->by_path[middle]->path;
        int order = strncmp(other, path, length);
        if (order == 0) order = strcmp(other + length, end);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The calls at `path` are by_path[at .. at_end), those below it [below .. below_end): '/' is the
 * character behind '.'. */
typedef struct path_range {
    size_t at, at_end, below, below_end;
} path_range;

static path_range range_of(const nnfi_graph *graph, const char *path) {
    return (path_range){lower_bound(graph, path, ""), lower_bound(graph, path, "\1"),
                        lower_bound(graph, path, "."), lower_bound(graph, path, "/")};
}

nnf_status nnfi_graph_prepare_set(nnf_module *module, const char *path,
                                  const nnf_module *replacement) {
    nnfi_graph *graph = nnfi_graph_of(module);
    nnf_module *old;
    if (graph->n_calls == 0 || nnf_module_get(&old, module, path) != NNF_OK) return NNF_OK;
    NNFI_TRY(sort_by_path(graph));
    path_range range = range_of(graph, path);
    for (size_t i = range.below; i < range.below_end; i++) {
        const char *rest = graph->by_path[i]->path + strlen(path) + 1;
        if (nnf_module_get(&old, replacement, rest) != NNF_OK)
            return nnf_error(NNF_ERROR_INVALID,
                             "'%s' cannot be replaced by a %s: the graph calls '%s', and there is "
                             "no '%s' in it",
                             path, replacement->type->name, graph->by_path[i]->path, rest);
    }
    return NNF_OK;
}

static void follow(nnfi_graph *graph, const nnf_module *module, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) {
        nnfi_call *call = graph->by_path[i];
        nnf_module *now, *old = call->module;
        if (nnf_module_get(&now, module, call->path) != NNF_OK) continue;
        call->module = nnf_module_retain(now);
        nnf_module_release(old);
    }
}

void nnfi_graph_commit_set(nnf_module *module, const char *path) {
    nnfi_graph *graph = nnfi_graph_of(module);
    if (!graph->by_path) return; /* the place was empty before: nothing can have called it */
    graph->changes++;
    path_range range = range_of(graph, path);
    follow(graph, module, range.at, range.at_end);
    follow(graph, module, range.below, range.below_end);
}

/* ---- Running ---- */

/* The values of one run. */
typedef struct graph_run {
    const nnf_module *module;
    const nnfi_graph *graph;
    nnf_tensor **values; /* by number, retained; constants are not here */
    size_t *last_reader; /* 1 + the call after which a value is not needed; 0: nobody reads it */
    nnf_tensor **inputs; /* a call's: room for the longest list */
    nnf_tensor **outputs;
} graph_run;

static void run_clear(graph_run *run) {
    for (size_t i = 0; run->values && i < run->graph->n_values; i++)
        nnf_tensor_release(run->values[i]);
    nnfi_free(run->values);
    nnfi_free(run->last_reader);
    nnfi_free(run->inputs);
    nnfi_free(run->outputs);
}

static nnf_status run_init(graph_run *run, const nnf_module *module) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    size_t most_inputs = 0, most_outputs = 0;
    *run = (graph_run){.module = module, .graph = graph};
    run->values = nnfi_calloc(graph->n_values, sizeof(nnf_tensor *));
    run->last_reader = nnfi_calloc(graph->n_values, sizeof *run->last_reader);
    for (size_t i = 0; i < graph->n_calls && run->last_reader; i++) {
        const nnfi_call *call = graph->calls[i];
        if (call->n_inputs > most_inputs) most_inputs = call->n_inputs;
        if (call->n_outputs > most_outputs) most_outputs = call->n_outputs;
        for (size_t j = 0; j < call->n_inputs; j++)
            if (call->inputs[j] != NNF_NO_VALUE) run->last_reader[call->inputs[j]] = i + 1;
    }
    for (size_t i = 0; i < graph->n_outputs && run->last_reader; i++)
        run->last_reader[graph->outputs[i]] = SIZE_MAX;
    run->inputs = nnfi_alloc(most_inputs * sizeof(nnf_tensor *));
    run->outputs = nnfi_alloc(most_outputs * sizeof(nnf_tensor *));
    if (run->values && run->last_reader && run->inputs && run->outputs) return NNF_OK;
    run_clear(run);
    return nnfi_error_memory(graph->n_values * sizeof(nnf_tensor *), "a graph's values");
}

static nnf_status find_value(const graph_run *run, nnf_tensor **out, nnf_value value) {
    *out = run->values[value] ? run->values[value] : run->graph->values[value].constant;
    if (*out) return NNF_OK;
    return nnf_error(
        NNF_ERROR_UNSUPPORTED,
        "the value '%s' is read, but nothing before gives it, or gives what nnfuse has "
        "no values of (a sparse initializer, an unknown type)",
        run->graph->values[value].name);
}

static void release_if_last(graph_run *run, nnf_value value, size_t call) {
    if (value == NNF_NO_VALUE || run->last_reader[value] > call + 1) return;
    nnf_tensor_release(run->values[value]);
    run->values[value] = NULL;
}

static nnf_status run_call(graph_run *run, nnf_session *session, size_t index) {
    const nnfi_call *call = run->graph->calls[index];
    for (size_t i = 0; i < call->n_inputs; i++) {
        run->inputs[i] = NULL;
        if (call->inputs[i] != NNF_NO_VALUE)
            NNFI_TRY(find_value(run, &run->inputs[i], call->inputs[i]));
    }
    NNFI_TRY(nnf_session_call(session, call->path, call->module, run->inputs, call->n_inputs,
                              run->outputs, call->n_outputs));
    for (size_t i = 0; i < call->n_outputs; i++) {
        if (call->outputs[i] == NNF_NO_VALUE)
            nnf_tensor_release(run->outputs[i]);
        else
            run->values[call->outputs[i]] = run->outputs[i];
    }
    for (size_t i = 0; i < call->n_inputs; i++)
        release_if_last(run, call->inputs[i], index);
    for (size_t i = 0; i < call->n_outputs; i++)
        release_if_last(run, call->outputs[i], index);
    return NNF_OK;
}

static nnf_status run_graph(graph_run *run, nnf_session *session, nnf_tensor *const *inputs,
                            size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    const nnfi_graph *graph = run->graph;
    for (size_t i = 0; i < n_inputs; i++)
        if (inputs[i]) run->values[graph->inputs[i]] = nnf_tensor_retain(inputs[i]);
    for (size_t i = 0; i < graph->n_calls; i++)
        NNFI_TRY(run_call(run, session, i));
    for (size_t i = 0; i < n_outputs; i++) {
        nnf_tensor *value;
        NNFI_TRY(find_value(run, &value, graph->outputs[i]));
        outputs[i] = nnf_tensor_retain(value);
    }
    return NNF_OK;
}

static nnf_status graph_forward(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_graph_check_inputs(module, inputs, n_inputs));
    if (n_outputs != nnf_graph_n_outputs(module))
        return nnf_error(NNF_ERROR_INVALID, "the graph has %zu outputs, but there is room for %zu",
                         nnf_graph_n_outputs(module), n_outputs);
    graph_run run;
    NNFI_TRY(run_init(&run, module));
    nnf_status status = run_graph(&run, session, inputs, n_inputs, outputs, n_outputs);
    run_clear(&run);
    return status;
}

const nnf_module_type nnfi_graph_type = {
    .name = "Graph",
    .options_size = sizeof(nnfi_graph),
    .copy_options = copy_graph,
    .destroy_options = destroy_graph,
    .infer = nnfi_graph_infer_outputs,
    .forward = graph_forward,
    .flags = NNF_TYPE_RUNS_CHILDREN,
};
