/* Linear and MatMul, by inner product and matmul. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

static int64_t rows_of(const nnfi_operand *operand) {
    int64_t rows = 1;
    for (int i = 0; i + 1 < operand->ndim; i++)
        rows *= operand->shape[i];
    return rows;
}

/* [..., features] seen as [rows, features]. */
static nnf_status rows_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand) {
    int64_t shape[2] = {rows_of(operand), operand->shape[operand->ndim - 1]};
    return nnfi_job_plain_md(job, out, 2, shape);
}

static bool is_f32(const nnf_tensor *tensor) {
    return nnf_tensor_dtype(tensor) == NNF_F32;
}

/* A matrix that a layer holds, [out, in] or transposed, and its bias or NULL. */
typedef struct held_product {
    nnf_tensor *weight, *bias;
    int64_t in, out;
    bool transposed;
} held_product;

/* As an inner product. Each weight of one row's product is read once: as they stand is as fast, and
 * takes no memory. */
static nnf_status pd_of_vectors(nnfi_job *job, const held_product *held, nnfi_md src, nnfi_md dst,
                                nnfi_md *weights, nnfi_md *bias) {
    const dnnl_dims_t dims = {held->out, held->in};
    const dnnl_dims_t rows = {held->in, 1}, columns = {1, held->out};
    nnfi_md wanted;
    NNFI_TRY(nnfi_job_strided_md(job, weights, 2, dims, held->transposed ? columns : rows));
    wanted = *weights;
    if (rows_of(job->inputs[0]) > 1) NNFI_TRY(nnfi_job_strided_md(job, &wanted, 2, dims, NULL));
    if (held->bias) NNFI_TRY(nnfi_job_plain_md(job, bias, 1, &held->out));
    nnfi_pd_inner_product(&job->pd, job->engine->engine, job->attr, src, wanted, *bias, dst);
    return NNF_OK;
}

/* As a matmul, which oneDNN shares out among threads better than an inner product: up to 1.3 times
 * as fast for a few hundred rows, measured. */
static nnf_status pd_of_matrices(nnfi_job *job, const held_product *held, nnfi_md src, nnfi_md dst,
                                 nnfi_md *weights, nnfi_md *bias) {
    const dnnl_dims_t dims = {held->in, held->out};
    const dnnl_dims_t rows = {held->out, 1}, columns = {1, held->in};
    const int64_t bias_shape[2] = {1, held->out};
    nnfi_md any;
    NNFI_TRY(nnfi_job_strided_md(job, weights, 2, dims, held->transposed ? rows : columns));
    NNFI_TRY(nnfi_job_strided_md(job, &any, 2, dims, NULL));
    if (held->bias) NNFI_TRY(nnfi_job_plain_md(job, bias, 2, bias_shape));
    nnfi_pd_matmul(&job->pd, job->engine->engine, job->attr, src, any, *bias, dst);
    nnfi_job_drop_reference(job);
    return NNF_OK;
}

static nnf_status product_with_held(nnfi_job *job, const held_product *held) {
    nnfi_md src, dst, weights, bias = NULL;
    bool supported;
    NNFI_TRY(rows_md(job, &src, job->inputs[0]));
    NNFI_TRY(rows_md(job, &dst, job->output));
    NNFI_TRY(nnfi_job_attr(job, &supported, job->fused));
    if (!supported || nnfi_has_residual(job->fused)) return NNF_OK;
    if (rows_of(job->inputs[0]) > 1) NNFI_TRY(pd_of_matrices(job, held, src, dst, &weights, &bias));
    if (!job->pd) NNFI_TRY(pd_of_vectors(job, held, src, dst, &weights, &bias));
    if (!job->pd) return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, src));
    NNFI_TRY(nnfi_job_output(job, dst));
    NNFI_TRY(nnfi_job_constant(job, DNNL_ARG_WEIGHTS, held->weight, weights,
                               nnfi_job_md(job, dnnl_query_weights_md)));
    return held->bias ? nnfi_job_constant(job, DNNL_ARG_BIAS, held->bias, bias, bias) : NNF_OK;
}

nnf_status nnfi_onednn_linear(nnfi_job *job) {
    const nnf_linear_options *options = nnf_module_options(job->module);
    const held_product held = {.weight = nnf_module_tensor(job->module, "weight"),
                               .bias = nnf_module_tensor(job->module, "bias"),
                               .in = options->in_features,
                               .out = options->out_features,
                               .transposed = options->weight_transposed};
    if (!held.weight || !is_f32(held.weight) || job->n_inputs > 3 ||
        (job->n_inputs == 3 && job->inputs[2] && !held.bias) ||
        (held.bias && (!is_f32(held.bias) || nnf_tensor_numel(held.bias) != held.out)))
        return NNF_OK;
    return product_with_held(job, &held);
}

/* A row-major operand with ones in front, as matmul wants ranks equal. */
static nnf_status padded_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand, int ndim) {
    int64_t shape[NNF_MAX_DIMS];
    int ones = ndim - operand->ndim;
    for (int i = 0; i < ndim; i++)
        shape[i] = i < ones ? 1 : operand->shape[i - ones];
    return nnfi_job_plain_md(job, out, ndim, shape);
}

/* A factor with the strides that it has: a Transpose's, or those of channels that are last. */
static nnf_status factor_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand, int ndim) {
    if (operand->ndim == ndim && operand->layout && nnfi_md_is_strided(operand->layout->md))
        return nnfi_job_operand_md(job, out, operand);
    return padded_md(job, out, operand, ndim);
}

/* A product that a Transpose alone reads, which leaves the last axis where it is: so that what the
 * Transpose gives is row-major. */
static nnf_status product_md(nnfi_job *job, nnfi_md *out) {
    const nnfi_operand *y = job->output;
    int perm[NNF_MAX_DIMS], last = y->ndim - 1;
    dnnl_dims_t dims, strides;
    int64_t stride = 1;
    if (!y->reader || !nnfi_is_a(y->reader, "Transpose") ||
        !nnfi_permutation(y->reader, y->ndim, perm) || perm[last] != last)
        return padded_md(job, out, y, y->ndim);
    for (int i = last; i >= 0; i--) {
        dims[perm[i]] = y->shape[perm[i]];
        strides[perm[i]] = stride;
        stride *= y->shape[perm[i]];
    }
    return nnfi_job_strided_md(job, out, y->ndim, dims, strides);
}

/* The factors and the product. */
typedef struct product_mds {
    nnfi_md a, b, y;
} product_mds;

/* By the strides that there are, where oneDNN has a kernel for them; else all row-major. What is
 * multiplied by one matrix is one matrix, whatever its axes: oneDNN takes them for many products,
 * each of a row perhaps. */
static nnf_status make_product(nnfi_job *job, product_mds *mds, const nnfi_operand *b) {
    const nnfi_operand *a = job->inputs[0], *y = job->output;
    dnnl_engine_t engine = job->engine->engine;
    bool one = b->ndim == 2 && y->ndim > 2;
    NNFI_TRY(one ? rows_md(job, &mds->a, a) : factor_md(job, &mds->a, a, y->ndim));
    NNFI_TRY(factor_md(job, &mds->b, b, one ? 2 : y->ndim));
    NNFI_TRY(one ? rows_md(job, &mds->y, y) : product_md(job, &mds->y));
    nnfi_pd_matmul(&job->pd, engine, job->attr, mds->a, mds->b, NULL, mds->y);
    nnfi_job_drop_reference(job);
    if (job->pd) return NNF_OK;
    NNFI_TRY(padded_md(job, &mds->a, a, y->ndim));
    NNFI_TRY(padded_md(job, &mds->b, b, y->ndim));
    NNFI_TRY(padded_md(job, &mds->y, y, y->ndim));
    nnfi_pd_matmul(&job->pd, engine, job->attr, mds->a, mds->b, NULL, mds->y);
    return NNF_OK;
}

nnf_status nnfi_onednn_matmul(nnfi_job *job) {
    const nnfi_operand *a = job->inputs[0];
    nnf_tensor *weight = nnf_module_tensor(job->module, "weight");
    nnfi_operand constant = {0};
    const nnfi_operand *b = job->n_inputs > 1 ? job->inputs[1] : NULL;
    product_mds mds;
    bool supported;
    if (weight) {
        constant.dtype = nnf_tensor_dtype(weight);
        constant.ndim = nnf_tensor_ndim(weight);
        memcpy(constant.shape, nnf_tensor_shape(weight), sizeof(int64_t) * (size_t)constant.ndim);
        b = &constant;
    }
    if (!b || b->dtype != NNF_F32 || a->ndim < 2 || b->ndim < 2 || job->fused) return NNF_OK;
    if (weight && b->ndim == 2 && is_f32(weight))
        return product_with_held(
            job, &(held_product){
                     .weight = weight, .in = b->shape[0], .out = b->shape[1], .transposed = true});
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    NNFI_TRY(make_product(job, &mds, b));
    if (!job->pd) return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, mds.a));
    NNFI_TRY(nnfi_job_output(job, mds.y));
    if (weight) return nnfi_job_constant(job, DNNL_ARG_WEIGHTS, weight, mds.b, mds.b);
    return nnfi_job_input(job, DNNL_ARG_WEIGHTS, 1, mds.b);
}
