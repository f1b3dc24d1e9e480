/* Pooling: windows, and over everything. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

static nnf_status pool_step(const nnfi_request *request, dnnl_alg_kind_t algorithm,
                            const nnfi_window *window, nnfi_step **step) {
    nnfi_operand *x = request->inputs[0], *y = &request->outputs[0];
    nnfi_md src = NULL, dst = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = nnfi_operand_md(&src, x);
    if (!status) status = nnfi_any_md(&dst, y->ndim, y->shape);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, request->fused);
    if (!status && supported &&
        nnfi_pd_pool(&pd, request->engine->engine, attr, algorithm, src, dst, window) ==
            dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        nnfi_const_md chosen =
            status ? NULL : nnfi_pd_md(nnfi_primitive_step_pd(made), dnnl_query_dst_md, 0);
        if (!status) status = nnfi_operand_set_md(request->engine, y, chosen);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_SRC, src, NNFI_ARG_INPUT, 0, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, chosen, NNFI_ARG_OUTPUT, 0, NULL);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    nnfi_md_release(src);
    nnfi_md_release(dst);
    return status;
}

nnf_status nnfi_onednn_pool(const nnfi_request *request, nnfi_step **step) {
    const nnf_pool_options *options = nnf_module_options(request->module);
    const nnfi_operand *x = request->inputs[0], *y = &request->outputs[0];
    if (x->ndim != options->spatial + 2) return NNF_OK;
    bool same = options->auto_pad == NNF_AUTO_PAD_SAME_UPPER ||
                options->auto_pad == NNF_AUTO_PAD_SAME_LOWER;
    bool valid = options->auto_pad == NNF_AUTO_PAD_VALID;
    nnfi_window window;
    for (int i = 0; i < options->spatial; i++) {
        int64_t reach = (options->kernel_size[i] - 1) * options->dilation[i] + 1;
        int64_t total = (y->shape[2 + i] - 1) * options->stride[i] + reach - x->shape[2 + i];
        int64_t before = valid ? 0 : options->padding_begin[i];
        if (same) {
            if (total < 0) total = 0;
            before = options->auto_pad == NNF_AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        }
        int64_t after = total - before > 0 ? total - before : 0;
        int64_t stated = same ? after : valid ? 0 : options->padding_end[i];
        /* A window that ceil_mode lets reach past the padding counts fewer elements there. */
        if (options->average && options->count_include_pad && after > stated) return NNF_OK;
        if (before < 0 || before >= reach || after >= reach) return NNF_OK;
        /* A dilated window may step over a small image: its maximum is -inf, oneDNN's is not. */
        if (before > 0 && x->shape[2 + i] < options->dilation[i]) return NNF_OK;
        window.kernel[i] = options->kernel_size[i];
        window.strides[i] = options->stride[i];
        window.dilates[i] = options->dilation[i] - 1;
        window.padding_l[i] = before;
        window.padding_r[i] = after;
    }
    dnnl_alg_kind_t average = options->count_include_pad ? dnnl_pooling_avg_include_padding
                                                         : dnnl_pooling_avg_exclude_padding;
    return pool_step(request, options->average ? average : dnnl_pooling_max, &window, step);
}

nnf_status nnfi_onednn_global_pool(const nnfi_request *request, nnfi_step **step) {
    const nnf_global_pool_options *options = nnf_module_options(request->module);
    const nnfi_operand *x = request->inputs[0];
    nnfi_window window;
    memset(&window, 0, sizeof window);
    if (x->ndim < 3 || x->ndim > 5) return NNF_OK;
    for (int i = 0; i + 2 < x->ndim; i++) {
        window.kernel[i] = x->shape[2 + i];
        window.strides[i] = 1;
    }
    return pool_step(request,
                     options->average ? dnnl_pooling_avg_exclude_padding : dnnl_pooling_max,
                     &window, step);
}
