/* fuse_modules on Graphs: calls are replaced, and what would change the result is refused. */
#include "graph_support.h"

#include "module/graph_internal.h"

static const nnf_chain conv_bn_relu = CHAIN("conv", "bn", "relu");
static const nnf_chain conv_bn = CHAIN("conv", "bn");

static nnf_tensor *new_input(void) {
    return random_tensor(NNF_F32, 4, (const int64_t[]){1, 2, 5, 5}, -1, 1, 5);
}

static nnf_status fuse_in_place(nnf_module *graph, const nnf_chain *chains, size_t n) {
    nnf_module *out;
    const nnf_fuse_options options = {.inplace = true};
    nnf_status status = nnf_fuse_modules(&out, graph, chains, n, &options);
    if (status == NNF_OK) nnf_module_release(out);
    return status;
}

static void assert_refused(nnf_module *graph, const nnf_chain *chain, const char *reason) {
    char before[1024];
    strcpy(before, calls_text(graph));
    nnf_module *first = at(graph, chain->names[0]);
    assert_error(fuse_in_place(graph, chain, 1), NNF_ERROR_NOT_FUSABLE, reason, "cannot fuse '");
    assert_string_equal(calls_text(graph), before);
    assert_ptr_equal(at(graph, chain->names[0]), first);
}

/* Fuses a copy and compares what both compute. */
static nnf_module *assert_fuses(nnf_module *graph, const nnf_chain *chains, size_t n) {
    nnf_module *fused;
    nnf_tensor *x = new_input();
    assert_ok(nnf_fuse_modules(&fused, graph, chains, n, NULL));
    assert_same_function(graph, fused, x, 1e-5);
    nnf_tensor_release(x);
    return fused;
}

static void calls_are_replaced_by_one_at_the_place_of_the_first(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph();
    nnf_value y = nnf_graph_output(graph, 0);
    nnf_module *fused = assert_fuses(graph, &conv_bn_relu, 1);
    assert_string_equal(calls_text(fused), "conv:ConvReLU2d");
    assert_string_equal(calls_text(graph), "conv:Conv2d bn:BatchNorm2d relu:ReLU");
    assert_ptr_equal(at(fused, "conv"), nnf_graph_call_module(fused, 0));
    assert_string_equal(type_at(fused, "bn"), "Identity");
    assert_string_equal(type_at(fused, "relu"), "Identity");
    assert_int_equal(nnf_graph_output(fused, 0), y);
    assert_int_equal(nnf_graph_call_outputs(fused, 0)[0], y);
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void a_graph_is_fused_in_place_and_for_training(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph(), *out;
    const nnf_fuse_options options = {.inplace = true};
    nnf_module_train(graph, true);
    assert_ok(nnf_fuse_modules_qat(&out, graph, &conv_bn_relu, 1, &options));
    assert_ptr_equal(out, graph);
    assert_string_equal(calls_text(graph), "conv:ConvBnReLU2d");
    nnf_module_release(out);
    nnf_module_release(graph);
}

/* conv -> bn -> add(skip) -> relu, as at the end of a residual block. */
static void a_residual_is_refused_with_the_reader_named(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "relu", new_relu());
    add_module(graph, "add", new_add());
    nnf_value skip = call(graph, "conv", x);
    nnf_value y = call(graph, "bn", skip);
    nnf_value sum = call2(graph, "add", y, y);
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", sum)));
    nnf_module_eval(graph);
    assert_refused(graph, &conv_bn_relu, "the output of 'bn' is read by 'add'");
    nnf_module *fused = assert_fuses(graph, &conv_bn, 1);
    assert_string_equal(calls_text(fused), "conv:Conv2d add:Add relu:ReLU");
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void a_value_with_a_second_reader_is_refused(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "relu", new_relu());
    add_module(graph, "add", new_add());
    nnf_value y = call(graph, "bn", call(graph, "conv", x));
    nnf_value z = call2(graph, "add", y, call(graph, "relu", y));
    assert_ok(nnf_graph_add_output(graph, z));
    nnf_module_eval(graph);
    assert_refused(graph, &conv_bn_relu, "the output of 'bn' is also read by 'add'");
    nnf_module_release(graph);
}

static void a_value_that_is_a_graph_output_is_refused(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph();
    assert_ok(nnf_graph_add_output(graph, nnf_graph_call_outputs(graph, 0)[0]));
    assert_refused(graph, &conv_bn_relu, "is an output of the graph");
    nnf_module_release(graph);
}

/* One relu after two chains and after an add: fused for two calls, left for the third. */
static void a_shared_relu_is_fused_where_it_follows_and_stays_for_the_others(void **state) {
    (void)state;
    for (int others = 0; others < 2; others++) {
        nnf_module *graph = new_graph();
        nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
        add_module(graph, "conv1", new_conv(2, false, 2, 4, 1));
        add_module(graph, "conv2", new_conv(2, false, 4, 4, 2));
        add_module(graph, "relu", new_relu());
        add_module(graph, "add", new_add());
        nnf_value a = call(graph, "relu", call(graph, "conv1", x));
        a = call(graph, "relu", call(graph, "conv2", a));
        if (others) a = call(graph, "relu", call2(graph, "add", a, a));
        assert_ok(nnf_graph_add_output(graph, a));
        nnf_module_eval(graph);
        nnf_chain chains[] = {CHAIN("conv1", "relu"), CHAIN("conv2", "relu")};
        nnf_module *fused = assert_fuses(graph, chains, 2);
        assert_string_equal(calls_text(fused),
                            others ? "conv1:ConvReLU2d conv2:ConvReLU2d add:Add relu:ReLU"
                                   : "conv1:ConvReLU2d conv2:ConvReLU2d");
        assert_string_equal(type_at(fused, "relu"), others ? "ReLU" : "Identity");
        nnf_module_release(fused);
        nnf_module_release(graph);
    }
}

/* A hook of a relu that stays runs at every one of its calls, fused or not. */
static void a_hook_on_a_shared_relu_runs_once_for_each_of_its_calls(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "relu", new_relu());
    nnf_value a = call(graph, "relu", call(graph, "conv", x));
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", a)));
    nnf_module_eval(graph);
    trace seen = {.n = 0};
    letter r = {&seen, 'r'};
    assert_ok(nnf_module_register_forward_hook(NULL, at(graph, "relu"), forward_hook, &r));
    nnf_chain chain = CHAIN("conv", "relu");
    assert_ok(fuse_in_place(graph, &chain, 1));
    assert_string_equal(calls_text(graph), "conv:ConvReLU2d relu:ReLU");
    nnf_tensor *input = new_input();
    nnf_tensor_release(run(graph, input));
    assert_string_equal(seen.letters, "rr");
    nnf_tensor_release(input);
    nnf_module_release(graph);
}

static void a_shared_conv_or_bn_is_refused(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        nnf_module *graph = new_graph();
        nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
        add_module(graph, "conv", new_conv(2, false, 2, 2, 1));
        add_module(graph, "bn", new_norm(2, 2));
        x = call(graph, "bn", call(graph, "conv", x));
        assert_ok(nnf_graph_add_output(graph, call(graph, which ? "bn" : "conv", x)));
        nnf_module_eval(graph);
        assert_refused(graph, &conv_bn,
                       which ? "'bn' is called more than once" : "'conv' is called more than once");
        nnf_module_release(graph);
    }
}

static nnf_module *linear_graph(int ndim, const int64_t *shape) {
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, ndim, shape);
    add_module(graph, "linear", new_linear(6, 4));
    add_module(graph, "bn", new_norm(1, 4));
    assert_ok(nnf_graph_add_output(graph, call(graph, "bn", call(graph, "linear", x))));
    nnf_module_eval(graph);
    return graph;
}

static void linear_and_bn1d_on_rank_3_is_refused(void **state) {
    (void)state;
    const nnf_chain chain = CHAIN("linear", "bn");
    nnf_module *graph = linear_graph(3, (const int64_t[]){2, 4, 6});
    assert_refused(graph, &chain, "of rank 3, the channels are in axis 2");
    nnf_module_release(graph);
    graph = linear_graph(2, (const int64_t[]){2, 6});
    assert_ok(fuse_in_place(graph, &chain, 1));
    assert_string_equal(calls_text(graph), "linear:Linear");
    nnf_module_release(graph);
}

/* Conv takes its weight as an input, as an ONNX node does: constant, or given by the caller. */
static nnf_module *weight_graph(bool constant) {
    nnf_module *graph = new_graph();
    nnf_value inputs[2] = {add_input(graph, 4, (const int64_t[]){1, 2, 5, 5}), 0}, y;
    nnf_module *conv = new_conv(2, false, 2, 4, 1);
    nnf_tensor *weight = nnf_tensor_retain(nnf_module_tensor(conv, "weight"));
    if (!constant) assert_ok(nnf_module_set_parameter(conv, "weight", NULL));
    add_module(graph, "conv", conv);
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "relu", new_relu());
    if (constant)
        assert_ok(nnf_graph_add_constant(graph, &inputs[1], "w", weight));
    else
        assert_ok(nnf_graph_add_input(graph, &inputs[1], "w", NULL));
    assert_ok(nnf_graph_add_call(graph, "conv", inputs, 2, NULL, &y, 1));
    y = call(graph, "relu", call(graph, "bn", y));
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_module_eval(graph);
    nnf_tensor_release(weight);
    return graph;
}

static void a_weight_that_is_given_when_running_is_refused(void **state) {
    (void)state;
    nnf_module *graph = weight_graph(false);
    assert_refused(graph, &conv_bn_relu, "not a constant");
    nnf_module_release(graph);
    graph = weight_graph(true);
    assert_ok(fuse_in_place(graph, &conv_bn_relu, 1));
    assert_int_equal(nnf_graph_call_n_inputs(graph, 0), 2);
    assert_string_equal(nnf_graph_value_name(graph, nnf_graph_call_inputs(graph, 0)[1]), "w");
    nnf_module_release(graph);
}

static void a_graph_inside_a_larger_tree(void **state) {
    (void)state;
    nnf_module *tree = new_tree((const char *const[]){"net"},
                                (nnf_module *const[]){new_chain_graph()}, 1),
               *fused;
    nnf_chain chain = CHAIN("net.conv", "net.bn", "net.relu");
    assert_ok(nnf_fuse_modules(&fused, tree, &chain, 1, NULL));
    assert_string_equal(calls_text(at(fused, "net")), "conv:ConvReLU2d");
    nnf_module_release(fused);
    assert_ok(nnf_graph_add_output(at(tree, "net"), nnf_graph_call_outputs(at(tree, "net"), 1)[0]));
    assert_error(fuse_in_place(tree, &chain, 1), NNF_ERROR_NOT_FUSABLE,
                 "is an output of the graph");
    nnf_module_release(tree);
}

/* A Sequential that the graph calls as one: its children fuse as in any tree. */
static void a_plain_tree_inside_a_graph(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(
        graph, "block",
        new_sequential(
            (nnf_module *const[]){new_conv(2, false, 2, 4, 1), new_norm(2, 4), new_relu()}, 3));
    assert_ok(nnf_graph_add_output(graph, call(graph, "block", x)));
    nnf_module_eval(graph);
    nnf_chain chain = CHAIN("block.0", "block.1", "block.2");
    nnf_module *fused = assert_fuses(graph, &chain, 1);
    assert_string_equal(type_at(fused, "block.0"), "ConvReLU2d");
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void modules_of_two_graphs_are_refused(void **state) {
    (void)state;
    nnf_module *tree = new_tree((const char *const[]){"a", "b"},
                                (nnf_module *const[]){new_chain_graph(), new_chain_graph()}, 2);
    nnf_chain chain = CHAIN("a.conv", "b.bn");
    assert_error(fuse_in_place(tree, &chain, 1), NNF_ERROR_NOT_FUSABLE, "'a.conv' and 'b.bn'",
                 "same graph");
    nnf_module_release(tree);
}

static void assert_parameters(const nnf_module *graph, int64_t expected) {
    int64_t n = 0;
    assert_ok(nnf_graph_n_parameters(&n, graph));
    assert_int_equal(n, expected);
}

/* y = relu(bn(conv(x))) + t + same(t) + s: conv 4 x 2 kernels and biases, bn 2 x 4, t 4 by two
 * names; not the bn's running statistics, nor the number s. */
static void parameters_are_counted_as_trained(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph(), *identity, *pair;
    nnf_tensor *t = random_tensor(NNF_F32, 3, (const int64_t[]){4, 1, 1}, -1, 1, 6);
    nnf_tensor *s = random_tensor(NNF_F32, 1, (const int64_t[]){1}, -1, 1, 7);
    int64_t conv = nnf_tensor_numel(nnf_module_tensor(at(graph, "conv"), "weight")) + 4;
    assert_parameters(graph, conv + 8);
    nnf_value of_t, of_s;
    assert_ok(nnf_graph_add_constant(graph, &of_t, "t", t));
    assert_ok(nnf_graph_add_constant(graph, &of_s, "s", s));
    assert_ok(nnf_identity_new(&identity));
    add_module(graph, "identity", identity);
    nnf_value same = call(graph, "identity", of_t);
    assert_parameters(graph, conv + 8);
    nnfi_graph_of(graph)->values[same].constant = nnf_tensor_retain(t); /* as a reader does */
    nnf_value y = nnf_graph_output(graph, 0);
    for (int i = 0; i < 4; i++) {
        char path[] = "add0";
        path[3] = (char)('0' + i);
        add_module(graph, path, new_add());
        y = call2(graph, path, y, (nnf_value[]){of_t, of_t, same, of_s}[i]);
    }
    assert_parameters(graph, conv + 8 + 4 + 4);
    assert_ok(nnf_module_copy(&pair, graph));
    assert_ok(fuse_in_place(pair, &conv_bn, 1));
    assert_parameters(pair, conv + 4 + 4);
    assert_error(nnf_graph_n_parameters(&(int64_t){0}, identity), NNF_ERROR_INVALID, "Graph");
    nnf_tensor_release(t);
    nnf_tensor_release(s);
    nnf_module_release(pair);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(parameters_are_counted_as_trained),
          cmocka_unit_test(calls_are_replaced_by_one_at_the_place_of_the_first),
          cmocka_unit_test(a_graph_is_fused_in_place_and_for_training),
          cmocka_unit_test(a_residual_is_refused_with_the_reader_named),
          cmocka_unit_test(a_value_with_a_second_reader_is_refused),
          cmocka_unit_test(a_value_that_is_a_graph_output_is_refused),
          cmocka_unit_test(a_shared_relu_is_fused_where_it_follows_and_stays_for_the_others),
          cmocka_unit_test(a_hook_on_a_shared_relu_runs_once_for_each_of_its_calls),
          cmocka_unit_test(a_shared_conv_or_bn_is_refused),
          cmocka_unit_test(linear_and_bn1d_on_rank_3_is_refused),
          cmocka_unit_test(a_weight_that_is_given_when_running_is_refused),
          cmocka_unit_test(a_graph_inside_a_larger_tree),
          cmocka_unit_test(a_plain_tree_inside_a_graph),
          cmocka_unit_test(modules_of_two_graphs_are_refused))
