/* A fused container that the kernel set does not run as one: its children are scheduled one after
 * the other, as if they were calls of the graph, with a value between each two. */
#include "module/module_internal.h"
#include "run/schedule_builder.h"
#include "support/memory.h"

/* What is known while the children go by. */
typedef struct children {
    const nnfi_call_work *whole; /* the container's call */
    size_t n_residuals;
    int32_t residual;            /* the value that an Add among them takes; -1: none */
    int32_t between;             /* the last one's output */
    nnf_type_info info;          /* of that */
    const nnf_type_info **given; /* of a child's inputs */
} children;

/* The child's inputs, in the container's arrays: only the first child reads what stood there.
 * Returns how many. */
static size_t set_inputs(const nnfi_builder *b, children *c, const nnfi_call_work *work,
                         size_t index) {
    const nnfi_call *whole = c->whole->call;
    size_t n = whole->n_inputs - c->n_residuals;
    if (index == 0) {
        for (size_t i = 0; i < n; i++)
            c->given[i] = whole->inputs[i] == NNF_NO_VALUE ? NULL : &b->infos[whole->inputs[i]];
        return n;
    }
    work->inputs[0] = c->between;
    c->given[0] = &c->info;
    if (!c->n_residuals || !nnfi_takes_residual(work->call->module)) return 1;
    work->inputs[1] = c->residual;
    c->given[1] = &b->infos[whole->inputs[n]];
    return 2;
}

/* A new value for the child's output, which the next child reads. */
static nnf_status new_between(nnfi_builder *b, children *c, const nnfi_call *call,
                              int32_t *output) {
    nnfi_operand operand = {0};
    nnf_type_info info;
    nnf_type_info_init(&info);
    nnf_status status = nnfi_module_infer(call->module, c->given, call->n_inputs, &info, 1);
    nnf_type_info_clear(&c->info);
    c->info = info;
    if (status) return status;
    if (!nnfi_operand_of(&operand, &info)) b->refusal = "a shape depends on values";
    NNFI_TRY(nnfi_new_value(b, output, &operand));
    b->schedule->values[*output].reads = 1;
    return NNF_OK;
}

static nnf_status schedule_child(nnfi_builder *b, children *c, size_t index) {
    const nnf_module *container = c->whole->call->module;
    nnfi_call call = *c->whole->call;
    nnfi_call_work work = *c->whole;
    int32_t output = work.outputs[0], before = c->between;
    call.module = nnf_module_child(container, index);
    work.call = &call;
    call.n_inputs = set_inputs(b, c, &work, index);
    if (index + 1 < nnf_module_n_children(container)) NNFI_TRY(new_between(b, c, &call, &output));
    work.outputs = &output;
    NNFI_TRY(nnfi_schedule_step(b, &work));
    c->between = output;
    if (index == 0) return NNF_OK;
    b->schedule->values[before].reads = 0;
    return nnfi_give_back(b, before);
}

nnf_status nnfi_schedule_children(nnfi_builder *b, const nnfi_call_work *whole) {
    const nnfi_call *call = whole->call;
    size_t n = nnf_module_n_children(call->module);
    children c = {.whole = whole,
                  .n_residuals = nnfi_n_residuals(call->module),
                  .residual = whole->inputs[call->n_inputs - 1],
                  .between = -1,
                  .given = nnfi_calloc(call->n_inputs + 1, sizeof *c.given)};
    nnf_status status = c.given ? NNF_OK : nnfi_error_memory(sizeof *c.given, "a step of a run");
    nnf_type_info_init(&c.info);
    for (size_t i = 0; i < n && !status; i++)
        status = schedule_child(b, &c, i);
    nnf_type_info_clear(&c.info);
    nnfi_free(c.given);
    return status;
}
