/* Residuals and activations beside ReLU: what fuses, what does not, and that the fused graph
 * computes what the unfused one does, in the reference kernels and in those that run a fused type
 * as one. */
#include "graph_support.h"
#include "nnfuse/session.h"

static nnf_module *new_activation(nnf_activation kind) {
    nnf_module *module;
    assert_ok(nnf_activation_new(&module, kind));
    return module;
}

/* A convolution from `channels` to as many that keeps the size. */
static nnf_module *same_conv(int spatial, int64_t channels, uint64_t seed) {
    nnf_conv_options options = nnf_conv_options_default(spatial, false, channels, channels, 3);
    for (int i = 0; i < spatial; i++)
        options.padding_begin[i] = options.padding_end[i] = 1;
    nnf_module *module;
    assert_ok(nnf_conv_new(&module, &options, true, NNF_F32));
    fill(module, seed);
    return module;
}

static nnf_value input_of(nnf_module *graph, int spatial) {
    return add_input(graph, spatial + 2, (const int64_t[]){2, 4, 5, 6, 7});
}

/* conv -> bn -> add(x) -> act, the Add's inputs in either order. */
static nnf_module *residual_graph(int spatial, nnf_activation kind, bool swapped) {
    nnf_module *graph = new_graph();
    nnf_value x = input_of(graph, spatial);
    add_module(graph, "conv", same_conv(spatial, 4, 9));
    add_module(graph, "bn", new_norm(spatial, 4));
    add_module(graph, "add", new_add());
    add_module(graph, "act", new_activation(kind));
    nnf_value y = call(graph, "bn", call(graph, "conv", x));
    y = swapped ? call2(graph, "add", x, y) : call2(graph, "add", y, x);
    assert_ok(nnf_graph_add_output(graph, call(graph, "act", y)));
    nnf_module_eval(graph);
    return graph;
}

static nnf_tensor *run_with(nnf_module *graph, nnf_tensor *x, nnf_kernels kernels) {
    nnf_session_options options = {.threads = 1, .kernels = kernels};
    nnf_session *session;
    nnf_tensor *y = NULL;
    nnf_status status = nnf_session_new(&session, graph, &options);
    if (status == NNF_ERROR_UNSUPPORTED) return NULL; /* built without those kernels */
    assert_ok(status);
    assert_ok(nnf_session_run(session, &x, 1, &y, 1));
    nnf_session_release(session);
    return y;
}

/* As these graphs are, conv(x) + x could be one convolution. */
static nnf_status fuse_without_merging(nnf_module *graph) {
    nnf_mapping *mapping;
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_skip(mapping, "parallel"));
    nnf_status status = nnf_fuse(graph, mapping, NULL);
    nnf_mapping_release(mapping);
    return status;
}

/* Fuses a copy, which then has these calls and gives what the graph gives. */
static void assert_fuses_to(const char *calls, nnf_module *graph) {
    nnf_module *fused;
    assert_ok(nnf_module_copy(&fused, graph));
    assert_ok(fuse_without_merging(fused));
    assert_string_equal(calls_text(fused), calls);
    const nnf_type_info *info = nnf_graph_value_info(graph, nnf_graph_input(graph, 0));
    int64_t shape[NNF_MAX_DIMS];
    for (int i = 0; i < info->ndim; i++)
        shape[i] = info->shape[i].value;
    nnf_tensor *x = random_tensor(NNF_F32, info->ndim, shape, -1, 1, 11);
    nnf_tensor *expected = run_with(graph, x, NNF_KERNELS_REFERENCE);
    for (int kernels = NNF_KERNELS_REFERENCE; kernels <= NNF_KERNELS_ONEDNN; kernels++) {
        nnf_tensor *y = run_with(fused, x, (nnf_kernels)kernels);
        if (y) assert_tensors_close(y, expected, 1e-5);
        nnf_tensor_release(y);
    }
    nnf_tensor_release(x);
    nnf_tensor_release(expected);
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void a_residual_fuses_in_every_dimension_and_order(void **state) {
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        assert_fuses_to("conv:ConvAddReLU1d", residual_graph(1, NNF_RELU, swapped));
        assert_fuses_to("conv:ConvAddReLU2d", residual_graph(2, NNF_RELU, swapped));
        assert_fuses_to("conv:ConvAddReLU3d", residual_graph(3, NNF_RELU, swapped));
        assert_fuses_to("conv:ConvAddActivation2d", residual_graph(2, NNF_SILU, swapped));
        assert_fuses_to("conv:ConvAdd2d act:Sqrt", residual_graph(2, NNF_SQRT, swapped));
    }
}

/* A kernel set that has no primitive for a fused type leaves it to its children. */
static void a_fused_type_without_a_primitive_gives_its_result_all_the_same(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *fused;
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.ndim = 4;
    for (int i = 0; i < 4; i++)
        info.shape[i] = (nnf_dim){4, 0};
    info.dtype = NNF_F64;
    nnf_value x;
    assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
    add_module(graph, "conv", same_conv(2, 4, 9));
    add_module(graph, "bn", new_norm(2, 4));
    add_module(graph, "add", new_add());
    add_module(graph, "act", new_activation(NNF_GELU));
    nnf_value y = call2(graph, "add", call(graph, "bn", call(graph, "conv", x)), x);
    assert_ok(nnf_graph_add_output(graph, call(graph, "act", y)));
    assert_ok(nnf_module_to(graph, NNF_F64));
    nnf_module_eval(graph);
    assert_ok(nnf_module_copy(&fused, graph));
    assert_ok(fuse_without_merging(fused));
    assert_string_equal(calls_text(fused), "conv:ConvAddActivation2d");
    nnf_tensor *in = random_tensor(NNF_F64, 4, (const int64_t[]){4, 4, 4, 4}, -1, 1, 11);
    nnf_tensor *expected = run_with(graph, in, NNF_KERNELS_REFERENCE);
    for (int kernels = NNF_KERNELS_REFERENCE; kernels <= NNF_KERNELS_ONEDNN; kernels++) {
        nnf_tensor *out = run_with(fused, in, (nnf_kernels)kernels);
        if (out) assert_tensors_close(out, expected, 1e-13);
        nnf_tensor_release(out);
    }
    nnf_tensor_release(in);
    nnf_tensor_release(expected);
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void every_activation_fuses_behind_every_base(void **state) {
    (void)state;
    static const nnf_activation kinds[] = {NNF_RELU6, NNF_CLIP,     NNF_LEAKY_RELU, NNF_SIGMOID,
                                           NNF_TANH,  NNF_SILU,     NNF_HARDSWISH,  NNF_HARDSIGMOID,
                                           NNF_GELU,  NNF_GELU_TANH};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int transposed = 0; transposed < 2; transposed++)
            for (int with_norm = 0; with_norm < 2; with_norm++) {
                nnf_module *graph = new_graph();
                nnf_value y = input_of(graph, 2);
                add_module(graph, "conv", new_conv(2, transposed, 4, 4, 1));
                add_module(graph, "bn", new_norm(2, 4));
                add_module(graph, "act", new_activation(kinds[i]));
                y = call(graph, "conv", y);
                if (with_norm) y = call(graph, "bn", y);
                assert_ok(nnf_graph_add_output(graph, call(graph, "act", y)));
                nnf_module_eval(graph);
                assert_fuses_to(
                    transposed ? "conv:ConvTransposeActivation2d" : "conv:ConvActivation2d", graph);
            }
}

static void linear_layers_keep_pytorchs_names(void **state) {
    (void)state;
    static const struct {
        nnf_activation kind;
        const char *calls;
    } rows[] = {{NNF_RELU, "fc:LinearReLU"},
                {NNF_LEAKY_RELU, "fc:LinearLeakyReLU"},
                {NNF_TANH, "fc:LinearTanh"},
                {NNF_GELU, "fc:LinearActivation"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nnf_module *graph = new_graph();
        nnf_value x = add_input(graph, 2, (const int64_t[]){3, 4});
        add_module(graph, "fc", new_linear(4, 5));
        add_module(graph, "act", new_activation(rows[i].kind));
        assert_ok(nnf_graph_add_output(graph, call(graph, "act", call(graph, "fc", x))));
        nnf_module_eval(graph);
        assert_fuses_to(rows[i].calls, graph);
    }
}

static void the_convolution_that_runs_last_takes_the_add(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = input_of(graph, 2);
    add_module(graph, "early", same_conv(2, 4, 9));
    add_module(graph, "late", same_conv(2, 4, 10));
    add_module(graph, "add", new_add());
    nnf_value early = call(graph, "early", x), late = call(graph, "late", x);
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", early, late)));
    nnf_module_eval(graph);
    assert_fuses_to("early:Conv2d late:ConvAdd2d", graph);
}

static void a_residual_may_be_computed_after_the_convolution(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = input_of(graph, 2);
    add_module(graph, "conv", same_conv(2, 4, 9));
    add_module(graph, "tanh", new_activation(NNF_TANH));
    add_module(graph, "add", new_add());
    nnf_value y = call(graph, "conv", x), later = call(graph, "tanh", x);
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", y, later)));
    nnf_module_eval(graph);
    assert_fuses_to("tanh:Tanh conv:ConvAdd2d", graph);
}

/* ---- Near misses ---- */

static void a_broadcast_is_no_residual(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *pool;
    nnf_value x = input_of(graph, 2);
    assert_ok(nnf_global_pool_new(&pool, true));
    add_module(graph, "conv", same_conv(2, 4, 9));
    add_module(graph, "pool", pool);
    add_module(graph, "add", new_add());
    nnf_value pooled = call(graph, "pool", x), y = call(graph, "conv", x);
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", y, pooled)));
    nnf_module_eval(graph);
    nnf_module *out;
    const nnf_chain chain = CHAIN("conv", "add");
    assert_error(nnf_fuse_modules(&out, graph, &chain, 1, NULL), NNF_ERROR_NOT_FUSABLE,
                 "cannot fuse 'conv', 'add'", "float32 [2, 4, 1, 1]", "float32 [2, 4, 5, 6]",
                 "the same shape");
    assert_fuses_to("pool:GlobalAveragePool conv:Conv2d add:Add", graph);
}

static void unknown_sizes_are_not_taken_for_equal(void **state) {
    (void)state;
    for (int symbolic = 0; symbolic < 2; symbolic++) {
        nnf_module *graph = new_graph();
        nnf_type_info info;
        nnf_type_info_init(&info);
        info.dtype = NNF_F32;
        info.ndim = 4;
        info.shape[1] = (nnf_dim){4, 0};
        info.shape[2] = info.shape[3] = (nnf_dim){5, 0};
        info.shape[0].symbol = NNF_DIM_UNKNOWN;
        if (symbolic) assert_ok(nnf_graph_symbol(graph, &info.shape[0].symbol, "batch"));
        nnf_value x;
        assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
        add_module(graph, "conv", same_conv(2, 4, 9));
        add_module(graph, "add", new_add());
        assert_ok(nnf_graph_add_output(graph, call2(graph, "add", call(graph, "conv", x), x)));
        nnf_module_eval(graph);
        assert_ok(fuse_without_merging(graph));
        assert_string_equal(calls_text(graph), symbolic ? "conv:ConvAdd2d" : "conv:Conv2d add:Add");
        nnf_module_release(graph);
    }
}

static void a_convolution_added_to_itself_stays(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_value x = input_of(graph, 2);
    add_module(graph, "conv", same_conv(2, 4, 9));
    add_module(graph, "add", new_add());
    nnf_value y = call(graph, "conv", x);
    assert_ok(nnf_graph_add_output(graph, call2(graph, "add", y, y)));
    nnf_module_eval(graph);
    assert_fuses_to("conv:Conv2d add:Add", graph);
}

static void a_second_reader_or_a_graph_output_keeps_the_add_apart(void **state) {
    (void)state;
    for (int output = 0; output < 2; output++) {
        nnf_module *graph = new_graph();
        nnf_value x = input_of(graph, 2);
        add_module(graph, "conv", same_conv(2, 4, 9));
        add_module(graph, "add", new_add());
        nnf_value y = call(graph, "conv", x), sum = call2(graph, "add", y, x);
        if (output) {
            assert_ok(nnf_graph_add_output(graph, y));
        } else {
            add_module(graph, "sqrt", new_activation(NNF_SQRT));
            (void)call(graph, "sqrt", y);
        }
        assert_ok(nnf_graph_add_output(graph, sum));
        nnf_module_eval(graph);
        assert_ok(fuse_without_merging(graph));
        assert_string_equal(calls_text(graph),
                            output ? "conv:Conv2d add:Add" : "conv:Conv2d add:Add sqrt:Sqrt");
        nnf_module_release(graph);
    }
}

/* ---- By hand ---- */

static void a_residual_is_fused_by_name_in_a_graph(void **state) {
    (void)state;
    nnf_module *graph = residual_graph(2, NNF_RELU, false), *fused;
    const nnf_chain chain = CHAIN("conv", "bn", "add", "act");
    assert_ok(nnf_fuse_modules(&fused, graph, &chain, 1, NULL));
    assert_string_equal(calls_text(fused), "conv:ConvAddReLU2d");
    assert_int_equal(nnf_graph_call_n_inputs(fused, 0), 2);
    assert_string_equal(type_at(fused, "conv.1"), "Add");
    assert_string_equal(type_at(fused, "add"), "Identity");
    nnf_module_release(fused);
    nnf_module_release(graph);
}

static void a_tree_without_a_graph_does_not_say_what_is_added(void **state) {
    (void)state;
    nnf_module *tree = new_sequential((nnf_module *const[]){same_conv(2, 4, 9), new_add()}, 2);
    nnf_module *out;
    nnf_module_eval(tree);
    const nnf_chain chain = CHAIN("0", "1");
    assert_error(nnf_fuse_modules(&out, tree, &chain, 1, NULL), NNF_ERROR_NOT_FUSABLE,
                 "cannot fuse '0', '1'", "'1' takes a second input", "Graph");
    nnf_module_release(tree);
}

static void a_container_needs_its_residual(void **state) {
    (void)state;
    nnf_module *conv = same_conv(2, 4, 9), *add = new_add(), *relu = new_relu(), *fused;
    assert_ok(nnf_fused_new(&fused, "ConvAddReLU2d", (nnf_module *[]){conv, add, relu}, 3));
    nnf_tensor *x = random_tensor(NNF_F32, 4, (const int64_t[]){2, 4, 5, 6}, -1, 1, 11), *y = NULL;
    assert_error(nnf_module_forward(fused, &x, 1, &y, 1), NNF_ERROR_INVALID,
                 "ConvAddReLU2d needs at least 2 inputs, not 1");
    assert_error(nnf_fused_new(&fused, "ConvActivation2d", (nnf_module *[]){conv, relu}, 2),
                 NNF_ERROR_INVALID, "must be another activation than ReLU, not a ReLU");
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(conv);
    nnf_module_release(add);
    nnf_module_release(relu);
}

/* ---- Clip's bounds ---- */

/* conv -> clip with constant bounds as inputs, and options that say `low` and `high`. */
static nnf_module *clip_graph(double low, double high) {
    nnf_module *graph = new_graph(), *clip;
    nnf_value x = input_of(graph, 2), bounds[3];
    const nnf_activation_options options = {NNF_CLIP, low, high};
    assert_ok(nnf_activation_new_with(&clip, &options));
    add_module(graph, "conv", same_conv(2, 4, 9));
    add_module(graph, "clip", clip);
    bounds[0] = call(graph, "conv", x);
    for (int i = 1; i < 3; i++) {
        nnf_tensor *bound = random_tensor(NNF_F32, 0, NULL, i - 1.5, i - 1.5, 1);
        assert_ok(nnf_graph_add_constant(graph, &bounds[i], i == 1 ? "low" : "high", bound));
        nnf_tensor_release(bound);
    }
    nnf_value y;
    assert_ok(nnf_graph_add_call(graph, "clip", bounds, 3, NULL, &y, 1));
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_module_eval(graph);
    return graph;
}

static void a_clip_fuses_where_its_options_say_its_bounds(void **state) {
    (void)state;
    assert_fuses_to("conv:ConvActivation2d", clip_graph(-0.5, 0.5));
    assert_fuses_to("conv:Conv2d clip:Clip", clip_graph(-0.5, 1));
}

static void a_clips_bounds_stay_in_the_written_file(void **state) {
    (void)state;
    void *bytes;
    size_t size;
    nnf_module *graph = clip_graph(-0.5, 0.5), *read;
    assert_ok(nnf_onnx_save_memory(graph, &bytes, &size, NULL));
    assert_ok(nnf_onnx_load_memory(&read, bytes, size, NULL));
    nnf_free(bytes);
    assert_ok(fuse_without_merging(read));
    assert_int_equal(nnf_graph_n_calls(read), 1);
    assert_ok(nnf_onnx_save_memory(read, &bytes, &size, NULL));
    nnf_module_release(read);
    assert_ok(nnf_onnx_load_memory(&read, bytes, size, NULL));
    nnf_free(bytes);
    assert_int_equal(nnf_graph_n_calls(read), 2);
    assert_int_equal(nnf_graph_call_n_inputs(read, 1), 3);
    assert_string_equal(nnf_graph_value_name(read, nnf_graph_call_inputs(read, 1)[2]), "high");
    assert_fuses_to("conv:ConvActivation2d", read);
    nnf_module_release(graph);
}

static void a_residual_survives_being_written(void **state) {
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        void *bytes, *again;
        size_t size, size_again;
        nnf_module *graph = residual_graph(2, NNF_RELU, swapped), *read;
        assert_ok(fuse_without_merging(graph));
        assert_ok(nnf_onnx_save_memory(graph, &bytes, &size, NULL));
        assert_ok(nnf_onnx_load_memory(&read, bytes, size, NULL));
        assert_ok(fuse_without_merging(read));
        assert_string_equal(nnf_module_type_name(nnf_graph_call_module(read, 0)), "ConvAddReLU2d");
        assert_ok(nnf_onnx_save_memory(read, &again, &size_again, NULL));
        assert_int_equal(size_again, size);
        assert_memory_equal(again, bytes, size);
        nnf_free(bytes);
        nnf_free(again);
        nnf_module_release(read);
        nnf_module_release(graph);
    }
}

TEST_MAIN(cmocka_unit_test(a_residual_fuses_in_every_dimension_and_order),
          cmocka_unit_test(a_fused_type_without_a_primitive_gives_its_result_all_the_same),
          cmocka_unit_test(every_activation_fuses_behind_every_base),
          cmocka_unit_test(linear_layers_keep_pytorchs_names),
          cmocka_unit_test(the_convolution_that_runs_last_takes_the_add),
          cmocka_unit_test(a_residual_may_be_computed_after_the_convolution),
          cmocka_unit_test(a_broadcast_is_no_residual),
          cmocka_unit_test(unknown_sizes_are_not_taken_for_equal),
          cmocka_unit_test(a_convolution_added_to_itself_stays),
          cmocka_unit_test(a_second_reader_or_a_graph_output_keeps_the_add_apart),
          cmocka_unit_test(a_residual_is_fused_by_name_in_a_graph),
          cmocka_unit_test(a_tree_without_a_graph_does_not_say_what_is_added),
          cmocka_unit_test(a_container_needs_its_residual),
          cmocka_unit_test(a_clip_fuses_where_its_options_say_its_bounds),
          cmocka_unit_test(a_clips_bounds_stay_in_the_written_file),
          cmocka_unit_test(a_residual_survives_being_written))
