/* A hash table of numbers that stand for things kept elsewhere: a list's elements, found by what
 * they are. Eight bytes a slot. */
#ifndef NNFI_INDEX_H
#define NNFI_INDEX_H

#include "support/error.h"

typedef struct nnfi_index {
    struct nnfi_index_slot *slots; /* open addressing, linear probing */
    size_t n_slots;                /* a power of two, or 0 */
    size_t n_used;                 /* with removed ones */
} nnfi_index;

/* Numbers are less than this. */
#define NNFI_INDEX_MOST (UINT32_MAX - 1)

/* Whether the thing of that number is the one that is looked for. */
typedef bool (*nnfi_index_is)(const void *payload, size_t number);

/* A zeroed struct is an empty index. */
void nnfi_index_clear(nnfi_index *index);
/* Room for `n` more; false where memory is short. */
bool nnfi_index_reserve(nnfi_index *index, size_t n);
/* The slot of the number with that hash for which `is` holds, or NULL. */
struct nnfi_index_slot *nnfi_index_find(const nnfi_index *index, uint64_t hash, nnfi_index_is is,
                                        const void *payload);
size_t nnfi_index_number(const struct nnfi_index_slot *slot);
/* Puts another number of the same hash in the place of that one. */
void nnfi_index_replace(struct nnfi_index_slot *slot, size_t number);
void nnfi_index_remove(struct nnfi_index_slot *slot);
/* The same where it may not be there: then the number is added, and *added says so. NULL where
 * memory is short. */
struct nnfi_index_slot *nnfi_index_find_or_add(nnfi_index *index, uint64_t hash, nnfi_index_is is,
                                               const void *payload, size_t number, bool *added);
/* Adds a number that is not there; false where memory is short. */
bool nnfi_index_add(nnfi_index *index, uint64_t hash, size_t number);

#endif
