/* Nodes that no file has the bytes of: from the op table, and a few layers of PyTorch's that ONNX
 * says with several nodes. */
#include <inttypes.h>
#include <string.h>

#include "formats/onnx/write.h"
#include "support/memory.h"

void nnfi_node_encode(nnfi_text *to, const char *op_type, const char *name,
                      const char *const *inputs, size_t n_inputs, const char *const *outputs,
                      size_t n_outputs, nnfi_text *rest) {
    nnfi_text node = {0};
    for (size_t i = 0; i < n_inputs; i++) {
        nnfi_put_string(&node, NODE_INPUT, inputs[i]);
    }
    for (size_t i = 0; i < n_outputs; i++) {
        nnfi_put_string(&node, NODE_OUTPUT, outputs[i]);
    }
    nnfi_put_string(&node, NODE_NAME, name);
    nnfi_put_string(&node, NODE_OP_TYPE, op_type);
    if (rest) {
        if (rest->failed) node.failed = true;
        nnfi_text_add_bytes(&node, rest->data, rest->length);
        nnfi_text_clear(rest);
    }
    nnfi_put_message(to, GRAPH_NODE, &node);
}

static nnf_status cannot(const nnfi_leaf *leaf, const char *why) {
    return nnf_error(NNF_ERROR_UNSUPPORTED, "'%s' (%s) cannot be written as ONNX: %s", leaf->path,
                     nnf_module_type_name(leaf->module), why);
}

/* The leaf's attributes, from options that need not be its module's. */
static nnf_status write_attributes(nnfi_text *rest, const nnfi_write_plan *plan,
                                   const nnfi_leaf *leaf, const nnfi_onnx_op *op,
                                   const void *options) {
    nnf_status status = nnfi_attributes_write(rest, op, plan->opset, options, leaf->module);
    if (status == NNF_OK) return NNF_OK;
    nnfi_text_clear(rest);
    return nnfi_error_prefix(status, "'%s' (%s) cannot be written as ONNX: ", leaf->path,
                             nnf_module_type_name(leaf->module));
}

/* A new initializer "<path>.<name>" for a leaf. */
static nnf_status add_constant(nnfi_write_plan *plan, const char **name, const nnfi_leaf *leaf,
                               const char *what, nnf_dtype dtype, int ndim, const int64_t *shape,
                               double value) {
    nnf_tensor *tensor;
    void *data;
    NNFI_TRY(nnf_tensor_new(&tensor, dtype, ndim, shape));
    nnf_status status = nnf_tensor_mut_data(tensor, &data);
    for (int64_t i = 0; status == NNF_OK && i < nnf_tensor_numel(tensor); i++) {
        nnfi_store_f64(dtype, data, i, value);
    }
    char *wish = nnfi_join(leaf->path, what);
    if (!wish) status = nnfi_error_memory(strlen(leaf->path), "a name");
    if (status == NNF_OK) status = nnfi_write_plan_tensor(plan, name, tensor, wish, -1);
    nnfi_free(wish);
    nnf_tensor_release(tensor);
    return status;
}

/* The same with a list of integers. */
static nnf_status add_list(nnfi_write_plan *plan, const char **name, const nnfi_leaf *leaf,
                           const char *what, const int64_t *values, int64_t n) {
    nnf_tensor *tensor;
    NNFI_TRY(nnf_tensor_from_data(&tensor, NNF_I64, 1, &n, values));
    char *wish = nnfi_join(leaf->path, what);
    nnf_status status = wish ? nnfi_write_plan_tensor(plan, name, tensor, wish, -1)
                             : nnfi_error_memory(strlen(leaf->path), "a name");
    nnfi_free(wish);
    nnf_tensor_release(tensor);
    return status;
}

/* What is known of the leaf's first input; its dtype is float32 where that is not. */
static nnf_status input_info(nnfi_write_plan *plan, nnf_type_info *out, const nnfi_leaf *leaf) {
    const nnfi_call *call = plan->graph->calls[leaf->call];
    nnf_type_info_init(out);
    if (!plan->infos) NNFI_TRY(nnf_graph_infer(plan->module, NULL, &plan->infos, &plan->n_infos));
    if (call->n_inputs > 0 && call->inputs[0] != NNF_NO_VALUE) {
        *out = plan->infos[call->inputs[0]];
        out->n_values = -1;
        out->values = NULL; /* they belong to the plan */
    }
    if (out->dtype == NNF_DTYPE_UNKNOWN) out->dtype = NNF_F32;
    return NNF_OK;
}

/* ---- Layers that are more or other than a row of the table ---- */

/* The name of the value between two nodes of one leaf. */
static const char *between(nnfi_write_plan *plan, const nnfi_leaf *leaf, const char *what) {
    char *wish = nnfi_join(leaf->path, what);
    const char *name = wish ? nnfi_write_plan_name(plan, wish, strlen(wish)) : NULL;
    nnfi_free(wish);
    return name;
}

static nnf_status encode_relu6(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const char *inputs[3] = {leaf->inputs[0], "", ""};
    nnfi_text rest = {0};
    nnf_type_info info;
    if (plan->opset < 11) {
        const nnf_activation_options clip = {NNF_CLIP, 0, 6};
        const nnfi_onnx_op *op = nnfi_onnx_op_of_type("Clip", plan->opset);
        NNFI_TRY(write_attributes(&rest, plan, leaf, op, &clip));
        nnfi_node_encode(to, "Clip", leaf->path, inputs, 1, leaf->outputs, 1, &rest);
        return NNF_OK;
    }
    NNFI_TRY(input_info(plan, &info, leaf));
    NNFI_TRY(add_constant(plan, &inputs[1], leaf, "min", info.dtype, 0, NULL, 0));
    NNFI_TRY(add_constant(plan, &inputs[2], leaf, "max", info.dtype, 0, NULL, 6));
    nnfi_node_encode(to, "Clip", leaf->path, inputs, 3, leaf->outputs, 1, NULL);
    return NNF_OK;
}

/* Clip with bounds of its own, where ONNX has them as inputs. */
static nnf_status encode_clip(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const nnf_activation_options *clip = nnf_module_options(leaf->module);
    const char *inputs[3] = {leaf->inputs[0], "", ""};
    const nnfi_onnx_op *op = nnfi_onnx_op_of_type("Clip", plan->opset);
    nnf_type_info info;
    nnfi_text rest = {0}; /* it has no attributes */
    NNFI_TRY(write_attributes(&rest, plan, leaf, op, clip));
    NNFI_TRY(input_info(plan, &info, leaf));
    if (leaf->n_inputs > 1 && *leaf->inputs[1]) {
        inputs[1] = leaf->inputs[1];
    } else {
        NNFI_TRY(add_constant(plan, &inputs[1], leaf, "min", info.dtype, 0, NULL, clip->alpha));
    }
    if (leaf->n_inputs > 2 && *leaf->inputs[2]) {
        inputs[2] = leaf->inputs[2];
    } else {
        NNFI_TRY(add_constant(plan, &inputs[2], leaf, "max", info.dtype, 0, NULL, clip->beta));
    }
    nnfi_node_encode(to, "Clip", leaf->path, inputs, 3, leaf->outputs, 1, NULL);
    return NNF_OK;
}

static nnf_status encode_silu(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const char *sigmoid = between(plan, leaf, "sigmoid");
    if (!sigmoid) return nnfi_error_memory(strlen(leaf->path), "a name");
    const char *factors[2] = {leaf->inputs[0], sigmoid};
    nnfi_node_encode(to, "Sigmoid", sigmoid, leaf->inputs, 1, &sigmoid, 1, NULL);
    nnfi_node_encode(to, "Mul", leaf->path, factors, 2, leaf->outputs, 1, NULL);
    return NNF_OK;
}

/* x W^T + b: Gemm takes rank 2 (and before opset 11 a bias), MatMul and Add any. */
static nnf_status encode_linear(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const nnf_linear_options *linear = nnf_module_options(leaf->module);
    bool bias = leaf->n_inputs > 2 && *leaf->inputs[2];
    nnf_type_info info;
    nnfi_text rest = {0};
    nnf_type_info_init(&info); /* as it stays where something in the graph cannot be inferred */
    if (input_info(plan, &info, leaf) == NNF_ERROR_MEMORY) return NNF_ERROR_MEMORY;
    if (info.ndim == 2 && (bias || plan->opset >= 11)) {
        const nnf_gemm_options gemm = {1, 1, false, !linear->weight_transposed};
        const nnfi_onnx_op *op = nnfi_onnx_op_of_type("Gemm", plan->opset);
        NNFI_TRY(write_attributes(&rest, plan, leaf, op, &gemm));
        nnfi_node_encode(to, "Gemm", leaf->path, leaf->inputs, leaf->n_inputs, leaf->outputs, 1,
                         &rest);
        return NNF_OK;
    }
    const char *operands[2] = {leaf->inputs[0], leaf->inputs[1]};
    const char *product = leaf->outputs[0];
    if (!linear->weight_transposed) {
        operands[1] = between(plan, leaf, "weight_t");
        if (operands[1]) {
            nnfi_node_encode(to, "Transpose", operands[1], &leaf->inputs[1], 1, &operands[1], 1,
                             NULL);
        }
    }
    if (bias) product = between(plan, leaf, "product");
    if (!product || !operands[1]) return nnfi_error_memory(strlen(leaf->path), "a name");
    nnfi_node_encode(to, "MatMul", bias ? product : leaf->path, operands, 2, &product, 1, NULL);
    if (!bias) return NNF_OK;
    const char *terms[2] = {product, leaf->inputs[2]};
    nnfi_node_encode(to, "Add", leaf->path, terms, 2, leaf->outputs, 1, NULL);
    return NNF_OK;
}

static nnf_status encode_adaptive(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const nnf_adaptive_pool_options *pool = nnf_module_options(leaf->module);
    (void)plan;
    for (int i = 0; i < pool->spatial && i < NNF_MAX_SPATIAL; i++) {
        if (pool->output_size[i] != 1) return cannot(leaf, "ONNX only has it with output size 1");
    }
    nnfi_node_encode(to, "GlobalAveragePool", leaf->path, leaf->inputs, 1, leaf->outputs, 1, NULL);
    return NNF_OK;
}

/* ONNX's has weight and bias always: 1 and 0 where the module has none. */
static nnf_status encode_batchnorm(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const nnf_batchnorm_options *options = nnf_module_options(leaf->module);
    const nnf_tensor *mean = nnf_module_tensor(leaf->module, "running_mean");
    const char *inputs[5] = {leaf->inputs[0], "", "", "", ""};
    nnfi_text rest = {0};
    if (options->cumulative) return cannot(leaf, "ONNX has no cumulative average");
    for (size_t i = 1; i < leaf->n_inputs && i < 5; i++) {
        inputs[i] = leaf->inputs[i];
    }
    if (!*inputs[3] || !*inputs[4]) return cannot(leaf, "it has no running statistics");
    nnf_dtype dtype = mean ? nnf_tensor_dtype(mean) : NNF_F32;
    const char *const names[2] = {"weight", "bias"};
    for (int i = 0; i < 2; i++) {
        if (*inputs[1 + i]) continue;
        NNFI_TRY(add_constant(plan, &inputs[1 + i], leaf, names[i], dtype, 1,
                              &options->num_features, i == 0));
    }
    const nnfi_onnx_op *op = nnfi_onnx_op_of_type(nnf_module_type_name(leaf->module), plan->opset);
    NNFI_TRY(write_attributes(&rest, plan, leaf, op, options));
    nnfi_node_encode(to, op->op_type, leaf->path, inputs, 5, leaf->outputs, leaf->n_outputs, &rest);
    return NNF_OK;
}

static nnf_status encode_flatten(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const nnf_flatten_options *flatten = nnf_module_options(leaf->module);
    nnfi_text rest = {0};
    nnf_type_info info;
    NNFI_TRY(input_info(plan, &info, leaf));
    bool to_end = flatten->end_dim == -1 || flatten->end_dim == info.ndim - 1;
    if (!flatten->to_matrix && !(flatten->start_dim == 1 && to_end)) {
        return cannot(leaf, "ONNX's Flatten gives a matrix");
    }
    const nnfi_onnx_op *op = nnfi_onnx_op_of_type("Flatten", plan->opset);
    NNFI_TRY(write_attributes(&rest, plan, leaf, op, flatten));
    nnfi_node_encode(to, "Flatten", leaf->path, leaf->inputs, 1, leaf->outputs, 1, &rest);
    return NNF_OK;
}

static const struct {
    const char *type;
    nnf_status (*encode)(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf);
    int first_opset; /* the table does before that */
} special[] = {
    {"ReLU6", encode_relu6, 0},
    {"Clip", encode_clip, 11},
    {"SiLU", encode_silu, 0},
    {"Linear", encode_linear, 0},
    {"AdaptiveAvgPool1d", encode_adaptive, 0},
    {"AdaptiveAvgPool2d", encode_adaptive, 0},
    {"AdaptiveAvgPool3d", encode_adaptive, 0},
    {"BatchNorm1d", encode_batchnorm, 0},
    {"BatchNorm2d", encode_batchnorm, 0},
    {"BatchNorm3d", encode_batchnorm, 0},
    {"Flatten", encode_flatten, 0},
};

/* ---- The table ---- */

/* Operators that had fewer inputs before an opset: what these say was an attribute then, or could
 * not be said. */
static const struct {
    const char *op_type;
    size_t n_inputs; /* they had */
    int since;
} fewer_inputs[] = {
    {"Clip", 1, 11},         {"Dropout", 1, 12},         {"Pad", 1, 11},
    {"Pad", 3, 18},          {"ReduceL1", 1, 18},        {"ReduceL2", 1, 18},
    {"ReduceLogSum", 1, 18}, {"ReduceLogSumExp", 1, 18}, {"ReduceMax", 1, 18},
    {"ReduceMean", 1, 18},   {"ReduceMin", 1, 18},       {"ReduceProd", 1, 18},
    {"ReduceSum", 1, 13},    {"ReduceSumSquare", 1, 18}, {"Resize", 2, 11},
    {"Slice", 1, 10},        {"Split", 1, 13},           {"Squeeze", 1, 13},
    {"Unsqueeze", 1, 13},
};

static nnf_status check_inputs(const nnfi_write_plan *plan, const nnfi_leaf *leaf,
                               const nnfi_onnx_op *op) {
    for (size_t i = 0; i < sizeof fewer_inputs / sizeof *fewer_inputs; i++) {
        if (plan->opset >= fewer_inputs[i].since || leaf->n_inputs <= fewer_inputs[i].n_inputs ||
            strcmp(op->op_type, fewer_inputs[i].op_type) != 0)
            continue;
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "'%s' (%s) cannot be written as ONNX: %s of opset %" PRId64
                         " has no input number %zu",
                         leaf->path, nnf_module_type_name(leaf->module), op->op_type, plan->opset,
                         fewer_inputs[i].n_inputs);
    }
    return NNF_OK;
}

/* Where a window of a pool may start in the padding: ONNX does not say so. */
static bool starts_outside(const nnfi_onnx_op *op, const nnfi_options *options) {
    bool is_pool = strcmp(op->op_type, "MaxPool") == 0 || strcmp(op->op_type, "AveragePool") == 0;
    return is_pool && options->pool.ceil_mode && !options->pool.drop_last_outside;
}

/* Whether the operator has its axes as input 1 in this opset. */
static bool axes_are_an_input(const char *op_type, int64_t opset) {
    bool reduces = strncmp(op_type, "Reduce", 6) == 0;
    bool since_13 = strcmp(op_type, "ReduceSum") == 0 || strcmp(op_type, "Squeeze") == 0 ||
                    strcmp(op_type, "Unsqueeze") == 0;
    return since_13 ? opset >= 13 : reduces && opset >= 18;
}

/* Axes of the module's own where ONNX has them as an input. */
static nnf_status encode_axes(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf,
                              const nnfi_onnx_op *op) {
    nnf_axes_options options = *(const nnf_axes_options *)nnf_module_options(leaf->module);
    const char *inputs[2] = {leaf->inputs[0], ""};
    nnfi_text rest = {0};
    if (options.n_axes > NNF_MAX_DIMS)
        return cannot(leaf, "it has more axes than a tensor can have");
    NNFI_TRY(add_list(plan, &inputs[1], leaf, "axes", options.axes, options.n_axes));
    options.n_axes = -1;
    NNFI_TRY(write_attributes(&rest, plan, leaf, op, &options));
    nnfi_node_encode(to, op->op_type, leaf->path, inputs, 2, leaf->outputs, 1, &rest);
    return NNF_OK;
}

static nnf_status encode_by_table(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const void *options = nnf_module_options(leaf->module);
    const nnfi_onnx_op *op = nnfi_onnx_op_of_type(nnf_module_type_name(leaf->module), plan->opset);
    nnfi_text rest = {0};
    if (!op) {
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "'%s' cannot be written as ONNX: opset %" PRId64
                         " has no operator for a %s",
                         leaf->path, plan->opset, nnf_module_type_name(leaf->module));
    }
    if (options && starts_outside(op, options)) {
        return cannot(leaf, "no window of ONNX's starts in the padding");
    }
    if (axes_are_an_input(op->op_type, plan->opset) && leaf->n_inputs < 2 &&
        ((const nnf_axes_options *)options)->n_axes >= 0)
        return encode_axes(to, plan, leaf, op);
    NNFI_TRY(check_inputs(plan, leaf, op));
    NNFI_TRY(write_attributes(&rest, plan, leaf, op, options));
    nnfi_node_encode(to, op->op_type, leaf->path, leaf->inputs, leaf->n_inputs, leaf->outputs,
                     leaf->n_outputs, &rest);
    return NNF_OK;
}

/* ONNX's layers with windows have a batch axis always; PyTorch's take an input without one too,
 * which only a program's own graph can have. */
static nnf_status check_batch_axis(nnfi_write_plan *plan, const nnfi_leaf *leaf, const char *type) {
    static const char *const families[] = {"Conv", "MaxPool", "AvgPool", "AdaptiveAvgPool"};
    nnf_type_info info;
    bool has_windows = false;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        has_windows = has_windows || strncmp(type, families[i], strlen(families[i])) == 0;
    if (!has_windows || plan->source) return NNF_OK;
    const int spatial = type[strlen(type) - 2] - '0'; /* ...2d */
    if (input_info(plan, &info, leaf) == NNF_ERROR_MEMORY) return NNF_ERROR_MEMORY;
    return info.ndim == spatial + 1 ? cannot(leaf, "its input has no batch axis, as ONNX wants it")
                                    : NNF_OK;
}

nnf_status nnfi_leaf_encode(nnfi_text *to, nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const char *type = nnfi_known_type(leaf->module);
    if (strcmp(type, nnf_module_type_name(leaf->module)) != 0) {
        return cannot(leaf, "it is of a type of the program's own, whatever its name");
    }
    if (leaf->n_inputs == 0 && strcmp(type, "Constant") != 0) {
        return cannot(leaf, "it has no input");
    }
    NNFI_TRY(check_batch_axis(plan, leaf, type));
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (strcmp(special[i].type, type) == 0 && plan->opset >= special[i].first_opset) {
            return special[i].encode(to, plan, leaf);
        }
    }
    return encode_by_table(to, plan, leaf);
}
