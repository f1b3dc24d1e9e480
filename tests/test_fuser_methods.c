/* The default table of fuse_modules, row by row, in eval and in quantization-aware training: the
 * values are PyTorch's (goldens/make_fuse.py). */
#include "fuse_support.h"

typedef struct table_row {
    const char *name; /* of the case in fuse.golden */
    const char *types[3];
    const char *eval_type, *qat_type; /* of the fused module; NULL: an error */
} table_row;

#define ROWS(d)                                                                                 \
    {"conv" d "_bn", {"Conv" d, "BatchNorm" d}, "Conv" d, "ConvBn" d},                          \
        {"conv" d "_bn_cumulative", {"Conv" d, "BatchNorm" d}, "Conv" d, "ConvBn" d},           \
        {"conv" d "_bn_not_affine", {"Conv" d, "BatchNorm" d}, "Conv" d, NULL},                 \
        {"conv" d "_bn_relu", {"Conv" d, "BatchNorm" d, "ReLU"}, "ConvReLU" d, "ConvBnReLU" d}, \
        {"conv" d "_relu", {"Conv" d, "ReLU"}, "ConvReLU" d, "ConvReLU" d},                     \
        {"convtranspose" d "_bn", {"ConvTranspose" d, "BatchNorm" d}, "ConvTranspose" d, NULL}, \
        {"convtranspose" d "_groups_bn",                                                        \
         {"ConvTranspose" d, "BatchNorm" d},                                                    \
         "ConvTranspose" d,                                                                     \
         NULL},                                                                                 \
        {"convtranspose" d "_bn_relu",                                                          \
         {"ConvTranspose" d, "BatchNorm" d, "ReLU"},                                            \
         "ConvTransposeReLU" d,                                                                 \
         NULL},                                                                                 \
        {"convtranspose" d "_relu",                                                             \
         {"ConvTranspose" d, "ReLU"},                                                           \
         "ConvTransposeReLU" d,                                                                 \
         "ConvTransposeReLU" d},                                                                \
    {                                                                                           \
        "bn" d "_relu", {"BatchNorm" d, "ReLU"}, "BNReLU" d, "BNReLU" d                         \
    }

static const table_row rows[] = {
    ROWS("1d"),
    ROWS("2d"),
    ROWS("3d"),
    {"linear_bn", {"Linear", "BatchNorm1d"}, "Linear", "LinearBn1d"},
    {"linear_bn_cumulative", {"Linear", "BatchNorm1d"}, "Linear", "LinearBn1d"},
    {"linear_bn_not_affine", {"Linear", "BatchNorm1d"}, "Linear", NULL},
    {"linear_bn_relu", {"Linear", "BatchNorm1d", "ReLU"}, "LinearReLU", "LinearBnReLU1d"},
    {"linear_relu", {"Linear", "ReLU"}, "LinearReLU", "LinearReLU"},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static size_t length_of(const table_row *row) {
    return row->types[2] ? 3 : 2;
}

static void load_tensor(nnf_module *module, const golden *file, const char *name, size_t index,
                        const char *tensor, bool buffer) {
    if (!golden_has(file, "%s/%zu.%s", name, index, tensor)) return;
    nnf_tensor *value = golden_tensor(file, "%s/%zu.%s", name, index, tensor);
    assert_ok(buffer ? nnf_module_set_buffer(module, tensor, value)
                     : nnf_module_set_parameter(module, tensor, value));
    nnf_tensor_release(value);
}

static nnf_module *load_conv(const golden *file, const char *name, size_t index) {
    int64_t o[10];
    assert_int_equal(golden_integers(file, o, 10, "%s/%zu.options", name, index), 10);
    nnf_conv_options options = nnf_conv_options_default((int)o[0], o[1], o[2], o[3], o[5]);
    options.groups = o[4];
    for (int i = 0; i < options.spatial; i++) {
        options.stride[i] = o[6];
        options.padding_begin[i] = options.padding_end[i] = o[7];
        options.dilation[i] = o[8];
        options.output_padding[i] = o[9];
    }
    nnf_module *module;
    bool bias = golden_has(file, "%s/%zu.bias", name, index);
    assert_ok(nnf_conv_new(&module, &options, bias, NNF_F32));
    return module;
}

static nnf_module *load_norm(const golden *file, const char *name, size_t index, int spatial) {
    double o[2];
    assert_int_equal(golden_numbers(file, o, 2, "%s/%zu.options", name, index), 2);
    nnf_tensor *mean = golden_tensor(file, "%s/%zu.running_mean", name, index);
    nnf_batchnorm_options options = nnf_batchnorm_options_default(spatial, nnf_tensor_numel(mean));
    nnf_tensor_release(mean);
    options.eps = o[0];
    options.cumulative = o[1] < 0;
    options.momentum = options.cumulative ? 0 : o[1];
    options.affine = golden_has(file, "%s/%zu.weight", name, index);
    nnf_module *module;
    assert_ok(nnf_batchnorm_new(&module, &options, NNF_F32));
    return module;
}

static nnf_module *load_module(const golden *file, const table_row *row, size_t index) {
    const char *type = row->types[index];
    nnf_module *module;
    if (!strcmp(type, "ReLU")) return new_relu();
    if (!strcmp(type, "Linear")) {
        nnf_tensor *weight = golden_tensor(file, "%s/%zu.weight", row->name, index);
        const int64_t *shape = nnf_tensor_shape(weight);
        bool bias = golden_has(file, "%s/%zu.bias", row->name, index);
        assert_ok(nnf_linear_new(&module, shape[1], shape[0], bias, NNF_F32));
        nnf_tensor_release(weight);
    } else if (!strncmp(type, "BatchNorm", 9)) {
        module = load_norm(file, row->name, index, type[9] - '0');
    } else {
        module = load_conv(file, row->name, index);
    }
    static const char *const tensors[] = {"weight", "bias", "running_mean", "running_var",
                                          "num_batches_tracked"};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        load_tensor(module, file, row->name, index, tensors[i], i >= 2);
    assert_string_equal(nnf_module_type_name(module), type);
    return module;
}

/* The row's modules as a Sequential. */
static nnf_module *load_model(const golden *file, const table_row *row) {
    nnf_module *modules[3];
    for (size_t i = 0; i < length_of(row); i++)
        modules[i] = load_module(file, row, i);
    return new_sequential(modules, length_of(row));
}

static void assert_output(nnf_module *model, const golden *file, const table_row *row,
                          const char *name) {
    if (!golden_has(file, "%s/%s", row->name, name)) return;
    nnf_tensor *x = golden_tensor(file, "%s/x", row->name);
    nnf_tensor *expected = golden_tensor(file, "%s/%s", row->name, name);
    nnf_tensor *actual = run(model, x);
    assert_tensors_close(actual, expected, 1e-5);
    nnf_tensor_release(x);
    nnf_tensor_release(expected);
    nnf_tensor_release(actual);
}

static void assert_tensor_is(const nnf_module *module, const char *tensor, const golden *file,
                             const table_row *row, const char *name) {
    if (!golden_has(file, "%s/%s", row->name, name)) return;
    nnf_tensor *expected = golden_tensor(file, "%s/%s", row->name, name);
    assert_tensors_close(nnf_module_tensor(module, tensor), expected, 1e-6);
    nnf_tensor_release(expected);
}

static const char *const chain_names[] = {"0", "1", "2"};

static void the_default_table_with_is_qat_false(void **state) {
    (void)state;
    golden *file = golden_open("fuse");
    for (size_t i = 0; i < N_ROWS; i++) {
        nnf_module *model = load_model(file, &rows[i]), *fused;
        nnf_module_eval(model);
        assert_output(model, file, &rows[i], "y");
        nnf_chain chain = {chain_names, length_of(&rows[i])};
        assert_ok(nnf_fuse_modules(&fused, model, &chain, 1, NULL));
        assert_string_equal(type_at(fused, "0"), rows[i].eval_type);
        for (size_t m = 1; m < chain.length; m++)
            assert_string_equal(type_at(fused, chain_names[m]), "Identity");
        const nnf_module *base = at(fused, "0");
        if (nnf_module_n_children(base)) base = nnf_module_child(base, 0);
        assert_tensor_is(base, "weight", file, &rows[i], "weight");
        assert_tensor_is(base, "bias", file, &rows[i], "bias");
        assert_output(fused, file, &rows[i], "y");
        assert_output(fused, file, &rows[i], "y_fused");
        nnf_module_release(model);
        nnf_module_release(fused);
    }
    golden_close(file);
}

/* In eval, and after one step of training that updates the running statistics. */
static void the_default_table_with_is_qat_true(void **state) {
    (void)state;
    golden *file = golden_open("fuse");
    for (size_t i = 0; i < N_ROWS; i++) {
        nnf_module *model = load_model(file, &rows[i]), *fused;
        nnf_chain chain = {chain_names, length_of(&rows[i])};
        if (!rows[i].qat_type) {
            assert_error(nnf_fuse_modules_qat(&fused, model, &chain, 1, NULL),
                         NNF_ERROR_NOT_FUSABLE, "'0'", "'1'");
            nnf_module_release(model);
            continue;
        }
        assert_ok(nnf_fuse_modules_qat(&fused, model, &chain, 1, NULL));
        assert_string_equal(type_at(fused, "0"), rows[i].qat_type);
        for (size_t m = 0; m < chain.length; m++)
            assert_string_equal(nnf_module_child_name(at(fused, "0"), m), chain_names[m]);
        assert_true(nnf_module_training(at(fused, "0")));
        assert_output(fused, file, &rows[i], "y_train");
        for (size_t m = 0; m < chain.length; m++) {
            const nnf_module *child = nnf_module_child(at(fused, "0"), m);
            if (strncmp(nnf_module_type_name(child), "BatchNorm", 9)) continue;
            assert_tensor_is(child, "running_mean", file, &rows[i], "train.running_mean");
            assert_tensor_is(child, "running_var", file, &rows[i], "train.running_var");
            assert_tensor_is(child, "num_batches_tracked", file, &rows[i],
                             "train.num_batches_tracked");
        }
        nnf_module_eval(fused);
        assert_output(fused, file, &rows[i], "y_trained");
        nnf_module_release(model);
        nnf_module_release(fused);
    }
    golden_close(file);
}

static void is_qat_true_on_modules_in_eval_mode_gives_the_same_unfolded_containers(void **state) {
    (void)state;
    golden *file = golden_open("fuse");
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!rows[i].qat_type) continue;
        nnf_module *model = load_model(file, &rows[i]), *fused;
        nnf_module_eval(model);
        nnf_chain chain = {chain_names, length_of(&rows[i])};
        assert_ok(nnf_fuse_modules_qat(&fused, model, &chain, 1, NULL));
        assert_string_equal(type_at(fused, "0"), rows[i].qat_type);
        assert_false(nnf_module_training(at(fused, "0")));
        assert_output(fused, file, &rows[i], "y");
        nnf_module_release(model);
        nnf_module_release(fused);
    }
    golden_close(file);
}

/* conv+relu, linear+relu and bn+relu, which fold nothing. */
static void is_qat_false_needs_eval_mode_only_where_a_batch_norm_is_folded(void **state) {
    (void)state;
    golden *file = golden_open("fuse");
    for (size_t i = 0; i < N_ROWS; i++) {
        if (length_of(&rows[i]) != 2 || strcmp(rows[i].types[1], "ReLU")) continue;
        for (int modes = 1; modes < 4; modes++) {
            nnf_module *model = load_model(file, &rows[i]), *fused;
            nnf_module_set_training(at(model, "0"), modes & 1);
            nnf_module_set_training(at(model, "1"), modes & 2);
            nnf_chain chain = {chain_names, 2};
            assert_ok(nnf_fuse_modules(&fused, model, &chain, 1, NULL));
            assert_string_equal(type_at(fused, "0"), rows[i].eval_type);
            assert_int_equal(nnf_module_training(at(fused, "0")), modes & 1);
            assert_int_equal(nnf_module_training(at(fused, "0.1")), (modes & 2) != 0);
            assert_int_equal(nnf_module_training(at(fused, "1")), modes & 1);
            nnf_module_release(model);
            nnf_module_release(fused);
        }
    }
    golden_close(file);
}

/* PyTorch's names, called with the modules themselves. */
static void the_fuser_methods_by_name(void **state) {
    (void)state;
    nnf_module *conv = new_conv(2, false, 4, 6, 2), *convt = new_conv(2, true, 4, 6, 2);
    nnf_module *linear = new_linear(4, 6), *bn1 = new_norm(1, 6), *bn2 = new_norm(2, 6);
    nnf_module *relu = new_relu(), *fused;
    nnf_module *all[] = {conv, convt, linear, bn1, bn2, relu};
    for (size_t i = 0; i < 6; i++)
        nnf_module_eval(all[i]);

    assert_ok(nnf_fuse_conv_bn(&fused, false, conv, bn2));
    assert_string_equal(nnf_module_type_name(fused), "Conv2d");
    nnf_module_release(fused);
    assert_ok(nnf_fuse_conv_bn(&fused, true, conv, bn2));
    assert_string_equal(nnf_module_type_name(fused), "ConvBn2d");
    nnf_module_release(fused);
    assert_ok(nnf_fuse_conv_bn_relu(&fused, false, conv, bn2, relu));
    assert_string_equal(nnf_module_type_name(fused), "ConvReLU2d");
    nnf_module_release(fused);
    assert_ok(nnf_fuse_linear_bn(&fused, false, linear, bn1));
    assert_string_equal(nnf_module_type_name(fused), "Linear");
    nnf_module_release(fused);
    assert_ok(nnf_fuse_convtranspose_bn(&fused, false, convt, bn2));
    assert_string_equal(nnf_module_type_name(fused), "ConvTranspose2d");
    nnf_module_release(fused);
    assert_error(nnf_fuse_convtranspose_bn(&fused, true, convt, bn2), NNF_ERROR_NOT_FUSABLE,
                 "ConvTranspose2d", "BatchNorm2d");
    assert_error(nnf_fuse_conv_bn(&fused, false, conv, bn1), NNF_ERROR_NOT_FOUND,
                 "Conv2d, BatchNorm1d");
    for (size_t i = 0; i < 6; i++)
        nnf_module_release(all[i]);
}

static void fused_types_check_the_types_of_what_they_are_given(void **state) {
    (void)state;
    nnf_module *modules[] = {new_conv(1, false, 2, 2, 1), new_relu()}, *fused;
    assert_error(nnf_fused_new(&fused, "ConvReLU2d", modules, 2), NNF_ERROR_INVALID, "ConvReLU2d",
                 "Conv2d", "Conv1d");
    nnf_module_release(modules[0]);
    nnf_module_release(modules[1]);
}

TEST_MAIN(cmocka_unit_test(the_default_table_with_is_qat_false),
          cmocka_unit_test(the_default_table_with_is_qat_true),
          cmocka_unit_test(is_qat_true_on_modules_in_eval_mode_gives_the_same_unfolded_containers),
          cmocka_unit_test(is_qat_false_needs_eval_mode_only_where_a_batch_norm_is_folded),
          cmocka_unit_test(the_fuser_methods_by_name),
          cmocka_unit_test(fused_types_check_the_types_of_what_they_are_given))
