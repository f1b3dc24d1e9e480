#define _DEFAULT_SOURCE

#include "support/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#define HUGE_PAGE ((uintptr_t)2 << 20)
#define WORTH_POPULATING ((size_t)256 << 10)

/* Set before everything else, from one thread; only read afterwards. */
static nnf_library_options library;

nnf_status nnf_library_set_options(const nnf_library_options *options) {
    const nnf_library_options defaults = {0};
    if (!options) options = &defaults;
    bool some = options->allocate || options->reallocate || options->deallocate;
    bool all = options->allocate && options->reallocate && options->deallocate;
    if (some != all)
        return nnf_error(NNF_ERROR_INVALID,
                         "allocate, reallocate and deallocate must be set together, or none");
    library = *options;
    return NNF_OK;
}

#if defined(__linux__) && defined(MADV_HUGEPAGE)
/* Advises on the whole units inside a block; advice may fail. */
static void advise(void *pointer, size_t size, uintptr_t unit, int advice) {
    uintptr_t start = ((uintptr_t)pointer + unit - 1) / unit * unit;
    uintptr_t end = ((uintptr_t)pointer + size) / unit * unit;
    if (end > start) madvise((void *)start, end - start, advice);
}
#endif

/* Memory fresh from the system costs an interrupt for each page that is touched first, which takes
 * longer than writing the page. Larger pages are fewer; and the pages of memory that is going to be
 * written can be had all at once. */
static void *with_pages(void *pointer, size_t size, bool written) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (pointer && size >= 2 * HUGE_PAGE) advise(pointer, size, HUGE_PAGE, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
    if (pointer && size >= WORTH_POPULATING && written)
        advise(pointer, size, (uintptr_t)sysconf(_SC_PAGESIZE), MADV_POPULATE_WRITE);
#endif
#endif
    (void)size;
    (void)written;
    return pointer;
}

void *nnfi_alloc(size_t size) {
    if (size == 0) size = 1;
    if (library.allocate) return library.allocate(size, library.allocator_payload);
    return with_pages(malloc(size), size, true);
}

void *nnfi_calloc(size_t count, size_t size) {
    if (size > 0 && count > SIZE_MAX / size) return NULL;
    size_t bytes = count * size;
    if (bytes == 0) bytes = 1;
    /* The C library's calloc knows which pages are zero already and leaves these alone. */
    if (!library.allocate) return with_pages(calloc(1, bytes), bytes, false);
    void *pointer = nnfi_alloc(bytes);
    return pointer ? memset(pointer, 0, bytes) : NULL;
}

void *nnfi_realloc(void *old, size_t size) {
    if (!old) return nnfi_alloc(size);
    if (size == 0) size = 1;
    return library.reallocate ? library.reallocate(old, size, library.allocator_payload)
                              : realloc(old, size);
}

void nnfi_free(void *pointer) {
    if (!pointer) return;
    if (library.deallocate)
        library.deallocate(pointer, library.allocator_payload);
    else
        free(pointer);
}

void nnf_free(void *buffer) {
    nnfi_free(buffer);
}

char *nnfi_strndup(const char *text, size_t length) {
    if (length == SIZE_MAX) return NULL;
    char *copy = nnfi_alloc(length + 1);
    if (!copy) return NULL;
    if (length > 0) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *nnfi_strdup(const char *text) {
    return nnfi_strndup(text, strlen(text));
}

char *nnfi_join(const char *a, const char *b) {
    size_t length = strlen(a), rest = strlen(b) + 1;
    char *text = nnfi_alloc(length + 1 + rest);
    if (!text) return NULL;
    memcpy(text, a, length);
    text[length] = '.';
    memcpy(text + length + 1, b, rest);
    return text;
}

char *nnfi_format(const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : nnfi_alloc((size_t)length + 1);
    if (text) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

bool nnfi_reserve(void *array_pointer, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity) return true;
    size_t grown = *capacity < 8 ? 8 : *capacity <= SIZE_MAX / 2 ? *capacity * 2 : needed;
    if (grown < needed) grown = needed;
    if (size > 0 && grown > SIZE_MAX / size) return false;
    /* array_pointer is the address of a pointer to any type: read and written as bytes. */
    void *array;
    memcpy(&array, array_pointer, sizeof array);
    array = nnfi_realloc(array, grown * size);
    if (!array) return false;
    memcpy(array_pointer, &array, sizeof array);
    *capacity = grown;
    return true;
}

bool nnfi_mul(int64_t a, int64_t b, int64_t *product) {
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return false;
    *product = a * b;
    return true;
}

bool nnfi_add(int64_t a, int64_t b, int64_t *sum) {
    if (a < 0 || b < 0 || a > INT64_MAX - b) return false;
    *sum = a + b;
    return true;
}

bool nnfi_progress(const char *what, double fraction) {
    return !library.progress || library.progress(what, fraction, library.progress_payload);
}
