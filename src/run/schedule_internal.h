/* The schedule from the inside: its makers and its runner share this. */
#ifndef NNFI_SCHEDULE_INTERNAL_H
#define NNFI_SCHEDULE_INTERNAL_H

#include "run/arena.h"
#include "run/schedule.h"

typedef enum nnfi_place {
    NNFI_PLACE_NOWHERE, /* not computed, or its memory went to the value that took its place */
    NNFI_PLACE_INPUT,   /* the caller's tensor number `index` */
    NNFI_PLACE_CONSTANT,
    NNFI_PLACE_ARENA, /* `offset` bytes into the block */
    NNFI_PLACE_OUTPUT /* the tensor that the caller gets as number `index` */
} nnfi_place;

/* A value of the graph, or the same in another layout. */
typedef struct nnfi_planned {
    nnfi_operand operand;
    nnfi_place place;
    size_t index, offset;
    size_t reads;             /* still to come, while the schedule is made; counted at the owner */
    const nnf_module *reader; /* of the only call that reads it; NULL: there are several, or none */
    int32_t owner;            /* the value whose memory it shows: itself, or what it is a view of */
    int32_t numbers; /* the same as another's: they show the same numbers in row-major order */
    int32_t holder;  /* whose place in the arena it stands in: itself, or a form of its owner */
    int32_t other;   /* of an owner: the next form of it, or of a view of it, in another layout; -1:
                        none */
    size_t taken;    /* bytes of its place in the arena, where it holds one */
    bool computed;   /* the result of a step, and certainly no view */
    int32_t home;    /* the joined value that it is computed into, perhaps itself; -1: none */
    size_t home_offset; /* bytes from where that one begins */
    const nnfi_layout *home_layout;
    size_t tenants;     /* of a joined value: those that have it for a home and are not dead yet */
    nnf_tensor *tensor; /* the value for a forward; NULL where no forward needs it */
    void *data;
} nnfi_planned;

/* One step with its operands, by number in `values`, -1: not given. */
typedef struct nnfi_stage {
    nnfi_step *step;    /* NULL: the module's forward; or, without a module, a copy of bytes */
    nnf_module *module; /* borrowed from the graph */
    const char *path;   /* of the module in the graph, likewise */
    int32_t *operands;  /* inputs, then outputs */
    size_t n_inputs, n_outputs;
    bool moves; /* an operand is the caller's: bound anew in each run */
} nnfi_stage;

struct nnfi_schedule {
    nnf_session *session; /* that it belongs to */
    const nnfi_kernel_set *set;
    nnfi_engine *engine; /* its own */
    nnf_module *graph;
    uint64_t fingerprint; /* of the modules and weights that it was made from */
    nnfi_operand *inputs; /* what it was made for */
    size_t n_inputs, n_outputs;
    nnfi_planned *values; /* the graph's values first, by their numbers */
    size_t n_values, values_capacity;
    nnfi_stage *stages;
    size_t n_stages, stages_capacity;
    size_t most_operands, scratch_bytes, block_bytes;
    char *block;            /* scratch memory, then the arena */
    void *memory;           /* what is to be freed for it */
    int32_t *output_values; /* [n_outputs] */
    nnf_tensor **outputs;   /* [n_outputs]: given out again when the caller has let go of them */
    void **pointers;        /* [most_operands]: for bind */
    nnf_tensor **tensors;   /* [most_operands]: for forward */
};

uint64_t nnfi_schedule_fingerprint(const nnf_module *graph);
nnf_status nnfi_stage_bind(nnfi_schedule *schedule, nnfi_stage *stage);

#endif
