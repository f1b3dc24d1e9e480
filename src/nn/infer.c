/* The words of shape inference that all layer rows share. */
#include <stdio.h>
#include <string.h>

#include "nn/nn_internal.h"

bool nnfi_dim_equal(nnf_dim a, nnf_dim b) {
    if (a.symbol != b.symbol || a.symbol == NNF_DIM_UNKNOWN) return false;
    return a.symbol > 0 || a.value == b.value;
}

bool nnfi_dim_differ(nnf_dim a, nnf_dim b) {
    return nnfi_dim_known(a) && nnfi_dim_known(b) && a.value != b.value;
}

nnf_dim nnfi_dim_either(nnf_dim a, nnf_dim b) {
    if (nnfi_dim_known(a)) return a;
    return nnfi_dim_known(b) || a.symbol == NNF_DIM_UNKNOWN ? b : a;
}

nnf_status nnfi_dim_mul(nnf_dim *out, nnf_dim a, nnf_dim b) {
    if (nnfi_dim_is(a, 0) || nnfi_dim_is(b, 1)) {
        *out = a;
        return NNF_OK;
    }
    if (nnfi_dim_is(b, 0) || nnfi_dim_is(a, 1)) {
        *out = b;
        return NNF_OK;
    }
    *out = nnfi_unknown_dim();
    if (!nnfi_dim_known(a) || !nnfi_dim_known(b)) return NNF_OK;
    *out = nnfi_dim(0);
    if (!nnfi_mul(a.value, b.value, &out->value))
        return nnf_error(NNF_ERROR_SHAPE, "the dimensions %lld and %lld multiply to too many",
                         (long long)a.value, (long long)b.value);
    return NNF_OK;
}

nnf_status nnfi_dim_product(nnf_dim *out, const nnf_dim *dims, int first, int last) {
    nnf_dim product = nnfi_dim(1);
    for (int i = first; i < last; i++)
        NNFI_TRY(nnfi_dim_mul(&product, product, dims[i]));
    *out = product;
    return NNF_OK;
}

bool nnfi_info_is_static(const nnf_type_info *info) {
    if (info->ndim < 0) return false;
    for (int i = 0; i < info->ndim; i++)
        if (!nnfi_dim_known(info->shape[i])) return false;
    return true;
}

void nnfi_info_set_shape(nnf_type_info *info, int ndim, const nnf_dim *shape) {
    info->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        info->shape[i] = shape[i];
}

void nnfi_info_set_like(nnf_type_info *info, const nnf_type_info *from) {
    info->dtype = from->dtype;
    nnfi_info_set_shape(info, from->ndim, from->shape);
}

/* Appends to a text that may be cut short. */
static size_t append(char *buffer, size_t size, size_t at, const char *format, long long value) {
    int n = snprintf(buffer + at, size - at, format, value);
    return n < 0 || (size_t)n >= size - at ? size - 1 : at + (size_t)n;
}

const char *nnfi_info_text(char *buffer, size_t size, const nnf_type_info *info) {
    const char *dtype = info->dtype ? nnf_dtype_name(info->dtype) : "tensor of unknown dtype";
    snprintf(buffer, size, "%s", dtype);
    size_t at = append(buffer, size, strlen(buffer), info->ndim < 0 ? " of unknown rank" : " [", 0);
    for (int i = 0; i < info->ndim; i++) {
        nnf_dim dim = info->shape[i];
        if (i > 0) at = append(buffer, size, at, ", ", 0);
        at = append(buffer, size, at,
                    dim.symbol == 0  ? "%lld"
                    : dim.symbol > 0 ? "s%lld"
                                     : "?",
                    dim.symbol > 0 ? dim.symbol : dim.value);
    }
    if (info->ndim >= 0) append(buffer, size, at, "]", 0);
    return buffer;
}

nnf_status nnfi_check_arity(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, size_t least, size_t most, size_t n_outputs,
                            size_t most_outputs) {
    size_t given = 0;
    while (given < n_inputs && inputs[given])
        given++;
    if (given >= least && n_inputs <= most && n_outputs > 0 && n_outputs <= most_outputs)
        return NNF_OK;
    const char *name = nnf_module_type_name(module);
    if (n_outputs == 0)
        return nnf_error(NNF_ERROR_INVALID, "%s gives an output, but none is asked for", name);
    if (n_outputs > most_outputs)
        return nnf_error(NNF_ERROR_INVALID, "%s gives at most %zu outputs, not %zu", name,
                         most_outputs, n_outputs);
    if (n_inputs > most)
        return nnf_error(NNF_ERROR_INVALID, "%s takes at most %zu inputs, not %zu", name, most,
                         n_inputs);
    return nnf_error(NNF_ERROR_INVALID, "%s needs %zu inputs, but input %zu is not given", name,
                     least, given);
}

nnf_status nnfi_check_float(const nnf_module *module, const nnf_type_info *info) {
    if (info->dtype == NNF_DTYPE_UNKNOWN || nnf_dtype_is_float(info->dtype)) return NNF_OK;
    return nnf_error(NNF_ERROR_DTYPE, "%s takes floating-point tensors, not %s",
                     nnf_module_type_name(module), nnf_dtype_name(info->dtype));
}

nnf_status nnfi_check_number(const nnf_module *module, const nnf_type_info *info) {
    if (info->dtype != NNF_BOOL) return NNF_OK;
    return nnf_error(NNF_ERROR_DTYPE, "%s takes numbers, not bool", nnf_module_type_name(module));
}

nnf_status nnfi_merge_dtype(const nnf_module *module, nnf_dtype *out, nnf_dtype a, nnf_dtype b) {
    if (a != NNF_DTYPE_UNKNOWN && b != NNF_DTYPE_UNKNOWN && a != b)
        return nnf_error(NNF_ERROR_DTYPE, "%s takes tensors of one dtype, not %s and %s",
                         nnf_module_type_name(module), nnf_dtype_name(a), nnf_dtype_name(b));
    *out = a != NNF_DTYPE_UNKNOWN ? a : b;
    return NNF_OK;
}

nnf_status nnfi_normalize_axis(const nnf_module *module, int *out, int64_t axis, int ndim) {
    if (axis < -ndim || axis >= ndim)
        return nnf_error(NNF_ERROR_SHAPE, "%s has axis %lld, but its tensor has %d dimensions",
                         nnf_module_type_name(module), (long long)axis, ndim);
    *out = (int)(axis < 0 ? axis + ndim : axis);
    return NNF_OK;
}

/* One axis of a broadcast; false where the two do not fit. */
static bool broadcast_dim(nnf_dim *out, nnf_dim a, nnf_dim b) {
    if (nnfi_dim_is(a, 1) || nnfi_dim_equal(a, b)) {
        *out = b;
    } else if (nnfi_dim_is(b, 1)) {
        *out = a;
    } else if (nnfi_dim_differ(a, b)) {
        return false;
    } else if (nnfi_dim_known(a)) {
        *out = a; /* b must be 1 or the same */
    } else if (nnfi_dim_known(b)) {
        *out = b;
    } else {
        *out = nnfi_unknown_dim();
    }
    return true;
}

nnf_status nnfi_broadcast(const nnf_module *module, nnf_type_info *out, const nnf_type_info *a,
                          const nnf_type_info *b) {
    out->ndim = -1;
    if (a->ndim < 0 || b->ndim < 0) return NNF_OK;
    int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; i < ndim; i++) {
        int in_a = i - (ndim - a->ndim), in_b = i - (ndim - b->ndim);
        nnf_dim dim_a = in_a < 0 ? nnfi_dim(1) : a->shape[in_a];
        nnf_dim dim_b = in_b < 0 ? nnfi_dim(1) : b->shape[in_b];
        if (broadcast_dim(&out->shape[i], dim_a, dim_b)) continue;
        char text_a[NNFI_INFO_TEXT], text_b[NNFI_INFO_TEXT];
        return nnf_error(NNF_ERROR_SHAPE,
                         "%s cannot broadcast %s and %s: axis %d has sizes %lld and %lld",
                         nnf_module_type_name(module), nnfi_info_text(text_a, sizeof text_a, a),
                         nnfi_info_text(text_b, sizeof text_b, b), i - ndim, (long long)dim_a.value,
                         (long long)dim_b.value);
    }
    out->ndim = ndim;
    return NNF_OK;
}

nnf_status nnfi_infer_float_same(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    NNFI_TRY(nnfi_check_float(module, inputs[0]));
    nnfi_info_set_like(&outputs[0], inputs[0]);
    return NNF_OK;
}

/* ---- Lists of integers ---- */

nnf_status nnfi_ints_of_option(nnfi_ints *out, const nnf_module *module, const char *what,
                               const int64_t *values, int room, int n) {
    if (n > room)
        return nnf_error(NNF_ERROR_INVALID, "%s has %d entries in %s, which hold %d at most",
                         nnf_module_type_name(module), n, what, room);
    out->given = n >= 0;
    out->n = n < 0 ? 0 : n;
    for (int i = 0; i < out->n; i++)
        out->values[i] = nnfi_dim(values[i]);
    return NNF_OK;
}

nnf_status nnfi_ints_of_info(nnfi_ints *out, const nnf_module *module, const char *what,
                             const nnf_type_info *info) {
    out->given = info != NULL;
    out->n = 0;
    if (!info) return NNF_OK;
    if (info->dtype != NNF_DTYPE_UNKNOWN && info->dtype != NNF_I32 && info->dtype != NNF_I64)
        return nnf_error(NNF_ERROR_DTYPE, "%s takes %s as int32 or int64, not %s",
                         nnf_module_type_name(module), what, nnf_dtype_name(info->dtype));
    if (info->ndim > 1)
        return nnf_error(NNF_ERROR_SHAPE, "%s takes %s as a list, but got a tensor of rank %d",
                         nnf_module_type_name(module), what, info->ndim);
    out->n = info->n_values;
    for (int i = 0; i < info->n_values; i++)
        out->values[i] = info->values[i];
    if (out->n >= 0 || info->ndim < 0) return NNF_OK;
    nnf_dim length = info->ndim == 0 ? nnfi_dim(1) : info->shape[0];
    if (!nnfi_dim_known(length) || length.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    out->n = (int)length.value;
    for (int i = 0; i < out->n; i++)
        out->values[i] = nnfi_unknown_dim();
    return NNF_OK;
}

nnf_status nnfi_ints_axes(const nnfi_ints *list, const nnf_module *module, int ndim, int *axes,
                          bool *known) {
    bool seen[NNF_MAX_DIMS] = {false};
    *known = list->n >= 0;
    if (list->n > ndim)
        return nnf_error(NNF_ERROR_SHAPE, "%s has %d axes, but its tensor has %d dimensions",
                         nnf_module_type_name(module), list->n, ndim);
    for (int i = 0; i < list->n; i++) {
        if (!nnfi_dim_known(list->values[i])) {
            *known = false;
            continue;
        }
        int axis;
        NNFI_TRY(nnfi_normalize_axis(module, &axis, list->values[i].value, ndim));
        if (seen[axis])
            return nnf_error(NNF_ERROR_SHAPE, "%s has axis %d twice", nnf_module_type_name(module),
                             axis);
        seen[axis] = true;
        axes[i] = axis;
    }
    return NNF_OK;
}

nnf_status nnfi_infos_of_tensors(nnfi_infos *out, nnf_tensor *const *inputs, size_t n_inputs) {
    size_t room = sizeof out->info / sizeof *out->info;
    out->n = 0;
    for (size_t i = 0; i < n_inputs && i < room; i++) {
        nnf_type_info_init(&out->info[i]);
        out->pointers[i] = inputs[i] ? &out->info[i] : NULL;
        out->n++;
        nnf_status status = inputs[i] ? nnf_type_info_of_tensor(&out->info[i], inputs[i]) : NNF_OK;
        if (status != NNF_OK) {
            nnfi_infos_clear(out);
            return status;
        }
    }
    return NNF_OK;
}

void nnfi_infos_clear(nnfi_infos *infos) {
    for (size_t i = 0; i < infos->n; i++)
        nnf_type_info_clear(&infos->info[i]);
    infos->n = 0;
}
