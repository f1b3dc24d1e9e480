/* What NULL does, as status.h says. */
#include "test_support.h"

static void what_frees_or_retains_takes_null(void **state) {
    (void)state;
    assert_null(nnf_module_retain(NULL));
    assert_null(nnf_tensor_retain(NULL));
    nnf_module_release(NULL);
    nnf_tensor_release(NULL);
    nnf_session_release(NULL);
    nnf_mapping_release(NULL);
    nnf_pending_file_discard(NULL);
    nnf_verify_report_clear(NULL);
    nnf_free(NULL);
}

static void what_is_needed_is_asked_for(void **state) {
    (void)state;
    nnf_module *module = NULL, *graph, *children[2] = {NULL};
    nnf_value value;
    assert_ok(nnf_graph_new(&graph));
    assert_error(nnf_activation_new_with(&module, NULL), NNF_ERROR_INVALID, "options");
    assert_error(nnf_sequential_new(&module, NULL, 2), NNF_ERROR_INVALID, "module 0");
    assert_ok(nnf_activation_new(&children[0], NNF_RELU));
    assert_error(nnf_sequential_new(&module, children, 2), NNF_ERROR_INVALID, "module 1");
    assert_error(nnf_pending_file_commit(NULL), NNF_ERROR_INVALID, "pending");
    assert_error(nnf_graph_add_constant(graph, &value, NULL, NULL), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_graph_add_constant(NULL, &value, "c", NULL), NNF_ERROR_INVALID, "Graph");
    assert_error(nnf_graph_add_input(graph, &value, NULL, NULL), NNF_ERROR_INVALID, "name");
    assert_null(module);
    assert_int_equal(nnf_graph_n_values(graph), 0);
    nnf_module_release(children[0]);
    nnf_module_release(graph);
}

static void getters_give_nothing_for_null(void **state) {
    (void)state;
    assert_false(nnf_module_is_graph(NULL));
    assert_int_equal(nnf_graph_n_values(NULL), 0);
    assert_int_equal(nnf_graph_n_calls(NULL), 0);
    assert_int_equal(nnf_graph_find_value(NULL, "x"), NNF_NO_VALUE);
    assert_null(nnf_graph_value_name(NULL, 0));
    assert_null(nnf_graph_call_inputs(NULL, 0));
}

static void values_are_found_by_name(void **state) {
    (void)state;
    nnf_module *graph;
    nnf_value a, b;
    assert_ok(nnf_graph_new(&graph));
    assert_ok(nnf_graph_add_input(graph, &a, "a", NULL));
    assert_ok(nnf_graph_add_input(graph, &b, "b", NULL));
    assert_int_equal(nnf_graph_n_values(graph), 2);
    assert_int_equal(nnf_graph_find_value(graph, "b"), b);
    assert_int_equal(nnf_graph_find_value(graph, "c"), NNF_NO_VALUE);
    assert_int_equal(nnf_graph_find_value(graph, NULL), NNF_NO_VALUE);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(what_frees_or_retains_takes_null),
          cmocka_unit_test(what_is_needed_is_asked_for),
          cmocka_unit_test(getters_give_nothing_for_null),
          cmocka_unit_test(values_are_found_by_name))
