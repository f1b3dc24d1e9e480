/* The default table. Every row has the same method (methods.c), which sees from the modules
 * themselves what is to be folded and what is to be kept. */
#include "fuse/mapping.h"

#define CHAINS(d)                                                                       \
    {"Conv" d, "BatchNorm" d}, {"Conv" d, "BatchNorm" d, "ReLU"}, {"Conv" d, "ReLU"},   \
        {"ConvTranspose" d, "BatchNorm" d}, {"ConvTranspose" d, "BatchNorm" d, "ReLU"}, \
        {"ConvTranspose" d, "ReLU"}, {                                                  \
        "BatchNorm" d, "ReLU"                                                           \
    }

const char *const nnfi_default_chains[][3] = {
    CHAINS("1d"),
    CHAINS("2d"),
    CHAINS("3d"),
    {"Linear", "BatchNorm1d"},
    {"Linear", "BatchNorm1d", "ReLU"},
    {"Linear", "ReLU"},
};
const size_t nnfi_n_default_chains = sizeof nnfi_default_chains / sizeof *nnfi_default_chains;
