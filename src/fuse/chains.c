/* The default table: PyTorch's 16 sequences, each also with 1d and the other activations, and those
 * that end in a residual. Every row has the same method (methods.c), which sees from the modules
 * themselves what is to be folded and what is to be kept. An Add in a row takes a second input from
 * elsewhere (nnfi_takes_residual), and a batch norm behind a layer stands for any number of them in
 * a row. */
#include "fuse/mapping.h"
#include "nn/nn_internal.h"

/* A sequence, and the same with each activation after it. */
#define THEN(activation, ...) \
    { __VA_ARGS__, activation }
#define ACTIVATED(...) THEN("ReLU", __VA_ARGS__), NNFI_FUSED_ACTIVATIONS(THEN, __VA_ARGS__)

#define CHAINS(d)                                                                        \
    {"Conv" d, "BatchNorm" d}, ACTIVATED("Conv" d, "BatchNorm" d), ACTIVATED("Conv" d),  \
        {"Conv" d, "Add"}, ACTIVATED("Conv" d, "Add"), {"Conv" d, "BatchNorm" d, "Add"}, \
        ACTIVATED("Conv" d, "BatchNorm" d, "Add"), {"ConvTranspose" d, "BatchNorm" d},   \
        ACTIVATED("ConvTranspose" d, "BatchNorm" d), ACTIVATED("ConvTranspose" d), {     \
        "BatchNorm" d, "ReLU"                                                            \
    }

const char *const nnfi_default_chains[][NNFI_LONGEST_CHAIN] = {
    CHAINS("1d"),
    CHAINS("2d"),
    CHAINS("3d"),
    {"Linear", "BatchNorm1d"},
    ACTIVATED("Linear", "BatchNorm1d"),
    ACTIVATED("Linear"),
};
const size_t nnfi_n_default_chains = sizeof nnfi_default_chains / sizeof *nnfi_default_chains;
