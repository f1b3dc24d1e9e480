/* A program's own types may have the names of the library's: they are what the program wrote all
 * the same. */
#include "graph_support.h"
#include "nnfuse/clean.h"
#include "nnfuse/formats.h"
#include "nnfuse/nn.h"
#include "nnfuse/session.h"

static int ran; /* how often a forward of the program's was called */

/* y = x + 40, whatever the name. */
static nnf_status forward_40(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                             size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    const void *x;
    void *y;
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    ran++;
    assert_ok(nnf_tensor_data(inputs[0], &x));
    assert_ok(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t i = 0; i < nnf_tensor_numel(inputs[0]); i++)
        ((float *)y)[i] = ((const float *)x)[i] + 40;
    return NNF_OK;
}

static nnf_status infer_same(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    (void)module, (void)n_inputs, (void)n_outputs;
    return nnf_type_info_copy(&outputs[0], inputs[0]);
}

/* conv -> mine -> bn -> relu, and mine(x) again as the second operand of an Add. */
static nnf_module *graph_with(const nnf_module_type *type) {
    nnf_module *graph = new_graph(), *mine, *conv;
    const nnf_conv_options pixels = nnf_conv_options_default(2, false, 2, 2, 1);
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 1, 1});
    assert_ok(nnf_conv_new(&conv, &pixels, true, NNF_F32)); /* all zero */
    assert_ok(nnf_module_new(&mine, type, NULL));
    add_module(graph, "conv", conv);
    add_module(graph, "mine", mine);
    assert_ok(nnf_module_new(&mine, type, NULL));
    add_module(graph, "again", mine);
    add_module(graph, "add", new_add());
    add_module(graph, "relu", new_relu());
    nnf_value y = call(graph, "mine", call(graph, "conv", x));
    y = call2(graph, "add", y, call(graph, "again", y));
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", y)));
    nnf_module_eval(graph);
    return graph;
}

/* (0 + 40) + ((0 + 40) + 40) */
static void expect_120(nnf_module *graph, const char *name) {
    nnf_tensor *x, *y;
    const void *data;
    assert_ok(nnf_tensor_new(&x, NNF_F32, 4, (const int64_t[]){1, 2, 1, 1}));
    ran = 0;
    if (nnf_module_forward(graph, &x, 1, &y, 1) != NNF_OK)
        fail_msg("%s: %s", name, nnf_error_message());
    assert_ok(nnf_tensor_data(y, &data));
    for (int i = 0; i < 2; i++)
        if (((const float *)data)[i] != 120)
            fail_msg("%s: %f", name, (double)((const float *)data)[i]);
    assert_int_equal(ran, 2);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
}

static const char *const names[] = {
    "ReLU",
    "Add",
    "Clip",
    "ReLU6",
    "Sigmoid",
    "SiLU",
    "BatchNorm2d",
    "Conv2d",
    "Reshape",
    "Flatten",
    "Concat",
    "Transpose",
    "Opaque",
    "Constant",
    "Identity",
    "Dropout",
    "Mul",
    "Pad",
    "Softmax",
    "Sequential",
    "MaxPool2d",
    "Linear",
    "LayerNorm",
    "ConvReLU2d",
    "Resize",
    "Slice",
    "Graph",
    "GELU",
    "Scale",
    "ReduceMean",
    "GlobalAveragePool",
    "MatMul",
    "Tanh",
    "Sub",
    "Div",
    "Squeeze",
};

static void it_runs_and_stays_what_it_is(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const nnf_module_type type = {.name = names[i], .infer = infer_same, .forward = forward_40};
        nnf_module *graph = graph_with(&type);
        expect_120(graph, names[i]);
        if (nnf_clean(graph, NULL) != NNF_OK) fail_msg("%s: %s", names[i], nnf_error_message());
        expect_120(graph, names[i]);
        if (nnf_fuse(graph, NULL, NULL) != NNF_OK)
            fail_msg("%s: %s", names[i], nnf_error_message());
        expect_120(graph, names[i]);
        nnf_module_release(graph);
    }
}

static void it_is_not_written_as_the_librarys(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const nnf_module_type type = {.name = names[i], .infer = infer_same, .forward = forward_40};
        nnf_module *graph = graph_with(&type);
        void *data = NULL;
        size_t size;
        if (nnf_onnx_save_memory(graph, &data, &size, NULL) == NNF_OK)
            fail_msg("a %s of the program's own was written", names[i]);
        nnf_free(data);
        nnf_module_release(graph);
    }
}

/* An Opaque of the library's has the operator's name in its options. */
static void without_a_forward_it_cannot_run(void **state) {
    (void)state;
    const nnf_module_type type = {.name = "Opaque", .infer = infer_same};
    nnf_module *graph = graph_with(&type);
    nnf_tensor *x, *y;
    assert_ok(nnf_tensor_new(&x, NNF_F32, 4, (const int64_t[]){1, 2, 1, 1}));
    assert_error(nnf_module_forward(graph, &x, 1, &y, 1), NNF_ERROR_UNSUPPORTED, "'mine'");
    nnf_tensor_release(x);
    nnf_module_release(graph);
}

/* Naming a chain by hand does not make it one. */
static void it_is_not_fused_by_name(void **state) {
    (void)state;
    const nnf_module_type type = {.name = "ReLU", .infer = infer_same, .forward = forward_40};
    nnf_module *graph = graph_with(&type), *fused = NULL;
    const nnf_chain chain = CHAIN("conv", "mine");
    assert_error(nnf_fuse_modules(&fused, graph, &chain, 1, NULL), NNF_ERROR_NOT_FOUND,
                 "a type of the program's own");
    expect_120(graph, "ReLU");
    nnf_module *modules[2] = {new_conv(2, false, 2, 2, 1), NULL};
    assert_ok(nnf_module_new(&modules[1], &type, NULL));
    assert_error(nnf_fused_new(&fused, "ConvReLU2d", modules, 2), NNF_ERROR_INVALID, "own");
    nnf_module_release(modules[0]);
    nnf_module_release(modules[1]);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(it_runs_and_stays_what_it_is),
          cmocka_unit_test(it_is_not_written_as_the_librarys),
          cmocka_unit_test(without_a_forward_it_cannot_run),
          cmocka_unit_test(it_is_not_fused_by_name))
