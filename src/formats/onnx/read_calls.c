/* Nodes to modules and calls. Types are inferred on the way, because a node's rank decides which
 * module it is (BatchNorm1d, 2d or 3d). */
#include <string.h>

#include "formats/onnx/ops.h"
#include "module/known.h"
#include "support/memory.h"

typedef struct builder {
    nnf_module *module;
    nnfi_graph *graph;
    nnfi_source *source;
    const nnfi_node_list *list;
    nnfi_known infos; /* of every value, as far as it is known by now */
    nnfi_numbers numbers;
    nnfi_map containers; /* from a container's path to its place in container_modules */
    nnf_module **container_modules;
    size_t n_containers, containers_capacity;
    /* of the node at work, with room for the longest list */
    const nnf_type_info **input_infos;
    nnf_tensor **constants, **known_numbers;
    nnf_type_info *output_infos;
} builder;

/* ---- The tree ---- */

/* The module of a path that others stand below. Keys of the map are slices of the nodes' paths. */
static nnf_status get_container(builder *b, nnf_module **out, const char *path, size_t length) {
    int64_t index;
    nnf_module *parent = b->module, *container;
    if (length == 0) {
        *out = b->module;
        return NNF_OK;
    }
    if (nnfi_map_get(&b->containers, path, length, &index)) {
        *out = b->container_modules[index];
        return NNF_OK;
    }
    size_t dot = length;
    while (dot > 0 && path[dot - 1] != '.') {
        dot--;
    }
    if (dot > 0) NNFI_TRY(get_container(b, &parent, path, dot - 1));
    if (!nnfi_reserve(&b->container_modules, &b->containers_capacity, b->n_containers + 1,
                      sizeof(nnf_module *))) {
        return nnfi_error_memory(sizeof(nnf_module *), "the module tree");
    }
    char *name = nnfi_strndup(path + dot, length - dot);
    if (!name) return nnfi_error_memory(length - dot, "a module's name");
    nnf_status status = nnf_container_new(&container);
    if (status == NNF_OK) {
        status = nnfi_append_child(parent, name, container);
        nnf_module_release(container); /* its parent has it now */
    }
    nnfi_free(name);
    if (status != NNF_OK) return status;
    if (!nnfi_map_put(&b->containers, path, length, (int64_t)b->n_containers)) {
        return nnfi_error_memory(length, "the module tree");
    }
    b->container_modules[b->n_containers++] = container;
    *out = container;
    return NNF_OK;
}

static nnf_status put_into_tree(builder *b, const char *path, nnf_module *module) {
    nnf_module *parent;
    const char *dot = strrchr(path, '.');
    NNFI_TRY(get_container(b, &parent, path, dot ? (size_t)(dot - path) : 0));
    return nnfi_append_child(parent, dot ? dot + 1 : path, module); /* paths are unique */
}

/* ---- Modules ---- */

static bool is_constant(const nnfi_graph *graph, nnf_value value) {
    return value != NNF_NO_VALUE && graph->values[value].constant && !graph->values[value].is_input;
}

static nnf_status bind(nnf_module *module, const char *name, nnf_slot_kind kind,
                       nnf_tensor *tensor) {
    return kind == NNF_SLOT_BUFFER ? nnf_module_set_buffer(module, name, tensor)
                                   : nnf_module_set_parameter(module, name, tensor);
}

static nnf_status bind_slots(nnf_module *module, const nnfi_node_call *call) {
    const nnf_module_type *type = nnf_module_get_type(module);
    for (size_t i = 0; i < type->n_slots && 1 + i < call->n_inputs; i++) {
        if (!call->constants[1 + i]) continue;
        NNFI_TRY(bind(module, type->slots[i].name, type->slots[i].kind, call->constants[1 + i]));
    }
    return NNF_OK;
}

/* The row of the node's operator, or NULL. */
static const nnfi_onnx_op *find_op(const builder *b, const nnfi_node *node) {
    const char *name = (const char *)nnfi_bytes_data(b->source->bytes) + node->op_type.begin;
    size_t length = node->op_type.end - node->op_type.begin;
    bool onnx = node->domain.begin == node->domain.end ||
                nnfi_source_equals(b->source, node->domain, "ai.onnx");
    if (!onnx || nnfi_map_get(&b->source->shadowed, name, length, NULL)) return NULL;
    return nnfi_onnx_op_find(name, length, b->source->opset);
}

static nnf_status make_opaque(const builder *b, nnf_module **out, const nnfi_node *node) {
    char *op_type = nnfi_source_string(b->source, node->op_type);
    char *domain = nnfi_source_string(b->source, node->domain);
    nnf_status status = op_type && domain
                            ? nnf_opaque_new(out, op_type, domain)
                            : nnfi_error_memory(node->op_type.end - node->op_type.begin, "a node");
    nnfi_free(op_type);
    nnfi_free(domain);
    return status;
}

/* Where a layer's input has no rank yet, its output has none either: PyTorch's layers take images
 * without a batch too. ONNX's do not, so the operator may say it. */
static nnf_status declare_rank(const builder *b, const nnfi_node *node, int rank) {
    if (!rank || node->n_inputs == 0 || node->n_outputs == 0) return NNF_OK;
    nnf_value output = b->list->links[node->links + node->n_inputs];
    if (output == NNF_NO_VALUE || !b->input_infos[0] || b->input_infos[0]->ndim >= 0) return NNF_OK;
    nnfi_value *value = &b->graph->values[output];
    nnf_type_info info = *nnfi_value_info(value);
    if (info.ndim >= 0) return NNF_OK;
    for (info.ndim = 0; info.ndim < rank; info.ndim++)
        info.shape[info.ndim] = (nnf_dim){0, NNF_DIM_UNKNOWN};
    return nnfi_value_set_info(value, &info);
}

/* *out stays NULL where nnfuse does not know the node. */
static nnf_status make_known(const builder *b, nnf_module **out, nnfi_node_call *call,
                             const nnfi_onnx_op *op, size_t index) {
    nnfi_options options;
    bool known;
    nnfi_reader reader =
        nnfi_source_reader(b->source, b->source->nodes[index], "graph.node", (int64_t)index);
    NNFI_TRY(nnfi_attributes_read(&known, &options, call, op, reader, b->source));
    if (!known) return NNF_OK;
    strcpy(call->type, op->type);
    if (op->complete && !op->complete(call, &options)) return NNF_OK;
    const nnf_module_type *type = nnf_type(call->type);
    if (!type) return NNF_OK;
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, type, type->options_size > 0 ? &options : NULL));
    nnf_status status = bind_slots(module, call);
    if (status == NNF_OK && call->value) {
        nnfi_tensor_set_origin(call->value, (nnfi_origin){b->source->number, -1 - (int64_t)index});
        status = nnf_module_set_parameter(module, "value", call->value);
    }
    if (status != NNF_OK) {
        nnf_module_release(module);
        return status;
    }
    *out = module;
    return NNF_OK;
}

static nnf_status make_module(const builder *b, nnf_module **out, const nnfi_node *node,
                              size_t index) {
    const nnfi_onnx_op *op = find_op(b, node);
    nnfi_node_call call = {.inputs = b->input_infos,
                           .constants = b->constants,
                           .numbers = b->known_numbers,
                           .n_inputs = node->n_inputs,
                           .n_outputs = node->n_outputs};
    nnf_module *module = NULL;
    nnf_status status = NNF_OK;
    if (op && node->n_captures == 0) status = make_known(b, &module, &call, op, index);
    nnf_tensor_release(call.value);
    if (status == NNF_OK)
        status = module ? declare_rank(b, node, call.rank) : make_opaque(b, &module, node);
    if (status != NNF_OK) {
        nnf_module_release(module);
        return status;
    }
    nnf_module_set_training(module, false);
    nnfi_module_set_origin(module, (nnfi_origin){b->source->number, (int64_t)index});
    *out = module;
    return NNF_OK;
}

/* ---- What is known of values ---- */

/* Inference says more than the file, which may be wrong; a layer that does not take its inputs is
 * no error here: the file may be fine for what it is used for. */
static nnf_status infer_outputs(builder *b, const nnf_module *module, const nnfi_node *node) {
    const nnf_value *outputs = b->list->links + node->links + node->n_inputs;
    for (size_t i = 0; i < node->n_outputs; i++) {
        nnf_type_info_init(&b->output_infos[i]);
    }
    bool fits = nnfi_module_infer(module, b->input_infos, node->n_inputs, b->output_infos,
                                  node->n_outputs) == NNF_OK;
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < node->n_outputs; i++) {
        nnf_type_info *inferred = &b->output_infos[i];
        if (!fits || status != NNF_OK || outputs[i] == NNF_NO_VALUE) nnf_type_info_clear(inferred);
        if (status != NNF_OK || outputs[i] == NNF_NO_VALUE) continue;
        const nnf_type_info *declared = nnfi_value_info(&b->graph->values[outputs[i]]);
        if (inferred->dtype == NNF_DTYPE_UNKNOWN) inferred->dtype = declared->dtype;
        if (inferred->ndim < 0) {
            inferred->ndim = declared->ndim;
            memcpy(inferred->shape, declared->shape, sizeof inferred->shape);
        }
        status = nnfi_known_set(&b->infos, outputs[i], inferred);
    }
    return status;
}

/* What a Constant gives, and what Identity passes on, is a constant. */
static void pass_constant_on(builder *b, const nnf_module *module, const nnfi_node *node) {
    const nnf_value *links = b->list->links + node->links;
    nnf_tensor *tensor = NULL;
    if (node->n_outputs != 1 || links[node->n_inputs] == NNF_NO_VALUE) return;
    if (node->n_inputs == 0 && !strcmp(nnf_module_type_name(module), "Constant")) {
        tensor = nnf_module_tensor(module, "value");
    } else if (node->n_inputs == 1 && !strcmp(nnf_module_type_name(module), "Identity") &&
               is_constant(b->graph, links[0])) {
        tensor = b->graph->values[links[0]].constant;
    }
    if (tensor) b->graph->values[links[node->n_inputs]].constant = nnf_tensor_retain(tensor);
}

/* ---- Calls ---- */

static void gather_inputs(builder *b, const nnfi_node *node) {
    for (size_t i = 0; i < node->n_inputs; i++) {
        nnf_value value = b->list->links[node->links + i];
        b->input_infos[i] = value == NNF_NO_VALUE ? NULL : nnfi_known_get(&b->infos, value);
        b->constants[i] = is_constant(b->graph, value) ? b->graph->values[value].constant : NULL;
        b->known_numbers[i] =
            b->constants[i] ? b->constants[i] : nnfi_numbers_get(&b->numbers, value);
    }
}

/* Of the call that was appended last. */
static nnf_status add_numbers(builder *b) {
    const nnfi_call *call = b->graph->calls[b->graph->n_calls - 1];
    if (call->n_outputs != 1 || call->outputs[0] == NNF_NO_VALUE) return NNF_OK;
    return nnfi_numbers_add(&b->numbers, b->graph, call,
                            nnfi_known_get(&b->infos, call->outputs[0]));
}

static nnf_status build_call(builder *b, size_t index) {
    const nnfi_node *node = &b->list->nodes[index];
    const nnf_value *links = b->list->links + node->links;
    nnf_module *module;
    gather_inputs(b, node);
    NNFI_TRY(make_module(b, &module, node, index));
    nnf_status status = put_into_tree(b, node->path, module);
    if (status == NNF_OK) {
        status = nnfi_graph_append_call(b->module, node->path, module, links, node->n_inputs,
                                        links + node->n_inputs, node->n_outputs,
                                        links + node->n_inputs + node->n_outputs, node->n_captures);
    }
    if (status == NNF_OK) {
        pass_constant_on(b, module, node);
        status = infer_outputs(b, module, node);
    }
    if (status == NNF_OK) status = add_numbers(b);
    nnf_module_release(module);
    return status;
}

static nnf_status init_infos(builder *b) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    NNFI_TRY(nnfi_known_new(&b->infos, b->graph->n_values));
    for (size_t i = 0; i < b->graph->n_values; i++) {
        const nnfi_value *value = &b->graph->values[i];
        bool constant = is_constant(b->graph, (nnf_value)i);
        if (!constant && !value->is_input) continue;
        NNFI_TRY(constant ? nnf_type_info_of_tensor(&info, value->constant)
                          : nnf_type_info_copy(&info, nnfi_value_info(value)));
        NNFI_TRY(nnfi_known_set(&b->infos, (nnf_value)i, &info));
    }
    return NNF_OK;
}

static nnf_status init_builder(builder *b) {
    size_t most_inputs = 1, most_outputs = 1;
    for (size_t i = 0; i < b->list->n; i++) {
        const nnfi_node *node = &b->list->nodes[i];
        if (node->n_inputs > most_inputs) most_inputs = node->n_inputs;
        if (node->n_outputs > most_outputs) most_outputs = node->n_outputs;
    }
    b->input_infos = nnfi_calloc(most_inputs, sizeof(nnf_type_info *));
    b->constants = nnfi_calloc(most_inputs, sizeof(nnf_tensor *));
    b->known_numbers = nnfi_calloc(most_inputs, sizeof(nnf_tensor *));
    b->output_infos = nnfi_calloc(most_outputs, sizeof *b->output_infos);
    if (b->input_infos && b->constants && b->known_numbers && b->output_infos) return init_infos(b);
    return nnfi_error_memory(most_inputs * sizeof(nnf_type_info *), "a node's values");
}

static void clear_builder(builder *b) {
    nnfi_known_clear(&b->infos);
    nnfi_free(b->input_infos);
    nnfi_free(b->constants);
    nnfi_free(b->known_numbers);
    nnfi_numbers_clear(&b->numbers);
    nnfi_free(b->output_infos);
    nnfi_free(b->container_modules);
    nnfi_map_clear(&b->containers);
}

nnf_status nnfi_build_calls(nnf_module *module, const nnfi_node_list *list, nnfi_source *source) {
    builder b = {.module = module, .graph = nnfi_graph_of(module), .source = source, .list = list};
    nnf_status status = init_builder(&b);
    for (size_t i = 0; i < list->n && status == NNF_OK; i++) {
        status = build_call(&b, list->order[i]);
    }
    clear_builder(&b);
    return status;
}
