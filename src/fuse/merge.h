/* Linear layers that become one: branches that meet in an Add, and two in a row; and what goes into
 * several of them at once (spread.h). */
#ifndef NNFI_MERGE_H
#define NNFI_MERGE_H

#include "fuse/chain_list.h"

/* Merges what can be merged in *graph, in rounds until nothing is left to merge. Where it may not
 * change and there is something, *graph becomes a copy (a reference of the caller's either way).
 * *n_merged counts up, by the rows of the list. `batch` is empty, or has a plan of the graph and no
 * jobs, before and after.
 */
nnf_status nnfi_merge_layers(nnf_module **graph, nnfi_batch *batch, const nnf_mapping *mapping,
                             bool may_change, nnfi_chain_list *list, size_t *n_merged);

#endif
