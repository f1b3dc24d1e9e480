/* A weight or a bias with affine maps folded into it, not computed yet. Never changes once made,
 * but for the scales, which are found when they are first needed; shared by the storages and
 * readers that need it. */
#ifndef NNFI_FOLDED_H
#define NNFI_FOLDED_H

#include <stdatomic.h>

#include "tensor/affine.h"
#include "tensor/storage.h"

struct nnfi_folded {
    atomic_uint references;
    uint8_t dtype;       /* nnf_dtype */
    bool is_bias : 1;    /* the whole maps are applied, not only their scales */
    bool unchecked : 1;  /* whether elements leave the range is seen when they are computed */
    uint16_t n_affines;  /* applied in this order */
    nnfi_storage *base;  /* NULL: zeros */
    int64_t base_offset; /* elements */
    nnfi_channel_view view;
    /* [groups * channels] of the maps' scales' products, for f64 once more what these miss; NaN
     * where doubles don't do. NULL: not found yet. */
    _Atomic(double *) scales;
    nnfi_affine *affines[];
};

static inline int64_t nnfi_folded_numel(const nnfi_folded *folded) {
    const nnfi_channel_view *view = &folded->view;
    return view->groups * view->outer * view->channels * view->inner;
}

/* Retains what it is given. `before`: the fold that this one comes after; NULL: none. */
nnf_status nnfi_folded_new(nnfi_folded **out, nnf_dtype dtype, nnfi_storage *base,
                           int64_t base_offset, const nnfi_channel_view *view, bool is_bias,
                           nnfi_affine *affine, const nnfi_folded *before);
nnfi_folded *nnfi_folded_retain(nnfi_folded *folded);
void nnfi_folded_release(nnfi_folded *folded); /* NULL is allowed */
bool nnfi_folded_is_shared(const nnfi_folded *folded);

/* NNF_ERROR_NOT_FUSABLE where finite elements would leave the dtype's range; for a base that checks
 * late it may leave that to the second function, which looks at elements that were computed. */
nnf_status nnfi_folded_check_range(nnfi_folded *folded);
nnf_status nnfi_folded_check_computed(const nnfi_folded *folded, int64_t first, int64_t count,
                                      const void *computed);

/* The base's elements that it is computed from, unaligned perhaps; NULL: zeros. */
const unsigned char *nnfi_folded_source(const nnfi_folded *folded);
/* To be called before elements are computed: finds the scales. */
nnf_status nnfi_folded_prepare(nnfi_folded *folded);
/* One element, whatever its size or what it cancels to, as a double. */
double nnfi_folded_exact(const nnfi_folded *folded, int64_t channel, double base);
/* Elements [first, first + count) from its source. `out` may be where these stand in the source. */
void nnfi_folded_compute(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                         int64_t count, void *out);

#endif
