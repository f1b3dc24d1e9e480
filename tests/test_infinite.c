/* Clip, alone and behind a convolution, where inputs or bounds are infinite: by both kernel sets
 * what ONNX says, min(max(x, low), high). */
#include <float.h>

#include "onednn_support.h"

enum { CHANNELS = 8, N = CHANNELS * 2 * 3 };

static nnf_module *clip_graph(double low, double high, bool behind_conv) {
    nnf_module *graph = NULL, *clip = NULL, *conv = NULL;
    const nnf_activation_options options = {NNF_CLIP, low, high};
    assert_ok(nnf_graph_new(&graph));
    nnf_value x = add_shaped_input(graph, "x");
    if (behind_conv) { /* which passes on what it gets */
        nnf_conv_options layer = nnf_conv_options_default(2, false, CHANNELS, CHANNELS, 1);
        void *weight;
        layer.groups = CHANNELS;
        assert_ok(nnf_conv_new(&conv, &layer, false, NNF_F32));
        assert_ok(nnf_tensor_mut_data(nnf_module_tensor(conv, "weight"), &weight));
        for (int i = 0; i < CHANNELS; i++)
            ((float *)weight)[i] = 1;
        add_module(graph, "conv", conv);
        x = call(graph, "conv", x);
    }
    assert_ok(nnf_activation_new_with(&clip, &options));
    add_module(graph, "clip", clip);
    assert_ok(nnf_graph_add_output(graph, call(graph, "clip", x)));
    nnf_module_eval(graph);
    assert_ok(nnf_fuse(graph, NULL, NULL));
    return graph;
}

static void check_clip(double low, double high, bool behind_conv, nnf_kernels kernels) {
    static const float values[] = {INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.25f, -0.25f, 3, -3, 0};
    float x[N];
    for (int i = 0; i < N; i++)
        x[i] = values[i % 9];
    nnf_tensor *input = NULL, *y = NULL;
    const void *data;
    assert_ok(nnf_tensor_from_data(&input, NNF_F32, 4, (const int64_t[]){1, CHANNELS, 2, 3}, x));
    nnf_module *graph = clip_graph(low, high, behind_conv);
    nnf_session *session = open_session(graph, kernels, 1);
    assert_ok(nnf_session_run(session, &input, 1, &y, 1));
    assert_ok(nnf_tensor_data(y, &data));
    for (int i = 0; i < N; i++) {
        double expected = fmin(fmax(x[i], low), high);
        if (((const float *)data)[i] == (float)expected) continue;
        fail_msg("Clip(%g, %g) of %g is %g%s", low, high, (double)x[i],
                 (double)((const float *)data)[i], behind_conv ? " behind a convolution" : "");
    }
    nnf_tensor_release(input);
    nnf_tensor_release(y);
    nnf_session_release(session);
    nnf_module_release(graph);
}

static void an_open_bound_is_no_bound(void **state) {
    (void)state;
    static const double bounds[][2] = {
        {0, INFINITY}, {-INFINITY, INFINITY}, {-INFINITY, 1},    {-0.5, INFINITY},
        {0, FLT_MAX},  {-FLT_MAX, FLT_MAX},   {-0.5, 1},         {INFINITY, INFINITY},
        {0, 6},        {-INFINITY, -1.5},     {1e300, INFINITY}, {-1e300, 1e300},
        {5, 2}};
    need_onednn();
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        for (int k = 0; k < 4; k++)
            check_clip(bounds[i][0], bounds[i][1], k & 1,
                       k & 2 ? NNF_KERNELS_ONEDNN : NNF_KERNELS_REFERENCE);
}

TEST_MAIN(cmocka_unit_test(an_open_bound_is_no_bound))
