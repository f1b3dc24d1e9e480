/* Softmax along each axis, as PyTorch and as ONNX before opset 13 have it. */
#include "layer_support.h"

static nnf_module *softmax(int64_t axis, bool flatten) {
    return new_module("Softmax",
                      &(nnf_softmax_options){.axis = axis, .flatten_from_axis = flatten});
}

static void every_axis_gives_pytorchs_values(void **state) {
    (void)state;
    golden *file = golden_open("softmax");
    static const int64_t axes[] = {0, 1, 2, -1};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        char name[64];
        snprintf(name, sizeof name, "axis%lld", (long long)axes[i]);
        check_case(file, name, softmax(axes[i], false), 1e-6);
        snprintf(name, sizeof name, "axis%lld.f64", (long long)axes[i]);
        check_case(file, name, softmax(axes[i], false), 1e-14);
    }
    check_case(file, "f16", softmax(1, false), 1e-3);
    golden_close(file);
}

static void before_opset_13_it_flattens(void **state) {
    (void)state;
    golden *file = golden_open("softmax");
    check_case(file, "flatten0", softmax(0, true), 1e-6);
    check_case(file, "flatten1", softmax(1, true), 1e-6);
    check_case(file, "flatten-1", softmax(-1, true), 1e-6);
    golden_close(file);
    file = golden_open("onnx_layers");
    check_case(file, "softmax.opset11", softmax(1, true), 1e-6);
    check_case(file, "softmax.opset13", softmax(1, false), 1e-6);
    golden_close(file);
}

static void large_numbers_do_not_overflow(void **state) {
    (void)state;
    golden *file = golden_open("softmax");
    check_case(file, "large", softmax(1, false), 1e-6);
    golden_close(file);
}

static void infer_keeps_symbols_and_checks_the_axis(void **state) {
    (void)state;
    nnf_module *module = softmax(3, false), *flattening = softmax(2, true);
    CHECK_INFER(module, "float32 [s1, 3, 4, ?]", INFO(NNF_F32, SYM(1), D(3), D(4), UNKNOWN));
    CHECK_INFER(flattening, "float32 [s1, 3]", INFO(NNF_F32, SYM(1), D(3)));
    assert_error(INFER_STATUS(module, 1, INFO(NNF_F32, D(2), D(3))), NNF_ERROR_SHAPE,
                 "Softmax has axis 3", "2 dimensions");
    assert_error(INFER_STATUS(module, 1, INFO(NNF_I32, D(2))), NNF_ERROR_DTYPE, "int32");
    nnf_module_release(module);
    nnf_module_release(flattening);
}

TEST_MAIN(cmocka_unit_test(every_axis_gives_pytorchs_values),
          cmocka_unit_test(before_opset_13_it_flattens),
          cmocka_unit_test(large_numbers_do_not_overflow),
          cmocka_unit_test(infer_keeps_symbols_and_checks_the_axis))
