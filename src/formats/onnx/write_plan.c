/* What is written: leaves, and the names that they read and give. */
#include <string.h>

#include "formats/onnx/write.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

/* A slot whose tensor is not the constant that the call reads: it needs an initializer. */
typedef struct pending_slot {
    uint32_t leaf, input;
    nnf_value value; /* that the call has there; NNF_NO_VALUE: none */
    nnf_tensor *tensor;
    const char *slot;
} pending_slot;

typedef struct planner {
    nnfi_write_plan *plan;
    uint32_t *reads;    /* [n_values] */
    int32_t *producers; /* [n_values]: the leaf that gives it, -1: none */
    pending_slot *slots;
    size_t n_slots, slots_capacity;
    int32_t place;     /* the furthest so far */
    size_t n_captures; /* of the call at work that its leaves have read by now */
} planner;

static nnf_status no_memory(void) {
    return nnfi_error_memory(sizeof(nnfi_leaf), "what is written");
}

/* ---- Leaves ---- */

/* A name in the source. */
typedef struct original {
    const char *text; /* NULL: there is none */
    size_t length;
} original;

static bool is_original(const original *name, const char *text) {
    return name->text && strlen(text) == name->length && !memcmp(name->text, text, name->length);
}

/* The k-th name in a node's field in the source: NODE_INPUT or NODE_OUTPUT. */
static nnf_status original_name(nnfi_write_plan *plan, original *out, uint32_t number, int64_t node,
                                size_t k) {
    nnfi_reader reader =
        nnfi_source_reader(plan->source, plan->source->nodes[node], "graph.node", node);
    nnfi_field field;
    *out = (original){0};
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != number || k-- > 0) continue;
        plan->n_strings++;
        *out = (original){(const char *)reader.data + field.bytes.begin,
                          field.bytes.end - field.bytes.begin};
        return NNF_OK;
    }
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

static nnf_status add_leaf(planner *p, size_t call, nnf_module *module) {
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
        return no_memory();
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
static nnf_status add_slot(planner *p, const pending_slot *slot) {
    if (!nnfi_reserve(&p->slots, &p->slots_capacity, p->n_slots + 1, sizeof *p->slots)) {
        nnf_tensor_release(slot->tensor);
        return no_memory();
    }
    p->slots[p->n_slots++] = *slot;
    if (slot->value != NNF_NO_VALUE) p->reads[slot->value]--;
    return NNF_OK;
}

/* The slots whose tensors are not what the leaf's inputs name by now. */
static nnf_status collect_slots(planner *p, size_t leaf) {
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
        NNFI_TRY(add_slot(p, &(pending_slot){(uint32_t)leaf, (uint32_t)i + 1, value, tensor,
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
    original first = {0};
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

static nnf_status keep_name(nnfi_write_plan *plan, const char *name) {
    return nnfi_map_put(&plan->kept_names, name, strlen(name), 0) ? NNF_OK : no_memory();
}

/* A value between two leaves gets the name that the second one read in the source, so that its node
 * may stay as it is; inside of a lifted layer, where others may read it, the one that it had. */
static nnf_status name_between(planner *p, const char **out, const nnfi_leaf *leaf) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_leaf *next = leaf + 1;
    original name = {0};
    if (next->wires && next->lifted != (size_t)(next - plan->leaves)) {
        if (leaf->node >= 0) NNFI_TRY(original_name(plan, &name, NODE_OUTPUT, leaf->node, 0));
    } else if (next->node >= 0) {
        size_t index;
        NNFI_TRY(inner_input(plan, &index, next));
        NNFI_TRY(original_name(plan, &name, NODE_INPUT, next->node, index));
    }
    original wish = name.length ? name : (original){next->path, strlen(next->path)};
    *out = nnfi_write_plan_name(plan, wish.text, wish.length);
    if (!*out) return no_memory();
    return is_original(&name, *out) ? keep_name(plan, *out) : NNF_OK;
}

static nnf_status n_original_inputs(const nnfi_write_plan *plan, size_t *n, int64_t node) {
    nnfi_reader reader =
        nnfi_source_reader(plan->source, plan->source->nodes[node], "graph.node", node);
    nnfi_field field;
    *n = 0;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        *n += field.number == NODE_INPUT;
    }
}

/* Inputs behind the first, where the source had them: the call's captures, in order
 * (nnfi_plan_reads). Their names may be others by now. A container that a program made has no
 * captures; what its modules hold is named later. */
static nnf_status set_captured_inputs(planner *p, nnfi_leaf *leaf, size_t n_original) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[leaf->call];
    for (size_t k = 1; k < n_original; k++) {
        original name;
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
static nnf_status set_first_inputs(planner *p, nnfi_leaf *leaf) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[leaf->call];
    size_t n = call->n_inputs - nnfi_n_residuals(call->module);
    if (nnfi_is_lifted(leaf->module)) p->n_captures += nnfi_lifted_captures(leaf->module);
    leaf->n_inputs = (uint32_t)count_inputs(leaf->module, n);
    leaf->inputs = nnfi_write_plan_names(plan, leaf->n_inputs);
    if (!leaf->inputs) return no_memory();
    for (size_t k = 0; k < n; k++) {
        if (call->inputs[k] == NNF_NO_VALUE) continue;
        leaf->inputs[k] = plan->graph->values[call->inputs[k]].name;
    }
    return NNF_OK;
}

/* The inputs of a leaf behind another, which gives it `between`. */
static nnf_status set_inner_inputs(planner *p, nnfi_leaf *leaf, const char *between) {
    nnfi_write_plan *plan = p->plan;
    const char *residual = residual_name(plan, leaf);
    size_t n_original = 0, index;
    if (!residual && leaf->node >= 0) NNFI_TRY(n_original_inputs(plan, &n_original, leaf->node));
    leaf->n_inputs = (uint32_t)count_inputs(leaf->module, residual         ? 2
                                                          : n_original > 1 ? n_original
                                                                           : 1);
    leaf->inputs = nnfi_write_plan_names(plan, leaf->n_inputs);
    if (!leaf->inputs) return no_memory();
    NNFI_TRY(inner_input(plan, &index, leaf));
    leaf->inputs[index] = between;
    if (residual) leaf->inputs[!index] = residual;
    return set_captured_inputs(p, leaf, n_original);
}

/* The inputs of a lifted layer's child. */
static nnf_status set_wired_inputs(planner *p, nnfi_leaf *leaf, size_t first) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[leaf->call];
    for (size_t k = 0; k < NNFI_LIFTED_INPUTS; k++)
        if (leaf->wires[k] != NNFI_WIRE_NONE) leaf->n_inputs = (uint32_t)k + 1;
    leaf->inputs = nnfi_write_plan_names(plan, leaf->n_inputs);
    if (!leaf->inputs) return no_memory();
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
static nnf_status place_hidden(const planner *p, nnfi_leaf *leaf, size_t output) {
    original name = {0};
    if (leaf->node >= 0) NNFI_TRY(original_name(p->plan, &name, NODE_OUTPUT, leaf->node, output));
    if (!is_original(&name, leaf->outputs[output])) leaf->place = p->place;
    return NNF_OK;
}

/* The leaves [first, end) of one call. */
static nnf_status connect_leaves(planner *p, size_t first, size_t end) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_call *call = plan->graph->calls[plan->leaves[first].call];
    p->n_captures = 0;
    for (size_t i = first; i < end; i++) {
        nnfi_leaf *leaf = &plan->leaves[i];
        bool is_first = i == first, is_last = i + 1 == end;
        leaf->n_outputs = is_last ? (uint32_t)call->n_outputs : 1;
        leaf->outputs = nnfi_write_plan_names(plan, leaf->n_outputs);
        if (!leaf->outputs) return no_memory();
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

static nnf_status make_leaves(planner *p) {
    nnfi_write_plan *plan = p->plan;
    for (size_t i = 0; i < plan->graph->n_calls; i++) {
        size_t first = plan->n_leaves;
        NNFI_TRY(add_leaf(p, i, plan->graph->calls[i]->module));
        NNFI_TRY(connect_leaves(p, first, plan->n_leaves));
    }
    return NNF_OK;
}

/* ---- Initializers for slots ---- */

static nnf_status initializer_name(nnfi_write_plan *plan, original *out, int64_t index) {
    nnfi_tensor_proto proto;
    nnfi_reader reader = nnfi_source_reader(plan->source, plan->source->initializers[index],
                                            "graph.initializer", index);
    NNFI_TRY(nnfi_tensor_proto_read(&proto, reader));
    plan->n_strings++;
    *out =
        (original){(const char *)reader.data + proto.name.begin, proto.name.end - proto.name.begin};
    return NNF_OK;
}

/* The tensor is an initializer of the source as it was: the leaf reads that one by its name. */
static nnf_status use_original(nnfi_write_plan *plan, const char **name, const nnf_tensor *tensor) {
    nnfi_origin origin = nnfi_tensor_origin(tensor);
    *name = NULL;
    if (!plan->source || origin.source != plan->source->number || origin.index < 0) return NNF_OK;
    int64_t value = plan->initializer_values[origin.index];
    if (value >= 0) {
        const nnf_tensor *constant = plan->graph->values[value].constant;
        if (constant && nnfi_tensor_same(constant, tensor)) *name = plan->graph->values[value].name;
        return NNF_OK;
    }
    original said;
    NNFI_TRY(initializer_name(plan, &said, origin.index));
    if (plan->initializer_kept[origin.index]) {
        *name = nnfi_write_plan_keep(plan, said.text, said.length);
        return *name ? NNF_OK : no_memory();
    }
    NNFI_TRY(nnfi_write_plan_take(plan, name, said.text, said.length));
    if (!*name) return NNF_OK;
    plan->initializer_kept[origin.index] = true;
    return keep_name(plan, *name);
}

/* Whether what the file may say of the value elsewhere, as an input or as value_info, is true of
 * the tensor too. */
static bool is_alike(const nnf_tensor *constant, const nnf_tensor *tensor) {
    int ndim = nnf_tensor_ndim(tensor);
    return constant && nnf_tensor_dtype(constant) == nnf_tensor_dtype(tensor) &&
           nnf_tensor_ndim(constant) == ndim &&
           memcmp(nnf_tensor_shape(constant), nnf_tensor_shape(tensor),
                  (size_t)ndim * sizeof(int64_t)) == 0;
}

static nnf_status name_slot(planner *p, const pending_slot *slot, int64_t *behind) {
    nnfi_write_plan *plan = p->plan;
    const nnfi_leaf *leaf = &plan->leaves[slot->leaf];
    const char *name = NULL;
    int64_t place = slot->value == NNF_NO_VALUE ? -1 : plan->value_initializers[slot->value];
    if (place >= 0) *behind = place;
    NNFI_TRY(use_original(plan, &name, slot->tensor));
    if (!name && place >= 0 && p->reads[slot->value] == 0 && !plan->initializer_gone[place] &&
        is_alike(plan->graph->values[slot->value].constant, slot->tensor) &&
        !nnfi_write_plan_find(plan, slot->tensor)) {
        name = plan->graph->values[slot->value].name;
        plan->initializer_gone[place] = plan->initializer_replaced[place] = true;
        NNFI_TRY(nnfi_write_plan_add(plan,
                                     &(nnfi_new_tensor){slot->tensor, name, (int32_t)place, true}));
    }
    if (!name) {
        char *wish = nnfi_join(leaf->path, slot->slot);
        if (!wish) return no_memory();
        nnf_status status = nnfi_write_plan_tensor(plan, &name, slot->tensor, wish, *behind);
        nnfi_free(wish);
        NNFI_TRY(status);
    }
    leaf->inputs[slot->input] = name;
    return NNF_OK;
}

/* What only gave a constant that a slot has no need of now: Constant and Identity nodes, and the
 * initializer behind them. */
static void drop_unread(planner *p, nnf_value value) {
    nnfi_write_plan *plan = p->plan;
    while (value != NNF_NO_VALUE && p->reads[value] == 0) {
        int64_t initializer = plan->value_initializers[value];
        if (initializer >= 0) {
            plan->initializer_gone[initializer] = true;
            return;
        }
        if (p->producers[value] < 0) return;
        nnfi_leaf *leaf = &plan->leaves[p->producers[value]];
        const nnfi_call *call = plan->graph->calls[leaf->call];
        if (leaf->dropped || call->n_outputs != 1 || call->n_inputs > 1 || call->n_captures > 0) {
            return;
        }
        leaf->dropped = true;
        value = call->n_inputs == 1 ? call->inputs[0] : NNF_NO_VALUE;
        if (value != NNF_NO_VALUE) p->reads[value]--;
    }
}

static nnf_status make_initializers(planner *p) {
    nnfi_write_plan *plan = p->plan;
    int64_t behind = -1;
    for (size_t i = 0; i < p->n_slots; i++) {
        if (i == 0 || p->slots[i].leaf != p->slots[i - 1].leaf) behind = -1;
        NNFI_TRY(name_slot(p, &p->slots[i], &behind));
    }
    for (size_t i = 0; i < p->n_slots; i++) {
        nnf_value value = p->slots[i].value;
        if (value != NNF_NO_VALUE && !plan->graph->values[value].is_input) drop_unread(p, value);
    }
    /* constants that a program added */
    for (size_t i = 0; i < plan->graph->n_values; i++) {
        const nnfi_value *value = &plan->graph->values[i];
        if (!value->constant || value->gone || p->producers[i] >= 0 || p->reads[i] == 0 ||
            plan->value_initializers[i] >= 0) {
            continue;
        }
        NNFI_TRY(
            nnfi_write_plan_add(plan, &(nnfi_new_tensor){value->constant, value->name, -1, false}));
    }
    return NNF_OK;
}

/* ---- The plan ---- */

static bool ends_lifted(const nnf_module *module) {
    size_t n = nnf_module_n_children(module);
    return nnfi_is_lifted(module) || (n && nnfi_is_lifted(nnf_module_child(module, n - 1)));
}

static void count_reads(planner *p) {
    const nnfi_graph *graph = p->plan->graph;
    for (size_t i = 0; i < graph->n_calls; i++) {
        const nnfi_call *call = graph->calls[i];
        for (size_t k = 0; k < call->n_inputs; k++) {
            if (call->inputs[k] != NNF_NO_VALUE) p->reads[call->inputs[k]]++;
        }
        /* a program's nodes have what the modules say, but for those of lifted layers */
        bool named = p->plan->source || ends_lifted(call->module);
        for (size_t k = 0; named && k < call->n_captures; k++) {
            if (call->captures[k] != NNF_NO_VALUE) p->reads[call->captures[k]]++;
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        p->reads[graph->outputs[i]]++;
    }
}

static nnf_status find_initializers(nnfi_write_plan *plan) {
    nnfi_source *source = plan->source;
    for (size_t i = 0; i < plan->graph->n_values; i++) {
        plan->value_initializers[i] = -1;
    }
    nnf_value next = 0; /* initializers became values in their order */
    for (size_t i = 0; source && i < source->n_initializers; i++) {
        nnfi_tensor_proto proto;
        NNFI_TRY(
            nnfi_tensor_proto_read(&proto, nnfi_source_reader(source, source->initializers[i],
                                                              "graph.initializer", (int64_t)i)));
        plan->has_external = plan->has_external || proto.external;
        plan->initializer_values[i] = -2;
        if (proto.name.begin == proto.name.end) continue;
        plan->initializer_values[i] = -1;
        const char *name = (const char *)proto.reader.data + proto.name.begin;
        nnf_value value =
            nnfi_graph_find_near(plan->graph, next, name, proto.name.end - proto.name.begin);
        next++;
        if (value == NNF_NO_VALUE) continue;
        next = value + 1;
        plan->initializer_values[i] = value;
        plan->value_initializers[value] = (int32_t)i;
    }
    return NNF_OK;
}

static nnf_status fill_plan(nnfi_write_plan *plan) {
    size_t n_values = plan->graph->n_values;
    size_t n_initializers = plan->source ? plan->source->n_initializers : 0;
    planner p = {.plan = plan, .place = -1};
    nnf_status status = NNF_OK;
    plan->initializer_values = nnfi_calloc(n_initializers, sizeof *plan->initializer_values);
    plan->initializer_kept = nnfi_calloc(n_initializers, sizeof *plan->initializer_kept);
    plan->initializer_gone = nnfi_calloc(n_initializers, sizeof *plan->initializer_gone);
    plan->initializer_replaced = nnfi_calloc(n_initializers, sizeof(bool));
    plan->value_initializers = nnfi_calloc(n_values, sizeof *plan->value_initializers);
    plan->name_used = nnfi_calloc(n_values, sizeof *plan->name_used);
    p.reads = nnfi_calloc(n_values, sizeof *p.reads);
    p.producers = nnfi_alloc(n_values * sizeof *p.producers);
    if (!plan->initializer_values || !plan->initializer_kept || !plan->initializer_gone ||
        !plan->initializer_replaced || !plan->value_initializers || !plan->name_used || !p.reads ||
        !p.producers) {
        status = no_memory();
    } else {
        memset(p.producers, 0xff, n_values * sizeof *p.producers); /* all -1 */
        status = find_initializers(plan);
        count_reads(&p);
    }
    if (status == NNF_OK) status = make_leaves(&p);
    if (status == NNF_OK) status = nnfi_write_plan_order(plan);
    if (status == NNF_OK) status = make_initializers(&p);
    for (size_t i = 0; i < p.n_slots; i++) {
        nnf_tensor_release(p.slots[i].tensor);
    }
    nnfi_free(p.slots);
    nnfi_free(p.reads);
    nnfi_free(p.producers);
    return status;
}

nnf_status nnfi_write_plan_make(nnfi_write_plan *out, const nnf_module *module,
                                const nnf_onnx_save_options *options) {
    nnfi_write_plan plan = {.module = module, .graph = nnfi_graph_of(module)};
    if (!plan.graph) {
        return nnf_error(NNF_ERROR_INVALID,
                         "only a Graph can be written as ONNX, not a %s: build one with "
                         "nnf_graph_new, which says on which values each module is called",
                         module ? nnf_module_type_name(module) : "NULL");
    }
    plan.source = plan.graph->source_data;
    plan.ir_version = options && options->ir_version ? options->ir_version : 8;
    plan.opset = options && options->opset ? options->opset : 17;
    if (plan.source) {
        plan.ir_version = plan.source->ir_version;
        plan.opset = plan.source->opset;
    } else if (plan.ir_version < ONNX_OLDEST_IR || plan.opset < ONNX_OLDEST_OPSET ||
               plan.opset > ONNX_NEWEST_OPSET) {
        return nnf_error(NNF_ERROR_INVALID,
                         "nnfuse writes IR version %d and newer, opset %d to %d, not %lld and %lld",
                         ONNX_OLDEST_IR, ONNX_OLDEST_OPSET, ONNX_NEWEST_OPSET,
                         (long long)plan.ir_version, (long long)plan.opset);
    }
    nnf_status status = fill_plan(&plan);
    if (status != NNF_OK) {
        nnfi_write_plan_clear(&plan);
        return status;
    }
    *out = plan;
    return NNF_OK;
}

void nnfi_write_plan_clear(nnfi_write_plan *plan) {
    for (size_t i = 0; i < plan->n_tensors; i++) {
        nnf_tensor_release(plan->tensors[i].tensor);
    }
    nnf_graph_infer_free(plan->infos, plan->n_infos);
    nnfi_index_clear(&plan->tensor_index);
    nnfi_map_clear(&plan->names);
    nnfi_map_clear(&plan->kept_names);
    nnfi_free(plan->tensors);
    nnfi_pile_clear(&plan->pile);
    nnfi_free(plan->leaves);
    nnfi_free(plan->initializer_values);
    nnfi_free(plan->initializer_kept);
    nnfi_free(plan->initializer_gone);
    nnfi_free(plan->initializer_replaced);
    nnfi_free(plan->value_initializers);
    nnfi_free(plan->name_used);
    *plan = (nnfi_write_plan){0};
}
