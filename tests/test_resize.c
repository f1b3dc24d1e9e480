/* Resize to sizes that cannot be. Values are tested by test_operators. */
#include <math.h>

#include "layer_support.h"

static nnf_module *resize(nnf_resize_policy policy) {
    return new_module(
        "Resize",
        &(nnf_resize_options){.policy = policy, .n_axes = -1, .n_scales = -1, .cubic_a = -0.75});
}

static nnf_module *resize_by(double scale) {
    return new_module(
        "Resize",
        &(nnf_resize_options){.n_axes = -1, .n_scales = 2, .scales = {scale, 1}, .cubic_a = -0.75});
}

/* Roi and scales are not given. */
static nnf_status sizes_status(const nnf_module *module, nnf_type_info *x, nnf_type_info *sizes) {
    const nnf_type_info *inputs[4] = {x, NULL, NULL, sizes};
    nnf_type_info out = nothing_known();
    nnf_status status = nnf_module_get_type(module)->infer(module, inputs, 4, &out, 1);
    nnf_type_info_clear(x);
    nnf_type_info_clear(sizes);
    nnf_type_info_clear(&out);
    return status;
}
#define SIZES_STATUS(module, x, sizes) \
    sizes_status((module), &(nnf_type_info[]){x}[0], &(nnf_type_info[]){sizes}[0])

static const nnf_resize_policy policies[] = {NNF_RESIZE_STRETCH, NNF_RESIZE_NOT_LARGER,
                                             NNF_RESIZE_NOT_SMALLER};

static void nothing_is_made_of_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        nnf_module *module = resize(policies[i]);
        assert_error(SIZES_STATUS(module, INFO(NNF_F32, D(0), D(3)), VALUES(D(5), D(5))),
                     NNF_ERROR_SHAPE, "5 elements along axis 0, which has none");
        assert_ok(SIZES_STATUS(module, INFO(NNF_F32, D(0), D(3)), VALUES(D(0), D(5))));
        assert_ok(SIZES_STATUS(module, INFO(NNF_F32, D(0), D(0)), VALUES(D(0), D(0))));
        assert_ok(SIZES_STATUS(module, INFO(NNF_F32, SYM(1), D(3)), VALUES(D(4), D(5))));
        nnf_module_release(module);
    }
}

static void sizes_have_a_bound(void **state) {
    (void)state;
    const int64_t large = (int64_t)1 << 62;
    for (size_t i = 0; i < 3; i++) {
        nnf_module *module = resize(policies[i]);
        assert_error(SIZES_STATUS(module, INFO(NNF_F32, D(3), D(3)), VALUES(D(large), D(5))),
                     NNF_ERROR_SHAPE, "4.61168601842739e+18 elements along axis 0");
        assert_error(SIZES_STATUS(module, INFO(NNF_F32, D(3), D(3)), VALUES(D(-1), D(5))),
                     NNF_ERROR_SHAPE, "-1 elements along axis 0");
        nnf_module_release(module);
    }
    nnf_module *larger = resize(NNF_RESIZE_NOT_SMALLER);
    assert_error(
        SIZES_STATUS(larger, INFO(NNF_F32, D(1), D(large)), VALUES(D(1 << 30), D(1 << 30))),
        NNF_ERROR_SHAPE, "elements along axis 1");
    nnf_module_release(larger);
}

static void scales_have_a_bound(void **state) {
    (void)state;
    static const double scales[] = {INFINITY, NAN, 0, -1, 0x1p41};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        nnf_module *module = resize_by(scales[i]);
        assert_error(INFER_STATUS(module, 1, INFO(NNF_F32, D(3), D(3))), NNF_ERROR_SHAPE, "axis 0");
        nnf_module_release(module);
    }
    nnf_module *of_nothing = resize_by(INFINITY);
    assert_error(INFER_STATUS(of_nothing, 1, INFO(NNF_F32, D(0), D(3))), NNF_ERROR_SHAPE,
                 "scale inf");
    nnf_module_release(of_nothing);
}

/* By the rule of ONNX: round(scale * size), the smallest of the axes' scales. */
static void a_policy_passes_over_axes_without_elements(void **state) {
    (void)state;
    nnf_module *module = resize(NNF_RESIZE_NOT_LARGER);
    const int64_t n = 3;
    nnf_tensor *x = floats(3, (const int64_t[]){0, 4, 6}, (const float[]){0}), *y = NULL;
    nnf_tensor *sizes = NULL, *inputs[4] = {x, NULL, NULL, NULL};
    assert_ok(nnf_tensor_from_data(&sizes, NNF_I64, 1, &n, (const int64_t[]){0, 8, 9}));
    inputs[3] = sizes;
    assert_ok(nnf_module_forward(module, inputs, 4, &y, 1));
    assert_int_equal(nnf_tensor_shape(y)[0], 0);
    assert_int_equal(nnf_tensor_shape(y)[1], 6);
    assert_int_equal(nnf_tensor_shape(y)[2], 9);
    nnf_tensor_release(x);
    nnf_tensor_release(sizes);
    nnf_tensor_release(y);
    nnf_module_release(module);
}

/* 49 * (1 / 49) is not 1. ONNX: the middle of the roi, or element 0. */
static void an_output_of_one_element_is_known_by_its_size(void **state) {
    (void)state;
    static const struct {
        nnf_resize_coordinates coordinates;
        float expected;
    } rows[] = {
        {NNF_RESIZE_CROP, 24}, {NNF_RESIZE_PYTORCH_HALF_PIXEL, 0}, {NNF_RESIZE_ALIGN_CORNERS, 0}};
    const int64_t n = 49, one = 1, none = 0, two = 2;
    float numbers[49];
    for (int i = 0; i < 49; i++)
        numbers[i] = (float)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nnf_module *module =
            new_module("Resize", &(nnf_resize_options){.mode = NNF_RESIZE_LINEAR,
                                                       .coordinates = rows[i].coordinates,
                                                       .n_axes = -1,
                                                       .n_scales = -1});
        nnf_tensor *inputs[4] = {floats(1, &n, numbers), floats(1, &two, (const float[]){0, 1}),
                                 floats(1, &none, numbers), NULL},
                   *y;
        const void *data;
        assert_ok(nnf_tensor_from_data(&inputs[3], NNF_I64, 1, &one, &one));
        assert_ok(nnf_module_forward(module, inputs, 4, &y, 1));
        assert_ok(nnf_tensor_data(y, &data));
        assert_true(*(const float *)data == rows[i].expected);
        for (int k = 0; k < 4; k++)
            nnf_tensor_release(inputs[k]);
        nnf_tensor_release(y);
        nnf_module_release(module);
    }
}

static void a_roi_of_nan_reads_nothing_outside(void **state) {
    (void)state;
    const int64_t n = 5, two = 2, three = 3, none = 0, one = 1;
    nnf_module *module = new_module(
        "Resize",
        &(nnf_resize_options){.coordinates = NNF_RESIZE_CROP, .n_axes = -1, .n_scales = -1});
    nnf_tensor *inputs[4] = {floats(1, &n, (const float[]){1, 2, 3, 4, 5}),
                             floats(1, &two, (const float[]){NAN, INFINITY}),
                             floats(1, &none, (const float[]){0}), NULL},
               *y;
    assert_ok(nnf_tensor_from_data(&inputs[3], NNF_I64, 1, &one, &three));
    assert_ok(nnf_module_forward(module, inputs, 4, &y, 1));
    for (int k = 0; k < 4; k++)
        nnf_tensor_release(inputs[k]);
    nnf_tensor_release(y);
    nnf_module_release(module);
}

TEST_MAIN(cmocka_unit_test(an_output_of_one_element_is_known_by_its_size),
          cmocka_unit_test(a_roi_of_nan_reads_nothing_outside),
          cmocka_unit_test(nothing_is_made_of_nothing), cmocka_unit_test(sizes_have_a_bound),
          cmocka_unit_test(scales_have_a_bound),
          cmocka_unit_test(a_policy_passes_over_axes_without_elements))
