#include "support/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "support/memory.h"

#define MESSAGE_SIZE 2048

static _Thread_local char message[MESSAGE_SIZE];

#define TEXT_OF(number) #number
#define TEXT(macro) TEXT_OF(macro)

static const char *const status_names[] = {
    "NNF_OK",           "NNF_ERROR_INVALID", "NNF_ERROR_NOT_FOUND",   "NNF_ERROR_MEMORY",
    "NNF_ERROR_SHAPE",  "NNF_ERROR_DTYPE",   "NNF_ERROR_UNSUPPORTED", "NNF_ERROR_NOT_FUSABLE",
    "NNF_ERROR_FORMAT", "NNF_ERROR_READ",    "NNF_ERROR_WRITE",       "NNF_ERROR_CANCELLED",
};

const char *nnf_status_name(nnf_status status) {
    const int n_names = (int)(sizeof status_names / sizeof *status_names);
    int row = -(int)status;
    return row >= 0 && row < n_names ? status_names[row] : "unknown";
}

const char *nnf_version(void) {
    return TEXT(NNF_VERSION_MAJOR) "." TEXT(NNF_VERSION_MINOR) "." TEXT(NNF_VERSION_PATCH);
}

const char *nnf_error_message(void) {
    return message;
}

/* Formats beside the message before replacing it: the arguments may point into the old one. */
nnf_status nnf_error(nnf_status status, const char *format, ...) {
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, strlen(text) + 1);
    return status;
}

nnf_status nnfi_error_prefix(nnf_status status, const char *format, ...) {
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "%s", message);
    memcpy(message, text, strlen(text) + 1);
    return status;
}

nnf_status nnfi_error_memory(size_t bytes, const char *what) {
    return nnf_error(NNF_ERROR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
