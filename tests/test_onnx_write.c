/* Graphs as models: original bytes where nothing changed, and graphs that no file produced. */
#include <unistd.h>

#include "graph_support.h"
#include "onnx_support.h"

static void an_unchanged_model_is_the_same_file(void **state) {
    (void)state;
    static const char *const names[] = {"chain.onnx",
                                        "chain_ir3.onnx",
                                        "chain_unsorted.onnx",
                                        "overridable.onnx",
                                        "layers.onnx",
                                        "typed.onnx",
                                        "if_capture.onnx",
                                        "spatial0.onnx",
                                        "custom_domain.onnx",
                                        "training_mode.onnx",
                                        "name_taken.onnx",
                                        "middle_output.onnx",
                                        "identity_constants.onnx"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nnf_module *graph = load_model(names[i]), *copy = NULL;
        void *written = NULL;
        size_t size, n_written = 0;
        uint8_t *bytes = read_bytes(model_path(names[i]), &size);
        assert_ok(nnf_module_copy(&copy, graph));
        assert_ok(nnf_onnx_save_memory(copy, &written, &n_written, NULL));
        assert_int_equal(n_written, size);
        assert_memory_equal(written, bytes, size);
        nnf_free(written);
        free(bytes);
        nnf_module_release(copy);
        nnf_module_release(graph);
    }
}

static void a_changed_weight_is_written(void **state) {
    (void)state;
    nnf_module *graph = load_model("chain.onnx"), *conv = NULL;
    void *data;
    assert_ok(nnf_module_get(&conv, graph, "conv"));
    assert_ok(nnf_tensor_mut_data(nnf_module_tensor(conv, "weight"), &data));
    ((float *)data)[0] = 42;
    nnf_module *again = round_trip(graph);
    float first;
    assert_ok(nnf_module_get(&conv, again, "conv"));
    assert_ok(nnf_tensor_read(nnf_module_tensor(conv, "weight"), 0, 1, &first));
    assert_true(first == 42);
    nnf_module_release(again);
    nnf_module_release(graph);
}

static void changed_options_are_written(void **state) {
    (void)state;
    nnf_module *graph = load_model("chain.onnx"), *conv = NULL;
    assert_ok(nnf_module_get(&conv, graph, "conv"));
    ((nnf_conv_options *)nnf_module_mut_options(conv))->stride[1] = 2;
    nnf_module *again = round_trip(graph);
    assert_ok(nnf_module_get(&conv, again, "conv"));
    const nnf_conv_options *options = nnf_module_options(conv);
    assert_int_equal(options->stride[0], 1);
    assert_int_equal(options->stride[1], 2);
    assert_int_equal(options->padding_end[1], 1);
    assert_same_results(graph, again);
    nnf_module_release(again);
    nnf_module_release(graph);
}

static nnf_value append(nnf_module *graph, const char *path, nnf_module *module, nnf_value input) {
    nnf_value output;
    assert_ok(nnf_module_set(graph, path, module));
    nnf_module_release(module);
    assert_ok(nnf_graph_add_call(graph, path, &input, 1, NULL, &output, 1));
    return output;
}

static nnf_module *build_graph(void) {
    nnf_module *graph = NULL, *module = NULL;
    nnf_type_info info;
    nnf_value v;
    const nnf_conv_options conv = nnf_conv_options_default(2, false, 3, 4, 3);
    const nnf_batchnorm_options bn = nnf_batchnorm_options_default(2, 4);
    const nnf_pool_options pool = nnf_pool_options_default(2, false, 2);
    assert_ok(nnf_graph_new(&graph));
    nnf_type_info_init(&info);
    info.dtype = NNF_F32;
    info.ndim = 4;
    for (int i = 0; i < 4; i++) {
        info.shape[i] = (nnf_dim){(const int64_t[]){2, 3, 8, 8}[i], 0};
    }
    assert_ok(nnf_graph_add_input(graph, &v, "image", &info));
    assert_ok(nnf_conv_new(&module, &conv, true, NNF_F32));
    v = append(graph, "conv", module, v);
    assert_ok(nnf_batchnorm_new(&module, &bn, NNF_F32));
    v = append(graph, "bn", module, v);
    assert_ok(nnf_activation_new(&module, NNF_SILU));
    v = append(graph, "silu", module, v);
    assert_ok(nnf_pool_new(&module, &pool));
    v = append(graph, "pool", module, v);
    assert_ok(nnf_activation_new(&module, NNF_RELU6));
    v = append(graph, "relu6", module, v);
    assert_ok(nnf_flatten_new(&module, 1, -1));
    v = append(graph, "flatten", module, v);
    assert_ok(nnf_linear_new(&module, 36, 5, true, NNF_F32));
    v = append(graph, "fc", module, v);
    assert_ok(nnf_graph_add_output(graph, v));
    nnf_module_eval(graph);
    return graph;
}

/* What the file says of inputs, outputs and values between them follows, at its place. */
static void a_converted_model_is_of_its_dtype(void **state) {
    (void)state;
    static const char *const names[] = {"chain.onnx", "chain_ir3.onnx"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nnf_module *graph = load_model(names[i]);
        assert_ok(nnf_module_to(graph, NNF_F64));
        nnf_module *again = round_trip(graph);
        assert_int_equal(nnf_graph_n_inputs(again), nnf_graph_n_inputs(graph));
        for (size_t k = 0; k < nnf_graph_n_inputs(again); k++)
            assert_int_equal(nnf_graph_value_info(again, nnf_graph_input(again, k))->dtype,
                             NNF_F64);
        for (size_t k = 0; k < nnf_graph_n_outputs(again); k++)
            assert_int_equal(nnf_graph_value_info(again, nnf_graph_output(again, k))->dtype,
                             NNF_F64);
        assert_same_results(graph, again);
        nnf_module_release(again);
        nnf_module_release(graph);
    }
}

static void a_graph_built_by_a_program_is_written(void **state) {
    (void)state;
    nnf_module *graph = build_graph();
    nnf_module *again = round_trip(graph);
    assert_string_equal(type_at(again, "conv"), "Conv2d");
    assert_string_equal(type_at(again, "fc"), "Linear");
    assert_int_equal(nnf_graph_n_calls(again), 8); /* SiLU is two nodes */
    assert_same_results(graph, again);
    nnf_module_release(again);
    nnf_module_release(graph);
}

static void what_ONNX_cannot_say_is_refused(void **state) {
    (void)state;
    nnf_module *graph = build_graph(), *conv = NULL, *sequential = NULL;
    void *bytes;
    size_t size;
    assert_ok(nnf_module_get(&conv, graph, "conv"));
    ((nnf_conv_options *)nnf_module_mut_options(conv))->padding_mode = NNF_PADDING_CIRCULAR;
    assert_error(nnf_onnx_save_memory(graph, &bytes, &size, NULL), NNF_ERROR_UNSUPPORTED, "'conv'",
                 "padding_mode");
    assert_ok(nnf_sequential_new(&sequential, &conv, 1));
    assert_error(nnf_onnx_save_memory(sequential, &bytes, &size, NULL), NNF_ERROR_INVALID,
                 "Sequential", "nnf_graph_new");
    nnf_module_release(sequential);
    nnf_module_release(graph);
}

static void an_input_without_a_batch_axis_is_refused(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *pool;
    const int64_t size[] = {1, 1};
    nnf_value x = add_input(graph, 3, (const int64_t[]){2, 3, 4});
    void *bytes = NULL;
    size_t length = 0;
    assert_ok(nnf_adaptive_avgpool_new(&pool, 2, size));
    add_module(graph, "pool", pool);
    assert_ok(nnf_graph_add_output(graph, call(graph, "pool", x)));
    assert_error(nnf_onnx_save_memory(graph, &bytes, &length, NULL), NNF_ERROR_UNSUPPORTED,
                 "'pool'", "no batch axis");
    nnf_module_release(graph);
}

static void external_data_is_copied_beside_a_file_elsewhere(void **state) {
    (void)state;
    char folder[] = "onnx-write-test-XXXXXX", path[64], data[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out.onnx", folder);
    snprintf(data, sizeof data, "%s/out.onnx.data", folder);
    nnf_module *graph = load_model("external.onnx"), *again = NULL;
    nnf_pending_file *pending = NULL;
    assert_ok(nnf_onnx_save_pending(&pending, graph, path, NULL));
    assert_ok(nnf_onnx_load(&again, nnf_pending_file_path(pending), NULL));
    assert_same_results(graph, again);
    nnf_module_release(again);
    nnf_pending_file_discard(pending);
    assert_int_not_equal(access(data, F_OK), 0);
    assert_ok(nnf_onnx_save(graph, path, NULL));
    assert_ok(nnf_onnx_load(&again, path, NULL));
    assert_same_results(graph, again);
    nnf_module_release(again);
    again = NULL;
    assert_int_equal(access(data, F_OK), 0);
    nnf_module *inlined = round_trip(graph);
    assert_same_results(graph, inlined);
    nnf_module_release(inlined);
    nnf_module_release(graph);
    unlink(path);
    unlink(data);
    rmdir(folder);
}

/* One convolution has its ReLU fused; the other one's folded weights would be infinite. */
static void weights_that_overflow_are_left_alone_or_not_saved(void **state) {
    (void)state;
    const nnf_onnx_load_options late = {.map = true, .check_range_late = true};
    for (int is_late = 0; is_late < 2; is_late++) {
        nnf_module *graph = NULL;
        nnf_fuse_report report = {0};
        void *bytes = NULL;
        size_t size = 0;
        assert_ok(nnf_onnx_load(&graph, model_path("overflow.onnx"), is_late ? &late : NULL));
        assert_ok(nnf_fuse(graph, NULL, &report));
        assert_int_equal(report.n_fused, is_late ? 2 : 1);
        if (is_late)
            assert_error(nnf_onnx_save_memory(graph, &bytes, &size, NULL), NNF_ERROR_NOT_FUSABLE,
                         "channel 0", "1e+30", "float32");
        else
            nnf_module_release(round_trip(graph));
        assert_null(bytes);
        nnf_fuse_report_clear(&report);
        nnf_module_release(graph);
    }
}

TEST_MAIN(cmocka_unit_test(an_unchanged_model_is_the_same_file),
          cmocka_unit_test(a_changed_weight_is_written),
          cmocka_unit_test(changed_options_are_written),
          cmocka_unit_test(a_converted_model_is_of_its_dtype),
          cmocka_unit_test(a_graph_built_by_a_program_is_written),
          cmocka_unit_test(what_ONNX_cannot_say_is_refused),
          cmocka_unit_test(an_input_without_a_batch_axis_is_refused),
          cmocka_unit_test(external_data_is_copied_beside_a_file_elsewhere),
          cmocka_unit_test(weights_that_overflow_are_left_alone_or_not_saved))
