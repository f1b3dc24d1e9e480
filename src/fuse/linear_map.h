/* The algebra that folding is: operations on modules seen as linear maps. Each gives a new module;
 * nothing is computed before somebody reads the weights. An affine map after a linear one is here;
 * before one, two in parallel and two in series are further functions of the same form. */
#ifndef NNFI_LINEAR_MAP_H
#define NNFI_LINEAR_MAP_H

#include "nnfuse/module.h"

/* A copy of `linear` that computes `affine` of what `linear` computes:
 *     W' = W * scale[out],  b' = b * scale + shift,
 * each in W's and b's own dtype, rounded once. Both modules' types have the views that this needs.
 * The value of a parametrized weight is folded, and the copy's weight is plain. */
nnf_status nnfi_affine_after(nnf_module **out, const nnf_module *linear, const nnf_module *affine);

#endif
