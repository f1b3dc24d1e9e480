#include "support/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "support/memory.h"

/* Room for n more bytes and the NUL. */
static bool make_room(nnfi_text *text, size_t n) {
    if (text->failed) return false;
    if (n > SIZE_MAX - text->length - 1 ||
        !nnfi_reserve(&text->data, &text->capacity, text->length + n + 1, 1))
        text->failed = true;
    return !text->failed;
}

size_t nnfi_digits(char to[NNFI_DIGITS + 1], uint64_t number) {
    size_t n = 1;
    for (uint64_t rest = number; rest > 9; rest /= 10)
        n++;
    to[n] = '\0';
    for (size_t i = n; i-- > 0; number /= 10)
        to[i] = (char)('0' + number % 10);
    return n;
}

void nnfi_text_add(nnfi_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->failed = true;
    } else if (make_room(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void nnfi_text_add_bytes(nnfi_text *text, const char *bytes, size_t n) {
    if (!make_room(text, n)) return;
    if (n > 0) memcpy(text->data + text->length, bytes, n);
    text->length += n;
    text->data[text->length] = '\0';
}

void nnfi_text_clear(nnfi_text *text) {
    nnfi_free(text->data);
    *text = (nnfi_text){0};
}

char *nnfi_text_take(nnfi_text *text) {
    make_room(text, 0); /* an empty text is the empty string */
    if (text->failed) {
        nnfi_text_clear(text);
        return NULL;
    }
    char *string = text->data;
    string[text->length] = '\0';
    *text = (nnfi_text){0};
    return string;
}
