/* The kinds of fusion, by number: what a mapping may leave out. */
#ifndef NNFI_FUSIONS_H
#define NNFI_FUSIONS_H

#include "nnfuse/fuse.h"

typedef enum nnfi_fusion {
    NNFI_FUSION_BATCHNORM,
    NNFI_FUSION_RELU,
    NNFI_FUSION_ACTIVATION,
    NNFI_FUSION_RESIDUAL,
    NNFI_FUSION_SCALE,
    NNFI_FUSION_BEFORE,
    NNFI_FUSION_NORM,
    NNFI_FUSION_GEMM,
    NNFI_FUSION_PAD,
    NNFI_FUSION_PATTERNS,
    NNFI_FUSION_PARALLEL,
    NNFI_FUSION_SERIES,
    NNFI_FUSION_TRANSPOSE,
    NNFI_N_FUSIONS
} nnfi_fusion;

/* Whether the mapping (may be NULL) leaves the kind out. */
bool nnfi_mapping_skips(const nnf_mapping *mapping, nnfi_fusion fusion);

#endif
