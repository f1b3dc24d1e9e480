/* A module type that a user of the library writes, among the library's own layers. */
#include "module_support.h"

static void a_users_type_runs_inside_sequential(void **state) {
    (void)state;
    nnf_module *children[3] = {new_scale(2), NULL, new_scale(10)}, *sequential = NULL;
    nnf_tensor *bias = VECTOR(-3), *x = VECTOR(1, 2), *y = NULL;
    assert_ok(nnf_activation_new(&children[1], NNF_RELU));
    assert_ok(nnf_module_set_parameter(children[0], "bias", bias));
    assert_ok(nnf_sequential_new(&sequential, children, 3));
    assert_ok(nnf_module_forward(sequential, &x, 1, &y, 1));
    assert_true(element(y, 0) == 0);  /* relu(2 * 1 - 3) */
    assert_true(element(y, 1) == 10); /* 10 relu(2 * 2 - 3) */
    nnf_tensor_release(y);
    nnf_tensor *matrix = NULL;
    y = NULL;
    assert_ok(nnf_tensor_new(&matrix, NNF_F32, 2, (int64_t[]){1, 2}));
    assert_error(nnf_module_forward(sequential, &matrix, 1, &y, 1), NNF_ERROR_SHAPE,
                 "'0' (Scale): a vector is needed, not rank 2");
    for (int i = 0; i < 3; i++)
        nnf_module_release(children[i]);
    nnf_tensor_release(matrix);
    nnf_tensor_release(bias);
    nnf_tensor_release(x);
    nnf_module_release(sequential);
}

static void a_users_type_runs_and_infers_inside_a_graph(void **state) {
    (void)state;
    nnf_module *graph = NULL, *relu = NULL;
    assert_ok(nnf_graph_new(&graph));
    assert_ok(nnf_activation_new(&relu, NNF_RELU));
    set_and_release(graph, "scale", new_scale(-2));
    set_and_release(graph, "relu", relu);
    nnf_type_info info = {.dtype = NNF_F32, .ndim = 1, .shape = {{2, 0}}, .n_values = -1}, *infos;
    nnf_value x, s, y;
    assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
    assert_ok(nnf_graph_add_call(graph, "scale", &x, 1, NULL, &s, 1));
    assert_ok(nnf_graph_add_call(graph, "relu", &s, 1, NULL, &y, 1));
    assert_ok(nnf_graph_add_output(graph, y));
    size_t n;
    assert_ok(nnf_graph_infer(graph, NULL, &infos, &n));
    assert_int_equal(infos[y].shape[0].value, 2);
    nnf_graph_infer_free(infos, n);
    nnf_tensor *input = VECTOR(-1, 1), *output = NULL;
    assert_ok(nnf_module_forward(graph, &input, 1, &output, 1));
    assert_true(element(output, 0) == 2);
    assert_true(element(output, 1) == 0);
    nnf_tensor_release(input);
    nnf_tensor_release(output);
    nnf_module_release(graph);
}

/* Fuses two Scales into one: a row of the user's own. */
static nnf_status fuse_scales(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                              void *payload) {
    (void)n, (void)is_qat, (void)payload;
    const scale_options *a = nnf_module_options(modules[0]), *b = nnf_module_options(modules[1]);
    const scale_options both = {a->factor * b->factor};
    return nnf_module_new(fused, &scale_type, &both);
}

static void a_users_type_is_fused_by_a_users_row(void **state) {
    (void)state;
    nnf_module *children[2] = {new_scale(2), new_scale(5)}, *model = NULL, *fused = NULL;
    nnf_mapping *mapping = NULL;
    assert_ok(nnf_sequential_new(&model, children, 2));
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add_type(mapping, &scale_type));
    assert_ok(nnf_mapping_add(mapping, (const char *[]){"Scale", "Scale"}, 2, fuse_scales, NULL));
    const nnf_chain chain = {(const char *[]){"0", "1"}, 2};
    assert_ok(
        nnf_fuse_modules(&fused, model, &chain, 1, &(nnf_fuse_options){.additional = mapping}));
    assert_string_equal(nnf_module_type_name(at(fused, "1")), "Identity");
    nnf_tensor *x = VECTOR(1), *y = NULL;
    assert_ok(nnf_module_forward(fused, &x, 1, &y, 1));
    assert_true(element(y, 0) == 10);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_mapping_release(mapping);
    nnf_module_release(children[0]);
    nnf_module_release(children[1]);
    nnf_module_release(model);
    nnf_module_release(fused);
}

TEST_MAIN(cmocka_unit_test(a_users_type_runs_inside_sequential),
          cmocka_unit_test(a_users_type_runs_and_infers_inside_a_graph),
          cmocka_unit_test(a_users_type_is_fused_by_a_users_row))
