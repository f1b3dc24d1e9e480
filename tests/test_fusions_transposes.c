/* Transposes around layers that can do without them, on random instances: they go, and the network
 * computes the same; where they would have to come back, or another order of axes is in between,
 * they stay. */
#include "fusions_layers.h"

/* An order of the axes other than theirs, and the one that puts them back. */
static void random_orders(instance *it, int ndim, nnf_transpose_options *to,
                          nnf_transpose_options *back) {
    *to = *back = (nnf_transpose_options){.n = ndim};
    bool moves = false;
    while (!moves) {
        for (int i = 0; i < ndim; i++)
            to->perm[i] = i;
        for (int i = ndim - 1; i > 0; i--) {
            int64_t other = pick(&it->seed, 0, i), axis = to->perm[i];
            to->perm[i] = to->perm[other];
            to->perm[other] = axis;
        }
        for (int i = 0; i < ndim; i++) {
            back->perm[to->perm[i]] = i;
            moves = moves || to->perm[i] != i;
        }
    }
}

/* The reverse order is what a Transpose that says none has. */
static nnf_value transposed(instance *it, nnf_value x, const nnf_transpose_options *order) {
    nnf_transpose_options said = *order;
    nnf_module *module;
    bool reverses = true;
    for (int i = 0; i < order->n; i++)
        reverses = reverses && order->perm[i] == order->n - 1 - i;
    if (reverses && chance(&it->seed, 2)) said.n = -1;
    assert_ok(nnf_module_new(&module, nnf_type("Transpose"), &said));
    it->n_fusing++;
    return add(it, module, (nnf_value[8]){x}, 1);
}

static nnf_value stays(instance *it, nnf_value value) {
    it->n_fusing++;
    it->n_left++;
    if (it->n_between < MOST_BETWEEN) it->between[it->n_between++] = value;
    return value;
}

/* Arithmetic with a constant that runs along some axes of x, with leading ones left out. */
static nnf_value with_constant(instance *it, nnf_value x) {
    shape of = shape_of(it, x);
    const int skipped = (int)pick(&it->seed, 0, of.ndim);
    int64_t dims[NNF_MAX_DIMS];
    for (int i = 0; i < of.ndim; i++)
        dims[i] = chance(&it->seed, 2) || (i == 0 && it->n_inputs > 0) ? 1 : of.dims[i];
    const int ndim = of.ndim - skipped;
    memmove(dims, dims + skipped, (size_t)ndim * sizeof *dims);
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, (nnf_binary)pick(&it->seed, NNF_ADD, NNF_DIV)));
    nnf_value inputs[8] = {x, random_constant(it, ndim, dims, 0.5, 2)};
    return stays(it, add(it, module, inputs, 2));
}

static nnf_value with_activation(instance *it, nnf_value x) {
    return stays(it, add(it, random_activation_among(&it->seed, NNF_RELU, NNF_GELU_TANH),
                         (nnf_value[8]){x}, 1));
}

static nnf_value joined(instance *it, nnf_value a, nnf_value b, bool may_grow) {
    nnf_module *module;
    nnf_value inputs[8] = {a, b};
    if (!may_grow || chance(&it->seed, 2)) {
        assert_ok(nnf_binary_new(&module, (nnf_binary)pick(&it->seed, NNF_ADD, NNF_MUL)));
    } else {
        const int ndim = shape_of(it, a).ndim;
        nnf_axis_options options = {pick(&it->seed, 0, 1) * ndim - ndim};
        options.axis += pick(&it->seed, 0, ndim - 1);
        assert_ok(nnf_module_new(&module, nnf_type("Concat"), &options));
    }
    return stays(it, add(it, module, inputs, 2));
}

static void between_transposes(instance *it) {
    int64_t dims[] = {2, 3, 4, 5, 3};
    const int ndim = (int)pick(&it->seed, 2, 5);
    nnf_transpose_options to, back;
    it->n_left = 0;
    start(it, ndim, dims, false);
    random_orders(it, ndim, &to, &back);
    nnf_value x = transposed(it, it->x, &to), y = x;
    if (breaks(it, "nothing in front")) {
        int64_t turned[NNF_MAX_DIMS];
        for (int i = 0; i < ndim; i++)
            turned[i] = dims[to.perm[i]];
        x = joined(it, x, more_input(it, ndim, turned, false), false);
    }
    for (int64_t n = pick(&it->seed, 1, 3); n > 0; n--)
        x = !it->miss && chance(&it->seed, 2) ? with_activation(it, x) : with_constant(it, x);
    if (chance(&it->seed, 2)) {
        y = with_activation(it, y);
    } else if (!it->miss && chance(&it->seed, 2)) {
        nnf_value other = more_input(it, ndim, dims, false);
        y = transposed(it, add_aside(it, other), &to);
    }
    x = joined(it, x, y, true);
    if (breaks(it, "another order")) {
        while (!memcmp(&to, &back, sizeof to) && ndim > 2)
            random_orders(it, ndim, &to, &back);
        back = to;
        if (ndim == 2) back.perm[0] = 0, back.perm[1] = 1;
    }
    it->n_between--;
    it->between[it->n_between++] = x;
    it->x = transposed(it, x, &back);
    if (!it->miss && chance(&it->seed, 3)) { /* a second one, read beside it */
        nnf_value again = transposed(it, x, &back);
        assert_ok(nnf_graph_add_output(it->graph, add_aside(it, again)));
    }
}

static const fusion_row rows[] = {
    {"transpose", between_transposes, {"nothing in front", "another order"}, "transpose"},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
