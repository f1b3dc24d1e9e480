/* An affine map behind calls that only move what a linear layer gives, folded into the layer. */
#ifndef NNFI_MOVES_H
#define NNFI_MOVES_H

#include "fuse/spread.h"

/* Adds jobs where the call is such an affine map: along an axis that Transposes alone have moved,
 * or by one number for all elements, which Reshapes and the like may have moved too. */
nnf_status nnfi_fold_behind_moves(nnfi_spread *spread, size_t call);

#endif
