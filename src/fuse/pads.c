/* A Pad's zeros made a layer's own padding. */
#include <string.h>

#include "fuse/linear_map.h"
#include "fuse/mapping.h"
#include "nn/window.h"
#include "support/error.h"

static nnf_status cannot_pad(const nnf_module *window, const char *why) {
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "the Pad stays in front of the %s: %s",
                     nnf_module_type_name(window), why);
}

/* The paddings of a convolution or pooling, which have the same names in both options. */
typedef struct paddings {
    int spatial;
    int64_t *begin, *end;
    const int64_t *kernel, *dilation;
    nnf_auto_pad *auto_pad;
} paddings;
#define PADDINGS(options)                                                     \
    {                                                                         \
        (options)->spatial, (options)->padding_begin, (options)->padding_end, \
            (options)->kernel_size, (options)->dilation, &(options)->auto_pad \
    }

/* A maximum of padding alone would be that of zeros no more. Pads below the kernel's size leave an
 * element in every window, but for one whose dilation may step over all that is there. */
static nnf_status check_pool_pads(const paddings *to, int i, const nnf_module *window,
                                  bool average) {
    if (to->begin[i] >= to->kernel[i] || to->end[i] >= to->kernel[i])
        return cannot_pad(window, "a window would lie in the padding alone");
    if (average || to->dilation[i] == 1) return NNF_OK;
    return cannot_pad(window, "a dilated window may lie in the padding alone");
}

static nnf_status add_pads(const paddings *to, const nnf_module *pad, const nnf_module *window,
                           bool is_pool, bool average) {
    const nnf_pad_options *from = nnf_module_options(pad);
    int ndim = to->spatial + 2;
    if (from->kind != NNF_PAD_CONSTANT || from->value != 0.0)
        return cannot_pad(window, "it does not pad with zeros");
    if (*to->auto_pad != NNF_AUTO_PAD_NOTSET && *to->auto_pad != NNF_AUTO_PAD_VALID)
        return cannot_pad(window, "that computes its own padding (auto_pad)");
    if (from->n != 2 * ndim) return cannot_pad(window, "its pads are not known");
    for (int i = 0; i < 2 * ndim; i++)
        if (from->pads[i] < 0 || (i % ndim < 2 && from->pads[i] > 0) || from->pads[i] > INT32_MAX)
            return cannot_pad(window, "it crops, or pads other axes than the spatial ones");
    for (int i = 0; i < to->spatial; i++) {
        int64_t begin = from->pads[2 + i], end = from->pads[ndim + 2 + i];
        if (*to->auto_pad == NNF_AUTO_PAD_VALID) to->begin[i] = to->end[i] = 0;
        if (!nnfi_is_small(to->begin[i]) || !nnfi_is_small(to->end[i]))
            return cannot_pad(window, "that has too large a padding");
        to->begin[i] += begin;
        to->end[i] += end;
        if (is_pool && (begin > 0 || end > 0)) NNFI_TRY(check_pool_pads(to, i, window, average));
    }
    *to->auto_pad = NNF_AUTO_PAD_NOTSET;
    return NNF_OK;
}

static nnf_status pad_conv(nnf_conv_options *options, const nnf_module *pad,
                           const nnf_module *conv) {
    if (options->transposed || options->padding_mode != NNF_PADDING_ZEROS)
        return cannot_pad(conv, "that does not pad its input with zeros");
    const paddings to = PADDINGS(options);
    return add_pads(&to, pad, conv, false, false);
}

static nnf_status pad_pool(nnf_pool_options *options, const nnf_module *pad,
                           const nnf_module *pool) {
    const paddings to = PADDINGS(options);
    if (options->ceil_mode) return cannot_pad(pool, "that has ceil_mode");
    for (int i = 0; i < to.spatial && options->average; i++)
        if (to.begin[i] > 0 || to.end[i] > 0) return cannot_pad(pool, "that has padding already");
    options->count_include_pad = options->average;
    return add_pads(&to, pad, pool, true, options->average);
}

static nnf_status share_parameters(nnf_module *to, const nnf_module *from) {
    const nnf_module_type *type = nnf_module_get_type(from);
    for (size_t i = 0; i < type->n_slots; i++) {
        nnf_tensor *tensor = nnf_module_tensor(from, type->slots[i].name);
        if (tensor) NNFI_TRY(nnf_module_set_parameter(to, type->slots[i].name, tensor));
    }
    return NNF_OK;
}

nnf_status nnfi_pad_before(nnf_module **out, const nnf_module *pad, const nnf_module *window) {
    const nnf_module_type *type = nnf_module_get_type(window);
    union {
        nnf_conv_options conv;
        nnf_pool_options pool;
    } options;
    if (!nnfi_is_built_in(type)) return cannot_pad(window, "that is a type of a program's own");
    if (nnf_module_is_parametrized(window, NULL))
        return cannot_pad(window, "that has a parametrization");
    if (!nnfi_type_has_windows(type->name)) return cannot_pad(window, "that has no padding");
    if (!strncmp(type->name, "Conv", 4)) {
        options.conv = *(const nnf_conv_options *)nnf_module_options(window);
        NNFI_TRY(pad_conv(&options.conv, pad, window));
    } else {
        options.pool = *(const nnf_pool_options *)nnf_module_options(window);
        NNFI_TRY(pad_pool(&options.pool, pad, window));
    }
    nnf_module *made;
    NNFI_TRY(nnf_module_new(&made, type, &options));
    nnf_module_set_training(made, nnf_module_training(window));
    nnf_status status = share_parameters(made, window);
    if (status == NNF_OK)
        *out = made;
    else
        nnf_module_release(made);
    return status;
}
