/* The default table: PyTorch's 16 sequences, each also with 1d and the other activations, those
 * that end in a residual, and those whose affine map is arithmetic with a constant (view.h). Every
 * row has the same method (methods.c), which sees from the modules themselves what is to be folded
 * and what is to be kept. An Add in a row takes a second input from elsewhere
 * (nnfi_takes_residual). An affine map in a row stands for any number of them, and affine maps and
 * Pads may come before a layer: rows with one type are there for those. */
#include "fuse/mapping.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"

/* A sequence, and the same with each activation after it. */
#define THEN(activation, ...) \
    { __VA_ARGS__, activation }
#define ACTIVATED(...) THEN("ReLU", __VA_ARGS__), NNFI_FUSED_ACTIVATIONS(THEN, __VA_ARGS__)
/* A layer, activated or not, and the same with a residual. */
#define ALONE(...) {__VA_ARGS__}, ACTIVATED(__VA_ARGS__)
#define ADDED(...) ALONE(__VA_ARGS__), {__VA_ARGS__, "Add"}, ACTIVATED(__VA_ARGS__, "Add")

#define CHAINS(d)                                                                       \
    ADDED("Conv" d), ADDED("Conv" d, "BatchNorm" d), ADDED("Conv" d, NNFI_SCALE),       \
        ALONE("ConvTranspose" d), ALONE("ConvTranspose" d, "BatchNorm" d),              \
        ALONE("ConvTranspose" d, NNFI_SCALE), {"BatchNorm" d}, {"BatchNorm" d, "ReLU"}, \
        {"MaxPool" d}, {                                                                \
        "AvgPool" d                                                                     \
    }

const char *const nnfi_default_chains[][NNFI_LONGEST_CHAIN] = {
    CHAINS("1d"),
    CHAINS("2d"),
    CHAINS("3d"),
    ALONE("Linear"),
    ALONE("Linear", "BatchNorm1d"),
    ALONE("Linear", NNFI_SCALE),
    {"MatMul"},
    ALONE("MatMul", "BatchNorm1d"),
    ALONE("MatMul", NNFI_SCALE),
};
const size_t nnfi_n_default_chains = sizeof nnfi_default_chains / sizeof *nnfi_default_chains;
