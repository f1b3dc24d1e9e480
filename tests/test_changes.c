/* A session runs what its graph is now, whatever was changed since its last run. What is expected
 * follows from the layers' definitions. */
#include "graph_support.h"
#include "nnfuse/clean.h"

/* x [1, 1, 2, 2] is -1, 1, 2, 3 in every run here. */
static nnf_value small_input(nnf_module *graph) {
    return add_input(graph, 4, (const int64_t[]){1, 1, 2, 2});
}

static double element_at(const nnf_tensor *tensor, int64_t index) {
    const void *data;
    assert_ok(nnf_tensor_data(tensor, &data));
    return (double)((const float *)data)[index];
}

/* Runs, and compares output number `index` of `n_outputs`. */
static void expect_output(nnf_session *session, size_t n_outputs, size_t index,
                          const float *expected, int64_t n) {
    nnf_tensor *x, *outputs[8] = {NULL};
    assert_ok(nnf_tensor_from_data(&x, NNF_F32, 4, (const int64_t[]){1, 1, 2, 2},
                                   (const float[]){-1, 1, 2, 3}));
    assert_ok(nnf_session_run(session, &x, 1, outputs, n_outputs));
    assert_int_equal(nnf_tensor_numel(outputs[index]), n);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(element_at(outputs[index], i) - (double)expected[i]) < 1e-5);
    for (size_t i = 0; i < n_outputs; i++)
        nnf_tensor_release(outputs[i]);
    nnf_tensor_release(x);
}
#define EXPECT(session, n_outputs, index, ...)                             \
    expect_output(session, n_outputs, index, (const float[]){__VA_ARGS__}, \
                  (int64_t)(sizeof((const float[]){__VA_ARGS__}) / sizeof(float)))

static nnf_session *open(nnf_module *graph) {
    nnf_session *session;
    assert_ok(nnf_session_new(&session, graph, NULL));
    return session;
}

static void close(nnf_session *session, nnf_module *graph) {
    nnf_session_release(session);
    nnf_module_release(graph);
}

static void outputs_are_added(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = small_input(graph);
    nnf_module *neg;
    assert_ok(nnf_activation_new(&neg, NNF_NEG));
    add_module(graph, "relu", new_relu());
    add_module(graph, "neg", neg);
    nnf_value y = call(graph, "relu", x), z = call(graph, "neg", y);
    assert_ok(nnf_graph_add_output(graph, z));
    nnf_session *session = open(graph);
    EXPECT(session, 1, 0, 0, -1, -2, -3);
    assert_ok(nnf_graph_add_output(graph, y));
    EXPECT(session, 2, 0, 0, -1, -2, -3);
    EXPECT(session, 2, 1, 0, 1, 2, 3);
    for (int i = 0; i < 6; i++)
        assert_ok(nnf_graph_add_output(graph, i % 2 ? y : z));
    EXPECT(session, 8, 7, 0, 1, 2, 3);
    close(session, graph);
}

static void calls_are_added(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = small_input(graph);
    add_module(graph, "relu", new_relu());
    add_module(graph, "add", new_add());
    nnf_value y = call(graph, "relu", x);
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_session *session = open(graph);
    EXPECT(session, 1, 0, 0, 1, 2, 3);
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", x, y)));
    EXPECT(session, 2, 1, -1, 2, 4, 6);
    close(session, graph);
}

/* GlobalPool's options are one byte. */
static void a_small_option_changes(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *pool;
    nnf_value x = small_input(graph);
    assert_ok(nnf_global_pool_new(&pool, true));
    add_module(graph, "pool", pool);
    assert_ok(nnf_graph_add_output(graph, call(graph, "pool", x)));
    nnf_session *session = open(graph);
    EXPECT(session, 1, 0, 1.25f);
    nnf_global_pool_options *options = nnf_module_mut_options(pool);
    options->average = false;
    EXPECT(session, 1, 0, 3);
    close(session, graph);
}

static void a_constant_is_written(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = small_input(graph), c;
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 1, (const int64_t[]){1}, (const float[]){10}));
    assert_ok(nnf_graph_add_constant(graph, &c, "c", tensor));
    add_module(graph, "add", new_add());
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", x, c)));
    nnf_session *session = open(graph);
    EXPECT(session, 1, 0, 9, 11, 12, 13);
    void *data;
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    *(float *)data = 20;
    EXPECT(session, 1, 0, 19, 21, 22, 23);
    nnf_tensor_release(tensor);
    close(session, graph);
}

static void a_module_is_replaced(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *neg;
    nnf_value x = small_input(graph);
    add_module(graph, "act", new_relu());
    assert_ok(nnf_graph_add_output(graph, call(graph, "act", x)));
    nnf_session *session = open(graph);
    EXPECT(session, 1, 0, 0, 1, 2, 3);
    assert_ok(nnf_activation_new(&neg, NNF_NEG));
    add_module(graph, "act", neg);
    EXPECT(session, 1, 0, 1, -1, -2, -3);
    close(session, graph);
}

static void a_graph_is_cleaned_and_fused(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *identity, *conv;
    nnf_value x = small_input(graph);
    const nnf_conv_options pixels = nnf_conv_options_default(2, false, 1, 1, 1);
    assert_ok(nnf_conv_new(&conv, &pixels, true, NNF_F32));
    assert_ok(nnf_identity_new(&identity));
    add_module(graph, "identity", identity);
    add_module(graph, "add", new_add());
    add_module(graph, "conv", conv);
    add_module(graph, "relu", new_relu());
    nnf_value sum = call2(graph, "add", call(graph, "identity", x), x);
    nnf_value y = call(graph, "relu", call(graph, "conv", sum));
    assert_ok(nnf_graph_add_output(graph, sum));
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_module_eval(graph);
    nnf_session *session = open(graph);
    EXPECT(session, 2, 0, -2, 2, 4, 6);
    assert_ok(nnf_clean(graph, NULL));
    EXPECT(session, 2, 0, -2, 2, 4, 6);
    assert_ok(nnf_fuse(graph, NULL, NULL));
    EXPECT(session, 2, 0, -2, 2, 4, 6);
    close(session, graph);
}

TEST_MAIN(cmocka_unit_test(outputs_are_added), cmocka_unit_test(calls_are_added),
          cmocka_unit_test(a_small_option_changes), cmocka_unit_test(a_constant_is_written),
          cmocka_unit_test(a_module_is_replaced), cmocka_unit_test(a_graph_is_cleaned_and_fused))
