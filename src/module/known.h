/* What is known of a graph's values while somebody works on it. Most values of a long graph have
 * the same types as others, and equal infos are one here. */
#ifndef NNFI_KNOWN_H
#define NNFI_KNOWN_H

#include "module/graph_internal.h"

typedef struct nnfi_known {
    const nnf_type_info **of; /* [n_values]; NULL: nothing is known */
    nnf_type_info **owned;
    size_t n_owned, capacity;
} nnfi_known;

nnf_status nnfi_known_new(nnfi_known *out, size_t n_values);
void nnfi_known_clear(nnfi_known *known);
/* Never NULL. */
const nnf_type_info *nnfi_known_get(const nnfi_known *known, nnf_value value);
/* Empties `info`, whatever comes of it. */
nnf_status nnfi_known_set(nnfi_known *known, nnf_value value, nnf_type_info *info);

/* nnf_graph_infer from the inputs' own infos. */
nnf_status nnfi_graph_infer(nnfi_known *out, const nnf_module *graph);

#endif
