/* A string that grows: for error messages, names and reports. */
#ifndef NNFI_TEXT_H
#define NNFI_TEXT_H

#include "support/error.h"

/* The decimal digits of a number and a NUL; returns how many they are. printf takes ten times as
 * long, which names of a million nodes show. */
#define NNFI_DIGITS 20
size_t nnfi_digits(char to[NNFI_DIGITS + 1], uint64_t number);

typedef struct nnfi_text {
    char *data; /* NUL-terminated where length > 0 or capacity > 0; else NULL */
    size_t length, capacity;
    bool failed; /* memory was short at some time: what was added since is lost */
} nnfi_text;

/* A zeroed struct is an empty text. */
void nnfi_text_add(nnfi_text *text, const char *format, ...) NNF_PRINTF(2, 3);
void nnfi_text_add_bytes(nnfi_text *text, const char *bytes, size_t n);
void nnfi_text_clear(nnfi_text *text);
/* The string, to be freed by the caller; NULL where the text failed. The text is empty then. */
char *nnfi_text_take(nnfi_text *text);

#endif
