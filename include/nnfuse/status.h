/* Results, error messages, and what is set for the whole library. */
#ifndef NNFUSE_STATUS_H
#define NNFUSE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NNF_VERSION_MAJOR 0
#define NNF_VERSION_MINOR 1
#define NNF_VERSION_PATCH 0

#if defined(__GNUC__)
#define NNF_API __attribute__((visibility("default")))
#define NNF_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define NNF_API
#define NNF_PRINTF(text, first)
#endif

/* What a call came to. 0 is success; every error is negative. */
typedef enum nnf_status {
    NNF_OK = 0,
    NNF_ERROR_INVALID = -1,     /* an argument is wrong: NULL, a bad option, a bad combination */
    NNF_ERROR_NOT_FOUND = -2,   /* no module, parameter, value or row of that name */
    NNF_ERROR_MEMORY = -3,      /* the allocator gave NULL, or a size does not fit an address */
    NNF_ERROR_SHAPE = -4,       /* a layer cannot take these shapes */
    NNF_ERROR_DTYPE = -5,       /* a layer cannot take these dtypes */
    NNF_ERROR_UNSUPPORTED = -6, /* well formed, but nnfuse cannot run or encode it */
    NNF_ERROR_NOT_FUSABLE = -7, /* these modules cannot be fused: the message says why */
    NNF_ERROR_FORMAT = -8,      /* a file or a buffer is damaged or not of that format */
    NNF_ERROR_READ = -9,        /* the operating system could not read */
    NNF_ERROR_WRITE = -10,      /* the operating system could not write */
    NNF_ERROR_CANCELLED = -11   /* a callback asked to stop */
} nnf_status;

/* What NULL does, everywhere: _retain, _release and other functions that only free take it and do
 * nothing; a getter gives NULL, 0, false or NNF_NO_VALUE for an object that is NULL or of another
 * kind; a function that returns nnf_status gives NNF_ERROR_INVALID for an object, options or a list
 * that it needs. `out` is never NULL, unless the function says so.
 *
 * A report is written over, whatever was in it, and is empty after an error: _clear it after each
 * call. */

/* The name of a status, e.g. "NNF_ERROR_SHAPE"; "unknown" for a number that is none. */
NNF_API const char *nnf_status_name(nnf_status status);

/* The calling thread's last error as a full sentence ("" if there was none). It stays valid until
 * the thread's next failing call. */
NNF_API const char *nnf_error_message(void);

/* Sets the calling thread's error message and returns `status`: for rows, hooks and fuser methods
 * written outside the library. Formats as printf does; cut at 2,047 bytes. */
NNF_API nnf_status nnf_error(nnf_status status, const char *format, ...) NNF_PRINTF(2, 3);

/* The library's version, "MAJOR.MINOR.PATCH". */
NNF_API const char *nnf_version(void);

/* What the whole library uses. Every member may be NULL. */
typedef struct nnf_library_options {
    /* Memory. allocate gives `size` bytes (never called with 0) aligned for any type, or NULL;
     * reallocate and deallocate as in the C library. All three are set, or none. */
    void *(*allocate)(size_t size, void *payload);
    void *(*reallocate)(void *old, size_t size, void *payload);
    void (*deallocate)(void *old, void *payload);
    void *allocator_payload;
    /* Told now and then how far a long operation (writing, verifying) is, `fraction` in [0, 1];
     * false cancels it with NNF_ERROR_CANCELLED. It is called on the thread that called the
     * operation. */
    bool (*progress)(const char *what, double fraction, void *payload);
    void *progress_payload;
} nnf_library_options;

/* Sets the library's options; NULL sets the defaults (malloc, no callbacks). Call it before any
 * other function, from one thread: objects must be freed by the allocator that made them.
 * NNF_ERROR_INVALID if only some of the three memory functions are set. */
NNF_API nnf_status nnf_library_set_options(const nnf_library_options *options);

/* Frees a buffer that a function of this library handed out (nnf_onnx_save_memory, ...). */
NNF_API void nnf_free(void *buffer);

#ifdef __cplusplus
}
#endif
#endif
