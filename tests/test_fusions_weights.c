/* Weights that the graph computes from constants, as exporters write weight_norm and spectral_norm:
 * cleaned, random instances fuse like layers that have them. */
#include "fusions_layers.h"

static nnf_value call_of(instance *it, nnf_module *module, nnf_value a, nnf_value b) {
    nnf_value inputs[8] = {a, b};
    it->n_fusing++;
    it->n_ahead++;
    return add(it, module, inputs, b == NNF_NO_VALUE ? 1 : 2);
}

static nnf_value binary(instance *it, nnf_binary kind, nnf_value a, nnf_value b) {
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, kind));
    return call_of(it, module, a, b);
}

static nnf_value product(instance *it, nnf_value a, nnf_value b) {
    nnf_module *module;
    assert_ok(nnf_matmul_new(&module));
    return call_of(it, module, a, b);
}

/* Over all axes but the first. */
static nnf_value reduced(instance *it, const char *type, nnf_value value, int ndim) {
    nnf_axes_options options = {.n_axes = ndim - 1, .keepdims = true};
    nnf_module *module;
    for (int i = 1; i < ndim; i++)
        options.axes[i - 1] = chance(&it->seed, 2) ? i : i - ndim;
    assert_ok(nnf_module_new(&module, nnf_type(type), &options));
    return call_of(it, module, value, NNF_NO_VALUE);
}

static nnf_value square_root(instance *it, nnf_value value) {
    nnf_module *module;
    assert_ok(nnf_activation_new(&module, NNF_SQRT));
    return call_of(it, module, value, NNF_NO_VALUE);
}

/* g v / |v|, the norm over all axes but the first. */
static nnf_value normed(instance *it, nnf_value v, const shape *of) {
    const int64_t ones[NNF_MAX_DIMS] = {of->dims[0], 1, 1, 1, 1, 1, 1, 1};
    nnf_value g = random_constant(it, of->ndim, ones, 0.5, 2), norm;
    if (breaks(it, "a norm of an input")) {
        norm = reduced(it, "ReduceL2", more_input(it, of->ndim, of->dims, false), of->ndim);
        it->n_ahead = 0;
    } else if (chance(&it->seed, 2)) {
        norm = reduced(it, "ReduceL2", v, of->ndim);
    } else {
        norm = reduced(it, "ReduceSum", binary(it, NNF_MUL, v, v), of->ndim);
        norm = square_root(it, norm);
    }
    const bool runs = it->n_ahead == 0;
    nnf_value weight = chance(&it->seed, 2) ? binary(it, NNF_MUL, g, binary(it, NNF_DIV, v, norm))
                                            : binary(it, NNF_DIV, binary(it, NNF_MUL, v, g), norm);
    if (runs) it->n_ahead = 0;
    return weight;
}

/* w / (u (w v)), of a matrix. */
static nnf_value divided_by_its_largest(instance *it, nnf_value w, const shape *of) {
    nnf_value v = random_constant(it, 1, of->dims + 1, 0.5, 1);
    nnf_value u = random_constant(it, 1, of->dims, 0.5, 1);
    return binary(it, NNF_DIV, w, product(it, u, product(it, w, v)));
}

static nnf_value computed_weight(instance *it, const shape *of) {
    if (breaks(it, "a weight that is an input")) {
        nnf_value w = normed(it, more_input(it, of->ndim, of->dims, false), of);
        it->n_ahead = 0;
        return w;
    }
    nnf_value w = random_constant(it, of->ndim, of->dims, 0.25, 1);
    const bool spectral = !it->miss && of->ndim == 2 && chance(&it->seed, 2);
    return (spectral ? divided_by_its_largest : normed)(it, w, of);
}

/* The layer (taken over) reads its weight. */
static void then_reading(instance *it, nnf_module *layer) {
    shape of = {nnf_tensor_ndim(nnf_module_tensor(layer, "weight")), {0}};
    memcpy(of.dims, nnf_tensor_shape(nnf_module_tensor(layer, "weight")),
           (size_t)of.ndim * sizeof *of.dims);
    assert_ok(nnf_module_set_parameter(layer, "weight", NULL));
    assert_ok(nnf_module_set_parameter(layer, "bias", NULL));
    then_with(it, layer, computed_weight(it, &of), false);
}

static void weight_of_constants(instance *it) {
    if (chance(&it->seed, 2)) {
        nnf_conv_options options = any_conv(it, chance(&it->seed, 3));
        start_for_conv(it, &options);
        then_reading(it, conv_of(it, &options));
    } else {
        int64_t dims[] = {batch_of(it), pick(&it->seed, 2, 17)};
        start(it, 2, dims, chance(&it->seed, 3));
        then_reading(it, any_linear(it, dims[1], pick(&it->seed, 2, 17)));
    }
    it->n_between = 0; /* what computes the weight goes, whoever reads it */
    then(it, any_norm(it));
}

static const fusion_row rows[] = {
    {"weights of constants",
     weight_of_constants,
     {"a weight that is an input", "a norm of an input", "batch norm in training mode"},
     NULL},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
