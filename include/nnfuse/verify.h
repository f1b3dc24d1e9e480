/* Checks that two models compute the same on the same inputs. That is a check, not a proof. */
#ifndef NNFUSE_VERIFY_H
#define NNFUSE_VERIFY_H

#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An input by name. Names that the graph does not have are an error that lists those it has. */
typedef struct nnf_named_tensor {
    const char *name;
    nnf_tensor *tensor;
} nnf_named_tensor;

/* The shape of an input by name. */
typedef struct nnf_named_shape {
    const char *name;
    int ndim; /* 0 to NNF_MAX_DIMS */
    int64_t shape[NNF_MAX_DIMS];
} nnf_named_shape;

typedef struct nnf_verify_options {
    /* Inputs to use. Those that are not given are the file's default values or are made: N(0,1) for
     * floats (splitmix64 started from `seed` and the input's name, Box-Muller), integers in
     * [0, int_max]. Their shapes come from the graph and from `shapes` (for an input that is given
     * or has a default value, another shape than that one's is an error); a symbol that an input's
     * value or shape fixes has that size everywhere; else an unknown first dimension is 1, and
     * another one is an error that names the input and the dimension. */
    const nnf_named_tensor *inputs;
    size_t n_inputs;
    const nnf_named_shape *shapes;
    size_t n_shapes;
    int64_t int_max;  /* 0: 1 */
    uint64_t seed;    /* of the random inputs */
    double tolerance; /* relative to the output's largest value; 0: by dtype, f32 and f64 1e-4,
                         f16 1e-2, bf16 5e-2, all others must be equal */
    /* The right answers: an integer tensor [N] of numbers below `classes`, for a first output [N,
     * classes]; may be NULL. With them, a model that cannot be run whole is an error. */
    const nnf_tensor *labels;
    int threads; /* as a session's; two sessions share them */
} nnf_verify_options;

/* One output; where the whole model cannot be run, one fused chain, or a constant or node that
 * differs though it has the same name in both. */
typedef struct nnf_verify_row {
    char *name;
    nnf_dtype dtype;
    double max_abs_difference;
    double max_value;          /* the largest finite |value| of a's output */
    double max_rel_difference; /* max_abs_difference / max_value; absolute where max_value is 0 */
    double tolerance;          /* that it is held against */
    int64_t n_elements;        /* that were compared: 0 where both are empty */
    int64_t n_argmax, n_argmax_equal; /* rows along the last axis (floats of rank 2 and 3), and how
                                         many agree on where the largest value is */
    bool nonfinite_match;             /* NaN and infinities stand in the same places */
    bool ok;
    char *problem; /* why it is not ok, as a full sentence; NULL where it is */
} nnf_verify_row;

typedef struct nnf_verify_report {
    bool ok;       /* everything that was compared is; false where nothing could be */
    bool by_chain; /* nnfuse cannot run all of the model: each fused chain was checked by itself */
    char *why_by_chain; /* the sentence, or NULL */
    char *inputs; /* what it was checked on: "image: float32 [1, 3, 32, 32], N(0,1), seed 0" */
    size_t n_rows;
    nnf_verify_row *rows;
    size_t n_same;      /* by chain: nodes beside the chains that are the same in both models */
    size_t n_unchecked; /* by chain: chains that no input is known for which both take */
    int64_t n_labels, n_right_a, n_right_b; /* labels given, and how often each model says them;
                                               n_labels 0: not asked */
} nnf_verify_report;
NNF_API void nnf_verify_report_clear(nnf_verify_report *report);

/* Runs a and b, as they stand, on the same inputs and compares their outputs, both by name. With
 * two threads or more they run at the same time, b's hooks on another thread than the caller's. A
 * difference is no error: it is in the report. Where nnfuse cannot run all of a or b, each chain of
 * a that one module of b stands for is run by itself, on random input, and the attributes and
 * constants of nodes that both have on the same values are compared; what nnfuse cannot run must
 * have the same attributes byte for byte. NNF_ERROR_INVALID where a or b is no Graph, where their
 * inputs or outputs have different names (but for inputs with a default, which one of them need not
 * have), where an input's shape is not known, a label is no class, or an option makes no sense. */
NNF_API nnf_status nnf_verify(nnf_verify_report *report, nnf_module *a, nnf_module *b,
                              const nnf_verify_options *options);

/* The tensors that nnf_verify would use for a graph's inputs, in their order; one reference each,
 * room for nnf_graph_n_inputs. */
NNF_API nnf_status nnf_make_inputs(nnf_tensor **inputs, const nnf_module *graph,
                                   const nnf_verify_options *options);

/* How many rows of `scores` [N, classes] have their largest value where `labels` [N] say. A row of
 * NaN alone is not right. NNF_ERROR_SHAPE where they do not go together, NNF_ERROR_INVALID where a
 * label is no class. */
NNF_API nnf_status nnf_count_right(int64_t *n_right, const nnf_tensor *scores,
                                   const nnf_tensor *labels);

#ifdef __cplusplus
}
#endif
#endif
