/* Add, Sub, Mul, Div, Pow: broadcasting, dtypes, integers, and what is known of shapes. */
#include "layer_support.h"

static const char *const kinds[] = {"Add", "Sub", "Mul", "Div", "Pow"};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static nnf_module *binary(nnf_binary kind) {
    nnf_module *module = NULL;
    assert_ok(nnf_binary_new(&module, kind));
    return module;
}

static void check_all(const char *const *cases, size_t n, double tolerance) {
    golden *file = golden_open("elementwise");
    for (int kind = 0; kind < N_KINDS; kind++)
        for (size_t i = 0; i < n; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s.%s", kinds[kind], cases[i]);
            if (strcmp(cases[i], "long") || kind == NNF_ADD)
                check_case(file, name, binary((nnf_binary)kind), tolerance);
        }
    golden_close(file);
}

static void shapes_broadcast_as_in_numpy(void **state) {
    (void)state;
    static const char *const cases[] = {"same", "scalar",    "scalar_first", "row", "channel",
                                        "both", "inner_one", "empty",        "long"};
    check_all(cases, sizeof cases / sizeof *cases, 1e-6);
}

static void integers_are_exact_and_division_truncates(void **state) {
    (void)state;
    static const char *const cases[] = {"i8", "u8", "i32", "i64"};
    check_all(cases, 4, 0);
}

static void other_floats(void **state) {
    (void)state;
    check_all((const char *const[]){"f64"}, 1, 1e-14);
    check_all((const char *const[]){"f16"}, 1, 1.0 / 1024);
}

static void the_exponent_may_have_another_dtype(void **state) {
    (void)state;
    golden *file = golden_open("onnx_layers");
    check_case(file, "pow.int_exponent", binary(NNF_POW), 1e-6);
    check_case(file, "pow.float_exponent", binary(NNF_POW), 0);
    check_case(file, "pow.i32_i64", binary(NNF_POW), 0);
    golden_close(file);
}

static void dividing_integers(void **state) {
    (void)state;
    nnf_module *div = binary(NNF_DIV);
    nnf_tensor *inputs[2], *y = NULL;
    inputs[0] = integers(3, (const int64_t[]){-7, INT64_MIN, 9});
    inputs[1] = integers(3, (const int64_t[]){2, -1, 0});
    assert_error(nnf_module_forward(div, inputs, 2, &y, 1), NNF_ERROR_INVALID, "by zero",
                 "element 2");
    assert_null(y);
    nnf_tensor_release(inputs[1]);
    inputs[1] = integers(3, (const int64_t[]){2, -1, -2});
    assert_ok(nnf_module_forward(div, inputs, 2, &y, 1));
    const void *data;
    assert_ok(nnf_tensor_data(y, &data));
    const int64_t *values = data;
    assert_int_equal(values[0], -3);
    assert_true(values[1] == INT64_MIN); /* wraps */
    assert_int_equal(values[2], -4);
    nnf_tensor_release(y);
    nnf_tensor_release(inputs[0]);
    nnf_tensor_release(inputs[1]);
    nnf_module_release(div);
}

static void a_negative_exponent_of_an_integer(void **state) {
    (void)state;
    nnf_module *module = binary(NNF_POW);
    nnf_tensor *y = NULL, *inputs[2] = {integers(5, (const int64_t[]){2, 1, -1, -1, 3}),
                                        integers(5, (const int64_t[]){-1, -5, -3, -2, 39})};
    assert_ok(nnf_module_forward(module, inputs, 2, &y, 1));
    nnf_tensor *expected = integers(5, (const int64_t[]){0, 1, -1, 1, 4052555153018976267});
    assert_tensors_close(y, expected, 0);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_tensor_release(inputs[0]);
    nnf_tensor_release(inputs[1]);
    nnf_module_release(module);
}

static void symbols_broadcast(void **state) {
    (void)state;
    nnf_module *add = binary(NNF_ADD);
    CHECK_INFER(add, "float32 [s1, 3, 4]", INFO(NNF_F32, SYM(1), D(3), D(1)),
                INFO(NNF_F32, D(3), D(4)));
    CHECK_INFER(add, "float32 [s1]", INFO(NNF_F32, SYM(1)), INFO(NNF_F32, SYM(1)));
    CHECK_INFER(add, "float32 [s1]", INFO(NNF_F32, SYM(1)), INFO(NNF_F32, D(1)));
    CHECK_INFER(add, "float32 [5]", INFO(NNF_F32, SYM(1)), INFO(NNF_F32, D(5)));
    CHECK_INFER(add, "float32 [?]", INFO(NNF_F32, SYM(1)), INFO(NNF_F32, SYM(2)));
    CHECK_INFER(add, "float32 [?]", INFO(NNF_F32, UNKNOWN), INFO(NNF_F32, UNKNOWN));
    CHECK_INFER(add, "float32 ?", nothing_known(), INFO(NNF_F32, D(5)));
    nnf_module_release(add);
}

static void known_elements_are_computed(void **state) {
    (void)state;
    nnf_module *add = binary(NNF_ADD), *sub = binary(NNF_SUB), *mul = binary(NNF_MUL),
               *div = binary(NNF_DIV);
    CHECK_INFER(add, "int64 [3] = s1, 8, ?", VALUES(SYM(1), D(3), SYM(1)),
                VALUES(D(0), D(5), D(2)));
    CHECK_INFER(add, "int64 [2] = s1, 4", VALUES(D(0), D(3)), VALUES(SYM(1), D(1)));
    CHECK_INFER(sub, "int64 [3] = s1, 0, ?", VALUES(SYM(1), SYM(2), D(2)),
                VALUES(D(0), SYM(2), SYM(1)));
    CHECK_INFER(mul, "int64 [4] = s1, s2, 0, 12", VALUES(SYM(1), D(1), UNKNOWN, D(3)),
                VALUES(D(1), SYM(2), D(0), D(4)));
    CHECK_INFER(mul, "int64 [2] = 6, 9", VALUES(D(2), D(3)), VALUES(D(3)));
    CHECK_INFER(div, "int64 [4] = s1, -3, ?, ?", VALUES(SYM(1), D(-7), D(3), SYM(1)),
                VALUES(D(1), D(2), D(0), D(2)));
    CHECK_INFER(mul, "int64 [1] = ?", VALUES(D(INT64_MAX)), VALUES(D(2)));
    nnf_module_release(add);
    nnf_module_release(sub);
    nnf_module_release(mul);
    nnf_module_release(div);
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    nnf_module *add = binary(NNF_ADD), *none = NULL;
    assert_error(INFER_STATUS(add, 2, INFO(NNF_F32, SYM(1), D(3)), INFO(NNF_F32, D(4))),
                 NNF_ERROR_SHAPE, "Add cannot broadcast float32 [s1, 3] and float32 [4]",
                 "axis -1 has sizes 3 and 4");
    assert_error(INFER_STATUS(add, 2, INFO(NNF_F32, D(3)), INFO(NNF_I64, D(3))), NNF_ERROR_DTYPE,
                 "float32 and int64");
    assert_error(INFER_STATUS(add, 2, INFO(NNF_BOOL, D(3)), INFO(NNF_BOOL, D(3))), NNF_ERROR_DTYPE,
                 "bool");
    assert_error(INFER_STATUS(add, 1, INFO(NNF_F32, D(3))), NNF_ERROR_INVALID, "Add needs 2");
    assert_error(nnf_binary_new(&none, NNF_BINARY_COUNT), NNF_ERROR_INVALID,
                 "no kind of arithmetic");
    nnf_module_release(add);
}

TEST_MAIN(cmocka_unit_test(shapes_broadcast_as_in_numpy),
          cmocka_unit_test(integers_are_exact_and_division_truncates),
          cmocka_unit_test(other_floats), cmocka_unit_test(the_exponent_may_have_another_dtype),
          cmocka_unit_test(dividing_integers), cmocka_unit_test(a_negative_exponent_of_an_integer),
          cmocka_unit_test(symbols_broadcast), cmocka_unit_test(known_elements_are_computed),
          cmocka_unit_test(what_does_not_fit_is_refused))
