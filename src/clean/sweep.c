/* The end: what is needed, and the changes to the graph. */
#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

typedef struct sweep {
    nnfi_cleaner *cleaner;
    bool *call_gone;  /* [n_calls] */
    bool *value_gone; /* [n_values] */
} sweep;

/* ---- What is needed ---- */

/* Of a type that is not known, or with hooks. ONNX's own operators do not; a body in one may. */
bool nnfi_clean_may_act(const nnf_module *module) {
    static const char *const with_bodies[] = {"If", "Loop", "Scan", "SequenceMap"};
    const nnf_module_type *type = nnf_module_get_type(module);
    if (!nnfi_is_built_in(type) || nnf_module_n_children(module) > 0 ||
        nnf_module_n_forward_hooks(module) > 0 || nnf_module_n_forward_pre_hooks(module) > 0)
        return true;
    if (strcmp(type->name, "Opaque") != 0) return nnf_module_training(module);
    const nnf_opaque_options *opaque = nnf_module_options(module);
    for (size_t i = 0; i < sizeof with_bodies / sizeof *with_bodies; i++)
        if (strcmp(opaque->op_type, with_bodies[i]) == 0) return true;
    return *opaque->domain != '\0' && strcmp(opaque->domain, "ai.onnx") != 0;
}

static bool gives_something(const nnfi_cleaner *cleaner, const nnfi_call *call) {
    for (size_t k = 0; k < call->n_outputs; k++)
        if (call->outputs[k] != NNF_NO_VALUE && cleaner->values[call->outputs[k]].needed)
            return true;
    return false;
}

/* From the last call to the first: one stays if somebody reads it. */
static void find_needed(sweep *s) {
    nnfi_cleaner *cleaner = s->cleaner;
    const nnfi_graph *graph = cleaner->graph;
    for (size_t i = 0; i < graph->n_outputs; i++)
        cleaner->values[cleaner->values[graph->outputs[i]].same].needed = true;
    for (size_t i = graph->n_calls; i-- > 0;) {
        const nnfi_call *call = graph->calls[i];
        bool replaced = cleaner->outcomes[i] != NNFI_STAYS;
        s->call_gone[i] =
            replaced || (!gives_something(cleaner, call) && !nnfi_clean_may_act(call->module));
        if (s->call_gone[i]) continue;
        for (size_t k = 0; k < call->n_inputs; k++) {
            nnf_value input = cleaner->inputs[cleaner->first_input[i] + k];
            if (input != NNF_NO_VALUE) cleaner->values[input].needed = true;
        }
        for (size_t k = 0; k < call->n_captures; k++)
            cleaner->values[call->captures[k]].needed = true;
    }
}

/* A value goes where nobody needs it and nothing gives it; what no tensor is known of (a sparse
 * initializer) stays in the file anyway. */
static void find_gone(sweep *s) {
    const nnfi_cleaner *cleaner = s->cleaner;
    for (size_t i = 0; i < cleaner->graph->n_values; i++) {
        const nnfi_value *in_graph = &cleaner->graph->values[i];
        const nnfi_clean_value *v = &cleaner->values[i];
        if (in_graph->is_input || in_graph->is_output || in_graph->gone) continue;
        bool given = v->producer >= 0 ? !s->call_gone[v->producer] : !v->constant;
        s->value_gone[i] = v->renamed != NNF_NO_VALUE || (!v->needed && !given);
    }
}

/* ---- Changing the graph: nothing fails from here on ---- */

/* Into a slot of its kind: this needs no memory. */
static void set_slot(nnf_module *module, const nnf_slot *slot, nnf_tensor *tensor) {
    if (slot->kind == NNF_SLOT_BUFFER)
        (void)nnf_module_set_buffer(module, slot->name, tensor);
    else
        (void)nnf_module_set_parameter(module, slot->name, tensor);
}

/* A module holds the constants that its call reads, as after reading the file anew; so what was
 * computed on its way to a convolution can be folded. Equal ones stay tensors of their own. */
static void bind_call(const sweep *s, size_t index) {
    const nnfi_cleaner *cleaner = s->cleaner;
    const nnfi_call *call = cleaner->graph->calls[index];
    const nnf_module_type *type = nnf_module_get_type(call->module);
    if (cleaner->shared[index] || nnf_module_n_children(call->module) > 0) return;
    for (size_t k = 1; k < call->n_inputs && k <= type->n_slots; k++) {
        nnf_value value = cleaner->inputs[cleaner->first_input[index] + k];
        const nnf_slot *slot = &type->slots[k - 1];
        nnf_tensor *constant = value == NNF_NO_VALUE ? NULL : cleaner->values[value].constant;
        if (!constant || nnf_module_is_parametrized(call->module, slot->name)) continue;
        nnf_tensor *held = nnf_module_tensor(call->module, slot->name);
        if (!held)
            set_slot(call->module, slot, constant);
        else if (value != call->inputs[k])
            nnfi_tensor_set_same(held, constant);
    }
}

static void rename_values(const nnfi_cleaner *cleaner, nnf_value *values, size_t n) {
    for (size_t k = 0; k < n; k++)
        if (values[k] != NNF_NO_VALUE && cleaner->values[values[k]].renamed != NNF_NO_VALUE)
            values[k] = cleaner->values[values[k]].renamed;
}

static void change_calls(const sweep *s) {
    const nnfi_cleaner *cleaner = s->cleaner;
    for (size_t i = 0; i < cleaner->graph->n_calls; i++) {
        nnfi_call *call = cleaner->graph->calls[i];
        if (s->call_gone[i]) continue;
        for (size_t k = 0; k < call->n_inputs; k++)
            call->inputs[k] = cleaner->inputs[cleaner->first_input[i] + k];
        rename_values(cleaner, call->inputs, call->n_inputs);
        rename_values(cleaner, call->outputs, call->n_outputs);
    }
}

static void change_values(const sweep *s) {
    const nnfi_cleaner *cleaner = s->cleaner;
    for (size_t i = 0; i < cleaner->graph->n_values; i++) {
        nnfi_value *value = &cleaner->graph->values[i];
        nnf_tensor *constant = cleaner->values[i].constant;
        if (!constant || s->value_gone[i] || value->constant == constant) continue;
        nnf_tensor_release(value->constant);
        value->constant = nnf_tensor_retain(constant);
    }
}

/* Reductions that drop their axes. Their paths are there, so that this needs no memory. */
static void change_modules(const sweep *s) {
    const nnfi_cleaner *cleaner = s->cleaner;
    for (size_t i = 0; i < cleaner->graph->n_calls; i++) {
        nnf_module *module = cleaner->instead[i];
        nnfi_call *call = cleaner->graph->calls[i];
        if (!module || s->call_gone[i]) continue;
        nnfi_value_reshape(&cleaner->graph->values[call->outputs[0]]);
        (void)nnfi_module_put(cleaner->module, call->path, module);
        nnf_module_release(call->module);
        call->module = nnf_module_retain(module);
    }
}

static void apply(const sweep *s) {
    change_modules(s);
    for (size_t i = 0; i < s->cleaner->graph->n_calls; i++)
        if (!s->call_gone[i]) bind_call(s, i);
    change_calls(s);
    change_values(s);
    nnfi_graph_remove(s->cleaner->module, s->call_gone, s->value_gone);
}

/* ---- The report ---- */

static void make_report(const sweep *s, nnf_clean_report *report) {
    const nnfi_cleaner *cleaner = s->cleaner;
    size_t counts[NNFI_N_OUTCOMES] = {0};
    for (size_t i = 0; i < cleaner->graph->n_calls; i++)
        counts[cleaner->outcomes[i]] += s->call_gone[i];
    *report = (nnf_clean_report){.n_constants = counts[NNFI_CONSTANT],
                                 .n_computed = counts[NNFI_COMPUTED],
                                 .n_removed = counts[NNFI_REMOVED],
                                 .n_merged = counts[NNFI_MERGED],
                                 .n_unused = counts[NNFI_STAYS]};
    for (size_t i = 0; i < cleaner->n_given; i++) {
        const nnfi_clean_value *v = &cleaner->values[i];
        report->n_shared += s->value_gone[i] && v->producer < 0 && v->same != (nnf_value)i &&
                            cleaner->values[v->same].needed;
    }
}

nnf_status nnfi_clean_sweep(nnfi_cleaner *cleaner, nnf_clean_report *report) {
    const nnfi_graph *graph = cleaner->graph;
    sweep s = {.cleaner = cleaner,
               .call_gone = nnfi_calloc(graph->n_calls + 1, sizeof(bool)),
               .value_gone = nnfi_calloc(graph->n_values + 1, sizeof(bool))};
    nnf_status status = NNF_OK;
    if (s.call_gone && s.value_gone) {
        find_needed(&s);
        find_gone(&s);
        make_report(&s, report);
        apply(&s);
    } else {
        status = nnfi_error_memory(graph->n_values, "cleaning a graph");
    }
    nnfi_free(s.call_gone);
    nnfi_free(s.value_gone);
    return status;
}
