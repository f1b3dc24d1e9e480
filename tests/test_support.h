/* What every test file includes: cmocka with the headers that it wants before it, and goldens.
 *
 *     static void adds_elementwise(void **state) { ... }
 *     TEST_MAIN(cmocka_unit_test(adds_elementwise), cmocka_unit_test(...))
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden.h"
#include "nnfuse.h"

/* Whether valgrind runs the test (tests/valgrind.sh), where everything takes many times as long. */
static inline bool under_valgrind(void) {
    return getenv("NNFUSE_UNDER_VALGRIND") != NULL;
}

#define TEST_MAIN(...)                                    \
    int main(void) {                                      \
        const struct CMUnitTest tests[] = {__VA_ARGS__};  \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

/* "path:Type path:Type ..." of the calls, in order. */
static inline const char *calls_text(const nnf_module *graph) {
    static char text[1024];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < nnf_graph_n_calls(graph); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s:%s", i ? " " : "",
                              nnf_graph_call_path(graph, i),
                              nnf_module_type_name(nnf_graph_call_module(graph, i)));
    return text;
}

/* The module at a path, and its type. */
static inline nnf_module *at(const nnf_module *root, const char *path) {
    nnf_module *module;
    assert_ok(nnf_module_get(&module, root, path));
    return module;
}
static inline const char *type_at(const nnf_module *root, const char *path) {
    return nnf_module_type_name(at(root, path));
}

#endif
