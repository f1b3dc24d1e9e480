/* A hash of bytes, for tables in memory. */
#ifndef NNFI_HASH_H
#define NNFI_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `hash`, 0 at the beginning. All bits of the result are good. */
uint64_t nnfi_hash(uint64_t hash, const void *bytes, size_t size);

/* Neighbours in memory get neighbouring hashes, so that who looks a million objects up in the order
 * in which they were allocated finds most slots of a table in the cache; only where each 16 MB
 * begin is mixed. */
static inline uint64_t nnfi_hash_pointer(const void *pointer) {
    uint64_t address = (uint64_t)(uintptr_t)pointer;
    return (address >> 4) + ((address >> 24) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

#endif
