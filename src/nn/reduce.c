/* ReduceMean over any axes. */
#include <math.h>

#include "nn/nn_internal.h"

/* Which axes are reduced. Axes are an option, or input 1 (opset 18); none means all of them, or
 * nothing where noop_with_empty_axes says so. */
static nnf_status reduced_axes(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, bool *reduced, bool *known) {
    const nnf_axes_options *options = nnf_module_options(module);
    const nnf_type_info *given = nnfi_input(inputs, n_inputs, 1);
    int ndim = inputs[0]->ndim, axes[NNF_MAX_KNOWN_VALUES];
    nnfi_ints list;
    if (given)
        NNFI_TRY(nnfi_ints_of_info(&list, module, "its axes", given));
    else
        nnfi_ints_of_option(&list, options->axes, options->n_axes);
    NNFI_TRY(nnfi_ints_axes(&list, module, ndim, axes, known));
    for (int i = 0; i < ndim; i++)
        reduced[i] = list.n == 0 && !options->noop_with_empty_axes;
    for (int i = 0; *known && i < list.n; i++)
        reduced[axes[i]] = true;
    return NNF_OK;
}

static nnf_status infer_reduce(const nnf_module *module, const nnf_type_info *const *inputs,
                               size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const nnf_axes_options *options = nnf_module_options(module);
    NNFI_TRY(nnfi_check_arity(module, inputs, n_inputs, 1, 2, n_outputs, 1));
    const nnf_type_info *x = inputs[0];
    NNFI_TRY(nnfi_check_float(module, x));
    outputs[0].dtype = x->dtype;
    if (x->ndim < 0) return NNF_OK;
    bool reduced[NNF_MAX_DIMS], known;
    nnf_dim shape[NNF_MAX_DIMS];
    int ndim = 0;
    NNFI_TRY(reduced_axes(module, inputs, n_inputs, reduced, &known));
    if (!known && !options->keepdims) return NNF_OK;
    for (int i = 0; i < x->ndim; i++) {
        if (!known || !reduced[i])
            shape[ndim++] = known ? x->shape[i] : nnfi_unknown_dim();
        else if (options->keepdims)
            shape[ndim++] = nnfi_dim(1);
    }
    nnfi_info_set_shape(&outputs[0], ndim, shape);
    return NNF_OK;
}

/* A loop over some axes of a tensor: each step moves an offset. */
typedef struct walk {
    int ndim;
    int64_t shape[NNF_MAX_DIMS], strides[NNF_MAX_DIMS], at[NNF_MAX_DIMS];
    int64_t count, offset;
} walk;

static void walk_add(walk *w, int64_t n, int64_t stride) {
    w->shape[w->ndim] = n;
    w->strides[w->ndim++] = stride;
    w->count *= n;
}

static void walk_next(walk *w) {
    for (int i = w->ndim - 1; i >= 0; i--) {
        w->offset += w->strides[i];
        if (++w->at[i] < w->shape[i]) return;
        w->offset -= w->shape[i] * w->strides[i];
        w->at[i] = 0;
    }
}

/* Adds `rows` runs of elements, which begin where `reduced` walks, to the sums of `n` neighbours
 * (the innermost axis stays), or each run of `n` to one sum (it is reduced). Sums are double. */
enum { LANES = 256 };
#define SUMS(name, type)                                                                 \
    static void name##_lanes(double *sums, const void *data, walk *reduced, int64_t n) { \
        const type *x = (const type *)data;                                              \
        for (int64_t r = 0; r < reduced->count; r++, walk_next(reduced))                 \
            for (int64_t i = 0; i < n; i++)                                              \
                sums[i] += (double)x[reduced->offset + i];                               \
    }                                                                                    \
    static void name##_run(double *sums, const void *data, walk *reduced, int64_t n) {   \
        const type *x = (const type *)data;                                              \
        for (int64_t r = 0; r < reduced->count; r++, walk_next(reduced))                 \
            for (int64_t i = 0; i < n; i++)                                              \
                sums[0] += (double)x[reduced->offset + i];                               \
    }
SUMS(sum_f32, float)
SUMS(sum_f64, double)
typedef void (*sum_function)(double *sums, const void *data, walk *reduced, int64_t n);

/* What a mean comes down to: `kept` walks over the outputs but for a run of `lanes` neighbours. */
typedef struct mean_plan {
    walk kept, reduced;
    int64_t lanes, run; /* one of them is the innermost axis, the other is 1 */
    nnf_dtype dtype;
    sum_function sum;
} mean_plan;

static void plan_mean(mean_plan *plan, int ndim, const int64_t *shape, const bool *reduced) {
    int64_t strides[NNF_MAX_DIMS];
    nnfi_contiguous_strides(strides, ndim, shape);
    plan->kept = plan->reduced = (walk){.count = 1};
    plan->lanes = plan->run = 1;
    int last = ndim - 1;
    while (last >= 0 && shape[last] == 1)
        last--;
    bool run = last < 0 || reduced[last];
    for (; last >= 0 && reduced[last] == run; last--)
        *(run ? &plan->run : &plan->lanes) *= shape[last];
    for (int i = 0; i <= last; i++)
        walk_add(reduced[i] ? &plan->reduced : &plan->kept, shape[i], strides[i]);
    bool wide = plan->dtype == NNF_F64;
    plan->sum = run ? (wide ? sum_f64_run : sum_f32_run) : (wide ? sum_f64_lanes : sum_f32_lanes);
}

static void run_mean(mean_plan *plan, const char *x, void *y) {
    int64_t size = (int64_t)nnf_dtype_size(plan->dtype), out = 0;
    double count = (double)(plan->reduced.count * plan->run);
    for (int64_t k = 0; k < plan->kept.count; k++, walk_next(&plan->kept))
        for (int64_t first = 0; first < plan->lanes; first += LANES) {
            double sums[LANES] = {0};
            int64_t lanes = plan->lanes - first < LANES ? plan->lanes - first : LANES;
            const char *from = x + (plan->kept.offset + first) * size;
            plan->sum(sums, from, &plan->reduced, lanes * plan->run);
            for (int64_t i = 0; i < lanes; i++)
                nnfi_store_f64(plan->dtype, y, out++, sums[i] / count);
        }
}

/* 0 / 0, as PyTorch gives it. */
static nnf_status mean_of_nothing(nnf_tensor *y) {
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(y, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(y); i++)
        nnfi_store_f64(nnf_tensor_dtype(y), data, i, NAN);
    return NNF_OK;
}

static nnf_status forward_mean(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)n_outputs;
    nnfi_infos infos;
    bool reduced[NNF_MAX_DIMS], known;
    NNFI_TRY(nnfi_infos_of_tensors(&infos, inputs, n_inputs));
    nnf_status status = reduced_axes(module, infos.pointers, infos.n, reduced, &known);
    nnfi_infos_clear(&infos);
    if (status != NNF_OK) return status;
    if (nnf_tensor_numel(inputs[0]) == 0) return mean_of_nothing(outputs[0]);
    mean_plan plan = {.dtype = nnf_tensor_dtype(inputs[0])};
    plan_mean(&plan, nnf_tensor_ndim(inputs[0]), nnf_tensor_shape(inputs[0]), reduced);
    const void *x;
    void *y;
    NNFI_TRY(nnf_tensor_data(inputs[0], &x));
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &y));
    run_mean(&plan, x, y);
    return NNF_OK;
}

static const nnf_module_type types[] = {{
    .name = "ReduceMean",
    .options_size = sizeof(nnf_axes_options),
    .infer = infer_reduce,
    .forward = forward_mean,
    .flags = NNF_TYPE_WIDENS_16_BIT,
}};
const nnfi_type_family nnfi_reduce_family = NNFI_TYPE_FAMILY(types);
