/* Sessions: what a layer's forward gets, errors, 16-bit floats. Graphs are in test_graph.c. */
#include "module_support.h"

#include "run/kernels.h"

static void a_session_runs_again_and_again(void **state) {
    (void)state;
    nnf_module *module = new_scale(3);
    nnf_session *session = NULL;
    assert_ok(nnf_session_new(&session, module, &(nnf_session_options){.threads = 2}));
    nnf_module_release(module); /* the session holds it */
    assert_int_equal(nnf_session_threads(session), 2);
    assert_non_null(nnfi_session_kernels(session));
    for (int64_t n = 1; n < 4; n++) {
        const float numbers[3] = {1, 2, 3};
        nnf_tensor *x = vector(numbers, n), *y = NULL;
        assert_ok(nnf_session_run(session, &x, 1, &y, 1));
        assert_int_equal(nnf_tensor_numel(y), n);
        assert_true(element(y, n - 1) == 3.0f * (float)n);
        nnf_tensor_release(x);
        nnf_tensor_release(y);
    }
    nnf_session_release(session);
    nnf_session_release(NULL);
}

/* What is packed late is computed by the same kernels, from mapped weights and from folded ones
 * that nobody has read yet. */
static void a_session_that_runs_once_gives_the_same_numbers(void **state) {
    (void)state;
    for (int fused = 0; fused < 2; fused++) {
        nnf_module *model;
        nnf_tensor *x, *outputs[4];
        void *pixels;
        const void *numbers[4];
        assert_ok(nnf_onnx_load(&model, NNFUSE_MODELS "/digits.onnx",
                                &(nnf_onnx_load_options){.map = true}));
        if (fused) assert_ok(nnf_fuse(model, NULL, NULL));
        assert_ok(nnf_tensor_new(&x, NNF_F32, 4, (int64_t[]){2, 1, 8, 8}));
        assert_ok(nnf_tensor_mut_data(x, &pixels));
        for (int i = 0; i < 128; i++)
            ((float *)pixels)[i] = (float)(i * 37 % 101) / 101;
        for (int i = 0; i < 4; i++) {
            nnf_session *session;
            const nnf_session_options options = {.runs_once = i < 3};
            assert_ok(nnf_session_new(&session, model, &options));
            for (int run = 0; run <= i % 2; run++) { /* it may run twice nevertheless */
                if (run > 0) nnf_tensor_release(outputs[i]);
                assert_ok(nnf_session_run(session, &x, 1, &outputs[i], 1));
            }
            nnf_session_release(session);
            assert_ok(nnf_tensor_data(outputs[i], &numbers[i]));
            assert_memory_equal(numbers[i], numbers[0], (size_t)nnf_tensor_nbytes(outputs[i]));
        }
        for (int i = 0; i < 4; i++)
            nnf_tensor_release(outputs[i]);
        nnf_tensor_release(x);
        nnf_module_release(model);
    }
}

static void bad_arguments_are_errors(void **state) {
    (void)state;
    nnf_module *module = new_scale(3);
    nnf_session *session = NULL;
    nnf_tensor *y = NULL;
    assert_error(nnf_session_new(&session, NULL, NULL), NNF_ERROR_INVALID, "module");
    assert_error(nnf_session_new(&session, module, &(nnf_session_options){.threads = -1}),
                 NNF_ERROR_INVALID, "0 to 1024 threads", "not -1");
    assert_error(nnf_session_new(&session, module, &(nnf_session_options){.threads = 1025}),
                 NNF_ERROR_INVALID, "not 1025");
    assert_null(session);
    assert_ok(nnf_session_new(&session, module, NULL));
    assert_true(nnf_session_threads(session) >= 1);
    assert_error(nnf_session_run(session, NULL, 1, &y, 1), NNF_ERROR_INVALID, "inputs");
    assert_error(nnf_session_run(session, NULL, 0, NULL, 1), NNF_ERROR_INVALID, "outputs");
    assert_error(nnf_session_run(session, NULL, 0, &y, 1), NNF_ERROR_INVALID, "Scale: ");
    assert_null(y);
    nnf_session_release(session);
    nnf_module_release(module);
}

static void sixteen_bit_inputs_and_weights_are_widened_and_results_rounded(void **state) {
    (void)state;
    static const nnf_dtype dtypes[] = {NNF_F16, NNF_BF16};
    for (size_t i = 0; i < 2; i++) {
        nnf_module *module = new_scale(3);
        nnf_tensor *wide = VECTOR(1.5f, 2.5f), *bias = VECTOR(0.25f), *x = NULL, *y = NULL,
                   *result = NULL;
        assert_ok(nnf_module_set_parameter(module, "bias", bias));
        assert_ok(nnf_module_to(module, dtypes[i]));
        assert_ok(nnf_tensor_convert(&x, wide, dtypes[i]));
        assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
        assert_int_equal(nnf_tensor_dtype(y), dtypes[i]);
        assert_ok(nnf_tensor_convert(&result, y, NNF_F32));
        assert_true(element(result, 0) == 4.75f);
        assert_true(element(result, 1) == 7.75f);
        nnf_tensor *all[] = {wide, bias, x, y, result};
        for (size_t t = 0; t < 5; t++)
            nnf_tensor_release(all[t]);
        nnf_module_release(module);
    }
}

static void forward_gets_contiguous_inputs(void **state) {
    (void)state;
    nnf_module *module = new_scale(2);
    nnf_tensor *x = VECTOR(1, 2, 3, 4), *every_second = NULL, *y = NULL;
    assert_ok(nnf_tensor_view(&every_second, x, 1, (int64_t[]){2}, (int64_t[]){2}, 1));
    assert_ok(nnf_module_forward(module, &every_second, 1, &y, 1));
    assert_true(element(y, 0) == 4 && element(y, 1) == 8);
    nnf_tensor_release(x);
    nnf_tensor_release(every_second);
    nnf_tensor_release(y);
    nnf_module_release(module);
}

static void an_unset_slot_is_read_from_the_inputs_and_a_set_one_wins(void **state) {
    (void)state;
    nnf_module *module = new_scale(1);
    nnf_tensor *x = VECTOR(1), *given = VECTOR(10), *own = VECTOR(100), *y = NULL;
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    assert_true(element(y, 0) == 1);
    nnf_tensor_release(y);
    assert_ok(nnf_module_forward(module, (nnf_tensor *[]){x, given}, 2, &y, 1));
    assert_true(element(y, 0) == 11);
    nnf_tensor_release(y);
    assert_ok(nnf_module_set_parameter(module, "bias", own));
    assert_ok(nnf_module_forward(module, (nnf_tensor *[]){x, given}, 2, &y, 1));
    assert_true(element(y, 0) == 101);
    nnf_tensor_release(y);
    nnf_tensor_release(x);
    nnf_tensor_release(given);
    nnf_tensor_release(own);
    nnf_module_release(module);
}

/* ---- Modules that call modules ---- */

static nnf_status outer_forward(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                                size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    return nnf_session_call(session, nnf_module_child_name(module, 0), nnf_module_child(module, 0),
                            inputs, n_inputs, outputs, n_outputs);
}
static const nnf_module_type outer_type = {
    .name = "Outer", .forward = outer_forward, .flags = NNF_TYPE_RUNS_CHILDREN};

static nnf_module *new_outer(const char *name, nnf_module *child) {
    nnf_module *outer = NULL;
    assert_ok(nnf_module_new(&outer, &outer_type, NULL));
    set_and_release(outer, name, child);
    return outer;
}

static void an_error_of_a_layer_begins_with_its_path(void **state) {
    (void)state;
    nnf_module *root = new_outer("layer1", new_outer("0", new_scale(1)));
    nnf_tensor *matrix = NULL, *y = NULL;
    assert_ok(nnf_tensor_new(&matrix, NNF_F32, 2, (int64_t[]){2, 2}));
    assert_int_equal(nnf_module_forward(root, &matrix, 1, &y, 1), NNF_ERROR_SHAPE);
    assert_string_equal(nnf_error_message(), "'layer1.0' (Scale): a vector is needed, not rank 2");
    assert_null(y);
    nnf_tensor_release(matrix);
    nnf_module_release(root);
}

static void what_has_no_forward_cannot_be_run(void **state) {
    (void)state;
    nnf_module *root = new_outer("stem", new_box()), *box = new_box();
    nnf_tensor *x = VECTOR(1), *y = NULL;
    assert_int_equal(nnf_module_forward(root, &x, 1, &y, 1), NNF_ERROR_UNSUPPORTED);
    assert_string_equal(nnf_error_message(), "'stem' (Box) cannot be run by nnfuse");
    assert_error(nnf_module_forward(box, &x, 1, &y, 1), NNF_ERROR_UNSUPPORTED,
                 "a Box cannot be run");
    nnf_tensor_release(x);
    nnf_module_release(box);
    nnf_module_release(root);
}

static void nesting_without_end_is_an_error(void **state) {
    (void)state;
    nnf_module *root = new_scale(1);
    for (int i = 0; i < 1100; i++)
        root = new_outer("x", root);
    nnf_tensor *x = VECTOR(1), *y = NULL;
    assert_error(nnf_module_forward(root, &x, 1, &y, 1), NNF_ERROR_UNSUPPORTED, "1000");
    nnf_tensor_release(x);
    nnf_module_release(root);
}

static nnf_status lazy_forward(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                               size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    (void)session, (void)module, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs;
    return NNF_OK;
}
static const nnf_module_type lazy_type = {.name = "Lazy", .forward = lazy_forward};

static void a_forward_that_gives_nothing_is_an_error(void **state) {
    (void)state;
    nnf_module *lazy = NULL;
    nnf_tensor *y = NULL;
    assert_ok(nnf_module_new(&lazy, &lazy_type, NULL));
    assert_error(nnf_module_forward(lazy, NULL, 0, &y, 1), NNF_ERROR_INVALID,
                 "Lazy: ", "output number 0");
    nnf_module_release(lazy);
}

static void a_layer_may_have_many_outputs(void **state) {
    (void)state;
    nnf_module *pair = new_pair();
    nnf_tensor *inputs[2] = {VECTOR(5, 6), VECTOR(1, 2)}, *outputs[2];
    assert_ok(nnf_module_forward(pair, inputs, 2, outputs, 2));
    assert_true(element(outputs[0], 1) == 8);
    assert_true(element(outputs[1], 1) == 4);
    for (int i = 0; i < 2; i++) {
        nnf_tensor_release(inputs[i]);
        nnf_tensor_release(outputs[i]);
    }
    nnf_module_release(pair);
}

TEST_MAIN(cmocka_unit_test(a_session_runs_again_and_again),
          cmocka_unit_test(a_session_that_runs_once_gives_the_same_numbers),
          cmocka_unit_test(bad_arguments_are_errors),
          cmocka_unit_test(sixteen_bit_inputs_and_weights_are_widened_and_results_rounded),
          cmocka_unit_test(forward_gets_contiguous_inputs),
          cmocka_unit_test(an_unset_slot_is_read_from_the_inputs_and_a_set_one_wins),
          cmocka_unit_test(an_error_of_a_layer_begins_with_its_path),
          cmocka_unit_test(what_has_no_forward_cannot_be_run),
          cmocka_unit_test(nesting_without_end_is_an_error),
          cmocka_unit_test(a_forward_that_gives_nothing_is_an_error),
          cmocka_unit_test(a_layer_may_have_many_outputs))
