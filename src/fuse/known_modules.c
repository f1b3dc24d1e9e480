#include "fuse/known_modules.h"

#include "module/module_internal.h"
#include "nnfuse/nn.h"
#include "support/error.h"
#include "support/memory.h"

static nnf_status new_identity(nnf_module **out, bool training) {
    NNFI_TRY(nnf_identity_new(out));
    nnf_module_set_training(*out, training);
    return NNF_OK;
}

nnf_status nnfi_call_method(nnf_module **out, nnf_module *const *modules, size_t n, bool is_qat,
                            const nnfi_chain_row *row) {
    *out = NULL;
    NNFI_TRY(row->method(out, modules, n, is_qat, row->payload));
    if (*out) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "the fuser method gave no module");
}

nnf_status nnfi_fuse_by_row(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                            const nnfi_chain_row *row) {
    size_t made = 0;
    nnf_status status = nnfi_call_method(&fused[0], modules, n, is_qat, row);
    if (status == NNF_OK) made = 1;
    for (; status == NNF_OK && made < n; made += status == NNF_OK)
        status = new_identity(&fused[made], nnf_module_training(modules[0]));
    while (status != NNF_OK && made > 0) {
        nnf_module_release(fused[--made]);
        fused[made] = NULL; /* the caller may release what is there */
    }
    return status;
}

nnf_status nnfi_row_of_modules(nnfi_chain_row *row, nnf_module *const *modules, size_t n,
                               const nnf_mapping *additional) {
    const char **types = nnfi_calloc(n, sizeof *types);
    if (!types) return nnfi_error_memory(n * sizeof *types, "the types of a chain");
    for (size_t i = 0; i < n; i++)
        types[i] = nnfi_known_type(modules[i]);
    nnf_status status = NNF_OK;
    if (!nnfi_mapping_find(row, types, n, additional)) /* for its message */
        status = nnf_get_fuser_method(&row->method, &row->payload, types, n, additional);
    nnfi_free((void *)types);
    return status;
}

nnf_status nnf_fuse_known_modules(nnf_module **fused, nnf_module *const *modules, size_t n,
                                  bool is_qat, const nnf_mapping *additional) {
    if (n == 0) return nnf_error(NNF_ERROR_INVALID, "a chain without modules cannot be fused");
    for (size_t i = 0; i < n; i++)
        if (!modules || !modules[i])
            return nnf_error(NNF_ERROR_INVALID, "module %zu of the chain is NULL", i);
    nnfi_chain_row row;
    NNFI_TRY(nnfi_row_of_modules(&row, modules, n, additional));
    NNFI_TRY(nnfi_fuse_by_row(fused, modules, n, is_qat, &row));
    nnf_status status = nnfi_hooks_reserve(fused[0], modules, n);
    if (status == NNF_OK) {
        nnfi_hooks_move(fused[0], modules, n, false);
        return NNF_OK;
    }
    for (size_t i = 0; i < n; i++)
        nnf_module_release(fused[i]);
    return status;
}

nnf_module *nnfi_fused_base(nnf_module *fused) {
    bool container = nnf_module_get_type(fused)->flags & NNF_TYPE_FUSED;
    return container && nnf_module_n_children(fused) ? nnf_module_child(fused, 0) : fused;
}

bool nnfi_contains(nnf_module *fused, const nnf_module *module) {
    if (fused == module) return true;
    for (size_t i = 0; i < nnf_module_n_children(fused); i++)
        if (nnfi_contains(nnf_module_child(fused, i), module)) return true;
    return false;
}

/* The folded copy of the first module, which takes over its forward hooks; NULL where there is
 * none. */
static nnf_module *folded_copy(nnf_module *fused, const nnf_module *first) {
    nnf_module *base = nnfi_fused_base(fused);
    bool is_copy = base != first && nnf_module_get_type(base) == nnf_module_get_type(first);
    return is_copy ? base : NULL;
}

nnf_status nnfi_hooks_reserve(nnf_module *fused, nnf_module *const *modules, size_t n) {
    const nnf_module *first = modules[0], *last = modules[n - 1];
    nnf_module *copy = folded_copy(fused, first);
    size_t n_forward = nnf_module_n_forward_hooks(first);
    if (copy) NNFI_TRY(nnfi_module_reserve_hooks(copy, 0, n_forward));
    return nnfi_module_reserve_hooks(fused, nnf_module_n_forward_pre_hooks(first),
                                     n_forward + nnf_module_n_forward_hooks(last));
}

void nnfi_hooks_move(nnf_module *fused, nnf_module *const *modules, size_t n, bool last_stays) {
    nnf_module *first = modules[0], *last = modules[n - 1], *copy = folded_copy(fused, first);
    if (fused != first) nnfi_module_move_pre_hooks(fused, first);
    if (copy) nnfi_module_move_forward_hooks(copy, first);
    if (fused != last && !last_stays) nnfi_module_move_forward_hooks(fused, last);
}

size_t nnfi_hooks_dropped(nnf_module *fused, nnf_module *const *modules, size_t n, size_t index) {
    const nnf_module *module = modules[index];
    size_t pre = nnf_module_n_forward_pre_hooks(module), after = nnf_module_n_forward_hooks(module);
    if (pre + after == 0 || nnfi_contains(fused, module)) return 0;
    bool pre_moves = index == 0;
    bool after_moves = index + 1 == n || (index == 0 && folded_copy(fused, module));
    return (pre_moves ? 0 : pre) + (after_moves ? 0 : after);
}
