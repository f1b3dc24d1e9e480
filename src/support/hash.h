/* A hash of bytes, for tables in memory. */
#ifndef NNFI_HASH_H
#define NNFI_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `hash`, 0 at the beginning. All bits of the result are good. */
uint64_t nnfi_hash(uint64_t hash, const void *bytes, size_t size);

#endif
