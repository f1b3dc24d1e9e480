/* What stands in front of several linear layers, folded into each of them. */
#ifndef NNFI_SPREAD_H
#define NNFI_SPREAD_H

#include "fuse/chain_list.h"

typedef struct nnfi_spread {
    nnfi_batch *batch;
    nnfi_plan *plan;
    nnfi_chain_list *list;
    const nnf_mapping *mapping;
    bool may_change; /* whether the graph may get new values; else the jobs cannot go in */
    nnf_value ones;  /* the last scale of ones that was made; NNF_NO_VALUE: none */
} nnfi_spread;

/* What the job's call gives is another value from now on than `call` gave, under another name. */
nnf_status nnfi_spread_gives_another(const nnfi_spread *spread, nnfi_job *job,
                                     const nnfi_call *call);

/* Adds jobs where the call gives a value that linear layers alone read, and can go into them:
 *   - it is an affine map, perhaps with others in front, and several layers read it: it goes;
 *   - it is a LayerNorm or RMSNorm: its scale becomes 1, and its bias goes.
 * Where one of the layers cannot take it there are no jobs, and the list says why a norm stays. */
nnf_status nnfi_spread_call(nnfi_spread *spread, size_t call);

#endif
