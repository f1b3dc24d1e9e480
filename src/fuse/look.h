/* What the calls of a graph are to those who look for layers to be put together. */
#ifndef NNFI_LOOK_H
#define NNFI_LOOK_H

#include "fuse/plan.h"

/* Whether the call reads something and gives one value, and can go with others as far as its module
 * says. */
bool nnfi_is_free(const nnfi_plan *plan, size_t call);
/* The free call that gives the value to `reader` alone, or NNFI_NO_CALL. */
size_t nnfi_producer_for(const nnfi_plan *plan, nnf_value value, size_t reader);
/* A linear layer, or an affine map, that reads nothing beside its data which is only known when it
 * runs, as a bias may be. */
bool nnfi_is_linear(const nnfi_plan *plan, size_t call);
bool nnfi_is_affine(const nnfi_plan *plan, size_t call);

/* How many calls read what a call gives; 0 where that is an output of the graph too, or not all. */
size_t nnfi_n_readers(const nnfi_plan *plan, size_t call, const int32_t **readers);
/* Nothing else reads the weight of a layer: a file would have it twice when it changes. */
bool nnfi_owns_weight(const nnfi_plan *plan, size_t layer);
/* Whether a linear layer can add something to what it gives without one more node in a file: it has
 * a bias, is a Gemm (rank 2), or arithmetic over its channels follows. */
bool nnfi_takes_bias(nnfi_plan *plan, size_t layer);

#endif
