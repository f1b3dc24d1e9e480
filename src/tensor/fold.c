#include <string.h>

#include "support/memory.h"
#include "tensor/folded.h"
#include "tensor/numbers.h"
#include "tensor/object.h"

/* base NULL: as many elements as the view has. */
static nnf_status check_view(const nnf_tensor *base, const nnfi_channel_view *view,
                             int64_t *numel) {
    int64_t sizes[] = {view->groups, view->outer, view->channels, view->inner};
    char text[NNFI_SHAPE_TEXT];
    if (nnfi_shape_numel(4, sizes, numel) && (!base || *numel == base->numel)) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "a tensor of %lld elements cannot be seen as %s",
                     base ? (long long)base->numel : 0LL,
                     nnfi_shape_text(text, sizeof text, 4, sizes));
}

/* The fold that a contiguous tensor is, where another of `view` can come after it; retained. */
static nnfi_folded *fold_before(const nnf_tensor *base, const nnfi_channel_view *view,
                                bool is_bias) {
    if (base->numel != nnfi_storage_numel(base->storage)) return NULL;
    nnfi_folded *folded = nnfi_storage_folded(base->storage);
    if (!folded) return NULL;
    bool same = memcmp(&folded->view, view, sizeof *view) == 0 && folded->is_bias == is_bias &&
                folded->n_affines < UINT16_MAX;
    if (same) return folded;
    nnfi_folded_release(folded);
    return NULL;
}

static nnf_status fold_contiguous(nnfi_folded **out, const nnf_tensor *base,
                                  const nnfi_channel_view *view, bool is_bias,
                                  nnfi_affine *affine) {
    nnfi_folded *before = fold_before(base, view, is_bias);
    if (before) {
        nnf_status status = nnfi_folded_new(out, before->dtype, before->base, before->base_offset,
                                            view, is_bias, affine, before);
        nnfi_folded_release(before);
        return status;
    }
    const void *ignored;
    if (nnfi_storage_is_deferred(base->storage))
        NNFI_TRY(nnfi_storage_data(base->storage, &ignored));
    return nnfi_folded_new(out, base->dtype, base->storage, base->offset, view, is_bias, affine,
                           NULL);
}

/* The tensor of a fold, which it takes over. */
static nnf_status wrap(nnf_tensor **out, nnfi_folded *folded, int ndim, const int64_t *shape) {
    nnfi_storage *storage;
    nnf_dtype dtype = folded->dtype;
    nnf_status status = nnfi_folded_check_range(folded);
    if (status == NNF_OK) status = nnfi_storage_from_folded(&storage, folded);
    if (status != NNF_OK) {
        nnfi_folded_release(folded);
        return status;
    }
    return nnfi_tensor_wrap(out, storage, dtype, ndim, shape, 0);
}

nnf_status nnfi_tensor_fold(nnf_tensor **out, nnf_tensor *base, nnf_dtype dtype,
                            const nnfi_channel_view *view, nnfi_affine *affine) {
    if (base) dtype = base->dtype;
    if (!nnf_dtype_is_float(dtype))
        return nnf_error(NNF_ERROR_DTYPE, "a tensor of %s cannot be scaled", nnf_dtype_name(dtype));
    int64_t numel, channels = nnfi_affine_channels(affine);
    const nnfi_channel_view each = {1, 1, channels, 1};
    bool is_bias = !view;
    if (is_bias) view = &each;
    NNFI_TRY(check_view(base, view, &numel));
    if (view->groups * view->channels != channels)
        return nnf_error(NNF_ERROR_SHAPE, "%lld channels cannot be folded into %lld",
                         (long long)channels, (long long)(view->groups * view->channels));
    nnfi_folded *folded;
    if (!base) {
        NNFI_TRY(nnfi_folded_new(&folded, dtype, NULL, 0, view, is_bias, affine, NULL));
        return wrap(out, folded, 1, &numel);
    }
    nnf_tensor *whole;
    NNFI_TRY(nnf_tensor_contiguous(&whole, base));
    nnf_status status = fold_contiguous(&folded, whole, view, is_bias, affine);
    nnf_tensor_release(whole);
    NNFI_TRY(status);
    return wrap(out, folded, base->ndim, base->shape);
}
