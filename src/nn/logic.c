/* Not, BitwiseNot, IsNaN, IsInf, and Where, which chooses by a condition. */
#include <math.h>
#include <string.h>

#include "nn/nn_internal.h"

/* ---- One operand ---- */

static nnf_status infer_not(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    if (x->dtype != NNF_DTYPE_UNKNOWN && x->dtype != NNF_BOOL)
        return nnf_error(NNF_ERROR_DTYPE, "Not takes bool, not %s", nnf_dtype_name(x->dtype));
    nnfi_info_set_like(&outputs[0], x);
    outputs[0].dtype = NNF_BOOL;
    if (x->n_values < 0) return NNF_OK;
    NNFI_TRY(nnf_type_info_set_values(&outputs[0], x->values, x->n_values));
    for (int i = 0; i < x->n_values; i++)
        if (nnfi_dim_known(x->values[i])) outputs[0].values[i] = nnfi_dim(!x->values[i].value);
    return NNF_OK;
}

static nnf_status forward_not(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                              size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)module, (void)n_inputs, (void)n_outputs;
    return nnfi_binary_number(session, NNF_XOR, inputs[0], 1, outputs[0]);
}

static nnf_status infer_bitwise_not(const nnf_module *module, const nnf_type_info *const *inputs,
                                    size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    if (nnf_dtype_is_float(inputs[0]->dtype) || inputs[0]->dtype == NNF_BOOL)
        return nnf_error(NNF_ERROR_DTYPE, "BitwiseNot takes integers, not %s",
                         nnf_dtype_name(inputs[0]->dtype));
    nnfi_info_set_like(&outputs[0], inputs[0]);
    return NNF_OK;
}

static nnf_status forward_bitwise_not(nnf_session *session, nnf_module *module,
                                      nnf_tensor *const *inputs, size_t n_inputs,
                                      nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    nnf_tensor *y = outputs[0];
    NNFI_TRY(nnfi_copy_elements(y, inputs[0]));
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(y, &data));
    unsigned char *bytes = data;
    for (int64_t i = 0; i < nnf_tensor_nbytes(y); i++)
        bytes[i] = (unsigned char)~bytes[i];
    return NNF_OK;
}

static nnf_status infer_float_test(const nnf_module *module, const nnf_type_info *const *inputs,
                                   size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_infer_float_same(module, inputs, n_inputs, outputs, n_outputs));
    outputs[0].dtype = NNF_BOOL;
    return NNF_OK;
}

/* IsNaN has no options: neither infinity counts, and NaN does. */
static nnf_status forward_float_test(nnf_session *session, nnf_module *module,
                                     nnf_tensor *const *inputs, size_t n_inputs,
                                     nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_isinf_options *infinities = nnf_module_options(module);
    const void *x;
    void *data;
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &data));
    uint8_t *y = data;
    for (int64_t i = 0; i < nnf_tensor_numel(inputs[0]); i++) {
        double value = nnfi_load_f64(nnf_tensor_dtype(inputs[0]), x, i);
        bool counts =
            value < 0 ? infinities && infinities->negative : infinities && infinities->positive;
        y[i] = infinities ? (isinf(value) && counts) : (isnan(value) != 0);
    }
    return NNF_OK;
}

/* ---- Where ---- */

/* The elements, where all three are known well enough. */
static nnf_status where_values(const nnf_type_info *const *inputs, nnf_type_info *out) {
    nnf_dim n, operands[3][NNF_MAX_KNOWN_VALUES];
    if (!nnfi_info_is_static(out) || !nnfi_keeps_values(out->dtype)) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, out->shape, 0, out->ndim));
    if (n.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    for (int i = 0; i < 3; i++) {
        if (inputs[i]->n_values < 0 || !nnfi_info_is_static(inputs[i])) return NNF_OK;
        nnfi_spread_values(operands[i], out, inputs[i]);
    }
    for (int i = 0; i < n.value; i++) {
        nnf_dim condition = operands[0][i], x = operands[1][i], y = operands[2][i];
        operands[0][i] = nnfi_dim_known(condition) ? (condition.value ? x : y)
                         : nnfi_dim_equal(x, y)    ? x
                                                   : nnfi_unknown_dim();
    }
    return nnf_type_info_set_values(out, operands[0], (int)n.value);
}

static nnf_status infer_where(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 3, 3, n_outputs, 1));
    nnf_dtype condition = inputs[0]->dtype;
    if (condition != NNF_DTYPE_UNKNOWN && condition != NNF_BOOL)
        return nnf_error(NNF_ERROR_DTYPE, "Where takes a bool condition, not %s",
                         nnf_dtype_name(condition));
    nnf_type_info values;
    nnf_type_info_init(&values);
    NNFI_TRY(nnfi_broadcast(module, &values, inputs[1], inputs[2]));
    NNFI_TRY(nnfi_broadcast(module, &outputs[0], inputs[0], &values));
    NNFI_TRY(nnfi_merge_dtype(module, &outputs[0].dtype, inputs[1]->dtype, inputs[2]->dtype));
    return where_values(inputs, &outputs[0]);
}

/* One row of the result: n elements of `size` bytes. */
static void choose_row(char *y, const uint8_t *condition, int64_t condition_step,
                       const char *const sources[2], const int64_t steps[2], int64_t n,
                       size_t size) {
    for (int64_t i = 0; i < n; i++) {
        int which = condition[i * condition_step] ? 0 : 1;
        memcpy(y + (size_t)i * size, sources[which] + (size_t)(i * steps[which]) * size, size);
    }
}

static nnf_status forward_where(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    nnf_tensor *y = outputs[0];
    int ndim = nnf_tensor_ndim(y);
    const int64_t *shape = nnf_tensor_shape(y);
    int64_t strides[3][NNF_MAX_DIMS] = {{0}};
    const void *data[3];
    void *to;
    size_t size = nnf_dtype_size(nnf_tensor_dtype(y));
    if (nnf_tensor_numel(y) == 0) return NNF_OK;
    for (int i = 0; i < 3; i++) {
        nnfi_broadcast_strides(strides[i], ndim, nnf_tensor_ndim(inputs[i]),
                               nnf_tensor_shape(inputs[i]));
        NNFI_TRY(nnf_tensor_data(inputs[i], &data[i]));
    }
    NNFI_TRY(nnf_tensor_mut_data(y, &to));
    int last = ndim - 1;
    int64_t n = ndim > 0 ? shape[last] : 1, steps[3] = {0};
    for (int i = 0; i < 3 && ndim > 0; i++)
        steps[i] = strides[i][last];
    for (int64_t row = 0; row < nnf_tensor_numel(y) / n; row++) {
        int64_t at[3] = {0}, rest = row;
        for (int axis = last - 1; axis >= 0; rest /= shape[axis--])
            for (int i = 0; i < 3; i++)
                at[i] += rest % shape[axis] * strides[i][axis];
        const char *sources[2] = {(const char *)data[1] + (size_t)at[1] * size,
                                  (const char *)data[2] + (size_t)at[2] * size};
        choose_row((char *)to + (size_t)(row * n) * size, (const uint8_t *)data[0] + at[0],
                   steps[0], sources, steps + 1, n, size);
    }
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "Not", .infer = infer_not, .forward = forward_not},
    {.name = "BitwiseNot", .infer = infer_bitwise_not, .forward = forward_bitwise_not},
    {.name = "IsNaN",
     .infer = infer_float_test,
     .forward = forward_float_test,
     .flags = NNF_TYPE_WIDENS_16_BIT},
    {.name = "IsInf",
     .options_size = sizeof(nnf_isinf_options),
     .infer = infer_float_test,
     .forward = forward_float_test,
     .flags = NNF_TYPE_WIDENS_16_BIT},
    {.name = "Where", .infer = infer_where, .forward = forward_where},
};
const nnfi_type_family nnfi_logic_family = NNFI_TYPE_FAMILY(types);
