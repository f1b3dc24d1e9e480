#include "fuse/spread.h"

#include "fuse/fusions.h"
#include "fuse/linear_map.h"
#include "fuse/look.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/memory.h"

/* More affine maps in a row are no network's. */
enum { MOST_AFFINES = 16 };

/* What goes into the layers, and these. */
typedef struct source {
    nnfi_spread *spread;
    nnfi_plan *plan;
    size_t calls[MOST_AFFINES], n; /* from the one that the layers read on, against the data */
    bool is_norm;                  /* calls[0], which keeps the rest of itself */
    nnf_value x;                   /* what the layers will read */
    const int32_t *readers;
    size_t n_readers;
    nnf_module **made; /* [n_readers] */
} source;

static const nnfi_call *call_at(const source *s, size_t index) {
    return s->plan->graph->calls[index];
}

/* ---- Looking ---- */

static bool are_layers(const source *s) {
    for (size_t i = 0; i < s->n_readers; i++) {
        const size_t reader = (size_t)s->readers[i];
        if (!nnfi_is_linear(s->plan, reader) || !nnfi_is_free(s->plan, reader) ||
            call_at(s, reader)->n_outputs != 1 || !nnfi_owns_weight(s->plan, reader) ||
            nnfi_data_of(s->plan, reader) != call_at(s, s->calls[0])->outputs[0] ||
            (i > 0 && s->readers[i] == s->readers[i - 1]))
            return false;
    }
    return true;
}

/* The affine maps in front of calls[0]. False where they stand behind a linear layer, which they
 * belong to. */
static bool trace_affines(source *s) {
    for (;;) {
        s->x = nnfi_data_of(s->plan, s->calls[s->n - 1]);
        size_t call = nnfi_producer_for(s->plan, s->x, s->calls[s->n - 1]);
        if (call == NNFI_NO_CALL) return true;
        if (nnfi_is_linear(s->plan, call)) return false;
        if (!nnfi_is_affine(s->plan, call) || s->n == MOST_AFFINES) return true;
        s->calls[s->n++] = call;
    }
}

/* Whether all elements are `number`. */
static bool is_all(const nnf_tensor *tensor, double number) {
    for (int64_t i = 0; i < nnf_tensor_numel(tensor); i++) {
        double element;
        if (nnfi_tensor_number(&element, tensor, i) != NNF_OK || element != number) return false;
    }
    return true;
}

static bool scales_something(const source *s) {
    const nnfi_call *norm = call_at(s, s->calls[0]);
    const bool has_bias = norm->n_inputs > 2 && norm->inputs[2] != NNF_NO_VALUE;
    return has_bias || !is_all(s->plan->graph->values[norm->inputs[1]].constant, 1.0);
}

static bool find_source(source *s, size_t call) {
    const nnf_mapping *mapping = s->spread->mapping;
    s->calls[s->n++] = call;
    s->n_readers = nnfi_n_readers(s->plan, call, &s->readers);
    s->is_norm = nnfi_norm_scales_last_axis(s->plan->graph, call_at(s, call));
    /* a map that a single layer reads is found as a chain */
    if (s->n_readers < (s->is_norm ? 1 : 2) || !nnfi_is_free(s->plan, call)) return false;
    if (s->is_norm)
        return !nnfi_mapping_skips(mapping, NNFI_FUSION_NORM) && are_layers(s) &&
               scales_something(s);
    return !nnfi_mapping_skips(mapping, NNFI_FUSION_BEFORE) && nnfi_is_affine(s->plan, call) &&
           are_layers(s) && trace_affines(s);
}

/* ---- Folding ---- */

static nnf_status view_source(nnf_module **out, const source *s, size_t index,
                              const nnf_linear_map *map, int ndim) {
    const nnfi_call *call = call_at(s, s->calls[index]);
    if (s->is_norm) return nnfi_norm_scale_make(out, s->plan->graph, call, map->in_channels);
    return nnfi_view_make(out, s->plan->graph, call, map->in_channels, ndim);
}

/* *layer, of the call `reader`, becomes that behind calls[index]. */
static nnf_status fold_one(const source *s, nnf_module **layer, size_t reader, size_t index) {
    nnf_linear_map map = {0};
    nnf_module *affine, *made = NULL;
    NNFI_TRY(nnf_module_get_type(*layer)->linear_map(*layer, &map));
    const nnf_tensor *weight = nnf_module_tensor(*layer, map.weight);
    NNFI_TRY(view_source(&affine, s, index, &map, weight ? nnf_tensor_ndim(weight) : 0));
    nnf_status status = nnfi_plan_check_axis(s->plan, reader, s->calls[index], affine);
    if (status == NNF_OK && !s->is_norm)
        status = nnfi_plan_check_front(s->plan, s->calls[index], affine);
    if (status == NNF_OK) status = nnfi_affine_before(&made, affine, *layer);
    nnf_module_release(affine);
    NNFI_TRY(status);
    nnf_module_release(*layer);
    *layer = made;
    return NNF_OK;
}

/* *added counts a node that the layer needs for a bias. */
static nnf_status fold_layer(source *s, size_t index, size_t *added) {
    const size_t reader = (size_t)s->readers[index];
    nnf_module **layer = &s->made[index];
    NNFI_TRY(nnfi_view_make(layer, s->plan->graph, call_at(s, reader), 0, 0));
    const bool had_bias = nnf_module_tensor(*layer, "bias") != NULL;
    for (size_t i = 0; i < s->n; i++)
        NNFI_TRY(fold_one(s, layer, reader, i));
    *added += !had_bias && nnf_module_tensor(*layer, "bias") && !nnfi_takes_bias(s->plan, reader);
    return NNF_OK;
}

static nnf_status fold_layers(source *s) {
    size_t added = 0, gone = s->is_norm ? 0 : s->n;
    for (size_t i = 0; i < s->n_readers; i++)
        NNFI_TRY(fold_layer(s, i, &added));
    if (s->plan->lacks_memory) return nnfi_error_memory(1, "the shapes in a graph");
    if (added == 0 || added < gone) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "%zu of the layers that read '%s' would need an Add for a bias", added,
                     call_at(s, s->calls[0])->path);
}

/* ---- Jobs ---- */

nnf_status nnfi_spread_gives_another(const nnfi_spread *spread, nnfi_job *job,
                                     const nnfi_call *call) {
    nnfi_graph *graph = spread->plan->graph;
    job->gives = call->outputs[0];
    if (!spread->may_change) return NNF_OK; /* the jobs are thrown away */
    return nnfi_graph_add_value_like(graph, &job->gives, graph->values[job->gives].name);
}

/* A constant of ones like the norm's scale: the last one, where that does. */
static nnf_status make_ones(const source *s, nnf_value *out) {
    nnf_value *ones = &s->spread->ones, scale = call_at(s, s->calls[0])->inputs[1];
    nnfi_value *values = s->plan->graph->values;
    const nnf_tensor *like = values[scale].constant;
    const nnf_dtype dtype = nnf_tensor_dtype(like);
    const int ndim = nnf_tensor_ndim(like);
    const nnf_tensor *last = *ones == NNF_NO_VALUE ? NULL : values[*ones].constant;
    if (!last || nnf_tensor_dtype(last) != dtype || nnf_tensor_ndim(last) != ndim ||
        nnf_tensor_numel(last) != nnf_tensor_numel(like)) {
        nnf_tensor *made;
        void *data;
        NNFI_TRY(nnf_tensor_new(&made, dtype, ndim, nnf_tensor_shape(like)));
        nnf_status status = nnf_tensor_mut_data(made, &data);
        for (int64_t i = 0; status == NNF_OK && i < nnf_tensor_numel(made); i++)
            nnfi_store_f64(dtype, data, i, 1.0);
        if (status == NNF_OK)
            status = nnfi_graph_add_value_like(s->plan->graph, ones, values[scale].name);
        if (status == NNF_OK)
            s->plan->graph->values[*ones].constant = made;
        else
            nnf_tensor_release(made);
        NNFI_TRY(status);
    }
    *out = *ones;
    return NNF_OK;
}

/* The norm gives another value than before, which has another name. */
static nnf_status strip_norm(source *s) {
    const nnfi_call *norm = call_at(s, s->calls[0]);
    nnf_value ones = NNF_NO_VALUE;
    nnfi_job *job;
    NNFI_TRY(nnfi_batch_add_calls(s->spread->batch, &job, s->plan, s->calls, 1));
    job->fused[0] = nnf_module_retain(norm->module);
    NNFI_TRY(nnfi_batch_set_reads(s->spread->batch, job, norm, norm->inputs[0]));
    if (s->spread->may_change) NNFI_TRY(make_ones(s, &ones));
    NNFI_TRY(nnfi_spread_gives_another(s->spread, job, norm));
    s->x = job->gives;
    job->reads.inputs[1] = ones;
    job->reads.n_inputs = 2;
    return NNF_OK;
}

/* A row of the list: what went into the layer, and the layer. */
static nnf_status list_layer(const source *s, size_t index) {
    const char *names[MOST_AFFINES + 1];
    nnf_module *modules[MOST_AFFINES + 1];
    nnfi_job row = {.n = s->n + 1, .names = names, .modules = modules, .fused = &s->made[index]};
    for (size_t i = 0; i < row.n; i++) {
        size_t number = i < s->n ? s->calls[s->n - 1 - i] : (size_t)s->readers[index];
        names[i] = call_at(s, number)->path;
        modules[i] = call_at(s, number)->module;
    }
    return nnfi_chain_list_add(s->spread->list, &row, 0);
}

/* The first layer's job takes the affine maps with it. */
static nnf_status add_layer(source *s, size_t index) {
    size_t calls[MOST_AFFINES + 1], n = 0;
    nnfi_job *job;
    NNFI_TRY(list_layer(s, index));
    for (size_t i = s->n; i-- > 0 && index == 0 && !s->is_norm;)
        calls[n++] = s->calls[i];
    calls[n++] = (size_t)s->readers[index];
    NNFI_TRY(nnfi_batch_add_calls(s->spread->batch, &job, s->plan, calls, n));
    job->base = n - 1;
    job->fused[job->base] = s->made[index];
    s->made[index] = NULL;
    for (size_t i = 0; i < job->base; i++)
        NNFI_TRY(nnfi_plan_identity(s->plan, &job->fused[i], true));
    return nnfi_batch_set_reads(s->spread->batch, job, call_at(s, calls[job->base]), s->x);
}

/* Why a norm keeps its scale is told here, and why an affine map stays where chains are found.
 * Memory that is short ends the search. */
static nnf_status leave(const source *s, nnf_status status) {
    if (status == NNF_ERROR_MEMORY || !s->is_norm)
        return status == NNF_ERROR_MEMORY ? status : NNF_OK;
    return nnfi_chain_list_left(s->spread->list, call_at(s, s->calls[0]), NULL);
}

static nnf_status add_jobs(source *s) {
    nnf_status status = fold_layers(s);
    if (status != NNF_OK) return leave(s, status);
    if (s->is_norm) NNFI_TRY(strip_norm(s));
    for (size_t i = 0; i < s->n_readers; i++)
        NNFI_TRY(add_layer(s, i));
    return NNF_OK;
}

nnf_status nnfi_spread_call(nnfi_spread *spread, size_t call) {
    source s = {.spread = spread, .plan = spread->plan};
    if (!find_source(&s, call)) return NNF_OK;
    s.made = nnfi_calloc(s.n_readers, sizeof(nnf_module *));
    nnf_status status =
        s.made ? add_jobs(&s) : nnfi_error_memory(s.n_readers * sizeof(nnf_module *), "layers");
    for (size_t i = 0; s.made && i < s.n_readers; i++)
        nnf_module_release(s.made[i]);
    nnfi_free(s.made);
    return status;
}
