/* Finding chains in a Graph: which, in what order, and why others are left alone. */
#include "graph_support.h"

static const char *reason_of(const nnf_chain_list *list, const char *name) {
    for (size_t i = 0; i < list->n_left; i++)
        if (!strcmp(list->left[i].name, name)) return list->left[i].reason;
    fail_msg("'%s' is not among those left alone", name);
    return NULL;
}

static nnf_chain_list *find(const nnf_module *graph) {
    nnf_chain_list *list = NULL;
    assert_ok(nnf_find_chains(&list, graph, NULL));
    return list;
}

static void the_longest_chain_is_found(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph();
    nnf_chain_list *list = find(graph);
    assert_int_equal(list->n_chains, 1);
    assert_int_equal(list->n_left, 0);
    const nnf_found_chain *found = &list->chains[0];
    assert_int_equal(found->chain.length, 3);
    assert_string_equal(found->chain.names[0], "conv");
    assert_string_equal(found->chain.names[2], "relu");
    assert_string_equal(found->types[0], "Conv2d");
    assert_string_equal(found->types[1], "BatchNorm2d");
    assert_string_equal(found->types[2], "ReLU");
    assert_string_equal(found->fused_type, "ConvReLU2d");
    assert_string_equal(calls_text(graph), "conv:Conv2d bn:BatchNorm2d relu:ReLU");
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

/* The end of a residual block: conv -> bn -> add -> relu. */
static nnf_module *residual_graph(void) {
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 4, 5, 5});
    nnf_conv_options options = nnf_conv_options_default(2, false, 4, 4, 3);
    options.padding_begin[0] = options.padding_begin[1] = 1;
    options.padding_end[0] = options.padding_end[1] = 1;
    nnf_module *conv;
    assert_ok(nnf_conv_new(&conv, &options, false, NNF_F32));
    fill(conv, 9);
    add_module(graph, "conv", conv);
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "relu", new_relu());
    add_module(graph, "add", new_add());
    nnf_value y = call(graph, "bn", call(graph, "conv", x));
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", call2(graph, "add", y, x))));
    nnf_module_eval(graph);
    return graph;
}

static void an_activation_after_an_add_alone_has_no_row(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 2, (const int64_t[]){2, 3});
    add_module(graph, "add", new_add());
    add_module(graph, "relu", new_relu());
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", call2(graph, "add", x, x))));
    nnf_chain_list *list = find(graph);
    assert_int_equal(list->n_chains, 0);
    assert_int_equal(list->n_left, 1);
    assert_string_equal(list->left[0].type, "ReLU");
    assert_string_equal(reason_of(list, "relu"), "there is no fusion of 'Add, ReLU'");
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

static void nnf_fuse_fuses_what_is_found_in_place(void **state) {
    (void)state;
    nnf_module *graph = residual_graph(), *fused;
    assert_ok(nnf_module_copy(&fused, graph));
    nnf_fuse_report report = {0};
    nnf_mapping *mapping;
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_skip(mapping, "parallel")); /* which makes one convolution of it */
    assert_ok(nnf_fuse(fused, mapping, &report));
    nnf_mapping_release(mapping);
    assert_int_equal(report.n_fused, 1);
    assert_string_equal(calls_text(fused), "conv:ConvAddReLU2d");
    nnf_tensor *x = random_tensor(NNF_F32, 4, (const int64_t[]){1, 4, 5, 5}, -1, 1, 5);
    assert_same_function(graph, fused, x, 1e-5);
    nnf_tensor_release(x);
    nnf_fuse_report_clear(&report);
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void a_second_reader_or_a_graph_output_ends_a_chain(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph();
    assert_ok(nnf_graph_add_output(graph, nnf_graph_call_outputs(graph, 0)[0]));
    nnf_chain_list *list = find(graph);
    assert_int_equal(list->n_chains, 1);
    assert_string_equal(list->chains[0].fused_type, "BNReLU2d");
    assert_int_equal(list->n_left, 1); /* why the norm did not go into the convolution */
    assert_non_null(strstr(reason_of(list, "bn"), "is an output of the graph"));
    nnf_chain_list_release(list);
    assert_ok(nnf_graph_add_output(graph, nnf_graph_call_outputs(graph, 1)[0]));
    list = find(graph);
    assert_int_equal(list->n_chains, 0);
    assert_int_equal(list->n_left, 2);
    assert_non_null(strstr(reason_of(list, "bn"), "the output of 'conv'"));
    assert_non_null(strstr(reason_of(list, "bn"), "is an output of the graph"));
    assert_non_null(strstr(reason_of(list, "relu"), "the output of 'bn'"));
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

static void a_batch_norm_in_training_mode_ends_a_chain(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "bn", new_norm(2, 4));
    assert_ok(nnf_graph_add_output(graph, call(graph, "bn", call(graph, "conv", x))));
    nnf_module_train(graph, true);
    nnf_chain_list *list = find(graph);
    assert_int_equal(list->n_chains, 0);
    assert_non_null(strstr(reason_of(list, "bn"), "training mode"));
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

/* ONNX training_mode=1 in a module that is in eval mode. */
static void an_onnx_batch_norm_with_training_mode_ends_a_chain(void **state) {
    (void)state;
    nnf_module *graph = new_chain_graph();
    nnf_batchnorm_options *options = nnf_module_mut_options(at(graph, "bn"));
    options->training_mode = true;
    nnf_chain_list *list = find(graph);
    for (size_t i = 0; i < list->n_chains; i++)
        assert_string_not_equal(list->chains[i].chain.names[0], "conv");
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

static void what_cannot_be_folded_is_left_alone_with_that_reason(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "bn", new_norm(2, 4));
    assert_ok(nnf_graph_add_output(graph, call(graph, "bn", call(graph, "conv", x))));
    nnf_module_eval(graph);
    void *variance;
    assert_ok(nnf_tensor_mut_data(nnf_module_tensor(at(graph, "bn"), "running_var"), &variance));
    ((float *)variance)[1] = -2.0f;
    nnf_chain_list *list = find(graph);
    assert_int_equal(list->n_chains, 0);
    assert_non_null(strstr(reason_of(list, "bn"), "channel 1"));
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

static void an_activation_after_a_full_chain_has_no_row(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *root;
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    assert_ok(nnf_activation_new(&root, NNF_SQRT));
    add_module(graph, "first", new_relu());
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "sqrt", root);
    x = call(graph, "bn", call(graph, "conv", call(graph, "first", x)));
    assert_ok(nnf_graph_add_output(graph, call(graph, "sqrt", x)));
    nnf_module_eval(graph);
    nnf_chain_list *list = find(graph);
    assert_int_equal(list->n_chains, 1);
    assert_string_equal(reason_of(list, "sqrt"),
                        "there is no fusion of 'Conv2d, BatchNorm2d, Sqrt'");
    assert_string_equal(reason_of(list, "first"), "its input 'x' is no layer's output");
    nnf_chain_list_release(list);
    nnf_module_release(graph);
}

/* Behind a convolution; and in front of it, as it has no padding. */
static void batch_norms_in_a_row_fold_like_one(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    const char *const norms[] = {"before", "bn", "bn2", "bn3"};
    for (int i = 0; i < 4; i++)
        add_module(graph, norms[i], new_norm(2, i ? 4 : 2));
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "relu", new_relu());
    x = call(graph, "conv", call(graph, "before", x));
    for (int i = 1; i < 4; i++)
        x = call(graph, norms[i], x);
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", x)));
    nnf_module_eval(graph);

    nnf_module *fused = NULL;
    const char *const names[] = {"conv", "bn", "bn2", "bn3", "relu"};
    assert_ok(nnf_fuse_modules(&fused, graph, &(nnf_chain){names, 5}, 1, NULL));
    const int64_t shape[] = {1, 2, 5, 5};
    nnf_tensor *input = random_tensor(NNF_F32, 4, shape, -1, 1, 3);
    assert_same_function(graph, fused, input, 1e-5);
    assert_ok(nnf_fuse(graph, NULL, NULL));
    assert_string_equal(calls_text(graph), "conv:ConvReLU2d");
    assert_same_function(graph, fused, input, 1e-5);
    nnf_tensor_release(input);
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void only_a_graph_has_chains_to_find(void **state) {
    (void)state;
    nnf_module *relu = new_relu();
    nnf_chain_list *list;
    assert_error(nnf_find_chains(&list, relu, NULL), NNF_ERROR_INVALID, "ReLU");
    assert_error(nnf_fuse(relu, NULL, NULL), NNF_ERROR_INVALID, "ReLU");
    nnf_module_release(relu);
}

TEST_MAIN(cmocka_unit_test(the_longest_chain_is_found),
          cmocka_unit_test(an_activation_after_an_add_alone_has_no_row),
          cmocka_unit_test(nnf_fuse_fuses_what_is_found_in_place),
          cmocka_unit_test(a_second_reader_or_a_graph_output_ends_a_chain),
          cmocka_unit_test(a_batch_norm_in_training_mode_ends_a_chain),
          cmocka_unit_test(an_onnx_batch_norm_with_training_mode_ends_a_chain),
          cmocka_unit_test(what_cannot_be_folded_is_left_alone_with_that_reason),
          cmocka_unit_test(an_activation_after_a_full_chain_has_no_row),
          cmocka_unit_test(batch_norms_in_a_row_fold_like_one),
          cmocka_unit_test(only_a_graph_has_chains_to_find))
