/* The table of the kinds of fusion: docs/fusions.md has a section for each. */
#include "fuse/fusions.h"

static const nnf_fusion fusions[NNFI_N_FUSIONS] = {
    [NNFI_FUSION_BATCHNORM] = {"batchnorm", "batch norm into the linear layer in front of it",
                               "it runs over the layer's output channels, in eval mode, and "
                               "variance + eps is above 0",
                               true},
    [NNFI_FUSION_RELU] = {"relu", "ReLU after a linear layer or a batch norm", "always", true},
    [NNFI_FUSION_ACTIVATION] = {"activation",
                                "other activations after a linear layer or a batch norm",
                                "always; a PReLU's slope is a constant and enlarges nothing",
                                false},
    [NNFI_FUSION_RESIDUAL] = {"residual", "an Add into the convolution that ends last",
                              "both operands have the same shape", false},
    [NNFI_FUSION_SCALE] = {"scale",
                           "Mul, Div, Add, Sub by a constant into the linear layer in front of it",
                           "the constant has one element for each output channel, or one in all",
                           false},
    [NNFI_FUSION_BEFORE] = {"before", "batch norm, Mul, Add ... into the linear layers behind it",
                            "nothing is added, or the layers do not pad with zeros", false},
    [NNFI_FUSION_NORM] = {"norm",
                          "scale and bias of a LayerNorm, RMSNorm into the layers that read it",
                          "all of these are linear over the last axis", false},
    [NNFI_FUSION_GEMM] = {"gemm", "MatMul, Add to Gemm", "rank 2", false},
    [NNFI_FUSION_PAD] = {"pad", "Pad into the convolution or pooling behind it",
                         "zeros, on spatial axes; max pooling only of values that are at least 0",
                         false},
    [NNFI_FUSION_PATTERNS] = {"patterns",
                              "activations, norms and Linear from the steps that compute them",
                              "the constants are the definition's", false},
    [NNFI_FUSION_PARALLEL] = {"parallel", "branches that meet in an Add into one linear layer",
                              "one input, the same stride and groups, kernels with one centre",
                              false},
    [NNFI_FUSION_SERIES] = {"series", "two linear layers in a row into one",
                            "one of them has a kernel of 1; multiplications are saved", false},
    [NNFI_FUSION_TRANSPOSE] = {"transpose", "Transposes around layers that can do without them",
                               "the axes come back, and no Transpose is added", false},
};

const nnf_fusion *nnf_fusions(size_t *n) {
    *n = NNFI_N_FUSIONS;
    return fusions;
}
