#include "run/arena.h"

#include <string.h>

#include "support/memory.h"

enum { LINE = 64 };

static bool round_up(size_t *size) {
    if (*size > SIZE_MAX / 2) return false;
    *size = *size ? (*size + LINE - 1) / LINE * LINE : LINE;
    return true;
}

nnf_status nnfi_arena_take(nnfi_arena *arena, size_t size, size_t *offset) {
    if (!round_up(&size) || arena->size > SIZE_MAX / 2)
        return nnfi_error_memory(size, "the values of a run");
    size_t best = arena->n_holes;
    for (size_t i = 0; i < arena->n_holes; i++)
        if (arena->holes[i].size >= size &&
            (best == arena->n_holes || arena->holes[i].size < arena->holes[best].size))
            best = i;
    if (best == arena->n_holes) { /* at the end, where a hole that is too small may begin */
        nnfi_arena_hole *last = best ? &arena->holes[best - 1] : NULL;
        bool grows = last && last->offset + last->size == arena->size;
        *offset = grows ? last->offset : arena->size;
        if (grows) arena->n_holes--;
        arena->size = *offset + size;
        return NNF_OK;
    }
    nnfi_arena_hole *hole = &arena->holes[best];
    *offset = hole->offset;
    hole->offset += size;
    hole->size -= size;
    if (hole->size == 0) memmove(hole, hole + 1, (--arena->n_holes - best) * sizeof *hole);
    return NNF_OK;
}

nnf_status nnfi_arena_give_back(nnfi_arena *arena, size_t offset, size_t size) {
    round_up(&size);
    if (!nnfi_reserve(&arena->holes, &arena->capacity, arena->n_holes + 1, sizeof *arena->holes))
        return nnfi_error_memory(sizeof *arena->holes, "the values of a run");
    size_t at = arena->n_holes;
    while (at > 0 && arena->holes[at - 1].offset > offset)
        at--;
    nnfi_arena_hole *hole = &arena->holes[at];
    bool joins_before = at > 0 && hole[-1].offset + hole[-1].size == offset;
    bool joins_after = at < arena->n_holes && offset + size == hole->offset;
    if (joins_before) {
        hole[-1].size += size + (joins_after ? hole->size : 0);
        if (joins_after) memmove(hole, hole + 1, (--arena->n_holes - at) * sizeof *hole);
    } else if (joins_after) {
        hole->offset = offset;
        hole->size += size;
    } else {
        memmove(hole + 1, hole, (arena->n_holes++ - at) * sizeof *hole);
        *hole = (nnfi_arena_hole){offset, size};
    }
    return NNF_OK;
}

void nnfi_arena_clear(nnfi_arena *arena) {
    nnfi_free(arena->holes);
    *arena = (nnfi_arena){0};
}
