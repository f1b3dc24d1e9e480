/* Reductions of neighbouring axes; over all of space they are pooling, which takes any layout. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

/* Not the largest and smallest: oneDNN begins with the largest finite number, which is not neutral
 * to infinities. */
static const struct reduction {
    const char *type;
    dnnl_alg_kind_t algorithm, pooling;
    float p;
} reductions[] = {
    {"ReduceMean", dnnl_reduction_mean, dnnl_pooling_avg_exclude_padding, 0},
    {"ReduceSum", dnnl_reduction_sum, dnnl_alg_kind_undef, 0},
    {"ReduceL1", dnnl_reduction_norm_lp_power_p_sum, dnnl_alg_kind_undef, 1},
    {"ReduceL2", dnnl_reduction_norm_lp_sum, dnnl_alg_kind_undef, 2},
    {"ReduceSumSquare", dnnl_reduction_norm_lp_power_p_sum, dnnl_alg_kind_undef, 2},
};

/* Axes first to end - 1. */
typedef struct run {
    int first, end;
} run;

/* Where y has 1 for x's elements. */
static bool find_kept(run *out, const nnfi_operand *x, const nnfi_operand *y) {
    int i = 0;
    while (i < x->ndim && x->shape[i] == y->shape[i])
        i++;
    out->first = i;
    while (i < x->ndim && (x->shape[i] != y->shape[i] || x->shape[i] == 1))
        i++;
    out->end = i;
    while (i < x->ndim && x->shape[i] == y->shape[i])
        i++;
    return i == x->ndim && out->first < out->end;
}

/* In how many ways y is x without some of its axes. */
static int count_ways(const nnfi_operand *x, const nnfi_operand *y) {
    int ways[NNF_MAX_DIMS + 1] = {1}; /* [j]: to have the first j axes of y */
    for (int i = 0; i < x->ndim; i++)
        for (int j = y->ndim; j > 0; j--)
            if (y->shape[j - 1] == x->shape[i]) ways[j] += ways[j - 1];
    return ways[y->ndim];
}

/* The one place in x where y lacks axes; false where it might be others. */
static bool find_dropped(run *out, const nnfi_operand *x, const nnfi_operand *y) {
    int n = x->ndim - y->ndim;
    for (int first = 0; n > 0 && first <= y->ndim; first++) {
        bool fits = true;
        for (int i = 0; i < y->ndim; i++)
            fits = fits && y->shape[i] == x->shape[i < first ? i : i + n];
        *out = (run){first, first + n};
        if (fits) return count_ways(x, y) == 1;
    }
    return false;
}

/* Sums in single precision of more elements than this may be off by more than 1e-5. */
enum { MOST_ELEMENTS = 65536 };

static nnf_status reduction_step(nnfi_job *job, const struct reduction *row, run r) {
    const nnfi_operand *x = job->inputs[0];
    int64_t shape[NNF_MAX_DIMS], n = 1;
    nnfi_md src, dst;
    bool supported;
    for (int i = 0; i < x->ndim; i++) {
        bool reduced = i >= r.first && i < r.end;
        shape[i] = reduced ? 1 : x->shape[i];
        if (reduced) n *= x->shape[i];
    }
    if (n > MOST_ELEMENTS) return NNF_OK;
    NNFI_TRY(nnfi_job_plain_md(job, &src, x->ndim, x->shape));
    NNFI_TRY(nnfi_job_plain_md(job, &dst, x->ndim, shape));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    if (nnfi_pd_reduction(&job->pd, job->engine->engine, job->attr, row->algorithm, src, dst,
                          row->p) != dnnl_success ||
        nnfi_pd_is_reference(job->pd))
        return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, src));
    return nnfi_job_output(job, dst);
}

nnf_status nnfi_onednn_reduce(nnfi_job *job) {
    const nnf_axes_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0];
    const struct reduction *row = reductions;
    run r = {0, 0};
    while (strcmp(row->type, nnf_module_type_name(job->module)))
        row++;
    /* the axes may be the elements of an input, which are not known here; the shapes tell them */
    if (job->fused || !(options->keepdims ? find_kept : find_dropped)(&r, x, job->output))
        return NNF_OK;
    if (r.first == 2 && r.end == x->ndim && row->pooling != dnnl_alg_kind_undef)
        return nnfi_onednn_pool_all(job, row->pooling);
    return reduction_step(job, row, r);
}
