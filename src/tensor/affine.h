/* What a batch norm does to each channel, kept as its numbers: y = (x - mean) * scale + bias with
 * scale = weight / sqrt(var + eps). A snapshot: it shares the tensors' storages, and whoever writes
 * one of these later gets a copy. Never changes once made. */
#ifndef NNFI_AFFINE_H
#define NNFI_AFFINE_H

#include "tensor/tensor_internal.h"
#include "tensor/triple.h"

enum { NNFI_AFFINE_WEIGHT, NNFI_AFFINE_BIAS, NNFI_AFFINE_MEAN, NNFI_AFFINE_VAR, NNFI_AFFINE_PARTS };
/* Channels that are looked at together. */
#define NNFI_AFFINE_PIECE 256

/* Number `part` of n channels from the first-th on, exactly. */
void nnfi_affine_read(const nnfi_affine *affine, int part, int64_t first, int64_t n, double *out);
/* The scales of n channels (a piece at most), off by less than 2^-50; NaN where they are so large
 * or small that products of some would leave doubles' range. */
void nnfi_affine_scales(const nnfi_affine *affine, int64_t first, int64_t n, double *out);

/* scale[channel] to 150 bits; x put through the whole map. */
nnfi_triple nnfi_affine_exact_scale(const nnfi_affine *affine, int64_t channel);
nnfi_triple nnfi_affine_exact(const nnfi_affine *affine, int64_t channel, nnfi_triple x);

#endif
