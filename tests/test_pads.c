/* A Pad in front of a pooling whose window is dilated stays: the window may step over all that is
 * there, and the largest of its own padding is not 0. */
#include "graph_support.h"
#include "layer_support.h"
#include "nnfuse/fuse.h"

static nnf_module *padded_pool(int64_t dilation, const int64_t pads[8]) {
    nnf_module *graph = new_graph();
    nnf_pad_options pad = {.kind = NNF_PAD_CONSTANT, .n = 8};
    nnf_pool_options pool = {
        .spatial = 2, .kernel_size = {2, 2}, .stride = {1, 1}, .dilation = {dilation, 1}};
    memcpy(pad.pads, pads, sizeof *pads * 8);
    nnf_value x = add_input(graph, 4, (const int64_t[]){1, 1, 2, 2});
    add_module(graph, "relu", new_relu());
    add_module(graph, "pad", new_module("Pad", &pad));
    add_module(graph, "pool", new_module("MaxPool2d", &pool));
    x = call(graph, "pool", call(graph, "pad", call(graph, "relu", x)));
    assert_ok(nnf_graph_add_output(graph, x));
    nnf_module_eval(graph);
    return graph;
}

/* `n` values, by hand. */
static void check(int64_t dilation, const int64_t pads[8], size_t n_fused, const int64_t shape[4],
                  const float *values) {
    nnf_module *graph = padded_pool(dilation, pads);
    nnf_fuse_report report = {0};
    nnf_tensor *x = floats(4, (const int64_t[]){1, 1, 2, 2}, (const float[]){1, 2, 3, 4});
    nnf_tensor *expected = floats(4, shape, values), *y = NULL;
    assert_ok(nnf_fuse(graph, NULL, &report));
    assert_int_equal(nnf_graph_n_calls(graph), 3 - n_fused);
    assert_ok(nnf_module_forward(graph, &x, 1, &y, 1));
    assert_tensors_close(y, expected, 0);
    nnf_fuse_report_clear(&report);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(graph);
}

static void a_pad_along_a_dilated_axis_stays(void **state) {
    (void)state;
    /* rows 0 and 3 of [0; 1 2; 3 4; 0] */
    check(3, (const int64_t[]){0, 0, 1, 0, 0, 0, 1, 0}, 0, (const int64_t[]){1, 1, 1, 1},
          (const float[]){0});
}

static void one_along_another_axis_goes_in(void **state) {
    (void)state;
    check(1, (const int64_t[]){0, 0, 1, 0, 0, 0, 1, 0}, 1, (const int64_t[]){1, 1, 3, 1},
          (const float[]){2, 4, 4});
    check(1, (const int64_t[]){0, 0, 0, 1, 0, 0, 0, 1}, 1, (const int64_t[]){1, 1, 1, 3},
          (const float[]){3, 4, 4});
}

TEST_MAIN(cmocka_unit_test(a_pad_along_a_dilated_axis_stays),
          cmocka_unit_test(one_along_another_axis_goes_in))
