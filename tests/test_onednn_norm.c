/* Batch norms that compute with their batch's own statistics give in oneDNN what they give in the
 * reference kernels, to 1e-5 of the largest number, and move their running statistics as these do.
 */
#include "onednn_support.h"

static void fill_floats(nnf_module *norm, uint64_t *seed) {
    for (size_t i = 0; i < nnf_module_n_tensors(norm); i++) {
        nnf_tensor *tensor = nnf_module_tensor(norm, nnf_module_tensor_name(norm, i));
        if (nnf_tensor_dtype(tensor) != NNF_F32) continue;
        void *data;
        assert_ok(nnf_tensor_mut_data(tensor, &data));
        for (int64_t c = 0; c < nnf_tensor_numel(tensor); c++)
            ((float *)data)[c] = 0.25f + (float)pick(seed, 0, 1000) / 500;
    }
}

static nnf_module *norm_of(uint64_t *seed, int spatial, int64_t channels) {
    nnf_batchnorm_options options = nnf_batchnorm_options_default(spatial, channels);
    nnf_module *norm;
    options.affine = !chance(seed, 4);
    options.track_running_stats = !chance(seed, 6);
    options.cumulative = chance(seed, 3);
    options.momentum = (double)pick(seed, 0, 10) / 10;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    fill_floats(norm, seed);
    return norm;
}

/* At least two values for each channel. */
static shape images(uint64_t *seed, int spatial, int64_t channels) {
    shape x = {spatial == 1 && chance(seed, 3) ? 2 : spatial + 2, {pick(seed, 2, 5), channels}};
    for (int i = 2; i < x.ndim; i++)
        x.dims[i] = pick(seed, 1, 9);
    return x;
}

/* conv (so that values come in a layout of oneDNN's), norm, and sometimes a ReLU behind it. */
static nnf_module *network(uint64_t *seed, const shape *x) {
    const int spatial = x->ndim == 2 ? 1 : x->ndim - 2;
    nnf_module *graph = new_graph(), *last = norm_of(seed, spatial, x->dims[1]);
    nnf_value value = add_shaped_input(graph, "x");
    if (x->ndim > 2 && chance(seed, 2)) {
        const nnf_conv_options options =
            nnf_conv_options_default(spatial, false, x->dims[1], x->dims[1], 1);
        add_module(graph, "conv", module_of_conv(&options, true, seed));
        value = call(graph, "conv", value);
    }
    add_module(graph, "norm", last);
    value = call(graph, "norm", value);
    if (chance(seed, 2)) {
        add_module(graph, "relu", new_relu());
        value = call(graph, "relu", value);
    }
    assert_ok(nnf_graph_add_output(graph, value));
    return graph;
}

static void same_tensor(nnf_module *a, nnf_module *b, const char *name, const char *what) {
    const nnf_tensor *got = nnf_module_tensor(a, name), *wanted = nnf_module_tensor(b, name);
    double error = 0;
    assert_int_equal(!got, !wanted);
    if (got && !agree(got, wanted, 1e-5, &error))
        fail_msg("%s: %s is off by %g of the largest", what, name, error);
}

static int64_t batches(nnf_module *norm) {
    const nnf_tensor *tracked = nnf_module_tensor(norm, "num_batches_tracked");
    const void *data;
    if (!tracked) return -1;
    assert_ok(nnf_tensor_data(tracked, &data));
    return *(const int64_t *)data;
}

static void check_network(uint64_t seed) {
    enum { RUNS = 3 };
    char what[64];
    snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
    const shape x = images(&seed, (int)pick(&seed, 1, 3), pick(&seed, 1, 40));
    nnf_module *model = network(&seed, &x), *twin;
    const bool trains = chance(&seed, 2);
    nnf_module_train(model, trains);
    assert_ok(nnf_module_copy(&twin, model));
    nnf_session *tested = open_session(model, NNF_KERNELS_ONEDNN, 1 + chance(&seed, 4));
    nnf_session *reference = open_session(twin, NNF_KERNELS_REFERENCE, 1);
    nnf_module *norm, *other;
    assert_ok(nnf_module_get(&norm, model, "norm"));
    assert_ok(nnf_module_get(&other, twin, "norm"));
    for (int i = 0; i < RUNS; i++) {
        assert_true(same_by_both(reference, tested, what, &x, 1, 1, 1e-5, seed + (uint64_t)i));
        same_tensor(norm, other, "running_mean", what);
        same_tensor(norm, other, "running_var", what);
        assert_int_equal(batches(norm), batches(other));
        if (batches(norm) >= 0) assert_int_equal(batches(norm), trains ? i + 1 : 0);
    }
    nnf_module_train(model, false); /* and what they moved to is what counts from here on */
    nnf_module_train(twin, false);
    assert_true(same_by_both(reference, tested, what, &x, 1, 1, 1e-5, seed));
    nnf_session_release(tested);
    nnf_session_release(reference);
    nnf_module_release(model);
    nnf_module_release(twin);
}

static void norms_agree_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    for (uint64_t seed = 1; seed <= 300; seed++)
        check_network(seed);
}

/* A mean that is large beside what is normalized, and channels that do not vary. */
static void large_means_agree_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    enum { CHANNELS = 16, PLACES = 64 * 64 };
    const int64_t dims[] = {4, CHANNELS, 64, 64};
    uint64_t seed = 1;
    nnf_module *graph = new_graph();
    nnf_value x = add_shaped_input(graph, "x");
    nnf_tensor *input = random_tensor(NNF_F32, 4, dims, 999, 1001, 1), *got, *wanted;
    void *data;
    assert_ok(nnf_tensor_mut_data(input, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(input); i++)
        if (i / PLACES % CHANNELS == 3) ((float *)data)[i] = 25.3f;
    add_module(graph, "norm", norm_of(&seed, 2, CHANNELS));
    assert_ok(nnf_graph_add_output(graph, call(graph, "norm", x)));
    nnf_module_train(graph, true);
    nnf_session *tested = open_session(graph, NNF_KERNELS_ONEDNN, 2);
    nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, 2);
    assert_ok(nnf_session_run(tested, &input, 1, &got, 1));
    assert_ok(nnf_session_run(reference, &input, 1, &wanted, 1));
    double error = 0;
    assert_true(agree(got, wanted, 1e-5, &error));
    nnf_tensor_release(got);
    nnf_tensor_release(wanted);
    nnf_tensor_release(input);
    nnf_session_release(tested);
    nnf_session_release(reference);
    nnf_module_release(graph);
}

/* A norm whose running statistics are read by what comes behind it: a Mul by their mean, and a norm
 * in eval mode. They read what the first one has just made of them. */
static nnf_module *norm_with_readers(void) {
    enum { CHANNELS = 4 };
    uint64_t seed = 1;
    const nnf_batchnorm_options options = nnf_batchnorm_options_default(1, CHANNELS);
    nnf_module *graph = new_graph(), *scale, *eval, *norm;
    assert_ok(nnf_batchnorm_new(&norm, &options, NNF_F32));
    fill_floats(norm, &seed);
    nnf_tensor *mean = nnf_module_tensor(norm, "running_mean");
    assert_ok(nnf_module_copy(&eval, norm));
    assert_ok(nnf_module_set_buffer(eval, "running_mean", mean));
    assert_ok(nnf_module_set_buffer(eval, "running_var", nnf_module_tensor(norm, "running_var")));
    nnf_value x = add_shaped_input(graph, "x"), constant, product;
    assert_ok(nnf_graph_add_constant(graph, &constant, "mean", mean));
    add_module(graph, "norm", norm);
    add_module(graph, "eval", eval);
    assert_ok(nnf_binary_new(&scale, NNF_MUL));
    add_module(graph, "scale", scale);
    x = call(graph, "norm", x);
    assert_ok(nnf_graph_add_call(graph, "scale", (nnf_value[]){x, constant}, 2, NULL, &product, 1));
    assert_ok(nnf_graph_add_output(graph, call(graph, "eval", product)));
    nnf_module_eval(graph);
    nnf_module_train(norm, true);
    return graph;
}

static void running_statistics_that_others_read_are_as_in_the_reference(void **state) {
    (void)state;
    need_onednn();
    const shape of = {2, {8, 4}};
    nnf_module *graphs[2] = {norm_with_readers(), norm_with_readers()};
    nnf_session *tested = open_session(graphs[0], NNF_KERNELS_ONEDNN, 1);
    nnf_session *reference = open_session(graphs[1], NNF_KERNELS_REFERENCE, 1);
    for (uint64_t run = 0; run < 4; run++)
        assert_true(same_by_both(reference, tested, "readers", &of, 1, 1, 1e-6, run));
    nnf_session_release(tested);
    nnf_session_release(reference);
    for (int i = 0; i < 2; i++)
        nnf_module_release(graphs[i]);
}

/* oneDNN plans for a number of threads, which a program's own parallel region does not leave it. */
static void smaller_teams_agree_with_the_reference(void **state) {
    (void)state;
    need_onednn();
    const shape shapes[] = {{2, {64, 40}}, {4, {2, 32, 9, 9}}};
    for (size_t i = 0; i < 2; i++) {
        uint64_t seed = i + 1;
        nnf_module *graph = new_graph();
        nnf_value x = add_shaped_input(graph, "x");
        add_module(graph, "norm", norm_of(&seed, shapes[i].ndim == 2 ? 1 : 2, shapes[i].dims[1]));
        assert_ok(nnf_graph_add_output(graph, call(graph, "norm", x)));
        nnf_module_eval(graph);
        nnf_session *tested = open_session(graph, NNF_KERNELS_ONEDNN, 4);
        nnf_session *reference = open_session(graph, NNF_KERNELS_REFERENCE, 1);
        for (int inside = 0; inside < 3; inside++) { /* outside, inside, and outside again */
            bool same = true;
#pragma omp parallel num_threads(2) if (inside == 1)
#pragma omp single
            same = same_by_both(reference, tested, "a norm", &shapes[i], 1, 1, 1e-5, seed);
            assert_true(same);
        }
        nnf_session_release(tested);
        nnf_session_release(reference);
        nnf_module_release(graph);
    }
}

TEST_MAIN(cmocka_unit_test(norms_agree_with_the_reference),
          cmocka_unit_test(large_means_agree_with_the_reference),
          cmocka_unit_test(running_statistics_that_others_read_are_as_in_the_reference),
          cmocka_unit_test(smaller_teams_agree_with_the_reference))
