/* Models as Graphs: types, paths, constants. */
#include "onnx_support.h"

static void names_modules_after_their_weights_and_nodes(void **state) {
    (void)state;
    nnf_module *graph = load_model("chain.onnx");
    assert_int_equal(nnf_graph_n_calls(graph), 3);
    assert_string_equal(nnf_graph_call_path(graph, 0), "conv");
    assert_string_equal(nnf_graph_call_path(graph, 1), "bn");
    assert_string_equal(nnf_graph_call_path(graph, 2), "relu");
    assert_string_equal(type_at(graph, "conv"), "Conv2d");
    assert_string_equal(type_at(graph, "bn"), "BatchNorm2d");
    assert_string_equal(type_at(graph, "relu"), "ReLU");
    nnf_module_release(graph);
}

static void fills_options_from_attributes_and_weights(void **state) {
    (void)state;
    nnf_module *graph = load_model("layers.onnx"), *module = NULL;
    assert_ok(nnf_module_get(&module, graph, "conv"));
    const nnf_conv_options *conv = nnf_module_options(module);
    assert_int_equal(conv->in_channels, 2);
    assert_int_equal(conv->out_channels, 3);
    assert_int_equal(conv->kernel_size[1], 3);
    assert_int_equal(conv->stride[0], 2);
    assert_int_equal(conv->dilation[0], 1);
    assert_int_equal(conv->auto_pad, NNF_AUTO_PAD_SAME_UPPER);
    assert_string_equal(type_at(graph, "clip_3"), "ReLU6");
    assert_ok(nnf_module_get(&module, graph, "leakyrelu_2"));
    const nnf_activation_options *leaky = nnf_module_options(module);
    assert_true(leaky->alpha == 0.25);
    assert_ok(nnf_module_get(&module, graph, "fc"));
    assert_string_equal(nnf_module_type_name(module), "Linear");
    const nnf_linear_options *linear = nnf_module_options(module);
    assert_int_equal(linear->in_features, 3);
    assert_int_equal(linear->out_features, 4);
    assert_false(linear->weight_transposed);
    nnf_module_release(graph);
}

static void keeps_symbolic_dimensions(void **state) {
    (void)state;
    nnf_module *graph = load_model("chain.onnx");
    const nnf_type_info *info = nnf_graph_value_info(graph, nnf_graph_input(graph, 0));
    assert_int_equal(info->ndim, 4);
    assert_string_equal(nnf_graph_symbol_name(graph, info->shape[0].symbol), "batch");
    assert_int_equal(info->shape[1].value, 2);
    nnf_module_release(graph);
}

/* A value's constant by name; NULL where it has none. */
static nnf_tensor *constant_of(const nnf_module *graph, const char *name) {
    for (nnf_value v = 0; nnf_graph_value_name(graph, v); v++) {
        if (strcmp(nnf_graph_value_name(graph, v), name) == 0) {
            return nnf_graph_value_constant(graph, v);
        }
    }
    return NULL;
}

static void assert_elements(const nnf_module *graph, const char *name, nnf_dtype dtype,
                            const void *expected, size_t size) {
    uint8_t got[64];
    nnf_tensor *tensor = constant_of(graph, name);
    assert_non_null(tensor);
    assert_int_equal(nnf_tensor_dtype(tensor), dtype);
    assert_int_equal(nnf_tensor_nbytes(tensor), size);
    assert_ok(nnf_tensor_read(tensor, 0, nnf_tensor_numel(tensor), got));
    assert_memory_equal(got, expected, size);
}

static void reads_elements_from_typed_fields(void **state) {
    (void)state;
    nnf_module *graph = load_model("typed.onnx");
    assert_elements(graph, "f32", NNF_F32, (float[]){1.5f, -2, 3}, 12);
    assert_elements(graph, "f64", NNF_F64, (double[]){1.5, -2, 3}, 24);
    assert_elements(graph, "f16", NNF_F16, (uint16_t[]){0x3e00, 0xc000, 0x4200}, 6);
    assert_elements(graph, "i32", NNF_I32, (int32_t[]){1, -2, 3}, 12);
    assert_elements(graph, "i64", NNF_I64, (int64_t[]){1, -2, 3}, 24);
    assert_elements(graph, "i8", NNF_I8, (int8_t[]){1, -2, 3}, 3);
    assert_elements(graph, "u8", NNF_U8, (uint8_t[]){1, 2, 255}, 3);
    assert_elements(graph, "bool", NNF_BOOL, (uint8_t[]){1, 0, 1}, 3);
    assert_null(constant_of(graph, "u16"));
    assert_null(constant_of(graph, "text"));
    nnf_module_release(graph);
}

static void binds_constants_behind_Identity_and_Constant(void **state) {
    (void)state;
    nnf_module *graph = load_model("identity_constants.onnx"), *bn = NULL;
    assert_ok(nnf_module_get(&bn, graph, "bn"));
    assert_ptr_equal(nnf_module_tensor(bn, "bias"), constant_of(graph, "shared.bias"));
    assert_ptr_equal(nnf_module_tensor(bn, "weight"), constant_of(graph, "bn.weight"));
    nnf_module_release(graph);
}

static void scales_that_nodes_compute_tell_a_shape(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t height; /* -1: another value of the input that has a default would change it */
    } values[] = {{"a", 8}, {"b", -1}};
    nnf_module *graph = load_model("scales.onnx");
    nnf_type_info *infos;
    size_t n;
    assert_ok(nnf_graph_infer(graph, NULL, &infos, &n));
    for (size_t i = 0; i < 2; i++) {
        const nnf_type_info *info = &infos[nnf_graph_find_value(graph, values[i].name)];
        assert_int_equal(info->ndim, 4);
        if (values[i].height < 0) {
            assert_int_not_equal(info->shape[2].symbol, 0);
            continue;
        }
        assert_int_equal(info->shape[2].symbol, 0);
        assert_int_equal(info->shape[2].value, values[i].height);
    }
    nnf_graph_infer_free(infos, n);
    nnf_module_release(graph);
}

static void reads_external_data_mapped_or_not(void **state) {
    (void)state;
    for (int map = 0; map < 2; map++) {
        nnf_module *graph = NULL;
        const nnf_onnx_load_options options = {.map = map == 1};
        size_t size;
        assert_ok(nnf_onnx_load(&graph, model_path("external.onnx"), &options));
        uint8_t *bytes = read_bytes(model_path("external.data"), &size);
        nnf_tensor *v = constant_of(graph, "v");
        const void *data;
        assert_ok(nnf_tensor_data(v, &data));
        assert_memory_equal(data, bytes + 2400, 2400);
        free(bytes);
        nnf_module_release(graph);
    }
}

static void reads_from_memory_what_it_reads_from_a_file(void **state) {
    (void)state;
    size_t size;
    nnf_module *graph = NULL, *file = load_model("layers.onnx");
    uint8_t *bytes = read_bytes(model_path("layers.onnx"), &size);
    assert_ok(nnf_onnx_load_memory(&graph, bytes, size, NULL));
    free(bytes);
    assert_same_results(graph, file);
    nnf_module_release(graph);
    nnf_module_release(file);
}

/* What the file gives one node stays that node's, whatever comes before it. */
static void names_modules_as_their_nodes_are_named(void **state) {
    (void)state;
    static const char *const paths[] = {"relu1",  "same",    "same_2", "same_1", "Relu_4",
                                        "m.relu", "m.inner", "relu_7", "relu_8"};
    nnf_module *graph = load_model("node_names.onnx");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_string_equal(nnf_graph_call_path(graph, i), paths[i]);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(names_modules_after_their_weights_and_nodes),
          cmocka_unit_test(names_modules_as_their_nodes_are_named),
          cmocka_unit_test(fills_options_from_attributes_and_weights),
          cmocka_unit_test(keeps_symbolic_dimensions),
          cmocka_unit_test(reads_elements_from_typed_fields),
          cmocka_unit_test(binds_constants_behind_Identity_and_Constant),
          cmocka_unit_test(scales_that_nodes_compute_tell_a_shape),
          cmocka_unit_test(reads_external_data_mapped_or_not),
          cmocka_unit_test(reads_from_memory_what_it_reads_from_a_file))
