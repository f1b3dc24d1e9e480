/* Small graphs that are lifted into one layer, and those that only look like them. */
#include "graph_support.h"

#include "nnfuse/formats.h"

static nnf_module *new_activation(nnf_activation kind) {
    nnf_module *module;
    assert_ok(nnf_activation_new(&module, kind));
    return module;
}

static nnf_module *new_mul(void) {
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, NNF_MUL));
    return module;
}

/* What is built around sigmoid and mul. */
typedef enum variant {
    PLAIN,          /* mul(sigmoid(bn(conv(x))), bn(conv(x))) */
    SWAPPED,        /* its inputs the other way round */
    OTHER_INPUT,    /* mul(sigmoid(bn), conv): no SiLU */
    SECOND_READER,  /* a relu reads the sigmoid too */
    OUTPUT,         /* the sigmoid is an output of the graph */
    SHARED_SIGMOID, /* the sigmoid is called twice */
    HOOKED,         /* a hook looks at the sigmoid's result */
    VARIANT_COUNT
} variant;

static nnf_status no_op(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                        nnf_tensor **outputs, size_t n_outputs, void *payload) {
    (void)module, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs, (void)payload;
    return NNF_OK;
}

static nnf_module *silu_graph(variant which) {
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){2, 4, 5, 6});
    add_module(graph, "conv", new_conv(2, false, 4, 6, 1));
    add_module(graph, "bn", new_norm(2, 6));
    add_module(graph, "sigmoid", new_activation(NNF_SIGMOID));
    add_module(graph, "mul", new_mul());
    nnf_value conv = call(graph, "conv", x), bn = call(graph, "bn", conv);
    nnf_value gate = call(graph, "sigmoid", bn);
    nnf_value y = which == SWAPPED ? call2(graph, "mul", bn, gate)
                                   : call2(graph, "mul", gate, which == OTHER_INPUT ? conv : bn);
    assert_ok(nnf_graph_add_output(graph, y));
    if (which == SECOND_READER) {
        add_module(graph, "relu", new_relu());
        assert_ok(nnf_graph_add_output(graph, call(graph, "relu", gate)));
    }
    if (which == OUTPUT) assert_ok(nnf_graph_add_output(graph, gate));
    if (which == SHARED_SIGMOID) assert_ok(nnf_graph_add_output(graph, call(graph, "sigmoid", y)));
    if (which == HOOKED) {
        nnf_module *sigmoid;
        assert_ok(nnf_module_get(&sigmoid, graph, "sigmoid"));
        assert_ok(nnf_module_register_forward_hook(NULL, sigmoid, no_op, NULL));
    }
    nnf_module_eval(graph);
    return graph;
}

static size_t lifted(nnf_module *graph) {
    size_t n = 99;
    assert_ok(nnf_lift_patterns(graph, &n));
    return n;
}

static void sigmoid_and_mul_become_silu_and_fuse(void **state) {
    (void)state;
    for (int which = PLAIN; which <= SWAPPED; which++) {
        nnf_module *graph = silu_graph((variant)which), *fused;
        assert_ok(nnf_module_copy(&fused, graph));
        assert_int_equal(lifted(fused), 1);
        assert_string_equal(calls_text(fused), "conv:Conv2d bn:BatchNorm2d sigmoid:SiLU");
        assert_int_equal(lifted(fused), 0);
        assert_ok(nnf_fuse(fused, NULL, NULL));
        assert_string_equal(calls_text(fused), "conv:ConvActivation2d");
        nnf_tensor *x = random_tensor(NNF_F32, 4, (const int64_t[]){2, 4, 5, 6}, -2, 2, 5);
        nnf_tensor *expected = run(graph, x), *y = run(fused, x);
        assert_tensors_close(y, expected, 1e-5);
        nnf_tensor_release(x);
        nnf_tensor_release(y);
        nnf_tensor_release(expected);
        nnf_module_release(fused);
        nnf_module_release(graph);
    }
}

static void what_only_looks_like_silu_stays(void **state) {
    (void)state;
    for (int which = OTHER_INPUT; which < VARIANT_COUNT; which++) {
        nnf_module *graph = silu_graph((variant)which);
        size_t n_calls = nnf_graph_n_calls(graph);
        assert_int_equal(lifted(graph), 0);
        assert_int_equal(nnf_graph_n_calls(graph), n_calls);
        nnf_module_release(graph);
    }
}

/* What was lifted is written as what it was. */
static void a_lifted_layer_is_written_as_its_nodes(void **state) {
    (void)state;
    nnf_module *built = silu_graph(PLAIN), *graph, *again;
    void *file, *same;
    size_t size, same_size;
    assert_ok(nnf_onnx_save_memory(built, &file, &size, NULL));
    assert_ok(nnf_onnx_load_memory(&graph, file, size, NULL));
    assert_int_equal(lifted(graph), 1);
    assert_ok(nnf_onnx_save_memory(graph, &same, &same_size, NULL));
    assert_int_equal(same_size, size);
    assert_memory_equal(same, file, size);
    nnf_free(same);
    assert_ok(nnf_fuse(graph, NULL, NULL));
    assert_ok(nnf_onnx_save_memory(graph, &same, &same_size, NULL));
    assert_ok(nnf_onnx_load_memory(&again, same, same_size, NULL));
    assert_int_equal(nnf_graph_n_calls(again), 3);
    assert_int_equal(lifted(again), 1);
    nnf_free(same);
    nnf_free(file);
    nnf_module_release(again);
    nnf_module_release(graph);
    nnf_module_release(built);
}

/* y = relu(x @ w + b), without b where `bias` is not. */
static nnf_module *product_graph(int ndim, bool bias) {
    nnf_module *graph = new_graph(), *matmul, *add;
    nnf_value x = add_input(graph, ndim, (const int64_t[]){2, 5, 5}), w, b;
    nnf_tensor *weight = random_tensor(NNF_F32, 2, (const int64_t[]){5, 3}, -1, 1, 6);
    nnf_tensor *row = random_tensor(NNF_F32, 1, (const int64_t[]){3}, -1, 1, 7);
    assert_ok(nnf_graph_add_constant(graph, &w, "w", weight));
    assert_ok(nnf_graph_add_constant(graph, &b, "b", row));
    assert_ok(nnf_matmul_new(&matmul));
    assert_ok(nnf_module_set_parameter(matmul, "weight", weight));
    assert_ok(nnf_binary_new(&add, NNF_ADD));
    add_module(graph, "matmul", matmul);
    add_module(graph, "add", add);
    add_module(graph, "relu", new_relu());
    nnf_value y = call2(graph, "matmul", x, w);
    if (bias) y = call2(graph, "add", y, b);
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", y)));
    nnf_tensor_release(weight);
    nnf_tensor_release(row);
    nnf_module_eval(graph);
    return graph;
}

/* A product with a constant is a linear layer, but for one that becomes a Gemm. */
static void a_product_with_a_constant_is_linear(void **state) {
    (void)state;
    for (int ndim = 2; ndim <= 3; ndim++)
        for (int bias = 0; bias < 2; bias++) {
            nnf_module *graph = product_graph(ndim, bias > 0), *fused, *again;
            nnf_tensor *x = random_tensor(NNF_F32, ndim, (const int64_t[]){2, 5, 5}, -2, 2, 5);
            void *file;
            size_t size;
            assert_ok(nnf_module_copy(&fused, graph));
            assert_int_equal(lifted(fused), ndim == 2 && bias ? 0 : 1);
            assert_ok(nnf_fuse(fused, NULL, NULL));
            assert_string_equal(calls_text(fused), "matmul:LinearReLU");
            assert_ok(nnf_onnx_save_memory(fused, &file, &size, NULL));
            assert_ok(nnf_onnx_load_memory(&again, file, size, NULL));
            assert_int_equal(nnf_graph_n_calls(again), ndim == 3 && bias ? 3 : 2);
            nnf_module_eval(again);
            nnf_tensor *expected = run(graph, x), *y = run(fused, x), *z = run(again, x);
            assert_tensors_close(y, expected, 1e-6);
            assert_tensors_close(z, expected, 1e-6);
            nnf_tensor_release(x);
            nnf_tensor_release(y);
            nnf_tensor_release(z);
            nnf_tensor_release(expected);
            nnf_free(file);
            nnf_module_release(again);
            nnf_module_release(fused);
            nnf_module_release(graph);
        }
}

static void only_a_graph_has_patterns(void **state) {
    (void)state;
    nnf_module *relu = new_relu();
    assert_error(nnf_lift_patterns(relu, NULL), NNF_ERROR_INVALID, "Graph", "ReLU");
    nnf_module_release(relu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigmoid_and_mul_become_silu_and_fuse),
        cmocka_unit_test(what_only_looks_like_silu_stays),
        cmocka_unit_test(a_lifted_layer_is_written_as_its_nodes),
        cmocka_unit_test(a_product_with_a_constant_is_linear),
        cmocka_unit_test(only_a_graph_has_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
