/* Building, looking at, inferring and running Graphs. */
#include "module_support.h"

#include "module/graph_internal.h"

static nnf_module *new_graph(void) {
    nnf_module *graph = NULL;
    assert_ok(nnf_graph_new(&graph));
    return graph;
}

static nnf_value add_call(nnf_module *graph, const char *path, nnf_value input, const char *name) {
    nnf_value out = NNF_NO_VALUE;
    assert_ok(nnf_graph_add_call(graph, path, &input, 1, name ? &name : NULL, &out, 1));
    return out;
}

static nnf_type_info vector_info(nnf_dim dim) {
    return (nnf_type_info){.dtype = NNF_F32, .ndim = 1, .shape = {dim}, .n_values = -1};
}

static void a_graph_says_what_it_was_built_of(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    set_and_release(graph, "a", new_scale(2));
    nnf_value x;
    nnf_type_info info = vector_info((nnf_dim){4, 0});
    assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
    nnf_value y = add_call(graph, "a", x, "y"), z = add_call(graph, "a", y, NULL),
              w = add_call(graph, "a", z, NULL);
    assert_ok(nnf_graph_add_output(graph, z));
    assert_true(nnf_module_is_graph(graph));
    assert_int_equal(nnf_graph_n_inputs(graph), 1);
    assert_int_equal(nnf_graph_input(graph, 0), x);
    assert_int_equal(nnf_graph_input(graph, 1), NNF_NO_VALUE);
    assert_int_equal(nnf_graph_output(graph, 0), z);
    assert_string_equal(nnf_graph_value_name(graph, y), "y");
    assert_string_equal(nnf_graph_value_name(graph, z), "a");
    assert_string_not_equal(nnf_graph_value_name(graph, w), "a");
    assert_null(nnf_graph_value_name(graph, 99));
    assert_int_equal(nnf_graph_value_info(graph, x)->shape[0].value, 4);
    assert_null(nnf_graph_value_constant(graph, x));
    assert_int_equal(nnf_graph_n_calls(graph), 3);
    assert_string_equal(nnf_graph_call_path(graph, 1), "a");
    assert_ptr_equal(nnf_graph_call_module(graph, 1), at(graph, "a"));
    assert_int_equal(nnf_graph_call_n_inputs(graph, 1), 1);
    assert_int_equal(nnf_graph_call_inputs(graph, 1)[0], y);
    assert_int_equal(nnf_graph_call_outputs(graph, 1)[0], z);
    assert_int_equal(nnf_graph_call_n_outputs(graph, 3), 0);
    assert_null(nnf_graph_call_path(graph, 3));
    nnf_module_release(graph);
}

static void a_module_that_is_no_graph_has_no_calls(void **state) {
    (void)state;
    nnf_module *box = new_box();
    nnf_value value;
    int32_t symbol;
    nnf_type_info *infos;
    size_t n;
    assert_false(nnf_module_is_graph(box));
    assert_int_equal(nnf_graph_n_calls(box), 0);
    assert_int_equal(nnf_graph_n_outputs(box), 0);
    assert_null(nnf_graph_call_module(box, 0));
    assert_error(nnf_graph_add_input(box, &value, "x", NULL), NNF_ERROR_INVALID, "Graph", "Box");
    assert_error(nnf_graph_add_call(NULL, "x", NULL, 0, NULL, NULL, 0), NNF_ERROR_INVALID, "Graph");
    assert_error(nnf_graph_symbol(box, &symbol, "n"), NNF_ERROR_INVALID, "Graph");
    assert_error(nnf_graph_infer(box, NULL, &infos, &n), NNF_ERROR_INVALID, "Graph");
    nnf_module_release(box);
}

static void a_bad_call_leaves_the_graph_as_it_was(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    set_and_release(graph, "a", new_scale(2));
    nnf_value x, out[2];
    assert_ok(nnf_graph_add_input(graph, &x, "x", NULL));
    assert_error(nnf_graph_add_input(graph, NULL, "x", NULL), NNF_ERROR_INVALID, "'x'");
    assert_error(nnf_graph_add_input(graph, NULL, "", NULL), NNF_ERROR_INVALID, "name");
    assert_error(nnf_graph_add_constant(graph, NULL, "c", NULL), NNF_ERROR_INVALID, "'c'");
    assert_error(nnf_graph_add_call(graph, "b", &x, 1, NULL, out, 1), NNF_ERROR_NOT_FOUND, "'b'");
    assert_error(nnf_graph_add_call(graph, "a", (nnf_value[]){5}, 1, NULL, out, 1),
                 NNF_ERROR_INVALID, "input 0", "'a'", "5");
    assert_error(nnf_graph_add_call(graph, "a", &x, 1, (const char *[]){"y", "x"}, out, 2),
                 NNF_ERROR_INVALID, "'x'");
    assert_error(nnf_graph_add_output(graph, 1), NNF_ERROR_INVALID, "number 1");
    assert_int_equal(nnf_graph_n_calls(graph), 0);
    assert_int_equal(nnfi_graph_find_value(nnfi_graph_of(graph), "y"), NNF_NO_VALUE);
    assert_int_equal(nnfi_graph_of(graph)->n_values, 1);
    nnf_module_release(graph);
}

static void symbols_are_numbered_by_name(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    int32_t batch, length, again;
    assert_ok(nnf_graph_symbol(graph, &batch, "batch"));
    assert_ok(nnf_graph_symbol(graph, &length, "length"));
    assert_ok(nnf_graph_symbol(graph, &again, "batch"));
    assert_true(batch > 0 && length > 0 && batch != length);
    assert_int_equal(again, batch);
    assert_string_equal(nnf_graph_symbol_name(graph, length), "length");
    assert_null(nnf_graph_symbol_name(graph, 3));
    assert_null(nnf_graph_symbol_name(graph, 0));
    assert_error(nnf_graph_symbol(graph, &again, ""), NNF_ERROR_INVALID, "name");
    nnf_module_release(graph);
}

/* x [n] -> a (Scale) -> p (Pair, which infers nothing) with itself -> b (Scale) */
static nnf_module *inferred_graph(int32_t *symbol) {
    nnf_module *graph = new_graph();
    set_and_release(graph, "a", new_scale(2));
    set_and_release(graph, "block", new_box());
    set_and_release(graph, "block.p", new_pair());
    set_and_release(graph, "block.b", new_scale(3));
    assert_ok(nnf_graph_symbol(graph, symbol, "n"));
    nnf_type_info info = vector_info((nnf_dim){0, *symbol});
    nnf_value x, out[2];
    assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
    nnf_value a = add_call(graph, "a", x, "a");
    assert_ok(nnf_graph_add_call(graph, "block.p", (nnf_value[]){a, a}, 2, NULL, out, 2));
    nnf_value b = add_call(graph, "block.b", out[0], "b");
    assert_ok(nnf_graph_add_output(graph, b));
    assert_ok(nnf_graph_add_output(graph, x));
    return graph;
}

static void symbols_pass_through_and_stop_where_nothing_is_inferred(void **state) {
    (void)state;
    int32_t symbol;
    nnf_module *graph = inferred_graph(&symbol);
    nnf_type_info *infos;
    size_t n;
    assert_ok(nnf_graph_infer(graph, NULL, &infos, &n));
    assert_int_equal(n, 5);
    nnf_value a = nnf_graph_call_outputs(graph, 0)[0], b = nnf_graph_output(graph, 0);
    assert_int_equal(infos[a].shape[0].symbol, symbol);
    assert_int_equal(infos[b].ndim, -1);
    nnf_graph_infer_free(infos, n);
    /* What the file says of the opaque call's output is used. */
    nnf_value opaque = nnf_graph_call_outputs(graph, 1)[0];
    nnf_type_info declared = vector_info((nnf_dim){0, symbol});
    assert_ok(nnfi_value_set_info(&nnfi_graph_of(graph)->values[opaque], &declared));
    assert_ok(nnf_graph_infer(graph, NULL, &infos, &n));
    assert_int_equal(infos[b].dtype, NNF_F32);
    assert_int_equal(infos[b].shape[0].symbol, symbol);
    nnf_graph_infer_free(infos, n);
    /* With the inputs' shapes given. */
    nnf_type_info given = vector_info((nnf_dim){6, 0});
    assert_ok(nnf_graph_infer(graph, &given, &infos, &n));
    assert_int_equal(infos[a].shape[0].symbol, 0);
    assert_int_equal(infos[a].shape[0].value, 6);
    nnf_graph_infer_free(infos, n);
    nnf_graph_infer_free(NULL, 0);
    nnf_module_release(graph);
}

static void an_error_of_inference_names_the_module(void **state) {
    (void)state;
    int32_t symbol;
    nnf_module *graph = inferred_graph(&symbol);
    nnf_type_info given = vector_info((nnf_dim){6, 0}), *infos = NULL;
    size_t n = 0;
    given.ndim = 3;
    given.shape[1] = given.shape[2] = given.shape[0];
    assert_error(nnf_graph_infer(graph, &given, &infos, &n), NNF_ERROR_SHAPE,
                 "'a' (Scale): ", "rank 3");
    assert_null(infos);
    nnf_module_release(graph);
}

static void small_integer_constants_are_known(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_tensor *shape = NULL;
    assert_ok(nnf_tensor_from_data(&shape, NNF_I64, 1, (int64_t[]){2}, (int64_t[]){3, -1}));
    nnf_value value, overridable;
    assert_ok(nnf_graph_add_constant(graph, &value, "shape", shape));
    /* An input with a default: nothing is known of its elements. */
    assert_ok(nnf_graph_add_input(graph, &overridable, "other", NULL));
    nnfi_graph_of(graph)->values[overridable].constant = nnf_tensor_retain(shape);
    nnf_type_info *infos;
    size_t n;
    assert_ok(nnf_graph_infer(graph, NULL, &infos, &n));
    assert_int_equal(infos[value].n_values, 2);
    assert_int_equal(infos[value].values[1].value, -1);
    assert_int_equal(infos[overridable].n_values, -1);
    nnf_graph_infer_free(infos, n);
    nnf_type_info info;
    nnf_type_info_init(&info);
    assert_error(nnf_type_info_set_values(&info, NULL, 65), NNF_ERROR_INVALID, "65", "64");
    nnf_tensor_release(shape);
    nnf_module_release(graph);
}

static void a_graph_runs_its_calls_in_order(void **state) {
    (void)state;
    int32_t symbol;
    nnf_module *graph = inferred_graph(&symbol);
    nnf_tensor *x = VECTOR(1, 2), *out[2];
    assert_ok(nnf_module_forward(graph, &x, 1, out, 2));
    assert_true(element(out[0], 1) == 3 * (2 * 2 + 2 * 2));
    assert_ptr_not_equal(out[1], x); /* an input may be an output, which is the caller's own */
    assert_true(element(out[1], 0) == 1 && element(out[1], 1) == 2);
    nnf_tensor_release(out[0]);
    nnf_tensor_release(out[1]);
    nnf_tensor_release(x);
    nnf_module_release(graph);
}

static void inputs_that_do_not_fit_are_named(void **state) {
    (void)state;
    int32_t symbol;
    nnf_module *graph = inferred_graph(&symbol);
    nnf_value second;
    nnf_type_info info = vector_info((nnf_dim){0, symbol});
    info.ndim = 2;
    info.shape[1] = (nnf_dim){3, 0};
    assert_ok(nnf_graph_add_input(graph, &second, "second", &info));
    nnf_tensor *x = VECTOR(1, 2), *matrix = NULL, *other = NULL, *half = NULL, *out[2];
    assert_ok(nnf_tensor_new(&matrix, NNF_F32, 2, (int64_t[]){2, 4}));
    assert_ok(nnf_tensor_new(&other, NNF_F32, 2, (int64_t[]){5, 3}));
    assert_ok(nnf_tensor_convert(&half, x, NNF_F16));
    assert_error(nnf_module_forward(graph, (nnf_tensor *[]){x, matrix}, 2, out, 2), NNF_ERROR_SHAPE,
                 "'second'", "float32 [n, 3]", "[2, 4]");
    assert_error(nnf_module_forward(graph, (nnf_tensor *[]){x, x}, 2, out, 2), NNF_ERROR_SHAPE,
                 "'second'", "[n, 3]", "[2]");
    assert_error(nnf_module_forward(graph, (nnf_tensor *[]){x, other}, 2, out, 2), NNF_ERROR_SHAPE,
                 "n is 2", "'second'", "[5, 3]");
    assert_error(nnf_module_forward(graph, (nnf_tensor *[]){half, other}, 2, out, 2),
                 NNF_ERROR_DTYPE, "'x'", "float32 [n]", "float16 [2]");
    assert_error(nnf_module_forward(graph, (nnf_tensor *[]){x, NULL}, 2, out, 2), NNF_ERROR_INVALID,
                 "'second' is not given");
    assert_error(nnf_module_forward(graph, &x, 1, out, 2), NNF_ERROR_INVALID, "2 inputs, but 1");
    nnf_tensor_release(x);
    nnf_tensor_release(matrix);
    nnf_tensor_release(other);
    nnf_tensor_release(half);
    nnf_module_release(graph);
}

static void an_input_with_a_default_need_not_be_given(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    set_and_release(graph, "p", new_pair());
    nnf_tensor *x = VECTOR(5), *one = VECTOR(1), *two = VECTOR(2), *sum = NULL;
    nnf_value a, b, out;
    assert_ok(nnf_graph_add_input(graph, &a, "a", NULL));
    assert_ok(nnf_graph_add_input(graph, &b, "b", NULL));
    nnfi_graph_of(graph)->values[b].constant = nnf_tensor_retain(one);
    assert_ok(nnf_graph_add_call(graph, "p", (nnf_value[]){a, b}, 2, NULL, &out, 1));
    assert_ok(nnf_graph_add_output(graph, out));
    assert_ok(nnf_module_forward(graph, (nnf_tensor *[]){x, NULL}, 2, &sum, 1));
    assert_true(element(sum, 0) == 6);
    nnf_tensor_release(sum);
    assert_ok(nnf_module_forward(graph, (nnf_tensor *[]){x, two}, 2, &sum, 1));
    assert_true(element(sum, 0) == 7);
    nnf_tensor_release(sum);
    nnf_tensor_release(x);
    nnf_tensor_release(one);
    nnf_tensor_release(two);
    nnf_module_release(graph);
}

static void calls_follow_a_module_that_is_replaced(void **state) {
    (void)state;
    int32_t symbol;
    nnf_module *graph = inferred_graph(&symbol), *root = new_box(), *block = new_box();
    assert_ok(nnf_module_set(root, "net", graph));
    set_and_release(root, "net.a", new_scale(10)); /* from above the graph, too */
    assert_ptr_equal(nnf_graph_call_module(graph, 0), at(graph, "a"));
    set_and_release(block, "p", new_pair());
    assert_error(nnf_module_set(graph, "block", block), NNF_ERROR_INVALID, "'block'", "'block.b'",
                 "no 'b'");
    assert_ptr_equal(nnf_graph_call_module(graph, 1), at(graph, "block.p"));
    set_and_release(block, "b", new_scale(1));
    assert_ok(nnf_module_set_child(graph, "block", block));
    assert_ptr_equal(nnf_graph_call_module(graph, 1), at(block, "p"));
    assert_ptr_equal(nnf_graph_call_module(graph, 2), at(block, "b"));
    nnf_tensor *x = VECTOR(1), *out[2];
    assert_ok(nnf_module_forward(graph, &x, 1, out, 2));
    assert_true(element(out[0], 0) == 20);
    nnf_tensor_release(out[0]);
    nnf_tensor_release(out[1]);
    nnf_tensor_release(x);
    nnf_module_release(block);
    nnf_module_release(graph);
    nnf_module_release(root);
}

static void a_graph_in_a_graph_infers_and_runs(void **state) {
    (void)state;
    int32_t inner_symbol, symbol;
    nnf_module *outer = new_graph();
    set_and_release(outer, "inner", inferred_graph(&inner_symbol));
    nnf_value x, out[2];
    assert_ok(nnf_graph_symbol(outer, &symbol, "unused"));
    assert_ok(nnf_graph_symbol(outer, &symbol, "m"));
    nnf_type_info info = vector_info((nnf_dim){0, symbol}), *infos;
    assert_ok(nnf_graph_add_input(outer, &x, "x", &info));
    assert_ok(nnf_graph_add_call(outer, "inner", &x, 1, NULL, out, 2));
    assert_ok(nnf_graph_add_output(outer, out[0]));
    size_t n;
    assert_ok(nnf_graph_infer(outer, NULL, &infos, &n));
    assert_int_equal(infos[out[1]].shape[0].symbol, symbol); /* in the outer graph's numbers */
    nnf_graph_infer_free(infos, n);
    nnf_tensor *one = VECTOR(1), *matrix = NULL, *y = NULL;
    assert_ok(nnf_tensor_new(&matrix, NNF_F32, 2, (int64_t[]){1, 1}));
    assert_ok(nnf_module_forward(outer, &one, 1, &y, 1));
    assert_true(element(y, 0) == 12);
    nnf_tensor_release(y);
    info.dtype = NNF_DTYPE_UNKNOWN;
    info.ndim = -1;
    assert_ok(nnfi_value_set_info(&nnfi_graph_of(outer)->values[x], &info));
    assert_error(nnf_module_forward(outer, &matrix, 1, &y, 1), NNF_ERROR_SHAPE,
                 "'inner' (Graph): the input 'x' should be float32 [n]");
    nnf_tensor_release(one);
    nnf_tensor_release(matrix);
    nnf_module_release(outer);
}

/* Also where a value that is gone has the name too. */
static void a_guess_does_not_change_what_a_name_finds(void **state) {
    (void)state;
    nnf_module *module;
    nnf_value a, b, again;
    assert_ok(nnf_graph_new(&module));
    nnfi_graph *graph = nnfi_graph_of(module);
    assert_ok(nnfi_graph_add_value(graph, &a, "a"));
    assert_ok(nnfi_graph_add_value(graph, &b, "b"));
    for (nnf_value guess = -1; guess < 4; guess++) {
        assert_int_equal(nnfi_graph_find_near(graph, guess, "a", 1), a);
        assert_int_equal(nnfi_graph_find_near(graph, guess, "b", 1), b);
        assert_int_equal(nnfi_graph_find_near(graph, guess, "ab", 2), NNF_NO_VALUE);
    }
    nnfi_graph_remove(module, NULL, (const bool[]){true, false});
    assert_int_equal(nnfi_graph_find_near(graph, a, "a", 1), NNF_NO_VALUE);
    assert_int_equal(nnfi_graph_find_any(graph, "a", 1), a);
    assert_ok(nnfi_graph_add_value(graph, &again, "a"));
    for (nnf_value guess = -1; guess < 4; guess++)
        assert_int_equal(nnfi_graph_find_near(graph, guess, "a", 1), again);
    nnf_module *copy;
    assert_ok(nnf_module_copy(&copy, module));
    assert_int_equal(nnfi_graph_find_near(nnfi_graph_of(copy), a, "a", 1), again);
    nnf_module_release(copy);
    nnf_module_release(module);
}

static void an_input_that_no_tensor_can_be_is_refused(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_type_info info = vector_info((nnf_dim){-5, 0});
    assert_error(nnf_graph_add_input(graph, NULL, "x", &info), NNF_ERROR_INVALID,
                 "'x' has size -5 on axis 0");
    info.ndim = NNF_MAX_DIMS + 1;
    assert_error(nnf_graph_add_input(graph, NULL, "x", &info), NNF_ERROR_INVALID, "9 dimensions");
    assert_int_equal(nnf_graph_n_inputs(graph), 0);
    info.ndim = 1;
    info.shape[0] = (nnf_dim){3, 0};
    assert_ok(nnf_graph_add_input(graph, NULL, "x", &info));
    nnf_type_info given = info,
                  *infos = NULL; /* what infer is given is known as far as it can be */
    size_t n;
    given.ndim = NNF_MAX_DIMS + 1;
    assert_ok(nnf_graph_infer(graph, &given, &infos, &n));
    assert_int_equal(infos[0].ndim, -1);
    nnf_graph_infer_free(infos, n);
    nnf_module_release(graph);
}

static void a_graph_does_not_call_itself(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x, y;
    assert_ok(nnf_graph_add_input(graph, &x, "x", NULL));
    assert_error(nnf_graph_add_call(graph, "", &x, 1, NULL, &y, 1), NNF_ERROR_INVALID,
                 "cannot call itself");
    assert_int_equal(nnf_graph_n_calls(graph), 0);
    nnf_module_release(graph);
}

static void graphs_that_are_nested_without_end_are_not_inferred(void **state) {
    (void)state;
    nnf_module *graph = new_scale(2);
    for (int i = 0; i < 1100; i++) {
        nnf_module *outer = new_graph();
        nnf_value x;
        set_and_release(outer, "in", graph);
        assert_ok(nnf_graph_add_input(outer, &x, "x", NULL));
        assert_ok(nnf_graph_add_output(outer, add_call(outer, "in", x, NULL)));
        graph = outer;
    }
    nnf_type_info *infos;
    size_t n;
    for (int i = 0; i < 2; i++) /* also a second time */
        assert_error(nnf_graph_infer(graph, NULL, &infos, &n), NNF_ERROR_UNSUPPORTED,
                     "nested deeper than 1000");
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(a_guess_does_not_change_what_a_name_finds),
          cmocka_unit_test(a_graph_says_what_it_was_built_of),
          cmocka_unit_test(a_module_that_is_no_graph_has_no_calls),
          cmocka_unit_test(a_bad_call_leaves_the_graph_as_it_was),
          cmocka_unit_test(symbols_are_numbered_by_name),
          cmocka_unit_test(symbols_pass_through_and_stop_where_nothing_is_inferred),
          cmocka_unit_test(an_error_of_inference_names_the_module),
          cmocka_unit_test(small_integer_constants_are_known),
          cmocka_unit_test(a_graph_runs_its_calls_in_order),
          cmocka_unit_test(inputs_that_do_not_fit_are_named),
          cmocka_unit_test(an_input_with_a_default_need_not_be_given),
          cmocka_unit_test(calls_follow_a_module_that_is_replaced),
          cmocka_unit_test(a_graph_in_a_graph_infers_and_runs),
          cmocka_unit_test(an_input_that_no_tensor_can_be_is_refused),
          cmocka_unit_test(a_graph_does_not_call_itself),
          cmocka_unit_test(graphs_that_are_nested_without_end_are_not_inferred))
