#include "clean/equal.h"

#include "support/memory.h"

typedef struct nnfi_equals_slot {
    uint32_t hash;
    uint32_t number; /* plus 1; 0: free */
} nnfi_equals_slot;

bool nnfi_equals_init(nnfi_equals *set, size_t most) {
    size_t n = 16;
    if (most >= UINT32_MAX / 2) return false;
    while (n / 2 < most)
        n *= 2;
    set->slots = nnfi_calloc(n, sizeof *set->slots);
    set->mask = n - 1;
    return set->slots != NULL;
}

void nnfi_equals_clear(nnfi_equals *set) {
    nnfi_free(set->slots);
    *set = (nnfi_equals){0};
}

size_t nnfi_equals_find(nnfi_equals *set, uint64_t hash, size_t number,
                        bool (*equal)(const void *payload, size_t a, size_t b),
                        const void *payload) {
    const uint32_t mark = (uint32_t)(hash >> 32);
    size_t i = (size_t)hash & set->mask;
    for (; set->slots[i].number; i = (i + 1) & set->mask)
        if (set->slots[i].hash == mark && equal(payload, set->slots[i].number - 1, number))
            return set->slots[i].number - 1;
    set->slots[i] = (nnfi_equals_slot){mark, (uint32_t)number + 1};
    return number;
}

/* FNV-1a; the last step brings the high bits, which are the good ones, down. */
uint64_t nnfi_hash(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash ^ (hash >> 29);
}
