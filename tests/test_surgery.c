/* Uses of values, and replacing calls. */
#include "module_support.h"

#include "module/graph_internal.h"
#include "support/memory.h"

/* x -> a -> b -> c, where b also reads a constant that came through two calls (id1, id2) and c one
 * that d reads too. Output: c's and d's. */
enum { CALL_A, CALL_ID1, CALL_ID2, CALL_B, CALL_C, CALL_D };
typedef struct fixture {
    nnf_module *module;
    nnfi_graph *graph;
    nnf_value x, k, shared, a, i1, i2, b, c, d;
} fixture;

static fixture make(void) {
    fixture f = {0};
    assert_ok(nnf_graph_new(&f.module));
    f.graph = nnfi_graph_of(f.module);
    static const char *const paths[] = {"a", "id1", "id2", "b", "c", "d"};
    for (size_t i = 0; i < 6; i++)
        set_and_release(f.module, paths[i], new_scale(2));
    nnf_tensor *one = VECTOR(1);
    nnf_module *g = f.module;
    assert_ok(nnf_graph_add_input(g, &f.x, "x", NULL));
    assert_ok(nnf_graph_add_constant(g, &f.k, "k", one));
    assert_ok(nnf_graph_add_constant(g, &f.shared, "shared", one));
    assert_ok(nnf_graph_add_call(g, "a", &f.x, 1, NULL, &f.a, 1));
    assert_ok(nnf_graph_add_call(g, "id1", &f.k, 1, NULL, &f.i1, 1));
    assert_ok(nnf_graph_add_call(g, "id2", &f.i1, 1, NULL, &f.i2, 1));
    assert_ok(nnf_graph_add_call(g, "b", (nnf_value[]){f.a, f.i2}, 2, NULL, &f.b, 1));
    assert_ok(nnf_graph_add_call(g, "c", (nnf_value[]){f.b, f.shared}, 2, NULL, &f.c, 1));
    assert_ok(nnf_graph_add_call(g, "d", (nnf_value[]){f.x, f.shared}, 2, NULL, &f.d, 1));
    assert_ok(nnf_graph_add_output(g, f.c));
    assert_ok(nnf_graph_add_output(g, f.d));
    nnf_tensor_release(one);
    return f;
}

static nnfi_replacement replacement(const char *path, const size_t *gone, size_t n_gone,
                                    const nnf_value *input, const nnf_value *output) {
    return (nnfi_replacement){.gone = gone,
                              .n_gone = n_gone,
                              .path = path,
                              .module = new_scale(5),
                              .inputs = input,
                              .n_inputs = 1,
                              .outputs = output,
                              .n_outputs = 1};
}

static void free_replacement(nnfi_replacement *made) {
    nnf_module_release(made->module);
}

static void uses_list_producers_and_readers(void **state) {
    (void)state;
    fixture f = make();
    nnf_value twice;
    assert_ok(nnf_graph_add_call(f.module, "d", (nnf_value[]){f.x, NNF_NO_VALUE, f.x}, 3, NULL,
                                 &twice, 1));
    nnfi_uses uses;
    assert_ok(nnfi_uses_new(&uses, f.graph));
    assert_int_equal(uses.producer[f.x], -1);
    assert_int_equal(uses.producer[f.i2], CALL_ID2);
    const int32_t *readers = uses.readers + uses.first_reader[f.x];
    assert_int_equal(uses.first_reader[f.x + 1] - uses.first_reader[f.x], 4);
    assert_int_equal(readers[0], CALL_A);
    assert_int_equal(readers[1], CALL_D);
    assert_int_equal(readers[2], 6);
    assert_int_equal(readers[3], 6);
    assert_int_equal(uses.first_reader[f.c + 1] - uses.first_reader[f.c], 0);
    nnfi_uses_clear(&uses);
    nnf_module_release(f.module);
}

static void a_chain_is_replaced_and_its_dead_constants_go(void **state) {
    (void)state;
    fixture f = make();
    nnfi_replacement made = replacement("a", (size_t[]){CALL_A, CALL_B, CALL_C}, 3, &f.x, &f.c);
    nnf_module *fused = made.module;
    nnfi_surgery *surgery = NULL;
    assert_ok(nnfi_surgery_prepare(&surgery, f.module, &made, 1));
    assert_int_equal(f.graph->n_calls, 6); /* nothing has changed yet */
    nnfi_surgery_commit(surgery);
    assert_int_equal(f.graph->n_calls, 2);
    assert_string_equal(f.graph->calls[0]->path, "a"); /* where c stood, before d */
    assert_ptr_equal(f.graph->calls[0]->module, fused);
    assert_int_equal(f.graph->calls[0]->outputs[0], f.c);
    assert_string_equal(f.graph->calls[1]->path, "d");
    const nnf_value gone[] = {f.k, f.a, f.i1, f.i2, f.b}, stay[] = {f.x, f.shared, f.c, f.d};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_true(f.graph->values[gone[i]].gone);
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        assert_false(f.graph->values[stay[i]].gone);
    assert_null(f.graph->values[f.k].constant);
    assert_null(nnf_graph_value_name(f.module, f.k));
    assert_int_equal(nnfi_graph_find_value(f.graph, "k"), NNF_NO_VALUE);
    nnf_value again; /* the name is free, the number is not used again */
    assert_ok(nnf_graph_add_input(f.module, &again, "k", NULL));
    assert_int_equal(again, f.d + 1);
    nnf_module *copy = NULL;
    assert_ok(nnf_module_copy(&copy, f.module));
    assert_true(nnfi_graph_of(copy)->values[f.b].gone);
    nnf_module_release(copy);
    nnf_module_release(f.module);
}

static void what_something_else_needs_stays(void **state) {
    (void)state;
    fixture f = make();
    assert_ok(nnf_graph_add_output(f.module, f.i1));
    nnfi_replacement made = replacement("b", (size_t[]){CALL_B}, 1, &f.a, &f.b);
    nnfi_surgery *surgery = NULL;
    assert_ok(nnfi_surgery_prepare(&surgery, f.module, &made, 1));
    nnfi_surgery_commit(surgery);
    /* id2 has gone; id1 gives an output of the graph; a is read by the new call. */
    assert_int_equal(f.graph->n_calls, 5);
    assert_true(f.graph->values[f.i2].gone);
    assert_false(f.graph->values[f.i1].gone);
    assert_false(f.graph->values[f.k].gone);
    assert_false(f.graph->values[f.a].gone);
    nnf_module_release(f.module);
}

static void a_call_on_the_graphs_input_is_not_taken_for_a_constant(void **state) {
    (void)state;
    fixture f = make();
    nnfi_replacement made = replacement("b", (size_t[]){CALL_B, CALL_C}, 2, &f.x, &f.c);
    nnfi_surgery *surgery = NULL;
    assert_ok(nnfi_surgery_prepare(&surgery, f.module, &made, 1));
    nnfi_surgery_commit(surgery);
    assert_int_equal(f.graph->n_calls, 3); /* a, though nobody reads it now, the new one, d */
    assert_string_equal(f.graph->calls[0]->path, "a");
    assert_false(f.graph->values[f.a].gone);
    nnf_module_release(f.module);
}

static void a_discarded_surgery_changes_nothing(void **state) {
    (void)state;
    fixture f = make();
    nnfi_replacement made = replacement("a", (size_t[]){CALL_A, CALL_B}, 2, &f.x, &f.b);
    nnfi_surgery *surgery = NULL;
    assert_ok(nnfi_surgery_prepare(&surgery, f.module, &made, 1));
    nnfi_surgery_discard(surgery);
    nnfi_surgery_discard(NULL);
    assert_int_equal(f.graph->n_calls, 6);
    assert_false(f.graph->values[f.a].gone);
    free_replacement(&made);
    nnf_module_release(f.module);
}

static void impossible_replacements_are_refused(void **state) {
    (void)state;
    fixture f = make();
    nnfi_surgery *surgery = NULL;
    nnfi_replacement none = replacement("a", NULL, 0, &f.x, &f.b);
    assert_error(nnfi_surgery_prepare(&surgery, f.module, &none, 1), NNF_ERROR_INVALID, "nothing",
                 "'a'");
    nnfi_replacement beyond = replacement("a", (size_t[]){9}, 1, &f.x, &f.b);
    assert_error(nnfi_surgery_prepare(&surgery, f.module, &beyond, 1), NNF_ERROR_INVALID,
                 "number 9");
    nnfi_replacement backwards = replacement("a", (size_t[]){3, 0}, 2, &f.x, &f.b);
    assert_error(nnfi_surgery_prepare(&surgery, f.module, &backwards, 1), NNF_ERROR_INVALID,
                 "number 0");
    nnfi_replacement both[2] = {replacement("a", (size_t[]){0, 3}, 2, &f.x, &f.b),
                                replacement("b", (size_t[]){3}, 1, &f.x, &f.b)};
    assert_error(nnfi_surgery_prepare(&surgery, f.module, both, 2), NNF_ERROR_INVALID, "'b'",
                 "number 3");
    assert_error(nnfi_surgery_prepare(&surgery, none.module, &none, 1), NNF_ERROR_INVALID, "Graph");
    assert_null(surgery);
    nnfi_replacement *all[] = {&none, &beyond, &backwards, &both[0], &both[1]};
    for (size_t i = 0; i < 5; i++)
        free_replacement(all[i]);
    nnf_module_release(f.module);
}

/* 60,000 calls in pairs, every pair replaced by one: together, so that the time is linear. */
static void thirty_thousand_replacements_go_in_at_once(void **state) {
    (void)state;
    enum { PAIRS = 30000 };
    nnf_module *graph = NULL;
    assert_ok(nnf_graph_new(&graph));
    set_and_release(graph, "s", new_scale(1));
    size_t *gone = malloc(2 * PAIRS * sizeof *gone);
    nnf_value *values = malloc((2 * PAIRS + 1) * sizeof *values);
    nnfi_replacement *replacements = malloc(PAIRS * sizeof *replacements);
    assert_true(gone && values && replacements);
    assert_ok(nnf_graph_add_input(graph, &values[0], "x", NULL));
    for (size_t i = 0; i < 2 * PAIRS; i++) {
        gone[i] = i;
        assert_ok(nnf_graph_add_call(graph, "s", &values[i], 1, NULL, &values[i + 1], 1));
    }
    assert_ok(nnf_graph_add_output(graph, values[2 * PAIRS]));
    for (size_t i = 0; i < PAIRS; i++)
        replacements[i] = replacement("s", &gone[2 * i], 2, &values[2 * i], &values[2 * i + 2]);
    nnfi_surgery *surgery = NULL;
    assert_ok(nnfi_surgery_prepare(&surgery, graph, replacements, PAIRS));
    nnfi_surgery_commit(surgery);
    assert_int_equal(nnf_graph_n_calls(graph), PAIRS);
    free(gone);
    free(values);
    free(replacements);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(uses_list_producers_and_readers),
          cmocka_unit_test(a_chain_is_replaced_and_its_dead_constants_go),
          cmocka_unit_test(what_something_else_needs_stays),
          cmocka_unit_test(a_call_on_the_graphs_input_is_not_taken_for_a_constant),
          cmocka_unit_test(a_discarded_surgery_changes_nothing),
          cmocka_unit_test(impossible_replacements_are_refused),
          cmocka_unit_test(thirty_thousand_replacements_go_in_at_once))
