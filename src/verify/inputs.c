/* The inputs that two models are compared on: given ones, and random ones for the rest. */
#include <math.h>
#include <string.h>

#include "module/graph_internal.h"
#include "support/memory.h"
#include "support/text.h"
#include "verify/verify_internal.h"

static nnf_status check_lists(const nnf_verify_options *options) {
    for (size_t i = 0; i < options->n_inputs; i++) {
        const nnf_named_tensor *input = options->inputs ? &options->inputs[i] : NULL;
        if (!input || !input->name || !input->tensor)
            return nnf_error(NNF_ERROR_INVALID, "input %zu that is given has no name or tensor", i);
    }
    for (size_t i = 0; i < options->n_shapes; i++) {
        if (!options->shapes || !options->shapes[i].name)
            return nnf_error(NNF_ERROR_INVALID, "shape %zu that is given has no name", i);
        const int ndim = options->shapes[i].ndim;
        if (ndim < 0 || ndim > NNF_MAX_DIMS)
            return nnf_error(NNF_ERROR_INVALID, "the shape of '%s' has %d dimensions, not 0 to %d",
                             options->shapes[i].name, ndim, NNF_MAX_DIMS);
    }
    return NNF_OK;
}

nnf_status nnfi_verify_options(nnf_verify_options *out, const nnf_verify_options *options) {
    *out = (nnf_verify_options){0};
    if (options != NULL) *out = *options;
    if (!(out->tolerance >= 0.0) || isinf(out->tolerance))
        return nnf_error(NNF_ERROR_INVALID, "a tolerance is a number from 0 on, not %g",
                         out->tolerance);
    if (out->int_max < 0)
        return nnf_error(NNF_ERROR_INVALID, "int_max is at least 0, not %lld",
                         (long long)out->int_max);
    if (out->int_max == 0) out->int_max = 1;
    return check_lists(out);
}

/* ---- Random numbers ---- */

/* splitmix64 (Steele, Lea and Flood 2014): small, and good from any seed on. */
static uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In [0, 1), 53 bits. */
static double random_uniform(uint64_t *state) {
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

uint64_t nnfi_random_start(uint64_t seed, const char *name) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    }
    uint64_t state = seed ^ hash;
    return random_next(&state); /* so that neighbouring seeds give unrelated streams */
}

/* Box-Muller: two independent normal numbers from two uniform ones. */
static void fill_normal(nnf_dtype dtype, void *data, int64_t n, uint64_t random) {
    const double two_pi = 6.283185307179586;
    for (int64_t i = 0; i < n; i += 2) {
        double radius = sqrt(-2.0 * log(1.0 - random_uniform(&random)));
        double angle = two_pi * random_uniform(&random);
        nnfi_store_f64(dtype, data, i, radius * cos(angle));
        if (i + 1 < n) nnfi_store_f64(dtype, data, i + 1, radius * sin(angle));
    }
}

/* The largest of the random integers of a dtype. */
static int64_t largest_of(nnf_dtype dtype, int64_t int_max) {
    int64_t largest = dtype == NNF_BOOL  ? 1
                      : dtype == NNF_I8  ? INT8_MAX
                      : dtype == NNF_U8  ? UINT8_MAX
                      : dtype == NNF_I32 ? INT32_MAX
                                         : INT64_MAX - 1;
    return int_max < largest ? int_max : largest;
}

static void fill_integers(nnf_dtype dtype, void *data, int64_t n, uint64_t random,
                          int64_t int_max) {
    const int64_t largest = largest_of(dtype, int_max);
    for (int64_t i = 0; i < n; i++) {
        uint64_t value = random_next(&random) % ((uint64_t)largest + 1);
        nnfi_store_i64(dtype, data, i, (int64_t)value);
    }
}

nnf_status nnfi_random_tensor(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                              uint64_t random, int64_t int_max) {
    nnf_tensor *tensor = NULL;
    NNFI_TRY(nnf_tensor_new(&tensor, dtype, ndim, shape));
    void *data = NULL;
    nnf_status status = nnf_tensor_mut_data(tensor, &data);
    if (status != NNF_OK) {
        nnf_tensor_release(tensor);
        return status;
    }
    int64_t n = nnf_tensor_numel(tensor);
    if (nnf_dtype_is_float(dtype)) {
        fill_normal(dtype, data, n, random);
    } else {
        fill_integers(dtype, data, n, random, int_max);
    }
    *out = tensor;
    return NNF_OK;
}

/* ---- Shapes ---- */

/* What is settled while the shapes of a graph's inputs are found. */
typedef struct resolver {
    const nnf_module *graph;
    const nnf_verify_options *options;
    int64_t *sizes; /* of each symbol; -1: not known yet */
    size_t n_sizes;
} resolver;

static const char *input_name(const nnf_module *graph, size_t index) {
    return nnf_graph_value_name(graph, nnf_graph_input(graph, index));
}

static const nnf_type_info *input_info(const nnf_module *graph, size_t index) {
    return nnf_graph_value_info(graph, nnf_graph_input(graph, index));
}

static const nnf_named_tensor *given_tensor(const nnf_verify_options *options, const char *name) {
    for (size_t i = 0; i < options->n_inputs; i++) {
        if (strcmp(options->inputs[i].name, name) == 0) return &options->inputs[i];
    }
    return NULL;
}

/* What is given for an input, or the file's own value of it; NULL: its numbers are to be made. */
static nnf_tensor *input_value(const resolver *r, size_t input) {
    const nnf_named_tensor *given = given_tensor(r->options, input_name(r->graph, input));
    nnf_value value = nnf_graph_input(r->graph, input);
    return given != NULL ? given->tensor : nnf_graph_value_constant(r->graph, value);
}

static const nnf_named_shape *given_shape(const nnf_verify_options *options, const char *name) {
    for (size_t i = 0; i < options->n_shapes; i++) {
        if (strcmp(options->shapes[i].name, name) == 0) return &options->shapes[i];
    }
    return NULL;
}

/* Adds "[batch, 3, ?, 32]". */
static void add_declared(nnfi_text *text, const nnf_module *graph, const nnf_type_info *info) {
    nnfi_text_add(text, "[");
    for (int d = 0; d < info->ndim; d++) {
        const nnf_dim *dim = &info->shape[d];
        const char *separator = d > 0 ? ", " : "";
        if (dim->symbol == 0) {
            nnfi_text_add(text, "%s%lld", separator, (long long)dim->value);
        } else if (dim->symbol > 0) {
            nnfi_text_add(text, "%s%s", separator, nnf_graph_symbol_name(graph, dim->symbol));
        } else {
            nnfi_text_add(text, "%s?", separator);
        }
    }
    nnfi_text_add(text, "]");
}

static nnf_status error_shape(const resolver *r, size_t input, int ndim, const int64_t *shape) {
    nnfi_text declared = {0};
    char given[NNFI_SHAPE_TEXT];
    add_declared(&declared, r->graph, input_info(r->graph, input));
    nnf_status status = nnf_error(NNF_ERROR_SHAPE, "the input '%s' has the shape %s, not %s",
                                  input_name(r->graph, input),
                                  declared.data != NULL ? declared.data : "of the file",
                                  nnfi_shape_text(given, sizeof given, ndim, shape));
    nnfi_text_clear(&declared);
    return status;
}

static int64_t *symbol_size(const resolver *r, const nnf_dim *dim) {
    bool known = dim->symbol > 0 && (size_t)dim->symbol <= r->n_sizes;
    return known ? &r->sizes[dim->symbol - 1] : NULL;
}

/* Holds a given shape against the declared one; its symbols get their sizes. */
static nnf_status bind_given(resolver *r, size_t input, int ndim, const int64_t *shape) {
    const nnf_type_info *info = input_info(r->graph, input);
    if (info == NULL || info->ndim < 0) return NNF_OK;
    if (info->ndim != ndim) return error_shape(r, input, ndim, shape);
    for (int d = 0; d < ndim; d++) {
        const nnf_dim *dim = &info->shape[d];
        if (dim->symbol == 0 && dim->value != shape[d]) return error_shape(r, input, ndim, shape);
        int64_t *size = symbol_size(r, dim);
        if (size != NULL && *size >= 0 && *size != shape[d]) {
            return nnf_error(NNF_ERROR_SHAPE,
                             "the dimension '%s' is given as %lld and, by the input '%s', as %lld",
                             nnf_graph_symbol_name(r->graph, dim->symbol), (long long)*size,
                             input_name(r->graph, input), (long long)shape[d]);
        }
        if (size != NULL) *size = shape[d];
    }
    return NNF_OK;
}

/* A shape is meant for random numbers: beside a tensor it can only be the tensor's own. */
static nnf_status check_shape(const resolver *r, size_t input, const nnf_tensor *tensor,
                              const nnf_named_shape *shape) {
    const char *name = input_name(r->graph, input);
    int ndim = nnf_tensor_ndim(tensor);
    size_t size = (size_t)ndim * sizeof shape->shape[0];
    if (ndim == shape->ndim && memcmp(nnf_tensor_shape(tensor), shape->shape, size) == 0)
        return NNF_OK;
    char wanted[NNFI_SHAPE_TEXT], actual[NNFI_SHAPE_TEXT];
    return nnf_error(NNF_ERROR_SHAPE,
                     "the shape %s is given for the input '%s', but %s has the shape %s; leave the "
                     "shape out, or give the input a value of that shape",
                     nnfi_shape_text(wanted, sizeof wanted, shape->ndim, shape->shape), name,
                     given_tensor(r->options, name) != NULL ? "what is given for it"
                                                            : "its default value",
                     nnfi_shape_text(actual, sizeof actual, ndim, nnf_tensor_shape(tensor)));
}

static nnf_status check_dtype(const resolver *r, size_t input, const nnf_tensor *tensor) {
    const nnf_type_info *info = input_info(r->graph, input);
    nnf_dtype given = nnf_tensor_dtype(tensor);
    if (info == NULL || info->dtype == NNF_DTYPE_UNKNOWN || info->dtype == given) return NNF_OK;
    return nnf_error(NNF_ERROR_DTYPE, "the input '%s' is %s, but what is given is %s",
                     input_name(r->graph, input), nnf_dtype_name(info->dtype),
                     nnf_dtype_name(given));
}

/* Takes the sizes of all that is given, and settles the unknown first dimensions on 1. */
static nnf_status bind_symbols(resolver *r) {
    size_t n = nnf_graph_n_inputs(r->graph);
    for (size_t i = 0; i < n; i++) {
        const nnf_tensor *tensor = input_value(r, i);
        const nnf_named_shape *shape = given_shape(r->options, input_name(r->graph, i));
        if (shape != NULL && tensor != NULL) NNFI_TRY(check_shape(r, i, tensor, shape));
        if (tensor != NULL) {
            NNFI_TRY(check_dtype(r, i, tensor));
            NNFI_TRY(bind_given(r, i, nnf_tensor_ndim(tensor), nnf_tensor_shape(tensor)));
        } else if (shape != NULL) {
            NNFI_TRY(bind_given(r, i, shape->ndim, shape->shape));
        }
    }
    for (size_t i = 0; i < n; i++) {
        const nnf_type_info *info = input_info(r->graph, i);
        if (info == NULL || info->ndim < 1) continue;
        int64_t *size = symbol_size(r, &info->shape[0]);
        if (size != NULL && *size < 0) *size = 1;
    }
    return NNF_OK;
}

/* "x=1,3,H,W": what to write, with the letters to be replaced. */
static void add_example(nnfi_text *text, const resolver *r, size_t input) {
    const nnf_type_info *info = input_info(r->graph, input);
    nnfi_text_add(text, "%s=", input_name(r->graph, input));
    for (int d = 0; d < info->ndim; d++) {
        const nnf_dim *dim = &info->shape[d];
        const int64_t *size = symbol_size(r, dim);
        if (dim->symbol == 0)
            nnfi_text_add(text, "%s%lld", d > 0 ? "," : "", (long long)dim->value);
        else if (size != NULL && *size >= 0)
            nnfi_text_add(text, "%s%lld", d > 0 ? "," : "", (long long)*size);
        else if (d == 0)
            nnfi_text_add(text, "1");
        else
            nnfi_text_add(text, ",%s",
                          dim->symbol > 0 ? nnf_graph_symbol_name(r->graph, dim->symbol) : "N");
    }
}

static nnf_status error_unknown_dim(const resolver *r, size_t input, int d) {
    const nnf_type_info *info = input_info(r->graph, input);
    nnfi_text declared = {0}, size = {0}, example = {0};
    add_declared(&declared, r->graph, info);
    add_example(&example, r, input);
    if (info->shape[d].symbol > 0)
        nnfi_text_add(&size, "'%s'", nnf_graph_symbol_name(r->graph, info->shape[d].symbol));
    else
        nnfi_text_add(&size, "dimension %d", d);
    nnf_status status = nnfi_error_memory(0, "a message");
    if (declared.data && size.data && example.data)
        status = nnf_error(NNF_ERROR_INVALID,
                           "the input '%s' has the shape %s: the size of %s is not known; give the "
                           "input's shape (--shape, or shapes in the options), as in %s with "
                           "numbers",
                           input_name(r->graph, input), declared.data, size.data, example.data);
    nnfi_text_clear(&declared);
    nnfi_text_clear(&size);
    nnfi_text_clear(&example);
    return status;
}

/* The shape that a random input gets. */
static nnf_status settle_shape(const resolver *r, size_t input, int *ndim, int64_t *shape) {
    const char *name = input_name(r->graph, input);
    const nnf_named_shape *given = given_shape(r->options, name);
    if (given != NULL) {
        *ndim = given->ndim;
        memcpy(shape, given->shape, sizeof given->shape);
        return NNF_OK;
    }
    const nnf_type_info *info = input_info(r->graph, input);
    if (info == NULL || info->ndim < 0) {
        return nnf_error(NNF_ERROR_INVALID,
                         "the file does not say how many dimensions the input '%s' has; give its "
                         "shape (--shape, or shapes in the options)",
                         name);
    }
    *ndim = info->ndim;
    for (int d = 0; d < info->ndim; d++) {
        const nnf_dim *dim = &info->shape[d];
        const int64_t *size = symbol_size(r, dim);
        if (dim->symbol == 0) {
            shape[d] = dim->value;
        } else if (size != NULL && *size >= 0) {
            shape[d] = *size;
        } else if (d == 0) {
            shape[d] = 1;
        } else {
            return error_unknown_dim(r, input, d);
        }
    }
    return NNF_OK;
}

/* ---- The inputs ---- */

static nnf_status make_input(nnf_tensor **out, const resolver *r, size_t input) {
    const char *name = input_name(r->graph, input);
    nnf_tensor *value = input_value(r, input);
    if (value != NULL) {
        *out = nnf_tensor_retain(value);
        return NNF_OK;
    }
    const nnf_type_info *info = input_info(r->graph, input);
    if (info == NULL || info->dtype == NNF_DTYPE_UNKNOWN) {
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "the input '%s' is of a type that nnfuse has no values of", name);
    }
    int ndim = 0;
    int64_t shape[NNF_MAX_DIMS] = {0};
    NNFI_TRY(settle_shape(r, input, &ndim, shape));
    return nnfi_random_tensor(out, info->dtype, ndim, shape,
                              nnfi_random_start(r->options->seed, name), r->options->int_max);
}

static nnf_status check_name(const nnf_module *graph, const char *name) {
    nnfi_text names = {0};
    size_t n = nnf_graph_n_inputs(graph);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(input_name(graph, i), name) == 0) {
            nnfi_text_clear(&names);
            return NNF_OK;
        }
        nnfi_text_add(&names, "%s'%s'", i > 0 ? ", " : "", input_name(graph, i));
    }
    nnf_status status = nnf_error(NNF_ERROR_NOT_FOUND, "the model has no input '%s'; it has %s",
                                  name, names.data != NULL ? names.data : "none");
    nnfi_text_clear(&names);
    return status;
}

static nnf_status check_names(const nnf_module *graph, const nnf_verify_options *options) {
    for (size_t i = 0; i < options->n_inputs; i++) {
        NNFI_TRY(check_name(graph, options->inputs[i].name));
    }
    for (size_t i = 0; i < options->n_shapes; i++) {
        NNFI_TRY(check_name(graph, options->shapes[i].name));
    }
    return NNF_OK;
}

nnf_status nnf_make_inputs(nnf_tensor **inputs, const nnf_module *graph,
                           const nnf_verify_options *given_options) {
    if (inputs == NULL || graph == NULL || !nnf_module_is_graph(graph)) {
        return nnf_error(NNF_ERROR_INVALID, "nnf_make_inputs takes a Graph");
    }
    nnf_verify_options options;
    NNFI_TRY(nnfi_verify_options(&options, given_options));
    NNFI_TRY(check_names(graph, &options));
    resolver r = {.graph = graph, .options = &options};
    r.n_sizes = nnfi_graph_of(graph)->n_symbols;
    r.sizes = nnfi_calloc(r.n_sizes, sizeof *r.sizes);
    size_t n = nnf_graph_n_inputs(graph), n_made = 0;
    nnf_tensor **made = nnfi_calloc(n, sizeof(nnf_tensor *));
    nnf_status status = NNF_OK;
    if (r.sizes == NULL || made == NULL) {
        status = nnfi_error_memory(n * sizeof(nnf_tensor *), "the inputs");
        goto done;
    }
    for (size_t i = 0; i < r.n_sizes; i++)
        r.sizes[i] = -1;
    status = bind_symbols(&r);
    for (; status == NNF_OK && n_made < n; n_made += status == NNF_OK) {
        status = make_input(&made[n_made], &r, n_made);
    }
    if (status == NNF_OK) memcpy(inputs, made, n * sizeof(nnf_tensor *));
    if (status == NNF_OK) n_made = 0; /* they are the caller's */
done:
    for (size_t i = 0; i < n_made; i++)
        nnf_tensor_release(made[i]);
    nnfi_free(made);
    nnfi_free(r.sizes);
    return status;
}

/* "given", and what of it no network was trained on: kernels may treat NaN in ways of their own. */
static void add_given(nnfi_text *text, nnf_tensor *tensor) {
    const nnf_dtype dtype = nnf_tensor_dtype(tensor);
    int64_t n_nonfinite = 0;
    nnf_tensor *plain = NULL;
    const void *data;
    nnfi_text_add(text, "given");
    if (!nnf_dtype_is_float(dtype) || nnf_tensor_contiguous(&plain, tensor) != NNF_OK) return;
    if (nnf_tensor_data(plain, &data) == NNF_OK)
        for (int64_t i = 0; i < nnf_tensor_numel(plain); i++)
            n_nonfinite += !isfinite(nnfi_load_f64(dtype, data, i));
    nnf_tensor_release(plain);
    if (n_nonfinite > 0)
        nnfi_text_add(text, ", %lld of it NaN or infinite", (long long)n_nonfinite);
}

char *nnfi_inputs_text(const nnf_module *graph, nnf_tensor *const *inputs,
                       const nnf_verify_options *options) {
    nnfi_text text = {0};
    size_t n = nnf_graph_n_inputs(graph);
    if (n == 0) nnfi_text_add(&text, "no inputs: the model takes none");
    for (size_t i = 0; i < n; i++) {
        const char *name = input_name(graph, i);
        char shape[NNFI_SHAPE_TEXT];
        nnf_dtype dtype = nnf_tensor_dtype(inputs[i]);
        nnfi_text_add(&text, "%s%s: %s %s, ", i > 0 ? "; " : "", name, nnf_dtype_name(dtype),
                      nnfi_shape_text(shape, sizeof shape, nnf_tensor_ndim(inputs[i]),
                                      nnf_tensor_shape(inputs[i])));
        if (given_tensor(options, name) != NULL) {
            add_given(&text, inputs[i]);
        } else if (nnf_graph_value_constant(graph, nnf_graph_input(graph, i)) != NULL) {
            nnfi_text_add(&text, "the file's default");
        } else if (nnf_dtype_is_float(dtype)) {
            nnfi_text_add(&text, "N(0,1), seed %llu", (unsigned long long)options->seed);
        } else {
            nnfi_text_add(&text, "integers 0 to %lld, seed %llu",
                          (long long)largest_of(dtype, options->int_max),
                          (unsigned long long)options->seed);
        }
    }
    return nnfi_text_take(&text);
}
