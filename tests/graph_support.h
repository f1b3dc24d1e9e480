/* Graphs for tests of fusing: a builder in which a call is one line. */
#ifndef GRAPH_SUPPORT_H
#define GRAPH_SUPPORT_H

#include "fuse_support.h"
#include "nnfuse/graph.h"

static inline nnf_module *new_graph(void) {
    nnf_module *graph;
    assert_ok(nnf_graph_new(&graph));
    return graph;
}

/* An input [1, channels, 5, 5], or of another shape. */
static inline nnf_value add_input(nnf_module *graph, int ndim, const int64_t *shape) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = NNF_F32;
    info.ndim = ndim;
    for (int i = 0; i < ndim; i++)
        info.shape[i] = (nnf_dim){shape[i], 0};
    nnf_value value;
    assert_ok(nnf_graph_add_input(graph, &value, "x", &info));
    nnf_type_info_clear(&info);
    return value;
}

/* Puts the module into the graph's tree; takes the reference. */
static inline void add_module(nnf_module *graph, const char *path, nnf_module *module) {
    assert_ok(nnf_module_set(graph, path, module));
    nnf_module_release(module);
}

/* Calls the module at `path` on one or two values (b: NNF_NO_VALUE for one). */
static inline nnf_value call2(nnf_module *graph, const char *path, nnf_value a, nnf_value b) {
    nnf_value inputs[] = {a, b}, output;
    assert_ok(nnf_graph_add_call(graph, path, inputs, b == NNF_NO_VALUE ? 1 : 2, NULL, &output, 1));
    return output;
}
static inline nnf_value call(nnf_module *graph, const char *path, nnf_value input) {
    return call2(graph, path, input, NNF_NO_VALUE);
}

static inline nnf_module *new_add(void) {
    nnf_module *module;
    assert_ok(nnf_binary_new(&module, NNF_ADD));
    return module;
}

/* x -> conv -> bn -> relu -> y, in eval mode. */
static inline nnf_module *new_chain_graph(void) {
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 2, 5, 5});
    add_module(graph, "conv", new_conv(2, false, 2, 4, 1));
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "relu", new_relu());
    x = call(graph, "relu", call(graph, "bn", call(graph, "conv", x)));
    assert_ok(nnf_graph_add_output(graph, x));
    nnf_module_eval(graph);
    return graph;
}

#endif
