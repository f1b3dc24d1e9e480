/* Resize where oneDNN's resampling puts its samples at the same places. */
#include "run/onednn/onednn_internal.h"

/* Places are computed in single precision: further out they are off by more than 1e-5. */
enum { MOST_EXTENT = 32 };

static bool is_half_pixel(nnf_resize_coordinates coordinates) {
    return coordinates == NNF_RESIZE_HALF_PIXEL || coordinates == NNF_RESIZE_PYTORCH_HALF_PIXEL ||
           coordinates == NNF_RESIZE_HALF_PIXEL_SYMMETRIC;
}

/* Along one axis. oneDNN takes the element nearest to (i + 1/2) / factor - 1/2, which is never
 * halfway between two where the factor is whole, and then is also the one below i / factor. */
static bool same_places(const nnf_resize_options *options, int64_t from, int64_t to) {
    if (options->mode == NNF_RESIZE_LINEAR)
        return is_half_pixel(options->coordinates) && from <= MOST_EXTENT && to > 1;
    if (to % from) return false;
    if (options->coordinates == NNF_RESIZE_ASYMMETRIC) return options->nearest == NNF_RESIZE_FLOOR;
    return is_half_pixel(options->coordinates) && (options->nearest == NNF_RESIZE_PREFER_FLOOR ||
                                                   options->nearest == NNF_RESIZE_PREFER_CEIL);
}

/* Whether the scales are what the shapes say: they are options, or follow from sizes. Those that
 * are an input are not known here. */
static bool knows_scales(const nnfi_job *job, const nnf_resize_options *options) {
    enum { SIZES = 3 };
    if (options->n_scales >= 0) return true;
    return job->n_inputs > SIZES && job->inputs[SIZES] && job->inputs[SIZES]->bytes > 0;
}

static bool fits(const nnf_resize_options *options, const nnfi_operand *x, const nnfi_operand *y) {
    if (x->ndim < 3 || x->ndim > 5 || options->mode == NNF_RESIZE_CUBIC || options->antialias ||
        options->exclude_outside || options->policy != NNF_RESIZE_STRETCH || options->n_axes >= 0)
        return false;
    for (int i = 0; i < x->ndim; i++) {
        int64_t from = x->shape[i], to = y->shape[i];
        /* a scale may be finer than the sizes say */
        if (options->n_scales >= 0 && options->scales[i] * (double)from != (double)to) return false;
        if (i < 2 ? from != to : !same_places(options, from, to)) return false;
    }
    return true;
}

nnf_status nnfi_onednn_resize(nnfi_job *job) {
    const nnf_resize_options *options = nnf_module_options(job->module);
    nnfi_md src, dst;
    bool supported;
    if (job->fused || !knows_scales(job, options) || !fits(options, job->inputs[0], job->output))
        return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &src, job->inputs[0]));
    NNFI_TRY(nnfi_job_any_md(job, &dst, job->output));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_resampling(&job->pd, job->engine->engine, job->attr,
                           options->mode == NNF_RESIZE_LINEAR ? dnnl_resampling_linear
                                                              : dnnl_resampling_nearest,
                           src, dst) != dnnl_success ||
        nnfi_pd_is_reference(job->pd))
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, src));
    return nnfi_job_output(job, nnfi_job_md(job, dnnl_query_dst_md));
}
