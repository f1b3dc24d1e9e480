/* Rows from sequences of types to fuser methods: the default ones, and a caller's. */
#ifndef NNFI_MAPPING_H
#define NNFI_MAPPING_H

#include "nnfuse/fuse.h"

typedef struct nnfi_chain_row {
    const char *const *types;
    size_t n;
    nnf_fuser_method method;
    void *payload;
    bool folds; /* a batch norm behind the first type stands for one or more of them in a row */
} nnfi_chain_row;

/* Types that stand for an affine map; these and Pad may come before a layer that takes them. */
bool nnfi_type_is_affine(const char *type);
bool nnfi_type_goes_before(const char *type);
bool nnfi_type_takes_before(const char *type);
/* Whether the type has windows, which padding may be for. */
bool nnfi_type_has_windows(const char *type);
/* Whether type number `index` of a row stands for any number of affine maps. */
bool nnfi_chain_row_repeats(const nnfi_chain_row *row, size_t index);

/* The default table (chains.c). */
#define NNFI_LONGEST_CHAIN 4
extern const char *const nnfi_default_chains[][NNFI_LONGEST_CHAIN]; /* shorter: NULL at the end */
extern const size_t nnfi_n_default_chains;

/* Row `index` of `additional` (which may be NULL) followed by the default table; false past the
 * end. n is 0 for a row that needs a fusion which the mapping leaves out. */
bool nnfi_mapping_row(nnfi_chain_row *row, const nnf_mapping *additional, size_t index);

/* The first row with exactly these types; false where there is none. */
bool nnfi_mapping_find(nnfi_chain_row *row, const char *const *types, size_t n,
                       const nnf_mapping *additional);

#endif
