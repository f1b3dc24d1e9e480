/* Transposes that cancel each other around layers that can do without them. */
#ifndef NNFI_TRANSPOSES_H
#define NNFI_TRANSPOSES_H

#include "nnfuse/module.h"

/* Takes them out of a Graph. On failure the graph computes what it did, and has what was taken out
 * before. */
nnf_status nnfi_cancel_transposes(nnf_module *graph);

#endif
