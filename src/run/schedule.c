/* Running a schedule. */
#include "run/schedule.h"

#include <string.h>

#include "run/schedule_internal.h"
#include "run/session_internal.h"
#include "support/memory.h"

/* ---- Whether it is still good ---- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes(uint64_t hash, const unsigned char *bytes, size_t n) {
    for (uint64_t word; n > 0;) {
        size_t part = n < sizeof word ? n : sizeof word;
        word = 0;
        memcpy(&word, bytes, part);
        hash = mix(hash, word);
        bytes += part;
        n -= part;
    }
    return hash;
}

static uint64_t mix_tensor(uint64_t hash, const nnf_tensor *tensor) {
    hash = mix(hash, (uint64_t)(uintptr_t)tensor);
    return tensor ? mix(hash, nnfi_tensor_version(tensor)) : hash;
}

static uint64_t module_fingerprint(uint64_t hash, const nnf_module *module) {
    const nnf_module_type *type = nnf_module_get_type(module);
    const void *options = nnf_module_options(module);
    hash = mix(hash, (uint64_t)(uintptr_t)module * 2 + nnf_module_training(module));
    hash = mix(hash, (uint64_t)(uintptr_t)type);
    if (options) hash = mix_bytes(hash, options, type->options_size);
    for (size_t i = 0; i < nnf_module_n_tensors(module); i++)
        hash = mix_tensor(hash, nnf_module_tensor(module, nnf_module_tensor_name(module, i)));
    for (size_t i = 0; i < nnf_module_n_children(module); i++)
        hash = module_fingerprint(hash, nnf_module_child(module, i));
    return hash;
}

uint64_t nnfi_schedule_fingerprint(const nnf_module *graph) {
    const nnfi_graph *self = nnfi_graph_of(graph);
    uint64_t hash = mix(0, self->changes);
    for (size_t i = 0; i < self->n_calls; i++)
        hash = module_fingerprint(hash, self->calls[i]->module);
    for (size_t i = 0; i < self->n_values; i++)
        if (self->values[i].constant) hash = mix_tensor(hash, self->values[i].constant);
    return hash;
}

static bool is_as_planned(const nnfi_operand *operand, const nnf_tensor *given) {
    if (nnf_tensor_dtype(given) != operand->dtype || nnf_tensor_ndim(given) != operand->ndim)
        return false;
    return !memcmp(nnf_tensor_shape(given), operand->shape,
                   sizeof(int64_t) * (size_t)operand->ndim);
}

bool nnfi_schedule_fits(const nnfi_schedule *schedule, nnf_tensor *const *inputs, size_t n_inputs) {
    if (n_inputs != schedule->n_inputs ||
        nnf_graph_n_outputs(schedule->graph) != schedule->n_outputs)
        return false;
    for (size_t i = 0; i < n_inputs; i++)
        if (!inputs[i] || !is_as_planned(&schedule->inputs[i], inputs[i])) return false;
    return nnfi_schedule_fingerprint(schedule->graph) == schedule->fingerprint;
}

/* ---- Running ---- */

nnf_status nnfi_stage_bind(nnfi_schedule *schedule, nnfi_stage *stage) {
    if (!stage->step) return NNF_OK;
    size_t n = stage->n_inputs + stage->n_outputs;
    for (size_t i = 0; i < n; i++)
        schedule->pointers[i] =
            stage->operands[i] < 0 ? NULL : schedule->values[stage->operands[i]].data;
    return stage->step->bind(stage->step, schedule->pointers, schedule->pointers + stage->n_inputs,
                             schedule->block);
}

/* A forward may pass on what another one gives instead of filling the tensor that stands there: its
 * numbers go where the schedule has the value. Takes the reference. */
static nnf_status take_output(const nnfi_stage *stage, const nnfi_planned *value,
                              nnf_tensor *given) {
    if (!given || given == value->tensor) return NNF_OK;
    nnf_tensor *plain = NULL;
    const void *data = NULL;
    nnf_status status = NNF_OK;
    if (!is_as_planned(&value->operand, given))
        status = nnf_error(NNF_ERROR_SHAPE, "'%s' (%s): it gave another shape than its infer said",
                           stage->path, nnf_module_type_name(stage->module));
    if (status == NNF_OK) status = nnf_tensor_contiguous(&plain, given);
    if (status == NNF_OK) status = nnf_tensor_data(plain, &data);
    if (status == NNF_OK) memcpy(value->data, data, (size_t)nnf_tensor_nbytes(plain));
    nnf_tensor_release(plain);
    nnf_tensor_release(given);
    return status;
}

/* A module that the kernel set leaves to its type. One with outputs that nobody wants gets tensors
 * for these too: then all of its outputs are tensors of its own. */
static nnf_status run_forward(nnfi_schedule *schedule, const nnfi_stage *stage) {
    nnf_tensor **inputs = schedule->tensors, **outputs = inputs + stage->n_inputs;
    size_t n = stage->n_inputs + stage->n_outputs;
    bool all_wanted = true;
    for (size_t i = 0; i < n; i++) {
        inputs[i] = stage->operands[i] < 0 ? NULL : schedule->values[stage->operands[i]].tensor;
        all_wanted = all_wanted && (i < stage->n_inputs || stage->operands[i] >= 0);
    }
    nnf_status status = (all_wanted ? nnfi_session_forward : nnf_session_call)(
        schedule->session, stage->path, stage->module, inputs, stage->n_inputs, outputs,
        stage->n_outputs);
    for (size_t i = stage->n_inputs; i < n; i++) {
        if (stage->operands[i] < 0) {
            nnf_tensor_release(inputs[i]);
            continue;
        }
        nnf_status taken = take_output(stage, &schedule->values[stage->operands[i]], inputs[i]);
        if (status == NNF_OK) status = taken;
    }
    return status;
}

static void run_copy(const nnfi_schedule *schedule, const nnfi_stage *stage) {
    const nnfi_planned *from = &schedule->values[stage->operands[0]];
    const nnfi_planned *to = &schedule->values[stage->operands[1]];
    memcpy(to->data, from->data, to->operand.bytes);
}

static const char *stage_type(const nnfi_stage *stage) {
    if (stage->module) return nnf_module_type_name(stage->module);
    return stage->step ? "(reorder)" : "(copy)";
}

static nnf_status run_stage(nnfi_schedule *schedule, nnfi_stage *stage) {
    if (stage->moves) NNFI_TRY(nnfi_stage_bind(schedule, stage));
    if (stage->step) return stage->step->run(stage->step);
    if (stage->module) return run_forward(schedule, stage);
    run_copy(schedule, stage);
    return NNF_OK;
}

static nnf_status run_profiled(nnfi_schedule *schedule, nnfi_stage *stage) {
    double start = nnfi_profile_start(schedule->session);
    NNFI_TRY(run_stage(schedule, stage));
    nnfi_profile_end(schedule->session, stage->path ? stage->path : "", stage_type(stage), start);
    return NNF_OK;
}

/* The caller's tensors stand for the graph's inputs during one run. */
static nnf_status enter_inputs(nnfi_schedule *schedule, nnf_tensor *const *inputs) {
    const nnfi_graph *graph = nnfi_graph_of(schedule->graph);
    for (size_t i = 0; i < schedule->n_inputs; i++) {
        nnfi_planned *value = &schedule->values[graph->inputs[i]];
        NNFI_TRY(nnf_tensor_contiguous(&value->tensor, inputs[i]));
        const void *data;
        NNFI_TRY(nnf_tensor_data(value->tensor, &data));
        value->data = (void *)(uintptr_t)data; /* steps only read it */
    }
    return NNF_OK;
}

static void leave_inputs(nnfi_schedule *schedule) {
    const nnfi_graph *graph = nnfi_graph_of(schedule->graph);
    for (size_t i = 0; i < schedule->n_inputs; i++) {
        nnfi_planned *value = &schedule->values[graph->inputs[i]];
        nnf_tensor_release(value->tensor);
        value->tensor = NULL;
    }
}

/* A tensor for each computed output: the last run's, where the caller has let go of it. */
static nnf_status enter_outputs(nnfi_schedule *schedule) {
    for (size_t i = 0; i < schedule->n_outputs; i++) {
        nnfi_planned *value = &schedule->values[schedule->output_values[i]];
        if (value->place != NNFI_PLACE_OUTPUT) continue;
        if (schedule->outputs[i] && nnfi_tensor_is_shared(schedule->outputs[i])) {
            nnf_tensor_release(schedule->outputs[i]);
            schedule->outputs[i] = NULL;
        }
        if (!schedule->outputs[i])
            NNFI_TRY(nnf_tensor_new(&schedule->outputs[i], value->operand.dtype,
                                    value->operand.ndim, value->operand.shape));
        NNFI_TRY(nnf_tensor_mut_data(schedule->outputs[i], &value->data));
        value->tensor = schedule->outputs[i];
    }
    return NNF_OK;
}

/* What the last run computed is given out as it is; a constant and an input, which others hold too,
 * as a tensor of the caller's own over the same storage. */
static nnf_status give_outputs(const nnfi_schedule *schedule, nnf_tensor **outputs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const nnfi_planned *value = &schedule->values[schedule->output_values[i]];
        nnf_status status = NNF_OK;
        if (value->place == NNFI_PLACE_OUTPUT)
            outputs[i] = nnf_tensor_retain(value->tensor);
        else
            status = nnf_tensor_copy(&outputs[i], value->tensor);
        if (status == NNF_OK) continue;
        while (i > 0) {
            nnf_tensor_release(outputs[--i]);
            outputs[i] = NULL;
        }
        return status;
    }
    return NNF_OK;
}

nnf_status nnfi_schedule_run(nnfi_schedule *schedule, nnf_tensor *const *inputs, size_t n_inputs,
                             nnf_tensor **outputs, size_t n_outputs) {
    (void)n_inputs; /* nnfi_schedule_fits has looked */
    nnf_status status = enter_inputs(schedule, inputs);
    if (!status) status = enter_outputs(schedule);
    for (size_t s = 0; !status && s < schedule->n_stages; s++)
        status = run_profiled(schedule, &schedule->stages[s]);
    if (!status) status = give_outputs(schedule, outputs, n_outputs);
    leave_inputs(schedule);
    return status;
}

void nnfi_schedule_release(nnfi_schedule *schedule) {
    if (!schedule) return;
    for (size_t s = 0; s < schedule->n_stages; s++) {
        if (schedule->stages[s].step) schedule->stages[s].step->release(schedule->stages[s].step);
        nnfi_free(schedule->stages[s].operands);
    }
    for (size_t v = 0; v < schedule->n_values; v++) /* outputs' tensors are released below */
        if (schedule->values[v].place != NNFI_PLACE_OUTPUT)
            nnf_tensor_release(schedule->values[v].tensor);
    for (size_t i = 0; schedule->outputs && i < schedule->n_outputs; i++)
        nnf_tensor_release(schedule->outputs[i]);
    nnfi_free(schedule->outputs);
    nnfi_free(schedule->output_values);
    nnfi_free(schedule->inputs);
    nnfi_free(schedule->values);
    nnfi_free(schedule->stages);
    nnfi_free(schedule->memory);
    if (schedule->engine) schedule->set->close(schedule->engine);
    nnfi_free(schedule->pointers);
    nnfi_free(schedule->tensors);
    nnfi_free(schedule);
}
