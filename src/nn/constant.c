/* Constant, ConstantOfShape: modules that hold their value as the parameter "value". */
#include <string.h>

#include "nn/nn_internal.h"

static nnf_status new_with_value(nnf_module **out, const char *type, nnf_tensor *value) {
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, nnf_type(type), NULL));
    nnf_status status = value ? nnf_module_set_parameter(module, "value", value) : NNF_OK;
    if (status == NNF_OK)
        *out = module;
    else
        nnf_module_release(module);
    return status;
}

nnf_status nnf_constant_new(nnf_module **out, nnf_tensor *value) {
    if (!value) return nnf_error(NNF_ERROR_INVALID, "a Constant needs a tensor");
    return new_with_value(out, "Constant", value);
}

nnf_status nnf_constant_of_shape_new(nnf_module **out, nnf_tensor *value) {
    if (value && nnf_tensor_numel(value) != 1)
        return nnf_error(NNF_ERROR_INVALID, "ConstantOfShape takes a value of 1 element, not %lld",
                         (long long)nnf_tensor_numel(value));
    return new_with_value(out, "ConstantOfShape", value);
}

static nnf_status infer_constant(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 0, 0, n_outputs, 1));
    const nnf_tensor *value = nnf_module_tensor(module, "value");
    if (!value) return nnf_error(NNF_ERROR_INVALID, "the Constant has no value");
    return nnf_type_info_of_tensor(&outputs[0], value);
}

static nnf_status forward_constant(nnf_session *session, nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                   size_t n_outputs) {
    (void)session, (void)inputs, (void)n_inputs, (void)n_outputs;
    return nnfi_copy_elements(outputs[0], nnf_module_tensor(module, "value"));
}

static nnf_dtype dtype_of_value(const nnf_module *module) {
    const nnf_tensor *value = nnf_module_tensor(module, "value");
    return value ? nnf_tensor_dtype(value) : NNF_F32;
}

/* The elements where they are few integers. */
static nnf_status infer_fill(const nnf_module *module, nnf_type_info *out) {
    nnf_dim n, values[NNF_MAX_KNOWN_VALUES];
    if (!nnfi_info_is_static(out) || !nnfi_keeps_values(out->dtype)) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, out->shape, 0, out->ndim));
    if (n.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    const void *data;
    NNFI_TRY(nnf_tensor_data(nnf_module_tensor(module, "value"), &data));
    for (int i = 0; i < n.value; i++)
        values[i] = nnfi_dim(nnfi_load_i64(out->dtype, data, 0));
    return nnf_type_info_set_values(out, values, (int)n.value);
}

static nnf_status infer_constant_of_shape(const nnf_module *module,
                                          const nnf_type_info *const *inputs, size_t n_inputs,
                                          nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    nnfi_ints shape;
    NNFI_TRY(nnfi_ints_of_info(&shape, module, "its shape", inputs[0]));
    outputs[0].dtype = dtype_of_value(module);
    if (shape.n < 0) return NNF_OK;
    if (shape.n > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "ConstantOfShape gives at most %d dimensions, not %d",
                         NNF_MAX_DIMS, shape.n);
    for (int i = 0; i < shape.n; i++)
        if (nnfi_dim_known(shape.values[i]) && shape.values[i].value < 0)
            return nnf_error(NNF_ERROR_SHAPE, "ConstantOfShape is given the dimension %lld",
                             (long long)shape.values[i].value);
    nnfi_info_set_shape(&outputs[0], shape.n, shape.values);
    return infer_fill(module, &outputs[0]);
}

static nnf_status forward_constant_of_shape(nnf_session *session, nnf_module *module,
                                            nnf_tensor *const *inputs, size_t n_inputs,
                                            nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)inputs, (void)n_inputs, (void)n_outputs;
    static const double zero = 0;
    const nnf_tensor *value = nnf_module_tensor(module, "value");
    const void *element = &zero;
    if (value) NNFI_TRY(nnf_tensor_data(value, &element));
    nnf_tensor *y = outputs[0];
    nnfi_copy copy = {.size = nnf_dtype_size(nnf_tensor_dtype(y)),
                      .ndim = 1,
                      .shape = {nnf_tensor_numel(y)},
                      .to_strides = {1},
                      .from_strides = {0},
                      .from = element,
                      .threads = 1};
    NNFI_TRY(nnf_tensor_mut_data(y, &copy.to));
    nnfi_strided_copy(&copy);
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "Constant", .infer = infer_constant, .forward = forward_constant},
    {.name = "ConstantOfShape",
     .infer = infer_constant_of_shape,
     .forward = forward_constant_of_shape},
};
const nnfi_type_family nnfi_constant_family = NNFI_TYPE_FAMILY(types);
