/* Resize: interpolation, axis by axis. Each output element along an axis is a sum of a few input
 * elements with weights that depend on its place alone; "nearest" is the case of one element, which
 * is copied, so it takes every dtype. */
#include <math.h>
#include <string.h>

#include "nn/nn_internal.h"
#include "nn/walk.h"

/* ---- Sizes ---- */

/* What a call asks for: for each axis the output's size and the scale, which may be finer. */
typedef struct resize_plan {
    int ndim;
    nnf_dim size[NNF_MAX_DIMS];
    double scale[NNF_MAX_DIMS]; /* known where size is */
    double roi[2][NNF_MAX_DIMS];
} resize_plan;

/* The axes that scales, sizes and roi speak of. */
static nnf_status resized_axes(const nnf_module *module, int ndim, int *axes, int *n) {
    const nnf_resize_options *options = nnf_module_options(module);
    nnfi_ints list;
    bool known;
    *n = ndim;
    for (int i = 0; i < ndim; i++)
        axes[i] = i;
    if (options->n_axes < 0) return NNF_OK;
    NNFI_TRY(nnfi_ints_of_option(&list, module, "its axes", options->axes, NNFI_ROOM(options->axes),
                                 options->n_axes));
    *n = list.n;
    return nnfi_ints_axes(&list, module, ndim, axes, &known);
}

static nnf_status check_length(const nnf_module *module, const char *what, int64_t given, int n) {
    if (given == n) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "%s has %lld %s for %d axes", nnf_module_type_name(module),
                     (long long)given, what, n);
}

/* No axis gets longer than this: far from where a size is no whole number as a double any more. */
#define LARGEST_SIZE 0x1p40

/* The size of an axis that has `from` elements now: one that is within bounds, and something is not
 * made of nothing. */
static nnf_status check_size(const nnf_module *module, int axis, nnf_dim from, double size) {
    if (!(size >= 0 && size <= LARGEST_SIZE))
        return nnf_error(NNF_ERROR_SHAPE, "%s is to give %.15g elements along axis %d",
                         nnf_module_type_name(module), size, axis);
    if (nnfi_dim_is(from, 0) && size > 0)
        return nnf_error(NNF_ERROR_SHAPE,
                         "%s is to give %.15g elements along axis %d, which has "
                         "none",
                         nnf_module_type_name(module), size, axis);
    return NNF_OK;
}

/* One scale for all axes that are resized. */
static nnf_status plan_policy(resize_plan *plan, const nnf_module *module, const nnf_type_info *x,
                              int n, const int *axes, bool known, double scale) {
    for (int i = 0; i < n; i++) {
        nnf_dim from = x->shape[axes[i]];
        plan->scale[axes[i]] = scale;
        plan->size[axes[i]] = nnfi_unknown_dim();
        if (!known) continue;
        double size = floor(scale * (double)from.value + 0.5);
        NNFI_TRY(check_size(module, axes[i], from, size));
        plan->size[axes[i]] = nnfi_dim((int64_t)size);
    }
    return NNF_OK;
}

/* Sizes, as far as they are known; with a policy they are bounds for one scale of all. */
static nnf_status plan_sizes(resize_plan *plan, const nnf_module *module, const nnf_type_info *x,
                             const nnfi_ints *sizes, const int *axes) {
    const nnf_resize_options *options = nnf_module_options(module);
    bool larger = options->policy == NNF_RESIZE_NOT_SMALLER, known = true;
    double scale = NAN; /* no axis has told one yet */
    for (int i = 0; i < sizes->n; i++) {
        nnf_dim size = sizes->values[i], from = x->shape[axes[i]];
        known = known && nnfi_dim_known(size) && nnfi_dim_known(from);
        if (nnfi_dim_known(size)) NNFI_TRY(check_size(module, axes[i], from, (double)size.value));
        plan->size[axes[i]] = size;
        if (!known || from.value == 0) continue;
        double own = (double)size.value / (double)from.value;
        plan->scale[axes[i]] = own;
        if (isnan(scale) || (larger ? own > scale : own < scale)) scale = own;
    }
    if (options->policy == NNF_RESIZE_STRETCH || (known && isnan(scale))) return NNF_OK;
    return plan_policy(plan, module, x, sizes->n, axes, known, scale);
}

/* Sizes that follow from scales, which are floats: only a tensor tells them. */
static nnf_status plan_scales(resize_plan *plan, const nnf_module *module, const nnf_type_info *x,
                              const double *scales, const int *axes, int n) {
    for (int i = 0; i < n; i++) {
        nnf_dim from = x->shape[axes[i]];
        double size = nnfi_dim_known(from) ? floor((double)from.value * scales[i]) : 0;
        if (!(scales[i] > 0 && isfinite(scales[i])))
            return nnf_error(NNF_ERROR_SHAPE, "%s has scale %g for axis %d",
                             nnf_module_type_name(module), scales[i], axes[i]);
        NNFI_TRY(check_size(module, axes[i], from, size));
        plan->scale[axes[i]] = scales[i];
        plan->size[axes[i]] = scales[i] == 1.0       ? from
                              : nnfi_dim_known(from) ? nnfi_dim((int64_t)size)
                                                     : nnfi_unknown_dim();
    }
    return NNF_OK;
}

static void plan_start(resize_plan *plan, const nnf_type_info *x) {
    plan->ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++) {
        plan->size[i] = x->shape[i];
        plan->scale[i] = 1;
        plan->roi[0][i] = 0;
        plan->roi[1][i] = 1;
    }
}

/* Inputs 1 roi, 2 scales, 3 sizes; Upsample has its scales as input 1. */
enum { ROI = 1, SCALES = 2, SIZES = 3 };

static size_t scales_input(const nnf_module *module) {
    const nnf_resize_options *options = nnf_module_options(module);
    return options->scales_first ? 1 : SCALES;
}

/* An input of no elements counts as left out. */
static bool is_given(const nnf_type_info *info) {
    return info && !(info->ndim == 1 && nnfi_dim_is(info->shape[0], 0));
}

static nnf_status infer_resize(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_resize_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 4, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    bool sized = !options->scales_first && is_given(nnfi_input(inputs, n_inputs, SIZES));
    if (options->mode != NNF_RESIZE_NEAREST) NNFI_TRY(nnfi_check_float(module, x));
    if (!sized && !is_given(nnfi_input(inputs, n_inputs, scales_input(module))) &&
        options->n_scales < 0)
        return nnf_error(NNF_ERROR_INVALID, "%s is given neither scales nor sizes",
                         nnf_module_type_name(module));
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    int axes[NNF_MAX_KNOWN_VALUES], n;
    resize_plan plan;
    plan_start(&plan, x);
    NNFI_TRY(resized_axes(module, x->ndim, axes, &n));
    nnf_dim unknown[NNF_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++)
        unknown[i] = nnfi_unknown_dim();
    nnfi_info_set_shape(&outputs[0], x->ndim, unknown);
    if (sized) {
        nnfi_ints sizes;
        NNFI_TRY(nnfi_ints_of_info(&sizes, module, "its sizes", inputs[SIZES]));
        if (sizes.n < 0) return NNF_OK;
        NNFI_TRY(check_length(module, "sizes", sizes.n, n));
        NNFI_TRY(plan_sizes(&plan, module, x, &sizes, axes));
    } else if (options->n_scales >= 0) {
        NNFI_TRY(check_length(module, "scales", options->n_scales, n));
        NNFI_TRY(plan_scales(&plan, module, x, options->scales, axes, n));
    } else {
        return NNF_OK;
    }
    nnfi_info_set_shape(&outputs[0], x->ndim, plan.size);
    return NNF_OK;
}

/* ---- One axis ---- */

/* Where output element i of an axis lies among n input elements. */
static double source_place(const nnf_resize_options *options, double i, double n, double size,
                           double scale, double roi_start, double roi_end) {
    double length = scale * n; /* of the output, before it was cut to a whole number */
    if (fabs(length - size) <= 1e-12 * size) length = size; /* a scale from sizes is rounded */
    switch (options->coordinates) {
    case NNF_RESIZE_ASYMMETRIC:
        return i / scale;
    case NNF_RESIZE_ALIGN_CORNERS:
        return length == 1 ? 0 : i * (n - 1) / (length - 1);
    case NNF_RESIZE_PYTORCH_HALF_PIXEL:
        return length == 1 ? 0 : (i + 0.5) / scale - 0.5;
    case NNF_RESIZE_HALF_PIXEL_SYMMETRIC:
        return n / 2 * (1 - size / length) + (i + 0.5) / scale - 0.5;
    case NNF_RESIZE_CROP:
        if (length == 1) return (roi_start + roi_end) * (n - 1) / 2;
        return roi_start * (n - 1) + i * (roi_end - roi_start) * (n - 1) / (length - 1);
    default:
        return (i + 0.5) / scale - 0.5;
    }
}

static double nearest_place(const nnf_resize_options *options, double place) {
    double below = floor(place), rest = place - below;
    switch (options->nearest) {
    case NNF_RESIZE_FLOOR:
        return below;
    case NNF_RESIZE_CEIL:
        return ceil(place);
    case NNF_RESIZE_PREFER_CEIL:
        return rest < 0.5 ? below : below + 1;
    default:
        return rest <= 0.5 ? below : below + 1;
    }
}

/* The weight of an element at this distance, in units of the coarser grid. */
static double kernel(const nnf_resize_options *options, double distance) {
    double x = fabs(distance), a = options->cubic_a;
    if (options->mode == NNF_RESIZE_LINEAR) return x < 1 ? 1 - x : 0;
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* The input elements that output elements are made of: `n` for each of them. */
typedef struct taps {
    int64_t n;
    int64_t *from;   /* [size, n], held inside the axis */
    double *weights; /* [size, n] */
    bool *outside;   /* [size]: takes the extrapolation value */
} taps;

static void taps_clear(taps *t) {
    nnfi_free(t->from);
    nnfi_free(t->weights);
    nnfi_free(t->outside);
}

/* An element of the axis, whatever a NaN or an infinity in a roi made of its place. */
static int64_t held(double at, int64_t n) {
    return !(at >= 0) ? 0 : at > (double)(n - 1) ? n - 1 : (int64_t)at;
}

/* Weights of one output element, made to add up to 1 where that is not so of itself. */
static void weigh(const nnf_resize_options *options, double place, double shrink, double start,
                  int64_t n, int64_t n_taps, int64_t *from, double *weights) {
    double sum = 0;
    for (int64_t k = 0; k < n_taps; k++) {
        double at = start + (double)k;
        bool in = at >= 0 && at < (double)n;
        weights[k] = options->exclude_outside && !in ? 0 : kernel(options, (at - place) * shrink);
        from[k] = held(at, n);
        sum += weights[k];
    }
    for (int64_t k = 0; sum != 0 && k < n_taps; k++)
        weights[k] /= sum;
}

static nnf_status taps_make(taps *out, const nnf_resize_options *options, int64_t n, int64_t size,
                            double scale, double roi_start, double roi_end) {
    bool nearest = options->mode == NNF_RESIZE_NEAREST;
    double reach = options->mode == NNF_RESIZE_CUBIC ? 2 : 1;
    double shrink = options->antialias && scale < 1 && size > 0 ? scale : 1;
    int64_t below = nearest ? 0 : -(int64_t)(floor(-reach / shrink) + 1);
    *out = (taps){.n = nearest ? 1 : 2 * below + 2};
    size_t count = (size_t)(size * out->n) + 1;
    out->from = nnfi_calloc(count, sizeof *out->from);
    out->weights = nnfi_calloc(count, sizeof *out->weights);
    out->outside = nnfi_calloc((size_t)size + 1, sizeof *out->outside);
    if (!out->from || !out->weights || !out->outside)
        return nnfi_error_memory(count * sizeof *out->weights, "the weights of an axis");
    for (int64_t i = 0; i < size; i++) {
        double place =
            source_place(options, (double)i, (double)n, (double)size, scale, roi_start, roi_end);
        out->outside[i] =
            options->coordinates == NNF_RESIZE_CROP && (place < 0 || place > (double)(n - 1));
        if (nearest)
            out->from[i] = held(nearest_place(options, place), n);
        else
            weigh(options, place, shrink, floor(place) - (double)below, n, out->n,
                  out->from + i * out->n, out->weights + i * out->n);
    }
    return NNF_OK;
}

/* y [outer, size, inner] from x [outer, n, inner] by the weights; in the dtype, sums in double. */
#define INTERPOLATE(name, type)                                                         \
    static void name(const taps *t, const void *x_data, void *y_data, nnfi_along along, \
                     int64_t size, double extrapolated, int64_t row) {                  \
        const type *x = (const type *)x_data + row / size * along.n * along.inner;      \
        type *y = (type *)y_data + row * along.inner;                                   \
        int64_t i = row % size;                                                         \
        const int64_t *from = t->from + i * t->n;                                       \
        const double *weights = t->weights + i * t->n;                                  \
        for (int64_t k = 0; k < along.inner; k++) {                                     \
            double sum = 0;                                                             \
            for (int64_t tap = 0; tap < t->n; tap++)                                    \
                sum += weights[tap] * (double)x[from[tap] * along.inner + k];           \
            y[k] = (type)(t->outside[i] ? extrapolated : sum);                          \
        }                                                                               \
    }
INTERPOLATE(interpolate_f32, float)
INTERPOLATE(interpolate_f64, double)

/* Any dtype: elements are copied. */
static void copy_nearest(const taps *t, const char *x, char *y, nnfi_along along, int64_t size,
                         size_t bytes, const void *extrapolated, int64_t row) {
    int64_t i = row % size;
    const char *from = x + (size_t)((row / size * along.n + t->from[i]) * along.inner) * bytes;
    char *to = y + (size_t)(row * along.inner) * bytes;
    if (!t->outside[i])
        memcpy(to, from, (size_t)along.inner * bytes);
    else
        for (int64_t k = 0; k < along.inner; k++)
            memcpy(to + (size_t)k * bytes, extrapolated, bytes);
}

/* Resizes one axis of x into y. */
static nnf_status resize_axis(nnf_session *session, const nnf_resize_options *options,
                              const resize_plan *plan, int axis, const nnf_tensor *x,
                              nnf_tensor *y) {
    nnf_dtype dtype = nnf_tensor_dtype(x);
    int64_t size = nnf_tensor_shape(y)[axis];
    nnfi_along along = nnfi_along_axis(x, axis);
    uint64_t element = 0;
    const void *from;
    void *to;
    taps t;
    int threads = nnf_session_threads(session);
    (void)threads;
    NNFI_TRY(nnf_tensor_data(x, &from));
    NNFI_TRY(nnf_tensor_mut_data(y, &to));
    nnf_status status = taps_make(&t, options, along.n, size, plan->scale[axis], plan->roi[0][axis],
                                  plan->roi[1][axis]);
    nnfi_store_f64(dtype, &element, 0, options->extrapolation_value);
    int64_t n_rows = status == NNF_OK ? along.outer * size : 0;
#pragma omp parallel for num_threads(threads) if (threads > 1 && n_rows * along.inner > 16384)
    for (int64_t row = 0; row < n_rows; row++) {
        if (options->mode == NNF_RESIZE_NEAREST)
            copy_nearest(&t, from, to, along, size, nnf_dtype_size(dtype), &element, row);
        else
            (dtype == NNF_F64 ? interpolate_f64 : interpolate_f32)(
                &t, from, to, along, size, options->extrapolation_value, row);
    }
    taps_clear(&t);
    return status;
}

/* ---- The layer ---- */

/* The numbers of a float tensor, at most `most`; 0 where it is left out. */
static nnf_status load_numbers(double *out, int *n, const nnf_tensor *tensor, int most) {
    const void *data;
    *n = 0;
    if (!tensor) return NNF_OK;
    NNFI_TRY(nnf_tensor_data(tensor, &data));
    if (nnf_tensor_numel(tensor) > most)
        return nnf_error(NNF_ERROR_SHAPE, "Resize takes at most %d numbers, not %lld", most,
                         (long long)nnf_tensor_numel(tensor));
    *n = (int)nnf_tensor_numel(tensor);
    for (int i = 0; i < *n; i++)
        out[i] = nnfi_load_f64(nnf_tensor_dtype(tensor), data, i);
    return NNF_OK;
}

static nnf_status plan_roi(resize_plan *plan, const nnf_module *module, nnf_tensor *const *inputs,
                           size_t n_inputs, const int *axes, int n) {
    const nnf_resize_options *options = nnf_module_options(module);
    double roi[2 * NNF_MAX_DIMS];
    int n_roi;
    if (options->coordinates != NNF_RESIZE_CROP) return NNF_OK;
    NNFI_TRY(load_numbers(roi, &n_roi, nnfi_input_tensor(inputs, n_inputs, ROI), 2 * NNF_MAX_DIMS));
    NNFI_TRY(check_length(module, "numbers in its roi", n_roi, 2 * n));
    for (int i = 0; i < n; i++) {
        plan->roi[0][axes[i]] = roi[i];
        plan->roi[1][axes[i]] = roi[n + i];
    }
    return NNF_OK;
}

static nnf_status plan_call(resize_plan *plan, const nnf_module *module, nnf_tensor *const *inputs,
                            size_t n_inputs, const nnfi_infos *infos) {
    const nnf_resize_options *options = nnf_module_options(module);
    const nnf_type_info *x = infos->pointers[0];
    int axes[NNF_MAX_KNOWN_VALUES], n, n_scales = options->n_scales;
    double given[NNF_MAX_DIMS];
    const double *scales = n_scales >= 0 ? options->scales : given;
    plan_start(plan, x);
    NNFI_TRY(resized_axes(module, x->ndim, axes, &n));
    NNFI_TRY(plan_roi(plan, module, inputs, n_inputs, axes, n));
    if (!options->scales_first && is_given(nnfi_input(infos->pointers, infos->n, SIZES))) {
        nnfi_ints sizes;
        NNFI_TRY(nnfi_ints_of_info(&sizes, module, "its sizes", infos->pointers[SIZES]));
        NNFI_TRY(check_length(module, "sizes", sizes.n, n));
        return plan_sizes(plan, module, x, &sizes, axes);
    }
    if (n_scales < 0)
        NNFI_TRY(load_numbers(given, &n_scales,
                              nnfi_input_tensor(inputs, n_inputs, scales_input(module)),
                              NNF_MAX_DIMS));
    NNFI_TRY(check_length(module, "scales", n_scales, n));
    return plan_scales(plan, module, x, scales, axes, n);
}

/* Axis by axis, from the last on; each step's result is the next one's input. */
static nnf_status resize_all(nnf_session *session, const nnf_resize_options *options,
                             const resize_plan *plan, nnf_tensor *x, nnf_tensor *y) {
    nnf_tensor *at = nnf_tensor_retain(x), *next = NULL;
    nnf_status status = NNF_OK;
    for (int axis = plan->ndim - 1; status == NNF_OK && axis >= 0; axis--) {
        int64_t shape[NNF_MAX_DIMS];
        bool cropped = plan->roi[0][axis] != 0 || plan->roi[1][axis] != 1;
        if (plan->scale[axis] == 1 && plan->size[axis].value == nnf_tensor_shape(x)[axis] &&
            !cropped)
            continue;
        memcpy(shape, nnf_tensor_shape(at), (size_t)plan->ndim * sizeof *shape);
        shape[axis] = plan->size[axis].value;
        status = nnf_session_new_tensor(session, &next, nnf_tensor_dtype(x), plan->ndim, shape);
        if (status == NNF_OK) status = resize_axis(session, options, plan, axis, at, next);
        nnf_tensor_release(at);
        at = next;
        next = NULL;
    }
    if (status == NNF_OK) status = nnfi_copy_elements(y, at);
    nnf_tensor_release(at);
    return status;
}

static nnf_status forward_resize(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_outputs;
    nnf_tensor *x = inputs[0];
    int64_t shape[NNF_MAX_DIMS];
    resize_plan plan;
    nnfi_infos infos;
    NNFI_TRY(nnfi_infos_of_tensors(&infos, inputs, n_inputs));
    nnf_status status = plan_call(&plan, module, inputs, n_inputs, &infos);
    nnfi_infos_clear(&infos);
    if (status != NNF_OK) return status;
    for (int i = 0; i < plan.ndim; i++)
        shape[i] = plan.size[i].value;
    if (!outputs[0])
        NNFI_TRY(
            nnf_session_new_tensor(session, &outputs[0], nnf_tensor_dtype(x), plan.ndim, shape));
    if (nnf_tensor_numel(outputs[0]) == 0) return NNF_OK;
    if (nnf_tensor_numel(x) == 0)
        return nnf_error(NNF_ERROR_SHAPE, "Resize cannot make elements of an empty tensor");
    return resize_all(session, nnf_module_options(module), &plan, x, outputs[0]);
}

static const nnf_module_type types[] = {{
    .name = "Resize",
    .options_size = sizeof(nnf_resize_options),
    .infer = infer_resize,
    .forward = forward_resize,
    .flags = NNF_TYPE_WIDENS_16_BIT | NNFI_TYPE_MAKES_OUTPUTS, /* scales are read as it runs */
}};
const nnfi_type_family nnfi_resize_family = NNFI_TYPE_FAMILY(types);
