#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/error.h"

static void message_is_formatted_and_status_given_back(void **state) {
    (void)state;
    assert_int_equal(nnf_error(NNF_ERROR_SHAPE, "%s has %d", "x", 3), NNF_ERROR_SHAPE);
    assert_string_equal(nnf_error_message(), "x has 3");
}

static void message_may_quote_the_one_before(void **state) {
    (void)state;
    nnf_error(NNF_ERROR_READ, "first");
    nnf_error(NNF_ERROR_READ, "second, after %s", nnf_error_message());
    assert_string_equal(nnf_error_message(), "second, after first");
}

static void prefix_goes_in_front(void **state) {
    (void)state;
    nnf_error(NNF_ERROR_FORMAT, "byte 7 is wrong");
    assert_int_equal(nnfi_error_prefix(NNF_ERROR_FORMAT, "'%s': ", "a.onnx"), NNF_ERROR_FORMAT);
    assert_string_equal(nnf_error_message(), "'a.onnx': byte 7 is wrong");
}

static void long_messages_are_cut_at_2047_bytes(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    nnf_error(NNF_ERROR_INVALID, "%s", text);
    assert_int_equal(strlen(nnf_error_message()), 2047);
    nnfi_error_prefix(NNF_ERROR_INVALID, "b%s", "c");
    assert_int_equal(strlen(nnf_error_message()), 2047);
    assert_memory_equal(nnf_error_message(), "bcaa", 4);
}

static void every_status_has_its_name(void **state) {
    (void)state;
    assert_string_equal(nnf_status_name(NNF_OK), "NNF_OK");
    assert_string_equal(nnf_status_name(NNF_ERROR_SHAPE), "NNF_ERROR_SHAPE");
    assert_string_equal(nnf_status_name(NNF_ERROR_CANCELLED), "NNF_ERROR_CANCELLED");
    assert_string_equal(nnf_status_name((nnf_status)-12), "unknown");
    assert_string_equal(nnf_status_name((nnf_status)1), "unknown");
}

static void version_is_that_of_the_header(void **state) {
    (void)state;
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", NNF_VERSION_MAJOR, NNF_VERSION_MINOR,
             NNF_VERSION_PATCH);
    assert_string_equal(nnf_version(), text);
}

static void *fail_elsewhere(void *found) {
    strcpy(found, nnf_error_message());
    nnf_error(NNF_ERROR_READ, "elsewhere");
    return NULL;
}

static void each_thread_has_its_own_message(void **state) {
    (void)state;
    pthread_t thread;
    char found[16] = "not run";
    nnf_error(NNF_ERROR_READ, "here");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, found), 0);
    pthread_join(thread, NULL);
    assert_string_equal(found, "");
    assert_string_equal(nnf_error_message(), "here");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_formatted_and_status_given_back),
        cmocka_unit_test(message_may_quote_the_one_before),
        cmocka_unit_test(prefix_goes_in_front),
        cmocka_unit_test(long_messages_are_cut_at_2047_bytes),
        cmocka_unit_test(every_status_has_its_name),
        cmocka_unit_test(version_is_that_of_the_header),
        cmocka_unit_test(each_thread_has_its_own_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
