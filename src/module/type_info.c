/* What is known of a value before it is computed. */
#include <string.h>

#include "module/module_internal.h"
#include "support/memory.h"

void nnf_type_info_init(nnf_type_info *info) {
    *info = (nnf_type_info){.dtype = NNF_DTYPE_UNKNOWN, .ndim = -1, .n_values = -1};
}

void nnf_type_info_clear(nnf_type_info *info) {
    if (!info) return;
    nnfi_free(info->values);
    nnf_type_info_init(info);
}

/* An info, and what it is made from. */
static nnf_status need_info(const nnf_type_info *info, bool source) {
    if (info && source) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "an info is needed, and what it is to say");
}

nnf_status nnf_type_info_set_values(nnf_type_info *info, const nnf_dim *values, int n) {
    if (n < 0 || n > NNF_MAX_KNOWN_VALUES)
        return nnf_error(NNF_ERROR_INVALID, "%d elements cannot be kept: at most %d are", n,
                         NNF_MAX_KNOWN_VALUES);
    NNFI_TRY(need_info(info, values || n == 0));
    size_t size = (size_t)n * sizeof *values;
    nnf_dim *copy = nnfi_alloc(size);
    if (!copy) return nnfi_error_memory(size, "known elements");
    if (n > 0) memcpy(copy, values, size);
    nnfi_free(info->values);
    info->values = copy;
    info->n_values = n;
    return NNF_OK;
}

nnf_status nnf_type_info_copy(nnf_type_info *to, const nnf_type_info *from) {
    NNFI_TRY(need_info(to, from));
    if (to == from) return NNF_OK;
    nnf_type_info copy = *from;
    copy.values = NULL;
    copy.n_values = -1;
    if (from->n_values >= 0)
        NNFI_TRY(nnf_type_info_set_values(&copy, from->values, from->n_values));
    nnfi_free(to->values);
    *to = copy;
    return NNF_OK;
}

nnf_status nnf_type_info_of_tensor(nnf_type_info *info, const nnf_tensor *tensor) {
    nnf_type_info seen;
    NNFI_TRY(need_info(info, tensor));
    nnf_type_info_init(&seen);
    seen.dtype = nnf_tensor_dtype(tensor);
    seen.ndim = nnf_tensor_ndim(tensor);
    for (int i = 0; i < seen.ndim; i++)
        seen.shape[i] = (nnf_dim){nnf_tensor_shape(tensor)[i], 0};
    int64_t n = nnf_tensor_numel(tensor);
    bool kept = seen.dtype == NNF_I32 || seen.dtype == NNF_I64 || seen.dtype == NNF_BOOL;
    if (kept && n <= NNF_MAX_KNOWN_VALUES) {
        int64_t elements[NNF_MAX_KNOWN_VALUES]; /* room for either dtype */
        nnf_dim values[NNF_MAX_KNOWN_VALUES];
        NNFI_TRY(nnf_tensor_read(tensor, 0, n, elements));
        for (int64_t i = 0; i < n; i++)
            values[i] = (nnf_dim){nnfi_load_i64(seen.dtype, elements, i), 0};
        NNFI_TRY(nnf_type_info_set_values(&seen, values, (int)n));
    }
    nnfi_free(info->values);
    *info = seen;
    return NNF_OK;
}

/* The product of the dimensions; -1 where one is not known, or there are too many elements. */
static int64_t static_numel(const nnf_type_info *info) {
    int64_t n = 1;
    if (info->ndim < 0) return -1;
    for (int i = 0; i < info->ndim; i++)
        if (info->shape[i].symbol != 0 || !nnfi_mul(n, info->shape[i].value, &n)) return -1;
    return n;
}

void nnfi_info_settle(nnf_type_info *info) {
    if (info->ndim > NNF_MAX_DIMS) info->ndim = -1;
    for (int i = 0; i < info->ndim; i++)
        if (info->shape[i].symbol == 0 && info->shape[i].value < 0)
            info->shape[i] = (nnf_dim){0, NNF_DIM_UNKNOWN};
    if (info->n_values < 0 || info->n_values == static_numel(info)) return;
    nnfi_free(info->values);
    info->values = NULL;
    info->n_values = -1;
}

/* Types call nnfi_module_infer again for what they contain. */
static _Thread_local struct {
    int depth;
    bool too_deep; /* said on the way back by the outermost call: the paths of all that it is in
                      leave no room for it in a message */
} nesting;

static nnf_status infer_nested(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    nesting.depth++;
    nnf_status status = NNF_ERROR_UNSUPPORTED;
    if (nesting.depth > NNFI_MAX_NESTING)
        nesting.too_deep = true;
    else
        status = nnf_module_get_type(module)->infer(module, inputs, n_inputs, outputs, n_outputs);
    if (--nesting.depth > 0 || !nesting.too_deep) return status;
    nesting.too_deep = false;
    return nnf_error(NNF_ERROR_UNSUPPORTED, "modules are nested deeper than %d", NNFI_MAX_NESTING);
}

nnf_status nnfi_module_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    if (!nnf_module_get_type(module)->infer) return NNF_OK;
    NNFI_TRY(infer_nested(module, inputs, n_inputs, outputs, n_outputs));
    for (size_t i = 0; i < n_outputs; i++)
        nnfi_info_settle(&outputs[i]);
    return NNF_OK;
}

void nnf_affine_map_clear(nnf_affine_map *map) {
    if (!map) return;
    nnf_tensor_release(map->weight);
    nnf_tensor_release(map->bias);
    nnf_tensor_release(map->mean);
    nnf_tensor_release(map->var);
    *map = (nnf_affine_map){0};
}
