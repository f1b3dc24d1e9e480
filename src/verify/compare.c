/* The difference between two values of one output. */
#include <math.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/tensor_internal.h"
#include "verify/verify_internal.h"

/* What f32 is held to leaves room for sums in another order; the 16-bit types round each layer. */
static double default_tolerance(nnf_dtype dtype) {
    switch (dtype) {
    case NNF_F32:
    case NNF_F64:
        return 1e-4;
    case NNF_F16:
        return 1e-2;
    case NNF_BF16:
        return 5e-2;
    default:
        return 0.0;
    }
}

int64_t nnfi_argmax(nnf_dtype dtype, const void *data, int64_t first, int64_t n) {
    int64_t best = -1;
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double value = nnfi_load_f64(dtype, data, first + i);
        if (!isnan(value) && (best < 0 || value > largest)) {
            best = i;
            largest = value;
        }
    }
    return best;
}

/* Both contiguous, with their numbers at hand. */
typedef struct pair {
    nnf_dtype dtype;
    int64_t n;
    const void *a, *b;
} pair;

static bool same_nonfinite(double a, double b) {
    return (isnan(a) && isnan(b)) || a == b;
}

static void compare_elements(nnf_verify_row *row, const pair *values) {
    bool exact = !nnf_dtype_is_float(values->dtype);
    row->n_elements = values->n;
    row->nonfinite_match = true;
    for (int64_t i = 0; i < values->n; i++) {
        double a = nnfi_load_f64(values->dtype, values->a, i);
        double b = nnfi_load_f64(values->dtype, values->b, i);
        if (!isfinite(a) || !isfinite(b)) {
            if (!same_nonfinite(a, b)) row->nonfinite_match = false;
            continue;
        }
        double difference = fabs(a - b);
        /* int64 numbers that differ may be one double. */
        if (exact && difference == 0.0 &&
            nnfi_load_i64(values->dtype, values->a, i) !=
                nnfi_load_i64(values->dtype, values->b, i)) {
            difference = 1.0;
        }
        row->max_abs_difference = fmax(row->max_abs_difference, difference);
        row->max_value = fmax(row->max_value, fabs(a));
    }
    row->max_rel_difference =
        row->max_value > 0.0 ? row->max_abs_difference / row->max_value : row->max_abs_difference;
}

/* Classifiers end in [N, classes] or [N, positions, classes]. */
static void compare_answers(nnf_verify_row *row, const pair *values, int ndim,
                            const int64_t *shape) {
    bool answers = nnf_dtype_is_float(values->dtype) && (ndim == 2 || ndim == 3);
    if (!answers || values->n == 0) return;
    int64_t length = shape[ndim - 1];
    row->n_argmax = values->n / length;
    for (int64_t i = 0; i < row->n_argmax; i++) {
        row->n_argmax_equal += nnfi_argmax(values->dtype, values->a, i * length, length) ==
                               nnfi_argmax(values->dtype, values->b, i * length, length);
    }
}

static nnf_status set_problem(nnf_verify_row *row, char *problem) {
    if (problem == NULL) return nnfi_error_memory(0, "the report");
    row->problem = problem;
    return NNF_OK;
}

/* Differences of kind that leave nothing to compare; row->problem tells. */
static nnf_status compare_kind(nnf_verify_row *row, const nnf_tensor *a, const nnf_tensor *b) {
    nnf_dtype a_dtype = nnf_tensor_dtype(a), b_dtype = nnf_tensor_dtype(b);
    if (a_dtype != b_dtype) {
        return set_problem(row, nnfi_format("one is %s, the other %s", nnf_dtype_name(a_dtype),
                                            nnf_dtype_name(b_dtype)));
    }
    int a_ndim = nnf_tensor_ndim(a), b_ndim = nnf_tensor_ndim(b);
    const int64_t *a_shape = nnf_tensor_shape(a), *b_shape = nnf_tensor_shape(b);
    if (a_ndim == b_ndim && memcmp(a_shape, b_shape, (size_t)a_ndim * sizeof *a_shape) == 0) {
        return NNF_OK;
    }
    char a_text[NNFI_SHAPE_TEXT], b_text[NNFI_SHAPE_TEXT];
    return set_problem(row, nnfi_format("one has the shape %s, the other %s",
                                        nnfi_shape_text(a_text, sizeof a_text, a_ndim, a_shape),
                                        nnfi_shape_text(b_text, sizeof b_text, b_ndim, b_shape)));
}

static nnf_status judge(nnf_verify_row *row) {
    if (!row->nonfinite_match) {
        return set_problem(row, nnfi_strdup("NaN or infinities stand in different places"));
    }
    if (row->max_rel_difference > row->tolerance) {
        return set_problem(row, nnfi_format("the largest difference is %.3g of the largest value, "
                                            "more than the tolerance %.3g",
                                            row->max_rel_difference, row->tolerance));
    }
    row->ok = true;
    return NNF_OK;
}

nnf_status nnfi_row_problem(nnf_verify_row *row, const char *name, const char *problem) {
    row->name = nnfi_strdup(name);
    if (row->name == NULL) return nnfi_error_memory(strlen(name) + 1, "the report");
    return set_problem(row, nnfi_strdup(problem));
}

nnf_status nnfi_compare(nnf_verify_row *row, const char *name, const nnf_tensor *a,
                        const nnf_tensor *b, double tolerance) {
    row->name = nnfi_strdup(name);
    if (row->name == NULL) return nnfi_error_memory(strlen(name) + 1, "the report");
    row->dtype = nnf_tensor_dtype(a);
    row->tolerance = tolerance > 0.0 ? tolerance : default_tolerance(row->dtype);
    NNFI_TRY(compare_kind(row, a, b));
    if (row->problem != NULL) return NNF_OK;
    pair values = {.dtype = row->dtype, .n = nnf_tensor_numel(a)};
    NNFI_TRY(nnf_tensor_data(a, &values.a));
    NNFI_TRY(nnf_tensor_data(b, &values.b));
    compare_elements(row, &values);
    compare_answers(row, &values, nnf_tensor_ndim(a), nnf_tensor_shape(a));
    return judge(row);
}
