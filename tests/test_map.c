#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/map.h"

enum { KEYS = 5000 };
static char keys[KEYS][16];

static void make_keys(void) {
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "k%d", i);
}

static void an_empty_map_holds_nothing(void **state) {
    (void)state;
    nnfi_map map = {0};
    assert_false(nnfi_map_get(&map, "a", 1, NULL));
    nnfi_map_clear(&map);
}

static void what_is_put_is_found_and_replaced(void **state) {
    (void)state;
    make_keys();
    nnfi_map map = {0};
    int64_t value = -1;
    for (int i = 0; i < KEYS; i++)
        assert_true(nnfi_map_put(&map, keys[i], strlen(keys[i]), i));
    for (int i = 0; i < KEYS; i += 2)
        assert_true(nnfi_map_put(&map, keys[i], strlen(keys[i]), -i));
    assert_int_equal(map.n_keys, KEYS);
    for (int i = 0; i < KEYS; i++) {
        assert_true(nnfi_map_get(&map, keys[i], strlen(keys[i]), &value));
        assert_true(value == (i % 2 == 0 ? -i : i));
    }
    assert_false(nnfi_map_get(&map, "k5000", 5, &value));
    nnfi_map_clear(&map);
    assert_int_equal(map.n_keys, 0);
}

static void keys_are_bytes_of_a_length(void **state) {
    (void)state;
    nnfi_map map = {0};
    int64_t value = 0;
    assert_true(nnfi_map_put(&map, "abc", 2, 1));
    assert_true(nnfi_map_put(&map, "abc", 3, 2));
    assert_true(nnfi_map_put(&map, "a\0c", 3, 3));
    assert_true(nnfi_map_put(&map, "", 0, 4));
    assert_true(nnfi_map_get(&map, "ab", 2, &value));
    assert_true(value == 1);
    assert_true(nnfi_map_get(&map, "a\0c", 3, &value));
    assert_true(value == 3);
    assert_true(nnfi_map_get(&map, "x", 0, &value));
    assert_true(value == 4);
    nnfi_map_clear(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(what_is_put_is_found_and_replaced),
        cmocka_unit_test(keys_are_bytes_of_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
