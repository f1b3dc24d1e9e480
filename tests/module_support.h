/* Small module types and tensors for the tests of modules, graphs and sessions, which are to work
 * without any of the library's layers. Written as a user of the library would write them. */
#ifndef MODULE_SUPPORT_H
#define MODULE_SUPPORT_H

#include "golden.h"
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A node of a tree: holds children, does not run. */
static const nnf_module_type box_type = {.name = "Box"};

static inline nnf_module *new_box(void) {
    nnf_module *box = NULL;
    assert_ok(nnf_module_new(&box, &box_type, NULL));
    return box;
}

static inline void set_and_release(nnf_module *root, const char *path, nnf_module *module) {
    assert_ok(nnf_module_set(root, path, module));
    nnf_module_release(module);
}

static inline nnf_tensor *vector(const float *values, int64_t n) {
    nnf_tensor *tensor = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 1, &n, values));
    return tensor;
}
#define VECTOR(...)                      \
    vector((const float[]){__VA_ARGS__}, \
           (int64_t)(sizeof((const float[]){__VA_ARGS__}) / sizeof(float)))

static inline float element(const nnf_tensor *tensor, int64_t index) {
    const void *data = NULL;
    assert_ok(nnf_tensor_data(tensor, &data));
    return ((const float *)data)[index];
}

/* y = factor x + bias[0]; bias may be unset. Computes in f32 only, so that 16-bit floats must be
 * widened for it. */
typedef struct scale_options {
    float factor;
} scale_options;

static inline nnf_status scale_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                                     size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    (void)module;
    if (n_inputs < 1 || !inputs[0] || n_outputs != 1)
        return nnf_error(NNF_ERROR_INVALID, "Scale takes one input");
    if (inputs[0]->ndim > 1)
        return nnf_error(NNF_ERROR_SHAPE, "a vector is needed, not rank %d", inputs[0]->ndim);
    return nnf_type_info_copy(&outputs[0], inputs[0]);
}

static inline nnf_status scale_forward(nnf_session *session, nnf_module *module,
                                       nnf_tensor *const *inputs, size_t n_inputs,
                                       nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    const scale_options *options = nnf_module_options(module);
    const void *x, *b = NULL;
    void *y;
    nnf_tensor *bias;
    nnf_status status = nnf_session_slot(session, &bias, module, 0, inputs, n_inputs);
    if (status == NNF_OK) status = nnf_tensor_data(inputs[0], &x);
    if (status == NNF_OK && bias) status = nnf_tensor_data(bias, &b);
    if (status == NNF_OK) status = nnf_tensor_mut_data(outputs[0], &y);
    if (status != NNF_OK) return status;
    assert_int_equal(nnf_tensor_dtype(inputs[0]), NNF_F32);
    assert_true(nnf_tensor_is_contiguous(inputs[0]));
    for (int64_t i = 0; i < nnf_tensor_numel(inputs[0]); i++)
        ((float *)y)[i] =
            options->factor * ((const float *)x)[i] + (b ? ((const float *)b)[0] : 0.0f);
    return NNF_OK;
}

static const nnf_slot scale_slots[] = {{"bias", NNF_SLOT_PARAMETER}};
static const nnf_module_type scale_type = {.name = "Scale",
                                           .options_size = sizeof(scale_options),
                                           .slots = scale_slots,
                                           .n_slots = 1,
                                           .infer = scale_infer,
                                           .forward = scale_forward,
                                           .flags = NNF_TYPE_WIDENS_16_BIT};

static inline nnf_module *new_scale(float factor) {
    nnf_module *module = NULL;
    const scale_options options = {factor};
    assert_ok(nnf_module_new(&module, &scale_type, &options));
    return module;
}

/* (x + y, x - y) of two vectors; infer knows nothing, forward makes its outputs itself. */
static inline nnf_status pair_forward(nnf_session *session, nnf_module *module,
                                      nnf_tensor *const *inputs, size_t n_inputs,
                                      nnf_tensor **outputs, size_t n_outputs) {
    (void)module;
    assert_int_equal(n_inputs, 2);
    int64_t n = nnf_tensor_numel(inputs[0]);
    for (size_t o = 0; o < n_outputs; o++) {
        assert_null(outputs[o]);
        nnf_status status = nnf_session_new_tensor(session, &outputs[o], NNF_F32, 1, &n);
        if (status != NNF_OK) return status;
        void *y;
        assert_ok(nnf_tensor_mut_data(outputs[o], &y));
        for (int64_t i = 0; i < n; i++)
            ((float *)y)[i] =
                element(inputs[0], i) + (o == 0 ? 1.0f : -1.0f) * element(inputs[1], i);
    }
    return NNF_OK;
}
static const nnf_module_type pair_type = {.name = "Pair", .forward = pair_forward};

static inline nnf_module *new_pair(void) {
    nnf_module *module = NULL;
    assert_ok(nnf_module_new(&module, &pair_type, NULL));
    return module;
}

#endif
