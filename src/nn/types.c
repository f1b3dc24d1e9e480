/* nnf_type: the rows of all families by name. */
#include "nn/nn_internal.h"

const nnfi_type_family *const nnfi_built_in_types[] = {
    &nnfi_conv_family,        &nnfi_linear_family,
    &nnfi_batchnorm_family,   &nnfi_pool_family,
    &nnfi_activation_family,  &nnfi_softmax_family,
    &nnfi_elementwise_family, &nnfi_logic_family,
    &nnfi_cast_family,        &nnfi_reduce_family,
    &nnfi_order_family,       &nnfi_norm_family,
    &nnfi_arrange_family,     &nnfi_blocks_family,
    &nnfi_cumulative_family,  &nnfi_index_family,
    &nnfi_resize_family,      &nnfi_generate_family,
    &nnfi_shape_family,       &nnfi_constant_family,
    &nnfi_movement_family,    &nnfi_pad_family,
    &nnfi_dropout_family,     &nnfi_container_family,
    &nnfi_fused_family,       NULL,
};

const nnfi_type_family *const nnfi_lifted_types[] = {
    &nnfi_lifted_activation_family, &nnfi_lifted_norm_family, &nnfi_lifted_linear_family, NULL};

const nnf_module_type *nnf_type(const char *name) {
    return name ? nnfi_find_in(nnfi_built_in_types, name) : NULL;
}

bool nnfi_is_lifted(const nnf_module *module) {
    return nnfi_is_in(nnfi_lifted_types, nnf_module_get_type(module));
}

const nnf_module_type *nnfi_lifted_type(const char *name) {
    return nnfi_find_in(nnfi_lifted_types, name);
}
