/* Where values stand in one block of memory, while a schedule is made: places are given and taken
 * back in the order of the steps, the smallest free one that fits first, so that memory which was
 * used a moment ago, and is in a cache still, is used again. */
#ifndef NNFI_ARENA_H
#define NNFI_ARENA_H

#include "support/error.h"

typedef struct nnfi_arena_hole {
    size_t offset, size;
} nnfi_arena_hole;

typedef struct nnfi_arena {
    nnfi_arena_hole *holes; /* ascending, none touching the next */
    size_t n_holes, capacity;
    size_t size; /* that the block needs in all */
} nnfi_arena;

/* A zeroed struct is an empty arena. Sizes are rounded up to whole cache lines. */
nnf_status nnfi_arena_take(nnfi_arena *arena, size_t size, size_t *offset);
nnf_status nnfi_arena_give_back(nnfi_arena *arena, size_t offset, size_t size);
void nnfi_arena_clear(nnfi_arena *arena);

#endif
