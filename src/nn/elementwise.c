/* Add, Sub, Mul, Div, Pow with numpy's broadcasting, and Cast. */
#include <string.h>

#include "nn/nn_internal.h"

static const char *const type_names[NNF_BINARY_COUNT] = {
    [NNF_ADD] = "Add", [NNF_SUB] = "Sub", [NNF_MUL] = "Mul", [NNF_DIV] = "Div", [NNF_POW] = "Pow"};

nnf_status nnf_binary_new(nnf_module **out, nnf_binary kind) {
    if ((unsigned)kind >= NNF_BINARY_COUNT)
        return nnf_error(NNF_ERROR_INVALID, "%d is no kind of arithmetic", (int)kind);
    return nnf_module_new(out, nnf_type(type_names[kind]), &(nnf_binary_options){kind});
}

/* ---- What is known of integer results ---- */

/* a OP b for two dimensions or elements; symbols stay where the other operand changes nothing. */
static nnf_dim known_result(nnf_binary kind, nnf_dim a, nnf_dim b) {
    if (kind == NNF_MUL && (nnfi_dim_is(a, 0) || nnfi_dim_is(b, 0))) return nnfi_dim(0);
    if ((kind == NNF_MUL || kind == NNF_DIV) && nnfi_dim_is(b, 1)) return a;
    if (kind == NNF_MUL && nnfi_dim_is(a, 1)) return b;
    if ((kind == NNF_ADD || kind == NNF_SUB) && nnfi_dim_is(b, 0)) return a;
    if (kind == NNF_ADD && nnfi_dim_is(a, 0)) return b;
    if (kind == NNF_SUB && nnfi_dim_equal(a, b)) return nnfi_dim(0);
    if (!nnfi_dim_known(a) || !nnfi_dim_known(b)) return nnfi_unknown_dim();
    int64_t result = 0;
    bool fits = false;
    switch (kind) {
    case NNF_ADD:
        fits = !__builtin_add_overflow(a.value, b.value, &result);
        break;
    case NNF_SUB:
        fits = !__builtin_sub_overflow(a.value, b.value, &result);
        break;
    case NNF_MUL:
        fits = !__builtin_mul_overflow(a.value, b.value, &result);
        break;
    case NNF_DIV:
        fits = b.value != 0 && b.value != -1;
        if (fits) result = a.value / b.value;
        break;
    default:
        break;
    }
    return fits ? nnfi_dim(result) : nnfi_unknown_dim();
}

/* Strides, in elements, of an operand seen in the shape of the result: 0 where it repeats. */
static void broadcast_strides(int64_t *strides, int ndim, int operand_ndim, const int64_t *shape) {
    int64_t own[NNF_MAX_DIMS];
    nnfi_contiguous_strides(own, operand_ndim, shape);
    for (int i = 0; i < ndim; i++) {
        int axis = i - (ndim - operand_ndim);
        strides[i] = axis < 0 || shape[axis] == 1 ? 0 : own[axis];
    }
}

/* Spreads an operand's known elements over the result's shape. */
static void spread_values(nnf_dim *to, const nnf_type_info *result, const nnf_type_info *operand) {
    nnfi_copy copy = {.size = sizeof *to, .ndim = result->ndim, .to = to, .from = operand->values};
    int64_t shape[NNF_MAX_DIMS];
    for (int i = 0; i < operand->ndim; i++)
        shape[i] = operand->shape[i].value;
    for (int i = 0; i < result->ndim; i++)
        copy.shape[i] = result->shape[i].value;
    nnfi_contiguous_strides(copy.to_strides, copy.ndim, copy.shape);
    broadcast_strides(copy.from_strides, copy.ndim, operand->ndim, shape);
    nnfi_strided_copy(&copy);
}

static nnf_status infer_values(nnf_binary kind, const nnf_type_info *a, const nnf_type_info *b,
                               nnf_type_info *out) {
    nnf_dim n, x[NNF_MAX_KNOWN_VALUES], y[NNF_MAX_KNOWN_VALUES];
    if (a->n_values < 0 || b->n_values < 0) return NNF_OK;
    if (!nnfi_info_is_static(a) || !nnfi_info_is_static(b)) return NNF_OK;
    if (out->dtype != NNF_I32 && out->dtype != NNF_I64) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, out->shape, 0, out->ndim));
    if (n.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    spread_values(x, out, a);
    spread_values(y, out, b);
    for (int i = 0; i < n.value; i++) {
        x[i] = known_result(kind, x[i], y[i]);
        if (out->dtype == NNF_I32 && nnfi_dim_known(x[i]) && x[i].value != (int32_t)x[i].value)
            x[i] = nnfi_unknown_dim();
    }
    return nnf_type_info_set_values(out, x, (int)n.value);
}

/* ---- The rows ---- */

static nnf_status infer_binary(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_binary_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    nnf_dtype dtype = inputs[0]->dtype;
    if (options->kind != NNF_POW)
        NNFI_TRY(nnfi_merge_dtype(module, &dtype, dtype, inputs[1]->dtype));
    if (dtype == NNF_BOOL || inputs[1]->dtype == NNF_BOOL)
        return nnf_error(NNF_ERROR_DTYPE, "%s takes numbers, not bool",
                         nnf_module_type_name(module));
    NNFI_TRY(nnfi_broadcast(module, &outputs[0], inputs[0], inputs[1]));
    outputs[0].dtype = dtype;
    return infer_values(options->kind, inputs[0], inputs[1], &outputs[0]);
}

static nnf_status run_binary(nnf_session *session, nnf_binary kind, const nnf_tensor *a,
                             const nnf_tensor *b, nnf_tensor *y) {
    if (nnf_tensor_numel(y) == 0) return NNF_OK;
    nnfi_binary call = {.kind = kind, .dtype = nnf_tensor_dtype(y), .ndim = nnf_tensor_ndim(y)};
    for (int i = 0; i < call.ndim; i++)
        call.shape[i] = nnf_tensor_shape(y)[i];
    broadcast_strides(call.a_strides, call.ndim, nnf_tensor_ndim(a), nnf_tensor_shape(a));
    broadcast_strides(call.b_strides, call.ndim, nnf_tensor_ndim(b), nnf_tensor_shape(b));
    NNFI_TRY(nnf_tensor_data(a, &call.a));
    NNFI_TRY(nnf_tensor_data(b, &call.b));
    NNFI_TRY(nnf_tensor_mut_data(y, &call.y));
    return nnfi_session_kernels(session)->binary(session, &call);
}

static nnf_status forward_binary(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_binary_options *options = nnf_module_options(module);
    return run_binary(session, options->kind, inputs[0], inputs[1], outputs[0]);
}

/* A base and an exponent of different dtypes: the power is that of real numbers, so it is computed
 * in double where one of them is a float; the result has the base's dtype. */
static nnf_status forward_pow(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                              size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    nnf_dtype base = nnf_tensor_dtype(inputs[0]), exponent = nnf_tensor_dtype(inputs[1]);
    if (base == exponent)
        return forward_binary(session, module, inputs, n_inputs, outputs, n_outputs);
    bool in_floats = nnf_dtype_is_float(base) || nnf_dtype_is_float(exponent);
    nnf_dtype common = in_floats ? NNF_F64 : NNF_I64;
    nnf_tensor *a = NULL, *b = NULL, *y = NULL, *result = NULL;
    nnf_status status = nnf_tensor_convert(&a, inputs[0], common);
    if (status == NNF_OK) status = nnf_tensor_convert(&b, inputs[1], common);
    if (status == NNF_OK)
        status = nnf_session_new_tensor(session, &y, common, nnf_tensor_ndim(outputs[0]),
                                        nnf_tensor_shape(outputs[0]));
    if (status == NNF_OK) status = run_binary(session, NNF_POW, a, b, y);
    if (status == NNF_OK) status = nnf_tensor_convert(&result, y, base);
    if (status == NNF_OK) status = nnfi_copy_elements(outputs[0], result);
    nnf_tensor_release(a);
    nnf_tensor_release(b);
    nnf_tensor_release(y);
    nnf_tensor_release(result);
    return status;
}

/* ---- Cast ---- */

static nnf_status infer_cast(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_cast_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    bool integers = options->to == NNF_I64 || (options->to == NNF_I32 && x->dtype == NNF_I32);
    for (int i = 0; i < x->n_values && options->to == NNF_I32; i++) {
        nnf_dim value = x->values[i];
        integers = nnfi_dim_known(value) && value.value == (int32_t)value.value;
        if (!integers) break; /* a value that could be cut off */
    }
    if (integers) NNFI_TRY(nnf_type_info_copy(&outputs[0], x));
    nnfi_info_set_like(&outputs[0], x);
    outputs[0].dtype = options->to;
    return NNF_OK;
}

static nnf_status forward_cast(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_cast_options *options = nnf_module_options(module);
    nnf_tensor *converted;
    NNFI_TRY(nnf_tensor_convert(&converted, inputs[0], options->to));
    nnf_status status = nnfi_copy_elements(outputs[0], converted);
    nnf_tensor_release(converted);
    return status;
}

#define ROW(type_name, forward_function)                                                      \
    {                                                                                         \
        .name = type_name, .options_size = sizeof(nnf_binary_options), .infer = infer_binary, \
        .forward = forward_function, .flags = NNF_TYPE_WIDENS_16_BIT,                         \
    }
static const nnf_module_type types[] = {
    ROW("Add", forward_binary),
    ROW("Sub", forward_binary),
    ROW("Mul", forward_binary),
    ROW("Div", forward_binary),
    ROW("Pow", forward_pow),
    {.name = "Cast",
     .options_size = sizeof(nnf_cast_options),
     .infer = infer_cast,
     .forward = forward_cast},
};
const nnfi_type_family nnfi_elementwise_family = NNFI_TYPE_FAMILY(types);
