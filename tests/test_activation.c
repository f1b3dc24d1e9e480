/* Activations against PyTorch's values, in every float dtype. */
#include <math.h>

#include "layer_support.h"

static const struct {
    const char *name;
    nnf_activation kind;
} kinds[] = {
    {"ReLU", NNF_RELU},
    {"ReLU6", NNF_RELU6},
    {"Clip", NNF_CLIP},
    {"LeakyReLU", NNF_LEAKY_RELU},
    {"Sigmoid", NNF_SIGMOID},
    {"Tanh", NNF_TANH},
    {"SiLU", NNF_SILU},
    {"Hardswish", NNF_HARDSWISH},
    {"Hardsigmoid", NNF_HARDSIGMOID},
    {"GELU", NNF_GELU},
    {"GELU_TANH", NNF_GELU_TANH},
    {"Sqrt", NNF_SQRT},
    {"Erf", NNF_ERF},
};

static nnf_module *activation(nnf_activation kind) {
    nnf_module *module = NULL;
    if (kind == NNF_CLIP)
        assert_ok(nnf_activation_new_with(
            &module, &(nnf_activation_options){.kind = kind, .alpha = -1.5, .beta = 2.25}));
    else
        assert_ok(nnf_activation_new(&module, kind));
    return module;
}

static void check_all(const char *suffix, double tolerance) {
    golden *file = golden_open("activation");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", kinds[i].name, suffix);
        check_case(file, name, activation(kinds[i].kind), tolerance);
    }
    golden_close(file);
}

static void float32_is_pytorchs_to_1e_6(void **state) {
    (void)state;
    check_all("f32", 1e-6);
}
static void float64_is_pytorchs_to_1e_14(void **state) {
    (void)state;
    check_all("f64", 1e-14);
}
static void nan_and_infinities_go_where_pytorch_sends_them(void **state) {
    (void)state;
    check_all("odd", 1e-6);
}
/* PyTorch's float32 result may round to the other neighbour where it is half-way between two */
static void sixteen_bit_floats_are_rounded_once(void **state) {
    (void)state;
    check_all("f16", 1.0 / 2048 / 8);
    check_all("bf16", 1.0 / 256 / 8);
}

static void clip_takes_its_bounds_as_inputs(void **state) {
    (void)state;
    golden *file = golden_open("onnx_layers");
    nnf_module *clip = NULL;
    assert_ok(nnf_activation_new(&clip, NNF_CLIP));
    check_case(file, "clip.both", clip, 0);
    assert_ok(nnf_activation_new(&clip, NNF_CLIP));
    check_case(file, "clip.max", clip, 0);
    nnf_activation_options bounds = {.kind = NNF_CLIP, .alpha = -0.5, .beta = 0.25};
    assert_ok(nnf_activation_new_with(&clip, &bounds));
    check_case(file, "clip.opset10", clip, 0);
    golden_close(file);
}

static void a_long_tensor_is_computed_in_blocks(void **state) {
    (void)state;
    enum { N = 50001 };
    static float values[N];
    for (int i = 0; i < N; i++)
        values[i] = (float)(i % 7 - 3);
    nnf_tensor *x = floats(1, (int64_t[]){N}, values), *y = NULL;
    nnf_module *relu = activation(NNF_RELU);
    assert_ok(nnf_module_forward(relu, &x, 1, &y, 1));
    const void *data;
    assert_ok(nnf_tensor_data(y, &data));
    for (int i = 0; i < N; i++)
        assert_true(((const float *)data)[i] == (values[i] < 0 ? 0 : values[i]));
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_module_release(relu);
}

/* ONNX defines it by two comparisons, neither of which holds for NaN: y = 0 then. */
static void shrink_of_nan_is_0(void **state) {
    (void)state;
    const float values[3] = {NAN, -1, 0.25f}, expected[3] = {0, -1, 0};
    nnf_tensor *x = floats(1, (int64_t[]){3}, values), *y = NULL;
    nnf_module *shrink = activation(NNF_SHRINK);
    float numbers[3];
    assert_ok(nnf_module_forward(shrink, &x, 1, &y, 1));
    assert_ok(nnf_tensor_read(y, 0, 3, numbers));
    assert_memory_equal(numbers, expected, sizeof numbers);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_module_release(shrink);
}

static void integers_are_clipped_too(void **state) {
    (void)state;
    static const int64_t numbers[] = {-5, 3, 10, 6}, expected[] = {0, 3, 6, 6};
    const int64_t n = 4;
    const nnf_activation_options clip = {.kind = NNF_CLIP, .alpha = -0.5, .beta = 6.5};
    nnf_module *modules[2];
    assert_ok(nnf_activation_new_with(&modules[0], &clip));
    assert_ok(nnf_activation_new(&modules[1], NNF_RELU6));
    for (int i = 0; i < 2; i++) {
        nnf_tensor *x, *y;
        const void *data;
        assert_ok(nnf_tensor_from_data(&x, NNF_I64, 1, &n, numbers));
        assert_ok(nnf_module_forward(modules[i], &x, 1, &y, 1));
        assert_ok(nnf_tensor_data(y, &data));
        assert_memory_equal(data, expected, sizeof expected);
        nnf_tensor_release(x);
        nnf_tensor_release(y);
        nnf_module_release(modules[i]);
    }
}

static void shapes_and_symbols_pass_through(void **state) {
    (void)state;
    nnf_module *relu = activation(NNF_RELU), *clip = activation(NNF_CLIP);
    CHECK_INFER(relu, "float32 [s1, 3, ?]", INFO(NNF_F32, SYM(1), D(3), UNKNOWN));
    CHECK_INFER(relu, "unknown ?", nothing_known());
    CHECK_INFER(clip, "float16 [s1]", INFO(NNF_DTYPE_UNKNOWN, SYM(1)), INFO(NNF_F16, D(1)));
    nnf_module_release(relu);
    nnf_module_release(clip);
}

static void what_they_cannot_take_is_refused(void **state) {
    (void)state;
    nnf_module *relu = activation(NNF_RELU), *clip = activation(NNF_CLIP), *none = NULL;
    assert_error(INFER_STATUS(relu, 1, INFO(NNF_BOOL, D(2))), NNF_ERROR_DTYPE, "ReLU", "bool");
    nnf_module *tanh = activation(NNF_TANH);
    assert_error(INFER_STATUS(tanh, 1, INFO(NNF_I64, D(2))), NNF_ERROR_DTYPE, "Tanh", "int64");
    nnf_module_release(tanh);
    assert_error(infer_status(relu, 0, NULL), NNF_ERROR_INVALID, "ReLU needs 1");
    assert_error(INFER_STATUS(relu, 2, INFO(NNF_F32, D(2)), INFO(NNF_F32, D(2))), NNF_ERROR_INVALID,
                 "ReLU takes at most 1");
    assert_error(INFER_STATUS(clip, 2, INFO(NNF_F32, D(2)), INFO(NNF_F32, D(2))), NNF_ERROR_SHAPE,
                 "one element, not 2");
    assert_error(INFER_STATUS(clip, 2, INFO(NNF_F32, D(2)), INFO(NNF_F64, D(1))), NNF_ERROR_DTYPE,
                 "float32 and float64");
    assert_error(nnf_activation_new(&none, NNF_ACTIVATION_COUNT), NNF_ERROR_INVALID,
                 "no kind of activation");
    assert_null(none);
    nnf_module_release(relu);
    nnf_module_release(clip);
}

TEST_MAIN(cmocka_unit_test(float32_is_pytorchs_to_1e_6),
          cmocka_unit_test(float64_is_pytorchs_to_1e_14),
          cmocka_unit_test(nan_and_infinities_go_where_pytorch_sends_them),
          cmocka_unit_test(sixteen_bit_floats_are_rounded_once),
          cmocka_unit_test(clip_takes_its_bounds_as_inputs),
          cmocka_unit_test(a_long_tensor_is_computed_in_blocks),
          cmocka_unit_test(shrink_of_nan_is_0), cmocka_unit_test(integers_are_clipped_too),
          cmocka_unit_test(shapes_and_symbols_pass_through),
          cmocka_unit_test(what_they_cannot_take_is_refused))
