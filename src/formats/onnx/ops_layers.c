/* Operators that are layers: convolutions, pools, normalizations, matrix products. */
#include <stdio.h>
#include <string.h>

#include "formats/onnx/ops.h"
#include "support/memory.h"

#define ROW NNFI_ONNX_ROW
#define AT offsetof
#define LAST ONNX_NEWEST_OPSET

/* ---- Attributes ---- */

static const nnfi_attribute_row conv_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_conv_options, padding_mode),
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_conv_options, auto_pad), 0, false, 0},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, dilation), 0, false, 0},
    {"group", NNFI_ATTRIBUTE_INT, AT(nnf_conv_options, groups), 0, false, 0},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, kernel_size), 0, false, 0},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_conv_options, padding_begin), 0, false, 0},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, stride), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row convtranspose_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_conv_options, padding_mode),
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_conv_options, auto_pad), 0, false, 0},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, dilation), 0, false, 0},
    {"group", NNFI_ATTRIBUTE_INT, AT(nnf_conv_options, groups), 0, false, 0},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, kernel_size), 0, false, 0},
    {"output_padding", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, output_padding), 0, false, 0},
    {"output_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, output_shape), 0, false, 0},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_conv_options, padding_begin), 0, false, 0},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_conv_options, stride), 0, false, 0},
    {.name = NULL},
};
_Static_assert(AT(nnf_conv_options, padding_end) ==
                   AT(nnf_conv_options, padding_begin) + NNF_MAX_SPATIAL * sizeof(int64_t),
               "NNFI_ATTRIBUTE_PADS needs the ends behind the begins");

static const nnfi_attribute_row gemm_attributes[] = {
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_gemm_options, alpha), 0, false, 0},
    {"beta", NNFI_ATTRIBUTE_FLOAT, AT(nnf_gemm_options, beta), 0, false, 0},
    {"transA", NNFI_ATTRIBUTE_BOOL, AT(nnf_gemm_options, trans_a), 0, false, 0},
    {"transB", NNFI_ATTRIBUTE_BOOL, AT(nnf_gemm_options, trans_b), 0, false, 0},
    {.name = NULL},
};

static const nnfi_attribute_row batchnorm_attributes[] = {
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_batchnorm_options, eps), 0, false, 0},
    {"momentum", NNFI_ATTRIBUTE_MOMENTUM, AT(nnf_batchnorm_options, momentum), 0, false, 0},
    {"training_mode", NNFI_ATTRIBUTE_BOOL, AT(nnf_batchnorm_options, training_mode), 0, false, 14},
    {.name = NULL},
};
static const nnfi_attribute_row batchnorm_7_attributes[] = {
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_batchnorm_options, eps), 0, false, 0},
    {"momentum", NNFI_ATTRIBUTE_MOMENTUM, AT(nnf_batchnorm_options, momentum), 0, false, 0},
    {"spatial", NNFI_ATTRIBUTE_ONE, 0, 0, false, 0},
    {.name = NULL},
};

static const nnfi_attribute_row softmax_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_softmax_options, flatten_from_axis),
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_softmax_options, axis), 0, false, 0},
    {.name = NULL},
};

static const nnfi_attribute_row maxpool_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_pool_options, average),
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_pool_options, auto_pad), 0, false, 0},
    {"ceil_mode", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, ceil_mode), 0, false, 10},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, dilation), 0, false, 10},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, kernel_size), 0, true, 0},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_pool_options, padding_begin), 0, false, 0},
    {"storage_order", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, column_major), 0, false, 8},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, stride), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row avgpool_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_pool_options, average),
    {"auto_pad", NNFI_ATTRIBUTE_AUTO_PAD, AT(nnf_pool_options, auto_pad), 0, false, 0},
    {"ceil_mode", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, ceil_mode), 0, false, 10},
    {"count_include_pad", NNFI_ATTRIBUTE_BOOL, AT(nnf_pool_options, count_include_pad), 0, false,
     0},
    {"dilations", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, dilation), 0, false, 19},
    {"kernel_shape", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, kernel_size), 0, true, 0},
    {"pads", NNFI_ATTRIBUTE_PADS, AT(nnf_pool_options, padding_begin), 0, false, 0},
    {"strides", NNFI_ATTRIBUTE_SPATIAL, AT(nnf_pool_options, stride), 0, false, 0},
    {.name = NULL},
};
_Static_assert(AT(nnf_pool_options, padding_end) ==
                   AT(nnf_pool_options, padding_begin) + NNF_MAX_SPATIAL * sizeof(int64_t),
               "NNFI_ATTRIBUTE_PADS needs the ends behind the begins");

static const nnfi_attribute_row global_pool_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_global_pool_options, average),
    {.name = NULL},
};

static const nnfi_attribute_row flatten_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_flatten_options, start_dim), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row dropout_7_attributes[] = {
    {"ratio", NNFI_ATTRIBUTE_FLOAT, AT(nnf_dropout_options, p), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row dropout_12_attributes[] = {
    {"seed", NNFI_ATTRIBUTE_ANY, 0, 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row pad_2_attributes[] = {
    {"mode", NNFI_ATTRIBUTE_PAD_MODE, AT(nnf_pad_options, kind), 0, false, 0},
    {"pads", NNFI_ATTRIBUTE_PAD_LIST, AT(nnf_pad_options, pads), AT(nnf_pad_options, n), true, 0},
    {"value", NNFI_ATTRIBUTE_FLOAT, AT(nnf_pad_options, value), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row pad_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_pad_options, n),
    NNFI_ATTRIBUTE_FIXES(nnf_pad_options, value),
    {"mode", NNFI_ATTRIBUTE_PAD_MODE, AT(nnf_pad_options, kind), 0, false, 0},
    {.name = NULL},
};

static const nnfi_attribute_row layer_norm_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_norm_options, centred),
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_norm_options, axis), 0, false, 0},
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_norm_options, eps), 0, false, 0},
    {"stash_type", NNFI_ATTRIBUTE_ONE, 0, 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row instance_norm_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_norm_options, groups),
    NNFI_ATTRIBUTE_FIXES(nnf_norm_options, scale_of_groups),
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_norm_options, eps), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row group_norm_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_norm_options, scale_of_groups),
    {"epsilon", NNFI_ATTRIBUTE_FLOAT, AT(nnf_norm_options, eps), 0, false, 0},
    {"num_groups", NNFI_ATTRIBUTE_INT, AT(nnf_norm_options, groups), 0, true, 0},
    {"stash_type", NNFI_ATTRIBUTE_ONE, 0, 0, false, 21},
    {.name = NULL},
};
static const nnfi_attribute_row lp_norm_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_lp_norm_options, axis), 0, false, 0},
    {"p", NNFI_ATTRIBUTE_INT, AT(nnf_lp_norm_options, p), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row lrn_attributes[] = {
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_lrn_options, alpha), 0, false, 0},
    {"beta", NNFI_ATTRIBUTE_FLOAT, AT(nnf_lrn_options, beta), 0, false, 0},
    {"bias", NNFI_ATTRIBUTE_FLOAT, AT(nnf_lrn_options, bias), 0, false, 0},
    {"size", NNFI_ATTRIBUTE_INT, AT(nnf_lrn_options, size), 0, true, 0},
    {.name = NULL},
};
static const nnfi_attribute_row resize_10_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_resize_options, coordinates),
    NNFI_ATTRIBUTE_FIXES(nnf_resize_options, nearest),
    NNFI_ATTRIBUTE_FIXES(nnf_resize_options, antialias),
    NNFI_ATTRIBUTE_FIXES(nnf_resize_options, n_axes),
    NNFI_ATTRIBUTE_FIXES(nnf_resize_options, scales_first),
    {"mode", NNFI_ATTRIBUTE_RESIZE_MODE, AT(nnf_resize_options, mode), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row resize_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_resize_options, scales_first),
    {"antialias", NNFI_ATTRIBUTE_BOOL, AT(nnf_resize_options, antialias), 0, false, 18},
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_resize_options, axes), AT(nnf_resize_options, n_axes),
     false, 18},
    {"coordinate_transformation_mode", NNFI_ATTRIBUTE_COORDINATES,
     AT(nnf_resize_options, coordinates), 0, false, 0},
    {"cubic_coeff_a", NNFI_ATTRIBUTE_FLOAT, AT(nnf_resize_options, cubic_a), 0, false, 0},
    {"exclude_outside", NNFI_ATTRIBUTE_BOOL, AT(nnf_resize_options, exclude_outside), 0, false, 0},
    {"extrapolation_value", NNFI_ATTRIBUTE_FLOAT, AT(nnf_resize_options, extrapolation_value), 0,
     false, 0},
    {"keep_aspect_ratio_policy", NNFI_ATTRIBUTE_POLICY, AT(nnf_resize_options, policy), 0, false,
     18},
    {"mode", NNFI_ATTRIBUTE_RESIZE_MODE, AT(nnf_resize_options, mode), 0, false, 0},
    {"nearest_mode", NNFI_ATTRIBUTE_NEAREST, AT(nnf_resize_options, nearest), 0, false, 0},
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
static const nnf_softmax_options softmax_1_defaults = {1, true};
static const nnf_softmax_options softmax_13_defaults = {-1, false};
static const nnf_pool_options maxpool_defaults = {
    .stride = ONES, .dilation = ONES, .drop_last_outside = true};
static const nnf_pool_options avgpool_defaults = {
    .average = true, .stride = ONES, .dilation = ONES, .drop_last_outside = true};
static const nnf_global_pool_options global_average_defaults = {true};
static const nnf_flatten_options flatten_defaults = {1, -1, true};
static const nnf_dropout_options dropout_defaults = {.p = 0.5};
static const nnf_pad_options pad_defaults = {.n = -1};

static const nnf_norm_options layer_norm_defaults = {
    .axis = -1, .eps = (double)1e-5f, .centred = true};
static const nnf_norm_options rms_norm_defaults = {.axis = -1, .eps = (double)1e-5f};
static const nnf_norm_options group_norm_18_defaults = {.eps = (double)1e-5f,
                                                        .scale_of_groups = true};
static const nnf_norm_options group_norm_defaults = {.eps = (double)1e-5f};
static const nnf_lp_norm_options lp_norm_defaults = {-1, 2};
static const nnf_lrn_options lrn_defaults = {0, (double)0.0001f, 0.75, 1};
/* What Upsample did, and Resize when it was new. */
static const nnf_resize_options resize_10_defaults = {.coordinates = NNF_RESIZE_ASYMMETRIC,
                                                      .nearest = NNF_RESIZE_FLOOR,
                                                      .scales_first = true,
                                                      .n_axes = -1,
                                                      .n_scales = -1};
static const nnf_resize_options resize_defaults = {.cubic_a = -0.75, .n_axes = -1, .n_scales = -1};

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
    call->rank = weight->ndim;
    snprintf(call->type, sizeof call->type, "Conv%s%dd", conv->transposed ? "Transpose" : "",
             spatial);
    return true;
}

/* A Linear where it says no more than one: y = x W (or x W^T) + b with b [out_features]. */
static bool complete_gemm(nnfi_node_call *call, nnfi_options *options) {
    const nnf_gemm_options gemm = options->gemm;
    const nnf_type_info *weight = static_input(call, 1), *bias = static_input(call, 2);
    bool has_bias = call->n_inputs > 2 && call->inputs[2];
    call->rank = 2;
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

/* Training that drops nothing is as good as none: torchvision's Swin transformers are exported with
 * it. */
static bool complete_dropout(nnfi_node_call *call, nnfi_options *options) {
    double training = 0;
    (void)nnfi_constant_number(call, 1, &options->dropout.p);
    bool has_mode = call->n_inputs > 2 && call->inputs[2];
    if (has_mode && !nnfi_constant_number(call, 2, &training)) return false;
    return training == 0 || options->dropout.p == 0;
}

/* Before opset 12 the mask is of no dtype in particular. */
static bool complete_dropout_7(nnfi_node_call *call, nnfi_options *options) {
    (void)options;
    return call->n_outputs == 1;
}

static bool complete_group_norm(nnfi_node_call *call, nnfi_options *options) {
    (void)call;
    return options->norm.groups > 0;
}

static bool complete_lp_norm(nnfi_node_call *call, nnfi_options *options) {
    (void)call;
    return options->lp_norm.p == 1 || options->lp_norm.p == 2;
}

static bool complete_lrn(nnfi_node_call *call, nnfi_options *options) {
    (void)call;
    return options->lrn.size > 0;
}

/* Scales that are known are options too: infer sees no floats. */
static bool complete_resize(nnfi_node_call *call, nnfi_options *options) {
    nnf_resize_options *resize = &options->resize;
    size_t index = resize->scales_first ? 1 : 2;
    const nnf_tensor *scales = index < call->n_inputs ? call->numbers[index] : NULL;
    float values[NNF_MAX_DIMS];
    if (!scales || nnf_tensor_dtype(scales) != NNF_F32) return true;
    int64_t n = nnf_tensor_numel(scales);
    if (n < 1 || n > NNF_MAX_DIMS || nnf_tensor_read(scales, 0, n, values) != NNF_OK) return true;
    for (int i = 0; i < n; i++)
        resize->scales[i] = (double)values[i];
    resize->n_scales = (int)n;
    return true;
}

/* ---- The rows ---- */

static const nnfi_onnx_op ops[] = {
    ROW("AveragePool", 7, LAST, "AvgPool#d", nnf_pool_options, avgpool_attributes,
        &avgpool_defaults, complete_pool),
    ROW("BatchNormalization", 7, 8, "BatchNorm#d", nnf_batchnorm_options, batchnorm_7_attributes,
        &batchnorm_defaults, complete_batchnorm),
    ROW("BatchNormalization", 9, LAST, "BatchNorm#d", nnf_batchnorm_options, batchnorm_attributes,
        &batchnorm_defaults, complete_batchnorm),
    ROW("Conv", 7, LAST, "Conv#d", nnf_conv_options, conv_attributes, &conv_defaults,
        complete_conv),
    ROW("ConvTranspose", 7, LAST, "ConvTranspose#d", nnf_conv_options, convtranspose_attributes,
        &convtranspose_defaults, complete_conv),
    ROW("Dropout", 7, 11, "Dropout", nnf_dropout_options, dropout_7_attributes, &dropout_defaults,
        complete_dropout_7),
    ROW("Dropout", 12, LAST, "Dropout", nnf_dropout_options, dropout_12_attributes,
        &dropout_defaults, complete_dropout),
    ROW("Flatten", 7, LAST, "Flatten", nnf_flatten_options, flatten_attributes, &flatten_defaults,
        NULL),
    ROW("Gemm", 7, LAST, "Gemm", nnf_gemm_options, gemm_attributes, &gemm_defaults, complete_gemm),
    ROW("GlobalAveragePool", 7, LAST, "GlobalAveragePool", nnf_global_pool_options,
        global_pool_attributes, &global_average_defaults, NULL),
    ROW("GlobalMaxPool", 7, LAST, "GlobalMaxPool", nnf_global_pool_options, global_pool_attributes,
        NULL, NULL),
    ROW("GroupNormalization", 18, 20, "GroupNorm", nnf_norm_options, group_norm_attributes,
        &group_norm_18_defaults, complete_group_norm),
    ROW("GroupNormalization", 21, LAST, "GroupNorm", nnf_norm_options, group_norm_attributes,
        &group_norm_defaults, complete_group_norm),
    ROW("Hardmax", 7, 12, "Hardmax", nnf_softmax_options, softmax_attributes, &softmax_1_defaults,
        NULL),
    ROW("Hardmax", 13, LAST, "Hardmax", nnf_softmax_options, softmax_attributes,
        &softmax_13_defaults, NULL),
    ROW("InstanceNormalization", 7, LAST, "InstanceNorm", nnf_norm_options,
        instance_norm_attributes, &group_norm_defaults, NULL),
    ROW("LRN", 7, LAST, "LRN", nnf_lrn_options, lrn_attributes, &lrn_defaults, complete_lrn),
    ROW("LayerNormalization", 17, LAST, "LayerNorm", nnf_norm_options, layer_norm_attributes,
        &layer_norm_defaults, NULL),
    ROW("LogSoftmax", 7, 12, "LogSoftmax", nnf_softmax_options, softmax_attributes,
        &softmax_1_defaults, NULL),
    ROW("LogSoftmax", 13, LAST, "LogSoftmax", nnf_softmax_options, softmax_attributes,
        &softmax_13_defaults, NULL),
    ROW("LpNormalization", 7, LAST, "LpNormalization", nnf_lp_norm_options, lp_norm_attributes,
        &lp_norm_defaults, complete_lp_norm),
    NNFI_ONNX_PLAIN("MatMul", 7, "MatMul"),
    ROW("MaxPool", 7, LAST, "MaxPool#d", nnf_pool_options, maxpool_attributes, &maxpool_defaults,
        complete_pool),
    ROW("Pad", 7, 10, "Pad", nnf_pad_options, pad_2_attributes, &pad_defaults, NULL),
    ROW("Pad", 11, LAST, "Pad", nnf_pad_options, pad_attributes, &pad_defaults, NULL),
    ROW("RMSNormalization", 23, LAST, "RMSNorm", nnf_norm_options, layer_norm_attributes,
        &rms_norm_defaults, NULL),
    ROW("Resize", 10, 10, "Resize", nnf_resize_options, resize_10_attributes, &resize_10_defaults,
        complete_resize),
    ROW("Resize", 11, LAST, "Resize", nnf_resize_options, resize_attributes, &resize_defaults,
        complete_resize),
    ROW("Softmax", 7, 12, "Softmax", nnf_softmax_options, softmax_attributes, &softmax_1_defaults,
        NULL),
    ROW("Softmax", 13, LAST, "Softmax", nnf_softmax_options, softmax_attributes,
        &softmax_13_defaults, NULL),
    ROW("Upsample", 9, 9, "Resize", nnf_resize_options, resize_10_attributes, &resize_10_defaults,
        complete_resize),
};
const nnfi_onnx_table nnfi_onnx_layers = NNFI_ONNX_TABLE(ops);
