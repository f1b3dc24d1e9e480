#include "fuse/linear_map.h"

#include "module/module_internal.h"
#include "support/error.h"

/* Where the output channel of each element of `weight` is, in the words of nnfi_tensor_fold. */
static nnf_status output_channels(nnfi_channel_view *view, const nnf_linear_map *map,
                                  const nnf_tensor *weight) {
    int ndim = nnf_tensor_ndim(weight), axes = map->transposed ? 2 : 1;
    const int64_t *shape = nnf_tensor_shape(weight);
    int64_t g = map->groups, in = map->in_channels, out = map->out_channels;
    bool fits = g > 0 && in % g == 0 && out % g == 0 && ndim >= 2 &&
                shape[0] == (map->transposed ? in : out) &&
                shape[1] == (map->transposed ? out : in) / g;
    if (!fits) {
        char text[NNFI_SHAPE_TEXT];
        return nnf_error(NNF_ERROR_SHAPE,
                         "the weight has shape %s, which does not go with %lld input channels, "
                         "%lld output channels and %lld groups",
                         nnfi_shape_text(text, sizeof text, ndim, shape), (long long)in,
                         (long long)out, (long long)g);
    }
    int64_t inner = 1;
    for (int i = axes; i < ndim; i++)
        inner *= shape[i];
    *view = map->transposed ? (nnfi_channel_view){g, in / g, out / g, inner}
                            : (nnfi_channel_view){1, 1, out, inner};
    return NNF_OK;
}

/* Puts parameter `name` of `module` through the fold; where it has none, through a fold of zeros.
 */
static nnf_status fold_parameter(nnf_module *module, const char *name, nnf_dtype dtype,
                                 const nnfi_channel_view *view, nnfi_affine *affine) {
    nnf_tensor *folded = NULL, *base = nnf_module_tensor(module, name);
    nnf_status status = nnfi_tensor_fold(&folded, base, dtype, view, affine);
    if (status == NNF_OK) status = nnf_module_set_parameter(module, name, folded);
    nnf_tensor_release(folded);
    return status == NNF_OK ? status : nnfi_error_prefix(status, "the folded %s: ", name);
}

/* Replaces a parametrized parameter by the value that it has now. */
static nnf_status make_plain(nnf_module *module, const char *name) {
    if (!name || !nnf_module_is_parametrized(module, name)) return NNF_OK;
    return nnf_module_remove_parametrizations(module, name);
}

static nnf_status fold_after(nnf_module *module, const nnf_linear_map *map, nnfi_affine *affine) {
    NNFI_TRY(make_plain(module, map->weight));
    NNFI_TRY(make_plain(module, map->bias));
    const nnf_tensor *weight = nnf_module_tensor(module, map->weight);
    if (!weight)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of the %s is not a constant",
                         nnf_module_type_name(module));
    const nnf_tensor *bias = map->bias ? nnf_module_tensor(module, map->bias) : NULL;
    if (!map->bias || (bias && nnf_tensor_numel(bias) != map->out_channels))
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s has no bias for each output channel",
                         nnf_module_type_name(module));
    if (!nnf_dtype_is_float(nnf_tensor_dtype(weight)))
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of the %s is of dtype %s",
                         nnf_module_type_name(module), nnf_dtype_name(nnf_tensor_dtype(weight)));

    nnf_dtype dtype = nnf_tensor_dtype(bias ? bias : weight);
    nnfi_channel_view view;
    NNFI_TRY(output_channels(&view, map, weight));
    NNFI_TRY(fold_parameter(module, map->weight, nnf_tensor_dtype(weight), &view, affine));
    return fold_parameter(module, map->bias, dtype, NULL, affine);
}

/* The affine map of a module: its numbers as they are now. */
static nnf_status affine_of(nnfi_affine **out, const nnf_module *module) {
    nnf_affine_map map = {0};
    NNFI_TRY(nnf_module_get_type(module)->affine_map(module, &map));
    nnf_status status =
        nnfi_affine_new(out, map.channels, map.weight, map.bias, map.mean, map.var, map.eps);
    nnf_affine_map_clear(&map);
    return status == NNF_OK ? status
                            : nnfi_error_prefix(status, "the %s: ", nnf_module_type_name(module));
}

nnf_status nnfi_affine_after(nnf_module **out, const nnf_module *linear, const nnf_module *affine) {
    nnf_linear_map map;
    nnfi_affine *after;
    NNFI_TRY(nnf_module_get_type(linear)->linear_map(linear, &map));
    NNFI_TRY(affine_of(&after, affine));
    nnf_module *folded = NULL;
    nnf_status status = NNF_OK;
    if (nnfi_affine_channels(after) != map.out_channels)
        status = nnf_error(NNF_ERROR_NOT_FUSABLE,
                           "the %s has num_features %lld, but the %s has %lld output channels",
                           nnf_module_type_name(affine), (long long)nnfi_affine_channels(after),
                           nnf_module_type_name(linear), (long long)map.out_channels);
    if (status == NNF_OK) status = nnfi_module_shallow_copy(&folded, linear);
    if (status == NNF_OK) status = fold_after(folded, &map, after);
    nnfi_affine_release(after);
    if (status == NNF_OK)
        *out = folded;
    else
        nnf_module_release(folded);
    return status;
}
