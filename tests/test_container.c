/* Sequential, Module, Identity, Opaque, Dropout. */
#include <math.h>
#include <stdlib.h>

#include "layer_support.h"

static nnf_module *activation(nnf_activation kind) {
    nnf_module *module = NULL;
    assert_ok(nnf_activation_new(&module, kind));
    return module;
}

static void sequential_runs_its_children_in_order(void **state) {
    (void)state;
    nnf_module *children[2] = {activation(NNF_RELU), activation(NNF_SQRT)}, *module = NULL;
    assert_ok(nnf_sequential_new(&module, children, 2));
    assert_string_equal(nnf_module_child_name(module, 1), "1");
    nnf_tensor *x = floats(1, (int64_t[]){3}, (const float[]){-4, 4, 9}), *y = NULL;
    nnf_tensor *expected = floats(1, (int64_t[]){3}, (const float[]){0, 2, 3});
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 0);
    CHECK_INFER(module, "float32 [s1, 3]", INFO(NNF_F32, SYM(1), D(3)));
    assert_error(INFER_STATUS(module, 1, INFO(NNF_BOOL, D(3))), NNF_ERROR_DTYPE, "'0'", "ReLU");
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(module);
    nnf_module_release(children[0]);
    nnf_module_release(children[1]);
}

static void an_empty_sequential_passes_its_input_on(void **state) {
    (void)state;
    nnf_module *module = NULL;
    assert_ok(nnf_sequential_new(&module, NULL, 0));
    nnf_tensor *x = floats(1, (int64_t[]){2}, (const float[]){1, 2}), *y[2] = {NULL};
    assert_ok(nnf_module_forward(module, &x, 1, y, 1));
    assert_tensors_close(y[0], x, 0);
    nnf_tensor_release(y[0]);
    y[0] = NULL;
    assert_error(nnf_module_forward(module, &x, 1, y, 2), NNF_ERROR_INVALID, "one input", "to 2");
    CHECK_INFER(module, "int64 [1] = s3", VALUES(SYM(3)));
    nnf_tensor_release(x);
    nnf_module_release(module);
}

static void an_error_in_a_child_leaks_nothing(void **state) {
    (void)state;
    nnf_module *container = NULL, *children[3] = {activation(NNF_RELU), NULL, activation(NNF_RELU)};
    assert_ok(nnf_container_new(&container));
    children[1] = container;
    nnf_module *module = NULL;
    assert_ok(nnf_sequential_new(&module, children, 3));
    nnf_tensor *x = floats(1, (int64_t[]){2}, (const float[]){1, 2}), *y = NULL;
    assert_int_not_equal(nnf_module_forward(module, &x, 1, &y, 1), NNF_OK);
    assert_non_null(strstr(nnf_error_message(), "1"));
    assert_null(y);
    CHECK_INFER(module, "unknown ?", INFO(NNF_F32, D(2)));
    nnf_tensor_release(x);
    nnf_module_release(module);
    for (int i = 0; i < 3; i++)
        nnf_module_release(children[i]);
}

static void identity_keeps_everything(void **state) {
    (void)state;
    nnf_module *module = NULL;
    assert_ok(nnf_identity_new(&module));
    nnf_tensor *x = integers(3, (const int64_t[]){1, -2, 3}), *y = NULL;
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    assert_tensors_close(y, x, 0);
    CHECK_INFER(module, "int64 [2] = s1, 3", VALUES(SYM(1), D(3)));
    assert_true(nnf_module_get_type(module)->flags & NNF_TYPE_IDENTITY);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_module_release(module);
}

static void an_opaque_module_keeps_its_name_and_does_not_run(void **state) {
    (void)state;
    char op_type[] = "NonMaxSuppression";
    nnf_module *module = NULL, *copy = NULL;
    assert_ok(nnf_opaque_new(&module, op_type, "com.example"));
    op_type[0] = 'X'; /* the module has a copy */
    assert_ok(nnf_module_copy(&copy, module));
    nnf_module_release(module);
    const nnf_opaque_options *options = nnf_module_options(copy);
    assert_string_equal(options->op_type, "NonMaxSuppression");
    assert_string_equal(options->domain, "com.example");
    nnf_tensor *y = NULL;
    assert_int_not_equal(nnf_module_forward(copy, NULL, 0, &y, 1), NNF_OK);
    nnf_module_release(copy);
}

/* ---- Dropout ---- */

enum { N = 20000 };

static nnf_tensor *ones(void) {
    static float values[N];
    for (int i = 0; i < N; i++)
        values[i] = 1;
    return floats(1, (int64_t[]){N}, values);
}

static const float *numbers(const nnf_tensor *tensor) {
    const void *data = NULL;
    assert_ok(nnf_tensor_data(tensor, &data));
    return data;
}

static void dropout_in_eval_mode_is_identity(void **state) {
    (void)state;
    nnf_module *module = NULL;
    nnf_tensor *x = ones(), *y[2] = {NULL};
    assert_ok(nnf_dropout_new(&module, 0.5));
    nnf_module_eval(module);
    assert_ok(nnf_module_forward(module, &x, 1, y, 2));
    assert_tensors_close(y[0], x, 0);
    const void *mask = NULL;
    assert_int_equal(nnf_tensor_dtype(y[1]), NNF_BOOL);
    assert_ok(nnf_tensor_data(y[1], &mask));
    for (int i = 0; i < N; i++)
        assert_int_equal(((const unsigned char *)mask)[i], 1);
    nnf_tensor_release(x);
    nnf_tensor_release(y[0]);
    nnf_tensor_release(y[1]);
    nnf_module_release(module);
}

static void dropout_in_training_mode_keeps_the_mean(void **state) {
    (void)state;
    nnf_module *module = NULL;
    nnf_tensor *x = ones(), *first[2] = {NULL}, *second = NULL;
    assert_ok(nnf_dropout_new(&module, 0.25));
    assert_ok(nnf_module_forward(module, &x, 1, first, 2));
    assert_ok(nnf_module_forward(module, &x, 1, &second, 1));
    int dropped = 0, different = 0;
    const void *mask = NULL;
    assert_ok(nnf_tensor_data(first[1], &mask));
    for (int i = 0; i < N; i++) {
        float value = numbers(first[0])[i];
        dropped += value == 0;
        different += value != numbers(second)[i];
        assert_true(value == 0 || value == 1 / 0.75f);
        assert_int_equal(((const unsigned char *)mask)[i], value != 0);
    }
    /* six standard deviations of a binomial distribution: sqrt(N p (1 - p)) is 61 */
    assert_true(abs(dropped - N / 4) < 6 * 61);
    assert_true(abs(different - N * 3 / 8) < 6 * 69); /* 2 p (1 - p): each call draws anew */
    nnf_tensor_release(x);
    nnf_tensor_release(first[0]);
    nnf_tensor_release(first[1]);
    nnf_tensor_release(second);
    nnf_module_release(module);
}

static void dropout_draws_the_same_for_the_same_seed(void **state) {
    (void)state;
    nnf_tensor *x = ones(), *y[3] = {NULL};
    for (uint64_t i = 0; i < 3; i++) {
        nnf_module *module = NULL;
        assert_ok(nnf_module_new(&module, nnf_type("Dropout"),
                                 &(nnf_dropout_options){.p = 0.5, .seed = i / 2}));
        assert_ok(nnf_module_forward(module, &x, 1, &y[i], 1));
        nnf_module_release(module);
    }
    assert_tensors_close(y[1], y[0], 0);
    assert_memory_not_equal(numbers(y[2]), numbers(y[0]), N * sizeof(float));
    nnf_tensor_release(x);
    for (int i = 0; i < 3; i++)
        nnf_tensor_release(y[i]);
}

static void dropouts_options_may_be_inputs(void **state) {
    (void)state;
    nnf_module *module = NULL;
    bool yes = true;
    nnf_tensor *inputs[3] = {ones(), floats(0, NULL, (const float[]){1}), NULL}, *y = NULL;
    assert_ok(nnf_tensor_from_data(&inputs[2], NNF_BOOL, 0, NULL, &yes));
    assert_ok(nnf_dropout_new(&module, 0.5));
    nnf_module_eval(module);
    assert_ok(nnf_module_forward(module, inputs, 3, &y, 1));
    for (int i = 0; i < N; i++)
        assert_true(numbers(y)[i] == 0); /* p is 1 */
    for (int i = 0; i < 3; i++)
        nnf_tensor_release(inputs[i]);
    nnf_tensor_release(y);
    nnf_module_release(module);
    module = NULL;
    assert_error(nnf_dropout_new(&module, 1.5), NNF_ERROR_INVALID, "1.5");
    assert_error(nnf_dropout_new(&module, (double)NAN), NNF_ERROR_INVALID, "between 0 and 1");
}

static void types_are_found_by_name(void **state) {
    (void)state;
    static const char *const names[] = {
        "Conv2d",     "ConvTranspose1d", "Linear",     "MatMul", "BatchNorm3d",
        "ReLU",       "Softmax",         "Pow",        "Cast",   "Pad",
        "ReduceMean", "Gather",          "Sequential", "Opaque", "LinearBnReLU1d",
        "Dropout",    "Constant",        "Unsqueeze"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(nnf_type(names[i]));
        assert_string_equal(nnf_type(names[i])->name, names[i]);
    }
    assert_null(nnf_type("Relu"));
    assert_null(nnf_type(NULL));
}

TEST_MAIN(cmocka_unit_test(sequential_runs_its_children_in_order),
          cmocka_unit_test(an_empty_sequential_passes_its_input_on),
          cmocka_unit_test(an_error_in_a_child_leaks_nothing),
          cmocka_unit_test(identity_keeps_everything),
          cmocka_unit_test(an_opaque_module_keeps_its_name_and_does_not_run),
          cmocka_unit_test(dropout_in_eval_mode_is_identity),
          cmocka_unit_test(dropout_in_training_mode_keeps_the_mean),
          cmocka_unit_test(dropout_draws_the_same_for_the_same_seed),
          cmocka_unit_test(dropouts_options_may_be_inputs),
          cmocka_unit_test(types_are_found_by_name))
