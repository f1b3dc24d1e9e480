/* Operators that make, move and select elements, and those that tell shapes. */
#include "formats/onnx/ops.h"

#define ROW NNFI_ONNX_ROW
#define AT offsetof
#define LAST ONNX_NEWEST_OPSET

/* ---- Attributes ---- */

static const nnfi_attribute_row squeeze_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_axes_options, axes), AT(nnf_axes_options, n_axes), false,
     0},
    {.name = NULL},
};
static const nnfi_attribute_row unsqueeze_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_axes_options, axes), AT(nnf_axes_options, n_axes), true,
     0},
    {.name = NULL},
};
static const nnfi_attribute_row squeeze_13_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_axes_options, n_axes),
    {.name = NULL},
};
static const nnfi_attribute_row concat_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_axis_options, axis), 0, true, 0},
    {.name = NULL},
};
static const nnfi_attribute_row gather_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_axis_options, axis), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row constant_attributes[] = {
    {"value", NNFI_ATTRIBUTE_VALUE, 0, 0, false, 0},
    {"value_float", NNFI_ATTRIBUTE_VALUE_FLOAT, 0, 0, false, 12},
    {"value_floats", NNFI_ATTRIBUTE_VALUE_FLOATS, 0, 0, false, 12},
    {"value_int", NNFI_ATTRIBUTE_VALUE_INT, 0, 0, false, 12},
    {"value_ints", NNFI_ATTRIBUTE_VALUE_INTS, 0, 0, false, 12},
    {.name = NULL},
};
static const nnfi_attribute_row constant_of_shape_attributes[] = {
    {"value", NNFI_ATTRIBUTE_VALUE, 0, 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row shape_attributes[] = {
    {"end", NNFI_ATTRIBUTE_INT, AT(nnf_shape_options, end), 0, false, 15},
    {"start", NNFI_ATTRIBUTE_INT, AT(nnf_shape_options, start), 0, false, 15},
    {.name = NULL},
};
static const nnfi_attribute_row slice_attributes[] = {
    {"axes", NNFI_ATTRIBUTE_LIST, AT(nnf_slice_options, axes), AT(nnf_slice_options, n), false, 0},
    {"ends", NNFI_ATTRIBUTE_LIST, AT(nnf_slice_options, ends), AT(nnf_slice_options, n), true, 0},
    {"starts", NNFI_ATTRIBUTE_LIST, AT(nnf_slice_options, starts), AT(nnf_slice_options, n), true,
     0},
    {.name = NULL},
};
static const nnfi_attribute_row slice_10_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_slice_options, n),
    {.name = NULL},
};
static const nnfi_attribute_row reshape_attributes[] = {
    {"allowzero", NNFI_ATTRIBUTE_BOOL, AT(nnf_reshape_options, allowzero), 0, false, 14},
    {.name = NULL},
};
static const nnfi_attribute_row transpose_attributes[] = {
    {"perm", NNFI_ATTRIBUTE_LIST, AT(nnf_transpose_options, perm), AT(nnf_transpose_options, n),
     false, 0},
    {.name = NULL},
};

static const nnfi_attribute_row arg_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_arg_options, axis), 0, false, 0},
    {"keepdims", NNFI_ATTRIBUTE_BOOL, AT(nnf_arg_options, keepdims), 0, false, 0},
    {"select_last_index", NNFI_ATTRIBUTE_BOOL, AT(nnf_arg_options, select_last_index), 0, false,
     12},
    {.name = NULL},
};
static const nnfi_attribute_row top_k_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_top_k_options, axis), 0, false, 0},
    {"largest", NNFI_ATTRIBUTE_BOOL, AT(nnf_top_k_options, largest), 0, false, 11},
    {"sorted", NNFI_ATTRIBUTE_ANY, 0, 0, false, 11},
    {.name = NULL},
};
static const nnfi_attribute_row split_7_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_split_options, axis), 0, false, 0},
    {"split", NNFI_ATTRIBUTE_PAD_LIST, AT(nnf_split_options, sizes), AT(nnf_split_options, n),
     false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row split_attributes[] = {
    NNFI_ATTRIBUTE_FIXES(nnf_split_options, n),
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_split_options, axis), 0, false, 0},
    {"num_outputs", NNFI_ATTRIBUTE_INT, AT(nnf_split_options, num_outputs), 0, false, 18},
    {.name = NULL},
};
static const nnfi_attribute_row cumulative_attributes[] = {
    {"exclusive", NNFI_ATTRIBUTE_BOOL, AT(nnf_cumulative_options, exclusive), 0, false, 0},
    {"reverse", NNFI_ATTRIBUTE_BOOL, AT(nnf_cumulative_options, reverse), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row trilu_attributes[] = {
    {"upper", NNFI_ATTRIBUTE_BOOL, AT(nnf_trilu_options, upper), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row eye_attributes[] = {
    {"dtype", NNFI_ATTRIBUTE_DTYPE, AT(nnf_eye_options, dtype), 0, false, 0},
    {"k", NNFI_ATTRIBUTE_INT, AT(nnf_eye_options, k), 0, false, 0},
    {.name = NULL},
};
static const nnfi_attribute_row blocks_attributes[] = {
    {"blocksize", NNFI_ATTRIBUTE_INT, AT(nnf_blocks_options, blocksize), 0, true, 0},
    {"mode", NNFI_ATTRIBUTE_BLOCKS, AT(nnf_blocks_options, kind), 0, false, 11},
    {.name = NULL},
};
static const nnfi_attribute_row space_to_depth_attributes[] = {
    {"blocksize", NNFI_ATTRIBUTE_INT, AT(nnf_blocks_options, blocksize), 0, true, 0},
    {"mode", NNFI_ATTRIBUTE_BLOCKS, AT(nnf_blocks_options, kind), 0, false, 28},
    {.name = NULL},
};
static const nnfi_attribute_row gather_nd_attributes[] = {
    {"batch_dims", NNFI_ATTRIBUTE_INT, AT(nnf_gather_nd_options, batch_dims), 0, false, 12},
    {.name = NULL},
};
static const nnfi_attribute_row scatter_elements_attributes[] = {
    {"axis", NNFI_ATTRIBUTE_INT, AT(nnf_scatter_options, axis), 0, false, 0},
    {"reduction", NNFI_ATTRIBUTE_REDUCTION, AT(nnf_scatter_options, kind), 0, false, 16},
    {.name = NULL},
};
static const nnfi_attribute_row scatter_nd_attributes[] = {
    {"reduction", NNFI_ATTRIBUTE_REDUCTION, AT(nnf_scatter_options, kind), 0, false, 16},
    {.name = NULL},
};

/* ---- Defaults ---- */

static const nnf_axes_options axes_defaults = {.n_axes = -1, .keepdims = true};
static const nnf_shape_options shape_defaults = {0, NNF_SHAPE_TO_END};
static const nnf_slice_options slice_defaults = {.n = -1, .axes = {0, 1, 2, 3, 4, 5, 6, 7}};
static const nnf_transpose_options transpose_defaults = {.n = -1};

static const nnf_arg_options arg_defaults = {0, true, false};
static const nnf_top_k_options top_k_defaults = {-1, true};
static const nnf_split_options split_defaults = {.n = -1};
static const nnf_trilu_options trilu_defaults = {true};
static const nnf_axis_options one_hot_defaults = {-1};
static const nnf_blocks_options blocks_defaults = {.kind = NNF_BLOCKS_INSIDE};

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
    ROW("ArgMax", 7, LAST, "ArgMax", nnf_arg_options, arg_attributes, &arg_defaults, NULL),
    ROW("ArgMin", 7, LAST, "ArgMin", nnf_arg_options, arg_attributes, &arg_defaults, NULL),
    ROW("Concat", 7, LAST, "Concat", nnf_axis_options, concat_attributes, NULL, NULL),
    {"Constant", 7, LAST, "Constant", 0, constant_attributes, NULL, complete_constant},
    {"ConstantOfShape", 9, LAST, "ConstantOfShape", 0, constant_of_shape_attributes, NULL,
     complete_constant_of_shape},
    ROW("CumProd", 26, LAST, "CumProd", nnf_cumulative_options, cumulative_attributes, NULL, NULL),
    ROW("CumSum", 11, LAST, "CumSum", nnf_cumulative_options, cumulative_attributes, NULL, NULL),
    ROW("DepthToSpace", 7, LAST, "DepthToSpace", nnf_blocks_options, blocks_attributes,
        &blocks_defaults, NULL),
    PLAIN("Expand", 8, "Expand"),
    ROW("EyeLike", 9, LAST, "EyeLike", nnf_eye_options, eye_attributes, NULL, NULL),
    ROW("Gather", 7, LAST, "Gather", nnf_axis_options, gather_attributes, NULL, NULL),
    ROW("GatherElements", 11, LAST, "GatherElements", nnf_axis_options, gather_attributes, NULL,
        NULL),
    ROW("GatherND", 11, LAST, "GatherND", nnf_gather_nd_options, gather_nd_attributes, NULL, NULL),
    PLAIN("Identity", 7, "Identity"),
    PLAIN("NonZero", 9, "NonZero"),
    ROW("OneHot", 9, LAST, "OneHot", nnf_axis_options, gather_attributes, &one_hot_defaults, NULL),
    PLAIN("Range", 11, "Range"),
    ROW("Reshape", 7, LAST, "Reshape", nnf_reshape_options, reshape_attributes, NULL, NULL),
    ROW("ScatterElements", 11, LAST, "ScatterElements", nnf_scatter_options,
        scatter_elements_attributes, NULL, NULL),
    ROW("ScatterND", 11, LAST, "ScatterND", nnf_scatter_options, scatter_nd_attributes, NULL, NULL),
    ROW("Shape", 7, LAST, "Shape", nnf_shape_options, shape_attributes, &shape_defaults, NULL),
    PLAIN("Size", 7, "Size"),
    ROW("Slice", 7, 9, "Slice", nnf_slice_options, slice_attributes, &slice_defaults, NULL),
    ROW("Slice", 10, LAST, "Slice", nnf_slice_options, slice_10_attributes, &slice_defaults, NULL),
    ROW("SpaceToDepth", 7, LAST, "SpaceToDepth", nnf_blocks_options, space_to_depth_attributes,
        &blocks_defaults, NULL),
    ROW("Split", 7, 12, "Split", nnf_split_options, split_7_attributes, &split_defaults, NULL),
    ROW("Split", 13, LAST, "Split", nnf_split_options, split_attributes, &split_defaults, NULL),
    ROW("Squeeze", 7, 12, "Squeeze", nnf_axes_options, squeeze_attributes, &axes_defaults, NULL),
    ROW("Squeeze", 13, LAST, "Squeeze", nnf_axes_options, squeeze_13_attributes, &axes_defaults,
        NULL),
    PLAIN("Tile", 7, "Tile"),
    ROW("TopK", 10, LAST, "TopK", nnf_top_k_options, top_k_attributes, &top_k_defaults, NULL),
    ROW("Transpose", 7, LAST, "Transpose", nnf_transpose_options, transpose_attributes,
        &transpose_defaults, NULL),
    ROW("Trilu", 14, LAST, "Trilu", nnf_trilu_options, trilu_attributes, &trilu_defaults, NULL),
    ROW("Unsqueeze", 7, 12, "Unsqueeze", nnf_axes_options, unsqueeze_attributes, &axes_defaults,
        NULL),
    ROW("Unsqueeze", 13, LAST, "Unsqueeze", nnf_axes_options, squeeze_13_attributes, &axes_defaults,
        NULL),
};
const nnfi_onnx_table nnfi_onnx_tensors = NNFI_ONNX_TABLE(ops);
