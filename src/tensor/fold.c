#include <math.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/folded.h"
#include "tensor/numbers.h"
#include "tensor/object.h"

static nnf_status check_numbers(const nnfi_fold *fold) {
    int64_t n = fold->view.groups * fold->view.channels;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(fold->scale_hi[i]) || !isfinite(fold->scale_lo[i]))
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "channel %lld: the scale is %g", (long long)i,
                             fold->scale_hi[i]);
        if (fold->shift_hi && (!isfinite(fold->shift_hi[i]) || !isfinite(fold->shift_lo[i])))
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "channel %lld: the shift is %g", (long long)i,
                             fold->shift_hi[i]);
    }
    return NNF_OK;
}

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

/* The fold that a contiguous tensor is, where one of `view` can be composed with it; retained. */
static nnfi_folded *fold_before(const nnf_tensor *base, const nnfi_channel_view *view) {
    if (base->numel != nnfi_storage_numel(base->storage)) return NULL;
    nnfi_folded *folded = nnfi_storage_folded(base->storage);
    if (!folded || memcmp(&folded->view, view, sizeof *view) == 0) return folded;
    nnfi_folded_release(folded);
    return NULL;
}

/* NULL in *out where the two cannot be composed. */
static nnf_status compose(nnfi_folded **out, const nnf_tensor *base, const nnfi_fold *fold) {
    *out = NULL;
    nnfi_folded *before = fold_before(base, &fold->view);
    if (!before) return NNF_OK;
    nnf_status status =
        nnfi_folded_new(out, before->dtype, before->base, before->base_offset, fold, before);
    nnfi_folded_release(before);
    if (status == NNF_OK && !(*out)->precise) {
        nnfi_folded_release(*out);
        *out = NULL;
    }
    return status;
}

static nnf_status fold_contiguous(nnfi_folded **out, const nnf_tensor *base,
                                  const nnfi_fold *fold) {
    NNFI_TRY(compose(out, base, fold));
    if (*out) return NNF_OK;
    const void *ignored;
    if (nnfi_storage_is_deferred(base->storage))
        NNFI_TRY(nnfi_storage_data(base->storage, &ignored));
    return nnfi_folded_new(out, base->dtype, base->storage, base->offset, fold, NULL);
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
                            const nnfi_fold *fold) {
    if (base) dtype = base->dtype;
    if (!nnf_dtype_is_float(dtype))
        return nnf_error(NNF_ERROR_DTYPE, "a tensor of %s cannot be scaled", nnf_dtype_name(dtype));
    int64_t numel;
    NNFI_TRY(check_view(base, &fold->view, &numel));
    NNFI_TRY(check_numbers(fold));
    nnfi_folded *folded;
    if (!base) {
        NNFI_TRY(nnfi_folded_new(&folded, dtype, NULL, 0, fold, NULL));
        return wrap(out, folded, 1, &numel);
    }
    nnf_tensor *whole;
    NNFI_TRY(nnf_tensor_contiguous(&whole, base));
    nnf_status status = fold_contiguous(&folded, whole, fold);
    nnf_tensor_release(whole);
    NNFI_TRY(status);
    return wrap(out, folded, base->ndim, base->shape);
}
