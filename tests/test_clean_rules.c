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

TEST_MAIN(cmocka_unit_test(arithmetic_that_changes_nothing_goes))
