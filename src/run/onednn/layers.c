/* Elementwise layers with two inputs, Softmax, BatchNorm in eval mode, Concat. */
#include "run/onednn/onednn_internal.h"

#include <math.h>
#include <string.h>

#include "support/memory.h"

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
    if (!supported || nnfi_pd_binary(&job->pd, job->engine->engine, job->attr, algorithm, first,
                                     second, first) != dnnl_success)
        return NNF_OK;
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
    return binary_step(job, big, algorithms[options->kind]);
}

/* ---- Softmax ---- */

nnf_status nnfi_onednn_softmax(nnfi_job *job) {
    const nnf_softmax_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0];
    int64_t axis = options->axis < 0 ? options->axis + x->ndim : options->axis;
    bool supported;
    nnfi_md md;
    if (job->fused || (options->flatten_from_axis && axis != x->ndim - 1)) return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &md, x));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_softmax(&job->pd, job->engine->engine, job->attr, md, (int)axis) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, md));
    return nnfi_job_output(job, md);
}

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

nnf_status nnfi_onednn_batchnorm(nnfi_job *job) {
    const nnf_batchnorm_options *options = nnf_module_options(job->module);
    const nnf_module *module = job->module, *fused = job->fused;
    nnfi_operand *x = job->inputs[0];
    bool has_all = nnf_module_tensor(module, "running_mean") &&
                   nnf_module_tensor(module, "running_var") &&
                   (!options->affine || nnf_module_tensor(module, "weight"));
    bool relu = fused && nnf_module_n_children(fused) == 2 &&
                !strcmp(nnf_module_type_name(nnf_module_child(fused, 1)), "ReLU");
    bool supported;
    nnfi_md md;
    if (nnf_module_training(module) || options->training_mode || !has_all || x->ndim < 2 ||
        (fused && !relu))
        return NNF_OK;
    NNFI_TRY(nnfi_job_operand_md(job, &md, x));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_batchnorm(&job->pd, job->engine->engine, job->attr, md, (float)options->eps,
                          relu) != dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, md));
    NNFI_TRY(nnfi_job_output(job, md));
    NNFI_TRY(norm_constants(job, x->shape[1]));
    if (x->dies) nnfi_job_inplace(job, 0);
    return NNF_OK;
}

/* ---- Concat ---- */

nnf_status nnfi_onednn_concat(nnfi_job *job) {
    enum { MOST = 64 };
    const nnf_axis_options *options = nnf_module_options(job->module);
    int axis = (int)(options->axis < 0 ? options->axis + job->output->ndim : options->axis);
    int n = (int)job->n_inputs;
    nnfi_md sources[MOST], dst;
    nnfi_const_md given[MOST];
    bool supported;
    if (job->fused || n > MOST) return NNF_OK;
    for (int i = 0; i < n; i++)
        if (!job->inputs[i] || job->inputs[i]->dtype != NNF_F32 || job->inputs[i]->shape[axis] == 0)
            return NNF_OK;
    bool ordered = job->engine->order != NNFI_ORDER_ANY && job->output->ndim > 2;
    for (int i = 0; i < n; i++) {
        NNFI_TRY(ordered ? nnfi_job_ordered_md(job, &sources[i], job->inputs[i])
                         : nnfi_job_operand_md(job, &sources[i], job->inputs[i]));
        given[i] = sources[i];
    }
    NNFI_TRY(nnfi_job_ordered_md(job, &dst, job->output));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_concat(&job->pd, job->engine->engine, job->attr, n, axis, given, dst) !=
        dnnl_success)
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    for (int i = 0; i < n; i++)
        NNFI_TRY(nnfi_job_input(job, DNNL_ARG_MULTIPLE_SRC + i, (size_t)i, given[i]));
    return nnfi_job_output(job, nnfi_job_md(job, dnnl_query_dst_md));
}
