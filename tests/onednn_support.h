/* Random modules, and graphs run by both kernel sets. Everything follows from the seeds. */
#ifndef ONEDNN_SUPPORT_H
#define ONEDNN_SUPPORT_H

#include <math.h>
#include <stdlib.h>

#include "graph_support.h"

enum { MOST_VALUES = 24 };

typedef struct shape {
    int ndim;
    int64_t dims[NNF_MAX_DIMS];
} shape;

/* A number from low to high. */
static inline int64_t pick(uint64_t *seed, int64_t low, int64_t high) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return low + (int64_t)((*seed >> 33) % (uint64_t)(high - low + 1));
}
static inline bool chance(uint64_t *seed, int64_t one_in) {
    return pick(seed, 1, one_in) == 1;
}

static inline bool has_onednn(nnf_module *module) {
    nnf_session *session;
    const nnf_session_options options = {.kernels = NNF_KERNELS_ONEDNN};
    if (nnf_session_new(&session, module, &options) != NNF_OK) return false;
    nnf_session_release(session);
    return true;
}
/* Ends a test where the library has the reference kernels alone. */
static inline void need_onednn(void) {
    nnf_module *module = new_relu();
    bool there = has_onednn(module);
    nnf_module_release(module);
    if (there) return;
    print_message("built without oneDNN\n");
    skip();
}

/* Direct algorithms: their tolerance is narrow. */
static inline nnf_session *open_session_once(nnf_module *module, nnf_kernels kernels, int threads,
                                             bool runs_once) {
    nnf_session *session;
    const nnf_session_options options = {
        .kernels = kernels, .threads = threads, .no_winograd = true, .runs_once = runs_once};
    assert_ok(nnf_session_new(&session, module, &options));
    return session;
}
static inline nnf_session *open_session(nnf_module *module, nnf_kernels kernels, int threads) {
    return open_session_once(module, kernels, threads, false);
}

static inline nnf_value add_shaped_input(nnf_module *graph, const char *name) {
    nnf_value value;
    assert_ok(nnf_graph_add_input(graph, &value, name, NULL));
    return value;
}

/* Whether `actual` is within `tolerance` times the largest number of `expected`. */
static inline bool agree(const nnf_tensor *actual, const nnf_tensor *expected, double tolerance,
                         double *error) {
    int64_t n = nnf_tensor_numel(expected);
    double largest = 0, difference = 0;
    const void *a, *e;
    if (nnf_tensor_ndim(actual) != nnf_tensor_ndim(expected) ||
        memcmp(nnf_tensor_shape(actual), nnf_tensor_shape(expected),
               sizeof(int64_t) * (size_t)nnf_tensor_ndim(expected)) ||
        nnf_tensor_dtype(actual) != nnf_tensor_dtype(expected))
        return false;
    assert_ok(nnf_tensor_data(actual, &a));
    assert_ok(nnf_tensor_data(expected, &e));
    for (int64_t i = 0; i < n; i++) {
        double is = ((const float *)a)[i], wanted = ((const float *)e)[i];
        if (isnan(is) && isnan(wanted)) continue;
        if (isinf(wanted) && is == wanted) continue;
        if (!isinf(wanted)) largest = fmax(largest, fabs(wanted));
        difference = isnan(is - wanted) ? INFINITY : fmax(difference, fabs(is - wanted));
    }
    *error = largest > 0 ? difference / largest : difference;
    return difference <= tolerance * largest;
}

/* Runs both sessions on random numbers in these shapes. Returns whether the graph took them; fails
 * where the sessions do not agree on that, or on the numbers. */
static inline bool same_by_both(nnf_session *reference, nnf_session *tested, const char *what,
                                const shape *shapes, size_t n_inputs, size_t n_outputs,
                                double tolerance, uint64_t seed) {
    nnf_tensor *inputs[MOST_VALUES], *wanted[MOST_VALUES], *got[MOST_VALUES];
    for (size_t i = 0; i < n_inputs; i++)
        inputs[i] = random_tensor(NNF_F32, shapes[i].ndim, shapes[i].dims, -1, 1.25, seed + i);
    nnf_status status = nnf_session_run(reference, inputs, n_inputs, wanted, n_outputs);
    nnf_status same = nnf_session_run(tested, inputs, n_inputs, got, n_outputs);
    if (status != same)
        fail_msg("%s: the reference gave status %d, oneDNN %d: %s", what, status, same,
                 nnf_error_message());
    for (size_t i = 0; i < n_outputs && status == NNF_OK; i++) {
        double error = 0;
        if (!agree(got[i], wanted[i], tolerance, &error))
            fail_msg("%s: output %zu is off by %g of the largest", what, i, error);
        nnf_tensor_release(got[i]);
        nnf_tensor_release(wanted[i]);
    }
    for (size_t i = 0; i < n_inputs; i++)
        nnf_tensor_release(inputs[i]);
    return status == NNF_OK;
}

/* ---- Random modules ---- */

static inline nnf_module *random_activation(uint64_t *seed) {
    nnf_activation_options options = {.kind = (nnf_activation)pick(seed, 0, NNF_ERF)};
    nnf_module *module;
    if (options.kind == NNF_SQRT) options.kind = NNF_RELU;
    if (options.kind != NNF_CLIP && options.kind != NNF_LEAKY_RELU) {
        assert_ok(nnf_activation_new(&module, options.kind));
        return module;
    }
    bool open = options.kind == NNF_CLIP && chance(seed, 3);
    options.alpha = open ? -INFINITY : (double)pick(seed, -4, 1) / 4;
    options.beta = 0.75;
    assert_ok(nnf_activation_new_with(&module, &options));
    return module;
}

static inline nnf_conv_options random_conv(uint64_t *seed, int spatial, bool transposed) {
    static const int64_t channels[] = {1, 2, 3, 5, 8, 16, 17};
    int64_t groups = chance(seed, 3) ? pick(seed, 1, 5) : 1;
    bool depthwise = chance(seed, 5);
    int64_t in = channels[pick(seed, 0, 6)], out = channels[pick(seed, 0, 6)];
    if (depthwise) groups = in * pick(seed, 1, 3), in = 1, out = pick(seed, 1, 2);
    nnf_conv_options options =
        nnf_conv_options_default(spatial, transposed, in * groups, out * groups, 1);
    options.groups = groups;
    for (int i = 0; i < spatial; i++) {
        options.kernel_size[i] = pick(seed, 1, spatial == 3 ? 3 : 5);
        options.stride[i] = pick(seed, 1, 3);
        options.dilation[i] = chance(seed, 3) ? pick(seed, 1, 3) : 1;
        options.padding_begin[i] = pick(seed, 0, 2);
        options.padding_end[i] = chance(seed, 2) ? pick(seed, 0, 2) : options.padding_begin[i];
        if (transposed && options.stride[i] > 1) options.output_padding[i] = pick(seed, 0, 1);
    }
    if (chance(seed, 8)) {
        options.auto_pad = (nnf_auto_pad)pick(seed, 1, 3);
        for (int i = 0; i < spatial; i++)
            options.padding_begin[i] = options.padding_end[i] = options.output_padding[i] = 0;
    }
    return options;
}

static inline nnf_module *module_of_conv(const nnf_conv_options *options, bool bias,
                                         uint64_t *seed) {
    nnf_module *module;
    assert_ok(nnf_conv_new(&module, options, bias, NNF_F32));
    fill(module, (uint64_t)pick(seed, 1, 1 << 20));
    return module;
}

static inline nnf_pool_options random_pool(uint64_t *seed, int spatial) {
    nnf_pool_options options = nnf_pool_options_default(spatial, chance(seed, 2), 1);
    for (int i = 0; i < spatial; i++) {
        options.kernel_size[i] = pick(seed, 1, 4);
        options.stride[i] = pick(seed, 1, 3);
        options.dilation[i] = !options.average && chance(seed, 4) ? 2 : 1;
        options.padding_begin[i] = pick(seed, 0, options.kernel_size[i] / 2);
        options.padding_end[i] =
            chance(seed, 3) ? pick(seed, 0, options.kernel_size[i] / 2) : options.padding_begin[i];
    }
    options.ceil_mode = chance(seed, 3);
    options.drop_last_outside = true;
    options.count_include_pad = chance(seed, 2);
    if (chance(seed, 8)) {
        options.auto_pad = (nnf_auto_pad)pick(seed, 1, 3);
        for (int i = 0; i < spatial; i++)
            options.padding_begin[i] = options.padding_end[i] = 0;
        options.ceil_mode = false;
    }
    return options;
}

#endif
