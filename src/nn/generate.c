/* Layers whose output is made of few numbers: Range, Size, OneHot, EyeLike, NonZero; and those that
 * walk along an axis or a diagonal: CumSum, CumProd, Trilu. */
#include <math.h>
#include <string.h>

#include "nn/nn_internal.h"
#include "nn/walk.h"

static nnf_status check_scalar(const nnf_module *module, const char *what,
                               const nnf_type_info *info) {
    nnf_dim n;
    if (!info || info->ndim < 0) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, info->shape, 0, info->ndim));
    if (!nnfi_dim_known(n) || n.value == 1) return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "%s takes %s as one number, not %lld",
                     nnf_module_type_name(module), what, (long long)n.value);
}

/* ---- Range ---- */

static nnf_status count_floats(int64_t *out, double start, double limit, double delta) {
    double count = ceil((limit - start) / delta);
    if (!(fabs(count) < 0x1p53))
        return nnf_error(NNF_ERROR_INVALID, "Range from %g to %g by %g has no end", start, limit,
                         delta);
    *out = count > 0 ? (int64_t)count : 0;
    return NNF_OK;
}

/* Unsigned, as two int64 may lie further apart than an int64 can say. */
static nnf_status count_integers(int64_t *out, int64_t start, int64_t limit, int64_t delta) {
    bool down = delta < 0;
    uint64_t step = down ? 0 - (uint64_t)delta : (uint64_t)delta, count = 0;
    uint64_t span = down ? (uint64_t)start - (uint64_t)limit : (uint64_t)limit - (uint64_t)start;
    if (step > 0 && (down ? start > limit : start < limit))
        count = span / step + (span % step != 0);
    if (step == 0 || count > INT64_MAX)
        return nnf_error(NNF_ERROR_INVALID, "Range from %lld to %lld by %lld has %s",
                         (long long)start, (long long)limit, (long long)delta,
                         step == 0 ? "no end" : "too many elements");
    *out = (int64_t)count;
    return NNF_OK;
}

/* Element i, which lies between start and limit, where the product alone may not. */
static int64_t integer_at(int64_t start, int64_t delta, int64_t i) {
    return (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)delta);
}

static nnf_status infer_range(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 3, 3, n_outputs, 1));
    nnf_type_info *out = &outputs[0];
    nnf_dim count = nnfi_unknown_dim(), values[NNF_MAX_KNOWN_VALUES], of[3];
    bool known = true;
    for (int i = 0; i < 3; i++) {
        NNFI_TRY(nnfi_merge_dtype(module, &out->dtype, out->dtype, inputs[i]->dtype));
        NNFI_TRY(check_scalar(module, "its bounds and step", inputs[i]));
        of[i] = inputs[i]->n_values == 1 ? inputs[i]->values[0] : nnfi_unknown_dim();
        known = known && nnfi_dim_known(of[i]);
    }
    if (known) {
        int64_t n;
        NNFI_TRY(count_integers(&n, of[0].value, of[1].value, of[2].value));
        count = nnfi_dim(n);
    } else if (nnfi_dim_is(of[0], 0) && nnfi_dim_is(of[2], 1)) {
        count = of[1]; /* as long as that axis */
    }
    nnfi_info_set_shape(out, 1, &count);
    if (!known || count.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    for (int i = 0; i < count.value; i++)
        values[i] = nnfi_dim(integer_at(of[0].value, of[2].value, i));
    return nnf_type_info_set_values(out, values, (int)count.value);
}

static nnf_status forward_range(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)module, (void)n_inputs, (void)n_outputs;
    nnf_dtype dtype = nnf_tensor_dtype(inputs[0]);
    bool whole = !nnf_dtype_is_float(dtype);
    double of[3];
    int64_t integers[3], n;
    void *y;
    for (int i = 0; i < 3; i++) {
        const void *data;
        NNFI_TRY(nnf_tensor_data(inputs[i], &data));
        of[i] = nnfi_load_f64(dtype, data, 0);
        integers[i] = nnfi_load_i64(dtype, data, 0);
    }
    if (whole)
        NNFI_TRY(count_integers(&n, integers[0], integers[1], integers[2]));
    else
        NNFI_TRY(count_floats(&n, of[0], of[1], of[2]));
    if (!outputs[0]) NNFI_TRY(nnf_session_new_tensor(session, &outputs[0], dtype, 1, &n));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t i = 0; i < n; i++) {
        if (whole)
            nnfi_store_i64(dtype, y, i, integer_at(integers[0], integers[2], i));
        else
            nnfi_store_f64(dtype, y, i, of[0] + (double)i * of[2]);
    }
    return NNF_OK;
}

/* ---- Size ---- */

static nnf_status infer_size(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    nnf_dim n;
    outputs[0].dtype = NNF_I64;
    outputs[0].ndim = 0;
    if (inputs[0]->ndim < 0) return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, inputs[0]->shape, 0, inputs[0]->ndim));
    return nnf_type_info_set_values(&outputs[0], &n, 1);
}

static nnf_status forward_size(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)module, (void)n_inputs, (void)n_outputs;
    void *y;
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    *(int64_t *)y = nnf_tensor_numel(inputs[0]);
    return NNF_OK;
}

/* ---- OneHot ---- */

static nnf_status infer_one_hot(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_axis_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 3, 3, n_outputs, 1));
    const nnf_type_info *indices = inputs[0], *depth = inputs[1], *values = inputs[2];
    NNFI_TRY(check_scalar(module, "its depth", depth));
    outputs[0].dtype = values->dtype;
    if (values->ndim >= 0 && (values->ndim != 1 || nnfi_dim_differ(values->shape[0], nnfi_dim(2))))
        return nnf_error(NNF_ERROR_SHAPE, "OneHot takes two values: off and on");
    if (indices->ndim < 0) return NNF_OK;
    if (indices->ndim == NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "OneHot gives at most %d dimensions", NNF_MAX_DIMS);
    int axis, ndim = indices->ndim + 1;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, ndim));
    nnf_dim shape[NNF_MAX_DIMS];
    for (int i = 0, from = 0; i < ndim; i++)
        shape[i] = i != axis              ? indices->shape[from++]
                   : depth->n_values == 1 ? depth->values[0]
                                          : nnfi_unknown_dim();
    if (nnfi_dim_known(shape[axis]) && shape[axis].value < 0)
        return nnf_error(NNF_ERROR_SHAPE, "OneHot has depth %lld", (long long)shape[axis].value);
    nnfi_info_set_shape(&outputs[0], ndim, shape);
    return NNF_OK;
}

/* A depth that is a float is known only here. */
static nnf_status one_hot_output(nnf_session *session, nnf_tensor *const *inputs, int axis,
                                 nnf_tensor **output) {
    int64_t shape[NNF_MAX_DIMS];
    const void *data;
    if (*output) return NNF_OK;
    NNFI_TRY(nnf_tensor_data(inputs[1], &data));
    int ndim = nnf_tensor_ndim(inputs[0]) + 1;
    for (int i = 0, from = 0; i < ndim; i++)
        shape[i] = i == axis ? nnfi_load_i64(nnf_tensor_dtype(inputs[1]), data, 0)
                             : nnf_tensor_shape(inputs[0])[from++];
    if (shape[axis] < 0)
        return nnf_error(NNF_ERROR_SHAPE, "OneHot has depth %lld", (long long)shape[axis]);
    return nnf_session_new_tensor(session, output, nnf_tensor_dtype(inputs[2]), ndim, shape);
}

static nnf_status forward_one_hot(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_axis_options *options = nnf_module_options(module);
    const void *indices, *values;
    void *data;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(inputs[0]) + 1));
    NNFI_TRY(one_hot_output(session, inputs, axis, &outputs[0]));
    nnfi_along along = nnfi_along_axis(outputs[0], axis);
    size_t size = nnf_dtype_size(nnf_tensor_dtype(inputs[2]));
    NNFI_TRY(nnf_tensor_data(inputs[0], &indices));
    NNFI_TRY(nnf_tensor_data(inputs[2], &values));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &data));
    char *y = data;
    for (int64_t i = 0; i < along.outer * along.inner; i++) {
        int64_t index = nnfi_load_i64(nnf_tensor_dtype(inputs[0]), indices, i);
        if (index < 0) index += along.n; /* what is out of range is off everywhere */
        for (int64_t k = 0; k < along.n; k++) {
            int64_t at = (i / along.inner * along.n + k) * along.inner + i % along.inner;
            memcpy(y + (size_t)at * size, (const char *)values + (k == index ? size : 0), size);
        }
    }
    return NNF_OK;
}

/* ---- EyeLike, Trilu ---- */

static nnf_status infer_eye(const nnf_module *module, const nnf_type_info *const *inputs,
                            size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_eye_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    if (inputs[0]->ndim >= 0 && inputs[0]->ndim != 2)
        return nnf_error(NNF_ERROR_SHAPE, "EyeLike takes a matrix, not a tensor of rank %d",
                         inputs[0]->ndim);
    nnfi_info_set_like(&outputs[0], inputs[0]);
    if (options->dtype != NNF_DTYPE_UNKNOWN) outputs[0].dtype = options->dtype;
    return NNF_OK;
}

static nnf_status forward_eye(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                              size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)inputs, (void)n_inputs, (void)n_outputs;
    const nnf_eye_options *options = nnf_module_options(module);
    const int64_t *shape = nnf_tensor_shape(outputs[0]);
    void *y;
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t row = 0; row < shape[0]; row++)
        for (int64_t column = 0; column < shape[1]; column++)
            nnfi_store_i64(nnf_tensor_dtype(outputs[0]), y, row * shape[1] + column,
                           column - row == options->k);
    return NNF_OK;
}

static nnf_status infer_trilu(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, 1));
    NNFI_TRY(check_scalar(module, "its k", nnfi_input(inputs, n_inputs, 1)));
    if (inputs[0]->ndim == 0 || inputs[0]->ndim == 1)
        return nnf_error(NNF_ERROR_SHAPE, "Trilu takes matrices, not a tensor of rank %d",
                         inputs[0]->ndim);
    nnfi_info_set_like(&outputs[0], inputs[0]);
    return NNF_OK;
}

static nnf_status forward_trilu(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_outputs;
    const nnf_trilu_options *options = nnf_module_options(module);
    const nnf_tensor *given = nnfi_input_tensor(inputs, n_inputs, 1);
    int ndim = nnf_tensor_ndim(inputs[0]);
    int64_t rows = nnf_tensor_shape(inputs[0])[ndim - 2], k = 0;
    int64_t columns = nnf_tensor_shape(inputs[0])[ndim - 1];
    size_t size = nnf_dtype_size(nnf_tensor_dtype(inputs[0]));
    void *data;
    if (given) {
        const void *number;
        NNFI_TRY(nnf_tensor_data(given, &number));
        k = nnfi_load_i64(nnf_tensor_dtype(given), number, 0);
        k = k > columns ? columns : k < -rows ? -rows : k; /* nothing changes beyond that */
    }
    NNFI_TRY(nnfi_copy_elements(outputs[0], inputs[0]));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &data));
    char *y = data;
    for (int64_t i = 0; columns > 0 && i < nnf_tensor_numel(outputs[0]) / columns; i++) {
        int64_t diagonal = i % rows + k;
        int64_t first = options->upper ? 0 : diagonal + 1,
                last = options->upper ? diagonal : columns;
        first = first < 0 ? 0 : first;
        last = last > columns ? columns : last;
        if (first < last)
            memset(y + (size_t)(i * columns + first) * size, 0, (size_t)(last - first) * size);
    }
    return NNF_OK;
}

/* ---- CumSum, CumProd ---- */

typedef struct cumulative_type {
    nnf_module_type type;
    bool product;
} cumulative_type;

static nnf_status infer_cumulative(const nnf_module *module, const nnf_type_info *const *inputs,
                                   size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    NNFI_TRY(nnfi_check_number(module, inputs[0]));
    NNFI_TRY(check_scalar(module, "its axis", inputs[1]));
    nnfi_info_set_like(&outputs[0], inputs[0]);
    int axis;
    bool known = inputs[1]->n_values == 1 && nnfi_dim_known(inputs[1]->values[0]);
    if (!known || inputs[0]->ndim < 0) return NNF_OK;
    return nnfi_normalize_axis(module, &axis, inputs[1]->values[0].value, inputs[0]->ndim);
}

/* Along one axis; floats are gathered in double, integers as they are. */
static void accumulate(const nnfi_along *along, nnf_dtype dtype, const void *x, void *y,
                       const nnf_cumulative_options *options, bool product) {
    bool real = nnf_dtype_is_float(dtype);
    for (int64_t i = 0; i < along->outer * along->inner; i++) {
        int64_t first = i / along->inner * along->n * along->inner + i % along->inner;
        double sum = product;
        uint64_t whole = product; /* wraps */
        for (int64_t k = 0; k < along->n; k++) {
            int64_t at = first + (options->reverse ? along->n - 1 - k : k) * along->inner;
            double before = sum;
            uint64_t whole_before = whole;
            if (real) {
                double value = nnfi_load_f64(dtype, x, at);
                sum = product ? sum * value : sum + value;
                nnfi_store_f64(dtype, y, at, options->exclusive ? before : sum);
            } else {
                uint64_t value = (uint64_t)nnfi_load_i64(dtype, x, at);
                whole = product ? whole * value : whole + value;
                nnfi_store_i64(dtype, y, at, (int64_t)(options->exclusive ? whole_before : whole));
            }
        }
    }
}

static nnf_status forward_cumulative(nnf_session *session, nnf_module *module,
                                     nnf_tensor *const *inputs, size_t n_inputs,
                                     nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_inputs, (void)n_outputs;
    const cumulative_type *type =
        (const cumulative_type *)(const void *)nnf_module_get_type(module);
    const void *x, *number;
    void *y;
    int axis;
    NNFI_TRY(nnf_tensor_data(inputs[1], &number));
    int64_t given = nnfi_load_i64(nnf_tensor_dtype(inputs[1]), number, 0);
    NNFI_TRY(nnfi_normalize_axis(module, &axis, given, nnf_tensor_ndim(inputs[0])));
    nnfi_along along = nnfi_along_axis(inputs[0], axis);
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    accumulate(&along, nnf_tensor_dtype(inputs[0]), x, y, nnf_module_options(module),
               type->product);
    return NNF_OK;
}

/* ---- NonZero ---- */

static nnf_status infer_non_zero(const nnf_module *module, const nnf_type_info *const *inputs,
                                 size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    nnf_dim shape[2] = {nnfi_unknown_dim(), nnfi_unknown_dim()};
    if (inputs[0]->ndim >= 0) shape[0] = nnfi_dim(inputs[0]->ndim);
    outputs[0].dtype = NNF_I64;
    nnfi_info_set_shape(&outputs[0], 2, shape);
    return NNF_OK;
}

static nnf_status forward_non_zero(nnf_session *session, nnf_module *module,
                                   nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                   size_t n_outputs) {
    (void)module, (void)n_inputs, (void)n_outputs;
    nnf_dtype dtype = nnf_tensor_dtype(inputs[0]);
    int64_t n = nnf_tensor_numel(inputs[0]), shape[2] = {nnf_tensor_ndim(inputs[0]), 0};
    const void *x;
    void *y;
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    for (int64_t i = 0; i < n; i++)
        shape[1] += nnfi_load_f64(dtype, x, i) != 0;
    NNFI_TRY(nnf_session_new_tensor(session, &outputs[0], NNF_I64, 2, shape));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t i = 0, found = 0; i < n; i++) {
        if (nnfi_load_f64(dtype, x, i) == 0) continue;
        int64_t rest = i;
        for (int64_t axis = shape[0] - 1; axis >= 0; axis--) {
            ((int64_t *)y)[axis * shape[1] + found] = rest % nnf_tensor_shape(inputs[0])[axis];
            rest /= nnf_tensor_shape(inputs[0])[axis];
        }
        found++;
    }
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "Range",
     .infer = infer_range,
     .forward = forward_range,
     .flags = NNFI_TYPE_MAKES_OUTPUTS},
    {.name = "Size", .infer = infer_size, .forward = forward_size},
    {.name = "OneHot",
     .options_size = sizeof(nnf_axis_options),
     .infer = infer_one_hot,
     .forward = forward_one_hot,
     .flags = NNFI_TYPE_MAKES_OUTPUTS},
    {.name = "EyeLike",
     .options_size = sizeof(nnf_eye_options),
     .infer = infer_eye,
     .forward = forward_eye},
    {.name = "Trilu",
     .options_size = sizeof(nnf_trilu_options),
     .infer = infer_trilu,
     .forward = forward_trilu},
    {.name = "NonZero",
     .infer = infer_non_zero,
     .forward = forward_non_zero,
     .flags = NNFI_TYPE_MAKES_OUTPUTS},
};
const nnfi_type_family nnfi_generate_family = NNFI_TYPE_FAMILY(types);

#define CUMULATIVE(type_name, is_product)                \
    {                                                    \
        {.name = type_name,                              \
         .options_size = sizeof(nnf_cumulative_options), \
         .infer = infer_cumulative,                      \
         .forward = forward_cumulative,                  \
         .flags = NNF_TYPE_WIDENS_16_BIT},               \
            is_product                                   \
    }
static const cumulative_type cumulative_types[] = {CUMULATIVE("CumSum", false),
                                                   CUMULATIVE("CumProd", true)};
const nnfi_type_family nnfi_cumulative_family = {&cumulative_types[0].type, 2,
                                                 sizeof *cumulative_types};
