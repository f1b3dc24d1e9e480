/* Any allocation may fail: what was asked for is an error then, the model stays as it was, and
 * nothing leaks. */
#include <stdatomic.h>

#include "nnfuse/clean.h"
#include "nnfuse/fuse.h"
#include "nnfuse/verify.h"
#include "onnx_support.h"

/* ---- Failing on demand ---- */

static atomic_long n_blocks;  /* in use */
static atomic_long left = -1; /* allocations until one fails; negative: none does */

static bool fails(void) {
    return atomic_load(&left) >= 0 && atomic_fetch_sub(&left, 1) == 0;
}

static void *allocate(size_t size, void *payload) {
    (void)payload;
    void *block = fails() ? NULL : malloc(size);
    if (block) n_blocks++;
    return block;
}

static void *reallocate(void *old, size_t size, void *payload) {
    (void)payload;
    return fails() ? NULL : realloc(old, size);
}

static void deallocate(void *block, void *payload) {
    (void)payload;
    n_blocks--;
    free(block);
}

/* ---- What may fail ---- */

typedef nnf_status (*step)(nnf_module *model);

static nnf_status clean(nnf_module *model) {
    return nnf_clean(model, NULL);
}
static nnf_status fuse(nnf_module *model) {
    return nnf_fuse(model, NULL, NULL);
}
static nnf_status find(nnf_module *model) {
    nnf_chain_list *found = NULL;
    nnf_status status = nnf_find_chains(&found, model, NULL);
    nnf_chain_list_release(found);
    return status;
}
static nnf_status copy(nnf_module *model) {
    nnf_module *made = NULL;
    nnf_status status = nnf_module_copy(&made, model);
    nnf_module_release(made);
    return status;
}
static nnf_status save(nnf_module *model) {
    void *bytes = NULL;
    size_t size;
    nnf_status status = nnf_onnx_save_memory(model, &bytes, &size, NULL);
    nnf_free(bytes);
    return status;
}
static nnf_status load(nnf_module *model) {
    (void)model;
    nnf_module *made = NULL;
    nnf_status status = nnf_onnx_load(&made, model_path("clean_all.onnx"), NULL);
    nnf_module_release(made);
    return status;
}

static void expect_same(const nnf_module *model, const void *before, size_t size) {
    void *bytes = NULL;
    size_t now;
    assert_ok(nnf_onnx_save_memory(model, &bytes, &now, NULL));
    assert_int_equal(now, size);
    assert_memory_equal(bytes, before, size);
    nnf_free(bytes);
}

/* Does the step with its first allocation failing, its second, and so on until it is done. */
static void fail_each(nnf_module *model, step run, long at_least) {
    void *before = NULL;
    size_t size;
    long number = 0;
    assert_ok(nnf_onnx_save_memory(model, &before, &size, NULL));
    for (nnf_status status = NNF_ERROR_MEMORY; status != NNF_OK; number++) {
        left = number;
        status = run(model);
        left = -1;
        if (status == NNF_OK) break;
        assert_int_equal(status, NNF_ERROR_MEMORY);
        expect_same(model, before, size);
    }
    assert_true(number >= at_least);
    nnf_free(before);
}

static void fail_each_of(const char *name, step run, long at_least) {
    static const nnf_library_options counted = {
        .allocate = allocate, .reallocate = reallocate, .deallocate = deallocate};
    assert_ok(nnf_library_set_options(&counted));
    nnf_module *model = load_model(name);
    if (run == fuse) assert_ok(nnf_clean(model, NULL));
    fail_each(model, run, at_least);
    nnf_module_release(model);
    assert_int_equal(n_blocks, 0);
    assert_ok(nnf_library_set_options(NULL));
}

/* ---- Tests ---- */

static const char *const models[] = {
    "clean_all.onnx",   "clean_captures.onnx",     "clean_hidden.onnx", "scales.onnx",
    "chain.onnx",       "from_tf2onnx.onnx",       "from_keras.onnx",   "from_paddle.onnx",
    "from_dynamo.onnx", "identity_constants.onnx", "if_capture.onnx",   "middle_output.onnx"};

#define TEST_OF_EACH(name, run, at_least)                           \
    static void name(void **state) {                                \
        (void)state;                                                \
        for (size_t i = 0; i < sizeof models / sizeof *models; i++) \
            fail_each_of(models[i], run, at_least);                 \
    }
TEST_OF_EACH(cleaning, clean, 10)
TEST_OF_EACH(fusing, fuse, 10)
TEST_OF_EACH(finding_chains, find, 10)
TEST_OF_EACH(copying, copy, 10)
TEST_OF_EACH(saving, save, 10)
TEST_OF_EACH(loading, load, 10)

static void assert_computes_the_same(nnf_module *model, const char *name) {
    nnf_verify_report report = {0};
    nnf_module *original = load_model(name);
    assert_ok(nnf_verify(&report, original, model, NULL));
    assert_true(report.ok && !report.by_chain);
    nnf_verify_report_clear(&report);
    nnf_module_release(original);
}

/* Layers are merged in rounds, of which the first may be done when memory is short. */
static void fusing_in_rounds(void **state) {
    (void)state;
    const char *name = "norm_readers.onnx";
    nnf_status status = NNF_ERROR_MEMORY;
    const nnf_library_options counted = {
        .allocate = allocate, .reallocate = reallocate, .deallocate = deallocate};
    assert_ok(nnf_library_set_options(&counted));
    for (long number = 0; status != NNF_OK; number++) {
        nnf_module *model = load_model(name);
        left = number;
        status = fuse(model);
        left = -1;
        assert_true(status == NNF_OK || status == NNF_ERROR_MEMORY);
        assert_computes_the_same(model, name);
        nnf_module_release(model);
        assert_int_equal(n_blocks, 0);
    }
    assert_ok(nnf_library_set_options(NULL));
}

TEST_MAIN(cmocka_unit_test(cleaning), cmocka_unit_test(fusing_in_rounds), cmocka_unit_test(fusing),
          cmocka_unit_test(finding_chains), cmocka_unit_test(copying), cmocka_unit_test(saving),
          cmocka_unit_test(loading))
