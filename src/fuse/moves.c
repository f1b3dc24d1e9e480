#include "fuse/moves.h"

#include <string.h>

#include "fuse/fusions.h"
#include "fuse/linear_map.h"
#include "fuse/look.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"
#include "support/error.h"

/* More of them in a row are no network's. */
enum { MOST_MOVES = 8 };

/* From an affine map back to the layer. */
typedef struct way {
    nnfi_plan *plan;
    size_t affine, layer;
    size_t moves[MOST_MOVES], n; /* from the one that the affine map reads on */
} way;

static const nnfi_call *call_at(const way *w, size_t index) {
    return w->plan->graph->calls[index];
}

/* ---- Looking ---- */

/* What gives elements of its first input, each as it is. */
static bool moves_elements(const nnf_module *module) {
    static const char *const types[] = {"Transpose", "Reshape",   "Flatten",
                                        "Squeeze",   "Unsqueeze", "Slice"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (nnfi_is_a(module, types[i])) return true;
    return false;
}

/* As nnfi_producer_for, but what else the reader is given, a shape perhaps, need not be a constant.
 */
static size_t producer_for(const nnfi_plan *plan, nnf_value value, size_t reader) {
    const int32_t producer = value == NNF_NO_VALUE ? -1 : plan->uses.producer[value];
    const int32_t *readers;
    const bool alone = producer >= 0 && nnfi_n_readers(plan, (size_t)producer, &readers) == 1 &&
                       readers[0] == (int32_t)reader && nnfi_is_free(plan, (size_t)producer);
    return alone ? (size_t)producer : NNFI_NO_CALL;
}

static bool find_way(way *w, nnfi_plan *plan, size_t affine) {
    *w = (way){.plan = plan, .affine = affine};
    nnf_value value = nnfi_data_of(plan, affine);
    for (size_t reader = affine;;) {
        const size_t call = producer_for(plan, value, reader);
        if (call == NNFI_NO_CALL) return false;
        if (nnfi_is_linear(plan, call)) {
            w->layer = call;
            return w->n > 0 && nnfi_owns_weight(plan, call);
        }
        if (w->n == MOST_MOVES || !moves_elements(call_at(w, call)->module)) return false;
        w->moves[w->n++] = call;
        value = call_at(w, call)->inputs[0];
        reader = call;
    }
}

static bool is_skipped(const nnf_mapping *mapping, const nnf_module *affine) {
    const bool is_norm = nnf_module_get_type(affine)->affine_map;
    return nnfi_mapping_skips(mapping, is_norm ? NNFI_FUSION_BATCHNORM : NNFI_FUSION_SCALE);
}

/* Whether the affine map runs over what the layer has its channels in. */
static bool fits(const way *w, const nnf_module *affine, const nnf_linear_map *map) {
    const bool is_scale = nnf_module_get_type(affine) == &nnfi_scale_type;
    const nnfi_scale_options *scale = is_scale ? nnf_module_options(affine) : NULL;
    if (nnfi_plan_infer(w->plan) != NNF_OK ||
        nnfi_plan_check_front(w->plan, w->affine, affine) != NNF_OK)
        return false;
    if (scale && scale->axis == 0) return true;
    const int ndim = nnfi_known_get(&w->plan->infos, nnfi_data_of(w->plan, w->affine))->ndim;
    int axis = scale ? ndim - scale->axis : 1;
    if (axis < 0 || axis >= ndim) return false;
    for (size_t i = 0; i < w->n; i++) {
        const nnf_module *move = call_at(w, w->moves[i])->module;
        int axes[NNF_MAX_DIMS];
        if (!nnfi_is_a(move, "Transpose") || !nnfi_permutation(move, ndim, axes)) return false;
        axis = axes[axis];
    }
    return axis == (map->channel_axis < 0 ? ndim + map->channel_axis : map->channel_axis);
}

/* *made is NULL where the affine map cannot go into the layer, or one more node would be needed for
 * a bias. */
static nnf_status fold(nnf_module **made, const way *w) {
    const nnfi_graph *graph = w->plan->graph;
    nnf_module *layer, *affine = NULL;
    nnf_linear_map map = {0};
    *made = NULL;
    NNFI_TRY(nnfi_view_make(&layer, graph, call_at(w, w->layer), 0, 0));
    nnf_status status = nnf_module_get_type(layer)->linear_map(layer, &map);
    if (status == NNF_OK)
        status = nnfi_view_make(&affine, graph, call_at(w, w->affine), map.out_channels, 0);
    if (status == NNF_OK && fits(w, affine, &map)) status = nnfi_affine_after(made, layer, affine);
    const bool had_bias = nnf_module_tensor(layer, "bias") != NULL;
    if (*made && !had_bias && nnf_module_tensor(*made, "bias") &&
        !nnfi_takes_bias(w->plan, w->layer)) {
        nnf_module_release(*made);
        *made = NULL;
    }
    nnf_module_release(layer);
    nnf_module_release(affine);
    if (w->plan->lacks_memory) return nnfi_error_memory(1, "the shapes in a graph");
    return status == NNF_ERROR_MEMORY ? status : NNF_OK;
}

/* ---- Jobs ---- */

/* A row of the list: the layer and the affine map. */
static nnf_status list(nnfi_spread *spread, const way *w, nnf_module *made) {
    const nnfi_call *calls[] = {call_at(w, w->layer), call_at(w, w->affine)};
    nnfi_job row = {.n = 2,
                    .names = (const char *[]){calls[0]->path, calls[1]->path},
                    .modules = (nnf_module *[]){calls[0]->module, calls[1]->module},
                    .fused = &made};
    return nnfi_chain_list_add(spread->list, &row, 0);
}

/* The layer with the affine map in it (taken over). */
static nnf_status add_layer(nnfi_spread *spread, const way *w, nnf_module *made, nnf_value *gives) {
    const nnfi_call *call = call_at(w, w->layer);
    nnfi_job *job;
    nnf_status status = list(spread, w, made);
    if (status == NNF_OK) status = nnfi_batch_add_calls(spread->batch, &job, w->plan, &w->layer, 1);
    if (status != NNF_OK) {
        nnf_module_release(made);
        return status;
    }
    job->fused[0] = made;
    NNFI_TRY(nnfi_batch_set_reads(spread->batch, job, call, call->inputs[0]));
    NNFI_TRY(nnfi_spread_gives_another(spread, job, call));
    *gives = job->gives;
    return NNF_OK;
}

/* A move of the value; the last one gives what the affine map gave. */
static nnf_status add_move(nnfi_spread *spread, const way *w, size_t index, nnf_value *value) {
    const nnfi_call *call = call_at(w, w->moves[index]);
    const size_t calls[] = {w->moves[index], w->affine}, n = index == 0 ? 2 : 1;
    nnfi_job *job;
    NNFI_TRY(nnfi_batch_add_calls(spread->batch, &job, w->plan, calls, n));
    job->fused[0] = nnf_module_retain(call->module);
    if (n > 1) NNFI_TRY(nnfi_plan_identity(w->plan, &job->fused[1], true));
    NNFI_TRY(nnfi_batch_set_reads(spread->batch, job, call, *value));
    if (n == 1) NNFI_TRY(nnfi_spread_gives_another(spread, job, call));
    *value = job->gives;
    return NNF_OK;
}

nnf_status nnfi_fold_behind_moves(nnfi_spread *spread, size_t call) {
    const nnf_module *affine = spread->plan->graph->calls[call]->module;
    nnf_module *made;
    nnf_value value;
    way w;
    if (!nnfi_is_affine(spread->plan, call) || !nnfi_is_free(spread->plan, call) ||
        is_skipped(spread->mapping, affine) || !find_way(&w, spread->plan, call))
        return NNF_OK;
    NNFI_TRY(fold(&made, &w));
    if (!made) return NNF_OK;
    NNFI_TRY(add_layer(spread, &w, made, &value));
    for (size_t i = w.n; i-- > 0;)
        NNFI_TRY(add_move(spread, &w, i, &value));
    return NNF_OK;
}
