/* Making a schedule: which calls must run, in which layouts, and where their values stand. */
#include "run/schedule_builder.h"

#include <string.h>

#include "module/module_internal.h"
#include "support/memory.h"

static bool is_16_bit(nnf_dtype dtype) {
    return dtype == NNF_F16 || dtype == NNF_BF16;
}

/* ---- Which calls run ---- */

/* What a call gives is constant as long as its module is a Constant that holds that tensor: a
 * module may have been replaced since the file was read. */
static void find_constants(nnfi_builder *b) {
    for (size_t v = 0; v < b->graph->n_values; v++)
        b->constants[v] = b->graph->values[v].constant;
    for (size_t c = 0; c < b->graph->n_calls; c++) {
        const nnfi_call *call = b->graph->calls[c];
        const nnf_tensor *held =
            nnfi_is_a(call->module, "Constant") ? nnf_module_tensor(call->module, "value") : NULL;
        for (size_t i = 0; i < call->n_outputs; i++)
            if (call->outputs[i] != NNF_NO_VALUE && b->constants[call->outputs[i]] != held)
                b->constants[call->outputs[i]] = NULL;
    }
}

/* Whether all of a value's elements are known from the shapes. */
static bool is_known(const nnfi_builder *b, nnf_value value) {
    const nnfi_value *self = &b->graph->values[value];
    const nnf_type_info *info = &b->infos[value];
    if (self->is_input) return false;
    for (int i = 0; i < info->n_values; i++)
        if (info->values[i].symbol != 0) return false;
    return b->constants[value] || info->n_values >= 0;
}

/* The module's own tensor stands for input i. A fused container's inputs are its first module's,
 * and the residual, where it adds one, behind them. */
static bool is_bound(const nnfi_call *call, size_t i) {
    const nnf_module *module = call->module;
    if (nnf_module_get_type(module)->flags & NNF_TYPE_FUSED) {
        if (i + nnfi_n_residuals(module) >= call->n_inputs) return false;
        module = nnf_module_child(module, 0);
    }
    const nnf_module_type *type = nnf_module_get_type(module);
    return i > 0 && i <= type->n_slots && nnf_module_tensor(module, type->slots[i - 1].name);
}

/* Backwards, so that what only skipped calls read is skipped too. */
static void count_reads(nnfi_builder *b) {
    nnfi_planned *values = b->schedule->values;
    for (size_t i = 0; i < b->graph->n_outputs; i++)
        values[b->graph->outputs[i]].reads++;
    for (size_t c = b->graph->n_calls; c-- > 0;) {
        const nnfi_call *call = b->graph->calls[c];
        bool needed = false;
        for (size_t i = 0; i < call->n_outputs; i++) {
            nnf_value value = call->outputs[i];
            if (value != NNF_NO_VALUE && values[value].reads && !is_known(b, value)) needed = true;
        }
        b->skipped[c] = !needed;
        for (size_t i = 0; needed && i < call->n_inputs; i++)
            if (call->inputs[i] != NNF_NO_VALUE && !is_bound(call, i)) {
                nnfi_planned *value = &values[call->inputs[i]];
                value->reader = value->reads++ == 0 ? call->module : NULL;
            }
    }
}

bool nnfi_operand_of(nnfi_operand *out, const nnf_type_info *info) {
    if (info->ndim < 0 || info->dtype == NNF_DTYPE_UNKNOWN) return false;
    int64_t numel, bytes;
    *out = (nnfi_operand){.dtype = info->dtype, .ndim = info->ndim};
    for (int i = 0; i < info->ndim; i++) {
        if (info->shape[i].symbol) return false;
        out->shape[i] = info->shape[i].value;
    }
    if (!nnfi_shape_numel(out->ndim, out->shape, &numel) ||
        !nnfi_mul(numel, (int64_t)nnf_dtype_size(out->dtype), &bytes))
        return false;
    out->bytes = (size_t)bytes;
    return true;
}

/* Every value that a running call reads or gives must have a known shape. */
static void check_value(nnfi_builder *b, nnf_value number) {
    if (number == NNF_NO_VALUE) return;
    nnfi_planned *value = &b->schedule->values[number];
    if (!nnfi_operand_of(&value->operand, &b->infos[number]))
        b->refusal = "a shape depends on values";
    if (is_16_bit(value->operand.dtype)) b->refusal = "16-bit floats";
}

static void check_all(nnfi_builder *b) {
    for (size_t v = 0; v < b->graph->n_values; v++) {
        nnfi_planned *value = &b->schedule->values[v];
        value->owner = value->holder = value->numbers = (int32_t)v;
        value->other = value->home = -1;
    }
    for (size_t i = 0; i < b->graph->n_outputs; i++)
        check_value(b, b->graph->outputs[i]);
    for (size_t c = 0; c < b->graph->n_calls; c++) {
        const nnfi_call *call = b->graph->calls[c];
        if (b->skipped[c]) continue;
        for (size_t i = 0; i < call->n_inputs; i++)
            if (!is_bound(call, i)) check_value(b, call->inputs[i]);
        for (size_t i = 0; i < call->n_outputs; i++)
            check_value(b, call->outputs[i]);
    }
}

/* ---- Values ---- */

/* A tensor with the elements that shape inference knows. */
static nnf_status known_tensor(nnf_tensor **out, const nnf_type_info *info,
                               const nnfi_operand *operand) {
    nnf_tensor *tensor = NULL;
    void *data = NULL;
    NNFI_TRY(nnf_tensor_new(&tensor, operand->dtype, operand->ndim, operand->shape));
    nnf_status status = nnf_tensor_mut_data(tensor, &data);
    if (status) {
        nnf_tensor_release(tensor);
        return status;
    }
    for (int i = 0; i < info->n_values; i++)
        nnfi_store_i64(operand->dtype, data, i, info->values[i].value);
    *out = tensor;
    return NNF_OK;
}

static nnf_status place_constants(nnfi_builder *b) {
    for (size_t v = 0; v < b->graph->n_values; v++) {
        nnfi_planned *value = &b->schedule->values[v];
        if (!value->reads || !is_known(b, (nnf_value)v)) continue;
        nnf_tensor *constant = b->constants[v];
        if (constant)
            NNFI_TRY(nnf_tensor_contiguous(&value->tensor, constant));
        else
            NNFI_TRY(known_tensor(&value->tensor, &b->infos[v], &value->operand));
        const void *data;
        NNFI_TRY(nnf_tensor_data(value->tensor, &data));
        value->data = (void *)(uintptr_t)data; /* steps only read it */
        value->place = NNFI_PLACE_CONSTANT;
    }
    return NNF_OK;
}

nnf_status nnfi_new_value(nnfi_builder *b, int32_t *out, const nnfi_operand *operand) {
    nnfi_schedule *schedule = b->schedule;
    if (!nnfi_reserve(&schedule->values, &schedule->values_capacity, schedule->n_values + 1,
                      sizeof *schedule->values))
        return nnfi_error_memory(sizeof *schedule->values, "the values of a run");
    *out = (int32_t)schedule->n_values++;
    schedule->values[*out] = (nnfi_planned){.operand = *operand,
                                            .owner = *out,
                                            .holder = *out,
                                            .numbers = *out,
                                            .other = -1,
                                            .home = -1};
    return NNF_OK;
}

nnf_status nnfi_take_place(nnfi_builder *b, int32_t number) {
    nnfi_planned *value = &b->schedule->values[number];
    value->place = NNFI_PLACE_ARENA;
    value->taken = value->operand.bytes;
    return nnfi_arena_take(&b->arena, value->taken, &value->offset);
}

nnf_status nnfi_give_back(nnfi_builder *b, int32_t owner) {
    for (int32_t form = owner; form >= 0; form = b->schedule->values[form].other) {
        nnfi_planned *value = &b->schedule->values[form];
        if (value->place == NNFI_PLACE_ARENA && value->holder == form && value->home != form)
            NNFI_TRY(nnfi_arena_give_back(&b->arena, value->offset, value->taken));
    }
    return nnfi_leave_home(b, owner);
}

/* ---- Stages ---- */

static nnf_status add_stage(nnfi_builder *b, const nnfi_stage *stage, const int32_t *inputs,
                            const int32_t *outputs) {
    nnfi_schedule *schedule = b->schedule;
    size_t n = stage->n_inputs + stage->n_outputs;
    int32_t *operands = nnfi_alloc(n * sizeof *operands);
    if (!operands || !nnfi_reserve(&schedule->stages, &schedule->stages_capacity,
                                   schedule->n_stages + 1, sizeof *schedule->stages)) {
        nnfi_free(operands);
        if (stage->step) stage->step->release(stage->step);
        return nnfi_error_memory(n * sizeof *operands, "a step of a run");
    }
    memcpy(operands, inputs, stage->n_inputs * sizeof *operands);
    memcpy(operands + stage->n_inputs, outputs, stage->n_outputs * sizeof *operands);
    schedule->stages[schedule->n_stages] = *stage;
    schedule->stages[schedule->n_stages++].operands = operands;
    if (n > schedule->most_operands) schedule->most_operands = n;
    if (stage->step && stage->step->scratch_bytes > schedule->scratch_bytes)
        schedule->scratch_bytes = stage->step->scratch_bytes;
    return NNF_OK;
}

nnf_status nnfi_add_copy(nnfi_builder *b, int32_t from, int32_t to) {
    nnfi_stage stage = {.n_inputs = 1, .n_outputs = 1};
    const nnfi_operand source = b->schedule->values[from].operand;
    nnfi_operand *target = &b->schedule->values[to].operand;
    if (source.layout || target->layout)
        NNFI_TRY(
            b->schedule->set->prepare_reorder(b->schedule->engine, &source, target, &stage.step));
    return add_stage(b, &stage, &from, &to);
}

size_t nnfi_plain_bytes(const nnfi_operand *operand) {
    int64_t numel = 0;
    nnfi_shape_numel(operand->ndim, operand->shape, &numel);
    return (size_t)numel * nnf_dtype_size(operand->dtype);
}

bool nnfi_same_shape(const nnfi_operand *a, const nnfi_operand *b) {
    return a->ndim == b->ndim && !memcmp(a->shape, b->shape, sizeof *a->shape * (size_t)a->ndim);
}

nnf_status nnfi_in_layout(nnfi_builder *b, int32_t *number, const nnfi_operand *wanted,
                          bool fresh) {
    const nnfi_operand is = b->schedule->values[*number].operand;
    int32_t owner = b->schedule->values[*number].owner;
    int32_t numbers = b->schedule->values[*number].numbers;
    if (!fresh && is.layout == wanted->layout) return NNF_OK;
    for (int32_t form = owner; form >= 0 && !fresh; form = b->schedule->values[form].other) {
        const nnfi_planned *value = &b->schedule->values[form];
        if (value->numbers == numbers && value->operand.layout == wanted->layout &&
            nnfi_same_shape(&value->operand, &is)) {
            *number = form;
            return NNF_OK;
        }
    }
    nnfi_operand operand = is;
    operand.layout = wanted->layout;
    operand.bytes = wanted->bytes;
    int32_t made;
    NNFI_TRY(nnfi_new_value(b, &made, &operand));
    b->schedule->values[made].numbers = numbers;
    NNFI_TRY(nnfi_take_place(b, made));
    NNFI_TRY(nnfi_add_copy(b, *number, made));
    if (!fresh) {
        b->schedule->values[made].other = b->schedule->values[owner].other;
        b->schedule->values[owner].other = made;
    }
    *number = made;
    return NNF_OK;
}

/* Whether nobody reads the value's memory after this call, and what takes its place would begin
 * where it does: not where it is a later part of what holds the place. */
static bool dies(const nnfi_builder *b, const nnfi_call_work *work, size_t input) {
    const nnfi_planned *values = b->schedule->values;
    const nnfi_planned *value = &values[work->inputs[input]];
    if (value->place != NNFI_PLACE_ARENA || values[value->owner].home >= 0 ||
        value->offset != values[value->holder].offset)
        return false;
    return values[value->owner].reads == 1;
}

void nnfi_gather_operands(const nnfi_builder *b, const nnfi_call_work *work) {
    const nnfi_call *call = work->call;
    for (size_t i = 0; i < call->n_inputs; i++) {
        work->input_pointers[i] = NULL;
        if (work->inputs[i] < 0) continue;
        work->operands[i] = b->schedule->values[work->inputs[i]].operand;
        work->operands[i].dies = dies(b, work, i);
        work->operands[i].reader = NULL;
        work->input_pointers[i] = &work->operands[i];
    }
    for (size_t i = 0; i < call->n_outputs; i++)
        if (work->outputs[i] >= 0) {
            const nnfi_planned *value = &b->schedule->values[work->outputs[i]];
            work->operands[call->n_inputs + i] = value->operand;
            work->operands[call->n_inputs + i].dies = false;
            work->operands[call->n_inputs + i].reader = value->reader;
        }
}

static nnf_status prepare_step(nnfi_builder *b, const nnfi_call_work *work, nnfi_step **step) {
    const nnfi_call *call = work->call;
    nnfi_gather_operands(b, work);
    return b->schedule->set->prepare(b->schedule->engine, call->module, work->input_pointers,
                                     call->n_inputs, work->operands + call->n_inputs,
                                     call->n_outputs, step);
}

/* Puts the outputs into memory: of the input that the step works in, or of their own. */
static nnf_status place_outputs(nnfi_builder *b, const nnfi_call_work *work,
                                const nnfi_step *step) {
    const nnfi_call *call = work->call;
    for (size_t i = 0; i < call->n_outputs; i++) {
        if (work->outputs[i] < 0) continue;
        nnfi_planned *value = &b->schedule->values[work->outputs[i]];
        if (step) {
            value->operand.layout = work->operands[call->n_inputs + i].layout;
            value->operand.bytes = work->operands[call->n_inputs + i].bytes;
        }
        if (i > 0 || !step || step->inplace < 0) {
            bool placed;
            NNFI_TRY(nnfi_place_at_home(b, work->outputs[i], &placed));
            if (!placed) NNFI_TRY(nnfi_take_place(b, work->outputs[i]));
            continue;
        }
        const nnfi_planned *source = &b->schedule->values[work->inputs[step->inplace]];
        nnfi_planned *holder = &b->schedule->values[source->holder];
        value->place = NNFI_PLACE_ARENA;
        value->offset = holder->offset;
        value->taken = holder->taken;
        holder->place = NNFI_PLACE_NOWHERE;
    }
    return NNF_OK;
}

/* The inputs in the layouts that the step wants; a forward wants them plain. */
static nnf_status lay_out_inputs(nnfi_builder *b, nnfi_call_work *work, const nnfi_step *step) {
    for (size_t i = 0; i < work->call->n_inputs; i++) {
        if (work->inputs[i] < 0) continue;
        nnfi_operand wanted = work->operands[i];
        if (!step) {
            wanted = b->schedule->values[work->inputs[i]].operand;
            wanted.bytes = nnfi_plain_bytes(&wanted);
            wanted.layout = NULL;
        }
        bool fresh = step && (int)i == step->inplace && !dies(b, work, i);
        NNFI_TRY(nnfi_in_layout(b, &work->inputs[i], &wanted, fresh));
    }
    return NNF_OK;
}

nnf_status nnfi_schedule_step(nnfi_builder *b, nnfi_call_work *work) {
    const nnfi_call *call = work->call;
    nnfi_stage stage = {.path = call->path,
                        .module = call->module,
                        .n_inputs = call->n_inputs,
                        .n_outputs = call->n_outputs};
    NNFI_TRY(prepare_step(b, work, &stage.step));
    if (!stage.step && nnf_module_get_type(call->module)->flags & NNF_TYPE_FUSED)
        return nnfi_schedule_children(b, work);
    nnf_status status = lay_out_inputs(b, work, stage.step);
    if (!status) status = place_outputs(b, work, stage.step);
    if (!status) return add_stage(b, &stage, work->inputs, work->outputs);
    if (stage.step) stage.step->release(stage.step);
    return status;
}

/* After a call: values that nobody reads any more give their memory back. */
static nnf_status end_reads(nnfi_builder *b, const nnfi_call *call) {
    for (size_t i = 0; i < call->n_inputs; i++) {
        if (call->inputs[i] == NNF_NO_VALUE || is_bound(call, i)) continue;
        int32_t owner = b->schedule->values[call->inputs[i]].owner;
        if (--b->schedule->values[owner].reads == 0) NNFI_TRY(nnfi_give_back(b, owner));
    }
    for (size_t i = 0; i < call->n_outputs; i++) {
        nnf_value output = call->outputs[i];
        if (output == NNF_NO_VALUE) continue;
        const nnfi_planned *value = &b->schedule->values[output];
        if (value->owner == output && value->reads == 0) NNFI_TRY(nnfi_give_back(b, output));
    }
    return NNF_OK;
}

static nnf_status survey_call(nnfi_builder *b, nnfi_call_work *work) {
    const nnfi_call *call = work->call;
    nnfi_gather_operands(b, work);
    b->schedule->set->survey(b->schedule->engine, call->module, work->input_pointers,
                             call->n_inputs, work->operands + call->n_inputs, call->n_outputs);
    for (size_t i = 0; i < call->n_outputs; i++)
        if (work->outputs[i] >= 0)
            b->schedule->values[work->outputs[i]].computed =
                !nnfi_may_be_view(call) && !is_known(b, work->outputs[i]);
    return NNF_OK;
}

static nnf_status schedule_call(nnfi_builder *b, nnfi_call_work *work) {
    bool done = b->joined[work->number];
    NNFI_TRY(done ? nnfi_schedule_join(b, work) : nnfi_schedule_view(b, work, &done));
    if (!done) NNFI_TRY(nnfi_schedule_step(b, work));
    return end_reads(b, work->call);
}

/* Does something with every call that has to run, in their order or from last to first. */
static nnf_status each_call(nnfi_builder *b, bool backwards,
                            nnf_status (*visit)(nnfi_builder *b, nnfi_call_work *work)) {
    size_t most = 0;
    for (size_t c = 0; c < b->graph->n_calls; c++) {
        size_t n = b->graph->calls[c]->n_inputs + b->graph->calls[c]->n_outputs;
        if (n > most) most = n;
    }
    nnfi_call_work work = {.inputs = nnfi_calloc(most + 1, sizeof *work.inputs),
                           .operands = nnfi_calloc(most + 1, sizeof *work.operands),
                           .input_pointers = nnfi_calloc(most + 1, sizeof *work.input_pointers)};
    nnf_status status = NNF_OK;
    if (!work.inputs || !work.operands || !work.input_pointers)
        status = nnfi_error_memory(most * sizeof *work.operands, "a step of a run");
    for (size_t i = 0; !status && i < b->graph->n_calls; i++) {
        size_t c = work.number = backwards ? b->graph->n_calls - 1 - i : i;
        const nnfi_call *call = work.call = b->graph->calls[c];
        if (b->skipped[c]) continue;
        work.outputs = work.inputs + call->n_inputs;
        for (size_t k = 0; k < call->n_inputs; k++)
            work.inputs[k] = is_bound(call, k) ? -1 : call->inputs[k];
        for (size_t k = 0; k < call->n_outputs; k++)
            work.outputs[k] = call->outputs[k];
        status = visit(b, &work);
    }
    nnfi_free(work.inputs);
    nnfi_free(work.operands);
    nnfi_free(work.input_pointers);
    return status;
}

/* Every output that is computed is put into a tensor of the caller's. */
static nnf_status schedule_outputs(nnfi_builder *b) {
    nnfi_schedule *schedule = b->schedule;
    for (size_t i = 0; i < b->graph->n_outputs; i++) {
        int32_t from = b->graph->outputs[i];
        schedule->output_values[i] = from;
        if (schedule->values[from].place != NNFI_PLACE_ARENA) continue;
        nnfi_operand operand = schedule->values[from].operand;
        nnfi_operand_of(&operand, &b->infos[from]);
        int32_t to;
        NNFI_TRY(nnfi_new_value(b, &to, &operand));
        schedule->values[to].place = NNFI_PLACE_OUTPUT;
        schedule->values[to].index = i;
        NNFI_TRY(nnfi_add_copy(b, from, to));
        schedule->output_values[i] = to;
    }
    return NNF_OK;
}

/* ---- Memory ---- */

/* Points values at their places, makes tensors for those that a forward sees, and binds. */
static nnf_status settle(nnfi_builder *b) {
    nnfi_schedule *schedule = b->schedule;
    enum { LINE = 64 };
    size_t scratch = (schedule->scratch_bytes + LINE - 1) / LINE * LINE;
    schedule->block_bytes = scratch + b->arena.size;
    schedule->memory = nnfi_alloc(schedule->block_bytes + LINE);
    schedule->pointers = nnfi_calloc(schedule->most_operands + 1, sizeof *schedule->pointers);
    schedule->tensors = nnfi_calloc(schedule->most_operands + 1, sizeof *schedule->tensors);
    if (!schedule->memory || !schedule->pointers || !schedule->tensors)
        return nnfi_error_memory(schedule->block_bytes, "the values of a run");
    schedule->block = (char *)schedule->memory + (LINE - (uintptr_t)schedule->memory % LINE) % LINE;
    for (size_t v = 0; v < schedule->n_values; v++) {
        nnfi_planned *value = &schedule->values[v];
        /* also where another value has taken its place since: steps before that use it */
        if (value->place != NNFI_PLACE_CONSTANT && value->place != NNFI_PLACE_INPUT &&
            value->place != NNFI_PLACE_OUTPUT)
            value->data = schedule->block + scratch + value->offset;
    }
    for (size_t s = 0; s < schedule->n_stages; s++) {
        nnfi_stage *stage = &schedule->stages[s];
        size_t n = stage->n_inputs + stage->n_outputs;
        for (size_t i = 0; i < n; i++) {
            if (stage->operands[i] < 0) continue;
            nnfi_planned *value = &schedule->values[stage->operands[i]];
            if (value->place == NNFI_PLACE_INPUT || value->place == NNFI_PLACE_OUTPUT)
                stage->moves = true;
            else if (!stage->step && stage->module && !value->tensor)
                NNFI_TRY(nnfi_tensor_lend(&value->tensor, value->operand.dtype, value->operand.ndim,
                                          value->operand.shape, value->data));
        }
        if (!stage->moves) NNFI_TRY(nnfi_stage_bind(schedule, stage));
    }
    return NNF_OK;
}

static nnf_status make_room(nnfi_builder *b) {
    nnfi_schedule *schedule = b->schedule;
    const size_t n_values = b->graph->n_values, n_calls = b->graph->n_calls;
    schedule->inputs = nnfi_calloc(schedule->n_inputs + 1, sizeof *schedule->inputs);
    schedule->values = nnfi_calloc(n_values + 1, sizeof *schedule->values);
    schedule->output_values = nnfi_calloc(schedule->n_outputs + 1, sizeof *schedule->output_values);
    schedule->outputs = nnfi_calloc(schedule->n_outputs + 1, sizeof *schedule->outputs);
    b->constants = nnfi_calloc(n_values + 1, sizeof(nnf_tensor *));
    b->skipped = nnfi_calloc(n_calls + 1, sizeof *b->skipped);
    b->joined = nnfi_calloc(n_calls + 1, sizeof *b->joined);
    if (!schedule->inputs || !schedule->values || !schedule->output_values || !schedule->outputs ||
        !b->constants || !b->skipped || !b->joined)
        return nnfi_error_memory(n_values * sizeof *schedule->values, "the values of a run");
    schedule->n_values = schedule->values_capacity = n_values;
    return NNF_OK;
}

/* The types of all values, from those of the inputs. */
static nnf_status infer(nnfi_builder *b, nnf_tensor *const *inputs) {
    nnfi_schedule *schedule = b->schedule;
    const size_t n = schedule->n_inputs;
    nnf_type_info *given = nnfi_calloc(n + 1, sizeof *given);
    if (!given) return nnfi_error_memory((n + 1) * sizeof *given, "the inputs of a run");
    for (size_t i = 0; i < n; i++) {
        nnf_type_info_init(&given[i]);
        given[i].dtype = nnf_tensor_dtype(inputs[i]);
        given[i].ndim = nnf_tensor_ndim(inputs[i]);
        for (int d = 0; d < given[i].ndim; d++)
            given[i].shape[d] = (nnf_dim){nnf_tensor_shape(inputs[i])[d], 0};
        nnfi_operand_of(&schedule->inputs[i], &given[i]);
    }
    nnf_status status = nnfi_graph_infer_run(schedule->graph, given, &b->infos, &b->n_infos);
    nnfi_free(given);
    return status;
}

static void place_inputs(nnfi_builder *b) {
    for (size_t i = 0; i < b->schedule->n_inputs; i++) {
        nnfi_planned *value = &b->schedule->values[b->graph->inputs[i]];
        value->place = NNFI_PLACE_INPUT;
        value->index = i;
    }
}

/* b->refusal: why the graph runs call by call. */
static nnf_status build(nnfi_builder *b, nnf_tensor *const *inputs) {
    nnfi_schedule *schedule = b->schedule;
    NNFI_TRY(make_room(b));
    for (size_t c = 0; c < b->graph->n_calls; c++)
        if (nnf_module_is_graph(b->graph->calls[c]->module)) b->refusal = "a graph in the graph";
    if (b->refusal) return NNF_OK;
    NNFI_TRY(infer(b, inputs));
    find_constants(b);
    count_reads(b);
    check_all(b);
    NNFI_TRY(nnfi_refuse_moving_constants(b));
    if (b->refusal) return NNF_OK;
    place_inputs(b);
    NNFI_TRY(place_constants(b));
    NNFI_TRY(each_call(b, false, survey_call));
    NNFI_TRY(each_call(b, true, nnfi_plan_join));
    nnfi_count_tenants(b);
    NNFI_TRY(each_call(b, false, schedule_call));
    NNFI_TRY(schedule_outputs(b));
    schedule->set->settle(schedule->engine);
    return settle(b);
}

nnf_status nnfi_schedule_new(nnfi_schedule **out, nnf_session *session, const nnfi_kernel_set *set,
                             const nnfi_kernel_options *options, nnf_module *graph,
                             nnf_tensor *const *inputs, size_t n_inputs) {
    nnfi_builder b = {.graph = nnfi_graph_of(graph)};
    b.schedule = nnfi_calloc(1, sizeof *b.schedule);
    if (!b.schedule) return nnfi_error_memory(sizeof *b.schedule, "a schedule");
    *b.schedule = (nnfi_schedule){.session = session,
                                  .set = set,
                                  .graph = graph,
                                  .fingerprint = nnfi_schedule_fingerprint(graph),
                                  .n_inputs = n_inputs,
                                  .n_outputs = b.graph->n_outputs};
    nnf_status status = set->open(&b.schedule->engine, options);
    if (!status) status = build(&b, inputs);
    nnf_graph_infer_free(b.infos, b.n_infos);
    nnfi_arena_clear(&b.arena);
    nnfi_free(b.constants);
    nnfi_free(b.skipped);
    nnfi_free(b.joined);
    if (status || b.refusal) {
        nnfi_schedule_release(b.schedule);
        b.schedule = NULL;
    }
    *out = b.schedule;
    return status;
}
