/* The plan of a file while it is made: leaves first (write_plan_leaves.c), then the initializers
 * that they need (write_plan_initializers.c). */
#ifndef NNFI_ONNX_WRITE_PLANNER_H
#define NNFI_ONNX_WRITE_PLANNER_H

#include "formats/onnx/write.h"

/* A name in the source. */
typedef struct nnfi_original {
    const char *text; /* NULL: there is none */
    size_t length;
} nnfi_original;

/* A slot whose tensor is not the constant that the call reads: it needs an initializer. */
typedef struct nnfi_pending_slot {
    uint32_t leaf, input;
    nnf_value value; /* that the call has there; NNF_NO_VALUE: none */
    nnf_tensor *tensor;
    const char *slot;
} nnfi_pending_slot;

typedef struct nnfi_planner {
    nnfi_write_plan *plan;
    uint32_t *reads;    /* [n_values] */
    int32_t *producers; /* [n_values]: the leaf that gives it, -1: none */
    nnfi_pending_slot *slots;
    size_t n_slots, slots_capacity;
    int32_t place;     /* the furthest so far */
    size_t n_captures; /* of the call at work that its leaves have read by now */
} nnfi_planner;

nnf_status nnfi_planner_no_memory(void);
/* The value of that name is in the file as it was in the source. */
nnf_status nnfi_planner_keep_name(nnfi_write_plan *plan, const char *name);

/* The nodes, what they are made of and the names that they read and give, but for those of their
 * pending slots. */
nnf_status nnfi_planner_leaves(nnfi_planner *p);
/* Names for the pending slots, and what nobody reads any more. */
nnf_status nnfi_planner_initializers(nnfi_planner *p);

#endif
