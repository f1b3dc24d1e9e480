/* Factors for each channel, and means over space, of values whose channels are last, as
 * squeeze-and-excitation has them: against the reference kernels. */
#include "onednn_support.h"

#define TOLERANCE 1e-5

/* How many random cases to try: under valgrind, which translates the code that oneDNN generates for
 * each of them, a fifth. */
static uint64_t cases(void) {
    return under_valgrind() ? 40 : 200;
}

/* Narrower processors have values in layouts of oneDNN's, and its pooling. */
static bool has_channels_last(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
    return false;
#endif
}

static nnf_module *conv_of(int spatial, int64_t in, int64_t out, uint64_t *seed) {
    const nnf_conv_options options = nnf_conv_options_default(spatial, false, in, out, 1);
    return module_of_conv(&options, true, seed);
}

static nnf_module *pool(void) {
    nnf_module *module;
    assert_ok(nnf_global_pool_new(&module, true));
    return module;
}

static nnf_module *mul(void) {
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, NNF_MUL));
    return module;
}

/* More than one block of places, one, and parts of one; often fewer images than threads. */
static shape random_images(uint64_t *seed, int64_t *in) {
    shape x = {(int)pick(seed, 3, 5), {pick(seed, 1, 3), *in = pick(seed, 1, 5)}};
    for (int i = 2; i < x.ndim; i++)
        x.dims[i] = pick(seed, 1, x.ndim == 3 ? 200 : x.ndim == 4 ? 15 : 6);
    return x;
}

/* One factor for each channel: of each image, or of all. */
static nnf_value add_factors(nnf_module *graph, nnf_value y, int ndim, int64_t channels,
                             uint64_t *seed) {
    nnf_value factors;
    if (chance(seed, 2)) {
        add_module(graph, "squeeze", pool());
        add_module(graph, "excite", conv_of(ndim - 2, channels, channels, seed));
        return call(graph, "excite", call(graph, "squeeze", y));
    }
    const int64_t dims[5] = {1, channels, 1, 1, 1};
    nnf_tensor *tensor = random_tensor(NNF_F32, ndim, dims, -2, 2, *seed);
    assert_ok(nnf_graph_add_constant(graph, &factors, "factors", tensor));
    nnf_tensor_release(tensor);
    return factors;
}

static void check(nnf_module *graph, const shape *x, size_t n_outputs, uint64_t seed) {
    char what[512];
    snprintf(what, sizeof what, "seed %d (%.400s)", (int)seed, calls_text(graph));
    int threads = (int)(1 + seed % 3);
    nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, threads);
    nnf_session *tested = open_session(graph, NNF_KERNELS_ONEDNN, threads);
    for (uint64_t run = 0; run < 2; run++)
        assert_true(same_by_both(reference, tested, what, x, 1, n_outputs, TOLERANCE, seed + run));
    nnf_session_release(reference);
    nnf_session_release(tested);
    nnf_module_release(graph);
}

/* A convolution, so that its channels are last, times factors; sometimes it is read once more, so
 * that it must stay as it is. */
static void factors_agree_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    for (uint64_t i = 0; i < cases(); i++) {
        uint64_t seed = i * 7919 + 1;
        int64_t in, channels = pick(&seed, 10, 70);
        const shape x = random_images(&seed, &in);
        size_t n_outputs = 1;
        nnf_module *graph = new_graph();
        nnf_value y = add_shaped_input(graph, "x"), both[2], product;
        add_module(graph, "conv", conv_of(x.ndim - 2, in, channels, &seed));
        y = call(graph, "conv", y);
        both[0] = both[1] = y;
        both[chance(&seed, 2)] = add_factors(graph, y, x.ndim, channels, &seed);
        add_module(graph, "scale", mul());
        assert_ok(nnf_graph_add_call(graph, "scale", both, 2, NULL, &product, 1));
        add_module(graph, "project", conv_of(x.ndim - 2, channels, in, &seed));
        assert_ok(nnf_graph_add_output(graph, call(graph, "project", product)));
        if (chance(&seed, 3)) {
            assert_ok(nnf_graph_add_output(graph, y));
            n_outputs++;
        }
        nnf_module_eval(graph);
        check(graph, &x, n_outputs, i);
    }
}

static void means_agree_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    for (uint64_t i = 0; i < cases(); i++) {
        uint64_t seed = i * 7919 + 2;
        int64_t in;
        const shape x = random_images(&seed, &in);
        nnf_module *graph = new_graph();
        nnf_value y = add_shaped_input(graph, "x");
        add_module(graph, "conv", conv_of(x.ndim - 2, in, pick(&seed, 10, 70), &seed));
        y = call(graph, "conv", y);
        add_module(graph, "pool", pool());
        y = call(graph, "pool", y);
        if (chance(&seed, 2)) {
            add_module(graph, "relu", new_relu());
            y = call(graph, "relu", y);
        }
        assert_ok(nnf_graph_add_output(graph, y));
        nnf_module_eval(graph);
        check(graph, &x, 1, i);
    }
}

/* Sums of many numbers that are far from 0: f32 has 24 bits for them. */
static void a_mean_of_many_numbers_is_exact_to_a_millionth(void **state) {
    (void)state;
    need_onednn();
    if (!has_channels_last()) skip();
    enum { CHANNELS = 16, SIDE = 512 };
    const int64_t dims[] = {1, CHANNELS, SIDE, SIDE};
    nnf_module *graph = new_graph();
    uint64_t seed = 1;
    nnf_value y = add_shaped_input(graph, "x");
    add_module(graph, "conv", conv_of(2, CHANNELS, CHANNELS, &seed));
    y = call(graph, "conv", y);
    add_module(graph, "pool", pool());
    assert_ok(nnf_graph_add_output(graph, y));
    assert_ok(nnf_graph_add_output(graph, call(graph, "pool", y)));
    nnf_module_eval(graph);
    nnf_tensor *x = random_tensor(NNF_F32, 4, dims, 999, 1001, 1), *got[2];
    nnf_session *session = open_session(graph, NNF_KERNELS_ONEDNN, 2);
    assert_ok(nnf_session_run(session, &x, 1, got, 2));
    const void *values, *means;
    assert_ok(nnf_tensor_data(got[0], &values));
    assert_ok(nnf_tensor_data(got[1], &means));
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0;
        for (int i = 0; i < SIDE * SIDE; i++)
            sum += ((const float *)values)[c * SIDE * SIDE + i];
        double wanted = sum / (SIDE * SIDE);
        assert_true(fabs(((const float *)means)[c] - wanted) <= 1e-6 * fabs(wanted));
    }
    for (int i = 0; i < 2; i++)
        nnf_tensor_release(got[i]);
    nnf_tensor_release(x);
    nnf_session_release(session);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(factors_agree_with_the_reference),
          cmocka_unit_test(means_agree_with_the_reference),
          cmocka_unit_test(a_mean_of_many_numbers_is_exact_to_a_millionth))
