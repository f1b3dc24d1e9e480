/* BatchNorm1d/2d/3d: PyTorch's layers and ONNX's BatchNormalization. */
#include <math.h>

#include "nn/window.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, BATCHES_TRACKED, N_SLOTS };
static const nnf_slot slots[N_SLOTS] = {{"weight", NNF_SLOT_PARAMETER},
                                        {"bias", NNF_SLOT_PARAMETER},
                                        {"running_mean", NNF_SLOT_BUFFER},
                                        {"running_var", NNF_SLOT_BUFFER},
                                        {"num_batches_tracked", NNF_SLOT_BUFFER}};

/* ---- Shapes ---- */

static nnf_status check_rank(const nnf_module *module, const nnf_type_info *x) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    int rank = options->spatial + 2;
    if (x->ndim < 0 || x->ndim == rank || (rank == 3 && x->ndim == 2)) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s takes an input of rank %s, not %s",
                     nnf_module_type_name(module),
                     rank == 3   ? "2 or 3"
                     : rank == 4 ? "4"
                                 : "5",
                     nnfi_info_text(text, sizeof text, x));
}

/* The number of channels, from whatever tells it: the options, a slot, the input. */
static nnf_status merge_channels(const nnf_module *module, nnf_dim *channels, nnf_dim dim,
                                 const char *what) {
    if (nnfi_dim_differ(*channels, dim))
        return nnf_error(NNF_ERROR_SHAPE, "%s has %lld channels, but its %s has %lld",
                         nnf_module_type_name(module), (long long)channels->value, what,
                         (long long)dim.value);
    *channels = nnfi_dim_either(*channels, dim);
    return NNF_OK;
}

static bool uses_batch_statistics(const nnf_module *module, bool has_running) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    return options->training_mode || nnf_module_training(module) || !has_running;
}

/* Statistics of a single value have no variance: PyTorch's check. */
static nnf_status check_batch(const nnf_module *module, const nnf_type_info *x) {
    nnf_dim n, inner;
    if (x->ndim < 2) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&inner, x->shape, 2, x->ndim));
    NNFI_TRY(nnfi_dim_mul(&n, x->shape[0], inner));
    if (!nnfi_dim_is(n, 1)) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE,
                     "%s expected more than 1 value per channel when training, got %s",
                     nnf_module_type_name(module), nnfi_info_text(text, sizeof text, x));
}

static nnf_status infer_slots(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_dim *channels, bool *has_running) {
    bool given[N_SLOTS];
    for (size_t i = WEIGHT; i <= RUNNING_VAR; i++) {
        nnfi_slot_info slot = nnfi_slot_info_of(module, i, inputs, n_inputs);
        given[i] = slot.given;
        if (!slot.given) continue;
        NNFI_TRY(nnfi_check_float(module, &slot.info));
        if (slot.info.ndim < 0) continue;
        if (slot.info.ndim != 1)
            return nnf_error(NNF_ERROR_SHAPE, "%s has a %s of rank %d, not 1",
                             nnf_module_type_name(module), slots[i].name, slot.info.ndim);
        NNFI_TRY(merge_channels(module, channels, slot.info.shape[0], slots[i].name));
    }
    if (given[RUNNING_MEAN] != given[RUNNING_VAR])
        return nnf_error(NNF_ERROR_INVALID, "%s has only one of running_mean and running_var",
                         nnf_module_type_name(module));
    *has_running = given[RUNNING_MEAN];
    return NNF_OK;
}

static nnf_status batchnorm_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                                  size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    const nnf_type_info *x = nnfi_input(inputs, n_inputs, 0);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 5, n_outputs,
                              options->training_mode ? 3 : 1));
    NNFI_TRY(nnfi_check_float(module, x));
    NNFI_TRY(check_rank(module, x));
    bool has_running;
    nnf_dim channels = nnfi_unknown_dim();
    if (options->num_features) channels = nnfi_dim(options->num_features);
    NNFI_TRY(infer_slots(module, inputs, n_inputs, &channels, &has_running));
    if (x->ndim >= 0) NNFI_TRY(merge_channels(module, &channels, x->shape[1], "input"));
    if (uses_batch_statistics(module, has_running)) NNFI_TRY(check_batch(module, x));
    if (n_outputs > 1 && !has_running)
        return nnf_error(NNF_ERROR_INVALID, "%s has no running statistics to give as outputs",
                         nnf_module_type_name(module));
    nnfi_info_set_like(&outputs[0], x);
    if (x->ndim >= 0) outputs[0].shape[1] = channels;
    for (size_t i = 1; i < n_outputs; i++) {
        nnfi_slot_info slot = nnfi_slot_info_of(module, RUNNING_MEAN + i - 1, inputs, n_inputs);
        outputs[i].dtype = slot.info.dtype;
        nnfi_info_set_shape(&outputs[i], 1, &channels);
    }
    return NNF_OK;
}

/* ---- Running ---- */

/* One call: [outer, channels, inner] values, and for each channel five doubles. */
typedef struct norm {
    nnfi_channel_affine call;
    nnf_tensor *slot[N_SLOTS];
    double *mean, *var, *scale, *shift;
    int threads;
} norm;

static double slot_value(const norm *n, int slot, const void *const *data, int64_t c,
                         double otherwise) {
    return data[slot] ? nnfi_load_f64(nnf_tensor_dtype(n->slot[slot]), data[slot], c) : otherwise;
}

static double load(nnf_dtype dtype, const void *x, int64_t i) {
    return dtype == NNF_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* Mean and population variance of each channel, in two passes over it. */
static void batch_statistics(norm *n) {
    const nnfi_channel_affine *a = &n->call;
    double count = (double)a->outer * (double)a->inner;
#pragma omp parallel for num_threads(n->threads)
    for (int64_t c = 0; c < a->channels; c++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t o = 0; o < a->outer; o++)
            for (int64_t i = 0, at = (o * a->channels + c) * a->inner; i < a->inner; i++)
                sum += load(a->dtype, a->x, at + i);
        n->mean[c] = sum / count;
        for (int64_t o = 0; o < a->outer; o++)
            for (int64_t i = 0, at = (o * a->channels + c) * a->inner; i < a->inner; i++) {
                double d = load(a->dtype, a->x, at + i) - n->mean[c];
                squares += d * d;
            }
        n->var[c] = squares / count;
    }
}

/* to[c] = (1 - momentum) old[c] + momentum * factor * batch[c]; both have a channel's number each
 * `stride` elements. */
static void blend(nnf_dtype to_dtype, void *to, nnf_dtype old_dtype, const void *old,
                  int64_t stride, const double *batch, int64_t channels, double momentum,
                  double factor) {
    for (int64_t c = 0; c < channels; c++) {
        double value = nnfi_load_f64(old_dtype, old, c * stride);
        nnfi_store_f64(to_dtype, to, c * stride,
                       (1.0 - momentum) * value + momentum * factor * batch[c]);
    }
}

/* ONNX's training_mode: the new running statistics, with the population's variance, are outputs. */
static nnf_status give_running(const norm *n, double momentum, nnf_tensor **outputs,
                               size_t n_outputs) {
    const double *batch[2] = {n->mean, n->var};
    for (size_t i = 0; i + 1 < n_outputs; i++) {
        const nnf_tensor *old = n->slot[RUNNING_MEAN + i];
        const void *from;
        void *to;
        NNFI_TRY(nnf_tensor_data(old, &from));
        NNFI_TRY(nnf_tensor_mut_data(outputs[1 + i], &to));
        blend(nnf_tensor_dtype(outputs[1 + i]), to, nnf_tensor_dtype(old), from, 1, batch[i],
              n->call.channels, momentum, 1.0);
    }
    return NNF_OK;
}

/* PyTorch's training mode: the module's own running statistics move, with the unbiased variance. */
static nnf_status update_running(const norm *n, const nnf_module *module) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    double count = (double)n->call.outer * (double)n->call.inner, momentum = options->momentum;
    const double *batch[2] = {n->mean, n->var};
    const double factor[2] = {1.0, count / (count - 1.0)};
    nnf_tensor *tracked = nnf_module_tensor(module, slots[BATCHES_TRACKED].name);
    nnf_tensor *running[2] = {nnf_module_tensor(module, slots[RUNNING_MEAN].name),
                              nnf_module_tensor(module, slots[RUNNING_VAR].name)};
    void *to[2] = {NULL, NULL}, *counter = NULL;
    for (int i = 0; i < 2; i++)
        if (running[i]) NNFI_TRY(nnf_tensor_mut_data(running[i], &to[i]));
    if (tracked) NNFI_TRY(nnf_tensor_mut_data(tracked, &counter));
    if (options->cumulative) momentum = 0.0;
    if (counter) {
        int64_t batches = nnfi_load_i64(nnf_tensor_dtype(tracked), counter, 0) + 1;
        nnfi_store_i64(nnf_tensor_dtype(tracked), counter, 0, batches);
        if (options->cumulative) momentum = 1.0 / (double)batches;
    }
    for (int i = 0; i < 2; i++)
        if (to[i])
            blend(nnf_tensor_dtype(running[i]), to[i], nnf_tensor_dtype(running[i]), to[i],
                  nnf_tensor_strides(running[i])[0], batch[i], n->call.channels, momentum,
                  factor[i]);
    return NNF_OK;
}

static nnf_status find_scale_and_shift(norm *n, bool by_batch, double eps) {
    const void *data[N_SLOTS] = {NULL};
    for (int i = WEIGHT; i <= RUNNING_VAR; i++)
        if (n->slot[i]) NNFI_TRY(nnf_tensor_data(n->slot[i], &data[i]));
    if (by_batch) batch_statistics(n);
    for (int64_t c = 0; c < n->call.channels; c++) {
        if (!by_batch) {
            n->mean[c] = slot_value(n, RUNNING_MEAN, data, c, 0.0);
            n->var[c] = slot_value(n, RUNNING_VAR, data, c, 0.0);
        }
        n->scale[c] = slot_value(n, WEIGHT, data, c, 1.0) / sqrt(n->var[c] + eps);
        n->shift[c] = slot_value(n, BIAS, data, c, 0.0) - n->mean[c] * n->scale[c];
    }
    return NNF_OK;
}

static nnf_status run(nnf_session *session, nnf_module *module, norm *n, nnf_tensor **outputs,
                      size_t n_outputs) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    bool by_batch = uses_batch_statistics(module, n->slot[RUNNING_MEAN] != NULL);
    NNFI_TRY(find_scale_and_shift(n, by_batch, options->eps));
    NNFI_TRY(nnfi_session_kernels(session)->channel_affine(session, &n->call));
    if (options->training_mode) return give_running(n, options->momentum, outputs, n_outputs);
    bool empty = n->call.outer == 0 || n->call.inner == 0;
    return nnf_module_training(module) && !empty ? update_running(n, module) : NNF_OK;
}

static nnf_status batchnorm_forward(nnf_session *session, nnf_module *module,
                                    nnf_tensor *const *inputs, size_t n_inputs,
                                    nnf_tensor **outputs, size_t n_outputs) {
    const int64_t *shape = nnf_tensor_shape(inputs[0]);
    norm n = {.threads = nnf_session_threads(session),
              .call = {.dtype = nnf_tensor_dtype(inputs[0]),
                       .outer = shape[0],
                       .channels = shape[1],
                       .inner = 1}};
    for (int i = 2; i < nnf_tensor_ndim(inputs[0]); i++)
        n.call.inner *= shape[i];
    for (size_t i = WEIGHT; i <= RUNNING_VAR; i++)
        NNFI_TRY(nnf_session_slot(session, &n.slot[i], module, i, inputs, n_inputs));
    void *y;
    NNFI_TRY(nnf_tensor_data(inputs[0], &n.call.x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    n.call.y = y;
    size_t channels = (size_t)n.call.channels;
    n.mean = nnfi_calloc(channels, 4 * sizeof *n.mean);
    if (!n.mean) return nnfi_error_memory(channels * 4 * sizeof *n.mean, "batch norm's statistics");
    n.var = n.mean + channels;
    n.call.scale = n.scale = n.var + channels;
    n.call.shift = n.shift = n.scale + channels;
    nnf_status status = run(session, module, &n, outputs, n_outputs);
    nnfi_free(n.mean);
    return status;
}

/* ---- The affine view ---- */

/* A slot that is an input of the graph (affine, but no tensor) can be anything when run. */
static nnf_status check_foldable(const nnf_module *module) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    const char *type = nnf_module_type_name(module);
    if (options->training_mode)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "%s normalizes with the batch's statistics (training_mode 1)", type);
    for (int i = RUNNING_MEAN; i <= RUNNING_VAR; i++)
        if (!nnf_module_tensor(module, slots[i].name))
            return nnf_error(NNF_ERROR_NOT_FUSABLE,
                             "%s has no running statistics: %s is not a constant that it holds",
                             type, slots[i].name);
    for (int i = WEIGHT; i <= BIAS && options->affine; i++)
        if (!nnf_module_tensor(module, slots[i].name))
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s of %s is not a constant", slots[i].name,
                             type);
    return NNF_OK;
}

static nnf_status batchnorm_affine_map(const nnf_module *module, nnf_affine_map *out) {
    NNFI_TRY(check_foldable(module));
    const nnf_batchnorm_options *options = nnf_module_options(module);
    nnf_tensor *held[N_SLOTS];
    for (int i = WEIGHT; i <= RUNNING_VAR; i++)
        held[i] = nnf_tensor_retain(nnf_module_tensor(module, slots[i].name));
    *out = (nnf_affine_map){.channels = nnf_tensor_numel(held[RUNNING_MEAN]),
                            .weight = held[WEIGHT],
                            .bias = held[BIAS],
                            .mean = held[RUNNING_MEAN],
                            .var = held[RUNNING_VAR],
                            .eps = options->eps};
    return NNF_OK;
}

/* ---- Rows, constructor ---- */

#define ROW(type)                                                                    \
    {                                                                                \
        .name = type, .options_size = sizeof(nnf_batchnorm_options), .slots = slots, \
        .n_slots = N_SLOTS, .infer = batchnorm_infer, .forward = batchnorm_forward,  \
        .affine_map = batchnorm_affine_map, .flags = NNF_TYPE_WIDENS_16_BIT          \
    }
static const nnf_module_type types[] = {ROW("BatchNorm1d"), ROW("BatchNorm2d"), ROW("BatchNorm3d")};
const nnfi_type_family nnfi_batchnorm_family = NNFI_TYPE_FAMILY(types);

nnf_batchnorm_options nnf_batchnorm_options_default(int spatial, int64_t num_features) {
    return (nnf_batchnorm_options){.spatial = spatial,
                                   .num_features = num_features,
                                   .eps = 1e-5,
                                   .momentum = 0.1,
                                   .affine = true,
                                   .track_running_stats = true};
}

static nnf_status fill_with_ones(nnf_module *module, int slot) {
    nnf_tensor *tensor = nnf_module_tensor(module, slots[slot].name);
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(tensor, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(tensor); i++)
        nnfi_store_f64(nnf_tensor_dtype(tensor), data, i, 1.0);
    return NNF_OK;
}

static nnf_status set_tensors(nnf_module *module, nnf_dtype dtype) {
    const nnf_batchnorm_options *options = nnf_module_options(module);
    const bool has[] = {[WEIGHT] = options->affine,
                        [BIAS] = options->affine,
                        [RUNNING_MEAN] = options->track_running_stats,
                        [RUNNING_VAR] = options->track_running_stats};
    for (int i = WEIGHT; i <= RUNNING_VAR; i++) {
        if (!has[i]) continue;
        NNFI_TRY(nnfi_set_zeros(module, (size_t)i, dtype, 1, &options->num_features));
        if (i == WEIGHT || i == RUNNING_VAR) NNFI_TRY(fill_with_ones(module, i));
    }
    if (!options->track_running_stats) return NNF_OK;
    nnf_tensor *tracked;
    NNFI_TRY(nnf_tensor_new(&tracked, NNF_I64, 0, NULL));
    nnf_status status = nnf_module_set_buffer(module, slots[BATCHES_TRACKED].name, tracked);
    nnf_tensor_release(tracked);
    return status;
}

nnf_status nnf_batchnorm_new(nnf_module **out, const nnf_batchnorm_options *options,
                             nnf_dtype dtype) {
    if (!options) return nnf_error(NNF_ERROR_INVALID, "a batch norm needs its options");
    if (options->spatial < 1 || options->spatial > NNF_MAX_SPATIAL)
        return nnf_error(NNF_ERROR_INVALID, "a batch norm has spatial = %d; it must be 1, 2 or 3",
                         options->spatial);
    const nnf_module_type *type = &types[options->spatial - 1];
    if (options->num_features < 1)
        return nnf_error(NNF_ERROR_INVALID, "%s has num_features = %lld; it must be at least 1",
                         type->name, (long long)options->num_features);
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, type, options));
    nnf_status status = set_tensors(module, dtype);
    if (status == NNF_OK) {
        *out = module;
    } else {
        nnf_module_release(module);
    }
    return status;
}
