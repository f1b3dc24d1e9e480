/* ReduceMean over every choice of axes. */
#include <math.h>

#include "layer_support.h"

static nnf_module *mean(int n, const int64_t *axes, bool keepdims, bool noop) {
    nnf_axes_options options = {.n_axes = n, .keepdims = keepdims, .noop_with_empty_axes = noop};
    for (int i = 0; i < n; i++)
        options.axes[i] = axes[i];
    return new_module("ReduceMean", &options);
}

static void every_choice_of_axes_gives_pytorchs_values(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int n;
        int64_t axes[4];
    } cases[] = {{"0", 1, {0}},      {"1", 1, {1}},        {"3", 1, {3}},
                 {"2_3", 2, {2, 3}}, {"1_2", 2, {1, 2}},   {"0_2", 2, {0, 2}},
                 {"1_3", 2, {1, 3}}, {"-1_1", 2, {-1, 1}}, {"0_1_2_3", 4, {0, 1, 2, 3}}};
    golden *file = golden_open("reduce");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        check_case(file, cases[i].name, mean(cases[i].n, cases[i].axes, false, false), 1e-6);
        snprintf(name, sizeof name, "%s.keep", cases[i].name);
        check_case(file, name, mean(cases[i].n, cases[i].axes, true, false), 1e-6);
    }
    check_case(file, "wide", mean(1, (int64_t[]){1}, false, false), 1e-6);
    check_case(file, "f64", mean(1, (int64_t[]){1}, false, false), 1e-14);
    check_case(file, "f16", mean(2, (int64_t[]){2, 3}, false, false), 1.0 / 1024);
    golden_close(file);
}

static void axes_as_an_input_and_none_at_all(void **state) {
    (void)state;
    golden *file = golden_open("onnx_layers");
    check_case(file, "mean.input", mean(-1, NULL, true, false), 1e-6);
    check_case(file, "mean.noop", mean(-1, NULL, true, true), 0);
    check_case(file, "mean.all", mean(-1, NULL, false, false), 1e-6);
    golden_close(file);
}

static void the_mean_of_nothing_is_nan(void **state) {
    (void)state;
    nnf_module *module = mean(1, (int64_t[]){0}, false, false);
    nnf_tensor *x = floats(2, (int64_t[]){0, 2}, (const float[]){0}), *y = NULL;
    nnf_tensor *expected = floats(1, (int64_t[]){2}, (const float[]){NAN, NAN});
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 0);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(module);
}

/* ONNX's "Reduction over an empty set of values": 0, minus infinity, the product 1 ... */
static void a_reduction_of_nothing_gives_the_neutral_element(void **state) {
    (void)state;
    static const struct {
        const char *type;
        float expected;
    } cases[] = {{"ReduceSum", 0},
                 {"ReduceMax", -INFINITY},
                 {"ReduceMin", INFINITY},
                 {"ReduceProd", 1},
                 {"ReduceMean", NAN},
                 {"ReduceL1", 0},
                 {"ReduceL2", 0},
                 {"ReduceSumSquare", 0},
                 {"ReduceLogSum", -INFINITY},
                 {"ReduceLogSumExp", -INFINITY}};
    static const int64_t shapes[][3] = {{3, 1, 0}, {3, 0, 1}, {3, 0, 0}, {3, 0, 5}, {3, 5, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            nnf_axes_options options = {.n_axes = 2, .axes = {1, 2}};
            nnf_module *module = new_module(cases[i].type, &options);
            const float e = cases[i].expected;
            nnf_tensor *x = floats(3, shapes[k], (const float[]){0}), *y = NULL;
            nnf_tensor *expected = floats(1, (const int64_t[]){3}, (const float[]){e, e, e});
            assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
            assert_tensors_close(y, expected, 0);
            nnf_tensor_release(x);
            nnf_tensor_release(y);
            nnf_tensor_release(expected);
            nnf_module_release(module);
        }
}

static void infer_keeps_symbols(void **state) {
    (void)state;
    nnf_module *module = mean(2, (int64_t[]){2, -1}, true, false);
    nnf_module *by_input = mean(-1, NULL, false, false);
    CHECK_INFER(module, "float32 [s1, 3, 1, 1]", INFO(NNF_F32, SYM(1), D(3), D(5), UNKNOWN));
    CHECK_INFER(by_input, "float32 [s1]", INFO(NNF_F32, SYM(1), D(3)), VALUES(D(1)));
    CHECK_INFER(by_input, "float32 ?", INFO(NNF_F32, SYM(1), D(3)), INFO(NNF_I64, D(1)));
    CHECK_INFER(by_input, "float32 ?", of_any_rank(NNF_F32), VALUES(D(1)));
    assert_error(INFER_STATUS(module, 1, INFO(NNF_F32, D(3))), NNF_ERROR_SHAPE,
                 "ReduceMean has 2 axes", "1 dimensions");
    assert_error(INFER_STATUS(by_input, 2, INFO(NNF_F32, D(3), D(4)), VALUES(D(1), D(-1))),
                 NNF_ERROR_SHAPE, "axis 1 twice");
    assert_error(INFER_STATUS(by_input, 2, INFO(NNF_F32, D(3), D(4)), VALUES(D(2))),
                 NNF_ERROR_SHAPE, "axis 2");
    nnf_module_release(module);
    nnf_module_release(by_input);
}

TEST_MAIN(cmocka_unit_test(every_choice_of_axes_gives_pytorchs_values),
          cmocka_unit_test(axes_as_an_input_and_none_at_all),
          cmocka_unit_test(the_mean_of_nothing_is_nan),
          cmocka_unit_test(a_reduction_of_nothing_gives_the_neutral_element),
          cmocka_unit_test(infer_keeps_symbols))
