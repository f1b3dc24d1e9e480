/* nnfuse operators: what of ONNX it runs. */
#include <stdio.h>

#include "report.h"

static int run_operators(const cli_settings *settings) {
    nnf_onnx_operator op;
    json_t *list = settings->json ? json_array() : NULL;
    for (size_t i = 0; nnf_onnx_operator_at(&op, i); i++) {
        if (list == NULL) {
            printf("%-24s opset %d to %d\n", op.name, op.first_opset, op.last_opset);
            continue;
        }
        json_t *object = json_object();
        json_object_set_new(object, "name", json_text(op.name));
        json_object_set_new(object, "first_opset", json_integer(op.first_opset));
        json_object_set_new(object, "last_opset", json_integer(op.last_opset));
        json_array_append_new(list, object);
    }
    if (list == NULL) return STATUS_DONE;
    json_t *result = json_object();
    json_object_set_new(result, "operators", list);
    return json_print(result);
}

const cli_command command_operators = {
    .name = "operators",
    .operands = "",
    .summary = "lists the ONNX operators that can be run",
    .about =
        "Lists the operators of ONNX that nnfuse computes, with the opsets that it knows them\n"
        "in. Nodes of other operators go through 'nnfuse fuse' untouched.\n\n"
        "options:\n",
    .examples = "  nnfuse operators\n"
                "  nnfuse operators --json\n",
    .n_operands = 0,
    .bit = FOR_OPERATORS,
    .run = run_operators,
};
