/* Pooling: windows, and over everything. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

static nnf_status pool_step(nnfi_job *job, dnnl_alg_kind_t algorithm, const nnfi_window *window) {
    nnfi_md src, dst;
    bool supported;
    NNFI_TRY(nnfi_job_operand_md(job, &src, job->inputs[0]));
    NNFI_TRY(nnfi_job_any_md(job, &dst, job->output));
    NNFI_TRY(nnfi_job_attr(job, &supported, job->fused));
    if (!supported || nnfi_pd_pool(&job->pd, job->engine->engine, job->attr, algorithm, src, dst,
                                   window) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, src));
    return nnfi_job_output(job, nnfi_job_md(job, dnnl_query_dst_md));
}

nnf_status nnfi_onednn_pool(nnfi_job *job) {
    const nnf_pool_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0], *y = job->output;
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
    return pool_step(job, options->average ? average : dnnl_pooling_max, &window);
}

nnf_status nnfi_onednn_global_pool(nnfi_job *job) {
    const nnf_global_pool_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0];
    nnfi_window window;
    memset(&window, 0, sizeof window);
    if (x->ndim < 3 || x->ndim > 5) return NNF_OK;
    for (int i = 0; i + 2 < x->ndim; i++) {
        window.kernel[i] = x->shape[2 + i];
        window.strides[i] = 1;
    }
    return pool_step(job, options->average ? dnnl_pooling_avg_exclude_padding : dnnl_pooling_max,
                     &window);
}
