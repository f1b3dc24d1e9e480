/* Branches and layers in a row that become one: what stands in their way, and memory that is short.
 * test_fusions.c has them on random instances. */
#include <limits.h>

#include "graph_support.h"

/* relu((bn(conv3(x)) + conv1(x)) + x), and point(wide(y)) behind. */
static nnf_module *network(bool shared) {
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 4, 5, 5}), one, three;
    nnf_conv_options options = nnf_conv_options_default(2, false, 4, 4, 3);
    nnf_module *conv;
    options.padding_begin[0] = options.padding_begin[1] = 1;
    options.padding_end[0] = options.padding_end[1] = 1;
    assert_ok(nnf_conv_new(&conv, &options, false, NNF_F32));
    fill(conv, 3);
    add_module(graph, "conv3", conv);
    options = nnf_conv_options_default(2, false, 4, 4, 1);
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    fill(conv, 4);
    add_module(graph, "conv1", conv);
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "add", new_add());
    add_module(graph, "sum", new_add());
    add_module(graph, "relu", new_relu());
    options = nnf_conv_options_default(2, false, 4, 32, 1);
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    fill(conv, 5);
    add_module(graph, "wide", conv);
    options = nnf_conv_options_default(2, false, 32, 2, 1);
    assert_ok(nnf_conv_new(&conv, &options, true, NNF_F32));
    fill(conv, 6);
    add_module(graph, "point", conv);
    three = call(graph, "bn", call(graph, "conv3", x));
    one = call(graph, "conv1", x);
    if (shared) assert_ok(nnf_graph_add_output(graph, call(graph, "conv1", one)));
    nnf_value y = call(graph, "relu", call2(graph, "sum", call2(graph, "add", three, one), x));
    assert_ok(nnf_graph_add_output(graph, call(graph, "point", call(graph, "wide", y))));
    nnf_module_eval(graph);
    return graph;
}

static void branches_and_a_series_become_two_layers(void **state) {
    (void)state;
    nnf_module *graph = network(false), *fused;
    nnf_chain_list *found;
    nnf_fuse_report report = {0};
    assert_ok(nnf_module_copy(&fused, graph));
    assert_ok(nnf_fuse_found(&found, fused, NULL, &report));
    assert_string_equal(calls_text(fused), "conv3:ConvReLU2d wide:Conv2d");
    assert_int_equal(found->n_chains, 3);
    assert_int_equal(report.n_fused, 3);
    double least = 1;
    for (size_t i = 0; i < found->n_chains; i++)
        if (found->chains[i].saved > 0) least = fmin(least, found->chains[i].saved);
    assert_true(fabs(least - 0.1) < 1e-12); /* 9 of 10: a kernel of 9 where 9 and 1 were */
    nnf_tensor *x = random_tensor(NNF_F32, 4, (const int64_t[]){1, 4, 5, 5}, -1, 1, 5);
    assert_same_function(graph, fused, x, 1e-5);
    nnf_chain_list_release(found);
    nnf_fuse_report_clear(&report);
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void finding_changes_nothing(void **state) {
    (void)state;
    nnf_module *graph = network(false);
    nnf_chain_list *found;
    char before[1024];
    snprintf(before, sizeof before, "%s", calls_text(graph));
    assert_ok(nnf_find_chains(&found, graph, NULL));
    assert_int_equal(found->n_chains, 3);
    assert_string_equal(calls_text(graph), before);
    nnf_chain_list_release(found);
    nnf_module_release(graph);
}

static nnf_status no_hook(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                          nnf_tensor **outputs, size_t n_outputs, void *payload) {
    (void)module, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs, (void)payload;
    return NNF_OK;
}

static void assert_not_merged(nnf_module *graph, const char *path) {
    assert_ok(nnf_fuse(graph, NULL, NULL));
    if (!strstr(calls_text(graph), path)) fail_msg("%s is gone: %s", path, calls_text(graph));
    nnf_module_release(graph);
}

static void what_others_use_or_watch_is_not_merged(void **state) {
    (void)state;
    nnf_module *graph;
    assert_not_merged(network(true), "conv1:");
    graph = network(false);
    assert_ok(nnf_module_register_forward_hook(NULL, at(graph, "conv1"), no_hook, NULL));
    assert_not_merged(graph, "conv1:");
    graph = network(false);
    nnf_module_set_training(at(graph, "wide"), true);
    assert_not_merged(graph, "point:");
    graph = network(false);
    nnf_module_set_training(at(graph, "conv1"), true);
    assert_not_merged(graph, "conv1:");
}

/* conv(x, its weight, b), without a bias of its own: b is an input of the graph. */
static nnf_value call_with_bias(nnf_module *graph, const char *path, nnf_value x, nnf_value b) {
    const nnf_conv_options options = nnf_conv_options_default(2, false, 4, 4, 1);
    const nnf_value inputs[] = {x, NNF_NO_VALUE, b};
    nnf_value output;
    nnf_module *conv;
    assert_ok(nnf_conv_new(&conv, &options, false, NNF_F32));
    fill(conv, 8);
    add_module(graph, path, conv);
    assert_ok(nnf_graph_add_call(graph, path, inputs, 3, NULL, &output, 1));
    return output;
}

static void a_bias_that_is_no_constant_stays(void **state) {
    (void)state;
    for (int beside = 0; beside < 2; beside++) {
        nnf_module *graph = new_graph();
        nnf_value b, x = add_input(graph, 4, (const int64_t[]){1, 4, 5, 5});
        assert_ok(nnf_graph_add_input(graph, &b, "b", NULL));
        add_module(graph, "second", new_conv(2, false, 4, 4, 1));
        add_module(graph, "add", new_add());
        nnf_value first = call_with_bias(graph, "first", x, b);
        assert_ok(nnf_graph_add_output(graph,
                                       beside ? call2(graph, "add", first, call(graph, "second", x))
                                              : call(graph, "second", first)));
        nnf_module_eval(graph);
        assert_ok(nnf_fuse(graph, NULL, NULL));
        assert_string_equal(calls_text(graph), beside ? "first:Conv2d second:Conv2d add:Add"
                                                      : "first:Conv2d second:Conv2d");
        nnf_module_release(graph);
    }
}

/* ---- Memory that is short ---- */

typedef struct failing {
    int left, out;
} failing;

static void *failing_allocate(size_t size, void *payload) {
    failing *self = payload;
    if (self->left-- <= 0) return NULL;
    self->out++;
    return malloc(size);
}
static void *failing_reallocate(void *old, size_t size, void *payload) {
    failing *self = payload;
    if (self->left-- <= 0) return NULL;
    if (!old) self->out++;
    return realloc(old, size);
}
static void failing_deallocate(void *old, void *payload) {
    failing *self = payload;
    if (old) self->out--;
    free(old);
}

/* Every allocation fails in turn: the graph computes what it did, and nothing leaks. */
static void failing_allocations_leave_a_graph_that_computes_the_same(void **state) {
    (void)state;
    nnf_status status = NNF_ERROR_MEMORY;
    int tries = 0;
    nnf_module *reference = network(false);
    nnf_tensor *x = random_tensor(NNF_F32, 4, (const int64_t[]){1, 4, 5, 5}, -1, 1, 5);
    for (; status != NNF_OK && tries < 5000; tries++) {
        failing self = {INT_MAX, 0};
        nnf_library_options options = {.allocate = failing_allocate,
                                       .reallocate = failing_reallocate,
                                       .deallocate = failing_deallocate,
                                       .allocator_payload = &self};
        assert_ok(nnf_library_set_options(&options));
        nnf_module *graph = network(false);
        nnf_chain_list *found = NULL;
        self.left = tries;
        status = tries % 2 ? nnf_find_chains(&found, graph, NULL)
                           : nnf_fuse_found(&found, graph, NULL, NULL);
        self.left = INT_MAX;
        assert_true(status == NNF_OK || status == NNF_ERROR_MEMORY);
        if (tries % 16 == 0) assert_same_function(reference, graph, x, 1e-5);
        nnf_chain_list_release(found);
        nnf_module_release(graph);
        assert_ok(nnf_library_set_options(NULL));
        assert_int_equal(self.out, 0);
    }
    assert_int_equal(status, NNF_OK);
    assert_true(tries > 100);
    nnf_tensor_release(x);
    nnf_module_release(reference);
}

TEST_MAIN(cmocka_unit_test(branches_and_a_series_become_two_layers),
          cmocka_unit_test(finding_changes_nothing),
          cmocka_unit_test(what_others_use_or_watch_is_not_merged),
          cmocka_unit_test(a_bias_that_is_no_constant_stays),
          cmocka_unit_test(failing_allocations_leave_a_graph_that_computes_the_same))
