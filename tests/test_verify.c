/* Verifying: equal models are told equal, different ones different, and inputs are what was asked
 * for. Graphs here are built by hand; expected numbers are computed by hand. */
#include "onnx_support.h"

#include <math.h>
#include <string.h>

/* y = relu(x * scale) for x [batch, 3]; the symbol is named. */
static nnf_module *make_graph(float scale, bool relu) {
    nnf_module *graph = NULL, *mul = NULL, *activation = NULL;
    nnf_tensor *factor = NULL;
    nnf_value x, c, scaled, y;
    assert_ok(nnf_graph_new(&graph));
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = NNF_F32;
    info.ndim = 2;
    assert_ok(nnf_graph_symbol(graph, &info.shape[0].symbol, "batch"));
    info.shape[1] = (nnf_dim){.value = 3};
    assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
    assert_ok(nnf_tensor_from_data(&factor, NNF_F32, 0, NULL, &scale));
    assert_ok(nnf_graph_add_constant(graph, &c, "factor", factor));
    assert_ok(nnf_binary_new(&mul, NNF_MUL));
    assert_ok(nnf_module_set_child(graph, "mul", mul));
    assert_ok(nnf_graph_add_call(graph, "mul", (nnf_value[]){x, c}, 2,
                                 (const char *const[]){relu ? "scaled" : "y"}, &scaled, 1));
    y = scaled;
    if (relu) {
        assert_ok(nnf_activation_new(&activation, NNF_RELU));
        assert_ok(nnf_module_set_child(graph, "relu", activation));
        assert_ok(nnf_graph_add_call(graph, "relu", &scaled, 1, (const char *const[]){"y"}, &y, 1));
    }
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_tensor_release(factor);
    nnf_module_release(mul);
    nnf_module_release(activation);
    nnf_module_eval(graph);
    return graph;
}

static nnf_verify_report verify(nnf_module *a, nnf_module *b, const nnf_verify_options *options) {
    nnf_verify_report report = {0};
    assert_ok(nnf_verify(&report, a, b, options));
    return report;
}

static nnf_tensor *make_x(int64_t rows, const float *values) {
    nnf_tensor *tensor = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 2, (const int64_t[]){rows, 3}, values));
    return tensor;
}

static void a_model_equals_itself(void **state) {
    (void)state;
    nnf_module *a = make_graph(2, true);
    nnf_verify_report report = verify(a, a, NULL);
    assert_true(report.ok);
    assert_false(report.by_chain);
    assert_int_equal(report.n_rows, 1);
    assert_string_equal(report.rows[0].name, "y");
    assert_true(report.rows[0].max_abs_difference == 0.0);
    assert_string_equal(report.inputs, "x: float32 [1, 3], N(0,1), seed 0");
    nnf_verify_report_clear(&report);
    nnf_module_release(a);
}

static void differences_are_relative_to_the_largest_value(void **state) {
    (void)state;
    static const float values[6] = {1, 2, 4, -1, 0.5F, 0};
    nnf_module *a = make_graph(2, false), *b = make_graph(2.5F, false);
    nnf_named_tensor x = {.name = "x", .tensor = make_x(2, values)};
    nnf_verify_options options = {.inputs = &x, .n_inputs = 1};
    nnf_verify_report report = verify(a, b, &options);
    assert_false(report.ok);
    assert_true(report.rows[0].max_value == 8.0);
    assert_true(report.rows[0].max_abs_difference == 2.0);
    assert_true(report.rows[0].max_rel_difference == 0.25);
    assert_int_equal(report.rows[0].n_argmax, 2);
    assert_int_equal(report.rows[0].n_argmax_equal, 2);
    assert_non_null(strstr(report.rows[0].problem, "0.25"));
    nnf_verify_report_clear(&report);
    options.tolerance = 0.25;
    report = verify(a, b, &options);
    assert_true(report.ok);
    nnf_verify_report_clear(&report);
    nnf_tensor_release(x.tensor);
    nnf_module_release(a);
    nnf_module_release(b);
}

static void an_output_of_zeros_compares_absolutely(void **state) {
    (void)state;
    static const float values[3] = {1, 2, 4};
    nnf_module *a = make_graph(0, false), *b = make_graph(0x1p-20F, false);
    nnf_named_tensor x = {.name = "x", .tensor = make_x(1, values)};
    nnf_verify_options options = {.inputs = &x, .n_inputs = 1};
    nnf_verify_report report = verify(a, b, &options);
    assert_true(report.ok);
    assert_true(report.rows[0].max_value == 0.0);
    assert_true(report.rows[0].max_rel_difference == 0x1p-18);
    nnf_verify_report_clear(&report);
    nnf_tensor_release(x.tensor);
    nnf_module_release(a);
    nnf_module_release(b);
}

static void nan_and_infinities_match_in_place(void **state) {
    (void)state;
    const float values[3] = {INFINITY, NAN, 1};
    nnf_module *a = make_graph(1, false), *b = make_graph(-1, false);
    nnf_named_tensor x = {.name = "x", .tensor = make_x(1, values)};
    nnf_verify_options options = {.inputs = &x, .n_inputs = 1, .tolerance = 10};
    nnf_verify_report report = verify(a, a, &options);
    assert_true(report.ok);
    assert_true(report.rows[0].nonfinite_match);
    nnf_verify_report_clear(&report);
    report = verify(a, b, &options);
    assert_false(report.ok);
    assert_false(report.rows[0].nonfinite_match);
    nnf_verify_report_clear(&report);
    nnf_tensor_release(x.tensor);
    nnf_module_release(a);
    nnf_module_release(b);
}

static void labels_are_counted_for_both(void **state) {
    (void)state;
    static const float values[6] = {1, 2, 4, 5, 1, 0};
    static const uint8_t right[2] = {2, 1};
    nnf_module *a = make_graph(1, false), *b = make_graph(-1, false);
    nnf_tensor *labels = NULL;
    assert_ok(nnf_tensor_from_data(&labels, NNF_U8, 1, (const int64_t[]){2}, right));
    nnf_named_tensor x = {.name = "x", .tensor = make_x(2, values)};
    nnf_verify_options options = {.inputs = &x, .n_inputs = 1, .labels = labels};
    nnf_verify_report report = verify(a, b, &options);
    assert_int_equal(report.n_labels, 2);
    assert_int_equal(report.n_right_a, 1);
    assert_int_equal(report.n_right_b, 0);
    nnf_verify_report_clear(&report);
    nnf_tensor_release(x.tensor);
    x.tensor = make_x(1, values);
    assert_error(nnf_verify(&report, a, b, &options), NNF_ERROR_SHAPE, "labels", "[1, 3]");
    nnf_tensor_release(x.tensor);
    nnf_tensor_release(labels);
    nnf_module_release(a);
    nnf_module_release(b);
}

/* Scores and labels may be views: here the scores are turned, and every second label counts. */
static void right_answers_of_views_are_counted(void **state) {
    (void)state;
    static const float turned[6] = {1, 0, 2, 9, 3, 1}; /* of {1, 2, 3}, {0, 9, 1} */
    static const uint8_t numbers[3] = {2, 7, 1};
    static const int64_t shape[2] = {2, 3}, strides[2] = {1, 2};
    nnf_tensor *whole, *all, *scores, *labels;
    int64_t n_right = -1;
    assert_ok(nnf_tensor_from_data(&whole, NNF_F32, 2, (const int64_t[]){3, 2}, turned));
    assert_ok(nnf_tensor_from_data(&all, NNF_U8, 1, (const int64_t[]){3}, numbers));
    assert_ok(nnf_tensor_view(&scores, whole, 2, shape, strides, 0));
    assert_ok(nnf_tensor_view(&labels, all, 1, shape, strides + 1, 0));
    assert_ok(nnf_count_right(&n_right, scores, labels));
    assert_int_equal(n_right, 2);
    assert_error(nnf_count_right(&n_right, scores, all), NNF_ERROR_SHAPE, "labels");
    nnf_tensor_release(labels);
    assert_ok(nnf_tensor_view(&labels, all, 1, shape, NULL, 0));
    assert_error(nnf_count_right(&n_right, scores, labels), NNF_ERROR_INVALID,
                 "label number 1 is 7", "0 to 2");
    nnf_tensor_release(labels);
    nnf_tensor_release(scores);
    nnf_tensor_release(whole);
    nnf_tensor_release(all);
}

static void shapes_come_from_the_options(void **state) {
    (void)state;
    nnf_module *a = make_graph(1, false);
    nnf_named_shape shape = {.name = "x", .ndim = 2, .shape = {5, 3}};
    nnf_verify_options options = {.shapes = &shape, .n_shapes = 1, .seed = 7};
    nnf_verify_report report = verify(a, a, &options);
    assert_string_equal(report.inputs, "x: float32 [5, 3], N(0,1), seed 7");
    nnf_verify_report_clear(&report);
    shape.shape[1] = 4;
    assert_error(nnf_verify(&report, a, a, &options), NNF_ERROR_SHAPE, "'x'", "[batch, 3]",
                 "[5, 4]");
    shape.name = "z";
    assert_error(nnf_verify(&report, a, a, &options), NNF_ERROR_NOT_FOUND, "'z'", "'x'");
    nnf_module_release(a);
}

static nnf_status refuse(nnf_module *module, nnf_tensor **inputs, size_t n_inputs, void *payload) {
    (void)module, (void)inputs, (void)n_inputs, (void)payload;
    return nnf_error(NNF_ERROR_CANCELLED, "refused");
}

/* The two models run on threads of their own, where there are two. */
static void what_goes_wrong_in_either_model_is_told(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        nnf_module *good = make_graph(1, false), *bad = make_graph(1, false), *mul;
        nnf_verify_options options = {.threads = threads};
        nnf_verify_report report = verify(good, bad, &options);
        assert_true(report.ok);
        nnf_verify_report_clear(&report);
        assert_ok(nnf_module_get(&mul, bad, "mul"));
        assert_ok(nnf_module_register_forward_pre_hook(NULL, mul, refuse, NULL));
        assert_error(nnf_verify(&report, good, bad, &options), NNF_ERROR_CANCELLED, "'mul'",
                     "refused");
        assert_error(nnf_verify(&report, bad, good, &options), NNF_ERROR_CANCELLED, "'mul'",
                     "refused");
        nnf_module_release(good);
        nnf_module_release(bad);
    }
}

/* ids [batch, sequence] of int64: the second dimension has a name and no size. */
static void unknown_dimensions_are_named(void **state) {
    (void)state;
    nnf_module *graph = NULL;
    nnf_type_info info;
    nnf_type_info_init(&info);
    nnf_value ids = 0;
    assert_ok(nnf_graph_new(&graph));
    info.dtype = NNF_I64;
    info.ndim = 2;
    assert_ok(nnf_graph_symbol(graph, &info.shape[0].symbol, "batch"));
    assert_ok(nnf_graph_symbol(graph, &info.shape[1].symbol, "sequence"));
    assert_ok(nnf_graph_add_input(graph, &ids, "ids", &info));
    assert_ok(nnf_graph_add_input(graph, &ids, "mask", &info));
    nnf_tensor *inputs[2] = {NULL, NULL};
    assert_error(nnf_make_inputs(inputs, graph, NULL), NNF_ERROR_INVALID, "'ids'", "'sequence'");
    assert_null(inputs[0]);
    /* One given shape settles the symbol for the other input too. */
    nnf_named_shape shape = {.name = "mask", .ndim = 2, .shape = {2, 50}};
    nnf_verify_options options = {.shapes = &shape, .n_shapes = 1, .int_max = 9};
    assert_ok(nnf_make_inputs(inputs, graph, &options));
    assert_int_equal(nnf_tensor_shape(inputs[0])[1], 50);
    const void *data = NULL;
    assert_ok(nnf_tensor_data(inputs[0], &data));
    const int64_t *numbers = data;
    bool seen[10] = {false};
    for (int i = 0; i < 100; i++) {
        assert_in_range(numbers[i], 0, 9);
        seen[numbers[i]] = true;
    }
    for (int i = 0; i < 10; i++)
        assert_true(seen[i]);
    nnf_tensor_release(inputs[0]);
    nnf_tensor_release(inputs[1]);
    nnf_module_release(graph);
}

/* Mean 0 and variance 1 within five standard errors for 30,000 numbers; equal for equal seeds. */
static void random_inputs_are_normal_and_repeat(void **state) {
    (void)state;
    nnf_module *a = make_graph(1, false);
    nnf_named_shape shape = {.name = "x", .ndim = 2, .shape = {10000, 3}};
    nnf_verify_options options = {.shapes = &shape, .n_shapes = 1};
    nnf_tensor *first = NULL, *again = NULL;
    assert_ok(nnf_make_inputs(&first, a, &options));
    assert_ok(nnf_make_inputs(&again, a, &options));
    assert_tensors_close(first, again, 0.0);
    const void *data = NULL;
    assert_ok(nnf_tensor_data(first, &data));
    const float *values = data;
    double sum = 0, squares = 0;
    for (int i = 0; i < 30000; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    assert_true(fabs(sum / 30000) < 5.0 / sqrt(30000.0));
    assert_true(fabs(squares / 30000 - 1.0) < 5.0 * sqrt(2.0 / 30000.0));
    nnf_tensor_release(first);
    nnf_tensor_release(again);
    nnf_module_release(a);
}

static void different_interfaces_are_an_error(void **state) {
    (void)state;
    nnf_module *a = make_graph(1, false), *b = NULL;
    nnf_value x = 0;
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = NNF_F32;
    info.ndim = 1;
    info.shape[0] = (nnf_dim){.value = 3};
    assert_ok(nnf_graph_new(&b));
    assert_ok(nnf_graph_add_input(b, &x, "other", &info));
    assert_ok(nnf_graph_add_output(b, x));
    nnf_verify_report report = {0};
    assert_error(nnf_verify(&report, a, b, NULL), NNF_ERROR_INVALID, "the first has an input 'x'");
    assert_null(report.rows);
    nnf_module_release(a);
    nnf_module_release(b);
}

/* A node of a domain that nobody knows stands behind the chain: conv and bn are checked alone. */
static void each_chain_is_checked_alone_where_a_node_cannot_run(void **state) {
    (void)state;
    nnf_module *plain = load_model("custom_domain.onnx"), *fused = load_model("custom_domain.onnx");
    assert_ok(nnf_fuse(fused, NULL, NULL));
    nnf_module *written = round_trip(fused), *conv = NULL;
    nnf_verify_report report = verify(plain, written, NULL);
    assert_true(report.ok);
    assert_true(report.by_chain);
    assert_non_null(strstr(report.why_by_chain, "'frobnicate_2'"));
    assert_int_equal(report.n_rows, 1);
    assert_string_equal(report.rows[0].name, "conv");
    nnf_verify_report_clear(&report);
    void *data;
    assert_ok(nnf_module_get(&conv, written, "conv"));
    assert_ok(nnf_tensor_mut_data(nnf_module_tensor(conv, "bias"), &data));
    ((float *)data)[0] += 1;
    report = verify(plain, written, NULL);
    assert_false(report.ok);
    assert_false(report.rows[0].ok);
    nnf_verify_report_clear(&report);
    nnf_module_release(plain);
    nnf_module_release(fused);
    nnf_module_release(written);
}

/* Its calls in front may do nothing and be gone; arithmetic gets its constant, on either side. */
static void a_chain_reads_its_constants(void **state) {
    (void)state;
    nnf_module *plain = load_model("custom_domain_sub.onnx"),
               *fused = load_model("custom_domain_sub.onnx");
    assert_ok(nnf_clean(fused, NULL));
    assert_ok(nnf_fuse(fused, NULL, NULL));
    nnf_module *written = round_trip(fused);
    assert_int_equal(nnf_graph_n_calls(written), 2); /* the convolution and what is not known */
    nnf_verify_report report = verify(plain, written, NULL);
    assert_true(report.by_chain);
    assert_int_equal(report.n_rows, 1);
    assert_true(report.ok);
    nnf_verify_report_clear(&report);
    nnf_module_release(plain);
    nnf_module_release(fused);
    nnf_module_release(written);
}

/* Names that only one of the models has, whichever it is, and whether or not it can run. */
static void an_interface_has_to_be_the_same_both_ways(void **state) {
    (void)state;
    nnf_verify_report report = {0};
    for (int unknown = 0; unknown < 2; unknown++)
        for (int output = 0; output < 2; output++) {
            nnf_module *less = make_graph(1, true), *more = make_graph(1, true);
            nnf_value extra = 2; /* "scaled" */
            if (output)
                assert_ok(nnf_graph_add_output(more, extra));
            else
                assert_ok(nnf_graph_add_input(more, &extra, "scale", NULL));
            const char *name = output ? "'scaled'" : "'scale'";
            if (unknown) {
                nnf_module *opaque;
                assert_ok(nnf_opaque_new(&opaque, "Unknown", ""));
                assert_ok(nnf_module_set(more, "relu", opaque));
                nnf_module_release(opaque);
            }
            assert_error(nnf_verify(&report, less, more, NULL), NNF_ERROR_INVALID, "second has",
                         name);
            assert_error(nnf_verify(&report, more, less, NULL), NNF_ERROR_INVALID, "first has",
                         name);
            nnf_module_release(less);
            nnf_module_release(more);
        }
}

/* ---- Models that cannot run ---- */

/* The same file with another operator's name, which has the same length, in it. Takes the graph. */
static nnf_module *with_operator(nnf_module *graph, const char *from, const char *to) {
    void *bytes;
    size_t size, n = strlen(from);
    nnf_module *again;
    assert_ok(nnf_onnx_save_memory(graph, &bytes, &size, NULL));
    for (size_t i = 0; i + n <= size; i++)
        if (!memcmp((char *)bytes + i, from, n)) memcpy((char *)bytes + i, to, n);
    assert_ok(nnf_onnx_load_memory(&again, bytes, size, NULL));
    nnf_free(bytes);
    nnf_module_release(graph);
    return again;
}

static void constants_are_compared_where_a_node_cannot_run(void **state) {
    (void)state;
    nnf_module *a = with_operator(make_graph(2, true), "Relu", "Relx");
    nnf_module *same = with_operator(make_graph(2, true), "Relu", "Relx");
    nnf_module *b = with_operator(make_graph(3, true), "Relu", "Relx");
    nnf_module *other = with_operator(make_graph(2, true), "Relu", "Rely");
    nnf_verify_report report = verify(a, same, NULL);
    assert_true(report.ok && report.by_chain);
    assert_int_equal(report.n_rows, 0);
    assert_int_equal(report.n_same, 2);
    nnf_verify_report_clear(&report);
    report = verify(a, b, NULL);
    assert_false(report.ok);
    assert_int_equal(report.n_rows, 1);
    assert_string_equal(report.rows[0].name, "factor");
    assert_true(report.rows[0].max_abs_difference == 1);
    assert_int_equal(report.n_same, 1);
    nnf_verify_report_clear(&report);
    report = verify(a, other, NULL);
    assert_false(report.ok);
    assert_non_null(strstr(report.rows[0].problem, "attributes"));
    nnf_verify_report_clear(&report);
    nnf_module_release(a);
    nnf_module_release(same);
    nnf_module_release(b);
    nnf_module_release(other);
}

static nnf_module *leaky(double slope, const char *output) {
    nnf_module *graph = make_graph(1, true), *module;
    const nnf_activation_options options = {NNF_LEAKY_RELU, slope, 0};
    nnf_value y;
    assert_ok(nnf_activation_new_with(&module, &options));
    assert_ok(nnf_module_set(graph, "leaky", module));
    nnf_module_release(module);
    assert_ok(nnf_graph_add_call(graph, "leaky", (nnf_value[]){3}, 1, &output, &y, 1));
    assert_ok(nnf_graph_add_output(graph, y));
    return with_operator(graph, "LeakyRelu", "LeakyRelx");
}

/* What an attribute of an operator that nobody knows means, nobody knows: it has to be the same. */
static void attributes_are_compared_where_a_node_cannot_run(void **state) {
    (void)state;
    nnf_module *a = leaky(0.25, "z"), *same = leaky(0.25, "z"), *b = leaky(0.5, "z");
    nnf_verify_report report = verify(a, same, NULL);
    assert_true(report.ok && report.by_chain);
    assert_int_equal(report.n_same, 3);
    nnf_verify_report_clear(&report);
    report = verify(a, b, NULL);
    assert_false(report.ok);
    assert_int_equal(report.n_rows, 1);
    assert_string_equal(report.rows[0].name, nnf_graph_call_path(b, 2));
    nnf_verify_report_clear(&report);
    nnf_module_release(a);
    nnf_module_release(same);
    nnf_module_release(b);
}

/* y = Unknown(x) */
static nnf_module *new_unknown(void) {
    nnf_module *graph, *opaque;
    nnf_value x, y;
    assert_ok(nnf_graph_new(&graph));
    assert_ok(nnf_opaque_new(&opaque, "Unknown", ""));
    assert_ok(nnf_module_set(graph, "unknown", opaque));
    assert_ok(nnf_graph_add_input(graph, &x, "x", NULL));
    assert_ok(nnf_graph_add_call(graph, "unknown", &x, 1, (const char *const[]){"y"}, &y, 1));
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_module_release(opaque);
    return graph;
}

static void nothing_in_common_is_not_the_same(void **state) {
    (void)state;
    nnf_module *a = with_operator(make_graph(2, true), "Relu", "Relx");
    nnf_module *b = new_unknown();
    nnf_verify_report report = verify(a, b, NULL);
    assert_false(report.ok);
    assert_true(report.by_chain && report.why_by_chain);
    assert_int_equal(report.n_rows, 0);
    assert_int_equal(report.n_same, 0);
    nnf_verify_report_clear(&report);
    nnf_module_release(a);
    nnf_module_release(b);
}

TEST_MAIN(cmocka_unit_test(a_model_equals_itself),
          cmocka_unit_test(differences_are_relative_to_the_largest_value),
          cmocka_unit_test(an_output_of_zeros_compares_absolutely),
          cmocka_unit_test(nan_and_infinities_match_in_place),
          cmocka_unit_test(labels_are_counted_for_both),
          cmocka_unit_test(right_answers_of_views_are_counted),
          cmocka_unit_test(shapes_come_from_the_options),
          cmocka_unit_test(what_goes_wrong_in_either_model_is_told),
          cmocka_unit_test(unknown_dimensions_are_named),
          cmocka_unit_test(random_inputs_are_normal_and_repeat),
          cmocka_unit_test(different_interfaces_are_an_error),
          cmocka_unit_test(each_chain_is_checked_alone_where_a_node_cannot_run),
          cmocka_unit_test(a_chain_reads_its_constants),
          cmocka_unit_test(an_interface_has_to_be_the_same_both_ways),
          cmocka_unit_test(constants_are_compared_where_a_node_cannot_run),
          cmocka_unit_test(attributes_are_compared_where_a_node_cannot_run),
          cmocka_unit_test(nothing_in_common_is_not_the_same))
