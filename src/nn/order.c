/* ArgMax, ArgMin, TopK: which elements along an axis are the largest or the smallest. */
#include "nn/nn_internal.h"
#include "nn/walk.h"

/* An element that can be compared: floats as doubles, integers as they are. */
typedef struct ranked {
    double real;
    int64_t whole, index;
} ranked;

static ranked rank_of(nnf_dtype dtype, const void *data, int64_t at, int64_t index) {
    ranked out = {0, 0, index};
    if (nnf_dtype_is_float(dtype))
        out.real = nnfi_load_f64(dtype, data, at);
    else
        out.whole = nnfi_load_i64(dtype, data, at);
    return out;
}

/* Whether a stands before b: the larger one, or the smaller one. */
static bool before(const ranked *a, const ranked *b, bool largest) {
    if (a->real != b->real) return largest ? a->real > b->real : a->real < b->real;
    return largest ? a->whole > b->whole : a->whole < b->whole;
}

/* ---- ArgMax, ArgMin ---- */

static nnf_status infer_arg(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_arg_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    outputs[0].dtype = NNF_I64;
    if (x->ndim < 0) return NNF_OK;
    int axis, ndim = 0;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, x->ndim));
    if (nnfi_dim_is(x->shape[axis], 0))
        return nnf_error(NNF_ERROR_SHAPE, "%s finds nothing along axis %d of size 0",
                         nnf_module_type_name(module), axis);
    nnf_dim shape[NNF_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++) {
        if (i != axis)
            shape[ndim++] = x->shape[i];
        else if (options->keepdims)
            shape[ndim++] = nnfi_dim(1);
    }
    nnfi_info_set_shape(&outputs[0], ndim, shape);
    return NNF_OK;
}

static nnf_status arg_extreme(nnf_module *module, const nnf_tensor *x, nnf_tensor *y,
                              bool largest) {
    const nnf_arg_options *options = nnf_module_options(module);
    nnf_dtype dtype = nnf_tensor_dtype(x);
    const void *data;
    void *to;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(x)));
    nnfi_along along = nnfi_along_axis(x, axis);
    NNFI_TRY(nnf_tensor_data(x, &data));
    NNFI_TRY(nnf_tensor_mut_data(y, &to));
    for (int64_t i = 0; i < along.outer * along.inner; i++) {
        int64_t first = i / along.inner * along.n * along.inner + i % along.inner;
        ranked best = rank_of(dtype, data, first, 0);
        for (int64_t k = 1; k < along.n; k++) {
            ranked other = rank_of(dtype, data, first + k * along.inner, k);
            bool wins = options->select_last_index ? !before(&best, &other, largest)
                                                   : before(&other, &best, largest);
            if (wins) best = other;
        }
        ((int64_t *)to)[i] = best.index;
    }
    return NNF_OK;
}

static nnf_status forward_arg_max(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    return arg_extreme(module, inputs[0], outputs[0], true);
}

static nnf_status forward_arg_min(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    return arg_extreme(module, inputs[0], outputs[0], false);
}

/* ---- TopK ---- */

static nnf_status infer_top_k(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_top_k_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 2));
    const nnf_type_info *x = inputs[0];
    nnfi_ints k;
    NNFI_TRY(nnfi_ints_of_info(&k, module, "its k", inputs[1]));
    for (size_t i = 0; i < n_outputs; i++)
        outputs[i].dtype = i == 0 ? x->dtype : NNF_I64;
    if (x->ndim < 0) return NNF_OK;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, x->ndim));
    nnf_dim count = k.n == 1 ? k.values[0] : nnfi_unknown_dim(), n = x->shape[axis];
    if (nnfi_dim_known(count) && (count.value < 0 || (nnfi_dim_known(n) && count.value > n.value)))
        return nnf_error(NNF_ERROR_SHAPE, "TopK is to find %lld of the %lld along axis %d",
                         (long long)count.value, (long long)n.value, axis);
    for (size_t i = 0; i < n_outputs; i++) {
        nnfi_info_set_shape(&outputs[i], x->ndim, x->shape);
        outputs[i].shape[axis] = count;
    }
    return NNF_OK;
}

/* Merges the sorted halves of items[0 .. n) by way of `room`; equal ones keep their order. */
static void merge_sort(ranked *items, ranked *room, int64_t n, bool largest) {
    if (n < 2) return;
    int64_t half = n / 2, a = 0, b = half;
    merge_sort(items, room, half, largest);
    merge_sort(items + half, room, n - half, largest);
    for (int64_t i = 0; i < n; i++) {
        bool second = a == half || (b < n && before(&items[b], &items[a], largest));
        room[i] = second ? items[b++] : items[a++];
    }
    for (int64_t i = 0; i < n; i++)
        items[i] = room[i];
}

static nnf_status forward_top_k(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs;
    const nnf_top_k_options *options = nnf_module_options(module);
    nnf_tensor *values = outputs[0], *indices = n_outputs > 1 ? outputs[1] : NULL;
    nnf_tensor *shaped = values ? values : indices;
    nnf_dtype dtype = nnf_tensor_dtype(inputs[0]);
    const void *x;
    void *y = NULL, *places = NULL;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(inputs[0])));
    nnfi_along along = nnfi_along_axis(inputs[0], axis);
    int64_t k = nnf_tensor_shape(shaped)[axis];
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    if (values) NNFI_TRY(nnf_tensor_mut_data(values, &y));
    if (indices) NNFI_TRY(nnf_tensor_mut_data(indices, &places));
    ranked *items = nnfi_calloc((size_t)along.n + 1, 2 * sizeof *items);
    if (!items) return nnfi_error_memory((size_t)along.n * 2 * sizeof *items, "a sorted axis");
    for (int64_t i = 0; i < along.outer * along.inner; i++) {
        int64_t first = i / along.inner * along.n * along.inner + i % along.inner;
        for (int64_t j = 0; j < along.n; j++)
            items[j] = rank_of(dtype, x, first + j * along.inner, j);
        merge_sort(items, items + along.n, along.n, options->largest);
        for (int64_t j = 0; j < k; j++) {
            int64_t to = (i / along.inner * k + j) * along.inner + i % along.inner;
            if (places) ((int64_t *)places)[to] = items[j].index;
            if (!y) continue;
            if (nnf_dtype_is_float(dtype))
                nnfi_store_f64(dtype, y, to, items[j].real);
            else
                nnfi_store_i64(dtype, y, to, items[j].whole);
        }
    }
    nnfi_free(items);
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "ArgMax",
     .options_size = sizeof(nnf_arg_options),
     .infer = infer_arg,
     .forward = forward_arg_max},
    {.name = "ArgMin",
     .options_size = sizeof(nnf_arg_options),
     .infer = infer_arg,
     .forward = forward_arg_min},
    {.name = "TopK",
     .options_size = sizeof(nnf_top_k_options),
     .infer = infer_top_k,
     .forward = forward_top_k},
};
const nnfi_type_family nnfi_order_family = NNFI_TYPE_FAMILY(types);
