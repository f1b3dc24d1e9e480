/* Activations: alone, and as post-ops of the module that they follow. */
#include "run/onednn/onednn_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

static float finite(double bound) {
    return bound > FLT_MAX ? FLT_MAX : bound < -FLT_MAX ? -FLT_MAX : (float)bound;
}

int nnfi_eltwise_of(const nnf_module *module, nnfi_eltwise out[2]) {
    const nnf_activation_options *options = nnf_module_options(module);
    float alpha = (float)options->alpha, beta = (float)options->beta;
    switch (options->kind) {
    case NNF_RELU:
        out[0] = (nnfi_eltwise){dnnl_eltwise_relu, 0, 0};
        return 1;
    case NNF_RELU6:
        out[0] = (nnfi_eltwise){dnnl_eltwise_clip, 0, 6};
        return 1;
    case NNF_CLIP:
        out[0] = (nnfi_eltwise){dnnl_eltwise_clip, finite(options->alpha), finite(options->beta)};
        return 1;
    case NNF_LEAKY_RELU:
        out[0] = (nnfi_eltwise){dnnl_eltwise_relu, alpha, 0};
        return 1;
    case NNF_SIGMOID:
        out[0] = (nnfi_eltwise){dnnl_eltwise_logistic, 0, 0};
        return 1;
    case NNF_TANH:
        out[0] = (nnfi_eltwise){dnnl_eltwise_tanh, 0, 0};
        return 1;
    case NNF_SILU:
        out[0] = (nnfi_eltwise){dnnl_eltwise_swish, 1, 0};
        return 1;
    case NNF_HARDSIGMOID:
        out[0] = (nnfi_eltwise){dnnl_eltwise_linear, alpha, beta};
        out[1] = (nnfi_eltwise){dnnl_eltwise_clip, 0, 1};
        return 2;
    case NNF_HARDSWISH:
#if DNNL_VERSION_MAJOR >= 3
        out[0] = (nnfi_eltwise){dnnl_eltwise_hardswish, 1.0f / 6, 0.5f};
#else
        out[0] = (nnfi_eltwise){dnnl_eltwise_hardswish, 0, 0};
#endif
        return 1;
    case NNF_GELU:
        out[0] = (nnfi_eltwise){dnnl_eltwise_gelu_erf, 0, 0};
        return 1;
    case NNF_GELU_TANH:
        out[0] = (nnfi_eltwise){dnnl_eltwise_gelu_tanh, 0, 0};
        return 1;
    case NNF_ELU:
        out[0] = (nnfi_eltwise){dnnl_eltwise_elu, alpha, 0};
        return 1;
    case NNF_SWISH:
        out[0] = (nnfi_eltwise){dnnl_eltwise_swish, alpha, 0};
        return 1;
    case NNF_MISH:
        out[0] = (nnfi_eltwise){dnnl_eltwise_mish, 0, 0};
        return 1;
    case NNF_EXP:
        out[0] = (nnfi_eltwise){dnnl_eltwise_exp, 0, 0};
        return 1;
    case NNF_LOG:
        out[0] = (nnfi_eltwise){dnnl_eltwise_log, 0, 0};
        return 1;
    case NNF_ABS:
        out[0] = (nnfi_eltwise){dnnl_eltwise_abs, 0, 0};
        return 1;
    case NNF_NEG:
        out[0] = (nnfi_eltwise){dnnl_eltwise_linear, -1, 0};
        return 1;
    case NNF_SOFTPLUS:
        out[0] = (nnfi_eltwise){dnnl_eltwise_soft_relu, 1, 0};
        return 1;
    case NNF_SQRT:
        out[0] = (nnfi_eltwise){dnnl_eltwise_sqrt, 0, 0};
        return 1;
    default:
        return 0;
    }
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

static dnnl_status_t append(nnfi_job *job, dnnl_post_ops_t ops, bool *supported,
                            const nnf_module *fused) {
    size_t first = 1, n = fused ? nnf_module_n_children(fused) : 0;
    if (n > 1 && is_silu(nnf_module_child(fused, n - 1))) {
        job->finish = nnfi_silu;
        n--;
    }
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
        int ops_of_it = is_activation(child) ? nnfi_eltwise_of(child, eltwise) : 0;
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
