/* A run believes what its tensors and modules are, not what a file or an earlier state of the model
 * said of them: the kernels that run by default give what the reference kernels give. */
#include "graph_support.h"
#include "module/graph_internal.h"

enum { MOST_OUTPUTS = 2 };

static nnf_tensor *floats(int64_t n, const float *values) {
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 1, &n, values));
    return tensor;
}

static nnf_value vector_input(nnf_module *graph, const char *name, nnf_dtype dtype) {
    nnf_type_info info;
    nnf_value value;
    nnf_type_info_init(&info);
    info.dtype = dtype;
    info.ndim = 1;
    info.shape[0] = (nnf_dim){0, NNF_DIM_UNKNOWN};
    assert_ok(nnf_graph_add_input(graph, &value, name, &info));
    return value;
}

/* The file says that the value is int64 or float32 of that shape. */
static void declare(nnf_module *graph, nnf_value value, nnf_dtype dtype, int ndim, int64_t size) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = dtype;
    info.ndim = ndim;
    for (int i = 0; i < ndim; i++)
        info.shape[i] = (nnf_dim){size, 0};
    assert_ok(nnfi_value_set_info(&nnfi_graph_of(graph)->values[value], &info));
}

/* Runs under both kernel sets and compares all outputs. */
static void expect_the_reference(nnf_module *graph, nnf_tensor **inputs, size_t n_inputs) {
    nnf_tensor *outputs[2][MOST_OUTPUTS] = {{NULL}};
    const size_t n = nnf_graph_n_outputs(graph);
    for (int set = 0; set < 2; set++) {
        nnf_session *session;
        const nnf_session_options options = {.kernels =
                                                 set ? NNF_KERNELS_REFERENCE : NNF_KERNELS_DEFAULT};
        assert_ok(nnf_session_new(&session, graph, &options));
        assert_ok(nnf_session_run(session, inputs, n_inputs, outputs[set], n));
        nnf_session_release(session);
    }
    for (size_t i = 0; i < n; i++) {
        nnf_tensor *a = outputs[0][i], *b = outputs[1][i];
        const void *a_data, *b_data;
        assert_int_equal(nnf_tensor_dtype(a), nnf_tensor_dtype(b));
        assert_int_equal(nnf_tensor_ndim(a), nnf_tensor_ndim(b));
        assert_memory_equal(nnf_tensor_shape(a), nnf_tensor_shape(b),
                            sizeof(int64_t) * (size_t)nnf_tensor_ndim(a));
        assert_ok(nnf_tensor_data(a, &a_data));
        assert_ok(nnf_tensor_data(b, &b_data));
        assert_memory_equal(a_data, b_data, (size_t)nnf_tensor_nbytes(a));
        nnf_tensor_release(a);
        nnf_tensor_release(b);
    }
}

static void more_elements_come_than_were_declared(void **state) {
    (void)state;
    enum { N = 1000 };
    float ones[N];
    nnf_module *graph = new_graph(), *nonzero;
    nnf_value x = vector_input(graph, "x", NNF_F32);
    assert_ok(nnf_module_new(&nonzero, nnf_type("NonZero"), NULL));
    add_module(graph, "nonzero", nonzero);
    nnf_value y = call(graph, "nonzero", x);
    declare(graph, y, NNF_I64, 2, 1);
    assert_ok(nnf_graph_add_output(graph, y));
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    nnf_tensor *inputs[] = {floats(N, ones)};
    expect_the_reference(graph, inputs, 1);
    nnf_tensor_release(inputs[0]);
    nnf_module_release(graph);
}

static void less_elements_come_than_were_declared(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *reshape;
    nnf_value x = vector_input(graph, "x", NNF_F32), shape = vector_input(graph, "s", NNF_I64);
    assert_ok(nnf_module_new(&reshape, nnf_type("Reshape"), &(nnf_reshape_options){0}));
    add_module(graph, "reshape", reshape);
    add_module(graph, "relu", new_relu());
    nnf_value y = call2(graph, "reshape", x, shape);
    declare(graph, y, NNF_F32, 2, 1000);
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", y)));
    nnf_tensor *inputs[] = {floats(2, (const float[]){-1, 2}), NULL};
    assert_ok(nnf_tensor_from_data(&inputs[1], NNF_I64, 1, (const int64_t[]){2},
                                   (const int64_t[]){2, 1}));
    expect_the_reference(graph, inputs, 2);
    nnf_tensor_release(inputs[0]);
    nnf_tensor_release(inputs[1]);
    nnf_module_release(graph);
}

/* x + Constant, whose module gets another tensor and then makes way for another module. The reader
 * sets what a Constant gives as the value's constant, as is done here. */
static void a_constant_is_what_its_module_holds(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *constant;
    nnf_value x = vector_input(graph, "x", NNF_F32), c;
    nnf_tensor *one = floats(1, (const float[]){1}), *two = floats(2, (const float[]){2, 20});
    nnf_tensor *inputs[] = {floats(2, (const float[]){-1, 2})};
    assert_ok(nnf_constant_new(&constant, one));
    add_module(graph, "constant", constant);
    assert_ok(nnf_graph_add_call(graph, "constant", NULL, 0, NULL, &c, 1));
    nnfi_graph_of(graph)->values[c].constant = nnf_tensor_retain(one);
    add_module(graph, "add", new_add());
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", x, c)));
    expect_the_reference(graph, inputs, 1);
    assert_ok(nnf_module_set_parameter(constant, "value", two));
    expect_the_reference(graph, inputs, 1);
    assert_ok(nnf_constant_new(&constant, one));
    add_module(graph, "constant", constant);
    expect_the_reference(graph, inputs, 1);
    nnf_tensor_release(one);
    nnf_tensor_release(two);
    nnf_tensor_release(inputs[0]);
    nnf_module_release(graph);
}

/* A Dropout's mask, a MaxPool's values: the other output alone is wanted. */
static void an_output_is_not_wanted(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *dropout, *pool;
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 1, 2, 2}), y[2];
    const nnf_pool_options options = nnf_pool_options_default(2, false, 2);
    nnf_tensor *image;
    assert_ok(nnf_dropout_new(&dropout, 0.5));
    assert_ok(nnf_pool_new(&pool, &options));
    add_module(graph, "dropout", dropout);
    add_module(graph, "pool", pool);
    assert_ok(nnf_graph_add_call(graph, "dropout", &x, 1, NULL, y, 2));
    nnfi_graph_of(graph)->calls[0]->outputs[1] = NNF_NO_VALUE;
    assert_ok(nnf_graph_add_output(graph, y[0]));
    assert_ok(nnf_graph_add_call(graph, "pool", &x, 1, NULL, y, 2));
    nnfi_graph_of(graph)->calls[1]->outputs[0] = NNF_NO_VALUE;
    assert_ok(nnf_graph_add_output(graph, y[1]));
    nnf_module_eval(graph);
    assert_ok(nnf_tensor_from_data(&image, NNF_F32, 4, (const int64_t[]){1, 1, 2, 2},
                                   (const float[]){-1, 1, 2, 3}));
    expect_the_reference(graph, &image, 1);
    nnf_tensor_release(image);
    nnf_module_release(graph);
}

/* Its kernel size is the weight's, where its options say none. */
static void a_convolution_without_its_sizes(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *conv;
    nnf_conv_options options = nnf_conv_options_default(2, false, 1, 1, 2);
    nnf_tensor *image, *weight;
    options.kernel_size[0] = options.kernel_size[1] = 0;
    assert_ok(nnf_module_new(&conv, nnf_type("Conv2d"), &options));
    assert_ok(nnf_tensor_from_data(&weight, NNF_F32, 4, (const int64_t[]){1, 1, 2, 2},
                                   (const float[]){1, 2, 3, 4}));
    assert_ok(nnf_module_set_parameter(conv, "weight", weight));
    add_module(graph, "conv", conv);
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 1, 2, 2});
    assert_ok(nnf_graph_add_output(graph, call(graph, "conv", x)));
    assert_ok(nnf_tensor_from_data(&image, NNF_F32, 4, (const int64_t[]){1, 1, 2, 2},
                                   (const float[]){-1, 1, 2, 3}));
    expect_the_reference(graph, &image, 1);
    nnf_tensor_release(image);
    nnf_tensor_release(weight);
    nnf_module_release(graph);
}

static void nothing_is_read_outside_of_a_tensor(void **state) {
    (void)state;
    float out[4];
    nnf_tensor *tensor = floats(2, (const float[]){1, 2});
    assert_error(nnf_tensor_read(tensor, -4, 4, out), NNF_ERROR_INVALID, "elements");
    assert_error(nnf_tensor_read(tensor, 2, -1, out), NNF_ERROR_INVALID, "elements");
    assert_error(nnf_tensor_read(tensor, 1, 2, out), NNF_ERROR_INVALID, "elements");
    nnf_tensor_release(tensor);
}

static nnf_status halve(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                        nnf_tensor **outputs, size_t n_outputs, void *payload) {
    void *data;
    (void)module, (void)inputs, (void)n_inputs, (void)n_outputs;
    ++*(int *)payload;
    NNFI_TRY(nnf_tensor_mut_data(outputs[0], &data));
    *(float *)data /= 2;
    return NNF_OK;
}

static nnf_status widen(nnf_module *module, nnf_tensor **inputs, size_t n_inputs, void *payload) {
    (void)module, (void)n_inputs, (void)payload;
    nnf_tensor *wide;
    NNFI_TRY(nnf_tensor_convert(&wide, inputs[0], NNF_F32));
    nnf_tensor_release(inputs[0]);
    inputs[0] = wide;
    return NNF_OK;
}

/* On the graph itself, on a layer that nobody reads, and one that makes an input what its layer
 * takes. */
static void hooks_run_wherever_they_are(void **state) {
    (void)state;
    int n_halved = 0;
    nnf_hook *hook;
    nnf_module *graph = new_graph(), *relu, *unread;
    nnf_value x = vector_input(graph, "x", NNF_U8);
    nnf_tensor *input;
    add_module(graph, "relu", new_relu());
    add_module(graph, "unread", new_relu());
    nnf_value y = call(graph, "relu", x);
    call(graph, "unread", y);
    assert_ok(nnf_graph_add_output(graph, y));
    assert_ok(nnf_module_get(&relu, graph, "relu"));
    assert_ok(nnf_module_get(&unread, graph, "unread"));
    assert_ok(nnf_module_register_forward_pre_hook(&hook, relu, widen, NULL));
    nnf_hook_release(hook);
    assert_ok(nnf_module_register_forward_hook(&hook, unread, halve, &n_halved));
    nnf_hook_release(hook);
    assert_ok(nnf_module_register_forward_hook(&hook, graph, halve, &n_halved));
    nnf_hook_release(hook);
    assert_ok(
        nnf_tensor_from_data(&input, NNF_U8, 1, (const int64_t[]){2}, (const uint8_t[]){8, 6}));
    expect_the_reference(graph, &input, 1);
    assert_int_equal(n_halved, 4);
    nnf_tensor_release(input);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(more_elements_come_than_were_declared),
          cmocka_unit_test(less_elements_come_than_were_declared),
          cmocka_unit_test(a_constant_is_what_its_module_holds),
          cmocka_unit_test(an_output_is_not_wanted),
          cmocka_unit_test(a_convolution_without_its_sizes),
          cmocka_unit_test(nothing_is_read_outside_of_a_tensor),
          cmocka_unit_test(hooks_run_wherever_they_are))
