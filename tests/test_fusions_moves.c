/* Affine maps behind calls that only move what a linear layer gives: they go into the layer. As
 * test_fusions.c has it for the other kinds. */
#include "fusions_layers.h"

/* The layer, and the axis that its channels are in by now; -1: no single one. */
static int then_layer(instance *it) {
    if (!it->miss && chance(&it->seed, 2)) {
        then_linear_layer(it, CONV | TRANSPOSED);
        return 1;
    }
    nnf_module *layer;
    int64_t dims[] = {batch_of(it), pick(&it->seed, 2, 6), pick(&it->seed, 1, 8)};
    const int64_t out = pick(&it->seed, 2, 7);             /* 1 would be the same along any axis */
    start(it, 3, dims, !it->miss && chance(&it->seed, 3)); /* a Reshape's size would not be known */
    assert_ok(nnf_linear_new(&layer, dims[2], out, true, NNF_F32));
    fill(layer, it->seed++);
    if (breaks(it, "a weight that others read")) {
        nnf_value inputs[8] = {it->x, constant_of(it, nnf_module_tensor(layer, "weight")),
                               constant_of(it, nnf_module_tensor(layer, "bias"))};
        assert_ok(nnf_module_to(layer, it->dtype));
        assert_ok(nnf_graph_add_output(it->graph, add_aside(it, inputs[1])));
        it->n_fusing++;
        it->x = add(it, layer, inputs, 3);
    } else {
        then(it, layer);
    }
    return 2;
}

/* Another order of axes; where the channels' axis is then. */
static int then_transpose(instance *it, int axis) {
    const int ndim = shape_of(it, it->x).ndim;
    nnf_transpose_options order = {.n = chance(&it->seed, 4) ? -1 : ndim};
    nnf_module *module;
    for (int i = 0; i < ndim; i++)
        order.perm[i] = ndim - 1 - i;
    for (int i = ndim - 1; order.n > 0 && i > 0; i--) {
        int64_t other = pick(&it->seed, 0, i), moved = order.perm[i];
        order.perm[i] = order.perm[other];
        order.perm[other] = moved;
    }
    assert_ok(nnf_module_new(&module, nnf_type("Transpose"), &order));
    then(it, module);
    for (int i = 0; i < ndim; i++)
        if (order.perm[i] == axis) return i;
    return -1;
}

static nnf_value integers(instance *it, int64_t n, const int64_t *numbers) {
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_I64, 1, &n, numbers));
    nnf_value value = constant_of(it, tensor);
    nnf_tensor_release(tensor);
    return value;
}

/* A move that keeps no axis; *axis is that of the channels, if it is kept. */
static void then_other_move(instance *it, int *axis) {
    static const int64_t flat[] = {0, -1};
    const nnf_reshape_options reshape = {0};
    nnf_module *module;
    *axis = -1;
    if (chance(&it->seed, 2)) {
        assert_ok(nnf_flatten_new(&module, 1, -1));
        then(it, module);
    } else {
        assert_ok(nnf_module_new(&module, nnf_type("Reshape"), &reshape));
        then_with(it, module, integers(it, 2, flat), false);
    }
}

/* Arithmetic with a number for each index of the axis, or one in all. */
static void then_arithmetic_along(instance *it, int axis) {
    shape x = shape_of(it, it->x), of = {x.ndim, {0}};
    for (int i = 0; i < x.ndim; i++)
        of.dims[i] = i == axis ? x.dims[i] : 1;
    nnf_binary kind = (nnf_binary)pick(&it->seed, NNF_ADD, NNF_DIV);
    bool swapped = kind != NNF_DIV && chance(&it->seed, 2);
    if (breaks(it, "c / x")) kind = NNF_DIV, swapped = true;
    if (breaks(it, "of higher rank")) {
        memmove(of.dims + 1, of.dims, (size_t)of.ndim++ * sizeof *of.dims);
        of.dims[0] = 1;
    }
    while (!it->miss && of.ndim > 0 && of.dims[0] == 1 && chance(&it->seed, 2))
        memmove(of.dims, of.dims + 1, (size_t)--of.ndim * sizeof *of.dims);
    nnf_value constant = breaks(it, "a constant that is an input")
                             ? more_input(it, of.ndim, of.dims, false)
                             : random_constant(it, of.ndim, of.dims, 0.5, 2);
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, kind));
    then_with(it, module, constant, swapped);
}

static void affine_behind_moves(instance *it) {
    int axis = then_layer(it);
    const bool reshaped = breaks(it, "along an axis behind a Reshape");
    int64_t n = pick(&it->seed, 1, 3);
    it->n_left += (size_t)n;
    for (; n > 0; n--)
        if (reshaped ? n == 1 : !it->miss && chance(&it->seed, 3))
            then_other_move(it, &axis);
        else
            axis = then_transpose(it, axis);
    if (breaks(it, "along another axis")) axis = axis == 1 ? 2 : 1;
    if (reshaped) axis = 1;
    if (!it->miss && axis == 1 && chance(&it->seed, 2))
        then(it, any_norm(it));
    else
        then_arithmetic_along(it, it->miss || chance(&it->seed, 2) ? axis : -1);
    if (!it->miss && chance(&it->seed, 3)) then_arithmetic_along(it, -1);
}

static const fusion_row rows[] = {
    {"behind moves",
     affine_behind_moves,
     {"along another axis", "along an axis behind a Reshape", "of higher rank", "c / x",
      "a constant that is an input", "a weight that others read"},
     NULL},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
