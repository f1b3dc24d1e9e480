/* Layers against goldens: a case's inputs are "<case>.in0" ..., its output is "<case>.out0". */
#ifndef LAYER_SUPPORT_H
#define LAYER_SUPPORT_H

#include <stdio.h>
#include <string.h>

#include "test_support.h"

enum { CASE_INPUTS = 5 };

static inline nnf_module *new_module(const char *type, const void *options) {
    nnf_module *module = NULL;
    assert_non_null(nnf_type(type));
    assert_ok(nnf_module_new(&module, nnf_type(type), options));
    nnf_module_eval(module);
    return module;
}

/* Runs the module (released here) on the inputs of the case and compares what it gives. */
static inline void check_case(const golden *file, const char *name, nnf_module *module,
                              double tolerance) {
    nnf_tensor *inputs[CASE_INPUTS] = {NULL}, *output = NULL;
    size_t n = 0;
    for (size_t i = 0; i < CASE_INPUTS; i++)
        if (golden_has(file, "%s.in%zu", name, i)) {
            inputs[i] = golden_tensor(file, "%s.in%zu", name, i);
            n = i + 1;
        }
    nnf_tensor *expected = golden_tensor(file, "%s.out0", name);
    print_message("%s\n", name);
    assert_ok(nnf_module_forward(module, inputs, n, &output, 1));
    assert_tensors_close(output, expected, tolerance);
    for (size_t i = 0; i < n; i++)
        nnf_tensor_release(inputs[i]);
    nnf_tensor_release(output);
    nnf_tensor_release(expected);
    nnf_module_release(module);
}

/* A float32 or int64 tensor from a list. */
static inline nnf_tensor *floats(int ndim, const int64_t *shape, const float *values) {
    nnf_tensor *tensor = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, ndim, shape, values));
    return tensor;
}
static inline nnf_tensor *integers(int64_t n, const int64_t *values) {
    nnf_tensor *tensor = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_I64, 1, &n, values));
    return tensor;
}

/* ---- Shape inference: types written as text, "float32 [s1, 3, ?]", known elements behind ---- */

#define D(n) \
    { (n), 0 } /* a known dimension */
#define SYM(n) \
    { 0, (n) } /* symbol n */
#define UNKNOWN \
    { 0, NNF_DIM_UNKNOWN }

/* An info whose dimensions are the arguments. */
#define INFO(type, ...)                               \
    make_info((type), (const nnf_dim[]){__VA_ARGS__}, \
              (int)(sizeof((const nnf_dim[]){__VA_ARGS__}) / sizeof(nnf_dim)))
/* A vector of int64 whose elements are the arguments. */
#define VALUES(...)                             \
    make_values((const nnf_dim[]){__VA_ARGS__}, \
                (int)(sizeof((const nnf_dim[]){__VA_ARGS__}) / sizeof(nnf_dim)))

static inline nnf_type_info make_info(nnf_dtype dtype, const nnf_dim *shape, int ndim) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = dtype;
    info.ndim = ndim;
    for (int i = 0; i < ndim; i++)
        info.shape[i] = shape[i];
    return info;
}
static inline nnf_type_info make_values(const nnf_dim *values, int n) {
    nnf_type_info info = make_info(NNF_I64, (const nnf_dim[]){D(n)}, 1);
    assert_ok(nnf_type_info_set_values(&info, values, n));
    return info;
}
static inline nnf_type_info nothing_known(void) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    return info;
}

static inline nnf_type_info of_any_rank(nnf_dtype dtype) {
    nnf_type_info info = nothing_known();
    info.dtype = dtype;
    return info;
}

static inline void dims_text(char *out, size_t size, const nnf_dim *dims, int n) {
    size_t at = 0;
    for (int i = 0; i < n && at < size; i++) {
        const char *comma = i ? ", " : "";
        if (dims[i].symbol == NNF_DIM_UNKNOWN)
            at += (size_t)snprintf(out + at, size - at, "%s?", comma);
        else
            at +=
                (size_t)snprintf(out + at, size - at, "%s%s%lld", comma, dims[i].symbol ? "s" : "",
                                 (long long)(dims[i].symbol ? dims[i].symbol : dims[i].value));
    }
}

/* Infers the module (kept) on up to 5 infos (cleared here) and compares with
 * "dtype [dims]" or "dtype [dims] = elements". */
static inline void check_infer(const nnf_module *module, const char *expected, size_t n,
                               nnf_type_info *infos) {
    const nnf_type_info *inputs[CASE_INPUTS];
    nnf_type_info out = nothing_known();
    char text[512], dims[256] = "";
    for (size_t i = 0; i < n; i++)
        inputs[i] = &infos[i];
    assert_ok(nnf_module_get_type(module)->infer(module, inputs, n, &out, 1));
    dims_text(dims, sizeof dims, out.shape, out.ndim);
    int at = snprintf(text, sizeof text, "%s %s%s%s", nnf_dtype_name(out.dtype),
                      out.ndim < 0 ? "?" : "[", dims, out.ndim < 0 ? "" : "]");
    if (out.n_values >= 0) {
        dims[0] = '\0';
        dims_text(dims, sizeof dims, out.values, out.n_values);
        snprintf(text + at, sizeof text - (size_t)at, " = %s", dims);
    }
    assert_string_equal(text, expected);
    for (size_t i = 0; i < n; i++)
        nnf_type_info_clear(&infos[i]);
    nnf_type_info_clear(&out);
}
#define CHECK_INFER(module, expected, ...)                                      \
    check_infer((module), (expected),                                           \
                sizeof((nnf_type_info[]){__VA_ARGS__}) / sizeof(nnf_type_info), \
                (nnf_type_info[]){__VA_ARGS__})

/* The same for what infer refuses: its status; the message is then nnf_error_message. */
static inline nnf_status infer_status(const nnf_module *module, size_t n, nnf_type_info *infos) {
    const nnf_type_info *inputs[CASE_INPUTS];
    nnf_type_info out = nothing_known();
    for (size_t i = 0; i < n; i++)
        inputs[i] = &infos[i];
    nnf_status status = nnf_module_get_type(module)->infer(module, inputs, n, &out, 1);
    for (size_t i = 0; i < n; i++)
        nnf_type_info_clear(&infos[i]);
    nnf_type_info_clear(&out);
    return status;
}
#define INFER_STATUS(module, n, ...) infer_status((module), (n), (nnf_type_info[]){__VA_ARGS__})

#endif
