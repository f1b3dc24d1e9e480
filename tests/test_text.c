#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"
#include "support/text.h"

static void texts_grow(void **state) {
    (void)state;
    nnfi_text text = {0};
    for (int i = 0; i < 1000; i++)
        nnfi_text_add(&text, "%03d,", i);
    nnfi_text_add_bytes(&text, "end, not this", 3);
    assert_int_equal(text.length, 4003);
    assert_int_equal(strlen(text.data), 4003);
    assert_string_equal(text.data + 3996, "999,end");
    nnfi_text_clear(&text);
    assert_null(text.data);
}

static void taking_leaves_an_empty_text(void **state) {
    (void)state;
    nnfi_text text = {0};
    nnfi_text_add(&text, "a%c", 'b');
    char *taken = nnfi_text_take(&text);
    assert_string_equal(taken, "ab");
    assert_null(text.data);
    nnfi_free(taken);
    taken = nnfi_text_take(&text);
    assert_string_equal(taken, "");
    nnfi_free(taken);
}

static void *give_nothing(size_t size, void *payload) {
    (void)size, (void)payload;
    return NULL;
}

static void *grow_nothing(void *old, size_t size, void *payload) {
    (void)old, (void)size, (void)payload;
    return NULL;
}

static void give_back(void *old, void *payload) {
    (void)payload;
    free(old);
}

static void a_text_that_failed_gives_null(void **state) {
    (void)state;
    nnfi_text text = {0};
    nnfi_text_add(&text, "kept");
    nnf_library_options options = {
        .allocate = give_nothing, .reallocate = grow_nothing, .deallocate = give_back};
    assert_int_equal(nnf_library_set_options(&options), NNF_OK);
    nnfi_text_add(&text, "%0200d", 1);
    assert_true(text.failed);
    assert_int_equal(nnf_library_set_options(NULL), NNF_OK);
    nnfi_text_add(&text, "lost");
    assert_string_equal(text.data, "kept");
    assert_null(nnfi_text_take(&text));
    assert_null(text.data);
}

static void digits_are_decimal(void **state) {
    (void)state;
    const uint64_t numbers[] = {0, 7, 10, 99, 100, 1234567890, UINT64_MAX};
    static const char *const texts[] = {
        "0", "7", "10", "99", "100", "1234567890", "18446744073709551615"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[NNFI_DIGITS + 1];
        assert_int_equal(nnfi_digits(text, numbers[i]), strlen(texts[i]));
        assert_string_equal(text, texts[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_grow),
        cmocka_unit_test(taking_leaves_an_empty_text),
        cmocka_unit_test(a_text_that_failed_gives_null),
        cmocka_unit_test(digits_are_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
