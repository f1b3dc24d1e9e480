/* What several layers read: affine maps that go into each of them, and a norm's scale and bias. As
 * test_fusions.c has it for the other kinds. */
#include "fusions_layers.h"

static nnf_module *matmul_of(instance *it, int64_t in, int64_t out) {
    nnf_module *matmul;
    int64_t dims[] = {in, out};
    nnf_tensor *weight = random_tensor(it->dtype, 2, dims, -1, 1, it->seed++);
    assert_ok(nnf_matmul_new(&matmul));
    assert_ok(nnf_module_set_parameter(matmul, "weight", weight));
    nnf_tensor_release(weight);
    return matmul;
}

/* One more reader of `value`. */
static void add_reader(instance *it, nnf_module *layer, nnf_value value) {
    nnf_value inputs[8] = {value};
    it->x = add(it, layer, inputs, 1);
    it->n_fusing++;
    it->n_left++;
    assert_ok(nnf_graph_add_output(it->graph, it->x));
}

/* A reader of `value` whose weight something else reads too. */
static void add_sharing_reader(instance *it, nnf_value value, int64_t in) {
    int64_t dims[] = {in, 4};
    nnf_module *matmul;
    nnf_value inputs[8] = {value, random_constant(it, 2, dims, -1, 1)};
    assert_ok(nnf_graph_add_output(it->graph, add_aside(it, inputs[1])));
    assert_ok(nnf_matmul_new(&matmul));
    nnf_tensor *weight = nnf_graph_value_constant(it->graph, inputs[1]);
    assert_ok(nnf_module_set_parameter(matmul, "weight", weight));
    it->x = add(it, matmul, inputs, 2);
    it->n_fusing++;
    assert_ok(nnf_graph_add_output(it->graph, it->x));
}

/* Arithmetic with one number for each index of an axis, or one in all. */
static void then_arithmetic_along(instance *it, nnf_binary kind, int axis) {
    shape x = shape_of(it, it->x), of = {x.ndim, {0}};
    for (int i = 0; i < x.ndim; i++)
        of.dims[i] = i == axis && !chance(&it->seed, 5) ? x.dims[i] : 1;
    if (breaks(it, "along another axis"))
        of.dims[axis] = 1, of.dims[axis == 1 ? 0 : 1] = x.dims[axis == 1 ? 0 : 1];
    const bool given = breaks(it, "a constant that is an input");
    nnf_value constant = given ? more_input(it, of.ndim, of.dims, false)
                               : random_constant(it, of.ndim, of.dims, 0.5, 2);
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, kind));
    then_with(it, module, constant, kind != NNF_DIV && chance(&it->seed, 2));
}

/* ---- Affine maps ---- */

static void affine_before_convs(instance *it) {
    const bool padded = breaks(it, "a shift before a padded convolution");
    nnf_conv_options options = any_conv(it, false);
    options.padding_mode = NNF_PADDING_ZEROS;
    options.auto_pad = NNF_AUTO_PAD_NOTSET;
    for (int i = 0; i < options.spatial; i++)
        options.padding_begin[i] = options.padding_end[i] = padded;
    if (it->miss && options.in_channels == 1) options.in_channels = 2 * options.groups;
    start_for_conv(it, &options);
    for (int64_t n = it->miss ? 1 : pick(&it->seed, 1, 3); n > 0; n--)
        if (padded || (!it->miss && chance(&it->seed, 3)))
            then(it, any_norm(it));
        else
            then_arithmetic_along(it, (nnf_binary)pick(&it->seed, NNF_ADD, NNF_DIV), 1);
    nnf_value value = it->between[it->n_between++] = it->x;
    for (int64_t n = pick(&it->seed, 2, 4); n > 0; n--) {
        add_reader(it, conv_of(it, &options), value);
        options.out_channels = options.groups * pick(&it->seed, 1, 3);
        if (chance(&it->seed, 2)) options.stride[0] = 1;
        if (chance(&it->seed, 2)) options.kernel_size[0] = 1;
    }
    it->n_left--; /* it begins with 1 */
}

static void affine_before_products(instance *it) {
    const bool deep = it->miss || chance(&it->seed, 2);
    int64_t dims[] = {2, 3, pick(&it->seed, 2, 9)};
    if (!deep) dims[1] = dims[2];
    start(it, deep ? 3 : 2, dims, chance(&it->seed, 3));
    const bool needs_nodes = breaks(it, "more Adds than there were calls");
    then_arithmetic_along(it, needs_nodes || chance(&it->seed, 2) ? NNF_SUB : NNF_MUL,
                          deep ? 2 : 1);
    nnf_value value = it->between[it->n_between++] = it->x;
    if (breaks(it, "a weight that others read")) add_sharing_reader(it, value, dims[2]);
    for (int64_t n = pick(&it->seed, 2, 4); n > 0; n--) {
        nnf_module *layer;
        if (needs_nodes || (!deep && chance(&it->seed, 2)))
            layer = matmul_of(it, dims[2], pick(&it->seed, 1, 5));
        else
            assert_ok(nnf_linear_new(&layer, dims[2], pick(&it->seed, 1, 5), true, NNF_F32));
        fill(layer, it->seed++);
        add_reader(it, layer, value);
    }
    it->n_left--;
}

static void affine_before_several(instance *it) {
    static const char *const of_products[] = {"more Adds than there were calls",
                                              "a weight that others read"};
    bool products = it->miss ? false : chance(&it->seed, 2);
    for (size_t i = 0; i < 2; i++)
        products = products || (it->miss && !strcmp(it->miss, of_products[i]));
    (products ? affine_before_products : affine_before_convs)(it);
}

/* ---- Norms ---- */

/* A LayerNorm or RMSNorm over the last axis, or the last two, on [n, length, features]. */
static void then_norm(instance *it, const int64_t *dims, bool biased) {
    const bool layer_norm = biased || chance(&it->seed, 2);
    nnf_norm_options options = {.axis = chance(&it->seed, 2) ? -1 : 2, .eps = 1e-5};
    if (chance(&it->seed, 4)) options.axis = -2;
    options.centred = layer_norm;
    const bool matrix = breaks(it, "a scale for each element of two axes");
    if (matrix) options.axis = -2;
    nnf_value inputs[8] = {it->x};
    size_t n = 1;
    if (breaks(it, "a scale that is an input"))
        inputs[n++] = more_input(it, 1, dims + 2, false);
    else if (!it->miss && chance(&it->seed, 6))
        inputs[n++] = random_constant(it, 0, dims, 0.5, 2);
    else
        inputs[n++] = random_constant(it, matrix ? 2 : 1, matrix ? dims + 1 : dims + 2, 0.5, 2);
    if (biased) inputs[n++] = random_constant(it, 1, dims + 2, -1, 1);
    nnf_module *norm;
    assert_ok(nnf_module_new(&norm, nnf_type(layer_norm ? "LayerNorm" : "RMSNorm"), &options));
    it->x = add(it, norm, inputs, n);
    it->n_fusing++;
    it->n_left++;
}

static void norm_before_layers(instance *it) {
    int64_t dims[] = {2, 3, pick(&it->seed, 2, 9)};
    start(it, 3, dims, chance(&it->seed, 3));
    const bool unlike = breaks(it, "a convolution over another axis");
    const bool needs_nodes = breaks(it, "an Add for a bias"),
               biased = needs_nodes || chance(&it->seed, 2);
    then_norm(it, dims, biased);
    nnf_value value = it->between[it->n_between++] = it->x;
    if (breaks(it, "a weight that others read")) add_sharing_reader(it, value, dims[2]);
    it->n_chains = (size_t)pick(&it->seed, 1, 4);
    for (size_t n = it->n_chains; n > 0; n--) {
        const int64_t out = pick(&it->seed, 1, 5);
        nnf_module *layer;
        if (unlike && n == 1) {
            nnf_conv_options options = nnf_conv_options_default(1, false, dims[1], 2, 1);
            layer = module_of_conv(&options, true, &it->seed);
        } else if (needs_nodes || (!biased && chance(&it->seed, 2))) {
            layer = matmul_of(it, dims[2], out);
        } else {
            assert_ok(nnf_linear_new(&layer, dims[2], out, true, NNF_F32));
            fill(layer, it->seed++);
        }
        add_reader(it, layer, value);
    }
    it->n_left--;
}

static const fusion_row rows[] = {
    {"before several layers",
     affine_before_several,
     {"a shift before a padded convolution", "along another axis", "a constant that is an input",
      "more Adds than there were calls", "a weight that others read"},
     "before"},
    {"norm",
     norm_before_layers,
     {"a scale that is an input", "a scale for each element of two axes",
      "a convolution over another axis", "an Add for a bias", "a weight that others read"},
     "norm"},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
