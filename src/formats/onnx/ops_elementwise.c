/* Operators that work on each element: arithmetic, comparisons, activations; and reductions. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "formats/onnx/ops.h"

#define ROW NNFI_ONNX_ROW
#define AT offsetof
#define LAST ONNX_NEWEST_OPSET

/* ---- Attributes ---- */

#define FIXES_ACTIVATION NNFI_ATTRIBUTE_FIXES(nnf_activation_options, kind)

static const nnfi_attribute_row activation_attributes[] = {
    FIXES_ACTIVATION,
    {.name = NULL},
};
static const nnfi_attribute_row binary_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_binary_options, kind),
    {.name = NULL},
};
static const nnfi_attribute_row alpha_beta_attributes[] = {
    FIXES_ACTIVATION,
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false, 0},
    {"beta", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, beta), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row alpha_attributes[] = {
    FIXES_ACTIVATION,
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row selu_attributes[] = {
    FIXES_ACTIVATION,
    {"alpha", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false, 0},
    {"gamma", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, beta), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row shrink_attributes[] = {
    FIXES_ACTIVATION,
    {"bias", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, beta), 0, false, 0},
    {"lambd", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row clip_6_attributes[] = {
    FIXES_ACTIVATION,
    {"max", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, beta), 0, false, 0},
    {"min", NNFI_ATTRIBUTE_FLOAT, AT(nnf_activation_options, alpha), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row gelu_attributes[] = {
    {"approximate", NNFI_ATTRIBUTE_GELU, AT(nnf_activation_options, kind), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row mod_attributes[] = {
    {"fmod", NNFI_ATTRIBUTE_BOOL, AT(nnf_binary_options, fmod), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row shift_attributes[] = {
    {"direction", NNFI_ATTRIBUTE_DIRECTION, AT(nnf_binary_options, kind), 0, true, 0},
    {.name = NULL},
};
static const nnfi_attribute_row isinf_attributes[] = {
    {"detect_negative", NNFI_ATTRIBUTE_BOOL, AT(nnf_isinf_options, negative), 0, false, 0},
    {"detect_positive", NNFI_ATTRIBUTE_BOOL, AT(nnf_isinf_options, positive), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row cast_like_attributes[] = {
    {"round_mode", NNFI_ATTRIBUTE_ANY, 0, 0, false, 24},
    {"saturate", NNFI_ATTRIBUTE_ANY, 0, 0, false, 19},
    {.name = NULL},
};
static const nnfi_attribute_row cast_attributes[] = {
    {"round_mode", NNFI_ATTRIBUTE_ANY, 0, 0, false, 24},
    {"saturate", NNFI_ATTRIBUTE_ANY, 0, 0, false, 19},
    {"to", NNFI_ATTRIBUTE_DTYPE, AT(nnf_cast_options, to), 0, true, 0},
    {.name = NULL},
};
static const nnfi_attribute_row reduce_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_axes_options, axes), AT(nnf_axes_options, n_axes), false,
     0},
    {"keepdims", NNFI_ATTRIBUTE_BOOL, AT(nnf_axes_options, keepdims), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row reduce_18_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_axes_options, n_axes),
    {"keepdims", NNFI_ATTRIBUTE_BOOL, AT(nnf_axes_options, keepdims), 0, false, 0},
    {"noop_with_empty_axes", NNFI_ATTRIBUTE_BOOL, AT(nnf_axes_options, noop_with_empty_axes), 0,
     false, 0},
    {.name = NULL},
};

/* ---- Defaults ---- */

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
    [NNF_ELU] = {NNF_ELU, 1, 0},
    [NNF_SELU] = {NNF_SELU, (double)1.67326319217681884765625f, (double)1.05070102214813232421875f},
    [NNF_CELU] = {NNF_CELU, 1, 0},
    [NNF_SWISH] = {NNF_SWISH, 1, 0},
    [NNF_MISH] = {NNF_MISH, 0, 0},
    [NNF_SOFTPLUS] = {NNF_SOFTPLUS, 0, 0},
    [NNF_SOFTSIGN] = {NNF_SOFTSIGN, 0, 0},
    [NNF_THRESHOLDED_RELU] = {NNF_THRESHOLDED_RELU, 1, 0},
    [NNF_SHRINK] = {NNF_SHRINK, 0.5, 0},
    [NNF_ABS] = {NNF_ABS, 0, 0},
    [NNF_NEG] = {NNF_NEG, 0, 0},
    [NNF_SIGN] = {NNF_SIGN, 0, 0},
    [NNF_RECIPROCAL] = {NNF_RECIPROCAL, 0, 0},
    [NNF_EXP] = {NNF_EXP, 0, 0},
    [NNF_LOG] = {NNF_LOG, 0, 0},
    [NNF_FLOOR] = {NNF_FLOOR, 0, 0},
    [NNF_CEIL] = {NNF_CEIL, 0, 0},
    [NNF_ROUND] = {NNF_ROUND, 0, 0},
    [NNF_SIN] = {NNF_SIN, 0, 0},
    [NNF_COS] = {NNF_COS, 0, 0},
    [NNF_TAN] = {NNF_TAN, 0, 0},
    [NNF_ASIN] = {NNF_ASIN, 0, 0},
    [NNF_ACOS] = {NNF_ACOS, 0, 0},
    [NNF_ATAN] = {NNF_ATAN, 0, 0},
    [NNF_SINH] = {NNF_SINH, 0, 0},
    [NNF_COSH] = {NNF_COSH, 0, 0},
    [NNF_ASINH] = {NNF_ASINH, 0, 0},
    [NNF_ACOSH] = {NNF_ACOSH, 0, 0},
    [NNF_ATANH] = {NNF_ATANH, 0, 0},
};
static const nnf_isinf_options isinf_defaults = {true, true};
static const nnf_activation_options clip_6_defaults = {NNF_CLIP, -(double)FLT_MAX, (double)FLT_MAX};
#define KIND(name) [name] = {.kind = (name)}
static const nnf_binary_options binary_defaults[NNF_BINARY_COUNT] = {
    KIND(NNF_ADD),           KIND(NNF_SUB),         KIND(NNF_MUL),
    KIND(NNF_DIV),           KIND(NNF_POW),         KIND(NNF_MOD),
    KIND(NNF_FMOD),          KIND(NNF_MIN),         KIND(NNF_MAX),
    KIND(NNF_PRELU),         KIND(NNF_EQUAL),       KIND(NNF_LESS),
    KIND(NNF_LESS_OR_EQUAL), KIND(NNF_GREATER),     KIND(NNF_GREATER_OR_EQUAL),
    KIND(NNF_AND),           KIND(NNF_OR),          KIND(NNF_XOR),
    KIND(NNF_BITWISE_AND),   KIND(NNF_BITWISE_OR),  KIND(NNF_BITWISE_XOR),
    KIND(NNF_SHIFT_LEFT),    KIND(NNF_SHIFT_RIGHT),
};
static const nnf_axes_options axes_defaults = {.n_axes = -1, .keepdims = true};

/* ---- Completing options from a node's inputs ---- */

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
    nnfi_constant_number(call, 1,
                         &clip->alpha); /* inputs as well: a fused Clip runs without them */
    nnfi_constant_number(call, 2, &clip->beta);
    name_clip(call, clip, clip->alpha, clip->beta);
    return true;
}

static bool complete_mod(nnfi_node_call *call, nnfi_options *options) {
    (void)call;
    if (options->binary.fmod) options->binary.kind = NNF_FMOD;
    return true;
}

/* ---- The rows ---- */

#define ACTIVATION(op, first, type, kind, attributes) \
    ROW(op, first, LAST, type, nnf_activation_options, attributes, &activation_defaults[kind], NULL)
#define UNARY(op, first, kind) ACTIVATION(op, first, op, kind, activation_attributes)
#define BINARY(op, first, kind) \
    ROW(op, first, LAST, op, nnf_binary_options, binary_attributes, &binary_defaults[kind], NULL)
#define PLAIN NNFI_ONNX_PLAIN

static const nnfi_onnx_op ops[] = {
    UNARY("Abs", 7, NNF_ABS),
    UNARY("Acos", 7, NNF_ACOS),
    UNARY("Acosh", 9, NNF_ACOSH),
    BINARY("Add", 7, NNF_ADD),
    BINARY("And", 7, NNF_AND),
    UNARY("Asin", 7, NNF_ASIN),
    UNARY("Asinh", 9, NNF_ASINH),
    UNARY("Atan", 7, NNF_ATAN),
    UNARY("Atanh", 9, NNF_ATANH),
    ROW("BitShift", 11, LAST, "BitShift", nnf_binary_options, shift_attributes,
        &binary_defaults[NNF_SHIFT_LEFT], NULL),
    BINARY("BitwiseAnd", 18, NNF_BITWISE_AND),
    PLAIN("BitwiseNot", 18, "BitwiseNot"),
    BINARY("BitwiseOr", 18, NNF_BITWISE_OR),
    BINARY("BitwiseXor", 18, NNF_BITWISE_XOR),
    ROW("Cast", 7, LAST, "Cast", nnf_cast_options, cast_attributes, NULL, NULL),
    {"CastLike", 15, LAST, "CastLike", 0, cast_like_attributes, NULL, NULL},
    UNARY("Ceil", 7, NNF_CEIL),
    ACTIVATION("Celu", 12, "CELU", NNF_CELU, alpha_attributes),
    ROW("Clip", 7, 10, "Clip", nnf_activation_options, clip_6_attributes, &clip_6_defaults,
        complete_clip_6),
    ROW("Clip", 11, LAST, "Clip", nnf_activation_options, activation_attributes,
        &activation_defaults[NNF_CLIP], complete_clip),
    UNARY("Cos", 7, NNF_COS),
    UNARY("Cosh", 9, NNF_COSH),
    BINARY("Div", 7, NNF_DIV),
    ACTIVATION("Elu", 7, "ELU", NNF_ELU, alpha_attributes),
    BINARY("Equal", 7, NNF_EQUAL),
    ACTIVATION("Erf", 9, "Erf", NNF_ERF, activation_attributes),
    UNARY("Exp", 7, NNF_EXP),
    UNARY("Floor", 7, NNF_FLOOR),
    ACTIVATION("Gelu", 20, "GELU", NNF_GELU, gelu_attributes),
    BINARY("Greater", 7, NNF_GREATER),
    BINARY("GreaterOrEqual", 12, NNF_GREATER_OR_EQUAL),
    ACTIVATION("HardSigmoid", 7, "Hardsigmoid", NNF_HARDSIGMOID, alpha_beta_attributes),
    ACTIVATION("HardSwish", 14, "Hardswish", NNF_HARDSWISH, activation_attributes),
    ROW("IsInf", 10, LAST, "IsInf", nnf_isinf_options, isinf_attributes, &isinf_defaults, NULL),
    PLAIN("IsNaN", 9, "IsNaN"),
    ACTIVATION("LeakyRelu", 7, "LeakyReLU", NNF_LEAKY_RELU, alpha_attributes),
    BINARY("Less", 7, NNF_LESS),
    BINARY("LessOrEqual", 12, NNF_LESS_OR_EQUAL),
    UNARY("Log", 7, NNF_LOG),
    BINARY("Max", 7, NNF_MAX),
    BINARY("Mean", 7, NNF_ADD),
    BINARY("Min", 7, NNF_MIN),
    UNARY("Mish", 18, NNF_MISH),
    ROW("Mod", 10, LAST, "Mod", nnf_binary_options, mod_attributes, &binary_defaults[NNF_MOD],
        complete_mod),
    BINARY("Mul", 7, NNF_MUL),
    UNARY("Neg", 7, NNF_NEG),
    PLAIN("Not", 7, "Not"),
    BINARY("Or", 7, NNF_OR),
    ROW("PRelu", 7, LAST, "PReLU", nnf_binary_options, binary_attributes,
        &binary_defaults[NNF_PRELU], NULL),
    BINARY("Pow", 7, NNF_POW),
    UNARY("Reciprocal", 7, NNF_RECIPROCAL),
    ROW("ReduceL1", 7, 17, "ReduceL1", nnf_axes_options, reduce_attributes, &axes_defaults, NULL),
    ROW("ReduceL1", 18, LAST, "ReduceL1", nnf_axes_options, reduce_18_attributes, &axes_defaults,
        NULL),
    ROW("ReduceL2", 7, 17, "ReduceL2", nnf_axes_options, reduce_attributes, &axes_defaults, NULL),
    ROW("ReduceL2", 18, LAST, "ReduceL2", nnf_axes_options, reduce_18_attributes, &axes_defaults,
        NULL),
    ROW("ReduceLogSum", 7, 17, "ReduceLogSum", nnf_axes_options, reduce_attributes, &axes_defaults,
        NULL),
    ROW("ReduceLogSum", 18, LAST, "ReduceLogSum", nnf_axes_options, reduce_18_attributes,
        &axes_defaults, NULL),
    ROW("ReduceLogSumExp", 7, 17, "ReduceLogSumExp", nnf_axes_options, reduce_attributes,
        &axes_defaults, NULL),
    ROW("ReduceLogSumExp", 18, LAST, "ReduceLogSumExp", nnf_axes_options, reduce_18_attributes,
        &axes_defaults, NULL),
    ROW("ReduceMax", 7, 17, "ReduceMax", nnf_axes_options, reduce_attributes, &axes_defaults, NULL),
    ROW("ReduceMax", 18, LAST, "ReduceMax", nnf_axes_options, reduce_18_attributes, &axes_defaults,
        NULL),
    ROW("ReduceMean", 7, 17, "ReduceMean", nnf_axes_options, reduce_attributes, &axes_defaults,
        NULL),
    ROW("ReduceMean", 18, LAST, "ReduceMean", nnf_axes_options, reduce_18_attributes,
        &axes_defaults, NULL),
    ROW("ReduceMin", 7, 17, "ReduceMin", nnf_axes_options, reduce_attributes, &axes_defaults, NULL),
    ROW("ReduceMin", 18, LAST, "ReduceMin", nnf_axes_options, reduce_18_attributes, &axes_defaults,
        NULL),
    ROW("ReduceProd", 7, 17, "ReduceProd", nnf_axes_options, reduce_attributes, &axes_defaults,
        NULL),
    ROW("ReduceProd", 18, LAST, "ReduceProd", nnf_axes_options, reduce_18_attributes,
        &axes_defaults, NULL),
    ROW("ReduceSum", 7, 12, "ReduceSum", nnf_axes_options, reduce_attributes, &axes_defaults, NULL),
    ROW("ReduceSum", 13, LAST, "ReduceSum", nnf_axes_options, reduce_18_attributes, &axes_defaults,
        NULL),
    ROW("ReduceSumSquare", 7, 17, "ReduceSumSquare", nnf_axes_options, reduce_attributes,
        &axes_defaults, NULL),
    ROW("ReduceSumSquare", 18, LAST, "ReduceSumSquare", nnf_axes_options, reduce_18_attributes,
        &axes_defaults, NULL),
    ACTIVATION("Relu", 7, "ReLU", NNF_RELU, activation_attributes),
    UNARY("Round", 11, NNF_ROUND),
    ACTIVATION("Selu", 7, "SELU", NNF_SELU, selu_attributes),
    ACTIVATION("Shrink", 9, "Shrink", NNF_SHRINK, shrink_attributes),
    ACTIVATION("Sigmoid", 7, "Sigmoid", NNF_SIGMOID, activation_attributes),
    UNARY("Sign", 9, NNF_SIGN),
    UNARY("Sin", 7, NNF_SIN),
    UNARY("Sinh", 9, NNF_SINH),
    UNARY("Softplus", 7, NNF_SOFTPLUS),
    UNARY("Softsign", 7, NNF_SOFTSIGN),
    ACTIVATION("Sqrt", 7, "Sqrt", NNF_SQRT, activation_attributes),
    BINARY("Sub", 7, NNF_SUB),
    BINARY("Sum", 7, NNF_ADD),
    ACTIVATION("Swish", 24, "Swish", NNF_SWISH, alpha_attributes),
    UNARY("Tan", 7, NNF_TAN),
    ACTIVATION("Tanh", 7, "Tanh", NNF_TANH, activation_attributes),
    ACTIVATION("ThresholdedRelu", 10, "ThresholdedReLU", NNF_THRESHOLDED_RELU, alpha_attributes),
    PLAIN("Where", 9, "Where"),
    BINARY("Xor", 7, NNF_XOR),
};
const nnfi_onnx_table nnfi_onnx_elementwise = NNFI_ONNX_TABLE(ops);
