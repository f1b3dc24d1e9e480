/* Linear as inner product, MatMul as matmul. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

typedef struct linear_mds {
    nnfi_md src, weights, plain_weights, bias, dst;
} linear_mds;

static void linear_mds_release(linear_mds *mds) {
    nnfi_md_release(mds->src);
    nnfi_md_release(mds->weights);
    nnfi_md_release(mds->plain_weights);
    nnfi_md_release(mds->bias);
    nnfi_md_release(mds->dst);
}

/* [..., features] seen as [rows, features]. */
static nnf_status rows_md(nnfi_md *out, const nnfi_operand *operand) {
    int64_t shape[2] = {1, operand->shape[operand->ndim - 1]};
    for (int i = 0; i + 1 < operand->ndim; i++)
        shape[0] *= operand->shape[i];
    return nnfi_plain_md(out, 2, shape);
}

static nnf_status make_mds(linear_mds *mds, const nnfi_request *request,
                           const nnf_linear_options *options, bool bias) {
    const dnnl_dims_t dims = {options->out_features, options->in_features};
    const dnnl_dims_t rows = {options->in_features, 1}, columns = {1, options->out_features};
    NNFI_TRY(rows_md(&mds->src, request->inputs[0]));
    NNFI_TRY(rows_md(&mds->dst, &request->outputs[0]));
    NNFI_DNNL(
        nnfi_md_new(&mds->plain_weights, 2, dims, options->weight_transposed ? columns : rows));
    NNFI_DNNL(nnfi_md_new(&mds->weights, 2, dims, NULL));
    if (bias) NNFI_TRY(nnfi_plain_md(&mds->bias, 1, &options->out_features));
    return NNF_OK;
}

static nnf_status linear_step(const nnfi_request *request, const linear_mds *mds,
                              const nnf_tensor *weight, const nnf_tensor *bias,
                              nnfi_primitive_step *made) {
    nnfi_const_md packed = nnfi_pd_md(nnfi_primitive_step_pd(made), dnnl_query_weights_md, 0);
    request->inputs[0]->layout = NULL;
    request->outputs[0].layout = NULL;
    request->outputs[0].bytes = nnfi_md_bytes(mds->dst);
    NNFI_TRY(nnfi_primitive_step_arg(made, DNNL_ARG_SRC, mds->src, NNFI_ARG_INPUT, 0, NULL));
    NNFI_TRY(nnfi_primitive_step_arg(made, DNNL_ARG_DST, mds->dst, NNFI_ARG_OUTPUT, 0, NULL));
    NNFI_TRY(
        nnfi_primitive_step_constant(made, DNNL_ARG_WEIGHTS, weight, mds->plain_weights, packed));
    if (bias)
        NNFI_TRY(nnfi_primitive_step_constant(made, DNNL_ARG_BIAS, bias, mds->bias, mds->bias));
    return NNF_OK;
}

nnf_status nnfi_onednn_linear(const nnfi_request *request, nnfi_step **step) {
    const nnf_linear_options *options = nnf_module_options(request->module);
    const nnf_tensor *weight = nnf_module_tensor(request->module, "weight");
    const nnf_tensor *bias = nnf_module_tensor(request->module, "bias");
    if (!weight || nnf_tensor_dtype(weight) != NNF_F32 || !nnf_tensor_is_contiguous(weight) ||
        request->n_inputs > 3 || (request->n_inputs == 3 && request->inputs[2] && !bias) ||
        (bias &&
         (nnf_tensor_dtype(bias) != NNF_F32 || nnf_tensor_numel(bias) != options->out_features)))
        return NNF_OK;
    linear_mds mds = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = make_mds(&mds, request, options, bias != NULL);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, request->fused);
    if (!status && supported &&
        nnfi_pd_inner_product(&pd, request->engine->engine, attr, mds.src, mds.weights, mds.bias,
                              mds.dst) == dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        if (!status) status = linear_step(request, &mds, weight, bias, made);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    linear_mds_release(&mds);
    return status;
}

/* A row-major operand with ones in front, as matmul wants ranks equal. */
static nnf_status padded_md(nnfi_md *out, const nnfi_operand *operand, int ndim) {
    int64_t shape[NNF_MAX_DIMS];
    int ones = ndim - operand->ndim;
    for (int i = 0; i < ndim; i++)
        shape[i] = i < ones ? 1 : operand->shape[i - ones];
    return nnfi_plain_md(out, ndim, shape);
}

nnf_status nnfi_onednn_matmul(const nnfi_request *request, nnfi_step **step) {
    nnfi_operand *a = request->inputs[0], *y = &request->outputs[0];
    const nnf_tensor *weight = nnf_module_tensor(request->module, "weight");
    nnfi_operand constant = {0};
    nnfi_operand *b = request->n_inputs > 1 ? request->inputs[1] : NULL;
    if (weight) {
        constant.dtype = nnf_tensor_dtype(weight);
        constant.ndim = nnf_tensor_ndim(weight);
        memcpy(constant.shape, nnf_tensor_shape(weight), sizeof(int64_t) * (size_t)constant.ndim);
        b = &constant;
    }
    if (!b || b->dtype != NNF_F32 || a->ndim < 2 || b->ndim < 2 || request->fused) return NNF_OK;
    nnfi_md mds[3] = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = padded_md(&mds[0], a, y->ndim);
    if (!status) status = padded_md(&mds[1], b, y->ndim);
    if (!status) status = padded_md(&mds[2], y, y->ndim);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, NULL);
    if (!status && nnfi_pd_matmul(&pd, request->engine->engine, attr, mds[0], mds[1], NULL,
                                  mds[2]) == dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_SRC, mds[0], NNFI_ARG_INPUT, 0, NULL);
        if (!status && weight)
            status = nnfi_primitive_step_constant(made, DNNL_ARG_WEIGHTS, weight, mds[1], mds[1]);
        else if (!status)
            status =
                nnfi_primitive_step_arg(made, DNNL_ARG_WEIGHTS, mds[1], NNFI_ARG_INPUT, 1, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, mds[2], NNFI_ARG_OUTPUT, 0, NULL);
        a->layout = NULL;
        b->layout = NULL;
        y->layout = NULL;
        y->bytes = nnfi_md_bytes(mds[2]);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i < 3; i++)
        nnfi_md_release(mds[i]);
    return status;
}
