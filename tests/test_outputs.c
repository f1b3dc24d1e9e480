/* What a run gives is the caller's to change: neither the model, nor what the caller put in, nor
 * another output, nor a later run sees it. */
#include "graph_support.h"

static double number(const nnf_tensor *tensor) {
    const void *data;
    assert_ok(nnf_tensor_data(tensor, &data));
    return (double)*(const float *)data;
}

static void overwrite(nnf_tensor *tensor, float with) {
    void *data;
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    *(float *)data = with;
}

static nnf_tensor *new_number(float value) {
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 1, (const int64_t[]){1}, &value));
    return tensor;
}

enum { CONSTANT, INPUT, COMPUTED, AGAIN, PASSED_ON, N_OUTPUTS };

/* Outputs: a constant 5, the input, relu(input) twice, and the constant through an Identity. */
static nnf_module *new_model(void) {
    nnf_module *graph = new_graph(), *identity;
    nnf_tensor *five = new_number(5);
    nnf_value x = add_input(graph, 1, (const int64_t[]){1}), c;
    assert_ok(nnf_graph_add_constant(graph, &c, "c", five));
    assert_ok(nnf_identity_new(&identity));
    add_module(graph, "relu", new_relu());
    add_module(graph, "identity", identity);
    nnf_value y = call(graph, "relu", x);
    assert_ok(nnf_graph_add_output(graph, c));
    assert_ok(nnf_graph_add_output(graph, x));
    assert_ok(nnf_graph_add_output(graph, y));
    assert_ok(nnf_graph_add_output(graph, y));
    assert_ok(nnf_graph_add_output(graph, call(graph, "identity", c)));
    nnf_module_eval(graph);
    nnf_tensor_release(five);
    return graph;
}

static void nobody_else_sees_what_is_written_to_outputs(void **state) {
    (void)state;
    static const double expected[N_OUTPUTS] = {5, 2, 2, 2, 5};
    for (int way = 0; way < 4; way++) {
        nnf_module *graph = new_model();
        nnf_session *sessions[2];
        const nnf_session_options options = {
            .kernels = way % 2 ? NNF_KERNELS_REFERENCE : NNF_KERNELS_DEFAULT, .runs_once = way / 2};
        nnf_tensor *x = new_number(2), *held[6][N_OUTPUTS];
        for (int s = 0; s < 2; s++)
            assert_ok(nnf_session_new(&sessions[s], graph, &options));
        for (int run = 0; run < 6; run++) {
            nnf_tensor **outputs = held[run];
            assert_ok(nnf_session_run(sessions[run % 2], &x, 1, outputs, N_OUTPUTS));
            for (int i = 0; i < N_OUTPUTS; i++)
                assert_true(number(outputs[i]) == expected[i]);
            for (int i = 0; i < N_OUTPUTS; i++)
                overwrite(outputs[i], 100 + (float)i);
            for (int i = 0; i < N_OUTPUTS; i++) /* each has its own */
                assert_true(number(outputs[i]) == 100 + i);
            assert_true(number(x) == 2);
            assert_true(number(nnf_graph_value_constant(graph, nnf_graph_output(graph, 0))) == 5);
        }
        for (int run = 0; run < 6; run++)
            for (int i = 0; i < N_OUTPUTS; i++)
                nnf_tensor_release(held[run][i]);
        nnf_tensor_release(x);
        for (int s = 0; s < 2; s++)
            nnf_session_release(sessions[s]);
        nnf_module_release(graph);
    }
}

/* The model's owner changes a constant that a caller has as an output. */
static void an_output_stays_when_the_model_changes(void **state) {
    (void)state;
    nnf_module *graph = new_model();
    nnf_session *session;
    nnf_tensor *x = new_number(2), *before[N_OUTPUTS], *after[N_OUTPUTS];
    assert_ok(nnf_session_new(&session, graph, NULL));
    assert_ok(nnf_session_run(session, &x, 1, before, N_OUTPUTS));
    overwrite(nnf_graph_value_constant(graph, nnf_graph_output(graph, 0)), 6);
    overwrite(x, 3);
    assert_ok(nnf_session_run(session, &x, 1, after, N_OUTPUTS));
    assert_true(number(before[CONSTANT]) == 5 && number(after[CONSTANT]) == 6);
    assert_true(number(before[INPUT]) == 2 && number(after[INPUT]) == 3);
    assert_true(number(before[COMPUTED]) == 2 && number(after[AGAIN]) == 3);
    assert_true(number(before[PASSED_ON]) == 5 && number(after[PASSED_ON]) == 6);
    for (int i = 0; i < N_OUTPUTS; i++) {
        nnf_tensor_release(before[i]);
        nnf_tensor_release(after[i]);
    }
    nnf_tensor_release(x);
    nnf_session_release(session);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(nobody_else_sees_what_is_written_to_outputs),
          cmocka_unit_test(an_output_stays_when_the_model_changes))
