/* Checks that two models compute the same on the same inputs. That is a check, not a proof. */
#ifndef NNFUSE_VERIFY_H
#define NNFUSE_VERIFY_H

#include "graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An input by name. */
typedef struct nnf_named_tensor {
    const char *name;
    nnf_tensor *tensor;
} nnf_named_tensor;

/* The shape of an input by name. */
typedef struct nnf_named_shape {
    const char *name;
    int ndim;
    int64_t shape[NNF_MAX_DIMS];
} nnf_named_shape;

typedef struct nnf_verify_options {
    /* Inputs to use. Those that are not given are made: N(0,1) for floats, integers in
     * [0, int_max], both from `seed`; shapes from the graph, from `shapes`, an unknown first
     * dimension is 1; another unknown one is an error that names it. */
    const nnf_named_tensor *inputs;
    size_t n_inputs;
    const nnf_named_shape *shapes;
    size_t n_shapes;
    int64_t int_max;  /* 0: 1 */
    uint64_t seed;    /* 0: 1 */
    double tolerance; /* relative to the output's largest value; 0: by dtype, f32 and f64 1e-4,
                         f16 1e-2, bf16 5e-2 */
    int threads;
} nnf_verify_options;

/* One output, or one fused chain where the whole model cannot be run. */
typedef struct nnf_verify_row {
    char *name;
    nnf_dtype dtype;
    double max_abs_difference;
    double max_value;          /* the largest finite |value| of a's output */
    double max_rel_difference; /* max_abs_difference / max_value; absolute where max_value is 0 */
    double tolerance;          /* that it is held against */
    int64_t n_argmax, n_argmax_equal; /* rows along the last axis (rank 2 and up), and how many
                                         agree on where the largest value is */
    bool nonfinite_match;             /* NaN and infinities stand in the same places */
    bool ok;
} nnf_verify_row;

typedef struct nnf_verify_report {
    bool ok;
    bool by_chain; /* nnfuse cannot run all of the model: each fused chain was checked by itself */
    char *why_by_chain; /* the sentence, or NULL */
    char *inputs; /* what it was checked on: "image: float32 [1, 3, 32, 32], N(0,1), seed 1" */
    size_t n_rows;
    nnf_verify_row *rows;
} nnf_verify_report;
NNF_API void nnf_verify_report_clear(nnf_verify_report *report);

/* Runs a and b, as they stand, on the same inputs. A difference is no error: it is in the report.
 */
NNF_API nnf_status nnf_verify(nnf_verify_report *report, nnf_module *a, nnf_module *b,
                              const nnf_verify_options *options);

/* The tensors that nnf_verify would use for a graph's inputs, in their order; one reference each,
 * room for nnf_graph_n_inputs. */
NNF_API nnf_status nnf_make_inputs(nnf_tensor **inputs, const nnf_module *graph,
                                   const nnf_verify_options *options);

#ifdef __cplusplus
}
#endif
#endif
