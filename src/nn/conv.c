/* Conv1d/2d/3d and ConvTranspose1d/2d/3d: PyTorch's layers and ONNX's Conv and ConvTranspose. */
#include <string.h>

#include "nn/window.h"

enum { WEIGHT, BIAS };
static const nnf_slot slots[] = {{"weight", NNF_SLOT_PARAMETER}, {"bias", NNF_SLOT_PARAMETER}};

/* ---- Options ---- */

nnf_conv_options nnf_conv_options_default(int spatial, bool transposed, int64_t in_channels,
                                          int64_t out_channels, int64_t kernel_size) {
    nnf_conv_options options = {.spatial = spatial,
                                .transposed = transposed,
                                .in_channels = in_channels,
                                .out_channels = out_channels,
                                .groups = 1};
    for (int i = 0; i < NNF_MAX_SPATIAL; i++) {
        options.kernel_size[i] = kernel_size;
        options.stride[i] = options.dilation[i] = 1;
    }
    return options;
}

static bool any(const int64_t *values, int n) {
    for (int i = 0; i < n; i++)
        if (values[i]) return true;
    return false;
}

static nnf_status check_transposed(const char *type, const nnf_conv_options *options) {
    int n = options->spatial;
    NNFI_TRY(nnfi_check_each(type, "output_padding", options->output_padding, n, 0));
    NNFI_TRY(nnfi_check_each(type, "output_shape", options->output_shape, n, 0));
    if (options->transposed) {
        for (int i = 0; i < n; i++) {
            int64_t padding = options->output_padding[i];
            if (padding && padding >= options->stride[i] && padding >= options->dilation[i])
                return nnf_error(
                    NNF_ERROR_INVALID,
                    "%s has output_padding[%d] = %lld; it must be smaller than the stride %lld or "
                    "the dilation %lld",
                    type, i, (long long)padding, (long long)options->stride[i],
                    (long long)options->dilation[i]);
        }
        if (options->padding_mode == NNF_PADDING_ZEROS) return NNF_OK;
        return nnf_error(NNF_ERROR_INVALID, "%s has padding_mode %d; it can only pad with zeros",
                         type, (int)options->padding_mode);
    }
    if (any(options->output_padding, n) || any(options->output_shape, n))
        return nnf_error(NNF_ERROR_INVALID,
                         "%s has output_padding or output_shape, which only ConvTranspose has",
                         type);
    return NNF_OK;
}

static nnf_status check_spatial(const char *type, const nnf_conv_options *options) {
    if (options->spatial >= 1 && options->spatial <= NNF_MAX_SPATIAL) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "%s has spatial = %d; it must be 1, 2 or 3", type,
                     options->spatial);
}

/* Channels and kernel sizes of 0 (`least` 0) are still to be taken from the weight. */
static nnf_status check_options(const char *type, const nnf_conv_options *options, int64_t least) {
    int n = options->spatial;
    NNFI_TRY(nnfi_check_each(type, "kernel_size", options->kernel_size, n, least));
    NNFI_TRY(nnfi_check_each(type, "stride", options->stride, n, 1));
    NNFI_TRY(nnfi_check_each(type, "dilation", options->dilation, n, 1));
    const struct {
        const char *name;
        int64_t value, least;
    } numbers[] = {{"in_channels", options->in_channels, least},
                   {"out_channels", options->out_channels, least},
                   {"groups", options->groups, 1}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value < numbers[i].least)
            return nnf_error(NNF_ERROR_INVALID, "%s has %s = %lld; it must be at least %lld", type,
                             numbers[i].name, (long long)numbers[i].value,
                             (long long)numbers[i].least);
    for (int i = 0; i < 2; i++)
        if (numbers[i].value % options->groups)
            return nnf_error(
                NNF_ERROR_INVALID, "%s has %s = %lld, which its %lld groups do not divide", type,
                numbers[i].name, (long long)numbers[i].value, (long long)options->groups);
    if ((unsigned)options->padding_mode > NNF_PADDING_CIRCULAR)
        return nnf_error(NNF_ERROR_INVALID, "%s has padding_mode %d, which there is not", type,
                         (int)options->padding_mode);
    if ((unsigned)options->auto_pad > NNF_AUTO_PAD_VALID)
        return nnf_error(NNF_ERROR_INVALID, "%s has auto_pad %d, which there is not", type,
                         (int)options->auto_pad);
    return check_transposed(type, options);
}

/* ---- What a call comes to: infer tells it, forward computes it ---- */

typedef struct conv_plan {
    nnf_conv_options options; /* channels and kernel sizes completed from the weight */
    int64_t begin[NNF_MAX_SPATIAL], end[NNF_MAX_SPATIAL];
    nnf_dtype dtype;
    int ndim; /* of the output; -1 where it is not known */
    nnf_dim shape[NNF_MAX_DIMS];
} conv_plan;

/* An option that the weight tells too: takes it, or checks that they agree. */
static nnf_status fit(const nnf_module *module, int64_t *option, const char *what,
                      const nnf_type_info *weight, int axis, int64_t factor) {
    int64_t value;
    char text[NNFI_INFO_TEXT];
    if (!nnfi_dim_known(weight->shape[axis])) return NNF_OK;
    if (weight->shape[axis].value == 0) /* as an option, 0 says that nothing is known */
        return nnf_error(NNF_ERROR_SHAPE, "%s cannot have the empty weight %s",
                         nnf_module_type_name(module), nnfi_info_text(text, sizeof text, weight));
    bool fits = nnfi_mul(weight->shape[axis].value, factor, &value);
    if (fits && *option == 0) *option = value;
    if (fits && *option == value) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "%s with %s %lld and %lld groups cannot have the weight %s",
                     nnf_module_type_name(module), what, (long long)*option, (long long)factor,
                     nnfi_info_text(text, sizeof text, weight));
}

static nnf_status fit_weight(const nnf_module *module, nnf_conv_options *options,
                             const nnf_type_info *weight) {
    if (weight->ndim < 0) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    if (weight->ndim != options->spatial + 2)
        return nnf_error(NNF_ERROR_SHAPE, "%s takes a weight of rank %d, not %s",
                         nnf_module_type_name(module), options->spatial + 2,
                         nnfi_info_text(text, sizeof text, weight));
    bool transposed = options->transposed;
    NNFI_TRY(fit(module, &options->out_channels, "out_channels", weight, transposed ? 1 : 0,
                 transposed ? options->groups : 1));
    NNFI_TRY(fit(module, &options->in_channels, "in_channels", weight, transposed ? 0 : 1,
                 transposed ? 1 : options->groups));
    for (int i = 0; i < options->spatial; i++)
        NNFI_TRY(fit(module, &options->kernel_size[i], "kernel_size", weight, 2 + i, 1));
    return check_options(nnf_module_type_name(module), options, 0);
}

static nnf_status fit_bias(const nnf_module *module, const nnf_conv_options *options,
                           const nnf_type_info *bias) {
    if (bias->ndim < 0) return NNF_OK;
    nnf_dim channels = options->out_channels ? nnfi_dim(options->out_channels) : nnfi_unknown_dim();
    if (bias->ndim == 1 && !nnfi_dim_differ(bias->shape[0], channels)) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s with out_channels %lld cannot have the bias %s",
                     nnf_module_type_name(module), (long long)options->out_channels,
                     nnfi_info_text(text, sizeof text, bias));
}

/* The padding of a transposed convolution crops its output; ONNX's output_shape and auto_pad say
 * how large that is to be and leave the padding to be found. */
static nnf_status slide_transposed(const nnf_module *module, conv_plan *plan, int i, nnf_dim in,
                                   nnf_dim *out) {
    const nnf_conv_options *o = &plan->options;
    bool given = any(o->output_shape, o->spatial), same = nnfi_auto_pad_is_same(o->auto_pad);
    nnfi_window window = {
        .kernel = o->kernel_size[i], .stride = o->stride[i], .dilation = o->dilation[i]};
    int64_t extent, full;
    if (!nnfi_window_extent(&window, &extent) || !nnfi_add(extent, o->output_padding[i], &extent) ||
        !nnfi_is_small(extent) || !nnfi_is_small(window.stride) || !nnfi_is_small(plan->begin[i]) ||
        !nnfi_is_small(plan->end[i]))
        return nnf_error(NNF_ERROR_SHAPE,
                         "%s has a kernel, dilation, stride or padding that is too large",
                         nnf_module_type_name(module));
    if (o->auto_pad != NNF_AUTO_PAD_NOTSET) plan->begin[i] = plan->end[i] = 0;
    if (!nnfi_dim_known(in)) {
        bool keeps = window.stride == 1 && extent - 1 == plan->begin[i] + plan->end[i];
        *out = given                                   ? nnfi_dim(o->output_shape[i])
               : keeps || (same && window.stride == 1) ? in
                                                       : nnfi_unknown_dim();
        return NNF_OK;
    }
    if (in.value < 1 || !nnfi_mul(in.value - 1, window.stride, &full) ||
        !nnfi_add(full, extent, &full) || full > INT64_MAX / 4)
        return nnf_error(NNF_ERROR_SHAPE, "%s cannot take an input of %lld on axis %d",
                         nnf_module_type_name(module), (long long)in.value, i + 2);
    if (given || same) {
        *out = nnfi_dim(given ? o->output_shape[i] : in.value * window.stride);
        int64_t total = full - out->value;
        if (given && -total >= window.stride)
            return nnf_error(
                NNF_ERROR_SHAPE,
                "%s has output_shape[%d] = %lld, but its input of %lld reaches only %lld",
                nnf_module_type_name(module), i, (long long)out->value, (long long)in.value,
                (long long)full);
        nnfi_split_padding(o->auto_pad, total > 0 ? total : 0, &plan->begin[i], &plan->end[i]);
    } else {
        *out = nnfi_dim(full - plan->begin[i] - plan->end[i]);
    }
    if (out->value >= 1) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE,
                     "%s makes %lld of an input of %lld on axis %d, and its padding %lld and %lld "
                     "leaves nothing of it",
                     nnf_module_type_name(module), (long long)full, (long long)in.value, i + 2,
                     (long long)plan->begin[i], (long long)plan->end[i]);
}

/* What padding by the input's own values asks of the input. */
static nnf_status check_padding_mode(const nnf_module *module, const conv_plan *plan, int i,
                                     nnf_dim in) {
    nnf_padding_mode mode = plan->options.padding_mode;
    int64_t most = plan->begin[i] > plan->end[i] ? plan->begin[i] : plan->end[i];
    if (mode == NNF_PADDING_ZEROS || most <= 0 || !nnfi_dim_known(in)) return NNF_OK;
    if (mode == NNF_PADDING_REFLECT
            ? most < in.value
            : in.value > 0 && (mode == NNF_PADDING_REPLICATE || most <= in.value))
        return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE,
                     "%s pads by %lld with %s, which an input of %lld is too small for",
                     nnf_module_type_name(module), (long long)most,
                     mode == NNF_PADDING_REFLECT    ? "its reflection"
                     : mode == NNF_PADDING_CIRCULAR ? "its other end"
                                                    : "its edge",
                     (long long)in.value);
}

static nnf_status slide(const nnf_module *module, conv_plan *plan, int i, nnf_dim in,
                        nnf_dim *out) {
    const nnf_conv_options *o = &plan->options;
    if (o->kernel_size[i] == 0 && !(o->transposed && any(o->output_shape, o->spatial))) {
        *out = nnfi_unknown_dim(); /* a weight whose shape nobody knows yet */
        return NNF_OK;
    }
    if (o->transposed) return slide_transposed(module, plan, i, in, out);
    nnfi_window window = {.kernel = o->kernel_size[i],
                          .stride = o->stride[i],
                          .dilation = o->dilation[i],
                          .begin = plan->begin[i],
                          .end = plan->end[i],
                          .auto_pad = o->auto_pad};
    NNFI_TRY(nnfi_window_slide(module, &window, in, out));
    plan->begin[i] = window.begin;
    plan->end[i] = window.end;
    return check_padding_mode(module, plan, i, in);
}

static nnf_status plan_shape(const nnf_module *module, conv_plan *plan, const nnf_type_info *x) {
    const nnf_conv_options *o = &plan->options;
    char text[NNFI_INFO_TEXT];
    bool batched = x->ndim == o->spatial + 2;
    if (!batched && x->ndim != o->spatial + 1)
        return nnf_error(NNF_ERROR_SHAPE,
                         "%s takes an input of rank %d, or %d without a batch, not %s",
                         nnf_module_type_name(module), o->spatial + 2, o->spatial + 1,
                         nnfi_info_text(text, sizeof text, x));
    int channel = batched ? 1 : 0;
    if (o->in_channels && nnfi_dim_differ(x->shape[channel], nnfi_dim(o->in_channels)))
        return nnf_error(NNF_ERROR_SHAPE, "%s takes %lld channels, not %s",
                         nnf_module_type_name(module), (long long)o->in_channels,
                         nnfi_info_text(text, sizeof text, x));
    plan->ndim = x->ndim;
    plan->shape[0] = x->shape[0];
    plan->shape[channel] = o->out_channels ? nnfi_dim(o->out_channels) : nnfi_unknown_dim();
    for (int i = 0; i < o->spatial; i++)
        NNFI_TRY(slide(module, plan, i, x->shape[channel + 1 + i], &plan->shape[channel + 1 + i]));
    return NNF_OK;
}

/* weight and bias: NULL where there is none. */
static nnf_status plan_call(conv_plan *plan, const nnf_module *module, const nnf_type_info *x,
                            const nnf_type_info *weight, const nnf_type_info *bias) {
    const char *type = nnf_module_type_name(module);
    const nnf_conv_options *options = nnf_module_options(module);
    *plan = (conv_plan){.options = *options, .ndim = -1};
    NNFI_TRY(check_spatial(type, options));
    memcpy(plan->begin, options->padding_begin, sizeof plan->begin);
    memcpy(plan->end, options->padding_end, sizeof plan->end);
    NNFI_TRY(check_options(type, options, 0));
    if (!weight) return nnf_error(NNF_ERROR_INVALID, "%s has no weight", type);
    NNFI_TRY(nnfi_check_float(module, x));
    NNFI_TRY(nnfi_merge_dtype(module, &plan->dtype, x->dtype, weight->dtype));
    NNFI_TRY(fit_weight(module, &plan->options, weight));
    if (bias) {
        NNFI_TRY(nnfi_merge_dtype(module, &plan->dtype, plan->dtype, bias->dtype));
        NNFI_TRY(fit_bias(module, &plan->options, bias));
    }
    return x->ndim < 0 ? NNF_OK : plan_shape(module, plan, x);
}

static nnf_status conv_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    conv_plan plan;
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 3, n_outputs, 1));
    nnfi_slot_info weight = nnfi_slot_info_of(module, WEIGHT, inputs, n_inputs);
    nnfi_slot_info bias = nnfi_slot_info_of(module, BIAS, inputs, n_inputs);
    NNFI_TRY(plan_call(&plan, module, inputs[0], weight.given ? &weight.info : NULL,
                       bias.given ? &bias.info : NULL));
    outputs[0].dtype = plan.dtype;
    nnfi_info_set_shape(&outputs[0], plan.ndim, plan.shape);
    return NNF_OK;
}

/* ---- Running ---- */

/* The input with its own values around it: what the kernels, which pad with zeros, then get. */
static nnf_status pad_input(nnf_session *session, conv_plan *plan, const nnf_tensor *x,
                            nnf_tensor **padded) {
    static const nnf_pad_kind kinds[] = {[NNF_PADDING_ZEROS] = NNF_PAD_CONSTANT,
                                         [NNF_PADDING_REFLECT] = NNF_PAD_REFLECT,
                                         [NNF_PADDING_REPLICATE] = NNF_PAD_EDGE,
                                         [NNF_PADDING_CIRCULAR] = NNF_PAD_WRAP};
    int ndim = nnf_tensor_ndim(x), first = ndim - plan->options.spatial;
    nnfi_padding padding = {.kind = kinds[plan->options.padding_mode],
                            .size = nnf_dtype_size(nnf_tensor_dtype(x)),
                            .ndim = ndim,
                            .threads = nnf_session_threads(session)};
    int64_t shape[NNF_MAX_DIMS];
    for (int i = 0; i < ndim; i++) {
        padding.shape[i] = nnf_tensor_shape(x)[i];
        padding.begin[i] = i < first ? 0 : plan->begin[i - first];
        padding.end[i] = i < first ? 0 : plan->end[i - first];
        shape[i] = padding.shape[i] + padding.begin[i] + padding.end[i];
    }
    NNFI_TRY(nnf_session_new_tensor(session, padded, nnf_tensor_dtype(x), ndim, shape));
    nnf_status status = nnf_tensor_data(x, &padding.x);
    if (status == NNF_OK) status = nnf_tensor_mut_data(*padded, &padding.y);
    if (status == NNF_OK) status = nnfi_pad(&padding);
    if (status != NNF_OK) nnf_tensor_release(*padded);
    memset(plan->begin, 0, sizeof plan->begin);
    return status;
}

static nnf_status run(nnf_session *session, conv_plan *plan, nnf_tensor *const *tensors,
                      nnf_tensor *y) {
    nnf_tensor *padded = NULL;
    if (plan->options.padding_mode != NNF_PADDING_ZEROS)
        NNFI_TRY(pad_input(session, plan, tensors[0], &padded));
    nnfi_conv call = {.options = &plan->options,
                      .x = padded ? padded : tensors[0],
                      .w = tensors[1],
                      .b = tensors[2],
                      .y = y};
    memcpy(call.padding_begin, plan->begin, sizeof call.padding_begin);
    nnf_status status = nnfi_session_kernels(session)->conv(session, &call);
    if (padded) nnf_tensor_release(padded);
    return status;
}

static nnf_status conv_forward(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    nnf_tensor *tensors[3] = {inputs[0]};
    nnfi_infos infos;
    conv_plan plan;
    NNFI_TRY(nnf_session_slot(session, &tensors[1], module, WEIGHT, inputs, n_inputs));
    NNFI_TRY(nnf_session_slot(session, &tensors[2], module, BIAS, inputs, n_inputs));
    NNFI_TRY(nnfi_infos_of_tensors(&infos, tensors, 3));
    nnf_status status =
        plan_call(&plan, module, infos.pointers[0], infos.pointers[1], infos.pointers[2]);
    nnfi_infos_clear(&infos);
    return status == NNF_OK ? run(session, &plan, tensors, outputs[0]) : status;
}

/* ---- Folding, making ---- */

static bool mixes_zeros(const nnf_conv_options *options) {
    bool same = options->auto_pad == NNF_AUTO_PAD_SAME_UPPER ||
                options->auto_pad == NNF_AUTO_PAD_SAME_LOWER;
    bool pads = same || options->transposed;
    for (int i = 0; i < options->spatial; i++)
        pads = pads || options->padding_begin[i] != 0 || options->padding_end[i] != 0;
    return pads && (options->transposed || same || options->padding_mode == NNF_PADDING_ZEROS);
}

static nnf_status conv_linear_map(const nnf_module *module, nnf_linear_map *out) {
    nnf_conv_options options = *(const nnf_conv_options *)nnf_module_options(module);
    nnfi_slot_info weight = nnfi_slot_info_of(module, WEIGHT, NULL, 0);
    NNFI_TRY(check_spatial(nnf_module_type_name(module), &options));
    if (!weight.given)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of %s is not a constant",
                         nnf_module_type_name(module));
    NNFI_TRY(fit_weight(module, &options, &weight.info));
    *out = (nnf_linear_map){.out_channels = options.out_channels,
                            .in_channels = options.in_channels,
                            .groups = options.groups,
                            .transposed = options.transposed,
                            .weight = slots[WEIGHT].name,
                            .bias = slots[BIAS].name,
                            .channel_axis = 1,
                            .mixes_zeros = mixes_zeros(&options)};
    return NNF_OK;
}

#define ROW(type)                                                                             \
    {                                                                                         \
        .name = type, .options_size = sizeof(nnf_conv_options), .slots = slots, .n_slots = 2, \
        .infer = conv_infer, .forward = conv_forward, .linear_map = conv_linear_map,          \
        .flags = NNF_TYPE_WIDENS_16_BIT                                                       \
    }
static const nnf_module_type types[] = {
    ROW("Conv1d"),          ROW("Conv2d"),          ROW("Conv3d"),
    ROW("ConvTranspose1d"), ROW("ConvTranspose2d"), ROW("ConvTranspose3d"),
};
const nnfi_type_family nnfi_conv_family = NNFI_TYPE_FAMILY(types);

static nnf_status set_weights(nnf_module *module, bool bias, nnf_dtype dtype) {
    const nnf_conv_options *o = nnf_module_options(module);
    int64_t in = o->in_channels, out = o->out_channels;
    int64_t shape[NNF_MAX_SPATIAL + 2] = {o->transposed ? in : out,
                                          (o->transposed ? out : in) / o->groups};
    memcpy(shape + 2, o->kernel_size, (size_t)o->spatial * sizeof *shape);
    NNFI_TRY(nnfi_set_zeros(module, WEIGHT, dtype, o->spatial + 2, shape));
    return bias ? nnfi_set_zeros(module, BIAS, dtype, 1, &out) : NNF_OK;
}

nnf_status nnf_conv_new(nnf_module **out, const nnf_conv_options *options, bool bias,
                        nnf_dtype dtype) {
    if (!options) return nnf_error(NNF_ERROR_INVALID, "a convolution needs its options");
    NNFI_TRY(check_spatial("a convolution", options));
    const nnf_module_type *type =
        &types[(options->transposed ? NNF_MAX_SPATIAL : 0) + options->spatial - 1];
    NNFI_TRY(check_options(type->name, options, 1));
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, type, options));
    nnf_status status = set_weights(module, bias, dtype);
    if (status == NNF_OK) {
        *out = module;
    } else {
        nnf_module_release(module);
    }
    return status;
}
