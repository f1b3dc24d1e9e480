/* Initializers for what modules hold that no value of the graph is, and those that nobody reads. */
#include <string.h>

#include "formats/onnx/write_planner.h"
#include "support/memory.h"

static nnf_status initializer_name(nnfi_write_plan *plan, nnfi_original *out, int64_t index) {
    nnfi_tensor_proto proto;
    nnfi_reader reader = nnfi_source_reader(plan->source, plan->source->initializers[index],
                                            "graph.initializer", index);
    NNFI_TRY(nnfi_tensor_proto_read(&proto, reader));
    plan->n_strings++;
    *out = (nnfi_original){(const char *)reader.data + proto.name.begin,
                           proto.name.end - proto.name.begin};
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
    nnfi_original said;
    NNFI_TRY(initializer_name(plan, &said, origin.index));
    if (plan->initializer_kept[origin.index]) {
        *name = nnfi_write_plan_keep(plan, said.text, said.length);
        return *name ? NNF_OK : nnfi_planner_no_memory();
    }
    NNFI_TRY(nnfi_write_plan_take(plan, name, said.text, said.length));
    if (!*name) return NNF_OK;
    plan->initializer_kept[origin.index] = true;
    return nnfi_planner_keep_name(plan, *name);
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

static nnf_status name_slot(nnfi_planner *p, const nnfi_pending_slot *slot, int64_t *behind) {
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
        if (!wish) return nnfi_planner_no_memory();
        nnf_status status = nnfi_write_plan_tensor(plan, &name, slot->tensor, wish, *behind);
        nnfi_free(wish);
        NNFI_TRY(status);
    }
    leaf->inputs[slot->input] = name;
    return NNF_OK;
}

/* What only gave a constant that a slot has no need of now: Constant and Identity nodes, and the
 * initializer behind them. */
static void drop_unread(nnfi_planner *p, nnf_value value) {
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

nnf_status nnfi_planner_initializers(nnfi_planner *p) {
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
