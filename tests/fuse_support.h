/* What the tests of fusing share: modules built from goldens or filled with numbers, chains, and
 * hooks that count. */
#ifndef FUSE_SUPPORT_H
#define FUSE_SUPPORT_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "test_support.h"

#define CHAIN(...)                                                            \
    {                                                                         \
        (const char *const[]){__VA_ARGS__},                                   \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *) \
    }

/* Numbers in [-1, 1) that are the same in every run. */
static inline double pseudo_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11) / (double)(1LL << 52) - 1.0;
}

/* A tensor of that shape with numbers from low to high. */
static inline nnf_tensor *random_tensor(nnf_dtype dtype, int ndim, const int64_t *shape, double low,
                                        double high, uint64_t seed) {
    nnf_tensor *doubles, *out;
    void *data;
    assert_ok(nnf_tensor_new(&doubles, NNF_F64, ndim, shape));
    assert_ok(nnf_tensor_mut_data(doubles, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(doubles); i++)
        ((double *)data)[i] = low + (high - low) * (pseudo_random(&seed) + 1) / 2;
    assert_ok(nnf_tensor_convert(&out, doubles, dtype));
    nnf_tensor_release(doubles);
    return out;
}

/* Fills every parameter and statistic of a tree (variances positive). */
static inline nnf_status fill_tensor(const char *path, nnf_tensor *tensor, void *payload) {
    uint64_t *seed = payload;
    const char *name = strrchr(path, '.');
    bool positive = !strcmp(name ? name + 1 : path, "running_var");
    if (!nnf_dtype_is_float(nnf_tensor_dtype(tensor))) return NNF_OK;
    nnf_tensor *values = random_tensor(nnf_tensor_dtype(tensor), nnf_tensor_ndim(tensor),
                                       nnf_tensor_shape(tensor), positive ? 0.5 : -1, 1.5, ++*seed);
    const void *from;
    void *to;
    assert_ok(nnf_tensor_data(values, &from));
    assert_ok(nnf_tensor_mut_data(tensor, &to));
    memcpy(to, from, (size_t)nnf_tensor_nbytes(tensor));
    nnf_tensor_release(values);
    return NNF_OK;
}
static inline void fill(nnf_module *module, uint64_t seed) {
    assert_ok(nnf_module_named_tensors(module, NNF_SLOT_PARAMETER, fill_tensor, &seed));
    assert_ok(nnf_module_named_tensors(module, NNF_SLOT_BUFFER, fill_tensor, &seed));
}

static inline nnf_module *new_conv(int spatial, bool transposed, int64_t in, int64_t out,
                                   int64_t groups) {
    nnf_conv_options options = nnf_conv_options_default(spatial, transposed, in, out, 3);
    options.groups = groups;
    nnf_module *module;
    assert_ok(nnf_conv_new(&module, &options, true, NNF_F32));
    fill(module, 1);
    return module;
}
static inline nnf_module *new_norm(int spatial, int64_t features) {
    nnf_batchnorm_options options = nnf_batchnorm_options_default(spatial, features);
    nnf_module *module;
    assert_ok(nnf_batchnorm_new(&module, &options, NNF_F32));
    fill(module, 7);
    return module;
}
static inline nnf_module *new_linear(int64_t in, int64_t out) {
    nnf_module *module;
    assert_ok(nnf_linear_new(&module, in, out, true, NNF_F32));
    fill(module, 3);
    return module;
}
static inline nnf_module *new_relu(void) {
    nnf_module *module;
    assert_ok(nnf_activation_new(&module, NNF_RELU));
    return module;
}

/* A container with `n` modules under those names; takes the references. */
static inline nnf_module *new_tree(const char *const *names, nnf_module *const *modules, size_t n) {
    nnf_module *tree;
    assert_ok(nnf_container_new(&tree));
    for (size_t i = 0; i < n; i++) {
        assert_ok(nnf_module_set_child(tree, names[i], modules[i]));
        nnf_module_release(modules[i]);
    }
    return tree;
}
/* The same as a Sequential. */
static inline nnf_module *new_sequential(nnf_module *const *modules, size_t n) {
    nnf_module *sequential;
    assert_ok(nnf_sequential_new(&sequential, modules, n));
    for (size_t i = 0; i < n; i++)
        nnf_module_release(modules[i]);
    return sequential;
}

static inline nnf_tensor *run(nnf_module *module, nnf_tensor *input) {
    nnf_tensor *output = NULL;
    assert_ok(nnf_module_forward(module, &input, 1, &output, 1));
    return output;
}
/* Both give the same output for one input, within `tolerance` of its largest value. */
static inline void assert_same_function(nnf_module *a, nnf_module *b, nnf_tensor *input,
                                        double tolerance) {
    nnf_tensor *expected = run(a, input), *actual = run(b, input);
    assert_tensors_close(actual, expected, tolerance);
    nnf_tensor_release(expected);
    nnf_tensor_release(actual);
}

/* Hooks that write a letter each into a text. */
typedef struct trace {
    char letters[64];
    size_t n;
} trace;
typedef struct letter {
    trace *into;
    char letter;
} letter;
static inline void write_letter(letter *which) {
    assert_true(which->into->n + 1 < sizeof which->into->letters);
    which->into->letters[which->into->n++] = which->letter;
    which->into->letters[which->into->n] = '\0';
}
static inline nnf_status pre_hook(nnf_module *module, nnf_tensor **inputs, size_t n_inputs,
                                  void *payload) {
    (void)module, (void)inputs, (void)n_inputs;
    write_letter(payload);
    return NNF_OK;
}
static inline nnf_status forward_hook(nnf_module *module, nnf_tensor *const *inputs,
                                      size_t n_inputs, nnf_tensor **outputs, size_t n_outputs,
                                      void *payload) {
    (void)module, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs;
    write_letter(payload);
    return NNF_OK;
}

#endif
