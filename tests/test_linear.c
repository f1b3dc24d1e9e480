/* Linear, Gemm and MatMul against PyTorch. */
#include "window_support.h"

static void linear_is_pytorchs(void **state) {
    (void)state;
    static const char *const names[] = {"rank1", "rank2", "rank4", "empty", "long"};
    golden *file = golden_open("linear");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int wide = 0; wide < 2; wide++) {
            char values[64];
            nnf_module *linear = NULL;
            snprintf(values, sizeof values, "%s.%s", names[i], wide ? "f64" : "f32");
            assert_ok(nnf_linear_new(&linear, strcmp(names[i], "long") ? 7 : 300, 5, true,
                                     wide ? NNF_F64 : NNF_F32));
            set_golden(linear, file, values, "weight");
            set_golden(linear, file, values, "bias");
            check_x_to_y(file, values, linear, wide ? 1e-14 : 1e-6);
        }
    golden_close(file);
}

static void matmul_follows_numpys_rules(void **state) {
    (void)state;
    static const char *const names[] = {"2x2", "1x1", "1x2", "2x1",   "3x2",    "3x3",  "cross",
                                        "2x3", "1x3", "3x1", "empty", "no_sum", "inner"};
    golden *file = golden_open("linear");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        nnf_module *matmul = NULL;
        snprintf(name, sizeof name, "matmul.%s", names[i]);
        assert_ok(nnf_matmul_new(&matmul));
        check_case(file, name, matmul, 1e-6);
    }
    golden_close(file);
}

static void gemm_broadcasts_its_bias(void **state) {
    (void)state;
    static const char *const names[] = {"none", "row", "rows", "column", "full", "scalar"};
    golden *file = golden_open("linear");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int form = 0; form < 8; form++) {
            char name[64];
            nnf_gemm_options options = {.alpha = form & 4 ? 1.0 : 0.5,
                                        .beta = form & 4 ? 1.0 : 2.0,
                                        .trans_a = (form & 2) != 0,
                                        .trans_b = form & 1};
            snprintf(name, sizeof name, "gemm.%s.%d%d.%d", names[i], options.trans_a,
                     options.trans_b, options.alpha == 1.0);
            check_case(file, name, new_module("Gemm", &options), 1e-6);
        }
    golden_close(file);
}

static void wrong_shapes_are_named(void **state) {
    (void)state;
    nnf_module *linear = NULL, *matmul = NULL;
    assert_error(nnf_linear_new(&linear, 0, 3, true, NNF_F32), NNF_ERROR_INVALID,
                 "in_features = 0");
    assert_ok(nnf_linear_new(&linear, 4, 3, true, NNF_F32));
    assert_error(INFER_STATUS(linear, 1, INFO(NNF_F32, D(2), D(5))), NNF_ERROR_SHAPE, "4 features",
                 "[2, 5]");
    assert_ok(nnf_matmul_new(&matmul));
    assert_error(INFER_STATUS(matmul, 2, INFO(NNF_F32, D(2), D(5)), INFO(NNF_F32, D(4), D(3))),
                 NNF_ERROR_SHAPE, "[2, 5]", "[4, 3]");
    assert_error(INFER_STATUS(matmul, 1, INFO(NNF_F32, D(2), D(5))), NNF_ERROR_INVALID,
                 "one operand");
    nnf_gemm_options options = {.alpha = 1, .beta = 1};
    nnf_module *gemm = new_module("Gemm", &options);
    assert_error(INFER_STATUS(gemm, 3, INFO(NNF_F32, D(2), D(5)), INFO(NNF_F32, D(5), D(3)),
                              INFO(NNF_F32, D(4))),
                 NNF_ERROR_SHAPE, "bias", "[4]", "[2, 3]");
    nnf_module_release(linear);
    nnf_module_release(matmul);
    nnf_module_release(gemm);
}

static void symbols_pass_through(void **state) {
    (void)state;
    nnf_module *linear = NULL, *matmul = NULL;
    assert_ok(nnf_linear_new(&linear, 4, 3, true, NNF_F32));
    CHECK_INFER(linear, "float32 [s1, s2, 3]", INFO(NNF_F32, SYM(1), SYM(2), D(4)));
    assert_ok(nnf_matmul_new(&matmul));
    CHECK_INFER(matmul, "float32 [s1, s2, 3]", INFO(NNF_F32, SYM(1), SYM(2), D(4)),
                INFO(NNF_F32, D(4), D(3)));
    CHECK_INFER(matmul, "float32 ?", of_any_rank(NNF_F32), INFO(NNF_F32, D(4), D(3)));
    nnf_module_release(linear);
    nnf_module_release(matmul);
}

static void linear_maps_of_all_three(void **state) {
    (void)state;
    nnf_module *linear = NULL, *matmul = NULL;
    nnf_linear_map map;
    assert_ok(nnf_linear_new(&linear, 4, 3, true, NNF_F32));
    assert_ok(nnf_module_get_type(linear)->linear_map(linear, &map));
    assert_int_equal(map.out_channels, 3);
    assert_int_equal(map.in_channels, 4);
    assert_false(map.transposed);
    assert_int_equal(map.channel_axis, -1);
    assert_ok(nnf_matmul_new(&matmul));
    assert_error(nnf_module_get_type(matmul)->linear_map(matmul, &map), NNF_ERROR_NOT_FUSABLE,
                 "not a constant");
    assert_ok(nnf_module_set_parameter(matmul, "weight", nnf_module_tensor(linear, "weight")));
    assert_ok(nnf_module_get_type(matmul)->linear_map(matmul, &map));
    assert_int_equal(map.out_channels, 4);
    assert_int_equal(map.in_channels, 3);
    assert_true(map.transposed);
    assert_null(map.bias);
    nnf_gemm_options options = {.alpha = 2, .beta = 1, .trans_b = true};
    nnf_module *gemm = new_module("Gemm", &options);
    assert_ok(nnf_module_set_parameter(gemm, "weight", nnf_module_tensor(linear, "weight")));
    assert_error(nnf_module_get_type(gemm)->linear_map(gemm, &map), NNF_ERROR_NOT_FUSABLE,
                 "alpha 2");
    ((nnf_gemm_options *)nnf_module_mut_options(gemm))->alpha = 1;
    assert_ok(nnf_module_get_type(gemm)->linear_map(gemm, &map));
    assert_int_equal(map.out_channels, 3);
    assert_false(map.transposed);
    nnf_module_release(linear);
    nnf_module_release(matmul);
    nnf_module_release(gemm);
}

TEST_MAIN(cmocka_unit_test(linear_is_pytorchs), cmocka_unit_test(matmul_follows_numpys_rules),
          cmocka_unit_test(gemm_broadcasts_its_bias), cmocka_unit_test(wrong_shapes_are_named),
          cmocka_unit_test(symbols_pass_through), cmocka_unit_test(linear_maps_of_all_three))
