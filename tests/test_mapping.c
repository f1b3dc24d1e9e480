/* Mappings: the exact sequence, additional rows before the default ones, and fuser methods of the
 * caller's own. */
#include "graph_support.h"

static nnf_status only_the_first(nnf_module **fused, nnf_module *const *modules, size_t n,
                                 bool is_qat, void *payload) {
    (void)n, (void)is_qat;
    ++*(int *)payload;
    *fused = nnf_module_retain(modules[0]);
    return NNF_OK;
}
static nnf_status nothing(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                          void *payload) {
    (void)fused, (void)modules, (void)n, (void)is_qat, (void)payload;
    return NNF_OK;
}

static const char *const conv_bn[] = {"Conv2d", "BatchNorm2d"};
static const char *const relu_tanh[] = {"ReLU", "Tanh"};

static void get_fuser_method_looks_the_exact_sequence_up(void **state) {
    (void)state;
    nnf_fuser_method method = NULL;
    void *payload;
    assert_ok(nnf_get_fuser_method(&method, &payload, conv_bn, 2, NULL));
    assert_non_null(method);
    const char *const mixed[] = {"Conv2d", "BatchNorm1d"};
    assert_error(nnf_get_fuser_method(&method, &payload, mixed, 2, NULL), NNF_ERROR_NOT_FOUND,
                 "'Conv2d, BatchNorm1d'");
    assert_error(nnf_get_fuser_method(&method, &payload, conv_bn, 1, NULL), NNF_ERROR_NOT_FOUND,
                 "'Conv2d'");
}

static void additional_rows_win_over_the_default_ones(void **state) {
    (void)state;
    int first = 0, second = 0;
    nnf_mapping *mapping;
    nnf_fuser_method method;
    void *payload;
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add(mapping, conv_bn, 2, only_the_first, &first));
    assert_ok(nnf_get_fuser_method(&method, &payload, conv_bn, 2, mapping));
    assert_ptr_equal(payload, &first);
    assert_true(method == only_the_first);
    assert_error(nnf_mapping_add(mapping, conv_bn, 2, only_the_first, &second), NNF_ERROR_INVALID,
                 "'Conv2d' already");
    assert_ok(nnf_get_fuser_method(&method, &payload, conv_bn, 2, mapping));
    assert_ptr_equal(payload, &first);
    const char *const linear_relu[] = {"Linear", "ReLU"};
    assert_ok(nnf_get_fuser_method(&method, &payload, linear_relu, 2, mapping));
    assert_false(method == only_the_first);
    nnf_mapping_release(mapping);
}

static void a_row_needs_types_and_a_method(void **state) {
    (void)state;
    nnf_mapping *mapping;
    assert_ok(nnf_mapping_new(&mapping));
    assert_error(nnf_mapping_add(mapping, conv_bn, 0, nothing, NULL), NNF_ERROR_INVALID, "row");
    assert_error(nnf_mapping_add(mapping, conv_bn, 2, NULL, NULL), NNF_ERROR_INVALID, "row");
    const char *const unknown[] = {"Conv2d", "BachNorm2d"};
    assert_error(nnf_mapping_add(mapping, unknown, 2, nothing, NULL), NNF_ERROR_NOT_FOUND,
                 "no type 'BachNorm2d'");
    const nnf_module_type own = {.name = "BachNorm2d"}, twin = {.name = "Conv2d"};
    assert_error(nnf_mapping_add_type(mapping, &twin), NNF_ERROR_INVALID, "another type 'Conv2d'");
    assert_error(nnf_mapping_add_type(mapping, NULL), NNF_ERROR_INVALID, "type");
    assert_ok(nnf_mapping_add_type(mapping, &own));
    assert_ok(nnf_mapping_add(mapping, unknown, 2, nothing, NULL));
    assert_error(nnf_mapping_skip(mapping, "scales"), NNF_ERROR_NOT_FOUND, "scale, before");
    nnf_mapping_release(mapping);
    nnf_mapping_release(NULL);
}

static nnf_module *relu_tanh_tree(void) {
    nnf_module *tanh;
    assert_ok(nnf_activation_new(&tanh, NNF_TANH));
    return new_sequential((nnf_module *const[]){new_relu(), tanh}, 2);
}

/* PyTorch's fuse_custom_config_dict, which PyTorch 1.13 accepts and ignores. */
static void an_additional_mapping_is_honoured(void **state) {
    (void)state;
    nnf_module *model = relu_tanh_tree(), *fused;
    nnf_chain chain = CHAIN("0", "1");
    assert_error(nnf_fuse_modules(&fused, model, &chain, 1, NULL), NNF_ERROR_NOT_FOUND,
                 "'ReLU, Tanh'");
    int calls = 0;
    nnf_mapping *mapping;
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add(mapping, relu_tanh, 2, only_the_first, &calls));
    const nnf_fuse_options options = {.additional = mapping};
    assert_ok(nnf_fuse_modules(&fused, model, &chain, 1, &options));
    assert_int_equal(calls, 1);
    assert_string_equal(type_at(fused, "0"), "ReLU");
    assert_string_equal(type_at(fused, "1"), "Identity");
    nnf_module_release(fused);
    nnf_module_release(model);
    nnf_mapping_release(mapping);
}

static void a_method_that_gives_no_module_is_an_error(void **state) {
    (void)state;
    nnf_module *model = relu_tanh_tree(), *fused;
    nnf_chain chain = CHAIN("0", "1");
    nnf_mapping *mapping;
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add(mapping, relu_tanh, 2, nothing, NULL));
    const nnf_fuse_options options = {.additional = mapping};
    assert_error(nnf_fuse_modules(&fused, model, &chain, 1, &options), NNF_ERROR_INVALID,
                 "cannot fuse '0', '1'", "no module");
    nnf_module_release(model);
    nnf_mapping_release(mapping);
}

static void finding_reads_additional_rows_too(void **state) {
    (void)state;
    int calls = 0;
    nnf_mapping *mapping;
    const char *const longer[] = {"Conv2d", "BatchNorm2d", "ReLU", "ReLU"};
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add(mapping, longer, 4, only_the_first, &calls));
    nnf_module *graph = new_chain_graph();
    nnf_chain_list *list;
    assert_ok(nnf_find_chains(&list, graph, mapping));
    assert_int_equal(list->chains[0].chain.length, 3);
    assert_int_equal(calls, 0);
    nnf_chain_list_release(list);
    const char *const same[] = {"Conv2d", "BatchNorm2d", "ReLU"};
    assert_ok(nnf_mapping_add(mapping, same, 3, only_the_first, &calls));
    assert_ok(nnf_find_chains(&list, graph, mapping));
    assert_int_equal(calls, 1);
    assert_string_equal(list->chains[0].fused_type, "Conv2d");
    nnf_chain_list_release(list);
    nnf_module_release(graph);
    nnf_mapping_release(mapping);
}

TEST_MAIN(cmocka_unit_test(get_fuser_method_looks_the_exact_sequence_up),
          cmocka_unit_test(additional_rows_win_over_the_default_ones),
          cmocka_unit_test(a_row_needs_types_and_a_method),
          cmocka_unit_test(an_additional_mapping_is_honoured),
          cmocka_unit_test(a_method_that_gives_no_module_is_an_error),
          cmocka_unit_test(finding_reads_additional_rows_too))
