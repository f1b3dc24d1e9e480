/* Many small pieces of memory that go all at once: names, lists. */
#ifndef NNFI_PILE_H
#define NNFI_PILE_H

#include "support/error.h"

/* A zeroed struct is an empty pile. */
typedef struct nnfi_pile {
    struct nnfi_pile_block *blocks; /* the newest first */
} nnfi_pile;

/* `size` bytes at a multiple of `alignment`, a power of two; NULL where memory is short. */
void *nnfi_pile_alloc(nnfi_pile *pile, size_t size, size_t alignment);
/* A copy with a NUL behind it. */
char *nnfi_pile_strndup(nnfi_pile *pile, const char *text, size_t length);
/* Frees all of them. */
/* Takes the newest piece back, whose place is used again. */
void nnfi_pile_take_back(nnfi_pile *pile, const void *piece);
void nnfi_pile_clear(nnfi_pile *pile);

#endif
