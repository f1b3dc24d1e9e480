/* Shape, Reshape, Flatten, Squeeze, Unsqueeze, Constant, ConstantOfShape, Cast: values of ONNX
 * Runtime, and how what is known of shapes goes through them. */
#include "layer_support.h"

static nnf_module *reshape(bool allowzero) {
    return new_module("Reshape", &(nnf_reshape_options){allowzero});
}
static nnf_module *with_axes(const char *type, int n, int64_t first, int64_t second) {
    nnf_axes_options options = {.n_axes = n, .axes = {first, second}};
    return new_module(type, &options);
}
static nnf_module *shape(int64_t start, int64_t end) {
    return new_module("Shape", &(nnf_shape_options){start, end});
}
static nnf_module *flatten(int64_t start, int64_t end, bool to_matrix) {
    return new_module("Flatten", &(nnf_flatten_options){start, end, to_matrix});
}
static nnf_module *cast(nnf_dtype to) {
    return new_module("Cast", &(nnf_cast_options){to});
}

static void reshapes(void **state) {
    (void)state;
    golden *file = golden_open("shape");
    check_case(file, "reshape.plain", reshape(false), 0);
    check_case(file, "reshape.inferred", reshape(false), 0);
    check_case(file, "reshape.zero", reshape(false), 0);
    check_case(file, "reshape.allowzero", reshape(true), 0);
    check_case(file, "reshape.scalar", reshape(false), 0);
    golden_close(file);
}

static void reshape_follows_symbols(void **state) {
    (void)state;
    nnf_module *module = reshape(false);
    CHECK_INFER(module, "float32 [s1, 512]", INFO(NNF_F32, SYM(1), D(512), D(1), D(1)),
                VALUES(D(-1), D(512)));
    CHECK_INFER(module, "float32 [s1, 512]", INFO(NNF_F32, SYM(1), D(512), D(1), D(1)),
                VALUES(SYM(1), D(-1)));
    CHECK_INFER(module, "float32 [s1, 2, 29, 28, 28]", INFO(NNF_F32, SYM(1), D(58), D(28), D(28)),
                VALUES(D(0), D(2), D(29), D(28), D(28)));
    CHECK_INFER(module, "float32 [?, 256]", INFO(NNF_F32, SYM(1), D(512)), VALUES(D(-1), D(256)));
    CHECK_INFER(module, "float32 [?, 2]", of_any_rank(NNF_F32), VALUES(D(-1), D(2)));
    CHECK_INFER(module, "float32 [?, ?]", INFO(NNF_F32, D(4)), INFO(NNF_I64, D(2)));
    CHECK_INFER(module, "float32 ?", INFO(NNF_F32, D(4)), INFO(NNF_I64, UNKNOWN));
    CHECK_INFER(module, "int64 [1, 2] = s1, 7", VALUES(SYM(1), D(7)), VALUES(D(1), D(-1)));
    /* known elements stay where the shape is known */
    CHECK_INFER(module, "int64 [s1]", VALUES(D(4), D(7)), VALUES(SYM(1)));
    CHECK_INFER(module, "int64 [?, 1]", VALUES(D(4), D(7)), VALUES(UNKNOWN, D(1)));
    nnf_module_release(module);
}

static void reshapes_that_cannot_be(void **state) {
    (void)state;
    nnf_module *module = reshape(false);
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2), D(3)), VALUES(D(4), D(2))),
                 NNF_ERROR_SHAPE, "float32 [4, 2] of float32 [2, 3]");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2), D(3)), VALUES(D(4), D(-1))),
                 NNF_ERROR_SHAPE, "float32 [4, ?]", "given as -1");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2)), VALUES(D(-1), D(-1))),
                 NNF_ERROR_SHAPE, "axis 0 and for axis 1");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2)), VALUES(D(-2))), NNF_ERROR_SHAPE,
                 "-2");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2)), VALUES(D(2), D(0))), NNF_ERROR_SHAPE,
                 "keep axis 1", "1 dimensions");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(0)), VALUES(D(0), D(-1))), NNF_ERROR_SHAPE,
                 "Reshape cannot make");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(INT64_MAX), D(3)), VALUES(D(1))),
                 NNF_ERROR_SHAPE, "multiply");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2)),
                              VALUES(D(2), D(1), D(1), D(1), D(1), D(1), D(1), D(1), D(1))),
                 NNF_ERROR_SHAPE, "at most 8");
    assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(2)), INFO(NNF_I64, D(1), D(1))),
                 NNF_ERROR_SHAPE, "rank 2");
    nnf_module_release(module);
}

static void shapes(void **state) {
    (void)state;
    golden *file = golden_open("shape");
    check_case(file, "shape.all", shape(0, NNF_SHAPE_TO_END), 0);
    check_case(file, "shape.part", shape(-2, NNF_SHAPE_TO_END), 0);
    check_case(file, "shape.end", shape(0, -1), 0);
    check_case(file, "shape.none", shape(2, 1), 0);
    golden_close(file);
    nnf_module *module = shape(0, NNF_SHAPE_TO_END);
    CHECK_INFER(module, "int64 [4] = s1, 3, 32, ?", INFO(NNF_F32, SYM(1), D(3), D(32), UNKNOWN));
    CHECK_INFER(module, "int64 [?]", nothing_known());
    nnf_module_release(module);
}

static void flattens_as_onnx_does(void **state) {
    (void)state;
    golden *file = golden_open("shape");
    static const int64_t axes[] = {0, 1, 2, 3, -1};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        char name[32];
        snprintf(name, sizeof name, "flatten.%lld", (long long)axes[i]);
        check_case(file, name, flatten(axes[i], -1, true), 0);
    }
    golden_close(file);
    nnf_module *module = flatten(1, -1, true);
    CHECK_INFER(module, "float32 [s1, 20]", INFO(NNF_F32, SYM(1), D(4), D(5)));
    CHECK_INFER(module, "float32 [?, ?]", of_any_rank(NNF_F32));
    nnf_module_release(module);
}

static void flattens_as_pytorch_does(void **state) {
    (void)state;
    nnf_module *module = NULL, *all = flatten(0, -1, false), *odd = flatten(2, 1, false);
    assert_ok(nnf_flatten_new(&module, 1, -2));
    CHECK_INFER(module, "float32 [s1, 12, 5]", INFO(NNF_F32, SYM(1), D(3), D(4), D(5)));
    CHECK_INFER(all, "float32 [?]", INFO(NNF_F32, SYM(1), D(3)));
    CHECK_INFER(all, "float32 [1]", make_info(NNF_F32, NULL, 0));
    CHECK_INFER(all, "float32 ?", of_any_rank(NNF_F32));
    assert_error(INFER_STATUS(odd, 1, INFO(NNF_F32, D(3), D(4), D(5))), NNF_ERROR_SHAPE,
                 "start_dim 2 behind end_dim 1");
    nnf_tensor *y = NULL, *x = floats(3, (int64_t[]){1, 2, 2}, (const float[]){1, 2, 3, 4});
    assert_ok(nnf_module_forward(all, &x, 1, &y, 1));
    nnf_tensor *expected = floats(1, (int64_t[]){4}, (const float[]){1, 2, 3, 4});
    assert_tensors_close(y, expected, 0);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(module);
    nnf_module_release(all);
    nnf_module_release(odd);
}

static void squeezes_and_unsqueezes(void **state) {
    (void)state;
    golden *file = golden_open("shape");
    check_case(file, "squeeze.all", with_axes("Squeeze", -1, 0, 0), 0);
    check_case(file, "squeeze.axes", with_axes("Squeeze", -1, 0, 0), 0);
    check_case(file, "squeeze.opset11", with_axes("Squeeze", 2, 0, 2), 0);
    check_case(file, "unsqueeze.axes", with_axes("Unsqueeze", -1, 0, 0), 0);
    check_case(file, "unsqueeze.opset11", with_axes("Unsqueeze", 2, 1, 3), 0);
    golden_close(file);
    nnf_module *squeeze = with_axes("Squeeze", -1, 0, 0);
    nnf_module *unsqueeze = with_axes("Unsqueeze", 1, 0, 0);
    nnf_module *without = with_axes("Unsqueeze", -1, 0, 0);
    CHECK_INFER(squeeze, "float32 [s1]", INFO(NNF_F32, SYM(1), D(1)), VALUES(D(-1)));
    CHECK_INFER(squeeze, "float32 ?", INFO(NNF_F32, SYM(1), D(1)));
    nnf_type_info scalar = make_info(NNF_I64, NULL, 0);
    assert_ok(nnf_type_info_set_values(&scalar, (const nnf_dim[]){SYM(4)}, 1));
    CHECK_INFER(unsqueeze, "int64 [1] = s4", scalar);
    assert_error(INFER_STATUS(squeeze, 2, INFO(NNF_F32, D(2), D(1)), VALUES(D(0))), NNF_ERROR_SHAPE,
                 "axis 0 out of float32 [2, 1]");
    assert_error(INFER_STATUS(without, 1, INFO(NNF_F32, D(2))), NNF_ERROR_INVALID,
                 "not given its axes");
    nnf_module_release(squeeze);
    nnf_module_release(unsqueeze);
    nnf_module_release(without);
}

static void constants_of_a_shape(void **state) {
    (void)state;
    golden *file = golden_open("shape");
    nnf_module *module = NULL;
    nnf_tensor *value = integers(1, (const int64_t[]){-7}),
               *two = integers(2, (const int64_t[]){1, 2});
    assert_error(nnf_constant_of_shape_new(&module, two), NNF_ERROR_INVALID, "1 element, not 2");
    assert_ok(nnf_constant_of_shape_new(&module, value));
    CHECK_INFER(module, "int64 [2] = -7, -7", VALUES(D(2)));
    CHECK_INFER(module, "int64 [s1, 2]", VALUES(SYM(1), D(2)));
    assert_error(INFER_STATUS(module, 1, VALUES(D(-1))), NNF_ERROR_SHAPE, "dimension -1");
    check_case(file, "constantofshape.i64", module, 0);
    assert_ok(nnf_constant_of_shape_new(&module, NULL));
    check_case(file, "constantofshape.default", module, 0);
    assert_ok(nnf_constant_of_shape_new(&module, NULL));
    check_case(file, "constantofshape.scalar", module, 0);
    nnf_tensor_release(value);
    nnf_tensor_release(two);
    golden_close(file);
}

static void a_constant_gives_what_it_holds(void **state) {
    (void)state;
    nnf_module *module = NULL;
    nnf_tensor *value = integers(2, (const int64_t[]){3, -1}), *y = NULL;
    assert_error(nnf_constant_new(&module, NULL), NNF_ERROR_INVALID, "needs a tensor");
    assert_ok(nnf_constant_new(&module, value));
    check_infer(module, "int64 [2] = 3, -1", 0, NULL);
    assert_ok(nnf_module_forward(module, NULL, 0, &y, 1));
    assert_tensors_close(y, value, 0);
    nnf_tensor_release(y);
    nnf_tensor_release(value);
    nnf_module_release(module);
}

static void casts(void **state) {
    (void)state;
    golden *file = golden_open("shape");
    check_case(file, "cast.i64", cast(NNF_I64), 0);
    check_case(file, "cast.f16", cast(NNF_F16), 0);
    check_case(file, "cast.bool", cast(NNF_BOOL), 0);
    check_case(file, "cast.f64", cast(NNF_F64), 0);
    golden_close(file);
    nnf_module *to_i64 = cast(NNF_I64), *to_i32 = cast(NNF_I32), *to_f32 = cast(NNF_F32);
    CHECK_INFER(to_i64, "int64 [2] = s1, 3", VALUES(SYM(1), D(3)));
    CHECK_INFER(to_i32, "int32 [1] = 3", VALUES(D(3)));
    CHECK_INFER(to_i32, "int32 [1] = ?", VALUES(D((int64_t)1 << 40)));
    CHECK_INFER(to_f32, "float32 [1]", VALUES(D(3)));
    nnf_module_release(to_i64);
    nnf_module_release(to_i32);
    nnf_module_release(to_f32);
}

TEST_MAIN(cmocka_unit_test(reshapes), cmocka_unit_test(reshape_follows_symbols),
          cmocka_unit_test(reshapes_that_cannot_be), cmocka_unit_test(shapes),
          cmocka_unit_test(flattens_as_onnx_does), cmocka_unit_test(flattens_as_pytorch_does),
          cmocka_unit_test(squeezes_and_unsqueezes), cmocka_unit_test(constants_of_a_shape),
          cmocka_unit_test(a_constant_gives_what_it_holds), cmocka_unit_test(casts))
