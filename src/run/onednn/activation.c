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
    case NNF_SQRT:
        out[0] = (nnfi_eltwise){dnnl_eltwise_sqrt, 0, 0};
        return 1;
    default:
        return 0;
    }
}

static bool is_activation(const nnf_module *module) {
    return nnfi_onednn_handler(nnf_module_type_name(module)) == nnfi_onednn_activation;
}

bool nnfi_has_residual(const nnf_module *fused) {
    return fused && nnf_module_n_children(fused) > 1 &&
           !strcmp(nnf_module_type_name(nnf_module_child(fused, 1)), "Add");
}

static dnnl_status_t append(dnnl_post_ops_t ops, bool *supported, const nnf_module *fused) {
    size_t first = 1;
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
    for (size_t i = first; fused && i < nnf_module_n_children(fused); i++) {
        const nnf_module *child = nnf_module_child(fused, i);
        nnfi_eltwise eltwise[2];
        int n = is_activation(child) ? nnfi_eltwise_of(child, eltwise) : 0;
        if (n == 0) *supported = false;
        for (int k = 0; k < n; k++) {
            dnnl_status_t status =
                nnfi_post_eltwise(ops, eltwise[k].algorithm, eltwise[k].alpha, eltwise[k].beta);
            if (status != dnnl_success) return status;
        }
    }
    return dnnl_success;
}

nnf_status nnfi_post_ops_attr(dnnl_primitive_attr_t *out, bool *supported,
                              const nnf_module *fused) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    *supported = true;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success) status = append(ops, supported, fused);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (ops) dnnl_post_ops_destroy(ops);
    if (status != dnnl_success) {
        if (attr) dnnl_primitive_attr_destroy(attr);
        return nnfi_onednn_error(status, "attributes");
    }
    *out = attr;
    return NNF_OK;
}

nnf_status nnfi_onednn_activation(const nnfi_request *request, nnfi_step **step) {
    nnfi_eltwise eltwise[2];
    /* bounds that are inputs are not known yet; ReLU6's are its type */
    bool dynamic = request->n_inputs > 1 && !strcmp(nnf_module_type_name(request->module), "Clip");
    if (dynamic || nnfi_eltwise_of(request->module, eltwise) != 1) return NNF_OK;
    nnfi_md md = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnfi_operand *x = request->inputs[0];
    nnf_status status = nnfi_operand_md(&md, x);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, request->fused);
    if (!status && supported &&
        nnfi_pd_eltwise(&pd, request->engine->engine, attr, eltwise[0].algorithm, md,
                        eltwise[0].alpha, eltwise[0].beta) == dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_SRC, md, NNFI_ARG_INPUT, 0, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, md, NNFI_ARG_OUTPUT, 0, NULL);
        if (!status) status = nnfi_operand_set_md(request->engine, &request->outputs[0], md);
        if (!status && x->dies) nnfi_primitive_step_set_inplace(made, 0);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    nnfi_md_release(md);
    return status;
}
