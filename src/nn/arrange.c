/* Split, Expand, Tile, DepthToSpace, SpaceToDepth: elements of any dtype, cut up, repeated or put
 * into another order by strided copies. */
#include "nn/nn_internal.h"
#include "nn/walk.h"

static nnf_status copy_start(nnf_session *session, nnfi_copy *copy, const nnf_tensor *x,
                             nnf_tensor *y) {
    *copy = (nnfi_copy){.size = nnf_dtype_size(nnf_tensor_dtype(x)),
                        .threads = nnf_session_threads(session)};
    NNFI_TRY(nnf_tensor_data(x, &copy->from));
    return nnf_tensor_mut_data(y, &copy->to);
}

/* ---- Split ---- */

/* Sizes that are given, as far as they are known: each is a size, and together they are no more
 * than there is, or as much where all are known. */
static nnf_status check_sizes(const nnfi_ints *sizes, nnf_dim length) {
    int64_t total = 0;
    bool all = sizes->n >= 0;
    for (int i = 0; i < sizes->n; i++) {
        nnf_dim size = sizes->values[i];
        all = all && nnfi_dim_known(size);
        if (nnfi_dim_known(size) && (size.value < 0 || !nnfi_add(total, size.value, &total)))
            return nnf_error(NNF_ERROR_SHAPE, "Split has a part of size %lld",
                             (long long)size.value);
    }
    if (!nnfi_dim_known(length) || (all ? total == length.value : total <= length.value))
        return NNF_OK;
    return nnf_error(NNF_ERROR_SHAPE, "Split's parts have %s%lld of %lld elements together",
                     all ? "" : "at least ", (long long)total, (long long)length.value);
}

/* The sizes as the call says them, or equal parts with a smaller last one where the options allow
 * it. Unknown ones are left so. */
static nnf_status split_sizes(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_dim length, size_t n_outputs, nnfi_ints *out) {
    const nnf_split_options *options = nnf_module_options(module);
    const nnf_type_info *given = nnfi_input(inputs, n_inputs, 1);
    if (given)
        NNFI_TRY(nnfi_ints_of_info(out, module, "its sizes", given));
    else
        NNFI_TRY(nnfi_ints_of_option(out, module, "its sizes", options->sizes,
                                     NNFI_ROOM(options->sizes), options->n));
    int64_t parts = (int64_t)n_outputs;
    if (!out->given) {
        if (options->num_outputs > 0 && options->num_outputs != parts)
            return nnf_error(NNF_ERROR_INVALID, "Split gives %lld outputs, not %zu",
                             (long long)options->num_outputs, n_outputs);
        bool known = nnfi_dim_known(length);
        if (known && options->num_outputs == 0 && length.value % parts != 0)
            return nnf_error(NNF_ERROR_SHAPE, "Split cannot make %lld equal parts of %lld",
                             (long long)parts, (long long)length.value);
        out->n = parts <= NNF_MAX_KNOWN_VALUES ? (int)parts : -1;
        int64_t part = known ? length.value / parts + (length.value % parts != 0) : 0;
        int64_t left = length.value;
        for (int i = 0; i < out->n; i++, left -= part)
            out->values[i] = !known        ? nnfi_unknown_dim()
                             : left > part ? nnfi_dim(part)
                                           : nnfi_dim(left > 0 ? left : 0);
        return NNF_OK;
    }
    if (out->n >= 0 && out->n != parts)
        return nnf_error(NNF_ERROR_SHAPE, "Split has %d sizes for %zu outputs", out->n, n_outputs);
    return check_sizes(out, length);
}

static nnf_status infer_split(const nnf_module *module, const nnf_type_info *const *inputs,
                              size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_split_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, SIZE_MAX));
    const nnf_type_info *x = inputs[0];
    nnfi_ints sizes;
    int axis, at = 0;
    for (size_t i = 0; i < n_outputs; i++)
        outputs[i].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, x->ndim));
    NNFI_TRY(split_sizes(module, inputs, n_inputs, x->shape[axis], n_outputs, &sizes));
    for (size_t i = 0; i < n_outputs; i++) {
        nnf_dim size = sizes.n >= 0 ? sizes.values[i] : nnfi_unknown_dim();
        nnfi_info_set_shape(&outputs[i], x->ndim, x->shape);
        outputs[i].shape[axis] = size;
        bool known = x->ndim == 1 && x->n_values >= 0 && at >= 0 && nnfi_dim_known(size);
        if (!known || size.value > x->n_values - at) {
            at = -1;
            continue;
        }
        NNFI_TRY(nnf_type_info_set_values(&outputs[i], x->values + at, (int)size.value));
        at += (int)size.value;
    }
    return NNF_OK;
}

/* Outputs that nobody wants may be missing: the sizes are asked for again. */
static nnf_status forward_split(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    const nnf_split_options *options = nnf_module_options(module);
    nnf_tensor *x = inputs[0];
    nnfi_infos infos;
    nnfi_ints sizes;
    int axis;
    NNFI_TRY(nnfi_normalize_axis(module, &axis, options->axis, nnf_tensor_ndim(x)));
    nnfi_along along = nnfi_along_axis(x, axis);
    NNFI_TRY(nnfi_infos_of_tensors(&infos, inputs, n_inputs));
    nnf_status status =
        split_sizes(module, infos.pointers, infos.n, nnfi_dim(along.n), n_outputs, &sizes);
    nnfi_infos_clear(&infos);
    if (status == NNF_OK && sizes.n < 0)
        status = nnf_error(NNF_ERROR_UNSUPPORTED, "Split runs with at most %d outputs, not %zu",
                           NNF_MAX_KNOWN_VALUES, n_outputs);
    int64_t at = 0;
    for (size_t i = 0; status == NNF_OK && i < n_outputs; at += sizes.values[i++].value) {
        nnfi_copy copy;
        if (!outputs[i]) continue;
        NNFI_TRY(copy_start(session, &copy, x, outputs[i]));
        int64_t run = sizes.values[i].value * along.inner;
        copy.ndim = 2;
        copy.shape[0] = along.outer;
        copy.shape[1] = copy.to_strides[0] = run;
        copy.from_strides[0] = along.n * along.inner;
        copy.to_strides[1] = copy.from_strides[1] = 1;
        copy.from = (const char *)copy.from + (size_t)(at * along.inner) * copy.size;
        nnfi_strided_copy(&copy);
    }
    return status;
}

/* ---- Expand ---- */

static nnf_status infer_expand(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    nnf_type_info wanted;
    nnfi_ints shape;
    nnf_dim n, values[NNF_MAX_KNOWN_VALUES];
    NNFI_TRY(nnfi_ints_of_info(&shape, module, "its shape", inputs[1]));
    outputs[0].dtype = x->dtype;
    if (shape.n < 0 || x->ndim < 0) return NNF_OK;
    if (shape.n > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "Expand gives at most %d dimensions, not %d",
                         NNF_MAX_DIMS, shape.n);
    for (int i = 0; i < shape.n; i++)
        if (nnfi_dim_known(shape.values[i]) && shape.values[i].value < 0)
            return nnf_error(NNF_ERROR_SHAPE, "Expand is given the dimension %lld",
                             (long long)shape.values[i].value);
    nnf_type_info_init(&wanted);
    wanted.dtype = x->dtype;
    nnfi_info_set_shape(&wanted, shape.n, shape.values);
    NNFI_TRY(nnfi_broadcast(module, &outputs[0], x, &wanted));
    if (x->n_values < 0 || !nnfi_info_is_static(x) || !nnfi_info_is_static(&outputs[0]))
        return NNF_OK;
    NNFI_TRY(nnfi_dim_product(&n, outputs[0].shape, 0, outputs[0].ndim));
    if (n.value > NNF_MAX_KNOWN_VALUES) return NNF_OK;
    nnfi_spread_values(values, &outputs[0], x);
    return nnf_type_info_set_values(&outputs[0], values, (int)n.value);
}

static nnf_status forward_expand(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)module, (void)n_inputs, (void)n_outputs;
    nnf_tensor *x = inputs[0], *y = outputs[0];
    nnfi_copy copy;
    NNFI_TRY(copy_start(session, &copy, x, y));
    copy.ndim = nnf_tensor_ndim(y);
    for (int i = 0; i < copy.ndim; i++)
        copy.shape[i] = nnf_tensor_shape(y)[i];
    nnfi_contiguous_strides(copy.to_strides, copy.ndim, copy.shape);
    nnfi_broadcast_strides(copy.from_strides, copy.ndim, nnf_tensor_ndim(x), nnf_tensor_shape(x));
    nnfi_strided_copy(&copy);
    return NNF_OK;
}

/* ---- Tile ---- */

static nnf_status infer_tile(const nnf_module *module, const nnf_type_info *const *inputs,
                             size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 2, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    nnfi_ints repeats;
    NNFI_TRY(nnfi_ints_of_info(&repeats, module, "its repeats", inputs[1]));
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    if (repeats.n >= 0 && repeats.n != x->ndim)
        return nnf_error(NNF_ERROR_SHAPE, "Tile has %d repeats for %d dimensions", repeats.n,
                         x->ndim);
    nnfi_info_set_shape(&outputs[0], x->ndim, x->shape);
    for (int i = 0; i < x->ndim; i++) {
        nnf_dim times = repeats.n < 0 ? nnfi_unknown_dim() : repeats.values[i];
        if (nnfi_dim_known(times) && times.value < 0)
            return nnf_error(NNF_ERROR_SHAPE, "Tile is to repeat axis %d %lld times", i,
                             (long long)times.value);
        NNFI_TRY(nnfi_dim_mul(&outputs[0].shape[i], x->shape[i], times));
    }
    return NNF_OK;
}

/* The whole of x once for each place in y. */
static nnf_status forward_tile(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)module, (void)n_inputs, (void)n_outputs;
    nnf_tensor *x = inputs[0], *y = outputs[0];
    const int64_t *from = nnf_tensor_shape(x), *to = nnf_tensor_shape(y);
    nnfi_walk places = nnfi_walk_start();
    nnfi_copy copy;
    if (nnf_tensor_numel(y) == 0) return NNF_OK;
    NNFI_TRY(copy_start(session, &copy, x, y));
    copy.ndim = nnf_tensor_ndim(y);
    nnfi_contiguous_strides(copy.to_strides, copy.ndim, to);
    nnfi_contiguous_strides(copy.from_strides, copy.ndim, from);
    for (int i = 0; i < copy.ndim; i++) {
        copy.shape[i] = from[i];
        nnfi_walk_add(&places, to[i] / from[i], from[i] * copy.to_strides[i]);
    }
    char *start = copy.to;
    for (int64_t i = 0; i < places.count; i++, nnfi_walk_next(&places)) {
        copy.to = start + places.offset * (int64_t)copy.size;
        nnfi_strided_copy(&copy);
    }
    return NNF_OK;
}

/* ---- DepthToSpace, SpaceToDepth ---- */

/* Rows of the table: whether the channels become blocks, or blocks channels. */
typedef struct blocks_type {
    nnf_module_type type;
    bool to_space;
} blocks_type;

static bool to_space(const nnf_module *module) {
    return ((const blocks_type *)(const void *)nnf_module_get_type(module))->to_space;
}

/* dim / by where that is known; *fits says whether it goes without a rest. */
static nnf_dim divided(nnf_dim dim, int64_t by, bool *fits) {
    if (!nnfi_dim_known(dim)) return nnfi_unknown_dim();
    if (dim.value % by != 0) *fits = false;
    return nnfi_dim(dim.value / by);
}

static nnf_status infer_blocks(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_blocks_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 1, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    int64_t b = options->blocksize, area;
    nnfi_info_set_like(&outputs[0], x);
    if (b < 1 || !nnfi_mul(b, b, &area))
        return nnf_error(NNF_ERROR_INVALID, "%s has blocksize %lld", nnf_module_type_name(module),
                         (long long)b);
    if (x->ndim < 0) return NNF_OK;
    bool fits = x->ndim == 4;
    nnf_dim *shape = outputs[0].shape;
    if (fits && to_space(module)) {
        shape[1] = divided(x->shape[1], area, &fits);
        for (int i = 2; i < 4; i++)
            NNFI_TRY(nnfi_dim_mul(&shape[i], x->shape[i], nnfi_dim(b)));
    } else if (fits) {
        NNFI_TRY(nnfi_dim_mul(&shape[1], x->shape[1], nnfi_dim(area)));
        for (int i = 2; i < 4; i++)
            shape[i] = divided(x->shape[i], b, &fits);
    }
    if (fits) return NNF_OK;
    char text[NNFI_INFO_TEXT];
    return nnf_error(NNF_ERROR_SHAPE, "%s with blocksize %lld does not fit %s",
                     nnf_module_type_name(module), (long long)b,
                     nnfi_info_text(text, sizeof text, x));
}

static nnf_status forward_blocks(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)n_inputs, (void)n_outputs;
    const nnf_blocks_options *options = nnf_module_options(module);
    const int64_t *in = nnf_tensor_shape(inputs[0]), *out = nnf_tensor_shape(outputs[0]);
    int64_t b = options->blocksize, plane = in[2] * in[3], image = in[1] * plane;
    nnfi_copy copy;
    NNFI_TRY(copy_start(session, &copy, inputs[0], outputs[0]));
    copy.ndim = 6;
    if (to_space(
            module)) { /* [n, c, h, i, w, j] from channel (i b + j) c' + c, or c b b + i b + j */
        const int64_t shape[] = {in[0], out[1], in[2], b, in[3], b};
        bool outside = options->kind == NNF_BLOCKS_OUTSIDE;
        int64_t channel = outside ? b * b * plane : plane;
        int64_t block = outside ? plane : out[1] * plane;
        const int64_t strides[] = {image, channel, in[3], b * block, 1, block};
        for (int i = 0; i < 6; i++)
            copy.shape[i] = shape[i], copy.from_strides[i] = strides[i];
    } else { /* [n, i, j, c, h, w] or [n, c, i, j, h, w] from row h b + i, column w b + j */
        int c = options->kind == NNF_BLOCKS_OUTSIDE ? 1 : 3, i = c == 1 ? 2 : 1;
        const int64_t shape[] = {in[0], b, b, b, out[2], out[3]};
        const int64_t strides[] = {image, 0, 0, 0, b * in[3], b};
        for (int k = 0; k < 6; k++)
            copy.shape[k] = shape[k], copy.from_strides[k] = strides[k];
        copy.shape[c] = in[1];
        copy.from_strides[c] = plane;
        copy.from_strides[i] = in[3];
        copy.from_strides[i + 1] = 1;
    }
    nnfi_contiguous_strides(copy.to_strides, 6, copy.shape);
    nnfi_strided_copy(&copy);
    return NNF_OK;
}

static const nnf_module_type types[] = {
    {.name = "Split",
     .options_size = sizeof(nnf_split_options),
     .infer = infer_split,
     .forward = forward_split},
    {.name = "Expand", .infer = infer_expand, .forward = forward_expand},
    {.name = "Tile", .infer = infer_tile, .forward = forward_tile},
};
const nnfi_type_family nnfi_arrange_family = NNFI_TYPE_FAMILY(types);

#define BLOCKS(type_name, is_to_space)               \
    {                                                \
        {.name = type_name,                          \
         .options_size = sizeof(nnf_blocks_options), \
         .infer = infer_blocks,                      \
         .forward = forward_blocks},                 \
            is_to_space                              \
    }
static const blocks_type blocks_types[] = {BLOCKS("DepthToSpace", true),
                                           BLOCKS("SpaceToDepth", false)};
const nnfi_type_family nnfi_blocks_family = {&blocks_types[0].type, 2, sizeof *blocks_types};
