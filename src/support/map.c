#include "support/map.h"

#include <string.h>

#include "support/hash.h"
#include "support/memory.h"

typedef struct nnfi_map_slot {
    const char *key; /* NULL: not used */
    uint32_t length; /* of the key, which is less than 4 GB */
    uint32_t hash;
    int64_t value;
} nnfi_map_slot;

static uint32_t hash_of(const char *key, size_t length) {
    return (uint32_t)nnfi_hash(0, key, length);
}

/* The slot that holds the key; NULL where none does. */
static nnfi_map_slot *find(const nnfi_map *map, const char *key, size_t length, uint32_t hash) {
    if (map->n_slots == 0) return NULL;
    size_t mask = map->n_slots - 1;
    for (size_t i = (size_t)hash & mask; map->slots[i].key; i = (i + 1) & mask) {
        nnfi_map_slot *slot = &map->slots[i];
        if (slot->hash == hash && slot->length == length && memcmp(slot->key, key, length) == 0)
            return slot;
    }
    return NULL;
}

/* Puts a slot where its probing first finds room. */
static void place(nnfi_map_slot *slots, size_t n_slots, nnfi_map_slot slot) {
    size_t i = (size_t)slot.hash & (n_slots - 1);
    while (slots[i].key)
        i = (i + 1) & (n_slots - 1);
    slots[i] = slot;
}

/* Room for one more key, with at least a quarter of the slots left unused. */
static bool grow(nnfi_map *map) {
    if (map->n_keys + 1 <= map->n_slots / 4 * 3) return true;
    if (map->n_keys > SIZE_MAX / 4) return false;
    size_t n_slots = 16;
    while (n_slots / 2 < map->n_keys + 1)
        n_slots *= 2;
    nnfi_map_slot *slots = nnfi_calloc(n_slots, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < map->n_slots; i++)
        if (map->slots[i].key) place(slots, n_slots, map->slots[i]);
    nnfi_free(map->slots);
    *map = (nnfi_map){slots, n_slots, map->n_keys};
    return true;
}

void nnfi_map_clear(nnfi_map *map) {
    nnfi_free(map->slots);
    *map = (nnfi_map){0};
}

/* Inserts a key that is not there. */
static bool insert(nnfi_map *map, const char *key, size_t length, uint32_t hash, int64_t value) {
    if (length > UINT32_MAX || !grow(map)) return false;
    place(map->slots, map->n_slots, (nnfi_map_slot){key, (uint32_t)length, hash, value});
    map->n_keys++;
    return true;
}

bool nnfi_map_put(nnfi_map *map, const char *key, size_t length, int64_t value) {
    uint32_t hash = hash_of(key, length);
    nnfi_map_slot *slot = find(map, key, length, hash);
    if (!slot) return insert(map, key, length, hash, value);
    slot->key = key; /* the old key may go now */
    slot->value = value;
    return true;
}

bool nnfi_map_add(nnfi_map *map, const char *key, size_t length, int64_t value, int64_t *known) {
    uint32_t hash = hash_of(key, length);
    const nnfi_map_slot *slot = find(map, key, length, hash);
    *known = slot ? slot->value : value;
    return slot || insert(map, key, length, hash, value);
}

bool nnfi_map_get(const nnfi_map *map, const char *key, size_t length, int64_t *value) {
    if (map->n_keys == 0) return false;
    const nnfi_map_slot *slot = find(map, key, length, hash_of(key, length));
    if (slot && value) *value = slot->value;
    return slot != NULL;
}
