/* Finding operators in the tables. */
#include "formats/onnx/ops.h"

#include <string.h>

#include "nnfuse/formats.h"

const nnfi_attribute_row nnfi_no_attributes[1] = {{.name = NULL}};

static const nnfi_onnx_table *const tables[] = {&nnfi_onnx_layers, &nnfi_onnx_elementwise,
                                                &nnfi_onnx_tensors};
enum { N_TABLES = sizeof tables / sizeof *tables };

bool nnfi_constant_number(const nnfi_node_call *call, size_t index, double *value) {
    nnf_tensor *tensor = index < call->n_inputs ? call->constants[index] : NULL;
    return tensor && nnf_tensor_numel(tensor) == 1 &&
           nnfi_tensor_number(value, tensor, 0) == NNF_OK;
}

static bool serves(const nnfi_onnx_op *op, int64_t opset) {
    return op->first_opset <= opset && opset <= op->last_opset;
}

/* As strcmp orders them; the name that is looked for has no end of its own. */
static int compare(const nnfi_onnx_op *op, const char *op_type, size_t length) {
    size_t own = strlen(op->op_type);
    int order = memcmp(op->op_type, op_type, own < length ? own : length);
    return order != 0 ? order : (own > length) - (own < length);
}

/* The first row of an operator in a table that is sorted by name; NULL: it is not there. */
static const nnfi_onnx_op *find_first(const nnfi_onnx_table *table, const char *op_type,
                                      size_t length) {
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&table->ops[middle], op_type, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->n ? &table->ops[low] : NULL;
}

const nnfi_onnx_op *nnfi_onnx_op_find(const char *op_type, size_t length, int64_t opset) {
    for (size_t t = 0; t < N_TABLES; t++) {
        const nnfi_onnx_op *op = find_first(tables[t], op_type, length);
        const nnfi_onnx_op *end = tables[t]->ops + tables[t]->n;
        for (; op && op < end && compare(op, op_type, length) == 0; op++) {
            if (serves(op, opset)) return op;
        }
    }
    return NULL;
}

/* "Conv2d" is what "Conv#d" stands for. */
static bool is_type(const char *pattern, const char *type) {
    for (; *pattern; pattern++, type++) {
        if (*pattern != *type && !(*pattern == '#' && *type >= '1' && *type <= '3')) return false;
    }
    return *type == '\0';
}

const nnfi_onnx_op *nnfi_onnx_op_of_type(const char *type, int64_t opset) {
    for (size_t t = 0; t < N_TABLES; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            const nnfi_onnx_op *op = &tables[t]->ops[i];
            if (is_type(op->type, type) && serves(op, opset)) return op;
        }
    }
    return NULL;
}

/* The first row, in any table, of the operator that follows `name` in the alphabet. */
static const nnfi_onnx_op *next_operator(const char *name) {
    const nnfi_onnx_op *best = NULL;
    for (size_t t = 0; t < N_TABLES; t++) {
        const nnfi_onnx_op *op = tables[t]->ops, *end = op + tables[t]->n;
        while (op < end && strcmp(op->op_type, name) <= 0)
            op++;
        if (op < end && (!best || strcmp(op->op_type, best->op_type) < 0)) best = op;
    }
    return best;
}

bool nnf_onnx_operator_at(nnf_onnx_operator *out, size_t index) {
    const nnfi_onnx_op *op = next_operator("");
    for (size_t i = 0; op && i < index; i++)
        op = next_operator(op->op_type);
    if (!op) return false;
    *out = (nnf_onnx_operator){op->op_type, op->first_opset, op->last_opset};
    for (int opset = op->first_opset; opset <= ONNX_NEWEST_OPSET; opset++) {
        if (nnfi_onnx_op_find(out->name, strlen(out->name), opset)) out->last_opset = opset;
    }
    return true;
}
