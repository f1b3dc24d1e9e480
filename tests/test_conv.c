/* Conv1d/2d/3d against PyTorch, and against ONNX Runtime where only ONNX has the option. */
#include "window_support.h"

static void one_two_and_three_dimensions(void **state) {
    (void)state;
    CHECK_CONVS("conv", "1d", "2d", "3d", "no_bias", "unbatched", "deep", "empty_batch");
}
static void groups_and_depthwise(void **state) {
    (void)state;
    CHECK_CONVS("conv", "groups", "depthwise", "multiplier");
}
static void strides_and_dilations(void **state) {
    (void)state;
    CHECK_CONVS("conv", "dilation", "stride_over_kernel", "same", "valid");
}
static void padding_modes(void **state) {
    (void)state;
    CHECK_CONVS("conv", "reflect", "reflect_1d", "replicate", "replicate_1d", "circular",
                "circular_1d");
}

static void auto_pad_and_uneven_padding_are_onnx_runtimes(void **state) {
    (void)state;
    static const char *const names[] = {"conv.SAME_UPPER1", "conv.SAME_UPPER2", "conv.SAME_UPPER3",
                                        "conv.SAME_LOWER1", "conv.SAME_LOWER2", "conv.SAME_LOWER3",
                                        "conv.VALID1",      "conv.VALID2",      "conv.VALID3",
                                        "conv.uneven"};
    golden *file = golden_open("onnx_windows");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_conv(file, names[i], "f32", 2e-6);
    golden_close(file);
}

static void negative_padding_crops(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(1, false, 1, 1, 1);
    options.padding_begin[0] = -1;
    options.padding_end[0] = -2;
    nnf_module *conv = NULL;
    assert_ok(nnf_conv_new(&conv, &options, false, NNF_F32));
    nnf_tensor *w = floats(3, (int64_t[]){1, 1, 1}, (float[]){2});
    nnf_tensor *x = floats(3, (int64_t[]){1, 1, 5}, (float[]){1, 2, 3, 4, 5});
    nnf_tensor *expected = floats(3, (int64_t[]){1, 1, 2}, (float[]){4, 6}), *y = NULL;
    assert_ok(nnf_module_set_parameter(conv, "weight", w));
    assert_ok(nnf_module_forward(conv, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 0);
    nnf_tensor_release(w);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(conv);
}

/* A row with nothing but strides takes channels and kernel size from a weight that is an input. */
static void a_weight_may_be_an_input(void **state) {
    (void)state;
    golden *file = golden_open("conv");
    nnf_conv_options options = nnf_conv_options_default(1, false, 0, 0, 0);
    options.padding_begin[0] = options.padding_end[0] = 1;
    nnf_module *conv = new_module("Conv1d", &options);
    nnf_tensor *inputs[3] = {golden_tensor(file, "1d.f32.x"), golden_tensor(file, "1d.f32.weight"),
                             golden_tensor(file, "1d.f32.bias")};
    nnf_tensor *expected = golden_tensor(file, "1d.f32.y"), *y = NULL;
    assert_ok(nnf_module_forward(conv, inputs, 3, &y, 1));
    assert_tensors_close(y, expected, 1e-6);
    assert_error(nnf_module_forward(conv, inputs, 1, &y, 1), NNF_ERROR_INVALID, "Conv1d",
                 "no weight");
    for (int i = 0; i < 3; i++)
        nnf_tensor_release(inputs[i]);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(conv);
    golden_close(file);
}

static void the_number_of_threads_changes_nothing(void **state) {
    (void)state;
    golden *file = golden_open("conv");
    nnf_conv_options options = golden_conv_options(file, "deep");
    nnf_module *conv = NULL;
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    set_golden(conv, file, "deep.f32", "weight");
    nnf_tensor *x = golden_tensor(file, "deep.f32.x"), *y[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        nnf_session *session = NULL;
        assert_ok(nnf_session_new(&session, conv, &(nnf_session_options){.threads = 1 + 2 * i}));
        assert_ok(nnf_session_run(session, &x, 1, &y[i], 1));
        nnf_session_release(session);
    }
    assert_tensors_close(y[1], y[0], 0);
    nnf_tensor_release(x);
    nnf_tensor_release(y[0]);
    nnf_tensor_release(y[1]);
    nnf_module_release(conv);
    golden_close(file);
}

static nnf_module *conv2d(int64_t padding, int64_t stride) {
    nnf_conv_options options = nnf_conv_options_default(2, false, 3, 8, 3);
    for (int i = 0; i < 2; i++) {
        options.padding_begin[i] = options.padding_end[i] = padding;
        options.stride[i] = stride;
    }
    nnf_module *conv = NULL;
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    return conv;
}

static void shapes_are_inferred_as_far_as_they_are_known(void **state) {
    (void)state;
    nnf_module *conv = conv2d(1, 1), *half = conv2d(1, 2);
    CHECK_INFER(conv, "float32 [s1, 8, s2, 5]", INFO(NNF_F32, SYM(1), D(3), SYM(2), D(5)));
    CHECK_INFER(half, "float32 [s1, 8, ?, 3]", INFO(NNF_F32, SYM(1), UNKNOWN, SYM(2), D(5)));
    CHECK_INFER(conv, "float32 ?", nothing_known());
    nnf_module_release(conv);
    nnf_module_release(half);
}

static void wrong_inputs_are_named(void **state) {
    (void)state;
    nnf_module *conv = conv2d(0, 1);
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(4), D(9), D(9))), NNF_ERROR_SHAPE,
                 "Conv2d", "3 channels", "[1, 4, 9, 9]");
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(3))), NNF_ERROR_SHAPE, "rank 4");
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(3), D(2), D(9))), NNF_ERROR_SHAPE,
                 "window of 3", "input of 2");
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_I64, D(1), D(3), D(9), D(9))), NNF_ERROR_DTYPE,
                 "int64");
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F64, D(1), D(3), D(9), D(9))), NNF_ERROR_DTYPE,
                 "float64", "float32");
    nnf_module_release(conv);
}

static void wrong_options_are_named(void **state) {
    (void)state;
    const nnf_conv_options good = nnf_conv_options_default(2, false, 4, 6, 3);
    nnf_conv_options bad = good;
    nnf_module *conv = NULL;
    bad.groups = 3;
    assert_error(nnf_conv_new(&conv, &bad, true, NNF_F32), NNF_ERROR_INVALID, "in_channels = 4",
                 "3 groups");
    bad = good, bad.stride[1] = 0;
    assert_error(nnf_conv_new(&conv, &bad, true, NNF_F32), NNF_ERROR_INVALID, "stride[1] = 0");
    bad = good, bad.kernel_size[0] = -2;
    assert_error(nnf_conv_new(&conv, &bad, true, NNF_F32), NNF_ERROR_INVALID,
                 "kernel_size[0] = -2");
    bad = good, bad.spatial = 4;
    assert_error(nnf_conv_new(&conv, &bad, true, NNF_F32), NNF_ERROR_INVALID, "spatial = 4");
    bad = good, bad.output_padding[0] = 1;
    assert_error(nnf_conv_new(&conv, &bad, true, NNF_F32), NNF_ERROR_INVALID, "output_padding");
    assert_error(nnf_conv_new(&conv, &good, true, NNF_I32), NNF_ERROR_DTYPE, "int32");
}

static void sizes_that_overflow_are_refused(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(1, false, 1, 1, 3);
    options.dilation[0] = INT64_MAX / 2;
    nnf_module *conv = NULL;
    assert_ok(nnf_conv_new(&conv, &options, false, NNF_F32));
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(1), D(9))), NNF_ERROR_SHAPE,
                 "too large");
    nnf_module_release(conv);
}

static void padding_that_overflows_a_transposed_convolution_is_refused(void **state) {
    (void)state;
    static const int64_t large[] = {INT64_MAX, INT64_MIN, INT64_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        nnf_conv_options options = nnf_conv_options_default(1, true, 1, 1, 3);
        options.padding_begin[0] = options.padding_end[0] = large[i];
        nnf_module *conv = NULL;
        assert_ok(nnf_conv_new(&conv, &options, false, NNF_F32));
        assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(1), D(9))), NNF_ERROR_SHAPE,
                     "too large");
        assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(1), SYM(1))), NNF_ERROR_SHAPE,
                     "too large");
        nnf_module_release(conv);
    }
}

/* As an option, 0 leaves it to the weight; a weight that has a 0 is none. */
static void an_empty_weight_is_refused(void **state) {
    (void)state;
    static const int64_t shapes[][4] = {{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}};
    nnf_tensor *x = floats(4, (const int64_t[]){1, 1, 1, 1}, (const float[]){1}), *y = NULL;
    for (size_t i = 0; i < 8; i++) {
        nnf_conv_options options = nnf_conv_options_default(2, i % 2, 0, 0, 0);
        nnf_module *conv = new_module(i % 2 ? "ConvTranspose2d" : "Conv2d", &options);
        nnf_tensor *weight = floats(4, shapes[i / 2], (const float[]){0});
        assert_ok(nnf_module_set_parameter(conv, "weight", weight));
        assert_error(nnf_module_forward(conv, &x, 1, &y, 1), NNF_ERROR_SHAPE, "the empty weight");
        nnf_tensor_release(weight);
        nnf_module_release(conv);
    }
    nnf_tensor_release(x);
}

static void its_linear_map_names_its_axes(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(2, false, 4, 6, 3);
    options.groups = 2;
    nnf_module *conv = NULL;
    nnf_linear_map map;
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    assert_ok(nnf_module_get_type(conv)->linear_map(conv, &map));
    assert_int_equal(map.out_channels, 6);
    assert_int_equal(map.in_channels, 4);
    assert_int_equal(map.groups, 2);
    assert_false(map.transposed);
    assert_int_equal(map.channel_axis, 1);
    assert_ok(nnf_module_set_parameter(conv, "weight", NULL));
    assert_error(nnf_module_get_type(conv)->linear_map(conv, &map), NNF_ERROR_NOT_FUSABLE,
                 "not a constant");
    nnf_module_release(conv);
}

TEST_MAIN(cmocka_unit_test(one_two_and_three_dimensions), cmocka_unit_test(groups_and_depthwise),
          cmocka_unit_test(strides_and_dilations), cmocka_unit_test(padding_modes),
          cmocka_unit_test(auto_pad_and_uneven_padding_are_onnx_runtimes),
          cmocka_unit_test(negative_padding_crops), cmocka_unit_test(a_weight_may_be_an_input),
          cmocka_unit_test(the_number_of_threads_changes_nothing),
          cmocka_unit_test(shapes_are_inferred_as_far_as_they_are_known),
          cmocka_unit_test(wrong_inputs_are_named), cmocka_unit_test(wrong_options_are_named),
          cmocka_unit_test(sizes_that_overflow_are_refused),
          cmocka_unit_test(padding_that_overflows_a_transposed_convolution_is_refused),
          cmocka_unit_test(an_empty_weight_is_refused),
          cmocka_unit_test(its_linear_map_names_its_axes))
