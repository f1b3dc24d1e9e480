/* BatchNorm1d/2d/3d in both modes against PyTorch, ONNX's training_mode, and the affine map. */
#include <math.h>

#include "layer_support.h"

static const char *const tensors[] = {"weight", "bias", "running_mean", "running_var",
                                      "num_batches_tracked"};

/* The layer as PyTorch had it before the case ran. */
static nnf_module *golden_norm(const golden *file, const char *name, int spatial, nnf_dtype dtype) {
    nnf_batchnorm_options options = nnf_batchnorm_options_default(spatial, 3);
    double momentum;
    nnf_module *norm = NULL;
    golden_numbers(file, &momentum, 1, "%s.momentum", name);
    options.cumulative = momentum < 0;
    options.momentum = momentum;
    options.affine = golden_has(file, "%s.weight", name);
    options.track_running_stats = golden_has(file, "%s.running_mean", name);
    assert_ok(nnf_batchnorm_new(&norm, &options, dtype));
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        if (!golden_has(file, "%s.%s", name, tensors[i])) continue;
        nnf_tensor *tensor = golden_tensor(file, "%s.%s", name, tensors[i]);
        assert_ok(i < 2 ? nnf_module_set_parameter(norm, tensors[i], tensor)
                        : nnf_module_set_buffer(norm, tensors[i], tensor));
        nnf_tensor_release(tensor);
    }
    return norm;
}

static void check_norm(const char *kind, bool training, int runs, nnf_dtype dtype,
                       double tolerance) {
    static const char *const shapes[] = {"1d", "1d_length", "2d", "3d"};
    golden *file = golden_open("batchnorm");
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", shapes[i], kind);
        print_message("%s\n", name);
        nnf_module *norm = golden_norm(file, name, shapes[i][0] - '0', dtype);
        nnf_tensor *x = golden_tensor(file, "%s.x", name), *y = NULL;
        nnf_tensor *expected = golden_tensor(file, "%s.y", name);
        nnf_module_train(norm, training);
        for (int run = 0; run < runs; run++) {
            if (y) nnf_tensor_release(y);
            y = NULL;
            assert_ok(nnf_module_forward(norm, &x, 1, &y, 1));
        }
        assert_tensors_close(y, expected, tolerance);
        for (size_t t = 2; t < sizeof tensors / sizeof *tensors; t++) {
            if (!golden_has(file, "%s.after.%s", name, tensors[t])) continue;
            nnf_tensor *after = golden_tensor(file, "%s.after.%s", name, tensors[t]);
            assert_tensors_close(nnf_module_tensor(norm, tensors[t]), after, tolerance);
            nnf_tensor_release(after);
        }
        nnf_tensor_release(x);
        nnf_tensor_release(y);
        nnf_tensor_release(expected);
        nnf_module_release(norm);
    }
    golden_close(file);
}

static void eval_mode_uses_the_running_statistics(void **state) {
    (void)state;
    check_norm("eval", false, 1, NNF_F32, 1e-6);
    check_norm("no_affine", false, 1, NNF_F32, 1e-6);
}
static void training_mode_uses_and_tracks_the_batchs(void **state) {
    (void)state;
    check_norm("train", true, 2, NNF_F32, 2e-6);
    check_norm("f64", true, 1, NNF_F64, 1e-13);
}
static void momentum_none_is_a_cumulative_average(void **state) {
    (void)state;
    check_norm("cumulative", true, 3, NNF_F32, 2e-6);
}
static void without_tracking_eval_uses_the_batchs_statistics(void **state) {
    (void)state;
    check_norm("no_track", false, 1, NNF_F32, 2e-6);
}

static void onnx_training_mode_gives_the_running_statistics(void **state) {
    (void)state;
    golden *file = golden_open("onnx_windows");
    nnf_batchnorm_options options = nnf_batchnorm_options_default(1, 2);
    options.training_mode = true;
    options.momentum = 1 - 0.8;
    options.eps = 1e-3;
    nnf_module *norm = new_module("BatchNorm1d", &options);
    nnf_tensor *inputs[5], *outputs[3] = {NULL};
    for (int i = 0; i < 5; i++)
        inputs[i] = golden_tensor(file, "norm.in%d", i);
    assert_ok(nnf_module_forward(norm, inputs, 5, outputs, 3));
    for (int i = 0; i < 3; i++) {
        nnf_tensor *expected = golden_tensor(file, "norm.out%d", i);
        assert_tensors_close(outputs[i], expected, 1e-6);
        nnf_tensor_release(expected);
        nnf_tensor_release(outputs[i]);
    }
    for (int i = 0; i < 5; i++)
        nnf_tensor_release(inputs[i]);
    nnf_module_release(norm);
    golden_close(file);
}

static void one_value_per_channel_has_no_variance(void **state) {
    (void)state;
    nnf_module *norm = NULL;
    nnf_batchnorm_options options = nnf_batchnorm_options_default(1, 3);
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    assert_error(INFER_STATUS(norm, 1, INFO(NNF_F32, D(1), D(3))), NNF_ERROR_SHAPE,
                 "expected more than 1 value per channel when training", "[1, 3]");
    nnf_module_eval(norm);
    CHECK_INFER(norm, "float32 [1, 3]", INFO(NNF_F32, D(1), D(3)));
    CHECK_INFER(norm, "float32 [s1, 3, s2]", INFO(NNF_F32, SYM(1), UNKNOWN, SYM(2)));
    nnf_module_release(norm);
}

static void wrong_inputs_and_options_are_named(void **state) {
    (void)state;
    nnf_module *norm = NULL;
    nnf_batchnorm_options options = nnf_batchnorm_options_default(2, 0);
    assert_error(nnf_batchnorm_new(&norm, &options, NNF_F32), NNF_ERROR_INVALID,
                 "num_features = 0");
    options.num_features = 3;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    assert_error(INFER_STATUS(norm, 1, INFO(NNF_F32, D(2), D(3))), NNF_ERROR_SHAPE, "BatchNorm2d",
                 "rank 4", "[2, 3]");
    assert_error(INFER_STATUS(norm, 1, INFO(NNF_F32, D(2), D(4), D(1), D(2))), NNF_ERROR_SHAPE,
                 "3 channels", "input has 4");
    nnf_module_release(norm);
}

static void its_affine_map_is_its_tensors(void **state) {
    (void)state;
    nnf_batchnorm_options options = nnf_batchnorm_options_default(2, 3);
    nnf_module *norm = NULL;
    nnf_affine_map map;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    assert_ok(nnf_module_get_type(norm)->affine_map(norm, &map));
    assert_int_equal(map.channels, 3);
    assert_ptr_equal(map.weight, nnf_module_tensor(norm, "weight"));
    assert_ptr_equal(map.bias, nnf_module_tensor(norm, "bias"));
    assert_ptr_equal(map.mean, nnf_module_tensor(norm, "running_mean"));
    assert_ptr_equal(map.var, nnf_module_tensor(norm, "running_var"));
    assert_true(map.eps == 1e-5);
    nnf_affine_map_clear(&map);
    nnf_module_release(norm);
}

static void no_affine_map_where_there_is_none(void **state) {
    (void)state;
    nnf_batchnorm_options options = nnf_batchnorm_options_default(2, 2);
    nnf_module *norm = NULL;
    nnf_affine_map map;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    assert_ok(nnf_module_set_buffer(norm, "running_var", NULL));
    assert_error(nnf_module_get_type(norm)->affine_map(norm, &map), NNF_ERROR_NOT_FUSABLE,
                 "has no running statistics");
    nnf_module_release(norm);
}

/* Every other element of a longer tensor: what stands between them is somebody else's. */
static void running_statistics_may_be_views(void **state) {
    (void)state;
    nnf_batchnorm_options options = nnf_batchnorm_options_default(1, 2);
    nnf_module *norm = NULL;
    nnf_tensor *all, *view, *x, *y;
    const void *data;
    options.momentum = 0.5;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    assert_ok(nnf_tensor_from_data(&all, NNF_F32, 1, (const int64_t[]){4},
                                   (const float[]){10, -1, 20, -2}));
    assert_ok(nnf_tensor_view(&view, all, 1, (const int64_t[]){2}, (const int64_t[]){2}, 0));
    nnf_tensor_release(all);
    assert_ok(nnf_module_set_buffer(norm, "running_mean", view));
    assert_ok(
        nnf_tensor_from_data(&x, NNF_F32, 2, (const int64_t[]){2, 2}, (const float[]){1, 5, 3, 7}));
    nnf_module_train(norm, true);
    assert_ok(nnf_module_forward(norm, &x, 1, &y, 1));
    const nnf_tensor *moved = nnf_module_tensor(norm, "running_mean");
    assert_ok(nnf_tensor_data(moved, &data));
    const float *mean = data;
    const int64_t stride = nnf_tensor_strides(moved)[0];
    assert_true(mean[0] == 6.0f && mean[stride] == 13.0f); /* halfway to 2 and to 6 */
    assert_true(stride == 1 || mean[1] == -1.0f);
    nnf_tensor_release(view);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_module_release(norm);
}

TEST_MAIN(cmocka_unit_test(eval_mode_uses_the_running_statistics),
          cmocka_unit_test(training_mode_uses_and_tracks_the_batchs),
          cmocka_unit_test(running_statistics_may_be_views),
          cmocka_unit_test(momentum_none_is_a_cumulative_average),
          cmocka_unit_test(without_tracking_eval_uses_the_batchs_statistics),
          cmocka_unit_test(onnx_training_mode_gives_the_running_statistics),
          cmocka_unit_test(one_value_per_channel_has_no_variance),
          cmocka_unit_test(wrong_inputs_and_options_are_named),
          cmocka_unit_test(its_affine_map_is_its_tensors),
          cmocka_unit_test(no_affine_map_where_there_is_none))
