/* Calls that stand in both models: the same layer on the values of the same names. Fusing left them
 * alone, so that their options and constants must be equal too. */
#include <string.h>

#include "formats/onnx/source.h"
#include "nn/nn_internal.h"
#include "support/memory.h"
#include "verify/verify_internal.h"

/* ---- Finding ---- */

static const char *name_of(const nnfi_graph *graph, nnf_value value) {
    return value == NNF_NO_VALUE ? "" : graph->values[value].name;
}

static bool same_names(const nnfi_graph *a, const nnf_value *of_a, const nnfi_graph *b,
                       const nnf_value *of_b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(name_of(a, of_a[i]), name_of(b, of_b[i])) != 0) return false;
    return true;
}

const nnfi_call *nnfi_find_unchanged(const nnfi_graph *a, const int32_t *producers,
                                     const nnfi_graph *b, const nnfi_call *call) {
    size_t first = 0;
    while (first < call->n_outputs && call->outputs[first] == NNF_NO_VALUE)
        first++;
    if (first == call->n_outputs) return NULL;
    nnf_value value = nnfi_graph_find_value(a, name_of(b, call->outputs[first]));
    if (value == NNF_NO_VALUE || producers[value] < 0) return NULL;
    const nnfi_call *found = a->calls[producers[value]];
    bool same = found->n_inputs == call->n_inputs && found->n_outputs == call->n_outputs &&
                !strcmp(nnf_module_type_name(found->module), nnf_module_type_name(call->module)) &&
                same_names(a, found->inputs, b, call->inputs, call->n_inputs) &&
                same_names(a, found->outputs, b, call->outputs, call->n_outputs);
    return same ? found : NULL;
}

/* ---- What a layer says ---- */

/* The next attribute of a node; false behind the last. */
static bool next_attribute(nnfi_reader *node, nnfi_span *out) {
    nnfi_field field = {0};
    for (bool more = true; nnfi_reader_next(node, &field, &more) == NNF_OK && more;) {
        if (field.number != NODE_ATTRIBUTE) continue;
        *out = field.bytes;
        return true;
    }
    return false;
}

/* The node that a module was read from; false: a program made it, and it has no attributes. */
static bool node_of(nnfi_reader *out, const nnfi_graph *graph, const nnf_module *module) {
    const nnfi_source *source = graph->source_data;
    nnfi_origin origin = nnfi_module_origin(module);
    if (!source || origin.source != source->number || origin.index < 0) return false;
    *out = nnfi_source_reader(source, source->nodes[origin.index], "graph.node", origin.index);
    return true;
}

/* Nobody knows what the attributes of such a node mean: they are the same byte for byte, or not. */
static bool same_nodes(const nnfi_graph *a, const nnf_module *of_a, const nnfi_graph *b,
                       const nnf_module *of_b) {
    const nnf_opaque_options *x = nnf_module_options(of_a), *y = nnf_module_options(of_b);
    const nnfi_source *source_a = a->source_data, *source_b = b->source_data;
    nnfi_reader node_a, node_b;
    if (strcmp(x->op_type, y->op_type) != 0 || strcmp(x->domain, y->domain) != 0) return false;
    bool has_a = node_of(&node_a, a, of_a), has_b = node_of(&node_b, b, of_b);
    if (!has_a || !has_b) return has_a == has_b;
    if (source_a->opset != source_b->opset) return false;
    for (nnfi_span in_a, in_b;;) {
        bool more = next_attribute(&node_a, &in_a);
        if (more != next_attribute(&node_b, &in_b)) return false;
        if (!more) return true;
        size_t n = in_a.end - in_a.begin;
        if (n != in_b.end - in_b.begin ||
            memcmp(node_a.data + in_a.begin, node_b.data + in_b.begin, n) != 0)
            return false;
    }
}

/* Options that own memory are a type's own affair: Opaque's alone are known here. */
static bool same_options(const nnfi_graph *a, const nnf_module *of_a, const nnfi_graph *b,
                         const nnf_module *of_b) {
    const nnf_module_type *type = nnf_module_get_type(of_a);
    const void *x = nnf_module_options(of_a), *y = nnf_module_options(of_b);
    if (nnfi_is_a(of_a, "Opaque")) return same_nodes(a, of_a, b, of_b);
    if (type->copy_options || !x || !y) return !x == !y;
    return memcmp(x, y, type->options_size) == 0;
}

/* ---- Its constants ---- */

/* Part by part, so that weights need not be in memory whole. */
static nnf_status same_elements(bool *same, const nnf_tensor *a, const nnf_tensor *b) {
    enum { PART = 4096 };
    unsigned char from_a[PART * sizeof(double)], from_b[PART * sizeof(double)];
    nnf_dtype dtype = nnf_tensor_dtype(a);
    int ndim = nnf_tensor_ndim(a);
    *same = nnfi_tensor_same(a, b);
    if (*same || dtype != nnf_tensor_dtype(b) || ndim != nnf_tensor_ndim(b) ||
        memcmp(nnf_tensor_shape(a), nnf_tensor_shape(b), (size_t)ndim * sizeof(int64_t)) != 0)
        return NNF_OK;
    for (int64_t first = 0, n = nnf_tensor_numel(a); first < n; first += PART) {
        int64_t count = n - first < PART ? n - first : PART;
        NNFI_TRY(nnf_tensor_read(a, first, count, from_a));
        NNFI_TRY(nnf_tensor_read(b, first, count, from_b));
        if (memcmp(from_a, from_b, (size_t)count * nnf_dtype_size(dtype)) != 0) return NNF_OK;
    }
    *same = true;
    return NNF_OK;
}

/* Where they differ, a row says by how much. */
static nnf_status compare_tensors(nnf_verify_report *report, const char *name, const nnf_tensor *a,
                                  const nnf_tensor *b, double tolerance) {
    bool same = true;
    if (a && b) NNFI_TRY(same_elements(&same, a, b));
    if (same) return NNF_OK;
    nnf_verify_row *row = nnfi_report_add(report);
    if (!row) return NNF_ERROR_MEMORY;
    NNFI_TRY(nnfi_compare(row, name, a, b, tolerance));
    report->ok = report->ok && row->ok;
    return NNF_OK;
}

static nnf_tensor *constant_of(const nnfi_graph *graph, nnf_value value) {
    return value == NNF_NO_VALUE ? NULL : graph->values[value].constant;
}

/* Whether something that is a constant in one graph is computed in the other, as what cleaning
 * computes ahead: then there is nothing to hold it against. */
static bool is_computed_in_one(const nnfi_graph *a, const nnfi_call *of_a, const nnfi_graph *b,
                               const nnfi_call *of_b) {
    for (size_t i = 0; i < of_b->n_inputs; i++)
        if (!constant_of(a, of_a->inputs[i]) != !constant_of(b, of_b->inputs[i])) return true;
    for (size_t i = 0; i < nnf_module_n_tensors(of_b->module); i++)
        if (!nnf_module_tensor(of_a->module, nnf_module_tensor_name(of_b->module, i))) return true;
    return nnf_module_n_tensors(of_a->module) != nnf_module_n_tensors(of_b->module);
}

nnf_status nnfi_compare_unchanged(nnf_verify_report *report, const nnfi_graph *a,
                                  const nnfi_call *of_a, const nnfi_graph *b, const nnfi_call *of_b,
                                  double tolerance) {
    const size_t n_rows = report->n_rows, n = nnf_module_n_tensors(of_b->module);
    if (!same_options(a, of_a->module, b, of_b->module)) {
        nnf_verify_row *row = nnfi_report_add(report);
        if (!row) return NNF_ERROR_MEMORY;
        report->ok = false;
        return nnfi_row_problem(row, of_b->path, "the two have different attributes");
    }
    if (is_computed_in_one(a, of_a, b, of_b)) return NNF_OK;
    for (size_t i = 0; i < of_b->n_inputs; i++)
        NNFI_TRY(compare_tensors(report, name_of(b, of_b->inputs[i]),
                                 constant_of(a, of_a->inputs[i]), constant_of(b, of_b->inputs[i]),
                                 tolerance));
    for (size_t i = 0; i < n && report->n_rows == n_rows; i++) { /* else it was told already */
        const char *name = nnf_module_tensor_name(of_b->module, i);
        NNFI_TRY(compare_tensors(report, of_b->path, nnf_module_tensor(of_a->module, name),
                                 nnf_module_tensor(of_b->module, name), tolerance));
    }
    report->n_same += report->n_rows == n_rows;
    return NNF_OK;
}
