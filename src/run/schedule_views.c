/* Views: calls whose outputs stand where their input stands, under another shape, in another
 * layout, or as parts of it. */
#include "run/schedule_builder.h"

#include "module/module_internal.h"
#include "nnfuse/nn.h"

/* The output is the input's numbers in their order, perhaps under another shape. */
static bool is_reshape(const nnfi_call *call) {
    static const char *const types[] = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"};
    const nnf_module *module = call->module;
    if (call->n_outputs != 1) return false;
    if (call->n_inputs == 1 && nnfi_is_a(module, "Concat")) return true;
    if (nnf_module_get_type(module)->flags & NNF_TYPE_IDENTITY) return !nnf_module_training(module);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (nnfi_is_a(module, types[i])) return true;
    return false;
}

/* Shows the memory of `from`, a form of a value with that owner, as `to`: from so many bytes on. */
static void show(nnfi_builder *b, int32_t from, int32_t owner, size_t offset, int32_t to) {
    nnfi_planned *values = b->schedule->values, *view = &values[to];
    view->place = NNFI_PLACE_ARENA;
    view->offset = values[from].offset + offset;
    view->holder = values[from].holder;
    view->owner = owner;
    values[owner].reads += view->reads;
}

/* Asks the kernel set for a layout of the output over the input's memory. */
static nnf_status ask(nnfi_builder *b, const nnfi_call_work *work, bool *views) {
    nnfi_planned *values = b->schedule->values;
    nnfi_operand *input = &work->operands[0], *output = &work->operands[work->call->n_inputs];
    nnfi_gather_operands(b, work);
    NNFI_TRY(b->schedule->set->view(b->schedule->engine, work->call->module, input, output, views));
    if (!*views) return NNF_OK;
    values[work->outputs[0]].operand.layout = output->layout;
    values[work->outputs[0]].operand.bytes = output->bytes;
    return NNF_OK;
}

/* A row-major form of the same numbers, of whatever shape, where there is one already. */
static bool find_plain(const nnfi_builder *b, int32_t *number) {
    const nnfi_planned *values = b->schedule->values;
    int32_t numbers = values[*number].numbers;
    for (int32_t form = values[*number].owner; form >= 0; form = values[form].other)
        if (values[form].numbers == numbers && values[form].place == NNFI_PLACE_ARENA &&
            !values[form].operand.layout) {
            *number = form;
            return true;
        }
    return false;
}

/* A constant or the caller's input is copied: what a forward reads must be a tensor of the new
 * shape. */
static nnf_status reshape(nnfi_builder *b, const nnfi_call_work *work) {
    int32_t from = work->inputs[0], to = work->outputs[0];
    int32_t owner = b->schedule->values[from].owner;
    const nnfi_operand is = b->schedule->values[from].operand;
    nnfi_operand *as = &b->schedule->values[to].operand;
    const nnfi_operand plain = {.bytes = as->bytes};
    if (nnfi_same_shape(&is, as)) {
        as->layout = is.layout;
        as->bytes = is.bytes;
    } else if (is.layout && !find_plain(b, &from)) {
        bool views;
        NNFI_TRY(ask(b, work, &views));
        if (!views) NNFI_TRY(nnfi_in_layout(b, &from, &plain, false));
    }
    b->schedule->values[to].numbers = b->schedule->values[from].numbers;
    if (b->schedule->values[from].place != NNFI_PLACE_ARENA) {
        NNFI_TRY(nnfi_take_place(b, to));
        return nnfi_add_copy(b, from, to);
    }
    show(b, from, owner, 0, to);
    return NNF_OK;
}

static nnf_status transpose(nnfi_builder *b, const nnfi_call_work *work, bool *done) {
    int32_t from = work->inputs[0];
    if (b->schedule->values[from].place != NNFI_PLACE_ARENA) return NNF_OK;
    NNFI_TRY(ask(b, work, done));
    if (*done) show(b, from, b->schedule->values[from].owner, 0, work->outputs[0]);
    return NNF_OK;
}

/* Whether the parts follow each other where the input is row-major, which then takes so many bytes:
 * nothing is repeated over axes in front of the one that is split. */
static bool parts_follow(const nnfi_builder *b, const nnfi_call_work *work, size_t *bytes) {
    const nnf_split_options *options = nnf_module_options(work->call->module);
    const nnfi_planned *values = b->schedule->values;
    const nnfi_operand *whole = &values[work->inputs[0]].operand;
    int64_t axis = options->axis < 0 ? options->axis + whole->ndim : options->axis;
    *bytes = 0;
    for (int64_t i = 0; i < axis; i++)
        if (whole->shape[i] != 1) return false;
    for (size_t i = 0; i < work->call->n_outputs; i++) {
        if (work->outputs[i] < 0 || values[work->outputs[i]].place != NNFI_PLACE_NOWHERE)
            return false; /* unwanted, or a constant */
        *bytes += values[work->outputs[i]].operand.bytes;
    }
    return *bytes == nnfi_plain_bytes(whole);
}

static nnf_status split(nnfi_builder *b, const nnfi_call_work *work, bool *done) {
    int32_t from = work->inputs[0];
    int32_t owner = b->schedule->values[from].owner;
    nnfi_operand plain = {0};
    size_t offset = 0;
    if (b->schedule->values[from].place != NNFI_PLACE_ARENA || !parts_follow(b, work, &plain.bytes))
        return NNF_OK;
    NNFI_TRY(nnfi_in_layout(b, &from, &plain, false));
    for (size_t i = 0; i < work->call->n_outputs; i++) {
        show(b, from, owner, offset, work->outputs[i]);
        offset += b->schedule->values[work->outputs[i]].operand.bytes;
    }
    *done = true;
    return NNF_OK;
}

/* What else may be a view. */
static const struct {
    const char *type;
    nnf_status (*view)(nnfi_builder *b, const nnfi_call_work *work, bool *done);
} others[] = {{"Transpose", transpose}, {"Split", split}};
enum { N_OTHERS = sizeof others / sizeof *others };

static size_t find_other(const nnfi_call *call) {
    size_t i = 0;
    while (i < N_OTHERS && !nnfi_is_a(call->module, others[i].type))
        i++;
    return i;
}

bool nnfi_may_be_view(const nnfi_call *call) {
    return is_reshape(call) || find_other(call) < N_OTHERS;
}

nnf_status nnfi_schedule_view(nnfi_builder *b, const nnfi_call_work *work, bool *done) {
    *done = is_reshape(work->call);
    if (*done) return reshape(b, work);
    size_t other = find_other(work->call);
    return other < N_OTHERS ? others[other].view(b, work, done) : NNF_OK;
}
