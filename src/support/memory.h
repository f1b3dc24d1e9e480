/* Memory from the library's allocator, and arithmetic on sizes that cannot overflow. */
#ifndef NNFI_MEMORY_H
#define NNFI_MEMORY_H

#include "support/error.h"

/* `size` bytes or NULL (no error message is set); size 0 gives a pointer that can be freed. */
void *nnfi_alloc(size_t size);
void *nnfi_calloc(size_t count, size_t size); /* zeroed; NULL where count * size overflows */
void *nnfi_realloc(void *old, size_t size);   /* `old` stays good where it gives NULL */
void nnfi_free(void *pointer);
char *nnfi_strdup(const char *text);
char *nnfi_strndup(const char *text, size_t length);
char *nnfi_join(const char *a, const char *b);               /* "a.b", a new string */
char *nnfi_format(const char *format, ...) NNF_PRINTF(1, 2); /* a new string, or NULL */

/* Grows *array (capacity *capacity, elements of `size` bytes) so that `needed` fit, by doubling.
 * False, with nothing changed, where memory is short. */
bool nnfi_reserve(void *array_pointer, size_t *capacity, size_t needed, size_t size);

/* What a pass over much memory does with it at once. */
enum { NNFI_READ_PIECE = 512 };

/* Called by such a pass for each piece that it is about to read: has as much memory, some way
 * behind it, on its way to the cache. A processor does this by itself, but never past the end of a
 * page, and over small pages spends more time on waiting than on reading. */
static inline void nnfi_read_ahead(const void *piece, size_t size) {
    enum { AHEAD = 4096, LINE = 64 };
    uintptr_t from = (uintptr_t)piece + AHEAD; /* may be nobody's memory: that is no error */
    for (uintptr_t at = from; at < from + size; at += LINE)
        __builtin_prefetch((const void *)at);
}

/* a * b and a + b; false on overflow or where one is negative. */
bool nnfi_mul(int64_t a, int64_t b, int64_t *product);
bool nnfi_add(int64_t a, int64_t b, int64_t *sum);

/* Tells the progress callback; false where it cancels. */
bool nnfi_progress(const char *what, double fraction);

#endif
