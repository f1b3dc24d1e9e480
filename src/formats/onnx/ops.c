#include "formats/onnx/ops.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/memory.h"

#define LAST ONNX_NEWEST_OPSET
#define AT(struct_name, member) offsetof(struct_name, member)

/* ---- Attributes ---- */

static const nnfi_attribute_row no_attributes[] = {{.name = NULL}};

static const nnfi_attribute_row conv_attributes[] = {
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_conv_options, auto_pad), 0, false},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, dilation), 0, false},
    {"group", NNFI_ATTRIBUTE_INT, AT(nnf_conv_options, groups), 0, false},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, kernel_size), 0, false},
    {"output_padding", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, output_padding), 0, false},
    {"output_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, output_shape), 0, false},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_conv_options, padding_begin), 0, false},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, stride), 0, false},
    {.name = NULL},
};
_Static_assert(AT(nnf_conv_options, padding_end) ==
                   AT(nnf_conv_options, padding_begin) + NNF_MAX_SPATIAL * sizeof(int64_t),
               "NNFI_ATTRIBUTE_PADS needs the ends behind the begins");

static const nnfi_attribute_row gemm_attributes[] = {
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_gemm_options, alpha), 0, false},
    {"beta", NNFI_ATTRIBUTE_FLOAT, AT(nnf_gemm_options, beta), 0, false},
    {"transA", NNFI_ATTRIBUTE_BOOL, AT(nnf_gemm_options, trans_a), 0, false},
    {"transB", NNFI_ATTRIBUTE_BOOL, AT(nnf_gemm_options, trans_b), 0, false},
    {.name = NULL},
};

static const nnfi_attribute_row batchnorm_attributes[] = {
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_batchnorm_options, eps), 0, false},
    {"momentum", NNFI_ATTRIBUTE_MOMENTUM, AT(nnf_batchnorm_options, momentum), 0, false},
    {"training_mode", NNFI_ATTRIBUTE_BOOL, AT(nnf_batchnorm_options, training_mode), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row batchnorm_7_attributes[] = {
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_batchnorm_options, eps), 0, false},
    {"momentum", NNFI_ATTRIBUTE_MOMENTUM, AT(nnf_batchnorm_options, momentum), 0, false},
    {"spatial", NNFI_ATTRIBUTE_ONE, 0, 0, false},
    {.name = NULL},
};

static const nnfi_attribute_row alpha_attributes[] = {
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false},
    {"beta", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, beta), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row leaky_attributes[] = {
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row clip_6_attributes[] = {
    {"max", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, beta), 0, false},
    {"min", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row gelu_attributes[] = {
    {"approximate", NNFI_ATTRIBUTE_GELU, AT(nnf_activation_options, kind), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row softmax_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_softmax_options, axis), 0, false},
    {.name = NULL},
};

static const nnfi_attribute_row maxpool_attributes[] = {
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_pool_options, auto_pad), 0, false},
    {"ceil_mode", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, ceil_mode), 0, false},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, dilation), 0, false},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, kernel_size), 0, true},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_pool_options, padding_begin), 0, false},
    {"storage_order", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, column_major), 0, false},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, stride), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row avgpool_attributes[] = {
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_pool_options, auto_pad), 0, false},
    {"ceil_mode", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, ceil_mode), 0, false},
    {"count_include_pad", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, count_include_pad), 0, false},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, dilation), 0, false},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, kernel_size), 0, true},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_pool_options, padding_begin), 0, false},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, stride), 0, false},
    {.name = NULL},
};
_Static_assert(AT(nnf_pool_options, padding_end) ==
                   AT(nnf_pool_options, padding_begin) + NNF_MAX_SPATIAL * sizeof(int64_t),
               "NNFI_ATTRIBUTE_PADS needs the ends behind the begins");

static const nnfi_attribute_row flatten_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_flatten_options, start_dim), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row dropout_7_attributes[] = {
    {"ratio", NNFI_ATTRIBUTE_FLOAT, AT(nnf_dropout_options, p), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row dropout_12_attributes[] = {
    {"seed", NNFI_ATTRIBUTE_ANY, 0, 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row reduce_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_axes_options, axes), AT(nnf_axes_options, n_axes), false},
    {"keepdims", NNFI_ATTRIBUTE_BOOL, AT(nnf_axes_options, keepdims), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row reduce_18_attributes[] = {
    {"keepdims", NNFI_ATTRIBUTE_BOOL, AT(nnf_axes_options, keepdims), 0, false},
    {"noop_with_empty_axes", NNFI_ATTRIBUTE_BOOL, AT(nnf_axes_options, noop_with_empty_axes), 0,
     false},
    {.name = NULL},
};
static const nnfi_attribute_row squeeze_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_axes_options, axes), AT(nnf_axes_options, n_axes), false},
    {.name = NULL},
};
static const nnfi_attribute_row concat_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_axis_options, axis), 0, true},
    {.name = NULL},
};
static const nnfi_attribute_row gather_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_axis_options, axis), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row constant_attributes[] = {
    {"value", NNFI_ATTRIBUTE_VALUE, 0, 0, false},
    {"value_float", NNFI_ATTRIBUTE_VALUE, 0, 0, false},
    {"value_floats", NNFI_ATTRIBUTE_VALUE, 0, 0, false},
    {"value_int", NNFI_ATTRIBUTE_VALUE, 0, 0, false},
    {"value_ints", NNFI_ATTRIBUTE_VALUE, 0, 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row constant_of_shape_attributes[] = {
    {"value", NNFI_ATTRIBUTE_VALUE, 0, 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row shape_attributes[] = {
    {"end", NNFI_ATTRIBUTE_INT, AT(nnf_shape_options, end), 0, false},
    {"start", NNFI_ATTRIBUTE_INT, AT(nnf_shape_options, start), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row slice_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_slice_options, axes), AT(nnf_slice_options, n), false},
    {"ends", NNFI_ATTRIBUTE_LIST, AT(nnf_slice_options, ends), AT(nnf_slice_options, n), true},
    {"starts", NNFI_ATTRIBUTE_LIST, AT(nnf_slice_options, starts), AT(nnf_slice_options, n), true},
    {.name = NULL},
};
static const nnfi_attribute_row cast_attributes[] = {
    {"round_mode", NNFI_ATTRIBUTE_ANY, 0, 0, false},
    {"saturate", NNFI_ATTRIBUTE_ANY, 0, 0, false},
    {"to", NNFI_ATTRIBUTE_DTYPE, AT(nnf_cast_options, to), 0, true},
    {.name = NULL},
};
static const nnfi_attribute_row reshape_attributes[] = {
    {"allowzero", NNFI_ATTRIBUTE_BOOL, AT(nnf_reshape_options, allowzero), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row transpose_attributes[] = {
    {"perm", NNFI_ATTRIBUTE_LIST, AT(nnf_transpose_options, perm), AT(nnf_transpose_options, n),
     false},
    {.name = NULL},
};
static const nnfi_attribute_row pad_2_attributes[] = {
    {"mode", NNFI_ATTRIBUTE_PAD_MODE, AT(nnf_pad_options, kind), 0, false},
    {"pads", NNFI_ATTRIBUTE_PAD_LIST, AT(nnf_pad_options, pads), AT(nnf_pad_options, n), true},
    {"value", NNFI_ATTRIBUTE_FLOAT, AT(nnf_pad_options, value), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row pad_attributes[] = {
    {"mode", NNFI_ATTRIBUTE_PAD_MODE, AT(nnf_pad_options, kind), 0, false},
    {.name = NULL},
};

/* ---- Defaults ---- */

#define ONES \
    { 1, 1, 1 }
static const nnf_conv_options conv_defaults = {.groups = 1, .stride = ONES, .dilation = ONES};
static const nnf_conv_options convtranspose_defaults = {
    .transposed = true, .groups = 1, .stride = ONES, .dilation = ONES};
static const nnf_gemm_options gemm_defaults = {.alpha = 1, .beta = 1};
/* The defaults are floats in the standard, and 1 - 0.9 in floats is what a file says too. */
static const nnf_batchnorm_options batchnorm_defaults = {.eps = (double)1e-5f,
                                                         .momentum = 1 - (double)0.9f,
                                                         .affine = true,
                                                         .track_running_stats = true};
static const nnf_activation_options activation_defaults[NNF_ACTIVATION_COUNT] = {
    [NNF_RELU] = {NNF_RELU, 0, 0},
    [NNF_CLIP] = {NNF_CLIP, -INFINITY, INFINITY},
    [NNF_LEAKY_RELU] = {NNF_LEAKY_RELU, (double)0.01f, 0},
    [NNF_SIGMOID] = {NNF_SIGMOID, 0, 0},
    [NNF_TANH] = {NNF_TANH, 0, 0},
    [NNF_HARDSWISH] = {NNF_HARDSWISH, 0, 0},
    [NNF_HARDSIGMOID] = {NNF_HARDSIGMOID, (double)0.2f, 0.5},
    [NNF_GELU] = {NNF_GELU, 0, 0},
    [NNF_SQRT] = {NNF_SQRT, 0, 0},
    [NNF_ERF] = {NNF_ERF, 0, 0},
};
static const nnf_activation_options clip_6_defaults = {NNF_CLIP, -(double)FLT_MAX, (double)FLT_MAX};
static const nnf_softmax_options softmax_1_defaults = {1, true};
static const nnf_softmax_options softmax_13_defaults = {-1, false};
static const nnf_pool_options maxpool_defaults = {
    .stride = ONES, .dilation = ONES, .drop_last_outside = true};
static const nnf_pool_options avgpool_defaults = {
    .average = true, .stride = ONES, .dilation = ONES, .drop_last_outside = true};
static const nnf_global_pool_options global_average_defaults = {true};
static const nnf_flatten_options flatten_defaults = {1, -1, true};
static const nnf_dropout_options dropout_defaults = {.p = 0.5};
static const nnf_binary_options binary_defaults[NNF_BINARY_COUNT] = {
    {NNF_ADD}, {NNF_SUB}, {NNF_MUL}, {NNF_DIV}, {NNF_POW}};
static const nnf_axes_options axes_defaults = {.n_axes = -1, .keepdims = true};
static const nnf_shape_options shape_defaults = {0, NNF_SHAPE_TO_END};
static const nnf_slice_options slice_defaults = {.n = -1, .axes = {0, 1, 2, 3, 4, 5, 6, 7}};
static const nnf_transpose_options transpose_defaults = {.n = -1};
static const nnf_pad_options pad_defaults = {.n = -1};

/* ---- Completing options from a node's inputs ---- */

static bool is_known(const nnf_dim *dims, int first, int last) {
    for (int i = first; i < last; i++) {
        if (dims[i].symbol != 0 || dims[i].value < 0) return false;
    }
    return true;
}

/* The info of an input whose shape is wholly known; else NULL. */
static const nnf_type_info *static_input(const nnfi_node_call *call, size_t index) {
    const nnf_type_info *info = index < call->n_inputs ? call->inputs[index] : NULL;
    return info && info->ndim >= 0 && is_known(info->shape, 0, info->ndim) ? info : NULL;
}

static bool all_at_least(const int64_t *values, int n, int64_t least) {
    for (int i = 0; i < n; i++) {
        if (values[i] < least) return false;
    }
    return true;
}

static bool complete_conv(nnfi_node_call *call, nnfi_options *options) {
    nnf_conv_options *conv = &options->conv;
    const nnf_type_info *weight = static_input(call, 1);
    if (!weight || weight->ndim < 3 || weight->ndim > 2 + NNF_MAX_SPATIAL) return false;
    int spatial = weight->ndim - 2;
    if (call->spatial != 0 && call->spatial != spatial) return false;
    conv->spatial = spatial;
    for (int i = 0; i < spatial; i++) {
        int64_t size = weight->shape[2 + i].value;
        if (conv->kernel_size[i] != 0 && conv->kernel_size[i] != size) return false;
        conv->kernel_size[i] = size;
    }
    if (conv->groups < 1 || !all_at_least(conv->kernel_size, spatial, 1) ||
        !all_at_least(conv->stride, spatial, 1) || !all_at_least(conv->dilation, spatial, 1) ||
        !all_at_least(conv->padding_begin, spatial, 0) ||
        !all_at_least(conv->padding_end, spatial, 0) ||
        !all_at_least(conv->output_padding, spatial, 0) ||
        !all_at_least(conv->output_shape, spatial, 0)) {
        return false;
    }
    /* [out, in / groups, ...], transposed: [in, out / groups, ...] */
    int64_t first = weight->shape[0].value, second;
    if (!nnfi_mul(weight->shape[1].value, conv->groups, &second)) return false;
    conv->out_channels = conv->transposed ? second : first;
    conv->in_channels = conv->transposed ? first : second;
    if (first < 1 || second < 1 || first % conv->groups != 0) return false;
    snprintf(call->type, sizeof call->type, "Conv%s%dd", conv->transposed ? "Transpose" : "",
             spatial);
    return true;
}

/* A Linear where it says no more than one: y = x W (or x W^T) + b with b [out_features]. */
static bool complete_gemm(nnfi_node_call *call, nnfi_options *options) {
    const nnf_gemm_options gemm = options->gemm;
    const nnf_type_info *weight = static_input(call, 1), *bias = static_input(call, 2);
    bool has_bias = call->n_inputs > 2 && call->inputs[2];
    if (gemm.trans_a || gemm.alpha != 1 || gemm.beta != 1 || !weight || weight->ndim != 2) {
        return true;
    }
    int64_t out_features = weight->shape[gemm.trans_b ? 0 : 1].value;
    if (has_bias && (!bias || bias->ndim != 1 || bias->shape[0].value != out_features)) return true;
    memset(options, 0, sizeof *options);
    options->linear = (nnf_linear_options){weight->shape[gemm.trans_b ? 1 : 0].value, out_features,
                                           !gemm.trans_b};
    strcpy(call->type, "Linear");
    return true;
}

static bool complete_batchnorm(nnfi_node_call *call, nnfi_options *options) {
    const nnf_type_info *scale = static_input(call, 1);
    const nnf_type_info *x = call->n_inputs > 0 ? call->inputs[0] : NULL;
    int rank = x ? x->ndim : -1;
    if (!scale || scale->ndim != 1 || call->n_inputs != 5 || rank == 0 || rank == 1 || rank > 5) {
        return false;
    }
    if (call->n_outputs != 1 && !options->batchnorm.training_mode) return false;
    int spatial = rank < 0 ? 2 : rank == 2 ? 1 : rank - 2;
    options->batchnorm.spatial = spatial;
    options->batchnorm.num_features = scale->shape[0].value;
    snprintf(call->type, sizeof call->type, "BatchNorm%dd", spatial);
    return true;
}

static bool complete_pool(nnfi_node_call *call, nnfi_options *options) {
    nnf_pool_options *pool = &options->pool;
    pool->spatial = call->spatial;
    snprintf(call->type, sizeof call->type, "%sPool%dd", pool->average ? "Avg" : "Max",
             call->spatial);
    return all_at_least(pool->kernel_size, call->spatial, 1) &&
           all_at_least(pool->stride, call->spatial, 1) &&
           all_at_least(pool->dilation, call->spatial, 1) &&
           all_at_least(pool->padding_begin, call->spatial, 0) &&
           all_at_least(pool->padding_end, call->spatial, 0);
}

static bool constant_number(const nnfi_node_call *call, size_t index, double *value) {
    nnf_tensor *tensor = index < call->n_inputs ? call->constants[index] : NULL;
    uint64_t element = 0;
    if (!tensor || nnf_tensor_numel(tensor) != 1) return false;
    if (nnf_tensor_read(tensor, 0, 1, &element) != NNF_OK) return false;
    *value = nnfi_load_f64(nnf_tensor_dtype(tensor), &element, 0);
    return true;
}

static void name_clip(nnfi_node_call *call, nnf_activation_options *clip, double low, double high) {
    if (low != 0 || high != 6) return;
    *clip = (nnf_activation_options){NNF_RELU6, 0, 0};
    strcpy(call->type, "ReLU6");
}

static bool complete_clip_6(nnfi_node_call *call, nnfi_options *options) {
    name_clip(call, &options->activation, options->activation.alpha, options->activation.beta);
    return true;
}

static bool complete_clip(nnfi_node_call *call, nnfi_options *options) {
    nnf_activation_options *clip = &options->activation;
    constant_number(call, 1, &clip->alpha); /* inputs as well: a fused Clip runs without them */
    constant_number(call, 2, &clip->beta);
    name_clip(call, clip, clip->alpha, clip->beta);
    return true;
}

/* The mask that training wants is not given. */
static bool complete_dropout(nnfi_node_call *call, nnfi_options *options) {
    double ratio, training = 0;
    if (constant_number(call, 1, &ratio)) options->dropout.p = ratio;
    bool has_mode = call->n_inputs > 2 && call->inputs[2];
    if (has_mode && !constant_number(call, 2, &training)) return false;
    return call->n_outputs == 1 && training == 0;
}

static bool complete_constant(nnfi_node_call *call, nnfi_options *options) {
    (void)options;
    return call->value != NULL && call->n_outputs == 1;
}

static bool complete_constant_of_shape(nnfi_node_call *call, nnfi_options *options) {
    (void)options;
    return !call->value || nnf_tensor_numel(call->value) == 1;
}

/* ---- The table ---- */

#define ROW(op, first, last, type, options, attributes, defaults, complete) \
    { op, first, last, type, sizeof(options), attributes, defaults, complete }
#define ACTIVATION(op, first, type, kind, attributes) \
    ROW(op, first, LAST, type, nnf_activation_options, attributes, &activation_defaults[kind], NULL)
#define BINARY(op, kind) \
    ROW(op, 7, LAST, op, nnf_binary_options, no_attributes, &binary_defaults[kind], NULL)
#define PLAIN(op, type) \
    { op, 7, LAST, type, 0, no_attributes, NULL, NULL }

/* Sorted by name, and rows of one operator by opset. */
static const nnfi_onnx_op ops[] = {
    BINARY("Add", NNF_ADD),
    ROW("AveragePool", 7, LAST, "AvgPool#d", nnf_pool_options, avgpool_attributes,
        &avgpool_defaults, complete_pool),
    ROW("BatchNormalization", 7, 8, "BatchNorm#d", nnf_batchnorm_options, batchnorm_7_attributes,
        &batchnorm_defaults, complete_batchnorm),
    ROW("BatchNormalization", 9, LAST, "BatchNorm#d", nnf_batchnorm_options, batchnorm_attributes,
        &batchnorm_defaults, complete_batchnorm),
    ROW("Cast", 7, LAST, "Cast", nnf_cast_options, cast_attributes, NULL, NULL),
    ROW("Clip", 7, 10, "Clip", nnf_activation_options, clip_6_attributes, &clip_6_defaults,
        complete_clip_6),
    ROW("Clip", 11, LAST, "Clip", nnf_activation_options, no_attributes,
        &activation_defaults[NNF_CLIP], complete_clip),
    ROW("Concat", 7, LAST, "Concat", nnf_axis_options, concat_attributes, NULL, NULL),
    {"Constant", 7, LAST, "Constant", 0, constant_attributes, NULL, complete_constant},
    {"ConstantOfShape", 9, LAST, "ConstantOfShape", 0, constant_of_shape_attributes, NULL,
     complete_constant_of_shape},
    ROW("Conv", 7, LAST, "Conv#d", nnf_conv_options, conv_attributes, &conv_defaults,
        complete_conv),
    ROW("ConvTranspose", 7, LAST, "ConvTranspose#d", nnf_conv_options, conv_attributes,
        &convtranspose_defaults, complete_conv),
    BINARY("Div", NNF_DIV),
    ROW("Dropout", 7, 11, "Dropout", nnf_dropout_options, dropout_7_attributes, &dropout_defaults,
        complete_dropout),
    ROW("Dropout", 12, LAST, "Dropout", nnf_dropout_options, dropout_12_attributes,
        &dropout_defaults, complete_dropout),
    ACTIVATION("Erf", 9, "Erf", NNF_ERF, no_attributes),
    ROW("Flatten", 7, LAST, "Flatten", nnf_flatten_options, flatten_attributes, &flatten_defaults,
        NULL),
    ROW("Gather", 7, LAST, "Gather", nnf_axis_options, gather_attributes, NULL, NULL),
    ACTIVATION("Gelu", 20, "GELU", NNF_GELU, gelu_attributes),
    ROW("Gemm", 7, LAST, "Gemm", nnf_gemm_options, gemm_attributes, &gemm_defaults, complete_gemm),
    ROW("GlobalAveragePool", 7, LAST, "GlobalAveragePool", nnf_global_pool_options, no_attributes,
        &global_average_defaults, NULL),
    ROW("GlobalMaxPool", 7, LAST, "GlobalMaxPool", nnf_global_pool_options, no_attributes, NULL,
        NULL),
    ACTIVATION("HardSigmoid", 7, "Hardsigmoid", NNF_HARDSIGMOID, alpha_attributes),
    ACTIVATION("HardSwish", 14, "Hardswish", NNF_HARDSWISH, no_attributes),
    PLAIN("Identity", "Identity"),
    ACTIVATION("LeakyRelu", 7, "LeakyReLU", NNF_LEAKY_RELU, leaky_attributes),
    PLAIN("MatMul", "MatMul"),
    ROW("MaxPool", 7, LAST, "MaxPool#d", nnf_pool_options, maxpool_attributes, &maxpool_defaults,
        complete_pool),
    BINARY("Mul", NNF_MUL),
    ROW("Pad", 7, 10, "Pad", nnf_pad_options, pad_2_attributes, &pad_defaults, NULL),
    ROW("Pad", 11, LAST, "Pad", nnf_pad_options, pad_attributes, &pad_defaults, NULL),
    BINARY("Pow", NNF_POW),
    ROW("ReduceMean", 7, 17, "ReduceMean", nnf_axes_options, reduce_attributes, &axes_defaults,
        NULL),
    ROW("ReduceMean", 18, LAST, "ReduceMean", nnf_axes_options, reduce_18_attributes,
        &axes_defaults, NULL),
    ACTIVATION("Relu", 7, "ReLU", NNF_RELU, no_attributes),
    ROW("Reshape", 7, LAST, "Reshape", nnf_reshape_options, reshape_attributes, NULL, NULL),
    ROW("Shape", 7, LAST, "Shape", nnf_shape_options, shape_attributes, &shape_defaults, NULL),
    ACTIVATION("Sigmoid", 7, "Sigmoid", NNF_SIGMOID, no_attributes),
    ROW("Slice", 7, 9, "Slice", nnf_slice_options, slice_attributes, &slice_defaults, NULL),
    ROW("Slice", 10, LAST, "Slice", nnf_slice_options, no_attributes, &slice_defaults, NULL),
    ROW("Softmax", 7, 12, "Softmax", nnf_softmax_options, softmax_attributes, &softmax_1_defaults,
        NULL),
    ROW("Softmax", 13, LAST, "Softmax", nnf_softmax_options, softmax_attributes,
        &softmax_13_defaults, NULL),
    ACTIVATION("Sqrt", 7, "Sqrt", NNF_SQRT, no_attributes),
    ROW("Squeeze", 7, 12, "Squeeze", nnf_axes_options, squeeze_attributes, &axes_defaults, NULL),
    ROW("Squeeze", 13, LAST, "Squeeze", nnf_axes_options, no_attributes, &axes_defaults, NULL),
    BINARY("Sub", NNF_SUB),
    ACTIVATION("Tanh", 7, "Tanh", NNF_TANH, no_attributes),
    ROW("Transpose", 7, LAST, "Transpose", nnf_transpose_options, transpose_attributes,
        &transpose_defaults, NULL),
    ROW("Unsqueeze", 7, 12, "Unsqueeze", nnf_axes_options, squeeze_attributes, &axes_defaults,
        NULL),
    ROW("Unsqueeze", 13, LAST, "Unsqueeze", nnf_axes_options, no_attributes, &axes_defaults, NULL),
};
enum { N_OPS = sizeof ops / sizeof *ops };

static bool serves(const nnfi_onnx_op *op, int64_t opset) {
    return op->first_opset <= opset && opset <= op->last_opset;
}

const nnfi_onnx_op *nnfi_onnx_op_find(const char *op_type, size_t length, int64_t opset) {
    for (int i = 0; i < N_OPS; i++) {
        if (strlen(ops[i].op_type) == length && memcmp(ops[i].op_type, op_type, length) == 0 &&
            serves(&ops[i], opset)) {
            return &ops[i];
        }
    }
    return NULL;
}

/* "Conv2d" is what "Conv#d" stands for. */
static bool is_type(const char *pattern, const char *type) {
    for (; *pattern; pattern++, type++) {
        if (*pattern != *type && !(*pattern == '#' && *type >= '1' && *type <= '3')) return false;
    }
    return *type == '\0';
}

const nnfi_onnx_op *nnfi_onnx_op_of_type(const char *type, int64_t opset) {
    for (int i = 0; i < N_OPS; i++) {
        if (is_type(ops[i].type, type) && serves(&ops[i], opset)) return &ops[i];
    }
    return NULL;
}
