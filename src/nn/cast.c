/* Cast, and CastLike, whose second input has the dtype. */
#include "nn/nn_internal.h"

/* The elements that are known of x, as they are in dtype `to`; unknown where one could be cut. */
static nnf_status cast_values(nnf_type_info *out, const nnf_type_info *x, nnf_dtype to) {
    if (x->n_values < 0 || !nnfi_keeps_values(to)) return NNF_OK;
    NNFI_TRY(nnf_type_info_set_values(out, x->values, x->n_values));
    for (int i = 0; i < out->n_values; i++) {
        nnf_dim *value = &out->values[i];
        bool known = nnfi_dim_known(*value);
        if (to == NNF_BOOL && x->dtype != NNF_BOOL)
            *value = known ? nnfi_dim(value->value != 0) : nnfi_unknown_dim();
        if (to == NNF_I32 && x->dtype == NNF_I64 && known && value->value != (int32_t)value->value)
            *value = nnfi_unknown_dim();
    }
    return NNF_OK;
}

static nnf_status infer_to(const nnf_type_info *x, nnf_dtype to, nnf_type_info *out) {
    NNFI_TRY(cast_values(out, x, to));
    nnfi_info_set_like(out, x);
    out->dtype = to;
    return NNF_OK;
}

static nnf_status infer_cast(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_cast_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    return infer_to(inputs[0], options->to, &outputs[0]);
}

static nnf_status infer_cast_like(const nnf_module *module, const nnf_type_info *const *inputs,
                                  size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    return infer_to(inputs[0], inputs[1]->dtype, &outputs[0]);
}

static nnf_status forward_cast(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    nnf_tensor *converted;
    NNFI_TRY(nnf_tensor_convert(&converted, inputs[0], nnf_tensor_dtype(outputs[0])));
    nnf_status status = nnfi_copy_elements(outputs[0], converted);
    nnf_tensor_release(converted);
    return status;
}

static const nnf_module_type types[] = {
    {.name = "Cast",
     .options_size = sizeof(nnf_cast_options),
     .infer = infer_cast,
     .forward = forward_cast},
    {.name = "CastLike", .infer = infer_cast_like, .forward = forward_cast},
};
const nnfi_type_family nnfi_cast_family = NNFI_TYPE_FAMILY(types);
