/* The names in what is written, those of the graph's values and new ones; and new initializers. */
#include <string.h>

#include "formats/onnx/write.h"
#include "support/hash.h"
#include "support/memory.h"

const char *nnfi_write_plan_keep(nnfi_write_plan *plan, const char *text, size_t length) {
    return nnfi_pile_strndup(&plan->pile, text, length);
}

/* Whether the name is this call's now; false where memory is short or, *taken, something has it.
 * Most names are those of values that are gone: these need no table and no copy. */
static bool take(nnfi_write_plan *plan, const char **out, const char *name, size_t length,
                 bool *taken) {
    nnf_value value = nnfi_graph_find_any(plan->graph, name, length);
    *out = NULL;
    if (value != NNF_NO_VALUE) {
        *taken = !plan->graph->values[value].gone || plan->name_used[value];
    } else {
        *taken = false;
    }
    if (plan->source && nnfi_map_get(&plan->source->inner_names, name, length, NULL)) *taken = true;
    if (*taken) return false;
    if (value != NNF_NO_VALUE) {
        plan->name_used[value] = true;
        *out = plan->graph->values[value].name;
        return true;
    }
    const char *copy = nnfi_write_plan_keep(plan, name, length);
    int64_t number = (int64_t)plan->names.n_keys, known;
    if (!copy || !nnfi_map_add(&plan->names, copy, length, number, &known)) return false;
    *taken = known != number;
    if (!*taken) *out = copy;
    return !*taken;
}

nnf_status nnfi_write_plan_take(nnfi_write_plan *plan, const char **out, const char *name,
                                size_t length) {
    bool taken = false;
    if (take(plan, out, name, length, &taken) || taken) return NNF_OK;
    return nnfi_error_memory(length, "a name");
}

const char *nnfi_write_plan_name(nnfi_write_plan *plan, const char *wish, size_t length) {
    const char *name;
    bool taken = false;
    if (take(plan, &name, wish, length, &taken) || !taken) {
        plan->n_strings++;
        return name;
    }
    for (size_t i = ++plan->n_strings; taken; i++) {
        char *other = nnfi_format("%.*s_%zu", (int)length, wish, i);
        plan->n_strings += other != NULL;
        taken = false;
        if (other) (void)take(plan, &name, other, strlen(other), &taken);
        nnfi_free(other);
    }
    return name;
}

const char **nnfi_write_plan_names(nnfi_write_plan *plan, size_t n) {
    const char **names = nnfi_pile_alloc(&plan->pile, n * sizeof *names, _Alignof(char *));
    for (size_t i = 0; names && i < n; i++) {
        names[i] = "";
    }
    return names;
}

/* ---- New initializers ---- */

typedef struct wanted_tensor {
    const nnfi_write_plan *plan;
    const nnf_tensor *tensor;
} wanted_tensor;

static bool is_tensor(const void *payload, size_t number) {
    const wanted_tensor *wanted = payload;
    return wanted->plan->tensors[number].tensor == wanted->tensor;
}

const nnfi_new_tensor *nnfi_write_plan_find(const nnfi_write_plan *plan, const nnf_tensor *tensor) {
    const struct nnfi_index_slot *slot = nnfi_index_find(
        &plan->tensor_index, nnfi_hash_pointer(tensor), is_tensor, &(wanted_tensor){plan, tensor});
    return slot ? &plan->tensors[nnfi_index_number(slot)] : NULL;
}

nnf_status nnfi_write_plan_add(nnfi_write_plan *plan, const nnfi_new_tensor *model) {
    if (!nnfi_reserve(&plan->tensors, &plan->tensors_capacity, plan->n_tensors + 1,
                      sizeof *plan->tensors) ||
        !nnfi_index_add(&plan->tensor_index, nnfi_hash_pointer(model->tensor), plan->n_tensors)) {
        return nnfi_error_memory(sizeof(nnfi_new_tensor), "what is written");
    }
    plan->tensors[plan->n_tensors] = *model;
    plan->tensors[plan->n_tensors++].tensor = nnf_tensor_retain(model->tensor);
    return NNF_OK;
}

nnf_status nnfi_write_plan_tensor(nnfi_write_plan *plan, const char **name, nnf_tensor *tensor,
                                  const char *wish, int64_t behind) {
    const nnfi_new_tensor *known = nnfi_write_plan_find(plan, tensor);
    if (known) {
        *name = known->name;
        return NNF_OK;
    }
    *name = nnfi_write_plan_name(plan, wish, strlen(wish));
    if (!*name) return nnfi_error_memory(sizeof(nnfi_new_tensor), "what is written");
    return nnfi_write_plan_add(plan, &(nnfi_new_tensor){tensor, *name, (int32_t)behind, false});
}
