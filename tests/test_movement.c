/* Transpose, Slice, Concat, Gather, Pad against ONNX Runtime's values; what infer knows of them. */
#include "layer_support.h"

static nnf_module *slice(void) {
    return new_module("Slice", &(nnf_slice_options){.n = -1});
}

static void slices_of_every_kind(void **state) {
    (void)state;
    static const char *const cases[] = {"plain", "negative", "backwards", "backwards2",
                                        "steps", "empty",    "beyond",    "i32"};
    golden *file = golden_open("movement");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        snprintf(name, sizeof name, "slice.%s", cases[i]);
        check_case(file, name, slice(), 0);
    }
    nnf_slice_options options = {.n = 2, .starts = {1, -2}, .ends = {4, 100}, .axes = {0, 2}};
    check_case(file, "slice.opset9", new_module("Slice", &options), 0);
    golden_close(file);
}

static void what_a_slice_knows(void **state) {
    (void)state;
    nnf_module *module = slice();
    CHECK_INFER(module, "int64 [2] = 3, s2", VALUES(SYM(1), D(3), SYM(2)), VALUES(D(1)),
                VALUES(D(INT64_MAX)));
    CHECK_INFER(module, "int64 [3] = s2, 3, s1", VALUES(SYM(1), D(3), SYM(2)), VALUES(D(-1)),
                VALUES(D(INT64_MIN)), VALUES(D(0)), VALUES(D(-1)));
    CHECK_INFER(module, "float32 [s1, 2, ?]", INFO(NNF_F32, SYM(1), D(5), SYM(2)),
                VALUES(D(0), D(1), D(2)), VALUES(D(INT64_MAX), D(3), D(4)));
    CHECK_INFER(module, "float32 [?, ?]", INFO(NNF_F32, D(4), D(5)), INFO(NNF_I64, UNKNOWN),
                VALUES(D(1)));
    CHECK_INFER(module, "float32 [?, 5]", INFO(NNF_F32, D(4), D(5)), VALUES(D(1)),
                INFO(NNF_I64, D(1)));
    CHECK_INFER(module, "float32 [0]", INFO(NNF_F32, D(0)), VALUES(D(-1)), VALUES(D(INT64_MIN)),
                VALUES(D(0)), VALUES(D(-1)));
    CHECK_INFER(module, "float32 [1]", INFO(NNF_F32, D(9)), VALUES(D(8)), VALUES(D(INT64_MIN)),
                VALUES(D(0)), VALUES(D(INT64_MIN)));
    CHECK_INFER(module, "float32 ?", of_any_rank(NNF_F32), VALUES(D(1)), VALUES(D(1)));
    nnf_module_release(module);
}

static void slices_that_cannot_be(void **state) {
    (void)state;
    nnf_module *module = slice();
    assert_error(INFER_STATUS(module, 5, INFO(NNF_F32, D(4)), VALUES(D(1)), VALUES(D(2)),
                              VALUES(D(0)), VALUES(D(0))),
                 NNF_ERROR_SHAPE, "step 0");
    assert_error(INFER_STATUS(module, 3, INFO(NNF_F32, D(4)), VALUES(D(1)), VALUES(D(2), D(3))),
                 NNF_ERROR_SHAPE, "1 starts, but 2 entries in its ends");
    assert_error(
        INFER_STATUS(module, 4, INFO(NNF_F32, D(4)), VALUES(D(1)), VALUES(D(2)), VALUES(D(1))),
        NNF_ERROR_SHAPE, "axis 1");
    assert_error(
        INFER_STATUS(module, 3, INFO(NNF_F32, D(4)), VALUES(D(1), D(1)), VALUES(D(2), D(2))),
        NNF_ERROR_SHAPE, "2 starts", "1 dimensions");
    assert_error(INFER_STATUS(module, 1, INFO(NNF_F32, D(4))), NNF_ERROR_INVALID,
                 "not given its starts");
    assert_error(INFER_STATUS(module, 3, INFO(NNF_F32, D(4)), INFO(NNF_F32, D(1)), VALUES(D(1))),
                 NNF_ERROR_DTYPE, "its starts", "float32");
    nnf_module_release(module);
}

static nnf_module *with_axis(const char *type, int64_t axis) {
    return new_module(type, &(nnf_axis_options){axis});
}

static void gathers_rows_and_elements(void **state) {
    (void)state;
    golden *file = golden_open("movement");
    check_case(file, "gather.negative", with_axis("Gather", 1), 0);
    check_case(file, "gather.matrix", with_axis("Gather", 0), 0);
    check_case(file, "gather.scalar", with_axis("Gather", 2), 0);
    check_case(file, "gather.i32", with_axis("Gather", -1), 0);
    golden_close(file);
}

static void gather_knows_elements_and_bounds(void **state) {
    (void)state;
    nnf_module *module = with_axis("Gather", 0);
    CHECK_INFER(module, "int64 [2] = s2, s1", VALUES(SYM(1), D(3), SYM(2)), VALUES(D(-1), D(0)));
    CHECK_INFER(module, "float32 [2, 2, 7]", INFO(NNF_F32, SYM(1), D(7)),
                INFO(NNF_I64, D(2), D(2)));
    CHECK_INFER(module, "float32 ?", INFO(NNF_F32, D(2)), of_any_rank(NNF_I64));
    assert_error(INFER_STATUS(module, 2, VALUES(D(1), D(2)), VALUES(D(2))), NNF_ERROR_INVALID,
                 "index 2 for an axis of size 2");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2)), INFO(NNF_F32, D(2))), NNF_ERROR_DTYPE,
                 "float32");
    nnf_tensor *y = NULL, *inputs[2] = {integers(2, (const int64_t[]){5, 6}),
                                        integers(1, (const int64_t[]){-3})};
    assert_error(nnf_module_forward(module, inputs, 2, &y, 1), NNF_ERROR_INVALID, "index -3");
    nnf_tensor_release(inputs[0]);
    nnf_tensor_release(inputs[1]);
    nnf_module_release(module);
}

static void transposes_every_dtype(void **state) {
    (void)state;
    golden *file = golden_open("movement");
    static const char *const perms[] = {"021", "201", "102", "210"};
    static const char *const dtypes[] = {"u8", "i64", "f64", "f16", "bool"};
    for (size_t i = 0; i < sizeof perms / sizeof *perms; i++) {
        nnf_transpose_options options = {.n = 3};
        for (int k = 0; k < 3; k++)
            options.perm[k] = perms[i][k] - '0';
        char name[64];
        snprintf(name, sizeof name, "transpose.%s", perms[i]);
        check_case(file, name, new_module("Transpose", &options), 0);
    }
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        char name[64];
        snprintf(name, sizeof name, "transpose.%s", dtypes[i]);
        nnf_transpose_options options = {.n = 3, .perm = {2, 0, 1}};
        check_case(file, name, new_module("Transpose", &options), 0);
    }
    check_case(file, "transpose.default",
               new_module("Transpose", &(nnf_transpose_options){.n = -1}), 0);
    golden_close(file);
}

static void transpose_moves_dimensions_and_elements(void **state) {
    (void)state;
    nnf_module *module = new_module("Transpose", &(nnf_transpose_options){.n = 2, .perm = {1, 0}});
    CHECK_INFER(module, "float32 [3, s1]", INFO(NNF_F32, SYM(1), D(3)));
    nnf_type_info matrix = INFO(NNF_I64, D(2), D(3));
    assert_ok(nnf_type_info_set_values(
        &matrix, (const nnf_dim[]){D(1), D(2), SYM(3), D(4), D(5), UNKNOWN}, 6));
    CHECK_INFER(module, "int64 [3, 2] = 1, 4, 2, 5, s3, ?", matrix);
    assert_error(INFER_STATUS(module, 1, INFO(NNF_F32, D(2))), NNF_ERROR_SHAPE,
                 "permutation of 2 axes", "1 dimensions");
    nnf_module_release(module);
}

static void joins_along_every_axis(void **state) {
    (void)state;
    golden *file = golden_open("movement");
    check_case(file, "concat.0", with_axis("Concat", 0), 0);
    check_case(file, "concat.1", with_axis("Concat", 1), 0);
    check_case(file, "concat.-1", with_axis("Concat", -1), 0);
    check_case(file, "concat.one", with_axis("Concat", 1), 0);
    golden_close(file);
}

static void concat_knows_shapes_put_together(void **state) {
    (void)state;
    nnf_module *module = with_axis("Concat", 0), *channels = with_axis("Concat", 1);
    CHECK_INFER(module, "int64 [3] = s1, -1, ?", VALUES(SYM(1)), VALUES(D(-1)),
                INFO(NNF_I64, D(1)));
    CHECK_INFER(channels, "float32 [s1, 8, 32]", INFO(NNF_F32, SYM(1), D(3), UNKNOWN),
                INFO(NNF_F32, UNKNOWN, D(5), D(32)));
    CHECK_INFER(channels, "float32 [s1, ?]", INFO(NNF_F32, SYM(1), D(3)), of_any_rank(NNF_F32));
    assert_error(INFER_STATUS(channels, 2, INFO(NNF_F32, D(2), D(3)), INFO(NNF_F32, D(4), D(3))),
                 NNF_ERROR_SHAPE, "axis 1", "float32 [4, 3]", "float32 [2, 3]");
    assert_error(INFER_STATUS(channels, 2, INFO(NNF_F32, D(2), D(3)), INFO(NNF_F64, D(2), D(3))),
                 NNF_ERROR_DTYPE, "float64");
    assert_error(
        INFER_STATUS(channels, 2, INFO(NNF_F32, D(2), D(INT64_MAX)), INFO(NNF_F32, D(2), D(1))),
        NNF_ERROR_SHAPE, "too large");
    nnf_module_release(module);
    nnf_module_release(channels);
}

static nnf_module *pad(nnf_pad_kind kind) {
    return new_module("Pad", &(nnf_pad_options){.kind = kind, .n = -1});
}

static void pads_of_every_kind(void **state) {
    (void)state;
    static const struct {
        const char *name;
        nnf_pad_kind kind;
    } cases[] = {{"constant", NNF_PAD_CONSTANT}, {"zero", NNF_PAD_CONSTANT},
                 {"crop", NNF_PAD_CONSTANT},     {"crop_all", NNF_PAD_CONSTANT},
                 {"reflect", NNF_PAD_REFLECT},   {"edge", NNF_PAD_EDGE},
                 {"edge_crop", NNF_PAD_EDGE},    {"wrap", NNF_PAD_WRAP},
                 {"axes", NNF_PAD_CONSTANT},     {"i64", NNF_PAD_CONSTANT}};
    golden *file = golden_open("pad");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(file, cases[i].name, pad(cases[i].kind), 0);
    nnf_pad_options options = {.n = 6, .pads = {0, 0, 1, 0, 1, 2}, .value = -2.5};
    check_case(file, "opset10", new_module("Pad", &options), 0);
    golden_close(file);
}

static void what_a_pad_knows_and_refuses(void **state) {
    (void)state;
    nnf_module *constant = pad(NNF_PAD_CONSTANT), *reflect = pad(NNF_PAD_REFLECT);
    CHECK_INFER(constant, "float32 [s1, 3, 6]", INFO(NNF_F32, SYM(1), D(3), D(4)),
                VALUES(D(0), D(0), D(1), D(0), D(0), D(1)));
    CHECK_INFER(constant, "float32 [?, ?]", INFO(NNF_F32, SYM(1), D(3)), INFO(NNF_I64, D(4)));
    CHECK_INFER(constant, "float32 [?]", INFO(NNF_F32, SYM(1)), VALUES(D(1), D(1)));
    assert_error(INFER_STATUS(reflect, 2, INFO(NNF_F32, D(3)), VALUES(D(3), D(0))), NNF_ERROR_SHAPE,
                 "reflect axis 0 of size 3");
    assert_error(INFER_STATUS(constant, 2, INFO(NNF_F32, D(3)), VALUES(D(-2), D(-2))),
                 NNF_ERROR_SHAPE, "-2 and -2 around axis 0 of size 3");
    assert_error(
        INFER_STATUS(constant, 2, INFO(NNF_F32, D(3)), VALUES(D(INT64_MAX), D(-INT64_MAX))),
        NNF_ERROR_SHAPE, "around axis 0 of size 3");
    assert_error(INFER_STATUS(constant, 2, INFO(NNF_F32, D(3)), VALUES(D(1))), NNF_ERROR_SHAPE,
                 "1 pads for 1 axes");
    assert_error(INFER_STATUS(constant, 1, INFO(NNF_F32, D(3))), NNF_ERROR_INVALID,
                 "not given its pads");
    assert_error(
        INFER_STATUS(constant, 3, INFO(NNF_F32, D(3)), VALUES(D(1), D(1)), INFO(NNF_F32, D(2))),
        NNF_ERROR_SHAPE, "one element, not 2");
    nnf_module_release(constant);
    nnf_module_release(reflect);
}

TEST_MAIN(cmocka_unit_test(slices_of_every_kind), cmocka_unit_test(what_a_slice_knows),
          cmocka_unit_test(slices_that_cannot_be), cmocka_unit_test(gathers_rows_and_elements),
          cmocka_unit_test(gather_knows_elements_and_bounds),
          cmocka_unit_test(transposes_every_dtype),
          cmocka_unit_test(transpose_moves_dimensions_and_elements),
          cmocka_unit_test(joins_along_every_axis),
          cmocka_unit_test(concat_knows_shapes_put_together), cmocka_unit_test(pads_of_every_kind),
          cmocka_unit_test(what_a_pad_knows_and_refuses))
