#include "fuse/sequences.h"

#include <string.h>

#include "support/memory.h"

static nnf_status number_types(nnfi_sequences *out, const nnf_mapping *additional) {
    nnfi_chain_row row;
    for (size_t r = 0; nnfi_mapping_row(&row, additional, r); r++)
        for (size_t i = 0; i < row.n; i++) {
            const char *type = row.types[i];
            if (nnfi_map_get(&out->ids, type, strlen(type), NULL)) continue;
            if (!nnfi_map_put(&out->ids, type, strlen(type), (int64_t)out->n_types))
                return nnfi_error_memory(strlen(type), "the types of chains");
            out->n_types++;
        }
    return NNF_OK;
}

static bool add_state(nnfi_sequences *out, int32_t *state) {
    if (out->n_states == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 64;
        int32_t *next = nnfi_realloc(out->next, capacity * out->n_types * sizeof *next);
        if (!next) return false;
        out->next = next;
        nnfi_chain_row *rows = nnfi_realloc(out->rows, capacity * sizeof *rows);
        if (!rows) return false;
        out->rows = rows;
        out->capacity = capacity;
    }
    memset(out->next + out->n_states * out->n_types, 0, out->n_types * sizeof *out->next);
    out->rows[out->n_states] = (nnfi_chain_row){0};
    *state = (int32_t)out->n_states++;
    return true;
}

static int32_t *step(const nnfi_sequences *sequences, int32_t state, const char *type) {
    int64_t id;
    if (!nnfi_map_get(&sequences->ids, type, strlen(type), &id)) return NULL;
    return &sequences->next[(size_t)state * sequences->n_types + (size_t)id];
}

static nnf_status add_row(nnfi_sequences *out, const nnfi_chain_row *row) {
    int32_t state = NNFI_START;
    for (size_t i = 0; i < row->n; i++) {
        int32_t to = *step(out, state, row->types[i]);
        if (!to) {
            if (!add_state(out, &to))
                return nnfi_error_memory(out->capacity * out->n_types * sizeof to, "the chains");
            *step(out, state, row->types[i]) = to;
        }
        state = to;
        int32_t *again = step(out, state, row->types[i]);
        if (nnfi_chain_row_repeats(row, i) && !*again) *again = state;
    }
    if (out->rows[state].n == 0) out->rows[state] = *row; /* the first row for a sequence wins */
    return NNF_OK;
}

nnf_status nnfi_sequences_new(nnfi_sequences *out, const nnf_mapping *additional) {
    *out = (nnfi_sequences){0};
    nnf_status status = number_types(out, additional);
    int32_t start;
    if (status == NNF_OK && !add_state(out, &start))
        status = nnfi_error_memory(out->n_types * sizeof start, "the chains");
    nnfi_chain_row row;
    for (size_t r = 0; status == NNF_OK && nnfi_mapping_row(&row, additional, r); r++)
        status = add_row(out, &row);
    if (status != NNF_OK) nnfi_sequences_clear(out);
    return status;
}

void nnfi_sequences_clear(nnfi_sequences *sequences) {
    nnfi_map_clear(&sequences->ids);
    nnfi_free(sequences->next);
    nnfi_free(sequences->rows);
    *sequences = (nnfi_sequences){0};
}

int32_t nnfi_sequences_step(const nnfi_sequences *sequences, int32_t state, const char *type) {
    const int32_t *to = step(sequences, state, type);
    return to && *to ? *to : NNFI_NO_STATE;
}

const nnfi_chain_row *nnfi_sequences_row(const nnfi_sequences *sequences, int32_t state) {
    const nnfi_chain_row *row = &sequences->rows[state];
    return row->n ? row : NULL;
}
