#include "support/pile.h"

#include <string.h>

#include "support/memory.h"

/* Blocks grow with the pile between these sizes: little is lost in a small one, and a large one
 * has few of them. */
enum { SMALLEST_BLOCK = 1000, LARGEST_BLOCK = 256000 };

typedef struct nnfi_pile_block {
    struct nnfi_pile_block *next;
    size_t used, size; /* of the bytes */
    unsigned char bytes[];
} nnfi_pile_block;

static bool add_block(nnfi_pile *pile, size_t least) {
    size_t size = pile->blocks ? pile->blocks->size * 2 : SMALLEST_BLOCK;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size < least) size = least;
    if (size > SIZE_MAX - sizeof(nnfi_pile_block)) return false;
    nnfi_pile_block *block = nnfi_alloc(sizeof *block + size);
    if (!block) return false;
    *block = (nnfi_pile_block){.next = pile->blocks, .size = size};
    pile->blocks = block;
    return true;
}

/* Bytes to leave out in front of the next piece. */
static size_t gap(const nnfi_pile_block *block, size_t alignment) {
    return (size_t)(-(uintptr_t)(block->bytes + block->used) & (alignment - 1));
}

void *nnfi_pile_alloc(nnfi_pile *pile, size_t size, size_t alignment) {
    nnfi_pile_block *block = pile->blocks;
    size_t room = block ? block->size - block->used : 0;
    if (!block || room < gap(block, alignment) || room - gap(block, alignment) < size) {
        if (size > SIZE_MAX - alignment || !add_block(pile, size + alignment)) return NULL;
        block = pile->blocks;
    }
    block->used += gap(block, alignment);
    void *piece = block->bytes + block->used;
    block->used += size;
    return piece;
}

char *nnfi_pile_strndup(nnfi_pile *pile, const char *text, size_t length) {
    char *copy = length == SIZE_MAX ? NULL : nnfi_pile_alloc(pile, length + 1, 1);
    if (!copy) return NULL;
    if (length > 0) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void nnfi_pile_take_back(nnfi_pile *pile, const void *piece) {
    nnfi_pile_block *block = pile->blocks;
    block->used = (size_t)((const unsigned char *)piece - block->bytes);
}

void nnfi_pile_clear(nnfi_pile *pile) {
    while (pile->blocks) {
        nnfi_pile_block *next = pile->blocks->next;
        nnfi_free(pile->blocks);
        pile->blocks = next;
    }
}
