/* What gives its input's numbers under another shape, or with its axes in another order: the same
 * memory in another layout, where there is one; a Transpose may be a reorder instead. */
#include "run/onednn/step.h"

/* The input's memory with its axes in the output's order; NULL: the Transpose has none. */
static nnf_status transposed(nnfi_job *job, nnfi_md *out) {
    const nnfi_operand *x = job->inputs[0];
    nnfi_md src;
    int perm[NNF_MAX_DIMS];
    if (!nnfi_permutation(job->module, x->ndim, perm)) return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &src, x));
    return nnfi_job_transposed_md(job, out, src, x->ndim, perm);
}

/* Whether the output is well off in that layout: it is row-major, or the order in which the engine
 * has all values, or a matrix product alone reads it, whose factors have any strides. */
static nnf_status suits(nnfi_job *job, bool *out, nnfi_const_md md) {
    const nnfi_operand *y = job->output;
    nnfi_md ordered;
    *out = nnfi_md_is_plain(md) ||
           (y->reader && nnfi_is_a(y->reader, "MatMul") && nnfi_md_is_strided(md));
    if (*out) return NNF_OK;
    NNFI_TRY(nnfi_job_ordered_md(job, &ordered, y));
    *out = nnfi_md_equal(md, ordered);
    return NNF_OK;
}

nnf_status nnfi_onednn_view(nnfi_job *job, bool *views) {
    nnfi_md src, md = NULL;
    *views = false;
    if (nnfi_is_a(job->module, "Transpose")) {
        NNFI_TRY(transposed(job, &md));
    } else {
        NNFI_TRY(nnfi_job_operand_md(job, &src, job->inputs[0]));
        NNFI_TRY(nnfi_job_reshaped_md(job, &md, src, job->output));
    }
    if (md) NNFI_TRY(suits(job, views, md));
    return *views ? nnfi_operand_set_md(job->engine, job->output, md) : NNF_OK;
}

nnf_status nnfi_onednn_transpose(nnfi_job *job) {
    nnfi_md as_is, plain;
    bool supported;
    NNFI_TRY(transposed(job, &as_is));
    NNFI_TRY(nnfi_job_plain_md(job, &plain, job->output->ndim, job->output->shape));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    NNFI_DNNL(nnfi_pd_reorder(&job->pd, job->engine->engine, job->attr, as_is, plain));
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_primitive_step_arg(job->step, DNNL_ARG_FROM, as_is, NNFI_ARG_INPUT, 0));
    return nnfi_job_output(job, plain);
}
