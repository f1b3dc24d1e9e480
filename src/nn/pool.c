/* MaxPool, AvgPool, AdaptiveAvgPool (PyTorch and ONNX), GlobalAveragePool and GlobalMaxPool. */
#include <string.h>

#include "nn/window.h"

/* ---- Options ---- */

nnf_pool_options nnf_pool_options_default(int spatial, bool average, int64_t kernel_size) {
    nnf_pool_options options;
    memset(&options, 0, sizeof options); /* cleaning compares options whole */
    options.spatial = spatial;
    options.average = options.count_include_pad = average;
    options.drop_last_outside = true;
    for (int i = 0; i < NNF_MAX_SPATIAL; i++) {
        options.kernel_size[i] = options.stride[i] = kernel_size;
        options.dilation[i] = 1;
    }
    return options;
}

static nnf_status check_spatial(const char *type, int spatial) {
    if (spatial >= 1 && spatial <= NNF_MAX_SPATIAL) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "%s has spatial = %d; it must be 1, 2 or 3", type, spatial);
}

static nnf_status check_options(const char *type, const nnf_pool_options *options) {
    int n = options->spatial;
    NNFI_TRY(check_spatial(type, n));
    NNFI_TRY(nnfi_check_each(type, "kernel_size", options->kernel_size, n, 1));
    NNFI_TRY(nnfi_check_each(type, "stride", options->stride, n, 1));
    NNFI_TRY(nnfi_check_each(type, "dilation", options->dilation, n, 1));
    NNFI_TRY(nnfi_check_each(type, "padding_begin", options->padding_begin, n, 0));
    NNFI_TRY(nnfi_check_each(type, "padding_end", options->padding_end, n, 0));
    if ((unsigned)options->auto_pad > NNF_AUTO_PAD_VALID)
        return nnf_error(NNF_ERROR_INVALID, "%s has auto_pad %d, which there is not", type,
                         (int)options->auto_pad);
    for (int i = 0; i < n; i++) {
        int64_t begin = options->padding_begin[i], end = options->padding_end[i];
        nnfi_window window = {.kernel = options->kernel_size[i], .dilation = options->dilation[i]};
        int64_t extent;
        if (options->auto_pad == NNF_AUTO_PAD_NOTSET &&
            (!nnfi_window_extent(&window, &extent) || begin >= extent || end >= extent))
            return nnf_error(NNF_ERROR_INVALID,
                             "%s has padding %lld and %lld on spatial axis %d; it must be smaller "
                             "than the window, whose kernel_size is %lld",
                             type, (long long)begin, (long long)end, i,
                             (long long)options->kernel_size[i]);
    }
    return NNF_OK;
}

/* ---- Shapes ---- */

/* Rank spatial + 2, or + 1 without a batch. */
static nnf_status check_rank(const nnf_module *module, int spatial, const nnf_type_info *x) {
    if (x->ndim < 0 || x->ndim == spatial + 2 || x->ndim == spatial + 1) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s takes an input of rank %d, or %d without a batch, not %s",
                     nnf_module_type_name(module), spatial + 2, spatial + 1,
                     nnfi_info_text(text, sizeof text, x));
}

/* Slides the window along each spatial axis of `in` (the last ones of `ndim`); padding as resolved
 * goes to begin and end. */
static nnf_status slide(const nnf_module *module, int ndim, const nnf_dim *in, nnf_dim *out,
                        int64_t *begin, int64_t *end) {
    const nnf_pool_options *o = nnf_module_options(module);
    for (int i = 0; i < o->spatial; i++) {
        int axis = ndim - o->spatial + i;
        nnfi_window window = {.kernel = o->kernel_size[i],
                              .stride = o->stride[i],
                              .dilation = o->dilation[i],
                              .begin = o->padding_begin[i],
                              .end = o->padding_end[i],
                              .auto_pad = o->auto_pad,
                              .ceil_mode = o->ceil_mode,
                              .drop_last_outside = o->drop_last_outside};
        NNFI_TRY(nnfi_window_slide(module, &window, in[axis], &out[axis]));
        begin[i] = window.begin;
        end[i] = window.end;
    }
    return NNF_OK;
}

static nnf_status pool_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_pool_options *options = nnf_module_options(module);
    const nnf_type_info *x = nnfi_input(inputs, n_inputs, 0);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, options->average ? 1 : 2));
    NNFI_TRY(check_options(nnf_module_type_name(module), options));
    if (options->average) NNFI_TRY(nnfi_check_float(module, x));
    NNFI_TRY(check_rank(module, options->spatial, x));
    int64_t begin[NNF_MAX_SPATIAL], end[NNF_MAX_SPATIAL];
    nnf_dim shape[NNF_MAX_DIMS];
    if (x->ndim >= 0) {
        memcpy(shape, x->shape, sizeof shape);
        NNFI_TRY(slide(module, x->ndim, x->shape, shape, begin, end));
    }
    for (size_t i = 0; i < n_outputs; i++) {
        outputs[i].dtype = i == 0 ? x->dtype : NNF_I64;
        nnfi_info_set_shape(&outputs[i], x->ndim, shape);
    }
    return NNF_OK;
}

static nnf_status adaptive_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_adaptive_pool_options *options = nnf_module_options(module);
    const nnf_type_info *x = nnfi_input(inputs, n_inputs, 0);
    const char *type = nnf_module_type_name(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    NNFI_TRY(check_spatial(type, options->spatial));
    NNFI_TRY(nnfi_check_each(type, "output_size", options->output_size, options->spatial, -1));
    NNFI_TRY(nnfi_check_float(module, x));
    NNFI_TRY(check_rank(module, options->spatial, x));
    nnfi_info_set_like(&outputs[0], x);
    for (int i = 0; i < options->spatial && x->ndim >= 0; i++) {
        int axis = x->ndim - options->spatial + i;
        char text[NNFI_INFO_TEXT];
        if (nnfi_dim_is(x->shape[axis], 0))
            return nnf_error(NNF_ERROR_SHAPE, "%s cannot pool the empty axis %d of %s", type, axis,
                             nnfi_info_text(text, sizeof text, x));
        if (options->output_size[i] >= 0)
            outputs[0].shape[axis] = nnfi_dim(options->output_size[i]);
    }
    return NNF_OK;
}

static nnf_status global_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_type_info *x = nnfi_input(inputs, n_inputs, 0);
    char text[NNFI_INFO_TEXT];
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    NNFI_TRY(nnfi_check_float(module, x));
    if (x->ndim >= 0 && (x->ndim < 3 || x->ndim > 2 + NNF_MAX_SPATIAL))
        return nnf_error(NNF_ERROR_SHAPE, "%s takes an input of rank 3, 4 or 5, not %s",
                         nnf_module_type_name(module), nnfi_info_text(text, sizeof text, x));
    nnfi_info_set_like(&outputs[0], x);
    for (int i = 2; i < x->ndim; i++) {
        if (nnfi_dim_is(x->shape[i], 0))
            return nnf_error(NNF_ERROR_SHAPE, "%s cannot pool the empty axis %d of %s",
                             nnf_module_type_name(module), i, nnfi_info_text(text, sizeof text, x));
        outputs[0].shape[i] = nnfi_dim(1);
    }
    return NNF_OK;
}

/* ---- Running ---- */

static nnf_status check_runs(const nnf_module *module, const nnf_tensor *x) {
    if (nnf_dtype_is_float(nnf_tensor_dtype(x))) return NNF_OK;
    return nnf_error(NNF_ERROR_UNSUPPORTED, "%s runs on floating-point tensors, not on %s",
                     nnf_module_type_name(module), nnf_dtype_name(nnf_tensor_dtype(x)));
}

static nnf_status pool_forward(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)n_inputs;
    NNFI_TRY(check_runs(module, inputs[0]));
    nnfi_pool call = {.options = nnf_module_options(module),
                      .x = inputs[0],
                      .y = outputs[0],
                      .indices = n_outputs > 1 ? outputs[1] : NULL};
    int ndim = nnf_tensor_ndim(inputs[0]);
    nnf_dim in[NNF_MAX_DIMS], out[NNF_MAX_DIMS];
    for (int i = 0; i < ndim; i++)
        in[i] = nnfi_dim(nnf_tensor_shape(inputs[0])[i]);
    NNFI_TRY(slide(module, ndim, in, out, call.padding_begin, call.padding_end));
    return nnfi_session_kernels(session)->pool(session, &call);
}

/* Pools of windows that tile the input: x's spatial sizes are multiples of y's. */
static nnf_status tile_pool(nnf_session *session, int spatial, bool average, nnf_tensor *x,
                            nnf_tensor *y) {
    nnf_pool_options options = nnf_pool_options_default(spatial, average, 1);
    for (int i = 0; i < spatial; i++) {
        int axis = nnf_tensor_ndim(x) - spatial + i;
        options.kernel_size[i] = options.stride[i] =
            nnf_tensor_shape(x)[axis] / nnf_tensor_shape(y)[axis];
    }
    nnfi_pool call = {.options = &options, .x = x, .y = y};
    return nnfi_session_kernels(session)->pool(session, &call);
}

static nnf_status global_forward(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_global_pool_options *options = nnf_module_options(module);
    NNFI_TRY(check_runs(module, inputs[0]));
    return tile_pool(session, nnf_tensor_ndim(inputs[0]) - 2, options->average, inputs[0],
                     outputs[0]);
}

/* An adaptive pool over [planes, in[0], in[1], in[2]]; axes that it has not are of size 1. */
typedef struct adaptive {
    nnf_dtype dtype;
    int64_t planes, in[NNF_MAX_SPATIAL], out[NNF_MAX_SPATIAL];
    const void *x;
    void *y;
} adaptive;

/* PyTorch: output o stands for the elements [floor(o in / out), ceil((o + 1) in / out)). */
static void adaptive_range(const adaptive *a, int axis, int64_t o, int64_t *first, int64_t *last) {
    *first = o * a->in[axis] / a->out[axis];
    *last = ((o + 1) * a->in[axis] + a->out[axis] - 1) / a->out[axis];
}

static double adaptive_mean(const adaptive *a, int64_t plane, const int64_t *o) {
    int64_t first[NNF_MAX_SPATIAL], last[NNF_MAX_SPATIAL], count = 1;
    for (int i = 0; i < NNF_MAX_SPATIAL; i++) {
        adaptive_range(a, i, o[i], &first[i], &last[i]);
        count *= last[i] - first[i];
    }
    double sum = 0.0;
    for (int64_t d = first[0]; d < last[0]; d++)
        for (int64_t h = first[1]; h < last[1]; h++)
            for (int64_t w = first[2]; w < last[2]; w++)
                sum += nnfi_load_f64(a->dtype, a->x,
                                     ((plane * a->in[0] + d) * a->in[1] + h) * a->in[2] + w);
    return sum / (double)count;
}

static void run_adaptive(const adaptive *a, int threads) {
    int64_t per_plane = a->out[0] * a->out[1] * a->out[2];
#pragma omp parallel for num_threads(threads)
    for (int64_t plane = 0; plane < a->planes; plane++)
        for (int64_t i = 0; i < per_plane; i++) {
            int64_t o[NNF_MAX_SPATIAL] = {i / (a->out[2] * a->out[1]), i / a->out[2] % a->out[1],
                                          i % a->out[2]};
            nnfi_store_f64(a->dtype, a->y, plane * per_plane + i, adaptive_mean(a, plane, o));
        }
    (void)threads;
}

static nnf_status adaptive_forward(nnf_session *session, nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                   size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_adaptive_pool_options *options = nnf_module_options(module);
    int spatial = options->spatial, lead = nnf_tensor_ndim(inputs[0]) - spatial;
    const int64_t *in = nnf_tensor_shape(inputs[0]), *out = nnf_tensor_shape(outputs[0]);
    if (nnf_tensor_numel(outputs[0]) == 0) return NNF_OK;
    adaptive call = {
        .dtype = nnf_tensor_dtype(inputs[0]), .planes = 1, .in = {1, 1, 1}, .out = {1, 1, 1}};
    bool tiles = true;
    for (int i = 0; i < lead; i++)
        call.planes *= in[i];
    for (int i = 0; i < spatial; i++) {
        call.in[NNF_MAX_SPATIAL - spatial + i] = in[lead + i];
        call.out[NNF_MAX_SPATIAL - spatial + i] = out[lead + i];
        tiles = tiles && in[lead + i] % out[lead + i] == 0;
    }
    if (tiles) return tile_pool(session, spatial, true, inputs[0], outputs[0]);
    NNFI_TRY(nnf_tensor_data(inputs[0], &call.x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &call.y));
    run_adaptive(&call, nnf_session_threads(session));
    return NNF_OK;
}

/* ---- Rows, constructors ---- */

#define ROW(type, options, family)                                              \
    {                                                                           \
        .name = type, .options_size = sizeof(options), .infer = family##_infer, \
        .forward = family##_forward, .flags = NNF_TYPE_WIDENS_16_BIT            \
    }
static const nnf_module_type types[] = {
    ROW("MaxPool1d", nnf_pool_options, pool),
    ROW("MaxPool2d", nnf_pool_options, pool),
    ROW("MaxPool3d", nnf_pool_options, pool),
    ROW("AvgPool1d", nnf_pool_options, pool),
    ROW("AvgPool2d", nnf_pool_options, pool),
    ROW("AvgPool3d", nnf_pool_options, pool),
    ROW("AdaptiveAvgPool1d", nnf_adaptive_pool_options, adaptive),
    ROW("AdaptiveAvgPool2d", nnf_adaptive_pool_options, adaptive),
    ROW("AdaptiveAvgPool3d", nnf_adaptive_pool_options, adaptive),
    ROW("GlobalAveragePool", nnf_global_pool_options, global),
    ROW("GlobalMaxPool", nnf_global_pool_options, global),
};
enum { MAX = 0, AVERAGE = 3, ADAPTIVE = 6, GLOBAL_AVERAGE = 9, GLOBAL_MAX = 10 };
const nnfi_type_family nnfi_pool_family = NNFI_TYPE_FAMILY(types);

nnf_status nnf_pool_new(nnf_module **out, const nnf_pool_options *options) {
    if (!options) return nnf_error(NNF_ERROR_INVALID, "a pool has no options");
    NNFI_TRY(check_spatial(options->average ? "AvgPool" : "MaxPool", options->spatial));
    const nnf_module_type *type = &types[(options->average ? AVERAGE : MAX) + options->spatial - 1];
    NNFI_TRY(check_options(type->name, options));
    return nnf_module_new(out, type, options);
}

nnf_status nnf_adaptive_avgpool_new(nnf_module **out, int spatial, const int64_t *output_size) {
    NNFI_TRY(check_spatial("AdaptiveAvgPool", spatial));
    const nnf_module_type *type = &types[ADAPTIVE + spatial - 1];
    if (!output_size) return nnf_error(NNF_ERROR_INVALID, "%s has no output_size", type->name);
    NNFI_TRY(nnfi_check_each(type->name, "output_size", output_size, spatial, -1));
    nnf_adaptive_pool_options options = {.spatial = spatial};
    memcpy(options.output_size, output_size, (size_t)spatial * sizeof *output_size);
    return nnf_module_new(out, type, &options);
}

nnf_status nnf_global_pool_new(nnf_module **out, bool average) {
    nnf_global_pool_options options = {.average = average};
    return nnf_module_new(out, &types[average ? GLOBAL_AVERAGE : GLOBAL_MAX], &options);
}
