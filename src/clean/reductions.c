/* A layer that only drops the axes that the reduction in front of it keeps: that one does not keep
 * them any more. Pooling over all of space is such a reduction. */
#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* What a pooling is without its axes. */
static const struct {
    const char *type, *becomes;
} reductions[] = {
    {"GlobalAveragePool", "ReduceMean"},
    {"GlobalMaxPool", "ReduceMax"},
    {"ReduceMean", "ReduceMean"},
    {"ReduceMax", "ReduceMax"},
    {"ReduceMin", "ReduceMin"},
    {"ReduceSum", "ReduceSum"},
    {"ReduceProd", "ReduceProd"},
    {"ReduceL1", "ReduceL1"},
    {"ReduceL2", "ReduceL2"},
    {"ReduceSumSquare", "ReduceSumSquare"},
    {"ReduceLogSum", "ReduceLogSum"},
    {"ReduceLogSumExp", "ReduceLogSumExp"},
};

bool nnfi_clean_is_reduction(const nnf_module *module) {
    const char *type = nnf_module_type_name(module);
    return strncmp(type, "Global", 6) == 0 || strncmp(type, "Reduce", 6) == 0;
}

static const nnf_module_type *reduction_of(const nnf_module *module) {
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++)
        if (nnfi_is_a(module, reductions[i].type)) return nnf_type(reductions[i].becomes);
    return NULL;
}

/* The call that gives the value to nobody but the one at work, where it may change; -1: none. */
static int64_t giver(const nnfi_cleaner *cleaner, nnf_value value) {
    const nnfi_clean_value *v = &cleaner->values[value];
    const nnfi_value *in_graph = &cleaner->graph->values[value];
    if (v->producer < 0 || v->readers != 1 || v->captured || v->constant || in_graph->is_output ||
        in_graph->is_hidden || cleaner->outcomes[v->producer] != NNFI_STAYS ||
        cleaner->shared[v->producer] || cleaner->instead[v->producer])
        return -1;
    const nnfi_call *call = cleaner->graph->calls[v->producer];
    bool plain = call->n_inputs == 1 && call->n_outputs == 1 && call->inputs[0] != NNF_NO_VALUE &&
                 nnfi_clean_is_bare(call->module);
    return plain ? v->producer : -1;
}

/* Marks the axes that the reduction keeps, one long; false where it keeps none. */
static bool find_axes(bool *kept, const nnf_module *module, int ndim) {
    const nnf_axes_options *options = nnf_module_options(module);
    bool over_space = strncmp(nnf_module_type_name(module), "Global", 6) == 0;
    for (int i = 0; i < ndim; i++)
        kept[i] = over_space && i >= 2;
    if (over_space) return ndim > 2;
    if (!options->keepdims || options->n_axes <= 0) return false;
    for (int i = 0; i < options->n_axes; i++) {
        int64_t axis = options->axes[i] < 0 ? options->axes[i] + ndim : options->axes[i];
        if (axis < 0 || axis >= ndim) return false;
        kept[axis] = true;
    }
    return true;
}

/* Whether y is x without these axes. */
static bool is_without(const nnf_type_info *y, const nnf_type_info *x, const bool *axes) {
    int n = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (axes[i]) continue;
        if (n == y->ndim || !nnfi_dim_equal(y->shape[n], x->shape[i])) return false;
        n++;
    }
    return n == y->ndim;
}

nnf_status nnfi_clean_drop_axes(nnfi_cleaner *cleaner, const nnfi_clean_call *at, bool *dropped) {
    nnf_axes_options options;
    bool axes[NNF_MAX_DIMS];
    memset(&options, 0, sizeof options); /* cleaning compares options whole */
    *dropped = false;
    if (!at->rule || !at->rule->reshapes || at->inputs[0] == NNF_NO_VALUE) return NNF_OK;
    int64_t first = giver(cleaner, at->inputs[0]);
    if (first < 0) return NNF_OK;
    const nnf_module *module = cleaner->graph->calls[first]->module;
    const nnf_module_type *type = reduction_of(module);
    const nnf_type_info *x =
        nnfi_known_get(&cleaner->infos, nnfi_clean_data_of(cleaner, (size_t)first));
    if (!type || x->ndim < 0 || at->output->ndim < 0 || !find_axes(axes, module, x->ndim) ||
        !is_without(at->output, x, axes) || !nnfi_clean_may_pass_on(cleaner, at, at->inputs[0]))
        return NNF_OK;
    for (int i = 0; i < x->ndim; i++)
        if (axes[i]) options.axes[options.n_axes++] = i;
    nnf_type_info info;
    nnf_type_info_init(&info);
    NNFI_TRY(nnf_type_info_copy(&info, at->output));
    NNFI_TRY(nnfi_known_set(&cleaner->infos, at->inputs[0], &info));
    NNFI_TRY(nnf_module_new(&cleaner->instead[first], type, &options));
    nnf_module_set_training(cleaner->instead[first], nnf_module_training(module));
    *dropped = true;
    return NNF_OK;
}
