/* Models as other exporters write them (goldens/make_exporters.py), from the file to the fused
 * file; what they compute is ONNX Runtime's. */
#include "nnfuse/clean.h"
#include "nnfuse/fuse.h"
#include "onnx_support.h"

static void assert_computes(nnf_module *model, const char *name) {
    golden *file = golden_open("exporters");
    nnf_tensor *x = golden_tensor(file, "%s.x", name),
               *expected = golden_tensor(file, "%s.y", name);
    nnf_tensor *y = NULL;
    assert_ok(nnf_module_forward(model, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 1e-5);
    nnf_tensor_release(y);
    nnf_tensor_release(x);
    nnf_tensor_release(expected);
    golden_close(file);
}

static size_t count(const nnf_module *graph, const char *type) {
    size_t n = 0;
    for (size_t i = 0; i < nnf_graph_n_calls(graph); i++)
        n += strcmp(nnf_module_type_name(nnf_graph_call_module(graph, i)), type) == 0;
    return n;
}

/* At most `n_calls` are left of the model, in its file too, and no batch norm. */
static void check(const char *name, size_t n_calls) {
    char path[64];
    snprintf(path, sizeof path, "from_%s.onnx", name);
    nnf_module *model = load_model(path);
    assert_computes(model, name);
    assert_ok(nnf_clean(model, NULL));
    assert_computes(model, name);
    assert_ok(nnf_fuse(model, NULL, NULL));
    assert_computes(model, name);
    nnf_module *again = round_trip(model);
    assert_computes(again, name);
    assert_true(nnf_graph_n_calls(again) <= n_calls);
    static const char *const gone[] = {"BatchNorm2d", "Identity", "Constant", "Dropout", "Shape"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_int_equal(count(again, gone[i]), 0);
    nnf_module_release(again);
    nnf_module_release(model);
}

static void tf2onnx(void **state) {
    (void)state;
    check("tf2onnx", 10);
}

static void keras(void **state) {
    (void)state;
    check("keras", 9);
}

static void paddle(void **state) {
    (void)state;
    check("paddle", 8);
}

static void what_is_said_of_a_node_that_stays_stays(void **state) {
    (void)state;
    check("dynamo", 10);
    void *bytes = NULL;
    size_t size = 0;
    nnf_module *model = load_model("from_dynamo.onnx");
    assert_ok(nnf_clean(model, NULL));
    assert_ok(nnf_fuse(model, NULL, NULL));
    assert_ok(nnf_onnx_save_memory(model, &bytes, &size, NULL));
    assert_true(holds(bytes, size, "pkg.torch.onnx.class_hierarchy"));
    nnf_free(bytes);
    nnf_module_release(model);
}

TEST_MAIN(cmocka_unit_test(tf2onnx), cmocka_unit_test(keras), cmocka_unit_test(paddle),
          cmocka_unit_test(what_is_said_of_a_node_that_stays_stays))
