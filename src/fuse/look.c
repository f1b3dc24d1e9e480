#include "fuse/look.h"

#include "fuse/mapping.h"
#include "fuse/view.h"
#include "support/error.h"

bool nnfi_is_free(const nnfi_plan *plan, size_t index) {
    const nnfi_call *call = plan->graph->calls[index];
    const nnf_module *module = call->module;
    return nnfi_data_of(plan, index) != NNF_NO_VALUE && call->n_outputs > 0 &&
           call->outputs[0] != NNF_NO_VALUE && nnfi_plan_other_output(call) == NNF_NO_VALUE &&
           !plan->taken[index] && !nnfi_plan_is_shared(plan, index) &&
           !nnf_module_training(module) && !nnf_module_is_parametrized(module, NULL) &&
           !nnf_module_n_forward_hooks(module) && !nnf_module_n_forward_pre_hooks(module);
}

size_t nnfi_producer_for(const nnfi_plan *plan, nnf_value value, size_t reader) {
    int64_t producer = value == NNF_NO_VALUE ? -1 : plan->uses.producer[value];
    bool alone = producer >= 0 && nnfi_plan_next(plan, (size_t)producer) == reader &&
                 nnfi_is_free(plan, (size_t)producer);
    return alone ? (size_t)producer : NNFI_NO_CALL;
}

static bool is_constant(const nnfi_plan *plan, size_t index) {
    return nnfi_plan_other_input(plan, plan->graph->calls[index], nnfi_data_of(plan, index)) ==
           NNF_NO_VALUE;
}

bool nnfi_is_linear(const nnfi_plan *plan, size_t index) {
    return nnf_module_get_type(plan->graph->calls[index]->module)->linear_map &&
           is_constant(plan, index);
}

bool nnfi_is_affine(const nnfi_plan *plan, size_t index) {
    return nnfi_type_is_affine(nnfi_view_type(plan->graph, plan->graph->calls[index])) &&
           is_constant(plan, index);
}

size_t nnfi_n_readers(const nnfi_plan *plan, size_t index, const int32_t **readers) {
    const nnfi_call *call = plan->graph->calls[index];
    if (call->n_outputs != 1 || call->outputs[0] == NNF_NO_VALUE) return 0;
    nnf_value value = call->outputs[0];
    if (plan->graph->values[value].is_output) return 0;
    *readers = plan->uses.readers + plan->uses.first_reader[value];
    return plan->uses.first_reader[value + 1] - plan->uses.first_reader[value];
}

bool nnfi_owns_weight(const nnfi_plan *plan, size_t layer) {
    const nnfi_call *call = plan->graph->calls[layer];
    if (call->n_inputs < 2 || call->inputs[1] == NNF_NO_VALUE) return true;
    const nnf_value weight = call->inputs[1];
    const uint32_t end = plan->uses.first_reader[weight + 1];
    for (uint32_t r = plan->uses.first_reader[weight]; r < end; r++)
        if (plan->uses.readers[r] != (int32_t)layer) return false;
    return !plan->graph->values[weight].is_output;
}

/* Whether a call is arithmetic, or a batch norm, over the channels of the layer in front. */
static nnf_status check_after(nnfi_plan *plan, size_t layer, size_t next, int64_t channels) {
    nnf_module *after;
    NNFI_TRY(nnfi_view_make(&after, plan->graph, plan->graph->calls[next], channels, 0));
    nnf_status status = nnfi_plan_check_axis(plan, layer, next, after);
    nnf_module_release(after);
    return status;
}

static nnf_status check_takes_bias(nnfi_plan *plan, size_t layer) {
    const nnfi_call *call = plan->graph->calls[layer];
    nnf_module *seen;
    nnf_linear_map map = {0};
    NNFI_TRY(nnfi_view_make(&seen, plan->graph, call, 0, 0));
    nnf_status status = nnf_module_get_type(seen)->linear_map(seen, &map);
    /* a convolution's is an input of its node */
    const bool has_bias = map.channel_axis == 1 || nnfi_is_a(call->module, "Gemm") ||
                          (map.bias && nnf_module_tensor(seen, map.bias));
    nnf_module_release(seen);
    if (status != NNF_OK || has_bias) return status;
    NNFI_TRY(nnfi_plan_infer(plan));
    if (nnfi_known_get(&plan->infos, call->inputs[0])->ndim == 2) return NNF_OK;
    size_t next = nnfi_plan_next(plan, layer);
    if (next == NNFI_NO_CALL || !nnfi_is_affine(plan, next)) return NNF_ERROR_NOT_FUSABLE;
    return check_after(plan, layer, next, map.out_channels);
}

bool nnfi_takes_bias(nnfi_plan *plan, size_t layer) {
    nnf_status status = check_takes_bias(plan, layer);
    plan->lacks_memory = plan->lacks_memory || status == NNF_ERROR_MEMORY;
    return status == NNF_OK;
}
