/* Fused containers: what they are made of, what they refuse, how they run. */
#include "layer_support.h"
#include "nn/nn_internal.h"

static nnf_module *make(const char *type) {
    nnf_module *module = NULL;
    char d = type[strlen(type) - 2];
    int spatial = d >= '1' && d <= '3' ? d - '0' : 0;
    if (!strncmp(type, "Conv", 4)) {
        nnf_conv_options options =
            nnf_conv_options_default(spatial, strstr(type, "Transpose") != NULL, 2, 2, 1);
        assert_ok(nnf_conv_new(&module, &options, true, NNF_F32));
    } else if (!strncmp(type, "BatchNorm", 9)) {
        nnf_batchnorm_options options = nnf_batchnorm_options_default(spatial, 2);
        assert_ok(nnf_batchnorm_new(&module, &options, NNF_F32));
    } else if (!strcmp(type, "Linear")) {
        assert_ok(nnf_linear_new(&module, 2, 2, true, NNF_F32));
    } else {
        assert_ok(nnf_activation_new(&module, NNF_RELU));
    }
    assert_string_equal(nnf_module_type_name(module), type);
    return module;
}

/* torch.ao.nn.intrinsic's types, and those that PyTorch does not have */
static const char *const made_of[][4] = {
    {"ConvReLU1d", "Conv1d", "ReLU"},
    {"ConvReLU2d", "Conv2d", "ReLU"},
    {"ConvReLU3d", "Conv3d", "ReLU"},
    {"ConvBn1d", "Conv1d", "BatchNorm1d"},
    {"ConvBn2d", "Conv2d", "BatchNorm2d"},
    {"ConvBn3d", "Conv3d", "BatchNorm3d"},
    {"ConvBnReLU1d", "Conv1d", "BatchNorm1d", "ReLU"},
    {"ConvBnReLU2d", "Conv2d", "BatchNorm2d", "ReLU"},
    {"ConvBnReLU3d", "Conv3d", "BatchNorm3d", "ReLU"},
    {"LinearReLU", "Linear", "ReLU"},
    {"LinearBn1d", "Linear", "BatchNorm1d"},
    {"BNReLU2d", "BatchNorm2d", "ReLU"},
    {"BNReLU3d", "BatchNorm3d", "ReLU"},
    {"BNReLU1d", "BatchNorm1d", "ReLU"},
    {"ConvTransposeReLU1d", "ConvTranspose1d", "ReLU"},
    {"ConvTransposeReLU2d", "ConvTranspose2d", "ReLU"},
    {"ConvTransposeReLU3d", "ConvTranspose3d", "ReLU"},
    {"LinearBnReLU1d", "Linear", "BatchNorm1d", "ReLU"},
};

static void every_type_is_made_of_its_children(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof made_of / sizeof *made_of; i++) {
        nnf_module *children[3] = {NULL}, *fused = NULL;
        size_t n = made_of[i][3] ? 3 : 2;
        for (size_t k = 0; k < n; k++)
            children[k] = make(made_of[i][k + 1]);
        nnf_module_set_training(children[0], i % 2);
        assert_string_equal(nnfi_fused_name_of(&made_of[i][1], n), made_of[i][0]);
        assert_ok(nnf_fused_new(&fused, made_of[i][0], children, n));
        assert_string_equal(nnf_module_type_name(fused), made_of[i][0]);
        assert_int_equal(nnf_module_training(fused), i % 2);
        assert_int_equal(nnf_module_n_children(fused), n);
        assert_string_equal(nnf_module_child_name(fused, n - 1), n == 3 ? "2" : "1");
        assert_ptr_equal(nnf_module_child(fused, n - 1), children[n - 1]);
        assert_ok(nnf_module_get_type(fused)->check(fused));
        nnf_module_release(fused);
        for (size_t k = 0; k < n; k++)
            nnf_module_release(children[k]);
    }
}

static void a_sequence_without_a_type_has_no_name(void **state) {
    (void)state;
    assert_null(nnfi_fused_name_of((const char *const[]){"Conv2d", "BatchNorm1d"}, 2));
    assert_null(nnfi_fused_name_of((const char *const[]){"Conv2d"}, 1));
    assert_null(nnfi_fused_name_of((const char *const[]){"Conv2d", "ReLU", "ReLU"}, 3));
    assert_null(nnfi_fused_name_of(NULL, 0));
}

static void a_wrong_module_is_named(void **state) {
    (void)state;
    nnf_module *conv = make("Conv2d"), *relu = make("ReLU"), *bn = make("BatchNorm1d"),
               *fused = NULL;
    assert_error(nnf_fused_new(&fused, "ConvReLU1d", (nnf_module *[]){conv, relu}, 2),
                 NNF_ERROR_INVALID, "ConvReLU1d", "must be a Conv1d, not a Conv2d");
    assert_error(nnf_fused_new(&fused, "ConvBn2d", (nnf_module *[]){conv, bn}, 2),
                 NNF_ERROR_INVALID, "module 1", "BatchNorm2d, not a BatchNorm1d");
    assert_error(nnf_fused_new(&fused, "ConvReLU2d", (nnf_module *[]){conv}, 1), NNF_ERROR_INVALID,
                 "made of 2 modules, not of 1");
    assert_error(nnf_fused_new(&fused, "ConvReLU2d", (nnf_module *[]){conv, NULL}, 2),
                 NNF_ERROR_INVALID, "module 1 of a ConvReLU2d is NULL");
    assert_error(nnf_fused_new(&fused, "ConvSwish2d", (nnf_module *[]){conv, relu}, 2),
                 NNF_ERROR_NOT_FOUND, "ConvSwish2d");
    assert_null(fused);
    assert_ok(nnf_fused_new(&fused, "ConvReLU2d", (nnf_module *[]){conv, relu}, 2));
    assert_ok(nnf_module_set_child(fused, "1", bn));
    assert_error(nnf_module_get_type(fused)->check(fused), NNF_ERROR_INVALID,
                 "ReLU, not a BatchNorm1d");
    nnf_module_release(fused);
    nnf_module_release(conv);
    nnf_module_release(relu);
    nnf_module_release(bn);
}

static void a_fused_type_runs_and_infers_through_its_children(void **state) {
    (void)state;
    nnf_module *linear = make("Linear"), *relu = make("ReLU"), *fused = NULL;
    nnf_tensor *weight = floats(2, (int64_t[]){2, 2}, (const float[]){1, 2, -3, 1});
    nnf_tensor *x = floats(2, (int64_t[]){1, 2}, (const float[]){2, 1}), *y = NULL;
    nnf_tensor *expected = floats(2, (int64_t[]){1, 2}, (const float[]){4, 0});
    assert_ok(nnf_module_set_parameter(linear, "weight", weight));
    assert_ok(nnf_fused_new(&fused, "LinearReLU", (nnf_module *[]){linear, relu}, 2));
    assert_ok(nnf_module_forward(fused, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 0);
    CHECK_INFER(fused, "float32 [s1, 2]", INFO(NNF_F32, SYM(1), D(2)));
    assert_error(INFER_STATUS(fused, 1, INFO(NNF_F32, D(1), D(3))), NNF_ERROR_SHAPE, "'0'", "3");
    nnf_tensor_release(weight);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(fused);
    nnf_module_release(linear);
    nnf_module_release(relu);
}

TEST_MAIN(cmocka_unit_test(every_type_is_made_of_its_children),
          cmocka_unit_test(a_sequence_without_a_type_has_no_name),
          cmocka_unit_test(a_wrong_module_is_named),
          cmocka_unit_test(a_fused_type_runs_and_infers_through_its_children))
