/* Random numbers and modules. Everything follows from the seeds. */
#ifndef RANDOM_SUPPORT_H
#define RANDOM_SUPPORT_H

#include <math.h>

#include "graph_support.h"

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

/* One of the kinds from `first` to `last`. */
static inline nnf_module *random_activation_among(uint64_t *seed, nnf_activation first,
                                                  nnf_activation last) {
    nnf_activation_options options = {.kind = (nnf_activation)pick(seed, first, last)};
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

static inline nnf_module *random_activation(uint64_t *seed) {
    return random_activation_among(seed, NNF_RELU, NNF_ERF);
}

/* A PReLU that holds a slope of that shape. */
static inline nnf_module *prelu_of(int ndim, const int64_t *dims, uint64_t *seed) {
    nnf_module *module;
    nnf_tensor *slope = random_tensor(NNF_F32, ndim, dims, -0.5, 1.25, (*seed)++);
    assert_ok(nnf_binary_new(&module, NNF_PRELU));
    assert_ok(nnf_module_set_parameter(module, "weight", slope));
    nnf_tensor_release(slope);
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
