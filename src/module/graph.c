/* Building a Graph and looking at it. */
#include <string.h>

#include "module/object.h"
#include "support/hash.h"

nnf_status nnf_graph_new(nnf_module **out) {
    return nnf_module_new(out, &nnfi_graph_type, NULL);
}

bool nnf_module_is_graph(const nnf_module *module) {
    return module && module->type == &nnfi_graph_type;
}

nnfi_graph *nnfi_graph_of(const nnf_module *module) {
    return nnf_module_is_graph(module) ? nnfi_options_of(module) : NULL;
}

static nnf_status need_graph(nnfi_graph **out, nnf_module *module) {
    *out = nnfi_graph_of(module);
    if (*out) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "a Graph is needed, not %s%s", module ? "a " : "nothing",
                     module ? module->type->name : "");
}

/* ---- Values ---- */

typedef struct wanted_name {
    const nnfi_graph *graph;
    const char *name;
    size_t length;
} wanted_name;

static bool has_name(const void *payload, size_t number) {
    const wanted_name *wanted = payload;
    const char *name = wanted->graph->values[number].name;
    /* what is wanted may hold a NUL, behind which the other one has nothing to compare */
    return strlen(name) == wanted->length && !memcmp(name, wanted->name, wanted->length);
}

bool nnfi_graph_is_named(const nnfi_graph *graph, nnf_value value, const char *name,
                         size_t length) {
    return value >= 0 && (size_t)value < graph->n_values &&
           has_name(&(wanted_name){graph, name, length}, (size_t)value);
}

static struct nnfi_index_slot *find_name(const nnfi_graph *graph, const char *name, size_t length) {
    return nnfi_index_find(&graph->value_by_name, nnfi_hash(0, name, length), has_name,
                           &(wanted_name){graph, name, length});
}

bool nnfi_graph_index_name(nnfi_graph *graph, size_t value) {
    const char *name = graph->values[value].name;
    return nnfi_index_add(&graph->value_by_name, nnfi_hash(0, name, strlen(name)), value);
}

nnf_status nnfi_graph_add_name(nnfi_graph *graph, nnf_value *out, const char *name, size_t length) {
    if (graph->n_values >= INT32_MAX)
        return nnf_error(NNF_ERROR_UNSUPPORTED, "a graph has more than %d values", INT32_MAX);
    const char *copy = NULL;
    struct nnfi_index_slot *slot = NULL;
    bool added;
    if (nnfi_reserve(&graph->values, &graph->values_capacity, graph->n_values + 1,
                     sizeof *graph->values))
        copy = nnfi_pile_strndup(&graph->pile, name, length);
    if (copy)
        slot = nnfi_index_find_or_add(&graph->value_by_name, nnfi_hash(0, name, length), has_name,
                                      &(wanted_name){graph, name, length}, graph->n_values, &added);
    if (!slot) return nnfi_error_memory(sizeof *graph->values, "a graph's values");
    if (!added && !graph->values[nnfi_index_number(slot)].gone)
        return nnf_error(NNF_ERROR_INVALID, "the graph has two values named '%s'", copy);
    if (!added) {
        nnfi_index_replace(slot, graph->n_values);
        graph->reuses_names = true;
    }
    graph->values[graph->n_values] = (nnfi_value){.name = copy};
    graph->changes++;
    *out = (nnf_value)graph->n_values++;
    return NNF_OK;
}

nnf_status nnfi_graph_add_value(nnfi_graph *graph, nnf_value *out, const char *name) {
    if (!name || !*name) return nnf_error(NNF_ERROR_INVALID, "a value of a graph needs a name");
    return nnfi_graph_add_name(graph, out, name, strlen(name));
}

const nnf_type_info *nnfi_value_info(const nnfi_value *value) {
    static const nnf_type_info unknown = {.dtype = NNF_DTYPE_UNKNOWN, .ndim = -1, .n_values = -1};
    return value->info ? value->info : &unknown;
}

nnf_tensor *nnfi_constant_of(const nnfi_graph *graph, nnf_value value) {
    if (value == NNF_NO_VALUE || graph->values[value].is_input) return NULL;
    return graph->values[value].constant;
}

nnf_status nnfi_value_set_info(nnfi_value *value, const nnf_type_info *info) {
    bool says_nothing = info->dtype == NNF_DTYPE_UNKNOWN && info->ndim < 0 && info->n_values < 0;
    nnf_type_info *copy = NULL;
    if (!says_nothing) {
        copy = nnfi_alloc(sizeof *copy);
        if (!copy) return nnfi_error_memory(sizeof *copy, "what is known of a value");
        nnf_type_info_init(copy);
        nnf_status status = nnf_type_info_copy(copy, info);
        if (status != NNF_OK) {
            nnfi_free(copy);
            return status;
        }
    }
    nnfi_value_forget_info(value);
    value->info = copy;
    return NNF_OK;
}

void nnfi_value_forget_info(nnfi_value *value) {
    if (value->info) nnf_type_info_clear(value->info);
    nnfi_free(value->info);
    value->info = NULL;
}

void nnfi_value_reshape(nnfi_value *value) {
    nnfi_value_forget_info(value);
    value->is_reshaped = true;
}

/* Takes back the values from number `n` on, which nothing refers to yet. */
void nnfi_graph_drop_values(nnfi_graph *graph, size_t n) {
    graph->changes++;
    while (graph->n_values > n) {
        nnfi_value *value = &graph->values[--graph->n_values];
        nnfi_index_remove(find_name(graph, value->name, strlen(value->name)));
        nnf_tensor_release(value->constant);
        nnfi_value_forget_info(value);
    }
}

nnf_value nnfi_graph_find_any(const nnfi_graph *graph, const char *name, size_t length) {
    const struct nnfi_index_slot *slot = find_name(graph, name, length);
    return slot ? (nnf_value)nnfi_index_number(slot) : NNF_NO_VALUE;
}

nnf_value nnfi_graph_find_name(const nnfi_graph *graph, const char *name, size_t length) {
    nnf_value value = nnfi_graph_find_any(graph, name, length);
    return value == NNF_NO_VALUE || graph->values[value].gone ? NNF_NO_VALUE : value;
}

nnf_value nnfi_graph_find_near(const nnfi_graph *graph, nnf_value guess, const char *name,
                               size_t length) {
    if (!nnfi_graph_is_named(graph, guess, name, length))
        return nnfi_graph_find_name(graph, name, length);
    if (!graph->values[guess].gone) return guess;
    return graph->reuses_names ? nnfi_graph_find_name(graph, name, length) : NNF_NO_VALUE;
}

nnf_status nnfi_graph_reserve(nnfi_graph *graph, size_t n_values, size_t n_calls) {
    if (nnfi_reserve(&graph->values, &graph->values_capacity, n_values, sizeof *graph->values) &&
        nnfi_reserve(&graph->calls, &graph->calls_capacity, n_calls, sizeof *graph->calls) &&
        nnfi_index_reserve(&graph->value_by_name, n_values))
        return NNF_OK;
    return nnfi_error_memory(n_values * sizeof *graph->values, "a graph's values");
}

nnf_value nnfi_graph_find_value(const nnfi_graph *graph, const char *name) {
    return nnfi_graph_find_name(graph, name, strlen(name));
}

static nnfi_value *value_at(const nnfi_graph *graph, nnf_value value) {
    if (!graph || value < 0 || (size_t)value >= graph->n_values || graph->values[value].gone)
        return NULL;
    return &graph->values[value];
}

/* Appends to the graph's inputs or outputs. */
static nnf_status append_value(nnf_value **list, size_t *n, size_t *capacity, nnf_value value) {
    if (!nnfi_reserve(list, capacity, *n + 1, sizeof **list))
        return nnfi_error_memory(sizeof **list, "a graph's inputs and outputs");
    (*list)[(*n)++] = value;
    return NNF_OK;
}

/* What a program says of an input, of which nothing was checked yet. */
static nnf_status check_info(const char *name, const nnf_type_info *info) {
    if (info->ndim > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_INVALID, "the input '%s' has %d dimensions; there can be %d",
                         name ? name : "", info->ndim, NNF_MAX_DIMS);
    for (int i = 0; i < info->ndim; i++)
        if (info->shape[i].symbol == 0 && info->shape[i].value < 0)
            return nnf_error(NNF_ERROR_INVALID, "the input '%s' has size %lld on axis %d",
                             name ? name : "", (long long)info->shape[i].value, i);
    return NNF_OK;
}

nnf_status nnf_graph_add_input(nnf_module *module, nnf_value *out, const char *name,
                               const nnf_type_info *info) {
    nnfi_graph *graph;
    NNFI_TRY(need_graph(&graph, module));
    nnf_value value;
    if (info) NNFI_TRY(check_info(name, info));
    NNFI_TRY(nnfi_graph_add_value(graph, &value, name));
    nnf_status status = info ? nnfi_value_set_info(&graph->values[value], info) : NNF_OK;
    if (status == NNF_OK)
        status = append_value(&graph->inputs, &graph->n_inputs, &graph->inputs_capacity, value);
    if (status != NNF_OK) {
        nnfi_graph_drop_values(graph, (size_t)value);
        return status;
    }
    graph->values[value].is_input = true;
    if (out) *out = value;
    return NNF_OK;
}

nnf_status nnf_graph_add_constant(nnf_module *module, nnf_value *out, const char *name,
                                  nnf_tensor *tensor) {
    nnfi_graph *graph;
    NNFI_TRY(need_graph(&graph, module));
    if (!tensor)
        return nnf_error(NNF_ERROR_INVALID, "the constant '%s' has no tensor", name ? name : "");
    nnf_value value;
    NNFI_TRY(nnfi_graph_add_value(graph, &value, name));
    graph->values[value].constant = nnf_tensor_retain(tensor);
    if (out) *out = value;
    return NNF_OK;
}

nnf_status nnf_graph_add_output(nnf_module *module, nnf_value value) {
    nnfi_graph *graph;
    NNFI_TRY(need_graph(&graph, module));
    nnfi_value *at = value_at(graph, value);
    if (!at) return nnf_error(NNF_ERROR_INVALID, "the graph has no value number %d", (int)value);
    NNFI_TRY(append_value(&graph->outputs, &graph->n_outputs, &graph->outputs_capacity, value));
    at->is_output = true;
    graph->changes++;
    return NNF_OK;
}

/* ---- Calls ---- */

nnf_status nnfi_call_new(nnfi_call **out, nnfi_graph *graph, const nnfi_call *model) {
    size_t n = model->n_inputs + model->n_outputs + model->n_captures;
    size_t size = sizeof(nnfi_call) + n * sizeof(nnf_value);
    nnfi_call *call = nnfi_pile_alloc(&graph->pile, size, _Alignof(nnfi_call));
    const char *path = nnfi_pile_strndup(&graph->pile, model->path, strlen(model->path));
    if (!call || !path) return nnfi_error_memory(size, "a graph's call");
    *call = *model;
    call->path = path;
    call->inputs = (nnf_value *)(call + 1);
    call->outputs = call->inputs + call->n_inputs;
    call->captures = call->outputs + call->n_outputs;
    for (size_t i = 0; i < call->n_inputs; i++)
        call->inputs[i] = model->inputs[i];
    for (size_t i = 0; i < call->n_outputs; i++)
        call->outputs[i] = model->outputs[i];
    for (size_t i = 0; i < call->n_captures; i++)
        call->captures[i] = model->captures[i];
    *out = call;
    return NNF_OK;
}

void nnfi_graph_calls_changed(nnfi_graph *graph) {
    graph->changes++;
    nnfi_free(graph->by_path);
    graph->by_path = NULL;
}

nnf_status nnfi_graph_append_call(nnf_module *module, const char *path, nnf_module *called,
                                  const nnf_value *inputs, size_t n_inputs,
                                  const nnf_value *outputs, size_t n_outputs,
                                  const nnf_value *captures, size_t n_captures) {
    nnfi_graph *graph;
    NNFI_TRY(need_graph(&graph, module));
    if (!nnfi_reserve(&graph->calls, &graph->calls_capacity, graph->n_calls + 1,
                      sizeof *graph->calls))
        return nnfi_error_memory(sizeof *graph->calls, "a graph's calls");
    if (graph->n_calls >= INT32_MAX)
        return nnf_error(NNF_ERROR_UNSUPPORTED, "a graph has more than %d calls", INT32_MAX);
    const nnfi_call model = {.path = path,
                             .module = called,
                             .inputs = (nnf_value *)inputs,
                             .n_inputs = n_inputs,
                             .outputs = (nnf_value *)outputs,
                             .n_outputs = n_outputs,
                             .captures = (nnf_value *)captures,
                             .n_captures = n_captures};
    NNFI_TRY(nnfi_call_new(&graph->calls[graph->n_calls], graph, &model));
    nnf_module_retain(called);
    graph->n_calls++;
    nnfi_graph_calls_changed(graph);
    return NNF_OK;
}

static bool is_taken(const nnfi_graph *graph, const char *name) {
    return nnfi_graph_find_value(graph, name) != NNF_NO_VALUE ||
           (graph->inner_names && nnfi_map_get(graph->inner_names, name, strlen(name), NULL));
}

/* The value's number is in the name, so that a module that is called a million times still finds
 * one at once. */
nnf_status nnfi_graph_add_value_like(nnfi_graph *graph, nnf_value *out, const char *name) {
    char *made = nnfi_format("%s", name);
    for (size_t i = graph->n_values; made && is_taken(graph, made); i++) {
        nnfi_free(made);
        made = nnfi_format("%s_%zu", name, i);
    }
    if (!made) return nnfi_error_memory(strlen(name) + 1, "a value's name");
    nnf_status status = nnfi_graph_add_value(graph, out, made);
    nnfi_free(made);
    return status;
}

nnf_status nnf_graph_add_call(nnf_module *module, const char *path, const nnf_value *inputs,
                              size_t n_inputs, const char *const *output_names, nnf_value *outputs,
                              size_t n_outputs) {
    nnfi_graph *graph;
    NNFI_TRY(need_graph(&graph, module));
    nnf_module *called;
    NNFI_TRY(nnf_module_get(&called, module, path));
    if (n_inputs > 0 && !inputs)
        return nnf_error(NNF_ERROR_INVALID, "a call of '%s' has no inputs", path);
    if (called == module) /* no module of the tree contains it, so that no other call is a cycle */
        return nnf_error(NNF_ERROR_INVALID, "a graph cannot call itself");
    for (size_t i = 0; i < n_inputs; i++)
        if (inputs[i] != NNF_NO_VALUE && !value_at(graph, inputs[i]))
            return nnf_error(NNF_ERROR_INVALID, "input %zu of a call of '%s' is no value: %d", i,
                             path, (int)inputs[i]);
    size_t before = graph->n_values;
    nnf_value *made = nnfi_alloc(n_outputs * sizeof *made);
    if (!made) return nnfi_error_memory(n_outputs * sizeof *made, "a call's outputs");
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n_outputs && status == NNF_OK; i++)
        status = output_names && output_names[i]
                     ? nnfi_graph_add_value(graph, &made[i], output_names[i])
                     : nnfi_graph_add_value_like(graph, &made[i], path);
    if (status == NNF_OK)
        status = nnfi_graph_append_call(module, path, called, inputs, n_inputs, made, n_outputs,
                                        NULL, 0);
    if (status != NNF_OK) nnfi_graph_drop_values(graph, before);
    for (size_t i = 0; i < n_outputs && status == NNF_OK && outputs; i++)
        outputs[i] = made[i];
    nnfi_free(made);
    return status;
}

/* ---- Symbols ---- */

nnf_status nnf_graph_symbol(nnf_module *module, int32_t *out, const char *name) {
    nnfi_graph *graph;
    NNFI_TRY(need_graph(&graph, module));
    if (!name || !*name) return nnf_error(NNF_ERROR_INVALID, "a symbolic dimension needs a name");
    int64_t number;
    if (nnfi_map_get(&graph->symbol_by_name, name, strlen(name), &number)) {
        *out = (int32_t)number;
        return NNF_OK;
    }
    if (graph->n_symbols >= INT32_MAX)
        return nnf_error(NNF_ERROR_UNSUPPORTED, "a graph has more than %d symbols", INT32_MAX);
    char *copy = nnfi_strdup(name);
    number = (int64_t)graph->n_symbols + 1;
    if (!copy ||
        !nnfi_reserve(&graph->symbols, &graph->symbols_capacity, (size_t)number,
                      sizeof *graph->symbols) ||
        !nnfi_map_put(&graph->symbol_by_name, copy, strlen(copy), number)) {
        nnfi_free(copy);
        return nnfi_error_memory(strlen(name) + 1, "a graph's symbols");
    }
    graph->symbols[graph->n_symbols++] = copy;
    *out = (int32_t)number;
    return NNF_OK;
}

const char *nnf_graph_symbol_name(const nnf_module *module, int32_t symbol) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    if (!graph || symbol < 1 || (size_t)symbol > graph->n_symbols) return NULL;
    return graph->symbols[symbol - 1];
}

/* ---- Looking at it ---- */

size_t nnf_graph_n_values(const nnf_module *module) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph ? graph->n_values : 0;
}

nnf_value nnf_graph_find_value(const nnf_module *module, const char *name) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph && name ? nnfi_graph_find_value(graph, name) : NNF_NO_VALUE;
}

size_t nnf_graph_n_inputs(const nnf_module *module) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph ? graph->n_inputs : 0;
}

size_t nnf_graph_n_outputs(const nnf_module *module) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph ? graph->n_outputs : 0;
}

nnf_value nnf_graph_input(const nnf_module *module, size_t index) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph && index < graph->n_inputs ? graph->inputs[index] : NNF_NO_VALUE;
}

nnf_value nnf_graph_output(const nnf_module *module, size_t index) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph && index < graph->n_outputs ? graph->outputs[index] : NNF_NO_VALUE;
}

const char *nnf_graph_value_name(const nnf_module *module, nnf_value value) {
    const nnfi_value *at = value_at(nnfi_graph_of(module), value);
    return at ? at->name : NULL;
}

nnf_tensor *nnf_graph_value_constant(const nnf_module *module, nnf_value value) {
    const nnfi_value *at = value_at(nnfi_graph_of(module), value);
    return at ? at->constant : NULL;
}

const nnf_type_info *nnf_graph_value_info(const nnf_module *module, nnf_value value) {
    const nnfi_value *at = value_at(nnfi_graph_of(module), value);
    return at ? nnfi_value_info(at) : NULL;
}

static const nnfi_call *call_at(const nnf_module *module, size_t call) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph && call < graph->n_calls ? graph->calls[call] : NULL;
}

size_t nnf_graph_n_calls(const nnf_module *module) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    return graph ? graph->n_calls : 0;
}

const char *nnf_graph_call_path(const nnf_module *module, size_t call) {
    const nnfi_call *at = call_at(module, call);
    return at ? at->path : NULL;
}

nnf_module *nnf_graph_call_module(const nnf_module *module, size_t call) {
    const nnfi_call *at = call_at(module, call);
    return at ? at->module : NULL;
}

size_t nnf_graph_call_n_inputs(const nnf_module *module, size_t call) {
    const nnfi_call *at = call_at(module, call);
    return at ? at->n_inputs : 0;
}

size_t nnf_graph_call_n_outputs(const nnf_module *module, size_t call) {
    const nnfi_call *at = call_at(module, call);
    return at ? at->n_outputs : 0;
}

const nnf_value *nnf_graph_call_inputs(const nnf_module *module, size_t call) {
    const nnfi_call *at = call_at(module, call);
    return at ? at->inputs : NULL;
}

const nnf_value *nnf_graph_call_outputs(const nnf_module *module, size_t call) {
    const nnfi_call *at = call_at(module, call);
    return at ? at->outputs : NULL;
}
