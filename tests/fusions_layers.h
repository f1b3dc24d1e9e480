/* Layers for instances of fusions, on inputs that they take. */
#ifndef FUSIONS_LAYERS_H
#define FUSIONS_LAYERS_H

#include "fusions_support.h"

/* More than 1 for near misses: a batch norm in training mode needs it. What is 1 long can be
 * enlarged. */
static inline int64_t batch_of(instance *it) {
    if (breaks(it, "a slope that enlarges")) return 1;
    return it->miss ? 2 : pick(&it->seed, 1, 3);
}

static inline void mirror_or_wrap(instance *it, nnf_conv_options *options) {
    options->padding_mode =
        (nnf_padding_mode)pick(&it->seed, NNF_PADDING_REFLECT, NNF_PADDING_CIRCULAR);
    options->auto_pad = NNF_AUTO_PAD_NOTSET;
}

/* An input as large as a convolution's windows at least, and larger than its padding on both sides.
 */
static inline void start_for_conv(instance *it, const nnf_conv_options *options) {
    int64_t dims[NNF_MAX_DIMS] = {batch_of(it), options->in_channels};
    for (int i = 0; i < options->spatial; i++) {
        int64_t window = options->dilation[i] * (options->kernel_size[i] - 1) + 1;
        dims[i + 2] = (window > 5 ? window : 5) + pick(&it->seed, 0, 2);
    }
    start(it, options->spatial + 2, dims, chance(&it->seed, 3));
}

static inline nnf_conv_options any_conv(instance *it, bool transposed) {
    nnf_conv_options options = random_conv(&it->seed, (int)pick(&it->seed, 1, 3), transposed);
    if (!transposed && chance(&it->seed, 5)) mirror_or_wrap(it, &options);
    return options;
}

static inline nnf_module *conv_of(instance *it, const nnf_conv_options *options) {
    return module_of_conv(options, !chance(&it->seed, 3), &it->seed);
}

/* A linear layer on [n, in], or [n, length, in]. */
static inline nnf_module *any_linear(instance *it, int64_t in, int64_t out) {
    nnf_module *module;
    assert_ok(nnf_linear_new(&module, in, out, !chance(&it->seed, 3), NNF_F32));
    fill(module, it->seed++);
    return module;
}

enum { CONV = 1, TRANSPOSED = 2, LINEAR = 4 };

/* An input and a linear layer on it, of one of those kinds. */
static inline void then_linear_layer(instance *it, int kinds) {
    int kind = 0;
    while (!(kinds & kind))
        kind = 1 << pick(&it->seed, 0, 2);
    if (kind == LINEAR) {
        int64_t dims[] = {batch_of(it), pick(&it->seed, 1, 17)};
        start(it, 2, dims, chance(&it->seed, 3));
        then(it, any_linear(it, dims[1], pick(&it->seed, 2, 17)));
        return;
    }
    nnf_conv_options options = any_conv(it, kind == TRANSPOSED);
    start_for_conv(it, &options);
    then(it, conv_of(it, &options));
}

/* A batch norm for what the last call gave. */
static inline nnf_module *norm_of(instance *it, bool affine, bool training_mode) {
    shape of = shape_of(it, it->x);
    nnf_batchnorm_options options =
        nnf_batchnorm_options_default(of.ndim > 3 ? of.ndim - 2 : 1, of.dims[1]);
    options.affine = affine;
    options.eps = chance(&it->seed, 2) ? 1e-3 : 1e-5;
    options.training_mode = training_mode;
    nnf_module *module;
    assert_ok(nnf_batchnorm_new(&module, &options, NNF_F32));
    fill(module, it->seed++);
    return module;
}

static inline nnf_module *any_norm(instance *it) {
    return norm_of(it, it->dtype == NNF_F16 || !chance(&it->seed, 4),
                   breaks(it, "batch norm in training mode"));
}

static inline void set_tensor(nnf_module *module, const char *name, double low, double high) {
    nnf_tensor *old = nnf_module_tensor(module, name);
    nnf_tensor *tensor = random_tensor(nnf_tensor_dtype(old), nnf_tensor_ndim(old),
                                       nnf_tensor_shape(old), low, high, 5);
    bool is_buffer = !strncmp(name, "running", 7);
    assert_ok((is_buffer ? nnf_module_set_buffer : nnf_module_set_parameter)(module, name, tensor));
    nnf_tensor_release(tensor);
}

#endif
