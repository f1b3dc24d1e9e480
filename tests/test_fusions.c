/* Every kind of fusion on random instances: it happens, computes the same, and doesn't happen where
 * one of its conditions fails. docs/fusions.md has the conditions. */
#include "fusions_support.h"

/* ---- Layers ---- */

/* More than 1 for near misses: a batch norm in training mode needs it. */
static int64_t batch_of(instance *it) {
    return it->miss ? 2 : pick(&it->seed, 1, 3);
}

static void mirror_or_wrap(instance *it, nnf_conv_options *options) {
    options->padding_mode =
        (nnf_padding_mode)pick(&it->seed, NNF_PADDING_REFLECT, NNF_PADDING_CIRCULAR);
    options->auto_pad = NNF_AUTO_PAD_NOTSET;
}

/* An input as large as a convolution's windows at least, and larger than its padding on both sides.
 */
static void start_for_conv(instance *it, const nnf_conv_options *options) {
    int64_t dims[NNF_MAX_DIMS] = {batch_of(it), options->in_channels};
    for (int i = 0; i < options->spatial; i++) {
        int64_t window = options->dilation[i] * (options->kernel_size[i] - 1) + 1;
        dims[i + 2] = (window > 5 ? window : 5) + pick(&it->seed, 0, 2);
    }
    start(it, options->spatial + 2, dims, chance(&it->seed, 3));
}

static nnf_conv_options any_conv(instance *it, bool transposed) {
    nnf_conv_options options = random_conv(&it->seed, (int)pick(&it->seed, 1, 3), transposed);
    if (!transposed && chance(&it->seed, 5)) mirror_or_wrap(it, &options);
    return options;
}

static nnf_module *conv_of(instance *it, const nnf_conv_options *options) {
    return module_of_conv(options, !chance(&it->seed, 3), &it->seed);
}

/* A linear layer on [n, in], or [n, length, in]. */
static nnf_module *any_linear(instance *it, int64_t in, int64_t out) {
    nnf_module *module;
    assert_ok(nnf_linear_new(&module, in, out, !chance(&it->seed, 3), NNF_F32));
    fill(module, it->seed++);
    return module;
}

enum { CONV = 1, TRANSPOSED = 2, LINEAR = 4 };

/* An input and a linear layer on it, of one of those kinds. */
static void then_linear_layer(instance *it, int kinds) {
    int kind = 0;
    while (!(kinds & kind))
        kind = 1 << pick(&it->seed, 0, 2);
    if (kind == LINEAR) {
        int64_t dims[] = {batch_of(it), pick(&it->seed, 1, 17)};
        start(it, 2, dims, chance(&it->seed, 3));
        then(it, any_linear(it, dims[1], pick(&it->seed, 2, 17)));
        return;
    }
    nnf_conv_options options = any_conv(it, kind == TRANSPOSED);
    start_for_conv(it, &options);
    then(it, conv_of(it, &options));
}

/* A batch norm for what the last call gave. */
static nnf_module *any_norm(instance *it) {
    shape of = shape_of(it, it->x);
    nnf_batchnorm_options options =
        nnf_batchnorm_options_default(of.ndim > 3 ? of.ndim - 2 : 1, of.dims[1]);
    options.affine = it->dtype == NNF_F16 || !chance(&it->seed, 4);
    options.eps = chance(&it->seed, 2) ? 1e-3 : 1e-5;
    options.training_mode = breaks(it, "batch norm in training mode");
    nnf_module *module;
    assert_ok(nnf_batchnorm_new(&module, &options, NNF_F32));
    fill(module, it->seed++);
    return module;
}

static void set_tensor(nnf_module *module, const char *name, double low, double high) {
    nnf_tensor *old = nnf_module_tensor(module, name);
    nnf_tensor *tensor = random_tensor(nnf_tensor_dtype(old), nnf_tensor_ndim(old),
                                       nnf_tensor_shape(old), low, high, 5);
    bool is_buffer = !strncmp(name, "running", 7);
    assert_ok((is_buffer ? nnf_module_set_buffer : nnf_module_set_parameter)(module, name, tensor));
    nnf_tensor_release(tensor);
}

/* ---- Batch norm after a linear layer ---- */

/* The convolution of an instance whose weight a caller may override: an input of the graph. */
static void then_conv_with_weight_given(instance *it) {
    nnf_conv_options options = any_conv(it, false);
    start_for_conv(it, &options);
    nnf_module *conv = conv_of(it, &options);
    nnf_tensor *weight = nnf_tensor_retain(nnf_module_tensor(conv, "weight"));
    nnf_value value = more_input(it, nnf_tensor_ndim(weight), nnf_tensor_shape(weight), false);
    assert_ok(nnf_module_set_parameter(conv, "weight", NULL));
    assert_ok(nnf_module_set_parameter(conv, "bias", NULL));
    nnf_tensor_release(weight);
    then_with(it, conv, value, false);
}

/* [n, length, features]: a batch norm runs over the length, a Linear over the features. */
static void then_linear_of_rank_3(instance *it) {
    int64_t dims[] = {2, pick(&it->seed, 1, 6), pick(&it->seed, 1, 8)};
    start(it, 3, dims, false);
    then(it, any_linear(it, dims[2], chance(&it->seed, 2) ? dims[1] : 5));
}

static void batch_norm_after(instance *it) {
    bool overflows = breaks(it, "a fold that overflows");
    if (overflows) it->dtype = NNF_F16;
    if (breaks(it, "a weight that is an input"))
        then_conv_with_weight_given(it);
    else if (breaks(it, "rank 3"))
        then_linear_of_rank_3(it);
    else
        then_linear_layer(it, CONV | TRANSPOSED | LINEAR);
    nnf_module *norm = any_norm(it);
    if (breaks(it, "a variance below 0")) set_tensor(norm, "running_var", -2, -1);
    if (overflows) {
        set_tensor(norm, "weight", 5e4, 6e4);
        set_tensor(norm, "running_mean", 10, 20);
    }
    then(it, norm);
    if (!it->miss && chance(&it->seed, 4)) then(it, any_norm(it));
}

/* ---- Activations ---- */

static void relu_after(instance *it) {
    then_linear_layer(it, CONV | LINEAR);
    if (!it->miss && chance(&it->seed, 2)) then(it, any_norm(it));
    then(it, new_relu());
}

static void activation_after(instance *it) {
    then_linear_layer(it, CONV | TRANSPOSED | LINEAR);
    if (!it->miss && chance(&it->seed, 2)) then(it, any_norm(it));
    then(it, random_activation_among(&it->seed, NNF_RELU, NNF_GELU_TANH));
}

/* ---- Residual ---- */

/* A value of the shape of the one that the next call reads, or of another that broadcasts to it. */
static nnf_value other_operand(instance *it) {
    nnf_type_info info = info_of(it, it->x);
    shape of = shape_of(it, it->x);
    if (breaks(it, "an operand that broadcasts")) {
        info.shape[0] = (nnf_dim){1, 0};
        of.dims[0] = 1;
    }
    if (breaks(it, "an operand of another rank")) {
        for (int i = of.ndim++; i > 0; i--) {
            info.shape[i] = info.shape[i - 1];
            of.dims[i] = of.dims[i - 1];
        }
        info.shape[0] = (nnf_dim){of.dims[0] = pick(&it->seed, 1, 2), 0};
        info.ndim++;
    }
    if (breaks(it, "an operand of unknown shape")) info.ndim = -1;
    if (breaks(it, "an operand of unknown size")) info.shape[of.ndim - 1].symbol = NNF_DIM_UNKNOWN;
    nnf_value other = input_with(it, &info, of.ndim, of.dims);
    return chance(&it->seed, 2) ? add_aside(it, other) : other;
}

static void residual_into_conv(instance *it) {
    nnf_value other = NNF_NO_VALUE;
    then_linear_layer(it, CONV);
    if (!it->miss && chance(&it->seed, 2)) then(it, any_norm(it));
    other = breaks(it, "added to itself") ? it->x : other_operand(it);
    then_with(it, new_add(), other, chance(&it->seed, 2));
    if (!it->miss && chance(&it->seed, 2))
        then(it, random_activation_among(&it->seed, NNF_RELU, NNF_GELU_TANH));
}

static const fusion_row rows[] = {
    {"batchnorm",
     batch_norm_after,
     {"rank 3", "batch norm in training mode", "a variance below 0", "a fold that overflows",
      "a weight that is an input"}},
    {"relu", relu_after, {NULL}},
    {"activation", activation_after, {NULL}},
    {"residual",
     residual_into_conv,
     {"added to itself", "an operand that broadcasts", "an operand of another rank",
      "an operand of unknown size", "an operand of unknown shape"}},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

int main(void) {
    struct CMUnitTest tests[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++)
        tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate(check_row, (void *)&rows[i]);
    for (size_t i = 0; i < N_ROWS; i++)
        tests[i].name = rows[i].name;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
