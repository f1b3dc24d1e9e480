/* PReLU behind layers: PyTorch's values from its own export (goldens/make_prelu.py), the file after
 * fusing, slopes that programs and files should not have. */
#include "nnfuse/fuse.h"
#include "nnfuse/session.h"
#include "onnx_support.h"
#include "random_support.h"

static const char *const files[] = {"prelu.onnx", "prelu_constants.onnx"};

static nnf_status run_with(nnf_module *module, nnf_kernels kernels, nnf_tensor *x, nnf_tensor **y) {
    nnf_session *session;
    const nnf_session_options options = {.threads = 2, .kernels = kernels};
    assert_ok(nnf_session_new(&session, module, &options));
    nnf_status status = nnf_session_run(session, &x, 1, y, 1);
    nnf_session_release(session);
    return status;
}

static bool has_onednn(nnf_module *module) {
    nnf_session *session;
    const nnf_session_options options = {.kernels = NNF_KERNELS_ONEDNN};
    if (nnf_session_new(&session, module, &options) != NNF_OK) return false;
    nnf_session_release(session);
    return true;
}

static void assert_computes(nnf_module *graph) {
    golden *file = golden_open("prelu");
    nnf_tensor *x = golden_tensor(file, "x"), *expected = golden_tensor(file, "y"), *y;
    for (int kernels = 0; kernels < 1 + has_onednn(graph); kernels++) {
        assert_ok(run_with(graph, kernels ? NNF_KERNELS_ONEDNN : NNF_KERNELS_REFERENCE, x, &y));
        assert_tensors_close(y, expected, 1e-5);
        nnf_tensor_release(y);
    }
    nnf_tensor_release(x);
    nnf_tensor_release(expected);
    golden_close(file);
}

static void pytorchs_export_fuses_and_computes_the_same(void **state) {
    (void)state;
    static const char *const fused[][2] = {{"first", "ConvActivation2d"},
                                           {"second", "ConvAddActivation2d"},
                                           {"up", "ConvTransposeActivation2d"},
                                           {"fc", "LinearActivation"},
                                           {"last", "LinearLeakyReLU"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        nnf_module *graph = load_model(files[i]);
        assert_computes(graph);
        assert_ok(nnf_fuse(graph, NULL, NULL));
        for (size_t k = 0; k < sizeof fused / sizeof *fused; k++)
            assert_string_equal(type_at(graph, fused[k][0]), fused[k][1]);
        assert_computes(graph);
        nnf_module_release(graph);
    }
}

static void a_file_in_which_nothing_was_folded_stays_as_it_was(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        nnf_module *graph = load_model(files[i]);
        void *before = NULL, *after = NULL;
        size_t size = 0, size_after = 0;
        assert_ok(nnf_onnx_save_memory(graph, &before, &size, NULL));
        assert_ok(nnf_fuse(graph, NULL, NULL));
        assert_ok(nnf_onnx_save_memory(graph, &after, &size_after, NULL));
        assert_int_equal(size_after, size);
        assert_memory_equal(after, before, size);
        nnf_free(before);
        nnf_free(after);
        nnf_module_release(graph);
    }
}

/* A slope that a program changes is what runs and what is written. */
static void a_changed_slope_is_written(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * sizeof files / sizeof *files; i++) {
        nnf_module *graph = load_model(files[i / 2]), *written;
        nnf_mapping *mapping;
        nnf_verify_report report = {0};
        assert_ok(nnf_mapping_new(&mapping));
        assert_ok(nnf_mapping_skip(mapping, "patterns"));
        nnf_tensor *kept = nnf_tensor_retain(nnf_module_tensor(at(graph, "one"), "weight"));
        nnf_tensor *slope = random_tensor(NNF_F32, 3, nnf_tensor_shape(kept), 1, 2, 3);
        if (i % 2) assert_ok(nnf_fuse(graph, mapping, NULL));
        assert_ok(nnf_module_set_parameter(at(graph, i % 2 ? "first.1" : "one"), "weight", slope));
        if (i % 2 == 0) assert_ok(nnf_fuse(graph, mapping, NULL));
        written = round_trip(graph);
        assert_ok(nnf_verify(&report, graph, written, NULL));
        assert_true(report.ok);
        nnf_tensor *held = nnf_module_tensor(at(written, "one"), "weight");
        assert_tensors_close(held, slope, 0);
        nnf_verify_report_clear(&report);
        nnf_mapping_release(mapping);
        nnf_tensor_release(kept);
        nnf_tensor_release(slope);
        nnf_module_release(written);
        nnf_module_release(graph);
    }
}

static void modules_in_a_row_fuse_by_name(void **state) {
    (void)state;
    uint64_t seed = 5;
    const int64_t slopes[] = {4, 1, 1}, image[] = {2, 3, 6, 5};
    nnf_module *fused,
        *tree = new_sequential(
            (nnf_module *[]){new_conv(2, false, 3, 4, 1), prelu_of(3, slopes, &seed)}, 2);
    nnf_tensor *x = random_tensor(NNF_F32, 4, image, -1, 1, 2);
    const nnf_chain chain = CHAIN("0", "1");
    nnf_module_eval(tree);
    assert_ok(nnf_fuse_modules(&fused, tree, &chain, 1, NULL));
    assert_string_equal(type_at(fused, "0"), "ConvActivation2d");
    assert_string_equal(type_at(fused, "1"), "Identity");
    assert_same_function(tree, fused, x, 1e-5);
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(tree);
}

static void a_prelu_that_is_called_twice_stays(void **state) {
    (void)state;
    uint64_t seed = 5;
    const int64_t slopes[] = {3, 1, 1}, image[] = {2, 3, 6, 5};
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, image);
    add_module(graph, "one", new_conv(2, false, 3, 3, 1));
    add_module(graph, "two", new_conv(2, false, 3, 3, 1));
    add_module(graph, "act", prelu_of(3, slopes, &seed));
    x = call(graph, "act", call(graph, "one", x));
    assert_ok(nnf_graph_add_output(graph, call(graph, "act", call(graph, "two", x))));
    nnf_module_eval(graph);
    assert_ok(nnf_fuse(graph, NULL, NULL));
    assert_string_equal(calls_text(graph), "one:Conv2d act:PReLU two:Conv2d act:PReLU");
    nnf_module_release(graph);
}

/* Both kernel sets make the same of any slope in a container: a result, or an error. */
static void any_slope_runs_or_is_refused(void **state) {
    (void)state;
    static const struct {
        nnf_dtype dtype;
        shape shape;
    } slopes[] = {
        {NNF_F32, {0, {0}}},
        {NNF_F32, {1, {5}}},
        {NNF_F32, {1, {4}}},
        {NNF_F32, {3, {4, 1, 1}}},
        {NNF_F32, {3, {1, 1, 5}}},
        {NNF_F32, {4, {1, 4, 6, 5}}},
        {NNF_F32, {4, {2, 1, 1, 1}}},
        {NNF_F32, {4, {3, 1, 1, 1}}},
        {NNF_F32, {3, {0, 1, 1}}},
        {NNF_F32, {5, {1, 1, 1, 1, 1}}},
        {NNF_F32, {5, {2, 1, 4, 1, 1}}},
        {NNF_F32, {3, {3, 1, 1}}},
        {NNF_F32, {3, {4, 2, 1}}},
        {NNF_F64, {3, {4, 1, 1}}},
        {NNF_I32, {3, {4, 1, 1}}},
        {NNF_F16, {0, {0}}},
        {NNF_F32, {8, {1, 1, 1, 1, 1, 1, 1, 1}}},
    };
    const int64_t images[][4] = {{2, 3, 6, 5}, {1, 3, 6, 5}, {1, 3, 1, 5}};
    for (size_t i = 0; i < 3 * sizeof slopes / sizeof *slopes; i++) {
        const shape *of = &slopes[i / 3].shape;
        uint64_t seed = i;
        nnf_module *children[2] = {new_conv(2, false, 3, 4, 1), prelu_of(0, NULL, &seed)}, *fused;
        nnf_conv_options *options = nnf_module_mut_options(children[0]);
        for (int k = 0; k < 2; k++)
            options->padding_begin[k] = options->padding_end[k] = 1;
        nnf_tensor *slope, *x = random_tensor(NNF_F32, 4, images[i % 3], -1, 1, i), *y[2];
        assert_ok(nnf_tensor_new(&slope, slopes[i / 3].dtype, of->ndim, of->dims));
        assert_ok(nnf_module_set_parameter(children[1], "weight", slope));
        assert_ok(nnf_fused_new(&fused, "ConvActivation2d", children, 2));
        nnf_module_eval(fused);
        nnf_status status = run_with(fused, NNF_KERNELS_REFERENCE, x, &y[0]);
        if (has_onednn(fused)) {
            assert_int_equal(run_with(fused, NNF_KERNELS_ONEDNN, x, &y[1]), status);
            if (status == NNF_OK) assert_tensors_close(y[1], y[0], 1e-5);
            if (status == NNF_OK) nnf_tensor_release(y[1]);
        }
        if (status == NNF_OK) nnf_tensor_release(y[0]);
        nnf_tensor_release(slope);
        nnf_tensor_release(x);
        nnf_module_release(fused);
        nnf_module_release(children[0]);
        nnf_module_release(children[1]);
    }
}

/* Where two threads meet, an element of a slope of the whole shape is for one of them alone. */
static void a_slope_for_each_element_is_applied_once(void **state) {
    (void)state;
    for (int64_t n = 15; n < 70; n++) {
        uint64_t seed = (uint64_t)n;
        nnf_module *graph = new_graph(), *linear;
        nnf_tensor *x = random_tensor(NNF_F32, 2, (const int64_t[]){1, 8}, -2, -1, seed), *y[2];
        nnf_value value = add_input(graph, 2, (const int64_t[]){1, 8});
        assert_ok(nnf_linear_new(&linear, 8, n, true, NNF_F32));
        fill(linear, seed);
        add_module(graph, "linear", linear);
        add_module(graph, "prelu", prelu_of(1, &n, &seed));
        value = call(graph, "prelu", call(graph, "linear", value));
        assert_ok(nnf_graph_add_output(graph, value));
        nnf_module_eval(graph);
        for (int fused = 0; fused < 2 && has_onednn(graph); fused++) {
            if (fused) assert_ok(nnf_fuse(graph, NULL, NULL));
            assert_ok(run_with(graph, NNF_KERNELS_REFERENCE, x, &y[0]));
            assert_ok(run_with(graph, NNF_KERNELS_ONEDNN, x, &y[1]));
            assert_tensors_close(y[1], y[0], 1e-5);
            nnf_tensor_release(y[0]);
            nnf_tensor_release(y[1]);
        }
        nnf_tensor_release(x);
        nnf_module_release(graph);
    }
}

TEST_MAIN(cmocka_unit_test(pytorchs_export_fuses_and_computes_the_same),
          cmocka_unit_test(a_file_in_which_nothing_was_folded_stays_as_it_was),
          cmocka_unit_test(a_changed_slope_is_written),
          cmocka_unit_test(modules_in_a_row_fuse_by_name),
          cmocka_unit_test(a_prelu_that_is_called_twice_stays),
          cmocka_unit_test(any_slope_runs_or_is_refused),
          cmocka_unit_test(a_slope_for_each_element_is_applied_once))
