/* Operators that make, move and select elements, and those that tell shapes. */
#include "formats/onnx/ops.h"

#define ROW NNFI_ONNX_ROW
#define AT offsetof
#define LAST ONNX_NEWEST_OPSET

/* ---- Attributes ---- */

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
static const nnfi_attribute_row reshape_attributes[] = {
    {"allowzero", NNFI_ATTRIBUTE_BOOL, AT(nnf_reshape_options, allowzero), 0, false},
    {.name = NULL},
};
static const nnfi_attribute_row transpose_attributes[] = {
    {"perm", NNFI_ATTRIBUTE_LIST, AT(nnf_transpose_options, perm), AT(nnf_transpose_options, n),
     false},
    {.name = NULL},
};

/* ---- Defaults ---- */

static const nnf_axes_options axes_defaults = {.n_axes = -1, .keepdims = true};
static const nnf_shape_options shape_defaults = {0, NNF_SHAPE_TO_END};
static const nnf_slice_options slice_defaults = {.n = -1, .axes = {0, 1, 2, 3, 4, 5, 6, 7}};
static const nnf_transpose_options transpose_defaults = {.n = -1};

/* ---- Completing options from a node's inputs ---- */

static bool complete_constant(nnfi_node_call *call, nnfi_options *options) {
    (void)options;
    return call->value != NULL && call->n_outputs == 1;
}

static bool complete_constant_of_shape(nnfi_node_call *call, nnfi_options *options) {
    (void)options;
    return !call->value || nnf_tensor_numel(call->value) == 1;
}

/* ---- The rows ---- */

#define PLAIN NNFI_ONNX_PLAIN
static const nnfi_onnx_op ops[] = {
    ROW("Concat", 7, LAST, "Concat", nnf_axis_options, concat_attributes, NULL, NULL),
    {"Constant", 7, LAST, "Constant", 0, constant_attributes, NULL, complete_constant},
    {"ConstantOfShape", 9, LAST, "ConstantOfShape", 0, constant_of_shape_attributes, NULL,
     complete_constant_of_shape},
    ROW("Gather", 7, LAST, "Gather", nnf_axis_options, gather_attributes, NULL, NULL),
    PLAIN("Identity", 7, "Identity"),
    ROW("Reshape", 7, LAST, "Reshape", nnf_reshape_options, reshape_attributes, NULL, NULL),
    ROW("Shape", 7, LAST, "Shape", nnf_shape_options, shape_attributes, &shape_defaults, NULL),
    ROW("Slice", 7, 9, "Slice", nnf_slice_options, slice_attributes, &slice_defaults, NULL),
    ROW("Slice", 10, LAST, "Slice", nnf_slice_options, nnfi_no_attributes, &slice_defaults, NULL),
    ROW("Squeeze", 7, 12, "Squeeze", nnf_axes_options, squeeze_attributes, &axes_defaults, NULL),
    ROW("Squeeze", 13, LAST, "Squeeze", nnf_axes_options, nnfi_no_attributes, &axes_defaults, NULL),
    ROW("Transpose", 7, LAST, "Transpose", nnf_transpose_options, transpose_attributes,
        &transpose_defaults, NULL),
    ROW("Unsqueeze", 7, 12, "Unsqueeze", nnf_axes_options, squeeze_attributes, &axes_defaults,
        NULL),
    ROW("Unsqueeze", 13, LAST, "Unsqueeze", nnf_axes_options, nnfi_no_attributes, &axes_defaults,
        NULL),
};
const nnfi_onnx_table nnfi_onnx_tensors = NNFI_ONNX_TABLE(ops);
