#include "support/hash.h"

#include <string.h>

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
}

/* Eight bytes at a time: names of values are long, and looked up again and again. */
uint64_t nnfi_hash(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    uint64_t word;
    hash = mix(hash, size);
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    if (size > 0) memcpy(&word, at, size);
    return mix(mix(hash, word), 0);
}
