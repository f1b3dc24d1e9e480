#include "module/known.h"

#include <string.h>

#include "module/object.h"

/* How many of the newest infos are compared with one that is set: layers come in blocks that have
 * the same few shapes. */
#define RECENT 8

static bool same_dims(const nnf_dim *a, const nnf_dim *b, int n) {
    for (int i = 0; i < n; i++)
        if (a[i].symbol != b[i].symbol || (a[i].symbol == 0 && a[i].value != b[i].value))
            return false;
    return true;
}

static bool same_info(const nnf_type_info *a, const nnf_type_info *b) {
    return a->dtype == b->dtype && a->ndim == b->ndim && a->n_values == b->n_values &&
           same_dims(a->shape, b->shape, a->ndim) && same_dims(a->values, b->values, a->n_values);
}

nnf_status nnfi_known_new(nnfi_known *out, size_t n_values) {
    *out = (nnfi_known){.of = nnfi_calloc(n_values, sizeof(nnf_type_info *))};
    return out->of ? NNF_OK : nnfi_error_memory(n_values * sizeof(nnf_type_info *), "infos");
}

void nnfi_known_clear(nnfi_known *known) {
    for (size_t i = 0; i < known->n_owned; i++) {
        nnf_type_info_clear(known->owned[i]);
        nnfi_free(known->owned[i]);
    }
    nnfi_free(known->owned);
    nnfi_free((void *)known->of);
    *known = (nnfi_known){0};
}

const nnf_type_info *nnfi_known_get(const nnfi_known *known, nnf_value value) {
    static const nnfi_value unknown;
    const nnf_type_info *info = known->of[value];
    return info ? info : nnfi_value_info(&unknown);
}

static nnf_status add(nnfi_known *known, const nnf_type_info *info) {
    nnf_type_info *copy = nnfi_alloc(sizeof *copy);
    if (!copy || !nnfi_reserve(&known->owned, &known->capacity, known->n_owned + 1,
                               sizeof(nnf_type_info *))) {
        nnfi_free(copy);
        return nnfi_error_memory(sizeof *copy, "what is known of a value");
    }
    *copy = *info;
    known->owned[known->n_owned++] = copy;
    return NNF_OK;
}

nnf_status nnfi_known_set(nnfi_known *known, nnf_value value, nnf_type_info *info) {
    size_t oldest = known->n_owned > RECENT ? known->n_owned - RECENT : 0, i = known->n_owned;
    while (i > oldest && !same_info(known->owned[i - 1], info))
        i--;
    bool met = i > oldest;
    nnf_status status = met ? NNF_OK : add(known, info);
    if (status == NNF_OK) known->of[value] = known->owned[met ? i - 1 : known->n_owned - 1];
    if (status == NNF_OK && !met) nnf_type_info_init(info); /* moved */
    nnf_type_info_clear(info);
    return status;
}
