/* weight_norm and spectral_norm, as in torch.nn.utils. Computed in double, rounded once. */
#include <math.h>
#include <string.h>

#include "module/object.h"

/* A tensor seen as a matrix with its axis `dim` first: element [r, c] with c = outer * inner + i is
 * at (outer * rows + r) * inner + i. */
typedef struct matrix {
    int64_t outer, rows, inner, columns;
} matrix;

static matrix matrix_of(const nnf_tensor *tensor, int dim) {
    const int64_t *shape = nnf_tensor_shape(tensor);
    matrix m = {.outer = 1, .rows = 1, .inner = 1};
    for (int i = 0; i < nnf_tensor_ndim(tensor); i++) {
        if (i < dim)
            m.outer *= shape[i];
        else if (i == dim)
            m.rows = shape[i];
        else
            m.inner *= shape[i];
    }
    m.columns = m.outer * m.inner;
    return m;
}

static int64_t row_of(const matrix *m, int64_t index) {
    return index / m->inner % m->rows;
}

static int64_t column_of(const matrix *m, int64_t index) {
    return index / (m->inner * m->rows) * m->inner + index % m->inner;
}

/* A new array with a tensor's elements as doubles. */
static nnf_status load(double **out, const nnf_tensor *tensor) {
    nnf_dtype dtype = nnf_tensor_dtype(tensor);
    int64_t n = nnf_tensor_numel(tensor);
    double *numbers = nnfi_calloc((size_t)n, sizeof *numbers);
    void *elements = nnfi_calloc((size_t)n, nnf_dtype_size(dtype));
    nnf_status status = NNF_OK;
    if (!numbers || !elements)
        status = nnfi_error_memory((size_t)n * sizeof *numbers, "a parametrized weight");
    if (status == NNF_OK) status = nnf_tensor_read(tensor, 0, n, elements);
    for (int64_t i = 0; i < n && status == NNF_OK; i++)
        numbers[i] = nnfi_load_f64(dtype, elements, i);
    nnfi_free(elements);
    if (status == NNF_OK)
        *out = numbers;
    else
        nnfi_free(numbers);
    return status;
}

static nnf_status store(nnf_tensor *tensor, const double *numbers) {
    void *data;
    NNFI_TRY(nnf_tensor_mut_data(tensor, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(tensor); i++)
        nnfi_store_f64(nnf_tensor_dtype(tensor), data, i, numbers[i]);
    return NNF_OK;
}

/* A new tensor with these elements. */
static nnf_status new_tensor(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                             const double *numbers) {
    nnf_tensor *tensor;
    NNFI_TRY(nnf_tensor_new(&tensor, dtype, ndim, shape));
    nnf_status status = store(tensor, numbers);
    if (status == NNF_OK)
        *out = tensor;
    else
        nnf_tensor_release(tensor);
    return status;
}

static nnf_status new_like(nnf_tensor **out, const nnf_tensor *model, const double *numbers) {
    return new_tensor(out, nnf_tensor_dtype(model), nnf_tensor_ndim(model), nnf_tensor_shape(model),
                      numbers);
}

static nnf_status check_weight(const nnf_tensor *value, const char *what, int dim, int least) {
    int ndim = nnf_tensor_ndim(value);
    if (!nnf_dtype_is_float(nnf_tensor_dtype(value)))
        return nnf_error(NNF_ERROR_DTYPE, "%s needs a floating-point parameter, not %s", what,
                         nnf_dtype_name(nnf_tensor_dtype(value)));
    if (ndim < 1 || dim < least || dim >= ndim)
        return nnf_error(NNF_ERROR_INVALID, "%s: there is no axis %d in a tensor of rank %d", what,
                         dim, ndim);
    return NNF_OK;
}

/* ---- weight_norm: original0 is g, original1 is v ---- */

typedef struct weight_norm_options {
    int dim; /* -1: one norm over all */
} weight_norm_options;

/* For dim -1 the whole tensor is one row. */
static matrix weight_norm_matrix(const nnf_tensor *v, int dim) {
    if (dim >= 0) return matrix_of(v, dim);
    int64_t n = nnf_tensor_numel(v);
    return (matrix){.outer = 1, .rows = 1, .inner = n, .columns = n};
}

/* A new array with the norm of each row. */
static nnf_status row_norms(double **out, const matrix *m, const double *v) {
    double *norms = nnfi_calloc((size_t)m->rows, sizeof *norms);
    if (!norms) return nnfi_error_memory((size_t)m->rows * sizeof *norms, "weight_norm");
    for (int64_t i = 0; i < m->rows * m->columns; i++)
        norms[row_of(m, i)] += v[i] * v[i];
    for (int64_t r = 0; r < m->rows; r++)
        norms[r] = sqrt(norms[r]);
    *out = norms;
    return NNF_OK;
}

static nnf_status weight_norm_compute(nnf_tensor **value, nnf_tensor *const *originals, size_t n,
                                      const void *options, bool training) {
    (void)n, (void)training;
    matrix m = weight_norm_matrix(originals[1], ((const weight_norm_options *)options)->dim);
    double *g = NULL, *v = NULL, *norms = NULL;
    nnf_status status = NNF_OK;
    if (nnf_tensor_numel(originals[0]) != m.rows)
        status = nnf_error(NNF_ERROR_SHAPE, "weight_norm needs %lld magnitudes, not %lld",
                           (long long)m.rows, (long long)nnf_tensor_numel(originals[0]));
    if (status == NNF_OK) status = load(&g, originals[0]);
    if (status == NNF_OK) status = load(&v, originals[1]);
    if (status == NNF_OK) status = row_norms(&norms, &m, v);
    for (int64_t i = 0; status == NNF_OK && i < m.rows * m.columns; i++)
        v[i] *= g[row_of(&m, i)] / norms[row_of(&m, i)];
    if (status == NNF_OK) status = new_like(value, originals[1], v);
    nnfi_free(g);
    nnfi_free(v);
    nnfi_free(norms);
    return status;
}

static nnf_status weight_norm_decompose(nnf_tensor **originals, size_t *n, const nnf_tensor *value,
                                        const void *options) {
    int dim = ((const weight_norm_options *)options)->dim;
    NNFI_TRY(check_weight(value, "weight_norm", dim, -1));
    matrix m = weight_norm_matrix(value, dim);
    int64_t shape[NNF_MAX_DIMS];
    int ndim = dim < 0 ? 0 : nnf_tensor_ndim(value);
    for (int i = 0; i < ndim; i++)
        shape[i] = i == dim ? m.rows : 1;
    double *v = NULL, *norms = NULL;
    nnf_status status = load(&v, value);
    if (status == NNF_OK) status = row_norms(&norms, &m, v);
    if (status == NNF_OK)
        status = new_tensor(&originals[0], nnf_tensor_dtype(value), ndim, shape, norms);
    if (status == NNF_OK) status = nnf_tensor_copy(&originals[1], value);
    if (status == NNF_OK)
        *n = 2;
    else
        nnf_tensor_release(originals[0]);
    nnfi_free(v);
    nnfi_free(norms);
    return status;
}

nnf_status nnf_weight_norm(nnf_module *module, const char *name, int dim) {
    static const nnf_parametrization row = {.name = "weight_norm",
                                            .options_size = sizeof(weight_norm_options),
                                            .compute = weight_norm_compute,
                                            .decompose = weight_norm_decompose};
    const weight_norm_options options = {dim};
    return nnf_module_register_parametrization(module, name, &row, &options);
}

/* ---- spectral_norm: original0 is w, 1 and 2 the vectors u and v ---- */

typedef struct spectral_norm_options {
    int n_power_iterations;
    double eps;
    int dim;
} spectral_norm_options;

/* torch.nn.functional.normalize. */
static void normalize(double *x, int64_t n, double eps) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double norm = fmax(sqrt(sum), eps);
    for (int64_t i = 0; i < n; i++)
        x[i] /= norm;
}

/* y = W x, or W^T x. */
static void multiply(double *y, const matrix *m, const double *w, const double *x,
                     bool transposed) {
    int64_t n = transposed ? m->columns : m->rows;
    if (n > 0) memset(y, 0, (size_t)n * sizeof *y);
    for (int64_t i = 0; i < m->rows * m->columns; i++) {
        int64_t r = row_of(m, i), c = column_of(m, i);
        if (transposed)
            y[c] += w[i] * x[r];
        else
            y[r] += w[i] * x[c];
    }
}

static void iterate(const matrix *m, const double *w, double *u, double *v, int n, double eps) {
    for (int i = 0; i < n; i++) {
        multiply(u, m, w, v, false);
        normalize(u, m->rows, eps);
        multiply(v, m, w, u, true);
        normalize(v, m->columns, eps);
    }
}

/* u^T W v. */
static double largest_singular_value(const matrix *m, const double *w, const double *u,
                                     const double *v) {
    double sigma = 0;
    for (int64_t i = 0; i < m->rows * m->columns; i++)
        sigma += u[row_of(m, i)] * w[i] * v[column_of(m, i)];
    return sigma;
}

/* w / sigma; in training mode u and v move on first, and are stored. */
static nnf_status divide_by_sigma(const matrix *m, double *w, double *u, double *v,
                                  nnf_tensor *const *originals,
                                  const spectral_norm_options *options, bool training) {
    if (training) {
        iterate(m, w, u, v, options->n_power_iterations, options->eps);
        NNFI_TRY(store(originals[1], u));
        NNFI_TRY(store(originals[2], v));
    }
    double sigma = largest_singular_value(m, w, u, v);
    for (int64_t i = 0; i < m->rows * m->columns; i++)
        w[i] /= sigma;
    return NNF_OK;
}

static nnf_status spectral_norm_compute(nnf_tensor **value, nnf_tensor *const *originals, size_t n,
                                        const void *options, bool training) {
    (void)n;
    const spectral_norm_options *how = options;
    matrix m = matrix_of(originals[0], how->dim);
    double *w = NULL, *u = NULL, *v = NULL;
    nnf_status status = NNF_OK;
    if (nnf_tensor_numel(originals[1]) != m.rows || nnf_tensor_numel(originals[2]) != m.columns)
        status = nnf_error(NNF_ERROR_SHAPE,
                           "spectral_norm needs vectors of %lld and %lld elements, not %lld and "
                           "%lld",
                           (long long)m.rows, (long long)m.columns,
                           (long long)nnf_tensor_numel(originals[1]),
                           (long long)nnf_tensor_numel(originals[2]));
    if (status == NNF_OK) status = load(&w, originals[0]);
    if (status == NNF_OK) status = load(&u, originals[1]);
    if (status == NNF_OK) status = load(&v, originals[2]);
    if (status == NNF_OK && nnf_tensor_ndim(originals[0]) == 1)
        normalize(w, m.rows, how->eps); /* a vector's only singular value is its norm */
    else if (status == NNF_OK)
        status = divide_by_sigma(&m, w, u, v, originals, how, training);
    if (status == NNF_OK) status = new_like(value, originals[0], w);
    nnfi_free(w);
    nnfi_free(u);
    nnfi_free(v);
    return status;
}

/* Any start that is not orthogonal to the singular vector will do: splitmix64 from a fixed seed. */
static void fill_random(double *x, int64_t n, uint64_t seed) {
    for (int64_t i = 0; i < n; i++) {
        seed += UINT64_C(0x9E3779B97F4A7C15);
        uint64_t z = (seed ^ seed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        x[i] = (double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1.0;
    }
}

static nnf_status spectral_norm_decompose(nnf_tensor **originals, size_t *n,
                                          const nnf_tensor *value, const void *options) {
    const spectral_norm_options *how = options;
    NNFI_TRY(check_weight(value, "spectral_norm", how->dim, 0));
    matrix m = matrix_of(value, how->dim);
    nnf_dtype dtype = nnf_tensor_dtype(value);
    double *w = NULL;
    double *u = nnfi_calloc((size_t)m.rows, sizeof *u);
    double *v = nnfi_calloc((size_t)m.columns, sizeof *v);
    nnf_status status = u && v ? load(&w, value)
                               : nnfi_error_memory((size_t)m.columns * sizeof *v, "spectral_norm");
    if (status == NNF_OK) {
        fill_random(u, m.rows, 1);
        fill_random(v, m.columns, 2);
        normalize(u, m.rows, how->eps);
        normalize(v, m.columns, how->eps);
        iterate(&m, w, u, v, 15, how->eps); /* PyTorch's number */
        status = nnf_tensor_copy(&originals[0], value);
    }
    if (status == NNF_OK) status = new_tensor(&originals[1], dtype, 1, &m.rows, u);
    if (status == NNF_OK) status = new_tensor(&originals[2], dtype, 1, &m.columns, v);
    if (status == NNF_OK) *n = 3;
    for (int i = 0; i < 3 && status != NNF_OK; i++)
        nnf_tensor_release(originals[i]);
    nnfi_free(w);
    nnfi_free(u);
    nnfi_free(v);
    return status;
}

nnf_status nnf_spectral_norm(nnf_module *module, const char *name, int n_power_iterations,
                             double eps, int dim) {
    static const nnf_parametrization row = {.name = "spectral_norm",
                                            .options_size = sizeof(spectral_norm_options),
                                            .compute = spectral_norm_compute,
                                            .decompose = spectral_norm_decompose,
                                            .buffers = 1u << 1 | 1u << 2};
    if (n_power_iterations < 1)
        return nnf_error(NNF_ERROR_INVALID,
                         "spectral_norm needs at least one power iteration, not %d",
                         n_power_iterations);
    const spectral_norm_options options = {n_power_iterations, eps, dim};
    return nnf_module_register_parametrization(module, name, &row, &options);
}
