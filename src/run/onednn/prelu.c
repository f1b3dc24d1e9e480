/* PReLU: alone, and behind a layer as a second primitive, over the output where it stands. oneDNN
 * 2.6 has a post-op for it, but none of its fast convolutions and products takes that. */
#include "run/onednn/step.h"

/* The slope that the module holds, of as many axes as its input, or NULL where there is none that
 * these kernels take. */
static nnf_tensor *slope_of(const nnf_module *prelu, int ndim, int64_t *shape) {
    nnf_tensor *slope = nnf_module_tensor(prelu, "weight");
    if (!slope || nnf_tensor_dtype(slope) != NNF_F32) return NULL;
    const int ones = ndim - nnf_tensor_ndim(slope);
    for (int i = 0; i < ndim; i++)
        shape[i] = i < ones ? 1 : nnf_tensor_shape(slope)[i - ones];
    return ones < 0 || nnf_tensor_numel(slope) == 0 ? NULL : slope;
}

bool nnfi_prelu_follows(const nnfi_job *job, const nnf_module *prelu) {
    const nnf_module_type *base = nnf_module_get_type(job->module);
    const int ndim = job->output->ndim;
    int64_t shape[NNF_MAX_DIMS];
    nnf_linear_map map = {0};
    if (ndim != job->inputs[0]->ndim || !slope_of(prelu, ndim, shape) || !base->linear_map ||
        base->linear_map(job->module, &map) != NNF_OK)
        return false;
    const int channels = map.channel_axis < 0 ? ndim + map.channel_axis : map.channel_axis;
    for (int i = 0; i < ndim; i++)
        if (shape[i] != 1 && (i != channels || shape[i] != map.out_channels)) return false;
    return true;
}

int nnfi_prelu_eltwise(const nnf_module *prelu, nnfi_eltwise *out) {
    const nnf_tensor *slope = nnf_module_tensor(prelu, "weight");
    float number;
    if (!slope || nnf_tensor_dtype(slope) != NNF_F32 || nnf_tensor_numel(slope) != 1 ||
        nnf_tensor_read(slope, 0, 1, &number) != NNF_OK)
        return 0;
    *out = (nnfi_eltwise){dnnl_eltwise_relu, number, 0};
    return 1;
}

/* Axes in front of those that the slope runs along, these, and those behind them, each as one: in
 * a row-major value that is the same. False where the slope repeats in between. */
static bool join_axes(int64_t dims[3], const nnfi_operand *x, const int64_t *shape) {
    int first = 0, end = x->ndim;
    while (first < end && shape[first] == 1)
        first++;
    while (end > first && shape[end - 1] == 1)
        end--;
    dims[0] = dims[1] = dims[2] = 1;
    for (int i = 0; i < x->ndim; i++) {
        if (i >= first && i < end && shape[i] != x->shape[i]) return false;
        dims[i < first ? 0 : i < end ? 1 : 2] *= x->shape[i];
    }
    return true;
}

/* Descriptors of the data, of the slope as it stands, and as the primitive may have it. */
static nnf_status describe(nnfi_job *job, nnfi_md *data, nnfi_md *slope, nnfi_md *packed,
                           const int64_t *shape) {
    nnfi_operand slopes = {.ndim = job->inputs[0]->ndim};
    int64_t dims[3];
    for (int i = 0; i < slopes.ndim; i++)
        slopes.shape[i] = shape[i];
    if (!job->inputs[0]->layout && join_axes(dims, job->inputs[0], shape)) {
        slopes = (nnfi_operand){.ndim = 3, .shape = {1, dims[1], 1}};
        NNFI_TRY(nnfi_job_plain_md(job, data, 3, dims));
    } else {
        NNFI_TRY(nnfi_job_operand_md(job, data, job->inputs[0]));
    }
    NNFI_TRY(nnfi_job_operand_md(job, slope, &slopes));
    return nnfi_job_any_md(job, packed, &slopes);
}

nnf_status nnfi_onednn_prelu(nnfi_job *job) {
    nnfi_operand *x = job->inputs[0];
    int64_t shape[NNF_MAX_DIMS];
    nnf_tensor *slope = slope_of(job->module, x->ndim, shape);
    nnfi_md data, plain, packed;
    bool supported;
    /* For slopes of the data's whole shape oneDNN 2.6 computes elements twice where two threads
     * meet, which in place is wrong. */
    bool whole = true;
    for (int i = 0; slope && i < x->ndim; i++)
        whole = whole && shape[i] == x->shape[i];
    if (!slope || job->fused || (whole && nnf_tensor_numel(slope) > 1)) return NNF_OK;
    for (int i = 0; i < x->ndim; i++)
        if (shape[i] != 1 && shape[i] != x->shape[i]) return NNF_OK;
    if (nnf_tensor_numel(slope) == 1) return nnfi_onednn_activation(job);
    NNFI_TRY(describe(job, &data, &plain, &packed, shape));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_prelu(&job->pd, job->engine->engine, job->attr, data, packed) != dnnl_success ||
        nnfi_pd_is_reference(job->pd))
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, data));
    NNFI_TRY(nnfi_job_output(job, data));
    NNFI_TRY(nnfi_job_constant(job, DNNL_ARG_WEIGHTS, slope, plain,
                               nnfi_job_md(job, dnnl_query_weights_md)));
    if (x->dies) nnfi_job_inplace(job, 0);
    return NNF_OK;
}

nnf_status nnfi_job_add_last(nnfi_job *job) {
    nnfi_operand input = *job->output, *inputs[] = {&input};
    nnfi_job last = {.engine = job->engine,
                     .module = job->last,
                     .inputs = inputs,
                     .n_inputs = 1,
                     .output = job->output};
    nnf_status status = nnfi_onednn_handler(job->last)(&last);
    if (!status && last.step) {
        nnfi_primitive_step_then(job->step, last.step);
        last.step = NULL;
    } else {
        nnfi_job_drop_step(job);
    }
    nnfi_job_clear(&last);
    return status;
}
