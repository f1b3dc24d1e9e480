#include "multiply_adds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The elements of a value; NaN where they are not known. */
static double elements(const nnf_type_info *info) {
    double n = info->ndim < 0 ? NAN : 1.0;
    for (int d = 0; d < info->ndim; d++)
        n *= info->shape[d].symbol == 0 ? (double)info->shape[d].value : NAN;
    return n;
}

static double dimension(const nnf_type_info *info, int from_end) {
    if (info->ndim < from_end) return NAN;
    const nnf_dim *dim = &info->shape[info->ndim - from_end];
    return dim->symbol == 0 ? (double)dim->value : NAN;
}

/* ---- Layers: each takes its first input's and its output's type ---- */

static double conv(const nnf_module *module, const nnf_type_info *in, const nnf_type_info *out) {
    const nnf_conv_options *o = nnf_module_options(module);
    double taps = 1.0, groups = (double)o->groups;
    for (int d = 0; d < o->spatial; d++)
        taps *= (double)o->kernel_size[d];
    return o->transposed ? elements(in) * (double)o->out_channels / groups * taps
                         : elements(out) * (double)o->in_channels / groups * taps;
}

static double gemm(const nnf_module *module, const nnf_type_info *in, const nnf_type_info *out) {
    const nnf_gemm_options *o = nnf_module_options(module);
    return elements(out) * dimension(in, o->trans_a ? 2 : 1);
}

static double matmul(const nnf_module *module, const nnf_type_info *in, const nnf_type_info *out) {
    (void)module;
    return elements(out) * dimension(in, 1);
}

static const struct {
    const char *type;
    double (*count)(const nnf_module *module, const nnf_type_info *in, const nnf_type_info *out);
} rows[] = {
    {"Conv1d", conv},          {"Conv2d", conv},          {"Conv3d", conv},
    {"ConvTranspose1d", conv}, {"ConvTranspose2d", conv}, {"ConvTranspose3d", conv},
    {"Linear", matmul},        {"MatMul", matmul},        {"Gemm", gemm},
};

/* ---- The graph ---- */

/* A fused container computes what its base does, on the same input, for an output of that shape. */
static const nnf_module *base_of(const nnf_module *module) {
    while ((nnf_module_get_type(module)->flags & NNF_TYPE_FUSED) != 0 &&
           nnf_module_n_children(module) > 0)
        module = nnf_module_child(module, 0);
    return module;
}

static double count_call(const nnf_module *graph, size_t call, const nnf_type_info *infos) {
    const nnf_module *module = base_of(nnf_graph_call_module(graph, call));
    if (nnf_graph_call_n_inputs(graph, call) == 0 || nnf_graph_call_n_outputs(graph, call) == 0)
        return 0.0;
    nnf_value in = nnf_graph_call_inputs(graph, call)[0];
    nnf_value out = nnf_graph_call_outputs(graph, call)[0];
    if (in == NNF_NO_VALUE || out == NNF_NO_VALUE) return 0.0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(nnf_module_type_name(module), rows[i].type))
            return rows[i].count(module, &infos[in], &infos[out]);
    return 0.0;
}

static nnf_status count_graph(double *out, const nnf_module *graph, const nnf_type_info *inputs) {
    nnf_type_info *infos = NULL;
    size_t n_infos = 0;
    nnf_status status = nnf_graph_infer(graph, inputs, &infos, &n_infos);
    if (status != NNF_OK) return status;
    *out = 0.0;
    for (size_t call = 0; call < nnf_graph_n_calls(graph); call++)
        *out += count_call(graph, call, infos);
    nnf_graph_infer_free(infos, n_infos);
    return NNF_OK;
}

nnf_status multiply_adds(double *out, const nnf_module *graph, nnf_tensor *const *inputs) {
    size_t n = nnf_graph_n_inputs(graph);
    nnf_type_info *infos = calloc(n + 1, sizeof *infos);
    nnf_status status = NNF_OK;
    *out = NAN;
    if (infos == NULL) return NNF_OK; /* it is only for show */
    for (size_t i = 0; i < n; i++)
        nnf_type_info_init(&infos[i]);
    for (size_t i = 0; i < n && status == NNF_OK; i++)
        status = nnf_type_info_of_tensor(&infos[i], inputs[i]);
    if (status == NNF_OK) status = count_graph(out, graph, infos);
    for (size_t i = 0; i < n; i++)
        nnf_type_info_clear(&infos[i]);
    free(infos);
    return status;
}
