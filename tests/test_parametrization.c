/* weight_norm and spectral_norm beside PyTorch's, and a parametrization of one's own. */
#include "module_support.h"

#include <math.h>

#include "module/module_internal.h"

/* A module with the golden's tensor as its parameter "weight". */
static nnf_module *with_weight(const golden *file, const char *key) {
    nnf_module *module = new_box();
    nnf_tensor *weight = golden_tensor(file, "%s.weight", key);
    assert_ok(nnf_module_set_parameter(module, "weight", weight));
    nnf_tensor_release(weight);
    return module;
}

static void assert_weight(nnf_module *module, const golden *file, const char *key,
                          const char *what) {
    nnf_tensor *value = NULL, *expected = golden_tensor(file, "%s.%s", key, what);
    assert_ok(nnf_module_parametrized_tensor(&value, module, "weight"));
    assert_tensors_close(value, expected, 2e-6);
    nnf_tensor_release(value);
    nnf_tensor_release(expected);
}

static void set_original(nnf_module *module, int index, const golden *file, const char *key,
                         const char *what) {
    char name[64];
    snprintf(name, sizeof name, "parametrizations.weight.original%d", index);
    nnf_tensor *tensor = golden_tensor(file, "%s.%s", key, what);
    assert_ok(index > 0 && strcmp(what, "g") && strcmp(what, "new_g")
                  ? nnf_module_set_buffer(module, name, tensor)
                  : nnf_module_set_parameter(module, name, tensor));
    nnf_tensor_release(tensor);
}

static void assert_original(nnf_module *module, int index, const golden *file, const char *key,
                            const char *what) {
    char name[64];
    snprintf(name, sizeof name, "parametrizations.weight.original%d", index);
    nnf_tensor *expected = golden_tensor(file, "%s.%s", key, what);
    assert_non_null(nnf_module_tensor(module, name));
    assert_tensors_close(nnf_module_tensor(module, name), expected, 2e-6);
    nnf_tensor_release(expected);
}

static void weight_norm_is_pytorchs_for_every_axis(void **state) {
    (void)state;
    static const struct {
        const char *layer;
        int dim;
    } cases[] = {{"conv", 0},       {"conv", 1},   {"conv", 3},   {"conv", -1},  {"transposed", 0},
                 {"transposed", 1}, {"linear", 0}, {"linear", 1}, {"linear", -1}};
    golden *file = golden_open("parametrization");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[64];
        snprintf(key, sizeof key, "weight_norm.%s.%d", cases[i].layer, cases[i].dim);
        nnf_module *module = with_weight(file, key);
        assert_ok(nnf_weight_norm(module, "weight", cases[i].dim));
        assert_original(module, 0, file, key, "g");
        assert_weight(module, file, key, "weight");
        set_original(module, 0, file, key, "new_g");
        assert_weight(module, file, key, "value");
        nnf_module_release(module);
    }
    golden_close(file);
}

static void spectral_norm_is_pytorchs_in_both_modes(void **state) {
    (void)state;
    golden *file = golden_open("parametrization");
    static const char *const keys[] = {"spectral_norm.conv", "spectral_norm.transposed"};
    for (int i = 0; i < 2; i++) {
        nnf_module *module = with_weight(file, keys[i]);
        assert_ok(nnf_spectral_norm(module, "weight", 2, 1e-12, i));
        set_original(module, 1, file, keys[i], "u");
        set_original(module, 2, file, keys[i], "v");
        nnf_module_eval(module);
        assert_weight(module, file, keys[i], "eval");
        assert_original(module, 1, file, keys[i], "u"); /* eval mode moves nothing */
        nnf_module_train(module, true);
        assert_weight(module, file, keys[i], "train");
        assert_original(module, 1, file, keys[i], "new_u");
        assert_original(module, 2, file, keys[i], "new_v");
        nnf_module_release(module);
    }
    golden_close(file);
}

static void spectral_norm_of_a_vector_divides_by_its_norm(void **state) {
    (void)state;
    golden *file = golden_open("parametrization");
    nnf_module *module = with_weight(file, "spectral_norm.vector");
    assert_ok(nnf_spectral_norm(module, "weight", 1, 1e-12, 0));
    assert_weight(module, file, "spectral_norm.vector", "eval");
    assert_weight(module, file, "spectral_norm.vector", "train");
    nnf_module_release(module);
    golden_close(file);
}

/* diag(3, 1) scaled by its largest singular value, found from a start of its own. */
static void spectral_norm_starts_near_the_largest_singular_value(void **state) {
    (void)state;
    nnf_module *module = new_box();
    nnf_tensor *weight = NULL, *value = NULL;
    assert_ok(nnf_tensor_from_data(&weight, NNF_F32, 2, (int64_t[]){2, 2}, (float[]){3, 0, 0, 1}));
    assert_ok(nnf_module_set_parameter(module, "weight", weight));
    assert_ok(nnf_spectral_norm(module, "weight", 1, 1e-12, 0));
    nnf_module_eval(module);
    assert_ok(nnf_module_parametrized_tensor(&value, module, "weight"));
    assert_true(fabsf(element(value, 0) - 1.0f) < 1e-5f);
    assert_true(fabsf(element(value, 3) - 1.0f / 3.0f) < 1e-5f);
    nnf_tensor_release(weight);
    nnf_tensor_release(value);
    nnf_module_release(module);
}

static void a_parametrized_parameter_is_not_plain_until_removed(void **state) {
    (void)state;
    golden *file = golden_open("parametrization");
    const char *key = "spectral_norm.conv";
    nnf_module *module = with_weight(file, key), *copy = NULL;
    assert_false(nnf_module_is_parametrized(module, NULL));
    nnf_tensor *weight = nnf_tensor_retain(nnf_module_tensor(module, "weight"));
    assert_ok(nnf_spectral_norm(module, "weight", 1, 1e-12, 0));
    set_original(module, 1, file, key, "u");
    set_original(module, 2, file, key, "v");
    nnf_module_eval(module);
    assert_true(nnf_module_is_parametrized(module, NULL));
    assert_true(nnf_module_is_parametrized(module, "weight"));
    assert_false(nnf_module_is_parametrized(module, "bias"));
    assert_string_equal(nnf_module_type_before_parametrizations(module), "Box");
    assert_null(nnf_module_tensor(module, "weight"));
    assert_int_equal(nnf_module_n_tensors(module), 3);
    assert_int_equal(nnf_module_tensor_kind(module, 0), NNF_SLOT_PARAMETER);
    assert_int_equal(nnf_module_tensor_kind(module, 1), NNF_SLOT_BUFFER);
    assert_error(nnf_module_set_parameter(module, "weight", weight), NNF_ERROR_INVALID,
                 "parametrized");
    assert_error(nnf_weight_norm(module, "weight", 0), NNF_ERROR_INVALID, "already");
    assert_ok(nnf_module_copy(&copy, module));
    assert_ok(nnf_module_remove_parametrizations(module, "weight"));
    assert_false(nnf_module_is_parametrized(module, NULL));
    assert_int_equal(nnf_module_n_tensors(module), 1);
    assert_weight(module, file, key, "eval");
    assert_weight(copy, file, key, "eval");
    assert_true(nnf_module_is_parametrized(copy, "weight"));
    assert_error(nnf_module_remove_parametrizations(module, "weight"), NNF_ERROR_NOT_FOUND,
                 "not parametrized");
    nnf_tensor_release(weight);
    nnf_module_release(copy);
    nnf_module_release(module);
    golden_close(file);
}

static void what_cannot_be_parametrized_is_an_error(void **state) {
    (void)state;
    nnf_module *module = new_box();
    nnf_tensor *scalar = NULL, *integers = NULL;
    assert_ok(nnf_tensor_new(&scalar, NNF_F32, 0, NULL));
    assert_ok(nnf_tensor_new(&integers, NNF_I32, 1, (int64_t[]){3}));
    assert_error(nnf_weight_norm(module, "weight", 0), NNF_ERROR_NOT_FOUND,
                 "no parameter 'weight'");
    assert_ok(nnf_module_set_parameter(module, "weight", scalar));
    assert_error(nnf_spectral_norm(module, "weight", 1, 1e-12, 0), NNF_ERROR_INVALID, "rank 0");
    assert_ok(nnf_module_set_parameter(module, "weight", integers));
    assert_error(nnf_weight_norm(module, "weight", 0), NNF_ERROR_DTYPE, "int32");
    assert_error(nnf_weight_norm(module, "weight", 1), NNF_ERROR_DTYPE, "int32");
    assert_error(nnf_spectral_norm(module, "weight", 0, 1e-12, 0), NNF_ERROR_INVALID,
                 "power iteration");
    assert_int_equal(nnf_module_n_tensors(module), 1);
    nnf_tensor_release(scalar);
    nnf_tensor_release(integers);
    nnf_module_release(module);
}

/* ---- One of the user's own: a weight that is the negative of what is stored ---- */

static nnf_status negate(nnf_tensor **out, const nnf_tensor *tensor) {
    nnf_tensor *copy;
    void *data;
    assert_ok(nnf_tensor_convert(&copy, tensor, NNF_F32));
    assert_ok(nnf_tensor_mut_data(copy, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(copy); i++)
        ((float *)data)[i] = -((float *)data)[i];
    *out = copy;
    return NNF_OK;
}
static nnf_status negative_compute(nnf_tensor **value, nnf_tensor *const *originals, size_t n,
                                   const void *options, bool training) {
    (void)options, (void)training;
    assert_int_equal(n, 1);
    return negate(value, originals[0]);
}
static nnf_status negative_decompose(nnf_tensor **originals, size_t *n, const nnf_tensor *value,
                                     const void *options) {
    (void)options;
    *n = 1;
    return negate(&originals[0], value);
}
static const nnf_parametrization negative = {
    .name = "negative", .compute = negative_compute, .decompose = negative_decompose};

static void a_module_runs_with_the_value_of_a_users_parametrization(void **state) {
    (void)state;
    nnf_module *module = new_scale(2);
    nnf_tensor *bias = VECTOR(5), *x = VECTOR(1), *y = NULL;
    assert_ok(nnf_module_set_parameter(module, "bias", bias));
    assert_ok(nnf_module_register_parametrization(module, "bias", &negative, NULL));
    assert_true(element(nnf_module_tensor(module, "parametrizations.bias.original0"), 0) == -5);
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    assert_true(element(y, 0) == 7);
    nnf_tensor_release(y);
    assert_ok(nnf_module_set_parameter(module, "parametrizations.bias.original0", NULL));
    y = NULL;
    assert_error(nnf_module_forward(module, &x, 1, &y, 1), NNF_ERROR_NOT_FOUND,
                 "'parametrizations.bias.original0'", "unset");
    nnf_tensor_release(bias);
    nnf_tensor_release(x);
    nnf_module_release(module);
}

TEST_MAIN(cmocka_unit_test(weight_norm_is_pytorchs_for_every_axis),
          cmocka_unit_test(spectral_norm_is_pytorchs_in_both_modes),
          cmocka_unit_test(spectral_norm_of_a_vector_divides_by_its_norm),
          cmocka_unit_test(spectral_norm_starts_near_the_largest_singular_value),
          cmocka_unit_test(a_parametrized_parameter_is_not_plain_until_removed),
          cmocka_unit_test(what_cannot_be_parametrized_is_an_error),
          cmocka_unit_test(a_module_runs_with_the_value_of_a_users_parametrization))
