/* Each operator in each way of calling it (goldens/make_operators.py), from the file's bytes to the
 * result: run with inputs, written and read again, and computed by cleaning where all is constant.
 * Expected values are ONNX Runtime's. */
#include "nnfuse/clean.h"
#include "onnx_support.h"

enum { MOST = 8 };

static nnf_module *load(const golden *file, const char *kind, int i) {
    nnf_tensor *bytes = golden_tensor(file, "%d.%s", i, kind);
    const void *data = NULL;
    nnf_module *model = NULL;
    assert_ok(nnf_tensor_data(bytes, &data));
    assert_ok(nnf_onnx_load_memory(&model, data, (size_t)nnf_tensor_numel(bytes), NULL));
    nnf_tensor_release(bytes);
    return model;
}

/* The tensors <i>.<kind>0, <i>.<kind>1 ...: how many there are. */
static size_t tensors(const golden *file, nnf_tensor **out, const char *kind, int i) {
    size_t n = 0;
    while (golden_has(file, "%d.%s%d", i, kind, (int)n)) {
        assert_true(n < MOST);
        out[n] = golden_tensor(file, "%d.%s%d", i, kind, (int)n);
        n++;
    }
    return n;
}

static void release(nnf_tensor **tensors, size_t n) {
    for (size_t i = 0; i < n; i++)
        nnf_tensor_release(tensors[i]);
}

static void assert_computes(nnf_module *model, nnf_tensor *const *in, size_t n_in,
                            nnf_tensor *const *expected, size_t n_out) {
    nnf_tensor *out[MOST] = {0};
    assert_int_equal(nnf_graph_n_outputs(model), n_out);
    assert_ok(nnf_module_forward(model, in, n_in, out, n_out));
    for (size_t i = 0; i < n_out; i++) {
        bool half = nnf_tensor_dtype(expected[i]) == NNF_F16;
        assert_tensors_close(out[i], expected[i], half ? 1e-3 : 1e-5);
    }
    release(out, n_out);
}

/* Cleaning computes what has one output, whose shape is known before its elements are. */
static bool is_computed(const char *name, size_t n_out) {
    return n_out == 1 && strcmp(name, "NonZero") != 0 && strcmp(name, "Range of floats") != 0;
}

static void assert_case(const golden *file, int i, const char *name) {
    nnf_tensor *in[MOST], *expected[MOST];
    size_t n_in = tensors(file, in, "in", i), n_out = tensors(file, expected, "out", i);
    nnf_module *model = load(file, "model", i);
    assert_computes(model, in, n_in, expected, n_out);
    nnf_module *again = round_trip(model);
    assert_computes(again, in, n_in, expected, n_out);

    nnf_tensor *go = NULL;
    assert_ok(nnf_tensor_from_data(&go, NNF_BOOL, 0, NULL, &(bool){true}));
    nnf_module *constant = load(file, "constant", i);
    assert_ok(nnf_clean(constant, NULL));
    if (is_computed(name, n_out)) assert_int_equal(nnf_graph_n_calls(constant), n_out);
    assert_computes(constant, &go, 1, expected, n_out);
    nnf_tensor_release(go);

    nnf_module_release(constant);
    nnf_module_release(again);
    nnf_module_release(model);
    release(in, n_in);
    release(expected, n_out);
}

static void every_operator_computes_what_onnx_runtime_does(void **state) {
    (void)state;
    golden *file = golden_open("operators");
    int n = 0;
    for (; golden_has(file, "%d.name", n); n++) {
        char name[256];
        nnf_tensor *text = golden_tensor(file, "%d.name", n);
        const void *data = NULL;
        assert_ok(nnf_tensor_data(text, &data));
        snprintf(name, sizeof name, "%.*s", (int)nnf_tensor_numel(text), (const char *)data);
        nnf_tensor_release(text);
        print_message("%d: %s\n", n, name);
        assert_case(file, n, name);
    }
    assert_true(n > 0);
    golden_close(file);
}

TEST_MAIN(cmocka_unit_test(every_operator_computes_what_onnx_runtime_does))
