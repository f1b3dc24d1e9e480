/* A hash map from addresses to numbers: which objects a walk has met, and what became of them. */
#ifndef NNFI_POINTERS_H
#define NNFI_POINTERS_H

#include "support/error.h"

typedef struct nnfi_pointers {
    struct nnfi_pointers_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_keys;
} nnfi_pointers;

/* A zeroed struct is an empty map. */
void nnfi_pointers_clear(nnfi_pointers *map);
/* The number of a key, which is `value` where the key (not NULL) is new; it may be changed there,
 * until the next call. NULL: memory is short. */
size_t *nnfi_pointers_put(nnfi_pointers *map, const void *key, size_t value);
bool nnfi_pointers_get(const nnfi_pointers *map, const void *key, size_t *value);

#endif
