#include "fuse/merge.h"

#include <stdlib.h>
#include <string.h>

#include "fuse/blocks.h"
#include "fuse/dense.h"
#include "fuse/fusions.h"
#include "fuse/look.h"
#include "fuse/moves.h"
#include "fuse/spread.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"
#include "support/error.h"

/* More of them are no network's; bounds keep the search linear in the graph. */
enum { MOST_BRANCHES = 32, MOST_CALLS = 128, MOST_ROUNDS = 32 };

/* Calls of affine maps, in execution order. */
typedef struct affine_calls {
    size_t *calls, n;
} affine_calls;

/* Affine maps behind one linear layer and in front of it, or alone. */
typedef struct branch {
    nnf_value x;  /* what it reads */
    size_t layer; /* the linear layer's call, or NNFI_NO_CALL */
    affine_calls front, behind;
    double cost; /* multiplications of the layer for one position of the output */
} branch;

typedef struct merger {
    nnfi_batch *batch;
    nnfi_plan *plan;
    nnfi_chain_list *list;
    const nnf_mapping *mapping;
    nnfi_spread spread;
    /* of the candidate at work */
    size_t calls[MOST_CALLS];
    size_t n_calls;
    branch branches[MOST_BRANCHES];
    size_t n_branches;
} merger;

/* ---- Looking ---- */

static const nnfi_call *call_at(const merger *m, size_t index) {
    return m->plan->graph->calls[index];
}

static nnf_value data_of(const merger *m, size_t index) {
    return nnfi_data_of(m->plan, index);
}

/* An Add of two values that are computed. */
static bool is_sum(const merger *m, size_t index) {
    const nnfi_call *call = call_at(m, index);
    return nnfi_takes_residual(call->module) && call->n_inputs == 2 && call->n_outputs == 1 &&
           nnfi_is_a(call->module, "Add") && !nnfi_view_of(m->plan->graph, call);
}

static bool add_call(merger *m, size_t call) {
    if (m->n_calls == MOST_CALLS) return false;
    m->calls[m->n_calls++] = call;
    return true;
}

/* The affine maps behind each other of which the last gives *value to *reader; then *value is what
 * the first reads, and *reader that one. They join the candidate's calls. */
static bool trace_affine(merger *m, nnf_value *value, size_t *reader, affine_calls *out) {
    size_t first = m->n_calls, call;
    while ((call = nnfi_producer_for(m->plan, *value, *reader)) != NNFI_NO_CALL &&
           nnfi_is_affine(m->plan, call)) {
        if (!add_call(m, call)) return false;
        *value = data_of(m, call);
        *reader = call;
    }
    *out = (affine_calls){m->calls + first, m->n_calls - first};
    for (size_t i = 0; i < out->n / 2; i++) { /* they were met from the last on */
        size_t swapped = out->calls[i];
        out->calls[i] = out->calls[out->n - 1 - i];
        out->calls[out->n - 1 - i] = swapped;
    }
    return true;
}

/* The branch whose last call gives `value` to `reader`. Its calls join the candidate's. */
static bool trace_branch(merger *m, branch *out, nnf_value value, size_t reader) {
    *out = (branch){.layer = NNFI_NO_CALL};
    if (!trace_affine(m, &value, &reader, &out->behind)) return false;
    size_t call = nnfi_producer_for(m->plan, value, reader);
    if (call != NNFI_NO_CALL && nnfi_is_linear(m->plan, call)) {
        if (!add_call(m, call)) return false;
        out->layer = call;
        value = data_of(m, call);
    }
    out->x = value;
    return true;
}

/* Takes in what is in front of the branch's layer. */
static bool trace_front(merger *m, branch *of) {
    size_t reader = of->layer;
    return reader == NNFI_NO_CALL || trace_affine(m, &of->x, &reader, &of->front);
}

/* The branches that meet in a tree of Adds. */
static bool gather(merger *m, size_t sum) {
    if (!add_call(m, sum)) return false;
    for (size_t k = 0; k < 2; k++) {
        nnf_value value = call_at(m, sum)->inputs[k];
        size_t producer = nnfi_producer_for(m->plan, value, sum);
        bool good;
        if (producer != NNFI_NO_CALL && is_sum(m, producer))
            good = gather(m, producer);
        else
            good = m->n_branches < MOST_BRANCHES &&
                   trace_branch(m, &m->branches[m->n_branches], value, sum) &&
                   trace_front(m, &m->branches[m->n_branches++]);
        if (!good) return false;
    }
    return true;
}

/* ---- What a branch computes ---- */

static nnf_status put_affine(merger *m, nnfi_dense *dense, size_t layer, size_t index, bool front) {
    nnf_module *view;
    NNFI_TRY(
        nnfi_view_make(&view, m->plan->graph, call_at(m, index), dense->out, dense->spatial + 2));
    nnf_status status = nnfi_plan_check_axis(m->plan, layer, index, view);
    if (status == NNF_OK && front) status = nnfi_plan_check_front(m->plan, index, view);
    if (status == NNF_OK) status = nnfi_dense_affine(dense, view);
    nnf_module_release(view);
    return status;
}

static nnf_status put_all(merger *m, nnfi_dense *dense, size_t layer, const affine_calls *list,
                          bool front) {
    nnf_status status = NNF_OK;
    for (size_t i = 0; status == NNF_OK && i < list->n; i++)
        status = put_affine(m, dense, layer, list->calls[i], front);
    return status;
}

/* *dense, a layer, becomes that behind what is in front of it. */
static nnf_status put_behind(merger *m, nnfi_dense *dense, size_t layer,
                             const affine_calls *front) {
    nnfi_dense first;
    if (front->n == 0) return NNF_OK;
    NNFI_TRY(nnfi_dense_identity(&first, dense, dense->in));
    nnf_status status = put_all(m, &first, layer, front, true);
    if (status == NNF_OK) status = nnfi_dense_then(&first, dense);
    nnfi_dense_clear(status == NNF_OK ? dense : &first);
    if (status == NNF_OK) *dense = first;
    return status;
}

static nnf_status compute_layer(merger *m, nnfi_dense *out, branch *of, bool numbers) {
    nnf_module *view;
    *out = (nnfi_dense){0};
    NNFI_TRY(nnfi_view_make(&view, m->plan->graph, call_at(m, of->layer), 0, 0));
    nnf_status status = nnfi_dense_of(out, view, numbers);
    nnf_module_release(view);
    if (status != NNF_OK) return status;
    of->cost = nnfi_dense_cost(out);
    return put_behind(m, out, of->layer, &of->front);
}

/* `like`: what a branch without a layer is like, which comes behind one that has one; axes are
 * checked against those of `layer`. */
static nnf_status compute(merger *m, nnfi_dense *out, branch *of, const nnfi_dense *like,
                          size_t layer, bool numbers) {
    nnf_status status = of->layer != NNFI_NO_CALL || !like
                            ? compute_layer(m, out, of, numbers)
                            : nnfi_dense_identity(out, like, like->in);
    if (status == NNF_OK) status = put_all(m, out, layer, &of->behind, false);
    if (status != NNF_OK) nnfi_dense_clear(out);
    return status;
}

/* ---- Jobs ---- */

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* A job of the candidate's calls, which `fused` (a reference, taken over) comes for at the place of
 * the call `base`. */
static nnf_status add_job(merger *m, nnf_module *fused, size_t base, double saved) {
    nnfi_job *job;
    qsort(m->calls, m->n_calls, sizeof *m->calls, ascending);
    nnf_status status = nnfi_batch_add_calls(m->batch, &job, m->plan, m->calls, m->n_calls);
    if (status != NNF_OK) {
        nnf_module_release(fused);
        return status;
    }
    job->absorbs = true;
    while (job->calls[job->base] != base)
        job->base++;
    job->fused[job->base] = fused;
    for (size_t i = 0; i < job->n; i++)
        if (i != job->base) NNFI_TRY(nnfi_plan_identity(job->plan, &job->fused[i], true));
    return nnfi_chain_list_add(m->list, job, saved);
}

/* What cannot be merged stays as it is, with the reason. Memory that is short ends the search. */
static nnf_status leave(merger *m, size_t call, nnf_status status) {
    if (status == NNF_OK || status == NNF_ERROR_MEMORY) return status;
    return nnfi_chain_list_left(m->list, call_at(m, call), NULL);
}

/* ---- Beside each other ---- */

static nnf_status add_branches(merger *m, nnfi_dense *sum, size_t main, bool numbers) {
    size_t layer = m->branches[main].layer;
    nnf_status status = compute(m, sum, &m->branches[main], NULL, layer, numbers);
    for (size_t b = 0; status == NNF_OK && b < m->n_branches; b++) {
        nnfi_dense other = {0};
        if (b == main) continue;
        status = compute(m, &other, &m->branches[b], sum, layer, numbers);
        if (status == NNF_OK) status = nnfi_dense_add(sum, &other);
        nnfi_dense_clear(&other);
    }
    if (status != NNF_OK) nnfi_dense_clear(sum);
    return status;
}

/* The branches' layer with the largest kernel; n_branches where there is none. */
static size_t main_branch(const merger *m) {
    size_t best = m->n_branches;
    for (size_t b = 0; b < m->n_branches; b++) {
        const branch *of = &m->branches[b];
        if (of->layer == NNFI_NO_CALL) continue;
        const nnf_tensor *weight = nnf_module_tensor(call_at(m, of->layer)->module, "weight");
        const nnf_tensor *most =
            best < m->n_branches
                ? nnf_module_tensor(call_at(m, m->branches[best].layer)->module, "weight")
                : NULL;
        if (!most || (weight && nnf_tensor_numel(weight) > nnf_tensor_numel(most))) best = b;
    }
    return best;
}

static bool one_input(const merger *m) {
    for (size_t b = 1; b < m->n_branches; b++)
        if (m->branches[b].x != m->branches[0].x) return false;
    return m->n_branches > 1;
}

static nnf_status merge_sum(merger *m, size_t main) {
    nnfi_dense sum = {0};
    double before = 0, after;
    NNFI_TRY(add_branches(m, &sum, main, false));
    for (size_t b = 0; b < m->n_branches; b++)
        before += m->branches[b].cost;
    after = nnfi_dense_cost(&sum);
    nnfi_dense_clear(&sum);
    if (after > before)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "one layer for its branches would take %g multiplications for each "
                         "position of the output, and they take %g",
                         after, before);
    NNFI_TRY(add_branches(m, &sum, main, true));
    nnf_module *fused;
    nnf_status status = nnfi_dense_module(&fused, &sum);
    nnfi_dense_clear(&sum);
    return status == NNF_OK ? add_job(m, fused, m->branches[main].layer, 1 - after / before)
                            : status;
}

static nnf_status try_sum(merger *m, size_t call) {
    m->n_calls = m->n_branches = 0;
    if (m->plan->taken[call] || !is_sum(m, call) || !nnfi_is_free(m->plan, call)) return NNF_OK;
    if (!gather(m, call) || !one_input(m)) return NNF_OK;
    size_t main = main_branch(m);
    return main == m->n_branches ? NNF_OK : leave(m, call, merge_sum(m, main));
}

/* ---- Behind each other ---- */

static double stride_product(const nnfi_dense *dense) {
    double product = 1;
    for (int i = 0; i < dense->spatial; i++)
        product *= (double)dense->stride[i];
    return product;
}

/* first = second(first); `numbers` as in compute. */
static nnf_status compose(merger *m, nnfi_dense *first, nnfi_dense *second, branch *in_front,
                          size_t call, bool numbers) {
    branch behind = {.layer = call};
    NNFI_TRY(compute(m, first, in_front, NULL, in_front->layer, numbers));
    nnf_status status = compute(m, second, &behind, NULL, call, numbers);
    if (status == NNF_OK) status = nnfi_dense_then(first, second);
    if (status != NNF_OK) {
        nnfi_dense_clear(first);
        nnfi_dense_clear(second);
    }
    return status;
}

static nnf_status merge_series(merger *m, branch *in_front, size_t call) {
    nnfi_dense both = {0}, second = {0};
    /* What does not fit, or saves nothing, is no reason to tell anybody. */
    nnf_status status = compose(m, &both, &second, in_front, call, false);
    if (status != NNF_OK) return status == NNF_ERROR_MEMORY ? status : NNF_OK;
    double before = in_front->cost * stride_product(&second) + nnfi_dense_cost(&second);
    double after = nnfi_dense_cost(&both);
    nnfi_dense_clear(&both);
    nnfi_dense_clear(&second);
    if (after >= before) return NNF_OK;
    NNFI_TRY(compose(m, &both, &second, in_front, call, true));
    nnf_module *fused;
    status = nnfi_dense_module(&fused, &both);
    nnfi_dense_clear(&both);
    nnfi_dense_clear(&second);
    return status == NNF_OK ? add_job(m, fused, in_front->layer, 1 - after / before) : status;
}

static nnf_status try_series(merger *m, size_t call) {
    branch in_front;
    m->n_calls = m->n_branches = 0;
    if (m->plan->taken[call] || !nnfi_is_linear(m->plan, call) || !nnfi_is_free(m->plan, call))
        return NNF_OK;
    if (!trace_branch(m, &in_front, data_of(m, call), call) || in_front.layer == NNFI_NO_CALL ||
        !add_call(m, call))
        return NNF_OK;
    return leave(m, call, merge_series(m, &in_front, call));
}

/* ---- Behind blocks of pixels ---- */

static nnf_status merge_blocks(merger *m, const nnfi_blocks *blocks, size_t call) {
    branch alone = {.layer = call};
    nnfi_dense dense;
    nnf_module *fused;
    NNFI_TRY(compute(m, &dense, &alone, NULL, call, true));
    nnf_status status = nnfi_blocks_unfold(&dense, blocks);
    if (status == NNF_OK) status = nnfi_dense_module(&fused, &dense);
    nnfi_dense_clear(&dense);
    return status == NNF_OK ? add_job(m, fused, call, 0) : status;
}

static nnf_status try_blocks(merger *m, size_t call) {
    nnfi_blocks blocks;
    m->n_calls = m->n_branches = 0;
    if (m->plan->taken[call] || !nnfi_is_linear(m->plan, call) || !nnfi_is_free(m->plan, call))
        return NNF_OK;
    const nnf_tensor *weight = nnf_module_tensor(call_at(m, call)->module, "weight");
    if (!weight || !nnfi_blocks_find(&blocks, m->plan, call, nnf_tensor_ndim(weight) - 2))
        return NNF_OK;
    for (size_t i = 0; i < blocks.n_calls; i++)
        if (!add_call(m, blocks.calls[i])) return NNF_OK;
    return add_call(m, call) ? leave(m, call, merge_blocks(m, &blocks, call)) : NNF_OK;
}

/* ---- Rounds ---- */

/* From the end, so that the last Add of a tree sees all of it. */
static nnf_status find_jobs(merger *m) {
    for (size_t call = m->plan->graph->n_calls; call-- > 0;) {
        if (!nnfi_mapping_skips(m->mapping, NNFI_FUSION_PARALLEL)) NNFI_TRY(try_sum(m, call));
        NNFI_TRY(nnfi_spread_call(&m->spread, call));
        NNFI_TRY(nnfi_fold_behind_moves(&m->spread, call));
        if (nnfi_mapping_skips(m->mapping, NNFI_FUSION_SERIES)) continue;
        NNFI_TRY(try_blocks(m, call));
        NNFI_TRY(try_series(m, call));
    }
    return NNF_OK;
}

/* What was found from the end is told from the start. */
static void put_in_order(nnf_chain_list *found, size_t first) {
    for (size_t i = first, end = found->n_chains; i + 1 < end; i++) {
        const nnf_found_chain swapped = found->chains[i];
        found->chains[i] = found->chains[--end];
        found->chains[end] = swapped;
    }
}

static nnf_status do_round(nnf_module **graph, nnfi_batch *batch, const nnf_mapping *mapping,
                           bool *may_change, nnfi_chain_list *list, size_t *n_jobs) {
    nnf_chain_list *found = nnfi_chain_list_public(list);
    size_t n_chains = found->n_chains, n_left = found->n_left;
    const size_t n_values = nnfi_graph_of(*graph)->n_values;
    merger m = {.batch = batch, .list = list, .mapping = mapping};
    batch->root = *graph;
    nnf_status status = nnfi_batch_plan(batch, &m.plan, *graph);
    m.spread = (nnfi_spread){batch, m.plan, list, mapping, *may_change, NNF_NO_VALUE};
    if (status == NNF_OK) status = find_jobs(&m);
    *n_jobs = batch->n_jobs;
    if (status == NNF_OK && *n_jobs > 0 && !*may_change) {
        nnf_module *copy;
        nnfi_batch_clear(batch);
        found->n_chains = n_chains;
        found->n_left = n_left;
        NNFI_TRY(nnf_module_copy(&copy, *graph));
        nnf_module_release(*graph);
        *graph = copy;
        *may_change = true;
        return do_round(graph, batch, mapping, may_change, list, n_jobs);
    }
    if (status == NNF_OK && *n_jobs > 0) status = nnfi_batch_commit(batch, NULL);
    put_in_order(found, n_chains);
    if (*n_jobs > 0) found->n_left = n_left; /* the last round's reasons are those that hold */
    if (status != NNF_OK || *n_jobs > 0) nnfi_batch_clear(batch);
    if (status != NNF_OK && nnfi_graph_of(*graph)->n_values > n_values)
        nnfi_graph_drop_values(nnfi_graph_of(*graph), n_values);
    return status;
}

nnf_status nnfi_merge_layers(nnf_module **graph, nnfi_batch *batch, const nnf_mapping *mapping,
                             bool may_change, nnfi_chain_list *list, size_t *n_merged) {
    const size_t n_chains = nnfi_chain_list_public(list)->n_chains;
    size_t n_jobs = 1;
    for (int round = 0; n_jobs > 0 && round < MOST_ROUNDS; round++)
        NNFI_TRY(do_round(graph, batch, mapping, &may_change, list, &n_jobs));
    *n_merged += nnfi_chain_list_public(list)->n_chains - n_chains;
    return NNF_OK;
}
