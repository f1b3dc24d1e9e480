/* Transpose: the same memory in another layout, or a reorder. */
#include "run/onednn/step.h"

/* A layout that the result may have in the order in which its elements stand; NULL: none. */
static nnf_status layout_as_is(nnfi_job *job, nnfi_const_md *out, nnfi_const_md as_is,
                               nnfi_const_md plain) {
    nnfi_md ordered;
    *out = NULL;
    if (nnfi_md_is_plain(as_is)) {
        *out = plain;
    } else if (job->output->ndim >= 3 && job->output->ndim <= 5) {
        NNFI_TRY(nnfi_job_ordered_md(job, &ordered, job->output));
        if (nnfi_md_equal(as_is, ordered)) *out = ordered;
    }
    return NNF_OK;
}

nnf_status nnfi_onednn_transpose(nnfi_job *job) {
    const nnf_transpose_options *options = nnf_module_options(job->module);
    nnfi_operand *x = job->inputs[0];
    nnfi_md src, as_is, plain;
    nnfi_const_md dst;
    int perm[NNF_MAX_DIMS];
    bool supported;
    for (int i = 0; i < x->ndim; i++) {
        int64_t axis = options->n < 0 ? x->ndim - 1 - i : options->perm[i];
        perm[i] = (int)(axis < 0 ? axis + x->ndim : axis);
    }
    NNFI_TRY(nnfi_job_operand_md(job, &src, x));
    NNFI_TRY(nnfi_job_transposed_md(job, &as_is, src, x->ndim, perm));
    NNFI_TRY(nnfi_job_plain_md(job, &plain, x->ndim, job->output->shape));
    NNFI_TRY(layout_as_is(job, &dst, as_is, plain));
    bool stays = dst && x->dies;
    if (!dst) dst = plain;
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (!stays) NNFI_DNNL(nnfi_pd_reorder(&job->pd, job->engine->engine, job->attr, as_is, dst));
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_operand_set_md(job->engine, x, src));
    if (stays) {
        nnfi_job_inplace(job, 0);
        return nnfi_operand_set_md(job->engine, job->output, dst);
    }
    NNFI_TRY(nnfi_primitive_step_arg(job->step, DNNL_ARG_FROM, as_is, NNFI_ARG_INPUT, 0));
    return nnfi_job_output(job, dst);
}
