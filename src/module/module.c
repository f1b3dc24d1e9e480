/* The module object: making and freeing it, its options, its tensors. */
#include <string.h>

#include "module/object.h"

/* The module with its options and slots behind it, all zero. */
static nnf_module *allocate(const nnf_module_type *type) {
    if (type->n_slots > SIZE_MAX / 4 / sizeof(nnf_tensor *) || type->options_size > SIZE_MAX / 4)
        return NULL;
    return nnfi_calloc(1, nnfi_options_offset(type) + type->options_size);
}

nnf_status nnf_module_new(nnf_module **out, const nnf_module_type *type, const void *options) {
    if (!out || !type || !type->name)
        return nnf_error(NNF_ERROR_INVALID, "a module needs a type with a name");
    nnf_module *module = allocate(type);
    if (!module) return nnfi_error_memory(sizeof *module + type->options_size, "a module");
    atomic_init(&module->references, 1);
    module->type = type;
    module->training = true;
    nnf_status status = NNF_OK;
    if (options && type->options_size > 0) {
        memcpy(nnfi_options_of(module), options, type->options_size);
        if (type->copy_options) status = type->copy_options(nnfi_options_of(module), options);
    }
    if (status != NNF_OK) { /* there are no options yet that destroy_options could free */
        nnfi_free(module);
        return status;
    }
    *out = module;
    return NNF_OK;
}

const nnfi_more *nnfi_more_of(const nnf_module *module) {
    static const nnfi_more nothing;
    return module->more ? module->more : &nothing;
}

nnfi_more *nnfi_more_new(nnf_module *module) {
    if (!module->more) module->more = nnfi_calloc(1, sizeof *module->more);
    return module->more;
}

static void free_more(nnfi_more *more) {
    if (!more) return;
    for (size_t i = 0; i < more->n_extras; i++) {
        nnf_tensor_release(more->extras[i].tensor);
        nnfi_free(more->extras[i].name);
    }
    nnfi_free(more->extras);
    nnfi_pile_clear(&more->child_names);
    nnfi_index_clear(&more->child_by_name);
    nnfi_hooks_clear(&more->pre_hooks);
    nnfi_hooks_clear(&more->forward_hooks);
    nnfi_parametrized_clear(more);
    nnfi_free(more);
}

nnf_module *nnf_module_retain(nnf_module *module) {
    if (module) atomic_fetch_add_explicit(&module->references, 1, memory_order_relaxed);
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
    if (module->type->destroy_options) module->type->destroy_options(nnfi_options_of(module));
    for (size_t i = 0; i < module->type->n_slots; i++)
        nnf_tensor_release(module->slots[i]);
    for (size_t i = 0; i < nnfi_n_children(module); i++)
        drop(module->children->items[i].module, doomed);
    nnfi_children_free_names(module);
    nnfi_free(module->children);
    free_more(module->more);
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
    return module ? module->type : NULL;
}

const char *nnf_module_type_name(const nnf_module *module) {
    return module ? module->type->name : NULL;
}

const char *nnf_module_type_before_parametrizations(const nnf_module *module) {
    return nnf_module_type_name(module);
}

const void *nnf_module_options(const nnf_module *module) {
    return module && module->type->options_size > 0 ? nnfi_options_of(module) : NULL;
}

void *nnf_module_mut_options(nnf_module *module) {
    if (!module) return NULL;
    module->origin_source = 0;
    module->origin_index = 0;
    return nnfi_module_state(module);
}

void *nnfi_module_state(nnf_module *module) {
    return module->type->options_size > 0 ? nnfi_options_of(module) : NULL;
}

nnfi_origin nnfi_module_origin(const nnf_module *module) {
    return (nnfi_origin){module->origin_source, module->origin_index};
}

void nnfi_module_set_origin(nnf_module *module, nnfi_origin origin) {
    if (!nnfi_origin_fits(origin)) origin = (nnfi_origin){0};
    module->origin_source = origin.source & NNFI_SOURCE_MASK;
    module->origin_index = (int32_t)origin.index;
}

bool nnf_module_training(const nnf_module *module) {
    return module && module->training;
}

void nnf_module_set_training(nnf_module *module, bool training) {
    if (module) module->training = training;
}

/* ---- Tensors ---- */

nnf_tensor *nnfi_nth_tensor(const nnf_module *module, size_t index, const nnf_slot **slot,
                            const nnfi_extra **extra) {
    for (size_t i = 0; i < module->type->n_slots; i++) {
        if (!module->slots[i] || index-- > 0) continue;
        *slot = &module->type->slots[i];
        *extra = NULL;
        return module->slots[i];
    }
    const nnfi_more *more = nnfi_more_of(module);
    if (index >= more->n_extras) return NULL;
    *slot = NULL;
    *extra = &more->extras[index];
    return more->extras[index].tensor;
}

size_t nnf_module_n_tensors(const nnf_module *module) {
    if (!module) return 0;
    size_t n = nnfi_more_of(module)->n_extras;
    for (size_t i = 0; i < module->type->n_slots; i++)
        n += module->slots[i] != NULL;
    return n;
}

const char *nnf_module_tensor_name(const nnf_module *module, size_t index) {
    const nnf_slot *slot;
    const nnfi_extra *extra;
    if (!module || !nnfi_nth_tensor(module, index, &slot, &extra)) return NULL;
    return slot ? slot->name : extra->name;
}

nnf_slot_kind nnf_module_tensor_kind(const nnf_module *module, size_t index) {
    const nnf_slot *slot;
    const nnfi_extra *extra;
    if (!module || !nnfi_nth_tensor(module, index, &slot, &extra)) return NNF_SLOT_PARAMETER;
    return slot ? slot->kind : extra->kind;
}

static const nnf_slot *find_slot(const nnf_module *module, const char *name) {
    const nnf_slot *slots = module->type->slots;
    for (size_t i = 0; i < module->type->n_slots; i++)
        if (*slots[i].name == *name && !strcmp(slots[i].name, name)) return &slots[i];
    return NULL;
}

static nnfi_extra *find_extra(const nnf_module *module, const char *name) {
    const nnfi_more *more = nnfi_more_of(module);
    for (size_t i = 0; i < more->n_extras; i++)
        if (!strcmp(more->extras[i].name, name)) return &more->extras[i];
    return NULL;
}

nnf_tensor *nnf_module_tensor(const nnf_module *module, const char *name) {
    if (!module || !name) return NULL;
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

static void remove_extra(nnfi_more *more, nnfi_extra *extra) {
    nnf_tensor_release(extra->tensor);
    nnfi_free(extra->name);
    size_t behind = more->n_extras - (size_t)(extra - more->extras) - 1;
    memmove(extra, extra + 1, behind * sizeof *extra);
    more->n_extras--;
}

static nnf_status add_extra(nnf_module *module, const char *name, nnf_slot_kind kind,
                            nnf_tensor *tensor) {
    nnfi_more *more = nnfi_more_new(module);
    if (!more || !nnfi_reserve(&more->extras, &more->extras_capacity, more->n_extras + 1,
                               sizeof *more->extras))
        return nnfi_error_memory(sizeof *more->extras, "a module's tensors");
    char *copy = nnfi_strdup(name);
    if (!copy) return nnfi_error_memory(strlen(name) + 1, "a tensor's name");
    more->extras[more->n_extras++] = (nnfi_extra){copy, kind, nnf_tensor_retain(tensor)};
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
        remove_extra(module->more, extra);
    } else if (tensor) {
        return add_extra(module, name, kind, tensor);
    }
    return NNF_OK;
}

static nnf_status set_tensor(nnf_module *module, const char *name, nnf_slot_kind kind,
                             nnf_tensor *tensor) {
    if (!module || !name || !*name)
        return nnf_error(NNF_ERROR_INVALID, "a tensor is set by a module and a name");
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

/* ---- Residuals ---- */

bool nnfi_takes_residual(const nnf_module *module) {
    return nnfi_is_a(module, "Add");
}

size_t nnfi_n_residuals(const nnf_module *container) {
    size_t n = 0;
    if (!(nnf_module_get_type(container)->flags & NNF_TYPE_FUSED)) return 0;
    for (size_t i = 1; i < nnf_module_n_children(container); i++)
        n += nnfi_takes_residual(nnf_module_child(container, i));
    return n;
}
