/* Every kind of fusion on random instances: it happens, computes the same, and doesn't happen where
 * one of its conditions fails. docs/fusions.md has the conditions. */
#include "fusions_layers.h"

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

/* The shape of a slope for what the next call reads: one number, one for each channel, or more. */
static shape shape_of_slope(instance *it) {
    shape x = shape_of(it, it->x), of = {x.ndim, {0}};
    const bool all = chance(&it->seed, 4), channels = all || !chance(&it->seed, 4);
    for (int i = 0; i < of.ndim; i++)
        of.dims[i] = i > 0 && (all || (channels && i == 1)) ? x.dims[i] : 1;
    if (breaks(it, "a slope that enlarges")) of.dims[0] = 3;
    if (breaks(it, "a slope of higher rank")) {
        memmove(of.dims + 1, of.dims, (size_t)of.ndim++ * sizeof *of.dims);
        of.dims[0] = 2;
    }
    while (of.ndim > 0 && of.dims[0] == 1 && chance(&it->seed, 2)) /* leading ones are not needed */
        memmove(of.dims, of.dims + 1, (size_t)--of.ndim * sizeof *of.dims);
    return of;
}

static nnf_module *any_prelu(instance *it) {
    shape of = shape_of_slope(it);
    return prelu_of(of.ndim, of.dims, &it->seed);
}

static void prelu_after(instance *it) {
    then_linear_layer(it, CONV | TRANSPOSED | LINEAR);
    if (!it->miss && chance(&it->seed, 2)) then(it, any_norm(it));
    nnf_module *prelu = any_prelu(it);
    const nnf_tensor *slope = nnf_module_tensor(prelu, "weight");
    shape of = {nnf_tensor_ndim(slope), {0}};
    memcpy(of.dims, nnf_tensor_shape(slope), sizeof *of.dims * (size_t)of.ndim);
    if (!breaks(it, "a slope that is an input")) {
        then(it, prelu);
        return;
    }
    assert_ok(nnf_module_set_parameter(prelu, "weight", NULL));
    then_with(it, prelu, more_input(it, of.ndim, of.dims, false), false);
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
    if (!it->miss && chance(&it->seed, 6))
        then(it, any_prelu(it));
    else if (!it->miss && chance(&it->seed, 2))
        then(it, random_activation_among(&it->seed, NNF_RELU, NNF_GELU_TANH));
}

/* ---- Arithmetic with a constant ---- */

enum { SCALES = 1, SHIFTS = 2 };

/* A constant with a number for each channel, or one for all, as files shape them. */
static shape shape_along_channels(instance *it, const shape *x) {
    shape of = {x->ndim, {0}};
    for (int i = 0; i < of.ndim; i++)
        of.dims[i] = 1;
    if (breaks(it, "along another axis")) { /* or larger than it */
        int64_t size = x->dims[x->ndim > 2 ? x->ndim - 1 : 0];
        of.dims[x->ndim > 2 ? x->ndim - 1 : 0] = size > 1 ? size : 3;
        return of;
    }
    if (!chance(&it->seed, 4)) of.dims[1] = x->dims[1];
    if (breaks(it, "of higher rank")) {
        memmove(of.dims + 1, of.dims, (size_t)of.ndim++ * sizeof *of.dims);
        of.dims[0] = 1;
        return of;
    }
    while (of.ndim > 0 && of.dims[0] == 1 && chance(&it->seed, 2)) /* leading ones are not needed */
        memmove(of.dims, of.dims + 1, (size_t)--of.ndim * sizeof *of.dims);
    return of;
}

/* x OP c, or c OP x where that is affine too. */
static void then_arithmetic(instance *it, int kinds) {
    nnf_binary kind = kinds == SCALES   ? (nnf_binary)pick(&it->seed, NNF_MUL, NNF_DIV)
                      : kinds == SHIFTS ? (nnf_binary)pick(&it->seed, NNF_ADD, NNF_SUB)
                                        : (nnf_binary)pick(&it->seed, NNF_ADD, NNF_DIV);
    shape x = shape_of(it, it->x), of = shape_along_channels(it, &x);
    bool swapped = kind != NNF_DIV && chance(&it->seed, 2);
    if (breaks(it, "c / x")) kind = NNF_DIV, swapped = true;
    double low = 0.5, high = 2;
    if (breaks(it, "a division by 0")) kind = NNF_DIV, low = high = 0;
    nnf_value constant = breaks(it, "a constant that is an input")
                             ? more_input(it, of.ndim, of.dims, false)
                             : random_constant(it, of.ndim, of.dims, low, high);
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, kind));
    then_with(it, module, constant, swapped);
}

static void then_some_arithmetic(instance *it, int kinds) {
    for (int64_t n = it->miss ? 1 : pick(&it->seed, 1, 3); n > 0; n--)
        then_arithmetic(it, kinds);
}

static void scale_after(instance *it) {
    then_linear_layer(it, CONV | TRANSPOSED | LINEAR);
    if (!it->miss && chance(&it->seed, 3)) then(it, any_norm(it));
    then_some_arithmetic(it, SCALES | SHIFTS);
    if (!it->miss && chance(&it->seed, 3)) then(it, any_norm(it));
    if (!it->miss && chance(&it->seed, 3)) then(it, new_relu());
}

static void batch_norms(instance *it) {
    int64_t dims[] = {batch_of(it), pick(&it->seed, 2, 9), 3, 4, 2};
    start(it, (int)pick(&it->seed, 2, 5), dims, chance(&it->seed, 3));
    then(it, norm_of(it, true, false)); /* it takes the others' maps into its weight and bias */
    if (breaks(it, "batch norm in training mode")) {
        then(it, any_norm(it));
        return;
    }
    if (!it->miss && chance(&it->seed, 2)) then(it, any_norm(it));
    then_some_arithmetic(it, SCALES | SHIFTS);
}

/* ---- Affine maps before a layer ---- */

static void then_affine(instance *it, bool shifts) {
    if (shifts && chance(&it->seed, 2))
        then(it, any_norm(it));
    else
        then_arithmetic(it, shifts ? SCALES | SHIFTS : SCALES);
}

/* A padding that does not show a shift: none, or one made of the input. */
static void pad_by_input(instance *it, nnf_conv_options *options) {
    if (chance(&it->seed, 2)) {
        mirror_or_wrap(it, options);
        return;
    }
    options->auto_pad = chance(&it->seed, 2) ? NNF_AUTO_PAD_VALID : NNF_AUTO_PAD_NOTSET;
    options->padding_mode = NNF_PADDING_ZEROS;
    for (int i = 0; i < NNF_MAX_SPATIAL; i++)
        options->padding_begin[i] = options->padding_end[i] = 0;
}

static void affine_before_conv(instance *it) {
    bool unlike = breaks(it, "a shift before a transposed convolution");
    bool padded = breaks(it, "a shift before a padded convolution"), shifts = unlike || padded;
    if (!it->miss || it->missed) shifts = shifts || chance(&it->seed, 2);
    bool transposed = unlike || (!shifts && chance(&it->seed, 3));
    nnf_conv_options options = any_conv(it, transposed);
    if (shifts && !transposed && !padded) pad_by_input(it, &options);
    if (padded) {
        options.padding_mode = NNF_PADDING_ZEROS;
        options.auto_pad = NNF_AUTO_PAD_NOTSET;
        options.padding_end[options.spatial - 1] = 2;
    }
    start_for_conv(it, &options);
    if (unlike || padded)
        then(it, any_norm(it));
    else
        then_affine(it, shifts);
    if (!it->miss && chance(&it->seed, 2)) then_affine(it, shifts);
    then(it, conv_of(it, &options));
}

static void affine_before(instance *it) {
    if (it->miss || chance(&it->seed, 2)) {
        affine_before_conv(it);
    } else {
        int64_t dims[] = {batch_of(it), pick(&it->seed, 2, 17)};
        start(it, 2, dims, chance(&it->seed, 3));
        then_affine(it, true);
        then(it, any_linear(it, dims[1], pick(&it->seed, 2, 17)));
    }
    if (!it->miss && chance(&it->seed, 3)) then(it, any_norm(it));
    if (!it->miss && chance(&it->seed, 3)) then(it, new_relu());
}

/* ---- MatMul and Add ---- */

static void matmul_and_add(instance *it) {
    bool deep = breaks(it, "rank 3");
    int64_t dims[] = {batch_of(it), pick(&it->seed, 1, 9), pick(&it->seed, 1, 9)};
    int64_t matrix[] = {dims[deep ? 2 : 1], pick(&it->seed, 2, 9)};
    start(it, deep ? 3 : 2, dims, chance(&it->seed, 3));
    nnf_module *matmul;
    assert_ok(nnf_matmul_new(&matmul));
    if (breaks(it, "a matrix that is an input")) {
        then_with(it, matmul, more_input(it, 2, matrix, false), false);
    } else {
        nnf_tensor *weight = random_tensor(it->dtype, 2, matrix, -1, 1, it->seed++);
        assert_ok(nnf_module_set_parameter(matmul, "weight", weight));
        nnf_tensor_release(weight);
        then(it, matmul);
    }
    if (deep) {
        nnf_value constant = random_constant(it, 1, matrix + 1, -1, 1);
        then_with(it, new_add(), constant, chance(&it->seed, 2));
    } else {
        then_arithmetic(it, SHIFTS);
    }
}

/* ---- Pad ---- */

/* Pads of up to `most` on each side of the spatial axes; an attribute, or an input. */
static void then_pad(instance *it, int ndim, const int64_t *most) {
    nnf_pad_options options = {.n = 2 * ndim};
    int64_t n_pads = options.n;
    for (int i = 2; i < ndim; i++) {
        options.pads[i] = pick(&it->seed, 0, most[i - 2]);
        options.pads[i + ndim] = pick(&it->seed, 0, most[i - 2]);
    }
    if (breaks(it, "a value that is not 0")) options.value = 0.5;
    if (breaks(it, "not a constant")) options.kind = NNF_PAD_EDGE;
    if (breaks(it, "the channels' axis")) options.pads[1] = 1;
    if (breaks(it, "a dilated maximum")) options.pads[2] = 1;
    if (breaks(it, "a negative pad")) options.pads[2] = -1, options.pads[ndim + 2] = 1;
    if (options.value == 0 && chance(&it->seed, 2)) {
        nnf_tensor *pads;
        assert_ok(nnf_tensor_from_data(&pads, NNF_I64, 1, &n_pads, options.pads));
        nnf_value value = constant_of(it, pads);
        nnf_tensor_release(pads);
        nnf_module *module;
        options.n = -1;
        assert_ok(nnf_module_new(&module, nnf_type("Pad"), &options));
        then_with(it, module, value, false);
        return;
    }
    nnf_module *module;
    assert_ok(nnf_module_new(&module, nnf_type("Pad"), &options));
    then(it, module);
}

static void pad_before_conv(instance *it) {
    bool deeper = it->miss && !strcmp(it->miss, "the channels' axis");
    const int64_t most[] = {3, 3, 3};
    nnf_conv_options options = random_conv(&it->seed, (int)pick(&it->seed, 1, 3), false);
    options.auto_pad = NNF_AUTO_PAD_NOTSET;
    if (breaks(it, "padding to the same size")) options.auto_pad = NNF_AUTO_PAD_SAME_UPPER;
    if (breaks(it, "another padding mode")) mirror_or_wrap(it, &options);
    if (options.auto_pad || chance(&it->seed, 4))
        for (int i = 0; i < options.spatial; i++)
            options.padding_begin[i] = options.padding_end[i] = 0;
    if (it->miss && options.padding_mode) options.padding_end[0] = 1;
    options.groups = deeper ? 1 : options.groups;
    start_for_conv(it, &options);
    then_pad(it, options.spatial + 2, most);
    options.in_channels += deeper;
    then(it, conv_of(it, &options));
    if (!it->miss && chance(&it->seed, 3)) then(it, any_norm(it));
    if (!it->miss && chance(&it->seed, 3)) then(it, new_relu());
}

static void pad_before_pool(instance *it) {
    int64_t dims[] = {batch_of(it), pick(&it->seed, 1, 3), 7, 8, 9}, most[NNF_MAX_SPATIAL];
    int spatial = (int)pick(&it->seed, 1, 3);
    nnf_pool_options options = random_pool(&it->seed, spatial);
    bool own = breaks(it, "an average with padding of its own");
    bool any = breaks(it, "a maximum of any numbers");
    bool dilated = it->miss && !strcmp(it->miss, "a dilated maximum");
    options.average = own || (!any && !dilated && options.average);
    options.auto_pad = NNF_AUTO_PAD_NOTSET;
    options.ceil_mode = breaks(it, "ceil_mode");
    for (int i = 0; i < spatial; i++) {
        options.kernel_size[i] = pick(&it->seed, 2, 3);
        options.dilation[i] = dilated && i == 0 ? 2 : 1;
        options.padding_begin[i] = options.padding_end[i] =
            own || (!options.average && !dilated && i == 0);
        most[i] = options.kernel_size[i] - 1 - options.padding_end[i];
    }
    start(it, spatial + 2, dims, false);
    if (!any) it->x = add(it, new_relu(), (nnf_value[8]){it->x}, 1);
    then_pad(it, spatial + 2, most);
    nnf_module *module;
    assert_ok(nnf_pool_new(&module, &options));
    then(it, module);
}

static const fusion_row rows[] = {
    {"batchnorm",
     batch_norm_after,
     {"rank 3", "batch norm in training mode", "a variance below 0", "a fold that overflows",
      "a weight that is an input"},
     NULL},
    {"relu", relu_after, {NULL}, NULL},
    {"activation", activation_after, {NULL}, NULL},
    {"activation that holds its slope",
     prelu_after,
     {"a slope that enlarges", "a slope of higher rank", "a slope that is an input"},
     NULL},
    {"residual",
     residual_into_conv,
     {"added to itself", "an operand that broadcasts", "an operand of another rank",
      "an operand of unknown size", "an operand of unknown shape"},
     NULL},
    {"scale after a layer",
     scale_after,
     {"along another axis", "of higher rank", "c / x", "a division by 0",
      "a constant that is an input"},
     NULL},
    {"batch norms in a row",
     batch_norms,
     {"batch norm in training mode", "along another axis", "of higher rank", "c / x",
      "a division by 0", "a constant that is an input"},
     NULL},
    {"before",
     affine_before,
     {"a shift before a padded convolution", "a shift before a transposed convolution",
      "along another axis", "c / x", "a division by 0", "a constant that is an input"},
     NULL},
    {"gemm",
     matmul_and_add,
     {"rank 3", "a matrix that is an input", "along another axis", "of higher rank",
      "a constant that is an input"},
     "gemm"},
    {"pad before a convolution",
     pad_before_conv,
     {"a value that is not 0", "not a constant", "the channels' axis", "a negative pad",
      "padding to the same size", "another padding mode"},
     NULL},
    {"pad before a pooling",
     pad_before_pool,
     {"a value that is not 0", "not a constant", "the channels' axis", "a negative pad",
      "an average with padding of its own", "a maximum of any numbers", "ceil_mode",
      "a dilated maximum"},
     NULL},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
