/* Cleaning: what exporters leave in a graph, and what is known before it runs, is taken out. */
#ifndef NNFUSE_CLEAN_H
#define NNFUSE_CLEAN_H

#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What cleaning did, in calls (nodes) that are gone, each counted under one reason. Its own
 * initializers are counted beside that. */
typedef struct nnf_clean_report {
    size_t n_constants; /* gave a constant, which is an initializer now (Constant) */
    size_t n_computed;  /* their result is the same in every run, and computed already */
    size_t n_removed;   /* passed their input on (Identity, Dropout, a Pad by nothing ...) */
    size_t n_merged;    /* computed what another call computes */
    size_t n_unused;    /* nobody reads what they give */
    size_t n_shared;    /* initializers that were equal to another one */
} nnf_clean_report;

/* Removes from a Graph, in place, what changes nothing in its results; docs/cleaning.md has every
 * rule and its condition. The graph's inputs and outputs keep their names and order, and so does
 * every value that a subgraph in a node reads. Modules in training mode, with hooks, of a user's
 * type or of a type that nnfuse does not know stay; so do fused ones. The modules of calls that go
 * stay in the tree, uncalled. The time is linear in the size of the graph.
 *
 * `report` may be NULL. All or nothing: after an error, nothing has
 * changed. NNF_ERROR_INVALID where `graph` is no Graph, NNF_ERROR_MEMORY. */
NNF_API nnf_status nnf_clean(nnf_module *graph, nnf_clean_report *report);

#ifdef __cplusplus
}
#endif
#endif
