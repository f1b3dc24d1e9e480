/* Floats that are the same in every run, although a node computes them: PyTorch's exporter joins
 * the scales of a Resize from constants. Inference knows integers alone. */
#include "formats/onnx/ops.h"
#include "module/known.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* What they are made of is small, too: reading a file computes nothing that takes time. */
enum { MOST_ELEMENTS = 64 };

static bool is_small_constant(const nnfi_graph *graph, nnf_value value) {
    const nnfi_value *v = &graph->values[value];
    return v->constant && !v->is_input && nnf_tensor_numel(v->constant) <= MOST_ELEMENTS;
}

nnf_tensor *nnfi_numbers_get(const nnfi_numbers *numbers, nnf_value value) {
    return numbers->tensors && value != NNF_NO_VALUE ? numbers->tensors[value] : NULL;
}

/* The call's inputs; false where one of them is no number that is known. */
static bool gather(const nnfi_numbers *numbers, const nnfi_graph *graph, const nnfi_call *call,
                   nnf_tensor **inputs) {
    for (size_t i = 0; i < call->n_inputs; i++) {
        const nnf_value value = call->inputs[i];
        inputs[i] = nnfi_numbers_get(numbers, value);
        if (value == NNF_NO_VALUE || inputs[i]) continue;
        if (!is_small_constant(graph, value)) return false;
        inputs[i] = graph->values[value].constant;
    }
    return true;
}

static bool is_wanted(const nnfi_call *call, const nnf_type_info *result) {
    if (call->n_inputs == 0 || call->n_inputs > MOST_ELEMENTS || call->n_outputs != 1 ||
        call->n_captures > 0 || call->outputs[0] == NNF_NO_VALUE || result->dtype != NNF_F32 ||
        result->ndim != 1 || !nnfi_info_is_static(result))
        return false;
    return result->shape[0].value >= 1 && result->shape[0].value <= NNF_MAX_DIMS;
}

nnf_status nnfi_numbers_add(nnfi_numbers *numbers, const nnfi_graph *graph, const nnfi_call *call,
                            const nnf_type_info *result) {
    const nnf_session_options options = {.threads = 1, .kernels = NNF_KERNELS_REFERENCE};
    nnf_tensor *inputs[MOST_ELEMENTS], *output = NULL;
    nnf_session *session;
    if (!is_wanted(call, result) || !gather(numbers, graph, call, inputs)) return NNF_OK;
    if (!numbers->tensors) {
        numbers->n = graph->n_values;
        numbers->tensors = nnfi_calloc(numbers->n, sizeof(nnf_tensor *));
        if (!numbers->tensors)
            return nnfi_error_memory(numbers->n * sizeof(nnf_tensor *), "the numbers of a graph");
    }
    NNFI_TRY(nnf_session_new(&session, call->module, &options));
    nnf_status status = nnf_session_run(session, inputs, call->n_inputs, &output, 1);
    nnf_session_release(session);
    if (status == NNF_OK) numbers->tensors[call->outputs[0]] = output;
    return status == NNF_ERROR_MEMORY ? status : NNF_OK; /* what cannot be computed is not known */
}

void nnfi_numbers_clear(nnfi_numbers *numbers) {
    for (size_t i = 0; i < numbers->n; i++)
        nnf_tensor_release(numbers->tensors[i]);
    nnfi_free(numbers->tensors);
}
