/* Winograd's convolutions, and what they bring along: blocked values, and Concats whose parts are
 * computed in place. Against the reference kernels. */
#include "onednn_support.h"

#define TOLERANCE 1e-5

/* How many random cases to try: under valgrind, which translates the code that oneDNN generates for
 * each of them, a fifth. */
static int cases(int n) {
    return under_valgrind() ? n / 5 : n;
}

static nnf_session *open_fast(nnf_module *module, int threads) {
    nnf_session *session;
    const nnf_session_options options = {.kernels = NNF_KERNELS_ONEDNN, .threads = threads};
    assert_ok(nnf_session_new(&session, module, &options));
    return session;
}

static void check(nnf_module *graph, const char *what, const shape *input, size_t n_outputs,
                  uint64_t seed) {
    int threads = chance(&seed, 4) ? 2 : 1;
    nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, threads);
    nnf_session *tested = open_fast(graph, threads);
    for (uint64_t run = 0; run < 2; run++)
        assert_true(
            same_by_both(reference, tested, what, input, 1, n_outputs, TOLERANCE, seed + run));
    nnf_session_release(reference);
    nnf_session_release(tested);
}

static nnf_module *conv_of(int64_t in, int64_t out, int64_t kernel, uint64_t *seed) {
    nnf_conv_options options = nnf_conv_options_default(2, false, in, out, kernel);
    for (int i = 0; i < 2; i++)
        options.padding_begin[i] = options.padding_end[i] = kernel / 2;
    return module_of_conv(&options, chance(seed, 2), seed);
}

/* ReLU; or one that is no post-op, and leaves what is below 0 about as large as it was. */
static nnf_module *end_of(uint64_t *seed) {
    const nnf_activation_options leaky = {.kind = NNF_LEAKY_RELU,
                                          .alpha = chance(seed, 2) ? 0.75 : -0.75};
    nnf_module *module;
    if (chance(seed, 2)) return new_relu();
    assert_ok(nnf_activation_new_with(&module, &leaky));
    return module;
}

static void three_by_three_agrees(void **state) {
    (void)state;
    need_onednn();
    uint64_t seed = 5;
    for (int i = 0; i < cases(100); i++) {
        int64_t in = pick(&seed, 30, 70), out = pick(&seed, 30, 70);
        nnf_conv_options options = nnf_conv_options_default(2, false, in, out, 3);
        for (int d = 0; d < 2; d++) {
            options.padding_begin[d] = pick(&seed, 0, 2);
            options.padding_end[d] = pick(&seed, 0, 2);
        }
        nnf_module *graph = new_graph();
        nnf_value y = add_shaped_input(graph, "x");
        add_module(graph, "conv", module_of_conv(&options, chance(&seed, 2), &seed));
        y = call(graph, "conv", y);
        if (chance(&seed, 2)) {
            add_module(graph, "end", end_of(&seed));
            y = call(graph, "end", y);
        }
        assert_ok(nnf_graph_add_output(graph, y));
        nnf_module_eval(graph);
        if (chance(&seed, 2)) assert_ok(nnf_fuse(graph, NULL, NULL));
        shape x = {4, {pick(&seed, 1, 2), in, pick(&seed, 9, 30), pick(&seed, 9, 30)}};
        char what[1100];
        snprintf(what, sizeof what, "convolution %d, %s", i, calls_text(graph));
        check(graph, what, &x, 1, seed);
        nnf_module_release(graph);
    }
}

/* A graph of values [N, channels, 14, 14] that grows call by call. */
typedef struct dense {
    nnf_module *graph;
    uint64_t seed;
    size_t n;
    nnf_value values[MOST_VALUES];
    int64_t channels[MOST_VALUES];
} dense;

static void grow(dense *d, nnf_module *module, const nnf_value *inputs, size_t n,
                 int64_t channels) {
    char path[16];
    snprintf(path, sizeof path, "m%zu", d->n);
    add_module(d->graph, path, module);
    assert_ok(nnf_graph_add_call(d->graph, path, inputs, n, NULL, &d->values[d->n], 1));
    d->channels[d->n++] = channels;
}

/* The values so far from a random one on, as in a DenseNet, or some of them in any order. */
static void grow_concat(dense *d) {
    nnf_value parts[5];
    int64_t channels = 0;
    size_t n = 0, from = (size_t)pick(&d->seed, 0, (int64_t)d->n - 1);
    bool in_order = !chance(&d->seed, 3);
    for (size_t v = from; v < d->n && n < 5; v++) {
        size_t part = in_order ? v : (size_t)pick(&d->seed, 0, (int64_t)d->n - 1);
        if (channels + d->channels[part] > 160) break;
        parts[n++] = d->values[part];
        channels += d->channels[part];
    }
    if (n == 0) return;
    nnf_module *concat;
    assert_ok(nnf_module_new(&concat, nnf_type("Concat"), &(nnf_axis_options){1}));
    grow(d, concat, parts, n, channels);
}

static void grow_dense(dense *d) {
    static const int64_t widths[] = {32, 32, 48, 20};
    size_t from = d->n - 1 - (size_t)pick(&d->seed, 0, d->n > 2 ? 2 : (int64_t)d->n - 1);
    nnf_value x = d->values[from];
    int64_t channels = d->channels[from], out = widths[pick(&d->seed, 0, 3)];
    nnf_module *module;
    switch (pick(&d->seed, 0, 7)) {
    case 0:
    case 1:
        grow(d, conv_of(channels, out, 3, &d->seed), &x, 1, out);
        break;
    case 2:
        grow(d, conv_of(channels, out, 1, &d->seed), &x, 1, out);
        break;
    case 3:
        grow(d, new_norm(2, channels), &x, 1, channels);
        break;
    case 4:
        grow(d, new_relu(), &x, 1, channels);
        break;
    case 5:
        assert_ok(nnf_module_new(&module, nnf_type("Transpose"), /* wants plain values */
                                 &(nnf_transpose_options){4, {0, 1, 3, 2}}));
        grow(d, module, &x, 1, channels);
        break;
    default:
        grow_concat(d);
    }
}

static void concats_in_place_agree(void **state) {
    (void)state;
    need_onednn();
    for (int i = 0; i < cases(120); i++) {
        dense d = {.graph = new_graph(), .seed = (uint64_t)i * 104729 + 3};
        shape x = {4, {chance(&d.seed, 5) ? 2 : 1, 32, 14, 14}};
        d.channels[d.n] = 32;
        d.values[d.n++] = add_shaped_input(d.graph, "x");
        grow(&d, conv_of(32, 32, 3, &d.seed), d.values, 1, 32); /* makes the graph a blocked one */
        for (int64_t calls = pick(&d.seed, 2, 14); calls > 0; calls--)
            grow_dense(&d);
        size_t n_outputs = 1;
        assert_ok(nnf_graph_add_output(d.graph, d.values[d.n - 1]));
        for (size_t v = 1; v < d.n; v++)
            if (chance(&d.seed, 5)) {
                assert_ok(nnf_graph_add_output(d.graph, d.values[v]));
                n_outputs++;
            }
        nnf_module_eval(d.graph);
        if (chance(&d.seed, 2)) assert_ok(nnf_fuse(d.graph, NULL, NULL));
        char what[512];
        snprintf(what, sizeof what, "graph %d (%.400s)", i, calls_text(d.graph));
        check(d.graph, what, &x, n_outputs, d.seed);
        nnf_module_release(d.graph);
    }
}

/* Sessions of one model share what they packed; one that is gone leaves it to the others. */
static void sessions_share_packed_weights(void **state) {
    (void)state;
    need_onednn();
    uint64_t seed = 11;
    nnf_module *graph = new_graph();
    nnf_value y = add_shaped_input(graph, "x");
    add_module(graph, "conv", conv_of(64, 64, 3, &seed));
    assert_ok(nnf_graph_add_output(graph, call(graph, "conv", y)));
    nnf_module_eval(graph);
    shape x = {4, {1, 64, 16, 16}};
    nnf_session *first = open_fast(graph, 1), *second = open_fast(graph, 1);
    assert_true(same_by_both(first, second, "two sessions", &x, 1, 1, 0, 1));
    nnf_session_release(first);
    nnf_session *third = open_fast(graph, 1);
    assert_true(same_by_both(third, second, "the others", &x, 1, 1, 0, 2));
    /* A weight that was written is packed anew, by each session on its own time. */
    void *data;
    assert_ok(
        nnf_tensor_mut_data(nnf_module_tensor(nnf_graph_call_module(graph, 0), "weight"), &data));
    for (int i = 0; i < 64 * 64 * 9; i++)
        ((float *)data)[i] *= 2;
    nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, 1);
    assert_true(same_by_both(reference, third, "a written weight", &x, 1, 1, TOLERANCE, 3));
    assert_true(same_by_both(third, second, "in both", &x, 1, 1, 0, 3));
    nnf_session_release(reference);
    nnf_session_release(second);
    nnf_session_release(third);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(three_by_three_agrees), cmocka_unit_test(concats_in_place_agree),
          cmocka_unit_test(sessions_share_packed_weights))
