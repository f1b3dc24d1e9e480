/* Slices in a row that cut different axes are one Slice. */
#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* Adds what a call cuts of a value of rank `ndim`; false where that is not known, or an axis is cut
 * already. */
static bool add_cuts(nnfi_cuts *cuts, const nnfi_cleaner *cleaner, size_t index, int ndim) {
    const nnf_value *inputs = cleaner->inputs + cleaner->first_input[index];
    const nnf_tensor *lists[NNFI_CUT_LISTS] = {NULL};
    for (size_t k = 1; k < cleaner->graph->calls[index]->n_inputs && k <= NNFI_CUT_LISTS; k++) {
        if (inputs[k] == NNF_NO_VALUE) continue;
        lists[k - 1] = cleaner->values[inputs[k]].constant;
        if (!lists[k - 1]) return false;
    }
    return nnfi_add_cuts(cuts, lists, ndim);
}

/* A new constant, or an equal one that is there. */
static nnf_status add_list(nnf_value *out, nnfi_cleaner *cleaner, const int64_t *elements,
                           int64_t n) {
    nnf_tensor *tensor;
    nnf_value value;
    NNFI_TRY(nnf_tensor_from_data(&tensor, NNF_I64, 1, &n, elements));
    nnf_status status = nnfi_graph_add_value_like(cleaner->graph, &value, "slices");
    if (status != NNF_OK) {
        nnf_tensor_release(tensor);
        return status;
    }
    cleaner->graph->values[value].constant = nnf_tensor_retain(tensor);
    cleaner->values[value] =
        (nnfi_clean_value){.same = value, .renamed = NNF_NO_VALUE, .producer = -1, .readers = 1};
    NNFI_TRY(nnfi_clean_set_constant(cleaner, value, tensor));
    *out = cleaner->values[value].same;
    return NNF_OK;
}

/* The call's number where the value is a plain Slice's result, or -1. */
static int32_t slice_of(const nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    int32_t first = cleaner->values[at->inputs[0]].producer;
    if (first < 0 || !nnfi_is_a(at->call->module, "Slice")) return -1;
    const nnf_module *module = cleaner->graph->calls[first]->module;
    return nnfi_is_a(module, "Slice") && nnfi_clean_is_bare(module) ? first : -1;
}

nnf_status nnfi_clean_join_slices(nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    enum { DATA = 1 }; /* the input in front of the lists */
    if (at->call->n_inputs != DATA + NNFI_CUT_LISTS || at->inputs[0] == NNF_NO_VALUE) return NNF_OK;
    int32_t first = slice_of(cleaner, at);
    nnfi_cuts all = {0};
    if (first < 0 || nnfi_clean_data_of(cleaner, (size_t)first) == NNF_NO_VALUE ||
        !add_cuts(&all, cleaner, (size_t)first, at->infos[0]->ndim) ||
        !add_cuts(&all, cleaner, at->index, at->infos[0]->ndim))
        return NNF_OK;
    nnf_value made[DATA + NNFI_CUT_LISTS] = {nnfi_clean_data_of(cleaner, (size_t)first)};
    for (int k = 0; k < NNFI_CUT_LISTS; k++)
        NNFI_TRY(add_list(&made[DATA + k], cleaner, all.lists[k], all.n));
    cleaner->values[made[0]].readers++;
    for (int k = 0; k < DATA + NNFI_CUT_LISTS; k++) {
        if (at->inputs[k] != NNF_NO_VALUE) cleaner->values[at->inputs[k]].readers--;
        cleaner->inputs[cleaner->first_input[at->index] + (size_t)k] = made[k];
    }
    return NNF_OK;
}

size_t nnfi_clean_new_values(const nnfi_graph *graph) {
    size_t n = 0;
    for (size_t i = 0; i < graph->n_calls; i++)
        n += nnfi_is_a(graph->calls[i]->module, "Slice");
    return n * NNFI_CUT_LISTS;
}
