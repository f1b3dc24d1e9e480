/* Transposes that cancel each other with layers between them that can do without: a region of such
 * layers reads nothing but constants and what Transposes of one order of axes give, and each of its
 * results is read by it and by Transposes that put the axes back. It then runs on what stands in
 * front of the former, and the latter go. No Transpose is added anywhere. */
#include "fuse/transposes.h"

#include <string.h>

#include "fuse/plan.h"
#include "nn/nn_internal.h"
#include "support/error.h"

enum { NO_REGION = -1 };

typedef struct finder {
    nnfi_plan plan;
    nnfi_graph *graph;
    size_t n_calls, n_values; /* as they were */
    int32_t *region;          /* [n_calls]: a call that stands for the region, NO_REGION: in none */
    const nnf_transpose_options **order; /* [n_calls]: of the region that the call stands for */
    bool *fails;                         /* [n_calls]: likewise */
    size_t *n_back;                      /* [n_calls]: Transposes behind it that would go */
    nnf_value *instead;                  /* [n_values]: read instead of it; itself: nothing is */
    nnf_value **inputs; /* [n_calls]: what a region's call reads, NULL: no change */
    nnf_transpose_options reversed[NNF_MAX_DIMS + 1]; /* by rank: of a Transpose that says none */
    bool *call_gone, *value_gone;
} finder;

/* ---- Layers ---- */

static bool is_plain(const nnfi_call *call) {
    const nnf_module *module = call->module;
    return call->n_outputs == 1 && call->outputs[0] != NNF_NO_VALUE && call->n_captures == 0 &&
           nnfi_is_built_in(nnf_module_get_type(module)) && !nnf_module_n_forward_hooks(module) &&
           !nnf_module_n_forward_pre_hooks(module);
}

/* The order of a Transpose that is given what it puts in order; or NULL. */
static const nnf_transpose_options *order_of(finder *find, const nnfi_call *call) {
    if (!nnfi_is_a(call->module, "Transpose") || !is_plain(call) || call->n_inputs != 1 ||
        call->inputs[0] == NNF_NO_VALUE)
        return NULL;
    const nnf_transpose_options *order = nnf_module_options(call->module);
    int axes[NNF_MAX_DIMS];
    if (order->n > NNF_MAX_DIMS) return NULL;
    if (order->n < 0) {
        if (nnfi_plan_infer(&find->plan) != NNF_OK) return NULL;
        const int ndim = nnfi_known_get(&find->plan.infos, call->inputs[0])->ndim;
        return ndim > 0 ? &find->reversed[ndim] : NULL;
    }
    for (int i = 0; i < order->n; i++)
        if (order->perm[i] < 0) return NULL; /* orders are compared as they are said */
    return order->n > 0 && nnfi_permutation(call->module, order->n, axes) ? order : NULL;
}

static bool is_concat(const nnfi_call *call) {
    return nnfi_is_a(call->module, "Concat");
}

/* Whether the layer computes each element from those at its place in the inputs, or is a Concat. */
static bool does_without(const finder *find, size_t index) {
    static const char *const arithmetic[] = {"Add", "Sub", "Mul", "Div", "Pow",
                                             "Min", "Max", "Sum", "Mean"};
    const nnfi_call *call = find->graph->calls[index];
    const char *type = nnf_module_type_name(call->module);
    if (!is_plain(call) || call->n_inputs == 0) return false;
    if (is_concat(call)) /* its axis becomes another one */
        return !find->plan.again[index] && find->plan.previous[index] < 0;
    if (nnf_module_get_type(call->module)->flags & NNF_TYPE_ELEMENTWISE) return true;
    for (size_t i = 0; i < sizeof arithmetic / sizeof *arithmetic; i++)
        if (!strcmp(type, arithmetic[i])) return true;
    return false;
}

/* ---- Values ---- */

/* The call that gives the value; NULL where none does, or it is a constant. */
static const nnfi_call *producer_of(const finder *find, nnf_value value, size_t *index) {
    const int32_t producer = find->plan.uses.producer[value];
    if (producer < 0 || nnfi_constant_of(find->graph, value)) return NULL;
    *index = (size_t)producer;
    return find->graph->calls[producer];
}

static bool same_order(const nnf_transpose_options *a, const nnf_transpose_options *b) {
    return a->n == b->n && !memcmp(a->perm, b->perm, (size_t)a->n * sizeof *a->perm);
}

static bool puts_back(const nnf_transpose_options *order, const nnf_transpose_options *back) {
    if (order->n != back->n) return false;
    for (int i = 0; i < order->n; i++)
        if (order->perm[back->perm[i]] != i) return false;
    return true;
}

/* ---- Regions ---- */

static size_t region_of(finder *find, size_t call) {
    while (find->region[call] != (int32_t)call) {
        find->region[call] = find->region[find->region[call]];
        call = (size_t)find->region[call];
    }
    return call;
}

/* Calls that do without are one region with those of them that they read. */
static void find_regions(finder *find) {
    for (size_t c = 0; c < find->graph->n_calls; c++) {
        const nnfi_call *call = find->graph->calls[c];
        find->region[c] = does_without(find, c) ? (int32_t)c : NO_REGION;
        for (size_t k = 0; find->region[c] != NO_REGION && k < call->n_inputs; k++) {
            size_t before;
            if (call->inputs[k] == NNF_NO_VALUE || !producer_of(find, call->inputs[k], &before) ||
                find->region[before] == NO_REGION)
                continue;
            const size_t root = region_of(find, c);
            find->region[root] = (int32_t)region_of(find, before);
        }
    }
}

/* Whether the region can run on what input `k` of its call is without the Transpose. */
static bool takes_input(finder *find, size_t root, const nnfi_call *call, size_t k) {
    const nnf_value value = call->inputs[k];
    size_t before;
    if (value == NNF_NO_VALUE || nnfi_constant_of(find->graph, value)) return true;
    const nnfi_call *producer = producer_of(find, value, &before);
    if (!producer) return false;
    if (find->region[before] != NO_REGION) return true;
    const nnf_transpose_options *order = order_of(find, producer);
    if (!order) return false;
    if (!find->order[root]) find->order[root] = order;
    return same_order(find->order[root], order);
}

/* Whether a node with subgraphs may name the value, whose name has to stay then. */
static bool is_captured(const finder *find, nnf_value value) {
    const nnfi_uses *uses = &find->plan.uses;
    for (int64_t r = uses->first_reader[value]; r < uses->first_reader[value + 1]; r++)
        if (find->graph->calls[uses->readers[r]]->n_captures > 0) return true;
    return false;
}

/* Whether all readers of a region's value are of the region or put the axes back. */
static bool gives_output(finder *find, size_t root, const nnfi_call *call) {
    const nnf_value value = call->outputs[0];
    const nnfi_uses *uses = &find->plan.uses;
    size_t n_named = 0;
    if (find->graph->values[value].is_output || find->graph->values[value].is_hidden) return false;
    for (int64_t r = uses->first_reader[value]; r < uses->first_reader[value + 1]; r++) {
        const size_t reader = (size_t)uses->readers[r];
        if (find->region[reader] != NO_REGION) continue;
        const nnf_transpose_options *order = order_of(find, find->graph->calls[reader]);
        if (!order || !puts_back(find->order[root], order)) return false;
        const nnf_value back = find->graph->calls[reader]->outputs[0];
        n_named += find->graph->values[back].is_output;
        if (find->graph->values[back].is_hidden || is_captured(find, back)) return false;
        find->n_back[root]++;
    }
    return n_named <= 1;
}

/* The axis of a Concat, counted from the first. */
static int64_t concat_axis(const nnfi_call *call, int ndim) {
    const nnf_axis_options *options = nnf_module_options(call->module);
    return options->axis < 0 ? options->axis + ndim : options->axis;
}

/* A constant that broadcasts must not have more axes than what it is applied to; a Concat's has as
 * many. */
static bool constants_fit(const finder *find, const nnf_transpose_options *order,
                          const nnfi_call *call) {
    if (is_concat(call) &&
        (concat_axis(call, order->n) < 0 || concat_axis(call, order->n) >= order->n))
        return false;
    for (size_t k = 0; k < call->n_inputs; k++) {
        const nnf_tensor *constant = nnfi_constant_of(find->graph, call->inputs[k]);
        if (!constant) continue;
        const int ndim = nnf_tensor_ndim(constant);
        if (ndim > order->n || (is_concat(call) && ndim != order->n)) return false;
    }
    return true;
}

/* Whether a region behind another one reads what that would not give any more. */
static bool follows_another(finder *find, const nnfi_call *call) {
    for (size_t k = 0; k < call->n_inputs; k++) {
        size_t back, before;
        const nnfi_call *transpose =
            call->inputs[k] == NNF_NO_VALUE ? NULL : producer_of(find, call->inputs[k], &back);
        if (!transpose || !order_of(find, transpose) || find->region[back] != NO_REGION ||
            !producer_of(find, transpose->inputs[0], &before))
            continue;
        if (find->region[before] != NO_REGION && !find->fails[region_of(find, before)]) return true;
    }
    return false;
}

static void check_regions(finder *find) {
    const size_t n = find->graph->n_calls;
    for (size_t c = 0; c < n; c++)
        for (size_t k = 0; find->region[c] != NO_REGION && k < find->graph->calls[c]->n_inputs; k++)
            if (!takes_input(find, region_of(find, c), find->graph->calls[c], k))
                find->fails[region_of(find, c)] = true;
    for (size_t c = 0; c < n; c++) {
        if (find->region[c] == NO_REGION) continue;
        const size_t root = region_of(find, c);
        const nnf_transpose_options *order = find->order[root];
        const nnfi_call *call = find->graph->calls[c];
        if (!order || !constants_fit(find, order, call) || !gives_output(find, root, call))
            find->fails[root] = true;
    }
    for (size_t c = 0; c < n; c++)
        if (find->region[c] == (int32_t)c && find->n_back[c] == 0) find->fails[c] = true;
    for (size_t c = 0; c < n; c++)
        if (find->region[c] != NO_REGION && follows_another(find, find->graph->calls[c]))
            find->fails[region_of(find, c)] = true;
}

static bool changes(finder *find, size_t call) {
    return find->region[call] != NO_REGION && !find->fails[region_of(find, call)];
}

/* ---- What regions read and give instead: values are added, and nothing else is changed ---- */

static nnf_status add_value(finder *find, nnf_value *out, nnf_value like, nnf_tensor *constant) {
    NNFI_TRY(nnfi_graph_add_value_like(find->graph, out, find->graph->values[like].name));
    if (constant) find->graph->values[*out].constant = nnf_tensor_retain(constant);
    return NNF_OK;
}

/* A constant with its axes as they are in front of a Transpose. */
static nnf_status put_back(nnf_tensor **out, const nnf_tensor *constant,
                           const nnf_transpose_options *order) {
    const int missing = order->n - nnf_tensor_ndim(constant);
    int64_t shape[NNF_MAX_DIMS];
    nnfi_copy copy = {
        .size = nnf_dtype_size(nnf_tensor_dtype(constant)), .ndim = order->n, .threads = 1};
    for (int i = 0; i < order->n; i++) {
        copy.shape[i] = i < missing ? 1 : nnf_tensor_shape(constant)[i - missing];
        shape[order->perm[i]] = copy.shape[i];
    }
    int64_t strides[NNF_MAX_DIMS];
    nnfi_contiguous_strides(copy.from_strides, order->n, copy.shape);
    nnfi_contiguous_strides(strides, order->n, shape);
    for (int i = 0; i < order->n; i++)
        copy.to_strides[i] = strides[order->perm[i]];
    NNFI_TRY(nnf_tensor_new(out, nnf_tensor_dtype(constant), order->n, shape));
    nnf_status status = nnf_tensor_data(constant, &copy.from);
    if (status == NNF_OK) status = nnf_tensor_mut_data(*out, &copy.to);
    if (status != NNF_OK)
        nnf_tensor_release(*out);
    else
        nnfi_strided_copy(&copy);
    return status;
}

static nnf_status read_instead(finder *find, size_t index, size_t k) {
    const nnfi_call *call = find->graph->calls[index];
    const nnf_value value = call->inputs[k];
    size_t before;
    find->inputs[index][k] = value;
    if (value == NNF_NO_VALUE) return NNF_OK;
    const nnf_tensor *constant = nnfi_constant_of(find->graph, value);
    if (constant && nnf_tensor_numel(constant) == 1 && !is_concat(call)) return NNF_OK;
    if (constant) {
        nnf_tensor *turned;
        NNFI_TRY(put_back(&turned, constant, find->order[region_of(find, index)]));
        nnf_status status = add_value(find, &find->inputs[index][k], value, turned);
        nnf_tensor_release(turned);
        return status;
    }
    const nnfi_call *producer = producer_of(find, value, &before);
    if (find->region[before] == NO_REGION) find->inputs[index][k] = producer->inputs[0];
    return NNF_OK;
}

/* The value that a region's call gives instead: that of a Transpose behind it, one that is an
 * output of the graph before others, or a new one; it has another shape than the file may say. */
static nnf_status give_instead(finder *find, const nnfi_call *call) {
    const nnf_value value = call->outputs[0];
    const nnfi_uses *uses = &find->plan.uses;
    nnf_value chosen = NNF_NO_VALUE;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t r = uses->first_reader[value]; r < uses->first_reader[value + 1]; r++) {
            const size_t reader = (size_t)uses->readers[r];
            if (find->region[reader] != NO_REGION) continue;
            const nnf_value back = find->graph->calls[reader]->outputs[0];
            if (chosen == NNF_NO_VALUE && (pass == 1 || find->graph->values[back].is_output))
                chosen = back;
            if (pass == 0) continue;
            find->instead[back] = chosen;
            find->value_gone[back] = back != chosen;
            find->call_gone[reader] = true;
        }
    if (chosen == NNF_NO_VALUE) NNFI_TRY(add_value(find, &chosen, value, NULL));
    find->instead[value] = chosen;
    find->value_gone[value] = true;
    return NNF_OK;
}

static nnf_status prepare(finder *find) {
    for (size_t c = 0; c < find->graph->n_calls; c++) {
        if (!changes(find, c)) continue;
        const size_t n = find->graph->calls[c]->n_inputs;
        find->inputs[c] = nnfi_alloc(n * sizeof **find->inputs);
        if (!find->inputs[c]) return nnfi_error_memory(n * sizeof **find->inputs, "a call");
        for (size_t k = 0; k < n; k++)
            NNFI_TRY(read_instead(find, c, k));
        NNFI_TRY(give_instead(find, find->graph->calls[c]));
    }
    return NNF_OK;
}

/* ---- The change, which cannot fail ---- */

static void change_axis(const nnfi_call *call, const nnf_transpose_options *order) {
    const int64_t axis = order->perm[concat_axis(call, order->n)];
    ((nnf_axis_options *)nnf_module_mut_options(call->module))->axis = axis;
}

/* Calls and constants that nothing reads any more. */
static void find_unread(finder *find, bool *read) {
    for (size_t c = find->graph->n_calls; c-- > 0;) {
        const nnfi_call *call = find->graph->calls[c];
        const bool turned =
            order_of(find, call) && !find->graph->values[call->outputs[0]].is_output;
        if (turned && !read[call->outputs[0]] && !find->call_gone[c] &&
            find->plan.uses.first_reader[call->outputs[0]] <
                find->plan.uses.first_reader[call->outputs[0] + 1]) {
            find->call_gone[c] = true;
            find->value_gone[call->outputs[0]] = true;
        }
        for (size_t k = 0; !find->call_gone[c] && k < call->n_inputs; k++)
            if (call->inputs[k] != NNF_NO_VALUE) read[call->inputs[k]] = true;
        for (size_t k = 0; !find->call_gone[c] && k < call->n_captures; k++)
            if (call->captures[k] != NNF_NO_VALUE) read[call->captures[k]] = true;
    }
    for (size_t v = 0; v < find->n_values; v++) {
        const nnfi_value *value = &find->graph->values[v];
        const bool was_read = find->plan.uses.first_reader[v] < find->plan.uses.first_reader[v + 1];
        if (value->constant && !value->is_input && !value->is_output && was_read && !read[v] &&
            find->plan.uses.producer[v] < 0)
            find->value_gone[v] = true;
    }
}

static void apply(finder *find, bool *read) {
    for (size_t c = 0; c < find->graph->n_calls; c++) {
        nnfi_call *call = find->graph->calls[c];
        if (find->inputs[c]) {
            memcpy(call->inputs, find->inputs[c], call->n_inputs * sizeof *call->inputs);
            call->outputs[0] = find->instead[call->outputs[0]];
            if (is_concat(call)) change_axis(call, find->order[region_of(find, c)]);
        }
        for (size_t k = 0; k < call->n_inputs; k++)
            if (call->inputs[k] != NNF_NO_VALUE && (size_t)call->inputs[k] < find->n_values)
                call->inputs[k] = find->instead[call->inputs[k]];
    }
    find_unread(find, read);
    for (size_t v = 0; v < find->n_values; v++) /* a writer may give their names again */
        if (find->value_gone[v] && find->plan.uses.producer[v] >= 0)
            nnfi_value_reshape(&find->graph->values[v]);
    nnfi_graph_remove(find->plan.module, find->call_gone, find->value_gone);
}

static nnf_status commit(finder *find) {
    const size_t n = find->graph->n_values;
    bool *read = nnfi_calloc(n + 1, sizeof *read), *gone = nnfi_calloc(n + 1, sizeof *gone);
    nnf_status status = NNF_OK;
    if (read && gone) {
        memcpy(gone, find->value_gone, find->n_values * sizeof *gone);
        nnfi_free(find->value_gone);
        find->value_gone = gone;
        gone = NULL;
        apply(find, read);
    } else {
        status = nnfi_error_memory(n, "a graph's values");
    }
    nnfi_free(read);
    nnfi_free(gone);
    return status;
}

/* ---- Searching ---- */

static void finder_clear(finder *find) {
    for (size_t c = 0; find->inputs && c < find->n_calls; c++)
        nnfi_free(find->inputs[c]);
    nnfi_plan_clear(&find->plan);
    nnfi_free(find->region);
    nnfi_free((void *)find->order);
    nnfi_free(find->fails);
    nnfi_free(find->n_back);
    nnfi_free(find->instead);
    nnfi_free((void *)find->inputs);
    nnfi_free(find->call_gone);
    nnfi_free(find->value_gone);
}

static nnf_status finder_open(finder *find, nnf_module *graph) {
    NNFI_TRY(nnfi_plan_open(&find->plan, graph));
    find->graph = find->plan.graph;
    const size_t n = find->n_calls = find->graph->n_calls;
    find->n_values = find->graph->n_values;
    find->region = nnfi_calloc(n, sizeof *find->region);
    find->order = nnfi_calloc(n, sizeof *find->order);
    find->fails = nnfi_calloc(n, sizeof *find->fails);
    find->n_back = nnfi_calloc(n, sizeof *find->n_back);
    find->inputs = nnfi_calloc(n, sizeof *find->inputs);
    find->call_gone = nnfi_calloc(n, sizeof *find->call_gone);
    find->instead = nnfi_calloc(find->n_values, sizeof *find->instead);
    find->value_gone = nnfi_calloc(find->n_values, sizeof *find->value_gone);
    if (!find->region || !find->order || !find->fails || !find->n_back || !find->inputs ||
        !find->call_gone || !find->instead || !find->value_gone)
        return nnfi_error_memory(n * sizeof *find->inputs, "the Transposes of a graph");
    for (size_t v = 0; v < find->n_values; v++)
        find->instead[v] = (nnf_value)v;
    for (int ndim = 0; ndim <= NNF_MAX_DIMS; ndim++) {
        find->reversed[ndim].n = ndim;
        for (int i = 0; i < ndim; i++)
            find->reversed[ndim].perm[i] = ndim - 1 - i;
    }
    return NNF_OK;
}

/* One round; *changed whether there was anything. */
static nnf_status cancel(nnf_module *graph, bool *changed) {
    finder find = {0};
    nnf_status status = finder_open(&find, graph);
    *changed = false;
    if (status == NNF_OK) {
        find_regions(&find);
        check_regions(&find);
        for (size_t c = 0; c < find.n_calls && !*changed; c++)
            *changed = changes(&find, c);
        if (*changed) status = prepare(&find);
        if (*changed && status == NNF_OK) status = commit(&find);
        if (status != NNF_OK && find.graph && find.graph->n_values > find.n_values)
            nnfi_graph_drop_values(find.graph, find.n_values);
    }
    finder_clear(&find);
    return status;
}

/* Most graphs have none, and are left at once. */
static bool has_transposes(const nnfi_graph *graph) {
    for (size_t c = 0; c < graph->n_calls; c++)
        if (nnfi_is_a(graph->calls[c]->module, "Transpose")) return true;
    return false;
}

nnf_status nnfi_cancel_transposes(nnf_module *graph) {
    enum { MOST_ROUNDS = 8 }; /* each passes regions on to those behind them */
    bool changed = has_transposes(nnfi_graph_of(graph));
    for (int round = 0; changed && round < MOST_ROUNDS; round++)
        NNFI_TRY(cancel(graph, &changed));
    return NNF_OK;
}
