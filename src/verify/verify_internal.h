/* What the parts of verifying share. */
#ifndef NNFI_VERIFY_INTERNAL_H
#define NNFI_VERIFY_INTERNAL_H

#include "module/graph_internal.h"
#include "nnfuse/verify.h"

/* A random number generator's state for an input or a module of that name. */
uint64_t nnfi_random_start(uint64_t seed, const char *name);
/* A new tensor of N(0,1), or of integers in [0, int_max]. */
nnf_status nnfi_random_tensor(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                              uint64_t random, int64_t int_max);

/* The options with defaults in the place of zeros; NULL: all defaults. NNF_ERROR_INVALID where a
 * list lacks something. */
nnf_status nnfi_verify_options(nnf_verify_options *out, const nnf_verify_options *options);

/* What nnf_make_inputs made, as text: "image: float32 [1, 3, 32, 32], N(0,1), seed 1"; NULL where
 * memory is short. */
char *nnfi_inputs_text(const nnf_module *graph, nnf_tensor *const *inputs,
                       const nnf_verify_options *options);

/* Fills a row from the values of a and b. */
nnf_status nnfi_compare(nnf_verify_row *row, const char *name, const nnf_tensor *a,
                        const nnf_tensor *b, double tolerance);
/* Fills a row for what cannot be the same; `problem` is copied. */
nnf_status nnfi_row_problem(nnf_verify_row *row, const char *name, const char *problem);
/* The index of the largest of n numbers from the first-th on; the first of equals, NaN is none. */
int64_t nnfi_argmax(nnf_dtype dtype, const void *data, int64_t first, int64_t n);

/* Makes room for one more row; NULL (with the error set) where memory is short. */
nnf_verify_row *nnfi_report_add(nnf_verify_report *report);

/* The call of a that is b's call as far as names go: the same type on the same values; NULL: there
 * is none. `producers` are a's. */
const nnfi_call *nnfi_find_unchanged(const nnfi_graph *a, const int32_t *producers,
                                     const nnfi_graph *b, const nnfi_call *call);
/* Holds the attributes and constants of the two against each other; rows for those that differ. */
nnf_status nnfi_compare_unchanged(nnf_verify_report *report, const nnfi_graph *a,
                                  const nnfi_call *of_a, const nnfi_graph *b, const nnfi_call *of_b,
                                  double tolerance);

/* Checks every chain of a that one call of b stands for by itself, and that what stands in both is
 * equal. */
nnf_status nnfi_verify_chains(nnf_verify_report *report, const nnf_module *a, const nnf_module *b,
                              const nnf_verify_options *options);

#endif
