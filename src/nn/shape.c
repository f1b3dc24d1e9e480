/* Shape, and the layers that change nothing but the shape: Reshape, Flatten, Squeeze, Unsqueeze.
 * Their forward copies the bytes: a view would hold on to memory that the session reuses. */
#include "nn/nn_internal.h"

static nnf_status forward_copy(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    return nnfi_copy_elements(outputs[0], inputs[0]);
}

/* What stays of the input: dtype, and known elements where the output is known to hold them. */
static nnf_status keep_elements(nnf_type_info *out, const nnf_type_info *in) {
    nnf_dim n;
    out->dtype = in->dtype;
    if (in->n_values < 0 || out->ndim < 0) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, out->shape, 0, out->ndim));
    if (!nnfi_info_is_static(out) || !nnfi_dim_is(n, in->n_values)) return NNF_OK;
    return nnf_type_info_set_values(out, in->values, in->n_values);
}

/* ---- Shape ---- */

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static nnf_status infer_shape(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_shape_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    outputs[0].dtype = NNF_I64;
    nnf_dim count = nnfi_unknown_dim();
    nnfi_info_set_shape(&outputs[0], 1, &count);
    int64_t ndim = inputs[0]->ndim;
    if (ndim < 0) return NNF_OK;
    int64_t start = clamp(options->start < 0 ? options->start + ndim : options->start, 0, ndim);
    int64_t end = clamp(options->end < 0 ? options->end + ndim : options->end, 0, ndim);
    count = nnfi_dim(end > start ? end - start : 0);
    nnfi_info_set_shape(&outputs[0], 1, &count);
    const nnf_dim *dims = end > start ? inputs[0]->shape + start : &count; /* a scalar has none */
    return nnf_type_info_set_values(&outputs[0], dims, (int)count.value);
}

static nnf_status forward_shape(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const nnf_shape_options *options = nnf_module_options(module);
    int64_t ndim = nnf_tensor_ndim(inputs[0]), n = nnf_tensor_numel(outputs[0]);
    int64_t start = clamp(options->start < 0 ? options->start + ndim : options->start, 0, ndim);
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &data));
    for (int64_t i = 0; i < n; i++)
        nnfi_store_i64(NNF_I64, data, i, nnf_tensor_shape(inputs[0])[start + i]);
    return NNF_OK;
}

/* ---- Reshape ---- */

/* Replaces each 0 by the input's dimension (unless allowzero) and finds the place of -1. */
static nnf_status resolve_zeros(const nnf_module *module, const nnf_type_info *x, nnfi_ints *shape,
                                int *inferred) {
    const nnf_reshape_options *options = nnf_module_options(module);
    *inferred = -1;
    for (int i = 0; i < shape->n; i++) {
        nnf_dim *dim = &shape->values[i];
        if (nnfi_dim_is(*dim, -1)) {
            if (*inferred >= 0)
                return nnf_error(NNF_ERROR_SHAPE, "Reshape is given -1 for axis %d and for axis %d",
                                 *inferred, i);
            *inferred = i;
        } else if (nnfi_dim_known(*dim) && dim->value < 0) {
            return nnf_error(NNF_ERROR_SHAPE, "Reshape is given %lld for axis %d",
                             (long long)dim->value, i);
        } else if (nnfi_dim_is(*dim, 0) && !options->allowzero) {
            if (x->ndim >= 0 && i >= x->ndim)
                return nnf_error(NNF_ERROR_SHAPE,
                                 "Reshape is to keep axis %d, but its input has %d dimensions", i,
                                 x->ndim);
            *dim = x->ndim < 0 ? nnfi_unknown_dim() : x->shape[i];
        }
    }
    return NNF_OK;
}

/* The product of the known dimensions (but `skip`, < 0: none), and a list of the others. */
static nnf_status split_product(const nnf_dim *dims, int n, int skip, int64_t *known,
                                nnf_dim *others, int *n_others) {
    nnf_dim product = nnfi_dim(1);
    *n_others = 0;
    for (int i = 0; i < n; i++) {
        if (i == skip) continue;
        if (nnfi_dim_known(dims[i]))
            NNFI_TRY(nnfi_dim_mul(&product, product, dims[i]));
        else
            others[(*n_others)++] = dims[i];
    }
    *known = product.value;
    return NNF_OK;
}

/* Strikes out symbols that stand in both lists. */
static void cancel(nnf_dim *a, int *n_a, nnf_dim *b, int *n_b) {
    for (int i = 0; i < *n_a; i++)
        for (int k = 0; k < *n_b; k++)
            if (nnfi_dim_equal(a[i], b[k])) {
                a[i--] = a[--*n_a];
                b[k] = b[--*n_b];
                break;
            }
}

/* Checks the number of elements, or finds the dimension that was given as -1 by it. */
static nnf_status fit(const nnf_type_info *x, nnf_dim *shape, int n, int inferred) {
    nnf_dim from[NNF_MAX_DIMS], to[NNF_MAX_DIMS];
    int n_from, n_to;
    int64_t have, want;
    NNFI_TRY(split_product(x->shape, x->ndim, -1, &have, from, &n_from));
    if (x->n_values >= 0) { /* elements that are known are counted */
        have = x->n_values;
        n_from = 0;
    }
    NNFI_TRY(split_product(shape, n, inferred, &want, to, &n_to));
    cancel(from, &n_from, to, &n_to);
    bool all = n_from == 0 && n_to == 0;
    if (inferred >= 0) {
        shape[inferred] = nnfi_unknown_dim();
        if (all && want > 0 && have % want == 0)
            shape[inferred] = nnfi_dim(have / want);
        else if (n_from == 1 && n_to == 0 && have == want && have > 0)
            shape[inferred] = from[0];
    }
    bool fits = inferred < 0 ? have == want : want > 0 && have % want == 0;
    if (!all || fits) return NNF_OK;
    char text[NNFI_INFO_TEXT], wanted[NNFI_INFO_TEXT];
    nnf_type_info result = {.dtype = x->dtype, .n_values = -1};
    nnfi_info_set_shape(&result, n, shape);
    return nnf_error(NNF_ERROR_SHAPE, "Reshape cannot make %s of %s%s",
                     nnfi_info_text(wanted, sizeof wanted, &result),
                     nnfi_info_text(text, sizeof text, x),
                     inferred < 0 ? "" : ", whatever the dimension given as -1 is");
}

static nnf_status infer_reshape(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    nnfi_ints shape;
    NNFI_TRY(nnfi_ints_of_info(&shape, module, "its shape", inputs[1]));
    outputs[0].dtype = x->dtype;
    if (shape.n < 0) return NNF_OK;
    if (shape.n > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "Reshape gives at most %d dimensions, not %d",
                         NNF_MAX_DIMS, shape.n);
    int inferred;
    NNFI_TRY(resolve_zeros(module, x, &shape, &inferred));
    if (x->ndim >= 0)
        NNFI_TRY(fit(x, shape.values, shape.n, inferred));
    else if (inferred >= 0)
        shape.values[inferred] = nnfi_unknown_dim();
    nnfi_info_set_shape(&outputs[0], shape.n, shape.values);
    return keep_elements(&outputs[0], x);
}

/* ---- Flatten ---- */

nnf_status nnf_flatten_new(nnf_module **out, int64_t start_dim, int64_t end_dim) {
    return nnf_module_new(out, nnf_type("Flatten"),
                          &(nnf_flatten_options){.start_dim = start_dim, .end_dim = end_dim});
}

/* ONNX's: [product before start_dim, product from it on]. */
static nnf_status infer_to_matrix(const nnf_module *module, const nnf_type_info *x,
                                  nnf_type_info *out) {
    const nnf_flatten_options *options = nnf_module_options(module);
    nnf_dim shape[2] = {nnfi_unknown_dim(), nnfi_unknown_dim()};
    if (x->ndim >= 0) {
        int axis = x->ndim; /* allowed, beside the axes that are there */
        if (options->start_dim != x->ndim)
            NNFI_TRY(nnfi_normalize_axis(module, &axis, options->start_dim, x->ndim));
        NNFI_TRY(nnfi_dim_product(&shape[0], x->shape, 0, axis));
        NNFI_TRY(nnfi_dim_product(&shape[1], x->shape, axis, x->ndim));
    }
    nnfi_info_set_shape(out, 2, shape);
    return NNF_OK;
}

/* PyTorch's: merges start_dim .. end_dim; a scalar becomes a vector of one. */
static nnf_status infer_merge(const nnf_module *module, const nnf_type_info *x,
                              nnf_type_info *out) {
    const nnf_flatten_options *options = nnf_module_options(module);
    if (x->ndim < 0) return NNF_OK;
    nnf_dim shape[NNF_MAX_DIMS] = {nnfi_dim(1)};
    int first, last, rank = x->ndim > 0 ? x->ndim : 1;
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    NNFI_TRY(nnfi_normalize_axis(module, &first, options->start_dim, rank));
    NNFI_TRY(nnfi_normalize_axis(module, &last, options->end_dim, rank));
    if (first > last)
        return nnf_error(NNF_ERROR_SHAPE, "Flatten has start_dim %d behind end_dim %d", first,
                         last);
    NNFI_TRY(nnfi_dim_product(&shape[first], shape, first, last + 1));
    for (int i = last + 1; i < rank; i++)
        shape[first + i - last] = shape[i];
    nnfi_info_set_shape(out, rank - (last - first), shape);
    return NNF_OK;
}

static nnf_status infer_flatten(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_flatten_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    if (options->to_matrix)
        NNFI_TRY(infer_to_matrix(module, inputs[0], &outputs[0]));
    else
        NNFI_TRY(infer_merge(module, inputs[0], &outputs[0]));
    return keep_elements(&outputs[0], inputs[0]);
}

/* ---- Squeeze, Unsqueeze: axes as an option (opset < 13) or as an input ---- */

static nnf_status axes_of(nnfi_ints *out, const nnf_module *module,
                          const nnf_type_info *const *inputs, size_t n_inputs) {
    const nnf_axes_options *options = nnf_module_options(module);
    const nnf_type_info *given = nnfi_input(inputs, n_inputs, 1);
    if (given) return nnfi_ints_of_info(out, module, "its axes", given);
    return nnfi_ints_of_option(out, module, "its axes", options->axes, NNFI_ROOM(options->axes),
                               options->n_axes);
}

/* Which axes go; false where that cannot be told. */
static nnf_status squeezed_axes(const nnf_module *module, const nnf_type_info *x,
                                const nnfi_ints *list, bool *gone, bool *known) {
    int axes[NNF_MAX_KNOWN_VALUES];
    *known = true;
    if (!list->given) { /* every axis of size 1 */
        for (int i = 0; i < x->ndim; i++) {
            gone[i] = nnfi_dim_is(x->shape[i], 1);
            *known = *known && nnfi_dim_known(x->shape[i]);
        }
        return NNF_OK;
    }
    NNFI_TRY(nnfi_ints_axes(list, module, x->ndim, axes, known));
    for (int i = 0; *known && i < list->n; i++) {
        gone[axes[i]] = true;
        if (!nnfi_dim_differ(x->shape[axes[i]], nnfi_dim(1))) continue;
        char text[NNFI_INFO_TEXT];
        return nnf_error(NNF_ERROR_SHAPE, "Squeeze cannot take axis %d out of %s", axes[i],
                         nnfi_info_text(text, sizeof text, x));
    }
    return NNF_OK;
}

static nnf_status infer_squeeze(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    nnfi_ints list;
    bool gone[NNF_MAX_DIMS] = {false}, known = false;
    NNFI_TRY(axes_of(&list, module, inputs, n_inputs));
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    NNFI_TRY(squeezed_axes(module, x, &list, gone, &known));
    if (!known) return NNF_OK;
    nnf_dim shape[NNF_MAX_DIMS];
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++)
        if (!gone[i]) shape[ndim++] = x->shape[i];
    nnfi_info_set_shape(&outputs[0], ndim, shape);
    return keep_elements(&outputs[0], x);
}

static nnf_status infer_unsqueeze(const nnf_module *module, const nnf_type_info *const *inputs,
                                  size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    nnfi_ints list;
    NNFI_TRY(axes_of(&list, module, inputs, n_inputs));
    if (!list.given) return nnf_error(NNF_ERROR_INVALID, "Unsqueeze is not given its axes");
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0 || list.n < 0) return NNF_OK;
    int ndim = x->ndim + list.n, axes[NNF_MAX_KNOWN_VALUES];
    if (ndim > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "Unsqueeze gives at most %d dimensions, not %d",
                         NNF_MAX_DIMS, ndim);
    nnf_dim shape[NNF_MAX_DIMS];
    bool known, is_new[NNF_MAX_DIMS] = {false};
    NNFI_TRY(nnfi_ints_axes(&list, module, ndim, axes, &known));
    for (int i = 0; known && i < list.n; i++)
        is_new[axes[i]] = true;
    for (int i = 0, from = 0; i < ndim; i++)
        shape[i] = !known ? nnfi_unknown_dim() : is_new[i] ? nnfi_dim(1) : x->shape[from++];
    nnfi_info_set_shape(&outputs[0], ndim, shape);
    return keep_elements(&outputs[0], x);
}

static const nnf_module_type types[] = {
    {.name = "Shape",
     .options_size = sizeof(nnf_shape_options),
     .infer = infer_shape,
     .forward = forward_shape},
    {.name = "Reshape",
     .options_size = sizeof(nnf_reshape_options),
     .infer = infer_reshape,
     .forward = forward_copy},
    {.name = "Flatten",
     .options_size = sizeof(nnf_flatten_options),
     .infer = infer_flatten,
     .forward = forward_copy},
    {.name = "Squeeze",
     .options_size = sizeof(nnf_axes_options),
     .infer = infer_squeeze,
     .forward = forward_copy},
    {.name = "Unsqueeze",
     .options_size = sizeof(nnf_axes_options),
     .infer = infer_unsqueeze,
     .forward = forward_copy},
};
const nnfi_type_family nnfi_shape_family = NNFI_TYPE_FAMILY(types);
