#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"

/* Counts what is out, and refuses blocks beyond `limit` bytes. */
typedef struct counter {
    int out;
    size_t limit;
} counter;

static void *count_allocate(size_t size, void *payload) {
    counter *count = payload;
    assert_true(size > 0);
    if (size > count->limit) return NULL;
    count->out++;
    return malloc(size);
}

static void *count_reallocate(void *old, size_t size, void *payload) {
    counter *count = payload;
    return size > count->limit ? NULL : realloc(old, size);
}

static void count_deallocate(void *old, void *payload) {
    counter *count = payload;
    count->out--;
    free(old);
}

static void use(counter *count) {
    nnf_library_options options = {.allocate = count_allocate,
                                   .reallocate = count_reallocate,
                                   .deallocate = count_deallocate,
                                   .allocator_payload = count};
    assert_int_equal(nnf_library_set_options(&options), NNF_OK);
}

static int use_defaults(void **state) {
    (void)state;
    return nnf_library_set_options(NULL);
}

static void all_memory_comes_from_the_users_allocator(void **state) {
    (void)state;
    counter count = {0, 4096};
    use(&count);
    char *text = nnfi_format("%d %s", 12, "ab"), *copy = nnfi_strdup(text);
    void *nothing = nnfi_alloc(0), *zeros = nnfi_calloc(3, 4);
    assert_string_equal(copy, "12 ab");
    assert_memory_equal(zeros, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    assert_int_equal(count.out, 4);
    assert_null(nnfi_alloc(5000));
    assert_null(nnfi_calloc(1, 5000));
    nnf_free(text);
    nnfi_free(copy);
    nnfi_free(nothing);
    nnfi_free(zeros);
    nnfi_free(NULL);
    assert_int_equal(count.out, 0);
}

static void only_some_memory_functions_are_refused(void **state) {
    (void)state;
    nnf_library_options options = {.allocate = count_allocate, .deallocate = count_deallocate};
    assert_int_equal(nnf_library_set_options(&options), NNF_ERROR_INVALID);
    assert_non_null(strstr(nnf_error_message(), "together"));
}

static void products_that_overflow_are_no_allocations(void **state) {
    (void)state;
    assert_null(nnfi_calloc(SIZE_MAX / 2, 3));
    assert_null(nnfi_strndup("a", SIZE_MAX));
}

static void reserve_doubles_and_keeps_what_is_there(void **state) {
    (void)state;
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(nnfi_reserve(&numbers, &capacity, i + 1, sizeof *numbers));
        numbers[i] = (int)i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    assert_true(capacity >= 1000 && capacity < 4000);
    assert_false(nnfi_reserve(&numbers, &capacity, SIZE_MAX / 2, sizeof *numbers));
    assert_int_equal(numbers[999], 999);
    nnfi_free(numbers);
}

static void reserve_changes_nothing_where_memory_is_short(void **state) {
    (void)state;
    counter count = {0, 64};
    use(&count);
    char *bytes = NULL;
    size_t capacity = 0;
    assert_true(nnfi_reserve(&bytes, &capacity, 10, 1));
    char *before = bytes;
    size_t capacity_before = capacity;
    assert_false(nnfi_reserve(&bytes, &capacity, 100, 1));
    assert_ptr_equal(bytes, before);
    assert_int_equal(capacity, capacity_before);
    nnfi_free(bytes);
    assert_int_equal(count.out, 0);
}

static void arithmetic_tells_overflow(void **state) {
    (void)state;
    int64_t result = 7;
    assert_true(nnfi_mul(INT64_MAX / 2, 2, &result));
    assert_true(result == INT64_MAX - 1);
    assert_false(nnfi_mul(INT64_MAX / 2 + 1, 2, &result));
    assert_false(nnfi_mul(-1, 2, &result));
    assert_false(nnfi_mul(2, -1, &result));
    assert_true(nnfi_mul(INT64_MAX, 0, &result));
    assert_true(result == 0);
    assert_true(nnfi_add(INT64_MAX - 1, 1, &result));
    assert_true(result == INT64_MAX);
    assert_false(nnfi_add(INT64_MAX, 1, &result));
    assert_false(nnfi_add(-1, 1, &result));
}

static bool stop_at_half(const char *what, double fraction, void *payload) {
    assert_string_equal(what, "reading");
    ++*(int *)payload;
    return fraction < 0.5;
}

static void progress_can_cancel(void **state) {
    (void)state;
    assert_true(nnfi_progress("reading", 0.9));
    int calls = 0;
    nnf_library_options options = {.progress = stop_at_half, .progress_payload = &calls};
    assert_int_equal(nnf_library_set_options(&options), NNF_OK);
    assert_true(nnfi_progress("reading", 0.1));
    assert_false(nnfi_progress("reading", 0.5));
    assert_int_equal(calls, 2);
}

static void large_blocks_can_be_written_throughout(void **state) {
    (void)state;
    size_t size = (size_t)9 << 20;
    unsigned char *bytes = nnfi_alloc(size), *zeros = nnfi_calloc(1, size);
    assert_non_null(bytes);
    assert_non_null(zeros);
    memset(bytes, 0, size);
    assert_memory_equal(bytes, zeros, size);
    nnfi_free(bytes);
    nnfi_free(zeros);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_memory_comes_from_the_users_allocator, use_defaults),
        cmocka_unit_test(only_some_memory_functions_are_refused),
        cmocka_unit_test(products_that_overflow_are_no_allocations),
        cmocka_unit_test(reserve_doubles_and_keeps_what_is_there),
        cmocka_unit_test_teardown(reserve_changes_nothing_where_memory_is_short, use_defaults),
        cmocka_unit_test(arithmetic_tells_overflow),
        cmocka_unit_test_teardown(progress_can_cancel, use_defaults),
        cmocka_unit_test(large_blocks_can_be_written_throughout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
