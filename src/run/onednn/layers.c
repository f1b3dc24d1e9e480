/* Elementwise layers with two inputs, Softmax, and what takes any number: Concat and Sum. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

/* ---- Add, Sub, Mul, Div ---- */

static bool equal_shapes(const nnfi_operand *a, const nnfi_operand *b) {
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

static nnf_status binary_step(nnfi_job *job, size_t big, dnnl_alg_kind_t algorithm) {
    nnfi_operand *a = job->inputs[big], *b = job->inputs[1 - big];
    nnfi_md first, second;
    bool supported;
    if (equal_shapes(a, b)) b->layout = a->layout;
    NNFI_TRY(nnfi_job_operand_md(job, &first, a));
    NNFI_TRY(nnfi_job_operand_md(job, &second, b));
    NNFI_TRY(nnfi_job_attr(job, &supported, job->fused));
    if (!supported) return NNF_OK;
    nnfi_pd_binary(&job->pd, job->engine->engine, job->attr, algorithm, first, second, first);
    /* where it repeats along the last axis: the forward is many times as fast */
    nnfi_job_drop_reference(job);
    if (!job->pd) return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC_0, big, first));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC_1, 1 - big, second));
    NNFI_TRY(nnfi_job_output(job, first));
    /* oneDNN 2.6 gives wrong numbers in place where blocks of channels are padded and the second
     * operand repeats along them. */
    if (a->dies && (equal_shapes(a, b) || nnfi_md_is_strided(first))) nnfi_job_inplace(job, big);
    return NNF_OK;
}

nnf_status nnfi_onednn_binary(nnfi_job *job) {
    static const dnnl_alg_kind_t algorithms[] = {[NNF_ADD] = dnnl_binary_add,
                                                 [NNF_SUB] = dnnl_binary_sub,
                                                 [NNF_MUL] = dnnl_binary_mul,
                                                 [NNF_DIV] = dnnl_binary_div};
    const nnf_binary_options *options = nnf_module_options(job->module);
    const nnfi_operand *y = job->output;
    if (options->kind > NNF_DIV || job->n_inputs != 2 || !job->inputs[1] ||
        job->inputs[1]->dtype != NNF_F32)
        return NNF_OK;
    bool commutes = options->kind == NNF_ADD || options->kind == NNF_MUL;
    /* the first operand has the output's shape, the second may repeat along some axes */
    size_t big = equal_shapes(job->inputs[0], y) ? 0 : 1;
    if (big == 1 && (!commutes || !equal_shapes(job->inputs[1], y))) return NNF_OK;
    if (job->inputs[1 - big]->ndim != y->ndim) return NNF_OK;
    if (options->kind == NNF_MUL && !job->fused) NNFI_TRY(nnfi_channels_scale(job, big));
    if (job->own) return NNF_OK;
    return binary_step(job, big, algorithms[options->kind]);
}

/* ---- Softmax ---- */

nnf_status nnfi_onednn_softmax(nnfi_job *job) {
    const nnf_softmax_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0];
    int64_t axis = options->axis < 0 ? options->axis + x->ndim : options->axis;
    bool log = !strcmp(nnf_module_type_name(job->module), "LogSoftmax"), supported;
    nnfi_md md;
    if (job->fused || (options->flatten_from_axis && axis != x->ndim - 1)) return NNF_OK;
    if (log && x->shape[axis] == 1) return NNF_OK; /* 0, which oneDNN misses by a millionth */
    NNFI_TRY(nnfi_job_operand_md(job, &md, x));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_softmax(&job->pd, job->engine->engine, job->attr, log, md, (int)axis) !=
        dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, md));
    return nnfi_job_output(job, md);
}

/* ---- Concat ---- */

/* The step of a primitive with any number of sources. */
static nnf_status sources_and_result(nnfi_job *job, const nnfi_const_md *sources) {
    NNFI_TRY(nnfi_job_start(job));
    for (size_t i = 0; i < job->n_inputs; i++)
        NNFI_TRY(nnfi_job_input(job, DNNL_ARG_MULTIPLE_SRC + (int)i, i, sources[i]));
    return nnfi_job_output(job, nnfi_job_md(job, dnnl_query_dst_md));
}

static bool all_plain(const nnfi_job *job) {
    for (size_t i = 0; i < job->n_inputs; i++)
        if (job->inputs[i]->layout) return false;
    return true;
}

nnf_status nnfi_onednn_concat(nnfi_job *job) {
    const nnf_axis_options *options = nnf_module_options(job->module);
    int axis = (int)(options->axis < 0 ? options->axis + job->output->ndim : options->axis);
    int n = (int)job->n_inputs;
    nnfi_md sources[NNFI_MOST_SOURCES], dst;
    nnfi_const_md given[NNFI_MOST_SOURCES];
    bool supported;
    if (job->fused || n > NNFI_MOST_SOURCES) return NNF_OK;
    for (int i = 0; i < n; i++)
        if (!job->inputs[i] || job->inputs[i]->dtype != NNF_F32 || job->inputs[i]->shape[axis] == 0)
            return NNF_OK;
    /* Where all are plain they stay so: a transformer's values have no channels. */
    bool plain = all_plain(job);
    bool ordered = job->engine->order != NNFI_ORDER_ANY && job->output->ndim > 2 && !plain;
    for (int i = 0; i < n; i++) {
        NNFI_TRY(ordered ? nnfi_job_ordered_md(job, &sources[i], job->inputs[i])
                         : nnfi_job_operand_md(job, &sources[i], job->inputs[i]));
        given[i] = sources[i];
    }
    NNFI_TRY(plain ? nnfi_job_plain_md(job, &dst, job->output->ndim, job->output->shape)
                   : nnfi_job_ordered_md(job, &dst, job->output));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_concat(&job->pd, job->engine->engine, job->attr, n, axis, given, dst) !=
        dnnl_success)
        return NNF_OK;
    return sources_and_result(job, given);
}

/* ---- Sum ---- */

/* Of values of one shape: nothing is broadcast. */
nnf_status nnfi_onednn_sum(nnfi_job *job) {
    int n = (int)job->n_inputs;
    nnfi_md md;
    nnfi_const_md given[NNFI_MOST_SOURCES];
    bool supported;
    if (job->fused || n > NNFI_MOST_SOURCES) return NNF_OK;
    for (int i = 0; i < n; i++)
        if (!job->inputs[i] || job->inputs[i]->dtype != NNF_F32 ||
            !equal_shapes(job->inputs[i], job->output))
            return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &md, job->inputs[0]));
    for (int i = 0; i < n; i++)
        given[i] = md;
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_sum(&job->pd, job->engine->engine, job->attr, n, given, md) != dnnl_success)
        return NNF_OK;
    return sources_and_result(job, given);
}
