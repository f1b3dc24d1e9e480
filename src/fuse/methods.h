/* The fuser method of the default table. */
#ifndef NNFI_METHODS_H
#define NNFI_METHODS_H

#include "nnfuse/fuse.h"

/* Makes one module of a sequence: in eval, each affine map (batch norm) that follows a linear map
 * is folded into it; what is left, if more than one module, goes into the fused container that
 * holds these types. With is_qat nothing is folded. `payload` is not used. */
nnf_status nnfi_fuse_sequence(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                              void *payload);

/* The module of a sequence that the others are folded into: the first behind affine maps and Pads,
 * where it takes these; else modules[0]. */
size_t nnfi_chain_base(nnf_module *const *modules, size_t n);

#endif
