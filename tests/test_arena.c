/* Places in one block: reused, joined, never shared. */
#include "run/arena.h"
#include "test_support.h"

static size_t take(nnfi_arena *arena, size_t size) {
    size_t offset;
    assert_ok(nnfi_arena_take(arena, size, &offset));
    return offset;
}

static void what_is_given_back_is_given_out_again(void **state) {
    (void)state;
    nnfi_arena arena = {0};
    assert_int_equal(take(&arena, 100), 0);
    assert_int_equal(take(&arena, 64), 128); /* whole cache lines */
    assert_int_equal(take(&arena, 300), 192);
    assert_int_equal(arena.size, 512);
    assert_ok(nnfi_arena_give_back(&arena, 0, 100));
    assert_ok(nnfi_arena_give_back(&arena, 192, 300));
    assert_int_equal(take(&arena, 128), 0); /* the smallest hole that fits */
    assert_int_equal(take(&arena, 320), 192);
    assert_int_equal(arena.size, 512);
    nnfi_arena_clear(&arena);
}

static void neighbouring_holes_become_one(void **state) {
    (void)state;
    nnfi_arena arena = {0};
    for (size_t i = 0; i < 5; i++)
        take(&arena, 64);
    assert_ok(nnfi_arena_give_back(&arena, 64, 64));
    assert_ok(nnfi_arena_give_back(&arena, 192, 64));
    assert_ok(nnfi_arena_give_back(&arena, 128, 64));
    assert_int_equal(arena.n_holes, 1);
    assert_int_equal(take(&arena, 192), 64);
    assert_int_equal(arena.n_holes, 0);
    nnfi_arena_clear(&arena);
}

static void the_end_grows_from_the_last_hole(void **state) {
    (void)state;
    nnfi_arena arena = {0};
    take(&arena, 64);
    assert_ok(nnfi_arena_give_back(&arena, take(&arena, 64), 64));
    assert_int_equal(take(&arena, 128), 64);
    assert_int_equal(arena.size, 192);
    nnfi_arena_clear(&arena);
}

static void no_byte_is_given_out_twice(void **state) {
    (void)state;
    enum { PLACES = 40, ROUNDS = 20000, LINE = 64, MOST = 1 << 16 };
    static unsigned char used[MOST];
    size_t offsets[PLACES], lines[PLACES] = {0};
    uint64_t seed = 1;
    nnfi_arena arena = {0};
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t i = (size_t)(seed >> 33) % PLACES;
        if (lines[i] == 0) {
            lines[i] = 1 + (size_t)(seed >> 40) % 9;
            offsets[i] = take(&arena, lines[i] * LINE);
            assert_true(offsets[i] / LINE + lines[i] <= MOST);
        } else {
            assert_ok(nnfi_arena_give_back(&arena, offsets[i], lines[i] * LINE));
        }
        bool taken = !used[offsets[i] / LINE];
        for (size_t line = 0; line < lines[i]; line++) {
            assert_int_equal(used[offsets[i] / LINE + line], !taken);
            used[offsets[i] / LINE + line] = taken;
        }
        if (!taken) lines[i] = 0;
    }
    assert_true(arena.size <= PLACES * 9 * LINE * 2);
    nnfi_arena_clear(&arena);
}

static void a_size_without_end_is_refused(void **state) {
    (void)state;
    nnfi_arena arena = {0};
    size_t offset;
    assert_error(nnfi_arena_take(&arena, SIZE_MAX - 3, &offset), NNF_ERROR_MEMORY, "a run");
    assert_int_equal(arena.size, 0);
    nnfi_arena_clear(&arena);
}

TEST_MAIN(cmocka_unit_test(what_is_given_back_is_given_out_again),
          cmocka_unit_test(neighbouring_holes_become_one),
          cmocka_unit_test(the_end_grows_from_the_last_hole),
          cmocka_unit_test(no_byte_is_given_out_twice),
          cmocka_unit_test(a_size_without_end_is_refused))
