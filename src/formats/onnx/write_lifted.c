/* Lifted layers on their way into a file: as the steps that they were, or as what they are. */
#include "formats/onnx/write.h"
#include "nn/nn_internal.h"

bool nnfi_lifted_is_steps(const nnfi_write_plan *plan, const nnfi_call *call,
                          const nnf_module *lifted) {
    const nnf_module_type *type = nnf_module_get_type(lifted);
    for (size_t i = 0; i < type->n_slots && i + 1 < call->n_inputs; i++) {
        const nnf_value said = call->inputs[i + 1];
        const nnf_tensor *held = nnf_module_tensor(lifted, type->slots[i].name);
        if (nnf_module_is_parametrized(lifted, type->slots[i].name) || !held ||
            said == NNF_NO_VALUE || !plan->graph->values[said].constant ||
            !nnfi_tensor_same(plan->graph->values[said].constant, held))
            return false;
    }
    return true;
}

size_t nnfi_lifted_captures(const nnf_module *lifted) {
    const nnfi_lifted_options *options = nnf_module_options(lifted);
    size_t n = 0;
    for (size_t c = 0; c < nnf_module_n_children(lifted); c++)
        for (size_t k = 0; k < NNFI_LIFTED_INPUTS; k++)
            n += options->wires[c][k] == NNFI_WIRE_CAPTURE;
    return n;
}
