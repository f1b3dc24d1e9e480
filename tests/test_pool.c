/* Pools against PyTorch, and ONNX Runtime for auto_pad, uneven padding and storage_order. */
#include "window_support.h"

static nnf_module *golden_pool(const golden *file, const char *name) {
    int64_t numbers[22];
    const int64_t *at = numbers + 2;
    assert_int_equal(golden_integers(file, numbers, 22, "%s.options", name), 22);
    nnf_pool_options options = {.spatial = (int)numbers[0],
                                .average = numbers[1] != 0,
                                .auto_pad = (nnf_auto_pad)numbers[17],
                                .ceil_mode = numbers[18] != 0,
                                .count_include_pad = numbers[19] != 0,
                                .drop_last_outside = numbers[20] != 0,
                                .column_major = numbers[21] != 0};
    take3(options.kernel_size, &at);
    take3(options.stride, &at);
    take3(options.dilation, &at);
    take3(options.padding_begin, &at);
    take3(options.padding_end, &at);
    nnf_module *pool = NULL;
    assert_ok(nnf_pool_new(&pool, &options));
    return pool;
}

static void check_pool(const golden *file, const char *name) {
    check_x_to_y(file, name, golden_pool(file, name), 1e-6);
    if (!golden_has(file, "%s.indices", name)) return;
    nnf_module *pool = golden_pool(file, name);
    nnf_tensor *x = golden_tensor(file, "%s.x", name), *y[2] = {NULL, NULL};
    nnf_tensor *indices = golden_tensor(file, "%s.indices", name);
    assert_ok(nnf_module_forward(pool, &x, 1, y, 2));
    assert_tensors_close(y[1], indices, 0);
    nnf_tensor_release(x);
    nnf_tensor_release(y[0]);
    nnf_tensor_release(y[1]);
    nnf_tensor_release(indices);
    nnf_module_release(pool);
}

static void max_pool_is_pytorchs_with_its_indices(void **state) {
    (void)state;
    static const char *const kinds[] = {"plain", "padded", "dilated"};
    golden *file = golden_open("pool");
    for (int n = 1; n <= 3; n++)
        for (int form = 0; form < 6; form++) {
            char name[64];
            snprintf(name, sizeof name, "max%d.%s%d", n, kinds[form / 2], form % 2);
            check_pool(file, name);
        }
    check_pool(file, "max2.nan");
    golden_close(file);
}

static void average_pool_is_pytorchs(void **state) {
    (void)state;
    golden *file = golden_open("pool");
    for (int n = 1; n <= 3; n++)
        for (int form = 0; form < 8; form++) {
            char name[64];
            snprintf(name, sizeof name, "mean%d.%s%d%d", n, form & 4 ? "wide" : "plain",
                     form >> 1 & 1, form & 1);
            check_pool(file, name);
        }
    golden_close(file);
}

static void onnx_options_are_onnx_runtimes(void **state) {
    (void)state;
    static const char *const kinds[] = {"plain", "uneven", "end", "upper", "lower", "valid"};
    golden *file = golden_open("onnx_windows");
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int form = 0; form < 8; form++) {
            char name[64];
            snprintf(name, sizeof name, "pool.%s.%s%d%d", form & 4 ? "MaxPool" : "AveragePool",
                     kinds[kind], form >> 1 & 1, form & 1);
            check_pool(file, name);
        }
    check_pool(file, "pool.column3");
    golden_close(file);
}

static void adaptive_pool_is_pytorchs(void **state) {
    (void)state;
    static const char *const kinds[] = {"uneven", "one", "larger", "kept"};
    golden *file = golden_open("pool");
    for (int n = 1; n <= 3; n++)
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
            char name[64];
            int64_t sizes[3];
            nnf_module *pool = NULL;
            snprintf(name, sizeof name, "adaptive%d.%s", n, kinds[kind]);
            golden_integers(file, sizes, 3, "%s.size", name);
            assert_ok(nnf_adaptive_avgpool_new(&pool, n, sizes));
            check_x_to_y(file, name, pool, 1e-6);
        }
    golden_close(file);
}

static void global_pools_are_means_and_maxima(void **state) {
    (void)state;
    golden *file = golden_open("pool");
    for (int n = 1; n <= 3; n++)
        for (int average = 0; average < 2; average++) {
            nnf_module *pool = NULL;
            nnf_tensor *x = golden_tensor(file, "global%d.x", n), *y = NULL;
            nnf_tensor *expected = golden_tensor(file, "global%d.%s", n, average ? "mean" : "max");
            assert_ok(nnf_global_pool_new(&pool, average));
            assert_ok(nnf_module_forward(pool, &x, 1, &y, 1));
            assert_tensors_close(y, expected, 1e-6);
            nnf_tensor_release(x);
            nnf_tensor_release(y);
            nnf_tensor_release(expected);
            nnf_module_release(pool);
        }
    golden_close(file);
}

static void sixteen_bit_floats_are_widened_and_rounded_once(void **state) {
    (void)state;
    const uint16_t in[4] = {nnf_f16_from_f64(1), nnf_f16_from_f64(2), nnf_f16_from_f64(4),
                            nnf_f16_from_f64(2049.0)};
    const uint16_t out[2] = {nnf_f16_from_f64(1.5), nnf_f16_from_f64(1026)};
    nnf_pool_options options = nnf_pool_options_default(1, true, 2);
    nnf_tensor *x = NULL, *expected = NULL, *y = NULL;
    nnf_module *pool = NULL;
    assert_ok(nnf_tensor_from_data(&x, NNF_F16, 3, (int64_t[]){1, 1, 4}, in));
    assert_ok(nnf_tensor_from_data(&expected, NNF_F16, 3, (int64_t[]){1, 1, 2}, out));
    assert_ok(nnf_pool_new(&pool, &options));
    assert_ok(nnf_module_forward(pool, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 0);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(pool);
}

static void shapes_are_inferred_as_far_as_they_are_known(void **state) {
    (void)state;
    nnf_pool_options options = nnf_pool_options_default(2, false, 3);
    options.stride[0] = options.stride[1] = 1;
    options.padding_begin[0] = options.padding_end[0] = 1;
    nnf_module *pool = NULL, *global = NULL, *adaptive = NULL;
    assert_ok(nnf_pool_new(&pool, &options));
    assert_ok(nnf_global_pool_new(&global, true));
    assert_ok(nnf_adaptive_avgpool_new(&adaptive, 2, (int64_t[]){-1, 7}));
    CHECK_INFER(pool, "float32 [s1, 3, s2, ?]", INFO(NNF_F32, SYM(1), D(3), SYM(2), SYM(3)));
    CHECK_INFER(global, "float32 [s1, 3, 1, 1]", INFO(NNF_F32, SYM(1), D(3), SYM(2), UNKNOWN));
    CHECK_INFER(adaptive, "float32 [s1, 3, s2, 7]", INFO(NNF_F32, SYM(1), D(3), SYM(2), UNKNOWN));
    CHECK_INFER(pool, "float32 ?", of_any_rank(NNF_F32));
    nnf_module_release(pool);
    nnf_module_release(global);
    nnf_module_release(adaptive);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    nnf_pool_options options = nnf_pool_options_default(2, false, 3);
    nnf_module *pool = NULL;
    options.padding_end[1] = 3;
    assert_error(nnf_pool_new(&pool, &options), NNF_ERROR_INVALID, "padding 0 and 3",
                 "kernel_size is 3");
    options.padding_end[1] = 0;
    options.stride[0] = 0;
    assert_error(nnf_pool_new(&pool, &options), NNF_ERROR_INVALID, "stride[0] = 0");
    options.stride[0] = 1;
    assert_ok(nnf_pool_new(&pool, &options));
    assert_error(INFER_STATUS(pool, 1, INFO(NNF_F32, D(1), D(1), D(2), D(9))), NNF_ERROR_SHAPE,
                 "MaxPool2d", "window of 3");
    assert_error(INFER_STATUS(pool, 1, INFO(NNF_F32, D(1), D(1))), NNF_ERROR_SHAPE, "rank 4");
    nnf_module_release(pool);
    assert_error(nnf_adaptive_avgpool_new(&pool, 4, (int64_t[]){1, 1, 1, 1}), NNF_ERROR_INVALID,
                 "spatial = 4");
    assert_ok(nnf_global_pool_new(&pool, true));
    assert_error(INFER_STATUS(pool, 1, INFO(NNF_F32, D(1), D(1), D(0))), NNF_ERROR_SHAPE, "empty");
    nnf_module_release(pool);
}

TEST_MAIN(cmocka_unit_test(max_pool_is_pytorchs_with_its_indices),
          cmocka_unit_test(average_pool_is_pytorchs),
          cmocka_unit_test(onnx_options_are_onnx_runtimes),
          cmocka_unit_test(adaptive_pool_is_pytorchs),
          cmocka_unit_test(global_pools_are_means_and_maxima),
          cmocka_unit_test(sixteen_bit_floats_are_widened_and_rounded_once),
          cmocka_unit_test(shapes_are_inferred_as_far_as_they_are_known),
          cmocka_unit_test(what_cannot_be_is_refused))
