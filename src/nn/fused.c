/* Fused types: containers whose children "0", "1" ... run in order. One table says what each is
 * made of; the names are torch.ao.nn.intrinsic's where PyTorch has the type. A child Add takes the
 * container's last input, the residual, beside the value so far. */
#include <string.h>

#include "nn/nn_internal.h"

enum { MOST_CHILDREN = 3 };

typedef struct fused_type {
    nnf_module_type type; /* first, so that a module's type leads to its row */
    const char *children[MOST_CHILDREN];
} fused_type;

/* In a row: any of nnfi_fused_activations, for which PyTorch has no names of their own. */
#define ACTIVATION "Activation"
#define NAME(activation, unused) activation
static const char *const activations[] = {NNFI_FUSED_ACTIVATIONS(NAME, 0)};

static nnf_status check_fused(const nnf_module *module);

#define ROW(type_name, ...)                                 \
    {                                                       \
        {.name = type_name,                                 \
         .infer = nnfi_infer_children,                      \
         .forward = nnfi_forward_children,                  \
         .check = check_fused,                              \
         .flags = NNF_TYPE_FUSED | NNF_TYPE_RUNS_CHILDREN}, \
        {                                                   \
            __VA_ARGS__                                     \
        }                                                   \
    }
#define SPATIAL_ROWS(d)                                                                          \
    ROW("ConvReLU" d, "Conv" d, "ReLU"), ROW("ConvBn" d, "Conv" d, "BatchNorm" d),               \
        ROW("ConvBnReLU" d, "Conv" d, "BatchNorm" d, "ReLU"), ROW("ConvAdd" d, "Conv" d, "Add"), \
        ROW("ConvAddReLU" d, "Conv" d, "Add", "ReLU"),                                           \
        ROW("ConvAddActivation" d, "Conv" d, "Add", ACTIVATION),                                 \
        ROW("ConvActivation" d, "Conv" d, ACTIVATION), ROW("BNReLU" d, "BatchNorm" d, "ReLU"),   \
        ROW("ConvTransposeReLU" d, "ConvTranspose" d, "ReLU"),                                   \
        ROW("ConvTransposeActivation" d, "ConvTranspose" d, ACTIVATION)

static const fused_type rows[] = {
    SPATIAL_ROWS("1d"),
    SPATIAL_ROWS("2d"),
    SPATIAL_ROWS("3d"),
    ROW("LinearReLU", "Linear", "ReLU"),
    ROW("LinearLeakyReLU", "Linear", "LeakyReLU"),
    ROW("LinearTanh", "Linear", "Tanh"),
    ROW("LinearActivation", "Linear", ACTIVATION),
    ROW("LinearBn1d", "Linear", "BatchNorm1d"),
    ROW("LinearBnReLU1d", "Linear", "BatchNorm1d", "ReLU"),
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const nnfi_type_family nnfi_fused_family = {&rows[0].type, N_ROWS, sizeof *rows};

static size_t n_children(const fused_type *row) {
    size_t n = 0;
    while (n < MOST_CHILDREN && row->children[n])
        n++;
    return n;
}

static bool is_activation(const char *type) {
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (!strcmp(activations[i], type)) return true;
    return false;
}

bool nnfi_is_fused_activation(const char *type) {
    return !strcmp(type, "ReLU") || is_activation(type);
}

static bool is_made_of(const char *child, const char *type) {
    return strcmp(child, ACTIVATION) ? !strcmp(child, type) : is_activation(type);
}

const char *nnfi_fused_name_of(const char *const *types, size_t n) {
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t same = 0;
        while (same < n && same < n_children(&rows[i]) &&
               is_made_of(rows[i].children[same], types[same]))
            same++;
        if (same == n && same == n_children(&rows[i])) return rows[i].type.name;
    }
    return NULL;
}

static nnf_status check_count(const fused_type *row, size_t n) {
    if (n == n_children(row)) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "%s is made of %zu modules, not of %zu", row->type.name,
                     n_children(row), n);
}

static nnf_status check_child(const fused_type *row, size_t index, const nnf_module *child) {
    if (!child)
        return nnf_error(NNF_ERROR_INVALID, "module %zu of a %s is NULL", index, row->type.name);
    const char *given = nnfi_known_type(child);
    const char *wanted = row->children[index];
    if (is_made_of(wanted, given)) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "module %zu of a %s must be %s%s, not a %s", index,
                     row->type.name, strcmp(wanted, ACTIVATION) ? "a " : "another activation than ",
                     strcmp(wanted, ACTIVATION) ? wanted : "ReLU", given);
}

static nnf_status check_fused(const nnf_module *module) {
    const fused_type *row = (const fused_type *)(const void *)nnf_module_get_type(module);
    NNFI_TRY(check_count(row, nnf_module_n_children(module)));
    for (size_t i = 0; i < n_children(row); i++)
        NNFI_TRY(check_child(row, i, nnf_module_child(module, i)));
    return NNF_OK;
}

static const fused_type *find_row(const char *name) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (!strcmp(rows[i].type.name, name)) return &rows[i];
    return NULL;
}

nnf_status nnf_fused_new(nnf_module **out, const char *name, nnf_module *const *modules, size_t n) {
    if (!name || (n > 0 && !modules))
        return nnf_error(NNF_ERROR_INVALID, "a fused module needs its type's name and its modules");
    const fused_type *row = find_row(name);
    if (!row) return nnf_error(NNF_ERROR_NOT_FOUND, "there is no fused type '%s'", name);
    NNFI_TRY(check_count(row, n));
    for (size_t i = 0; i < n; i++)
        NNFI_TRY(check_child(row, i, modules[i]));
    nnf_module *module;
    NNFI_TRY(nnf_module_new(&module, &row->type, NULL));
    nnf_status status = nnfi_set_numbered_children(module, modules, n);
    if (status == NNF_OK) {
        nnf_module_set_training(module, nnf_module_training(modules[0]));
        *out = module;
    } else {
        nnf_module_release(module);
    }
    return status;
}
