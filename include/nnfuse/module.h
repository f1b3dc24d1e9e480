/* Modules: a network is a tree of named modules. A module has a type (a row of functions),
 * options, parameters, buffers, children, hooks and a training flag. Semantics are those of
 * torch.nn.Module. */
#ifndef NNFUSE_MODULE_H
#define NNFUSE_MODULE_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nnf_module nnf_module;
typedef struct nnf_module_type nnf_module_type;
typedef struct nnf_session nnf_session; /* see session.h */
typedef struct nnf_hook nnf_hook;

/* ---- What is known of a value before it is computed ---- */

/* One dimension, or one element of a small integer tensor. */
typedef struct nnf_dim {
    int64_t value;  /* where symbol is 0; else meaningless */
    int32_t symbol; /* 0: known. > 0: the graph's symbol of that number (equal symbols are equal
                       sizes). NNF_DIM_UNKNOWN: nothing is known. */
} nnf_dim;
#define NNF_DIM_UNKNOWN (-1)

/* The largest integer tensor whose elements shape inference keeps. */
#define NNF_MAX_KNOWN_VALUES 64

typedef struct nnf_type_info {
    nnf_dtype dtype; /* NNF_DTYPE_UNKNOWN where it is not known */
    int ndim;        /* -1: not even the rank is known */
    nnf_dim shape[NNF_MAX_DIMS];
    int n_values;    /* -1: the elements are not known; else how many `values` holds */
    nnf_dim *values; /* the elements of a small i32, i64 or bool tensor, row-major; from malloc-like
                        library memory: nnf_type_info_set_values, nnf_type_info_clear */
} nnf_type_info;

/* An info that knows nothing. */
NNF_API void nnf_type_info_init(nnf_type_info *info);
NNF_API void nnf_type_info_clear(nnf_type_info *info);
/* `to` is initialized; what it held is freed. */
NNF_API nnf_status nnf_type_info_copy(nnf_type_info *to, const nnf_type_info *from);
/* Copies the elements; n at most NNF_MAX_KNOWN_VALUES. */
NNF_API nnf_status nnf_type_info_set_values(nnf_type_info *info, const nnf_dim *values, int n);
/* All that a tensor shows: dtype, shape, and the elements of a small i32, i64 or bool tensor. */
NNF_API nnf_status nnf_type_info_of_tensor(nnf_type_info *info, const nnf_tensor *tensor);

/* ---- Linear and affine views, which folding is written on (see fuse.h) ---- */

/* A module seen as y = W x + b, for each position, with an output-channel and an input-channel
 * axis and groups. W is the parameter `weight`:
 *   not transposed: [out_channels, in_channels / groups, ...]   (Conv, Linear)
 *   transposed:     [in_channels, out_channels / groups, ...]   (ConvTranspose, x @ W)
 * b is the parameter `bias` [out_channels], or absent. */
typedef struct nnf_linear_map {
    int64_t out_channels, in_channels, groups;
    bool transposed;
    const char *weight, *bias; /* parameter names */
    int channel_axis; /* of the output: 1 for Conv; for Linear the last axis, written as -1 */
    bool mixes_zeros; /* some outputs read zeros where others read inputs (a padded convolution): a
                         constant that is added to the input is then no bias */
} nnf_linear_map;

/* A module seen as y[c] = (x[c] - mean[c]) * weight[c] / sqrt(var[c] + eps) + bias[c] along axis 1.
 * Each tensor is one of floating point of shape [channels], one reference, or NULL: a weight of 1,
 * a bias or mean of 0, and with no var nothing is divided by. Folding keeps the values that they
 * have then. */
typedef struct nnf_affine_map {
    int64_t channels;
    nnf_tensor *weight, *bias, *mean, *var;
    double eps;
} nnf_affine_map;
NNF_API void nnf_affine_map_clear(nnf_affine_map *map);

/* ---- Types ---- */

typedef enum nnf_slot_kind { NNF_SLOT_PARAMETER, NNF_SLOT_BUFFER } nnf_slot_kind;

/* A tensor that modules of a type hold under a fixed name. Slots stand in the order of the ONNX
 * operator's inputs from the second on: where a module leaves slot i unset, its forward gets that
 * tensor as inputs[1 + i] (or NULL where the caller gives none either). */
typedef struct nnf_slot {
    const char *name;
    nnf_slot_kind kind;
} nnf_slot;

/* A layer type is a row of this struct. It must outlive every module of the type. Functions that
 * are NULL are not needed or not possible for the type. */
struct nnf_module_type {
    const char *name;    /* "Conv2d": also what chains and patterns call it */
    size_t options_size; /* bytes of the options struct that each module owns a copy of */
    const nnf_slot *slots;
    size_t n_slots;
    /* Deep-copies what `from` points to (the bytes are copied already); NULL: bytes are enough. */
    nnf_status (*copy_options)(void *to, const void *from);
    void (*destroy_options)(void *options);
    /* Checks that the module can take `inputs` and says what is known of its outputs, which come
     * initialized to unknown; inputs as for forward, NULL for one that is not given. With inputs
     * wholly known, as when running, it must tell outputs' shapes and dtypes if it can: the session
     * allocates by it. This is the only place where shapes and dtypes are checked: its errors name
     * the shapes, the caller adds the module's path. NULL: nothing is known. */
    nnf_status (*infer)(const nnf_module *module, const nnf_type_info *const *inputs,
                        size_t n_inputs, nnf_type_info *outputs, size_t n_outputs);
    /* Computes. outputs[i] is a new contiguous uninitialized tensor where infer knew its shape and
     * dtype; where it is NULL, forward stores one (one reference). Inputs are contiguous and only
     * read. The module is only written by layers that do so in training mode (batch norm's
     * statistics). NULL: modules of the type do not run. */
    nnf_status (*forward)(nnf_session *session, nnf_module *module, nnf_tensor *const *inputs,
                          size_t n_inputs, nnf_tensor **outputs, size_t n_outputs);
    nnf_status (*linear_map)(const nnf_module *module, nnf_linear_map *out);
    nnf_status (*affine_map)(const nnf_module *module, nnf_affine_map *out);
    /* For containers with a fixed make-up (fused types): checks the children that were set. */
    nnf_status (*check)(const nnf_module *module);
    uint32_t flags; /* NNF_TYPE_... */
};
enum {
    /* forward computes in f32 and f64; the session widens f16 and bf16 inputs to f32 for it and
     * rounds its outputs (which infer still tells in the narrow dtype). */
    NNF_TYPE_WIDENS_16_BIT = 1u << 0,
    /* A fused container: child "0" is the base, the others run on its result, in order. */
    NNF_TYPE_FUSED = 1u << 1,
    /* Every output element depends on the input element at its place alone (activations). */
    NNF_TYPE_ELEMENTWISE = 1u << 2,
    /* Does nothing in eval mode but pass its first input on (Identity, Dropout). */
    NNF_TYPE_IDENTITY = 1u << 3,
    /* forward only passes on what nnf_session_call on its children gives (Sequential, Graph): the
     * session neither infers nor allocates for it, every outputs[i] comes as NULL. NNF_TYPE_FUSED
     * says the same. */
    NNF_TYPE_RUNS_CHILDREN = 1u << 4
};

/* ---- Making, copying, looking at modules ---- */

/* A module of a type with a copy of `options` (options_size bytes; NULL: all zero), in training
 * mode, without parameters or children. nn.h has a constructor for each layer. */
NNF_API nnf_status nnf_module_new(nnf_module **out, const nnf_module_type *type,
                                  const void *options);
NNF_API nnf_module *nnf_module_retain(nnf_module *module);
NNF_API void nnf_module_release(nnf_module *module);

/* A deep copy: modules that occur twice and tensors that are tied stay so, hooks come along,
 * weights are shared until written. */
NNF_API nnf_status nnf_module_copy(nnf_module **out, const nnf_module *module);

NNF_API const nnf_module_type *nnf_module_get_type(const nnf_module *module);
NNF_API const char *nnf_module_type_name(const nnf_module *module);
/* The type's name without the parametrizations that the module has on it: what chains are matched
 * by (torch.nn.utils.parametrize.type_before_parametrizations). */
NNF_API const char *nnf_module_type_before_parametrizations(const nnf_module *module);
/* The options struct (const nnf_conv_options * for a Conv2d ...); NULL where the type has none. */
NNF_API const void *nnf_module_options(const nnf_module *module);
/* The same to be changed; the module then no longer counts as what its file said. */
NNF_API void *nnf_module_mut_options(nnf_module *module);

/* ---- The tree ---- */

/* The module at a dotted path ("layer1.0.conv1"; "" is `root` itself), borrowed.
 * NNF_ERROR_NOT_FOUND names the missing part and the module that lacks it. */
NNF_API nnf_status nnf_module_get(nnf_module **out, const nnf_module *root, const char *path);
/* Puts `module` (retained) at a path whose parent exists; replaces what was there. The calls of
 * Graphs on the way follow: NNF_ERROR_INVALID where one would find no module any more. (What is
 * changed from below a Graph, its calls do not see.) */
NNF_API nnf_status nnf_module_set(nnf_module *root, const char *path, nnf_module *module);

NNF_API size_t nnf_module_n_children(const nnf_module *module);
NNF_API const char *nnf_module_child_name(const nnf_module *module, size_t index);
NNF_API nnf_module *nnf_module_child(const nnf_module *module, size_t index); /* borrowed */
/* Adds or replaces (retained). The name has no dot and is not empty. NNF_ERROR_INVALID where the
 * module would come to contain itself. */
NNF_API nnf_status nnf_module_set_child(nnf_module *module, const char *name, nnf_module *child);

/* Parameters and buffers of the module itself, in slot order and then in the order they were added.
 * A slot that is unset is not counted. */
NNF_API size_t nnf_module_n_tensors(const nnf_module *module);
NNF_API const char *nnf_module_tensor_name(const nnf_module *module, size_t index);
NNF_API nnf_slot_kind nnf_module_tensor_kind(const nnf_module *module, size_t index);
/* The tensor of that name, borrowed; NULL where there is none. The value of a parametrized one is
 * computed at each nnf_module_parametrized_tensor, not here: this gives NULL for it. */
NNF_API nnf_tensor *nnf_module_tensor(const nnf_module *module, const char *name);
/* The same, with the value that the parametrization gives; one reference, or NULL in *out. */
NNF_API nnf_status nnf_module_parametrized_tensor(nnf_tensor **out, const nnf_module *module,
                                                  const char *name);
/* Adds or replaces (retained); NULL unsets. */
NNF_API nnf_status nnf_module_set_parameter(nnf_module *module, const char *name,
                                            nnf_tensor *tensor);
NNF_API nnf_status nnf_module_set_buffer(nnf_module *module, const char *name, nnf_tensor *tensor);

/* Walk the tree, each module or tensor once, parents first, with its (first) path; a callback's
 * error stops the walk and is returned. PyTorch's named_modules, named_parameters, named_buffers.
 */
NNF_API nnf_status nnf_module_named_modules(nnf_module *root,
                                            nnf_status (*visit)(const char *path,
                                                                nnf_module *module, void *payload),
                                            void *payload);
NNF_API nnf_status nnf_module_named_tensors(nnf_module *root, nnf_slot_kind kind,
                                            nnf_status (*visit)(const char *path,
                                                                nnf_tensor *tensor, void *payload),
                                            void *payload);

/* ---- Modes and dtypes ---- */

NNF_API bool nnf_module_training(const nnf_module *module);
NNF_API void nnf_module_train(nnf_module *root, bool training);          /* the whole tree */
NNF_API void nnf_module_eval(nnf_module *root);                          /* the same with false */
NNF_API void nnf_module_set_training(nnf_module *module, bool training); /* this module alone */
/* Converts every floating-point parameter and buffer; tied ones stay tied. All or nothing. What a
 * Graph says of its inputs and values follows, as in PyTorch's `to`: a layer that says a dtype of
 * its own (Cast) still gives that. */
NNF_API nnf_status nnf_module_to(nnf_module *root, nnf_dtype dtype);

/* ---- Hooks ---- */

/* Before a forward: may replace inputs[i] (release the old reference, store a new one). */
typedef nnf_status (*nnf_forward_pre_hook)(nnf_module *module, nnf_tensor **inputs, size_t n_inputs,
                                           void *payload);
/* After a forward: may replace outputs[i] in the same way. */
typedef nnf_status (*nnf_forward_hook)(nnf_module *module, nnf_tensor *const *inputs,
                                       size_t n_inputs, nnf_tensor **outputs, size_t n_outputs,
                                       void *payload);

/* Registers a hook behind those that are there, not while the module runs. `handle` (may be NULL)
 * gets one reference; it stays good when fusing moves the hook to another module. Hooks are copied
 * with their module; a handle removes the one that it was given for. A hook may remove itself and
 * others while it runs: those of that pass still run. */
NNF_API nnf_status nnf_module_register_forward_pre_hook(nnf_hook **handle, nnf_module *module,
                                                        nnf_forward_pre_hook hook, void *payload);
NNF_API nnf_status nnf_module_register_forward_hook(nnf_hook **handle, nnf_module *module,
                                                    nnf_forward_hook hook, void *payload);
/* Takes the hook off whatever module holds it now; does nothing the second time. */
NNF_API void nnf_hook_remove(nnf_hook *handle);
NNF_API void nnf_hook_release(nnf_hook *handle); /* drops the reference, the hook stays */
NNF_API size_t nnf_module_n_forward_pre_hooks(const nnf_module *module);
NNF_API size_t nnf_module_n_forward_hooks(const nnf_module *module);

/* ---- Parametrizations: a parameter computed from others at each use ---- */

typedef struct nnf_parametrization {
    const char *name; /* "weight_norm", "spectral_norm", or a user's own */
    size_t options_size;
    /* The value, from the tensors that it keeps as parameters and buffers of the module
     * under "parametrizations.<parameter>.original0", "...original1", ... (those given when it was
     * registered). */
    nnf_status (*compute)(nnf_tensor **value, nnf_tensor *const *originals, size_t n_originals,
                          const void *options, bool training);
    /* Splits the plain value up into the originals that compute starts from; at most 8. */
    nnf_status (*decompose)(nnf_tensor **originals, size_t *n_originals, const nnf_tensor *value,
                            const void *options);
    uint32_t buffers; /* bit i: original i is no parameter but a buffer (spectral_norm's vectors) */
} nnf_parametrization;

/* Replaces the plain parameter `name` by what the parametrization keeps. */
NNF_API nnf_status nnf_module_register_parametrization(nnf_module *module, const char *name,
                                                       const nnf_parametrization *parametrization,
                                                       const void *options);
/* Makes the parameter plain again, with the value that it has now. */
NNF_API nnf_status nnf_module_remove_parametrizations(nnf_module *module, const char *name);
/* Whether parameter `name` is parametrized; NULL: whether any is. */
NNF_API bool nnf_module_is_parametrized(const nnf_module *module, const char *name);

/* w = g v / ||v||, the norm over every axis but `dim` (torch.nn.utils.weight_norm; -1: over all).
 */
NNF_API nnf_status nnf_weight_norm(nnf_module *module, const char *name, int dim);
/* w / sigma(w), sigma by power iteration on w as a matrix with `dim` first
 * (torch.nn.utils.parametrizations.spectral_norm; eval mode: with the stored vectors). */
NNF_API nnf_status nnf_spectral_norm(nnf_module *module, const char *name, int n_power_iterations,
                                     double eps, int dim);

/* ---- Running, the simple way ---- */

/* Runs the module on `inputs` with a session of its own; outputs[i] get one reference each.
 * For more than one run, make a session (session.h). */
NNF_API nnf_status nnf_module_forward(nnf_module *module, nnf_tensor *const *inputs,
                                      size_t n_inputs, nnf_tensor **outputs, size_t n_outputs);

#ifdef __cplusplus
}
#endif
#endif
