/* Steps around one primitive: for jobs, which make them. */
#ifndef NNFI_ONEDNN_STEP_H
#define NNFI_ONEDNN_STEP_H

#include "run/onednn/onednn_internal.h"

typedef enum nnfi_arg_source {
    NNFI_ARG_INPUT,
    NNFI_ARG_OUTPUT,
    NNFI_ARG_SCRATCH,
    NNFI_ARG_CONSTANT
} nnfi_arg_source;

nnf_status nnfi_primitive_step_new(nnfi_primitive_step **out, const nnfi_engine *engine,
                                   const_dnnl_primitive_desc_t pd);
/* What stands behind one of the primitive's arguments: input or output number `index`, or scratch
 * memory from byte `index` on. */
nnf_status nnfi_primitive_step_arg(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                   nnfi_arg_source source, size_t index);
/* Takes over the reference; not where it fails. */
nnf_status nnfi_primitive_step_constant(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                        nnfi_packed *packed);
/* The same for a constant that is packed in each run, right before the primitive reads it. */
nnf_status nnfi_primitive_step_packing(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                       nnfi_packing *packing);
/* Something to be done to the `n` values of the output afterwards. */
void nnfi_primitive_step_finish(nnfi_primitive_step *step, void (*finish)(float *values, int64_t n),
                                size_t n);
/* Another step, which is taken over, over the output where it stands. */
void nnfi_primitive_step_then(nnfi_primitive_step *step, nnfi_primitive_step *then);
nnfi_step *nnfi_primitive_step_base(nnfi_primitive_step *step);

#endif
