/* Protobuf's wire format: what the specification says, and what breaks it. */
#include "formats/onnx/wire.h"

#include <string.h>

#include "onnx_support.h"

static nnfi_reader reader_of(const char *bytes, size_t size) {
    return nnfi_reader_of((const uint8_t *)bytes, size, "message");
}

static void reads_the_examples_of_the_specification(void **state) {
    (void)state;
    /* field 1 = 150, field 2 = "testing" */
    const char bytes[] = "\x08\x96\x01\x12\x07testing";
    nnfi_reader reader = reader_of(bytes, sizeof bytes - 1);
    nnfi_field field;
    bool more;
    assert_ok(nnfi_reader_next(&reader, &field, &more));
    assert_true(more);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 150);
    assert_ok(nnfi_reader_next(&reader, &field, &more));
    assert_int_equal(field.number, 2);
    assert_int_equal(field.bytes.begin, 5);
    assert_int_equal(field.bytes.end, 12);
    assert_int_equal(field.whole.begin, 3);
    assert_ok(nnfi_reader_next(&reader, &field, &more));
    assert_false(more);
}

static void refuses_broken_bytes_and_says_where(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } cases[] = {
        {"\x08", 1, "byte 1, message: the message ends inside a number"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "more than 64 bits"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "more than 64 bits"},
        {"\x12\x05"
         "abc",
         5, "says that it has 5 bytes, but only 3 are left"},
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "18446744073709551615 bytes"},
        {"\x0d\x01\x02", 3, "ends inside a number"},
        {"\x09\x01\x02", 3, "ends inside a number"},
        {"\x00\x01", 2, "no field number 0"},
        {"\x0e\x01", 2, "wire type 6"},
        {"\x0c", 1, "wire type 4"},
        {"\x0b\x08\x01", 3, "ends inside group 1"},
        {"\x0b\x14", 2, "group 1 ends as group 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnfi_reader reader = reader_of(cases[i].bytes, cases[i].size);
        nnfi_field field;
        bool more;
        assert_error(nnfi_reader_next(&reader, &field, &more), NNF_ERROR_FORMAT, cases[i].text);
    }
}

static void skips_groups_but_not_without_end(void **state) {
    (void)state;
    nnfi_reader reader = reader_of("\x0b\x10\x05\x0c\x18\x07", 6);
    nnfi_field field;
    bool more;
    assert_ok(nnfi_reader_next(&reader, &field, &more));
    assert_int_equal(field.type, NNFI_WIRE_GROUP);
    assert_ok(nnfi_reader_next(&reader, &field, &more));
    assert_int_equal(field.value, 7);
    char deep[1000];
    memset(deep, 0x0b, sizeof deep);
    reader = reader_of(deep, sizeof deep);
    assert_error(nnfi_reader_next(&reader, &field, &more), NNF_ERROR_FORMAT, "nested");
}

static nnf_status sum(void *payload, uint64_t bits) {
    *(uint64_t *)payload += bits;
    return NNF_OK;
}

static void reads_repeated_numbers_packed_or_not(void **state) {
    (void)state;
    nnfi_reader reader = reader_of("\x08\x05\x0a\x03\x01\x96\x01", 7);
    nnfi_field field;
    bool more;
    uint64_t total = 0;
    for (int i = 0; i < 2; i++) {
        assert_ok(nnfi_reader_next(&reader, &field, &more));
        assert_ok(nnfi_reader_numbers(&reader, &field, NNFI_WIRE_VARINT, sum, &total));
    }
    assert_int_equal(total, 5 + 1 + 150);
}

static void writes_what_it_reads(void **state) {
    (void)state;
    static const int64_t numbers[] = {0, 1, 127, 128, 300, INT64_MAX, -1, INT64_MIN};
    nnfi_text inner = {0}, text = {0};
    for (size_t i = 0; i < 8; i++) {
        nnfi_put_int(&inner, 3, numbers[i]);
    }
    nnfi_put_float(&inner, 4, -1.5f);
    size_t length = inner.length;
    nnfi_put_message(&text, 9, &inner);
    assert_int_equal(text.length, 1 + 1 + length); /* a tag, a size below 128 */
    nnfi_reader outer = nnfi_reader_of((const uint8_t *)text.data, text.length, "message"), reader;
    nnfi_field field;
    bool more;
    assert_ok(nnfi_reader_next(&outer, &field, &more));
    assert_ok(nnfi_reader_enter(&reader, &outer, field.bytes, "inner", 2));
    for (size_t i = 0; i < 8; i++) {
        assert_ok(nnfi_reader_next(&reader, &field, &more));
        assert_true((int64_t)field.value == numbers[i]);
    }
    assert_ok(nnfi_reader_next(&reader, &field, &more));
    assert_true(nnfi_wire_float(field.value) == -1.5f);
    assert_error(nnfi_reader_error(&reader, 5, "wrong"), NNF_ERROR_FORMAT,
                 "byte 5, inner[2]: wrong");
    nnfi_text_clear(&text);
}

TEST_MAIN(cmocka_unit_test(reads_the_examples_of_the_specification),
          cmocka_unit_test(refuses_broken_bytes_and_says_where),
          cmocka_unit_test(skips_groups_but_not_without_end),
          cmocka_unit_test(reads_repeated_numbers_packed_or_not),
          cmocka_unit_test(writes_what_it_reads))
