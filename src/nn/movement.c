/* Transpose, Slice, Concat, Gather: elements of any dtype go to other places. Each plans its
 * copies from what is known of the inputs; infer runs the plan on the known elements of small
 * integer tensors, forward on the bytes. */
#include <string.h>

#include "nn/nn_internal.h"

/* Runs a copy with one stride list for `from` on an input's known elements and stores what comes
 * out, where everything is known well enough. */
static nnf_status infer_moved_values(const nnfi_copy *plan, int64_t from_offset,
                                     const nnf_type_info *x, nnf_type_info *out) {
    nnf_dim n, values[NNF_MAX_KNOWN_VALUES];
    NNFI_TRY(nnfi_dim_product(&n, out->shape, 0, out->ndim));
    if (n.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    nnfi_copy copy = *plan;
    copy.size = sizeof *values;
    copy.to = values;
    copy.from = x->values + from_offset;
    nnfi_strided_copy(&copy);
    return nnf_type_info_set_values(out, values, (int)n.value);
}

/* The same on a tensor's bytes. */
static nnf_status run_moved(nnf_session *session, const nnfi_copy *plan, int64_t from_offset,
                            const nnf_tensor *x, nnf_tensor *y) {
    nnfi_copy copy = *plan;
    copy.size = nnf_dtype_size(nnf_tensor_dtype(x));
    copy.threads = nnf_session_threads(session);
    NNFI_TRY(nnf_tensor_data(x, &copy.from));
    NNFI_TRY(nnf_tensor_mut_data(y, &copy.to));
    copy.from = (const char *)copy.from + from_offset * (int64_t)copy.size;
    nnfi_strided_copy(&copy);
    return NNF_OK;
}

static void known_shape(int64_t *shape, const nnf_type_info *info) {
    for (int i = 0; i < info->ndim; i++)
        shape[i] = info->shape[i].value;
}

/* ---- Transpose ---- */

static nnf_status transpose_axes(const nnf_module *module, int ndim, int *axes) {
    const nnf_transpose_options *options = nnf_module_options(module);
    nnfi_ints perm;
    bool known;
    if (nnfi_permutation(module, ndim, axes)) return NNF_OK;
    if (options->n != ndim)
        return nnf_error(NNF_ERROR_SHAPE,
                         "Transpose has a permutation of %d axes, but its input has %d dimensions",
                         options->n, ndim);
    NNFI_TRY(nnfi_ints_of_option(&perm, module, "its permutation", options->perm,
                                 NNFI_ROOM(options->perm), options->n));
    return nnfi_ints_axes(&perm, module, ndim, axes, &known);
}

static void transpose_plan(nnfi_copy *plan, int ndim, const int64_t *shape, const int *axes) {
    int64_t strides[NNF_MAX_DIMS];
    *plan = (nnfi_copy){.ndim = ndim, .threads = 1};
    nnfi_contiguous_strides(strides, ndim, shape);
    for (int i = 0; i < ndim; i++) {
        plan->shape[i] = shape[axes[i]];
        plan->from_strides[i] = strides[axes[i]];
    }
    nnfi_contiguous_strides(plan->to_strides, ndim, plan->shape);
}

static nnf_status infer_transpose(const nnf_module *module, const nnf_type_info *const *inputs,
                                  size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    int axes[NNF_MAX_KNOWN_VALUES];
    NNFI_TRY(transpose_axes(module, x->ndim, axes));
    outputs[0].ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++)
        outputs[0].shape[i] = x->shape[axes[i]];
    if (x->n_values < 0 || !nnfi_info_is_static(x)) return NNF_OK;
    int64_t shape[NNF_MAX_DIMS];
    nnfi_copy plan;
    known_shape(shape, x);
    transpose_plan(&plan, x->ndim, shape, axes);
    return infer_moved_values(&plan, 0, x, &outputs[0]);
}

static nnf_status forward_transpose(nnf_session *session, nnf_module *module,
                                    nnf_tensor *const *inputs, size_t n_inputs,
                                    nnf_tensor **outputs, size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    int axes[NNF_MAX_KNOWN_VALUES], ndim = nnf_tensor_ndim(inputs[0]);
    nnfi_copy plan;
    NNFI_TRY(transpose_axes(module, ndim, axes));
    transpose_plan(&plan, ndim, nnf_tensor_shape(inputs[0]), axes);
    return run_moved(session, &plan, 0, inputs[0], outputs[0]);
}

/* ---- Slice ---- */

/* For each axis: where the slice begins, its step, and how many it takes. */
typedef struct slice_plan {
    bool axes_known;
    nnf_dim shape[NNF_MAX_DIMS];
    int64_t start[NNF_MAX_DIMS], step[NNF_MAX_DIMS];
} slice_plan;

/* starts, ends, axes, steps: options before opset 10, inputs 1 .. 4 since. */
static nnf_status slice_lists(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnfi_ints lists[4]) {
    static const char *const names[] = {"its starts", "its ends", "its axes", "its steps"};
    const nnf_slice_options *options = nnf_module_options(module);
    if (options->n >= 0) {
        const int64_t *const given[] = {options->starts, options->ends, options->axes};
        for (int i = 0; i < 3; i++)
            NNFI_TRY(nnfi_ints_of_option(&lists[i], module, names[i], given[i],
                                         NNFI_ROOM(options->starts), options->n));
        lists[3] = (nnfi_ints){.given = false};
        return NNF_OK;
    }
    for (int i = 0; i < 4; i++)
        NNFI_TRY(nnfi_ints_of_info(&lists[i], module, names[i],
                                   nnfi_input(inputs, n_inputs, (size_t)i + 1)));
    if (!lists[0].given || !lists[1].given)
        return nnf_error(NNF_ERROR_INVALID, "Slice is not given its starts and ends");
    for (int i = 1; i < 4; i++)
        if (lists[i].given && lists[i].n >= 0 && lists[0].n >= 0 && lists[i].n != lists[0].n)
            return nnf_error(NNF_ERROR_SHAPE, "Slice has %d starts, but %d entries in %s",
                             lists[0].n, lists[i].n, names[i]);
    return NNF_OK;
}

/* An index as Slice counts it: from the end where negative, held to [low, high]. */
static int64_t slice_index(int64_t index, int64_t n, int64_t low, int64_t high) {
    if (index < 0) index += n;
    return index < low ? low : index > high ? high : index;
}

/* One axis; leaves the dimension unknown where it cannot be told. */
static nnf_status slice_axis(slice_plan *plan, int axis, nnf_dim dim, nnf_dim start, nnf_dim end,
                             nnf_dim step) {
    if (nnfi_dim_is(step, 0))
        return nnf_error(NNF_ERROR_SHAPE, "Slice has step 0 for axis %d", axis);
    plan->shape[axis] = nnfi_unknown_dim();
    if (!nnfi_dim_known(start) || !nnfi_dim_known(step)) return NNF_OK;
    bool whole = nnfi_dim_is(start, 0) && nnfi_dim_is(step, 1) &&
                 (nnfi_dim_equal(end, dim) || (nnfi_dim_known(end) && end.value >= INT32_MAX));
    if (whole) plan->shape[axis] = dim;
    if (!nnfi_dim_known(end) || !nnfi_dim_known(dim)) return NNF_OK;
    int64_t n = dim.value, by = step.value;
    int64_t low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
    int64_t first = slice_index(start.value, n, 0, high),
            last = slice_index(end.value, n, low, high);
    /* |by| as an unsigned number: the smallest has no positive one */
    uint64_t stride = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;
    int64_t span = by < 0 ? first - last : last - first;
    int64_t count = span > 0 && n > 0 ? (int64_t)(((uint64_t)span + stride - 1) / stride) : 0;
    plan->shape[axis] = nnfi_dim(count);
    plan->start[axis] = count > 0 ? first : 0;
    plan->step[axis] = count > 1 ? by : 1;
    return NNF_OK;
}

static nnf_status plan_slice(slice_plan *plan, const nnf_module *module,
                             const nnf_type_info *const *inputs, size_t n_inputs) {
    const nnf_type_info *x = inputs[0];
    nnfi_ints lists[4];
    int axes[NNF_MAX_KNOWN_VALUES];
    NNFI_TRY(slice_lists(module, inputs, n_inputs, lists));
    for (int i = 0; i < x->ndim; i++) {
        plan->shape[i] = x->shape[i];
        plan->start[i] = 0;
        plan->step[i] = 1;
    }
    plan->axes_known = lists[0].n >= 0 && lists[2].n >= 0;
    if (lists[0].n > x->ndim)
        return nnf_error(NNF_ERROR_SHAPE, "Slice has %d starts, but its input has %d dimensions",
                         lists[0].n, x->ndim);
    for (int i = 0; i < lists[0].n; i++)
        axes[i] = i;
    if (lists[2].given && plan->axes_known)
        NNFI_TRY(nnfi_ints_axes(&lists[2], module, x->ndim, axes, &plan->axes_known));
    for (int i = 0; plan->axes_known && i < lists[0].n; i++) {
        nnf_dim end = lists[1].n < 0 ? nnfi_unknown_dim() : lists[1].values[i];
        nnf_dim step = !lists[3].given  ? nnfi_dim(1)
                       : lists[3].n < 0 ? nnfi_unknown_dim()
                                        : lists[3].values[i];
        NNFI_TRY(slice_axis(plan, axes[i], x->shape[axes[i]], lists[0].values[i], end, step));
    }
    return NNF_OK;
}

/* The copy that a plan with known shapes comes down to, and where it begins. */
static void slice_copy(nnfi_copy *copy, int64_t *offset, const slice_plan *plan, int ndim,
                       const int64_t *shape) {
    int64_t strides[NNF_MAX_DIMS];
    *copy = (nnfi_copy){.ndim = ndim, .threads = 1};
    *offset = 0;
    nnfi_contiguous_strides(strides, ndim, shape);
    for (int i = 0; i < ndim; i++) {
        copy->shape[i] = plan->shape[i].value;
        copy->from_strides[i] = strides[i] * plan->step[i];
        *offset += strides[i] * plan->start[i];
    }
    nnfi_contiguous_strides(copy->to_strides, ndim, copy->shape);
}

static nnf_status infer_slice(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 5, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    slice_plan plan;
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    NNFI_TRY(plan_slice(&plan, module, inputs, n_inputs));
    outputs[0].ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++)
        outputs[0].shape[i] = plan.axes_known ? plan.shape[i] : nnfi_unknown_dim();
    if (x->n_values < 0 || !nnfi_info_is_static(x) || !nnfi_info_is_static(&outputs[0]))
        return NNF_OK;
    nnfi_copy copy;
    int64_t shape[NNF_MAX_DIMS], offset;
    known_shape(shape, x);
    slice_copy(&copy, &offset, &plan, x->ndim, shape);
    return infer_moved_values(&copy, offset, x, &outputs[0]);
}

static nnf_status forward_slice(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    nnfi_infos infos;
    slice_plan plan;
    NNFI_TRY(nnfi_infos_of_tensors(&infos, inputs, n_inputs));
    nnf_status status = plan_slice(&plan, module, infos.pointers, infos.n);
    nnfi_infos_clear(&infos);
    if (status != NNF_OK) return status;
    nnfi_copy copy;
    int64_t offset;
    slice_copy(&copy, &offset, &plan, nnf_tensor_ndim(inputs[0]), nnf_tensor_shape(inputs[0]));
    return run_moved(session, &copy, offset, inputs[0], outputs[0]);
}

/* ---- Concat ---- */

/* Adds one input to what is known of the result; `axis` is the one that grows. */
static nnf_status concat_input(const nnf_module *module, nnf_type_info *out, const nnf_type_info *x,
                               int axis) {
    NNFI_TRY(nnfi_merge_dtype(module, &out->dtype, out->dtype, x->dtype));
    bool fits = x->ndim < 0 || x->ndim == out->ndim;
    for (int i = 0; fits && i < x->ndim; i++) {
        if (i == axis) continue;
        fits = !nnfi_dim_differ(x->shape[i], out->shape[i]);
        out->shape[i] = nnfi_dim_either(out->shape[i], x->shape[i]);
    }
    if (fits) return NNF_OK;
    char text[NNFI_INFO_TEXT], first[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "Concat along axis %d cannot join %s to %s", axis,
                     nnfi_info_text(text, sizeof text, x),
                     nnfi_info_text(first, sizeof first, out));
}

/* Known elements, one input behind the other: for vectors, which is what shapes are. */
static nnf_status concat_values(const nnf_type_info *const *inputs, size_t n_inputs,
                                nnf_type_info *out) {
    nnf_dim values[NNF_MAX_KNOWN_VALUES];
    int n = 0;
    if (out->ndim != 1 || !nnfi_info_is_static(out)) return NNF_OK;
    if (out->shape[0].value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    for (size_t i = 0; i < n_inputs; i++) {
        bool known = inputs[i]->n_values >= 0;
        for (int k = 0; k < inputs[i]->shape[0].value; k++)
            values[n++] = known ? inputs[i]->values[k] : nnfi_unknown_dim();
    }
    if (!nnfi_keeps_values(out->dtype)) return NNF_OK;
    return nnf_type_info_set_values(out, values, n);
}

static nnf_status infer_concat(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_axis_options *options = nnf_module_options(module);
    size_t least = n_inputs > 0 ? n_inputs : 1;
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, least, least, n_outputs, 1));
    nnf_type_info *out = &outputs[0];
    int axis = 0;
    for (size_t i = 0; i < n_inputs && out->ndim < 0; i++)
        nnfi_info_set_shape(out, inputs[i]->ndim, inputs[i]->shape);
    if (out->ndim >= 0) NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, out->ndim));
    int64_t length = 0;
    bool known = true;
    for (size_t i = 0; i < n_inputs; i++) {
        NNFI_TRY(concat_input(module, out, inputs[i], axis));
        known = known && inputs[i]->ndim >= 0 && nnfi_dim_known(inputs[i]->shape[axis]);
        if (known && !nnfi_add(length, inputs[i]->shape[axis].value, &length))
            return nnf_error(NNF_ERROR_SHAPE, "Concat's result is too large along axis %d", axis);
    }
    if (out->ndim < 0) return NNF_OK;
    if (n_inputs > 1) out->shape[axis] = known ? nnfi_dim(length) : nnfi_unknown_dim();
    return concat_values(inputs, n_inputs, out);
}

static nnf_status forward_concat(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_outputs;
    const nnf_axis_options *options = nnf_module_options(module);
    const int64_t *shape = nnf_tensor_shape(outputs[0]);
    int ndim = nnf_tensor_ndim(outputs[0]), axis;
    if (nnf_tensor_numel(outputs[0]) == 0) return NNF_OK;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, ndim));
    nnfi_copy copy = {.size = nnf_dtype_size(nnf_tensor_dtype(outputs[0])),
                      .ndim = 2,
                      .shape = {1, 1},
                      .threads = nnf_session_threads(session)};
    for (int i = 0; i < axis; i++)
        copy.shape[0] *= shape[i];
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &copy.to));
    copy.to_strides[1] = copy.from_strides[1] = 1;
    copy.to_strides[0] = 1;
    for (int i = axis; i < ndim; i++)
        copy.to_strides[0] *= shape[i];
    for (size_t i = 0; i < n_inputs; i++) {
        if (nnf_tensor_numel(inputs[i]) == 0) continue;
        copy.shape[1] = copy.from_strides[0] = nnf_tensor_numel(inputs[i]) / copy.shape[0];
        NNFI_TRY(nnf_tensor_data(inputs[i], &copy.from));
        nnfi_strided_copy(&copy);
        copy.to = (char *)copy.to + copy.shape[1] * (int64_t)copy.size;
    }
    return NNF_OK;
}

/* ---- Gather ---- */

static nnf_status gather_index(int64_t *out, int64_t index, int64_t n) {
    *out = index < 0 ? index + n : index;
    if (*out >= 0 && *out < n) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "Gather has index %lld for an axis of size %lld",
                     (long long)index, (long long)n);
}

/* Elements of a known vector at known places: a dimension of a shape. */
static nnf_status gather_values(const nnf_type_info *x, const nnf_type_info *indices,
                                nnf_type_info *out) {
    nnf_dim values[NNF_MAX_KNOWN_VALUES];
    if (x->ndim != 1 || x->n_values < 0 || indices->n_values < 0) return NNF_OK;
    for (int i = 0; i < indices->n_values; i++) {
        int64_t at;
        values[i] = nnfi_unknown_dim();
        if (!nnfi_dim_known(indices->values[i])) continue;
        NNFI_TRY(gather_index(&at, indices->values[i].value, x->n_values));
        values[i] = x->values[at];
    }
    return nnf_type_info_set_values(out, values, indices->n_values);
}

static nnf_status infer_gather(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_axis_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0], *indices = inputs[1];
    nnf_type_info *out = &outputs[0];
    out->dtype = x->dtype;
    if (indices->dtype != NNF_DTYPE_UNKNOWN && indices->dtype != NNF_I32 &&
        indices->dtype != NNF_I64)
        return nnf_error(NNF_ERROR_DTYPE, "Gather takes int32 or int64 indices, not %s",
                         nnf_dtype_name(indices->dtype));
    if (x->ndim < 0) return NNF_OK;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, x->ndim));
    if (indices->ndim < 0) return NNF_OK;
    if (x->ndim - 1 + indices->ndim > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "Gather gives at most %d dimensions, not %d",
                         NNF_MAX_DIMS, x->ndim - 1 + indices->ndim);
    out->ndim = 0;
    for (int i = 0; i < axis; i++)
        out->shape[out->ndim++] = x->shape[i];
    for (int i = 0; i < indices->ndim; i++)
        out->shape[out->ndim++] = indices->shape[i];
    for (int i = axis + 1; i < x->ndim; i++)
        out->shape[out->ndim++] = x->shape[i];
    return gather_values(x, indices, out);
}

static nnf_status forward_gather(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_axis_options *options = nnf_module_options(module);
    const int64_t *shape = nnf_tensor_shape(inputs[0]);
    int ndim = nnf_tensor_ndim(inputs[0]), axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, ndim));
    int64_t outer = 1, n = shape[axis], n_indices = nnf_tensor_numel(inputs[1]);
    size_t inner = nnf_dtype_size(nnf_tensor_dtype(inputs[0]));
    for (int i = 0; i < axis; i++)
        outer *= shape[i];
    for (int i = axis + 1; i < ndim; i++)
        inner *= (size_t)shape[i];
    const void *x, *indices;
    void *y;
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    NNFI_TRY(nnf_tensor_data(inputs[1], &indices));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t k = 0; k < n_indices; k++) {
        int64_t at;
        NNFI_TRY(gather_index(&at, nnfi_load_i64(nnf_tensor_dtype(inputs[1]), indices, k), n));
        for (int64_t i = 0; i < outer; i++)
            memcpy((char *)y + (size_t)(i * n_indices + k) * inner,
                   (const char *)x + (size_t)(i * n + at) * inner, inner);
    }
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "Transpose",
     .options_size = sizeof(nnf_transpose_options),
     .infer = infer_transpose,
     .forward = forward_transpose},
    {.name = "Slice",
     .options_size = sizeof(nnf_slice_options),
     .infer = infer_slice,
     .forward = forward_slice},
    {.name = "Concat",
     .options_size = sizeof(nnf_axis_options),
     .infer = infer_concat,
     .forward = forward_concat},
    {.name = "Gather",
     .options_size = sizeof(nnf_axis_options),
     .infer = infer_gather,
     .forward = forward_gather},
};
const nnfi_type_family nnfi_movement_family = NNFI_TYPE_FAMILY(types);
