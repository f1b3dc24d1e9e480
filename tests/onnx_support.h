/* The models of goldens/make_onnx.py, and looking at what was written. */
#ifndef ONNX_SUPPORT_H
#define ONNX_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"

static inline const char *model_path(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/onnx/%s", NNFUSE_GOLDENS, name);
    return path;
}

static inline nnf_module *load_model(const char *name) {
    nnf_module *graph = NULL;
    assert_ok(nnf_onnx_load(&graph, model_path(name), NULL));
    return graph;
}

/* A file's bytes: free. */
static inline uint8_t *read_bytes(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

/* Where the text is in the bytes; `size`: nowhere. */
static inline size_t place_of(const void *bytes, size_t size, const char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp((const char *)bytes + i, text, length) == 0) return i;
    }
    return size;
}
static inline bool holds(const void *bytes, size_t size, const char *text) {
    return place_of(bytes, size, text) < size;
}

/* The graph, written to memory and read again. */
static inline nnf_module *round_trip(const nnf_module *graph) {
    void *bytes = NULL;
    size_t size = 0;
    nnf_module *again = NULL;
    assert_ok(nnf_onnx_save_memory(graph, &bytes, &size, NULL));
    assert_ok(nnf_onnx_load_memory(&again, bytes, size, NULL));
    nnf_free(bytes);
    return again;
}

static inline void assert_same_results(nnf_module *a, nnf_module *b) {
    nnf_verify_report report = {0};
    assert_ok(nnf_verify(&report, a, b, NULL));
    assert_true(report.ok);
    nnf_verify_report_clear(&report);
}

#endif
