#include "fuse/view.h"

#include <string.h>

#include "nn/nn_internal.h"
#include "support/error.h"

typedef enum view_kind { ARITHMETIC, PAD, GEMM } view_kind;

struct nnfi_view {
    const char *type; /* of the call's module */
    view_kind kind;
    size_t data; /* the input that is no constant */
    /* arithmetic: y = x * weight + bias, by the constant c */
    double (*weight)(double c), (*bias)(double c); /* NULL: 1 and 0 */
};

static double same(double c) {
    return c;
}
static double negative(double c) {
    return -c;
}
static double inverse(double c) {
    return 1.0 / c;
}
static double minus_one(double c) {
    (void)c;
    return -1.0;
}

/* c / x is no affine map. */
static const nnfi_view views[] = {
    {"Mul", ARITHMETIC, 0, same, NULL},      {"Mul", ARITHMETIC, 1, same, NULL},
    {"Div", ARITHMETIC, 0, inverse, NULL},   {"Add", ARITHMETIC, 0, NULL, same},
    {"Add", ARITHMETIC, 1, NULL, same},      {"Sub", ARITHMETIC, 0, NULL, negative},
    {"Sub", ARITHMETIC, 1, minus_one, same}, {"Pad", PAD, 0, NULL, NULL},
    {"Gemm", GEMM, 0, NULL, NULL},
};

/* ---- Arithmetic ---- */

enum { WEIGHT, BIAS, N_PARTS };
static const char *const parts[N_PARTS] = {"weight", "bias"};

static nnf_status scale_affine_map(const nnf_module *module, nnf_affine_map *out) {
    nnf_tensor *held[N_PARTS];
    for (int i = 0; i < N_PARTS; i++) {
        held[i] = nnf_module_tensor(module, parts[i]);
        if (held[i]) {
            nnf_tensor_retain(held[i]);
            out->channels = nnf_tensor_numel(held[i]);
        }
    }
    out->weight = held[WEIGHT];
    out->bias = held[BIAS];
    return NNF_OK;
}

const nnf_module_type nnfi_scale_type = {
    .name = NNFI_SCALE, .options_size = sizeof(nnfi_scale_options), .affine_map = scale_affine_map};

/* ---- Looking ---- */

static nnf_tensor *constant_input(const nnfi_graph *graph, const nnfi_call *call, size_t index) {
    return index < call->n_inputs ? nnfi_constant_of(graph, call->inputs[index]) : NULL;
}

/* Whether the constant runs along at most one axis. */
static bool runs_along_axis(const nnf_tensor *constant, nnfi_scale_options *out) {
    *out = (nnfi_scale_options){.ndim = nnf_tensor_ndim(constant)};
    if (!nnf_dtype_is_float(nnf_tensor_dtype(constant)) || nnf_tensor_numel(constant) == 0)
        return false;
    for (int i = 0; i < out->ndim; i++) {
        if (nnf_tensor_shape(constant)[i] == 1) continue;
        if (out->axis > 0) return false;
        out->axis = out->ndim - i;
    }
    return true;
}

/* A Pad whose pads, value and axes are constants, if they are inputs at all. */
static bool knows_pads(const nnfi_graph *graph, const nnfi_call *call) {
    for (size_t i = 1; i < call->n_inputs; i++)
        if (call->inputs[i] != NNF_NO_VALUE && !constant_input(graph, call, i)) return false;
    return true;
}

/* A Gemm that is a Linear but for its factors: alpha x W + beta b, where nothing but x is read. */
static bool is_scaled_linear(const nnfi_call *call) {
    const nnf_module *gemm = call->module;
    const nnf_gemm_options *options = nnf_module_options(gemm);
    const nnf_tensor *weight = nnf_module_tensor(gemm, "weight");
    const nnf_tensor *bias = nnf_module_tensor(gemm, "bias");
    if (options->trans_a || !weight || nnf_tensor_ndim(weight) != 2) return false;
    if (!nnf_dtype_is_float(nnf_tensor_dtype(weight)) || nnf_module_is_parametrized(gemm, NULL))
        return false;
    if (!bias) return call->n_inputs < 3 || call->inputs[2] == NNF_NO_VALUE;
    int64_t out = nnf_tensor_shape(weight)[options->trans_b ? 0 : 1];
    return out > 0 && nnf_tensor_ndim(bias) == 1 && nnf_tensor_shape(bias)[0] == out;
}

static bool suits(const nnfi_view *view, const nnfi_graph *graph, const nnfi_call *call) {
    nnfi_scale_options ignored;
    if (view->kind == PAD) return knows_pads(graph, call);
    if (view->kind == GEMM) return is_scaled_linear(call);
    const nnf_tensor *constant = constant_input(graph, call, 1 - view->data);
    return call->n_inputs == 2 && constant && !constant_input(graph, call, view->data) &&
           runs_along_axis(constant, &ignored);
}

const nnfi_view *nnfi_view_of(const nnfi_graph *graph, const nnfi_call *call) {
    const nnf_module_type *row = nnf_module_get_type(call->module);
    const char *type = row->name;
    if (row->affine_map || (row->flags & NNF_TYPE_ELEMENTWISE)) return NULL; /* most calls */
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        const nnfi_view *view = &views[i];
        if (*view->type != *type || strcmp(view->type, type)) continue;
        if (!nnfi_is_built_in(row)) return NULL; /* a program's own */
        if (suits(view, graph, call)) return view;
    }
    return NULL;
}

const char *nnfi_view_type(const nnfi_graph *graph, const nnfi_call *call) {
    const nnfi_view *view = nnfi_view_of(graph, call);
    if (view && view->kind == ARITHMETIC) return nnfi_scale_type.name;
    if (view && view->kind == GEMM) return "Linear";
    return nnfi_known_type(call->module);
}

size_t nnfi_view_data_input(const nnfi_view *view) {
    return view->data;
}

/* ---- Making ---- */

/* A parameter of the elements f(c), in double: that is exact but for the inverse. */
static nnf_status set_part(nnf_module *module, const char *name, double (*f)(double),
                           const nnf_tensor *constant, int64_t channels) {
    nnf_tensor *made;
    void *to;
    NNFI_TRY(nnf_tensor_new(&made, NNF_F64, 1, &channels));
    nnf_status status = nnf_tensor_mut_data(made, &to);
    int64_t step = nnf_tensor_numel(constant) > 1;
    for (int64_t i = 0; status == NNF_OK && i < channels; i++) {
        double number = 0.0;
        status = nnfi_tensor_number(&number, constant, i * step);
        nnfi_store_f64(NNF_F64, to, i, f(number));
    }
    if (status == NNF_OK) status = nnf_module_set_parameter(module, name, made);
    nnf_tensor_release(made);
    return status;
}

/* What is done with a constant on the way into an affine map. */
typedef struct scale_part {
    const nnf_tensor *constant; /* NULL: the map has no such part */
    double (*f)(double c);
} scale_part;

static nnf_status make_scale(nnf_module **out, const scale_part given[N_PARTS], int64_t channels) {
    nnfi_scale_options options = {0}, own;
    for (int i = 0; i < N_PARTS; i++) {
        if (!given[i].constant) continue;
        runs_along_axis(given[i].constant, &own);
        if (own.axis > options.axis) options.axis = own.axis;
        if (own.ndim > options.ndim) options.ndim = own.ndim;
        if (own.axis > 0) channels = nnf_tensor_numel(given[i].constant);
    }
    nnf_module *scale;
    NNFI_TRY(nnf_module_new(&scale, &nnfi_scale_type, &options));
    nnf_status status = NNF_OK;
    for (int i = 0; i < N_PARTS && status == NNF_OK; i++)
        if (given[i].constant)
            status = set_part(scale, parts[i], given[i].f, given[i].constant, channels);
    if (status == NNF_OK)
        *out = scale;
    else
        nnf_module_release(scale);
    return status;
}

static nnf_status make_arithmetic(nnf_module **out, const nnfi_view *view, nnf_tensor *constant,
                                  int64_t channels) {
    const scale_part given[N_PARTS] = {
        [WEIGHT] = {view->weight ? constant : NULL, view->weight},
        [BIAS] = {view->bias ? constant : NULL, view->bias},
    };
    return make_scale(out, given, channels);
}

static nnf_status cannot_pad(const char *why) {
    return nnf_error(NNF_ERROR_NOT_FUSABLE, "the Pad %s", why);
}

/* Number `index` of a list of integers. */
static nnf_status integer_at(int64_t *out, const nnf_tensor *list, int64_t index) {
    int64_t raw[1] = {0};
    NNFI_TRY(nnf_tensor_read(list, index, 1, raw));
    *out = nnfi_load_i64(nnf_tensor_dtype(list), raw, 0);
    return NNF_OK;
}

/* Pads of single axes, as opset 18 has them, for all of them. */
static nnf_status read_pads(nnf_pad_options *options, const nnf_tensor *pads,
                            const nnf_tensor *axes, int ndim) {
    int64_t n = axes ? nnf_tensor_numel(axes) : ndim;
    if (ndim > NNF_MAX_DIMS || nnf_tensor_numel(pads) != 2 * n)
        return cannot_pad("has pads that do not fit its input's rank");
    options->n = 2 * ndim;
    memset(options->pads, 0, sizeof options->pads);
    for (int64_t i = 0; i < n; i++) {
        int64_t axis = i;
        if (axes) NNFI_TRY(integer_at(&axis, axes, i));
        if (axis < 0) axis += ndim;
        if (axis < 0 || axis >= ndim) return cannot_pad("has an axis that its input lacks");
        NNFI_TRY(integer_at(&options->pads[axis], pads, i));
        NNFI_TRY(integer_at(&options->pads[ndim + axis], pads, n + i));
    }
    return NNF_OK;
}

static nnf_status make_pad(nnf_module **out, const nnfi_graph *graph, const nnfi_call *call,
                           int ndim) {
    nnf_pad_options options = *(const nnf_pad_options *)nnf_module_options(call->module);
    const nnf_tensor *pads = constant_input(graph, call, 1);
    const nnf_tensor *value = constant_input(graph, call, 2);
    if (pads) NNFI_TRY(read_pads(&options, pads, constant_input(graph, call, 3), ndim));
    if (value && nnf_tensor_numel(value) == 1)
        NNFI_TRY(nnfi_tensor_number(&options.value, value, 0));
    return nnf_module_new(out, nnf_module_get_type(call->module), &options);
}

/* Parameter `name` of `from` times a factor, rounded once, as parameter of `to`. */
static nnf_status scale_parameter(nnf_module *to, const nnf_module *from, const char *name,
                                  const nnfi_channel_view *view, double factor) {
    int64_t n = view->channels;
    nnf_tensor *base = nnf_module_tensor(from, name), *factors = NULL, *scaled = NULL;
    nnfi_affine *affine = NULL;
    void *data;
    if (!base) return NNF_OK;
    nnf_status status = nnf_tensor_new(&factors, NNF_F64, 1, &n);
    if (status == NNF_OK) status = nnf_tensor_mut_data(factors, &data);
    for (int64_t i = 0; status == NNF_OK && i < n; i++)
        nnfi_store_f64(NNF_F64, data, i, factor);
    if (status == NNF_OK) status = nnfi_affine_new(&affine, n, factors, NULL, NULL, NULL, 0);
    if (status == NNF_OK)
        status = nnfi_tensor_fold(&scaled, base, nnf_tensor_dtype(base), view, affine);
    if (status == NNF_OK) status = nnf_module_set_parameter(to, name, scaled);
    nnfi_affine_release(affine);
    nnf_tensor_release(factors);
    nnf_tensor_release(scaled);
    return status;
}

static nnf_status make_linear(nnf_module **out, const nnf_module *gemm) {
    const nnf_gemm_options *options = nnf_module_options(gemm);
    const int64_t *shape = nnf_tensor_shape(nnf_module_tensor(gemm, "weight"));
    const nnf_linear_options linear_options = {shape[options->trans_b], shape[!options->trans_b],
                                               !options->trans_b};
    int64_t features = linear_options.out_features;
    const nnfi_channel_view rows = {1, 1, shape[0], shape[1]}, each = {1, 1, features, 1};
    nnf_module *linear;
    NNFI_TRY(nnf_module_new(&linear, nnf_type("Linear"), &linear_options));
    nnf_status status = scale_parameter(linear, gemm, "weight", &rows, options->alpha);
    if (status == NNF_OK) status = scale_parameter(linear, gemm, "bias", &each, options->beta);
    if (status == NNF_OK)
        *out = linear;
    else
        nnf_module_release(linear);
    return status;
}

nnf_status nnfi_view_make(nnf_module **out, const nnfi_graph *graph, const nnfi_call *call,
                          int64_t channels, int ndim) {
    const nnfi_view *view = nnfi_view_of(graph, call);
    if (!view) {
        *out = nnf_module_retain(call->module);
        return NNF_OK;
    }
    switch (view->kind) {
    case PAD:
        NNFI_TRY(make_pad(out, graph, call, ndim));
        break;
    case GEMM:
        NNFI_TRY(make_linear(out, call->module));
        break;
    case ARITHMETIC:
        NNFI_TRY(make_arithmetic(out, view, constant_input(graph, call, 1 - view->data), channels));
    }
    nnf_module_set_training(*out, nnf_module_training(call->module));
    return NNF_OK;
}

/* ---- Norms ---- */

bool nnfi_norm_scales_last_axis(const nnfi_graph *graph, const nnfi_call *call) {
    const nnf_module *norm = call->module;
    nnfi_scale_options options;
    if (!(nnfi_is_a(norm, "LayerNorm") || nnfi_is_a(norm, "RMSNorm")) || nnfi_is_lifted(norm))
        return false;
    for (size_t i = 1; i < 1 + N_PARTS; i++) {
        if (i > 1 && (i >= call->n_inputs || call->inputs[i] == NNF_NO_VALUE)) continue;
        const nnf_tensor *constant = constant_input(graph, call, i);
        if (!constant || !runs_along_axis(constant, &options) || options.axis > 1) return false;
    }
    return true;
}

nnf_status nnfi_norm_scale_make(nnf_module **out, const nnfi_graph *graph, const nnfi_call *call,
                                int64_t channels) {
    const scale_part given[N_PARTS] = {[WEIGHT] = {constant_input(graph, call, 1), same},
                                       [BIAS] = {constant_input(graph, call, 2), same}};
    return make_scale(out, given, channels);
}
