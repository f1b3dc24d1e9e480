/* nnf_type: the rows of all families by name. */
#include <string.h>

#include "nn/nn_internal.h"

static const nnfi_type_family *const families[] = {
    &nnfi_conv_family,        &nnfi_linear_family,     &nnfi_batchnorm_family,
    &nnfi_pool_family,        &nnfi_activation_family, &nnfi_softmax_family,
    &nnfi_elementwise_family, &nnfi_logic_family,      &nnfi_cast_family,
    &nnfi_reduce_family,      &nnfi_order_family,      &nnfi_norm_family,
    &nnfi_arrange_family,     &nnfi_blocks_family,     &nnfi_cumulative_family,
    &nnfi_index_family,       &nnfi_resize_family,     &nnfi_generate_family,
    &nnfi_shape_family,       &nnfi_constant_family,   &nnfi_movement_family,
    &nnfi_pad_family,         &nnfi_dropout_family,    &nnfi_container_family,
    &nnfi_fused_family,
};

bool nnfi_is_built_in(const nnf_module_type *type) {
    const uintptr_t at = (uintptr_t)type;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        const uintptr_t first = (uintptr_t)families[f]->first;
        if (at >= first && at < first + families[f]->n * families[f]->stride) return true;
    }
    return false;
}

const nnf_module_type *nnf_type(const char *name) {
    if (!name) return NULL;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        const char *row = (const char *)families[f]->first;
        for (size_t i = 0; i < families[f]->n; i++, row += families[f]->stride) {
            const nnf_module_type *type = (const nnf_module_type *)(const void *)row;
            if (*type->name == *name && !strcmp(type->name, name)) return type;
        }
    }
    return NULL;
}
