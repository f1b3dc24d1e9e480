/* Linear layers as numbers: what it takes to make one layer of several that run beside or behind
 * each other. In double, rounded once when a module is made. */
#ifndef NNFI_DENSE_H
#define NNFI_DENSE_H

#include "nnfuse/nn.h"

/* A convolution (not transposed), or a matrix product: spatial 0. */
typedef struct nnfi_dense {
    int spatial;
    int64_t out, in, groups;
    int64_t kernel[NNF_MAX_SPATIAL], stride[NNF_MAX_SPATIAL], dilation[NNF_MAX_SPATIAL];
    int64_t begin[NNF_MAX_SPATIAL], end[NNF_MAX_SPATIAL]; /* zeros around the input */
    nnf_dtype dtype;
    bool has_bias;
    double *weight; /* [out, in / groups, kernel...]; NULL: only the shape is known */
    double *bias;   /* [out] */
} nnfi_dense;

/* What a module with a linear map computes; `numbers`: its weights too. NNF_ERROR_NOT_FUSABLE where
 * it is none of these two. Clear it afterwards. */
nnf_status nnfi_dense_of(nnfi_dense *out, const nnf_module *linear, bool numbers);
/* What gives its input back, of the kind and groups of `like`. */
nnf_status nnfi_dense_identity(nnfi_dense *out, const nnfi_dense *like, int64_t channels);
void nnfi_dense_clear(nnfi_dense *dense);

/* Puts an affine map behind it. */
nnf_status nnfi_dense_affine(nnfi_dense *dense, const nnf_module *affine);
/* sum += other, on the same input. NNF_ERROR_NOT_FUSABLE where the two do not give the same shape
 * for every input, or no one kernel covers both. */
nnf_status nnfi_dense_add(nnfi_dense *sum, const nnfi_dense *other);
/* first *= second, which runs on its result. NNF_ERROR_NOT_FUSABLE where neither is of kernel 1, or
 * zeros that the second sees outside its input are none of the first. */
nnf_status nnfi_dense_then(nnfi_dense *first, const nnfi_dense *second);

/* NNF_ERROR_NOT_FUSABLE where the weights or the windows are too large to be computed with: what
 * one layer is made of may be small, and the layer not. */
nnf_status nnfi_dense_check(const nnfi_dense *dense);

/* Multiplications for one position of the output. */
double nnfi_dense_cost(const nnfi_dense *dense);

/* The layer, with weights rounded to its dtype. NNF_ERROR_NOT_FUSABLE where one is not finite. */
nnf_status nnfi_dense_module(nnf_module **out, const nnfi_dense *dense);

#endif
