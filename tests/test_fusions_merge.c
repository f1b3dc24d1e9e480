/* Fusions of several linear layers into one, on random instances: beside each other, in a row, and
 * behind blocks of pixels. docs/fusions.md has the conditions. */
#include "fusions_layers.h"
#include "nn/nn_internal.h"

/* ---- Branches ---- */

/* A call of those that fuse, on any value. */
static nnf_value call_of(instance *it, nnf_module *module, nnf_value a, nnf_value b) {
    nnf_value inputs[8] = {a, b};
    nnf_value value = add(it, module, inputs, b == NNF_NO_VALUE ? 1 : 2);
    it->n_fusing++;
    if (it->n_between < MOST_BETWEEN) it->between[it->n_between++] = value;
    return value;
}

static nnf_value norm_behind(instance *it, nnf_value value) {
    nnf_value x = it->x;
    it->x = value;
    nnf_module *norm = any_norm(it);
    it->x = x;
    return call_of(it, norm, value, NNF_NO_VALUE);
}

/* A convolution like `main`, of kernel 1 on some axes. */
static nnf_conv_options smaller_kernel(instance *it, nnf_conv_options options) {
    for (int i = 0; i < options.spatial; i++)
        if (chance(&it->seed, 2)) {
            options.kernel_size[i] = 1;
            options.padding_begin[i] = options.padding_end[i] = 0;
            options.dilation[i] = pick(&it->seed, 1, 3);
        }
    return options;
}

/* The second branch where a condition is to be broken. */
static nnf_conv_options broken_branch(instance *it, nnf_conv_options options) {
    bool cheap = breaks(it, "more multiplications");
    for (int i = 0; i < options.spatial && !cheap; i++) {
        options.kernel_size[i] = options.dilation[i] = 1;
        options.padding_begin[i] = options.padding_end[i] = 0;
    }
    if (cheap) options.padding_begin[1] = 0, options.padding_end[1] = 0, options.kernel_size[1] = 1;
    if (breaks(it, "another stride")) options.stride[0]++;
    if (breaks(it, "other groups")) options.groups = 1;
    if (breaks(it, "another centre")) options.padding_end[0] = 1;
    if (breaks(it, "another dilation")) {
        options.kernel_size[0] = 3;
        options.dilation[0] = options.padding_begin[0] = options.padding_end[0] = 2;
    }
    return options;
}

static nnf_value one_branch(instance *it, const nnf_conv_options *main, nnf_value x, bool first) {
    bool keeps = main->in_channels == main->out_channels && main->stride[0] == 1;
    bool training = it->miss && !strcmp(it->miss, "batch norm in training mode");
    nnf_conv_options options = *main;
    if (!first && it->miss && !training) options = broken_branch(it, options);
    if (!first && breaks(it, "another input")) x = add_aside(it, x);
    if (!first && !it->miss && keeps && chance(&it->seed, 3))
        return chance(&it->seed, 2) ? norm_behind(it, x) : x;
    if (!first && !it->miss) options = smaller_kernel(it, options);
    bool pads = false;
    for (int i = 0; i < options.spatial; i++)
        pads = pads || options.padding_begin[i] > 0;
    if (!it->miss && !pads && chance(&it->seed, 2)) x = norm_behind(it, x);
    nnf_value value = call_of(it, conv_of(it, &options), x, NNF_NO_VALUE);
    return training || (!it->miss && chance(&it->seed, 2)) ? norm_behind(it, value) : value;
}

static void branches(instance *it) {
    bool cheap = it->miss && !strcmp(it->miss, "more multiplications");
    int spatial = cheap ? 2 : (int)pick(&it->seed, 1, 3);
    int64_t groups = it->miss ? 2 : pick(&it->seed, 1, 2), stride = it->miss ? 2 : 1;
    int64_t channels = groups * pick(&it->seed, 1, 3);
    nnf_conv_options main = nnf_conv_options_default(spatial, false, channels, channels, 3);
    if (!it->miss && chance(&it->seed, 2)) main.out_channels = groups * pick(&it->seed, 1, 3);
    if (!it->miss && chance(&it->seed, 3)) stride = 2;
    main.groups = groups;
    for (int i = 0; i < spatial; i++) {
        main.dilation[i] = it->miss ? 1 : pick(&it->seed, 1, 2);
        main.stride[i] = stride;
        main.padding_begin[i] = main.padding_end[i] = main.dilation[i];
    }
    if (cheap) main.kernel_size[0] = 1, main.padding_begin[0] = main.padding_end[0] = 0;
    /* A size at which the misses give one shape. */
    bool alone = it->miss && !strcmp(it->miss, "another stride");
    int64_t size = alone ? 1 : it->miss ? 3 : pick(&it->seed, 5, 7);
    start(it, spatial + 2, (const int64_t[]){batch_of(it), channels, size, size, size},
          chance(&it->seed, 3));
    nnf_value x = it->x, sum = one_branch(it, &main, x, true);
    if (cheap) {
        nnf_conv_options other = main;
        other.kernel_size[0] = 3;
        other.padding_begin[0] = other.padding_end[0] = 1;
        main = other;
    }
    for (int64_t n = it->miss ? 1 : pick(&it->seed, 1, 3); n > 0; n--) {
        nnf_value next = one_branch(it, &main, x, false);
        sum = chance(&it->seed, 2) ? call_of(it, new_add(), sum, next)
                                   : call_of(it, new_add(), next, sum);
    }
    it->n_between--; /* the last is the result */
    it->x = sum;
}

/* ---- Layers in a row ---- */

static void two_convs(instance *it) {
    bool point_first = it->miss ? !breaks(it, "two kernels") : chance(&it->seed, 2);
    bool cheap = breaks(it, "more multiplications"),
         biased = breaks(it, "a bias in front of zeros");
    int spatial = (int)pick(&it->seed, 1, 3);
    int64_t g1 = it->miss ? 1 : pick(&it->seed, 1, 2), g2 = it->miss ? 1 : pick(&it->seed, 1, 3);
    int64_t in = cheap ? 2 : g1 * pick(&it->seed, 1, 2), middle = cheap ? 1 : g1 * g2 * 12,
            out = g2 * 2;
    nnf_conv_options first = nnf_conv_options_default(spatial, false, in, middle, 1);
    nnf_conv_options second = nnf_conv_options_default(spatial, false, middle, out, 1);
    nnf_conv_options *large = point_first ? &second : &first;
    first.groups = g1;
    second.groups = g2;
    for (int i = 0; i < spatial; i++) {
        large->kernel_size[i] = 3;
        large->dilation[i] = pick(&it->seed, 1, 2);
        if (it->miss && !point_first) second.kernel_size[i] = 3;
        if (biased || !point_first)
            large->padding_begin[i] = large->padding_end[i] = pick(&it->seed, biased, 2);
        if (!it->miss) second.stride[i] = pick(&it->seed, 1, 2);
        if (!it->miss && !point_first) first.stride[i] = pick(&it->seed, 1, 2);
    }
    start(it, spatial + 2, (const int64_t[]){batch_of(it), in, 9, 9, 10}, chance(&it->seed, 3));
    then(it, module_of_conv(&first, biased || !chance(&it->seed, 3), &it->seed));
    if (!it->miss && chance(&it->seed, 2)) then(it, any_norm(it));
    then(it, conv_of(it, &second));
}

static void two_linears(instance *it) {
    int64_t least = it->miss ? 3 : 1; /* for a product to cost more */
    int64_t dims[] = {batch_of(it), pick(&it->seed, least, 4), pick(&it->seed, least, 6)};
    bool deep = chance(&it->seed, 2);
    int64_t in = dims[deep ? 2 : 1], middle = breaks(it, "more multiplications") ? 1 : 40;
    start(it, deep ? 3 : 2, dims, chance(&it->seed, 3));
    then(it, any_linear(it, in, middle));
    if (!it->miss && !deep && chance(&it->seed, 2)) then(it, any_norm(it));
    then(it, any_linear(it, middle, it->miss ? 9 : pick(&it->seed, 1, 9)));
}

/* ---- Pixels of blocks as channels ---- */

/* x cut at every `size`-th place of its spatial axes, from `offset` (row-major in a block) on. */
static nnf_value pixels(instance *it, nnf_value x, int spatial, int64_t size, int64_t offset) {
    const nnf_slice_options options = {.n = -1};
    int64_t lists[NNFI_CUT_LISTS][NNF_MAX_SPATIAL], n = spatial;
    nnf_value inputs[8] = {x};
    for (int i = spatial - 1; i >= 0; i--) {
        lists[NNFI_CUT_STARTS][i] = offset % size;
        lists[NNFI_CUT_ENDS][i] = chance(&it->seed, 2) ? INT64_MAX : INT32_MAX;
        lists[NNFI_CUT_AXES][i] = chance(&it->seed, 2) ? i + 2 : i - spatial;
        lists[NNFI_CUT_STEPS][i] = size;
        offset /= size;
    }
    for (int k = 0; k < NNFI_CUT_LISTS; k++) {
        nnf_tensor *list;
        assert_ok(nnf_tensor_from_data(&list, NNF_I64, 1, &n, lists[k]));
        inputs[1 + k] = constant_of(it, list);
        nnf_tensor_release(list);
    }
    nnf_module *module;
    assert_ok(nnf_module_new(&module, nnf_type("Slice"), &options));
    it->n_fusing++;
    return add(it, module, inputs, 1 + NNFI_CUT_LISTS);
}

/* All pixels of a block, in any order, as channels; or one of them twice. */
static void then_pixels(instance *it, int spatial, int64_t size) {
    int64_t n = spatial == 1 ? size : size * size, order[16];
    nnf_value parts[16];
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = pick(&it->seed, 0, i), swapped = order[i];
        order[i] = order[k];
        order[k] = swapped;
    }
    if (breaks(it, "a pixel twice")) order[0] = order[1];
    for (int64_t i = 0; i < n; i++)
        it->between[it->n_between++] = parts[i] = pixels(it, it->x, spatial, size, order[i]);
    nnf_module *concat;
    assert_ok(nnf_module_new(&concat, nnf_type("Concat"),
                             &(nnf_axis_options){chance(&it->seed, 2) ? 1 : -1 - spatial}));
    it->n_fusing++;
    it->x = add(it, concat, parts, (size_t)n);
}

static void blocks_before_conv(instance *it) {
    bool in_one = !it->miss && chance(&it->seed, 3);
    int spatial = in_one ? 2 : (int)pick(&it->seed, 1, 2);
    int64_t size = spatial == 1 ? pick(&it->seed, 2, 3) : 2, n = spatial == 1 ? size : size * size;
    nnf_conv_options options = random_conv(&it->seed, spatial, false);
    int64_t dims[NNF_MAX_DIMS] = {batch_of(it), pick(&it->seed, 1, 3), 6 * size, 5 * size};
    options.in_channels = n * dims[1];
    options.groups = 1;
    options.auto_pad = NNF_AUTO_PAD_NOTSET;
    for (int i = 0; i < spatial; i++)
        options.dilation[i] = 1;
    if (breaks(it, "groups")) options.groups = n, options.out_channels *= n;
    if (breaks(it, "a dilated kernel")) options.kernel_size[0] = options.dilation[0] = 2;
    start(it, spatial + 2, dims, chance(&it->seed, 3));
    if (in_one) {
        nnf_module *module;
        assert_ok(nnf_module_new(&module, nnf_type("SpaceToDepth"),
                                 &(nnf_blocks_options){size, NNF_BLOCKS_INSIDE}));
        then(it, module);
    } else {
        then_pixels(it, spatial, size);
    }
    then(it, conv_of(it, &options));
}

static const fusion_row rows[] = {
    {"parallel",
     branches,
     {"another stride", "other groups", "another centre", "another dilation", "another input",
      "more multiplications", "batch norm in training mode"},
     "parallel"},
    {"series of convolutions",
     two_convs,
     {"two kernels", "more multiplications", "a bias in front of zeros"},
     "series"},
    {"series of matrix products", two_linears, {"more multiplications"}, "series"},
    {"series behind blocks of pixels",
     blocks_before_conv,
     {"a pixel twice", "groups", "a dilated kernel"},
     "series"},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
