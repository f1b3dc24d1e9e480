#include "formats/onnx/wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { END_GROUP = 4, MAX_VARINT = 10 };

nnfi_reader nnfi_reader_of(const uint8_t *data, size_t size, const char *place) {
    return (nnfi_reader){data, 0, size, 0, place, -1};
}

nnf_status nnfi_reader_enter(nnfi_reader *out, const nnfi_reader *outer, nnfi_span span,
                             const char *place, int64_t index) {
    *out = (nnfi_reader){outer->data, span.begin, span.end, outer->depth + 1, place, index};
    if (out->depth > NNFI_WIRE_MAX_DEPTH) {
        return nnfi_reader_error(out, span.begin, "messages are nested more than %d deep",
                                 NNFI_WIRE_MAX_DEPTH);
    }
    return NNF_OK;
}

nnf_status nnfi_reader_error(const nnfi_reader *reader, size_t at, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (reader->index < 0) {
        return nnf_error(NNF_ERROR_FORMAT, "byte %zu, %s: %s", at, reader->place, text);
    }
    return nnf_error(NNF_ERROR_FORMAT, "byte %zu, %s[%" PRId64 "]: %s", at, reader->place,
                     reader->index, text);
}

static nnf_status read_long_varint(nnfi_reader *reader, uint64_t *value) {
    size_t start = reader->at;
    uint64_t result = 0;
    for (int i = 0; i < MAX_VARINT; i++) {
        if (reader->at == reader->end) {
            return nnfi_reader_error(reader, start, "the message ends inside a number");
        }
        uint8_t byte = reader->data[reader->at++];
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            if (i == MAX_VARINT - 1 && byte > 1) break;
            *value = result;
            return NNF_OK;
        }
    }
    return nnfi_reader_error(reader, start, "a number has more than 64 bits");
}

/* Nearly all tags and most lengths are one byte. */
static inline nnf_status read_varint(nnfi_reader *reader, uint64_t *value) {
    if (reader->at == reader->end || reader->data[reader->at] & 0x80)
        return read_long_varint(reader, value);
    *value = reader->data[reader->at++];
    return NNF_OK;
}

static nnf_status read_fixed(nnfi_reader *reader, size_t size, uint64_t *value) {
    if (reader->end - reader->at < size) {
        return nnfi_reader_error(reader, reader->at, "the message ends inside a number");
    }
    uint64_t result = 0;
    for (size_t i = 0; i < size; i++) {
        result |= (uint64_t)reader->data[reader->at + i] << (8 * i);
    }
    reader->at += size;
    *value = result;
    return NNF_OK;
}

static nnf_status read_tag(nnfi_reader *reader, nnfi_field *field) {
    uint64_t tag;
    size_t start = reader->at;
    NNFI_TRY(read_varint(reader, &tag));
    if (tag >> 3 == 0 || tag > UINT32_MAX) {
        return nnfi_reader_error(reader, start, "there is no field number %" PRIu64, tag >> 3);
    }
    field->number = (uint32_t)(tag >> 3);
    field->type = (uint32_t)(tag & 7);
    return NNF_OK;
}

static nnf_status read_payload(nnfi_reader *reader, nnfi_field *field);

/* Groups are long deprecated and ONNX has none, but an unknown field may be one. */
static nnf_status skip_group(nnfi_reader *reader, uint32_t number) {
    nnfi_reader inner;
    NNFI_TRY(nnfi_reader_enter(&inner, reader, (nnfi_span){reader->at, reader->end}, reader->place,
                               reader->index));
    for (;;) {
        nnfi_field field = {0};
        size_t start = inner.at;
        if (inner.at == inner.end) {
            return nnfi_reader_error(reader, start, "the message ends inside group %" PRIu32,
                                     number);
        }
        NNFI_TRY(read_tag(&inner, &field));
        if (field.type == END_GROUP) {
            if (field.number != number) {
                return nnfi_reader_error(reader, start, "group %" PRIu32 " ends as group %" PRIu32,
                                         number, field.number);
            }
            reader->at = inner.at;
            return NNF_OK;
        }
        NNFI_TRY(read_payload(&inner, &field));
    }
}

static nnf_status read_payload(nnfi_reader *reader, nnfi_field *field) {
    size_t start = reader->at;
    uint64_t length;
    switch (field->type) {
    case NNFI_WIRE_VARINT:
        return read_varint(reader, &field->value);
    case NNFI_WIRE_FIXED64:
        return read_fixed(reader, 8, &field->value);
    case NNFI_WIRE_FIXED32:
        return read_fixed(reader, 4, &field->value);
    case NNFI_WIRE_GROUP:
        return skip_group(reader, field->number);
    case NNFI_WIRE_BYTES:
        NNFI_TRY(read_varint(reader, &length));
        if (length > reader->end - reader->at) {
            return nnfi_reader_error(reader, start,
                                     "field %" PRIu32 " says that it has %" PRIu64
                                     " bytes, but only %zu are left",
                                     field->number, length, reader->end - reader->at);
        }
        field->bytes = (nnfi_span){reader->at, reader->at + (size_t)length};
        reader->at += (size_t)length;
        return NNF_OK;
    default:
        return nnfi_reader_error(reader, start, "field %" PRIu32 " has wire type %" PRIu32,
                                 field->number, field->type);
    }
}

nnf_status nnfi_reader_next(nnfi_reader *reader, nnfi_field *field, bool *more) {
    *field = (nnfi_field){0};
    *more = reader->at < reader->end;
    if (!*more) return NNF_OK;
    field->whole.begin = reader->at;
    NNFI_TRY(read_tag(reader, field));
    NNFI_TRY(read_payload(reader, field));
    field->whole.end = reader->at;
    return NNF_OK;
}

nnf_status nnfi_reader_expect(const nnfi_reader *reader, const nnfi_field *field, uint32_t type) {
    if (field->type == type) return NNF_OK;
    return nnfi_reader_error(reader, field->whole.begin,
                             "field %" PRIu32 " has wire type %" PRIu32 " instead of %" PRIu32,
                             field->number, field->type, type);
}

nnf_status nnfi_reader_numbers(const nnfi_reader *reader, const nnfi_field *field, uint32_t type,
                               nnf_status (*take)(void *payload, uint64_t bits), void *payload) {
    if (field->type != NNFI_WIRE_BYTES) {
        NNFI_TRY(nnfi_reader_expect(reader, field, type));
        return take(payload, field->value);
    }
    nnfi_reader packed = *reader;
    packed.at = field->bytes.begin;
    packed.end = field->bytes.end;
    while (packed.at < packed.end) {
        nnfi_field number = {.type = type};
        NNFI_TRY(read_payload(&packed, &number));
        NNFI_TRY(take(payload, number.value));
    }
    return NNF_OK;
}

float nnfi_wire_float(uint64_t bits) {
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

size_t nnfi_varint_put(uint8_t *to, uint64_t value) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        to[n++] = (uint8_t)(value | 0x80);
    }
    to[n++] = (uint8_t)value;
    return n;
}

void nnfi_put_varint(nnfi_text *to, uint64_t value) {
    uint8_t bytes[MAX_VARINT];
    nnfi_text_add_bytes(to, (const char *)bytes, nnfi_varint_put(bytes, value));
}

void nnfi_put_tag(nnfi_text *to, uint32_t number, uint32_t type) {
    nnfi_put_varint(to, (uint64_t)number << 3 | type);
}

void nnfi_put_int(nnfi_text *to, uint32_t number, int64_t value) {
    nnfi_put_tag(to, number, NNFI_WIRE_VARINT);
    nnfi_put_varint(to, (uint64_t)value);
}

void nnfi_put_float(nnfi_text *to, uint32_t number, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                        (uint8_t)(bits >> 24)};
    nnfi_put_tag(to, number, NNFI_WIRE_FIXED32);
    nnfi_text_add_bytes(to, (const char *)bytes, sizeof bytes);
}

void nnfi_put_bytes(nnfi_text *to, uint32_t number, const void *bytes, size_t size) {
    nnfi_put_tag(to, number, NNFI_WIRE_BYTES);
    nnfi_put_varint(to, size);
    if (size > 0) nnfi_text_add_bytes(to, bytes, size);
}

void nnfi_put_string(nnfi_text *to, uint32_t number, const char *string) {
    nnfi_put_bytes(to, number, string, strlen(string));
}

void nnfi_put_message(nnfi_text *to, uint32_t number, nnfi_text *message) {
    if (message->failed) to->failed = true;
    nnfi_put_bytes(to, number, message->data, message->length);
    nnfi_text_clear(message);
}
