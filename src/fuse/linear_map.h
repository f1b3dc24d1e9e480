/* The algebra that folding is: operations on modules seen as linear and affine maps. Each gives a
 * new module; scaled weights are computed when somebody reads them. */
#ifndef NNFI_LINEAR_MAP_H
#define NNFI_LINEAR_MAP_H

#include "nnfuse/module.h"
#include "tensor/tensor_internal.h"

/* A copy of `first` that computes `affine` of what `first` computes:
 *     W' = W * scale[out],  b' = b * scale + shift,
 * each in W's and b's own dtype, rounded once. `first` is linear, or affine with a weight and bias
 * of its own. The value of a parametrized weight is folded, and the copy's weight is plain. A
 * MatMul becomes a Linear where it gets a bias. */
nnf_status nnfi_affine_after(nnf_module **out, const nnf_module *first, const nnf_module *affine);

/* A copy of `linear` that computes what it did of what `affine` computes:
 *     W' = W * scale[in],  b' = b + sum over in of W * shift.
 * NNF_ERROR_NOT_FUSABLE where a shift is not 0 and the layer reads zeros from outside its input. */
nnf_status nnfi_affine_before(nnf_module **out, const nnf_module *affine, const nnf_module *linear);

/* The affine map of a module: its numbers as they are now. *shifts: something is added, as far as
 * its make-up says. */
nnf_status nnfi_affine_of(nnfi_affine **out, bool *shifts, const nnf_module *module);

/* A copy of a convolution or pooling that does the padding of the Pad in front of it. */
nnf_status nnfi_pad_before(nnf_module **out, const nnf_module *pad, const nnf_module *window);

#endif
