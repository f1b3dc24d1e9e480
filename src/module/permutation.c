#include "module/module_internal.h"
#include "nnfuse/nn.h"

bool nnfi_permutation(const nnf_module *transpose, int ndim, int *axes) {
    const nnf_transpose_options *options = nnf_module_options(transpose);
    bool seen[NNF_MAX_DIMS] = {false};
    if (options->n >= 0 && options->n != ndim) return false;
    for (int i = 0; i < ndim; i++) {
        int64_t axis = options->n < 0 ? ndim - 1 - i : options->perm[i];
        if (axis < 0) axis += ndim;
        if (axis < 0 || axis >= ndim || seen[axis]) return false;
        seen[axis] = true;
        axes[i] = (int)axis;
    }
    return true;
}
