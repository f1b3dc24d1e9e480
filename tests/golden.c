#include "golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/tensor_internal.h"

#ifndef NNFUSE_GOLDENS
#define NNFUSE_GOLDENS "tests/goldens"
#endif

struct golden {
    char path[512];
    unsigned char *bytes;
    size_t size;
};

golden *golden_open(const char *name) {
    golden *file = calloc(1, sizeof *file);
    assert_non_null(file);
    snprintf(file->path, sizeof file->path, "%s/%s.golden", NNFUSE_GOLDENS, name);
    FILE *stream = fopen(file->path, "rb");
    if (!stream) fail_msg("cannot open %s", file->path);
    fseek(stream, 0, SEEK_END);
    file->size = (size_t)ftell(stream);
    rewind(stream);
    file->bytes = malloc(file->size + 1);
    assert_non_null(file->bytes);
    assert_int_equal(fread(file->bytes, 1, file->size, stream), file->size);
    fclose(stream);
    return file;
}

void golden_close(golden *file) {
    free(file->bytes);
    free(file);
}

/* One array of the file; the elements may be unaligned. */
typedef struct record {
    nnf_dtype dtype;
    int ndim;
    int64_t shape[NNF_MAX_DIMS], numel;
    const unsigned char *data;
} record;

static bool find(const golden *file, const char *name, record *out) {
    const unsigned char *at = file->bytes, *end = at + file->size;
    while (at < end) {
        uint32_t length, head[2];
        memcpy(&length, at, sizeof length);
        const char *found = (const char *)at + sizeof length;
        at += sizeof length + length;
        memcpy(head, at, sizeof head);
        at += sizeof head;
        *out = (record){.dtype = (nnf_dtype)head[0], .ndim = (int)head[1], .numel = 1};
        assert_true(out->ndim <= NNF_MAX_DIMS);
        memcpy(out->shape, at, head[1] * sizeof *out->shape);
        at += head[1] * sizeof *out->shape;
        for (int i = 0; i < out->ndim; i++)
            out->numel *= out->shape[i];
        out->data = at;
        at += (size_t)out->numel * nnf_dtype_size(out->dtype);
        if (length == strlen(name) && !memcmp(found, name, length)) return true;
    }
    return false;
}

static bool find_formatted(const golden *file, record *out, bool must, const char *format,
                           va_list arguments) {
    char name[256];
    vsnprintf(name, sizeof name, format, arguments);
    bool there = find(file, name, out);
    if (!there && must) fail_msg("%s has no array '%s'", file->path, name);
    return there;
}

nnf_tensor *golden_tensor(const golden *file, const char *name, ...) {
    record found;
    va_list arguments;
    va_start(arguments, name);
    find_formatted(file, &found, true, name, arguments);
    va_end(arguments);
    nnf_tensor *tensor = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, found.dtype, found.ndim, found.shape, found.data));
    return tensor;
}

bool golden_has(const golden *file, const char *name, ...) {
    record found;
    va_list arguments;
    va_start(arguments, name);
    bool there = find_formatted(file, &found, false, name, arguments);
    va_end(arguments);
    return there;
}

size_t golden_numbers(const golden *file, double *out, size_t room, const char *name, ...) {
    record found;
    va_list arguments;
    va_start(arguments, name);
    find_formatted(file, &found, true, name, arguments);
    va_end(arguments);
    size_t n = (size_t)found.numel;
    for (size_t i = 0; i < n && i < room; i++)
        out[i] = nnfi_load_f64(found.dtype, found.data, (int64_t)i);
    return n;
}

size_t golden_integers(const golden *file, int64_t *out, size_t room, const char *name, ...) {
    record found;
    va_list arguments;
    va_start(arguments, name);
    find_formatted(file, &found, true, name, arguments);
    va_end(arguments);
    size_t n = (size_t)found.numel;
    for (size_t i = 0; i < n && i < room; i++)
        out[i] = nnfi_load_i64(found.dtype, found.data, (int64_t)i);
    return n;
}

static double element(const nnf_tensor *tensor, int64_t i) {
    double bytes = 0;
    assert_ok(nnf_tensor_read(tensor, i, 1, &bytes));
    return nnfi_load_f64(nnf_tensor_dtype(tensor), &bytes, 0);
}

void assert_tensors_close(const nnf_tensor *actual, const nnf_tensor *expected, double tolerance) {
    assert_non_null(actual);
    assert_string_equal(nnf_dtype_name(nnf_tensor_dtype(actual)),
                        nnf_dtype_name(nnf_tensor_dtype(expected)));
    char a[NNFI_SHAPE_TEXT], b[NNFI_SHAPE_TEXT];
    nnfi_shape_text(a, sizeof a, nnf_tensor_ndim(actual), nnf_tensor_shape(actual));
    nnfi_shape_text(b, sizeof b, nnf_tensor_ndim(expected), nnf_tensor_shape(expected));
    assert_string_equal(a, b);
    int64_t n = nnf_tensor_numel(expected);
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double value = fabs(element(expected, i));
        if (isfinite(value) && value > largest) largest = value;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = element(actual, i), y = element(expected, i);
        bool same = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * largest;
        if (!same)
            fail_msg("element %lld is %.9g, expected %.9g (the largest is %.9g)", (long long)i, x,
                     y, largest);
    }
}

void assert_ok_at(nnf_status status, const char *file, int line) {
    if (status == NNF_OK) return;
    print_error("%s\n", nnf_error_message());
    _fail(file, line);
}

void assert_error_at(nnf_status actual, nnf_status expected, const char *const *texts,
                     const char *file, int line) {
    const char *message = nnf_error_message();
    if (actual != expected) {
        print_error("%s instead of %s: %s\n", nnf_status_name(actual), nnf_status_name(expected),
                    actual == NNF_OK ? "" : message);
        _fail(file, line);
    }
    for (; *texts; texts++)
        if (!strstr(message, *texts)) {
            print_error("\"%s\" does not hold \"%s\"\n", message, *texts);
            _fail(file, line);
        }
}
