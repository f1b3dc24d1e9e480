/* The arithmetic of sliding windows, and what is known of a layer's weights. */
#include "nn/window.h"

bool nnfi_window_extent(const nnfi_window *window, int64_t *extent) {
    return nnfi_mul(window->dilation, window->kernel - 1, extent) && nnfi_add(*extent, 1, extent);
}

void nnfi_split_padding(nnf_auto_pad auto_pad, int64_t total, int64_t *begin, int64_t *end) {
    int64_t smaller = total / 2;
    *begin = auto_pad == NNF_AUTO_PAD_SAME_UPPER ? smaller : total - smaller;
    *end = total - *begin;
}

bool nnfi_is_small(int64_t value) {
    return value > -(INT64_MAX / 8) && value < INT64_MAX / 8;
}

static nnf_status too_large(const nnf_module *module) {
    return nnf_error(NNF_ERROR_SHAPE,
                     "%s has a kernel, dilation, padding or input that is too large",
                     nnf_module_type_name(module));
}

static int64_t slide_same(nnfi_window *window, int64_t in, int64_t extent) {
    int64_t out = in / window->stride + (in % window->stride != 0);
    int64_t total = out > 0 ? (out - 1) * window->stride + extent - in : 0;
    nnfi_split_padding(window->auto_pad, total > 0 ? total : 0, &window->begin, &window->end);
    return out;
}

static nnf_status slide_padded(const nnf_module *module, const nnfi_window *window, int64_t in,
                               int64_t extent, int64_t *out) {
    int64_t stride = window->stride, room = in + window->begin + window->end - extent;
    if (room < 0)
        return nnf_error(NNF_ERROR_SHAPE,
                         "%s has a window of %lld, larger than its input of %lld with padding %lld "
                         "and %lld",
                         nnf_module_type_name(module), (long long)extent, (long long)in,
                         (long long)window->begin, (long long)window->end);
    *out = room / stride + 1;
    if (window->ceil_mode && room % stride) {
        /* The last window reaches past the end padding; it may not begin there. */
        bool outside = *out * stride >= in + window->begin;
        if (!(window->drop_last_outside && outside)) ++*out;
    }
    return NNF_OK;
}

nnf_status nnfi_window_slide(const nnf_module *module, nnfi_window *window, nnf_dim in,
                             nnf_dim *out) {
    int64_t extent;
    if (window->auto_pad == NNF_AUTO_PAD_VALID) window->begin = window->end = 0;
    if (!nnfi_window_extent(window, &extent) || !nnfi_is_small(extent) ||
        !nnfi_is_small(window->begin) || !nnfi_is_small(window->end) ||
        !nnfi_is_small(window->stride))
        return too_large(module);
    if (!nnfi_dim_known(in)) {
        bool same = window->stride == 1 && (nnfi_auto_pad_is_same(window->auto_pad) ||
                                            window->begin + window->end == extent - 1);
        *out = same ? in : nnfi_unknown_dim();
        return NNF_OK;
    }
    if (!nnfi_is_small(in.value)) return too_large(module);
    *out = nnfi_dim(0);
    if (nnfi_auto_pad_is_same(window->auto_pad)) {
        out->value = slide_same(window, in.value, extent);
        return NNF_OK;
    }
    return slide_padded(module, window, in.value, extent, &out->value);
}

nnf_status nnfi_check_each(const char *type, const char *option, const int64_t *values, int n,
                           int64_t least) {
    for (int i = 0; i < n; i++)
        if (values[i] < least)
            return nnf_error(NNF_ERROR_INVALID, "%s has %s[%d] = %lld; it must be at least %lld",
                             type, option, i, (long long)values[i], (long long)least);
    return NNF_OK;
}

nnfi_slot_info nnfi_slot_info_of(const nnf_module *module, size_t slot,
                                 const nnf_type_info *const *inputs, size_t n_inputs) {
    const char *name = nnf_module_get_type(module)->slots[slot].name;
    const nnf_type_info *input = nnfi_input(inputs, n_inputs, 1 + slot);
    const nnf_tensor *tensor = nnf_module_tensor(module, name);
    nnfi_slot_info slot_info = {.given = true};
    nnf_type_info_init(&slot_info.info);
    if (tensor) {
        slot_info.info.dtype = nnf_tensor_dtype(tensor);
        slot_info.info.ndim = nnf_tensor_ndim(tensor);
        for (int i = 0; i < slot_info.info.ndim; i++)
            slot_info.info.shape[i] = nnfi_dim(nnf_tensor_shape(tensor)[i]);
    } else if (!nnf_module_is_parametrized(module, name)) {
        slot_info.given = input != NULL;
        if (input) nnfi_info_set_like(&slot_info.info, input);
    }
    return slot_info;
}

nnf_status nnfi_set_zeros(nnf_module *module, size_t slot, nnf_dtype dtype, int ndim,
                          const int64_t *shape) {
    const nnf_module_type *type = nnf_module_get_type(module);
    const char *name = type->slots[slot].name;
    if (!nnf_dtype_is_float(dtype))
        return nnf_error(NNF_ERROR_DTYPE, "%s holds floating-point parameters, not %s", type->name,
                         nnf_dtype_name(dtype));
    nnf_tensor *zeros;
    NNFI_TRY(nnf_tensor_new(&zeros, dtype, ndim, shape));
    nnf_status status = type->slots[slot].kind == NNF_SLOT_BUFFER
                            ? nnf_module_set_buffer(module, name, zeros)
                            : nnf_module_set_parameter(module, name, zeros);
    nnf_tensor_release(zeros);
    return status;
}
