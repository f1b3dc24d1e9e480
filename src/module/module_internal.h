/* The module object, for the parts of the library that build and rebuild modules. */
#ifndef NNFI_MODULE_INTERNAL_H
#define NNFI_MODULE_INTERNAL_H

#include "nnfuse/module.h"
#include "support/map.h"
#include "tensor/tensor_internal.h"

/* The node (of a file) that a module was read from. nnf_module_mut_options clears it; changing a
 * tensor does not (tensors have origins of their own). A copy keeps it. */
nnfi_origin nnfi_module_origin(const nnf_module *module);
void nnfi_module_set_origin(nnf_module *module, nnfi_origin origin);

/* A new module of the same type, options, training flag, tensors (the same tensor objects), and
 * children (the same), origin and parametrizations, without hooks: what a fuser method starts from
 * when it changes a parameter or two. */
nnf_status nnfi_module_shallow_copy(nnf_module **out, const nnf_module *module);

/* Modules that call modules take C stack: a tree that is nested deeper than this is neither
 * inferred nor run. */
#define NNFI_MAX_NESTING 1000

/* A flag of the library's own types: where infer could not tell an output, forward makes it. */
#define NNFI_TYPE_MAKES_OUTPUTS (1u << 31)

/* infer of the module's type, where it has one (else nothing is told), for `outputs` that come
 * initialized. Every infer is called through here: what it tells of an output is consistent then,
 * see nnfi_info_settle. On an error the outputs are for the caller to clear all the same. */
nnf_status nnfi_module_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs);
/* What all that reads an info relies on: there is room for its rank, no known dimension is
 * negative, and elements are known only where the shape is, and it has as many. Forgets what
 * contradicts that. */
void nnfi_info_settle(nnf_type_info *info);

/* Appends a child (retained) of a name that no other has, which does not contain `module`: for
 * readers and copies, which know that. */
nnf_status nnfi_append_child(nnf_module *module, const char *name, nnf_module *child);

/* nnf_module_set without a look at the calls of Graphs: for surgery, which sees to them itself. The
 * path's parent exists; where the path does too, no memory is needed. */
nnf_status nnfi_module_put(nnf_module *root, const char *path, nnf_module *module);

/* Moves all pre-forward (or forward) hooks behind those of `to`, in order; handles stay good.
 * Needs no memory where nnfi_module_reserve_hooks made room for as many more before. */
void nnfi_module_move_pre_hooks(nnf_module *to, nnf_module *from);
void nnfi_module_move_forward_hooks(nnf_module *to, nnf_module *from);
nnf_status nnfi_module_reserve_hooks(nnf_module *to, size_t n_pre, size_t n_forward);

/* A module's hooks, noted so that they can be put back if something goes wrong. While they are
 * noted, none may be registered on the module. */
typedef struct nnfi_saved_hooks {
    nnf_module *module; /* borrowed */
    nnf_hook **hooks;   /* [n], retained */
    size_t n;
} nnfi_saved_hooks;
nnf_status nnfi_hooks_save(nnfi_saved_hooks *out, nnf_module *module);
void nnfi_hooks_restore(nnfi_saved_hooks *saved);
void nnfi_saved_hooks_clear(nnfi_saved_hooks *saved);

/* Runs the hooks: used by the session. */
nnf_status nnfi_module_run_pre_hooks(nnf_module *module, nnf_tensor **inputs, size_t n_inputs);
nnf_status nnfi_module_run_forward_hooks(nnf_module *module, nnf_tensor *const *inputs,
                                         size_t n_inputs, nnf_tensor **outputs, size_t n_outputs);

/* Writable access to options without clearing the origin: for counters that are not what the module
 * computes (Dropout's calls). */
void *nnfi_module_state(nnf_module *module);

/* ---- The library's own types ---- */

/* Rows of one theme. */
typedef struct nnfi_type_family {
    const nnf_module_type *first;
    size_t n, stride; /* bytes from one row to the next: a row may be part of a larger struct */
} nnfi_type_family;

/* All families, NULL behind the last: what nnf_type finds, and the types that stand for several
 * nodes under the name of one layer. The layers themselves, which come later, say what is in them
 * (nn/types.c); here they are only told apart from a program's own types. */
extern const nnfi_type_family *const nnfi_built_in_types[], *const nnfi_lifted_types[];

bool nnfi_is_in(const nnfi_type_family *const *families, const nnf_module_type *type);
/* The row of that name, or NULL. */
const nnf_module_type *nnfi_find_in(const nnfi_type_family *const *families, const char *name);

/* Whether it is a row that nnf_type finds, and not a user's own type, which may have the same name.
 */
bool nnfi_is_built_in(const nnf_module_type *type);
/* Whether the module is of the library's type of that name: its options are that type's. */
bool nnfi_is_a(const nnf_module *module, const char *name);
/* The name by which tables know a module: its type's, but one that is in no table where a program's
 * own type only has the name of one of the library's. */
const char *nnfi_known_type(const nnf_module *module);
/* What a reader knows a module by: of a node that nnfuse does not know, its operator. */
const char *nnfi_told_type(const nnf_module *module);

/* ---- Transposes ---- */

/* Of a Transpose of `ndim` axes: axis i of what it gives is axes[i] of what it reads. False where
 * what it says is no permutation of that many. */
bool nnfi_permutation(const nnf_module *transpose, int ndim, int *axes);

/* ---- Residuals ---- */

/* Whether a module in a chain takes a second input that comes from elsewhere: Add, its residual. */
bool nnfi_takes_residual(const nnf_module *module);
/* How many of a container's inputs, counted from the last, are its children's residuals: 0 or 1. */
size_t nnfi_n_residuals(const nnf_module *container);

#endif
