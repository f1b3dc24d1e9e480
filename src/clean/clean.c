/* The pass over the calls. */
#include "nnfuse/clean.h"

#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* ---- Before the pass ---- */

/* Nobody reads what the call gives, and it does nothing else. */
static bool is_dead(const nnfi_cleaner *cleaner, const nnfi_call *call) {
    for (size_t k = 0; k < call->n_outputs; k++)
        if (call->outputs[k] != NNF_NO_VALUE && cleaner->values[call->outputs[k]].readers > 0)
            return false;
    return !nnfi_clean_may_act(call->module);
}

/* Backwards, so that what only dead calls read is dead too. */
static void count_readers(nnfi_cleaner *cleaner) {
    const nnfi_graph *graph = cleaner->graph;
    nnfi_clean_value *values = cleaner->values;
    for (size_t i = 0; i < graph->n_values; i++) {
        values[i].same = (nnf_value)i;
        values[i].renamed = NNF_NO_VALUE;
        values[i].producer = -1;
    }
    for (size_t i = 0; i < graph->n_outputs; i++)
        values[graph->outputs[i]].readers++;
    for (size_t i = graph->n_calls; i-- > 0;) {
        const nnfi_call *call = graph->calls[i];
        for (size_t k = 0; k < call->n_outputs; k++)
            if (call->outputs[k] != NNF_NO_VALUE) values[call->outputs[k]].producer = (int32_t)i;
        if (is_dead(cleaner, call)) continue;
        for (size_t k = 0; k < call->n_inputs; k++)
            if (call->inputs[k] != NNF_NO_VALUE) values[call->inputs[k]].readers++;
        for (size_t k = 0; k < call->n_captures; k++) {
            values[call->captures[k]].readers++;
            values[call->captures[k]].captured = true;
        }
    }
}

/* What is known before anything runs: inputs' types, and initializers, equal ones of which become
 * one. */
static nnf_status find_sources(nnfi_cleaner *cleaner) {
    const nnfi_graph *graph = cleaner->graph;
    nnf_type_info info;
    nnf_type_info_init(&info);
    for (size_t i = 0; i < graph->n_values; i++) {
        const nnfi_value *value = &graph->values[i];
        if (value->is_input) {
            NNFI_TRY(nnf_type_info_copy(&info, nnfi_value_info(value)));
            NNFI_TRY(nnfi_known_set(&cleaner->infos, (nnf_value)i, &info));
        } else if (value->constant && cleaner->values[i].producer < 0) {
            NNFI_TRY(
                nnfi_clean_set_constant(cleaner, (nnf_value)i, nnf_tensor_retain(value->constant)));
        }
    }
    return NNF_OK;
}

/* Marks the calls whose module has other calls too. */
static bool find_shared(nnfi_cleaner *cleaner) {
    const nnfi_graph *graph = cleaner->graph;
    nnfi_pointers callers = {0}; /* the first call of each module that may have to change */
    bool room = true;
    for (size_t i = 0; i < graph->n_calls && room; i++) {
        const nnf_module *module = graph->calls[i]->module;
        if (nnf_module_get_type(module)->n_slots == 0 && !nnfi_clean_is_reduction(module)) continue;
        const size_t *first = nnfi_pointers_put(&callers, module, i);
        room = first != NULL;
        if (room && *first != i) cleaner->shared[*first] = cleaner->shared[i] = true;
    }
    nnfi_pointers_clear(&callers);
    return room;
}

static nnf_status init(nnfi_cleaner *cleaner, nnf_module *module) {
    nnfi_graph *graph = nnfi_graph_of(module);
    size_t n_inputs = 0, most_inputs = 1, most_outputs = 1, n = graph->n_calls;
    size_t n_values = graph->n_values + nnfi_clean_new_values(graph);
    *cleaner =
        (nnfi_cleaner){.module = module, .graph = graph, .n_given = graph->n_values, .n_calls = n};
    cleaner->first_input = nnfi_alloc((n + 1) * sizeof *cleaner->first_input);
    for (size_t i = 0; i < n && cleaner->first_input; i++) {
        const nnfi_call *call = graph->calls[i];
        cleaner->first_input[i] = n_inputs;
        n_inputs += call->n_inputs;
        if (call->n_inputs > most_inputs) most_inputs = call->n_inputs;
        if (call->n_outputs > most_outputs) most_outputs = call->n_outputs;
    }
    cleaner->values = nnfi_calloc(n_values, sizeof *cleaner->values);
    cleaner->inputs = nnfi_alloc((n_inputs + 1) * sizeof *cleaner->inputs);
    cleaner->outcomes = nnfi_calloc(n + 1, sizeof *cleaner->outcomes);
    cleaner->shared = nnfi_calloc(n + 1, sizeof *cleaner->shared);
    cleaner->instead = nnfi_calloc(n + 1, sizeof *cleaner->instead);
    cleaner->input_infos = nnfi_alloc(most_inputs * sizeof *cleaner->input_infos);
    cleaner->input_tensors = nnfi_alloc(most_inputs * sizeof(nnf_tensor *));
    cleaner->output_infos = nnfi_alloc(most_outputs * sizeof *cleaner->output_infos);
    if (!cleaner->first_input || !cleaner->values || !cleaner->inputs || !cleaner->outcomes ||
        !cleaner->shared || !cleaner->instead || !cleaner->input_infos || !cleaner->input_tensors ||
        !cleaner->output_infos || !nnfi_index_reserve(&cleaner->constants, n_values) ||
        !nnfi_index_reserve(&cleaner->calls, n) || !find_shared(cleaner))
        return nnfi_error_memory(n_values * sizeof *cleaner->values, "cleaning a graph");
    NNFI_TRY(nnfi_known_new(&cleaner->infos, n_values));
    count_readers(cleaner);
    return find_sources(cleaner);
}

static void clear(nnfi_cleaner *cleaner) {
    for (size_t i = 0; cleaner->values && i < cleaner->graph->n_values; i++)
        nnf_tensor_release(cleaner->values[i].constant);
    for (size_t i = 0; cleaner->instead && i < cleaner->n_calls; i++)
        nnf_module_release(cleaner->instead[i]);
    nnfi_known_clear(&cleaner->infos);
    nnfi_uses_clear(&cleaner->uses);
    nnf_session_release(cleaner->session);
    nnfi_pointers_clear(&cleaner->type_index);
    nnfi_index_clear(&cleaner->constants);
    nnfi_index_clear(&cleaner->calls);
    nnfi_free(cleaner->types);
    nnfi_free(cleaner->values);
    nnfi_free(cleaner->first_input);
    nnfi_free(cleaner->inputs);
    nnfi_free(cleaner->outcomes);
    nnfi_free(cleaner->shared);
    nnfi_free((void *)cleaner->instead);
    nnfi_free(cleaner->input_infos);
    nnfi_free(cleaner->input_tensors);
    nnfi_free(cleaner->output_infos);
}

size_t nnfi_clean_find_equal(nnfi_index *index, uint64_t hash, nnfi_index_is is,
                             const nnfi_clean_wanted *wanted) {
    const struct nnfi_index_slot *slot = nnfi_index_find(index, hash, is, wanted);
    if (slot) return nnfi_index_number(slot);
    (void)nnfi_index_add(index, hash, wanted->number);
    return wanted->number;
}

/* ---- One call ---- */

static nnf_status find_type(nnfi_cleaner *cleaner, const nnf_module_type *type,
                            nnfi_clean_type *out) {
    size_t index;
    if (nnfi_pointers_get(&cleaner->type_index, type, &index)) {
        *out = cleaner->types[index];
        return NNF_OK;
    }
    const bool built_in = nnfi_is_built_in(type) && !type->copy_options;
    *out = (nnfi_clean_type){built_in, built_in ? nnfi_clean_rule_of(type->name) : NULL};
    if (!nnfi_reserve(&cleaner->types, &cleaner->types_capacity, cleaner->n_types + 1,
                      sizeof *cleaner->types) ||
        !nnfi_pointers_put(&cleaner->type_index, type, cleaner->n_types))
        return nnfi_error_memory(sizeof *cleaner->types, "cleaning a graph");
    cleaner->types[cleaner->n_types++] = *out;
    return NNF_OK;
}

/* The value that a call is to read as input `k`. A tensor that the module holds itself only changes
 * with the module, so that has to be this call's alone. */
static nnf_value read_now(const nnfi_cleaner *cleaner, size_t index, size_t k) {
    const nnfi_call *call = cleaner->graph->calls[index];
    const nnf_module_type *type = nnf_module_get_type(call->module);
    nnf_value value = call->inputs[k];
    if (value == NNF_NO_VALUE) return value;
    nnf_value same = cleaner->values[value].same;
    if (same == value || k == 0) return same;
    if (nnf_module_n_children(call->module) > 0) return value;
    if (k - 1 >= type->n_slots) return same;
    const char *slot = type->slots[k - 1].name;
    if (nnf_module_is_parametrized(call->module, slot)) return value;
    if (!nnf_module_tensor(call->module, slot)) return same;
    bool may_change = !cleaner->shared[index] && cleaner->values[same].constant &&
                      nnfi_clean_holds_input(cleaner, call, k);
    return may_change ? same : value;
}

nnf_value nnfi_clean_data_of(const nnfi_cleaner *cleaner, size_t call) {
    return cleaner->graph->calls[call]->n_inputs > 0 ? cleaner->inputs[cleaner->first_input[call]]
                                                     : NNF_NO_VALUE;
}

static void take_inputs(nnfi_cleaner *cleaner, nnfi_clean_call *at) {
    nnf_value *inputs = cleaner->inputs + cleaner->first_input[at->index];
    for (size_t k = 0; k < at->call->n_inputs; k++) {
        inputs[k] = read_now(cleaner, at->index, k);
        cleaner->input_infos[k] =
            inputs[k] == NNF_NO_VALUE ? NULL : nnfi_known_get(&cleaner->infos, inputs[k]);
    }
    at->inputs = inputs;
    at->infos = cleaner->input_infos;
}

/* A layer that does not take its inputs is no error here: nothing is known of what it gives. */
static nnf_status infer(nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    const nnfi_call *call = at->call;
    nnf_type_info *outputs = cleaner->output_infos;
    if (!nnf_module_get_type(call->module)->infer) return NNF_OK;
    for (size_t k = 0; k < call->n_outputs; k++)
        nnf_type_info_init(&outputs[k]);
    nnf_status status =
        nnfi_module_infer(call->module, at->infos, call->n_inputs, outputs, call->n_outputs);
    for (size_t k = 0; k < call->n_outputs; k++) {
        if (status == NNF_OK && call->outputs[k] != NNF_NO_VALUE)
            status = nnfi_known_set(&cleaner->infos, call->outputs[k], &outputs[k]);
        else
            nnf_type_info_clear(&outputs[k]);
    }
    return status == NNF_ERROR_MEMORY ? status : NNF_OK;
}

/* Whether the module is what its type says and nothing else, so that it may go. */
static bool is_plain(const nnf_module *module, const nnfi_clean_type *type) {
    return type->built_in && nnfi_clean_is_bare(module);
}

bool nnfi_clean_is_bare(const nnf_module *module) {
    return !nnf_module_training(module) && nnf_module_n_children(module) == 0 &&
           nnf_module_n_forward_hooks(module) == 0 && nnf_module_n_forward_pre_hooks(module) == 0 &&
           !nnf_module_is_parametrized(module, NULL);
}

/* ---- What becomes of it ---- */

/* The call goes for itself; what it reads loses a reader each. */
static void drop(nnfi_cleaner *cleaner, const nnfi_clean_call *at, nnfi_outcome outcome) {
    cleaner->outcomes[at->index] = (uint8_t)outcome;
    for (size_t k = 0; k < at->call->n_inputs; k++)
        if (at->inputs[k] != NNF_NO_VALUE) cleaner->values[at->inputs[k]].readers--;
}

/* Whether another value may take the name of a graph's output: one that a call gives and that has
 * no name to keep. */
static bool may_be_renamed(const nnfi_cleaner *cleaner, nnf_value value) {
    const nnfi_value *in_graph = &cleaner->graph->values[value];
    const nnfi_clean_value *v = &cleaner->values[value];
    return v->producer >= 0 && !v->captured && !v->constant && v->renamed == NNF_NO_VALUE &&
           !in_graph->is_output && !in_graph->is_input;
}

bool nnfi_clean_may_pass_on(const nnfi_cleaner *cleaner, const nnfi_clean_call *at,
                            nnf_value same) {
    const nnf_value output = at->call->outputs[0];
    const nnfi_value *in_graph = &cleaner->graph->values[output];
    if (cleaner->values[output].captured) return false;
    return !in_graph->is_output || (!in_graph->is_hidden && may_be_renamed(cleaner, same));
}

/* Where the call's output is `same`, or a reduction gives it without the axes that the call would
 * drop. */
static nnf_status pass_on(nnfi_cleaner *cleaner, const nnfi_clean_call *at, bool *passed) {
    *passed = false;
    if (!at->rule || at->call->n_inputs == 0 || at->inputs[0] == NNF_NO_VALUE) return NNF_OK;
    const nnf_value output = at->call->outputs[0];
    nnf_value same = at->rule->same_as ? at->rule->same_as(cleaner, at) : NNF_NO_VALUE;
    *passed = same != NNF_NO_VALUE && nnfi_clean_may_pass_on(cleaner, at, same);
    if (same == NNF_NO_VALUE) {
        same = at->inputs[0];
        NNFI_TRY(nnfi_clean_drop_axes(cleaner, at, passed));
    }
    if (!*passed) return NNF_OK;
    if (cleaner->graph->values[output].is_output) cleaner->values[same].renamed = output;
    drop(cleaner, at, NNFI_REMOVED);
    cleaner->values[output].same = same;
    cleaner->values[same].readers += cleaner->values[output].readers;
    return NNF_OK;
}

static nnf_status make_constant(nnfi_cleaner *cleaner, const nnfi_clean_call *at, bool *made) {
    nnf_value output = at->call->outputs[0];
    bool given = nnfi_is_a(at->call->module, "Constant");
    nnf_tensor *tensor = NULL;
    *made = false;
    /* initializers stand in front of every node */
    const nnfi_value *in_graph = &cleaner->graph->values[output];
    if (in_graph->is_output || in_graph->is_hidden) return NNF_OK;
    if (given)
        tensor = nnf_tensor_retain(nnf_module_tensor(at->call->module, "value"));
    else
        NNFI_TRY(nnfi_clean_constant(&tensor, cleaner, at));
    if (!tensor) return NNF_OK;
    *made = true;
    drop(cleaner, at, given ? NNFI_CONSTANT : NNFI_COMPUTED);
    return nnfi_clean_set_constant(cleaner, output, tensor);
}

/* Makes a value that only this call reads, as its second input, the constant that does instead. */
static nnf_status replace_second_input(nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    if (!at->rule || !at->rule->second_input || at->call->n_inputs < 2) return NNF_OK;
    nnf_value value = at->inputs[1];
    if (value == NNF_NO_VALUE || cleaner->values[value].readers != 1) return NNF_OK;
    const nnfi_clean_value *second = &cleaner->values[value];
    if (second->producer < 0 || second->constant || second->captured ||
        cleaner->graph->values[value].is_hidden)
        return NNF_OK;
    const nnfi_call *producer = cleaner->graph->calls[second->producer];
    nnfi_clean_type type;
    NNFI_TRY(find_type(cleaner, nnf_module_get_type(producer->module), &type));
    if (producer->n_outputs != 1 || !is_plain(producer->module, &type)) return NNF_OK;
    nnf_tensor *tensor = NULL;
    NNFI_TRY(at->rule->second_input(&tensor, at));
    if (!tensor) return NNF_OK;
    cleaner->outcomes[second->producer] = NNFI_COMPUTED;
    NNFI_TRY(nnfi_clean_set_constant(cleaner, value, tensor));
    cleaner->inputs[cleaner->first_input[at->index] + 1] = second->same;
    return NNF_OK;
}

static void replace_first_input(nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    if (!at->rule || !at->rule->first_input || at->call->n_inputs == 0) return;
    if (at->inputs[0] == NNF_NO_VALUE) return;
    nnf_value value = at->rule->first_input(cleaner, at);
    if (value == NNF_NO_VALUE) return;
    cleaner->values[at->inputs[0]].readers--;
    cleaner->values[value].readers++;
    cleaner->inputs[cleaner->first_input[at->index]] = value;
}

static nnf_status visit(nnfi_cleaner *cleaner, size_t index) {
    const nnfi_call *call = cleaner->graph->calls[index];
    nnfi_clean_call at = {
        .index = index, .call = call, .options = nnf_module_options(call->module)};
    nnfi_clean_type type;
    if (is_dead(cleaner, call)) return NNF_OK;
    take_inputs(cleaner, &at);
    NNFI_TRY(infer(cleaner, &at));
    NNFI_TRY(find_type(cleaner, nnf_module_get_type(call->module), &type));
    if (!is_plain(call->module, &type)) return NNF_OK;
    if (call->n_outputs == 1 && call->outputs[0] != NNF_NO_VALUE) {
        bool passed, made;
        at.rule = type.rule;
        at.output = nnfi_known_get(&cleaner->infos, call->outputs[0]);
        NNFI_TRY(pass_on(cleaner, &at, &passed));
        if (passed) return NNF_OK;
        NNFI_TRY(make_constant(cleaner, &at, &made));
        if (made) return NNF_OK;
        replace_first_input(cleaner, &at);
        NNFI_TRY(replace_second_input(cleaner, &at));
        NNFI_TRY(nnfi_clean_join_slices(cleaner, &at));
    }
    nnfi_clean_merge(cleaner, &at);
    return NNF_OK;
}

nnf_status nnf_clean(nnf_module *module, nnf_clean_report *report) {
    if (report) *report = (nnf_clean_report){0};
    if (!nnf_module_is_graph(module))
        return nnf_error(NNF_ERROR_INVALID, "a Graph can be cleaned, not a %s",
                         module ? nnf_module_type_name(module) : "null pointer");
    nnfi_cleaner cleaner;
    nnf_clean_report done = {0};
    nnf_status status = init(&cleaner, module);
    for (size_t i = 0; i < cleaner.graph->n_calls && status == NNF_OK; i++)
        status = visit(&cleaner, i);
    if (status == NNF_OK) status = nnfi_clean_sweep(&cleaner, &done);
    clear(&cleaner);
    if (status != NNF_OK) nnfi_graph_drop_values(cleaner.graph, cleaner.n_given);
    if (status == NNF_OK && report) *report = done;
    return status;
}
