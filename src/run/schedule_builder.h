/* What the makers of a schedule share while they make it. */
#ifndef NNFI_SCHEDULE_BUILDER_H
#define NNFI_SCHEDULE_BUILDER_H

#include "run/schedule_internal.h"

typedef struct nnfi_builder {
    nnfi_schedule *schedule;
    nnfi_graph *graph;
    nnf_type_info *infos;
    size_t n_infos;
    nnf_tensor **constants; /* [n_values]: borrowed; NULL where a value is computed */
    bool *skipped;          /* [n_calls] */
    bool *joined;           /* [n_calls]: a Concat whose parts are computed into its place */
    nnfi_arena arena;
    const char *refusal; /* why there can be no schedule; NULL: there can */
} nnfi_builder;

/* What one call reads and gives, while its stage is made. */
typedef struct nnfi_call_work {
    size_t number;
    const nnfi_call *call;
    int32_t *inputs, *outputs;     /* value numbers */
    nnfi_operand *operands;        /* of the inputs, then of the outputs */
    nnfi_operand **input_pointers; /* NULL where an input is not given */
} nnfi_call_work;

/* Fills work->operands and input_pointers from the values as they are. */
void nnfi_gather_operands(const nnfi_builder *b, const nnfi_call_work *work);
nnf_status nnfi_new_value(nnfi_builder *b, int32_t *out, const nnfi_operand *operand);
/* Bytes that a value of known shape takes where it is row-major. */
size_t nnfi_plain_bytes(const nnfi_operand *operand);
bool nnfi_same_shape(const nnfi_operand *a, const nnfi_operand *b);
/* A form of a value in the layout of `wanted`, made where there is none yet; `fresh`: in memory of
 * its own, to be written. */
nnf_status nnfi_in_layout(nnfi_builder *b, int32_t *value, const nnfi_operand *wanted, bool fresh);
nnf_status nnfi_take_place(nnfi_builder *b, int32_t value);
/* Gives the memory of a value, in all its forms, back. */
nnf_status nnfi_give_back(nnfi_builder *b, int32_t owner);
/* Makes the stage of a call, or those of a fused container's children. */
nnf_status nnfi_schedule_step(nnfi_builder *b, nnfi_call_work *work);
/* What is known of a value without a layout; false where a dimension is not. */
bool nnfi_operand_of(nnfi_operand *out, const nnf_type_info *info);
/* Adds the stage that puts value `from` into `to`, in to's layout. */
nnf_status nnfi_add_copy(nnfi_builder *b, int32_t from, int32_t to);

/* ---- Fused containers (schedule_children.c) ---- */

/* Schedules the children of work's module instead of it. work->inputs are not good after that. */
nnf_status nnfi_schedule_children(nnfi_builder *b, const nnfi_call_work *work);

/* ---- Views (schedule_views.c) ---- */

/* Whether the call's outputs may be its input's memory: no place is kept for them elsewhere. */
bool nnfi_may_be_view(const nnfi_call *call);
/* Shows the outputs in the input's memory, or a copy of it; *done is false where a step has to make
 * them. */
nnf_status nnfi_schedule_view(nnfi_builder *b, const nnfi_call_work *work, bool *done);

/* ---- Joins (schedule_join.c) ---- */

/* Gives the parts of a Concat homes in its output, where the kernel set can have them there. To be
 * called for the calls from last to first, so that a part that is itself joined brings its own
 * parts along. */
nnf_status nnfi_plan_join(nnfi_builder *b, nnfi_call_work *work);
/* Counts the tenants of each home, when all joins are planned. */
void nnfi_count_tenants(nnfi_builder *b);
/* Places a value at home, where it has one that suits it; *placed says whether. */
nnf_status nnfi_place_at_home(nnfi_builder *b, int32_t value, bool *placed);
/* Instead of a step: copies what has not been computed in its place. */
nnf_status nnfi_schedule_join(nnfi_builder *b, nnfi_call_work *work);
/* The value is dead: the home goes with its last tenant. */
nnf_status nnfi_leave_home(nnfi_builder *b, int32_t value);

/* ---- Training (schedule_training.c) ---- */

/* Refuses a graph where a module in training mode moves a tensor that another one, or a call, reads
 * too: a schedule has its constants as they were when it was made. */
nnf_status nnfi_refuse_moving_constants(nnfi_builder *b);

#endif
