/* Rows of numbers from one dtype to another. The buffers of a dtype need not be aligned. */
#ifndef NNFI_NUMBERS_H
#define NNFI_NUMBERS_H

#include "nnfuse/tensor.h"

/* Exact but for integers beyond 2^53, which round. */
void nnfi_to_f64(nnf_dtype dtype, const void *in, double *out, int64_t n);
/* Rounds to nearest, ties to even; to integers truncates, clamped to what the dtype holds, NaN
 * becomes 0. */
void nnfi_from_f64(nnf_dtype dtype, const double *in, void *out, int64_t n);
/* Any dtype to any other, rounded once; integers wrap around in smaller ones, as in PyTorch. */
void nnfi_convert(nnf_dtype to, void *out, nnf_dtype from, const void *in, int64_t n);

#endif
