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

static bool holds(const nnfi_type_family *family, const nnf_module_type *type) {
    const uintptr_t at = (uintptr_t)type, first = (uintptr_t)family->first;
    return at >= first && at < first + family->n * family->stride;
}

bool nnfi_is_built_in(const nnf_module_type *type) {
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        if (holds(families[f], type)) return true;
    return false;
}

bool nnfi_is_a(const nnf_module *module, const char *type) {
    const nnf_module_type *own = nnf_module_get_type(module);
    return *own->name == *type && !strcmp(own->name, type) && nnfi_is_built_in(own);
}

static const nnf_module_type *find(const nnfi_type_family *family, const char *name) {
    const char *row = (const char *)family->first;
    for (size_t i = 0; i < family->n; i++, row += family->stride) {
        const nnf_module_type *type = (const nnf_module_type *)(const void *)row;
        if (*type->name == *name && !strcmp(type->name, name)) return type;
    }
    return NULL;
}

const nnf_module_type *nnf_type(const char *name) {
    const nnf_module_type *found = NULL;
    for (size_t f = 0; name && !found && f < sizeof families / sizeof *families; f++)
        found = find(families[f], name);
    return found;
}

bool nnfi_is_lifted(const nnf_module *module) {
    const nnf_module_type *type = nnf_module_get_type(module);
    return holds(&nnfi_lifted_activation_family, type) || holds(&nnfi_lifted_norm_family, type);
}

const nnf_module_type *nnfi_lifted_type(const char *name) {
    const nnf_module_type *found = find(&nnfi_lifted_activation_family, name);
    return found ? found : find(&nnfi_lifted_norm_family, name);
}
