/* Arithmetic, comparisons and logic of two operands with numpy's broadcasting; and of any number of
 * them: Min, Max, Sum, Mean. */
#include <string.h>

#include "nn/window.h"

/* The type that a kind belongs to, and what it takes. */
enum { FLOATS = 1, INTEGERS = 2, BOOLS = 4, NUMBERS = FLOATS | INTEGERS };
static const struct binary_kind {
    const char *type;
    unsigned takes;
} kinds[NNF_BINARY_COUNT] = {
    [NNF_ADD] = {"Add", NUMBERS},
    [NNF_SUB] = {"Sub", NUMBERS},
    [NNF_MUL] = {"Mul", NUMBERS},
    [NNF_DIV] = {"Div", NUMBERS},
    [NNF_POW] = {"Pow", NUMBERS},
    [NNF_MOD] = {"Mod", NUMBERS},
    [NNF_FMOD] = {"Mod", NUMBERS},
    [NNF_MIN] = {"Min", NUMBERS},
    [NNF_MAX] = {"Max", NUMBERS},
    [NNF_PRELU] = {"PReLU", NUMBERS},
    [NNF_EQUAL] = {"Equal", NUMBERS | BOOLS},
    [NNF_LESS] = {"Less", NUMBERS},
    [NNF_LESS_OR_EQUAL] = {"LessOrEqual", NUMBERS},
    [NNF_GREATER] = {"Greater", NUMBERS},
    [NNF_GREATER_OR_EQUAL] = {"GreaterOrEqual", NUMBERS},
    [NNF_AND] = {"And", BOOLS},
    [NNF_OR] = {"Or", BOOLS},
    [NNF_XOR] = {"Xor", BOOLS},
    [NNF_BITWISE_AND] = {"BitwiseAnd", INTEGERS},
    [NNF_BITWISE_OR] = {"BitwiseOr", INTEGERS},
    [NNF_BITWISE_XOR] = {"BitwiseXor", INTEGERS},
    [NNF_SHIFT_LEFT] = {"BitShift", INTEGERS},
    [NNF_SHIFT_RIGHT] = {"BitShift", INTEGERS},
};

static bool compares(nnf_binary kind) {
    return kind >= NNF_EQUAL && kind <= NNF_GREATER_OR_EQUAL;
}

nnf_status nnf_binary_new(nnf_module **out, nnf_binary kind) {
    if ((unsigned)kind >= NNF_BINARY_COUNT)
        return nnf_error(NNF_ERROR_INVALID, "%d is no kind of arithmetic", (int)kind);
    nnf_binary_options options;
    memset(&options, 0, sizeof options); /* cleaning compares options whole, padding included */
    options.kind = kind;
    options.fmod = kind == NNF_FMOD;
    return nnf_module_new(out, nnf_type(kinds[kind].type), &options);
}

/* ---- What is known of integer results ---- */

/* The kinds whose result always fits; false for the others. */
static bool known_choice(nnf_binary kind, int64_t a, int64_t b, int64_t *result) {
    const int64_t results[NNF_BINARY_COUNT] = {
        [NNF_MIN] = a < b ? a : b,
        [NNF_MAX] = a > b ? a : b,
        [NNF_EQUAL] = a == b,
        [NNF_LESS] = a<b, [NNF_LESS_OR_EQUAL] = a <= b, [NNF_GREATER] = a> b,
        [NNF_GREATER_OR_EQUAL] = a >= b,
        [NNF_AND] = a && b,
        [NNF_OR] = a || b,
        [NNF_XOR] = !a != !b,
    };
    *result = results[kind];
    return kind == NNF_MIN || kind == NNF_MAX || (kind >= NNF_EQUAL && kind <= NNF_XOR);
}

/* a OP b for two dimensions or elements; symbols stay where the other operand changes nothing. */
static nnf_dim known_result(nnf_binary kind, nnf_dim a, nnf_dim b) {
    if (kind == NNF_MUL && (nnfi_dim_is(a, 0) || nnfi_dim_is(b, 0))) return nnfi_dim(0);
    if ((kind == NNF_MUL || kind == NNF_DIV) && nnfi_dim_is(b, 1)) return a;
    if (kind == NNF_MUL && nnfi_dim_is(a, 1)) return b;
    if ((kind == NNF_ADD || kind == NNF_SUB) && nnfi_dim_is(b, 0)) return a;
    if (kind == NNF_ADD && nnfi_dim_is(a, 0)) return b;
    if (kind == NNF_SUB && nnfi_dim_equal(a, b)) return nnfi_dim(0);
    if (kind == NNF_EQUAL && nnfi_dim_equal(a, b)) return nnfi_dim(1);
    /* a symbol is the size of an axis, which is not negative */
    bool negative = (nnfi_dim_known(a) && a.value < 0) || (nnfi_dim_known(b) && b.value < 0);
    if (kind == NNF_EQUAL && negative && (a.symbol > 0 || b.symbol > 0)) return nnfi_dim(0);
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
        fits = known_choice(kind, a.value, b.value, &result);
        break;
    }
    return fits ? nnfi_dim(result) : nnfi_unknown_dim();
}

void nnfi_broadcast_strides(int64_t *strides, int ndim, int operand_ndim, const int64_t *shape) {
    int64_t own[NNF_MAX_DIMS];
    nnfi_contiguous_strides(own, operand_ndim, shape);
    for (int i = 0; i < ndim; i++) {
        int axis = i - (ndim - operand_ndim);
        strides[i] = axis < 0 || shape[axis] == 1 ? 0 : own[axis];
    }
}

void nnfi_spread_values(nnf_dim *to, const nnf_type_info *result, const nnf_type_info *operand) {
    nnfi_copy copy = {.size = sizeof *to, .ndim = result->ndim, .to = to, .from = operand->values};
    int64_t shape[NNF_MAX_DIMS];
    for (int i = 0; i < operand->ndim; i++)
        shape[i] = operand->shape[i].value;
    for (int i = 0; i < result->ndim; i++)
        copy.shape[i] = result->shape[i].value;
    nnfi_contiguous_strides(copy.to_strides, copy.ndim, copy.shape);
    nnfi_broadcast_strides(copy.from_strides, copy.ndim, operand->ndim, shape);
    nnfi_strided_copy(&copy);
}

static nnf_status infer_values(nnf_binary kind, const nnf_type_info *a, const nnf_type_info *b,
                               nnf_type_info *out) {
    nnf_dim n, x[NNF_MAX_KNOWN_VALUES], y[NNF_MAX_KNOWN_VALUES];
    if (a->n_values < 0 || b->n_values < 0) return NNF_OK;
    if (!nnfi_info_is_static(a) || !nnfi_info_is_static(b)) return NNF_OK;
    if (!nnfi_keeps_values(out->dtype)) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, out->shape, 0, out->ndim));
    if (n.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    nnfi_spread_values(x, out, a);
    nnfi_spread_values(y, out, b);
    for (int i = 0; i < n.value; i++) {
        x[i] = known_result(kind, x[i], y[i]);
        if (out->dtype == NNF_I32 && nnfi_dim_known(x[i]) && x[i].value != (int32_t)x[i].value)
            x[i] = nnfi_unknown_dim();
    }
    return nnf_type_info_set_values(out, x, (int)n.value);
}

/* ---- The rows ---- */

static nnf_status check_takes(const nnf_module *module, nnf_binary kind, nnf_dtype dtype) {
    unsigned is = nnf_dtype_is_float(dtype) ? FLOATS : dtype == NNF_BOOL ? BOOLS : INTEGERS;
    unsigned takes = kinds[kind].takes;
    if (dtype == NNF_DTYPE_UNKNOWN || is & takes) return NNF_OK;
    return nnf_error(NNF_ERROR_DTYPE, "%s takes %s, not %s", nnf_module_type_name(module),
                     takes == NUMBERS    ? "numbers"
                     : takes == INTEGERS ? "integers"
                                         : "bools",
                     nnf_dtype_name(dtype));
}

static nnf_status infer_binary(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_binary_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    nnf_dtype dtype = inputs[0]->dtype;
    if (options->kind != NNF_POW)
        NNFI_TRY(nnfi_merge_dtype(module, &dtype, dtype, inputs[1]->dtype));
    NNFI_TRY(check_takes(module, options->kind, dtype));
    NNFI_TRY(check_takes(module, options->kind, inputs[1]->dtype));
    NNFI_TRY(nnfi_broadcast(module, &outputs[0], inputs[0], inputs[1]));
    outputs[0].dtype = compares(options->kind) ? NNF_BOOL : dtype;
    return infer_values(options->kind, inputs[0], inputs[1], &outputs[0]);
}

nnf_status nnfi_binary_run(nnf_session *session, nnf_binary kind, const nnf_tensor *a,
                           const nnf_tensor *b, nnf_tensor *y) {
    if (nnf_tensor_numel(y) == 0) return NNF_OK;
    nnfi_binary call = {.kind = kind, .dtype = nnf_tensor_dtype(a), .ndim = nnf_tensor_ndim(y)};
    for (int i = 0; i < call.ndim; i++)
        call.shape[i] = nnf_tensor_shape(y)[i];
    nnfi_broadcast_strides(call.a_strides, call.ndim, nnf_tensor_ndim(a), nnf_tensor_shape(a));
    nnfi_broadcast_strides(call.b_strides, call.ndim, nnf_tensor_ndim(b), nnf_tensor_shape(b));
    NNFI_TRY(nnf_tensor_data(a, &call.a));
    NNFI_TRY(nnf_tensor_data(b, &call.b));
    NNFI_TRY(nnf_tensor_mut_data(y, &call.y));
    return nnfi_session_kernels(session)->binary(session, &call);
}

nnf_status nnfi_binary_number(nnf_session *session, nnf_binary kind, const nnf_tensor *a, double b,
                              nnf_tensor *y) {
    nnf_tensor *number;
    void *data;
    NNFI_TRY(nnf_session_new_tensor(session, &number, nnf_tensor_dtype(a), 0, NULL));
    nnf_status status = nnf_tensor_mut_data(number, &data);
    if (status == NNF_OK) {
        nnfi_store_f64(nnf_tensor_dtype(a), data, 0, b);
        status = nnfi_binary_run(session, kind, a, number, y);
    }
    nnf_tensor_release(number);
    return status;
}

static nnf_status forward_binary(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_binary_options *options = nnf_module_options(module);
    return nnfi_binary_run(session, options->kind, inputs[0], inputs[1], outputs[0]);
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
    if (status == NNF_OK) status = nnfi_binary_run(session, NNF_POW, a, b, y);
    if (status == NNF_OK) status = nnf_tensor_convert(&result, y, base);
    if (status == NNF_OK) status = nnfi_copy_elements(outputs[0], result);
    nnf_tensor_release(a);
    nnf_tensor_release(b);
    nnf_tensor_release(y);
    nnf_tensor_release(result);
    return status;
}

/* ---- PReLU ---- */

/* The second operand is a slot, PyTorch's weight, with ONNX's broadcasting. */
static const nnf_slot prelu_slots[] = {{"weight", NNF_SLOT_PARAMETER}};

static nnf_status infer_prelu(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, 1));
    nnfi_slot_info slope = nnfi_slot_info_of(module, 0, inputs, n_inputs);
    const nnf_type_info *operands[] = {inputs[0], slope.given ? &slope.info : NULL};
    return infer_binary(module, operands, 2, outputs, n_outputs);
}

static nnf_status forward_prelu(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    nnf_tensor *operands[] = {inputs[0], NULL};
    NNFI_TRY(nnf_session_slot(session, &operands[1], module, 0, inputs, n_inputs));
    return forward_binary(session, module, operands, 2, outputs, n_outputs);
}

/* ---- Any number of operands ---- */

static nnf_status infer_variadic(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_binary_options *options = nnf_module_options(module);
    size_t least = n_inputs > 0 ? n_inputs : 1;
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, least, least, n_outputs, 1));
    nnf_type_info *out = &outputs[0];
    NNFI_TRY(nnf_type_info_copy(out, inputs[0]));
    NNFI_TRY(check_takes(module, options->kind, out->dtype));
    for (size_t i = 1; i < n_inputs; i++) {
        nnf_type_info so_far = *out; /* moved */
        nnf_type_info_init(out);
        nnf_status status = nnfi_merge_dtype(module, &out->dtype, so_far.dtype, inputs[i]->dtype);
        if (status == NNF_OK) status = check_takes(module, options->kind, out->dtype);
        if (status == NNF_OK) status = nnfi_broadcast(module, out, &so_far, inputs[i]);
        if (status == NNF_OK) status = infer_values(options->kind, &so_far, inputs[i], out);
        nnf_type_info_clear(&so_far);
        if (status != NNF_OK) return status;
    }
    return NNF_OK;
}

/* Each operand joins what the ones before it gave, which has the result's shape from the start. */
static nnf_status forward_variadic(nnf_session *session, nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                   size_t n_outputs) {
    (void)n_outputs;
    const nnf_binary_options *options = nnf_module_options(module);
    nnf_tensor *y = outputs[0];
    if (n_inputs == 1) return nnfi_copy_elements(y, inputs[0]);
    NNFI_TRY(nnfi_binary_run(session, options->kind, inputs[0], inputs[1], y));
    for (size_t i = 2; i < n_inputs; i++)
        NNFI_TRY(nnfi_binary_run(session, options->kind, y, inputs[i], y));
    return NNF_OK;
}

static nnf_status forward_mean(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    NNFI_TRY(forward_variadic(session, module, inputs, n_inputs, outputs, n_outputs));
    return nnfi_binary_number(session, NNF_DIV, outputs[0], (double)n_inputs, outputs[0]);
}

#define ROW(type_name, infer_function, forward_function)                                        \
    {                                                                                           \
        .name = type_name, .options_size = sizeof(nnf_binary_options), .infer = infer_function, \
        .forward = forward_function, .flags = NNF_TYPE_WIDENS_16_BIT,                           \
    }
#define BINARY(type_name) ROW(type_name, infer_binary, forward_binary)
static const nnf_module_type types[] = {
    BINARY("Add"),
    BINARY("Sub"),
    BINARY("Mul"),
    BINARY("Div"),
    ROW("Pow", infer_binary, forward_pow),
    BINARY("Mod"),
    {.name = "PReLU",
     .options_size = sizeof(nnf_binary_options),
     .slots = prelu_slots,
     .n_slots = 1,
     .infer = infer_prelu,
     .forward = forward_prelu,
     .flags = NNF_TYPE_WIDENS_16_BIT},
    BINARY("Equal"),
    BINARY("Less"),
    BINARY("LessOrEqual"),
    BINARY("Greater"),
    BINARY("GreaterOrEqual"),
    BINARY("And"),
    BINARY("Or"),
    BINARY("Xor"),
    BINARY("BitwiseAnd"),
    BINARY("BitwiseOr"),
    BINARY("BitwiseXor"),
    BINARY("BitShift"),
    ROW("Min", infer_variadic, forward_variadic),
    ROW("Max", infer_variadic, forward_variadic),
    ROW("Sum", infer_variadic, forward_variadic),
    ROW("Mean", infer_variadic, forward_mean),
};
const nnfi_type_family nnfi_elementwise_family = NNFI_TYPE_FAMILY(types);
