/* One chain's modules made one, and where their hooks go. */
#ifndef NNFI_KNOWN_MODULES_H
#define NNFI_KNOWN_MODULES_H

#include "fuse/mapping.h"

/* The module that a row's method makes of a chain: never NULL where it succeeds. */
nnf_status nnfi_call_method(nnf_module **out, nnf_module *const *modules, size_t n, bool is_qat,
                            const nnfi_chain_row *row);
/* nnf_fuse_known_modules with the row found, without moving hooks: n references in `fused`. */
nnf_status nnfi_fuse_by_row(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                            const nnfi_chain_row *row);
/* The row for the modules' types; NNF_ERROR_NOT_FOUND prints them. */
nnf_status nnfi_row_of_modules(nnfi_chain_row *row, nnf_module *const *modules, size_t n,
                               const nnf_mapping *additional);

/* What stands for the first module in a fused one: child "0" of a container, else the fused module
 * itself. */
nnf_module *nnfi_fused_base(nnf_module *fused);

/* Hooks: pre-forward ones of the first module and forward ones of the last move to the fused one.
 * Those of modules that are in the fused one stay where they are; the first one's forward hooks go
 * to its folded copy. `last_stays`: the last module is called elsewhere too and keeps its own. */
nnf_status nnfi_hooks_reserve(nnf_module *fused, nnf_module *const *modules, size_t n);
void nnfi_hooks_move(nnf_module *fused, nnf_module *const *modules, size_t n, bool last_stays);
/* How many hooks of modules[index] do not run any more after that. */
size_t nnfi_hooks_dropped(nnf_module *fused, nnf_module *const *modules, size_t n, size_t index);
/* Whether `module` is `fused` or stands in its tree. */
bool nnfi_contains(nnf_module *fused, const nnf_module *module);

#endif
