/* How much a model computes. */
#ifndef MULTIPLY_ADDS_H
#define MULTIPLY_ADDS_H

#include "nnfuse.h"

/* The multiply-adds of the graph's convolutions and matrix products (fused ones too) on inputs of
 * these shapes; NaN where a shape that it takes is not known beforehand. */
nnf_status multiply_adds(double *out, const nnf_module *graph, nnf_tensor *const *inputs);

#endif
