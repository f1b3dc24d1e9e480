/* A layer type defined outside the library: y = x W with W [in, out], fused with a batch norm by a
 * row of the user's own. */
#include "graph_support.h"
#include "nnfuse/session.h"

typedef struct project_options {
    int64_t in, out;
} project_options;

static nnf_status project_infer(const nnf_module *module, const nnf_type_info *const *inputs,
                                size_t n_inputs, nnf_type_info *outputs, size_t n_outputs) {
    const project_options *options = nnf_module_options(module);
    if (n_inputs < 1 || n_outputs != 1 || inputs[0]->ndim != 2)
        return nnf_error(NNF_ERROR_SHAPE, "Project takes one matrix");
    outputs[0].dtype = inputs[0]->dtype;
    outputs[0].ndim = 2;
    outputs[0].shape[0] = inputs[0]->shape[0];
    outputs[0].shape[1] = (nnf_dim){options->out, 0};
    return NNF_OK;
}

static nnf_status project_forward(nnf_session *session, nnf_module *module,
                                  nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                  size_t n_outputs) {
    (void)n_outputs;
    const project_options *options = nnf_module_options(module);
    nnf_tensor *tensors[2];
    for (size_t i = 0; i < 2; i++) {
        nnf_status status = nnf_session_slot(session, &tensors[i], module, i, inputs, n_inputs);
        if (status != NNF_OK) return status;
    }
    const void *x, *w, *b = NULL;
    void *y;
    assert_ok(nnf_tensor_data(inputs[0], &x));
    assert_ok(nnf_tensor_data(tensors[0], &w));
    if (tensors[1]) assert_ok(nnf_tensor_data(tensors[1], &b));
    assert_ok(nnf_tensor_mut_data(outputs[0], &y));
    for (int64_t n = 0; n < nnf_tensor_shape(inputs[0])[0]; n++)
        for (int64_t o = 0; o < options->out; o++) {
            double sum = b ? ((const float *)b)[o] : 0.0;
            for (int64_t i = 0; i < options->in; i++)
                sum += (double)((const float *)x)[n * options->in + i] *
                       ((const float *)w)[i * options->out + o];
            ((float *)y)[n * options->out + o] = (float)sum;
        }
    return NNF_OK;
}

static nnf_status project_linear_map(const nnf_module *module, nnf_linear_map *out) {
    const project_options *options = nnf_module_options(module);
    *out = (nnf_linear_map){.out_channels = options->out,
                            .in_channels = options->in,
                            .groups = 1,
                            .transposed = true,
                            .weight = "weight",
                            .bias = "bias",
                            .channel_axis = -1};
    return NNF_OK;
}

static const nnf_slot project_slots[] = {{"weight", NNF_SLOT_PARAMETER},
                                         {"bias", NNF_SLOT_PARAMETER}};
static const nnf_module_type project_type = {
    .name = "Project",
    .options_size = sizeof(project_options),
    .slots = project_slots,
    .n_slots = 2,
    .infer = project_infer,
    .forward = project_forward,
    .linear_map = project_linear_map,
};

/* The user's row: what the library's own rows do, by its public name. */
static nnf_status fuse_project_bn(nnf_module **fused, nnf_module *const *modules, size_t n,
                                  bool is_qat, void *payload) {
    (void)n, (void)payload;
    return nnf_fuse_linear_bn(fused, is_qat, modules[0], modules[1]);
}

static nnf_module *new_project(int64_t in, int64_t out) {
    const project_options options = {in, out};
    nnf_module *module;
    assert_ok(nnf_module_new(&module, &project_type, &options));
    nnf_tensor *weight = random_tensor(NNF_F32, 2, (const int64_t[]){in, out}, -1, 1, 21);
    assert_ok(nnf_module_set_parameter(module, "weight", weight));
    nnf_tensor_release(weight);
    return module;
}

static nnf_mapping *new_mapping(void) {
    nnf_mapping *mapping;
    const char *const types[] = {"Project", "BatchNorm1d"};
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add_type(mapping, &project_type));
    assert_ok(nnf_mapping_add(mapping, types, 2, fuse_project_bn, NULL));
    return mapping;
}

static void a_type_of_the_users_own_folds_in_a_tree(void **state) {
    (void)state;
    nnf_mapping *mapping = new_mapping();
    nnf_module *model = new_sequential((nnf_module *const[]){new_project(3, 4), new_norm(1, 4)}, 2),
               *fused;
    nnf_module_eval(model);
    nnf_chain chain = CHAIN("0", "1");
    const nnf_fuse_options options = {.additional = mapping};
    assert_ok(nnf_fuse_modules(&fused, model, &chain, 1, &options));
    assert_string_equal(type_at(fused, "0"), "Project");
    assert_non_null(nnf_module_tensor(at(fused, "0"), "bias"));
    assert_string_equal(type_at(fused, "1"), "Identity");
    nnf_tensor *x = random_tensor(NNF_F32, 2, (const int64_t[]){5, 3}, -1, 1, 4);
    assert_same_function(model, fused, x, 1e-6);
    nnf_tensor_release(x);
    nnf_module_release(fused);
    nnf_module_release(model);
    nnf_mapping_release(mapping);
}

static void it_is_found_in_a_graph_by_the_users_row(void **state) {
    (void)state;
    nnf_mapping *mapping = new_mapping();
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 2, (const int64_t[]){5, 3});
    add_module(graph, "project", new_project(3, 4));
    add_module(graph, "bn", new_norm(1, 4));
    assert_ok(nnf_graph_add_output(graph, call(graph, "bn", call(graph, "project", x))));
    nnf_module_eval(graph);
    nnf_fuse_report report = {0};
    assert_ok(nnf_fuse(graph, NULL, &report));
    assert_int_equal(report.n_fused, 0);
    assert_ok(nnf_fuse(graph, mapping, &report));
    assert_int_equal(report.n_fused, 1);
    assert_string_equal(calls_text(graph), "project:Project");
    nnf_fuse_report_clear(&report);
    nnf_module_release(graph);
    nnf_mapping_release(mapping);
}

static nnf_status fuse_in_sequence(nnf_module **fused, nnf_module *const *modules, size_t n,
                                   bool is_qat, void *payload) {
    (void)is_qat, (void)payload;
    return nnf_sequential_new(fused, modules, n);
}

static nnf_mapping *mapping_of_two(const char *first, const char *second) {
    nnf_mapping *mapping;
    const char *const types[] = {first, second};
    assert_ok(nnf_mapping_new(&mapping));
    assert_ok(nnf_mapping_add(mapping, types, 2, fuse_in_sequence, NULL));
    return mapping;
}

static void a_users_method_may_make_anything_of_any_rank(void **state) {
    (void)state;
    nnf_mapping *mapping = mapping_of_two("Conv2d", "ReLU");
    nnf_module *graph = new_graph();
    nnf_value x = add_input(graph, 4, (const int64_t[]){2, 3, 5, 6});
    add_module(graph, "conv", new_conv(2, false, 3, 4, 1));
    add_module(graph, "relu", new_relu());
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", call(graph, "conv", x))));
    nnf_module_eval(graph);
    assert_ok(nnf_fuse(graph, mapping, NULL));
    assert_string_equal(calls_text(graph), "conv:Sequential");
    nnf_module_release(graph);
    nnf_mapping_release(mapping);
}

/* The ReLU that another call needs stays where it is; the fused module goes where the Linear was.
 */
static void a_base_that_is_called_elsewhere_keeps_its_place(void **state) {
    (void)state;
    nnf_mapping *mapping = mapping_of_two("ReLU", "Linear");
    nnf_module *graph = new_graph(), *linear, *copy;
    nnf_value x = add_input(graph, 2, (const int64_t[]){5, 3});
    assert_ok(nnf_linear_new(&linear, 3, 3, true, NNF_F32));
    fill(linear, 3);
    add_module(graph, "relu", new_relu());
    add_module(graph, "fc", linear);
    x = call(graph, "fc", call(graph, "relu", x));
    assert_ok(nnf_graph_add_output(graph, call(graph, "relu", x)));
    nnf_module_eval(graph);
    assert_ok(nnf_module_copy(&copy, graph));
    nnf_chain chain = CHAIN("relu", "fc");
    const nnf_fuse_options options = {.additional = mapping, .inplace = true};
    nnf_module *same = NULL;
    assert_ok(nnf_fuse_modules(&same, graph, &chain, 1, &options));
    assert_string_equal(calls_text(graph), "fc:Sequential relu:ReLU");
    assert_string_equal(type_at(graph, "relu"), "ReLU");
    assert_string_equal(type_at(graph, "fc"), "Sequential");
    nnf_tensor *input = random_tensor(NNF_F32, 2, (const int64_t[]){5, 3}, -1, 1, 4);
    assert_same_function(copy, graph, input, 1e-6);
    nnf_tensor_release(input);
    nnf_module_release(copy);
    nnf_module_release(same);
    nnf_module_release(graph);
    nnf_mapping_release(mapping);
}

static void a_user_type_has_no_container_for_training(void **state) {
    (void)state;
    nnf_mapping *mapping = new_mapping();
    nnf_module *model = new_sequential((nnf_module *const[]){new_project(3, 4), new_norm(1, 4)}, 2),
               *fused;
    nnf_chain chain = CHAIN("0", "1");
    const nnf_fuse_options options = {.additional = mapping};
    assert_error(nnf_fuse_modules_qat(&fused, model, &chain, 1, &options), NNF_ERROR_NOT_FUSABLE,
                 "no fused type", "Project");
    nnf_module_release(model);
    nnf_mapping_release(mapping);
}

TEST_MAIN(cmocka_unit_test(a_type_of_the_users_own_folds_in_a_tree),
          cmocka_unit_test(it_is_found_in_a_graph_by_the_users_row),
          cmocka_unit_test(a_users_method_may_make_anything_of_any_rank),
          cmocka_unit_test(a_base_that_is_called_elsewhere_keeps_its_place),
          cmocka_unit_test(a_user_type_has_no_container_for_training))
