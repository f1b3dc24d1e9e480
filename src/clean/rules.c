/* What cleaning knows of single types: when they pass their input on, and how their result is
 * another view of it. What holds for all types is in the other files. */
#include <string.h>

#include "clean/clean_internal.h"
#include "nn/nn_internal.h"

/* ---- Conditions ---- */

/* For sure: an unknown dimension is equal to none. */
static bool same_shape(const nnf_type_info *a, const nnf_type_info *b) {
    if (a->ndim < 0 || a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (!nnfi_dim_equal(a->shape[i], b->shape[i])) return false;
    return true;
}

/* Whether the elements are known and each is at least `least` and at most `most`. */
static bool all_within(const nnf_type_info *info, int64_t least, int64_t most) {
    if (!info || info->n_values < 0) return false;
    for (int i = 0; i < info->n_values; i++) {
        nnf_dim value = info->values[i];
        if (!nnfi_dim_known(value) || value.value < least || value.value > most) return false;
    }
    return true;
}

static const nnf_type_info *input_info(const nnfi_clean_call *call, size_t index) {
    return index < call->call->n_inputs ? call->infos[index] : NULL;
}

/* The call that gives the first input, where it has the rule `rule` too; NULL: there is none. */
static const nnfi_call *before(const nnfi_cleaner *cleaner, const nnfi_clean_call *call,
                               nnf_value *input) {
    int64_t producer = cleaner->values[call->inputs[0]].producer;
    if (producer < 0) return NULL;
    const nnfi_call *found = cleaner->graph->calls[producer];
    const char *type = nnf_module_type_name(found->module);
    const nnfi_clean_rule *rule = nnfi_clean_rule_of(type);
    if (!rule || rule->same_as != call->rule->same_as ||
        !nnfi_is_built_in(nnf_module_get_type(found->module)) ||
        nnf_module_n_forward_hooks(found->module) || nnf_module_n_forward_pre_hooks(found->module))
        return NULL;
    *input = nnfi_clean_data_of(cleaner, (size_t)producer);
    return *input == NNF_NO_VALUE ? NULL : found;
}

/* ---- Passing the input on ---- */

static nnf_value always(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    (void)cleaner;
    return call->inputs[0];
}

static nnf_value where_alone(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    (void)cleaner;
    return call->call->n_inputs == 1 ? call->inputs[0] : NNF_NO_VALUE;
}

static nnf_value where_dtype_stays(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    (void)cleaner;
    const nnf_cast_options *cast = call->options;
    return call->infos[0]->dtype == cast->to ? call->inputs[0] : NNF_NO_VALUE;
}

static nnf_value where_dtypes_agree(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    (void)cleaner;
    const nnf_type_info *like = input_info(call, 1);
    bool agree = like && like->dtype != NNF_DTYPE_UNKNOWN && call->infos[0]->dtype == like->dtype;
    return agree ? call->inputs[0] : NNF_NO_VALUE;
}

static nnf_value where_nothing_is_added(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    (void)cleaner;
    const nnf_pad_options *pad = call->options;
    bool nothing = pad->n >= 0 || all_within(input_info(call, 1), 0, 0);
    if (pad->n > 2 * NNF_MAX_DIMS) return NNF_NO_VALUE;
    for (int i = 0; i < pad->n; i++)
        nothing = nothing && pad->pads[i] == 0;
    return nothing ? call->inputs[0] : NNF_NO_VALUE;
}

/* Windows of one element, without padding, at as many places as there are elements. */
static nnf_value where_windows_are_single(const nnfi_cleaner *cleaner,
                                          const nnfi_clean_call *call) {
    (void)cleaner;
    const nnf_pool_options *pool = call->options;
    bool single = call->call->n_outputs == 1 && same_shape(call->infos[0], call->output);
    for (int i = 0; i < pool->spatial; i++)
        single = single && pool->kernel_size[i] == 1 && pool->padding_begin[i] == 0 &&
                 pool->padding_end[i] == 0;
    return single ? call->inputs[0] : NNF_NO_VALUE;
}

/* A slice of the same shape has every element, in order if it goes forward. */
static nnf_value where_all_is_taken(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    (void)cleaner;
    bool forward = !input_info(call, 4) || all_within(input_info(call, 4), 1, INT64_MAX);
    bool whole = forward && same_shape(call->infos[0], call->output);
    return whole ? call->inputs[0] : NNF_NO_VALUE;
}

/* Layers that only change the shape, where it is the input's, or that of the input of another such
 * layer in front. */
static nnf_value where_shape_stays(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    nnf_value first;
    if (same_shape(call->infos[0], call->output)) return call->inputs[0];
    if (!before(cleaner, call, &first)) return NNF_NO_VALUE;
    return same_shape(nnfi_known_get(&cleaner->infos, first), call->output) ? first : NNF_NO_VALUE;
}

/* Axes in their order; or two that undo each other. */
static nnf_value where_order_stays(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    int ndim = call->infos[0]->ndim, axes[NNF_MAX_DIMS], first_axes[NNF_MAX_DIMS];
    nnf_value first;
    bool stays = true, undone = true;
    if (ndim < 0 || !nnfi_permutation(call->call->module, ndim, axes)) return NNF_NO_VALUE;
    const nnfi_call *other = before(cleaner, call, &first);
    if (!other || !nnfi_permutation(other->module, ndim, first_axes)) undone = false;
    for (int i = 0; i < ndim; i++) {
        stays = stays && axes[i] == i;
        undone = undone && first_axes[axes[i]] == i;
    }
    if (stays) return call->inputs[0];
    return undone ? first : NNF_NO_VALUE;
}

/* Whether every element is that number. */
static bool consists_of(const nnf_tensor *constant, double number) {
    double block[NNFI_SMALL_BYTES / sizeof(double)]; /* room for elements of any dtype */
    const nnf_dtype dtype = nnf_tensor_dtype(constant);
    const int64_t n = nnf_tensor_numel(constant), room = sizeof block / sizeof *block;
    for (int64_t first = 0; first < n; first += room) {
        int64_t count = n - first < room ? n - first : room;
        if (nnf_tensor_read(constant, first, count, block) != NNF_OK) return false;
        for (int64_t i = 0; i < count; i++)
            if (nnfi_load_f64(dtype, block, i) != number) return false;
    }
    return true;
}

/* x + 0, x - 0, x * 1, x / 1; also with the operands of a sum or product in the other order. A zero
 * of x may lose its sign. */
static nnf_value where_number_does_nothing(const nnfi_cleaner *cleaner,
                                           const nnfi_clean_call *call) {
    const nnf_binary kind = ((const nnf_binary_options *)call->options)->kind;
    const bool adds = kind == NNF_ADD || kind == NNF_SUB;
    const int n_orders = kind == NNF_ADD || kind == NNF_MUL ? 2 : 1;
    for (int k = 0; k < n_orders && call->call->n_inputs == 2; k++) {
        nnf_value x = call->inputs[k], other = call->inputs[1 - k];
        if (x == NNF_NO_VALUE || other == NNF_NO_VALUE) break;
        const nnf_tensor *constant = cleaner->values[other].constant;
        if (constant && same_shape(call->infos[k], call->output) &&
            consists_of(constant, adds ? 0.0 : 1.0))
            return x;
    }
    return NNF_NO_VALUE;
}

/* ---- Reading past a layer ---- */

static bool bounds_below_by_0(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    const nnf_activation_options *clip = call->options;
    if (clip->kind != NNF_CLIP) return true; /* ReLU, ReLU6 */
    if (!input_info(call, 1)) return clip->alpha >= 0;
    const nnf_tensor *lower = cleaner->values[call->inputs[1]].constant;
    double number;
    return lower && nnf_tensor_numel(lower) == 1 &&
           nnfi_tensor_number(&number, lower, 0) == NNF_OK && number >= 0;
}

/* A ReLU in front changes nothing of what is bounded below by 0 or more. */
static nnf_value past_a_relu(const nnfi_cleaner *cleaner, const nnfi_clean_call *call) {
    int32_t producer = cleaner->values[call->inputs[0]].producer;
    if (producer < 0 || !bounds_below_by_0(cleaner, call)) return NNF_NO_VALUE;
    const nnf_module *module = cleaner->graph->calls[producer]->module;
    bool is_relu = nnfi_is_a(module, "ReLU") && !nnf_module_n_forward_hooks(module) &&
                   !nnf_module_n_forward_pre_hooks(module);
    return is_relu ? nnfi_clean_data_of(cleaner, (size_t)producer) : NNF_NO_VALUE;
}

/* ---- Views ---- */

static nnf_status view_reshaped(nnf_tensor **out, const nnfi_clean_call *call,
                                const nnf_tensor *x) {
    int64_t shape[NNF_MAX_DIMS];
    if (!nnf_tensor_is_contiguous(x)) return NNF_OK;
    for (int i = 0; i < call->output->ndim; i++)
        shape[i] = call->output->shape[i].value;
    return nnf_tensor_view(out, x, call->output->ndim, shape, NULL, 0);
}

static nnf_status view_transposed(nnf_tensor **out, const nnfi_clean_call *call,
                                  const nnf_tensor *x) {
    int ndim = nnf_tensor_ndim(x), axes[NNF_MAX_DIMS];
    int64_t shape[NNF_MAX_DIMS], strides[NNF_MAX_DIMS];
    if (!nnfi_permutation(call->call->module, ndim, axes)) return NNF_OK;
    for (int i = 0; i < ndim; i++) {
        shape[i] = nnf_tensor_shape(x)[axes[i]];
        strides[i] = nnf_tensor_strides(x)[axes[i]];
    }
    return nnf_tensor_view(out, x, ndim, shape, strides, 0);
}

/* ---- A Reshape's target ---- */

/* Exporters compute it from the input's shape because the batch is not known. Reshape can say that
 * itself: 0 is the input's dimension at that place, -1 is what the others leave, if these are not
 * zero. */
static nnf_status known_target(nnf_tensor **out, const nnfi_clean_call *call) {
    const nnf_reshape_options *reshape = call->options;
    const nnf_type_info *x = call->infos[0], *target = input_info(call, 1);
    int64_t dims[NNF_MAX_DIMS];
    bool deduced = false, has_zero = false;
    int n_left = 0;
    if (!target || target->dtype != NNF_I64 || target->ndim != 1 || target->n_values < 1 ||
        target->n_values != call->output->ndim)
        return NNF_OK;
    for (int i = 0; i < target->n_values; i++) {
        nnf_dim dim = target->values[i];
        bool copied = !reshape->allowzero && i < x->ndim && nnfi_dim_equal(dim, x->shape[i]);
        dims[i] = nnfi_dim_known(dim) ? dim.value : copied ? 0 : -1;
        deduced = deduced || (!nnfi_dim_known(dim) && !copied);
        has_zero = has_zero || dims[i] == 0;
        n_left += dims[i] == -1;
    }
    if (n_left > 1 || (deduced && has_zero)) return NNF_OK;
    const int64_t shape[] = {target->n_values};
    return nnf_tensor_from_data(out, NNF_I64, 1, shape, dims);
}

/* ---- The table ---- */

static const nnfi_clean_rule rules[] = {
    {"Add", false, where_number_does_nothing, NULL, NULL, NULL},
    {"AvgPool1d", false, where_windows_are_single, NULL, NULL, NULL},
    {"AvgPool2d", false, where_windows_are_single, NULL, NULL, NULL},
    {"AvgPool3d", false, where_windows_are_single, NULL, NULL, NULL},
    {"Cast", false, where_dtype_stays, NULL, NULL, NULL},
    {"CastLike", false, where_dtypes_agree, NULL, NULL, NULL},
    {"Clip", false, NULL, NULL, NULL, past_a_relu},
    {"Concat", false, where_alone, NULL, NULL, NULL},
    {"Div", false, where_number_does_nothing, NULL, NULL, NULL},
    {"Dropout", false, always, NULL, NULL, NULL},
    {"Flatten", true, where_shape_stays, view_reshaped, NULL, NULL},
    {"Identity", false, always, NULL, NULL, NULL},
    {"Max", false, where_alone, NULL, NULL, NULL},
    {"MaxPool1d", false, where_windows_are_single, NULL, NULL, NULL},
    {"MaxPool2d", false, where_windows_are_single, NULL, NULL, NULL},
    {"MaxPool3d", false, where_windows_are_single, NULL, NULL, NULL},
    {"Mean", false, where_alone, NULL, NULL, NULL},
    {"Min", false, where_alone, NULL, NULL, NULL},
    {"Mul", false, where_number_does_nothing, NULL, NULL, NULL},
    {"Pad", false, where_nothing_is_added, NULL, NULL, NULL},
    {"ReLU", false, NULL, NULL, NULL, past_a_relu},
    {"ReLU6", false, NULL, NULL, NULL, past_a_relu},
    {"Reshape", true, where_shape_stays, view_reshaped, known_target, NULL},
    {"Slice", false, where_all_is_taken, NULL, NULL, NULL},
    {"Squeeze", true, where_shape_stays, view_reshaped, NULL, NULL},
    {"Sub", false, where_number_does_nothing, NULL, NULL, NULL},
    {"Sum", false, where_alone, NULL, NULL, NULL},
    {"Transpose", false, where_order_stays, view_transposed, NULL, NULL},
    {"Unsqueeze", true, where_shape_stays, view_reshaped, NULL, NULL},
};

const nnfi_clean_rule *nnfi_clean_rule_of(const char *type) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].type, type) == 0) return &rules[i];
    return NULL;
}
