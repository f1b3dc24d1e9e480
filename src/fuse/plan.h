/* A Graph about to be changed: who calls each module, who reads each value, and which calls are
 * taken already. */
#ifndef NNFI_PLAN_H
#define NNFI_PLAN_H

#include "module/known.h"

typedef struct nnfi_plan {
    nnf_module *module; /* the Graph, borrowed */
    nnfi_graph *graph;
    nnfi_uses uses;
    nnfi_index last_calls; /* the last call of each module */
    int32_t *previous;     /* [n_calls]: the call of the same module before this one, -1: none */
    bool *again;           /* [n_calls]: the module is called again after this call */
    bool *taken;           /* [n_calls] */
    nnf_module *identities[2]; /* in eval and in training mode; NULL until they are needed */
    nnfi_known infos;          /* inferred when somebody asks for the first time */
    bool inferred;             /* or tried to, if infos.of is NULL */
    bool lacks_memory;         /* for an answer of "no", which then is none */
} nnfi_plan;
#define NNFI_NO_CALL SIZE_MAX

nnf_status nnfi_plan_open(nnfi_plan *out, nnf_module *graph);
void nnfi_plan_clear(nnfi_plan *plan);

/* Fills plan->infos where nobody has; an error where that cannot be done. */
nnf_status nnfi_plan_infer(nnfi_plan *plan);

/* The last call of a module, or NNFI_NO_CALL; those before it: nnfi_plan_call_before. */
size_t nnfi_plan_last_call(const nnfi_plan *plan, const nnf_module *module);
/* The call of the same module before a call, or NNFI_NO_CALL. */
size_t nnfi_plan_call_before(const nnfi_plan *plan, size_t call);
/* A reference to the Identity that comes in the places of the graph's modules that become part of
 * another. Nothing calls them, so one object does for all: there may be a million. */
nnf_status nnfi_plan_identity(nnfi_plan *plan, nnf_module **out, bool training);
/* Whether other calls use the module's state too, so that none of them can be changed alone. */
bool nnfi_plan_is_shared(const nnfi_plan *plan, size_t call);
/* Whether a call of the module is left when those that are taken are gone. */
bool nnfi_plan_stays(const nnfi_plan *plan, const nnf_module *module);

/* The value that carries the data into a call; NNF_NO_VALUE where it is given none, as in files
 * that no runtime takes. */
nnf_value nnfi_data_of(const nnfi_plan *plan, size_t call);
/* An input beside `value` that the call must be given, as its module neither holds nor knows it;
 * NNF_NO_VALUE: none. */
nnf_value nnfi_plan_other_input(const nnfi_plan *plan, const nnfi_call *call, nnf_value value);
/* An output beside the first one; NNF_NO_VALUE: none. Also where nobody reads it: how many outputs
 * a node has may be part of what it does (a batch norm in training has three). */
nnf_value nnfi_plan_other_output(const nnfi_call *call);
/* The call that reads what `call` gives, as its one input that is not constant or beside a
 * residual, where nothing else does; else NNFI_NO_CALL. */
size_t nnfi_plan_next(const nnfi_plan *plan, size_t call);
/* Why it is not `wanted` (may be NULL: any call), as an error. */
nnf_status nnfi_plan_why_not_next(const nnfi_plan *plan, size_t call, const nnf_module *wanted);

/* The calls of the modules, each the next of the one before; an error says where that ends. */
nnf_status nnfi_plan_trace(const nnfi_plan *plan, nnf_module *const *modules, size_t n,
                           size_t *calls);

/* Whether `fused` may stand for these calls: what was folded into the first module must be there
 * for every call (its weights constant) and mean the same on its input; a residual must have the
 * shape and dtype of what it is added to. */
nnf_status nnfi_plan_check(nnfi_plan *plan, const size_t *calls, nnf_module *const *views, size_t n,
                           size_t base, nnf_module *fused);

/* Whether `call`, which folding sees as the affine map `view`, runs over the axis that has the
 * channels of the call `layer`, and leaves the shape as it is. */
nnf_status nnfi_plan_check_axis(nnfi_plan *plan, size_t layer, size_t call, const nnf_module *view);
/* In front of a layer, which will read what `call` reads: whether that has the shape already that
 * the call gives. */
nnf_status nnfi_plan_check_front(nnfi_plan *plan, size_t call, const nnf_module *view);

/* What folding sees the calls as (view.h), one reference each. */
nnf_status nnfi_plan_views(const nnfi_plan *plan, const size_t *calls, size_t n,
                           nnf_module **views);

/* What one call of `fused` for all of these reads: the first one's data, what the module that the
 * others are folded into (calls[base]) reads beside its own, then the residual; and what the nodes
 * of later ones that are still there name beside that. Both are in one block of the pile. */
typedef struct nnfi_reads {
    nnf_value *inputs, *captures;
    size_t n_inputs, n_captures;
} nnfi_reads;
nnf_status nnfi_plan_reads(const nnfi_plan *plan, const size_t *calls, size_t n, size_t base,
                           nnf_module *fused, nnfi_pile *pile, nnfi_reads *out);

#endif
