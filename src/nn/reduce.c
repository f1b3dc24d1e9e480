/* Reductions over any axes: ReduceMean, ReduceSum, ReduceMax ... */
#include <math.h>

#include "nn/nn_internal.h"
#include "nn/walk.h"
#include "tensor/numbers.h"

/* What is gathered over the elements, and what becomes of it at the end. */
typedef enum gather_kind {
    SUM,
    SUM_SQUARES,
    SUM_SIZES,
    PRODUCT,
    MAXIMUM,
    MINIMUM,
    N_GATHER
} gather_kind;
typedef enum finish_kind { AS_IT_IS, DIVIDE, ROOT, LOGARITHM } finish_kind;
typedef struct reduction {
    nnf_module_type type;
    gather_kind gather;
    finish_kind finish;
} reduction;

static const reduction *reduction_of(const nnf_module *module) {
    return (const reduction *)(const void *)nnf_module_get_type(module); /* a row of the table */
}

static nnf_status check_dtype(const nnf_module *module, const nnf_type_info *x) {
    gather_kind gather = reduction_of(module)->gather;
    return gather == MAXIMUM || gather == MINIMUM ? NNF_OK : nnfi_check_number(module, x);
}

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
        NNFI_TRY(nnfi_ints_of_option(&list, module, "its axes", options->axes,
                                     NNFI_ROOM(options->axes), options->n_axes));
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
    NNFI_TRY(check_dtype(module, x));
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

/* Gathers `rows` runs of n elements, which begin where `reduced` walks: with `lanes`, each of n
 * neighbours into a place of its own, else all into one. */
typedef void (*gather_function)(void *gathered, const void *data, nnfi_walk *reduced, int64_t n,
                                bool lanes);
enum { LANES = 256 };
#define GATHER(name, type, wide, expression)                                          \
    static void name(void *gathered, const void *data, nnfi_walk *reduced, int64_t n, \
                     bool lanes) {                                                    \
        for (int64_t r = 0; r < reduced->count; r++, nnfi_walk_next(reduced)) {       \
            const type *row = (const type *)data + reduced->offset;                   \
            wide *to = (wide *)gathered;                                              \
            if (lanes) {                                                              \
                for (int64_t i = 0; i < n; i++) {                                     \
                    wide x = (wide)row[i], y = to[i];                                 \
                    to[i] = (expression);                                             \
                }                                                                     \
            } else {                                                                  \
                wide y = *to;                                                         \
                for (int64_t i = 0; i < n; i++) {                                     \
                    wide x = (wide)row[i];                                            \
                    y = (expression);                                                 \
                }                                                                     \
                *to = y;                                                              \
            }                                                                         \
        }                                                                             \
    }
/* Integers wrap. A NaN stays. */
#define PLUS(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define TIMES(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#define EXTREMES(suffix, type, wide)                          \
    GATHER(max_##suffix, type, wide, x > y || x != x ? x : y) \
    GATHER(min_##suffix, type, wide, x < y || x != x ? x : y)
#define FLOATS(suffix, type)                          \
    GATHER(sum_##suffix, type, double, y + x)         \
    GATHER(squares_##suffix, type, double, y + x * x) \
    GATHER(sizes_##suffix, type, double, y + fabs(x)) \
    GATHER(product_##suffix, type, double, y *x)      \
    EXTREMES(suffix, type, double)
#define INTEGERS(suffix, type)                                                        \
    GATHER(sum_##suffix, type, int64_t, PLUS(y, x))                                   \
    GATHER(squares_##suffix, type, int64_t, PLUS(y, TIMES(x, x)))                     \
    GATHER(sizes_##suffix, type, int64_t, x < 0 ? PLUS(y, TIMES(x, -1)) : PLUS(y, x)) \
    GATHER(product_##suffix, type, int64_t, TIMES(y, x))                              \
    EXTREMES(suffix, type, int64_t)
FLOATS(f32, float)
FLOATS(f64, double)
INTEGERS(i8, int8_t)
INTEGERS(u8, uint8_t)
INTEGERS(i32, int32_t)
INTEGERS(i64, int64_t)
#define ROW(suffix)                                                                           \
    {                                                                                         \
        [SUM] = sum_##suffix, [SUM_SQUARES] = squares_##suffix, [SUM_SIZES] = sizes_##suffix, \
        [PRODUCT] = product_##suffix, [MAXIMUM] = max_##suffix, [MINIMUM] = min_##suffix      \
    }
static const gather_function functions[NNF_DTYPE_COUNT][N_GATHER] = {
    [NNF_F32] = ROW(f32),
    [NNF_F64] = ROW(f64),
    [NNF_I8] = ROW(i8),
    [NNF_U8] = ROW(u8),
    [NNF_I32] = ROW(i32),
    [NNF_I64] = ROW(i64),
    [NNF_BOOL] = {[MAXIMUM] = max_u8, [MINIMUM] = min_u8},
};

/* What a reduction comes down to: `kept` walks over the outputs but for a run of `lanes`
 * neighbours. */
typedef struct reduce_plan {
    nnfi_walk kept, reduced;
    int64_t lanes, run; /* one of them is the innermost axis, the other is 1 */
    bool along_run;     /* it is the run, which may have no element */
    nnf_dtype dtype;
    gather_kind gather;
    finish_kind finish;
} reduce_plan;

static void plan_axes(reduce_plan *plan, int ndim, const int64_t *shape, const bool *reduced) {
    int64_t strides[NNF_MAX_DIMS];
    nnfi_contiguous_strides(strides, ndim, shape);
    plan->kept = plan->reduced = nnfi_walk_start();
    plan->lanes = plan->run = 1;
    int last = ndim - 1;
    while (last >= 0 && shape[last] == 1)
        last--;
    bool run = plan->along_run = last < 0 || reduced[last];
    for (; last >= 0 && reduced[last] == run; last--)
        *(run ? &plan->run : &plan->lanes) *= shape[last];
    for (int i = 0; i <= last; i++)
        nnfi_walk_add(reduced[i] ? &plan->reduced : &plan->kept, shape[i], strides[i]);
}

/* What nothing at all gives. */
static double neutral(gather_kind gather) {
    const double values[N_GATHER] = {[PRODUCT] = 1, [MAXIMUM] = -INFINITY, [MINIMUM] = INFINITY};
    return values[gather];
}

/* The same for integers: the smallest or largest of the dtype stands for an infinity. */
static int64_t whole_neutral(const reduce_plan *plan) {
    double value = neutral(plan->gather);
    uint64_t element = 0;
    if (plan->dtype == NNF_BOOL) return plan->gather == MINIMUM;
    nnfi_from_f64(plan->dtype, &value, &element, 1);
    return nnf_dtype_is_float(plan->dtype) ? 0 : nnfi_load_i64(plan->dtype, &element, 0);
}

static double finished(const reduce_plan *plan, double value) {
    switch (plan->finish) {
    case DIVIDE:
        return value / (double)(plan->reduced.count * plan->run);
    case ROOT:
        return sqrt(value);
    case LOGARITHM:
        return log(value);
    default:
        return value;
    }
}

/* Integers are gathered as integers, so that large ones stay exact. */
static void store_lanes(const reduce_plan *plan, void *y, int64_t first, int64_t n,
                        const double *floats, const int64_t *integers) {
    bool whole = !nnf_dtype_is_float(plan->dtype);
    for (int64_t i = 0; i < n; i++) {
        if (whole && plan->finish == AS_IT_IS)
            nnfi_store_i64(plan->dtype, y, first + i, integers[i]);
        else
            nnfi_store_f64(plan->dtype, y, first + i,
                           finished(plan, whole ? (double)integers[i] : floats[i]));
    }
}

static void run_plan(reduce_plan *plan, const char *x, void *y) {
    int64_t size = (int64_t)nnf_dtype_size(plan->dtype), out = 0;
    bool whole = !nnf_dtype_is_float(plan->dtype);
    double start = neutral(plan->gather);
    int64_t whole_start = whole_neutral(plan);
    for (int64_t k = 0; k < plan->kept.count; k++, nnfi_walk_next(&plan->kept))
        for (int64_t first = 0; first < plan->lanes; first += LANES) {
            double floats[LANES];
            int64_t integers[LANES];
            int64_t lanes = plan->lanes - first < LANES ? plan->lanes - first : LANES;
            for (int64_t i = 0; i < lanes; i++) {
                floats[i] = start;
                integers[i] = whole_start;
            }
            void *gathered = whole ? (void *)integers : (void *)floats;
            if (plan->run > 0)
                functions[plan->dtype][plan->gather](
                    gathered, x + (plan->kept.offset + first) * size, &plan->reduced,
                    plan->along_run ? plan->run : lanes, !plan->along_run);
            store_lanes(plan, y, out, lanes, floats, integers);
            out += lanes;
        }
}

static nnf_status reduce(const nnf_tensor *x, nnf_tensor *y, const bool *reduced,
                         gather_kind gather, finish_kind finish) {
    reduce_plan plan = {.dtype = nnf_tensor_dtype(x), .gather = gather, .finish = finish};
    plan_axes(&plan, nnf_tensor_ndim(x), nnf_tensor_shape(x), reduced);
    const void *from;
    void *to;
    if (nnf_tensor_numel(y) == 0) return NNF_OK;
    NNFI_TRY(nnf_tensor_data(x, &from));
    NNFI_TRY(nnf_tensor_mut_data(y, &to));
    run_plan(&plan, from, to);
    return NNF_OK;
}

static nnf_status reduced_of_tensors(const nnf_module *module, nnf_tensor *const *inputs,
                                     size_t n_inputs, bool *reduced) {
    nnfi_infos infos;
    bool known;
    NNFI_TRY(nnfi_infos_of_tensors(&infos, inputs, n_inputs));
    nnf_status status = reduced_axes(module, infos.pointers, infos.n, reduced, &known);
    nnfi_infos_clear(&infos);
    return status;
}

static nnf_status forward_reduce(nnf_session *session, nnf_module *module,
                                 nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                 size_t n_outputs) {
    (void)session, (void)n_outputs;
    const reduction *kind = reduction_of(module);
    bool reduced[NNF_MAX_DIMS];
    NNFI_TRY(reduced_of_tensors(module, inputs, n_inputs, reduced));
    return reduce(inputs[0], outputs[0], reduced, kind->gather, kind->finish);
}

/* ---- log(sum(exp(x))), as max + log(sum(exp(x - max))) so that nothing overflows ---- */

/* An infinite maximum would give inf - inf. */
static nnf_status make_finite(nnf_tensor *tensor) {
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(tensor, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(tensor); i++)
        if (!isfinite(nnfi_load_f64(nnf_tensor_dtype(tensor), data, i)))
            nnfi_store_f64(nnf_tensor_dtype(tensor), data, i, 0);
    return NNF_OK;
}

static nnf_status exponential(nnf_session *session, nnf_tensor *tensor) {
    nnfi_activation_call call = {
        .dtype = nnf_tensor_dtype(tensor), .n = nnf_tensor_numel(tensor), .kind = NNF_EXP};
    NNFI_TRY(nnf_tensor_mut_data(tensor, &call.y));
    call.x = call.y;
    return nnfi_session_kernels(session)->activation(session, &call);
}

/* `largest` has x's rank, `powers` x's shape. */
static nnf_status log_sum_exp(nnf_session *session, nnf_tensor *x, nnf_tensor *y,
                              const bool *reduced, nnf_tensor *largest, nnf_tensor *powers) {
    nnf_tensor *flat;
    NNFI_TRY(reduce(x, largest, reduced, MAXIMUM, AS_IT_IS));
    NNFI_TRY(make_finite(largest));
    NNFI_TRY(nnfi_binary_run(session, NNF_SUB, x, largest, powers));
    NNFI_TRY(exponential(session, powers));
    NNFI_TRY(reduce(powers, y, reduced, SUM, LOGARITHM));
    NNFI_TRY(nnf_tensor_view(&flat, largest, nnf_tensor_ndim(y), nnf_tensor_shape(y), NULL, 0));
    nnf_status status = nnfi_binary_run(session, NNF_ADD, y, flat, y);
    nnf_tensor_release(flat);
    return status;
}

static nnf_status forward_log_sum_exp(nnf_session *session, nnf_module *module,
                                      nnf_tensor *const *inputs, size_t n_inputs,
                                      nnf_tensor **outputs, size_t n_outputs) {
    (void)n_outputs;
    nnf_tensor *x = inputs[0], *largest = NULL, *powers = NULL;
    bool reduced[NNF_MAX_DIMS];
    int64_t shape[NNF_MAX_DIMS];
    int ndim = nnf_tensor_ndim(x);
    if (!nnf_dtype_is_float(nnf_tensor_dtype(x)))
        return nnf_error(NNF_ERROR_DTYPE, "ReduceLogSumExp runs on floating-point tensors, not %s",
                         nnf_dtype_name(nnf_tensor_dtype(x)));
    NNFI_TRY(reduced_of_tensors(module, inputs, n_inputs, reduced));
    for (int i = 0; i < ndim; i++)
        shape[i] = reduced[i] ? 1 : nnf_tensor_shape(x)[i];
    nnf_status status = nnf_session_new_tensor(session, &largest, nnf_tensor_dtype(x), ndim, shape);
    if (status == NNF_OK)
        status = nnf_session_new_tensor(session, &powers, nnf_tensor_dtype(x), ndim,
                                        nnf_tensor_shape(x));
    if (status == NNF_OK) status = log_sum_exp(session, x, outputs[0], reduced, largest, powers);
    nnf_tensor_release(largest);
    nnf_tensor_release(powers);
    return status;
}

#define TYPE(type_name, gather_kind, finish_kind, forward_function) \
    {                                                               \
        {.name = type_name,                                         \
         .options_size = sizeof(nnf_axes_options),                  \
         .infer = infer_reduce,                                     \
         .forward = forward_function,                               \
         .flags = NNF_TYPE_WIDENS_16_BIT},                          \
            gather_kind, finish_kind                                \
    }
static const reduction types[] = {
    TYPE("ReduceMean", SUM, DIVIDE, forward_reduce),
    TYPE("ReduceSum", SUM, AS_IT_IS, forward_reduce),
    TYPE("ReduceMax", MAXIMUM, AS_IT_IS, forward_reduce),
    TYPE("ReduceMin", MINIMUM, AS_IT_IS, forward_reduce),
    TYPE("ReduceProd", PRODUCT, AS_IT_IS, forward_reduce),
    TYPE("ReduceL1", SUM_SIZES, AS_IT_IS, forward_reduce),
    TYPE("ReduceL2", SUM_SQUARES, ROOT, forward_reduce),
    TYPE("ReduceSumSquare", SUM_SQUARES, AS_IT_IS, forward_reduce),
    TYPE("ReduceLogSum", SUM, LOGARITHM, forward_reduce),
    TYPE("ReduceLogSumExp", SUM, LOGARITHM, forward_log_sum_exp),
};
const nnfi_type_family nnfi_reduce_family = {&types[0].type, sizeof types / sizeof *types,
                                             sizeof *types};
