/* Who gives and who reads each value of a Graph. */
#include "module/object.h"

/* Counts the values of a list, twice what is there twice. */
static void add_counts(int64_t *counts, const nnf_value *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE) counts[values[i]]++;
}

static void add_readers(nnfi_uses *uses, int64_t *next, const nnf_value *values, size_t n,
                        int32_t call) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != NNF_NO_VALUE) uses->readers[next[values[i]]++] = call;
}

/* Turns counts into where each value's readers begin; returns how many there are in all. */
static int64_t accumulate(int64_t *counts, size_t n) {
    int64_t sum = 0;
    for (size_t i = 0; i <= n; i++) {
        int64_t count = counts[i];
        counts[i] = sum;
        sum += count;
    }
    return sum;
}

static void set_producers(nnfi_uses *uses, const nnfi_graph *graph) {
    for (size_t i = 0; i < graph->n_values; i++)
        uses->producer[i] = -1;
    for (size_t i = 0; i < graph->n_calls; i++)
        for (size_t j = 0; j < graph->calls[i]->n_outputs; j++)
            if (graph->calls[i]->outputs[j] != NNF_NO_VALUE)
                uses->producer[graph->calls[i]->outputs[j]] = (int32_t)i;
}

/* Two passes over the calls: count, then fill in. */
nnf_status nnfi_uses_new(nnfi_uses *out, const nnfi_graph *graph) {
    size_t n = graph->n_values;
    nnfi_uses uses = {.producer = nnfi_alloc(n * sizeof(int32_t)),
                      .first_reader = nnfi_calloc(n + 1, sizeof(int64_t))};
    int64_t *next = nnfi_alloc((n + 1) * sizeof *next);
    if (!uses.producer || !uses.first_reader || !next) goto fail;
    set_producers(&uses, graph);
    for (size_t i = 0; i < graph->n_calls; i++) {
        add_counts(uses.first_reader, graph->calls[i]->inputs, graph->calls[i]->n_inputs);
        add_counts(uses.first_reader, graph->calls[i]->captures, graph->calls[i]->n_captures);
    }
    uses.readers = nnfi_alloc((size_t)accumulate(uses.first_reader, n) * sizeof(int32_t));
    if (!uses.readers) goto fail;
    for (size_t i = 0; i <= n; i++)
        next[i] = uses.first_reader[i];
    for (size_t i = 0; i < graph->n_calls; i++) {
        const nnfi_call *call = graph->calls[i];
        add_readers(&uses, next, call->inputs, call->n_inputs, (int32_t)i);
        add_readers(&uses, next, call->captures, call->n_captures, (int32_t)i);
    }
    nnfi_free(next);
    *out = uses;
    return NNF_OK;
fail:
    nnfi_free(next);
    nnfi_uses_clear(&uses);
    return nnfi_error_memory(n * sizeof(int64_t), "the readers of a graph's values");
}

void nnfi_uses_clear(nnfi_uses *uses) {
    nnfi_free(uses->producer);
    nnfi_free(uses->first_reader);
    nnfi_free(uses->readers);
    *uses = (nnfi_uses){0};
}
