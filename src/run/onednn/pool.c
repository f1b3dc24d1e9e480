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

/* False where oneDNN's pooling would not be the same. */
static bool window_of(nnfi_window *window, const nnf_pool_options *options, const nnfi_operand *x,
                      const nnfi_operand *y) {
    const nnfi_sliding sliding = {options->spatial,  options->kernel_size,   options->stride,
                                  options->dilation, options->padding_begin, options->auto_pad};
    bool stated = options->auto_pad == NNF_AUTO_PAD_NOTSET;
    nnfi_window_of(window, &sliding, x, y);
    for (int i = 0; i < options->spatial; i++) {
        int64_t reach = (options->kernel_size[i] - 1) * options->dilation[i] + 1;
        int64_t before = window->padding_l[i], after = window->padding_r[i];
        if (after < 0) after = window->padding_r[i] = 0;
        if (before < 0 || before >= reach || after >= reach) return false;
        /* A window that ceil_mode lets reach past the padding counts fewer elements there. */
        int64_t counted = stated                                    ? options->padding_end[i]
                          : options->auto_pad == NNF_AUTO_PAD_VALID ? 0
                                                                    : after;
        if (options->average && options->count_include_pad && after > counted) return false;
        /* A dilated window may step over a small image: its maximum is -inf, oneDNN's is not. */
        if (before > 0 && x->shape[2 + i] < options->dilation[i]) return false;
    }
    return true;
}

nnf_status nnfi_onednn_pool(nnfi_job *job) {
    const nnf_pool_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0], *y = job->output;
    nnfi_window window;
    if (x->ndim != options->spatial + 2 || !window_of(&window, options, x, y)) return NNF_OK;
    dnnl_alg_kind_t average = options->count_include_pad ? dnnl_pooling_avg_include_padding
                                                         : dnnl_pooling_avg_exclude_padding;
    return pool_step(job, options->average ? average : dnnl_pooling_max, &window);
}

/* Whatever the layout, [N, C, 1, 1] without padding is [N, C] in row-major order. */
static nnf_status without_space(nnfi_job *job, dnnl_alg_kind_t algorithm,
                                const nnfi_window *window) {
    nnfi_operand *y = job->output, pooled = *job->inputs[0];
    size_t bytes = sizeof(float) * (size_t)(pooled.shape[0] * pooled.shape[1]);
    for (int i = 2; i < pooled.ndim; i++)
        pooled.shape[i] = 1;
    job->output = &pooled;
    nnf_status status = pool_step(job, algorithm, window);
    job->output = y;
    if (status == NNF_OK && job->step && pooled.bytes != bytes) nnfi_job_drop_step(job);
    y->layout = NULL;
    y->bytes = bytes;
    return status;
}

nnf_status nnfi_onednn_pool_all(nnfi_job *job, dnnl_alg_kind_t algorithm) {
    const nnfi_operand *x = job->inputs[0];
    nnfi_window window;
    memset(&window, 0, sizeof window);
    if (x->ndim < 3 || x->ndim > 5) return NNF_OK;
    if (algorithm == dnnl_pooling_avg_exclude_padding && !job->fused)
        NNFI_TRY(nnfi_channels_mean(job));
    if (job->own) return NNF_OK;
    for (int i = 0; i + 2 < x->ndim; i++) {
        window.kernel[i] = x->shape[2 + i];
        window.strides[i] = 1;
    }
    if (job->output->ndim == x->ndim) return pool_step(job, algorithm, &window);
    return without_space(job, algorithm, &window);
}

nnf_status nnfi_onednn_global_pool(nnfi_job *job) {
    const nnf_global_pool_options *options = nnf_module_options(job->module);
    return nnfi_onednn_pool_all(job, options->average ? dnnl_pooling_avg_exclude_padding
                                                      : dnnl_pooling_max);
}
