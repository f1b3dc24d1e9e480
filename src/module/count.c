/* How many parameters a graph has, as who trained it counts them. */
#include "module/graph_internal.h"
#include "module/object.h"
#include "support/memory.h"

#include <string.h>

typedef struct counting {
    const nnfi_graph *graph;
    bool *seen;         /* [n_values] */
    nnfi_pointers held; /* tensors that were counted as a value */
    int64_t n;
} counting;

static nnf_status add(counting *c, const nnf_tensor *tensor) {
    if (nnfi_add(c->n, nnf_tensor_numel(tensor), &c->n)) return NNF_OK;
    return nnf_error(NNF_ERROR_UNSUPPORTED, "a graph has more than 2^63 parameters");
}

/* Each constant counts by its name: where exporters put equal weights into the file once, Identity
 * nodes give each its name back, and they are no less trained for that. Single numbers are
 * arithmetic's.
 */
static nnf_status count_value(counting *c, nnf_value value) {
    if (value == NNF_NO_VALUE || c->seen[value]) return NNF_OK;
    nnf_tensor *tensor = c->graph->values[value].constant;
    c->seen[value] = true;
    if (!tensor || !nnf_dtype_is_float(nnf_tensor_dtype(tensor)) || nnf_tensor_numel(tensor) == 1)
        return NNF_OK;
    if (!nnfi_pointers_put(&c->held, tensor, 0))
        return nnfi_error_memory(sizeof tensor, "the tensors seen");
    return add(c, tensor);
}

/* Whether input number i of a call is a value that counts. One that the module has a slot for is
 * not where that is for a buffer, or holds something else by now. A fused container's inputs are
 * its first module's. */
static bool counts(const nnfi_graph *graph, const nnfi_call *call, size_t i) {
    const bool fused = nnf_module_get_type(call->module)->flags & NNF_TYPE_FUSED;
    const nnf_module *module = fused ? nnf_module_child(call->module, 0) : call->module;
    const nnf_module_type *type = nnf_module_get_type(module);
    if (call->inputs[i] == NNF_NO_VALUE) return false;
    if (i == 0 || i > type->n_slots) return true;
    if (type->slots[i - 1].kind == NNF_SLOT_BUFFER) return false;
    const nnf_tensor *held = nnf_module_tensor(module, type->slots[i - 1].name);
    return !held || held == graph->values[call->inputs[i]].constant;
}

static nnf_status count_call(counting *c, const nnfi_call *call) {
    const bool passes_on = nnf_module_get_type(call->module)->flags & NNF_TYPE_IDENTITY;
    for (size_t i = 0; i < call->n_inputs && !passes_on; i++)
        if (counts(c->graph, call, i)) NNFI_TRY(count_value(c, call->inputs[i]));
    for (size_t i = 0; i < call->n_captures; i++)
        NNFI_TRY(count_value(c, call->captures[i]));
    return NNF_OK;
}

/* What a module holds that no value of the graph is: what was folded, or set by a program. */
static nnf_status count_held(counting *c, nnf_slot_kind kind, const nnf_tensor *tensor) {
    size_t n_held = c->held.n_keys;
    if (!tensor || kind != NNF_SLOT_PARAMETER || !nnf_dtype_is_float(nnf_tensor_dtype(tensor)))
        return NNF_OK;
    if (!nnfi_pointers_put(&c->held, tensor, 0))
        return nnfi_error_memory(sizeof tensor, "the tensors seen");
    return c->held.n_keys > n_held ? add(c, tensor) : NNF_OK;
}

/* A Constant's tensor counts where it is read. */
static nnf_status count_module(counting *c, const nnf_module *module) {
    const nnf_module_type *type = module->type;
    const nnfi_more *more = nnfi_more_of(module);
    if (type->n_slots > 0 && !strcmp(type->name, "Constant")) return NNF_OK;
    for (size_t i = 0; i < type->n_slots; i++)
        NNFI_TRY(count_held(c, type->slots[i].kind, module->slots[i]));
    for (size_t i = 0; i < more->n_extras; i++)
        NNFI_TRY(count_held(c, more->extras[i].kind, more->extras[i].tensor));
    return NNF_OK;
}

static nnf_status count_modules(counting *c, const nnf_module *root) {
    nnfi_walk walk;
    NNFI_TRY(nnfi_walk_new(&walk, root));
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < walk.n && status == NNF_OK; i++)
        status = count_module(c, walk.visits[i].module);
    nnfi_walk_clear(&walk);
    return status;
}

nnf_status nnf_graph_n_parameters(int64_t *out, const nnf_module *graph) {
    counting c = {.graph = graph ? nnfi_graph_of(graph) : NULL};
    if (!out || !c.graph) return nnf_error(NNF_ERROR_INVALID, "only a Graph's parameters count");
    c.seen = nnfi_calloc(c.graph->n_values, sizeof *c.seen);
    nnf_status status =
        c.seen ? NNF_OK : nnfi_error_memory(c.graph->n_values, "the values of a graph");
    for (size_t i = 0; i < c.graph->n_calls && status == NNF_OK; i++)
        status = count_call(&c, c.graph->calls[i]);
    if (status == NNF_OK) status = count_modules(&c, graph);
    if (status == NNF_OK) *out = c.n;
    nnfi_pointers_clear(&c.held);
    nnfi_free(c.seen);
    return status;
}
