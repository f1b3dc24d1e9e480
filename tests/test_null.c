/* What NULL does, as status.h says. */
#include "test_support.h"

static void what_frees_or_retains_takes_null(void **state) {
    (void)state;
    assert_null(nnf_module_retain(NULL));
    assert_null(nnf_tensor_retain(NULL));
    nnf_module_release(NULL);
    nnf_tensor_release(NULL);
    nnf_session_release(NULL);
    nnf_mapping_release(NULL);
    nnf_chain_list_release(NULL);
    nnf_hook_remove(NULL);
    nnf_hook_release(NULL);
    nnf_pending_file_discard(NULL);
    nnf_verify_report_clear(NULL);
    nnf_fuse_report_clear(NULL);
    nnf_type_info_clear(NULL);
    nnf_affine_map_clear(NULL);
    nnf_graph_infer_free(NULL, 1);
    nnf_free(NULL);
}

static void modes_of_null_are_not_set(void **state) {
    (void)state;
    nnf_module_train(NULL, true);
    nnf_module_eval(NULL);
    nnf_module_set_training(NULL, true);
}

/* ---- Getters ---- */

static void a_tensor_that_is_null_has_nothing(void **state) {
    (void)state;
    assert_int_equal(nnf_tensor_dtype(NULL), NNF_DTYPE_UNKNOWN);
    assert_int_equal(nnf_tensor_ndim(NULL), 0);
    assert_null(nnf_tensor_shape(NULL));
    assert_null(nnf_tensor_strides(NULL));
    assert_int_equal(nnf_tensor_numel(NULL), 0);
    assert_int_equal(nnf_tensor_nbytes(NULL), 0);
    assert_false(nnf_tensor_is_contiguous(NULL));
}

static void a_module_that_is_null_has_nothing(void **state) {
    (void)state;
    assert_null(nnf_module_get_type(NULL));
    assert_null(nnf_module_type_name(NULL));
    assert_null(nnf_module_type_before_parametrizations(NULL));
    assert_null(nnf_module_options(NULL));
    assert_null(nnf_module_mut_options(NULL));
    assert_int_equal(nnf_module_n_children(NULL), 0);
    assert_null(nnf_module_child_name(NULL, 0));
    assert_null(nnf_module_child(NULL, 0));
    assert_int_equal(nnf_module_n_tensors(NULL), 0);
    assert_null(nnf_module_tensor_name(NULL, 0));
    assert_int_equal(nnf_module_tensor_kind(NULL, 0), 0);
    assert_null(nnf_module_tensor(NULL, "weight"));
    assert_false(nnf_module_training(NULL));
    assert_int_equal(nnf_module_n_forward_pre_hooks(NULL), 0);
    assert_int_equal(nnf_module_n_forward_hooks(NULL), 0);
    assert_false(nnf_module_is_parametrized(NULL, "weight"));
    assert_false(nnf_module_is_parametrized(NULL, NULL));
    assert_null(nnf_type(NULL));
}

static void without_a_name_no_tensor_is_found(void **state) {
    (void)state;
    nnf_module *linear;
    assert_ok(nnf_linear_new(&linear, 2, 2, true, NNF_F32));
    assert_null(nnf_module_tensor(linear, NULL));
    nnf_module_release(linear);
}

static void getters_of_graphs_give_nothing_for(const nnf_module *module) {
    assert_false(nnf_module_is_graph(module));
    assert_int_equal(nnf_graph_n_inputs(module), 0);
    assert_int_equal(nnf_graph_n_outputs(module), 0);
    assert_int_equal(nnf_graph_input(module, 0), NNF_NO_VALUE);
    assert_int_equal(nnf_graph_output(module, 0), NNF_NO_VALUE);
    assert_int_equal(nnf_graph_n_values(module), 0);
    assert_int_equal(nnf_graph_find_value(module, "x"), NNF_NO_VALUE);
    assert_null(nnf_graph_value_name(module, 0));
    assert_null(nnf_graph_value_constant(module, 0));
    assert_null(nnf_graph_value_info(module, 0));
    assert_null(nnf_graph_symbol_name(module, 1));
    assert_int_equal(nnf_graph_n_calls(module), 0);
    assert_null(nnf_graph_call_path(module, 0));
    assert_null(nnf_graph_call_module(module, 0));
    assert_int_equal(nnf_graph_call_n_inputs(module, 0), 0);
    assert_int_equal(nnf_graph_call_n_outputs(module, 0), 0);
    assert_null(nnf_graph_call_inputs(module, 0));
    assert_null(nnf_graph_call_outputs(module, 0));
    assert_int_equal(nnf_onnx_opset(module), 0);
}

static void what_is_no_graph_has_nothing_of_one(void **state) {
    (void)state;
    nnf_module *identity;
    assert_ok(nnf_identity_new(&identity));
    getters_of_graphs_give_nothing_for(NULL);
    getters_of_graphs_give_nothing_for(identity);
    nnf_module_release(identity);
}

static void a_session_or_file_that_is_null_has_nothing(void **state) {
    (void)state;
    assert_int_equal(nnf_session_threads(NULL), 0);
    assert_null(nnf_pending_file_path(NULL));
    assert_null(nnf_pending_file_data_path(NULL));
    assert_int_equal(nnf_pending_file_n_kept(NULL), 0);
    assert_null(nnf_pending_file_kept(NULL, 0, NULL));
}

/* ---- What returns a status ---- */

static const int64_t two[] = {2};

static nnf_tensor *new_tensor(void) {
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, 1, two));
    return tensor;
}

static void tensors_are_asked_for(void **state) {
    (void)state;
    nnf_tensor *tensor = NULL;
    const void *data = NULL;
    void *own = NULL;
    float out[1];
    assert_error(nnf_tensor_copy(&tensor, NULL), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_view(&tensor, NULL, 1, two, NULL, 0), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_convert(&tensor, NULL, NNF_F64), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_contiguous(&tensor, NULL), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_data(NULL, &data), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_mut_data(NULL, &own), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_read(NULL, 0, 1, out), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_tensor_read(NULL, 0, 0, out), NNF_ERROR_INVALID, "tensor");
    assert_null(tensor);
    assert_null(data);
    assert_null(own);
}

static void shapes_and_data_are_asked_for(void **state) {
    (void)state;
    nnf_tensor *tensor = NULL, *whole = new_tensor();
    const float numbers[] = {1, 2};
    assert_error(nnf_tensor_new(&tensor, NNF_F32, 1, NULL), NNF_ERROR_INVALID, "shape");
    assert_error(nnf_tensor_view(&tensor, whole, 1, NULL, NULL, 0), NNF_ERROR_INVALID, "shape");
    assert_error(nnf_tensor_from_data(&tensor, NNF_F32, 1, NULL, numbers), NNF_ERROR_INVALID,
                 "shape");
    assert_error(nnf_tensor_from_data(&tensor, NNF_F32, 1, two, NULL), NNF_ERROR_INVALID, "data");
    assert_error(nnf_tensor_borrow(&tensor, NNF_F32, 1, NULL, numbers, NULL, NULL),
                 NNF_ERROR_INVALID, "shape");
    assert_error(nnf_tensor_borrow(&tensor, NNF_F32, 1, two, NULL, NULL, NULL), NNF_ERROR_INVALID,
                 "data");
    assert_null(tensor);
    nnf_tensor_release(whole);
}

static void infos_are_asked_for(void **state) {
    (void)state;
    nnf_type_info info;
    nnf_tensor *tensor = new_tensor();
    const nnf_dim dim = {1, 0};
    nnf_type_info_init(&info);
    assert_error(nnf_type_info_copy(&info, NULL), NNF_ERROR_INVALID, "info");
    assert_error(nnf_type_info_copy(NULL, &info), NNF_ERROR_INVALID, "info");
    assert_error(nnf_type_info_copy(NULL, NULL), NNF_ERROR_INVALID, "info");
    assert_error(nnf_type_info_set_values(&info, NULL, 1), NNF_ERROR_INVALID, "info");
    assert_error(nnf_type_info_set_values(NULL, &dim, 1), NNF_ERROR_INVALID, "info");
    assert_error(nnf_type_info_of_tensor(&info, NULL), NNF_ERROR_INVALID, "info");
    assert_error(nnf_type_info_of_tensor(NULL, tensor), NNF_ERROR_INVALID, "info");
    assert_int_equal(info.n_values, -1);
    assert_ok(nnf_type_info_set_values(&info, NULL, 0));
    assert_int_equal(info.n_values, 0);
    nnf_type_info_clear(&info);
    nnf_tensor_release(tensor);
}

static void layers_ask_for_options_and_lists(void **state) {
    (void)state;
    nnf_module *module = NULL, *children[2] = {NULL};
    assert_error(nnf_module_new(&module, NULL, NULL), NNF_ERROR_INVALID, "type");
    assert_error(nnf_conv_new(&module, NULL, true, NNF_F32), NNF_ERROR_INVALID, "options");
    assert_error(nnf_batchnorm_new(&module, NULL, NNF_F32), NNF_ERROR_INVALID, "options");
    assert_error(nnf_pool_new(&module, NULL), NNF_ERROR_INVALID, "options");
    assert_error(nnf_adaptive_avgpool_new(&module, 2, NULL), NNF_ERROR_INVALID, "output_size");
    assert_error(nnf_activation_new_with(&module, NULL), NNF_ERROR_INVALID, "options");
    assert_error(nnf_constant_new(&module, NULL), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_sequential_new(&module, NULL, 2), NNF_ERROR_INVALID, "module 0");
    assert_error(nnf_fused_new(&module, "ConvReLU2d", NULL, 2), NNF_ERROR_INVALID, "modules");
    assert_error(nnf_fused_new(&module, NULL, children, 2), NNF_ERROR_INVALID, "name");
    assert_error(nnf_fused_new(&module, "ConvReLU2d", children, 2), NNF_ERROR_INVALID, "module 0");
    assert_ok(nnf_activation_new(&children[0], NNF_RELU));
    assert_error(nnf_sequential_new(&module, children, 2), NNF_ERROR_INVALID, "module 1");
    assert_null(module);
    nnf_module_release(children[0]);
}

static nnf_status visit_module(const char *path, nnf_module *module, void *payload) {
    (void)path, (void)module, (void)payload;
    return NNF_OK;
}

static nnf_status visit_tensor(const char *path, nnf_tensor *tensor, void *payload) {
    (void)path, (void)tensor, (void)payload;
    return NNF_OK;
}

static void the_tree_asks_for_modules_and_names(void **state) {
    (void)state;
    nnf_module *module, *other = NULL;
    assert_ok(nnf_container_new(&module));
    assert_error(nnf_module_copy(&other, NULL), NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_get(&other, NULL, "a"), NNF_ERROR_INVALID, "root");
    assert_error(nnf_module_get(&other, module, NULL), NNF_ERROR_INVALID, "path");
    assert_error(nnf_module_set(NULL, "a", module), NNF_ERROR_INVALID, "root");
    assert_error(nnf_module_set(module, NULL, module), NNF_ERROR_INVALID, "path");
    assert_error(nnf_module_set(module, "a", NULL), NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_set_child(NULL, "a", module), NNF_ERROR_INVALID, "root");
    assert_error(nnf_module_set_child(module, NULL, module), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_set_child(module, "a", NULL), NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_to(NULL, NNF_F32), NNF_ERROR_INVALID, "no module");
    assert_error(nnf_module_named_modules(NULL, visit_module, NULL), NNF_ERROR_INVALID, "root");
    assert_error(nnf_module_named_modules(module, NULL, NULL), NNF_ERROR_INVALID, "callback");
    assert_error(nnf_module_named_tensors(NULL, NNF_SLOT_BUFFER, visit_tensor, NULL),
                 NNF_ERROR_INVALID, "root");
    assert_error(nnf_module_named_tensors(module, NNF_SLOT_BUFFER, NULL, NULL), NNF_ERROR_INVALID,
                 "callback");
    assert_int_equal(nnf_module_n_children(module), 0);
    assert_null(other);
    nnf_module_release(module);
}

static nnf_status pre_hook(nnf_module *module, nnf_tensor **inputs, size_t n, void *payload) {
    (void)module, (void)inputs, (void)n, (void)payload;
    return NNF_OK;
}

static nnf_status hook(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                       nnf_tensor **outputs, size_t n_outputs, void *payload) {
    (void)module, (void)inputs, (void)n_inputs, (void)outputs, (void)n_outputs, (void)payload;
    return NNF_OK;
}

static void hooks_ask_for_modules_and_functions(void **state) {
    (void)state;
    nnf_module *module;
    nnf_hook *handle = NULL;
    assert_ok(nnf_identity_new(&module));
    assert_error(nnf_module_register_forward_pre_hook(&handle, NULL, pre_hook, NULL),
                 NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_register_forward_pre_hook(&handle, module, NULL, NULL),
                 NNF_ERROR_INVALID, "function");
    assert_error(nnf_module_register_forward_hook(&handle, NULL, hook, NULL), NNF_ERROR_INVALID,
                 "module");
    assert_error(nnf_module_register_forward_hook(&handle, module, NULL, NULL), NNF_ERROR_INVALID,
                 "function");
    assert_null(handle);
    nnf_module_release(module);
}

static void parameters_ask_for_modules_and_names(void **state) {
    (void)state;
    nnf_module *module;
    nnf_tensor *value = NULL, *tensor = new_tensor();
    assert_ok(nnf_linear_new(&module, 2, 2, true, NNF_F32));
    assert_error(nnf_module_set_parameter(NULL, "weight", tensor), NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_set_parameter(module, NULL, tensor), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_set_buffer(NULL, "mean", tensor), NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_set_buffer(module, NULL, tensor), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_parametrized_tensor(&value, NULL, "weight"), NNF_ERROR_INVALID,
                 "module");
    assert_error(nnf_module_parametrized_tensor(&value, module, NULL), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_register_parametrization(module, "weight", NULL, NULL),
                 NNF_ERROR_INVALID, "functions");
    assert_error(nnf_weight_norm(NULL, "weight", 0), NNF_ERROR_INVALID, "module");
    assert_error(nnf_weight_norm(module, NULL, 0), NNF_ERROR_INVALID, "name");
    assert_error(nnf_spectral_norm(NULL, "weight", 1, 1e-12, 0), NNF_ERROR_INVALID, "module");
    assert_error(nnf_spectral_norm(module, NULL, 1, 1e-12, 0), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_remove_parametrizations(NULL, "weight"), NNF_ERROR_INVALID, "module");
    assert_ok(nnf_weight_norm(module, "weight", 0));
    assert_error(nnf_module_parametrized_tensor(&value, module, NULL), NNF_ERROR_INVALID, "name");
    assert_error(nnf_module_remove_parametrizations(module, NULL), NNF_ERROR_INVALID, "name");
    assert_true(nnf_module_is_parametrized(module, NULL));
    assert_null(value);
    nnf_tensor_release(tensor);
    nnf_module_release(module);
}

static void sessions_ask_for_modules_and_lists(void **state) {
    (void)state;
    nnf_module *module;
    nnf_session *session = NULL;
    nnf_tensor *outputs[1] = {NULL}, *tensor = new_tensor();
    assert_ok(nnf_identity_new(&module));
    assert_error(nnf_session_new(&session, NULL, NULL), NNF_ERROR_INVALID, "module");
    assert_ok(nnf_session_new(&session, module, NULL));
    assert_error(nnf_session_run(NULL, &tensor, 1, outputs, 1), NNF_ERROR_INVALID, "session");
    assert_error(nnf_session_run(session, NULL, 1, outputs, 1), NNF_ERROR_INVALID, "inputs");
    assert_error(nnf_session_run(session, &tensor, 1, NULL, 1), NNF_ERROR_INVALID, "outputs");
    assert_error(nnf_module_forward(NULL, &tensor, 1, outputs, 1), NNF_ERROR_INVALID, "module");
    assert_error(nnf_module_forward(module, NULL, 1, outputs, 1), NNF_ERROR_INVALID, "inputs");
    assert_error(nnf_session_call(NULL, "a", module, &tensor, 1, outputs, 1), NNF_ERROR_INVALID,
                 "session");
    assert_error(nnf_session_call(session, "a", NULL, &tensor, 1, outputs, 1), NNF_ERROR_INVALID,
                 "module");
    assert_error(nnf_session_call(session, "a", module, NULL, 1, outputs, 1), NNF_ERROR_INVALID,
                 "inputs");
    assert_error(nnf_session_call(session, "a", module, &tensor, 1, NULL, 1), NNF_ERROR_INVALID,
                 "outputs");
    assert_error(nnf_session_new_tensor(NULL, outputs, NNF_F32, 1, two), NNF_ERROR_INVALID,
                 "session");
    assert_error(nnf_session_new_tensor(session, outputs, NNF_F32, 1, NULL), NNF_ERROR_INVALID,
                 "shape");
    assert_error(nnf_session_slot(NULL, outputs, module, 0, &tensor, 1), NNF_ERROR_INVALID,
                 "session");
    assert_error(nnf_session_slot(session, outputs, NULL, 0, &tensor, 1), NNF_ERROR_INVALID,
                 "module");
    assert_error(nnf_session_slot(session, outputs, module, 0, NULL, 2), NNF_ERROR_INVALID,
                 "inputs");
    assert_null(outputs[0]);
    nnf_session_release(session);
    nnf_tensor_release(tensor);
    nnf_module_release(module);
}

/* ---- Graphs, fusing, files, verifying ---- */

/* x -> Identity -> y, of 2 numbers. */
static nnf_module *new_graph(void) {
    nnf_module *graph, *identity;
    nnf_value x, y;
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = NNF_F32;
    info.ndim = 1;
    info.shape[0] = (nnf_dim){2, 0};
    assert_ok(nnf_graph_new(&graph));
    assert_ok(nnf_identity_new(&identity));
    assert_ok(nnf_module_set(graph, "a", identity));
    assert_ok(nnf_graph_add_input(graph, &x, "x", &info));
    assert_ok(nnf_graph_add_call(graph, "a", &x, 1, NULL, &y, 1));
    assert_ok(nnf_graph_add_output(graph, y));
    nnf_module_release(identity);
    return graph;
}

static void graphs_ask_for_names_and_values(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_tensor *tensor = new_tensor();
    nnf_value value = 0;
    size_t n_values = nnf_graph_n_values(graph);
    int32_t symbol;
    assert_error(nnf_graph_add_input(graph, &value, NULL, NULL), NNF_ERROR_INVALID, "name");
    assert_error(nnf_graph_add_constant(graph, &value, NULL, tensor), NNF_ERROR_INVALID, "name");
    assert_error(nnf_graph_add_constant(graph, &value, NULL, NULL), NNF_ERROR_INVALID, "tensor");
    assert_error(nnf_graph_add_call(graph, NULL, &value, 1, NULL, &value, 1), NNF_ERROR_INVALID,
                 "path");
    assert_error(nnf_graph_add_call(graph, "a", NULL, 1, NULL, &value, 1), NNF_ERROR_INVALID,
                 "inputs");
    assert_error(nnf_graph_symbol(graph, &symbol, NULL), NNF_ERROR_INVALID, "name");
    assert_int_equal(nnf_graph_n_values(graph), n_values);
    assert_int_equal(nnf_graph_n_calls(graph), 1);
    nnf_tensor_release(tensor);
    nnf_module_release(graph);
}

/* A module that is no Graph, NULL too, where a Graph is needed. */
static void a_graph_is_asked_for(nnf_module *module) {
    nnf_tensor *tensor = new_tensor(), *inputs[1] = {NULL};
    nnf_module *graph = new_graph();
    nnf_value value = 0;
    int32_t symbol;
    int64_t n;
    size_t n_infos, size;
    nnf_type_info *infos = NULL;
    nnf_chain_list *found = NULL;
    nnf_pending_file *pending = NULL;
    nnf_verify_report report = {0};
    void *bytes = NULL;
    const nnf_status answers[] = {
        nnf_graph_add_input(module, &value, "x", NULL),
        nnf_graph_add_constant(module, &value, "c", tensor),
        nnf_graph_add_call(module, "a", &value, 1, NULL, &value, 1),
        nnf_graph_add_output(module, value),
        nnf_graph_symbol(module, &symbol, "batch"),
        nnf_graph_n_parameters(&n, module),
        nnf_graph_infer(module, NULL, &infos, &n_infos),
        nnf_clean(module, NULL),
        nnf_find_chains(&found, module, NULL),
        nnf_lift_patterns(module, NULL),
        nnf_fuse(module, NULL, NULL),
        nnf_fuse_found(&found, module, NULL, NULL),
        nnf_onnx_save(module, "test_null.onnx", NULL),
        nnf_onnx_save_memory(module, &bytes, &size, NULL),
        nnf_onnx_save_pending(&pending, module, "test_null.onnx", NULL),
        nnf_verify(&report, module, graph, NULL),
        nnf_count_right(NULL, NULL, NULL),
        nnf_verify(&report, graph, module, NULL),
        nnf_make_inputs(inputs, module, NULL),
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i] != NNF_ERROR_INVALID)
            fail_msg("answer %zu is %s", i, nnf_status_name(answers[i]));
    assert_true(!infos && !found && !pending && !bytes && !inputs[0]);
    nnf_tensor_release(tensor);
    nnf_module_release(graph);
}

static void graphs_are_asked_for(void **state) {
    (void)state;
    nnf_module *identity;
    assert_ok(nnf_identity_new(&identity));
    a_graph_is_asked_for(NULL);
    a_graph_is_asked_for(identity);
    nnf_module_release(identity);
}

static nnf_status method(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                         void *payload) {
    (void)n, (void)is_qat, (void)payload;
    *fused = nnf_module_retain(modules[0]);
    return NNF_OK;
}

static void mappings_ask_for_types(void **state) {
    (void)state;
    static const char *const types[] = {"ReLU", NULL};
    nnf_mapping *mapping;
    nnf_fuser_method found = NULL;
    void *payload;
    assert_ok(nnf_mapping_new(&mapping));
    assert_error(nnf_mapping_add_type(NULL, nnf_type("ReLU")), NNF_ERROR_INVALID, "mapping");
    assert_error(nnf_mapping_add_type(mapping, NULL), NNF_ERROR_INVALID, "type");
    assert_error(nnf_mapping_add(NULL, types, 1, method, NULL), NNF_ERROR_INVALID, "mapping");
    assert_error(nnf_mapping_add(mapping, NULL, 1, method, NULL), NNF_ERROR_INVALID, "type");
    assert_error(nnf_mapping_add(mapping, types, 2, method, NULL), NNF_ERROR_INVALID, "type");
    assert_error(nnf_mapping_add(mapping, types, 1, NULL, NULL), NNF_ERROR_INVALID, "method");
    assert_error(nnf_mapping_skip(NULL, "relu"), NNF_ERROR_INVALID, "mapping");
    assert_error(nnf_mapping_skip(mapping, NULL), NNF_ERROR_INVALID, "name");
    assert_error(nnf_get_fuser_method(&found, &payload, NULL, 2, NULL), NNF_ERROR_INVALID,
                 "type 0");
    assert_error(nnf_get_fuser_method(&found, &payload, types, 2, mapping), NNF_ERROR_INVALID,
                 "type 1");
    assert_null(found);
    nnf_mapping_release(mapping);
}

static void fusing_asks_for_models_and_lists(void **state) {
    (void)state;
    static const char *const names[] = {"a", NULL};
    const nnf_chain no_names = {NULL, 2}, one_name = {names, 2};
    nnf_module *graph = new_graph(), *relu, *fused = NULL, *both[2] = {NULL};
    assert_ok(nnf_activation_new(&relu, NNF_RELU));
    assert_error(nnf_fuse_modules(&fused, NULL, NULL, 0, NULL), NNF_ERROR_INVALID, "model");
    assert_error(nnf_fuse_modules(&fused, graph, NULL, 1, NULL), NNF_ERROR_INVALID, "chains");
    assert_error(nnf_fuse_modules(&fused, graph, &no_names, 1, NULL), NNF_ERROR_INVALID, "chain 0");
    assert_error(nnf_fuse_modules(&fused, graph, &one_name, 1, NULL), NNF_ERROR_INVALID, "name 1");
    assert_error(nnf_fuse_modules_qat(&fused, NULL, NULL, 0, NULL), NNF_ERROR_INVALID, "model");
    assert_error(nnf_fuse_modules_qat(&fused, graph, NULL, 1, NULL), NNF_ERROR_INVALID, "chains");
    assert_error(nnf_fuse_known_modules(both, NULL, 2, false, NULL), NNF_ERROR_INVALID, "module 0");
    assert_error(nnf_fuse_known_modules(&fused, both, 2, false, NULL), NNF_ERROR_INVALID,
                 "module 0");
    assert_error(nnf_fuse_conv_bn(&fused, false, NULL, relu), NNF_ERROR_INVALID, "module 0");
    assert_error(nnf_fuse_conv_bn_relu(&fused, false, relu, relu, NULL), NNF_ERROR_INVALID,
                 "module 2");
    assert_error(nnf_fuse_linear_bn(&fused, false, relu, NULL), NNF_ERROR_INVALID, "module 1");
    assert_error(nnf_fuse_convtranspose_bn(&fused, false, NULL, NULL), NNF_ERROR_INVALID,
                 "module 0");
    assert_true(!fused && !both[0]);
    nnf_module_release(relu);
    nnf_module_release(graph);
}

static void files_ask_for_paths_and_buffers(void **state) {
    (void)state;
    nnf_module *graph = new_graph(), *loaded = NULL;
    nnf_pending_file *pending = NULL;
    assert_error(nnf_onnx_load(&loaded, NULL, NULL), NNF_ERROR_INVALID, "path");
    assert_error(nnf_onnx_load_memory(&loaded, NULL, 1, NULL), NNF_ERROR_INVALID, "buffer");
    assert_error(nnf_onnx_save(graph, NULL, NULL), NNF_ERROR_INVALID, "path");
    assert_error(nnf_onnx_save_pending(&pending, graph, NULL, NULL), NNF_ERROR_INVALID, "path");
    assert_error(nnf_pending_file_commit(NULL), NNF_ERROR_INVALID, "pending");
    assert_true(!loaded && !pending);
    nnf_module_release(graph);
}

static void verifying_asks_for_what_its_lists_hold(void **state) {
    (void)state;
    nnf_module *graph = new_graph();
    nnf_tensor *tensor = new_tensor(), *made[1] = {NULL};
    nnf_verify_report report = {0};
    const nnf_named_tensor no_name = {NULL, tensor}, no_tensor = {"x", NULL};
    const nnf_named_shape shape = {.ndim = 1, .shape = {2}};
    const struct {
        nnf_verify_options options;
        const char *text;
    } rows[] = {
        {{.n_inputs = 1}, "input 0"},
        {{.inputs = &no_name, .n_inputs = 1}, "input 0"},
        {{.inputs = &no_tensor, .n_inputs = 1}, "input 0"},
        {{.n_shapes = 1}, "shape 0"},
        {{.shapes = &shape, .n_shapes = 1}, "shape 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_error(nnf_make_inputs(made, graph, &rows[i].options), NNF_ERROR_INVALID,
                     rows[i].text);
        assert_error(nnf_verify(&report, graph, graph, &rows[i].options), NNF_ERROR_INVALID,
                     rows[i].text);
    }
    assert_error(nnf_verify(NULL, graph, graph, NULL), NNF_ERROR_INVALID, "nnf_verify");
    assert_error(nnf_make_inputs(NULL, graph, NULL), NNF_ERROR_INVALID, "nnf_make_inputs");
    assert_null(made[0]);
    nnf_tensor_release(tensor);
    nnf_module_release(graph);
}

static void values_are_found_by_name(void **state) {
    (void)state;
    nnf_module *graph;
    nnf_value a, b;
    assert_ok(nnf_graph_new(&graph));
    assert_ok(nnf_graph_add_input(graph, &a, "a", NULL));
    assert_ok(nnf_graph_add_input(graph, &b, "b", NULL));
    assert_int_equal(nnf_graph_n_values(graph), 2);
    assert_int_equal(nnf_graph_find_value(graph, "b"), b);
    assert_int_equal(nnf_graph_find_value(graph, "c"), NNF_NO_VALUE);
    assert_int_equal(nnf_graph_find_value(graph, NULL), NNF_NO_VALUE);
    nnf_module_release(graph);
}

TEST_MAIN(cmocka_unit_test(what_frees_or_retains_takes_null),
          cmocka_unit_test(modes_of_null_are_not_set),
          cmocka_unit_test(a_tensor_that_is_null_has_nothing),
          cmocka_unit_test(a_module_that_is_null_has_nothing),
          cmocka_unit_test(without_a_name_no_tensor_is_found),
          cmocka_unit_test(what_is_no_graph_has_nothing_of_one),
          cmocka_unit_test(a_session_or_file_that_is_null_has_nothing),
          cmocka_unit_test(tensors_are_asked_for), cmocka_unit_test(shapes_and_data_are_asked_for),
          cmocka_unit_test(infos_are_asked_for), cmocka_unit_test(layers_ask_for_options_and_lists),
          cmocka_unit_test(the_tree_asks_for_modules_and_names),
          cmocka_unit_test(hooks_ask_for_modules_and_functions),
          cmocka_unit_test(parameters_ask_for_modules_and_names),
          cmocka_unit_test(sessions_ask_for_modules_and_lists),
          cmocka_unit_test(graphs_ask_for_names_and_values), cmocka_unit_test(graphs_are_asked_for),
          cmocka_unit_test(mappings_ask_for_types),
          cmocka_unit_test(fusing_asks_for_models_and_lists),
          cmocka_unit_test(files_ask_for_paths_and_buffers),
          cmocka_unit_test(verifying_asks_for_what_its_lists_hold),
          cmocka_unit_test(values_are_found_by_name))
