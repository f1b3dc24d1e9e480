/* Finding equal things among numbered ones. */
#ifndef NNFI_EQUAL_H
#define NNFI_EQUAL_H

#include "support/error.h"

/* A set of numbers no two of which stand for equal things. */
typedef struct nnfi_equals {
    struct nnfi_equals_slot *slots; /* open addressing, linear probing */
    size_t mask;
} nnfi_equals;

/* Room for `most` numbers; false where memory is short. */
bool nnfi_equals_init(nnfi_equals *set, size_t most);
void nnfi_equals_clear(nnfi_equals *set);

/* The number in the set that `number` is equal to, or `number` itself, which is then put in. */
size_t nnfi_equals_find(nnfi_equals *set, uint64_t hash, size_t number,
                        bool (*equal)(const void *payload, size_t a, size_t b),
                        const void *payload);

/* Continues a hash with more bytes; begin with NNFI_HASH. */
#define NNFI_HASH UINT64_C(0xcbf29ce484222325)
uint64_t nnfi_hash(uint64_t hash, const void *bytes, size_t size);

#endif
