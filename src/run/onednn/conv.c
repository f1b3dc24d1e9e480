/* Convolution and transposed convolution, with the container's activations and residual as
 * post-ops. */
#include "run/onednn/onednn_internal.h"

/* The descriptors of one convolution. */
typedef struct conv_mds {
    nnfi_md src, weights, plain_weights, bias, dst;
} conv_mds;

static void conv_mds_release(conv_mds *mds) {
    nnfi_md_release(mds->src);
    nnfi_md_release(mds->weights);
    nnfi_md_release(mds->plain_weights);
    nnfi_md_release(mds->bias);
    nnfi_md_release(mds->dst);
}

/* The weights as oneDNN counts their axes, [g, out/g, in/g, k...] or without g where there is one
 * group, over the numbers as they stand: a transposed convolution has [g, in/g, out/g, k...]. */
static nnf_status weights_mds(conv_mds *mds, const nnf_conv_options *options) {
    dnnl_dims_t dims, strides;
    int n = 0;
    int64_t inner = 1;
    for (int i = 0; i < options->spatial; i++)
        inner *= options->kernel_size[i];
    int64_t out = options->out_channels / options->groups;
    int64_t in = options->in_channels / options->groups;
    if (options->groups > 1) {
        dims[n] = options->groups;
        strides[n++] = out * in * inner;
    }
    dims[n] = out;
    strides[n++] = options->transposed ? inner : in * inner;
    dims[n] = in;
    strides[n++] = options->transposed ? out * inner : inner;
    for (int i = 0; i < options->spatial; i++) {
        inner /= options->kernel_size[i];
        dims[n] = options->kernel_size[i];
        strides[n++] = inner;
    }
    NNFI_DNNL(nnfi_md_new(&mds->plain_weights, n, dims, strides));
    NNFI_DNNL(nnfi_md_new(&mds->weights, n, dims, NULL));
    return NNF_OK;
}

/* The window in oneDNN's words. Where auto_pad or a transposed convolution's output_padding decide,
 * the padding follows from the shapes. False for what oneDNN has no words for. */
static bool window_of(nnfi_window *window, const nnf_conv_options *options, const nnfi_operand *x,
                      const nnfi_operand *y) {
    bool same = options->auto_pad == NNF_AUTO_PAD_SAME_UPPER ||
                options->auto_pad == NNF_AUTO_PAD_SAME_LOWER;
    for (int i = 0; i < options->spatial; i++) {
        int64_t reach = (options->kernel_size[i] - 1) * options->dilation[i] + 1;
        int64_t wide = options->transposed ? y->shape[2 + i] : x->shape[2 + i];
        int64_t narrow = options->transposed ? x->shape[2 + i] : y->shape[2 + i];
        int64_t total = (narrow - 1) * options->stride[i] + reach - wide;
        int64_t before = options->padding_begin[i];
        if (options->transposed && (same || options->output_shape[0] > 0)) return false;
        if (options->auto_pad == NNF_AUTO_PAD_VALID) before = 0;
        if (same) {
            if (total < 0) total = 0;
            before = options->auto_pad == NNF_AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        }
        if (before < 0 || options->padding_end[i] < 0) return false;
        window->kernel[i] = options->kernel_size[i];
        window->strides[i] = options->stride[i];
        window->dilates[i] = options->dilation[i] - 1;
        window->padding_l[i] = before;
        bool stated = !options->transposed && !same;
        window->padding_r[i] = !stated                                   ? total - before
                               : options->auto_pad == NNF_AUTO_PAD_VALID ? 0
                                                                         : options->padding_end[i];
    }
    return true;
}

static nnf_status conv_step(const nnfi_request *request, const conv_mds *mds,
                            const nnf_tensor *weight, const nnf_tensor *bias,
                            nnfi_primitive_step *made) {
    const_dnnl_primitive_desc_t chosen = nnfi_primitive_step_pd(made);
    nnfi_const_md src = nnfi_pd_md(chosen, dnnl_query_src_md, 0);
    nnfi_const_md dst = nnfi_pd_md(chosen, dnnl_query_dst_md, 0);
    NNFI_TRY(nnfi_operand_set_md(request->engine, request->inputs[0], src));
    NNFI_TRY(nnfi_operand_set_md(request->engine, &request->outputs[0], dst));
    NNFI_TRY(nnfi_primitive_step_arg(made, DNNL_ARG_SRC, src, NNFI_ARG_INPUT, 0, NULL));
    NNFI_TRY(nnfi_primitive_step_arg(made, DNNL_ARG_DST, dst, NNFI_ARG_OUTPUT, 0, NULL));
    NNFI_TRY(nnfi_primitive_step_constant(made, DNNL_ARG_WEIGHTS, weight, mds->plain_weights,
                                          nnfi_pd_md(chosen, dnnl_query_weights_md, 0)));
    if (bias)
        NNFI_TRY(nnfi_primitive_step_constant(made, DNNL_ARG_BIAS, bias, mds->bias, mds->bias));
    if (nnfi_has_residual(request->fused)) {
        size_t residual = request->n_inputs - 1;
        request->inputs[residual]->layout = request->outputs[0].layout;
        request->inputs[residual]->bytes = request->outputs[0].bytes;
        nnfi_primitive_step_set_inplace(made, (int)residual);
    }
    return NNF_OK;
}

static bool same_shape(const nnfi_operand *a, const nnfi_operand *b) {
    if (!a || a->dtype != b->dtype || a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

/* Makes the step with values in the engine's layout, or in what oneDNN chooses; leaves it NULL
 * where there is no primitive, or only a slow one where there may be another. */
static nnf_status make_conv(const nnfi_request *request, const nnfi_window *window,
                            const nnf_tensor *weight, const nnf_tensor *bias, bool engines_layout,
                            nnfi_step **step) {
    const nnf_conv_options *options = nnf_module_options(request->module);
    const nnfi_operand *x = request->inputs[0], *y = &request->outputs[0];
    const nnfi_engine *engine = request->engine;
    conv_mds mds = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = engines_layout ? nnfi_engine_md(engine, &mds.src, x->ndim, x->shape)
                                       : nnfi_any_md(&mds.src, x->ndim, x->shape);
    if (!status)
        status = engines_layout ? nnfi_engine_md(engine, &mds.dst, y->ndim, y->shape)
                                : nnfi_any_md(&mds.dst, y->ndim, y->shape);
    if (!status) status = weights_mds(&mds, options);
    if (!status && bias) status = nnfi_plain_md(&mds.bias, 1, &options->out_channels);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, request->fused);
    if (!status && supported &&
        nnfi_pd_conv(&pd, engine->engine, attr, options->transposed, mds.src, mds.weights, mds.bias,
                     mds.dst, window) == dnnl_success) {
        if (engines_layout && nnfi_pd_is_reference(pd)) {
            dnnl_primitive_desc_destroy(pd);
        } else {
            status = nnfi_primitive_step_new(&made, request->engine, pd);
            if (!status) status = conv_step(request, &mds, weight, bias, made);
            if (!status) *step = nnfi_primitive_step_finish(made);
        }
    }
    if (status) nnfi_primitive_step_release(made);
    if (attr) dnnl_primitive_attr_destroy(attr);
    conv_mds_release(&mds);
    return status;
}

nnf_status nnfi_onednn_conv(const nnfi_request *request, nnfi_step **step) {
    const nnf_conv_options *options = nnf_module_options(request->module);
    const nnf_tensor *weight = nnf_module_tensor(request->module, "weight");
    const nnf_tensor *bias = nnf_module_tensor(request->module, "bias");
    nnfi_operand *x = request->inputs[0], *y = &request->outputs[0];
    nnfi_window window;
    if (!weight || nnf_tensor_dtype(weight) != NNF_F32 || !nnf_tensor_is_contiguous(weight) ||
        (bias && nnf_tensor_dtype(bias) != NNF_F32) || x->ndim != options->spatial + 2 ||
        options->padding_mode != NNF_PADDING_ZEROS || !window_of(&window, options, x, y))
        return NNF_OK;
    if (nnfi_has_residual(request->fused) && !same_shape(request->inputs[request->n_inputs - 1], y))
        return NNF_OK;
    NNFI_TRY(make_conv(request, &window, weight, bias, true, step));
    return *step ? NNF_OK : make_conv(request, &window, weight, bias, false, step);
}
