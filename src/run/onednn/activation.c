/* Activations: alone, and as post-ops of the module that they follow. */
#include "run/onednn/onednn_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* What lies beyond the largest float is no bound: infinite inputs pass. */
static float bound_of(double bound) {
    return bound > FLT_MAX ? INFINITY : bound < -FLT_MAX ? -INFINITY : (float)bound;
}

/* oneDNN takes no bounds in the wrong order, which ONNX does. */
static int clip_of(double low, double high, nnfi_eltwise *out) {
    if (!(low <= high)) return 0;
    *out = (nnfi_eltwise){dnnl_eltwise_clip, bound_of(low), bound_of(high)};
    if (out->alpha == -INFINITY && out->beta == INFINITY)
        *out = (nnfi_eltwise){dnnl_eltwise_linear, 1, 0}; /* a NaN passes too */
    return 1;
}

#if DNNL_VERSION_MAJOR >= 3
#define HARDSWISH 1.0f / 6, 0.5f
#else
#define HARDSWISH 0, 0
#endif

/* The activations that are one of oneDNN's; `own`: its alpha and beta are the layer's. */
static const struct row {
    dnnl_alg_kind_t algorithm; /* dnnl_alg_kind_undef: there is none */
    float alpha, beta;
    bool own;
} rows[NNF_ACTIVATION_COUNT] = {
    [NNF_RELU] = {dnnl_eltwise_relu, 0, 0, false},
    [NNF_RELU6] = {dnnl_eltwise_clip, 0, 6, false},
    [NNF_LEAKY_RELU] = {dnnl_eltwise_relu, 0, 0, true},
    [NNF_SIGMOID] = {dnnl_eltwise_logistic, 0, 0, false},
    [NNF_TANH] = {dnnl_eltwise_tanh, 0, 0, false},
    [NNF_SILU] = {dnnl_eltwise_swish, 1, 0, false},
    [NNF_HARDSIGMOID] = {dnnl_eltwise_linear, 0, 0, true}, /* and then a clip */
    [NNF_HARDSWISH] = {dnnl_eltwise_hardswish, HARDSWISH, false},
    [NNF_GELU] = {dnnl_eltwise_gelu_erf, 0, 0, false},
    [NNF_GELU_TANH] = {dnnl_eltwise_gelu_tanh, 0, 0, false},
    [NNF_ELU] = {dnnl_eltwise_elu, 0, 0, true},
    [NNF_SWISH] = {dnnl_eltwise_swish, 0, 0, true},
    [NNF_MISH] = {dnnl_eltwise_mish, 0, 0, false},
    [NNF_EXP] = {dnnl_eltwise_exp, 0, 0, false},
    [NNF_ABS] = {dnnl_eltwise_abs, 0, 0, false},
    [NNF_NEG] = {dnnl_eltwise_linear, -1, 0, false},
    [NNF_SOFTPLUS] = {dnnl_eltwise_soft_relu, 1, 0, false},
    [NNF_SQRT] = {dnnl_eltwise_sqrt, 0, 0, false},
};

static bool is_prelu(const nnf_module *module) {
    return nnfi_onednn_handler(module) == nnfi_onednn_prelu;
}

int nnfi_eltwise_of(const nnf_module *module, nnfi_eltwise out[2]) {
    const nnf_activation_options *options = nnf_module_options(module);
    if (is_prelu(module)) return nnfi_prelu_eltwise(module, out);
    if (options->kind == NNF_CLIP) return clip_of(options->alpha, options->beta, out);
    const struct row *row = &rows[options->kind];
    if (row->algorithm == dnnl_alg_kind_undef) return 0;
    out[0] = (nnfi_eltwise){row->algorithm, row->own ? (float)options->alpha : row->alpha,
                            row->own ? (float)options->beta : row->beta};
    if (options->kind != NNF_HARDSIGMOID) return 1;
    out[1] = (nnfi_eltwise){dnnl_eltwise_clip, 0, 1};
    return 2;
}

static bool is_activation(const nnf_module *module) {
    return nnfi_onednn_handler(module) == nnfi_onednn_activation;
}

bool nnfi_has_residual(const nnf_module *fused) {
    return fused && nnf_module_n_children(fused) > 1 &&
           nnfi_is_a(nnf_module_child(fused, 1), "Add");
}

static bool is_silu(const nnf_module *module) {
    const nnf_activation_options *options = nnf_module_options(module);
    return is_activation(module) && options->kind == NNF_SILU;
}

/* An activation that oneDNN's Winograd does not take as a post-op, and whose results are as large
 * as what it is given: of one that is not, Winograd's rounding would be a larger part. */
static bool keeps_from_winograd(const nnf_module *module) {
    static const nnf_activation kinds[] = {NNF_LEAKY_RELU, NNF_ELU,   NNF_MISH,     NNF_HARDSWISH,
                                           NNF_GELU,       NNF_SWISH, NNF_GELU_TANH};
    const nnf_activation_options *options = nnf_module_options(module);
    for (size_t i = 0; is_activation(module) && i < sizeof kinds / sizeof *kinds; i++)
        if (options->kind == kinds[i]) return true;
    return false;
}

/* Whether the container's last child comes after the primitive instead of being a post-op. */
static bool comes_after(nnfi_job *job, bool *supported, const nnf_module *last) {
    nnfi_eltwise ignored;
    if (is_silu(last))
        job->finish = nnfi_silu;
    else if (job->wants_winograd && keeps_from_winograd(last))
        job->last = last;
    if (is_prelu(last)) {
        *supported = nnfi_prelu_follows(job, last);
        if (!nnfi_prelu_eltwise(last, &ignored)) job->last = last;
    }
    return job->finish || job->last;
}

static dnnl_status_t append(nnfi_job *job, dnnl_post_ops_t ops, bool *supported,
                            const nnf_module *fused) {
    size_t first = 1, n = fused ? nnf_module_n_children(fused) : 0;
    if (n > 1 && comes_after(job, supported, nnf_module_child(fused, n - 1))) n--;
    if (nnfi_has_residual(fused)) {
        dnnl_status_t status = dnnl_post_ops_append_sum(ops, 1.0f
#if DNNL_VERSION_MAJOR >= 3
                                                        ,
                                                        0, dnnl_data_type_undef
#endif
        );
        if (status != dnnl_success) return status;
        first = 2;
    }
    for (size_t i = first; i < n; i++) {
        const nnf_module *child = nnf_module_child(fused, i);
        nnfi_eltwise eltwise[2];
        bool has_ops = is_activation(child) || is_prelu(child);
        int ops_of_it = has_ops ? nnfi_eltwise_of(child, eltwise) : 0;
        if (ops_of_it == 0) *supported = false;
        for (int k = 0; k < ops_of_it; k++) {
            dnnl_status_t status =
                nnfi_post_eltwise(ops, eltwise[k].algorithm, eltwise[k].alpha, eltwise[k].beta);
            if (status != dnnl_success) return status;
        }
    }
    return dnnl_success;
}

nnf_status nnfi_job_attr(nnfi_job *job, bool *supported, const nnf_module *fused) {
    dnnl_post_ops_t ops = NULL;
    *supported = true;
    if (!job->attr) NNFI_DNNL(dnnl_primitive_attr_create(&job->attr));
    dnnl_status_t status =
        dnnl_primitive_attr_set_scratchpad_mode(job->attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success) status = append(job, ops, supported, fused);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(job->attr, ops);
    if (ops) dnnl_post_ops_destroy(ops);
    return status == dnnl_success ? NNF_OK : nnfi_onednn_error(status, "attributes");
}

nnf_status nnfi_onednn_activation(nnfi_job *job) {
    nnfi_eltwise eltwise[2];
    /* bounds that are inputs are not known yet; ReLU6's are its type */
    bool dynamic = job->n_inputs > 1 && nnfi_is_a(job->module, "Clip");
    bool supported;
    nnfi_md md;
    if (dynamic || nnfi_eltwise_of(job->module, eltwise) != 1) return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &md, job->inputs[0]));
    NNFI_TRY(nnfi_job_attr(job, &supported, job->fused));
    if (!supported ||
        nnfi_pd_eltwise(&job->pd, job->engine->engine, job->attr, eltwise[0].algorithm, md,
                        eltwise[0].alpha, eltwise[0].beta) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, md));
    NNFI_TRY(nnfi_job_output(job, md));
    if (job->inputs[0]->dies) nnfi_job_inplace(job, 0);
    return NNF_OK;
}
