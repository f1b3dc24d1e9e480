/* Fusing: torch.ao.quantization.fuse_modules and what stands beside it, for module trees and for
 * graphs. */
#ifndef NNFUSE_FUSE_H
#define NNFUSE_FUSE_H

#include "graph.h"
#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Module names (paths) in the order in which data passes them. */
typedef struct nnf_chain {
    const char *const *names;
    size_t length;
} nnf_chain;

/* Makes one module of n: a row of a mapping. `fused` gets one reference. The modules are not to be
 * changed: what comes out shares their weights. */
typedef nnf_status (*nnf_fuser_method)(nnf_module **fused, nnf_module *const *modules, size_t n,
                                       bool is_qat, void *payload);

/* Rows from a sequence of type names to a fuser method, tried before the default ones. */
typedef struct nnf_mapping nnf_mapping;
NNF_API nnf_status nnf_mapping_new(nnf_mapping **out);
NNF_API void nnf_mapping_release(nnf_mapping *mapping);
/* Lets rows name a type of the program's own, which must outlive the mapping. NNF_ERROR_INVALID
 * where it has the name of another type. */
NNF_API nnf_status nnf_mapping_add_type(nnf_mapping *mapping, const nnf_module_type *type);
/* Adds a row. Names are copied. An Add in it that is not the first takes a second input from
 * elsewhere, which the fused module gets as its last one. NNF_ERROR_NOT_FOUND where a type is
 * neither the library's nor one that the mapping was told of; NNF_ERROR_INVALID where the mapping
 * has a row for the same types. */
NNF_API nnf_status nnf_mapping_add(nnf_mapping *mapping, const char *const *types, size_t n,
                                   nnf_fuser_method method, void *payload);

/* The kinds of fusion that are found by themselves; docs/fusions.md has the algebra of each. */
typedef struct nnf_fusion {
    const char *name;        /* "scale" */
    const char *what, *when; /* what becomes what; when that is exact */
    bool is_pytorch;         /* torch.ao.quantization.fuse_modules has it too */
} nnf_fusion;
NNF_API const nnf_fusion *nnf_fusions(size_t *n);
/* Leaves a kind of fusion out wherever the mapping is given. NNF_ERROR_NOT_FOUND names all. */
NNF_API nnf_status nnf_mapping_skip(nnf_mapping *mapping, const char *fusion);

/* What fusing did beside fusing. */
typedef struct nnf_fuse_report {
    size_t n_fused;         /* chains */
    size_t n_hooks_dropped; /* hooks that stood on modules between the first and the last */
    char *dropped;          /* their modules' paths, ", " between; NULL where there are none */
} nnf_fuse_report;
NNF_API void nnf_fuse_report_clear(nnf_fuse_report *report);

/* Maps the n modules of one chain to n modules, which go back to their paths; one reference each in
 * fused[0 .. *n_fused). The default is nnf_fuse_known_modules. */
typedef nnf_status (*nnf_fuser_func)(nnf_module **fused, size_t *n_fused,
                                     nnf_module *const *modules, size_t n, bool is_qat,
                                     const nnf_mapping *additional, void *payload);

typedef struct nnf_fuse_options {
    bool inplace;              /* change `model` itself; else a deep copy that shares its weights */
    nnf_fuser_func fuser_func; /* NULL: nnf_fuse_known_modules */
    void *payload;             /* for fuser_func */
    const nnf_mapping *additional; /* PyTorch's additional_fuser_method_mapping; may be NULL */
    nnf_fuse_report *report;       /* may be NULL */
} nnf_fuse_options;

/* Fuses each chain: the fused module comes where the first was, Identity where the others were. In
 * a Graph the calls are replaced, and a chain is refused where the value between two of its modules
 * has another reader. *out gets one reference: to `model` itself where in place. options NULL: a
 * copy, and the default table. All or nothing: after an error, nothing has changed. */
NNF_API nnf_status nnf_fuse_modules(nnf_module **out, nnf_module *model, const nnf_chain *chains,
                                    size_t n_chains, const nnf_fuse_options *options);
/* The same for quantization-aware training: batch norms stay, as ConvBn2d, ConvBnReLU2d ... */
NNF_API nnf_status nnf_fuse_modules_qat(nnf_module **out, nnf_module *model,
                                        const nnf_chain *chains, size_t n_chains,
                                        const nnf_fuse_options *options);
/* PyTorch's fuse_known_modules: fused[0] is the fused module with the first module's pre-forward
 * and the last one's forward hooks (they move when nnf_fuse_modules puts the modules into place;
 * here they are moved at once), fused[1 ..] new Identities. fused has room for n. */
NNF_API nnf_status nnf_fuse_known_modules(nnf_module **fused, nnf_module *const *modules, size_t n,
                                          bool is_qat, const nnf_mapping *additional);
/* The method for exactly this sequence of types. NNF_ERROR_NOT_FOUND prints them. */
NNF_API nnf_status nnf_get_fuser_method(nnf_fuser_method *method, void **payload,
                                        const char *const *types, size_t n,
                                        const nnf_mapping *additional);

/* The fuser methods, PyTorch's names. */
NNF_API nnf_status nnf_fuse_conv_bn(nnf_module **fused, bool is_qat, nnf_module *conv,
                                    nnf_module *bn);
NNF_API nnf_status nnf_fuse_conv_bn_relu(nnf_module **fused, bool is_qat, nnf_module *conv,
                                         nnf_module *bn, nnf_module *relu);
NNF_API nnf_status nnf_fuse_linear_bn(nnf_module **fused, bool is_qat, nnf_module *linear,
                                      nnf_module *bn);
NNF_API nnf_status nnf_fuse_convtranspose_bn(nnf_module **fused, bool is_qat, nnf_module *convt,
                                             nnf_module *bn);

/* ---- Finding ---- */

typedef struct nnf_found_chain {
    nnf_chain chain;
    const char *const *types; /* of its modules, chain.length of them */
    const char *fused_type;   /* of the module that would stand for them: "Conv2d", "ConvReLU2d" */
    double saved; /* the share of their multiplications that it does without (parallel, series) */
} nnf_found_chain;

/* A batch norm or an activation that no chain takes, or a batch norm that is the first of one
 * (BNReLU) because it could not go into the layer before it; and why, as a full sentence. */
typedef struct nnf_left_alone {
    const char *name, *type, *reason;
} nnf_left_alone;

typedef struct nnf_chain_list {
    nnf_found_chain *chains;
    size_t n_chains;
    nnf_left_alone *left;
    size_t n_left;
} nnf_chain_list;

/* Branches and layers in a row that become one layer; then the longest chains of the tables
 * (additional ones first) over values with a single reader, in execution order; no module of the
 * graph is in two of them, but what branches have become may be in a chain. NNF_ERROR_INVALID where
 * `graph` is no Graph. */
NNF_API nnf_status nnf_find_chains(nnf_chain_list **out, const nnf_module *graph,
                                   const nnf_mapping *additional);
NNF_API void nnf_chain_list_release(nnf_chain_list *list);

/* Lifts small graphs that compute one layer, as exporters write it (x * sigmoid(x) is SiLU), into
 * one call of that layer, in place, so that chains can take it. What it was made of is kept: a
 * writer gives the original nodes. *n_lifted (may be NULL) gets how many. All or nothing. */
NNF_API nnf_status nnf_lift_patterns(nnf_module *graph, size_t *n_lifted);

/* Takes Transposes out that cancel each other, then nnf_lift_patterns, nnf_find_chains and
 * nnf_fuse_modules of what it finds, in place. After an error the graph computes what it did. */
NNF_API nnf_status nnf_fuse(nnf_module *graph, const nnf_mapping *additional,
                            nnf_fuse_report *report);
/* The same, with the chains that were fused, and what is left alone, in *found. */
NNF_API nnf_status nnf_fuse_found(nnf_chain_list **found, nnf_module *graph,
                                  const nnf_mapping *additional, nnf_fuse_report *report);

#ifdef __cplusplus
}
#endif
#endif
