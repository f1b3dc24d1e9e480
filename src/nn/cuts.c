/* What Slices cut, by axis. */
#include "nn/nn_internal.h"

static bool read_list(int64_t *out, const nnf_tensor *list, int64_t n) {
    int64_t raw[NNF_MAX_DIMS];
    nnf_dtype dtype = nnf_tensor_dtype(list);
    if ((dtype != NNF_I64 && dtype != NNF_I32) || nnf_tensor_numel(list) != n ||
        nnf_tensor_read(list, 0, n, raw) != NNF_OK)
        return false;
    for (int64_t i = 0; i < n; i++)
        out[i] = nnfi_load_i64(dtype, raw, i);
    return true;
}

bool nnfi_add_cuts(nnfi_cuts *cuts, const nnf_tensor *const lists[NNFI_CUT_LISTS], int ndim) {
    const nnf_tensor *starts = lists[NNFI_CUT_STARTS];
    int64_t n = starts ? nnf_tensor_numel(starts) : 0, *axes = cuts->lists[NNFI_CUT_AXES];
    if (n < 1 || cuts->n + n > ndim) return false;
    for (int k = 0; k < NNFI_CUT_LISTS; k++) {
        int64_t *to = cuts->lists[k] + cuts->n;
        if (lists[k] ? !read_list(to, lists[k], n) : k != NNFI_CUT_STEPS) return false;
        for (int64_t i = 0; i < n && !lists[k]; i++)
            to[i] = 1;
    }
    for (; n > 0; n--, cuts->n++) {
        int64_t axis = axes[cuts->n] += axes[cuts->n] < 0 ? ndim : 0;
        if (axis < 0 || axis >= ndim) return false;
        for (int64_t i = 0; i < cuts->n; i++)
            if (axes[i] == axis) return false;
    }
    return true;
}
