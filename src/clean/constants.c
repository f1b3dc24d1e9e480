/* Results that are the same in every run: known from inference, another view of a constant, or
 * computed by the reference kernels. */
#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* ---- Sharing ---- */

static bool equal_constants(const void *payload, size_t number) {
    const nnfi_clean_wanted *wanted = payload;
    const nnfi_clean_value *values = wanted->cleaner->values;
    const nnf_tensor *x = values[number].constant, *y = values[wanted->number].constant;
    char left[NNFI_SMALL_BYTES], right[NNFI_SMALL_BYTES];
    if (nnf_tensor_dtype(x) != nnf_tensor_dtype(y) || nnf_tensor_ndim(x) != nnf_tensor_ndim(y))
        return false;
    for (int i = 0; i < nnf_tensor_ndim(x); i++)
        if (nnf_tensor_shape(x)[i] != nnf_tensor_shape(y)[i]) return false;
    return nnf_tensor_read(x, 0, nnf_tensor_numel(x), left) == NNF_OK &&
           nnf_tensor_read(y, 0, nnf_tensor_numel(y), right) == NNF_OK &&
           memcmp(left, right, (size_t)nnf_tensor_nbytes(x)) == 0;
}

/* An output of the graph keeps its own. */
static nnf_status share(nnfi_cleaner *cleaner, nnf_value value) {
    nnfi_clean_value *v = &cleaner->values[value];
    const nnf_tensor *tensor = v->constant;
    char bytes[NNFI_SMALL_BYTES];
    if (nnf_tensor_nbytes(tensor) > NNFI_SMALL_BYTES || cleaner->graph->values[value].is_output)
        return NNF_OK;
    NNFI_TRY(nnf_tensor_read(tensor, 0, nnf_tensor_numel(tensor), bytes));
    nnf_dtype dtype = nnf_tensor_dtype(tensor);
    uint64_t hash = nnfi_hash(0, &dtype, sizeof dtype);
    hash = nnfi_hash(hash, nnf_tensor_shape(tensor),
                     (size_t)nnf_tensor_ndim(tensor) * sizeof(int64_t));
    hash = nnfi_hash(hash, bytes, (size_t)nnf_tensor_nbytes(tensor));
    v->same = (nnf_value)nnfi_clean_find_equal(&cleaner->constants, hash, equal_constants,
                                               &(nnfi_clean_wanted){cleaner, (size_t)value});
    if (v->same != value) cleaner->values[v->same].readers += v->readers;
    return NNF_OK;
}

nnf_status nnfi_clean_set_constant(nnfi_cleaner *cleaner, nnf_value value, nnf_tensor *tensor) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    cleaner->values[value].constant = tensor;
    NNFI_TRY(nnf_type_info_of_tensor(&info, tensor));
    NNFI_TRY(nnfi_known_set(&cleaner->infos, value, &info));
    return share(cleaner, value);
}

/* ---- Size ---- */

static int64_t n_bytes(const nnf_type_info *info) {
    int64_t n = (int64_t)nnf_dtype_size(info->dtype);
    for (int i = 0; i < info->ndim; i++)
        if (!nnfi_mul(n, info->shape[i].value, &n)) return INT64_MAX;
    return n;
}

/* What goes out of the file when the call does: constants that it alone reads, each once. */
static int64_t freed_bytes(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    int64_t sum = 0;
    for (size_t i = 0; i < call->call->n_inputs; i++) {
        if (call->inputs[i] == NNF_NO_VALUE) continue;
        const nnfi_clean_value *value = &cleaner->values[call->inputs[i]];
        if (value->constant && value->readers == 1) sum += nnf_tensor_nbytes(value->constant);
    }
    return sum;
}

/* How many calls a large result may pass through, and how many inputs each has. */
enum { MOST_PASSED = 4, MOST_INPUTS = 8 };

static nnf_status passes(bool *out, nnfi_cleaner *cleaner, nnf_value value,
                         const nnf_type_info *info, int most, int64_t *room);

/* Whether a call that reads the value has constants beside it and a result that is small, or passes
 * in its turn. */
static nnf_status ends_it(bool *out, nnfi_cleaner *cleaner, const nnfi_call *call, nnf_value value,
                          const nnf_type_info *info, int most, int64_t *room) {
    const nnf_type_info *infos[MOST_INPUTS];
    nnf_type_info result;
    *out = false;
    if (call->n_outputs != 1 || call->outputs[0] == NNF_NO_VALUE || call->n_captures > 0 ||
        call->n_inputs > MOST_INPUTS || !nnfi_is_built_in(nnf_module_get_type(call->module)) ||
        !nnfi_clean_is_bare(call->module))
        return NNF_OK;
    for (size_t k = 0; k < call->n_inputs; k++) {
        nnf_value read = call->inputs[k];
        infos[k] = NULL;
        if (read != NNF_NO_VALUE) read = cleaner->values[read].same;
        if (read != NNF_NO_VALUE && read != value && !cleaner->values[read].constant) return NNF_OK;
        if (read != NNF_NO_VALUE)
            infos[k] = read == value ? info : nnfi_known_get(&cleaner->infos, read);
    }
    nnf_type_info_init(&result);
    nnf_status status = nnfi_module_infer(call->module, infos, call->n_inputs, &result, 1);
    if (status == NNF_OK && result.dtype != NNF_DTYPE_UNKNOWN && nnfi_info_is_static(&result)) {
        const int64_t bytes = n_bytes(&result);
        *out = bytes <= NNFI_SMALL_BYTES && bytes <= *room;
        if (*out)
            *room -= bytes;
        else
            status = passes(out, cleaner, call->outputs[0], &result, most, room);
        cleaner->values[call->outputs[0]].promised = *out;
    }
    nnf_type_info_clear(&result);
    return status == NNF_ERROR_MEMORY ? status : NNF_OK;
}

/* Whether a large result would not be in the file: all that reads it is computed ahead as well, and
 * gives little. A norm reads a weight like that. All of it must fit into the room that is left. */
static nnf_status passes(bool *out, nnfi_cleaner *cleaner, nnf_value value,
                         const nnf_type_info *info, int most, int64_t *room) {
    const nnfi_graph *graph = cleaner->graph;
    const nnfi_value *in_graph = &graph->values[value];
    *out = false;
    if (most == 0 || in_graph->is_output || in_graph->is_hidden || n_bytes(info) > *room)
        return NNF_OK;
    *room -= n_bytes(info);
    if (!cleaner->uses.readers) NNFI_TRY(nnfi_uses_new(&cleaner->uses, graph));
    const uint32_t end = cleaner->uses.first_reader[value + 1];
    uint32_t r = cleaner->uses.first_reader[value];
    for (*out = r < end; *out && r < end; r++)
        NNFI_TRY(ends_it(out, cleaner, graph->calls[cleaner->uses.readers[r]], value, info,
                         most - 1, room));
    return NNF_OK;
}

/* The same for a result that is about to be computed; room for the rest is kept. */
static nnf_status may_pass(bool *out, nnfi_cleaner *cleaner, nnf_value value,
                           const nnf_type_info *info) {
    const int64_t all = NNFI_COMPUTED_BYTES - cleaner->computed - cleaner->promised;
    int64_t room = all;
    NNFI_TRY(passes(out, cleaner, value, info, MOST_PASSED, &room));
    if (*out) cleaner->promised += all - room - n_bytes(info);
    return NNF_OK;
}

/* Whether so many bytes may be computed for the value. */
static bool takes_room(nnfi_cleaner *cleaner, nnf_value value, int64_t bytes) {
    const bool promised = cleaner->values[value].promised;
    const int64_t kept = promised ? 0 : cleaner->promised;
    if (bytes > NNFI_COMPUTED_BYTES - cleaner->computed - kept) return false;
    if (promised) cleaner->promised -= bytes < cleaner->promised ? bytes : cleaner->promised;
    return true;
}

/* ---- The three ways ---- */

/* From inference, which knows the elements of small integer tensors: as many as there are. */
static nnf_status from_info(nnf_tensor **out, const nnf_type_info *info) {
    if (n_bytes(info) != info->n_values * (int64_t)nnf_dtype_size(info->dtype)) return NNF_OK;
    int64_t shape[NNF_MAX_DIMS], elements[NNF_MAX_KNOWN_VALUES];
    for (int i = 0; i < info->n_values; i++) {
        if (!nnfi_dim_known(info->values[i])) return NNF_OK;
        nnfi_store_i64(info->dtype, elements, i, info->values[i].value);
    }
    for (int i = 0; i < info->ndim; i++)
        shape[i] = info->shape[i].value;
    return nnf_tensor_from_data(out, info->dtype, info->ndim, shape, elements);
}

static nnf_status need_session(nnfi_cleaner *cleaner) {
    const nnf_session_options options = {.threads = 1, .kernels = NNF_KERNELS_REFERENCE};
    if (cleaner->session) return NNF_OK;
    return nnf_session_new(&cleaner->session, cleaner->module, &options);
}

/* A call that fails does so when the graph runs: it stays. */
static nnf_status compute(nnf_tensor **out, nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    size_t n = call->call->n_inputs;
    nnf_tensor *result;
    for (size_t i = 0; i < n; i++) {
        nnf_value input = call->inputs[i];
        cleaner->input_tensors[i] = NULL;
        if (input == NNF_NO_VALUE) continue;
        cleaner->input_tensors[i] = cleaner->values[input].constant;
        if (!cleaner->input_tensors[i]) return NNF_OK;
    }
    NNFI_TRY(need_session(cleaner));
    nnf_status status = nnf_session_call(cleaner->session, call->call->path, call->call->module,
                                         cleaner->input_tensors, n, &result, 1);
    if (status != NNF_OK) return status == NNF_ERROR_MEMORY ? status : NNF_OK;
    cleaner->computed += nnf_tensor_nbytes(result);
    *out = result;
    return NNF_OK;
}

nnf_status nnfi_clean_constant(nnf_tensor **out, nnfi_cleaner *cleaner,
                               const nnfi_clean_call *call) {
    const nnf_type_info *info = call->output;
    *out = NULL;
    if (call->call->n_inputs == 0 || call->inputs[0] == NNF_NO_VALUE) return NNF_OK;
    if (info->dtype == NNF_DTYPE_UNKNOWN || !nnfi_info_is_static(info)) return NNF_OK;
    int64_t bytes = n_bytes(info);
    if (info->n_values >= 0) NNFI_TRY(from_info(out, info));
    if (*out) return NNF_OK;
    const nnf_tensor *x = cleaner->values[call->inputs[0]].constant;
    bool fits = bytes <= NNFI_SMALL_BYTES || bytes <= freed_bytes(cleaner, call);
    if (x && !fits) NNFI_TRY(may_pass(&fits, cleaner, call->call->outputs[0], info));
    if (!x || !fits) return NNF_OK;
    if (call->rule && call->rule->view && !nnfi_tensor_is_deferred(x))
        NNFI_TRY(call->rule->view(out, call, x));
    if (*out || !takes_room(cleaner, call->call->outputs[0], bytes)) return NNF_OK;
    return compute(out, cleaner, call);
}
