/* Slices in a row that cut different axes are one Slice. */
#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* The operator's inputs from the second on. */
enum { STARTS, ENDS, AXES, STEPS, N_LISTS };

/* What a Slice cuts, an element of each list for each axis that it names. */
typedef struct cuts {
    int64_t n, lists[N_LISTS][NNF_MAX_DIMS];
} cuts;

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

/* Adds what a call cuts of a value of rank `ndim`; false where that is not known, or an axis is cut
 * already. */
static bool add_cuts(cuts *all, const nnfi_cleaner *cleaner, size_t index, int ndim) {
    const nnf_value *inputs = cleaner->inputs + cleaner->first_input[index];
    size_t n_inputs = cleaner->graph->calls[index]->n_inputs;
    int64_t n = -1;
    for (size_t k = 0; k < N_LISTS; k++) {
        if (k == STEPS && (n_inputs <= STEPS + 1 || inputs[STEPS + 1] == NNF_NO_VALUE)) {
            for (int64_t i = 0; i < n; i++)
                all->lists[STEPS][all->n + i] = 1;
            break;
        }
        if (k + 1 >= n_inputs || inputs[k + 1] == NNF_NO_VALUE) return false;
        const nnf_tensor *list = cleaner->values[inputs[k + 1]].constant;
        if (list && k == 0) n = nnf_tensor_numel(list);
        if (!list || n < 1 || all->n + n > ndim || !read_list(all->lists[k] + all->n, list, n))
            return false;
    }
    for (int64_t *axes = all->lists[AXES]; n > 0; n--, all->n++) {
        if (axes[all->n] < 0) axes[all->n] += ndim;
        if (axes[all->n] < 0 || axes[all->n] >= ndim) return false;
        for (int64_t i = 0; i < all->n; i++)
            if (axes[i] == axes[all->n]) return false;
    }
    return true;
}

/* A new constant, or an equal one that is there. */
static nnf_status add_list(nnf_value *out, nnfi_cleaner *cleaner, const int64_t *elements,
                           int64_t n) {
    nnf_tensor *tensor;
    nnf_value value;
    NNFI_TRY(nnf_tensor_from_data(&tensor, NNF_I64, 1, &n, elements));
    nnf_status status = nnfi_graph_add_value_like(cleaner->graph, &value, "slices");
    if (status != NNF_OK) {
        nnf_tensor_release(tensor);
        return status;
    }
    cleaner->graph->values[value].constant = nnf_tensor_retain(tensor);
    cleaner->values[value] =
        (nnfi_clean_value){.same = value, .renamed = NNF_NO_VALUE, .producer = -1, .readers = 1};
    NNFI_TRY(nnfi_clean_set_constant(cleaner, value, tensor));
    *out = cleaner->values[value].same;
    return NNF_OK;
}

/* The call's number where the value is a plain Slice's result, or -1. */
static int32_t slice_of(const nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    const nnf_module_type *type = nnf_module_get_type(at->call->module);
    int32_t first = cleaner->values[at->inputs[0]].producer;
    if (type != nnf_type("Slice") || first < 0) return -1;
    const nnf_module *module = cleaner->graph->calls[first]->module;
    bool is_plain = nnf_module_get_type(module) == type && !nnf_module_training(module) &&
                    !nnf_module_n_forward_hooks(module) && !nnf_module_n_forward_pre_hooks(module);
    return is_plain ? first : -1;
}

nnf_status nnfi_clean_join_slices(nnfi_cleaner *cleaner, const nnfi_clean_call *at) {
    enum { DATA = 1 }; /* the input in front of the lists */
    if (at->call->n_inputs != DATA + N_LISTS || at->inputs[0] == NNF_NO_VALUE) return NNF_OK;
    int32_t first = slice_of(cleaner, at);
    cuts all = {0};
    if (first < 0 || !add_cuts(&all, cleaner, (size_t)first, at->infos[0]->ndim) ||
        !add_cuts(&all, cleaner, at->index, at->infos[0]->ndim))
        return NNF_OK;
    nnf_value made[DATA + N_LISTS] = {cleaner->inputs[cleaner->first_input[first]]};
    for (int k = 0; k < N_LISTS; k++)
        NNFI_TRY(add_list(&made[DATA + k], cleaner, all.lists[k], all.n));
    cleaner->values[made[0]].readers++;
    for (int k = 0; k < DATA + N_LISTS; k++) {
        if (at->inputs[k] != NNF_NO_VALUE) cleaner->values[at->inputs[k]].readers--;
        cleaner->inputs[cleaner->first_input[at->index] + (size_t)k] = made[k];
    }
    return NNF_OK;
}

size_t nnfi_clean_new_values(const nnfi_graph *graph) {
    size_t n = 0;
    for (size_t i = 0; i < graph->n_calls; i++)
        n += nnf_module_get_type(graph->calls[i]->module) == nnf_type("Slice");
    return n * N_LISTS;
}
