#include "fuse/sequences.h"

#include <string.h>

#include "fuse/fusions.h"
#include "fuse/view.h"
#include "support/memory.h"

/* What may come before a layer. */
static const char *const before[] = {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", NNFI_SCALE,
                                     "Pad"};
enum { N_BEFORE = sizeof before / sizeof *before };

static nnf_status number_type(nnfi_sequences *out, const char *type) {
    if (nnfi_map_get(&out->ids, type, strlen(type), NULL)) return NNF_OK;
    if (!nnfi_map_put(&out->ids, type, strlen(type), (int64_t)out->n_types))
        return nnfi_error_memory(strlen(type), "the types of chains");
    out->n_types++;
    return NNF_OK;
}

static nnf_status number_types(nnfi_sequences *out, const nnf_mapping *additional) {
    nnfi_chain_row row;
    for (size_t i = 0; i < N_BEFORE; i++)
        NNFI_TRY(number_type(out, before[i]));
    for (size_t r = 0; nnfi_mapping_row(&row, additional, r); r++)
        for (size_t i = 0; i < row.n; i++)
            NNFI_TRY(number_type(out, row.types[i]));
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

/* The state after `type`, made where there is none. */
static nnf_status go(nnfi_sequences *out, int32_t *state, const char *type) {
    int32_t to = *step(out, *state, type);
    if (!to) {
        if (!add_state(out, &to))
            return nnfi_error_memory(out->capacity * out->n_types * sizeof to, "the chains");
        *step(out, *state, type) = to;
    }
    *state = to;
    return NNF_OK;
}

/* Whether a mapping allows the type beside another affine map of a row. */
static bool allows(const nnf_mapping *mapping, const char *type) {
    bool is_scale = !strcmp(type, nnfi_scale_type.name);
    return !nnfi_mapping_skips(mapping, is_scale ? NNFI_FUSION_SCALE : NNFI_FUSION_BATCHNORM);
}

/* Lets `state` go on to itself by every affine map that does not lead elsewhere. */
static void repeat_affine(nnfi_sequences *out, int32_t state, const char *own,
                          const nnf_mapping *mapping) {
    for (size_t i = 0; i < N_BEFORE; i++) {
        int32_t *again = step(out, state, before[i]);
        bool allowed = !strcmp(before[i], own) || allows(mapping, before[i]);
        if (nnfi_type_is_affine(before[i]) && allowed && !*again) *again = state;
    }
}

static nnf_status add_row(nnfi_sequences *out, const nnfi_chain_row *row,
                          const nnf_mapping *mapping) {
    int32_t state = NNFI_START;
    for (size_t i = 0; i < row->n; i++) {
        NNFI_TRY(go(out, &state, row->types[i]));
        if (nnfi_chain_row_repeats(row, i)) repeat_affine(out, state, row->types[i], mapping);
    }
    if (out->rows[state].n == 0) out->rows[state] = *row; /* the first row for a sequence wins */
    return NNF_OK;
}

static bool skips_before(const nnf_mapping *mapping, const char *type) {
    return nnfi_mapping_skips(mapping,
                              nnfi_type_is_affine(type) ? NNFI_FUSION_BEFORE : NNFI_FUSION_PAD);
}

/* Where the table has no step of its own, the one that `type` is at the start. */
static void link_to_start(nnfi_sequences *out, int32_t state, const char *type) {
    int32_t *to = step(out, state, type);
    if (!*to) *to = *step(out, NNFI_START, type);
}

/* What may come before a layer goes on to where the layer itself leads. */
static nnf_status add_before(nnfi_sequences *out, const nnf_mapping *mapping) {
    int32_t states[N_BEFORE] = {0};
    for (size_t i = 0; i < N_BEFORE; i++)
        if (!skips_before(mapping, before[i])) NNFI_TRY(go(out, &states[i], before[i]));
    for (size_t i = 0; i < N_BEFORE; i++) {
        nnfi_chain_row row;
        if (states[i] == NNFI_START) continue;
        for (size_t r = 0; nnfi_mapping_row(&row, mapping, r); r++)
            if (row.folds && row.n && nnfi_type_takes_before(row.types[0]) &&
                (nnfi_type_is_affine(before[i]) || nnfi_type_has_windows(row.types[0])))
                link_to_start(out, states[i], row.types[0]);
        for (size_t k = 0; k < N_BEFORE && nnfi_type_is_affine(before[i]); k++)
            if (states[k] != NNFI_START) link_to_start(out, states[i], before[k]);
    }
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
        status = add_row(out, &row, additional);
    if (status == NNF_OK) status = add_before(out, additional);
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
