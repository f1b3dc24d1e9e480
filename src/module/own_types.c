/* Which types are the library's: a program's own may have the name of one and be something else. */
#include <string.h>

#include "module/object.h"
#include "nnfuse/nn.h"

static bool holds(const nnfi_type_family *family, const nnf_module_type *type) {
    const uintptr_t at = (uintptr_t)type, first = (uintptr_t)family->first;
    return at >= first && at < first + family->n * family->stride;
}

bool nnfi_is_in(const nnfi_type_family *const *families, const nnf_module_type *type) {
    for (; *families; families++)
        if (holds(*families, type)) return true;
    return false;
}

const nnf_module_type *nnfi_find_in(const nnfi_type_family *const *families, const char *name) {
    for (; *families; families++) {
        const char *row = (const char *)(*families)->first;
        for (size_t i = 0; i < (*families)->n; i++, row += (*families)->stride) {
            const nnf_module_type *type = (const nnf_module_type *)(const void *)row;
            if (*type->name == *name && !strcmp(type->name, name)) return type;
        }
    }
    return NULL;
}

bool nnfi_is_built_in(const nnf_module_type *type) {
    return nnfi_is_in(nnfi_built_in_types, type);
}

static bool is_own(const nnf_module_type *type) {
    return nnfi_is_built_in(type) || nnfi_is_in(nnfi_lifted_types, type);
}

bool nnfi_is_a(const nnf_module *module, const char *name) {
    const nnf_module_type *type = module->type;
    return *type->name == *name && !strcmp(type->name, name) && is_own(type);
}

const char *nnfi_known_type(const nnf_module *module) {
    const nnf_module_type *type = module->type;
    if (is_own(type) || !nnfi_find_in(nnfi_built_in_types, type->name)) return type->name;
    return "(a type of the program's own)";
}

const char *nnfi_told_type(const nnf_module *module) {
    const nnf_opaque_options *node = nnf_module_options(module);
    return nnfi_is_a(module, "Opaque") && node->op_type ? node->op_type : nnfi_known_type(module);
}
