/* Where fusing a file goes wrong silently if its reader or writer overlooks something. */
#include "nnfuse/clean.h"
#include "onnx_support.h"

/* The model as it is, and fused. */
typedef struct pair {
    nnf_module *plain, *fused;
    void *bytes;
    size_t size;
} pair;

static pair open_pair(const char *name, bool cleaned) {
    pair p = {load_model(name), load_model(name), NULL, 0};
    if (cleaned) assert_ok(nnf_clean(p.fused, NULL));
    assert_ok(nnf_fuse(p.fused, NULL, NULL));
    assert_ok(nnf_onnx_save_memory(p.fused, &p.bytes, &p.size, NULL));
    return p;
}

static pair fuse_model(const char *name) {
    return open_pair(name, false);
}

static pair clean_and_fuse(const char *name) {
    return open_pair(name, true);
}

static void release_pair(pair *p) {
    nnf_module_release(p->plain);
    nnf_module_release(p->fused);
    nnf_free(p->bytes);
}

static nnf_module *reload(const pair *p) {
    nnf_module *graph = NULL;
    assert_ok(nnf_onnx_load_memory(&graph, p->bytes, p->size, NULL));
    return graph;
}

static void a_fused_chain_keeps_its_last_name_and_drops_stale_value_info(void **state) {
    (void)state;
    pair p = fuse_model("chain.onnx");
    nnf_module *again = reload(&p);
    assert_int_equal(nnf_graph_n_calls(again), 2);
    assert_string_equal(nnf_graph_value_name(again, nnf_graph_output(again, 0)), "y");
    assert_true(holds(p.bytes, p.size, "kept too"));
    assert_true(holds(p.bytes, p.size, "make_onnx"));
    assert_false(holds(p.bytes, p.size, "running_mean"));
    assert_true(holds(p.bytes, p.size, "/relu/Relu"));
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

static void a_new_bias_is_an_input_in_IR_3(void **state) {
    (void)state;
    static const char *const files[][2] = {{"chain_ir3.onnx", "conv.bias"},
                                           {"bias_conv_ir3.onnx", "conv.bias"},
                                           {"bias_linear_ir3.onnx", "fc.bias"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        pair p = fuse_model(files[i][0]);
        nnf_module *again = reload(&p);
        assert_int_equal(nnf_graph_n_inputs(again), 1);
        size_t names = 0, length = strlen(files[i][1]);
        for (size_t k = 0; k + length <= p.size; k++) {
            names += memcmp((char *)p.bytes + k, files[i][1], length) == 0;
        }
        assert_int_equal(names, 3); /* the node's input, the initializer, the graph's input */
        assert_same_results(p.plain, again);
        nnf_module_release(again);
        release_pair(&p);
    }
}

/* What a file says of a value of that name: its rank, -1 where it says none. */
static int said_rank(const nnf_module *graph, const char *name) {
    nnf_value value = nnf_graph_find_value(graph, name);
    assert_int_not_equal(value, NNF_NO_VALUE);
    return nnf_graph_value_info(graph, value)->ndim;
}

/* The value's shape, or what has its name, is another one then. */
static void value_info_of_what_changed_goes(void **state) {
    (void)state;
    static const struct {
        const char *file, *name;
        int rank;
    } values[] = {{"chain.onnx", "b", 4}, /* between convolution and ReLU now, of the same shape */
                  {"info_pool.onnx", "p", -1},
                  {"info_transpose.onnx", "t", -1},
                  {"bias_info.onnx", "conv.bias", -1}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        pair p = clean_and_fuse(values[i].file);
        nnf_module *copy = NULL, *again = reload(&p), *written;
        assert_ok(nnf_module_copy(&copy, p.fused));
        written = round_trip(copy);
        assert_int_equal(said_rank(again, values[i].name), values[i].rank);
        assert_int_equal(said_rank(written, values[i].name), values[i].rank);
        assert_same_results(p.plain, again);
        nnf_module_release(written);
        nnf_module_release(again);
        nnf_module_release(copy);
        release_pair(&p);
    }
}

static void a_product_without_a_bias_is_no_Gemm_before_opset_11(void **state) {
    (void)state;
    pair p = fuse_model("two_products_9.onnx");
    nnf_module *again = reload(&p);
    assert_int_equal(nnf_graph_n_calls(p.fused), 1);
    assert_false(holds(p.bytes, p.size, "Gemm"));
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

/* ONNX has no name twice, not even in a subgraph. */
static void a_new_name_is_none_that_a_subgraph_gives(void **state) {
    (void)state;
    static const struct {
        const char *file, *name;
        size_t n_calls;
    } files[] = {{"inner_slices.onnx", "slices", 2}, {"inner_turned.onnx", "k", 3}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        pair p = clean_and_fuse(files[i].file);
        nnf_module *again = reload(&p);
        assert_int_equal(nnf_graph_n_calls(p.fused), files[i].n_calls);
        assert_int_equal(nnf_graph_find_value(again, files[i].name), NNF_NO_VALUE);
        for (int k = 0; k < 40; k++) {
            char name[32];
            snprintf(name, sizeof name, "%s_%d", files[i].name, k);
            assert_int_equal(nnf_graph_find_value(again, name), NNF_NO_VALUE);
        }
        nnf_module_release(again);
        release_pair(&p);
    }
}

static void an_overridable_weight_is_not_folded(void **state) {
    (void)state;
    pair p = fuse_model("overridable.onnx");
    assert_string_equal(type_at(p.fused, "conv"), "Conv2d");
    assert_int_equal(nnf_graph_n_calls(p.fused), 2); /* bn and relu may still join */
    nnf_module *again = reload(&p);
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

static void a_captured_value_is_read(void **state) {
    (void)state;
    static const char *const names[] = {"if_capture.onnx", "nested_capture.onnx"};
    for (size_t i = 0; i < 2; i++) {
        pair p = fuse_model(names[i]);
        assert_string_equal(type_at(p.fused, "conv"), "Conv2d");
        assert_string_equal(type_at(p.fused, "if_3"), "Opaque");
        assert_int_equal(nnf_graph_n_calls(p.fused), 3);
        nnf_module_release(reload(&p));
        release_pair(&p);
    }
}

static void a_graph_output_in_the_middle_stays(void **state) {
    (void)state;
    pair p = fuse_model("middle_output.onnx");
    nnf_module *again = reload(&p);
    assert_int_equal(nnf_graph_n_outputs(again), 2);
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

static void a_new_name_is_unique(void **state) {
    (void)state;
    pair p = fuse_model("name_taken.onnx");
    nnf_module *again = reload(&p);
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

static void batch_norm_over_positions_is_opaque(void **state) {
    (void)state;
    pair p = fuse_model("spatial0.onnx");
    assert_string_equal(type_at(p.plain, "bn"), "Opaque");
    assert_int_equal(nnf_graph_n_calls(p.fused), 3);
    release_pair(&p);
}

static void training_mode_is_not_folded(void **state) {
    (void)state;
    pair p = fuse_model("training_mode.onnx");
    nnf_module *bn = NULL;
    assert_ok(nnf_module_get(&bn, p.plain, "bn"));
    const nnf_batchnorm_options *options = nnf_module_options(bn);
    assert_true(options->training_mode);
    assert_string_equal(type_at(p.fused, "conv"), "Conv2d");
    /* Nor does a ReLU join it: with fewer outputs than three the node would be none in training. */
    assert_string_equal(type_at(p.fused, "relu"), "ReLU");
    assert_int_equal(nnf_graph_n_calls(p.fused), 3);
    release_pair(&p);
}

/* chain.onnx with other version numbers: its three nodes mean the same in all of them. */
static void every_opset_and_IR_version_is_kept(void **state) {
    (void)state;
    size_t size, at = 0;
    uint8_t *bytes = read_bytes(model_path("chain.onnx"), &size);
    while (memcmp(bytes + at, "\x42\x04\x0a\x00\x10\x11", 6) != 0)
        assert_true(++at + 6 < size);
    assert_memory_equal(bytes, "\x08\x08", 2); /* ir_version 8 */
    for (uint8_t opset = 9; opset <= 28; opset++) {
        pair p = {0};
        bytes[1] = opset < 22 ? 4 : (uint8_t)(opset / 2);
        bytes[at + 5] = opset;
        assert_ok(nnf_onnx_load_memory(&p.plain, bytes, size, NULL));
        assert_ok(nnf_onnx_load_memory(&p.fused, bytes, size, NULL));
        assert_ok(nnf_fuse(p.fused, NULL, NULL));
        assert_int_equal(nnf_graph_n_calls(p.fused), 1);
        assert_ok(nnf_onnx_save_memory(p.fused, &p.bytes, &p.size, NULL));
        assert_memory_equal(p.bytes, bytes, 2);
        assert_true(holds(p.bytes, p.size, (const char[]){0x10, (char)opset, 0}));
        nnf_module *again = reload(&p);
        assert_same_results(p.plain, again);
        nnf_module_release(again);
        release_pair(&p);
    }
    free(bytes);
}

static void momentum_is_one_minus_ONNX_s(void **state) {
    (void)state;
    nnf_module *graph = load_model("chain.onnx"), *bn = NULL;
    assert_ok(nnf_module_get(&bn, graph, "bn"));
    const nnf_batchnorm_options *options = nnf_module_options(bn);
    assert_true(options->momentum > 0.0999999 && options->momentum < 0.1000001);
    assert_true(options->eps == (double)1e-5f);
    nnf_module_release(graph);
}

static void nodes_may_stand_in_any_order(void **state) {
    (void)state;
    pair p = fuse_model("chain_unsorted.onnx");
    assert_string_equal(nnf_graph_call_path(p.plain, 0), "conv");
    nnf_module *again = reload(&p);
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

static void what_only_gave_folded_constants_goes(void **state) {
    (void)state;
    pair p = fuse_model("identity_constants.onnx");
    assert_false(holds(p.bytes, p.size, "Identity"));
    assert_false(holds(p.bytes, p.size, "shared.bias"));
    nnf_module *again = reload(&p);
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

static void an_unknown_operator_passes_through(void **state) {
    (void)state;
    pair p = fuse_model("custom_domain.onnx");
    assert_true(holds(p.bytes, p.size, "Frobnicate"));
    assert_true(holds(p.bytes, p.size, "com.example"));
    assert_true(holds(p.bytes, p.size, "strength"));
    assert_int_equal(nnf_graph_n_calls(p.fused), 2);
    release_pair(&p);
}

static void a_layer_behind_an_unknown_node_has_the_rank_that_its_weight_tells(void **state) {
    (void)state;
    nnf_module *graph = load_model("unknown_ranks.onnx");
    assert_string_equal(type_at(graph, "bn3"), "BatchNorm3d");
    assert_string_equal(type_at(graph, "bn1"), "BatchNorm1d");
    nnf_fuse_report report = {0};
    assert_ok(nnf_fuse(graph, NULL, &report));
    assert_int_equal(report.n_fused, 2);
    nnf_fuse_report_clear(&report);
    nnf_module_release(graph);
}

/* The steps of a SiLU with another node between them, behind a convolution that has taken the Add
 * in front of them over. */
static void steps_come_behind_what_they_read(void **state) {
    (void)state;
    pair p = clean_and_fuse("steps_apart.onnx");
    nnf_module *again = reload(&p);
    assert_false(holds(p.bytes, p.size, "Add"));
    size_t conv = place_of(p.bytes, p.size, "Conv"), sigmoid = place_of(p.bytes, p.size, "Sigmoid");
    assert_true(conv < sigmoid && sigmoid < place_of(p.bytes, p.size, "Mul"));
    assert_same_results(p.plain, again);
    nnf_module_release(again);
    release_pair(&p);
}

TEST_MAIN(cmocka_unit_test(a_fused_chain_keeps_its_last_name_and_drops_stale_value_info),
          cmocka_unit_test(a_new_bias_is_an_input_in_IR_3),
          cmocka_unit_test(value_info_of_what_changed_goes),
          cmocka_unit_test(steps_come_behind_what_they_read),
          cmocka_unit_test(a_product_without_a_bias_is_no_Gemm_before_opset_11),
          cmocka_unit_test(a_new_name_is_none_that_a_subgraph_gives),
          cmocka_unit_test(an_overridable_weight_is_not_folded),
          cmocka_unit_test(a_captured_value_is_read),
          cmocka_unit_test(a_graph_output_in_the_middle_stays),
          cmocka_unit_test(a_new_name_is_unique),
          cmocka_unit_test(batch_norm_over_positions_is_opaque),
          cmocka_unit_test(training_mode_is_not_folded),
          cmocka_unit_test(every_opset_and_IR_version_is_kept),
          cmocka_unit_test(momentum_is_one_minus_ONNX_s),
          cmocka_unit_test(nodes_may_stand_in_any_order),
          cmocka_unit_test(what_only_gave_folded_constants_goes),
          cmocka_unit_test(an_unknown_operator_passes_through),
          cmocka_unit_test(a_layer_behind_an_unknown_node_has_the_rank_that_its_weight_tells))
