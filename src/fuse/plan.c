#include "fuse/plan.h"

#include <string.h>

#include "fuse/known_modules.h"
#include "fuse/methods.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/memory.h"

typedef struct wanted_call {
    const nnfi_graph *graph;
    const nnf_module *module;
} wanted_call;

static bool calls_module(const void *payload, size_t number) {
    const wanted_call *wanted = payload;
    return wanted->graph->calls[number]->module == wanted->module;
}

/* Enters a call as the last one of its module. */
static bool add_call(nnfi_plan *plan, size_t call) {
    const wanted_call wanted = {plan->graph, plan->graph->calls[call]->module};
    bool added;
    struct nnfi_index_slot *slot = nnfi_index_find_or_add(
        &plan->last_calls, nnfi_hash_pointer(wanted.module), calls_module, &wanted, call, &added);
    if (!slot) return false;
    plan->previous[call] = added ? -1 : (int32_t)nnfi_index_number(slot);
    if (!added) plan->again[nnfi_index_number(slot)] = true;
    if (!added) nnfi_index_replace(slot, call);
    return true;
}

nnf_status nnfi_plan_open(nnfi_plan *out, nnf_module *graph) {
    *out = (nnfi_plan){.module = graph, .graph = nnfi_graph_of(graph)};
    size_t n = out->graph->n_calls;
    nnf_status status = nnfi_uses_new(&out->uses, out->graph);
    if (status != NNF_OK) return status;
    out->previous = nnfi_calloc(n, sizeof *out->previous);
    out->again = nnfi_calloc(n, sizeof *out->again);
    out->taken = nnfi_calloc(n, sizeof *out->taken);
    bool room =
        out->previous && out->again && out->taken && nnfi_index_reserve(&out->last_calls, n);
    for (size_t i = 0; room && i < n; i++)
        room = add_call(out, i);
    if (room) return NNF_OK;
    nnfi_plan_clear(out);
    return nnfi_error_memory(n * sizeof *out->previous, "the calls of a graph");
}

void nnfi_plan_clear(nnfi_plan *plan) {
    nnfi_uses_clear(&plan->uses);
    nnfi_index_clear(&plan->last_calls);
    nnf_module_release(plan->identities[0]);
    nnf_module_release(plan->identities[1]);
    nnfi_free(plan->previous);
    nnfi_free(plan->again);
    nnfi_free(plan->taken);
    nnfi_known_clear(&plan->infos);
    *plan = (nnfi_plan){0};
}

size_t nnfi_plan_last_call(const nnfi_plan *plan, const nnf_module *module) {
    const struct nnfi_index_slot *slot =
        nnfi_index_find(&plan->last_calls, nnfi_hash_pointer(module), calls_module,
                        &(wanted_call){plan->graph, module});
    return slot ? nnfi_index_number(slot) : NNFI_NO_CALL;
}

size_t nnfi_plan_call_before(const nnfi_plan *plan, size_t call) {
    return plan->previous[call] < 0 ? NNFI_NO_CALL : (size_t)plan->previous[call];
}

nnf_status nnfi_plan_identity(nnfi_plan *plan, nnf_module **out, bool training) {
    nnf_module **identity = &plan->identities[training];
    if (!*identity) {
        NNFI_TRY(nnf_identity_new(identity));
        nnf_module_set_training(*identity, training);
    }
    *out = nnf_module_retain(*identity);
    return NNF_OK;
}

static bool is_elementwise(const nnf_module *module) {
    return nnf_module_get_type(module)->flags & NNF_TYPE_ELEMENTWISE;
}

bool nnfi_plan_is_shared(const nnfi_plan *plan, size_t call) {
    if (!plan->again[call] && plan->previous[call] < 0) return false;
    return !is_elementwise(plan->graph->calls[call]->module);
}

bool nnfi_plan_stays(const nnfi_plan *plan, const nnf_module *module) {
    size_t call = nnfi_plan_last_call(plan, module);
    while (call != NNFI_NO_CALL && plan->taken[call])
        call = nnfi_plan_call_before(plan, call);
    return call != NNFI_NO_CALL;
}

/* Whether input `index` (from 1 on) of a call is a tensor that its module holds. */
static bool is_bound(const nnfi_call *call, size_t index) {
    const nnf_module_type *type = nnf_module_get_type(call->module);
    if (call->inputs[index] == NNF_NO_VALUE) return true;
    if (index - 1 >= type->n_slots) return false;
    const char *slot = type->slots[index - 1].name;
    return nnf_module_tensor(call->module, slot) || nnf_module_is_parametrized(call->module, slot);
}

/* The input that carries data through a call. */
static size_t data_input(const nnfi_plan *plan, const nnfi_call *call) {
    const nnfi_view *view = nnfi_view_of(plan->graph, call);
    return view ? nnfi_view_data_input(view) : 0;
}

nnf_value nnfi_data_of(const nnfi_plan *plan, size_t index) {
    const nnfi_call *call = plan->graph->calls[index];
    const size_t data = data_input(plan, call);
    return data < call->n_inputs ? call->inputs[data] : NNF_NO_VALUE;
}

/* Whether a value that is read beside the data need not be given to the module: it holds or knows
 * it, or what folding sees the call as does. */
static bool is_known(const nnfi_plan *plan, const nnfi_call *call, size_t index) {
    if (nnfi_view_of(plan->graph, call)) return index != data_input(plan, call);
    if (index == 0) return false;
    if (is_bound(call, index)) return true;
    const nnfi_value *value = &plan->graph->values[call->inputs[index]];
    return value->constant && !value->is_input &&
           nnfi_activation_knows(call->module, index, value->constant);
}

nnf_value nnfi_plan_other_input(const nnfi_plan *plan, const nnfi_call *call, nnf_value value) {
    for (size_t i = 0; i < call->n_inputs; i++)
        if (call->inputs[i] != value && !is_known(plan, call, i)) return call->inputs[i];
    /* what lifted layers capture is their nodes' alone */
    return call->n_captures && !nnfi_is_lifted(call->module) ? call->captures[0] : NNF_NO_VALUE;
}

/* What is added to `value` by a call that takes a residual; NNF_NO_VALUE where it is none. */
static nnf_value residual_of(const nnfi_plan *plan, const nnfi_call *call, nnf_value value) {
    if (!nnfi_takes_residual(call->module) || call->n_inputs != 2) return NNF_NO_VALUE;
    if (nnfi_view_of(plan->graph, call)) return NNF_NO_VALUE;
    return call->inputs[call->inputs[0] == value];
}

static size_t n_readers(const nnfi_plan *plan, nnf_value value) {
    return (size_t)(plan->uses.first_reader[value + 1] - plan->uses.first_reader[value]);
}

nnf_value nnfi_plan_other_output(const nnfi_call *call) {
    for (size_t i = 1; i < call->n_outputs; i++)
        if (call->outputs[i] != NNF_NO_VALUE) return call->outputs[i];
    return NNF_NO_VALUE;
}

size_t nnfi_plan_next(const nnfi_plan *plan, size_t index) {
    const nnfi_call *call = plan->graph->calls[index];
    if (call->n_outputs == 0 || call->outputs[0] == NNF_NO_VALUE) return NNFI_NO_CALL;
    nnf_value value = call->outputs[0];
    if (plan->graph->values[value].is_output || n_readers(plan, value) != 1) return NNFI_NO_CALL;
    if (nnfi_plan_other_output(call) != NNF_NO_VALUE) return NNFI_NO_CALL;
    size_t next = (size_t)plan->uses.readers[plan->uses.first_reader[value]];
    const nnfi_call *reader = plan->graph->calls[next];
    if (residual_of(plan, reader, value) != NNF_NO_VALUE) return next;
    size_t data = data_input(plan, reader);
    if (reader->n_inputs <= data || reader->inputs[data] != value) return NNFI_NO_CALL;
    return nnfi_plan_other_input(plan, reader, value) == NNF_NO_VALUE ? next : NNFI_NO_CALL;
}

static nnf_status not_fusable_value(const char *format, const char *path, const char *value) {
    return nnf_error(NNF_ERROR_NOT_FUSABLE, format, path, value);
}

/* The reader that is in the way: one that is not `wanted`, else the last. */
static nnf_status why_readers(const nnfi_plan *plan, const nnfi_call *call,
                              const nnf_module *wanted) {
    nnf_value value = call->outputs[0];
    const int32_t *readers = plan->uses.readers + plan->uses.first_reader[value];
    size_t n = n_readers(plan, value), other = n - 1;
    bool also = !wanted;
    for (size_t i = 0; i < n; i++) {
        const nnf_module *reader = plan->graph->calls[readers[i]]->module;
        if (reader == wanted)
            also = true;
        else if (wanted)
            other = i;
    }
    const nnfi_call *reader = plan->graph->calls[readers[other]];
    if (n == 1 && reader->module != wanted && wanted)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the output of '%s' is read by '%s'", call->path,
                         reader->path);
    if (n > 1)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the output of '%s' is %sread by '%s'", call->path,
                         also ? "also " : "", reader->path);
    nnf_value second = nnfi_plan_other_input(plan, reader, value);
    const char *name = second == NNF_NO_VALUE ? "" : plan->graph->values[second].name;
    bool constant = second != NNF_NO_VALUE && plan->graph->values[second].constant &&
                    !plan->graph->values[second].is_input;
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' reads '%s' too%s", reader->path, name,
                     constant ? "" : ", which is not a constant");
}

nnf_status nnfi_plan_why_not_next(const nnfi_plan *plan, size_t index, const nnf_module *wanted) {
    const nnfi_call *call = plan->graph->calls[index];
    if (call->n_outputs == 0 || call->outputs[0] == NNF_NO_VALUE)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' gives no output", call->path);
    nnf_value value = call->outputs[0], other = nnfi_plan_other_output(call);
    if (plan->graph->values[value].is_output)
        return not_fusable_value("the output of '%s' ('%s') is an output of the graph", call->path,
                                 plan->graph->values[value].name);
    if (other != NNF_NO_VALUE)
        return not_fusable_value("'%s' has a second output, '%s'", call->path,
                                 plan->graph->values[other].name);
    if (n_readers(plan, value) == 0)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "nothing reads the output of '%s'", call->path);
    return why_readers(plan, call, wanted);
}

static nnf_status trace_from(const nnfi_plan *plan, nnf_module *const *modules, size_t n,
                             size_t *calls) {
    for (size_t i = 0; i < n; i++) {
        if (nnfi_plan_is_shared(plan, calls[i]))
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' is called more than once",
                             plan->graph->calls[calls[i]]->path);
        if (plan->taken[calls[i]])
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' is in another chain too",
                             plan->graph->calls[calls[i]]->path);
        if (i + 1 == n) break;
        size_t next = nnfi_plan_next(plan, calls[i]);
        if (next == NNFI_NO_CALL || plan->graph->calls[next]->module != modules[i + 1])
            return nnfi_plan_why_not_next(plan, calls[i], modules[i + 1]);
        calls[i + 1] = next;
    }
    return NNF_OK;
}

nnf_status nnfi_plan_trace(const nnfi_plan *plan, nnf_module *const *modules, size_t n,
                           size_t *calls) {
    nnf_status status = nnf_error(NNF_ERROR_NOT_FUSABLE, "the first module is never called");
    size_t first = nnfi_plan_last_call(plan, modules[0]);
    for (; first != NNFI_NO_CALL; first = nnfi_plan_call_before(plan, first)) {
        calls[0] = first;
        status = trace_from(plan, modules, n, calls);
        if (status == NNF_OK || nnfi_plan_is_shared(plan, first)) break;
    }
    return status;
}

nnf_status nnfi_plan_infer(nnfi_plan *plan) {
    if (!plan->inferred) {
        plan->inferred = true;
        nnf_status status = nnfi_graph_infer(&plan->infos, plan->module);
        plan->lacks_memory = plan->lacks_memory || status == NNF_ERROR_MEMORY;
        return status;
    }
    if (plan->infos.of) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "the shapes in this graph are not known");
}

/* The rank of what a layer gives, and which of its axes has the channels. */
static nnf_status find_channel_axis(nnfi_plan *plan, const nnfi_call *layer, int channel_axis,
                                    int *ndim, int *axis) {
    NNFI_TRY(nnfi_plan_infer(plan));
    *ndim = nnfi_known_get(&plan->infos, layer->outputs[0])->ndim;
    *axis = channel_axis < 0 ? *ndim + channel_axis : channel_axis;
    if (*ndim >= 0) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "the rank of the output of '%s' is not known, so neither is which axis has "
                     "its channels",
                     layer->path);
}

/* From the start, or -1: the last. */
static int channel_axis_of(const nnf_module *layer) {
    const nnf_module_type *type = nnf_module_get_type(layer);
    nnf_linear_map map;
    if (!type->linear_map) return 1;
    return type->linear_map(layer, &map) == NNF_OK ? map.channel_axis : -1;
}

nnf_status nnfi_plan_check_axis(nnfi_plan *plan, size_t layer, size_t call,
                                const nnf_module *view) {
    const nnfi_call *base = plan->graph->calls[layer];
    const char *path = plan->graph->calls[call]->path;
    bool is_scale = nnf_module_get_type(view) == &nnfi_scale_type;
    const nnfi_scale_options *scale = is_scale ? nnf_module_options(view) : NULL;
    int channel_axis = channel_axis_of(base->module), ndim, axis;
    if (!scale && channel_axis == 1) return NNF_OK; /* a batch norm runs over axis 1 */
    NNFI_TRY(find_channel_axis(plan, base, channel_axis, &ndim, &axis));
    int own = !scale ? 1 : scale->axis == 0 ? axis : ndim - scale->axis;
    if (own != axis)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "'%s' runs over axis %d, but of '%s', of rank %d, the channels are in "
                         "axis %d",
                         path, own, base->path, ndim, axis);
    if (scale && scale->ndim > ndim)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "'%s' has a constant of rank %d, which gives its result that rank", path,
                         scale->ndim);
    return NNF_OK;
}

nnf_status nnfi_plan_check_front(nnfi_plan *plan, size_t call, const nnf_module *view) {
    if (nnf_module_get_type(view) != &nnfi_scale_type) return NNF_OK;
    const nnfi_call *scale = plan->graph->calls[call];
    const nnfi_scale_options *options = nnf_module_options(view);
    NNFI_TRY(nnfi_plan_infer(plan));
    const nnf_type_info *x = nnfi_known_get(&plan->infos, nnfi_data_of(plan, call));
    const nnf_type_info *y = nnfi_known_get(&plan->infos, scale->outputs[0]);
    int axis = y->ndim - options->axis; /* behind the last: the same number everywhere */
    if (y->ndim >= options->axis && x->ndim == y->ndim &&
        (options->axis == 0 || nnfi_dim_equal(x->shape[axis], y->shape[axis])))
        return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "what '%s' reads is not known to have the shape of what it gives",
                     scale->path);
}

/* Zeros that a Pad puts around an input do not change its largest elements if there is none below
 * them. */
static nnf_status check_padded_pool(const nnfi_plan *plan, const nnfi_call *pad,
                                    const nnfi_call *pool) {
    static const char *const positive[] = {"ReLU",    "ReLU6", "Sigmoid", "Hardsigmoid",
                                           "Softmax", "Abs",   "Exp",     "Sqrt"};
    int64_t producer = plan->uses.producer[pad->inputs[0]];
    const char *type = producer < 0 ? "" : nnfi_known_type(plan->graph->calls[producer]->module);
    if (strncmp(nnf_module_type_name(pool->module), "MaxPool", 7)) return NNF_OK;
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (!strcmp(positive[i], type)) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "'%s' puts zeros where '%s' looks for the largest value, and what it pads is "
                     "not known to be at least 0",
                     pad->path, pool->path);
}

/* A layer with a bias is one node of ONNX's for rank 2 alone: for others nothing is won unless more
 * than a MatMul and its Add go. `n_folded`: the affine maps that do. */
static nnf_status check_matmul(nnfi_plan *plan, const nnfi_call *base, nnf_module *fused,
                               size_t n_folded) {
    if (n_folded > 1 || !nnfi_is_a(base->module, "MatMul") ||
        !nnfi_is_a(nnfi_fused_base(fused), "Linear"))
        return NNF_OK;
    NNFI_TRY(nnfi_plan_infer(plan));
    int ndim = nnfi_known_get(&plan->infos, base->inputs[0])->ndim;
    if (ndim == 2) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "the input of '%s' is not known to have rank 2, which Gemm takes", base->path);
}

static bool same_type(const nnf_type_info *a, const nnf_type_info *b) {
    if (a->dtype != b->dtype || a->ndim < 0 || a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (!nnfi_dim_equal(a->shape[i], b->shape[i])) return false;
    return true;
}

/* No broadcasting, for sure: a fused type adds in place. */
static nnf_status check_residual(nnfi_plan *plan, const nnfi_call *before, const nnfi_call *call) {
    nnf_value value = before->outputs[0], residual = residual_of(plan, call, value);
    if (residual == NNF_NO_VALUE) return NNF_OK;
    NNFI_TRY(nnfi_plan_infer(plan));
    const nnf_type_info *one = nnfi_known_get(&plan->infos, value);
    const nnf_type_info *other = nnfi_known_get(&plan->infos, residual);
    if (same_type(one, other)) return NNF_OK;
    char text[2][NNFI_INFO_TEXT];
    return nnf_error(
        NNF_ERROR_NOT_FUSABLE,
        "'%s' adds '%s', %s, to the output of '%s', %s: they must be known to have the same shape",
        call->path, plan->graph->values[residual].name,
        nnfi_info_text(text[0], NNFI_INFO_TEXT, other), before->path,
        nnfi_info_text(text[1], NNFI_INFO_TEXT, one));
}

/* A slope that is larger than what it is for makes more of that. */
static nnf_status check_slope(nnfi_plan *plan, const nnfi_call *before, const nnfi_call *call) {
    const bool is_prelu = nnfi_is_a(call->module, "PReLU");
    const nnf_tensor *slope = is_prelu ? nnf_module_tensor(call->module, "weight") : NULL;
    if (!slope) return NNF_OK;
    NNFI_TRY(nnfi_plan_infer(plan));
    const nnf_type_info *x = nnfi_known_get(&plan->infos, before->outputs[0]);
    const int ndim = nnf_tensor_ndim(slope), ones = x->ndim - ndim;
    bool fits = ones >= 0;
    for (int i = 0; fits && i < ndim; i++) {
        const int64_t n = nnf_tensor_shape(slope)[i];
        fits = n == 1 || nnfi_dim_is(x->shape[ones + i], n);
    }
    if (fits) return NNF_OK;
    char text[NNFI_INFO_TEXT], of[NNFI_SHAPE_TEXT];
    return nnf_error(
        NNF_ERROR_NOT_FUSABLE,
        "'%s' has a slope of shape %s, which the output of '%s', %s, is not known to contain",
        call->path, nnfi_shape_text(of, sizeof of, ndim, nnf_tensor_shape(slope)), before->path,
        nnfi_info_text(text, sizeof text, x));
}

nnf_status nnfi_plan_check(nnfi_plan *plan, const size_t *calls, nnf_module *const *views, size_t n,
                           size_t base, nnf_module *fused) {
    const nnfi_call *layer = plan->graph->calls[calls[base]];
    const nnfi_call *last = plan->graph->calls[calls[n - 1]];
    nnf_value used = nnfi_plan_other_output(last);
    if (nnfi_data_of(plan, calls[0]) == NNF_NO_VALUE)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' is given nothing to read",
                         plan->graph->calls[calls[0]]->path);
    if (last->n_outputs == 0 || last->outputs[0] == NNF_NO_VALUE)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' gives no output", last->path);
    if (used != NNF_NO_VALUE)
        return not_fusable_value("'%s' has a second output, '%s'", last->path,
                                 plan->graph->values[used].name);
    for (size_t i = 1; i < n; i++) {
        const nnfi_call *before = plan->graph->calls[calls[i - 1]];
        NNFI_TRY(check_residual(plan, before, plan->graph->calls[calls[i]]));
        NNFI_TRY(check_slope(plan, before, plan->graph->calls[calls[i]]));
    }
    if (nnfi_fused_base(fused) == views[base]) return NNF_OK; /* nothing was folded into it */
    for (size_t i = 1; i < layer->n_inputs; i++)
        if (!is_bound(layer, i))
            return not_fusable_value("'%s' gets '%s' when it runs, so that is no constant",
                                     layer->path, plan->graph->values[layer->inputs[i]].name);
    for (size_t i = 0; i < base; i++)
        if (!nnf_module_get_type(views[i])->affine_map)
            NNFI_TRY(check_padded_pool(plan, plan->graph->calls[calls[i]], layer));
    size_t n_folded = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == base || !nnf_module_get_type(views[i])->affine_map) continue;
        n_folded++;
        NNFI_TRY(nnfi_plan_check_axis(plan, calls[base], calls[i], views[i]));
        if (i < base) NNFI_TRY(nnfi_plan_check_front(plan, calls[i], views[i]));
    }
    return check_matmul(plan, layer, fused, n_folded);
}

/* ---- What calls are seen as ---- */

/* The rank of a layer's input and output; 0: not known. */
static int rank_of(const nnf_module *layer, const nnf_linear_map *map) {
    if (!map->weight)
        return nnf_module_get_type(layer)->linear_map
                   ? 0
                   : ((const nnf_pool_options *)nnf_module_options(layer))->spatial + 2;
    const nnf_tensor *weight = nnf_module_tensor(layer, map->weight);
    return weight ? nnf_tensor_ndim(weight) : 0;
}

nnf_status nnfi_plan_views(const nnfi_plan *plan, const size_t *calls, size_t n,
                           nnf_module **views) {
    const nnfi_graph *graph = plan->graph;
    size_t base = 0;
    while (base < n && !nnfi_type_takes_before(nnfi_view_type(graph, graph->calls[calls[base]])))
        base++;
    nnf_linear_map map = {0};
    int ndim = 0;
    nnf_status status = NNF_OK;
    if (base < n) {
        status = nnfi_view_make(&views[base], graph, graph->calls[calls[base]], 0, 0);
        if (status != NNF_OK) return status;
        const nnf_module_type *type = nnf_module_get_type(views[base]);
        if (type->linear_map) (void)type->linear_map(views[base], &map);
        ndim = rank_of(views[base], &map);
    } else { /* a batch norm, which takes what follows it */
        const nnf_tensor *weight = nnf_module_tensor(graph->calls[calls[0]]->module, "weight");
        if (weight) map.in_channels = nnf_tensor_numel(weight);
    }
    for (size_t i = 0; i < n && status == NNF_OK; i++)
        if (i != base)
            status = nnfi_view_make(&views[i], graph, graph->calls[calls[i]],
                                    i < base ? map.in_channels : map.out_channels, ndim);
    for (size_t i = 0; i < n && status != NNF_OK; i++) {
        nnf_module_release(views[i]);
        views[i] = NULL;
    }
    return status;
}

/* ---- What the fused call reads ---- */

/* Whether the first n calls of a chain give the value, or read it as their data. */
static bool is_inside(const nnfi_plan *plan, const size_t *calls, size_t n, nnf_value value) {
    if (nnfi_data_of(plan, calls[0]) == value) return true;
    for (size_t i = 0; i < n; i++)
        if (plan->uses.producer[value] == (int64_t)calls[i]) return true;
    return false;
}

/* What the nodes of a later call name beside their data. */
static void add_captures(const nnfi_plan *plan, const size_t *calls, size_t i, nnfi_reads *out) {
    const nnfi_call *call = plan->graph->calls[calls[i]];
    for (size_t k = 1; k < call->n_inputs; k++)
        if (call->inputs[k] != NNF_NO_VALUE && !is_inside(plan, calls, i, call->inputs[k]))
            out->captures[out->n_captures++] = call->inputs[k];
    for (size_t k = 0; k < call->n_captures; k++)
        out->captures[out->n_captures++] = call->captures[k];
}

nnf_status nnfi_plan_reads(const nnfi_plan *plan, const size_t *calls, size_t n, size_t base,
                           nnf_module *fused, nnfi_pile *pile, nnfi_reads *out) {
    const nnfi_call *layer = plan->graph->calls[calls[base]];
    size_t n_inputs = layer->n_inputs, most = layer->n_captures;
    for (size_t i = base + 1; i < n; i++) {
        const nnfi_call *call = plan->graph->calls[calls[i]];
        n_inputs += residual_of(plan, call, plan->graph->calls[calls[i - 1]]->outputs[0]) >= 0;
        most += call->n_inputs + call->n_captures;
    }
    nnf_value *inputs =
        nnfi_pile_alloc(pile, (n_inputs + most + 1) * sizeof *inputs, _Alignof(nnf_value));
    if (!inputs) return nnfi_error_memory((n_inputs + most) * sizeof *inputs, "a chain's inputs");
    *out = (nnfi_reads){.inputs = inputs, .captures = inputs + n_inputs};
    for (; out->n_inputs < layer->n_inputs; out->n_inputs++)
        inputs[out->n_inputs] = layer->inputs[out->n_inputs];
    if (base > 0) inputs[0] = nnfi_data_of(plan, calls[0]);
    /* a lifted layer's are its nodes', which go where something is folded into it */
    const bool keeps = !nnfi_is_lifted(layer->module) || nnfi_contains(fused, layer->module);
    for (; keeps && out->n_captures < layer->n_captures; out->n_captures++)
        out->captures[out->n_captures] = layer->captures[out->n_captures];
    for (size_t i = base + 1; i < n; i++) {
        const nnfi_call *call = plan->graph->calls[calls[i]];
        nnf_value residual = residual_of(plan, call, plan->graph->calls[calls[i - 1]]->outputs[0]);
        if (residual != NNF_NO_VALUE)
            inputs[out->n_inputs++] = residual;
        else if (nnfi_contains(fused, call->module))
            add_captures(plan, calls, i, out);
    }
    return NNF_OK;
}
