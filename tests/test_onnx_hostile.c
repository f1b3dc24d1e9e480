/* Damaged and hostile files: one sentence, no crash, no leak. */
#include "formats/onnx/schema.h"
#include "formats/onnx/wire.h"
#include "nnfuse/clean.h"
#include "nnfuse/fuse.h"
#include "onnx_support.h"

static void assert_refused(const void *bytes, size_t size, const char *text) {
    nnf_module *graph = NULL;
    assert_error(nnf_onnx_load_memory(&graph, bytes, size, NULL), NNF_ERROR_FORMAT,
                 "<memory>: ", text);
}

static void other_files_are_told_apart(void **state) {
    (void)state;
    assert_refused("", 0, "not an ONNX model: it is empty");
    assert_refused("PK\x03\x04zip", 7, "not an ONNX model: it is a ZIP archive");
    assert_refused("{\"a\": 1}", 8, "not an ONNX model: it is JSON");
    assert_refused("Hello, world", 12, "not an ONNX model");
    nnf_module *graph = NULL;
    assert_error(nnf_onnx_load(&graph, NNFUSE_GOLDENS "/no-such.onnx", NULL), NNF_ERROR_READ,
                 "no-such.onnx");
    assert_error(nnf_onnx_load(&graph, NNFUSE_GOLDENS, NULL), NNF_ERROR_READ, NNFUSE_GOLDENS);
}

static void a_truncated_model_is_refused_at_every_length(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_bytes(model_path("if_capture.onnx"), &size);
    for (size_t length = 0; length < size; length++) {
        nnf_module *graph = NULL;
        /* cut between two fields of the model itself, what is left may be a model */
        if (nnf_onnx_load_memory(&graph, bytes, length, NULL) == NNF_OK) {
            nnf_module_release(graph);
        } else {
            assert_true(strlen(nnf_error_message()) > 10);
        }
    }
    free(bytes);
}

static void no_changed_byte_breaks_anything(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_bytes(model_path("chain.onnx"), &size);
    for (size_t i = 0; i < size; i++) {
        for (int flip = 1; flip < 256; flip *= 2) {
            nnf_module *graph = NULL;
            bytes[i] ^= (uint8_t)flip;
            if (nnf_onnx_load_memory(&graph, bytes, size, NULL) == NNF_OK) {
                nnf_module_release(graph);
            }
            bytes[i] ^= (uint8_t)flip;
        }
    }
    free(bytes);
}

/* A model around the fields of a graph, which is emptied. */
static void finish_model(nnfi_text *model, nnfi_text *graph) {
    nnfi_text opset = {0};
    nnfi_put_int(model, MODEL_IR_VERSION, 8);
    nnfi_put_int(&opset, OPSET_VERSION, 17);
    nnfi_put_message(model, MODEL_OPSET_IMPORT, &opset);
    nnfi_put_message(model, MODEL_GRAPH, graph);
}

static void put_node(nnfi_text *graph, const char *input, const char *output) {
    nnfi_text node = {0};
    nnfi_put_string(&node, NODE_INPUT, input);
    nnfi_put_string(&node, NODE_OUTPUT, output);
    nnfi_put_string(&node, NODE_OP_TYPE, "Relu");
    nnfi_put_message(graph, GRAPH_NODE, &node);
}

static void assert_graph_refused(nnfi_text *graph, const char *text) {
    nnfi_text model = {0};
    finish_model(&model, graph);
    assert_refused(model.data, model.length, text);
    nnfi_text_clear(&model);
}

static void graphs_that_cannot_run_are_refused(void **state) {
    (void)state;
    nnfi_text graph = {0};
    put_node(&graph, "a", "b");
    put_node(&graph, "b", "a");
    assert_graph_refused(&graph, "cycle");
    put_node(&graph, "nowhere", "b");
    assert_graph_refused(&graph, "graph.node[0]: it reads 'nowhere', which nothing gives");
    nnfi_put_bytes(&graph, GRAPH_INPUT, "\x0a\x01x", 3);
    put_node(&graph, "x", "y");
    put_node(&graph, "x", "y");
    assert_graph_refused(&graph, "graph.node[1]: 'y' is given a second time");
}

static void put_tensor(nnfi_text *graph, int64_t dim, int n_dims, size_t n_bytes) {
    static const uint8_t zeros[64];
    nnfi_text tensor = {0};
    for (int i = 0; i < n_dims; i++) {
        nnfi_put_int(&tensor, TENSOR_DIMS, dim);
    }
    nnfi_put_int(&tensor, TENSOR_DATA_TYPE, 1);
    nnfi_put_string(&tensor, TENSOR_NAME, "w");
    if (n_bytes > 0) nnfi_put_bytes(&tensor, TENSOR_RAW_DATA, zeros, n_bytes);
    nnfi_put_message(graph, GRAPH_INITIALIZER, &tensor);
}

static void sizes_that_do_not_fit_are_refused(void **state) {
    (void)state;
    nnfi_text graph = {0};
    put_tensor(&graph, 3, 1, 8);
    assert_graph_refused(&graph, "tensor 'w': raw_data has 8 bytes, but shape [3] needs 12");
    put_tensor(&graph, INT64_C(1) << 40, 2, 8);
    assert_graph_refused(&graph, "no tensor of shape [1099511627776, 1099511627776]");
    put_tensor(&graph, -1, 1, 8);
    assert_graph_refused(&graph, "no tensor of shape [-1]");
    put_tensor(&graph, INT64_C(1) << 40, 1, 0);
    assert_graph_refused(&graph, "it has 0 elements, but shape [1099511627776] needs");
}

static void external_data_cannot_leave_the_folder(void **state) {
    (void)state;
    static const char *const locations[] = {"../secret", "/etc/passwd", "a/../../b", ""};
    for (size_t i = 0; i < 4; i++) {
        nnfi_text entry = {0}, tensor = {0}, graph = {0}, model = {0};
        nnf_module *module = NULL;
        const nnf_onnx_load_options options = {.base_dir = NNFUSE_GOLDENS};
        nnfi_put_string(&entry, ENTRY_KEY, "location");
        nnfi_put_string(&entry, ENTRY_VALUE, locations[i]);
        nnfi_put_message(&tensor, TENSOR_EXTERNAL_DATA, &entry);
        nnfi_put_int(&tensor, TENSOR_DATA_LOCATION, TENSOR_LOCATION_EXTERNAL);
        nnfi_put_int(&tensor, TENSOR_DATA_TYPE, 1);
        nnfi_put_string(&tensor, TENSOR_NAME, "w");
        nnfi_put_message(&graph, GRAPH_INITIALIZER, &tensor);
        finish_model(&model, &graph);
        assert_error(nnf_onnx_load_memory(&module, model.data, model.length, &options),
                     NNF_ERROR_FORMAT, "graph.initializer[0]");
        nnfi_text_clear(&model);
    }
}

static void nesting_has_an_end(void **state) {
    (void)state;
    nnfi_text graph = {0}, attribute = {0}, node = {0};
    for (int i = 0; i < 200; i++) {
        nnfi_put_message(&attribute, ATTRIBUTE_G, &graph);
        nnfi_put_message(&node, NODE_ATTRIBUTE, &attribute);
        nnfi_put_message(&graph, GRAPH_NODE, &node);
    }
    assert_graph_refused(&graph, "nested more than 100 deep");
}

static void odd_names_do_not_fail_a_load(void **state) {
    (void)state;
    static const char *const names[] = {"/",       "//",         "/a//b/Relu",  ".",
                                        "..",      "/a..b/Relu", "a/.b/c",      "/Relu",
                                        "/a/Relu", "/a/b/Relu",  "/a/b.c/Relu", "\xff\xfe/x"};
    nnfi_text graph = {0}, model = {0};
    nnf_module *module = NULL;
    nnfi_put_bytes(&graph, GRAPH_INPUT, "\x0a\x01x", 3);
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        nnfi_text node = {0};
        nnfi_put_string(&node, NODE_INPUT, "x");
        nnfi_put_string(&node, NODE_NAME, names[i / 2]);
        nnfi_put_string(&node, NODE_OP_TYPE, "Relu");
        nnfi_put_message(&graph, GRAPH_NODE, &node);
    }
    finish_model(&model, &graph);
    assert_ok(nnf_onnx_load_memory(&module, model.data, model.length, NULL));
    assert_int_equal(nnf_graph_n_calls(module), 2 * sizeof names / sizeof *names);
    nnf_module_release(module);
    nnfi_text_clear(&model);
}

/* Inferred, cleaned, fused and written; what cannot be inferred is refused with that text. */
static void use_hostile_model(const char *name, const char *refused) {
    nnf_module *graph = load_model(name), *again = NULL;
    nnf_type_info *infos = NULL;
    size_t n_infos = 0, size = 0;
    void *bytes = NULL;
    if (refused)
        assert_error(nnf_graph_infer(graph, NULL, &infos, &n_infos), NNF_ERROR_SHAPE, refused);
    else
        assert_ok(nnf_graph_infer(graph, NULL, &infos, &n_infos));
    nnf_graph_infer_free(infos, n_infos);
    assert_ok(nnf_clean(graph, NULL));
    assert_ok(nnf_fuse(graph, NULL, NULL));
    assert_ok(nnf_onnx_save_memory(graph, &bytes, &size, NULL));
    assert_ok(nnf_onnx_load_memory(&again, bytes, size, NULL));
    assert_true(size < 1500); /* nothing was made of what is not there */
    nnf_free(bytes);
    nnf_module_release(again);
    nnf_module_release(graph);
}

static void more_elements_than_are_known_are_not_made_up(void **state) {
    (void)state;
    use_hostile_model("hostile_reshape.onnx", NULL);
    use_hostile_model("hostile_declared.onnx", NULL);
}

static void a_split_takes_no_more_than_there_is(void **state) {
    (void)state;
    use_hostile_model("hostile_split.onnx", "(Split): Split's parts have at least 60 of 10");
}

static void stays(const char *name, bool clean, size_t n_calls) {
    nnf_module *graph = load_model(name);
    nnf_module_eval(graph);
    if (clean) assert_ok(nnf_clean(graph, NULL));
    assert_ok(nnf_fuse(graph, NULL, NULL));
    assert_int_equal(nnf_graph_n_calls(graph), n_calls);
    nnf_module_release(graph);
}

static void what_gives_nothing_is_not_fused(void **state) {
    (void)state;
    stays("no_output_chain.onnx", false, 3);
    stays("no_output_series.onnx", false, 3);
}

static void what_gives_too_much_is_not_fused(void **state) {
    (void)state;
    stays("two_outputs.onnx", false, 2);
}

static void what_is_given_nothing_is_not_fused(void **state) {
    (void)state;
    stays("no_input_chain.onnx", false, 2);
    stays("no_input_blocks.onnx", false, 2);
    stays("no_input_relu.onnx", true, 3);
    stays("no_input_transpose.onnx", true, 3);
}

TEST_MAIN(cmocka_unit_test(other_files_are_told_apart),
          cmocka_unit_test(a_truncated_model_is_refused_at_every_length),
          cmocka_unit_test(no_changed_byte_breaks_anything),
          cmocka_unit_test(graphs_that_cannot_run_are_refused),
          cmocka_unit_test(sizes_that_do_not_fit_are_refused),
          cmocka_unit_test(external_data_cannot_leave_the_folder),
          cmocka_unit_test(nesting_has_an_end), cmocka_unit_test(odd_names_do_not_fail_a_load),
          cmocka_unit_test(more_elements_than_are_known_are_not_made_up),
          cmocka_unit_test(a_split_takes_no_more_than_there_is),
          cmocka_unit_test(what_gives_nothing_is_not_fused),
          cmocka_unit_test(what_gives_too_much_is_not_fused),
          cmocka_unit_test(what_is_given_nothing_is_not_fused))
