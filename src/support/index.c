#include "support/index.h"

#include "support/memory.h"

typedef struct nnfi_index_slot {
    uint32_t hash; /* its low half: slots are fewer than 2^32 */
    uint32_t mark; /* 1 + the number; FREE or REMOVED */
} nnfi_index_slot;

/* Probing stops at a free slot, and goes on past a removed one. */
enum { FREE = 0 };
#define REMOVED UINT32_MAX

void nnfi_index_clear(nnfi_index *index) {
    nnfi_free(index->slots);
    *index = (nnfi_index){0};
}

/* Puts a slot where its probing first finds room. */
static void place(nnfi_index_slot *slots, size_t n_slots, nnfi_index_slot slot) {
    size_t i = (size_t)slot.hash & (n_slots - 1);
    while (slots[i].mark != FREE)
        i = (i + 1) & (n_slots - 1);
    slots[i] = slot;
}

bool nnfi_index_reserve(nnfi_index *index, size_t n) {
    if (n > NNFI_INDEX_MOST || index->n_used > NNFI_INDEX_MOST - n) return false;
    size_t needed = index->n_used + n;
    if (needed <= index->n_slots / 4 * 3) return true;
    size_t n_slots = index->n_slots ? index->n_slots : 16;
    while (n_slots / 4 * 3 < needed)
        n_slots *= 2;
    nnfi_index_slot *slots = nnfi_calloc(n_slots, sizeof *slots);
    if (!slots) return false;
    nnfi_index grown = {slots, n_slots, 0};
    for (size_t i = 0; i < index->n_slots; i++) {
        if (index->slots[i].mark == FREE || index->slots[i].mark == REMOVED) continue;
        place(slots, n_slots, index->slots[i]);
        grown.n_used++;
    }
    nnfi_free(index->slots);
    *index = grown;
    return true;
}

/* The slot of the number with that hash for which `is` holds, or the free one where it belongs. */
static nnfi_index_slot *probe(const nnfi_index *index, uint64_t hash, nnfi_index_is is,
                              const void *payload) {
    const size_t mask = index->n_slots - 1;
    for (size_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        nnfi_index_slot *slot = &index->slots[i];
        if (slot->mark == FREE) return slot;
        if (slot->hash == (uint32_t)hash && slot->mark != REMOVED &&
            is(payload, nnfi_index_number(slot)))
            return slot;
    }
}

nnfi_index_slot *nnfi_index_find(const nnfi_index *index, uint64_t hash, nnfi_index_is is,
                                 const void *payload) {
    if (index->n_slots == 0) return NULL;
    nnfi_index_slot *slot = probe(index, hash, is, payload);
    return slot->mark == FREE ? NULL : slot;
}

nnfi_index_slot *nnfi_index_find_or_add(nnfi_index *index, uint64_t hash, nnfi_index_is is,
                                        const void *payload, size_t number, bool *added) {
    if (number >= NNFI_INDEX_MOST || !nnfi_index_reserve(index, 1)) return NULL;
    nnfi_index_slot *slot = probe(index, hash, is, payload);
    *added = slot->mark == FREE;
    if (!*added) return slot;
    *slot = (nnfi_index_slot){(uint32_t)hash, (uint32_t)number + 1};
    index->n_used++;
    return slot;
}

size_t nnfi_index_number(const nnfi_index_slot *slot) {
    return slot->mark - 1;
}

void nnfi_index_replace(nnfi_index_slot *slot, size_t number) {
    slot->mark = (uint32_t)number + 1;
}

void nnfi_index_remove(nnfi_index_slot *slot) {
    slot->mark = REMOVED;
}

bool nnfi_index_add(nnfi_index *index, uint64_t hash, size_t number) {
    if (number >= NNFI_INDEX_MOST || !nnfi_index_reserve(index, 1)) return false;
    place(index->slots, index->n_slots, (nnfi_index_slot){(uint32_t)hash, (uint32_t)number + 1});
    index->n_used++;
    return true;
}
