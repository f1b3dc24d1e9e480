/* The mappings' sequences of type names as one automaton, so that walking along a graph costs one
 * step for each call. */
#ifndef NNFI_SEQUENCES_H
#define NNFI_SEQUENCES_H

#include "fuse/mapping.h"
#include "support/map.h"

typedef struct nnfi_sequences {
    nnfi_map ids;   /* of type names that occur in a row */
    size_t n_types; /* their number */
    size_t n_states, capacity;
    int32_t *next;        /* [n_states][n_types]; 0 (the start is never entered again): no step */
    nnfi_chain_row *rows; /* [n_states]; n is 0 where no row ends */
} nnfi_sequences;

#define NNFI_START 0
#define NNFI_NO_STATE (-1)

nnf_status nnfi_sequences_new(nnfi_sequences *out, const nnf_mapping *additional);
void nnfi_sequences_clear(nnfi_sequences *sequences);
/* The state after a type that follows `state`, or NNFI_NO_STATE. */
int32_t nnfi_sequences_step(const nnfi_sequences *sequences, int32_t state, const char *type);
/* The row that ends in a state, or NULL. */
const nnfi_chain_row *nnfi_sequences_row(const nnfi_sequences *sequences, int32_t state);

#endif
