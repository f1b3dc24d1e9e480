/* The thread's last error. Every failing function of the library sets it once, where it fails;
 * callers may put what they know (a path, a file) in front. */
#ifndef NNFI_ERROR_H
#define NNFI_ERROR_H

#include "nnfuse/status.h"

/* Puts the formatted text in front of the thread's message; returns `status`. */
nnf_status nnfi_error_prefix(nnf_status status, const char *format, ...) NNF_PRINTF(2, 3);

/* NNF_ERROR_MEMORY with "out of memory: N bytes for WHAT". */
nnf_status nnfi_error_memory(size_t bytes, const char *what);

/* Returns from the calling function where `call` fails. */
#define NNFI_TRY(call)                                   \
    do {                                                 \
        nnf_status nnfi_status_ = (call);                \
        if (nnfi_status_ != NNF_OK) return nnfi_status_; \
    } while (0)

#endif
