/* Parametrizations: parameters that are computed at each use from others (their originals), which
 * the module holds as "parametrizations.<parameter>.original<i>". */
#include <stdio.h>
#include <string.h>

#include "module/object.h"

#define MAX_ORIGINALS 8

/* ---- The module's list of them ---- */

const nnfi_parametrized *nnfi_find_parametrized(const nnf_module *module, const char *name) {
    const nnfi_more *more = nnfi_more_of(module);
    for (size_t i = 0; i < more->n_parametrized; i++)
        if (!name || !strcmp(more->parametrized[i].name, name)) return &more->parametrized[i];
    return NULL;
}

bool nnf_module_is_parametrized(const nnf_module *module, const char *name) {
    return module && nnfi_find_parametrized(module, name) != NULL;
}

static nnf_status append(nnf_module *module, const nnfi_parametrized *model) {
    size_t size = model->row->options_size;
    nnfi_more *more = nnfi_more_new(module);
    if (!more || !nnfi_reserve(&more->parametrized, &more->parametrized_capacity,
                               more->n_parametrized + 1, sizeof *more->parametrized))
        return nnfi_error_memory(sizeof *more->parametrized, "a parametrization");
    nnfi_parametrized copy = *model;
    copy.name = nnfi_strdup(model->name);
    copy.options = nnfi_calloc(1, size);
    if (!copy.name || !copy.options) {
        nnfi_free(copy.name);
        nnfi_free(copy.options);
        return nnfi_error_memory(size, "a parametrization's options");
    }
    if (model->options && size > 0) memcpy(copy.options, model->options, size);
    more->parametrized[more->n_parametrized++] = copy;
    return NNF_OK;
}

static void free_parametrized(nnfi_parametrized *parametrized) {
    nnfi_free(parametrized->name);
    nnfi_free(parametrized->options);
}

nnf_status nnfi_parametrized_copy(nnf_module *to, const nnf_module *from) {
    const nnfi_more *more = nnfi_more_of(from);
    for (size_t i = 0; i < more->n_parametrized; i++)
        NNFI_TRY(append(to, &more->parametrized[i]));
    return NNF_OK;
}

void nnfi_parametrized_clear(nnfi_more *more) {
    for (size_t i = 0; i < more->n_parametrized; i++)
        free_parametrized(&more->parametrized[i]);
    nnfi_free(more->parametrized);
}

static void forget(nnf_module *module, const nnfi_parametrized *parametrized) {
    nnfi_more *more = module->more; /* it holds the parametrization */
    size_t i = (size_t)(parametrized - more->parametrized);
    free_parametrized(&more->parametrized[i]);
    memmove(&more->parametrized[i], &more->parametrized[i + 1],
            (more->n_parametrized - i - 1) * sizeof *more->parametrized);
    more->n_parametrized--;
}

/* ---- Originals ---- */

static char *original_name(const nnfi_parametrized *parametrized, size_t index) {
    return nnfi_format("parametrizations.%s.original%zu", parametrized->name, index);
}

static nnf_status set_original(nnf_module *module, const nnfi_parametrized *parametrized,
                               size_t index, nnf_tensor *tensor) {
    bool is_buffer = parametrized->row->buffers >> index & 1;
    char *name = original_name(parametrized, index);
    if (!name) return nnfi_error_memory(1, "a tensor's name");
    nnf_status status =
        nnfi_set_tensor(module, name, is_buffer ? NNF_SLOT_BUFFER : NNF_SLOT_PARAMETER, tensor);
    nnfi_free(name);
    return status;
}

/* Unsetting needs no memory but the name's: where even that is not there, what stays does no harm
 * to a module whose parameter is plain again. */
static void unset_originals(nnf_module *module, const nnfi_parametrized *parametrized) {
    for (size_t i = 0; i < parametrized->n_originals; i++)
        set_original(module, parametrized, i, NULL);
}

static nnf_status get_originals(nnf_tensor **originals, const nnf_module *module,
                                const nnfi_parametrized *parametrized) {
    for (size_t i = 0; i < parametrized->n_originals; i++) {
        char *name = original_name(parametrized, i);
        if (!name) return nnfi_error_memory(1, "a tensor's name");
        originals[i] = nnf_module_tensor(module, name);
        nnfi_free(name);
        if (!originals[i])
            return nnf_error(NNF_ERROR_NOT_FOUND,
                             "'parametrizations.%s.original%zu' of a %s is unset",
                             parametrized->name, i, module->type->name);
    }
    return NNF_OK;
}

static nnf_status need_name(const nnf_module *module, const char *name) {
    if (module && name) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "a parameter is looked up by a module and a name");
}

nnf_status nnf_module_parametrized_tensor(nnf_tensor **out, const nnf_module *module,
                                          const char *name) {
    NNFI_TRY(need_name(module, name));
    const nnfi_parametrized *parametrized = nnfi_find_parametrized(module, name);
    if (!parametrized) {
        nnf_tensor *plain = nnf_module_tensor(module, name);
        *out = plain ? nnf_tensor_retain(plain) : NULL;
        return NNF_OK;
    }
    nnf_tensor *originals[MAX_ORIGINALS], *value = NULL;
    NNFI_TRY(get_originals(originals, module, parametrized));
    NNFI_TRY(parametrized->row->compute(&value, originals, parametrized->n_originals,
                                        parametrized->options, module->training));
    *out = value;
    return NNF_OK;
}

/* ---- Registering and removing ---- */

/* Registers with the originals that decompose gave. */
static nnf_status install(nnf_module *module, const nnfi_parametrized *model,
                          nnf_tensor *const *originals) {
    NNFI_TRY(append(module, model));
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < model->n_originals && status == NNF_OK; i++)
        status = set_original(module, model, i, originals[i]);
    if (status == NNF_OK) status = nnfi_set_tensor(module, model->name, NNF_SLOT_PARAMETER, NULL);
    if (status == NNF_OK) return NNF_OK;
    unset_originals(module, model);
    forget(module, &module->more->parametrized[module->more->n_parametrized - 1]);
    return status;
}

nnf_status nnf_module_register_parametrization(nnf_module *module, const char *name,
                                               const nnf_parametrization *row,
                                               const void *options) {
    if (!module || !name || !row || !row->compute || !row->decompose)
        return nnf_error(NNF_ERROR_INVALID,
                         "a parametrization needs a module, a parameter's name and both functions");
    if (nnf_module_is_parametrized(module, name))
        return nnf_error(NNF_ERROR_INVALID, "'%s' of a %s is parametrized already", name,
                         module->type->name);
    nnf_tensor *value = nnf_module_tensor(module, name);
    if (!value)
        return nnf_error(NNF_ERROR_NOT_FOUND, "a %s has no parameter '%s' to parametrize",
                         module->type->name, name);
    nnf_tensor *originals[MAX_ORIGINALS] = {0};
    nnfi_parametrized model = {.name = (char *)name, .row = row, .options = (void *)options};
    NNFI_TRY(row->decompose(originals, &model.n_originals, value, options));
    nnf_status status = install(module, &model, originals);
    for (size_t i = 0; i < model.n_originals; i++)
        nnf_tensor_release(originals[i]);
    return status;
}

nnf_status nnf_module_remove_parametrizations(nnf_module *module, const char *name) {
    NNFI_TRY(need_name(module, name));
    if (!nnf_module_is_parametrized(module, name))
        return nnf_error(NNF_ERROR_NOT_FOUND, "'%s' is not parametrized", name);
    nnf_tensor *value;
    NNFI_TRY(nnf_module_parametrized_tensor(&value, module, name));
    const nnfi_parametrized *parametrized = nnfi_find_parametrized(module, name);
    nnf_status status = nnfi_set_tensor(module, name, NNF_SLOT_PARAMETER, value);
    nnf_tensor_release(value);
    if (status != NNF_OK) return status;
    unset_originals(module, parametrized);
    forget(module, parametrized);
    return NNF_OK;
}
