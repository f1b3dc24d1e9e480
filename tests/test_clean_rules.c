/* Cleaning's rules for single types of layers: what passes its input on. */
#include "graph_support.h"
#include "nnfuse/clean.h"

/* x -> OP(x, c), or OP(c, x) -> Sqrt; whether the arithmetic is gone. */
static bool goes(nnf_binary kind, bool swapped, int ndim, const int64_t *shape, double number) {
    nnf_module *graph = new_graph(), *module;
    nnf_clean_report report;
    nnf_value x = add_input(graph, 3, (const int64_t[]){2, 1, 4}), constant;
    nnf_tensor *numbers = random_tensor(NNF_F32, ndim, shape, number, number, 1);
    assert_ok(nnf_graph_add_constant(graph, &constant, "c", numbers));
    nnf_tensor_release(numbers);
    assert_ok(nnf_binary_new(&module, kind));
    add_module(graph, "op", module);
    assert_ok(nnf_activation_new(&module, NNF_SQRT));
    add_module(graph, "sqrt", module);
    x = swapped ? call2(graph, "op", constant, x) : call2(graph, "op", x, constant);
    assert_ok(nnf_graph_add_output(graph, call(graph, "sqrt", x)));
    nnf_module_eval(graph);
    assert_ok(nnf_clean(graph, &report));
    bool gone = nnf_graph_n_calls(graph) == 1;
    assert_int_equal(report.n_removed, gone);
    nnf_module_release(graph);
    return gone;
}

static void arithmetic_that_changes_nothing_goes(void **state) {
    (void)state;
    static const double unit[] = {[NNF_ADD] = 0, [NNF_SUB] = 0, [NNF_MUL] = 1, [NNF_DIV] = 1};
    static const int64_t row[] = {4}, column[] = {1, 2, 4}, whole[] = {2, 1, 4};
    for (int kind = NNF_ADD; kind <= NNF_DIV; kind++) {
        bool commutes = kind == NNF_ADD || kind == NNF_MUL;
        assert_true(goes((nnf_binary)kind, false, 0, NULL, unit[kind]));
        assert_true(goes((nnf_binary)kind, false, 1, row, unit[kind]));
        assert_true(goes((nnf_binary)kind, false, 3, whole, unit[kind]));
        assert_int_equal(goes((nnf_binary)kind, true, 1, row, unit[kind]), commutes);
        assert_false(goes((nnf_binary)kind, false, 1, row, 1 - unit[kind]));
        assert_false(goes((nnf_binary)kind, false, 3, column, unit[kind])); /* repeats x */
    }
}

/* ---- Pools ---- */

static bool pool_goes(bool average, int64_t kernel, int64_t stride, int64_t padding, int64_t size) {
    nnf_module *graph = new_graph(), *module;
    nnf_pool_options options = nnf_pool_options_default(1, average, kernel);
    nnf_clean_report report;
    options.stride[0] = stride;
    options.padding_begin[0] = padding;
    nnf_value x = add_input(graph, 3, (const int64_t[]){2, 3, size});
    assert_ok(nnf_pool_new(&module, &options));
    add_module(graph, "pool", module);
    assert_ok(nnf_activation_new(&module, NNF_SQRT));
    add_module(graph, "sqrt", module);
    assert_ok(nnf_graph_add_output(graph, call(graph, "sqrt", call(graph, "pool", x))));
    nnf_module_eval(graph);
    assert_ok(nnf_clean(graph, &report));
    bool gone = nnf_graph_n_calls(graph) == 1;
    nnf_module_release(graph);
    return gone;
}

static void pools_of_single_elements_go(void **state) {
    (void)state;
    for (int average = 0; average < 2; average++) {
        assert_true(pool_goes(average, 1, 1, 0, 5));
        assert_true(pool_goes(average, 1, 3, 0, 1));
        assert_false(pool_goes(average, 1, 2, 0, 5)); /* takes every other one */
        assert_false(pool_goes(average, 2, 1, 1, 5)); /* the same shape */
    }
}

/* ---- Slices ---- */

static nnf_value add_list(nnf_module *graph, const int64_t *elements, int64_t n) {
    char name[24];
    static int number;
    nnf_tensor *list;
    nnf_value value;
    snprintf(name, sizeof name, "list%d", number++);
    assert_ok(nnf_tensor_from_data(&list, NNF_I64, 1, &n, elements));
    assert_ok(nnf_graph_add_constant(graph, &value, name, list));
    nnf_tensor_release(list);
    return value;
}

/* x[start:end:step] of one axis. */
static nnf_value slice(nnf_module *graph, nnf_value x, int64_t axis, int64_t start, int64_t end,
                       int64_t step) {
    const nnf_slice_options options = {.n = -1};
    char name[24];
    nnf_module *module;
    nnf_value output;
    const nnf_value inputs[] = {x, add_list(graph, &start, 1), add_list(graph, &end, 1),
                                add_list(graph, &axis, 1), add_list(graph, &step, 1)};
    snprintf(name, sizeof name, "slice%zu", nnf_graph_n_calls(graph));
    assert_ok(nnf_module_new(&module, nnf_type("Slice"), &options));
    add_module(graph, name, module);
    assert_ok(nnf_graph_add_call(graph, name, inputs, 5, NULL, &output, 1));
    return output;
}

/* Cleans a copy, which has that many calls then and gives the same. */
static void assert_cleans_to(size_t n_calls, nnf_module *graph) {
    nnf_module *cleaned;
    nnf_tensor *expected[4], *actual[4];
    const int64_t shape[] = {2, 4, 5, 6};
    nnf_tensor *x = random_tensor(NNF_F32, 4, shape, -1, 1, 3);
    size_t n = nnf_graph_n_outputs(graph);
    nnf_module_eval(graph);
    assert_ok(nnf_module_copy(&cleaned, graph));
    assert_ok(nnf_clean(cleaned, NULL));
    assert_int_equal(nnf_graph_n_calls(cleaned), n_calls);
    assert_ok(nnf_module_forward(graph, &x, 1, expected, n));
    assert_ok(nnf_module_forward(cleaned, &x, 1, actual, n));
    for (size_t i = 0; i < n; i++) {
        assert_tensors_close(actual[i], expected[i], 0);
        nnf_tensor_release(actual[i]);
        nnf_tensor_release(expected[i]);
    }
    nnf_tensor_release(x);
    nnf_module_release(cleaned);
    nnf_module_release(graph);
}

static void slices_of_different_axes_are_one(void **state) {
    (void)state;
    for (int with_reader = 0; with_reader < 2; with_reader++)
        for (int same_axis = 0; same_axis < 2; same_axis++) {
            nnf_module *graph = new_graph();
            nnf_value x = add_input(graph, 4, (const int64_t[]){2, 4, 5, 6});
            x = slice(graph, x, 2, 1, 5, 2);
            if (with_reader) assert_ok(nnf_graph_add_output(graph, x));
            x = slice(graph, x, -1, -1, INT64_MIN, -3);
            x = slice(graph, x, same_axis ? 3 : 0, 0, 1, 1);
            assert_ok(nnf_graph_add_output(graph, x));
            assert_cleans_to(1 + (size_t)with_reader + (size_t)same_axis, graph);
        }
}

/* ---- Activations ---- */

static void a_relu_in_front_of_what_bounds_below_goes(void **state) {
    (void)state;
    static const nnf_activation_options second[] = {{NNF_RELU, 0, 0},
                                                    {NNF_RELU6, 0, 0},
                                                    {NNF_CLIP, 0, 0.5},
                                                    {NNF_CLIP, 0.25, 0.5},
                                                    {NNF_CLIP, -0.25, 0.5}};
    for (size_t i = 0; i < sizeof second / sizeof *second; i++)
        for (int read = 0; read < 2; read++) {
            nnf_module *graph = new_graph(), *module;
            nnf_value x = add_input(graph, 4, (const int64_t[]){2, 4, 5, 6});
            add_module(graph, "relu", new_relu());
            assert_ok(nnf_activation_new_with(&module, &second[i]));
            add_module(graph, "second", module);
            x = call(graph, "relu", x);
            if (read) assert_ok(nnf_graph_add_output(graph, x));
            assert_ok(nnf_graph_add_output(graph, call(graph, "second", x)));
            assert_cleans_to(read || second[i].alpha < 0 ? 2 : 1, graph);
        }
}

/* The first of two equal calls may be an output of the graph; the second one's name has to stay. */
static void an_equal_call_goes_unless_it_is_an_output(void **state) {
    (void)state;
    for (int outputs = 1; outputs < 4; outputs++) {
        nnf_module *graph = new_graph();
        nnf_value x = add_input(graph, 4, (const int64_t[]){2, 4, 5, 6});
        add_module(graph, "a", new_relu());
        add_module(graph, "b", new_relu());
        add_module(graph, "add", new_add());
        nnf_value a = call(graph, "a", x), b = call(graph, "b", x);
        if (outputs & 1) assert_ok(nnf_graph_add_output(graph, a));
        if (outputs & 2) assert_ok(nnf_graph_add_output(graph, b));
        assert_ok(nnf_graph_add_output(graph, call2(graph, "add", a, b)));
        assert_cleans_to(outputs & 2 ? 3 : 2, graph);
    }
}

TEST_MAIN(cmocka_unit_test(an_equal_call_goes_unless_it_is_an_output),
          cmocka_unit_test(a_relu_in_front_of_what_bounds_below_goes),
          cmocka_unit_test(slices_of_different_axes_are_one),
          cmocka_unit_test(arithmetic_that_changes_nothing_goes),
          cmocka_unit_test(pools_of_single_elements_go))
