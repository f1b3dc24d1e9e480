/* BatchNorm in eval mode, LayerNorm. One with its batch's statistics runs by its forward: oneDNN
 * sums these in f32, which is wrong in every digit where a mean is large. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

/* ---- BatchNorm with its running statistics ---- */

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

static nnf_status norm_constants(nnfi_job *job, int64_t channels) {
    const struct {
        const char *name;
        int arg;
        float otherwise;
    } constants[] = {{"running_mean", DNNL_ARG_MEAN, 0},
                     {"running_var", DNNL_ARG_VARIANCE, 1},
                     {"weight", DNNL_ARG_SCALE, 1},
                     {"bias", DNNL_ARG_SHIFT, 0}};
    nnfi_md md;
    NNFI_TRY(nnfi_job_plain_md(job, &md, 1, &channels));
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        nnf_tensor *tensor;
        NNFI_TRY(
            norm_tensor(&tensor, job->module, constants[i].name, channels, constants[i].otherwise));
        nnf_status status = nnfi_job_constant(job, constants[i].arg, tensor, md, md);
        nnf_tensor_release(tensor);
        NNFI_TRY(status);
    }
    return NNF_OK;
}

/* With two axes in space: for one, and often for three, oneDNN has slow loops alone; and for
 * channels one behind another, which are an image whose pixels are the batch. */
static nnf_status seen_as_image(nnfi_job *job, nnfi_md *out, const nnfi_operand *x, nnfi_md md) {
    int64_t shape[4] = {x->shape[0], x->shape[1], 1, 1};
    const bool plain = nnfi_md_is_plain(md);
    nnfi_md last;
    for (int i = 2; i < x->ndim; i++)
        shape[3] *= x->shape[i];
    if (plain && shape[3] == 1) {
        shape[3] = shape[0];
        shape[0] = 1;
        return nnfi_job_channels_last_md(job, out, 4, shape);
    }
    if (plain) return nnfi_job_plain_md(job, out, 4, shape);
    *out = md;
    if (x->ndim < 3) return NNF_OK;
    NNFI_TRY(nnfi_job_channels_last_md(job, &last, x->ndim, x->shape));
    return nnfi_md_equal(md, last) ? nnfi_job_channels_last_md(job, out, 4, shape) : NNF_OK;
}

nnf_status nnfi_onednn_batchnorm(nnfi_job *job) {
    const nnf_batchnorm_options *options = nnf_module_options(job->module);
    const nnf_module *module = job->module, *fused = job->fused;
    nnfi_operand *x = job->inputs[0];
    bool has_all = nnf_module_tensor(module, "running_mean") &&
                   nnf_module_tensor(module, "running_var") &&
                   (!options->affine || nnf_module_tensor(module, "weight"));
    bool relu =
        fused && nnf_module_n_children(fused) == 2 && nnfi_is_a(nnf_module_child(fused, 1), "ReLU");
    bool supported;
    nnfi_md md, seen;
    if (nnf_module_training(module) || options->training_mode || !has_all || x->ndim < 2 ||
        (fused && !relu))
        return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &md, x));
    NNFI_TRY(seen_as_image(job, &seen, x, md));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_batchnorm(&job->pd, job->engine->engine, job->attr, seen, (float)options->eps,
                          relu) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input_as(job, DNNL_ARG_SRC, 0, md, seen));
    NNFI_TRY(nnfi_job_output_as(job, md, seen));
    NNFI_TRY(norm_constants(job, x->shape[1]));
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
