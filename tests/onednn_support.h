/* Graphs run by both kernel sets. */
#ifndef ONEDNN_SUPPORT_H
#define ONEDNN_SUPPORT_H

#include <math.h>
#include <stdlib.h>

#include "random_support.h"

enum { MOST_VALUES = 24 };

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

#endif
