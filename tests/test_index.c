/* Numbers found by what they stand for, and memory in piles. */
#include "support/index.h"

#include <string.h>

#include "support/hash.h"
#include "support/pile.h"
#include "test_support.h"

enum { MANY = 5000 };

/* Number i stands for the square of i. */
static bool is_square(const void *payload, size_t number) {
    return *(const size_t *)payload == number * number;
}

static struct nnfi_index_slot *find(const nnfi_index *index, size_t square, uint64_t hash) {
    return nnfi_index_find(index, hash, is_square, &square);
}

static void numbers_are_found_by_what_they_stand_for(void **state) {
    (void)state;
    nnfi_index index = {0};
    assert_null(find(&index, 4, 0));
    for (size_t i = 0; i < MANY; i++) {
        size_t square = i * i;
        assert_null(find(&index, square, nnfi_hash(0, &square, sizeof square)));
        assert_true(nnfi_index_add(&index, nnfi_hash(0, &square, sizeof square), i));
    }
    for (size_t i = 0; i < MANY; i++) {
        size_t square = i * i;
        struct nnfi_index_slot *slot = find(&index, square, nnfi_hash(0, &square, sizeof square));
        assert_non_null(slot);
        assert_int_equal(nnfi_index_number(slot), i);
    }
    nnfi_index_clear(&index);
    assert_null(find(&index, 4, 0));
}

/* All have one hash: they stand in a row, with gaps where some were removed. */
static void removed_numbers_do_not_hide_others(void **state) {
    (void)state;
    nnfi_index index = {0};
    for (size_t i = 0; i < 12; i++)
        assert_true(nnfi_index_add(&index, 7, i));
    for (size_t i = 0; i < 12; i += 2)
        nnfi_index_remove(find(&index, i * i, 7));
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(find(&index, i * i, 7) != NULL, i % 2);
    nnfi_index_replace(find(&index, 9, 7), 20);
    assert_null(find(&index, 9, 7));
    assert_int_equal(nnfi_index_number(find(&index, 400, 7)), 20);
    assert_true(nnfi_index_reserve(&index, MANY)); /* leaves the removed ones behind */
    assert_int_equal(nnfi_index_number(find(&index, 400, 7)), 20);
    assert_null(find(&index, 16, 7));
    assert_false(nnfi_index_add(&index, 7, NNFI_INDEX_MOST));
    nnfi_index_clear(&index);
}

static void a_number_is_found_or_added_at_once(void **state) {
    (void)state;
    nnfi_index index = {0};
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < MANY; i++) {
            size_t square = i * i;
            bool added;
            struct nnfi_index_slot *slot = nnfi_index_find_or_add(
                &index, nnfi_hash(0, &square, sizeof square), is_square, &square, i, &added);
            assert_non_null(slot);
            assert_int_equal(nnfi_index_number(slot), i);
            assert_int_equal(added, round == 0);
        }
    assert_int_equal(index.n_used, MANY);
    bool added;
    size_t square = 4;
    assert_null(nnfi_index_find_or_add(&index, 7, is_square, &square, NNFI_INDEX_MOST, &added));
    nnfi_index_clear(&index);
}

static void a_hash_depends_on_every_byte(void **state) {
    (void)state;
    char text[20] = "batchnorm_1234567890";
    uint64_t before = nnfi_hash(0, text, sizeof text);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] ^= 1;
        assert_true(nnfi_hash(0, text, sizeof text) != before);
        text[i] ^= 1;
    }
    assert_true(nnfi_hash(0, text, 19) != before);
    assert_true(nnfi_hash(0, "\0", 1) != nnfi_hash(0, "\0\0", 2));
    assert_true(nnfi_hash(0, text, sizeof text) == before);
}

static void pieces_of_a_pile_are_aligned_and_apart(void **state) {
    (void)state;
    nnfi_pile pile = {0};
    char *texts[MANY];
    double *numbers[MANY];
    for (size_t i = 0; i < MANY; i++) {
        texts[i] = nnfi_pile_strndup(&pile, "abcdefgh", i % 9);
        numbers[i] = nnfi_pile_alloc(&pile, sizeof(double), _Alignof(double));
        assert_non_null(texts[i]);
        assert_non_null(numbers[i]);
        assert_int_equal((uintptr_t)numbers[i] % _Alignof(double), 0);
        *numbers[i] = (double)i;
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(strlen(texts[i]), i % 9);
        assert_memory_equal(texts[i], "abcdefgh", i % 9);
        assert_true(*numbers[i] == (double)i);
    }
    unsigned char *large = nnfi_pile_alloc(&pile, 1000000, 64);
    assert_non_null(large);
    assert_int_equal((uintptr_t)large % 64, 0);
    memset(large, 1, 1000000);
    assert_null(nnfi_pile_alloc(&pile, SIZE_MAX, 1));
    char *newest = nnfi_pile_strndup(&pile, "abc", 3);
    nnfi_pile_take_back(&pile, newest);
    assert_ptr_equal(nnfi_pile_strndup(&pile, "abcdef", 6), newest);
    nnfi_pile_clear(&pile);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_found_by_what_they_stand_for),
        cmocka_unit_test(removed_numbers_do_not_hide_others),
        cmocka_unit_test(a_number_is_found_or_added_at_once),
        cmocka_unit_test(a_hash_depends_on_every_byte),
        cmocka_unit_test(pieces_of_a_pile_are_aligned_and_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
