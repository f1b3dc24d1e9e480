/* Shapes and dtypes through a Graph. */
#include <string.h>

#include "module/known.h"
#include "module/object.h"
#include "support/text.h"

/* ---- Checking a run's inputs ---- */

static void add_dim(nnfi_text *text, const nnf_module *graph, nnf_dim dim) {
    const char *name = nnf_graph_symbol_name(graph, dim.symbol);
    if (name)
        nnfi_text_add(text, "%s", name);
    else if (dim.symbol == 0)
        nnfi_text_add(text, "%lld", (long long)dim.value);
    else
        nnfi_text_add(text, "?");
}

/* "float32 [batch, 3, 32, 32]" */
static void add_info(nnfi_text *text, const nnf_module *graph, const nnf_type_info *info) {
    nnfi_text_add(text, "%s", info->dtype ? nnf_dtype_name(info->dtype) : "any type");
    if (info->ndim < 0) return;
    nnfi_text_add(text, " [");
    for (int i = 0; i < info->ndim; i++) {
        if (i > 0) nnfi_text_add(text, ", ");
        add_dim(text, graph, info->shape[i]);
    }
    nnfi_text_add(text, "]");
}

static nnf_status misfit(const nnf_module *module, const nnfi_value *input, const nnf_tensor *given,
                         nnf_status status) {
    nnfi_text expected = {0};
    char shape[NNFI_SHAPE_TEXT];
    add_info(&expected, module, nnfi_value_info(input));
    nnf_error(
        status, "the input '%s' should be %s, not %s %s", input->name,
        expected.data ? expected.data : "different", nnf_dtype_name(nnf_tensor_dtype(given)),
        nnfi_shape_text(shape, sizeof shape, nnf_tensor_ndim(given), nnf_tensor_shape(given)));
    nnfi_text_clear(&expected);
    return status;
}

/* sizes[symbol - 1] is what the inputs before gave a symbol, -1 where none did. */
static nnf_status check_input(const nnf_module *module, const nnfi_value *input,
                              const nnf_tensor *given, int64_t *sizes) {
    const nnf_type_info *info = nnfi_value_info(input);
    if (input->is_foreign)
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "the input '%s' is of a type that nnfuse has no values of", input->name);
    if (info->dtype != NNF_DTYPE_UNKNOWN && info->dtype != nnf_tensor_dtype(given))
        return misfit(module, input, given, NNF_ERROR_DTYPE);
    if (info->ndim >= 0 && info->ndim != nnf_tensor_ndim(given))
        return misfit(module, input, given, NNF_ERROR_SHAPE);
    for (int i = 0; i < info->ndim; i++) {
        nnf_dim dim = info->shape[i];
        int64_t size = nnf_tensor_shape(given)[i];
        if (dim.symbol == 0 && dim.value != size)
            return misfit(module, input, given, NNF_ERROR_SHAPE);
        const char *name = nnf_graph_symbol_name(module, dim.symbol);
        if (!name) continue;
        int64_t *known = &sizes[dim.symbol - 1];
        if (*known < 0) *known = size;
        if (*known == size) continue;
        misfit(module, input, given, NNF_ERROR_SHAPE);
        return nnfi_error_prefix(NNF_ERROR_SHAPE, "%s is %lld elsewhere: ", name,
                                 (long long)*known);
    }
    return NNF_OK;
}

nnf_status nnfi_graph_check_inputs(const nnf_module *module, nnf_tensor *const *inputs,
                                   size_t n_inputs) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    if (n_inputs != graph->n_inputs)
        return nnf_error(NNF_ERROR_INVALID, "the graph has %zu inputs, but %zu are given",
                         graph->n_inputs, n_inputs);
    int64_t *sizes = nnfi_alloc(graph->n_symbols * sizeof *sizes);
    if (!sizes) return nnfi_error_memory(graph->n_symbols * sizeof *sizes, "a graph's symbols");
    for (size_t i = 0; i < graph->n_symbols; i++)
        sizes[i] = -1;
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n_inputs && status == NNF_OK; i++) {
        const nnfi_value *input = &graph->values[graph->inputs[i]];
        if (inputs[i])
            status = check_input(module, input, inputs[i], sizes);
        else if (!input->constant)
            status = nnf_error(NNF_ERROR_INVALID, "the input '%s' is not given", input->name);
    }
    nnfi_free(sizes);
    return status;
}

/* ---- Inference ---- */

typedef struct inference {
    const nnf_module *module;
    const nnfi_graph *graph;
    nnfi_known infos;
    bool declared; /* what the graph says itself of a value is taken where nothing else tells */
} inference;

/* Fills in what is not known yet from what the file or the program said of the value. */
static void add_declared(const inference *state, nnf_value value, nnf_type_info *info) {
    const nnf_type_info *declared = nnfi_value_info(&state->graph->values[value]);
    if (info->dtype == NNF_DTYPE_UNKNOWN) info->dtype = declared->dtype;
    if (info->ndim < 0 && declared->ndim >= 0) {
        info->ndim = declared->ndim;
        for (int i = 0; i < info->ndim; i++)
            info->shape[i] = (nnf_dim){0, NNF_DIM_UNKNOWN};
    }
    if (info->ndim != declared->ndim) return;
    for (int i = 0; i < info->ndim; i++)
        if (info->shape[i].symbol == NNF_DIM_UNKNOWN) info->shape[i] = declared->shape[i];
    nnfi_info_settle(info); /* what is declared may not fit what is known of the elements */
}

static nnf_status infer_sources(inference *state, const nnf_type_info *const *inputs) {
    const nnfi_graph *graph = state->graph;
    nnf_type_info info;
    nnf_type_info_init(&info);
    for (size_t i = 0; i < graph->n_values; i++) {
        const nnfi_value *value = &graph->values[i];
        if (!value->constant || value->is_input) continue;
        NNFI_TRY(nnf_type_info_of_tensor(&info, value->constant));
        NNFI_TRY(nnfi_known_set(&state->infos, (nnf_value)i, &info));
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        nnf_value value = graph->inputs[i];
        const nnf_type_info *known =
            inputs ? inputs[i] : nnfi_value_info(&graph->values[graph->inputs[i]]);
        if (!known) continue;
        NNFI_TRY(nnf_type_info_copy(&info, known));
        nnfi_info_settle(&info);
        NNFI_TRY(nnfi_known_set(&state->infos, value, &info));
    }
    return NNF_OK;
}

/* Room for one call's infos. */
typedef struct call_infos {
    const nnf_type_info **inputs;
    nnf_type_info *outputs;
    size_t inputs_capacity, outputs_capacity;
} call_infos;

static nnf_status infer_call(inference *state, const nnfi_call *call, call_infos *room) {
    const nnf_module_type *type = call->module->type;
    if (!nnfi_reserve(&room->inputs, &room->inputs_capacity, call->n_inputs,
                      sizeof *room->inputs) ||
        !nnfi_reserve(&room->outputs, &room->outputs_capacity, call->n_outputs,
                      sizeof *room->outputs))
        return nnfi_error_memory(call->n_outputs * sizeof *room->outputs, "a call's infos");
    for (size_t i = 0; i < call->n_inputs; i++)
        room->inputs[i] =
            call->inputs[i] == NNF_NO_VALUE ? NULL : nnfi_known_get(&state->infos, call->inputs[i]);
    for (size_t i = 0; i < call->n_outputs; i++)
        nnf_type_info_init(&room->outputs[i]);
    nnf_status status = nnfi_module_infer(call->module, room->inputs, call->n_inputs, room->outputs,
                                          call->n_outputs);
    if (status != NNF_OK) status = nnfi_error_prefix(status, "'%s' (%s): ", call->path, type->name);
    for (size_t i = 0; i < call->n_outputs; i++) {
        if (status != NNF_OK || call->outputs[i] == NNF_NO_VALUE) {
            nnf_type_info_clear(&room->outputs[i]);
            continue;
        }
        if (state->declared) add_declared(state, call->outputs[i], &room->outputs[i]);
        status = nnfi_known_set(&state->infos, call->outputs[i], &room->outputs[i]);
    }
    return status;
}

static nnf_status infer_graph(inference *state, const nnf_type_info *const *inputs) {
    const nnfi_graph *graph = state->graph;
    NNFI_TRY(nnfi_known_new(&state->infos, graph->n_values));
    nnf_status status = infer_sources(state, inputs);
    call_infos room = {0};
    for (size_t i = 0; i < graph->n_calls && status == NNF_OK; i++)
        status = infer_call(state, graph->calls[i], &room);
    nnfi_free((void *)room.inputs);
    nnfi_free(room.outputs);
    if (status != NNF_OK) nnfi_known_clear(&state->infos);
    return status;
}

nnf_status nnfi_graph_infer(nnfi_known *out, const nnf_module *module) {
    inference state = {.module = module, .graph = nnfi_graph_of(module), .declared = true};
    NNFI_TRY(infer_graph(&state, NULL));
    *out = state.infos;
    return NNF_OK;
}

/* One info for each value. */
static nnf_status spread(nnf_type_info **out, const nnfi_known *infos, size_t n) {
    nnf_type_info *spread = nnfi_alloc(n * sizeof *spread);
    if (!spread) return nnfi_error_memory(n * sizeof *spread, "a graph's infos");
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n; i++) {
        nnf_type_info_init(&spread[i]);
        if (status == NNF_OK)
            status = nnf_type_info_copy(&spread[i], nnfi_known_get(infos, (nnf_value)i));
    }
    if (status == NNF_OK)
        *out = spread;
    else
        nnf_graph_infer_free(spread, n);
    return status;
}

static nnf_status infer_values(inference *state, const nnf_type_info *inputs, nnf_type_info **infos,
                               size_t *n_infos) {
    const nnfi_graph *graph = state->graph;
    const nnf_type_info **pointers = NULL;
    if (inputs) {
        pointers = nnfi_alloc(graph->n_inputs * sizeof *pointers);
        if (!pointers) return nnfi_error_memory(graph->n_inputs * sizeof *pointers, "the infos");
        for (size_t i = 0; i < graph->n_inputs; i++)
            pointers[i] = &inputs[i];
    }
    nnf_status status = infer_graph(state, pointers);
    nnfi_free((void *)pointers);
    if (status != NNF_OK) return status;
    status = spread(infos, &state->infos, graph->n_values);
    nnfi_known_clear(&state->infos);
    if (status == NNF_OK) *n_infos = graph->n_values;
    return status;
}

nnf_status nnf_graph_infer(const nnf_module *module, const nnf_type_info *inputs,
                           nnf_type_info **infos, size_t *n_infos) {
    inference state = {.module = module, .graph = nnfi_graph_of(module), .declared = true};
    if (!state.graph) return nnf_error(NNF_ERROR_INVALID, "only a Graph's values have infos");
    return infer_values(&state, inputs, infos, n_infos);
}

nnf_status nnfi_graph_infer_run(const nnf_module *module, const nnf_type_info *inputs,
                                nnf_type_info **infos, size_t *n_infos) {
    inference state = {.module = module, .graph = nnfi_graph_of(module)};
    return infer_values(&state, inputs, infos, n_infos);
}

void nnf_graph_infer_free(nnf_type_info *infos, size_t n_infos) {
    for (size_t i = 0; infos && i < n_infos; i++)
        nnf_type_info_clear(&infos[i]);
    nnfi_free(infos);
}

nnf_status nnfi_graph_infer_outputs(const nnf_module *module, const nnf_type_info *const *inputs,
                                    size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    if (n_inputs != graph->n_inputs || n_outputs != graph->n_outputs)
        return nnf_error(NNF_ERROR_INVALID,
                         "the graph has %zu inputs and %zu outputs, not %zu and %zu",
                         graph->n_inputs, graph->n_outputs, n_inputs, n_outputs);
    inference state = {.module = module, .graph = graph};
    NNFI_TRY(infer_graph(&state, inputs));
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n_outputs && status == NNF_OK; i++)
        status = nnf_type_info_copy(&outputs[i], nnfi_known_get(&state.infos, graph->outputs[i]));
    nnfi_known_clear(&state.infos);
    return status;
}
