/* Softmax over one axis, or, as ONNX had it before opset 13, over all axes from one on. */
#include "nn/nn_internal.h"

nnf_status nnf_softmax_new(nnf_module **out, int64_t axis) {
    return nnf_module_new(out, nnf_type("Softmax"), &(nnf_softmax_options){.axis = axis});
}

static nnf_status infer_softmax(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_infer_float_same(module, inputs, n_inputs, outputs, n_outputs));
    const nnf_softmax_options *options = nnf_module_options(module);
    int axis, ndim = inputs[0]->ndim;
    /* flattening takes axis == rank too: everything is in the first dimension then */
    if (ndim < 0 || (options->flatten_from_axis && options->axis == ndim)) return NNF_OK;
    return nnfi_normalize_axis(module, &axis, options->axis, ndim);
}

static nnf_status forward_softmax(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_softmax_options *options = nnf_module_options(module);
    const int64_t *shape = nnf_tensor_shape(inputs[0]);
    int ndim = nnf_tensor_ndim(inputs[0]);
    if (nnf_tensor_numel(inputs[0]) == 0) return NNF_OK;
    int64_t axis = options->axis < 0 ? options->axis + ndim : options->axis;
    nnfi_softmax call = {.dtype = nnf_tensor_dtype(inputs[0]), .outer = 1, .axis = 1, .inner = 1};
    for (int i = 0; i < ndim; i++)
        *(i < axis                                  ? &call.outer
          : i == axis || options->flatten_from_axis ? &call.axis
                                                    : &call.inner) *= shape[i];
    NNFI_TRY(nnf_tensor_data(inputs[0], &call.x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &call.y));
    return nnfi_session_kernels(session)->softmax(session, &call);
}

static const nnf_module_type types[] = {{
    .name = "Softmax",
    .options_size = sizeof(nnf_softmax_options),
    .infer = infer_softmax,
    .forward = forward_softmax,
    .flags = NNF_TYPE_WIDENS_16_BIT,
}};
const nnfi_type_family nnfi_softmax_family = NNFI_TYPE_FAMILY(types);
