/* Activations: one row for each, all of them one forward over the kernels' table. */
#include <math.h>
#include <string.h>

#include "nn/nn_internal.h"

/* PyTorch's default alpha and beta, and the type that the kind belongs to. */
static const struct activation_kind {
    const char *type;
    double alpha, beta;
} kinds[NNF_ACTIVATION_COUNT] = {
    [NNF_RELU] = {"ReLU", 0, 0},
    [NNF_RELU6] = {"ReLU6", 0, 6},
    [NNF_CLIP] = {"Clip", -INFINITY, INFINITY},
    [NNF_LEAKY_RELU] = {"LeakyReLU", 0.01, 0},
    [NNF_SIGMOID] = {"Sigmoid", 0, 0},
    [NNF_TANH] = {"Tanh", 0, 0},
    [NNF_SILU] = {"SiLU", 0, 0},
    [NNF_HARDSWISH] = {"Hardswish", 0, 0},
    [NNF_HARDSIGMOID] = {"Hardsigmoid", 1.0 / 6.0, 0.5},
    [NNF_GELU] = {"GELU", 0, 0},
    [NNF_GELU_TANH] = {"GELU", 0, 0},
    [NNF_SQRT] = {"Sqrt", 0, 0},
    [NNF_ERF] = {"Erf", 0, 0},
    [NNF_ELU] = {"ELU", 1, 0},
    [NNF_SELU] = {"SELU", 1.6732632423543772, 1.0507009873554805},
    [NNF_CELU] = {"CELU", 1, 0},
    [NNF_SWISH] = {"Swish", 1, 0},
    [NNF_MISH] = {"Mish", 0, 0},
    [NNF_SOFTPLUS] = {"Softplus", 0, 0},
    [NNF_SOFTSIGN] = {"Softsign", 0, 0},
    [NNF_THRESHOLDED_RELU] = {"ThresholdedReLU", 1, 0},
    [NNF_SHRINK] = {"Shrink", 0.5, 0},
    [NNF_ABS] = {"Abs", 0, 0},
    [NNF_NEG] = {"Neg", 0, 0},
    [NNF_SIGN] = {"Sign", 0, 0},
    [NNF_RECIPROCAL] = {"Reciprocal", 0, 0},
    [NNF_EXP] = {"Exp", 0, 0},
    [NNF_LOG] = {"Log", 0, 0},
    [NNF_FLOOR] = {"Floor", 0, 0},
    [NNF_CEIL] = {"Ceil", 0, 0},
    [NNF_ROUND] = {"Round", 0, 0},
    [NNF_SIN] = {"Sin", 0, 0},
    [NNF_COS] = {"Cos", 0, 0},
    [NNF_TAN] = {"Tan", 0, 0},
    [NNF_ASIN] = {"Asin", 0, 0},
    [NNF_ACOS] = {"Acos", 0, 0},
    [NNF_ATAN] = {"Atan", 0, 0},
    [NNF_SINH] = {"Sinh", 0, 0},
    [NNF_COSH] = {"Cosh", 0, 0},
    [NNF_ASINH] = {"Asinh", 0, 0},
    [NNF_ACOSH] = {"Acosh", 0, 0},
    [NNF_ATANH] = {"Atanh", 0, 0},
};

nnf_status nnf_activation_new_with(nnf_module **out, const nnf_activation_options *options) {
    if (!options) return nnf_error(NNF_ERROR_INVALID, "an activation has no options");
    if ((unsigned)options->kind >= NNF_ACTIVATION_COUNT)
        return nnf_error(NNF_ERROR_INVALID, "%d is no kind of activation", (int)options->kind);
    return nnf_module_new(out, nnf_type(kinds[options->kind].type), options);
}

nnf_status nnf_activation_new(nnf_module **out, nnf_activation kind) {
    nnf_activation_options options = {.kind = kind};
    if ((unsigned)kind < NNF_ACTIVATION_COUNT) {
        options.alpha = kinds[kind].alpha;
        options.beta = kinds[kind].beta;
    }
    return nnf_activation_new_with(out, &options);
}

/* infer of those that integers have as well. */
static nnf_status infer_number_same(const nnf_module *module, const nnf_type_info *const *inputs,
                                    size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    NNFI_TRY(nnfi_check_number(module, inputs[0]));
    nnfi_info_set_like(&outputs[0], inputs[0]);
    return NNF_OK;
}

/* Clip's bounds may come as inputs 1 and 2: one element each. */
static nnf_status infer_clip(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 3, n_outputs, 1));
    NNFI_TRY(nnfi_check_number(module, inputs[0]));
    nnf_dtype dtype = inputs[0]->dtype;
    for (size_t i = 1; i < n_inputs; i++) {
        if (!inputs[i]) continue;
        NNFI_TRY(nnfi_merge_dtype(module, &dtype, dtype, inputs[i]->dtype));
        nnf_dim n = nnfi_unknown_dim();
        if (inputs[i]->ndim >= 0)
            NNFI_TRY(nnfi_dim_product(&n, inputs[i]->shape, 0, inputs[i]->ndim));
        if (nnfi_dim_known(n) && n.value != 1)
            return nnf_error(NNF_ERROR_SHAPE, "Clip takes bounds of one element, not %lld",
                             (long long)n.value);
    }
    nnfi_info_set_like(&outputs[0], inputs[0]);
    outputs[0].dtype = dtype;
    return NNF_OK;
}

static nnf_status bound(double *out, nnf_tensor *const *inputs, size_t n_inputs, size_t index) {
    const nnf_tensor *tensor = nnfi_input_tensor(inputs, n_inputs, index);
    if (!tensor) return NNF_OK;
    const void *data;
    NNFI_TRY(nnf_tensor_data(tensor, &data));
    *out = nnfi_load_f64(nnf_tensor_dtype(tensor), data, 0);
    return NNF_OK;
}

bool nnfi_activation_knows(const nnf_module *module, size_t index, const nnf_tensor *constant) {
    if (nnfi_is_a(module, "ReLU6")) return true;
    if (!nnfi_is_a(module, "Clip") || index < 1 || index > 2 || nnf_tensor_numel(constant) != 1)
        return false;
    const nnf_activation_options *options = nnf_module_options(module);
    double bound;
    return nnfi_tensor_number(&bound, constant, 0) == NNF_OK &&
           bound == (index == 1 ? options->alpha : options->beta);
}

/* y, between bounds that are inputs or else numbers; those that are not finite are none. */
static nnf_status clamp_integers(nnf_session *session, nnf_tensor *y, const nnf_tensor *low,
                                 const nnf_tensor *high, double least, double most) {
    if (low)
        NNFI_TRY(nnfi_binary_run(session, NNF_MAX, y, low, y));
    else if (isfinite(least))
        NNFI_TRY(nnfi_binary_number(session, NNF_MAX, y, ceil(least), y));
    if (high) return nnfi_binary_run(session, NNF_MIN, y, high, y);
    return isfinite(most) ? nnfi_binary_number(session, NNF_MIN, y, floor(most), y) : NNF_OK;
}

/* Of integers: what little there is for them comes down to arithmetic with a constant. */
static nnf_status forward_integers(nnf_session *session, const nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor *y) {
    const nnf_activation_options *options = nnf_module_options(module);
    nnf_tensor *x = inputs[0];
    const nnf_tensor *low = nnfi_input_tensor(inputs, n_inputs, 1);
    const nnf_tensor *high = nnfi_input_tensor(inputs, n_inputs, 2);
    switch (options->kind) {
    case NNF_RELU:
        return nnfi_binary_number(session, NNF_MAX, x, 0, y);
    case NNF_NEG:
        return nnfi_binary_number(session, NNF_MUL, x, -1, y);
    case NNF_ABS:
        NNFI_TRY(nnfi_binary_number(session, NNF_MUL, x, -1, y));
        return nnfi_binary_run(session, NNF_MAX, y, x, y);
    case NNF_SIGN:
        NNFI_TRY(nnfi_binary_number(session, NNF_MIN, x, 1, y));
        return nnfi_binary_number(session, NNF_MAX, y, nnf_tensor_dtype(x) == NNF_U8 ? 0 : -1, y);
    case NNF_CLIP:
        NNFI_TRY(nnfi_copy_elements(y, x));
        return clamp_integers(session, y, low, high, options->alpha, options->beta);
    case NNF_RELU6: /* a Clip from 0 to 6 */
        NNFI_TRY(nnfi_copy_elements(y, x));
        return clamp_integers(session, y, NULL, NULL, 0, 6);
    default:
        return nnf_error(NNF_ERROR_DTYPE, "%s takes floating-point tensors, not %s",
                         nnf_module_type_name(module), nnf_dtype_name(nnf_tensor_dtype(x)));
    }
}

static nnf_status forward_activation(nnf_session *session, nnf_module *module,
                                     nnf_tensor *const *inputs, size_t n_inputs,
                                     nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    const nnf_activation_options *options = nnf_module_options(module);
    if (!nnf_dtype_is_float(nnf_tensor_dtype(inputs[0])))
        return forward_integers(session, module, inputs, n_inputs, outputs[0]);
    nnfi_activation_call call = {.dtype = nnf_tensor_dtype(inputs[0]),
                                 .n = nnf_tensor_numel(inputs[0]),
                                 .kind = options->kind,
                                 .alpha = options->alpha,
                                 .beta = options->beta};
    if (call.kind == NNF_CLIP) {
        NNFI_TRY(bound(&call.alpha, inputs, n_inputs, 1));
        NNFI_TRY(bound(&call.beta, inputs, n_inputs, 2));
    }
    NNFI_TRY(nnf_tensor_data(inputs[0], &call.x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &call.y));
    return nnfi_session_kernels(session)->activation(session, &call);
}

bool nnfi_activation_is_default(const nnf_module *module) {
    const nnf_activation_options *options = nnf_module_options(module);
    const struct activation_kind *kind = &kinds[options->kind];
    return (float)options->alpha == (float)kind->alpha && (float)options->beta == (float)kind->beta;
}

#define ROW_WITH(type_name, options, infer_function)                                           \
    {                                                                                          \
        .name = type_name, .options_size = sizeof(options), .infer = infer_function,           \
        .forward = forward_activation, .flags = NNF_TYPE_WIDENS_16_BIT | NNF_TYPE_ELEMENTWISE, \
    }
#define ROW(type_name, infer) ROW_WITH(type_name, nnf_activation_options, infer)
#define FLOAT(type_name) ROW(type_name, nnfi_infer_float_same)
#define NUMBER(type_name) ROW(type_name, infer_number_same)
static const nnf_module_type types[] = {
    NUMBER("ReLU"),
    ROW("ReLU6", infer_clip), /* an ONNX Clip whose bounds are 0 and 6 still has them */
    ROW("Clip", infer_clip),
    FLOAT("LeakyReLU"),
    NUMBER("Abs"),
    NUMBER("Neg"),
    NUMBER("Sign"),
    FLOAT("Sigmoid"),
    FLOAT("Tanh"),
    FLOAT("SiLU"),
    FLOAT("Hardswish"),
    FLOAT("Hardsigmoid"),
    FLOAT("GELU"),
    FLOAT("Sqrt"),
    FLOAT("Erf"),
    FLOAT("ELU"),
    FLOAT("SELU"),
    FLOAT("CELU"),
    FLOAT("Swish"),
    FLOAT("Mish"),
    FLOAT("Softplus"),
    FLOAT("Softsign"),
    FLOAT("ThresholdedReLU"),
    FLOAT("Shrink"),
    FLOAT("Reciprocal"),
    FLOAT("Exp"),
    FLOAT("Log"),
    FLOAT("Floor"),
    FLOAT("Ceil"),
    FLOAT("Round"),
    FLOAT("Sin"),
    FLOAT("Cos"),
    FLOAT("Tan"),
    FLOAT("Asin"),
    FLOAT("Acos"),
    FLOAT("Atan"),
    FLOAT("Sinh"),
    FLOAT("Cosh"),
    FLOAT("Asinh"),
    FLOAT("Acosh"),
    FLOAT("Atanh"),
};
const nnfi_type_family nnfi_activation_family = NNFI_TYPE_FAMILY(types);

#define LIFTED(type_name) ROW_WITH(type_name, nnfi_lifted_options, nnfi_infer_float_same)
static const nnf_module_type lifted[] = {
    LIFTED("SiLU"),      LIFTED("Swish"),       LIFTED("GELU"),      LIFTED("Mish"),
    LIFTED("Hardswish"), LIFTED("Hardsigmoid"), LIFTED("LeakyReLU"),
};
const nnfi_type_family nnfi_lifted_activation_family = NNFI_TYPE_FAMILY(lifted);
