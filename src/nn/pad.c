/* Pad: constant, reflect, edge, wrap; negative pads crop. */
#include <string.h>

#include "nn/nn_internal.h"

/* ---- The routine: one table for each axis says which element comes from where ---- */

/* Index i of an axis of n elements, outside it perhaps, made one inside it; -1: the constant. */
static int64_t source(nnf_pad_kind kind, int64_t i, int64_t n) {
    if (i >= 0 && i < n) return i;
    switch (kind) {
    case NNF_PAD_REFLECT:
        return i < 0 ? -i : 2 * (n - 1) - i;
    case NNF_PAD_EDGE:
        return i < 0 ? 0 : n - 1;
    case NNF_PAD_WRAP:
        return (i % n + n) % n;
    case NNF_PAD_CONSTANT:
        break;
    }
    return -1;
}

static int64_t padded(const nnfi_padding *padding, int axis) {
    return padding->begin[axis] + padding->shape[axis] + padding->end[axis];
}

/* Writes n times the constant. */
static void fill(const nnfi_padding *padding, char *to, int64_t n) {
    nnfi_strided_copy(&(nnfi_copy){.size = padding->size,
                                   .ndim = 1,
                                   .shape = {n},
                                   .to_strides = {1},
                                   .to = to,
                                   .from = padding->value,
                                   .threads = 1});
}

/* One row of the last axis: the inside is one piece, the rest goes element by element. */
static void pad_row(const nnfi_padding *padding, char *to, const char *from, const int64_t *table) {
    int last = padding->ndim - 1;
    int64_t n = padded(padding, last), begin = padding->begin[last];
    int64_t first = begin > 0 ? begin : 0, end = begin + padding->shape[last];
    size_t size = padding->size;
    if (end > n) end = n;
    if (!from || end <= first) first = end = 0;
    if (end > first)
        memcpy(to + (size_t)first * size, from + (size_t)(first - begin) * size,
               (size_t)(end - first) * size);
    if (padding->kind == NNF_PAD_CONSTANT) {
        fill(padding, to, first);
        fill(padding, to + (size_t)end * size, n - end);
        return;
    }
    for (int64_t i = 0; i < first; i++)
        memcpy(to + (size_t)i * size, from + (size_t)table[i] * size, size);
    for (int64_t i = end; i < n; i++)
        memcpy(to + (size_t)i * size, from + (size_t)table[i] * size, size);
}

static void pad_rows(const nnfi_padding *padding, int64_t n_rows, const int64_t *const *tables) {
    int last = padding->ndim - 1;
    int64_t strides[NNF_MAX_DIMS], row = padded(padding, last) * (int64_t)padding->size;
    nnfi_contiguous_strides(strides, padding->ndim, padding->shape);
#pragma omp parallel for num_threads(padding->threads) if (padding->threads > 1 && n_rows > 64)
    for (int64_t r = 0; r < n_rows; r++) {
        const char *from = (const char *)padding->x;
        int64_t rest = r;
        for (int axis = last - 1; axis >= 0; axis--) {
            int64_t n = padded(padding, axis), at = tables[axis][rest % n];
            rest /= n;
            if (at < 0) from = NULL;
            if (from) from += at * strides[axis] * (int64_t)padding->size;
        }
        pad_row(padding, (char *)padding->y + r * row, from, tables[last]);
    }
}

nnf_status nnfi_pad(const nnfi_padding *padding) {
    if (padding->ndim == 0) {
        memcpy(padding->y, padding->x, padding->size);
        return NNF_OK;
    }
    int64_t entries = 0, n_rows = 1;
    for (int axis = 0; axis < padding->ndim; axis++) {
        entries += padded(padding, axis);
        if (axis < padding->ndim - 1) n_rows *= padded(padding, axis);
    }
    if (n_rows == 0 || padded(padding, padding->ndim - 1) == 0) return NNF_OK;
    int64_t *memory = nnfi_calloc((size_t)entries, sizeof *memory), *next = memory;
    if (!memory) return nnfi_error_memory((size_t)entries * sizeof *memory, "the places of a Pad");
    const int64_t *tables[NNF_MAX_DIMS];
    for (int axis = 0; axis < padding->ndim; axis++) {
        tables[axis] = next;
        for (int64_t i = 0; i < padded(padding, axis); i++)
            *next++ = source(padding->kind, i - padding->begin[axis], padding->shape[axis]);
    }
    pad_rows(padding, n_rows, tables);
    nnfi_free(memory);
    return NNF_OK;
}

/* ---- The row ---- */

/* begin and end for each axis, as far as they are known. */
typedef struct pads {
    nnf_dim begin[NNF_MAX_DIMS], end[NNF_MAX_DIMS];
} pads;

static nnf_status pads_lists(nnfi_ints *list, nnfi_ints *axes, const nnf_module *module,
                             const nnf_type_info *const *inputs, size_t n_inputs) {
    const nnf_pad_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_ints_of_option(list, module, "its pads", options->pads, NNFI_ROOM(options->pads),
                                 options->n));
    *axes = (nnfi_ints){.given = false};
    if (options->n >= 0) return NNF_OK;
    NNFI_TRY(nnfi_ints_of_info(list, module, "its pads", nnfi_input(inputs, n_inputs, 1)));
    if (!list->given) return nnf_error(NNF_ERROR_INVALID, "Pad is not given its pads");
    return nnfi_ints_of_info(axes, module, "its axes", nnfi_input(inputs, n_inputs, 3));
}

static nnf_status find_pads(pads *out, const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs) {
    nnfi_ints list, given;
    int ndim = inputs[0]->ndim, axes[NNF_MAX_KNOWN_VALUES];
    NNFI_TRY(pads_lists(&list, &given, module, inputs, n_inputs));
    bool known = list.n >= 0;
    int n = given.given ? given.n : ndim;
    for (int i = 0; i < ndim; i++)
        axes[i] = i;
    if (given.given) {
        bool axes_known;
        NNFI_TRY(nnfi_ints_axes(&given, module, ndim, axes, &axes_known));
        known = known && axes_known;
    }
    if (known && list.n != 2 * n)
        return nnf_error(NNF_ERROR_SHAPE, "Pad has %d pads for %d axes, not two for each", list.n,
                         n);
    for (int i = 0; i < ndim; i++)
        out->begin[i] = out->end[i] = known ? nnfi_dim(0) : nnfi_unknown_dim();
    for (int i = 0; known && i < n; i++) {
        out->begin[axes[i]] = list.values[i];
        out->end[axes[i]] = list.values[n + i];
    }
    return NNF_OK;
}

/* One axis; what each kind needs of it is said here. */
static nnf_status padded_dim(nnf_dim *out, nnf_pad_kind kind, int axis, nnf_dim dim, nnf_dim begin,
                             nnf_dim end) {
    *out = nnfi_unknown_dim();
    if (nnfi_dim_is(begin, 0) && nnfi_dim_is(end, 0)) {
        *out = dim;
        return NNF_OK;
    }
    if (!nnfi_dim_known(dim) || !nnfi_dim_known(begin) || !nnfi_dim_known(end)) return NNF_OK;
    const int64_t most = INT64_MAX / 4; /* so that no sum of three overflows */
    int64_t n = dim.value, low = begin.value, high = end.value, sum = -1;
    if (n <= most && low <= most && high <= most && low >= -most && high >= -most)
        sum = low + n + high;
    if (sum < 0)
        return nnf_error(NNF_ERROR_SHAPE,
                         "Pad cannot put %lld and %lld around axis %d of size %lld", (long long)low,
                         (long long)high, axis, (long long)n);
    bool reflects = kind == NNF_PAD_REFLECT && (low >= n || high >= n);
    bool empty = kind != NNF_PAD_CONSTANT && n == 0;
    if (reflects || empty)
        return nnf_error(
            NNF_ERROR_SHAPE, "Pad cannot %s axis %d of size %lld to %lld and %lld more",
            reflects ? "reflect" : "extend", axis, (long long)n, (long long)low, (long long)high);
    *out = nnfi_dim(sum);
    return NNF_OK;
}

static nnf_status infer_pad(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_pad_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 4, n_outputs, 1));
    const nnf_type_info *x = inputs[0], *value = nnfi_input(inputs, n_inputs, 2);
    outputs[0].dtype = x->dtype;
    if (value) {
        NNFI_TRY(nnfi_merge_dtype(module, &outputs[0].dtype, x->dtype, value->dtype));
        nnf_dim n = nnfi_dim(1);
        if (value->ndim >= 0) NNFI_TRY(nnfi_dim_product(&n, value->shape, 0, value->ndim));
        if (nnfi_dim_differ(n, nnfi_dim(1)))
            return nnf_error(NNF_ERROR_SHAPE, "Pad takes a value of one element, not %lld",
                             (long long)n.value);
    }
    if (x->ndim < 0) return NNF_OK;
    pads found;
    nnf_dim shape[NNF_MAX_DIMS];
    NNFI_TRY(find_pads(&found, module, inputs, n_inputs));
    for (int i = 0; i < x->ndim; i++)
        NNFI_TRY(
            padded_dim(&shape[i], options->kind, i, x->shape[i], found.begin[i], found.end[i]));
    nnfi_info_set_shape(&outputs[0], x->ndim, shape);
    return NNF_OK;
}

/* The pads as numbers: infer has found that they are known. */
static nnf_status actual_pads(nnfi_padding *out, const nnf_module *module,
                              nnf_tensor *const *inputs, size_t n_inputs) {
    nnfi_infos infos;
    pads found;
    NNFI_TRY(nnfi_infos_of_tensors(&infos, inputs, n_inputs));
    nnf_status status = find_pads(&found, module, infos.pointers, infos.n);
    nnfi_infos_clear(&infos);
    if (status != NNF_OK) return status;
    out->ndim = nnf_tensor_ndim(inputs[0]);
    for (int i = 0; i < out->ndim; i++) {
        out->shape[i] = nnf_tensor_shape(inputs[0])[i];
        out->begin[i] = found.begin[i].value;
        out->end[i] = found.end[i].value;
    }
    return NNF_OK;
}

static nnf_status forward_pad(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                              size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    const nnf_pad_options *options = nnf_module_options(module);
    const nnf_tensor *value = nnfi_input_tensor(inputs, n_inputs, 2);
    nnf_dtype dtype = nnf_tensor_dtype(inputs[0]);
    double element = 0;
    nnfi_store_f64(dtype, &element, 0, options->value);
    nnfi_padding padding = {.kind = options->kind,
                            .size = nnf_dtype_size(dtype),
                            .value = &element,
                            .threads = nnf_session_threads(session)};
    NNFI_TRY(actual_pads(&padding, module, inputs, n_inputs));
    if (value) NNFI_TRY(nnf_tensor_data(value, &padding.value));
    NNFI_TRY(nnf_tensor_data(inputs[0], &padding.x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &padding.y));
    return nnfi_pad(&padding);
}

static const nnf_module_type types[] = {{
    .name = "Pad",
    .options_size = sizeof(nnf_pad_options),
    .infer = infer_pad,
    .forward = forward_pad,
}};
const nnfi_type_family nnfi_pad_family = NNFI_TYPE_FAMILY(types);
