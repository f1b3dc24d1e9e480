/* A hash map from strings to numbers (indices, usually). Keys are not copied: they must outlive
 * the map. */
#ifndef NNFI_MAP_H
#define NNFI_MAP_H

#include "support/error.h"

typedef struct nnfi_map {
    struct nnfi_map_slot *slots; /* open addressing, linear probing */
    size_t n_slots;              /* a power of two, or 0 */
    size_t n_keys;
} nnfi_map;

/* A zeroed struct is an empty map. */
void nnfi_map_clear(nnfi_map *map);
/* Inserts or replaces; false where memory is short. Keys of `length` bytes need no NUL. */
bool nnfi_map_put(nnfi_map *map, const char *key, size_t length, int64_t value);
/* Inserts where the key is not there yet. *known gets the value that the key has then: `value`, or
 * the one that it had before. */
bool nnfi_map_add(nnfi_map *map, const char *key, size_t length, int64_t value, int64_t *known);
/* True and *value (may be NULL) where the key is there. */
bool nnfi_map_get(const nnfi_map *map, const char *key, size_t length, int64_t *value);

#endif
