/* The order of what is written. A node of the source stays where it was, and what it reads stands
 * before it there; but a new node comes behind the last one that ran before it, which may be behind
 * a reader: the steps of a lifted layer stand where they always did, and other nodes between them.
 */
#include "formats/onnx/write.h"
#include "support/memory.h"

/* The furthest place of the values' givers that do not stand where the source had them; -1: none.
 */
static int32_t furthest(const int32_t *places, const nnf_value *values, size_t n, int32_t place) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE && places[values[i]] > place) place = places[values[i]];
    return place;
}

/* Moves the leaves of one call, from `first` on, behind what they read; returns how many there are.
 */
static size_t order_call(nnfi_write_plan *plan, int32_t *places, size_t first) {
    const nnfi_call *call = plan->graph->calls[plan->leaves[first].call];
    int32_t place = furthest(places, call->inputs, call->n_inputs, -1);
    size_t n = 0;
    place = furthest(places, call->captures, call->n_captures, place);
    for (; first + n < plan->n_leaves && plan->leaves[first + n].call == plan->leaves[first].call;
         n++) {
        nnfi_leaf *leaf = &plan->leaves[first + n];
        if (leaf->place < place) leaf->place = place;
        if (leaf->place != leaf->node) place = leaf->place;
    }
    for (size_t i = 0; i < call->n_outputs && place >= 0; i++)
        if (call->outputs[i] != NNF_NO_VALUE) places[call->outputs[i]] = place;
    return n;
}

nnf_status nnfi_write_plan_order(nnfi_write_plan *plan) {
    const size_t n_values = plan->graph->n_values;
    int32_t *places = nnfi_alloc(n_values * sizeof *places);
    if (!places) return nnfi_error_memory(n_values * sizeof *places, "the order of the nodes");
    for (size_t i = 0; i < n_values; i++)
        places[i] = -1;
    for (size_t first = 0; first < plan->n_leaves;)
        first += order_call(plan, places, first);
    nnfi_free(places);
    return NNF_OK;
}
