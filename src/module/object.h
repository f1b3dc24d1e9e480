/* The module object itself: private to this folder. */
#ifndef NNFI_MODULE_OBJECT_H
#define NNFI_MODULE_OBJECT_H

#include <stdatomic.h>
#include <stddef.h>

#include "module/graph_internal.h"
#include "module/pointers.h"
#include "support/memory.h"

/* A tensor that is held beside the type's slots. */
typedef struct nnfi_extra {
    char *name;
    nnf_slot_kind kind;
    nnf_tensor *tensor;
} nnfi_extra;

typedef struct nnfi_child {
    const char *name;
    nnf_module *module;
} nnfi_child;

typedef struct nnfi_children {
    uint32_t n, capacity;
    nnfi_child items[];
} nnfi_children;

/* Hooks of one kind in the order in which they run; each is retained. */
typedef struct nnfi_hooks {
    nnf_hook **items;
    size_t n, capacity;
} nnfi_hooks;

/* A parameter that is computed. Its originals are extras of the module. */
typedef struct nnfi_parametrized {
    char *name;
    const nnf_parametrization *row;
    void *options; /* a copy, row->options_size bytes */
    size_t n_originals;
} nnfi_parametrized;

/* What most modules have nothing of. */
typedef struct nnfi_more {
    nnfi_extra *extras;
    size_t n_extras, extras_capacity;
    nnfi_pile child_names;    /* of all children but the first few */
    nnfi_index child_by_name; /* of the first n_indexed; empty while there are few children */
    size_t n_indexed;
    size_t next_put; /* behind the child that was replaced last: the next one often is that */
    nnfi_hooks pre_hooks, forward_hooks;
    nnfi_parametrized *parametrized;
    size_t n_parametrized, parametrized_capacity;
} nnfi_more;

/* Graphs have modules by the million: this is one block of memory with the options and the slots,
 * and as small as it can be. */
struct nnf_module {
    atomic_uint references;
    int32_t origin_index;
    uint64_t origin_source : NNFI_SOURCE_BITS, training : 1;
    const nnf_module_type *type;
    nnfi_children *children; /* NULL: none */
    nnfi_more *more;         /* NULL: nothing; see nnfi_more_of */
    nnf_module *link; /* chains modules up in walks that must not need memory: the last release, and
                         train; NULL outside of them */
    nnf_tensor *slots[]; /* [type->n_slots], NULL where unset; the options behind them */
};

/* Where the options begin, from the module on: aligned for any struct. */
static inline size_t nnfi_options_offset(const nnf_module_type *type) {
    const size_t unit = _Alignof(max_align_t);
    return (sizeof(nnf_module) + type->n_slots * sizeof(nnf_tensor *) + unit - 1) / unit * unit;
}

static inline void *nnfi_options_of(const nnf_module *module) {
    return (unsigned char *)(uintptr_t)module + nnfi_options_offset(module->type);
}

static inline size_t nnfi_n_children(const nnf_module *module) {
    return module->children ? module->children->n : 0;
}

/* Frees the names that are not in the pile. */
void nnfi_children_free_names(const nnf_module *module);

/* The Graph row, whose options struct is the nnfi_graph. */
extern const nnf_module_type nnfi_graph_type;

/* ---- Walking ---- */

/* Every module of a tree once, parents first, in the order of the children. */
typedef struct nnfi_visit {
    nnf_module *module;
    size_t parent; /* index of the visit that led here; the root's is its own */
    size_t child;  /* which child of that one */
} nnfi_visit;
typedef struct nnfi_walk {
    nnfi_visit *visits;
    size_t n, capacity;
    nnfi_pointers index; /* of each module */
} nnfi_walk;
nnf_status nnfi_walk_new(nnfi_walk *out, const nnf_module *root);
void nnfi_walk_clear(nnfi_walk *walk);
/* The path of visit i with ".name" behind it (NULL: nothing): nnfi_free. NULL: out of memory. */
char *nnfi_walk_path(const nnfi_walk *walk, size_t i, const char *name);

/* ---- Tensors ---- */

/* Every place where a module holds a tensor: slots, extras, and a Graph's constants. */
size_t nnfi_module_n_cells(const nnf_module *module);
nnf_tensor **nnfi_module_cell(const nnf_module *module, size_t index);

/* Puts map(tensor) in the place of every tensor of the modules; one that occurs twice is mapped
 * once, so that ties stay. All or nothing. */
typedef nnf_status (*nnfi_tensor_map)(nnf_tensor **out, nnf_tensor *tensor, void *payload);
nnf_status nnfi_map_tensors(nnf_module *const *modules, size_t n, nnfi_tensor_map map,
                            void *payload);

/* The set tensor of that index among the set ones: *slot or *extra is its place, the other NULL. */
nnf_tensor *nnfi_nth_tensor(const nnf_module *module, size_t index, const nnf_slot **slot,
                            const nnfi_extra **extra);

/* ---- Parts of a module ---- */

/* To be looked at: never NULL. To be changed: NULL where memory is short. */
const nnfi_more *nnfi_more_of(const nnf_module *module);
nnfi_more *nnfi_more_new(nnf_module *module);

void nnfi_hooks_clear(nnfi_hooks *hooks);
nnf_status nnfi_hooks_copy(nnf_module *to, const nnf_module *from);

const nnfi_parametrized *nnfi_find_parametrized(const nnf_module *module, const char *name);
nnf_status nnfi_parametrized_copy(nnf_module *to, const nnf_module *from);
void nnfi_parametrized_clear(nnfi_more *more);

/* Sets, replaces or (NULL) unsets a tensor, whatever the module's parametrizations. */
nnf_status nnfi_set_tensor(nnf_module *module, const char *name, nnf_slot_kind kind,
                           nnf_tensor *tensor);

/* ---- Graph ---- */

/* A call of the graph like `model`, with copies of its path and lists; takes over model's reference
 * to the module, which is all that has to be released when the call goes. */
nnf_status nnfi_call_new(nnfi_call **out, nnfi_graph *graph, const nnfi_call *model);
/* Enters the name of the value of that number. False where memory is short. */
bool nnfi_graph_index_name(nnfi_graph *graph, size_t value);
void nnfi_value_forget_info(nnfi_value *value);
/* To be called where the graph's calls have changed. */
void nnfi_graph_calls_changed(nnfi_graph *graph);

/* When a tree under a Graph changes, its calls follow: `prepare` checks that every call at or below
 * `path` finds its module once `module` stands there; `commit`, which cannot fail, makes the calls
 * refer to what stands there then. */
nnf_status nnfi_graph_prepare_set(nnf_module *graph, const char *path, const nnf_module *module);
void nnfi_graph_commit_set(nnf_module *graph, const char *path);
/* Makes the calls refer to the copies of the modules that they refer to. */
void nnfi_graph_relink(nnf_module *graph, const nnfi_walk *originals, nnf_module *const *copies);
/* infer of the Graph row. */
nnf_status nnfi_graph_infer_outputs(const nnf_module *graph, const nnf_type_info *const *inputs,
                                    size_t n_inputs, nnf_type_info *outputs, size_t n_outputs);

#endif
