#include "module/pointers.h"

#include "support/hash.h"
#include "support/memory.h"

typedef struct nnfi_pointers_slot {
    const void *key;
    size_t value;
} nnfi_pointers_slot;

static size_t home(const void *key, size_t n_slots) {
    return (size_t)nnfi_hash_pointer(key) & (n_slots - 1);
}

/* The slot of `key`, or the free one where it belongs. */
static nnfi_pointers_slot *find(nnfi_pointers_slot *slots, size_t n_slots, const void *key) {
    size_t i = home(key, n_slots);
    while (slots[i].key && slots[i].key != key)
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static bool grow(nnfi_pointers *map) {
    if (map->n_keys < map->n_slots / 2) return true;
    size_t n_slots = map->n_slots ? map->n_slots * 2 : 64;
    nnfi_pointers_slot *slots = nnfi_calloc(n_slots, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < map->n_slots; i++)
        if (map->slots[i].key) *find(slots, n_slots, map->slots[i].key) = map->slots[i];
    nnfi_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return true;
}

void nnfi_pointers_clear(nnfi_pointers *map) {
    nnfi_free(map->slots);
    *map = (nnfi_pointers){0};
}

size_t *nnfi_pointers_put(nnfi_pointers *map, const void *key, size_t value) {
    if (!grow(map)) return NULL;
    nnfi_pointers_slot *slot = find(map->slots, map->n_slots, key);
    if (!slot->key) {
        *slot = (nnfi_pointers_slot){key, value};
        map->n_keys++;
    }
    return &slot->value;
}

bool nnfi_pointers_get(const nnfi_pointers *map, const void *key, size_t *value) {
    if (map->n_slots == 0) return false;
    const nnfi_pointers_slot *slot = find(map->slots, map->n_slots, key);
    if (!slot->key) return false;
    if (value) *value = slot->value;
    return true;
}
