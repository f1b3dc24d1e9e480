/* The reference kernel set. */
#include "run/reference/reference.h"

const nnfi_kernels nnfi_reference_kernels = {
    .name = "reference",
    .conv = nnfi_reference_conv,
    .matmul = nnfi_reference_matmul,
    .channel_affine = nnfi_reference_channel_affine,
    .pool = nnfi_reference_pool,
    .activation = nnfi_reference_activation,
    .softmax = nnfi_reference_softmax,
    .binary = nnfi_reference_binary,
};
