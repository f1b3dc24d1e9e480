/* Random graphs give by the plan of oneDNN's session what the reference session gives: values in
 * several layouts, read by several calls, seen under other shapes, given out in the middle. */
#include "onednn_support.h"

enum { GRAPHS = 1000, FEW_GRAPHS = 200, MOST_CALLS = 14 };

/* Ten times what one layer is allowed: later layers magnify what earlier ones rounded. A value in
 * the wrong place is off by its own size. */
#define TOLERANCE 1e-4

/* A graph that grows call by call, with the shapes that its values have. */
typedef struct growing {
    nnf_module *graph;
    uint64_t seed;
    size_t n_values, n_inputs;
    nnf_value values[MOST_VALUES];
    shape shapes[MOST_VALUES];
    int n_modules;
} growing;

static size_t any_value(growing *g) {
    /* mostly young ones, so that chains grow; old ones too, so that values live long */
    size_t back = (size_t)pick(&g->seed, 0, chance(&g->seed, 3) ? (int64_t)g->n_values - 1 : 2);
    return g->n_values - 1 - (back < g->n_values ? back : 0);
}

static void new_value(growing *g, nnf_value value, const shape *of) {
    g->values[g->n_values] = value;
    g->shapes[g->n_values++] = *of;
}

/* Calls the module (taken over) on the values numbered `numbers`. */
static void grow(growing *g, nnf_module *module, const size_t *numbers, size_t n, const shape *of) {
    nnf_value inputs[3], output;
    char path[16];
    snprintf(path, sizeof path, "m%d", g->n_modules++);
    for (size_t i = 0; i < n; i++)
        inputs[i] = g->values[numbers[i]];
    add_module(g->graph, path, module);
    assert_ok(nnf_graph_add_call(g->graph, path, inputs, n, NULL, &output, 1));
    new_value(g, output, of);
}

static bool equal(const shape *a, const shape *b) {
    return a->ndim == b->ndim && !memcmp(a->dims, b->dims, sizeof *a->dims * (size_t)a->ndim);
}

/* ---- One more call, where the value allows it ---- */

static void grow_conv(growing *g, size_t x) {
    shape of = g->shapes[x];
    if (of.ndim != 4) return;
    nnf_conv_options options = nnf_conv_options_default(2, false, of.dims[1], of.dims[1], 3);
    options.padding_begin[0] = options.padding_begin[1] = 1;
    options.padding_end[0] = options.padding_end[1] = 1;
    /* one that oneDNN does not take; what it is fused with goes on without it */
    if (chance(&g->seed, 6)) options.padding_mode = NNF_PADDING_REPLICATE;
    if (chance(&g->seed, 3)) options.groups = of.dims[1];
    if (!chance(&g->seed, 3) && options.groups == 1)
        of.dims[1] = options.out_channels = pick(&g->seed, 1, 20);
    nnf_module *module = module_of_conv(&options, true, &g->seed);
    size_t numbers[3] = {x}, n = 1, young = g->n_values;
    bool adds = chance(&g->seed, 2);
    if (young + 2 < MOST_VALUES && chance(&g->seed, 3)) { /* the weight as a file's call has it */
        nnf_tensor *weight = nnf_module_tensor(module, "weight");
        shape weights = {4, {0}};
        memcpy(weights.dims, nnf_tensor_shape(weight), 4 * sizeof *weights.dims);
        nnf_value constant;
        char name[16];
        snprintf(name, sizeof name, "w%d", g->n_modules);
        assert_ok(nnf_graph_add_constant(g->graph, &constant, name, weight));
        numbers[n++] = young;
        new_value(g, constant, &weights);
    }
    for (size_t v = 0; v < young && adds; v++)
        if (equal(&g->shapes[v], &of)) { /* with a residual */
            nnf_module *children[3] = {module, new_add(), new_relu()};
            size_t parts = (size_t)pick(&g->seed, 2, 3);
            const char *name = parts == 2 ? "ConvAdd2d" : "ConvAddReLU2d";
            assert_ok(nnf_fused_new(&module, name, children, parts));
            for (size_t i = 0; i < 3; i++)
                nnf_module_release(children[i]);
            numbers[n++] = chance(&g->seed, 3) && equal(&g->shapes[x], &of) ? x : v;
            adds = false;
        }
    grow(g, module, numbers, n, &of);
}

static void grow_activation(growing *g, size_t x) {
    grow(g, random_activation(&g->seed), &x, 1, &g->shapes[x]);
}

static void grow_binary(growing *g, size_t x) {
    size_t numbers[2] = {x, x};
    for (size_t v = 0; v < g->n_values; v++)
        if (equal(&g->shapes[v], &g->shapes[x]) && chance(&g->seed, 2)) numbers[1] = v;
    if (chance(&g->seed, 2)) numbers[0] = numbers[1], numbers[1] = x;
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, (nnf_binary)pick(&g->seed, NNF_ADD, NNF_SUB)));
    grow(g, module, numbers, 2, &g->shapes[x]);
}

static void grow_constant(growing *g, size_t x) {
    if (g->n_values + 2 > MOST_VALUES) return;
    shape of = g->shapes[x];
    if (chance(&g->seed, 2))
        for (int i = 0; i < of.ndim; i++)
            if (i != 1) of.dims[i] = 1;
    nnf_tensor *tensor = random_tensor(NNF_F32, of.ndim, of.dims, -1, 1, g->seed);
    nnf_value constant;
    char name[16];
    snprintf(name, sizeof name, "c%d", g->n_modules);
    assert_ok(nnf_graph_add_constant(g->graph, &constant, name, tensor));
    nnf_tensor_release(tensor);
    new_value(g, constant, &of);
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, NNF_MUL));
    grow(g, module, (const size_t[]){x, g->n_values - 1}, 2, &g->shapes[x]);
}

static void grow_pool(growing *g, size_t x) {
    shape of = g->shapes[x];
    if (of.ndim != 4) return;
    nnf_module *module;
    if (chance(&g->seed, 3)) {
        of.dims[2] = of.dims[3] = 1;
        assert_ok(nnf_global_pool_new(&module, true));
    } else {
        nnf_pool_options options = nnf_pool_options_default(2, chance(&g->seed, 2), 3);
        options.stride[0] = options.stride[1] = 1;
        for (int i = 0; i < 2; i++)
            options.padding_begin[i] = options.padding_end[i] = 1;
        assert_ok(nnf_pool_new(&module, &options));
    }
    grow(g, module, &x, 1, &of);
}

static void grow_concat(growing *g, size_t x) {
    shape of = g->shapes[x];
    if (of.ndim < 2) return;
    size_t numbers[2] = {x, x};
    for (size_t v = 0; v < g->n_values; v++) {
        shape other = g->shapes[v];
        if (other.ndim == of.ndim) other.dims[1] = of.dims[1];
        if (equal(&other, &of) && chance(&g->seed, 2)) numbers[1] = v;
    }
    of.dims[1] += g->shapes[numbers[1]].dims[1];
    if (of.dims[1] > 64) return;
    nnf_module *module;
    assert_ok(nnf_module_new(&module, nnf_type("Concat"), &(nnf_axis_options){1}));
    grow(g, module, numbers, 2, &of);
}

/* Another shape of the same numbers: flattened, or with axes split off. */
static void grow_view(growing *g, size_t x) {
    shape of = g->shapes[x];
    nnf_module *module;
    if (chance(&g->seed, 3)) {
        assert_ok(chance(&g->seed, 2) ? nnf_identity_new(&module) : nnf_dropout_new(&module, 0.5));
    } else if (of.ndim > 2 && !chance(&g->seed, 3)) {
        int64_t from = pick(&g->seed, 1, of.ndim - 2);
        assert_ok(nnf_flatten_new(&module, from, -1));
        for (int i = (int)from + 1; i < of.ndim; i++)
            of.dims[from] *= of.dims[i];
        of.ndim = (int)from + 1;
    } else if (of.ndim < 4) {
        nnf_axes_options options = {.n_axes = 1, .axes = {of.ndim}};
        assert_ok(nnf_module_new(&module, nnf_type("Unsqueeze"), &options));
        of.dims[of.ndim++] = 1;
    } else {
        return;
    }
    grow(g, module, &x, 1, &of);
}

/* Calls Transpose; of[] is what it gives. */
static void transpose(growing *g, size_t x, const int64_t *perm, shape *of) {
    nnf_transpose_options options = {.n = g->shapes[x].ndim};
    *of = g->shapes[x];
    for (int i = 0; i < of->ndim; i++) {
        options.perm[i] = chance(&g->seed, 3) ? perm[i] : perm[i] - of->ndim;
        of->dims[i] = g->shapes[x].dims[perm[i]];
    }
    nnf_module *module;
    assert_ok(nnf_module_new(&module, nnf_type("Transpose"), &options));
    grow(g, module, &x, 1, of);
}

/* The batch keeps its place mostly: what joins along axis 1 wants it there. */
static void grow_transpose(growing *g, size_t x) {
    shape of = g->shapes[x];
    int64_t perm[4] = {0, 1, 2, 3};
    if (of.ndim < 3) return;
    int64_t least = chance(&g->seed, 8) ? 0 : 1;
    for (int i = of.ndim - 1; i > least; i--) {
        int64_t other = pick(&g->seed, least, i), moved = perm[i];
        perm[i] = perm[other];
        perm[other] = moved;
    }
    transpose(g, x, perm, &of);
}

/* Two parts of one size or of two, along any axis: what stands in front of it may be one image. */
static void grow_split(growing *g, size_t x) {
    const shape whole = g->shapes[x];
    int axis = (int)pick(&g->seed, 0, whole.ndim - 1);
    int64_t length = whole.dims[axis];
    if (length < 2 || g->n_values + 2 > MOST_VALUES) return;
    nnf_split_options options = {.axis = chance(&g->seed, 2) ? axis : axis - whole.ndim, .n = 2};
    options.sizes[0] =
        length % 2 == 0 && chance(&g->seed, 2) ? length / 2 : pick(&g->seed, 1, length - 1);
    options.sizes[1] = length - options.sizes[0];
    nnf_module *module;
    nnf_value outputs[2];
    char path[16];
    snprintf(path, sizeof path, "m%d", g->n_modules++);
    assert_ok(nnf_module_new(&module, nnf_type("Split"), &options));
    add_module(g->graph, path, module);
    assert_ok(nnf_graph_add_call(g->graph, path, &g->values[x], 1, NULL, outputs, 2));
    for (int i = 0; i < 2; i++) {
        shape part = whole;
        part.dims[axis] = options.sizes[i];
        new_value(g, outputs[i], &part);
    }
}

/* The value times another one, or itself, with its last axes exchanged, as attention has it; the
 * product's middle axes exchanged, sometimes. */
static void grow_matmul(growing *g, size_t x) {
    const shape a = g->shapes[x];
    shape b, of = a;
    int64_t exchanged[4] = {0, 1, 2, 3};
    if (a.ndim < 2 || g->n_values + 3 > MOST_VALUES) return;
    size_t other = x;
    for (size_t v = 0; v < g->n_values; v++)
        if (equal(&g->shapes[v], &a) && chance(&g->seed, 2)) other = v;
    exchanged[a.ndim - 1] = a.ndim - 2;
    exchanged[a.ndim - 2] = a.ndim - 1;
    transpose(g, other, exchanged, &b);
    nnf_module *module;
    assert_ok(nnf_matmul_new(&module));
    bool first = chance(&g->seed, 2);
    size_t numbers[2] = {first ? x : g->n_values - 1, first ? g->n_values - 1 : x};
    of.dims[a.ndim - 2] = g->shapes[numbers[0]].dims[a.ndim - 2];
    of.dims[a.ndim - 1] = of.dims[a.ndim - 2];
    grow(g, module, numbers, 2, &of);
    if (a.ndim == 4 && chance(&g->seed, 2))
        transpose(g, g->n_values - 1, (const int64_t[]){0, 2, 1, 3}, &of);
}

static void grow_norm(growing *g, size_t x) {
    if (g->shapes[x].ndim != 4) return;
    grow(g, new_norm(2, g->shapes[x].dims[1]), &x, 1, &g->shapes[x]);
}

/* Numbers that stay small, however long the graph. */
static void grow_softmax(growing *g, size_t x) {
    nnf_module *module;
    assert_ok(nnf_softmax_new(&module, 1));
    grow(g, module, &x, 1, &g->shapes[x]);
}

static void (*const steps[])(growing *g, size_t x) = {
    grow_conv,   grow_conv,      grow_conv,    grow_activation, grow_activation, grow_binary,
    grow_binary, grow_pool,      grow_view,    grow_view,       grow_concat,     grow_constant,
    grow_norm,   grow_transpose, grow_softmax, grow_split,      grow_matmul,
};
enum { N_STEPS = sizeof steps / sizeof *steps };

/* ---- Whole graphs ---- */

/* Batch 1; the batch is free where nothing in the graph fixes it, and constants here repeat along
 * it. */
static growing random_graph(uint64_t seed) {
    growing g = {.graph = new_graph(), .seed = seed};
    shape of = {4, {1, pick(&g.seed, 1, 20), pick(&g.seed, 1, 7), pick(&g.seed, 1, 7)}};
    g.n_inputs = (size_t)pick(&g.seed, 1, 2);
    for (size_t i = 0; i < g.n_inputs; i++)
        new_value(&g, add_shaped_input(g.graph, i ? "x1" : "x0"), &of);
    for (int64_t n = pick(&g.seed, 1, MOST_CALLS); n > 0 && g.n_values < MOST_VALUES; n--)
        steps[pick(&g.seed, 0, N_STEPS - 1)](&g, any_value(&g));
    nnf_module_eval(g.graph);
    return g;
}

/* The last value, and others: inputs, constants, one value twice. */
static size_t add_outputs(growing *g) {
    size_t n = 1;
    assert_ok(nnf_graph_add_output(g->graph, g->values[g->n_values - 1]));
    for (size_t v = 0; v < g->n_values; v++)
        if (chance(&g->seed, 5)) {
            assert_ok(nnf_graph_add_output(g->graph, g->values[v]));
            n++;
        }
    return n;
}

static void random_graphs_agree_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    int ran_twice = 0, n = under_valgrind() ? FEW_GRAPHS : GRAPHS;
    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        growing g = random_graph(i * 7919 + 1);
        size_t n_outputs = add_outputs(&g);
        int threads = i % 8 == 0 ? 2 : 1;
        shape other[2] = {g.shapes[0], g.shapes[1]};
        other[0].dims[0] = other[1].dims[0] = chance(&g.seed, 6) ? 0 : 3;
        nnf_session *reference = open_session(g.graph, NNF_KERNELS_REFERENCE, threads);
        nnf_session *tested = open_session_once(g.graph, NNF_KERNELS_ONEDNN, threads, i % 3 == 0);
        char what[512];
        snprintf(what, sizeof what, "graph %d (%.400s)", (int)i, calls_text(g.graph));
        for (uint64_t run = 0; run < 2; run++)
            assert_true(same_by_both(reference, tested, what, g.shapes, g.n_inputs, n_outputs,
                                     TOLERANCE, run));
        ran_twice +=
            same_by_both(reference, tested, what, other, g.n_inputs, n_outputs, TOLERANCE, 2);
        assert_true(
            same_by_both(reference, tested, what, g.shapes, g.n_inputs, n_outputs, TOLERANCE, 3));
        nnf_session_release(reference);
        nnf_session_release(tested);
        nnf_module_release(g.graph);
    }
    print_message("%d graphs, %d of them with two batch sizes\n", n, ran_twice);
}

/* A convolution adds to its residual where that stands, and gives it out as its own: not so where
 * the residual is the second part of a Split, whose memory begins with the first. */
static void a_part_is_not_taken_over(void **state) {
    (void)state;
    need_onednn();
    growing g = {.graph = new_graph(), .seed = 1};
    const shape whole = {4, {1, 8, 1, 1}}, part = {4, {1, 4, 1, 1}};
    const nnf_conv_options options = nnf_conv_options_default(2, false, 4, 4, 1);
    nnf_module *split, *children[2], *adds;
    nnf_value parts[2];
    new_value(&g, add_shaped_input(g.graph, "x0"), &whole);
    grow(&g, new_relu(), (const size_t[]){0}, 1, &whole);
    assert_ok(nnf_module_new(&split, nnf_type("Split"), &(nnf_split_options){.axis = 1, .n = -1}));
    add_module(g.graph, "split", split);
    assert_ok(nnf_graph_add_call(g.graph, "split", &g.values[1], 1, NULL, parts, 2));
    new_value(&g, parts[0], &part);
    new_value(&g, parts[1], &part);
    grow(&g, module_of_conv(&options, true, &g.seed), (const size_t[]){2}, 1, &part);
    children[0] = module_of_conv(&options, true, &g.seed);
    children[1] = new_add();
    assert_ok(nnf_fused_new(&adds, "ConvAdd2d", children, 2));
    for (size_t i = 0; i < 2; i++)
        nnf_module_release(children[i]);
    grow(&g, adds, (const size_t[]){4, 3}, 2, &part);
    assert_ok(nnf_graph_add_output(g.graph, g.values[5]));
    nnf_module_eval(g.graph);
    nnf_session *reference = open_session(g.graph, NNF_KERNELS_REFERENCE, 1);
    nnf_session *tested = open_session(g.graph, NNF_KERNELS_ONEDNN, 1);
    assert_true(same_by_both(reference, tested, "parts", &whole, 1, 1, TOLERANCE, 1));
    nnf_session_release(reference);
    nnf_session_release(tested);
    nnf_module_release(g.graph);
}

TEST_MAIN(cmocka_unit_test(a_part_is_not_taken_over),
          cmocka_unit_test(random_graphs_agree_with_the_reference))
