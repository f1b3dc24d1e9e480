/* GatherElements, GatherND, ScatterElements, ScatterND: elements at places that an index tensor
 * tells. */
#include <string.h>

#include "nn/nn_internal.h"
#include "nn/walk.h"

static nnf_status check_indices(const nnf_module *module, const nnf_type_info *info) {
    if (info->dtype == NNF_DTYPE_UNKNOWN || info->dtype == NNF_I32 || info->dtype == NNF_I64)
        return NNF_OK;
    return nnf_error(NNF_ERROR_DTYPE, "%s takes int32 or int64 indices, not %s",
                     nnf_module_type_name(module), nnf_dtype_name(info->dtype));
}

/* Element i of the index tensor, for an axis of n elements; negative ones count from the end. */
static nnf_status load_index(const nnf_module *module, int64_t *out, nnf_dtype dtype,
                             const void *indices, int64_t i, int64_t n) {
    int64_t index = nnfi_load_i64(dtype, indices, i);
    *out = index < 0 ? index + n : index;
    if (*out >= 0 && *out < n) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "%s has index %lld for an axis of size %lld",
                     nnf_module_type_name(module), (long long)index, (long long)n);
}

/* ---- Elements: each index stands where its element goes to or comes from, but on one axis ---- */

static nnf_status infer_gather_elements(const nnf_module *module,
                                        const nnf_type_info *const *inputs, size_t n_inputs,
                                        nnf_type_info *outputs, size_t n_outputs) {
    const nnf_axis_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    NNFI_TRY(check_indices(module, inputs[1]));
    int axis, ndim = inputs[0]->ndim;
    nnfi_info_set_shape(&outputs[0], inputs[1]->ndim, inputs[1]->shape);
    outputs[0].dtype = inputs[0]->dtype;
    if (ndim < 0) return NNF_OK;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, ndim));
    if (inputs[1]->ndim < 0 || inputs[1]->ndim == ndim) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "GatherElements has indices of rank %d for rank %d",
                     inputs[1]->ndim, ndim);
}

/* Every index may be no further along the other axes than the tensor that it points into. */
static nnf_status check_inside(const nnf_module *module, const nnf_tensor *indices,
                               const nnf_tensor *data, int axis) {
    for (int i = 0; i < nnf_tensor_ndim(data); i++) {
        int64_t n = nnf_tensor_shape(indices)[i], room = nnf_tensor_shape(data)[i];
        if (i != axis && n > room)
            return nnf_error(NNF_ERROR_SHAPE, "%s has %lld indices along axis %d of size %lld",
                             nnf_module_type_name(module), (long long)n, i, (long long)room);
    }
    return NNF_OK;
}

/* Where in `data` the walk over the indices is, but for the axis. */
static nnfi_walk walk_indices(const nnf_tensor *indices, const nnf_tensor *data, int axis) {
    nnfi_walk walk = nnfi_walk_start();
    int64_t strides[NNF_MAX_DIMS];
    nnfi_contiguous_strides(strides, nnf_tensor_ndim(data), nnf_tensor_shape(data));
    for (int i = 0; i < nnf_tensor_ndim(data); i++)
        nnfi_walk_add(&walk, nnf_tensor_shape(indices)[i], i == axis ? 0 : strides[i]);
    return walk;
}

static nnf_status forward_gather_elements(nnf_session *session, nnf_module *module,
                                          nnf_tensor *const *inputs, size_t n_inputs,
                                          nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_axis_options *options = nnf_module_options(module);
    const nnf_tensor *x = inputs[0], *indices = inputs[1];
    size_t size = nnf_dtype_size(nnf_tensor_dtype(x));
    const void *from, *places;
    void *to;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(x)));
    NNFI_TRY(check_inside(module, indices, x, axis));
    NNFI_TRY(nnf_tensor_data(x, &from));
    NNFI_TRY(nnf_tensor_data(indices, &places));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &to));
    nnfi_walk walk = walk_indices(indices, x, axis);
    nnfi_along along = nnfi_along_axis(x, axis);
    for (int64_t i = 0; i < walk.count; i++, nnfi_walk_next(&walk)) {
        int64_t index;
        NNFI_TRY(load_index(module, &index, nnf_tensor_dtype(indices), places, i, along.n));
        memcpy((char *)to + (size_t)i * size,
               (const char *)from + (size_t)(walk.offset + index * along.inner) * size, size);
    }
    return NNF_OK;
}

/* ---- What becomes of an element that is written ---- */

static nnf_status infer_scatter(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_scatter_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 3, 3, n_outputs, 1));
    NNFI_TRY(check_indices(module, inputs[1]));
    nnfi_info_set_like(&outputs[0], inputs[0]);
    NNFI_TRY(nnfi_merge_dtype(module, &outputs[0].dtype, inputs[0]->dtype, inputs[2]->dtype));
    if (options->kind != NNF_SCATTER_REPLACE) NNFI_TRY(nnfi_check_number(module, inputs[0]));
    return NNF_OK;
}

static double joined(nnf_scatter_kind kind, double old, double new) {
    switch (kind) {
    case NNF_SCATTER_ADD:
        return old + new;
    case NNF_SCATTER_MUL:
        return old * new;
    case NNF_SCATTER_MIN:
        return new < old ? new : old;
    case NNF_SCATTER_MAX:
        return new > old ? new : old;
    default:
        return new;
    }
}

/* Integers are joined as such: they wrap, and large ones stay exact. */
static int64_t joined_integers(nnf_scatter_kind kind, int64_t old, int64_t new) {
    switch (kind) {
    case NNF_SCATTER_ADD:
        return (int64_t)((uint64_t)old + (uint64_t) new);
    case NNF_SCATTER_MUL:
        return (int64_t)((uint64_t)old * (uint64_t) new);
    case NNF_SCATTER_MIN:
        return new < old ? new : old;
    case NNF_SCATTER_MAX:
        return new > old ? new : old;
    default:
        return new;
    }
}

/* Puts n elements of `updates` from the i-th on to place `at` of `y`. */
static void scatter(const nnf_scatter_options *options, nnf_dtype dtype, void *y, int64_t at,
                    const void *updates, int64_t i, int64_t n) {
    size_t size = nnf_dtype_size(dtype);
    if (options->kind == NNF_SCATTER_REPLACE) {
        memcpy((char *)y + (size_t)at * size, (const char *)updates + (size_t)i * size,
               (size_t)n * size);
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        if (nnf_dtype_is_float(dtype))
            nnfi_store_f64(dtype, y, at + k,
                           joined(options->kind, nnfi_load_f64(dtype, y, at + k),
                                  nnfi_load_f64(dtype, updates, i + k)));
        else
            nnfi_store_i64(dtype, y, at + k,
                           joined_integers(options->kind, nnfi_load_i64(dtype, y, at + k),
                                           nnfi_load_i64(dtype, updates, i + k)));
    }
}

static bool same_shape(const nnf_tensor *a, const nnf_tensor *b) {
    size_t size = (size_t)nnf_tensor_ndim(a) * sizeof(int64_t);
    return nnf_tensor_ndim(a) == nnf_tensor_ndim(b) &&
           memcmp(nnf_tensor_shape(a), nnf_tensor_shape(b), size) == 0;
}

static nnf_status forward_scatter_elements(nnf_session *session, nnf_module *module,
                                           nnf_tensor *const *inputs, size_t n_inputs,
                                           nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_scatter_options *options = nnf_module_options(module);
    const nnf_tensor *x = inputs[0], *indices = inputs[1];
    const void *places, *updates;
    void *y;
    int axis;
    if (nnf_tensor_ndim(indices) != nnf_tensor_ndim(x) || !same_shape(indices, inputs[2]))
        return nnf_error(NNF_ERROR_SHAPE,
                         "ScatterElements takes indices and updates of one shape, of its data's "
                         "rank %d",
                         nnf_tensor_ndim(x));
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(x)));
    NNFI_TRY(check_inside(module, indices, x, axis));
    NNFI_TRY(nnfi_copy_elements(outputs[0], x));
    NNFI_TRY(nnf_tensor_data(indices, &places));
    NNFI_TRY(nnf_tensor_data(inputs[2], &updates));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    nnfi_walk walk = walk_indices(indices, x, axis);
    nnfi_along along = nnfi_along_axis(x, axis);
    for (int64_t i = 0; i < walk.count; i++, nnfi_walk_next(&walk)) {
        int64_t index;
        NNFI_TRY(load_index(module, &index, nnf_tensor_dtype(indices), places, i, along.n));
        scatter(options, nnf_tensor_dtype(x), y, walk.offset + index * along.inner, updates, i, 1);
    }
    return NNF_OK;
}

/* ---- N-dimensional: the index tensor's last axis holds places in the first axes of the data ----
 */

static nnf_status infer_gather_nd(const nnf_module *module, const nnf_type_info *const *inputs,
                                  size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_gather_nd_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    NNFI_TRY(check_indices(module, inputs[1]));
    const nnf_type_info *x = inputs[0], *indices = inputs[1];
    nnf_type_info *out = &outputs[0];
    out->dtype = x->dtype;
    if (x->ndim < 0 || indices->ndim < 0) return NNF_OK;
    int64_t b = options->batch_dims;
    if (b < 0 || indices->ndim < 1 || b >= indices->ndim || b >= x->ndim)
        return nnf_error(NNF_ERROR_SHAPE, "GatherND has batch_dims %lld for ranks %d and %d",
                         (long long)b, x->ndim, indices->ndim);
    nnf_dim depth = indices->shape[indices->ndim - 1];
    if (!nnfi_dim_known(depth)) return NNF_OK;
    int64_t ndim = indices->ndim - 1 + x->ndim - b - depth.value;
    if (depth.value < 1 || b + depth.value > x->ndim || ndim > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "GatherND has places of %lld numbers in rank %d",
                         (long long)depth.value, x->ndim);
    for (int i = 0; i < indices->ndim - 1; i++)
        out->shape[i] = indices->shape[i];
    for (int i = indices->ndim - 1, from = (int)(b + depth.value); i < ndim; i++)
        out->shape[i] = x->shape[from++];
    out->ndim = (int)ndim;
    return NNF_OK;
}

/* Where the i-th place of `indices` is in `x`, in elements, behind `batch` axes. */
static nnf_status place_of(const nnf_module *module, int64_t *out, const nnf_tensor *x, int batch,
                           const nnf_tensor *indices, const void *places, int64_t i) {
    int64_t depth = nnf_tensor_shape(indices)[nnf_tensor_ndim(indices) - 1];
    int64_t strides[NNF_MAX_DIMS];
    nnfi_contiguous_strides(strides, nnf_tensor_ndim(x), nnf_tensor_shape(x));
    *out = 0;
    for (int64_t k = 0; k < depth; k++) {
        int64_t index, n = nnf_tensor_shape(x)[batch + k];
        NNFI_TRY(load_index(module, &index, nnf_tensor_dtype(indices), places, i * depth + k, n));
        *out += index * strides[batch + k];
    }
    return NNF_OK;
}

/* The product of the dimensions [first, last). */
static int64_t product(const nnf_tensor *tensor, int64_t first, int64_t last) {
    int64_t n = 1;
    for (int64_t i = first; i < last; i++)
        n *= nnf_tensor_shape(tensor)[i];
    return n;
}

static nnf_status forward_gather_nd(nnf_session *session, nnf_module *module,
                                    nnf_tensor *const *inputs, size_t n_inputs,
                                    nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_gather_nd_options *options = nnf_module_options(module);
    const nnf_tensor *x = inputs[0], *indices = inputs[1];
    int batch = (int)options->batch_dims, last = nnf_tensor_ndim(indices) - 1;
    int64_t depth = nnf_tensor_shape(indices)[last];
    int64_t run = product(x, batch + depth, nnf_tensor_ndim(x));
    int64_t n = product(indices, batch, last), image = product(x, batch, nnf_tensor_ndim(x));
    size_t size = nnf_dtype_size(nnf_tensor_dtype(x));
    const void *from, *places;
    void *to;
    for (int i = 0; i < batch; i++)
        if (nnf_tensor_shape(x)[i] != nnf_tensor_shape(indices)[i])
            return nnf_error(NNF_ERROR_SHAPE, "GatherND has batch axis %d of sizes %lld and %lld",
                             i, (long long)nnf_tensor_shape(x)[i],
                             (long long)nnf_tensor_shape(indices)[i]);
    NNFI_TRY(nnf_tensor_data(x, &from));
    NNFI_TRY(nnf_tensor_data(indices, &places));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &to));
    for (int64_t i = 0; i < product(indices, 0, last); i++) {
        int64_t at;
        NNFI_TRY(place_of(module, &at, x, batch, indices, places, i));
        memcpy((char *)to + (size_t)(i * run) * size,
               (const char *)from + (size_t)(i / n * image + at) * size, (size_t)run * size);
    }
    return NNF_OK;
}

static nnf_status check_scatter_nd(const nnf_tensor *x, const nnf_tensor *indices,
                                   const nnf_tensor *updates) {
    int last = nnf_tensor_ndim(indices) - 1, ndim = nnf_tensor_ndim(x);
    int64_t depth = last >= 0 ? nnf_tensor_shape(indices)[last] : 0;
    bool fits = depth >= 1 && depth <= ndim && nnf_tensor_ndim(updates) == last + ndim - depth;
    for (int i = 0; fits && i < nnf_tensor_ndim(updates); i++)
        fits = nnf_tensor_shape(updates)[i] ==
               (i < last ? nnf_tensor_shape(indices)[i] : nnf_tensor_shape(x)[depth + i - last]);
    if (fits) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE,
                     "ScatterND's updates are to have the shape of its places and, behind it, of "
                     "what each of them means in the data");
}

static nnf_status forward_scatter_nd(nnf_session *session, nnf_module *module,
                                     nnf_tensor *const *inputs, size_t n_inputs,
                                     nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_tensor *x = inputs[0], *indices = inputs[1];
    const void *places, *updates;
    void *y;
    NNFI_TRY(check_scatter_nd(x, indices, inputs[2]));
    int last = nnf_tensor_ndim(indices) - 1;
    int64_t run = product(x, nnf_tensor_shape(indices)[last], nnf_tensor_ndim(x));
    NNFI_TRY(nnfi_copy_elements(outputs[0], x));
    NNFI_TRY(nnf_tensor_data(indices, &places));
    NNFI_TRY(nnf_tensor_data(inputs[2], &updates));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t i = 0; i < product(indices, 0, last); i++) {
        int64_t at;
        NNFI_TRY(place_of(module, &at, x, 0, indices, places, i));
        scatter(nnf_module_options(module), nnf_tensor_dtype(x), y, at, updates, i * run, run);
    }
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "GatherElements",
     .options_size = sizeof(nnf_axis_options),
     .infer = infer_gather_elements,
     .forward = forward_gather_elements},
    {.name = "GatherND",
     .options_size = sizeof(nnf_gather_nd_options),
     .infer = infer_gather_nd,
     .forward = forward_gather_nd},
    {.name = "ScatterElements",
     .options_size = sizeof(nnf_scatter_options),
     .infer = infer_scatter,
     .forward = forward_scatter_elements},
    {.name = "ScatterND",
     .options_size = sizeof(nnf_scatter_options),
     .infer = infer_scatter,
     .forward = forward_scatter_nd},
};
const nnfi_type_family nnfi_index_family = NNFI_TYPE_FAMILY(types);
