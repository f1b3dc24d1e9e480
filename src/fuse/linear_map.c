#include "fuse/linear_map.h"

#include <math.h>

#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/threads.h"
#include "tensor/affine.h"

/* ---- Where channels are ---- */

static bool fits(const nnf_linear_map *map, const nnf_tensor *weight) {
    const int64_t *shape = nnf_tensor_shape(weight);
    int64_t g = map->groups, in = map->in_channels, out = map->out_channels;
    return g > 0 && in % g == 0 && out % g == 0 && nnf_tensor_ndim(weight) >= 2 &&
           shape[0] == (map->transposed ? in : out) && shape[1] == (map->transposed ? out : in) / g;
}

/* Where the output (or input) channel of each element of `weight` is, in the words of
 * nnfi_tensor_fold. */
static nnf_status find_channels(nnfi_channel_view *view, const nnf_linear_map *map,
                                const nnf_tensor *weight, bool output) {
    int ndim = nnf_tensor_ndim(weight);
    const int64_t *shape = nnf_tensor_shape(weight);
    if (!fits(map, weight)) {
        char text[NNFI_SHAPE_TEXT];
        return nnf_error(NNF_ERROR_SHAPE,
                         "the weight has shape %s, which does not go with %lld input channels, "
                         "%lld output channels and %lld groups",
                         nnfi_shape_text(text, sizeof text, ndim, shape),
                         (long long)map->in_channels, (long long)map->out_channels,
                         (long long)map->groups);
    }
    int64_t inner = 1;
    for (int i = 2; i < ndim; i++)
        inner *= shape[i];
    if (output == map->transposed) /* the weight's second axis, one group's channels */
        *view = (nnfi_channel_view){map->groups, shape[0] / map->groups, shape[1], inner};
    else
        *view = (nnfi_channel_view){1, 1, shape[0], shape[1] * inner};
    return NNF_OK;
}

/* ---- Parts of folding ---- */

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

static nnf_status check_weight(const nnf_module *module, const nnf_tensor *weight) {
    if (!weight)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of the %s is not a constant",
                         nnf_module_type_name(module));
    if (!nnf_dtype_is_float(nnf_tensor_dtype(weight)))
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight of the %s is of dtype %s",
                         nnf_module_type_name(module), nnf_dtype_name(nnf_tensor_dtype(weight)));
    return NNF_OK;
}

nnf_status nnfi_affine_of(nnfi_affine **out, bool *shifts, const nnf_module *module) {
    nnf_affine_map map = {0};
    NNFI_TRY(nnf_module_get_type(module)->affine_map(module, &map));
    *shifts = map.bias || map.mean;
    nnf_status status =
        nnfi_affine_new(out, map.channels, map.weight, map.bias, map.mean, map.var, map.eps);
    nnf_affine_map_clear(&map);
    return status == NNF_OK ? status
                            : nnfi_error_prefix(status, "the %s: ", nnf_module_type_name(module));
}

static nnf_status check_channels(const nnf_module *affine, int64_t n, const nnf_module *linear,
                                 int64_t wanted, const char *side) {
    if (n == wanted) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "the %s has num_features %lld, but the %s has %lld %s channels",
                     nnf_module_type_name(affine), (long long)n, nnf_module_type_name(linear),
                     (long long)wanted, side);
}

/* A Linear with the weight and bias of a layer, which may be a MatMul, or lifted: the steps that it
 * was are not what its fold computes. */
static nnf_status linear_like(nnf_module **out, const nnf_module *layer,
                              const nnf_linear_map *map) {
    const nnf_linear_options options = {map->in_channels, map->out_channels, map->transposed};
    nnf_module *linear;
    NNFI_TRY(nnf_module_new(&linear, nnf_type("Linear"), &options));
    nnf_module_set_training(linear, nnf_module_training(layer));
    nnf_status status =
        nnf_module_set_parameter(linear, "weight", nnf_module_tensor(layer, map->weight));
    if (status == NNF_OK && map->bias)
        status = nnf_module_set_parameter(linear, "bias", nnf_module_tensor(layer, map->bias));
    if (status == NNF_OK)
        *out = linear;
    else
        nnf_module_release(linear);
    return status;
}

/* A copy that may get a new weight and bias. */
static nnf_status plain_copy(nnf_module **out, const nnf_module *linear,
                             const nnf_linear_map *map) {
    nnf_module *copy;
    if (nnfi_is_lifted(linear)) return linear_like(out, linear, map);
    NNFI_TRY(nnfi_module_shallow_copy(&copy, linear));
    nnf_status status = make_plain(copy, map->weight);
    if (status == NNF_OK) status = make_plain(copy, map->bias);
    if (status == NNF_OK) status = check_weight(linear, nnf_module_tensor(copy, map->weight));
    if (status == NNF_OK)
        *out = copy;
    else
        nnf_module_release(copy);
    return status;
}

/* ---- After ---- */

/* A batch norm's own weight and bias, as if it were a layer with one weight for each channel. */
static nnf_status norm_map(const nnf_module *norm, nnf_linear_map *out) {
    const nnf_tensor *weight = nnf_module_tensor(norm, "weight");
    if (!weight || nnf_tensor_ndim(weight) != 1 || !nnf_module_tensor(norm, "bias"))
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s has no weight and bias of its own",
                         nnf_module_type_name(norm));
    int64_t n = nnf_tensor_shape(weight)[0];
    *out = (nnf_linear_map){n, n, n, false, "weight", "bias", 1, false};
    return NNF_OK;
}

static nnf_status fold_after(nnf_module *module, const nnf_linear_map *map, nnfi_affine *affine,
                             bool shifts) {
    const nnf_tensor *weight = nnf_module_tensor(module, map->weight);
    const nnf_tensor *bias = map->bias ? nnf_module_tensor(module, map->bias) : NULL;
    if (bias && nnf_tensor_numel(bias) != map->out_channels)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s has no bias for each output channel",
                         nnf_module_type_name(module));
    nnf_dtype dtype = nnf_tensor_dtype(bias ? bias : weight);
    nnfi_channel_view view = {1, 1, map->out_channels, 1};
    if (nnf_tensor_ndim(weight) != 1) NNFI_TRY(find_channels(&view, map, weight, true));
    NNFI_TRY(fold_parameter(module, map->weight, nnf_tensor_dtype(weight), &view, affine));
    return bias || shifts ? fold_parameter(module, map->bias, dtype, NULL, affine) : NNF_OK;
}

nnf_status nnfi_affine_after(nnf_module **out, const nnf_module *first, const nnf_module *affine) {
    const nnf_module_type *type = nnf_module_get_type(first);
    nnf_linear_map map;
    nnfi_affine *after;
    bool shifts;
    NNFI_TRY(type->linear_map ? type->linear_map(first, &map) : norm_map(first, &map));
    NNFI_TRY(nnfi_affine_of(&after, &shifts, affine));
    nnf_module *folded = NULL;
    nnf_status status =
        check_channels(affine, nnfi_affine_channels(after), first, map.out_channels, "output");
    if (status == NNF_OK && !map.bias && shifts) {
        status = linear_like(&folded, first, &map);
        map.bias = "bias";
    } else if (status == NNF_OK) {
        status = plain_copy(&folded, first, &map);
    }
    if (status == NNF_OK) status = fold_after(folded, &map, after, shifts);
    nnfi_affine_release(after);
    if (status == NNF_OK)
        *out = folded;
    else
        nnf_module_release(folded);
    return status;
}

/* ---- Before ---- */

/* What the affine map gives for 0; *any: some of it is not 0. NULL: no memory. */
static double *shifts_of(const nnfi_affine *affine, bool *any) {
    int64_t n = nnfi_affine_channels(affine);
    double *shifts = nnfi_alloc(((size_t)n + 1) * sizeof *shifts);
    *any = false;
    for (int64_t c = 0; shifts && c < n; c++) {
        shifts[c] = nnfi_triple_round(nnfi_affine_exact(affine, c, nnfi_triple_of(0.0)));
        *any = *any || shifts[c] != 0.0;
    }
    return shifts;
}

/* sum += a * b, with what rounding took in *low: as if in twice the precision. */
static void add_product(double *sum, double *low, double a, double b) {
    double product = a * b, total = *sum + product, part = total - *sum;
    *low += fma(a, b, -product) + ((*sum - (total - part)) + (product - part));
    *sum = total;
}

/* What is put through a weight. */
typedef struct shifted {
    const nnf_linear_map *map;
    const double *shifts; /* [in_channels] */
    nnf_dtype dtype;
    const void *weight;
    int64_t in_group, columns, inner; /* the weight is [rows, columns, inner] */
    double *bias;                     /* [out_channels] */
} shifted;

/* Channels that are summed up side by side: one sum waits for its last addition, and a matrix may
 * have the channels' numbers beside each other. */
enum { CHANNELS_AT_ONCE = 16, LEAST_FOR_THREADS = 1 << 18 };

/* Block number `index` of so many channels. */
static void shift_channels(void *payload, int64_t index) {
    const shifted *s = payload;
    const nnf_linear_map *map = s->map;
    const int64_t first = index * CHANNELS_AT_ONCE, left = map->out_channels - first;
    const int64_t out_group = map->out_channels / map->groups;
    const int64_t n = left < CHANNELS_AT_ONCE ? left : CHANNELS_AT_ONCE;
    double low[CHANNELS_AT_ONCE] = {0.0};
    for (int64_t i = 0; i < s->in_group; i++)
        for (int64_t k = 0; k < s->inner; k++)
            for (int64_t c = 0; c < n; c++) {
                const int64_t out = first + c, group = out / out_group;
                const int64_t row = map->transposed ? i : out, column = map->transposed ? out : i;
                const int64_t at = (row * s->columns + column) * s->inner + k;
                add_product(&s->bias[out], &low[c], nnfi_load_f64(s->dtype, s->weight, at),
                            s->shifts[group * s->in_group + i]);
            }
    for (int64_t c = 0; c < n; c++)
        s->bias[first + c] += low[c];
}

/* bias += the shifts put through the weight. */
static nnf_status shift_all(double *bias, const nnf_linear_map *map, const nnf_tensor *weight,
                            const double *shifts) {
    shifted s = {.map = map,
                 .shifts = shifts,
                 .dtype = nnf_tensor_dtype(weight),
                 .in_group = map->in_channels / map->groups,
                 .columns = nnf_tensor_shape(weight)[1],
                 .inner = 1,
                 .bias = bias};
    for (int i = 2; i < nnf_tensor_ndim(weight); i++)
        s.inner *= nnf_tensor_shape(weight)[i];
    NNFI_TRY(nnf_tensor_data(weight, &s.weight));
    const bool large = nnf_tensor_numel(weight) >= LEAST_FOR_THREADS;
    nnfi_share(large ? nnfi_default_threads() : 1,
               (map->out_channels + CHANNELS_AT_ONCE - 1) / CHANNELS_AT_ONCE, shift_channels, &s);
    return NNF_OK;
}

static nnf_status fill_bias(nnf_tensor *made, const nnf_linear_map *map, const nnf_tensor *weight,
                            const nnf_tensor *bias, const double *shifts, double *sums) {
    void *to;
    nnf_dtype dtype = nnf_tensor_dtype(made);
    NNFI_TRY(nnf_tensor_mut_data(made, &to));
    if (bias) NNFI_TRY(nnf_tensor_read(bias, 0, map->out_channels, to));
    for (int64_t c = 0; c < map->out_channels; c++)
        sums[c] = bias ? nnfi_load_f64(dtype, to, c) : 0.0;
    NNFI_TRY(shift_all(sums, map, weight, shifts));
    for (int64_t c = 0; c < map->out_channels; c++) {
        nnfi_store_f64(dtype, to, c, sums[c]);
        if (!isfinite(nnfi_load_f64(dtype, to, c)))
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "channel %lld: the bias would leave %s's range",
                             (long long)c, nnf_dtype_name(dtype));
    }
    return NNF_OK;
}

static nnf_status shift_bias(nnf_module *module, const nnf_linear_map *map, const double *shifts) {
    nnf_tensor *weight, *made = NULL, *bias = nnf_module_tensor(module, map->bias);
    if (map->mixes_zeros)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "what is added in front of the %s is no bias: the layer also reads zeros "
                         "from outside its input",
                         nnf_module_type_name(module));
    if (bias && nnf_tensor_numel(bias) != map->out_channels)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s has no bias for each output channel",
                         nnf_module_type_name(module));
    NNFI_TRY(nnf_tensor_contiguous(&weight, nnf_module_tensor(module, map->weight)));
    nnf_status status =
        nnf_tensor_new(&made, nnf_tensor_dtype(bias ? bias : weight), 1, &map->out_channels);
    double *sums = nnfi_alloc(((size_t)map->out_channels + 1) * sizeof *sums);
    if (!sums) status = nnfi_error_memory((size_t)map->out_channels * sizeof *sums, "a bias");
    if (status == NNF_OK) status = fill_bias(made, map, weight, bias, shifts, sums);
    nnfi_free(sums);
    if (status == NNF_OK) status = nnf_module_set_parameter(module, map->bias, made);
    nnf_tensor_release(weight);
    nnf_tensor_release(made);
    return status;
}

static nnf_status fold_before(nnf_module *module, const nnf_linear_map *map, nnfi_affine *affine,
                              const double *shifts) {
    nnf_tensor *weight = nnf_module_tensor(module, map->weight);
    nnfi_channel_view view;
    NNFI_TRY(find_channels(&view, map, weight, false));
    if (shifts) NNFI_TRY(shift_bias(module, map, shifts));
    return fold_parameter(module, map->weight, nnf_tensor_dtype(weight), &view, affine);
}

nnf_status nnfi_affine_before(nnf_module **out, const nnf_module *affine,
                              const nnf_module *linear) {
    nnf_linear_map map;
    nnfi_affine *before;
    bool shifts, any;
    NNFI_TRY(nnf_module_get_type(linear)->linear_map(linear, &map));
    NNFI_TRY(nnfi_affine_of(&before, &shifts, affine));
    nnf_module *folded = NULL;
    double *values = shifts_of(before, &any);
    nnf_status status = values ? check_channels(affine, nnfi_affine_channels(before), linear,
                                                map.in_channels, "input")
                               : nnfi_error_memory(1, "the shifts of a fold");
    if (status == NNF_OK && !map.bias && any) {
        status = linear_like(&folded, linear, &map);
        map.bias = "bias";
    } else if (status == NNF_OK) {
        status = plain_copy(&folded, linear, &map);
    }
    if (status == NNF_OK) status = fold_before(folded, &map, before, any ? values : NULL);
    nnfi_free(values);
    nnfi_affine_release(before);
    if (status == NNF_OK)
        *out = folded;
    else
        nnf_module_release(folded);
    return status;
}
