/* Jobs: from a module and its operands to a step. */
#include "run/onednn/step.h"

nnf_status nnfi_onednn_error(dnnl_status_t status, const char *what) {
    if (status == dnnl_out_of_memory) return nnf_error(NNF_ERROR_MEMORY, "out of memory in oneDNN");
    return nnf_error(NNF_ERROR_UNSUPPORTED, "oneDNN gave status %d for %s", (int)status, what);
}

void nnfi_job_drop_step(nnfi_job *job) {
    nnfi_step *step = nnfi_job_take_step(job);
    if (step) step->release(step);
}

void nnfi_job_clear(nnfi_job *job) {
    nnfi_job_drop_step(job);
    if (job->pd) dnnl_primitive_desc_destroy(job->pd);
    if (job->attr) dnnl_primitive_attr_destroy(job->attr);
    while (job->n_mds > 0)
        nnfi_md_release(job->mds[--job->n_mds]);
    job->pd = NULL;
    job->attr = NULL;
}

/* ---- Descriptors ---- */

/* Keeps the descriptor that was made. */
static nnf_status keep(nnfi_job *job, dnnl_status_t status, nnfi_md *out) {
    if (status != dnnl_success) return nnfi_onednn_error(status, "a memory descriptor");
    job->mds[job->n_mds++] = *out;
    return NNF_OK;
}

static void dims_of(dnnl_dims_t dims, const nnfi_operand *operand) {
    for (int i = 0; i < operand->ndim; i++)
        dims[i] = operand->shape[i];
}

static nnf_status check_room(const nnfi_job *job) {
    if (job->n_mds < sizeof job->mds / sizeof *job->mds) return NNF_OK;
    return nnfi_onednn_error(dnnl_out_of_memory, "a memory descriptor");
}

nnf_status nnfi_job_strided_md(nnfi_job *job, nnfi_md *out, int ndim, const dnnl_dims_t dims,
                               const dnnl_dims_t strides) {
    NNFI_TRY(check_room(job));
    return keep(job, nnfi_md_new(out, ndim, dims, strides), out);
}

nnf_status nnfi_job_transposed_md(nnfi_job *job, nnfi_md *out, nnfi_const_md md, int ndim,
                                  const int *perm) {
    NNFI_TRY(check_room(job));
    return keep(job, nnfi_md_transposed(out, md, ndim, perm), out);
}

nnf_status nnfi_job_reshaped_md(nnfi_job *job, nnfi_md *out, nnfi_const_md md,
                                const nnfi_operand *operand) {
    dnnl_dims_t dims;
    dims_of(dims, operand);
    NNFI_TRY(check_room(job));
    dnnl_status_t status = nnfi_md_reshaped(out, md, operand->ndim, dims);
    if (status == dnnl_success || status == dnnl_out_of_memory) return keep(job, status, out);
    *out = NULL;
    return NNF_OK;
}

nnf_status nnfi_job_plain_md(nnfi_job *job, nnfi_md *out, int ndim, const int64_t *shape) {
    dnnl_dims_t dims, strides;
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        dims[i] = shape[i];
        strides[i] = stride;
        stride *= shape[i];
    }
    return nnfi_job_strided_md(job, out, ndim, dims, strides);
}

nnf_status nnfi_job_any_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand) {
    dnnl_dims_t dims;
    dims_of(dims, operand);
    return nnfi_job_strided_md(job, out, operand->ndim, dims, NULL);
}

nnf_status nnfi_job_operand_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand) {
    if (!operand->layout) return nnfi_job_plain_md(job, out, operand->ndim, operand->shape);
    NNFI_TRY(check_room(job));
    return keep(job, nnfi_md_clone(out, operand->layout->md), out);
}

nnf_status nnfi_job_channels_last_md(nnfi_job *job, nnfi_md *out, int ndim, const int64_t *shape) {
    dnnl_dims_t dims, strides;
    int64_t stride = shape[1];
    for (int i = ndim - 1; i >= 2; i--) {
        strides[i] = stride;
        stride *= shape[i];
    }
    strides[1] = 1;
    strides[0] = stride;
    for (int i = 0; i < ndim; i++)
        dims[i] = shape[i];
    return nnfi_job_strided_md(job, out, ndim, dims, strides);
}

nnf_status nnfi_job_ordered_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand) {
    nnfi_order order = operand->ndim < 3 || operand->ndim > 5 ? NNFI_ORDER_ANY : job->engine->order;
    if (order == NNFI_ORDER_ANY) return nnfi_job_any_md(job, out, operand);
    if (order == NNFI_ORDER_CHANNELS_LAST)
        return nnfi_job_channels_last_md(job, out, operand->ndim, operand->shape);
    dnnl_dims_t dims;
    dims_of(dims, operand);
    NNFI_TRY(check_room(job));
    return keep(job, nnfi_md_new_blocked(out, operand->ndim, dims), out);
}

/* ---- Windows ---- */

void nnfi_window_of(nnfi_window *window, const nnfi_sliding *sliding, const nnfi_operand *over,
                    const nnfi_operand *places) {
    for (int i = 0; i < sliding->spatial; i++) {
        int64_t reach = (sliding->kernel[i] - 1) * sliding->dilation[i] + 1;
        int64_t total =
            (places->shape[2 + i] - 1) * sliding->stride[i] + reach - over->shape[2 + i];
        int64_t before = sliding->padding_begin[i];
        if (sliding->auto_pad == NNF_AUTO_PAD_VALID) {
            before = 0;
        } else if (sliding->auto_pad != NNF_AUTO_PAD_NOTSET) {
            if (total < 0) total = 0;
            before = sliding->auto_pad == NNF_AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        }
        window->kernel[i] = sliding->kernel[i];
        window->strides[i] = sliding->stride[i];
        window->dilates[i] = sliding->dilation[i] - 1;
        window->padding_l[i] = before;
        window->padding_r[i] = total - before;
    }
}

/* ---- The step ---- */

void nnfi_job_drop_reference(nnfi_job *job) {
    if (!job->pd || !nnfi_pd_is_reference(job->pd)) return;
    dnnl_primitive_desc_destroy(job->pd);
    job->pd = NULL;
}

nnf_status nnfi_job_start(nnfi_job *job) {
    return nnfi_primitive_step_new(&job->step, job->engine, job->pd);
}

nnfi_const_md nnfi_job_md(const nnfi_job *job, dnnl_query_t what) {
    return nnfi_pd_md(job->pd, what, 0);
}

nnf_status nnfi_job_input_as(nnfi_job *job, int arg, size_t i, nnfi_const_md md,
                             nnfi_const_md seen) {
    NNFI_TRY(nnfi_operand_set_md(job->engine, job->inputs[i], md));
    return nnfi_primitive_step_arg(job->step, arg, seen, NNFI_ARG_INPUT, i);
}

nnf_status nnfi_job_input(nnfi_job *job, int arg, size_t i, nnfi_const_md md) {
    return nnfi_job_input_as(job, arg, i, md, md);
}

nnf_status nnfi_job_output_as(nnfi_job *job, nnfi_const_md md, nnfi_const_md seen) {
    NNFI_TRY(nnfi_operand_set_md(job->engine, job->output, md));
    if (job->finish)
        nnfi_primitive_step_finish(job->step, job->finish, nnfi_md_bytes(md) / sizeof(float));
    return nnfi_primitive_step_arg(job->step, DNNL_ARG_DST, seen, NNFI_ARG_OUTPUT, 0);
}

nnf_status nnfi_job_output(nnfi_job *job, nnfi_const_md md) {
    return nnfi_job_output_as(job, md, md);
}

static nnf_status pack_late(nnfi_job *job, int arg, nnf_tensor *tensor, nnfi_const_md from,
                            nnfi_const_md to) {
    nnfi_packing *packing;
    NNFI_TRY(nnfi_packing_new(&packing, job->engine, tensor, from, to));
    nnf_status status = nnfi_primitive_step_packing(job->step, arg, to, packing);
    if (status) nnfi_packing_release(packing);
    return status;
}

nnf_status nnfi_job_constant(nnfi_job *job, int arg, nnf_tensor *tensor, nnfi_const_md from,
                             nnfi_const_md to) {
    if (job->engine->packs_late && !nnfi_md_equal(from, to))
        return pack_late(job, arg, tensor, from, to);
    nnfi_packed *packed;
    NNFI_TRY(nnfi_packed_get(&packed, job->engine, tensor, from, to));
    nnf_status status = nnfi_primitive_step_constant(job->step, arg, to, packed);
    if (status) nnfi_packed_release(packed);
    return status;
}

void nnfi_job_inplace(nnfi_job *job, size_t i) {
    nnfi_primitive_step_base(job->step)->inplace = (int)i;
}

nnfi_step *nnfi_job_take_step(nnfi_job *job) {
    nnfi_step *step = job->step ? nnfi_primitive_step_base(job->step) : job->own;
    job->step = NULL;
    job->own = NULL;
    return step;
}
