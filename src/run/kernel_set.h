/* A kernel set runs whole modules on values whose shapes are known, in layouts of its own choosing.
 * What it does not take runs by the module type's forward, on plain values. The schedule
 * (schedule.h) asks the set once for each call and input shape, and then only runs the steps. */
#ifndef NNFI_KERNEL_SET_H
#define NNFI_KERNEL_SET_H

#include "nnfuse/module.h"

/* A layout other than row-major, owned by the set's engine; equal layouts are one pointer. */
typedef struct nnfi_layout nnfi_layout;

/* A value as a step sees it. */
typedef struct nnfi_operand {
    nnf_dtype dtype;
    int ndim;
    int64_t shape[NNF_MAX_DIMS];
    const nnfi_layout *layout; /* NULL: row-major */
    size_t bytes;              /* that it takes in this layout */
    bool dies;                 /* an input that nobody reads after this step: it may be written */
    const nnf_module *reader;  /* of an output: what alone reads it; NULL: several, or nothing */
} nnfi_operand;

typedef struct nnfi_step nnfi_step;
struct nnfi_step {
    /* Says where the operands are. Called before the first run, and again where one has moved. */
    nnf_status (*bind)(nnfi_step *step, void *const *inputs, void *const *outputs, void *scratch);
    nnf_status (*run)(nnfi_step *step);
    void (*release)(nnfi_step *step);
    size_t scratch_bytes;
    int inplace; /* outputs[0] is to be the memory of inputs[inplace]; -1: of none */
};

typedef struct nnfi_engine nnfi_engine;

typedef struct nnfi_kernel_options {
    bool winograd;   /* Winograd's convolutions may be used */
    bool packs_late; /* weights are packed in each run, where they are read, and not kept */
} nnfi_kernel_options;

typedef struct nnfi_kernel_set {
    const char *name;
    /* An engine makes the steps of one schedule. */
    nnf_status (*open)(nnfi_engine **out, const nnfi_kernel_options *options);
    /* All steps are made: what was only needed for making them can go. */
    void (*settle)(nnfi_engine *engine);
    void (*close)(nnfi_engine *engine); /* after its steps were released */
    /* Shows the engine a call that will have to run, before the first one is prepared, so that it
     * can choose layouts for all of them. Changes none of the operands. */
    void (*survey)(nnfi_engine *engine, const nnf_module *module, nnfi_operand *const *inputs,
                   size_t n_inputs, nnfi_operand *outputs, size_t n_outputs);
    /* Makes the step that runs `module`. In: the inputs as they are (NULL for one that is not
     * given), the outputs' dtypes and shapes. Out: inputs[i]->layout is what the step wants it in,
     * outputs have their layout and bytes. *step is NULL where the set does not take the module. */
    nnf_status (*prepare)(nnfi_engine *engine, const nnf_module *module,
                          nnfi_operand *const *inputs, size_t n_inputs, nnfi_operand *outputs,
                          size_t n_outputs, nnfi_step **step);
    /* For a call that gives its input's numbers in another shape or with its axes in another order:
     * whether the output is the input's memory, in a layout that suits the engine or the output's
     * reader. Then sets the output's layout and bytes. */
    nnf_status (*view)(nnfi_engine *engine, const nnf_module *module, nnfi_operand *input,
                       nnfi_operand *output, bool *views);
    /* For a Concat: whether its parts, in layouts that suit the engine, stand one behind another in
     * the memory of the whole, so that nothing needs to be moved where they are computed in their
     * places. Then sets layouts and bytes of the parts and the whole. */
    nnf_status (*join)(nnfi_engine *engine, const nnf_module *module, nnfi_operand *const *parts,
                       size_t n, nnfi_operand *whole, bool *joins);
    /* A step that turns a value from one layout into another; `from` and `to` differ in layout
     * only. to->bytes is set. */
    nnf_status (*prepare_reorder)(nnfi_engine *engine, const nnfi_operand *from, nnfi_operand *to,
                                  nnfi_step **step);
} nnfi_kernel_set;

/* The set over oneDNN; NULL where the library was built without it. */
#ifdef NNFUSE_ONEDNN
const nnfi_kernel_set *nnfi_onednn(void);
#else
static inline const nnfi_kernel_set *nnfi_onednn(void) {
    return NULL;
}
#endif

#endif
