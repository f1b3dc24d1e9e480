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

/* a * b and a + b; false on overflow or where one is negative. */
bool nnfi_mul(int64_t a, int64_t b, int64_t *product);
bool nnfi_add(int64_t a, int64_t b, int64_t *sum);

/* Tells the progress callback; false where it cancels. */
bool nnfi_progress(const char *what, double fraction);

#endif
