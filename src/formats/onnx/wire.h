/* Protobuf's wire format: a reader over bytes that trusts nothing, and a writer.
 * https://protobuf.dev/programming-guides/encoding/ */
#ifndef NNFI_WIRE_H
#define NNFI_WIRE_H

#include "support/text.h"

/* Messages may be nested this deep. */
#define NNFI_WIRE_MAX_DEPTH 100

enum { NNFI_WIRE_VARINT = 0, NNFI_WIRE_FIXED64 = 1, NNFI_WIRE_BYTES = 2, NNFI_WIRE_FIXED32 = 5 };

/* A range of a buffer, by positions from its beginning. */
typedef struct nnfi_span {
    size_t begin, end;
} nnfi_span;

/* Walks over one message's fields. Positions in spans and errors are those of the whole buffer. */
typedef struct nnfi_reader {
    const uint8_t *data; /* the whole buffer */
    size_t at, end;
    int depth;         /* of the message in the buffer's outermost one */
    const char *place; /* for errors: "graph.node" ... */
    int64_t index;     /* ... [index]; -1: no index */
} nnfi_reader;

typedef struct nnfi_field {
    uint32_t number;
    uint32_t type;   /* NNFI_WIRE_...; groups are skipped and come as NNFI_WIRE_GROUP */
    nnfi_span whole; /* with its tag */
    nnfi_span bytes; /* the payload of NNFI_WIRE_BYTES */
    uint64_t value;  /* the payload of the other types */
} nnfi_field;
#define NNFI_WIRE_GROUP 3

/* A reader over a whole buffer. */
nnfi_reader nnfi_reader_of(const uint8_t *data, size_t size, const char *place);
/* A reader over a message inside `outer`: NNF_ERROR_FORMAT where it is nested too deep. */
nnf_status nnfi_reader_enter(nnfi_reader *out, const nnfi_reader *outer, nnfi_span span,
                             const char *place, int64_t index);
/* NNF_ERROR_FORMAT "byte N, PLACE[INDEX]: TEXT". */
nnf_status nnfi_reader_error(const nnfi_reader *reader, size_t at, const char *format, ...)
    NNF_PRINTF(3, 4);

/* The next field; *more is false, and nothing read, at the message's end. */
nnf_status nnfi_reader_next(nnfi_reader *reader, nnfi_field *field, bool *more);
/* NNF_ERROR_FORMAT unless the field has this wire type. */
nnf_status nnfi_reader_expect(const nnfi_reader *reader, const nnfi_field *field, uint32_t type);

/* Gives the numbers of a repeated integer, float or double field, packed or not, one after another:
 * calls `take` with each one's bits. */
nnf_status nnfi_reader_numbers(const nnfi_reader *reader, const nnfi_field *field, uint32_t type,
                               nnf_status (*take)(void *payload, uint64_t bits), void *payload);

float nnfi_wire_float(uint64_t bits);

/* ---- Writing: a text serves as a buffer of bytes ---- */

size_t nnfi_varint_put(uint8_t *to, uint64_t value); /* at most 10 bytes; how many they are */
void nnfi_put_varint(nnfi_text *to, uint64_t value);
void nnfi_put_tag(nnfi_text *to, uint32_t number, uint32_t type);
void nnfi_put_int(nnfi_text *to, uint32_t number, int64_t value);
void nnfi_put_float(nnfi_text *to, uint32_t number, float value);
void nnfi_put_bytes(nnfi_text *to, uint32_t number, const void *bytes, size_t size);
void nnfi_put_string(nnfi_text *to, uint32_t number, const char *string);
/* `message` as a field, and empties it. */
void nnfi_put_message(nnfi_text *to, uint32_t number, nnfi_text *message);

#endif
