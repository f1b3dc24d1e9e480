#include "fuse/dense.h"

#include <math.h>
#include <string.h>

#include "fuse/linear_map.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "tensor/affine.h"

/* ---- Shapes ---- */

static int64_t kernel_size(const nnfi_dense *dense) {
    int64_t size = 1;
    for (int i = 0; i < dense->spatial; i++)
        size *= dense->kernel[i];
    return size;
}

static int64_t weight_size(const nnfi_dense *dense) {
    return dense->out * (dense->in / dense->groups) * kernel_size(dense);
}

static nnf_status not_one(const char *why) {
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "%s", why);
}

/* So that the product of two is no problem. */
static bool is_small(int64_t value) {
    return value >= -INT32_MAX && value <= INT32_MAX;
}

nnf_status nnfi_dense_check(const nnfi_dense *dense) {
    int64_t bytes = sizeof(double);
    bool fits = true;
    for (int i = 0; i < dense->spatial; i++)
        fits = fits && is_small(dense->kernel[i]) && is_small(dense->stride[i]) &&
               is_small(dense->dilation[i]) && is_small(dense->begin[i]) &&
               is_small(dense->end[i]) && nnfi_mul(bytes, dense->kernel[i], &bytes);
    fits = fits && nnfi_mul(bytes, dense->in / dense->groups, &bytes) &&
           nnfi_mul(bytes, dense->out, &bytes);
    return fits ? NNF_OK : not_one("the one layer would have too large a window or weight");
}

double nnfi_dense_cost(const nnfi_dense *dense) {
    int64_t rows = dense->in / dense->groups;
    return (double)dense->out * (double)rows * (double)kernel_size(dense);
}

void nnfi_dense_clear(nnfi_dense *dense) {
    nnfi_free(dense->weight);
    nnfi_free(dense->bias);
    *dense = (nnfi_dense){0};
}

/* Zeros for the weight and bias of a shape. */
static nnf_status make_room(nnfi_dense *dense) {
    size_t n = (size_t)weight_size(dense);
    dense->weight = nnfi_calloc(n + 1, sizeof *dense->weight);
    dense->bias = nnfi_calloc((size_t)dense->out + 1, sizeof *dense->bias);
    if (dense->weight && dense->bias) return NNF_OK;
    return nnfi_error_memory(n * sizeof *dense->weight, "the weights of layers that become one");
}

static nnf_status set_windows(nnfi_dense *dense, const nnf_module *conv) {
    const nnf_conv_options *options = nnf_module_options(conv);
    bool given = options->auto_pad == NNF_AUTO_PAD_NOTSET;
    if (options->transposed || (!given && options->auto_pad != NNF_AUTO_PAD_VALID) ||
        options->padding_mode != NNF_PADDING_ZEROS)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s does not pad with given numbers of zeros",
                         nnf_module_type_name(conv));
    dense->spatial = options->spatial;
    for (int i = 0; i < options->spatial; i++) {
        dense->stride[i] = options->stride[i];
        dense->dilation[i] = options->dilation[i];
        dense->begin[i] = given ? options->padding_begin[i] : 0;
        dense->end[i] = given ? options->padding_end[i] : 0;
    }
    return NNF_OK;
}

/* ---- Reading ---- */

static nnf_status read_weight(nnfi_dense *dense, const nnf_linear_map *map, nnf_tensor *weight) {
    const void *data;
    nnf_tensor *whole;
    int64_t inner = kernel_size(dense), rows = dense->in / dense->groups;
    NNFI_TRY(nnf_tensor_contiguous(&whole, weight));
    nnf_status status = nnf_tensor_data(whole, &data);
    for (int64_t o = 0; status == NNF_OK && o < dense->out; o++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < inner; k++) {
                int64_t from = map->transposed ? i * dense->out + o : (o * rows + i) * inner + k;
                dense->weight[(o * rows + i) * inner + k] = nnfi_load_f64(dense->dtype, data, from);
            }
    nnf_tensor_release(whole);
    return status;
}

static nnf_status read_bias(nnfi_dense *dense, const nnf_tensor *bias) {
    for (int64_t o = 0; o < dense->out; o++)
        NNFI_TRY(nnfi_tensor_number(&dense->bias[o], bias, o));
    return NNF_OK;
}

static nnf_status read_numbers(nnfi_dense *dense, const nnf_linear_map *map, nnf_tensor *weight,
                               const nnf_tensor *bias) {
    NNFI_TRY(make_room(dense));
    NNFI_TRY(read_weight(dense, map, weight));
    return bias ? read_bias(dense, bias) : NNF_OK;
}

static nnf_status check_tensors(const nnfi_dense *dense, const nnf_linear_map *map,
                                const nnf_module *linear, const nnf_tensor *weight,
                                const nnf_tensor *bias) {
    int64_t shape[NNF_MAX_SPATIAL + 2] = {map->transposed ? dense->in : dense->out,
                                          map->transposed ? dense->out : dense->in / dense->groups};
    memcpy(shape + 2, dense->kernel, (size_t)dense->spatial * sizeof *shape);
    bool good =
        weight && nnf_dtype_is_float(dense->dtype) && dense->groups > 0 &&
        nnf_tensor_ndim(weight) == dense->spatial + 2 &&
        !memcmp(nnf_tensor_shape(weight), shape, (size_t)(dense->spatial + 2) * sizeof *shape) &&
        (!bias || (nnf_tensor_ndim(bias) == 1 && nnf_tensor_numel(bias) == dense->out &&
                   nnf_tensor_dtype(bias) == dense->dtype));
    if (good) return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "the weight and bias of the %s are not constants",
                     nnf_module_type_name(linear));
}

nnf_status nnfi_dense_of(nnfi_dense *out, const nnf_module *linear, bool numbers) {
    const nnf_module_type *type = nnf_module_get_type(linear);
    nnf_linear_map map;
    *out = (nnfi_dense){0};
    if ((!nnfi_is_built_in(type) && !nnfi_is_lifted(linear)) ||
        nnf_module_is_parametrized(linear, NULL))
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s is of a program's own, or parametrized",
                         type->name);
    NNFI_TRY(type->linear_map(linear, &map));
    nnf_tensor *weight = nnf_module_tensor(linear, map.weight);
    const nnf_tensor *bias = map.bias ? nnf_module_tensor(linear, map.bias) : NULL;
    nnfi_dense dense = {.out = map.out_channels,
                        .in = map.in_channels,
                        .groups = map.groups,
                        .dtype = weight ? nnf_tensor_dtype(weight) : NNF_DTYPE_UNKNOWN,
                        .has_bias = bias != NULL};
    if (!strncmp(type->name, "Conv", 4)) NNFI_TRY(set_windows(&dense, linear));
    for (int i = 0; weight && i < dense.spatial && i + 2 < nnf_tensor_ndim(weight); i++)
        dense.kernel[i] = nnf_tensor_shape(weight)[i + 2];
    NNFI_TRY(check_tensors(&dense, &map, linear, weight, bias));
    NNFI_TRY(nnfi_dense_check(&dense));
    nnf_status status = numbers ? read_numbers(&dense, &map, weight, bias) : NNF_OK;
    if (status == NNF_OK)
        *out = dense;
    else
        nnfi_dense_clear(&dense);
    return status;
}

nnf_status nnfi_dense_identity(nnfi_dense *out, const nnfi_dense *like, int64_t channels) {
    nnfi_dense dense = {.spatial = like->spatial,
                        .out = channels,
                        .in = channels,
                        .groups = like->groups,
                        .dtype = like->dtype};
    *out = (nnfi_dense){0};
    for (int i = 0; i < dense.spatial; i++)
        dense.kernel[i] = dense.stride[i] = dense.dilation[i] = 1;
    NNFI_TRY(nnfi_dense_check(&dense));
    if (!like->weight) {
        *out = dense;
        return NNF_OK;
    }
    nnf_status status = make_room(&dense);
    int64_t rows = channels / dense.groups;
    for (int64_t c = 0; status == NNF_OK && c < channels; c++)
        dense.weight[c * rows + c % rows] = 1.0;
    if (status == NNF_OK)
        *out = dense;
    else
        nnfi_dense_clear(&dense);
    return status;
}

/* ---- An affine map behind ---- */

static void apply(nnfi_dense *dense, const nnfi_affine *affine) {
    int64_t row = weight_size(dense) / dense->out;
    for (int64_t o = 0; o < dense->out; o++) {
        double scale = nnfi_triple_round(nnfi_affine_exact_scale(affine, o));
        for (int64_t k = 0; k < row; k++)
            dense->weight[o * row + k] *= scale;
        dense->bias[o] =
            nnfi_triple_round(nnfi_affine_exact(affine, o, nnfi_triple_of(dense->bias[o])));
    }
}

nnf_status nnfi_dense_affine(nnfi_dense *dense, const nnf_module *module) {
    nnfi_affine *affine;
    bool shifts;
    NNFI_TRY(nnfi_affine_of(&affine, &shifts, module));
    nnf_status status = NNF_OK;
    if (nnfi_affine_channels(affine) != dense->out)
        status =
            nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s has %lld channels, and what it reads %lld",
                      nnf_module_type_name(module), (long long)nnfi_affine_channels(affine),
                      (long long)dense->out);
    else if (dense->weight && dense->out > 0)
        apply(dense, affine);
    dense->has_bias = dense->has_bias || shifts;
    nnfi_affine_release(affine);
    return status;
}

/* ---- Beside each other ---- */

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The window on one axis that covers those of both; positions count from the output's own. */
static nnf_status cover(nnfi_dense *out, const nnfi_dense *a, const nnfi_dense *b, int axis) {
    int64_t step = a->kernel[axis] > 1 ? a->dilation[axis] : b->dilation[axis];
    int64_t a_last = a->dilation[axis] * (a->kernel[axis] - 1) - a->begin[axis];
    int64_t b_last = b->dilation[axis] * (b->kernel[axis] - 1) - b->begin[axis];
    int64_t first = smaller(-a->begin[axis], -b->begin[axis]), last = larger(a_last, b_last);
    if (a->stride[axis] != b->stride[axis]) return not_one("the branches' strides differ");
    if (a->end[axis] - a_last != b->end[axis] - b_last)
        return not_one("the branches give different sizes");
    if ((b->kernel[axis] > 1 && b->dilation[axis] != step) ||
        (-a->begin[axis] - first) % step != 0 || (-b->begin[axis] - first) % step != 0)
        return not_one("the branches' kernels are dilated differently");
    out->kernel[axis] = (last - first) / step + 1;
    out->dilation[axis] = step;
    out->stride[axis] = a->stride[axis];
    out->begin[axis] = -first;
    out->end[axis] = a->end[axis] - a_last + last;
    return NNF_OK;
}

/* to += from, whose window is part of to's. */
static void add_numbers(nnfi_dense *to, const nnfi_dense *from) {
    int64_t n = kernel_size(from), rows = to->out * (to->in / to->groups), size = kernel_size(to);
    for (int64_t k = 0; k < n; k++) {
        int64_t place = 0, step = 1, rest = k;
        for (int i = to->spatial - 1; i >= 0; i--) {
            int64_t at = rest % from->kernel[i] * from->dilation[i] - from->begin[i];
            rest /= from->kernel[i];
            place += (at + to->begin[i]) / to->dilation[i] * step;
            step *= to->kernel[i];
        }
        for (int64_t r = 0; r < rows; r++)
            to->weight[r * size + place] += from->weight[r * n + k];
    }
    for (int64_t o = 0; o < to->out; o++)
        to->bias[o] += from->bias[o];
}

nnf_status nnfi_dense_add(nnfi_dense *sum, const nnfi_dense *other) {
    nnfi_dense both = *sum;
    both.weight = both.bias = NULL;
    if (sum->spatial != other->spatial || sum->out != other->out || sum->in != other->in)
        return not_one("the branches have different numbers of channels");
    if (sum->groups != other->groups) return not_one("the branches have different groups");
    if (sum->dtype != other->dtype) return not_one("the branches have different dtypes");
    for (int i = 0; i < sum->spatial; i++)
        NNFI_TRY(cover(&both, sum, other, i));
    NNFI_TRY(nnfi_dense_check(&both));
    both.has_bias = sum->has_bias || other->has_bias;
    if (sum->weight) {
        nnf_status status = make_room(&both);
        if (status != NNF_OK) {
            nnfi_dense_clear(&both);
            return status;
        }
        add_numbers(&both, sum);
        add_numbers(&both, other);
    }
    nnfi_dense_clear(sum);
    *sum = both;
    return NNF_OK;
}

/* ---- Behind each other ---- */

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static bool is_point(const nnfi_dense *dense) {
    for (int i = 0; i < dense->spatial; i++)
        if (dense->kernel[i] != 1 || dense->begin[i] != 0 || dense->end[i] != 0) return false;
    return true;
}

static bool strides(const nnfi_dense *dense) {
    for (int i = 0; i < dense->spatial; i++)
        if (dense->stride[i] != 1) return true;
    return false;
}

static bool pads(const nnfi_dense *dense) {
    for (int i = 0; i < dense->spatial; i++)
        if (dense->begin[i] != 0 || dense->end[i] != 0) return true;
    return false;
}

/* both[o, i] += second[o, m] x first[m, i] for each channel m in between: one of the kernels has a
 * single element. */
static void multiply_numbers(nnfi_dense *both, const nnfi_dense *first, const nnfi_dense *second) {
    int64_t n1 = kernel_size(first), n2 = kernel_size(second), n = kernel_size(both);
    int64_t rows = both->in / both->groups, rows1 = first->in / first->groups;
    int64_t rows2 = second->in / second->groups, outs1 = first->out / first->groups;
    int64_t outs = both->out / both->groups, outs2 = second->out / second->groups;
    for (int64_t o = 0; o < both->out; o++)
        for (int64_t r2 = 0; r2 < rows2; r2++) {
            int64_t m = o / outs2 * rows2 + r2; /* what second's input channel r2 is for o */
            int64_t i0 = m / outs1 * rows1 - o / outs * rows; /* where m's inputs begin */
            const double *from2 = second->weight + (o * rows2 + r2) * n2;
            for (int64_t r1 = 0; r1 < rows1; r1++) {
                const double *from1 = first->weight + (m * rows1 + r1) * n1;
                double *to = both->weight + (o * rows + i0 + r1) * n;
                for (int64_t k = 0; k < n; k++)
                    to[k] += from2[n2 == 1 ? 0 : k] * from1[n1 == 1 ? 0 : k];
            }
            for (int64_t k = 0; k < n2; k++)
                both->bias[o] += from2[k] * first->bias[m];
        }
    for (int64_t o = 0; o < both->out; o++)
        both->bias[o] += second->bias[o];
}

static nnf_status check_series(const nnfi_dense *first, const nnfi_dense *second) {
    bool point = is_point(first) && !strides(first);
    if (first->spatial != second->spatial || first->out != second->in ||
        first->dtype != second->dtype)
        return not_one("the two layers do not fit each other");
    if (!point && !is_point(second))
        return not_one("neither of the two has a kernel of 1, no padding and (the first) stride 1");
    for (int64_t o = 0; first->bias && pads(second) && o < first->out; o++)
        if (first->bias[o] != 0.0)
            return not_one("the first layer's bias is none where the second reads zeros from "
                           "outside its input");
    return NNF_OK;
}

nnf_status nnfi_dense_then(nnfi_dense *first, const nnfi_dense *second) {
    NNFI_TRY(check_series(first, second));
    const nnfi_dense *window = is_point(first) && !strides(first) ? second : first;
    nnfi_dense both = *window;
    both.weight = both.bias = NULL;
    both.in = first->in;
    both.out = second->out;
    both.groups = common_divisor(first->groups, second->groups);
    both.has_bias = first->has_bias || second->has_bias;
    for (int i = 0; i < both.spatial; i++)
        both.stride[i] = first->stride[i] * second->stride[i];
    NNFI_TRY(nnfi_dense_check(&both));
    if (first->weight) {
        nnf_status status = make_room(&both);
        if (status != NNF_OK) {
            nnfi_dense_clear(&both);
            return status;
        }
        multiply_numbers(&both, first, second);
    }
    nnfi_dense_clear(first);
    *first = both;
    return NNF_OK;
}

/* ---- The module ---- */

static nnf_status set_numbers(nnf_module *module, const char *name, nnf_dtype dtype, int ndim,
                              const int64_t *shape, const double *numbers) {
    nnf_tensor *tensor;
    void *data;
    NNFI_TRY(nnf_tensor_new(&tensor, dtype, ndim, shape));
    nnf_status status = nnf_tensor_mut_data(tensor, &data);
    int64_t n = nnf_tensor_numel(tensor);
    for (int64_t i = 0; status == NNF_OK && i < n; i++) {
        nnfi_store_f64(dtype, data, i, numbers[i]);
        if (!isfinite(nnfi_load_f64(dtype, data, i)))
            status = nnf_error(NNF_ERROR_NOT_FUSABLE, "a %s would become %g, too large for %s",
                               name, numbers[i], nnf_dtype_name(dtype));
    }
    if (status == NNF_OK) status = nnf_module_set_parameter(module, name, tensor);
    nnf_tensor_release(tensor);
    return status;
}

/* A matrix product's weight is [in, out]: MatMul takes it so for inputs of any rank. */
static nnf_status linear_module(nnf_module **out, const nnfi_dense *dense) {
    const nnf_linear_options options = {dense->in, dense->out, true};
    const int64_t shape[2] = {dense->in, dense->out};
    double *turned = nnfi_alloc(((size_t)weight_size(dense) + 1) * sizeof *turned);
    if (!turned) return nnfi_error_memory((size_t)weight_size(dense), "a weight");
    for (int64_t o = 0; o < dense->out; o++)
        for (int64_t i = 0; i < dense->in; i++)
            turned[i * dense->out + o] = dense->weight[o * dense->in + i];
    nnf_status status = nnf_module_new(out, nnf_type("Linear"), &options);
    if (status == NNF_OK) {
        status = set_numbers(*out, "weight", dense->dtype, 2, shape, turned);
        if (status != NNF_OK) nnf_module_release(*out);
    }
    nnfi_free(turned);
    return status;
}

static nnf_status conv_module(nnf_module **out, const nnfi_dense *dense) {
    int64_t shape[NNF_MAX_SPATIAL + 2] = {dense->out, dense->in / dense->groups};
    memcpy(shape + 2, dense->kernel, (size_t)dense->spatial * sizeof *shape);
    nnf_conv_options options =
        nnf_conv_options_default(dense->spatial, false, dense->in, dense->out, 1);
    options.groups = dense->groups;
    for (int i = 0; i < dense->spatial; i++) {
        options.kernel_size[i] = dense->kernel[i];
        options.stride[i] = dense->stride[i];
        options.dilation[i] = dense->dilation[i];
        options.padding_begin[i] = dense->begin[i];
        options.padding_end[i] = dense->end[i];
    }
    NNFI_TRY(nnf_conv_new(out, &options, false, dense->dtype));
    nnf_status status =
        set_numbers(*out, "weight", dense->dtype, dense->spatial + 2, shape, dense->weight);
    if (status != NNF_OK) nnf_module_release(*out);
    return status;
}

nnf_status nnfi_dense_module(nnf_module **out, const nnfi_dense *dense) {
    nnf_module *module;
    NNFI_TRY(dense->spatial ? conv_module(&module, dense) : linear_module(&module, dense));
    nnf_module_set_training(module, false);
    nnf_status status = NNF_OK;
    if (dense->has_bias)
        status = set_numbers(module, "bias", dense->dtype, 1, &dense->out, dense->bias);
    if (status == NNF_OK)
        *out = module;
    else
        nnf_module_release(module);
    return status;
}
