/* Modules that hold others, or nothing: Sequential, Module, Identity, Opaque. */
#include <string.h>

#include "nn/nn_internal.h"
#include "support/text.h"

/* ---- Running children one after another ---- */

/* How many inputs child `index` gets: those of the container but its residual, or the value so far,
 * with the residual where it takes that. */
static size_t child_n_inputs(const nnf_module *parent, size_t index, size_t n_inputs,
                             size_t n_residuals) {
    if (index == 0) return n_inputs - n_residuals;
    return n_residuals && nnfi_takes_residual(nnf_module_child(parent, index)) ? 2 : 1;
}

static nnf_status check_residual(const nnf_module *module, size_t n_inputs, size_t n_residuals) {
    if (n_inputs > n_residuals) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "%s needs at least %zu inputs, not %zu: the last is added",
                     nnf_module_type_name(module), n_residuals + 1, n_inputs);
}

/* infer of one child; a type without one tells nothing. */
static nnf_status infer_child(const nnf_module *parent, size_t index,
                              const nnf_type_info *const *inputs, size_t n_inputs,
                              nnf_type_info *outputs, size_t n_outputs) {
    const nnf_module *child = nnf_module_child(parent, index);
    nnf_status status = nnfi_module_infer(child, inputs, n_inputs, outputs, n_outputs);
    if (status == NNF_OK) return NNF_OK;
    return nnfi_error_prefix(status, "'%s': ", nnf_module_child_name(parent, index));
}

nnf_status nnfi_infer_children(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    size_t n = nnf_module_n_children(module);
    if (n == 0) {
        NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
        return nnf_type_info_copy(&outputs[0], inputs[0]);
    }
    size_t n_residuals = nnfi_n_residuals(module);
    NNFI_TRY(check_residual(module, n_inputs, n_residuals));
    nnf_type_info between[2]; /* what goes into a child and what comes out, in turns */
    nnf_type_info_init(&between[0]);
    nnf_type_info_init(&between[1]);
    const nnf_type_info *given[2] = {NULL, n_inputs ? inputs[n_inputs - 1] : NULL};
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n && status == NNF_OK; i++) {
        bool last = i + 1 == n;
        nnf_type_info *result = &between[i % 2];
        nnf_type_info_clear(result);
        nnf_type_info_init(result);
        status = infer_child(module, i, i == 0 ? inputs : given,
                             child_n_inputs(module, i, n_inputs, n_residuals),
                             last ? outputs : result, last ? n_outputs : 1);
        given[0] = result;
    }
    nnf_type_info_clear(&between[0]);
    nnf_type_info_clear(&between[1]);
    return status;
}

nnf_status nnfi_forward_children(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    size_t n = nnf_module_n_children(module);
    if (n == 0) {
        if (n_inputs != 1 || n_outputs != 1 || !inputs[0])
            return nnf_error(NNF_ERROR_INVALID, "an empty %s passes on one input, not %zu to %zu",
                             nnf_module_type_name(module), n_inputs, n_outputs);
        outputs[0] = nnf_tensor_retain(inputs[0]);
        return NNF_OK;
    }
    size_t n_residuals = nnfi_n_residuals(module);
    NNFI_TRY(check_residual(module, n_inputs, n_residuals));
    nnf_tensor *given[2] = {NULL, n_inputs ? inputs[n_inputs - 1] : NULL};
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n && status == NNF_OK; i++) {
        bool last = i + 1 == n;
        nnf_tensor *result = NULL;
        status = nnf_session_call(session, nnf_module_child_name(module, i),
                                  nnf_module_child(module, i), i == 0 ? inputs : given,
                                  child_n_inputs(module, i, n_inputs, n_residuals),
                                  last ? outputs : &result, last ? n_outputs : 1);
        nnf_tensor_release(given[0]);
        given[0] = result;
    }
    return status;
}

nnf_status nnfi_set_numbered_children(nnf_module *module, nnf_module *const *children, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char name[NNFI_DIGITS + 1];
        nnfi_digits(name, i);
        NNFI_TRY(nnf_module_set_child(module, name, children[i]));
    }
    return NNF_OK;
}

nnf_status nnf_sequential_new(nnf_module **out, nnf_module *const *children, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!children || !children[i])
            return nnf_error(NNF_ERROR_INVALID, "module %zu of a Sequential is NULL", i);
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, nnf_type("Sequential"), NULL));
    nnf_status status = nnfi_set_numbered_children(module, children, n);
    if (status == NNF_OK)
        *out = module;
    else
        nnf_module_release(module);
    return status;
}

nnf_status nnf_container_new(nnf_module **out) {
    return nnf_module_new(out, nnf_type("Module"), NULL);
}

/* ---- Identity ---- */

static nnf_status infer_identity(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    return nnf_type_info_copy(&outputs[0], inputs[0]);
}

static nnf_status forward_identity(nnf_session *session, nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                   size_t n_outputs) {
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    return nnfi_copy_elements(outputs[0], inputs[0]);
}

/* ---- Opaque ---- */

nnf_status nnf_opaque_new(nnf_module **out, const char *op_type, const char *domain) {
    /* nnf_module_new copies the options, so these strings are only lent */
    nnf_opaque_options options = {(char *)(uintptr_t)op_type, (char *)(uintptr_t)domain};
    return nnf_module_new(out, nnf_type("Opaque"), &options);
}

static nnf_status copy_opaque(void *to, const void *from) {
    const nnf_opaque_options *old = from;
    nnf_opaque_options *copy = to;
    copy->op_type = nnfi_strdup(old->op_type ? old->op_type : "");
    copy->domain = nnfi_strdup(old->domain ? old->domain : "");
    if (copy->op_type && copy->domain) return NNF_OK;
    nnfi_free(copy->op_type);
    nnfi_free(copy->domain);
    return nnf_error(NNF_ERROR_MEMORY, "out of memory for an operator's name");
}

static void destroy_opaque(void *options) {
    nnf_opaque_options *opaque = options;
    nnfi_free(opaque->op_type);
    nnfi_free(opaque->domain);
}

enum { IDENTITY };
static const nnf_module_type types[] = {
    [IDENTITY] = {.name = "Identity",
                  .infer = infer_identity,
                  .forward = forward_identity,
                  .flags = NNF_TYPE_IDENTITY},
    {.name = "Sequential",
     .infer = nnfi_infer_children,
     .forward = nnfi_forward_children,
     .flags = NNF_TYPE_RUNS_CHILDREN},
    {.name = "Module"},
    {.name = "Opaque",
     .options_size = sizeof(nnf_opaque_options),
     .copy_options = copy_opaque,
     .destroy_options = destroy_opaque},
};
const nnfi_type_family nnfi_container_family = NNFI_TYPE_FAMILY(types);

/* Without looking the row up by its name: fusing a long graph makes millions. */
nnf_status nnf_identity_new(nnf_module **out) {
    return nnf_module_new(out, &types[IDENTITY], NULL);
}
