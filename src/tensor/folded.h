/* The values base * scale[channel] + shift[channel], not computed yet. Never changes once made;
 * shared by the storages and readers that need it. */
#ifndef NNFI_FOLDED_H
#define NNFI_FOLDED_H

#include <stdatomic.h>

#include "tensor/storage.h"

struct nnfi_folded {
    atomic_size_t references;
    nnf_dtype dtype;
    int64_t numel;
    nnfi_storage *base;  /* NULL: zeros */
    int64_t base_offset; /* elements */
    nnfi_channel_view view;
    bool has_shift;
    bool precise; /* false: composing left the range where double-double keeps its precision */
    double *scale_hi, *scale_lo, *shift_hi, *shift_lo; /* [groups * channels]; one block */
};

/* Retains base; takes a copy of the fold's numbers. `before`: a fold of the same view and base that
 * this one comes after; NULL: none. */
nnf_status nnfi_folded_new(nnfi_folded **out, nnf_dtype dtype, nnfi_storage *base,
                           int64_t base_offset, const nnfi_fold *fold, const nnfi_folded *before);
nnfi_folded *nnfi_folded_retain(nnfi_folded *folded);
void nnfi_folded_release(nnfi_folded *folded); /* NULL is allowed */
bool nnfi_folded_is_shared(const nnfi_folded *folded);

/* NNF_ERROR_NOT_FUSABLE where finite elements would leave the dtype's range. */
nnf_status nnfi_folded_check_range(const nnfi_folded *folded);

/* The base's elements that it is computed from, unaligned perhaps; NULL: zeros. */
const unsigned char *nnfi_folded_source(const nnfi_folded *folded);
/* Elements [first, first + count) from its source. `out` may be where these stand in the source. */
void nnfi_folded_compute(const nnfi_folded *folded, const unsigned char *source, int64_t first,
                         int64_t count, void *out);

#endif
