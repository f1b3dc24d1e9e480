/* What is written: the source's parts and what is new beside them. */
#include <string.h>

#include "formats/onnx/write_planner.h"
#include "nn/nn_internal.h"
#include "support/memory.h"

static bool ends_lifted(const nnf_module *module) {
    size_t n = nnf_module_n_children(module);
    return nnfi_is_lifted(module) || (n && nnfi_is_lifted(nnf_module_child(module, n - 1)));
}

static void count_reads(nnfi_planner *p) {
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
    nnfi_planner p = {.plan = plan, .place = -1};
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
        status = nnfi_planner_no_memory();
    } else {
        memset(p.producers, 0xff, n_values * sizeof *p.producers); /* all -1 */
        status = find_initializers(plan);
        count_reads(&p);
    }
    if (status == NNF_OK) status = nnfi_planner_leaves(&p);
    if (status == NNF_OK) status = nnfi_write_plan_order(plan);
    if (status == NNF_OK) status = nnfi_planner_initializers(&p);
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
