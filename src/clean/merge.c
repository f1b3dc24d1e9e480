/* Common subexpressions: two calls of one type, with equal options and equal tensors, on the same
 * values give the same. */
#include <string.h>

#include "clean/clean_internal.h"

bool nnfi_clean_holds_input(const nnfi_cleaner *cleaner, const nnfi_call *call, size_t index) {
    const nnf_module_type *type = nnf_module_get_type(call->module);
    const nnf_tensor *held = nnf_module_tensor(call->module, type->slots[index - 1].name);
    const nnf_tensor *given = call->inputs[index] == NNF_NO_VALUE
                                  ? NULL
                                  : cleaner->graph->values[call->inputs[index]].constant;
    return held && given && nnfi_tensor_same(held, given);
}

static bool equal_slots(const nnfi_cleaner *cleaner, const nnfi_call *a, const nnfi_call *b) {
    const nnf_module_type *type = nnf_module_get_type(a->module);
    for (size_t i = 0; i < type->n_slots; i++) {
        const nnf_tensor *x = nnf_module_tensor(a->module, type->slots[i].name);
        const nnf_tensor *y = nnf_module_tensor(b->module, type->slots[i].name);
        if (x == y || (x && y && nnfi_tensor_same(x, y))) continue;
        /* two tensors of one initializer by now */
        if (i + 1 >= a->n_inputs || !nnfi_clean_holds_input(cleaner, a, i + 1) ||
            !nnfi_clean_holds_input(cleaner, b, i + 1))
            return false;
    }
    return true;
}

static bool equal_calls(const void *payload, size_t i) {
    const nnfi_clean_wanted *wanted = payload;
    const nnfi_cleaner *cleaner = wanted->cleaner;
    const size_t j = wanted->number;
    const nnfi_call *a = cleaner->graph->calls[i], *b = cleaner->graph->calls[j];
    const nnf_module_type *type = nnf_module_get_type(a->module);
    if (cleaner->outcomes[i] != NNFI_STAYS || cleaner->instead[i] ||
        type != nnf_module_get_type(b->module) || a->n_inputs != b->n_inputs ||
        a->n_outputs != b->n_outputs)
        return false;
    for (size_t k = 0; k < a->n_inputs; k++)
        if (cleaner->inputs[cleaner->first_input[i] + k] !=
            cleaner->inputs[cleaner->first_input[j] + k])
            return false;
    for (size_t k = 0; k < a->n_outputs; k++)
        if (a->outputs[k] == NNF_NO_VALUE && b->outputs[k] != NNF_NO_VALUE) return false;
    if (type->options_size > 0 && memcmp(nnf_module_options(a->module),
                                         nnf_module_options(b->module), type->options_size) != 0)
        return false;
    return equal_slots(cleaner, a, b);
}

static uint64_t hash_call(const nnfi_clean_call *call) {
    const nnf_module_type *type = nnf_module_get_type(call->call->module);
    uint64_t hash = nnfi_hash(0, &type, sizeof(const nnf_module_type *));
    if (type->options_size > 0) hash = nnfi_hash(hash, call->options, type->options_size);
    return nnfi_hash(hash, call->inputs, call->call->n_inputs * sizeof *call->inputs);
}

void nnfi_clean_merge(nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    const nnfi_call *this_call = call->call;
    size_t first = nnfi_clean_find_equal(&cleaner->calls, hash_call(call), equal_calls,
                                         &(nnfi_clean_wanted){cleaner, call->index});
    if (first == call->index) return;
    for (size_t k = 0; k < this_call->n_outputs; k++) {
        nnf_value output = this_call->outputs[k];
        if (output != NNF_NO_VALUE &&
            (cleaner->values[output].captured || cleaner->graph->values[output].is_output))
            return;
    }
    for (size_t k = 0; k < this_call->n_outputs; k++) {
        nnf_value output = this_call->outputs[k];
        if (output == NNF_NO_VALUE) continue;
        nnf_value same = cleaner->graph->calls[first]->outputs[k];
        cleaner->values[output].same = same;
        cleaner->values[same].readers += cleaner->values[output].readers;
    }
    cleaner->outcomes[call->index] = NNFI_MERGED;
}
