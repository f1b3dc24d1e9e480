/* BatchNorm, LayerNorm. */
#include "run/onednn/onednn_internal.h"

#include "run/batch_statistics.h"

/* ---- BatchNorm ---- */

/* A batch norm's parameter or what stands for it; one reference. */
static nnf_status norm_tensor(nnf_tensor **out, const nnf_module *module, const char *name,
                              int64_t channels, float otherwise) {
    nnf_tensor *held = nnf_module_tensor(module, name);
    if (held) return nnf_tensor_convert(out, held, NNF_F32);
    nnf_tensor *made = NULL;
    void *data = NULL;
    NNFI_TRY(nnf_tensor_new(&made, NNF_F32, 1, &channels));
    nnf_status status = nnf_tensor_mut_data(made, &data);
    if (status) {
        nnf_tensor_release(made);
        return status;
    }
    for (int64_t c = 0; c < channels; c++)
        ((float *)data)[c] = otherwise;
    *out = made;
    return NNF_OK;
}

/* Its own scale and shift; the running statistics, or where the batch's go. */
static nnf_status norm_factors(nnfi_job *job, const nnfi_operand *x, bool by_batch) {
    const struct {
        const char *name;
        int arg;
        float otherwise;
    } constants[] = {{"weight", DNNL_ARG_SCALE, 1},
                     {"bias", DNNL_ARG_SHIFT, 0},
                     {"running_mean", DNNL_ARG_MEAN, 0},
                     {"running_var", DNNL_ARG_VARIANCE, 1}};
    const int64_t channels = x->shape[1];
    int64_t numel = 1;
    nnfi_md md;
    for (int i = 0; i < x->ndim; i++)
        numel *= x->shape[i];
    NNFI_TRY(nnfi_job_plain_md(job, &md, 1, &channels));
    if (by_batch) NNFI_TRY(nnfi_job_statistics(job, md, numel / channels));
    for (size_t i = 0; i < (by_batch ? 2 : 4); i++) {
        nnf_tensor *tensor;
        NNFI_TRY(
            norm_tensor(&tensor, job->module, constants[i].name, channels, constants[i].otherwise));
        nnf_status status = nnfi_job_constant(job, constants[i].arg, tensor, md, md);
        nnf_tensor_release(tensor);
        NNFI_TRY(status);
    }
    return NNF_OK;
}

/* With two axes in space: for one, and often for three, oneDNN has slow loops alone, and for none,
 * which are channels one behind another, too. */
static nnf_status seen_as_image(nnfi_job *job, nnfi_md *out, const nnfi_operand *x, nnfi_md md) {
    int64_t shape[4] = {x->shape[0], x->shape[1], 1, 1};
    nnfi_md last = md;
    for (int i = 2; i < x->ndim; i++)
        shape[3] *= x->shape[i];
    *out = md;
    if (x->ndim == 2) {
        shape[3] = shape[0];
        shape[0] = 1;
    } else {
        if (nnfi_md_is_plain(md)) return nnfi_job_plain_md(job, out, 4, shape);
        NNFI_TRY(nnfi_job_channels_last_md(job, &last, x->ndim, x->shape));
    }
    return nnfi_md_equal(md, last) ? nnfi_job_channels_last_md(job, out, 4, shape) : NNF_OK;
}

nnf_status nnfi_onednn_batchnorm(nnfi_job *job) {
    const nnf_batchnorm_options *options = nnf_module_options(job->module);
    const nnf_module *module = job->module, *fused = job->fused;
    nnfi_operand *x = job->inputs[0];
    const bool has_running =
        nnf_module_tensor(module, "running_mean") && nnf_module_tensor(module, "running_var");
    const bool by_batch = nnfi_uses_batch_statistics(module, has_running);
    bool relu =
        fused && nnf_module_n_children(fused) == 2 && nnfi_is_a(nnf_module_child(fused, 1), "ReLU");
    bool supported;
    nnfi_md md, seen;
    /* a ReLU behind a norm with the batch's statistics would keep a mask for training */
    if (x->ndim < 2 || (options->affine && !nnf_module_tensor(module, "weight")) ||
        (fused && (!relu || by_batch)))
        return NNF_OK;
    const nnfi_batchnorm kind = by_batch ? NNFI_NORM_OWN
                                : relu   ? NNFI_NORM_GIVEN_RELU
                                         : NNFI_NORM_GIVEN;
    NNFI_TRY(nnfi_job_operand_md(job, &md, x));
    NNFI_TRY(seen_as_image(job, &seen, x, md));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_batchnorm(&job->pd, job->engine->engine, job->attr, kind, seen,
                          (float)options->eps) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input_as(job, DNNL_ARG_SRC, 0, md, seen));
    NNFI_TRY(nnfi_job_output_as(job, md, seen));
    NNFI_TRY(norm_factors(job, x, by_batch));
    if (x->dies) nnfi_job_inplace(job, 0);
    return NNF_OK;
}

/* ---- LayerNorm ---- */

/* A scale or bias of as many elements as a row has, and nothing but these. */
static bool is_of_row(const nnfi_operand *factor, const nnfi_operand *x, int axis) {
    int last = x->ndim - axis;
    if (factor->dtype != NNF_F32 || factor->ndim < last) return false;
    for (int i = 0; i < factor->ndim; i++) {
        int own = factor->ndim - 1 - i;
        if (factor->shape[own] != (i < last ? x->shape[x->ndim - 1 - i] : 1)) return false;
    }
    return true;
}

/* Seen as rows of the normalized axes' elements. */
nnf_status nnfi_onednn_layernorm(nnfi_job *job) {
    const nnf_norm_options *options = nnf_module_options(job->module);
    static const int args[] = {DNNL_ARG_SRC, DNNL_ARG_SCALE, DNNL_ARG_SHIFT};
    const nnfi_operand *x = job->inputs[0];
    int axis = (int)(options->axis < 0 ? options->axis + x->ndim : options->axis);
    int64_t rows[2] = {1, 1};
    nnfi_md mds[2]; /* of the rows, of a factor */
    bool given[3] = {true}, supported;
    for (int i = 0; i < x->ndim; i++)
        rows[i >= axis] *= x->shape[i];
    for (size_t i = 1; i < job->n_inputs; i++) {
        given[i] = job->inputs[i] != NULL;
        if (given[i] && !is_of_row(job->inputs[i], x, axis)) return NNF_OK;
    }
    NNFI_TRY(nnfi_job_plain_md(job, &mds[0], 2, rows));
    NNFI_TRY(nnfi_job_plain_md(job, &mds[1], 1, &rows[1]));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (job->fused || nnfi_pd_layernorm(&job->pd, job->engine->engine, job->attr, mds[0],
                                        (float)options->eps, given[1], given[2]) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    for (size_t i = 0; i < job->n_inputs; i++)
        if (given[i]) NNFI_TRY(nnfi_job_input(job, args[i], i, mds[i > 0]));
    NNFI_TRY(nnfi_job_output(job, mds[0]));
    if (x->dies) nnfi_job_inplace(job, 0);
    return NNF_OK;
}
