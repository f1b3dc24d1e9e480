/* Finding what fuses in a Graph: first layers that become one (merge.c), then chains. The calls are
 * visited once, in execution order; each may begin a chain. */
#include <stdlib.h>
#include <string.h>

#include "fuse/batch.h"
#include "fuse/fusions.h"
#include "fuse/known_modules.h"
#include "fuse/merge.h"
#include "fuse/sequences.h"
#include "fuse/transposes.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/memory.h"

typedef struct finder {
    nnfi_batch batch;
    nnfi_plan *plan;
    nnfi_sequences sequences;
    const char **why;      /* [n_calls]: why the longest chain that a call was in cannot be fused */
    uint32_t *job_of;      /* [n_calls]: number of the job that took the call, plus 1 */
    nnfi_chain_list *list; /* holds the strings */
} finder;

/* ---- Chains ---- */

static const char *type_of(const finder *find, size_t call) {
    return nnfi_known_type(find->plan->graph->calls[call]->module);
}

/* The error of a failed attempt becomes the reason of those calls that have none yet. Memory that
 * is short ends the search; everything else only ends the attempt. */
static nnf_status keep_reason(finder *find, const size_t *calls, size_t n, nnf_status status) {
    if (status == NNF_ERROR_MEMORY) return status;
    const char *text = NULL;
    for (size_t i = 0; i < n; i++) {
        if (find->why[calls[i]]) continue;
        if (!text) text = nnfi_chain_list_text(find->list, nnf_error_message());
        if (!text) return nnfi_error_memory(1, "a reason");
        find->why[calls[i]] = text;
    }
    return NNF_OK;
}

/* Makes a job of the calls; *made false, with the reason kept, where they cannot be fused. */
static nnf_status try_chain(finder *find, const size_t *calls, size_t n, const nnfi_chain_row *row,
                            bool *made) {
    nnfi_job *job;
    NNFI_TRY(nnfi_batch_add_calls(&find->batch, &job, find->plan, calls, n));
    job->moves_hooks = true;
    nnf_status status = nnfi_job_fuse(job, row, false);
    *made = status == NNF_OK;
    if (*made) return NNF_OK;
    nnfi_batch_drop_last(&find->batch);
    return keep_reason(find, calls, n, status);
}

/* A longer row does not help where a call is many times longer than any network is deep. */
#define MAX_LENGTH 64

/* The state after a call: as what folding sees it, or as what it is (in a caller's row). */
static int32_t step(const finder *find, int32_t state, size_t call) {
    const nnfi_graph *graph = find->plan->graph;
    const char *seen = nnfi_view_type(graph, graph->calls[call]), *type = type_of(find, call);
    int32_t next = nnfi_sequences_step(&find->sequences, state, seen);
    return next == NNFI_NO_STATE && seen != type
               ? nnfi_sequences_step(&find->sequences, state, type)
               : next;
}

/* The longest chain of the tables that begins with `first` and can be fused; `residual`: one with a
 * residual in it. */
static nnf_status find_chain_from(finder *find, size_t first, bool residual, bool *made) {
    size_t calls[MAX_LENGTH], n = 0;
    const nnfi_chain_row *ends[MAX_LENGTH];
    size_t least = residual ? MAX_LENGTH : 0; /* calls that the chain must have at least */
    int32_t state = NNFI_START;
    for (size_t call = first; call != NNFI_NO_CALL && n < MAX_LENGTH;) {
        state = step(find, state, call);
        if (state == NNFI_NO_STATE || find->plan->taken[call] ||
            nnfi_plan_is_shared(find->plan, call))
            break;
        const nnfi_call *this_call = find->plan->graph->calls[call];
        bool adds = n > 0 && nnfi_takes_residual(this_call->module) &&
                    !nnfi_view_of(find->plan->graph, this_call);
        if (adds && n < least) least = n + 1;
        ends[n] = nnfi_sequences_row(&find->sequences, state);
        calls[n++] = call;
        call = nnfi_plan_next(find->plan, call);
    }
    *made = false;
    for (; n > 0 && n >= least && !*made; n--)
        if (ends[n - 1] && (n > 1 || !ends[n - 1]->folds))
            NNFI_TRY(try_chain(find, calls, n, ends[n - 1], made));
    return NNF_OK;
}

/* The call in front of `call` whose output only that reads, or NNFI_NO_CALL. */
static size_t previous_call(const finder *find, size_t call) {
    const nnfi_plan *plan = find->plan;
    const nnf_value data = nnfi_data_of(plan, call);
    if (data == NNF_NO_VALUE) return NNFI_NO_CALL;
    int64_t before = plan->uses.producer[data];
    return before >= 0 && nnfi_plan_next(plan, (size_t)before) == call ? (size_t)before
                                                                       : NNFI_NO_CALL;
}

/* Where a chain that ends in `first`, a layer, begins: with what goes before that, unless it stands
 * behind another layer, which it belongs to then. */
static size_t chain_start(const finder *find, size_t first) {
    const nnfi_graph *graph = find->plan->graph;
    size_t start = first;
    if (!nnfi_type_takes_before(type_of(find, first))) return first;
    for (;;) {
        size_t before = previous_call(find, start);
        if (before == NNFI_NO_CALL || find->plan->taken[before]) return start;
        if (nnf_module_get_type(graph->calls[before]->module)->linear_map) return first;
        if (!nnfi_type_goes_before(nnfi_view_type(graph, graph->calls[before]))) return start;
        start = before;
    }
}

static nnf_status find_chain(finder *find, size_t first, bool residual) {
    size_t start = chain_start(find, first);
    bool made = false;
    if (start != first) NNFI_TRY(find_chain_from(find, start, residual, &made));
    return made ? NNF_OK : find_chain_from(find, first, residual, &made);
}

static int by_first_call(const void *a, const void *b) {
    size_t x = ((const nnfi_job *)a)->calls[0], y = ((const nnfi_job *)b)->calls[0];
    return (x > y) - (x < y);
}

/* Without residuals they are found in their order. */
static void sort_jobs(nnfi_batch *batch) {
    size_t i = 1;
    while (i < batch->n_jobs && by_first_call(&batch->jobs[i - 1], &batch->jobs[i]) < 0)
        i++;
    if (i < batch->n_jobs) qsort(batch->jobs, batch->n_jobs, sizeof *batch->jobs, by_first_call);
}

static bool has_residuals(const nnfi_graph *graph) {
    for (size_t call = 0; call < graph->n_calls; call++)
        if (nnfi_takes_residual(graph->calls[call]->module)) return true;
    return false;
}

/* Residuals first, and from the end: where both inputs of an Add are convolutions, it belongs to
 * the one that runs last, whose output is then still at hand. */
static nnf_status find_jobs(finder *find) {
    const nnfi_plan *plan = find->plan;
    size_t n_calls = plan->graph->n_calls;
    const bool residuals = has_residuals(plan->graph);
    for (size_t call = n_calls; residuals && call-- > 0;)
        if (!plan->taken[call]) NNFI_TRY(find_chain(find, call, true));
    for (size_t call = 0; call < n_calls; call++)
        if (!plan->taken[call]) NNFI_TRY(find_chain(find, call, false));
    sort_jobs(&find->batch);
    for (size_t j = 0; j < find->batch.n_jobs; j++)
        for (size_t i = 0; i < find->batch.jobs[j].n; i++)
            find->job_of[find->batch.jobs[j].calls[i]] = (uint32_t)j + 1;
    return NNF_OK;
}

/* ---- What is left alone ---- */

static nnf_status no_row(const finder *find, size_t before, size_t call) {
    const nnfi_graph *graph = find->plan->graph;
    size_t job = find->job_of[before];
    char types[512] = "";
    size_t used = 0;
    const nnfi_job *taken = job ? &find->batch.jobs[job - 1] : NULL;
    for (size_t i = 0; i < (taken ? taken->n : 1); i++) {
        const nnf_module *module = taken ? taken->modules[i] : graph->calls[before]->module;
        const char *type = nnfi_told_type(module);
        if (used + strlen(type) + 3 > sizeof types) break;
        used += strlen(strcat(strcat(types + used, type), ", "));
    }
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "there is no fusion of '%s%s'", types,
                     nnfi_told_type(graph->calls[call]->module));
}

/* Whether the tables have a sequence in which the call's type follows what led to `before`. */
static bool may_follow(const finder *find, size_t before, size_t call) {
    size_t job = find->job_of[before];
    int32_t state = NNFI_START;
    if (job) {
        const nnfi_job *taken = &find->batch.jobs[job - 1];
        for (size_t i = 0; i < taken->n && state != NNFI_NO_STATE; i++)
            state = step(find, state, taken->calls[i]);
    } else {
        state = step(find, state, before);
    }
    return state != NNFI_NO_STATE && step(find, state, call) != NNFI_NO_STATE;
}

/* Why no chain has the call, as the thread's error. */
static void explain(const finder *find, size_t call) {
    const nnfi_plan *plan = find->plan;
    const nnfi_call *this_call = plan->graph->calls[call];
    nnf_value input = this_call->n_inputs ? this_call->inputs[0] : NNF_NO_VALUE;
    int64_t before = input == NNF_NO_VALUE ? -1 : plan->uses.producer[input];
    if (nnfi_plan_is_shared(plan, call))
        nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' is called more than once", this_call->path);
    else if (input == NNF_NO_VALUE)
        nnf_error(NNF_ERROR_NOT_FUSABLE, "it has no input");
    else if (before < 0)
        nnf_error(NNF_ERROR_NOT_FUSABLE, "its input '%s' is no layer's output",
                  plan->graph->values[input].name);
    else if (!may_follow(find, (size_t)before, call))
        (void)no_row(find, (size_t)before, call);
    else if (nnfi_plan_is_shared(plan, (size_t)before))
        nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' is called more than once",
                  plan->graph->calls[before]->path);
    else if (nnfi_plan_next(plan, (size_t)before) == call)
        (void)no_row(find, (size_t)before, call);
    else
        (void)nnfi_plan_why_not_next(plan, (size_t)before, NULL);
}

/* Batch norms and activations; arithmetic and Pads only where they were beside a layer. */
static bool is_worth_a_reason(const finder *find, size_t index) {
    const nnfi_call *call = find->plan->graph->calls[index];
    const nnf_module_type *type = nnf_module_get_type(call->module);
    if (type->affine_map || (type->flags & NNF_TYPE_ELEMENTWISE) ||
        nnfi_is_fused_activation(nnfi_known_type(call->module)))
        return true;
    return find->why[index] && nnfi_view_of(find->plan->graph, call);
}

static nnf_status list_left(finder *find, size_t call) {
    if (!find->why[call]) explain(find, call);
    return nnfi_chain_list_left(find->list, find->plan->graph->calls[call], find->why[call]);
}

/* Whether the call is a norm that begins a chain of its own (BNReLU), though the layer before it
 * would have taken it. */
static bool begins_without_layer(const finder *find, size_t index) {
    const nnfi_plan *plan = find->plan;
    const nnfi_call *call = plan->graph->calls[index];
    size_t job = find->job_of[index];
    if (!job || find->batch.jobs[job - 1].calls[0] != index || call->n_inputs == 0 ||
        call->inputs[0] == NNF_NO_VALUE || !nnf_module_get_type(call->module)->affine_map)
        return false;
    int64_t before = plan->uses.producer[call->inputs[0]];
    return before >= 0 && may_follow(find, (size_t)before, index) &&
           nnf_module_get_type(plan->graph->calls[before]->module)->linear_map;
}

/* ---- The list ---- */

static nnf_status make_list(finder *find) {
    const nnfi_graph *graph = find->plan->graph;
    for (size_t j = 0; j < find->batch.n_jobs; j++)
        NNFI_TRY(nnfi_chain_list_add(find->list, &find->batch.jobs[j], 0.0));
    for (size_t call = 0; call < graph->n_calls; call++)
        if (find->plan->taken[call] ? begins_without_layer(find, call)
                                    : is_worth_a_reason(find, call))
            NNFI_TRY(list_left(find, call));
    return NNF_OK;
}

/* ---- Searching ---- */

/* All but the jobs. */
static void forget_search(finder *find) {
    nnfi_sequences_clear(&find->sequences);
    nnfi_free((void *)find->why);
    nnfi_free(find->job_of);
    find->why = NULL;
    find->job_of = NULL;
}

static nnf_status check_graph(const nnf_module *graph) {
    if (graph && nnf_module_is_graph(graph)) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "chains are found in a Graph, not in a %s",
                     graph ? nnf_module_type_name(graph) : "null pointer");
}

/* Finds the jobs; to be cleared afterwards, whatever comes of it. */
static nnf_status find_all(finder *find, nnf_module *graph, const nnf_mapping *additional) {
    find->batch.root = graph;
    NNFI_TRY(nnfi_batch_plan(&find->batch, &find->plan, graph));
    NNFI_TRY(nnfi_sequences_new(&find->sequences, additional));
    size_t n = find->plan->graph->n_calls;
    find->why = nnfi_calloc(n, sizeof *find->why);
    find->job_of = nnfi_calloc(n, sizeof *find->job_of);
    if (!find->why || !find->job_of)
        return nnfi_error_memory(n * sizeof *find->why, "the calls of a graph");
    return find_jobs(find);
}

/* `found` NULL: nobody asks for the list. `fuses`: the jobs go in; else they are thrown away, and
 * the graph is only read. */
static nnf_status run_finder(nnf_chain_list **found, nnf_module *graph,
                             const nnf_mapping *additional, bool fuses, nnf_fuse_report *report) {
    finder find = {.list = nnfi_chain_list_new()};
    if (!find.list) return NNF_ERROR_MEMORY;
    nnf_module *work = graph ? nnf_module_retain(graph) : NULL;
    size_t n_merged = 0;
    nnf_status status = check_graph(graph);
    if (status == NNF_OK)
        status = nnfi_merge_layers(&work, &find.batch, additional, fuses, find.list, &n_merged);
    if (status == NNF_OK) status = find_all(&find, work, additional);
    if (status == NNF_OK && found) status = make_list(&find);
    forget_search(&find);
    if (status == NNF_OK && fuses) status = nnfi_batch_commit(&find.batch, report);
    if (status == NNF_OK && fuses && report) report->n_fused += n_merged;
    nnfi_batch_clear(&find.batch);
    nnf_module_release(work);
    if (status == NNF_OK && found)
        *found = nnfi_chain_list_public(find.list);
    else
        nnf_chain_list_release(nnfi_chain_list_public(find.list));
    return status;
}

nnf_status nnf_find_chains(nnf_chain_list **out, const nnf_module *graph,
                           const nnf_mapping *additional) {
    return run_finder(out, (nnf_module *)graph, additional, false, NULL);
}

nnf_status nnf_fuse_found(nnf_chain_list **found, nnf_module *graph, const nnf_mapping *additional,
                          nnf_fuse_report *report) {
    if (report) *report = (nnf_fuse_report){0};
    NNFI_TRY(check_graph(graph));
    if (!nnfi_mapping_skips(additional, NNFI_FUSION_TRANSPOSE))
        NNFI_TRY(nnfi_cancel_transposes(graph));
    if (!nnfi_mapping_skips(additional, NNFI_FUSION_PATTERNS))
        NNFI_TRY(nnf_lift_patterns(graph, NULL));
    return run_finder(found, graph, additional, true, report);
}

nnf_status nnf_fuse(nnf_module *graph, const nnf_mapping *additional, nnf_fuse_report *report) {
    return nnf_fuse_found(NULL, graph, additional, report);
}
