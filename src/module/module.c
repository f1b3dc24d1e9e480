/* The module object: making and freeing it, its options, its tensors. */
#include <string.h>

#include "module/object.h"

nnf_status nnf_module_new(nnf_module **out, const nnf_module_type *type, const void *options) {
    if (!out || !type || !type->name)
        return nnf_error(NNF_ERROR_INVALID, "a module needs a type with a name");
    nnf_module *module = nnfi_calloc(1, sizeof *module);
    if (!module) return nnfi_error_memory(sizeof *module, "a module");
    atomic_init(&module->references, 1);
    module->type = type;
    module->training = true;
    module->slots = nnfi_calloc(type->n_slots, sizeof(nnf_tensor *));
    module->options = nnfi_calloc(1, type->options_size);
    nnf_status status = NNF_OK;
    if (!module->slots || !module->options) {
        status = nnfi_error_memory(type->options_size, "a module's options");
    } else if (options && type->options_size > 0) {
        memcpy(module->options, options, type->options_size);
        if (type->copy_options) status = type->copy_options(module->options, options);
    }
    if (status != NNF_OK) { /* there are no options yet that destroy_options could free */
        nnfi_free(module->options);
        nnfi_free(module->slots);
        nnfi_free(module);
        return status;
    }
    *out = module;
    return NNF_OK;
}

nnf_module *nnf_module_retain(nnf_module *module) {
    atomic_fetch_add_explicit(&module->references, 1, memory_order_relaxed);
    return module;
}

/* Drops one reference; the last one puts the module on the list of those to be freed. */
static void drop(nnf_module *module, nnf_module **doomed) {
    if (!module) return;
    if (atomic_fetch_sub_explicit(&module->references, 1, memory_order_acq_rel) != 1) return;
    module->link = *doomed;
    *doomed = module;
}

static void free_module(nnf_module *module, nnf_module **doomed) {
    if (module->type->destroy_options) module->type->destroy_options(module->options);
    nnfi_free(module->options);
    for (size_t i = 0; i < module->type->n_slots; i++)
        nnf_tensor_release(module->slots[i]);
    nnfi_free(module->slots);
    for (size_t i = 0; i < module->n_extras; i++) {
        nnf_tensor_release(module->extras[i].tensor);
        nnfi_free(module->extras[i].name);
    }
    nnfi_free(module->extras);
    for (size_t i = 0; i < module->n_children; i++) {
        drop(module->children[i].module, doomed);
        nnfi_free(module->children[i].name);
    }
    nnfi_free(module->children);
    nnfi_map_clear(&module->child_by_name);
    nnfi_hooks_clear(&module->pre_hooks);
    nnfi_hooks_clear(&module->forward_hooks);
    nnfi_parametrized_clear(module);
    nnfi_free(module);
}

/* A list instead of recursion: a tree may be nested as deeply as a file's names are. */
void nnf_module_release(nnf_module *module) {
    nnf_module *doomed = NULL;
    drop(module, &doomed);
    while (doomed) {
        nnf_module *next = doomed;
        doomed = next->link;
        free_module(next, &doomed);
    }
}

const nnf_module_type *nnf_module_get_type(const nnf_module *module) {
    return module->type;
}

const char *nnf_module_type_name(const nnf_module *module) {
    return module->type->name;
}

const char *nnf_module_type_before_parametrizations(const nnf_module *module) {
    return module->type->name;
}

const void *nnf_module_options(const nnf_module *module) {
    return module->type->options_size > 0 ? module->options : NULL;
}

void *nnf_module_mut_options(nnf_module *module) {
    module->origin = (nnfi_origin){0};
    return nnfi_module_state(module);
}

void *nnfi_module_state(nnf_module *module) {
    return module->type->options_size > 0 ? module->options : NULL;
}

nnfi_origin nnfi_module_origin(const nnf_module *module) {
    return module->origin;
}

void nnfi_module_set_origin(nnf_module *module, nnfi_origin origin) {
    module->origin = origin;
}

bool nnf_module_training(const nnf_module *module) {
    return module->training;
}

void nnf_module_set_training(nnf_module *module, bool training) {
    module->training = training;
}

/* ---- Tensors ---- */

/* The place of a set tensor by its index among the set ones; *extra NULL where it is a slot. */
static nnf_tensor *nth_tensor(const nnf_module *module, size_t index, const nnf_slot **slot,
                              const nnfi_extra **extra) {
    for (size_t i = 0; i < module->type->n_slots; i++) {
        if (!module->slots[i] || index-- > 0) continue;
        *slot = &module->type->slots[i];
        *extra = NULL;
        return module->slots[i];
    }
    if (index >= module->n_extras) return NULL;
    *slot = NULL;
    *extra = &module->extras[index];
    return module->extras[index].tensor;
}

size_t nnf_module_n_tensors(const nnf_module *module) {
    size_t n = module->n_extras;
    for (size_t i = 0; i < module->type->n_slots; i++)
        n += module->slots[i] != NULL;
    return n;
}

const char *nnf_module_tensor_name(const nnf_module *module, size_t index) {
    const nnf_slot *slot;
    const nnfi_extra *extra;
    if (!nth_tensor(module, index, &slot, &extra)) return NULL;
    return slot ? slot->name : extra->name;
}

nnf_slot_kind nnf_module_tensor_kind(const nnf_module *module, size_t index) {
    const nnf_slot *slot;
    const nnfi_extra *extra;
    if (!nth_tensor(module, index, &slot, &extra)) return NNF_SLOT_PARAMETER;
    return slot ? slot->kind : extra->kind;
}

static const nnf_slot *find_slot(const nnf_module *module, const char *name) {
    for (size_t i = 0; i < module->type->n_slots; i++)
        if (!strcmp(module->type->slots[i].name, name)) return &module->type->slots[i];
    return NULL;
}

static nnfi_extra *find_extra(const nnf_module *module, const char *name) {
    for (size_t i = 0; i < module->n_extras; i++)
        if (!strcmp(module->extras[i].name, name)) return &module->extras[i];
    return NULL;
}

nnf_tensor *nnf_module_tensor(const nnf_module *module, const char *name) {
    const nnf_slot *slot = find_slot(module, name);
    if (slot) return module->slots[slot - module->type->slots];
    const nnfi_extra *extra = find_extra(module, name);
    return extra ? extra->tensor : NULL;
}

static void replace_tensor(nnf_tensor **cell, nnf_tensor *tensor) {
    nnf_tensor *old = *cell;
    *cell = tensor ? nnf_tensor_retain(tensor) : NULL;
    nnf_tensor_release(old);
}

static void remove_extra(nnf_module *module, nnfi_extra *extra) {
    nnf_tensor_release(extra->tensor);
    nnfi_free(extra->name);
    size_t behind = module->n_extras - (size_t)(extra - module->extras) - 1;
    memmove(extra, extra + 1, behind * sizeof *extra);
    module->n_extras--;
}

static nnf_status add_extra(nnf_module *module, const char *name, nnf_slot_kind kind,
                            nnf_tensor *tensor) {
    if (!nnfi_reserve(&module->extras, &module->extras_capacity, module->n_extras + 1,
                      sizeof *module->extras))
        return nnfi_error_memory(sizeof *module->extras, "a module's tensors");
    char *copy = nnfi_strdup(name);
    if (!copy) return nnfi_error_memory(strlen(name) + 1, "a tensor's name");
    module->extras[module->n_extras++] = (nnfi_extra){copy, kind, nnf_tensor_retain(tensor)};
    return NNF_OK;
}

nnf_status nnfi_set_tensor(nnf_module *module, const char *name, nnf_slot_kind kind,
                           nnf_tensor *tensor) {
    static const char *const words[] = {"parameter", "buffer"};
    const nnf_slot *slot = find_slot(module, name);
    nnfi_extra *extra = slot ? NULL : find_extra(module, name);
    if ((slot && slot->kind != kind) || (extra && extra->kind != kind))
        return nnf_error(NNF_ERROR_INVALID, "'%s' of a %s is a %s, not a %s", name,
                         module->type->name, words[kind == NNF_SLOT_PARAMETER], words[kind]);
    if (slot) {
        replace_tensor(&module->slots[slot - module->type->slots], tensor);
    } else if (extra && tensor) {
        replace_tensor(&extra->tensor, tensor);
    } else if (extra) {
        remove_extra(module, extra);
    } else if (tensor) {
        return add_extra(module, name, kind, tensor);
    }
    return NNF_OK;
}

static nnf_status set_tensor(nnf_module *module, const char *name, nnf_slot_kind kind,
                             nnf_tensor *tensor) {
    if (!module || !name || !*name)
        return nnf_error(NNF_ERROR_INVALID, "a tensor of a module needs a name");
    if (nnfi_find_parametrized(module, name))
        return nnf_error(NNF_ERROR_INVALID,
                         "'%s' of a %s is parametrized: remove its parametrization before it is "
                         "set",
                         name, module->type->name);
    return nnfi_set_tensor(module, name, kind, tensor);
}

nnf_status nnf_module_set_parameter(nnf_module *module, const char *name, nnf_tensor *tensor) {
    return set_tensor(module, name, NNF_SLOT_PARAMETER, tensor);
}

nnf_status nnf_module_set_buffer(nnf_module *module, const char *name, nnf_tensor *tensor) {
    return set_tensor(module, name, NNF_SLOT_BUFFER, tensor);
}
