/* Who gives and who reads each value of a Graph. */
#include "module/object.h"

/* Counts the values of a list, twice what is there twice. */
static void add_counts(uint32_t *counts, const nnf_value *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE) counts[values[i]]++;
}

static void add_readers(nnfi_uses *uses, const nnf_value *values, size_t n, int32_t call) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE) uses->readers[--uses->first_reader[values[i]]] = call;
}

/* Turns counts into where each value's readers end; returns how many there are in all. */
static uint64_t accumulate(uint32_t *counts, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i <= n; i++)
        counts[i] = (uint32_t)(sum += counts[i]);
    return sum;
}

nnf_status nnfi_producers_new(int32_t **out, const nnfi_graph *graph) {
    int32_t *producers = nnfi_alloc(graph->n_values * sizeof *producers);
    if (!producers)
        return nnfi_error_memory(graph->n_values * sizeof *producers, "who gives each value");
    for (size_t i = 0; i < graph->n_values; i++)
        producers[i] = -1;
    for (size_t i = 0; i < graph->n_calls; i++)
        for (size_t j = 0; j < graph->calls[i]->n_outputs; j++)
            if (graph->calls[i]->outputs[j] != NNF_NO_VALUE)
                producers[graph->calls[i]->outputs[j]] = (int32_t)i;
    *out = producers;
    return NNF_OK;
}

/* Two passes over the calls: count, and from the last to the first fill each value's readers in
 * from their end. */
nnf_status nnfi_uses_new(nnfi_uses *out, const nnfi_graph *graph) {
    size_t n = graph->n_values;
    nnfi_uses uses = {.first_reader = nnfi_calloc(n + 1, sizeof *uses.first_reader)};
    if (!uses.first_reader) goto fail;
    for (size_t i = 0; i < graph->n_calls; i++) {
        add_counts(uses.first_reader, graph->calls[i]->inputs, graph->calls[i]->n_inputs);
        add_counts(uses.first_reader, graph->calls[i]->captures, graph->calls[i]->n_captures);
    }
    uint64_t n_readers = accumulate(uses.first_reader, n);
    if (n_readers <= UINT32_MAX) uses.readers = nnfi_alloc((size_t)n_readers * sizeof(int32_t));
    if (!uses.readers) goto fail; /* or more than 2^32 readers, which would take 64 GB of links */
    for (size_t i = graph->n_calls; i-- > 0;) {
        const nnfi_call *call = graph->calls[i];
        add_readers(&uses, call->inputs, call->n_inputs, (int32_t)i);
        add_readers(&uses, call->captures, call->n_captures, (int32_t)i);
    }
    if (nnfi_producers_new(&uses.producer, graph) != NNF_OK) goto fail;
    *out = uses;
    return NNF_OK;
fail:
    nnfi_uses_clear(&uses);
    return nnfi_error_memory(n * sizeof(uint32_t), "the readers of a graph's values");
}

void nnfi_uses_clear(nnfi_uses *uses) {
    nnfi_free(uses->producer);
    nnfi_free(uses->first_reader);
    nnfi_free(uses->readers);
    *uses = (nnfi_uses){0};
}
