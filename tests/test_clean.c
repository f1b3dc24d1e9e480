/* Cleaning the models of goldens/make_cleaning.py. That the results stay the same is what
 * tools/random_cleaning.py asks ONNX Runtime; here stands what goes, and what must not. */
#include "nnfuse/clean.h"
#include "nnfuse/fuse.h"
#include "onnx_support.h"

static nnf_module *cleaned_and_written(const char *name, nnf_clean_report *report) {
    nnf_module *model = load_model(name);
    assert_ok(nnf_clean(model, report));
    assert_ok(nnf_fuse(model, NULL, NULL));
    nnf_module *again = round_trip(model);
    nnf_module_release(model);
    return again;
}

/* The call that gives the value of that name; it is an error where none does. */
static size_t giver(const nnf_module *graph, const char *name) {
    for (size_t i = 0; i < nnf_graph_n_calls(graph); i++)
        for (size_t k = 0; k < nnf_graph_call_n_outputs(graph, i); k++) {
            nnf_value output = nnf_graph_call_outputs(graph, i)[k];
            if (output != NNF_NO_VALUE && strcmp(nnf_graph_value_name(graph, output), name) == 0)
                return i;
        }
    fail_msg("nothing gives '%s'", name);
    return 0;
}

static void each_line_of_the_report_is_counted(void **state) {
    (void)state;
    nnf_clean_report report;
    nnf_module *model = load_model("clean_all.onnx");
    assert_ok(nnf_clean(model, &report));
    assert_int_equal(report.n_constants, 1);
    assert_int_equal(report.n_computed, 1);
    assert_int_equal(report.n_removed, 3);
    assert_int_equal(report.n_merged, 1);
    assert_int_equal(report.n_unused, 1);
    assert_int_equal(report.n_shared, 1);
    assert_string_equal(calls_text(model),
                        "sigmoid_3:Sigmoid add_5:Add mul_6:Mul add_8:Add add_9:Add");
    nnf_module *again = round_trip(model);
    assert_string_equal(nnf_graph_value_name(again, nnf_graph_output(again, 0)), "y");
    nnf_clean_report second;
    assert_ok(nnf_clean(again, &second));
    assert_memory_equal(&second, &(nnf_clean_report){0}, sizeof second);
    nnf_module_release(again);
    nnf_module_release(model);
}

/* Reading checks that something gives each name that a subgraph reads. */
static void what_a_subgraph_reads_stays(void **state) {
    (void)state;
    nnf_clean_report report;
    nnf_module *model = cleaned_and_written("clean_captures.onnx", &report);
    assert_int_equal(report.n_constants, 1); /* three */
    assert_int_equal(report.n_computed, 1);  /* power */
    assert_int_equal(report.n_removed, 0);
    assert_int_equal(report.n_merged, 0);
    assert_int_equal(report.n_shared, 1); /* two3; two2 is read in the If in the Loop */
    assert_string_equal(calls_text(model),
                        "identity_0:Identity sigmoid_1:Sigmoid sigmoid_2:Sigmoid "
                        "mul_3:Mul add_4:Add add_5:Add loop_6:Opaque");
    nnf_module_release(model);
}

static void a_name_that_a_subgraph_gives_too_comes_no_earlier(void **state) {
    (void)state;
    static const char *const names[] = {"bn", "result", "computed", "target"};
    nnf_module *model = cleaned_and_written("clean_hidden.onnx", NULL);
    for (size_t i = 0; i < 4; i++)
        assert_true(giver(model, names[i]) > giver(model, "z"));
    /* all the same, the batch norm is folded */
    assert_string_equal(nnf_module_type_name(nnf_graph_call_module(model, giver(model, "bn"))),
                        "Conv2d");
    nnf_module_release(model);
}

TEST_MAIN(cmocka_unit_test(each_line_of_the_report_is_counted),
          cmocka_unit_test(what_a_subgraph_reads_stays),
          cmocka_unit_test(a_name_that_a_subgraph_gives_too_comes_no_earlier))
