/* Buffers that a run moves: a module in training mode writes its running statistics. */
#include "run/schedule_builder.h"

#include <stdlib.h>

#include "support/memory.h"

/* A tensor and who holds it: a module, or the graph, as a constant that calls read. */
typedef struct holding {
    const nnf_tensor *tensor;
    const nnf_module *module; /* NULL: the graph */
    bool moves;
} holding;

typedef struct holdings {
    holding *items;
    size_t n, capacity;
    bool move; /* any of them */
} holdings;

static nnf_status add_holding(holdings *all, const holding *one) {
    if (!nnfi_reserve(&all->items, &all->capacity, all->n + 1, sizeof *all->items))
        return nnfi_error_memory(sizeof *all->items, "the tensors of a run");
    all->items[all->n++] = *one;
    all->move = all->move || one->moves;
    return NNF_OK;
}

/* What the module and its children hold; `moving`: of modules in training mode, the slots for
 * buffers, else all others. */
static nnf_status add_module(holdings *all, const nnf_module *module, bool moving) {
    const nnf_module_type *type = nnf_module_get_type(module);
    for (size_t i = 0; i < type->n_slots; i++) {
        const nnf_tensor *tensor = nnf_module_tensor(module, type->slots[i].name);
        bool moves = type->slots[i].kind == NNF_SLOT_BUFFER && nnf_module_training(module);
        if (tensor && moves == moving)
            NNFI_TRY(add_holding(all, &(holding){tensor, module, moves}));
    }
    for (size_t i = 0; i < nnf_module_n_children(module); i++)
        NNFI_TRY(add_module(all, nnf_module_child(module, i), moving));
    return NNF_OK;
}

static nnf_status add_modules(holdings *all, const nnfi_builder *b, bool moving) {
    for (size_t c = 0; c < b->graph->n_calls; c++)
        if (!b->skipped[c]) NNFI_TRY(add_module(all, b->graph->calls[c]->module, moving));
    return NNF_OK;
}

static nnf_status add_constants(holdings *all, const nnfi_builder *b) {
    for (size_t v = 0; v < b->graph->n_values; v++)
        if (b->constants[v] && b->schedule->values[v].reads)
            NNFI_TRY(add_holding(all, &(holding){.tensor = b->constants[v]}));
    return NNF_OK;
}

static int by_tensor(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const holding *)a)->tensor;
    uintptr_t y = (uintptr_t)((const holding *)b)->tensor;
    return x < y ? -1 : x > y;
}

/* Whether one of the tensors from `first` on, which are the same one, moves and another one holds
 * it too. */
static bool is_contended(const holding *first, size_t n) {
    bool moves = false, shared = false;
    for (size_t i = 0; i < n; i++) {
        moves = moves || first[i].moves;
        shared = shared || first[i].module != first->module;
    }
    return moves && shared;
}

nnf_status nnfi_refuse_moving_constants(nnfi_builder *b) {
    holdings all = {0};
    nnf_status status = add_modules(&all, b, true);
    if (!status && all.move) {
        status = add_modules(&all, b, false);
        if (!status) status = add_constants(&all, b);
        if (!status) qsort(all.items, all.n, sizeof *all.items, by_tensor);
        for (size_t i = 0, last; !status && i < all.n; i = last) {
            for (last = i + 1; last < all.n && all.items[last].tensor == all.items[i].tensor;)
                last++;
            if (is_contended(all.items + i, last - i))
                b->refusal = "a constant moves during the run";
        }
    }
    nnfi_free(all.items);
    return status;
}
