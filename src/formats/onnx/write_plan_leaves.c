/* Leaves, which become nodes, and the names that they read and give. */
#include <string.h>

#include "formats/onnx/write_planner.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

nnf_status nnfi_planner_no_memory(void) {
    return nnfi_error_memory(sizeof(nnfi_leaf), "what is written");
}

static bool is_original(const nnfi_original *name, const char *text) {
    return name->text && strlen(text) == name->length && !memcmp(name->text, text, name->length);
}

/* How many names a node has in a field in the source, NODE_INPUT or NODE_OUTPUT, up to number k;
 * *out is that one, or none. */
static nnf_status find_name(const nnfi_write_plan *plan, nnfi_original *out, size_t *n,
                            uint32_t number, int64_t node, size_t k) {
    nnfi_reader reader =
        nnfi_source_reader(plan->source, plan->source->nodes[node], "graph.node", node);
    nnfi_field field;
    *out = (nnfi_original){0};
    *n = 0;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != number || (*n)++ < k) continue;
        *out = (nnfi_original){(const char *)reader.data + field.bytes.begin,
                               field.bytes.end - field.bytes.begin};
        return NNF_OK;
    }
}

static nnf_status original_name(nnfi_write_plan *plan, nnfi_original *out, uint32_t number,
                                int64_t node, size_t k) {
    size_t n;
    NNFI_TRY(find_name(plan, out, &n, number, node, k));
    plan->n_strings += out->text != NULL;
    return NNF_OK;
}

/* The node whose bytes say what the module computes; -1 where none does. */
static int32_t origin_node(const nnfi_write_plan *plan, const nnf_module *module) {
    nnfi_origin origin = nnfi_module_origin(module);
    if (!plan->source || origin.source != plan->source->number || origin.index < 0) return -1;
    const nnf_tensor *value = nnf_module_tensor(module, "value");
    if (value) {
        nnfi_origin said = nnfi_tensor_origin(value);
        if (said.source != origin.source || said.index != -1 - origin.index) return -1;
    }
    return (int32_t)origin.index;
}

static bool is_sequence(const nnfi_write_plan *plan, const nnfi_call *call,
                        const nnf_module *module) {
    const nnf_module_type *type = nnf_module_get_type(module);
    return (type->flags & NNF_TYPE_FUSED) || nnfi_is_a(module, "Sequential") ||
           (nnfi_is_lifted(module) && nnfi_lifted_is_steps(plan, call, module));
}

/* Leaves from `first` on are the children of a lifted layer, which have no children. */
static void wire_leaves(nnfi_write_plan *plan, size_t first, const nnf_module *lifted) {
    const nnfi_lifted_options *options = nnf_module_options(lifted);
    for (size_t i = first; i < plan->n_leaves; i++) {
        plan->leaves[i].wires = options->wires[i - first];
        plan->leaves[i].lifted = (uint32_t)first;
    }
}

static nnf_status add_leaf(nnfi_planner *p, size_t call, nnf_module *module) {
    nnfi_write_plan *plan = p->plan;
    if (is_sequence(plan, plan->graph->calls[call], module) && nnf_module_n_children(module) > 0) {
        const size_t first = plan->n_leaves;
        for (size_t i = 0; i < nnf_module_n_children(module); i++)
            NNFI_TRY(add_leaf(p, call, nnf_module_child(module, i)));
        if (nnfi_is_lifted(module)) wire_leaves(plan, first, module);
        return NNF_OK;
    }
    if (!nnfi_reserve(&plan->leaves, &plan->leaves_capacity, plan->n_leaves + 1,
                      sizeof *plan->leaves)) {
        return nnfi_planner_no_memory();
    }
    if (plan->n_leaves >= INT32_MAX || call > INT32_MAX)
        return nnf_error(NNF_ERROR_UNSUPPORTED, "a file has more than %d nodes", INT32_MAX);
    int32_t node = origin_node(plan, module);
    if (node > p->place) p->place = node;
    plan->leaves[plan->n_leaves++] = (nnfi_leaf){.module = module,
                                                 .path = plan->graph->calls[call]->path,
                                                 .node = node,
                                                 .place = node >= 0 ? node : p->place,
                                                 .call = (uint32_t)call & INT32_MAX};
    return NNF_OK;
}

/* How many inputs a leaf has, the slots that are set among them. */
static size_t count_inputs(const nnf_module *module, size_t n) {
    const nnf_module_type *type = nnf_module_get_type(module);
    for (size_t i = 0; i < type->n_slots; i++) {
        const char *name = type->slots[i].name;
        if (strcmp(name, "num_batches_tracked") == 0) continue; /* PyTorch's alone */
        if ((nnf_module_tensor(module, name) || nnf_module_is_parametrized(module, name)) &&
            n < i + 2) {
            n = i + 2;
        }
    }
    return n;
}

/* Takes the tensor's reference over. */
static nnf_status add_slot(nnfi_planner *p, const nnfi_pending_slot *slot) {
    if (!nnfi_reserve(&p->slots, &p->slots_capacity, p->n_slots + 1, sizeof *p->slots)) {
        nnf_tensor_release(slot->tensor);
        return nnfi_planner_no_memory();
    }
    p->slots[p->n_slots++] = *slot;
    if (slot->value != NNF_NO_VALUE) p->reads[slot->value]--;
    return NNF_OK;
}

/* The slots whose tensors are not what the leaf's inputs name by now. */
static nnf_status collect_slots(nnfi_planner *p, size_t leaf) {
    const nnfi_graph *graph = p->plan->graph;
    const nnfi_leaf *l = &p->plan->leaves[leaf];
    const nnf_module_type *type = nnf_module_get_type(l->module);
    for (size_t i = 0; i < type->n_slots && i + 1 < l->n_inputs; i++) {
        nnf_tensor *tensor;
        NNFI_TRY(nnf_module_parametrized_tensor(&tensor, l->module, type->slots[i].name));
        if (!tensor) continue;
        const char *name = l->inputs[i + 1];
        nnf_value value = name ? nnfi_graph_find_value(graph, name) : NNF_NO_VALUE;
        const nnf_tensor *constant = value == NNF_NO_VALUE ? NULL : graph->values[value].constant;
        if (constant && nnfi_tensor_same(constant, tensor)) {
            nnf_tensor_release(tensor);
            continue;
        }
        NNFI_TRY(add_slot(p, &(nnfi_pending_slot){(uint32_t)leaf, (uint32_t)i + 1, value, tensor,
                                                  type->slots[i].name}));
    }
    return NNF_OK;
}

/* The name of a leaf's input that is not its call's first, and not from the leaf before it; NULL
 * where it has none. */
static const char *residual_name(const nnfi_write_plan *plan, const nnfi_leaf *leaf) {
    const nnfi_call *call = plan->graph->calls[leaf->call];
    if (!nnfi_n_residuals(call->module) || !nnfi_takes_residual(leaf->module)) return NULL;
    nnf_value residual = call->inputs[call->n_inputs - 1];
    return residual == NNF_NO_VALUE ? NULL : plan->graph->values[residual].name;
}

/* Which of its inputs the leaf gets from the one before: the second where its node in the source
 * has the residual first. */
static nnf_status inner_input(nnfi_write_plan *plan, size_t *out, const nnfi_leaf *leaf) {
    const char *residual = leaf->wires ? NULL : residual_name(plan, leaf);
    nnfi_original first = {0};
    if (leaf->wires) {
        for (*out = 0; leaf->wires[*out] != NNFI_WIRE_DATA;)
            ++*out;
        return NNF_OK;
    }
    if (residual && leaf->node >= 0)
        NNFI_TRY(original_name(plan, &first, NODE_INPUT, leaf->node, 0));
    *out = residual && is_original(&first, residual);
    return NNF_OK;
}

nnf_status nnfi_planner_keep_name(nnfi_write_plan *plan, const char *name) {
    return nnfi_map_put(&plan->kept_names, name, strlen(name), 0) ? NNF_OK
                                                                  : nnfi_planner_no_memory();
}

/* A value between two leaves gets the name that the second one read in the source, so that its node
 * may stay as it is; inside of a lifted layer, where others may read it, the one that it had. */
static nnf_status name_between(nnfi_planner *p, const char **out, const nnfi_leaf *leaf) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_leaf *next = leaf + 1;
    nnfi_original name = {0};
    if (next->wires && next->lifted != (size_t)(next - plan->leaves)) {
        if (leaf->node >= 0) NNFI_TRY(original_name(plan, &name, NODE_OUTPUT, leaf->node, 0));
    } else if (next->node >= 0) {
        size_t index;
        NNFI_TRY(inner_input(plan, &index, next));
        NNFI_TRY(original_name(plan, &name, NODE_INPUT, next->node, index));
    }
    nnfi_original wish = name.length ? name : (nnfi_original){next->path, strlen(next->path)};
    *out = nnfi_write_plan_name(plan, wish.text, wish.length);
    if (!*out) return nnfi_planner_no_memory();
    return is_original(&name, *out) ? nnfi_planner_keep_name(plan, *out) : NNF_OK;
}

static nnf_status n_original_inputs(const nnfi_write_plan *plan, size_t *n, int64_t node) {
    nnfi_original none;
    return find_name(plan, &none, n, NODE_INPUT, node, SIZE_MAX);
}

/* Inputs behind the first, where the source had them: the call's captures, in order
 * (nnfi_plan_reads). Their names may be others by now. A container that a program made has no
 * captures; what its modules hold is named later. */
static nnf_status set_captured_inputs(nnfi_planner *p, nnfi_leaf *leaf, size_t n_original) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[leaf->call];
    for (size_t k = 1; k < n_original; k++) {
        nnfi_original name;
        NNFI_TRY(original_name(plan, &name, NODE_INPUT, leaf->node, k));
        if (!name.length) continue;
        const bool more = p->n_captures < call->n_captures;
        if (!more && k <= nnf_module_get_type(leaf->module)->n_slots) continue;
        if (!more)
            return nnf_error(
                NNF_ERROR_UNSUPPORTED, "'%s' cannot be written: a %s inside of it reads '%.*s' too",
                leaf->path, nnf_module_type_name(leaf->module), (int)name.length, name.text);
        leaf->inputs[k] = plan->graph->values[call->captures[p->n_captures++]].name;
    }
    return NNF_OK;
}

/* The inputs of a leaf that is its call's first. */
static nnf_status set_first_inputs(nnfi_planner *p, nnfi_leaf *leaf) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[leaf->call];
    size_t n = call->n_inputs - nnfi_n_residuals(call->module);
    if (nnfi_is_lifted(leaf->module)) p->n_captures += nnfi_lifted_captures(leaf->module);
    leaf->n_inputs = (uint32_t)count_inputs(leaf->module, n);
    leaf->inputs = nnfi_write_plan_names(plan, leaf->n_inputs);
    if (!leaf->inputs) return nnfi_planner_no_memory();
    for (size_t k = 0; k < n; k++) {
        if (call->inputs[k] == NNF_NO_VALUE) continue;
        leaf->inputs[k] = plan->graph->values[call->inputs[k]].name;
    }
    return NNF_OK;
}

/* The inputs of a leaf behind another, which gives it `between`. */
static nnf_status set_inner_inputs(nnfi_planner *p, nnfi_leaf *leaf, const char *between) {
    nnfi_write_plan *plan = p->plan;
    const char *residual = residual_name(plan, leaf);
    size_t n_original = 0, index;
    if (!residual && leaf->node >= 0) NNFI_TRY(n_original_inputs(plan, &n_original, leaf->node));
    leaf->n_inputs = (uint32_t)count_inputs(leaf->module, residual         ? 2
                                                          : n_original > 1 ? n_original
                                                                           : 1);
    leaf->inputs = nnfi_write_plan_names(plan, leaf->n_inputs);
    if (!leaf->inputs) return nnfi_planner_no_memory();
    NNFI_TRY(inner_input(plan, &index, leaf));
    leaf->inputs[index] = between;
    if (residual) leaf->inputs[!index] = residual;
    return set_captured_inputs(p, leaf, n_original);
}

/* The inputs of a lifted layer's child. */
static nnf_status set_wired_inputs(nnfi_planner *p, nnfi_leaf *leaf, size_t first) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[leaf->call];
    for (size_t k = 0; k < NNFI_LIFTED_INPUTS; k++)
        if (leaf->wires[k] != NNFI_WIRE_NONE) leaf->n_inputs = (uint32_t)k + 1;
    leaf->inputs = nnfi_write_plan_names(plan, leaf->n_inputs);
    if (!leaf->inputs) return nnfi_planner_no_memory();
    for (size_t k = 0; k < leaf->n_inputs; k++) {
        const int8_t wire = leaf->wires[k];
        if (wire >= 0)
            leaf->inputs[k] = plan->leaves[leaf->lifted + (size_t)wire].outputs[0];
        else if (wire == NNFI_WIRE_CAPTURE)
            leaf->inputs[k] = plan->graph->values[call->captures[p->n_captures++]].name;
        else if (wire == NNFI_WIRE_DATA && leaf->lifted > first)
            leaf->inputs[k] = plan->leaves[leaf->lifted - 1].outputs[0];
        else if (wire == NNFI_WIRE_DATA)
            leaf->inputs[k] = plan->graph->values[call->inputs[0]].name;
    }
    return NNF_OK;
}

/* A node that gives a name in another's place does not stand further in front than that one did,
 * where a subgraph gives the name too. */
static nnf_status place_hidden(const nnfi_planner *p, nnfi_leaf *leaf, size_t output) {
    nnfi_original name = {0};
    if (leaf->node >= 0) NNFI_TRY(original_name(p->plan, &name, NODE_OUTPUT, leaf->node, output));
    if (!is_original(&name, leaf->outputs[output])) leaf->place = p->place;
    return NNF_OK;
}

/* The leaves [first, end) of one call. */
static nnf_status connect_leaves(nnfi_planner *p, size_t first, size_t end) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[plan->leaves[first].call];
    p->n_captures = 0;
    for (size_t i = first; i < end; i++) {
        nnfi_leaf *leaf = &plan->leaves[i];
        bool is_first = i == first, is_last = i + 1 == end;
        leaf->n_outputs = is_last ? (uint32_t)call->n_outputs : 1;
        leaf->outputs = nnfi_write_plan_names(plan, leaf->n_outputs);
        if (!leaf->outputs) return nnfi_planner_no_memory();
        NNFI_TRY(leaf->wires ? set_wired_inputs(p, leaf, first)
                 : is_first  ? set_first_inputs(p, leaf)
                             : set_inner_inputs(p, leaf, plan->leaves[i - 1].outputs[0]));
        for (size_t k = 0; is_last && k < call->n_outputs; k++) {
            if (call->outputs[k] == NNF_NO_VALUE) continue;
            const nnfi_value *output = &plan->graph->values[call->outputs[k]];
            leaf->outputs[k] = output->name;
            if (output->is_hidden) NNFI_TRY(place_hidden(p, leaf, k));
            p->producers[call->outputs[k]] = (int32_t)i;
        }
        if (!is_last) NNFI_TRY(name_between(p, &leaf->outputs[0], leaf));
        NNFI_TRY(collect_slots(p, i));
    }
    return NNF_OK;
}

nnf_status nnfi_planner_leaves(nnfi_planner *p) {
    nnfi_write_plan *plan = p->plan;
    for (size_t i = 0; i < plan->graph->n_calls; i++) {
        size_t first = plan->n_leaves;
        NNFI_TRY(add_leaf(p, i, plan->graph->calls[i]->module));
        NNFI_TRY(connect_leaves(p, first, plan->n_leaves));
    }
    return NNF_OK;
}
