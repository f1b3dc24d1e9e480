#include "fuse/mapping.h"

#include <string.h>

#include "fuse/methods.h"
#include "support/memory.h"
#include "support/text.h"

struct nnf_mapping {
    nnfi_chain_row *rows; /* each owns its types */
    size_t n, capacity;
};

nnf_status nnf_mapping_new(nnf_mapping **out) {
    *out = nnfi_calloc(1, sizeof **out);
    return *out ? NNF_OK : nnfi_error_memory(sizeof **out, "a mapping");
}

static void free_names(const char *const *names, size_t n) {
    if (!names) return;
    for (size_t i = 0; i < n; i++)
        nnfi_free((char *)names[i]);
    nnfi_free((void *)names);
}

void nnf_mapping_release(nnf_mapping *mapping) {
    if (!mapping) return;
    for (size_t i = 0; i < mapping->n; i++)
        free_names(mapping->rows[i].types, mapping->rows[i].n);
    nnfi_free(mapping->rows);
    nnfi_free(mapping);
}

static const char *const *copy_names(const char *const *names, size_t n) {
    const char **copy = nnfi_calloc(n, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = nnfi_strdup(names[i]);
        if (!copy[i]) {
            free_names(copy, n);
            return NULL;
        }
    }
    return copy;
}

bool nnfi_chain_row_repeats(const nnfi_chain_row *row, size_t index) {
    return row->folds && index > 0 && !strncmp(row->types[index], "BatchNorm", 9);
}

static bool same_types(const nnfi_chain_row *row, const char *const *types, size_t n) {
    size_t i = 0;
    for (size_t r = 0; r < row->n; r++) {
        size_t first = i;
        while (i < n && !strcmp(row->types[r], types[i]) &&
               (i == first || nnfi_chain_row_repeats(row, r)))
            i++;
        if (i == first) return false;
    }
    return i == n;
}

nnf_status nnf_mapping_add(nnf_mapping *mapping, const char *const *types, size_t n,
                           nnf_fuser_method method, void *payload) {
    bool given = mapping && types && method && n > 0;
    for (size_t i = 0; given && i < n; i++)
        given = types[i] != NULL;
    if (!given)
        return nnf_error(NNF_ERROR_INVALID,
                         "a mapping's row needs at least one type name, and a fuser method");
    for (size_t i = 0; i < mapping->n; i++)
        if (same_types(&mapping->rows[i], types, n)) {
            mapping->rows[i].method = method;
            mapping->rows[i].payload = payload;
            return NNF_OK;
        }
    const char *const *copy = copy_names(types, n);
    if (!copy ||
        !nnfi_reserve(&mapping->rows, &mapping->capacity, mapping->n + 1, sizeof *mapping->rows)) {
        free_names(copy, n);
        return nnfi_error_memory(n * sizeof *types, "a mapping's row");
    }
    mapping->rows[mapping->n++] = (nnfi_chain_row){copy, n, method, payload, false};
    return NNF_OK;
}

bool nnfi_mapping_row(nnfi_chain_row *row, const nnf_mapping *additional, size_t index) {
    size_t n_additional = additional ? additional->n : 0;
    if (index < n_additional) {
        *row = additional->rows[index];
        return true;
    }
    index -= n_additional;
    if (index >= nnfi_n_default_chains) return false;
    const char *const *types = nnfi_default_chains[index];
    size_t n = 0;
    while (n < NNFI_LONGEST_CHAIN && types[n])
        n++;
    *row = (nnfi_chain_row){types, n, nnfi_fuse_sequence, NULL, true};
    return true;
}

bool nnfi_mapping_find(nnfi_chain_row *row, const char *const *types, size_t n,
                       const nnf_mapping *additional) {
    for (size_t i = 0; nnfi_mapping_row(row, additional, i); i++)
        if (same_types(row, types, n)) return true;
    return false;
}

nnf_status nnf_get_fuser_method(nnf_fuser_method *method, void **payload, const char *const *types,
                                size_t n, const nnf_mapping *additional) {
    nnfi_chain_row row;
    if (nnfi_mapping_find(&row, types, n, additional)) {
        *method = row.method;
        if (payload) *payload = row.payload;
        return NNF_OK;
    }
    nnfi_text text = {0};
    for (size_t i = 0; i < n; i++)
        nnfi_text_add(&text, "%s%s", i ? ", " : "", types[i]);
    nnf_status status =
        nnf_error(NNF_ERROR_NOT_FOUND, "there is no fuser method for the sequence '%s'",
                  text.data && !text.failed ? text.data : "");
    nnfi_text_clear(&text);
    return status;
}
