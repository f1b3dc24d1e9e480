/* Linear (PyTorch), Gemm and MatMul (ONNX): all of them end in the matrix product kernel. */
#include <string.h>

#include "nn/window.h"

enum { WEIGHT, BIAS };
static const nnf_slot slots[] = {{"weight", NNF_SLOT_PARAMETER}, {"bias", NNF_SLOT_PARAMETER}};

static nnf_status mismatch(const nnf_module *module, const nnf_type_info *a,
                           const nnf_type_info *b) {
    char text_a[NNFI_INFO_TEXT], text_b[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s cannot take an input of %s with %s",
                     nnf_module_type_name(module), nnfi_info_text(text_a, sizeof text_a, a),
                     nnfi_info_text(text_b, sizeof text_b, b));
}

static nnf_status check_rank(const nnf_module *module, const char *what, const nnf_type_info *info,
                             int ndim) {
    if (info->ndim < 0 || info->ndim == ndim) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s takes %s of rank %d, not %s",
                     nnf_module_type_name(module), what, ndim,
                     nnfi_info_text(text, sizeof text, info));
}

/* The parts of infer that Linear and Gemm share: counts, dtypes, and that there is a weight. */
static nnf_status infer_start(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs,
                              nnfi_slot_info *weight, nnfi_slot_info *bias) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 3, n_outputs, 1));
    *weight = nnfi_slot_info_of(module, WEIGHT, inputs, n_inputs);
    *bias = nnfi_slot_info_of(module, BIAS, inputs, n_inputs);
    if (!weight->given)
        return nnf_error(NNF_ERROR_INVALID, "%s has no weight", nnf_module_type_name(module));
    NNFI_TRY(nnfi_check_float(module, inputs[0]));
    NNFI_TRY(check_rank(module, "a weight", &weight->info, 2));
    nnf_dtype *dtype = &outputs[0].dtype;
    NNFI_TRY(nnfi_merge_dtype(module, dtype, inputs[0]->dtype, weight->info.dtype));
    return bias->given ? nnfi_merge_dtype(module, dtype, *dtype, bias->info.dtype) : NNF_OK;
}

/* One axis of a matrix, or nothing known. */
static nnf_dim axis_of(const nnf_type_info *info, int axis) {
    return info->ndim < 0 ? nnfi_unknown_dim() : info->shape[axis];
}

/* ---- Linear ---- */

static nnf_dim option_dim(int64_t option) {
    return option ? nnfi_dim(option) : nnfi_unknown_dim();
}

static nnf_status linear_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    nnfi_slot_info weight, bias;
    NNFI_TRY(infer_start(module, inputs, n_inputs, outputs, n_outputs, &weight, &bias));
    const nnf_linear_options *options = nnf_module_options(module);
    const nnf_type_info *x = inputs[0];
    nnf_dim w_out = axis_of(&weight.info, options->weight_transposed ? 1 : 0);
    nnf_dim w_in = axis_of(&weight.info, options->weight_transposed ? 0 : 1);
    nnf_dim out = option_dim(options->out_features), in = option_dim(options->in_features);
    if (nnfi_dim_differ(w_out, out) || nnfi_dim_differ(w_in, in)) {
        char text[NNFI_INFO_TEXT];
        return nnf_error(NNF_ERROR_SHAPE,
                         "Linear with in_features %lld and out_features %lld has the weight %s",
                         (long long)options->in_features, (long long)options->out_features,
                         nnfi_info_text(text, sizeof text, &weight.info));
    }
    out = nnfi_dim_either(out, w_out);
    in = nnfi_dim_either(in, w_in);
    if (bias.given) {
        NNFI_TRY(check_rank(module, "a bias", &bias.info, 1));
        if (nnfi_dim_differ(axis_of(&bias.info, 0), out))
            return mismatch(module, &weight.info, &bias.info);
    }
    if (x->ndim < 0) return NNF_OK;
    if (x->ndim == 0 || nnfi_dim_differ(x->shape[x->ndim - 1], in)) {
        char text[NNFI_INFO_TEXT];
        return nnf_error(NNF_ERROR_SHAPE, "Linear takes %lld features on the last axis, not %s",
                         (long long)in.value, nnfi_info_text(text, sizeof text, x));
    }
    nnfi_info_set_shape(&outputs[0], x->ndim, x->shape);
    outputs[0].shape[x->ndim - 1] = out;
    return NNF_OK;
}

/* The addresses of a product's operands; bias may be NULL. */
static nnf_status operands(nnfi_matmul *call, const nnf_tensor *a, const nnf_tensor *b,
                           const nnf_tensor *bias, nnf_tensor *y) {
    call->dtype = nnf_tensor_dtype(a);
    NNFI_TRY(nnf_tensor_data(a, &call->a));
    NNFI_TRY(nnf_tensor_data(b, &call->b));
    if (bias) NNFI_TRY(nnf_tensor_data(bias, &call->bias));
    return nnf_tensor_mut_data(y, &call->y);
}

static nnf_status linear_forward(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_outputs;
    const nnf_linear_options *options = nnf_module_options(module);
    nnf_tensor *weight, *bias;
    NNFI_TRY(nnf_session_slot(session, &weight, module, WEIGHT, inputs, n_inputs));
    NNFI_TRY(nnf_session_slot(session, &bias, module, BIAS, inputs, n_inputs));
    const int64_t *shape = nnf_tensor_shape(inputs[0]);
    nnfi_matmul call = {.batch = 1,
                        .m = 1,
                        .n = nnf_tensor_shape(weight)[options->weight_transposed ? 1 : 0],
                        .k = nnf_tensor_shape(weight)[options->weight_transposed ? 0 : 1],
                        .trans_b = !options->weight_transposed,
                        .alpha = 1.0};
    for (int i = 0; i + 1 < nnf_tensor_ndim(inputs[0]); i++)
        call.m *= shape[i];
    NNFI_TRY(operands(&call, inputs[0], weight, bias, outputs[0]));
    return nnfi_session_kernels(session)->matmul(session, &call);
}

/* ---- Linear maps ---- */

/* The view of x @ op(W) with W a constant of rank 2; `rows_are_out`: W is [out, in]. */
static nnf_status map_of(const nnf_module *module, bool rows_are_out, bool has_bias,
                         nnf_linear_map *out) {
    nnfi_slot_info weight = nnfi_slot_info_of(module, WEIGHT, NULL, 0);
    const char *type = nnf_module_type_name(module);
    if (!weight.given)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of %s is not a constant", type);
    nnf_dim rows = nnfi_dim(0), columns = nnfi_dim(0); /* a parametrized weight's are not known */
    if (weight.info.ndim >= 0) {
        if (weight.info.ndim != 2)
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of %s has rank %d, not 2", type,
                             weight.info.ndim);
        rows = weight.info.shape[0];
        columns = weight.info.shape[1];
    }
    *out = (nnf_linear_map){.out_channels = rows_are_out ? rows.value : columns.value,
                            .in_channels = rows_are_out ? columns.value : rows.value,
                            .groups = 1,
                            .transposed = !rows_are_out,
                            .weight = slots[WEIGHT].name,
                            .bias = has_bias ? slots[BIAS].name : NULL,
                            .channel_axis = -1};
    return NNF_OK;
}

static nnf_status linear_linear_map(const nnf_module *module, nnf_linear_map *out) {
    const nnf_linear_options *options = nnf_module_options(module);
    NNFI_TRY(map_of(module, !options->weight_transposed, true, out));
    if (options->out_features) out->out_channels = options->out_features;
    if (options->in_features) out->in_channels = options->in_features;
    return NNF_OK;
}

static nnf_status gemm_linear_map(const nnf_module *module, nnf_linear_map *out) {
    const nnf_gemm_options *options = nnf_module_options(module);
    if (options->alpha != 1.0 || options->beta != 1.0 || options->trans_a)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "Gemm with alpha %g, beta %g and transA %d is not a linear layer",
                         options->alpha, options->beta, options->trans_a);
    const nnf_tensor *bias = nnf_module_tensor(module, slots[BIAS].name);
    NNFI_TRY(map_of(module, options->trans_b, true, out));
    if (!bias || (nnf_tensor_ndim(bias) == 1 && nnf_tensor_shape(bias)[0] == out->out_channels))
        return NNF_OK;
    char text[NNFI_SHAPE_TEXT];
    return nnf_error(
        NNF_ERROR_NOT_FUSABLE, "the bias of Gemm has shape %s, not [%lld]",
        nnfi_shape_text(text, sizeof text, nnf_tensor_ndim(bias), nnf_tensor_shape(bias)),
        (long long)out->out_channels);
}

static nnf_status matmul_linear_map(const nnf_module *module, nnf_linear_map *out) {
    return map_of(module, false, false, out);
}

/* ---- Gemm ---- */

static nnf_status gemm_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    nnfi_slot_info b, c;
    NNFI_TRY(infer_start(module, inputs, n_inputs, outputs, n_outputs, &b, &c));
    const nnf_gemm_options *options = nnf_module_options(module);
    const nnf_type_info *a = inputs[0];
    NNFI_TRY(check_rank(module, "an input", a, 2));
    if (nnfi_dim_differ(axis_of(a, options->trans_a ? 0 : 1),
                        axis_of(&b.info, options->trans_b ? 1 : 0)))
        return mismatch(module, a, &b.info);
    nnf_dim shape[2] = {axis_of(a, options->trans_a ? 1 : 0),
                        axis_of(&b.info, options->trans_b ? 0 : 1)};
    nnfi_info_set_shape(&outputs[0], 2, shape);
    if (!c.given || c.info.ndim < 0) return NNF_OK;
    for (int i = 0; i < c.info.ndim; i++) {
        int axis = i + 2 - c.info.ndim;
        if (axis >= 0 &&
            (nnfi_dim_is(c.info.shape[i], 1) || !nnfi_dim_differ(c.info.shape[i], shape[axis])))
            continue;
        char text_c[NNFI_INFO_TEXT], text_y[NNFI_INFO_TEXT];
        return nnf_error(NNF_ERROR_SHAPE, "Gemm cannot broadcast its bias %s to %s",
                         nnfi_info_text(text_c, sizeof text_c, &c.info),
                         nnfi_info_text(text_y, sizeof text_y, &outputs[0]));
    }
    return NNF_OK;
}

/* y += beta * c, with c broadcast: for the forms that the kernel's bias does not cover. */
static nnf_status add_scaled(const nnfi_matmul *call, const nnf_tensor *c, double beta) {
    int ndim = nnf_tensor_ndim(c);
    const int64_t *shape = nnf_tensor_shape(c);
    int64_t columns = ndim > 0 ? shape[ndim - 1] : 1, rows = ndim > 1 ? shape[0] : 1;
    const void *data;
    NNFI_TRY(nnf_tensor_data(c, &data));
    for (int64_t i = 0; i < call->m; i++)
        for (int64_t j = 0; j < call->n; j++) {
            int64_t at = (rows == 1 ? 0 : i) * columns + (columns == 1 ? 0 : j);
            int64_t to = i * call->n + j;
            double sum = nnfi_load_f64(call->dtype, call->y, to) +
                         beta * nnfi_load_f64(call->dtype, data, at);
            nnfi_store_f64(call->dtype, call->y, to, sum);
        }
    return NNF_OK;
}

static nnf_status gemm_forward(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    const nnf_gemm_options *options = nnf_module_options(module);
    const nnf_tensor *a = inputs[0];
    nnf_tensor *b, *c;
    NNFI_TRY(nnf_session_slot(session, &b, module, WEIGHT, inputs, n_inputs));
    NNFI_TRY(nnf_session_slot(session, &c, module, BIAS, inputs, n_inputs));
    nnfi_matmul call = {.batch = 1,
                        .m = nnf_tensor_shape(a)[options->trans_a ? 1 : 0],
                        .k = nnf_tensor_shape(a)[options->trans_a ? 0 : 1],
                        .n = nnf_tensor_shape(b)[options->trans_b ? 0 : 1],
                        .trans_a = options->trans_a,
                        .trans_b = options->trans_b,
                        .alpha = options->alpha};
    /* beta 0 means that C is not read, whatever it holds. */
    if (options->beta == 0.0) c = NULL;
    bool plain = c && options->beta == 1.0 && nnf_tensor_ndim(c) > 0 &&
                 nnf_tensor_numel(c) == call.n &&
                 nnf_tensor_shape(c)[nnf_tensor_ndim(c) - 1] == call.n;
    NNFI_TRY(operands(&call, a, b, plain ? c : NULL, outputs[0]));
    NNFI_TRY(nnfi_session_kernels(session)->matmul(session, &call));
    return c && !plain ? add_scaled(&call, c, options->beta) : NNF_OK;
}

/* ---- MatMul ---- */

/* numpy's rules: a vector is a matrix of one row (first operand) or column, and the axis that it
 * got goes again; the axes before the last two are broadcast. */
static nnf_status matmul_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, 1));
    nnfi_slot_info weight = nnfi_slot_info_of(module, WEIGHT, inputs, n_inputs);
    if (!weight.given) return nnf_error(NNF_ERROR_INVALID, "MatMul has only one operand");
    const nnf_type_info *a = inputs[0], *b = &weight.info;
    nnf_type_info *y = &outputs[0];
    NNFI_TRY(nnfi_merge_dtype(module, &y->dtype, a->dtype, b->dtype));
    if (a->ndim < 0 || b->ndim < 0) return NNF_OK;
    if (a->ndim == 0 || b->ndim == 0) return mismatch(module, a, b);
    if (nnfi_dim_differ(a->shape[a->ndim - 1], b->shape[b->ndim > 1 ? b->ndim - 2 : 0]))
        return mismatch(module, a, b);
    nnf_type_info a_batch = *a, b_batch = *b;
    a_batch.ndim = a->ndim > 2 ? a->ndim - 2 : 0;
    b_batch.ndim = b->ndim > 2 ? b->ndim - 2 : 0;
    NNFI_TRY(nnfi_broadcast(module, y, &a_batch, &b_batch));
    if (a->ndim > 1) y->shape[y->ndim++] = a->shape[a->ndim - 2];
    if (b->ndim > 1) y->shape[y->ndim++] = b->shape[b->ndim - 1];
    return NNF_OK;
}

/* How far operand `t` moves, in matrices, for one step on each of y's batch axes. */
static void batch_strides(const nnf_tensor *t, int n_batch, int64_t *strides) {
    int own = nnf_tensor_ndim(t) > 2 ? nnf_tensor_ndim(t) - 2 : 0;
    int64_t step = 1;
    for (int i = n_batch - 1; i >= 0; i--) {
        int axis = i - (n_batch - own);
        int64_t size = axis < 0 ? 1 : nnf_tensor_shape(t)[axis];
        strides[i] = size == 1 ? 0 : step;
        step *= size;
    }
}

/* The batch axes run over one by one but for the last, which the kernel does. */
static nnf_status matmul_batches(nnf_session *session, nnfi_matmul call, const nnf_tensor *a,
                                 const nnf_tensor *b, int n_batch, const int64_t *batch) {
    int64_t a_strides[NNF_MAX_DIMS], b_strides[NNF_MAX_DIMS], outer = 1;
    size_t size = nnf_dtype_size(call.dtype);
    const char *a_data = call.a, *b_data = call.b;
    char *y_data = call.y;
    batch_strides(a, n_batch, a_strides);
    batch_strides(b, n_batch, b_strides);
    call.batch = n_batch > 0 ? batch[n_batch - 1] : 1;
    call.a_batch_stride = n_batch > 0 ? a_strides[n_batch - 1] * call.m * call.k : 0;
    call.b_batch_stride = n_batch > 0 ? b_strides[n_batch - 1] * call.k * call.n : 0;
    for (int i = 0; i + 1 < n_batch; i++)
        outer *= batch[i];
    for (int64_t o = 0; o < outer; o++) {
        int64_t rest = o, at_a = 0, at_b = 0;
        for (int i = n_batch - 2; i >= 0; i--) {
            at_a += rest % batch[i] * a_strides[i];
            at_b += rest % batch[i] * b_strides[i];
            rest /= batch[i];
        }
        call.a = a_data + (size_t)(at_a * call.m * call.k) * size;
        call.b = b_data + (size_t)(at_b * call.k * call.n) * size;
        call.y = y_data + (size_t)(o * call.batch * call.m * call.n) * size;
        NNFI_TRY(nnfi_session_kernels(session)->matmul(session, &call));
    }
    return NNF_OK;
}

static nnf_status matmul_forward(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_outputs;
    nnf_tensor *a = inputs[0], *b, *y = outputs[0];
    NNFI_TRY(nnf_session_slot(session, &b, module, WEIGHT, inputs, n_inputs));
    if (!nnf_dtype_is_float(nnf_tensor_dtype(a)))
        return nnf_error(NNF_ERROR_UNSUPPORTED, "MatMul runs on floating-point tensors, not on %s",
                         nnf_dtype_name(nnf_tensor_dtype(a)));
    int a_ndim = nnf_tensor_ndim(a), b_ndim = nnf_tensor_ndim(b);
    const int64_t *a_shape = nnf_tensor_shape(a), *b_shape = nnf_tensor_shape(b);
    nnfi_matmul call = {.m = a_ndim > 1 ? a_shape[a_ndim - 2] : 1,
                        .k = a_shape[a_ndim - 1],
                        .n = b_ndim > 1 ? b_shape[b_ndim - 1] : 1,
                        .alpha = 1.0};
    NNFI_TRY(operands(&call, a, b, NULL, y));
    int n_batch = nnf_tensor_ndim(y) - (a_ndim > 1) - (b_ndim > 1);
    if (b_ndim <= 2 && a_ndim > 2) { /* one matrix for all: their rows are one long matrix's */
        for (int i = 0; i < n_batch; i++)
            call.m *= a_shape[i];
        n_batch = 0;
    }
    return matmul_batches(session, call, a, b, n_batch, nnf_tensor_shape(y));
}

/* ---- Rows, constructors ---- */

#define LINEAR_ROW(options)                                                                \
    {                                                                                      \
        .name = "Linear", .options_size = sizeof(options), .slots = slots, .n_slots = 2,   \
        .infer = linear_infer, .forward = linear_forward, .linear_map = linear_linear_map, \
        .flags = NNF_TYPE_WIDENS_16_BIT,                                                   \
    }
static const nnf_module_type types[] = {
    LINEAR_ROW(nnf_linear_options),
    {.name = "Gemm",
     .options_size = sizeof(nnf_gemm_options),
     .slots = slots,
     .n_slots = 2,
     .infer = gemm_infer,
     .forward = gemm_forward,
     .linear_map = gemm_linear_map,
     .flags = NNF_TYPE_WIDENS_16_BIT},
    {.name = "MatMul",
     .slots = slots,
     .n_slots = 1,
     .infer = matmul_infer,
     .forward = matmul_forward,
     .linear_map = matmul_linear_map,
     .flags = NNF_TYPE_WIDENS_16_BIT},
};
enum { LINEAR, GEMM, MATMUL };
const nnfi_type_family nnfi_linear_family = NNFI_TYPE_FAMILY(types);

static const nnf_module_type lifted[] = {LINEAR_ROW(nnfi_lifted_options)};
const nnfi_type_family nnfi_lifted_linear_family = NNFI_TYPE_FAMILY(lifted);

nnf_status nnf_linear_new(nnf_module **out, int64_t in_features, int64_t out_features, bool bias,
                          nnf_dtype dtype) {
    if (in_features < 1 || out_features < 1)
        return nnf_error(NNF_ERROR_INVALID,
                         "Linear has in_features = %lld and out_features = %lld; both must be at "
                         "least 1",
                         (long long)in_features, (long long)out_features);
    nnf_linear_options options = {.in_features = in_features, .out_features = out_features};
    int64_t shape[2] = {out_features, in_features};
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, &types[LINEAR], &options));
    nnf_status status = nnfi_set_zeros(module, WEIGHT, dtype, 2, shape);
    if (status == NNF_OK && bias) status = nnfi_set_zeros(module, BIAS, dtype, 1, &out_features);
    if (status == NNF_OK) {
        *out = module;
    } else {
        nnf_module_release(module);
    }
    return status;
}

nnf_status nnf_matmul_new(nnf_module **out) {
    return nnf_module_new(out, &types[MATMUL], NULL);
}
