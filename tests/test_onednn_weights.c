/* Weights that are views: a Transpose in front of a MatMul, as exporters write linear layers,
 * leaves the numbers where they are. */
#include "onednn_support.h"

enum { SIZE = 24 };

/* The same numbers with the axes the other way round. */
static nnf_tensor *transposed(const nnf_tensor *tensor) {
    const int64_t dims[] = {nnf_tensor_shape(tensor)[1], nnf_tensor_shape(tensor)[0]};
    const int64_t strides[] = {nnf_tensor_strides(tensor)[1], nnf_tensor_strides(tensor)[0]};
    nnf_tensor *view;
    assert_ok(nnf_tensor_view(&view, tensor, 2, dims, strides, 0));
    assert_false(nnf_tensor_is_contiguous(view));
    return view;
}

static nnf_module *linear_with(nnf_tensor *weight, int64_t in, int64_t out) {
    nnf_module *linear;
    assert_ok(nnf_linear_new(&linear, in, out, false, NNF_F32));
    assert_ok(nnf_module_set_parameter(linear, "weight", weight));
    return linear;
}

static void agree_on_rows(nnf_module *graph, int64_t rows, const char *what) {
    for (int once = 0; once < 2; once++) {
        const shape x = {2, {rows, SIZE}};
        nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, 1);
        nnf_session *tested = open_session_once(graph, NNF_KERNELS_ONEDNN, 1, once);
        assert_true(same_by_both(reference, tested, what, &x, 1, 1, 1e-5, (uint64_t)rows));
        nnf_session_release(reference);
        nnf_session_release(tested);
    }
}

/* One row's product reads the weight as it stands, that of several has it packed. Takes the graph.
 */
static void check(nnf_module *graph, nnf_value y) {
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_module_eval(graph);
    agree_on_rows(graph, 1, "one row");
    agree_on_rows(graph, 7, "rows");
    nnf_module_release(graph);
}

/* What is packed for the one view must not be taken for the other one. */
static void a_matrix_and_its_transpose_over_one_storage(void **state) {
    (void)state;
    need_onednn();
    const int64_t dims[] = {SIZE, SIZE};
    nnf_module *graph = new_graph();
    nnf_tensor *weight = random_tensor(NNF_F32, 2, dims, -1, 1, 1), *view = transposed(weight);
    nnf_value x = add_shaped_input(graph, "x");
    add_module(graph, "there", linear_with(weight, SIZE, SIZE));
    add_module(graph, "back", linear_with(view, SIZE, SIZE));
    check(graph, call(graph, "back", call(graph, "there", x)));
    nnf_tensor_release(weight);
    nnf_tensor_release(view);
}

static void views_of_other_shapes(void **state) {
    (void)state;
    need_onednn();
    const int64_t dims[] = {SIZE, 40};
    nnf_module *graph = new_graph();
    nnf_tensor *weight = random_tensor(NNF_F32, 2, dims, -1, 1, 1), *view = transposed(weight);
    add_module(graph, "linear", linear_with(view, SIZE, 40));
    check(graph, call(graph, "linear", add_shaped_input(graph, "x")));
    nnf_tensor_release(weight);
    nnf_tensor_release(view);
}

TEST_MAIN(cmocka_unit_test(a_matrix_and_its_transpose_over_one_storage),
          cmocka_unit_test(views_of_other_shapes))
