/* Norms whose scale and bias go into the linear layers that read them: files of
 * tests/goldens/make_norms.py. */
#include "nnfuse/clean.h"
#include "nnfuse/fuse.h"
#include "nnfuse/verify.h"
#include "onnx_support.h"

enum { N_CHAINS = 6 };

typedef struct bytes {
    void *data;
    size_t size;
} bytes;

static nnf_module *fused_model(const char *name) {
    nnf_module *model = load_model(name);
    nnf_fuse_report report = {0};
    assert_ok(nnf_fuse(model, NULL, &report));
    assert_int_equal(report.n_fused, N_CHAINS);
    nnf_fuse_report_clear(&report);
    return model;
}

static bytes saved(const nnf_module *model) {
    bytes made;
    assert_ok(nnf_onnx_save_memory(model, &made.data, &made.size, NULL));
    return made;
}

static nnf_module *load_bytes(const bytes *from) {
    nnf_module *model;
    assert_ok(nnf_onnx_load_memory(&model, from->data, from->size, NULL));
    return model;
}

static nnf_verify_report compare(nnf_module *a, nnf_module *b) {
    nnf_verify_report report = {0};
    nnf_module_eval(a);
    nnf_module_eval(b);
    assert_ok(nnf_verify(&report, a, b, NULL));
    return report;
}

/* The call of that type number `index` of the graph. */
static size_t call_of_type(const nnf_module *graph, const char *type, size_t index) {
    for (size_t c = 0; c < nnf_graph_n_calls(graph); c++)
        if (!strcmp(nnf_module_type_name(nnf_graph_call_module(graph, c)), type) && index-- == 0)
            return c;
    fail_msg("there are fewer %s", type);
    return 0;
}

static void norms_keep_a_scale_of_ones(void **state) {
    (void)state;
    nnf_module *model = fused_model("norm_readers.onnx");
    const bytes file = saved(model);
    nnf_module *again = load_bytes(&file);
    const nnf_value *first, *second;
    const void *data;
    first = nnf_graph_call_inputs(again, call_of_type(again, "LayerNorm", 0));
    second = nnf_graph_call_inputs(again, call_of_type(again, "LayerNorm", 1));
    assert_int_equal(nnf_graph_call_n_inputs(again, call_of_type(again, "LayerNorm", 0)), 2);
    assert_int_equal(first[1], second[1]); /* one constant does for all */
    nnf_tensor *ones = nnf_graph_value_constant(again, first[1]);
    assert_int_equal(nnf_tensor_numel(ones), 8);
    assert_ok(nnf_tensor_data(ones, &data));
    for (int i = 0; i < 8; i++)
        assert_true(((const float *)data)[i] == 1.0f);
    nnf_module_release(again);
    nnf_module_release(model);
    nnf_free(file.data);
}

/* What was said of a norm's output is not said of what it gives now. */
static void the_value_has_another_name(void **state) {
    (void)state;
    nnf_module *model = fused_model("norm_readers.onnx");
    const nnf_value *given = nnf_graph_call_outputs(model, call_of_type(model, "LayerNorm", 0));
    assert_string_not_equal(nnf_graph_value_name(model, given[0]), "first");
    assert_int_equal(nnf_graph_find_value(model, "first"), NNF_NO_VALUE);
    nnf_module_release(model);
}

static void fusing_again_changes_nothing(void **state) {
    (void)state;
    nnf_module *model = fused_model("norm_readers.onnx");
    const bytes file = saved(model);
    nnf_module *again = load_bytes(&file);
    assert_ok(nnf_fuse(again, NULL, NULL));
    const bytes twice = saved(again);
    assert_int_equal(file.size, twice.size);
    assert_memory_equal(file.data, twice.data, file.size);
    nnf_module_release(again);
    nnf_module_release(model);
    nnf_free(file.data);
    nnf_free(twice.data);
}

static void it_computes_the_same(void **state) {
    (void)state;
    nnf_module *model = load_model("norm_readers.onnx"), *fused = fused_model("norm_readers.onnx");
    nnf_verify_report report = compare(model, fused);
    assert_true(report.ok && !report.by_chain);
    nnf_verify_report_clear(&report);
    nnf_module_release(model);
    nnf_module_release(fused);
}

/* Adds something else to each element of the tensor that the module holds: a norm's result has a
 * mean of 0, and hides what is added to all weights. */
static void shift_parameter(nnf_module *module, const char *name) {
    nnf_tensor *changed;
    void *data;
    assert_ok(nnf_tensor_copy(&changed, nnf_module_tensor(module, name)));
    assert_ok(nnf_tensor_mut_data(changed, &data));
    for (int64_t i = 0; i < nnf_tensor_numel(changed); i++)
        ((float *)data)[i] += (float)(i % 7) / 4;
    assert_ok(nnf_module_set_parameter(module, name, changed));
    nnf_tensor_release(changed);
}

/* Each norm with each layer behind it, where the model cannot run: in memory, and in a file, where
 * a product and its bias are two nodes. */
static void chains_are_checked_alone(void **state) {
    (void)state;
    nnf_module *model = load_model("norm_readers_unknown.onnx");
    nnf_module *fused = fused_model("norm_readers_unknown.onnx");
    const bytes file = saved(fused);
    nnf_module *again = load_bytes(&file), *const both[] = {fused, again};
    for (int i = 0; i < 2; i++) {
        nnf_verify_report report = compare(model, both[i]);
        assert_true(report.ok && report.by_chain);
        assert_int_equal(report.n_rows, N_CHAINS);
        nnf_verify_report_clear(&report);
    }
    nnf_module *product = nnf_graph_call_module(again, call_of_type(again, "MatMul", 1));
    shift_parameter(product, "weight");
    nnf_verify_report report = compare(model, again);
    assert_false(report.ok);
    for (size_t i = 0; i < report.n_rows; i++)
        assert_int_equal(report.rows[i].ok, i != 1);
    nnf_verify_report_clear(&report);
    nnf_module_release(again);
    nnf_module_release(fused);
    nnf_module_release(model);
    nnf_free(file.data);
}

/* Nothing changes a graph that is only looked at. */
static void finding_changes_nothing(void **state) {
    (void)state;
    nnf_module *model = load_model("norm_readers.onnx");
    const bytes before = saved(model);
    const size_t n_values = nnf_graph_n_values(model);
    nnf_chain_list *found;
    assert_ok(nnf_find_chains(&found, model, NULL));
    assert_true(found->n_chains >= 4); /* the norm that is in nodes has not been lifted */
    nnf_chain_list_release(found);
    assert_int_equal(nnf_graph_n_values(model), n_values);
    const bytes after = saved(model);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    nnf_module_release(model);
    nnf_free(before.data);
    nnf_free(after.data);
}

static void a_skipped_row_leaves_norms_alone(void **state) {
    (void)state;
    static const char *const skipped[] = {"norm", "before"};
    static const size_t left[] = {2, 4};
    for (int i = 0; i < 2; i++) {
        nnf_module *model = load_model("norm_readers.onnx");
        nnf_mapping *mapping;
        nnf_fuse_report report = {0};
        assert_ok(nnf_mapping_new(&mapping));
        assert_ok(nnf_mapping_skip(mapping, skipped[i]));
        assert_ok(nnf_fuse(model, mapping, &report));
        assert_int_equal(report.n_fused, left[i]);
        nnf_fuse_report_clear(&report);
        nnf_mapping_release(mapping);
        nnf_module_release(model);
    }
}

static void expect_same(nnf_module *a, nnf_module *b) {
    nnf_verify_report report = compare(a, b);
    assert_true(report.ok && !report.by_chain);
    nnf_verify_report_clear(&report);
}

/* A weight that a program sets is the one that is lifted and fused. */
static void weights_that_were_set_are_fused(void **state) {
    (void)state;
    nnf_module *model = load_model("norm_readers.onnx"), *fused;
    shift_parameter(nnf_graph_call_module(model, call_of_type(model, "MatMul", 1)), "weight");
    assert_ok(nnf_module_copy(&fused, model));
    assert_ok(nnf_fuse(fused, NULL, NULL));
    expect_same(model, fused);
    nnf_module_release(fused);
    nnf_module_release(model);
}

/* And one that is set on what was lifted is what a file gets. */
static void parameters_of_lifted_layers_are_written(void **state) {
    (void)state;
    static const char *const names[] = {"weight", "bias"};
    for (int i = 0; i < 2; i++) {
        nnf_module *model = load_model("norm_readers.onnx");
        assert_ok(nnf_lift_patterns(model, NULL));
        shift_parameter(nnf_graph_call_module(model, call_of_type(model, "Linear", 0)), names[i]);
        const bytes file = saved(model);
        nnf_module *again = load_bytes(&file);
        expect_same(model, again);
        nnf_module_release(again);
        nnf_module_release(model);
        nnf_free(file.data);
    }
}

TEST_MAIN(cmocka_unit_test(norms_keep_a_scale_of_ones),
          cmocka_unit_test(the_value_has_another_name),
          cmocka_unit_test(fusing_again_changes_nothing), cmocka_unit_test(it_computes_the_same),
          cmocka_unit_test(chains_are_checked_alone), cmocka_unit_test(finding_changes_nothing),
          cmocka_unit_test(a_skipped_row_leaves_norms_alone),
          cmocka_unit_test(weights_that_were_set_are_fused),
          cmocka_unit_test(parameters_of_lifted_layers_are_written))
