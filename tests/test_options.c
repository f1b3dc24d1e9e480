/* Options that a program set to what no file can say: refused, where they are read and where they
 * are written. */
#include "graph_support.h"
#include "layer_support.h"
#include "nnfuse/clean.h"
#include "nnfuse/fuse.h"

/* A module whose options say that a list of theirs has `n` entries. */
static nnf_module *with_count(const char *type, int n) {
    const struct {
        const char *type;
        union {
            nnf_axes_options axes;
            nnf_slice_options slice;
            nnf_split_options split;
            nnf_transpose_options transpose;
            nnf_pad_options pad;
            nnf_resize_options resize;
        } as;
    } cases[] = {
        {"Squeeze", {.axes = {.n_axes = n}}},
        {"Unsqueeze", {.axes = {.n_axes = n}}},
        {"ReduceSum", {.axes = {.n_axes = n}}},
        {"Slice", {.slice = {.n = n}}},
        {"Split", {.split = {.n = n}}},
        {"Transpose", {.transpose = {.n = n}}},
        {"Pad", {.pad = {.n = n}}},
        {"Resize", {.resize = {.n_axes = n, .n_scales = 2}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(cases[i].type, type)) return new_module(type, &cases[i].as);
    fail_msg("no %s", type);
    return NULL;
}

static const char *const counted[] = {"Squeeze", "Unsqueeze", "ReduceSum", "Slice",
                                      "Split",   "Transpose", "Pad",       "Resize"};
enum { N_COUNTED = sizeof counted / sizeof *counted };

static void counts_beyond_the_room_are_refused(void **state) {
    (void)state;
    static const int counts[] = {17, 60, 64, 100, INT32_MAX};
    for (size_t i = 0; i < N_COUNTED; i++)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            nnf_module *module = with_count(counted[i], counts[k]);
            assert_int_not_equal(INFER_STATUS(module, 1, INFO(NNF_F32, D(1), D(4))), NNF_OK);
            assert_non_null(strstr(nnf_error_message(), counted[i]));
            nnf_module_release(module);
        }
    nnf_module *pad = with_count("Pad", 64);
    assert_error(INFER_STATUS(pad, 1, INFO(NNF_F32, D(1), D(4))), NNF_ERROR_INVALID,
                 "Pad has 64 entries in its pads", "16 at most");
    nnf_module_release(pad);
}

/* Cleaning and fusing leave such layers alone, and no file is made of them. */
static void nor_are_they_cleaned_fused_or_written(void **state) {
    (void)state;
    for (size_t i = 0; i < N_COUNTED; i++) {
        nnf_module *graph = new_graph();
        nnf_value x = add_input(graph, 2, (const int64_t[]){1, 4});
        add_module(graph, "one", with_count(counted[i], 60));
        add_module(graph, "two", with_count(counted[i], 60));
        x = call(graph, "two", call(graph, "one", x));
        assert_ok(nnf_graph_add_output(graph, x));
        nnf_module_eval(graph);
        (void)nnf_clean(graph, NULL);
        (void)nnf_fuse(graph, NULL, NULL);
        assert_int_equal(nnf_graph_n_calls(graph), 2);
        void *bytes = NULL;
        size_t size;
        nnf_onnx_save_options options = {.opset = 9};
        assert_int_not_equal(nnf_onnx_save_memory(graph, &bytes, &size, &options), NNF_OK);
        assert_null(bytes);
        nnf_module_release(graph);
    }
}

static void a_window_has_three_axes_at_most(void **state) {
    (void)state;
    nnf_conv_options conv = nnf_conv_options_default(2, false, 1, 1, 1);
    nnf_pool_options pool = nnf_pool_options_default(2, true, 2);
    nnf_linear_map map;
    nnf_tensor *weight = NULL;
    conv.spatial = pool.spatial = 6;
    nnf_module *modules[] = {new_module("Conv2d", &conv), new_module("AvgPool2d", &pool)};
    assert_ok(nnf_tensor_new(&weight, NNF_F32, 8, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1}));
    assert_ok(nnf_module_set_parameter(modules[0], "weight", weight));
    assert_error(nnf_module_get_type(modules[0])->linear_map(modules[0], &map), NNF_ERROR_INVALID,
                 "spatial = 6");
    for (int i = 0; i < 2; i++) {
        nnf_module *graph = new_graph();
        void *bytes = NULL;
        size_t size;
        nnf_value x = add_input(graph, 4, (const int64_t[]){1, 1, 4, 4});
        add_module(graph, "window", modules[i]);
        assert_ok(nnf_graph_add_output(graph, call(graph, "window", x)));
        assert_error(nnf_onnx_save_memory(graph, &bytes, &size, NULL), NNF_ERROR_INVALID,
                     "has 6 numbers");
        nnf_module_release(graph);
    }
    nnf_tensor_release(weight);
}

/* Neither the options nor a parametrized weight tell the output's channels. */
static void an_output_that_nothing_tells_of_is_an_error(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(2, false, 0, 0, 0);
    nnf_module *conv = new_module("Conv2d", &options);
    nnf_tensor *weight = floats(4, (const int64_t[]){1, 1, 1, 1}, (const float[]){2}), *y = NULL;
    nnf_tensor *x = floats(4, (const int64_t[]){1, 1, 1, 2}, (const float[]){1, 2});
    assert_ok(nnf_module_set_parameter(conv, "weight", weight));
    assert_ok(nnf_weight_norm(conv, "weight", 0));
    assert_error(nnf_module_forward(conv, &x, 1, &y, 1), NNF_ERROR_SHAPE, "Conv2d",
                 "do not tell what its output number 0 is");
    nnf_tensor_release(x);
    nnf_tensor_release(weight);
    nnf_module_release(conv);
}

TEST_MAIN(cmocka_unit_test(counts_beyond_the_room_are_refused),
          cmocka_unit_test(nor_are_they_cleaned_fused_or_written),
          cmocka_unit_test(a_window_has_three_axes_at_most),
          cmocka_unit_test(an_output_that_nothing_tells_of_is_an_error))
