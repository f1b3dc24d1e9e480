/* Dropout. In training mode element i of call number c is kept or dropped by a hash of (seed, c,
 * i): the same on every machine and with any number of threads. */
#include <string.h>

#include "nn/nn_internal.h"

nnf_status nnf_dropout_new(nnf_module **out, double p) {
    if (!(p >= 0 && p <= 1))
        return nnf_error(NNF_ERROR_INVALID, "Dropout takes a probability between 0 and 1, not %g",
                         p);
    return nnf_module_new(out, nnf_type("Dropout"), &(nnf_dropout_options){.p = p});
}

/* Inputs: data and, from ONNX opset 12 on, the probability and training_mode. Outputs: the data
 * and, if wanted, which elements were kept. */
static nnf_status infer_dropout(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 3, n_outputs, 2));
    NNFI_TRY(nnfi_check_float(module, inputs[0]));
    for (size_t i = 1; i < n_inputs; i++)
        if (inputs[i] && inputs[i]->ndim > 0)
            return nnf_error(NNF_ERROR_SHAPE, "input %zu of Dropout is a scalar, not of rank %d", i,
                             inputs[i]->ndim);
    for (size_t i = 0; i < n_outputs; i++)
        nnfi_info_set_like(&outputs[i], inputs[0]);
    if (n_outputs > 1) outputs[1].dtype = NNF_BOOL;
    return NNF_OK;
}

/* SplitMix64's finalizer (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static nnf_status scalar(double *out, nnf_tensor *const *inputs, size_t n_inputs, size_t index) {
    const nnf_tensor *tensor = nnfi_input_tensor(inputs, n_inputs, index);
    if (!tensor) return NNF_OK;
    const void *data;
    NNFI_TRY(nnf_tensor_data(tensor, &data));
    *out = nnfi_load_f64(nnf_tensor_dtype(tensor), data, 0);
    return NNF_OK;
}

static void drop(nnf_tensor *const *outputs, void *y, unsigned char *mask, double p, uint64_t key) {
    nnf_dtype dtype = nnf_tensor_dtype(outputs[0]);
    int64_t n = nnf_tensor_numel(outputs[0]);
    double scale = p < 1 ? 1 / (1 - p) : 0;
    for (int64_t i = 0; i < n; i++) {
        double uniform = (double)(mix(key + (uint64_t)i) >> 11) * 0x1p-53;
        bool kept = uniform >= p;
        nnfi_store_f64(dtype, y, i, kept ? nnfi_load_f64(dtype, y, i) * scale : 0);
        if (mask) mask[i] = kept;
    }
}

static nnf_status forward_dropout(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)session;
    nnf_dropout_options *options = nnfi_module_state(module);
    double p = options->p, training = nnf_module_training(module);
    void *y, *mask = NULL;
    NNFI_TRY(scalar(&p, inputs, n_inputs, 1));
    if (training == 0) NNFI_TRY(scalar(&training, inputs, n_inputs, 2));
    NNFI_TRY(nnfi_copy_elements(outputs[0], inputs[0]));
    if (n_outputs > 1) {
        NNFI_TRY(nnf_tensor_mut_data(outputs[1], &mask));
        memset(mask, 1, (size_t)nnf_tensor_numel(outputs[1]));
    }
    if (training == 0) return NNF_OK;
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    uint64_t key = mix(mix(options->seed + UINT64_C(0x9e3779b97f4a7c15)) + options->calls);
    options->calls++;
    drop(outputs, y, mask, p, key);
    return NNF_OK;
}

static const nnf_module_type types[] = {{
    .name = "Dropout",
    .options_size = sizeof(nnf_dropout_options),
    .infer = infer_dropout,
    .forward = forward_dropout,
    .flags = NNF_TYPE_WIDENS_16_BIT | NNF_TYPE_IDENTITY,
}};
const nnfi_type_family nnfi_dropout_family = NNFI_TYPE_FAMILY(types);
