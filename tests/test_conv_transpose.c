/* ConvTranspose1d/2d/3d against PyTorch, and ONNX Runtime for output_shape and auto_pad. */
#include "window_support.h"

static void one_two_and_three_dimensions(void **state) {
    (void)state;
    CHECK_CONVS("conv_transpose", "1d", "2d", "3d", "unbatched");
}
static void groups_dilation_and_output_padding(void **state) {
    (void)state;
    CHECK_CONVS("conv_transpose", "groups", "depthwise", "dilation", "output_padding");
}

static void output_shape_fixes_the_padding_as_in_onnx_runtime(void **state) {
    (void)state;
    static const char *const pads[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER"};
    golden *file = golden_open("onnx_windows");
    for (size_t i = 0; i < 3; i++)
        for (int size = 6; size <= 10; size++)
            for (int padded = 0; padded < 2; padded++) {
                char name[64];
                snprintf(name, sizeof name, "transpose.%s.%d%s", pads[i], size,
                         padded ? ".padded" : "");
                check_conv(file, name, "f32", 2e-6);
            }
    golden_close(file);
}

static void auto_pad_and_uneven_padding_are_onnx_runtimes(void **state) {
    (void)state;
    golden *file = golden_open("onnx_windows");
    check_conv(file, "transpose.SAME_UPPER", "f32", 2e-6);
    check_conv(file, "transpose.SAME_LOWER", "f32", 2e-6);
    check_conv(file, "transpose.VALID", "f32", 2e-6);
    check_conv(file, "transpose.uneven", "f32", 2e-6);
    golden_close(file);
}

static void shapes_are_inferred_as_far_as_they_are_known(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(1, true, 4, 6, 3);
    options.padding_begin[0] = options.padding_end[0] = 1;
    nnf_module *conv = NULL;
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    CHECK_INFER(conv, "float32 [s1, 6, s2]", INFO(NNF_F32, SYM(1), D(4), SYM(2)));
    nnf_conv_options *changed = nnf_module_mut_options(conv);
    changed->stride[0] = 2;
    CHECK_INFER(conv, "float32 [s1, 6, ?]", INFO(NNF_F32, SYM(1), D(4), SYM(2)));
    changed->output_shape[0] = 14;
    CHECK_INFER(conv, "float32 [s1, 6, 14]", INFO(NNF_F32, SYM(1), D(4), SYM(2)));
    nnf_module_release(conv);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(1, true, 4, 6, 3);
    nnf_module *conv = NULL;
    options.output_padding[0] = 1;
    assert_error(nnf_conv_new(&conv, &options, true, NNF_F32), NNF_ERROR_INVALID,
                 "output_padding[0] = 1", "smaller than the stride 1");
    options.output_padding[0] = 0;
    options.padding_mode = NNF_PADDING_REFLECT;
    assert_error(nnf_conv_new(&conv, &options, true, NNF_F32), NNF_ERROR_INVALID, "padding_mode");
    options.padding_mode = NNF_PADDING_ZEROS;
    options.output_shape[0] = 90;
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(4), D(5))), NNF_ERROR_SHAPE,
                 "output_shape[0] = 90", "reaches only 7");
    nnf_conv_options *changed = nnf_module_mut_options(conv);
    changed->output_shape[0] = 0;
    changed->padding_begin[0] = 9;
    assert_error(INFER_STATUS(conv, 1, INFO(NNF_F32, D(1), D(4), D(5))), NNF_ERROR_SHAPE,
                 "leaves nothing");
    nnf_module_release(conv);
}

static void its_linear_map_has_the_channels_in_the_second_axis(void **state) {
    (void)state;
    nnf_conv_options options = nnf_conv_options_default(2, true, 4, 6, 3);
    options.groups = 2;
    nnf_module *conv = NULL;
    nnf_linear_map map;
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    assert_ok(nnf_module_get_type(conv)->linear_map(conv, &map));
    assert_true(map.transposed);
    assert_int_equal(map.out_channels, 6);
    assert_int_equal(map.in_channels, 4);
    assert_int_equal(map.groups, 2);
    nnf_module_release(conv);
}

TEST_MAIN(cmocka_unit_test(one_two_and_three_dimensions),
          cmocka_unit_test(groups_dilation_and_output_padding),
          cmocka_unit_test(output_shape_fixes_the_padding_as_in_onnx_runtime),
          cmocka_unit_test(auto_pad_and_uneven_padding_are_onnx_runtimes),
          cmocka_unit_test(shapes_are_inferred_as_far_as_they_are_known),
          cmocka_unit_test(what_cannot_be_is_refused),
          cmocka_unit_test(its_linear_map_has_the_channels_in_the_second_axis))
