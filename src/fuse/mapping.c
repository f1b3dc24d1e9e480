#include "fuse/mapping.h"

#include <string.h>

#include "fuse/fusions.h"
#include "fuse/methods.h"
#include "fuse/view.h"
#include "nnfuse/nn.h"
#include "support/memory.h"
#include "support/text.h"

struct nnf_mapping {
    nnfi_chain_row *rows; /* each owns its types */
    size_t n, capacity;
    const nnf_module_type **types; /* the program's own */
    size_t n_types, types_capacity;
    uint32_t skipped; /* bit k: nnfi_fusion k */
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
    nnfi_free((void *)mapping->types);
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

static bool is_norm(const char *type) {
    return !strncmp(type, "BatchNorm", 9);
}

bool nnfi_type_is_affine(const char *type) {
    return is_norm(type) || !strcmp(type, nnfi_scale_type.name);
}

bool nnfi_type_goes_before(const char *type) {
    return nnfi_type_is_affine(type) || !strcmp(type, "Pad");
}

bool nnfi_type_has_windows(const char *type) {
    static const char *const families[] = {"Conv", "MaxPool", "AvgPool"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strncmp(type, families[i], strlen(families[i]))) return true;
    return false;
}

bool nnfi_type_takes_before(const char *type) {
    return nnfi_type_has_windows(type) || !strncmp(type, "Linear", 6) ||
           !strncmp(type, "MatMul", 6);
}

bool nnfi_chain_row_repeats(const nnfi_chain_row *row, size_t index) {
    return row->folds && nnfi_type_is_affine(row->types[index]) && (index > 0 || row->n == 1);
}

static bool same_types(const nnfi_chain_row *row, const char *const *types, size_t n) {
    size_t i = 0;
    while (row->folds && i < n && row->n && nnfi_type_takes_before(row->types[0]) &&
           nnfi_type_goes_before(types[i]))
        i++;
    for (size_t r = 0; r < row->n; r++) {
        size_t first = i;
        bool repeats = nnfi_chain_row_repeats(row, r);
        while (i < n && (!strcmp(row->types[r], types[i]) ||
                         (repeats && i > first && nnfi_type_is_affine(types[i])))) {
            i++;
            if (!repeats) break;
        }
        if (i == first) return false;
    }
    return i == n;
}

static const nnf_module_type *find_type(const nnf_mapping *mapping, const char *name) {
    for (size_t i = 0; i < mapping->n_types; i++)
        if (!strcmp(mapping->types[i]->name, name)) return mapping->types[i];
    return nnf_type(name);
}

nnf_status nnf_mapping_add_type(nnf_mapping *mapping, const nnf_module_type *type) {
    if (!mapping || !type || !type->name)
        return nnf_error(NNF_ERROR_INVALID, "a mapping and a type with a name are needed");
    const nnf_module_type *known = find_type(mapping, type->name);
    if (known == type) return NNF_OK;
    if (known)
        return nnf_error(NNF_ERROR_INVALID, "there is another type '%s' already", type->name);
    if (!nnfi_reserve(&mapping->types, &mapping->types_capacity, mapping->n_types + 1,
                      sizeof *mapping->types))
        return nnfi_error_memory(sizeof *mapping->types, "a mapping's types");
    mapping->types[mapping->n_types++] = type;
    return NNF_OK;
}

static nnf_status check_row(const nnf_mapping *mapping, const char *const *types, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!find_type(mapping, types[i]))
            return nnf_error(NNF_ERROR_NOT_FOUND,
                             "there is no type '%s'; name one of your own to the mapping first "
                             "(nnf_mapping_add_type)",
                             types[i]);
    for (size_t i = 0; i < mapping->n; i++)
        if (same_types(&mapping->rows[i], types, n))
            return nnf_error(NNF_ERROR_INVALID,
                             "the mapping has a row of %zu types that begins with '%s' already", n,
                             types[0]);
    return NNF_OK;
}

nnf_status nnf_mapping_add(nnf_mapping *mapping, const char *const *types, size_t n,
                           nnf_fuser_method method, void *payload) {
    bool given = mapping && types && method && n > 0;
    for (size_t i = 0; given && i < n; i++)
        given = types[i] != NULL;
    if (!given)
        return nnf_error(NNF_ERROR_INVALID,
                         "a mapping's row needs at least one type name, and a fuser method");
    NNFI_TRY(check_row(mapping, types, n));
    const char *const *copy = copy_names(types, n);
    if (!copy ||
        !nnfi_reserve(&mapping->rows, &mapping->capacity, mapping->n + 1, sizeof *mapping->rows)) {
        free_names(copy, n);
        return nnfi_error_memory(n * sizeof *types, "a mapping's row");
    }
    mapping->rows[mapping->n++] = (nnfi_chain_row){copy, n, method, payload, false};
    return NNF_OK;
}

nnf_status nnf_mapping_skip(nnf_mapping *mapping, const char *fusion) {
    if (!mapping || !fusion)
        return nnf_error(NNF_ERROR_INVALID, "a mapping and the name of a fusion are needed");
    size_t n;
    const nnf_fusion *fusions = nnf_fusions(&n);
    nnfi_text names = {0};
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(fusions[i].name, fusion)) {
            nnfi_text_clear(&names);
            mapping->skipped |= (uint32_t)1 << i;
            return NNF_OK;
        }
        nnfi_text_add(&names, "%s%s", i ? ", " : "", fusions[i].name);
    }
    nnf_status status = nnf_error(NNF_ERROR_NOT_FOUND, "there is no fusion '%s'; there are %s",
                                  fusion, names.data && !names.failed ? names.data : "others");
    nnfi_text_clear(&names);
    return status;
}

bool nnfi_mapping_skips(const nnf_mapping *mapping, nnfi_fusion fusion) {
    return mapping && (mapping->skipped >> fusion & 1);
}

/* The fusion that type number `index` of a default row needs. */
static nnfi_fusion fusion_of(const nnfi_chain_row *row, size_t index) {
    const char *type = row->types[index], *first = row->types[0];
    if (is_norm(type)) return NNFI_FUSION_BATCHNORM;
    if (nnfi_type_is_affine(type))
        return strcmp(first, "MatMul") ? NNFI_FUSION_SCALE : NNFI_FUSION_GEMM;
    if (!strcmp(type, "Add")) return NNFI_FUSION_RESIDUAL;
    bool relu = !strcmp(type, "ReLU") && strncmp(first, "ConvTranspose", 13);
    return relu ? NNFI_FUSION_RELU : NNFI_FUSION_ACTIVATION;
}

/* Whether a default row needs a fusion that the mapping leaves out. */
static bool leaves_out(const nnf_mapping *mapping, const nnfi_chain_row *row) {
    if (row->n == 1 && nnfi_type_is_affine(row->types[0])) /* several of them made one */
        return nnfi_mapping_skips(mapping, NNFI_FUSION_SCALE);
    for (size_t i = 1; i < row->n; i++)
        if (nnfi_mapping_skips(mapping, fusion_of(row, i))) return true;
    return false;
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
    if (leaves_out(additional, row)) row->n = 0;
    return true;
}

bool nnfi_mapping_find(nnfi_chain_row *row, const char *const *types, size_t n,
                       const nnf_mapping *additional) {
    for (size_t i = 0; nnfi_mapping_row(row, additional, i); i++)
        if ((n > 1 || !row->folds) && same_types(row, types, n)) return true;
    return false;
}

nnf_status nnf_get_fuser_method(nnf_fuser_method *method, void **payload, const char *const *types,
                                size_t n, const nnf_mapping *additional) {
    for (size_t i = 0; i < n; i++)
        if (!types || !types[i])
            return nnf_error(NNF_ERROR_INVALID, "type %zu of the sequence is NULL", i);
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
        nnf_error(NNF_ERROR_NOT_FOUND, "no fusion takes these layers in this order: '%s'",
                  text.data && !text.failed ? text.data : "");
    nnfi_text_clear(&text);
    return status;
}
