/* Normalizations with the input's own statistics: over the last axes (LayerNormalization,
 * RMSNormalization), for each channel (InstanceNormalization) or group of channels
 * (GroupNormalization), along an axis (LpNormalization), over neighbouring channels (LRN). */
#include <math.h>

#include "nn/nn_internal.h"
#include "nn/walk.h"
#include "tensor/numbers.h"

/* Where a row of x begins and ends, and what is taken off it. */
typedef struct norm_call {
    nnf_dtype dtype;
    int64_t rows, n;
    bool centred; /* the mean is taken off */
    double eps;
    const void *x;
    void *y;
    void *mean, *inverse; /* of each row; NULL: nobody wants them */
} norm_call;

/* y = (x - mean) / sqrt(var + eps), row by row; the statistics in double. */
#define NORMALIZE(name, type)                                                        \
    static void name(const norm_call *call, int64_t row) {                           \
        const type *x = (const type *)call->x + row * call->n;                       \
        type *y = (type *)call->y + row * call->n;                                   \
        double mean = 0, squares = 0;                                                \
        for (int64_t i = 0; i < call->n; i++)                                        \
            mean += (double)x[i];                                                    \
        mean = call->centred ? mean / (double)call->n : 0;                           \
        for (int64_t i = 0; i < call->n; i++)                                        \
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);                \
        double inverse = 1 / sqrt(squares / (double)call->n + call->eps);            \
        for (int64_t i = 0; i < call->n; i++)                                        \
            y[i] = (type)(((double)x[i] - mean) * inverse);                          \
        if (call->mean) nnfi_store_f64(call->dtype, call->mean, row, mean);          \
        if (call->inverse) nnfi_store_f64(call->dtype, call->inverse, row, inverse); \
    }
NORMALIZE(normalize_f32, float)
NORMALIZE(normalize_f64, double)

static nnf_status normalize(nnf_session *session, norm_call *call, const nnf_tensor *x,
                            nnf_tensor *y) {
    int threads = nnf_session_threads(session);
    (void)threads;
    call->dtype = nnf_tensor_dtype(x);
    call->rows = call->n > 0 ? nnf_tensor_numel(x) / call->n : 0;
    NNFI_TRY(nnf_tensor_data(x, &call->x));
    NNFI_TRY(nnf_tensor_mut_data(y, &call->y));
#pragma omp parallel for num_threads(threads) if (threads > 1 && call->rows * call->n > 16384)
    for (int64_t row = 0; row < call->rows; row++) {
        if (call->dtype == NNF_F64)
            normalize_f64(call, row);
        else
            normalize_f32(call, row);
    }
    return NNF_OK;
}

/* ---- Over the last axes ---- */

/* scale and bias have x's dtype and are broadcast to it. */
static nnf_status check_factor(const nnf_module *module, nnf_dtype *dtype, const nnf_type_info *x,
                               const nnf_type_info *factor) {
    if (!factor) return NNF_OK;
    NNFI_TRY(nnfi_merge_dtype(module, dtype, *dtype, factor->dtype));
    if (factor->ndim < 0 || x->ndim < 0) return NNF_OK;
    nnf_type_info both;
    nnf_type_info_init(&both);
    NNFI_TRY(nnfi_broadcast(module, &both, x, factor));
    bool fits = both.ndim == x->ndim;
    for (int i = 0; fits && i < x->ndim; i++)
        fits = !nnfi_dim_differ(both.shape[i], x->shape[i]);
    if (fits) return NNF_OK;
    char text[NNFI_INFO_TEXT], own[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s has a scale or bias of %s for %s",
                     nnf_module_type_name(module), nnfi_info_text(own, sizeof own, factor),
                     nnfi_info_text(text, sizeof text, x));
}

static nnf_status infer_last_axes(const nnf_module *module, const nnf_type_info *const *inputs,
                                  size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_norm_options *options = nnf_module_options(module);
    const size_t least = nnfi_is_lifted(module) ? 1 : 2; /* the operator has a scale always */
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, least, 3, n_outputs, 3));
    const nnf_type_info *x = inputs[0];
    NNFI_TRY(nnfi_check_float(module, x));
    nnfi_info_set_like(&outputs[0], x);
    for (size_t i = 1; i < n_inputs; i++)
        NNFI_TRY(check_factor(module, &outputs[0].dtype, x, inputs[i]));
    int axis = 0;
    if (x->ndim >= 0) NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, x->ndim));
    for (size_t i = 1; i < n_outputs; i++) { /* Mean, InvStdDev */
        outputs[i].dtype = NNF_F32;
        nnfi_info_set_shape(&outputs[i], x->ndim, x->shape);
        for (int d = axis; d < x->ndim; d++)
            outputs[i].shape[d] = nnfi_dim(1);
    }
    return NNF_OK;
}

static nnf_status statistics(void **out, nnf_tensor **outputs, size_t n_outputs, size_t index) {
    *out = NULL;
    return index < n_outputs && outputs[index] ? nnf_tensor_mut_data(outputs[index], out) : NNF_OK;
}

static nnf_status forward_last_axes(nnf_session *session, nnf_module *module,
                                    nnf_tensor *const *inputs, size_t n_inputs,
                                    nnf_tensor **outputs, size_t n_outputs) {
    const nnf_norm_options *options = nnf_module_options(module);
    norm_call call = {.n = 1, .eps = options->eps, .centred = options->centred};
    int axis, ndim = nnf_tensor_ndim(inputs[0]);
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, ndim));
    for (int i = axis; i < ndim; i++)
        call.n *= nnf_tensor_shape(inputs[0])[i];
    bool wide = nnf_tensor_dtype(inputs[0]) == NNF_F64;
    if (wide && n_outputs > 1)
        return nnf_error(NNF_ERROR_UNSUPPORTED, "%s gives no statistics of float64 tensors",
                         nnf_module_type_name(module));
    NNFI_TRY(statistics(&call.mean, outputs, n_outputs, 1));
    NNFI_TRY(statistics(&call.inverse, outputs, n_outputs, 2));
    NNFI_TRY(normalize(session, &call, inputs[0], outputs[0]));
    const nnf_tensor *scale = nnfi_input_tensor(inputs, n_inputs, 1);
    const nnf_tensor *bias = nnfi_input_tensor(inputs, n_inputs, 2);
    if (scale) NNFI_TRY(nnfi_binary_run(session, NNF_MUL, outputs[0], scale, outputs[0]));
    return bias ? nnfi_binary_run(session, NNF_ADD, outputs[0], bias, outputs[0]) : NNF_OK;
}

/* ---- Channels and groups of them ---- */

/* scale and bias: one for each channel; or, in GroupNormalization before opset 21, for each group.
 */
static nnf_status infer_channels(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_norm_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 3, 3, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    NNFI_TRY(nnfi_check_float(module, x));
    nnfi_info_set_like(&outputs[0], x);
    if (x->ndim < 0) return NNF_OK;
    if (x->ndim < 2)
        return nnf_error(NNF_ERROR_SHAPE, "%s takes [N, C, ...], not a tensor of rank %d",
                         nnf_module_type_name(module), x->ndim);
    nnf_dim channels = x->shape[1];
    if (options->groups < 0 ||
        (options->groups > 0 && nnfi_dim_known(channels) && channels.value % options->groups != 0))
        return nnf_error(NNF_ERROR_SHAPE, "%s cannot split %lld channels into %lld groups",
                         nnf_module_type_name(module), (long long)channels.value,
                         (long long)options->groups);
    bool of_groups = options->scale_of_groups && options->groups > 0; /* 0: one for each channel */
    nnf_dim wanted = of_groups ? nnfi_dim(options->groups) : channels;
    for (size_t i = 1; i < 3; i++) {
        if (inputs[i]->ndim < 0) continue;
        if (inputs[i]->ndim == 1 && !nnfi_dim_differ(inputs[i]->shape[0], wanted)) continue;
        char text[NNFI_INFO_TEXT];
        return nnf_error(NNF_ERROR_SHAPE, "%s has a scale or bias of %s for %lld channels",
                         nnf_module_type_name(module), nnfi_info_text(text, sizeof text, inputs[i]),
                         (long long)wanted.value);
    }
    return NNF_OK;
}

/* y[n, c, ...] = y[n, c, ...] * scale[c] + bias[c]; a group stands for a channel where there are as
 * many scales as groups. */
static nnf_status scale_channels(nnf_session *session, int64_t n_scales, const nnf_tensor *scale,
                                 const nnf_tensor *bias, nnf_tensor *y) {
    nnfi_channel_affine call = {
        .dtype = nnf_tensor_dtype(y), .outer = nnf_tensor_shape(y)[0], .channels = n_scales};
    const void *scales, *biases;
    call.inner = nnf_tensor_numel(y) / call.outer / n_scales;
    NNFI_TRY(nnf_tensor_data(scale, &scales));
    NNFI_TRY(nnf_tensor_data(bias, &biases));
    NNFI_TRY(nnf_tensor_mut_data(y, &call.y));
    double *numbers = nnfi_calloc((size_t)n_scales, 2 * sizeof *numbers);
    if (!numbers) return nnfi_error_memory((size_t)n_scales * 2 * sizeof *numbers, "scales");
    nnfi_to_f64(nnf_tensor_dtype(scale), scales, numbers, n_scales);
    nnfi_to_f64(nnf_tensor_dtype(bias), biases, numbers + n_scales, n_scales);
    call.x = call.y;
    call.scale = numbers;
    call.shift = numbers + n_scales;
    nnf_status status = nnfi_session_kernels(session)->channel_affine(session, &call);
    nnfi_free(numbers);
    return status;
}

static nnf_status forward_channels(nnf_session *session, nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                   size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_norm_options *options = nnf_module_options(module);
    const int64_t *shape = nnf_tensor_shape(inputs[0]);
    int ndim = nnf_tensor_ndim(inputs[0]);
    int64_t groups = options->groups > 0 ? options->groups : shape[1];
    norm_call call = {
        .n = groups > 0 ? shape[1] / groups : 0, .eps = options->eps, .centred = true};
    for (int i = 2; i < ndim; i++)
        call.n *= shape[i];
    if (nnf_tensor_numel(inputs[0]) == 0) return NNF_OK;
    NNFI_TRY(normalize(session, &call, inputs[0], outputs[0]));
    return scale_channels(session, options->scale_of_groups ? groups : shape[1], inputs[1],
                          inputs[2], outputs[0]);
}

/* ---- Along an axis ---- */

static nnf_status infer_lp(const nnf_module *module, const nnf_type_info *const *inputs,
                           size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_lp_norm_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_infer_float_same(module, inputs, n_inputs, outputs, n_outputs));
    int axis;
    if (inputs[0]->ndim < 0) return NNF_OK;
    return nnfi_normalize_axis(module, &axis, options->axis, inputs[0]->ndim);
}

static nnf_status forward_lp(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                             size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_lp_norm_options *options = nnf_module_options(module);
    nnf_dtype dtype = nnf_tensor_dtype(inputs[0]);
    const void *x;
    void *y;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(inputs[0])));
    nnfi_along along = nnfi_along_axis(inputs[0], axis);
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t i = 0; i < along.outer * along.inner; i++) {
        int64_t first = i / along.inner * along.n * along.inner + i % along.inner;
        double norm = 0;
        for (int64_t k = 0; k < along.n; k++) {
            double value = nnfi_load_f64(dtype, x, first + k * along.inner);
            norm += options->p == 1 ? fabs(value) : value * value;
        }
        if (options->p == 2) norm = sqrt(norm);
        for (int64_t k = 0; k < along.n; k++) {
            int64_t at = first + k * along.inner;
            double value = nnfi_load_f64(dtype, x, at);
            nnfi_store_f64(dtype, y, at, norm == 0 ? 0 : value / norm);
        }
    }
    return NNF_OK;
}

/* ---- Over neighbouring channels ---- */

static nnf_status infer_lrn(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_infer_float_same(module, inputs, n_inputs, outputs, n_outputs));
    if (inputs[0]->ndim < 0 || inputs[0]->ndim >= 2) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "LRN takes [N, C, ...], not a tensor of rank %d",
                     inputs[0]->ndim);
}

static nnf_status forward_lrn(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                              size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_lrn_options *o = nnf_module_options(module);
    nnf_dtype dtype = nnf_tensor_dtype(inputs[0]);
    nnfi_along along = nnfi_along_axis(inputs[0], 1);
    const void *x;
    void *y;
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    int64_t below = (o->size - 1) / 2, above = o->size - 1 - below;
    for (int64_t i = 0; i < along.outer * along.inner; i++) {
        int64_t start = i / along.inner * along.n * along.inner + i % along.inner;
        for (int64_t c = 0; c < along.n; c++) {
            int64_t first = c > below ? c - below : 0;
            int64_t last = c + above < along.n ? c + above : along.n - 1;
            double squares = 0;
            for (int64_t k = first; k <= last; k++) {
                double value = nnfi_load_f64(dtype, x, start + k * along.inner);
                squares += value * value;
            }
            int64_t at = start + c * along.inner;
            double scale = pow(o->bias + o->alpha / (double)o->size * squares, o->beta);
            nnfi_store_f64(dtype, y, at, nnfi_load_f64(dtype, x, at) / scale);
        }
    }
    return NNF_OK;
}

#define ROW(type_name, options, infer_function, forward_function)                    \
    {                                                                                \
        .name = type_name, .options_size = sizeof(options), .infer = infer_function, \
        .forward = forward_function, .flags = NNF_TYPE_WIDENS_16_BIT,                \
    }
static const nnf_module_type types[] = {
    ROW("LayerNorm", nnf_norm_options, infer_last_axes, forward_last_axes),
    ROW("RMSNorm", nnf_norm_options, infer_last_axes, forward_last_axes),
    ROW("InstanceNorm", nnf_norm_options, infer_channels, forward_channels),
    ROW("GroupNorm", nnf_norm_options, infer_channels, forward_channels),
    ROW("LpNormalization", nnf_lp_norm_options, infer_lp, forward_lp),
    ROW("LRN", nnf_lrn_options, infer_lrn, forward_lrn),
};
const nnfi_type_family nnfi_norm_family = NNFI_TYPE_FAMILY(types);

static const nnf_module_type lifted[] = {
    ROW("LayerNorm", nnfi_lifted_options, infer_last_axes, forward_last_axes),
    ROW("RMSNorm", nnfi_lifted_options, infer_last_axes, forward_last_axes),
};
const nnfi_type_family nnfi_lifted_norm_family = NNFI_TYPE_FAMILY(lifted);
