/* Softmax, LogSoftmax and Hardmax over one axis, or, as ONNX had them before opset 13, over all
 * axes from one on. */
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

/* The input seen as [outer, axis, inner]. */
static nnfi_softmax seen(const nnf_module *module, const nnf_tensor *x) {
    const nnf_softmax_options *options = nnf_module_options(module);
    int ndim = nnf_tensor_ndim(x);
    int64_t axis = options->axis < 0 ? options->axis + ndim : options->axis;
    nnfi_softmax call = {.dtype = nnf_tensor_dtype(x), .outer = 1, .axis = 1, .inner = 1};
    for (int i = 0; i < ndim; i++)
        *(i < axis                                  ? &call.outer
          : i == axis || options->flatten_from_axis ? &call.axis
                                                    : &call.inner) *= nnf_tensor_shape(x)[i];
    return call;
}

static nnf_status run_softmax(nnf_session *session, const nnf_module *module, const nnf_tensor *x,
                              nnf_tensor *y, bool log) {
    if (nnf_tensor_numel(x) == 0) return NNF_OK;
    nnfi_softmax call = seen(module, x);
    call.log = log;
    NNFI_TRY(nnf_tensor_data(x, &call.x));
    NNFI_TRY(nnf_tensor_mut_data(y, &call.y));
    return nnfi_session_kernels(session)->softmax(session, &call);
}

static nnf_status forward_softmax(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    return run_softmax(session, module, inputs[0], outputs[0], false);
}

static nnf_status forward_log_softmax(nnf_session *session, nnf_module *module,
                                      nnf_tensor *const *inputs, size_t n_inputs,
                                      nnf_tensor **outputs, size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    return run_softmax(session, module, inputs[0], outputs[0], true);
}

/* 1 for the first of the largest, 0 for the others. */
static nnf_status forward_hardmax(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    if (nnf_tensor_numel(inputs[0]) == 0) return NNF_OK;
    nnfi_softmax call = seen(module, inputs[0]);
    NNFI_TRY(nnf_tensor_data(inputs[0], &call.x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &call.y));
    for (int64_t i = 0; i < call.outer * call.inner; i++) {
        int64_t first = i / call.inner * call.axis * call.inner + i % call.inner, best = 0;
        for (int64_t k = 0; k < call.axis; k++) {
            nnfi_store_f64(call.dtype, call.y, first + k * call.inner, 0);
            if (nnfi_load_f64(call.dtype, call.x, first + k * call.inner) >
                nnfi_load_f64(call.dtype, call.x, first + best * call.inner))
                best = k;
        }
        nnfi_store_f64(call.dtype, call.y, first + best * call.inner, 1);
    }
    return NNF_OK;
}

#define ROW(type_name, forward_function)                                                        \
    {                                                                                           \
        .name = type_name, .options_size = sizeof(nnf_softmax_options), .infer = infer_softmax, \
        .forward = forward_function, .flags = NNF_TYPE_WIDENS_16_BIT,                           \
    }
static const nnf_module_type types[] = {
    ROW("Softmax", forward_softmax),
    ROW("LogSoftmax", forward_log_softmax),
    ROW("Hardmax", forward_hardmax),
};
const nnfi_type_family nnfi_softmax_family = NNFI_TYPE_FAMILY(types);
