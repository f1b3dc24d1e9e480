/* Every layer and fused type gives in oneDNN what the reference kernels give, to 1e-5 of the
 * largest output: random options and shapes, odd and empty ones among them. */
#include "onednn_support.h"
#include "run/kernel_set.h"

enum { MOST_INPUTS = 6 };

/* A module and the shapes that it is to run on. */
typedef struct trial {
    nnf_module *module;
    size_t n_inputs;
    shape inputs[MOST_INPUTS];
} trial;

static void random_extents(shape *x, uint64_t *seed, int64_t most) {
    for (int i = 0; i < x->ndim; i++)
        x->dims[i] = chance(seed, 5) ? 1 : pick(seed, 1, most);
    if (chance(seed, 24)) x->dims[0] = 0;
}

/* [N, channels, ...] */
static shape image(uint64_t *seed, int spatial, int64_t channels) {
    shape x = {.ndim = spatial + 2};
    random_extents(&x, seed, spatial == 3 ? 6 : 11);
    if (x.dims[0] > 3) x.dims[0] = 2;
    x.dims[1] = channels;
    return x;
}

static trial conv_trial(uint64_t *seed, bool transposed) {
    int spatial = (int)pick(seed, 1, 3);
    nnf_conv_options options = random_conv(seed, spatial, transposed);
    return (trial){module_of_conv(&options, chance(seed, 2), seed),
                   1,
                   {image(seed, spatial, options.in_channels)}};
}
static trial any_conv(uint64_t *seed) {
    return conv_trial(seed, false);
}
static trial any_transposed_conv(uint64_t *seed) {
    return conv_trial(seed, true);
}

static trial any_linear(uint64_t *seed) {
    nnf_linear_options options = {pick(seed, 1, 70), pick(seed, 1, 40), chance(seed, 2)};
    int64_t weight_shape[2] = {options.out_features, options.in_features};
    if (options.weight_transposed) {
        weight_shape[0] = options.in_features;
        weight_shape[1] = options.out_features;
    }
    trial made = {.n_inputs = 1};
    assert_ok(nnf_module_new(&made.module, nnf_type("Linear"), &options));
    nnf_tensor *weight = random_tensor(NNF_F32, 2, weight_shape, -1, 1, *seed);
    assert_ok(nnf_module_set_parameter(made.module, "weight", weight));
    nnf_tensor_release(weight);
    if (chance(seed, 2)) {
        nnf_tensor *bias = random_tensor(NNF_F32, 1, &options.out_features, -1, 1, *seed);
        assert_ok(nnf_module_set_parameter(made.module, "bias", bias));
        nnf_tensor_release(bias);
    }
    made.inputs[0].ndim = options.weight_transposed ? 2 : (int)pick(seed, 1, 4);
    random_extents(&made.inputs[0], seed, 7);
    made.inputs[0].dims[made.inputs[0].ndim - 1] = options.in_features;
    return made;
}

static trial any_matmul(uint64_t *seed) {
    trial made = {.n_inputs = 2};
    assert_ok(nnf_matmul_new(&made.module));
    int64_t k = pick(seed, 1, 40);
    for (int i = 0; i < 2; i++) {
        made.inputs[i].ndim = (int)pick(seed, 1, 4);
        for (int d = 0; d < made.inputs[i].ndim; d++)
            made.inputs[i].dims[d] = pick(seed, 1, 9);
    }
    shape *a = &made.inputs[0], *b = &made.inputs[1];
    for (int d = 3; a->ndim >= d && b->ndim >= d; d++) /* batches: equal, or 1 on one side */
        (chance(seed, 2) ? a : b)->dims[(chance(seed, 2) ? a : b)->ndim - d] = 1;
    for (int d = 3; a->ndim >= d && b->ndim >= d; d++)
        if (a->dims[a->ndim - d] != 1 && b->dims[b->ndim - d] != 1)
            b->dims[b->ndim - d] = a->dims[a->ndim - d];
    a->dims[a->ndim - 1] = k;
    b->dims[b->ndim > 1 ? b->ndim - 2 : 0] = k;
    if (chance(seed, 2) && b->ndim > 1) { /* a constant second operand */
        nnf_tensor *weight = random_tensor(NNF_F32, b->ndim, b->dims, -1, 1, *seed);
        assert_ok(nnf_module_set_parameter(made.module, "weight", weight));
        nnf_tensor_release(weight);
        made.n_inputs = 1;
    }
    return made;
}

static nnf_module *random_norm(uint64_t *seed, int spatial, int64_t channels) {
    nnf_batchnorm_options options = nnf_batchnorm_options_default(spatial, channels);
    options.affine = !chance(seed, 4);
    options.track_running_stats = !chance(seed, 8);
    nnf_module *module;
    assert_ok(nnf_batchnorm_new(&module, &options, NNF_F32));
    fill(module, (uint64_t)pick(seed, 1, 1 << 20));
    return module;
}

static trial any_norm(uint64_t *seed) {
    int spatial = (int)pick(seed, 1, 3);
    int64_t channels = pick(seed, 1, 20);
    trial made = {random_norm(seed, spatial, channels), 1, {image(seed, spatial, channels)}};
    if (spatial == 1 && chance(seed, 2)) made.inputs[0].ndim = 2;
    return made;
}

static trial any_pool(uint64_t *seed) {
    int spatial = (int)pick(seed, 1, 3);
    nnf_pool_options options = random_pool(seed, spatial);
    trial made = {NULL, 1, {image(seed, spatial, pick(seed, 1, 20))}};
    assert_ok(nnf_pool_new(&made.module, &options));
    return made;
}

static trial any_global_pool(uint64_t *seed) {
    trial made = {NULL, 1, {image(seed, (int)pick(seed, 1, 3), pick(seed, 1, 20))}};
    assert_ok(nnf_global_pool_new(&made.module, chance(seed, 2)));
    return made;
}

static trial any_activation(uint64_t *seed) {
    trial made = {NULL, 1, {{.ndim = (int)pick(seed, 0, 6)}}};
    static const nnf_activation alone[] = {NNF_SQRT, /* NaN for half of the numbers */
                                           NNF_EXP, NNF_ABS, NNF_NEG, NNF_SOFTPLUS};
    if (chance(seed, 3))
        assert_ok(nnf_activation_new(&made.module, alone[pick(seed, 0, 4)]));
    else
        made.module = random_activation(seed);
    random_extents(&made.inputs[0], seed, 7);
    return made;
}

static trial any_binary(uint64_t *seed) {
    trial made = {.n_inputs = 2};
    assert_ok(nnf_binary_new(&made.module, (nnf_binary)pick(seed, NNF_ADD, NNF_DIV)));
    shape *a = &made.inputs[pick(seed, 0, 1)], *b = a == made.inputs ? a + 1 : made.inputs;
    a->ndim = (int)pick(seed, 1, 5);
    random_extents(a, seed, 6);
    *b = *a;
    if (chance(seed, 2)) return made;
    int dropped = (int)pick(seed, 0, a->ndim - 1);
    b->ndim -= dropped;
    for (int i = 0; i < b->ndim; i++)
        b->dims[i] = chance(seed, 2) ? 1 : a->dims[i + dropped];
    if (chance(seed, 3) && !dropped && a->dims[0] > 0) a->dims[0] = 1; /* each repeats an axis */
    return made;
}

static trial any_softmax(uint64_t *seed) {
    trial made = {NULL, 1, {{.ndim = (int)pick(seed, 1, 5)}}};
    random_extents(&made.inputs[0], seed, 7);
    nnf_softmax_options options = {pick(seed, -made.inputs[0].ndim, made.inputs[0].ndim - 1),
                                   chance(seed, 3)};
    const char *name = chance(seed, 3) ? "LogSoftmax" : "Softmax";
    assert_ok(nnf_module_new(&made.module, nnf_type(name), &options));
    return made;
}

static trial any_layernorm(uint64_t *seed) {
    trial made = {.n_inputs = (size_t)pick(seed, 2, 3),
                  .inputs = {{.ndim = (int)pick(seed, 1, 4)}}};
    shape *x = made.inputs;
    random_extents(x, seed, 40);
    int64_t axis = pick(seed, 0, x->ndim - 1);
    for (size_t i = 1; i < made.n_inputs; i++) {
        made.inputs[i].ndim = x->ndim - (int)axis;
        for (int d = 0; d < made.inputs[i].ndim; d++)
            made.inputs[i].dims[d] = chance(seed, 12) ? 1 : x->dims[axis + d];
    }
    nnf_norm_options options = {
        .axis = chance(seed, 2) ? axis : axis - x->ndim, .eps = 1e-3, .centred = true};
    assert_ok(nnf_module_new(&made.module, nnf_type("LayerNorm"), &options));
    return made;
}

/* Space alone in half of them. */
static trial any_reduction(uint64_t *seed) {
    static const char *const names[] = {"ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2",
                                        "ReduceSumSquare"};
    bool space = chance(seed, 2), scattered = !space && chance(seed, 2);
    trial made = {NULL, 1, {{.ndim = (int)pick(seed, space ? 3 : 1, 5)}}};
    shape *x = made.inputs;
    random_extents(x, seed, scattered ? 3 : 17); /* equal sizes: the shapes do not tell the axes */
    nnf_axes_options options = {.n_axes = -1, .keepdims = chance(seed, 2)};
    if (scattered) {
        options.n_axes = 0;
        for (int i = 0; i < x->ndim; i++)
            if (i == 0 || chance(seed, 2)) options.axes[options.n_axes++] = i;
    } else if (space || !chance(seed, 6)) {
        int64_t first = space ? 2 : pick(seed, 0, x->ndim - 1);
        int64_t end = space ? x->ndim : pick(seed, first + 1, x->ndim);
        options.n_axes = (int)(end - first);
        for (int64_t i = first; i < end; i++)
            options.axes[i - first] = chance(seed, 2) ? i : i - x->ndim;
    }
    const char *name = names[space ? 0 : pick(seed, 0, 4)];
    assert_ok(nnf_module_new(&made.module, nnf_type(name), &options));
    return made;
}

static trial any_resize(uint64_t *seed) {
    trial made = {NULL, 1, {image(seed, (int)pick(seed, 1, 3), pick(seed, 1, 20))}};
    nnf_resize_options options = {
        .mode = (nnf_resize_mode)pick(seed, NNF_RESIZE_NEAREST, NNF_RESIZE_LINEAR),
        .coordinates =
            (nnf_resize_coordinates)pick(seed, NNF_RESIZE_HALF_PIXEL, NNF_RESIZE_ASYMMETRIC),
        .nearest = (nnf_resize_nearest)pick(seed, NNF_RESIZE_PREFER_FLOOR, NNF_RESIZE_CEIL),
        .n_axes = -1,
        .n_scales = made.inputs[0].ndim};
    bool whole = chance(seed, 2);
    for (int i = 0; i < options.n_scales; i++)
        options.scales[i] = i < 2   ? 1
                            : whole ? (double)pick(seed, 1, 4)
                                    : (double)pick(seed, 2, 13) / 4;
    assert_ok(nnf_module_new(&made.module, nnf_type("Resize"), &options));
    return made;
}

static trial any_transpose(uint64_t *seed) {
    trial made = {NULL, 1, {{.ndim = (int)pick(seed, 1, 6)}}};
    random_extents(&made.inputs[0], seed, 7);
    nnf_transpose_options options = {.n = chance(seed, 8) ? -1 : made.inputs[0].ndim};
    for (int i = 0; i < options.n; i++) {
        int64_t other = pick(seed, 0, i);
        options.perm[i] = options.perm[other];
        options.perm[other] = i;
    }
    assert_ok(nnf_module_new(&made.module, nnf_type("Transpose"), &options));
    return made;
}

static trial any_sum(uint64_t *seed) {
    trial made = {.n_inputs = (size_t)pick(seed, 1, MOST_INPUTS)};
    shape x = {.ndim = (int)pick(seed, 1, 5)};
    random_extents(&x, seed, 7);
    for (size_t i = 0; i < made.n_inputs; i++)
        made.inputs[i] = x;
    if (chance(seed, 4)) made.inputs[0].dims[pick(seed, 0, x.ndim - 1)] = 1; /* repeats */
    assert_ok(nnf_module_new(&made.module, nnf_type("Sum"), NULL));
    return made;
}

static trial any_concat(uint64_t *seed) {
    trial made = {.n_inputs = (size_t)pick(seed, 1, MOST_INPUTS)};
    shape first = {.ndim = (int)pick(seed, 1, 5)};
    random_extents(&first, seed, 6);
    int64_t axis = pick(seed, 0, first.ndim - 1);
    for (size_t i = 0; i < made.n_inputs; i++) {
        made.inputs[i] = first;
        made.inputs[i].dims[axis] = pick(seed, chance(seed, 8) ? 0 : 1, 17);
    }
    nnf_axis_options options = {chance(seed, 2) ? axis : axis - first.ndim};
    assert_ok(nnf_module_new(&made.module, nnf_type("Concat"), &options));
    return made;
}

/* ---- Fused types ---- */

static trial fuse_trial(const char *name, nnf_module *const *children, size_t n, shape x) {
    trial made = {.n_inputs = 1, .inputs = {x}};
    assert_ok(nnf_fused_new(&made.module, name, children, n));
    for (size_t i = 0; i < n; i++)
        nnf_module_release(children[i]);
    return made;
}

/* A PReLU for x: one slope, one for each channel, or one for each element along some axes. */
static nnf_module *random_prelu(uint64_t *seed, const shape *x, int channel_axis) {
    shape of = *x;
    const int64_t kind = pick(seed, 0, 5);
    for (int i = 0; i < of.ndim; i++)
        if (kind < 4 ? kind == 0 || i != channel_axis : chance(seed, 2)) of.dims[i] = 1;
    const int most = (int)pick(seed, 0, of.ndim);
    for (int i = 0; i < most && of.dims[0] == 1; i++) /* leading ones are not needed */
        memmove(of.dims, of.dims + 1, (size_t)--of.ndim * sizeof *of.dims);
    return prelu_of(of.ndim, of.dims, seed);
}

static trial any_prelu(uint64_t *seed) {
    trial made = {.n_inputs = 1, .inputs = {{.ndim = (int)pick(seed, 1, 5)}}};
    shape *x = &made.inputs[0];
    random_extents(x, seed, 9);
    made.module = random_prelu(seed, x, x->ndim > 1);
    return made;
}

/* An activation that fused types end in, and what their names call it. What it is for has the shape
 * of x but for the channels: a slope may make more of it. */
static nnf_module *random_end(uint64_t *seed, const char **name, shape x, int channel_axis,
                              int64_t channels) {
    *name = "Activation";
    x.dims[channel_axis] = channels;
    if (chance(seed, 4)) return random_prelu(seed, &x, channel_axis);
    nnf_module *module = random_activation(seed);
    while (!strcmp(nnf_module_type_name(module), "Erf")) {
        nnf_module_release(module);
        module = random_activation(seed);
    }
    if (!strcmp(nnf_module_type_name(module), "ReLU")) *name = "ReLU";
    return module;
}

static trial any_fused_conv(uint64_t *seed) {
    bool transposed = chance(seed, 4), norm = !transposed && chance(seed, 4);
    int spatial = (int)pick(seed, 1, 3);
    nnf_conv_options options = random_conv(seed, spatial, transposed);
    nnf_module *children[3] = {module_of_conv(&options, chance(seed, 2), seed)};
    const shape x = image(seed, spatial, options.in_channels);
    const char *end = "";
    char name[64];
    size_t n = 1;
    if (norm) children[n++] = random_norm(seed, spatial, options.out_channels);
    children[n++] = norm ? new_relu() : random_end(seed, &end, x, 1, options.out_channels);
    if (norm) end = "ReLU";
    snprintf(name, sizeof name, "Conv%s%s%s%dd", transposed ? "Transpose" : "", norm ? "Bn" : "",
             end, spatial);
    return fuse_trial(name, children, n, x);
}

static trial any_fused_linear(uint64_t *seed) {
    trial linear = any_linear(seed);
    const nnf_linear_options *options = nnf_module_options(linear.module);
    const shape x = linear.inputs[0];
    const char *end;
    nnf_module *children[2] = {linear.module,
                               random_end(seed, &end, x, x.ndim - 1, options->out_features)};
    char name[64];
    bool named = !strcmp(nnf_module_type_name(children[1]), "LeakyReLU") ||
                 !strcmp(nnf_module_type_name(children[1]), "Tanh");
    snprintf(name, sizeof name, "Linear%s", named ? nnf_module_type_name(children[1]) : end);
    return fuse_trial(name, children, 2, x);
}

static trial any_fused_norm(uint64_t *seed) {
    int spatial = (int)pick(seed, 1, 3);
    int64_t channels = pick(seed, 1, 20);
    nnf_module *children[2] = {random_norm(seed, spatial, channels), new_relu()};
    char name[64];
    snprintf(name, sizeof name, "BNReLU%dd", spatial);
    return fuse_trial(name, children, 2, image(seed, spatial, channels));
}

/* The residual has the shape of the convolution's output, or repeats along some of its axes. */
static trial any_residual(uint64_t *seed) {
    int spatial = (int)pick(seed, 1, 3);
    nnf_conv_options options = random_conv(seed, spatial, false);
    options.auto_pad = NNF_AUTO_PAD_NOTSET;
    for (int i = 0; i < spatial; i++) {
        options.kernel_size[i] = 2 * pick(seed, 0, 1) + 1;
        options.stride[i] = options.dilation[i] = 1;
        options.padding_begin[i] = options.padding_end[i] = options.kernel_size[i] / 2;
    }
    nnf_module *children[3] = {module_of_conv(&options, chance(seed, 2), seed), new_add()};
    const shape x = image(seed, spatial, options.in_channels);
    const char *end = "";
    size_t n = 2;
    if (!chance(seed, 3)) children[n++] = random_end(seed, &end, x, 1, options.out_channels);
    char name[64];
    snprintf(name, sizeof name, "ConvAdd%s%dd", end, spatial);
    trial made = fuse_trial(name, children, n, x);
    made.n_inputs = 2;
    made.inputs[1] = made.inputs[0];
    made.inputs[1].dims[1] = options.out_channels;
    if (chance(seed, 5)) made.inputs[1].dims[pick(seed, 1, spatial + 1)] = 1;
    return made;
}

/* A layer's parameter comes with the call: what the module holds of the others stays what counts.
 */
static trial any_given_parameter(uint64_t *seed) {
    trial (*const makes[])(uint64_t *) = {any_conv, any_transposed_conv, any_linear, any_norm};
    trial made = makes[pick(seed, 0, 3)](seed);
    const nnf_module_type *type = nnf_module_get_type(made.module);
    size_t given = (size_t)pick(seed, 0, (int64_t)type->n_slots - 1);
    for (size_t i = 0; i <= given; i++) {
        const nnf_tensor *tensor = nnf_module_tensor(made.module, type->slots[i].name);
        if (!tensor) return made; /* as it is */
        shape *x = &made.inputs[i + 1];
        x->ndim = nnf_tensor_ndim(tensor);
        memcpy(x->dims, nnf_tensor_shape(tensor), sizeof *x->dims * (size_t)x->ndim);
    }
    made.n_inputs = given + 2;
    const nnf_slot *slot = &type->slots[given];
    assert_ok((slot->kind == NNF_SLOT_BUFFER ? nnf_module_set_buffer : nnf_module_set_parameter)(
        made.module, slot->name, NULL));
    return made;
}

static const struct {
    const char *name;
    trial (*make)(uint64_t *seed);
    int cases; /* that the layer takes */
    int steps; /* at least so many of them by oneDNN: not those that are empty, or unlike what it
                  does */
} kinds[] = {
    {"convolution", any_conv, 500, 400},
    {"transposed convolution", any_transposed_conv, 250, 180},
    {"linear", any_linear, 150, 130},
    {"matmul", any_matmul, 150, 80},
    {"batch norm", any_norm, 120, 80},
    {"pool", any_pool, 250, 200},
    {"global pool", any_global_pool, 60, 50},
    {"activation", any_activation, 220, 140},
    {"PReLU", any_prelu, 250, 150},
    {"binary", any_binary, 200, 120},
    {"softmax", any_softmax, 150, 80},
    {"layer norm", any_layernorm, 120, 80},
    {"reduction", any_reduction, 400, 110},
    {"resize", any_resize, 200, 40},
    {"transpose", any_transpose, 150, 100},
    {"sum", any_sum, 80, 40},
    {"concat", any_concat, 150, 80},
    {"fused convolution", any_fused_conv, 250, 160},
    {"fused linear", any_fused_linear, 100, 70},
    {"fused batch norm", any_fused_norm, 60, 40},
    {"residual", any_residual, 150, 90},
    {"given parameter", any_given_parameter, 200, 0},
};

/* The module's inputs come through a 1x1 convolution where `through`: in a layout of oneDNN's. */
static nnf_module *graph_around(const trial *made, bool through) {
    nnf_module *graph = new_graph();
    nnf_value inputs[MOST_INPUTS], output;
    char name[32];
    for (size_t i = 0; i < made->n_inputs; i++) {
        const shape *x = &made->inputs[i];
        snprintf(name, sizeof name, "x%zu", i);
        inputs[i] = add_shaped_input(graph, name);
        if (!through || x->ndim < 3 || x->ndim > 5 || x->dims[1] == 0) continue;
        nnf_conv_options options =
            nnf_conv_options_default(x->ndim - 2, false, x->dims[1], x->dims[1], 1);
        uint64_t seed = i;
        snprintf(name, sizeof name, "before%zu", i);
        add_module(graph, name, module_of_conv(&options, true, &seed));
        inputs[i] = call(graph, name, inputs[i]);
    }
    assert_ok(nnf_module_set(graph, "tested", made->module));
    assert_ok(nnf_graph_add_call(graph, "tested", inputs, made->n_inputs, NULL, &output, 1));
    assert_ok(nnf_graph_add_output(graph, output));
    nnf_module_eval(graph);
    return graph;
}

static nnfi_operand operand_of(int ndim, const int64_t *dims) {
    nnfi_operand operand = {.dtype = NNF_F32, .ndim = ndim, .bytes = sizeof(float)};
    for (int i = 0; i < ndim; i++) {
        operand.shape[i] = dims[i];
        operand.bytes *= (size_t)dims[i];
    }
    return operand;
}

/* Whether oneDNN has a step for the module, on row-major inputs, rather than its forward. */
static bool has_step(const trial *made) {
    const nnfi_kernel_set *set = nnfi_onednn();
    nnf_tensor *tensors[MOST_INPUTS], *result;
    nnfi_engine *engine;
    nnfi_step *step;
    nnfi_operand inputs[MOST_INPUTS], *pointers[MOST_INPUTS];
    for (size_t i = 0; i < made->n_inputs; i++) {
        inputs[i] = operand_of(made->inputs[i].ndim, made->inputs[i].dims);
        pointers[i] = &inputs[i];
        tensors[i] = random_tensor(NNF_F32, inputs[i].ndim, inputs[i].shape, -1, 1, i);
    }
    assert_ok(nnf_module_forward(made->module, tensors, made->n_inputs, &result, 1));
    nnfi_operand output = operand_of(nnf_tensor_ndim(result), nnf_tensor_shape(result));
    nnf_tensor_release(result);
    for (size_t i = 0; i < made->n_inputs; i++)
        nnf_tensor_release(tensors[i]);
    assert_ok(set->open(&engine, &(nnfi_kernel_options){0}));
    assert_ok(set->prepare(engine, made->module, pointers, made->n_inputs, &output, 1, &step));
    if (step) step->release(step);
    set->close(engine);
    return step != NULL;
}

static bool check_trial(const trial *made, const char *kind, uint64_t seed) {
    /* a quotient magnifies what convolutions before it round */
    bool divides = !strcmp(nnf_module_type_name(made->module), "Div");
    nnf_module *graph = graph_around(made, chance(&seed, 2) && !divides);
    int threads = chance(&seed, 8) ? 2 : 1;
    nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, threads);
    nnf_session *tested = open_session(graph, NNF_KERNELS_ONEDNN, threads);
    char what[128];
    snprintf(what, sizeof what, "%s, seed %llu (%s)", kind, (unsigned long long)seed,
             nnf_module_type_name(made->module));
    bool took = same_by_both(reference, tested, what, made->inputs, made->n_inputs, 1, 1e-5, seed);
    nnf_session_release(reference);
    nnf_session_release(tested);
    nnf_module_release(graph);
    return took;
}

static void every_layer_agrees_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    int taken = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        uint64_t seed = 1000003 * (k + 1);
        int tried = 0, steps = 0;
        for (int done = 0; done < kinds[k].cases;) {
            trial made = kinds[k].make(&seed);
            bool took = check_trial(&made, kinds[k].name, seed);
            done += took;
            taken += took;
            steps += took && has_step(&made);
            nnf_module_release(made.module);
            assert_true(++tried < 20 * kinds[k].cases);
        }
        print_message("%s: %d of %d, %d by oneDNN\n", kinds[k].name, kinds[k].cases, tried, steps);
        assert_true(steps >= kinds[k].steps);
    }
    assert_true(taken >= 2000);
}

/* From numbers whose exponential is nothing to such where it is infinite. */
static void silu_agrees_on_a_wide_range(void **state) {
    (void)state;
    need_onednn();
    enum { CHANNELS = 5 };
    nnf_conv_options options = nnf_conv_options_default(2, false, CHANNELS, CHANNELS, 1);
    options.groups = CHANNELS;
    uint64_t seed = 1;
    nnf_module *conv = module_of_conv(&options, false, &seed), *silu;
    void *weight;
    assert_ok(nnf_tensor_mut_data(nnf_module_tensor(conv, "weight"), &weight));
    for (int i = 0; i < CHANNELS; i++)
        ((float *)weight)[i] = (float)pow(10, i - 1);
    assert_ok(nnf_activation_new(&silu, NNF_SILU));
    trial made = fuse_trial("ConvActivation2d", (nnf_module *[]){conv, silu}, 2,
                            (shape){4, {2, CHANNELS, 33, 31}});
    for (seed = 2; seed < 6; seed++)
        assert_true(check_trial(&made, "SiLU", seed));
    nnf_module_release(made.module);
}

TEST_MAIN(cmocka_unit_test(every_layer_agrees_with_the_reference),
          cmocka_unit_test(silu_agrees_on_a_wide_range))
