/* Replacing calls of a Graph by others, many at once, in time linear in the graph. */
#include <string.h>

#include "module/object.h"

struct nnfi_surgery {
    nnfi_graph *graph;
    size_t n;
    nnfi_call **made;  /* [n]: the new calls; modules are the replacements' until commit */
    uint32_t *made_at; /* [n_calls]: 1 + the new call that comes in this one's place, 0: none */
    bool *call_gone;   /* [n_calls] */
    bool *value_gone;  /* [n_values] */
};

/* What prepare needs beside that. */
typedef struct prospect {
    nnfi_surgery *surgery;
    const nnfi_graph *graph;
    const nnfi_replacement *replacements;
    int32_t *producers; /* [n_values]: the call that gives it, -1 none */
    uint32_t *needed;   /* [n_values]: by how many calls that stay, new calls and graph outputs */
    bool *constant;     /* [n_calls]: computes from constants alone */
    uint32_t *stack;    /* [n_calls]: calls that go and whose inputs were not looked at yet */
    size_t n_stack;
} prospect;

/* ---- Checking, and what is known before ---- */

static nnf_status mark_replaced(prospect *state, size_t index) {
    nnfi_surgery *surgery = state->surgery;
    const nnfi_replacement *replacement = &state->replacements[index];
    if (replacement->n_gone == 0)
        return nnf_error(NNF_ERROR_INVALID, "nothing would be replaced by '%s'", replacement->path);
    for (size_t i = 0; i < replacement->n_gone; i++) {
        size_t call = replacement->gone[i];
        if (call >= state->graph->n_calls || surgery->call_gone[call] ||
            (i > 0 && call <= replacement->gone[i - 1]))
            return nnf_error(NNF_ERROR_INVALID, "'%s' cannot replace call number %zu of a graph",
                             replacement->path, call);
        surgery->call_gone[call] = true;
        state->stack[state->n_stack++] = (uint32_t)call;
    }
    surgery->made_at[replacement->gone[replacement->n_gone - 1]] = (uint32_t)index + 1;
    return NNF_OK;
}

static bool are_constant(const prospect *state, const nnf_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (values[i] == NNF_NO_VALUE) continue;
        const nnfi_value *value = &state->graph->values[values[i]];
        int64_t producer = state->producers[values[i]];
        if (value->is_input) return false;
        if (!value->constant && (producer < 0 || !state->constant[producer])) return false;
    }
    return true;
}

static void count_values(uint32_t *needed, const nnf_value *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE) needed[values[i]]++;
}

/* A call that goes is counted here, and taken off when what it read is looked at. */
static void count_needs(prospect *state) {
    const nnfi_graph *graph = state->graph;
    for (size_t i = 0; i < graph->n_calls; i++) {
        const nnfi_call *call = graph->calls[i];
        count_values(state->needed, call->inputs, call->n_inputs);
        count_values(state->needed, call->captures, call->n_captures);
        state->constant[i] = are_constant(state, call->inputs, call->n_inputs) &&
                             are_constant(state, call->captures, call->n_captures);
    }
    count_values(state->needed, graph->outputs, graph->n_outputs);
    for (size_t i = 0; i < state->surgery->n; i++) {
        const nnfi_replacement *replacement = &state->replacements[i];
        count_values(state->needed, replacement->inputs, replacement->n_inputs);
        count_values(state->needed, replacement->outputs, replacement->n_outputs);
        count_values(state->needed, replacement->captures, replacement->n_captures);
    }
}

/* ---- What goes with the calls that are replaced ---- */

/* Lets the call that gave `value` go if it computed constants that nobody needs now. */
static void drop_producer(prospect *state, nnf_value value) {
    int64_t producer = state->producers[value];
    if (producer < 0 || state->surgery->call_gone[producer] || !state->constant[producer]) return;
    const nnfi_call *call = state->graph->calls[producer];
    for (size_t i = 0; i < call->n_outputs; i++)
        if (call->outputs[i] != NNF_NO_VALUE && state->needed[call->outputs[i]] > 0) return;
    state->surgery->call_gone[producer] = true;
    state->stack[state->n_stack++] = (uint32_t)producer;
}

static void take_off(prospect *state, const nnf_value *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE && --state->needed[values[i]] == 0)
            drop_producer(state, values[i]);
}

/* A value goes where nobody needs it and nobody gives it. */
static void mark_values(prospect *state, const nnf_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (values[i] == NNF_NO_VALUE) continue;
        int64_t producer = state->producers[values[i]];
        if (state->needed[values[i]] == 0 && !state->graph->values[values[i]].is_input &&
            (producer < 0 || state->surgery->call_gone[producer]))
            state->surgery->value_gone[values[i]] = true;
    }
}

static void propagate(prospect *state) {
    const nnfi_graph *graph = state->graph;
    while (state->n_stack > 0) {
        const nnfi_call *call = graph->calls[state->stack[--state->n_stack]];
        take_off(state, call->inputs, call->n_inputs);
        take_off(state, call->captures, call->n_captures);
    }
    for (size_t i = 0; i < graph->n_calls; i++) {
        if (!state->surgery->call_gone[i]) continue;
        const nnfi_call *call = graph->calls[i];
        mark_values(state, call->inputs, call->n_inputs);
        mark_values(state, call->captures, call->n_captures);
        mark_values(state, call->outputs, call->n_outputs);
    }
}

static nnf_status make_calls(nnfi_surgery *surgery, const nnfi_replacement *replacements) {
    for (size_t i = 0; i < surgery->n; i++) {
        const nnfi_replacement *replacement = &replacements[i];
        const nnfi_call model = {.path = replacement->path,
                                 .module = replacement->module,
                                 .inputs = (nnf_value *)replacement->inputs,
                                 .n_inputs = replacement->n_inputs,
                                 .outputs = (nnf_value *)replacement->outputs,
                                 .n_outputs = replacement->n_outputs,
                                 .captures = (nnf_value *)replacement->captures,
                                 .n_captures = replacement->n_captures};
        NNFI_TRY(nnfi_call_new(&surgery->made[i], surgery->graph, &model));
    }
    return NNF_OK;
}

/* ---- Preparing, committing ---- */

static nnf_status plan(prospect *state) {
    const nnfi_graph *graph = state->graph;
    NNFI_TRY(nnfi_producers_new(&state->producers, graph));
    state->needed = nnfi_calloc(graph->n_values, sizeof *state->needed);
    state->constant = nnfi_calloc(graph->n_calls, sizeof *state->constant);
    state->stack = nnfi_alloc(graph->n_calls * sizeof *state->stack);
    if (!state->needed || !state->constant || !state->stack)
        return nnfi_error_memory(graph->n_values * sizeof *state->needed, "changing a graph");
    for (size_t i = 0; i < state->surgery->n; i++)
        NNFI_TRY(mark_replaced(state, i));
    count_needs(state);
    propagate(state);
    return make_calls(state->surgery, state->replacements);
}

nnf_status nnfi_surgery_prepare(nnfi_surgery **out, nnf_module *module,
                                nnfi_replacement *replacements, size_t n) {
    nnfi_graph *graph = nnfi_graph_of(module);
    if (!graph) return nnf_error(NNF_ERROR_INVALID, "only a Graph has calls to replace");
    nnfi_surgery *surgery = nnfi_calloc(1, sizeof *surgery);
    if (!surgery) return nnfi_error_memory(sizeof *surgery, "changing a graph");
    *surgery = (nnfi_surgery){.graph = graph,
                              .n = n,
                              .made = nnfi_calloc(n, sizeof *surgery->made),
                              .made_at = nnfi_calloc(graph->n_calls, sizeof *surgery->made_at),
                              .call_gone = nnfi_calloc(graph->n_calls, sizeof(bool)),
                              .value_gone = nnfi_calloc(graph->n_values, sizeof(bool))};
    prospect state = {.surgery = surgery, .graph = graph, .replacements = replacements};
    nnf_status status;
    if (surgery->made && surgery->made_at && surgery->call_gone && surgery->value_gone)
        status = plan(&state);
    else
        status = nnfi_error_memory(graph->n_values, "changing a graph");
    nnfi_free(state.producers);
    nnfi_free(state.needed);
    nnfi_free(state.constant);
    nnfi_free(state.stack);
    if (status == NNF_OK)
        *out = surgery;
    else
        nnfi_surgery_discard(surgery);
    return status;
}

/* The new calls are in the graph's pile, and what they refer to is not theirs yet. */
void nnfi_surgery_discard(nnfi_surgery *surgery) {
    if (!surgery) return;
    nnfi_free(surgery->made);
    nnfi_free(surgery->made_at);
    nnfi_free(surgery->call_gone);
    nnfi_free(surgery->value_gone);
    nnfi_free(surgery);
}

static void remove_values(nnfi_graph *graph, const bool *gone) {
    for (size_t i = 0; i < graph->n_values; i++) {
        nnfi_value *value = &graph->values[i];
        if (!gone[i] || value->gone) continue;
        nnf_tensor_release(value->constant);
        value->constant = NULL;
        nnfi_value_forget_info(value);
        value->gone = true;
    }
}

void nnfi_graph_remove(nnf_module *module, const bool *call_gone, const bool *value_gone) {
    nnfi_graph *graph = nnfi_graph_of(module);
    size_t n_calls = 0;
    for (size_t i = 0; i < graph->n_calls; i++) {
        if (call_gone[i])
            nnf_module_release(graph->calls[i]->module);
        else
            graph->calls[n_calls++] = graph->calls[i];
    }
    graph->n_calls = n_calls;
    remove_values(graph, value_gone);
    nnfi_graph_calls_changed(graph);
}

void nnfi_surgery_commit(nnfi_surgery *surgery) {
    nnfi_graph *graph = surgery->graph;
    size_t n_calls = 0;
    for (size_t i = 0; i < graph->n_calls; i++) {
        nnfi_call *call = graph->calls[i];
        size_t made = surgery->made_at[i];
        if (!surgery->call_gone[i])
            graph->calls[n_calls++] = call;
        else
            nnf_module_release(call->module);
        if (made > 0) graph->calls[n_calls++] = surgery->made[made - 1];
    }
    graph->n_calls = n_calls;
    remove_values(graph, surgery->value_gone);
    nnfi_graph_calls_changed(graph);
    nnfi_surgery_discard(surgery);
}
