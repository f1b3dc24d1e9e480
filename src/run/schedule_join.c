/* Concats without copies: the parts are computed where the whole will stand. A value can be a part
 * of several (in a DenseNet each Concat begins with all that came before); it has its home in the
 * last of them, and an earlier one that finds all its parts there in a row stands there as well. */
#include "run/schedule_builder.h"

/* Whether all parts have places in one home, one behind another. */
static bool are_in_a_row(const nnfi_planned *values, const nnfi_call_work *work) {
    const nnfi_planned *first = &values[work->inputs[0]];
    size_t offset = first->home_offset;
    for (size_t i = 0; i < work->call->n_inputs; i++) {
        const nnfi_planned *part = &values[work->inputs[i]];
        if (part->home < 0 || part->home != first->home || part->home_offset != offset)
            return false;
        offset += work->operands[i].bytes;
    }
    return true;
}

static void set_home(nnfi_planned *value, int32_t home, size_t offset,
                     const nnfi_operand *operand) {
    value->home = home;
    value->home_offset = offset;
    value->home_layout = operand->layout;
}

nnf_status nnfi_plan_join(nnfi_builder *b, nnfi_call_work *work) {
    nnfi_planned *values = b->schedule->values;
    size_t n = work->call->n_inputs;
    nnfi_operand *whole = &work->operands[n];
    nnfi_gather_operands(b, work);
    if (work->call->n_outputs != 1 || n == 0) return NNF_OK;
    NNFI_TRY(b->schedule->set->join(b->schedule->engine, work->call->module, work->input_pointers,
                                    n, whole, &b->joined[work->number]));
    if (!b->joined[work->number]) return NNF_OK;
    int32_t number = work->outputs[0];
    nnfi_planned *joined = &values[number];
    if (joined->home < 0 && are_in_a_row(values, work)) {
        const nnfi_planned *first = &values[work->inputs[0]];
        set_home(joined, first->home, first->home_offset, whole);
    } else if (joined->home < 0) {
        set_home(joined, number, 0, whole);
        joined->operand = *whole;
    }
    size_t offset = joined->home_offset;
    for (size_t i = 0; i < n; i++) {
        nnfi_planned *part = &values[work->inputs[i]];
        if (part->home < 0 && part->computed)
            set_home(part, joined->home, offset, &work->operands[i]);
        offset += work->operands[i].bytes;
    }
    return NNF_OK;
}

void nnfi_count_tenants(nnfi_builder *b) {
    nnfi_planned *values = b->schedule->values;
    for (size_t v = 0; v < b->schedule->n_values; v++)
        if (values[v].home >= 0) values[values[v].home].tenants++;
}

/* Makes `number` stand `offset` bytes into its home, whose memory is there from the first on. */
static nnf_status stand_in(nnfi_builder *b, int32_t number, int32_t home, size_t offset) {
    if (b->schedule->values[home].place != NNFI_PLACE_ARENA) NNFI_TRY(nnfi_take_place(b, home));
    nnfi_planned *value = &b->schedule->values[number];
    value->place = NNFI_PLACE_ARENA;
    value->holder = home;
    value->offset = b->schedule->values[home].offset + offset;
    return NNF_OK;
}

nnf_status nnfi_place_at_home(nnfi_builder *b, int32_t number, bool *placed) {
    const nnfi_planned *value = &b->schedule->values[number];
    *placed = value->home >= 0 && value->operand.layout == value->home_layout;
    return *placed ? stand_in(b, number, value->home, value->home_offset) : NNF_OK;
}

/* Whether a form of the value stands in a place of the home, in that layout. */
static bool stands_there(const nnfi_builder *b, int32_t number, int32_t home, size_t offset,
                         const nnfi_layout *layout) {
    const nnfi_planned *values = b->schedule->values;
    for (int32_t form = values[number].owner; form >= 0; form = values[form].other)
        if (values[form].numbers == values[number].numbers &&
            values[form].place == NNFI_PLACE_ARENA && values[form].holder == home &&
            values[form].offset == values[home].offset + offset &&
            values[form].operand.layout == layout)
            return true;
    return false;
}

/* Copies part number i to its place, unless it stands there. The copy is one more form of the
 * value, which for its sake becomes a tenant: the next Concat finds it. */
static nnf_status bring(nnfi_builder *b, const nnfi_call_work *work, size_t i, int32_t home,
                        size_t offset) {
    int32_t number = work->inputs[i], owner = b->schedule->values[number].owner, slot;
    if (stands_there(b, number, home, offset, work->operands[i].layout)) return NNF_OK;
    NNFI_TRY(nnfi_new_value(b, &slot, &work->operands[i]));
    b->schedule->values[slot].numbers = b->schedule->values[number].numbers;
    NNFI_TRY(stand_in(b, slot, home, offset));
    nnfi_planned *value = &b->schedule->values[owner];
    if (value->home < 0) {
        value->home = home;
        b->schedule->values[home].tenants++;
    }
    if (value->home == home) {
        b->schedule->values[slot].owner = owner;
        b->schedule->values[slot].other = value->other;
        value->other = slot;
    }
    return nnfi_add_copy(b, number, slot);
}

nnf_status nnfi_schedule_join(nnfi_builder *b, nnfi_call_work *work) {
    size_t n = work->call->n_inputs;
    bool joins;
    nnfi_gather_operands(b, work);
    NNFI_TRY(b->schedule->set->join(b->schedule->engine, work->call->module, work->input_pointers,
                                    n, &work->operands[n], &joins));
    nnfi_planned *whole = &b->schedule->values[work->outputs[0]];
    int32_t home = whole->home;
    size_t offset = whole->home_offset;
    whole->operand = work->operands[n];
    NNFI_TRY(stand_in(b, work->outputs[0], home, offset));
    for (size_t i = 0; i < n; i++) {
        NNFI_TRY(bring(b, work, i, home, offset));
        offset += work->operands[i].bytes;
    }
    return NNF_OK;
}

nnf_status nnfi_leave_home(nnfi_builder *b, int32_t value) {
    int32_t home = b->schedule->values[value].home;
    if (home < 0) return NNF_OK;
    nnfi_planned *whole = &b->schedule->values[home];
    if (--whole->tenants > 0 || whole->place != NNFI_PLACE_ARENA) return NNF_OK;
    return nnfi_arena_give_back(&b->arena, whole->offset, whole->taken);
}
