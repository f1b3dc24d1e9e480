/* A graph made ready to run on inputs of known shapes: every value has its place in one arena,
 * every call is a step of the kernel set or a forward on plain tensors, and what follows from the
 * shapes alone was computed beforehand. Running is going through the steps; it allocates nothing.
 */
#ifndef NNFI_SCHEDULE_H
#define NNFI_SCHEDULE_H

#include "module/graph_internal.h"
#include "run/kernel_set.h"

typedef struct nnfi_schedule nnfi_schedule;

/* *out is NULL where the graph cannot be scheduled: a shape that depends on values, a module with
 * hooks, 16-bit floats. Errors are those of shape inference, with the module's path. */
nnf_status nnfi_schedule_new(nnfi_schedule **out, nnf_session *session, const nnfi_kernel_set *set,
                             const nnfi_kernel_options *options, nnf_module *graph,
                             nnf_tensor *const *inputs, size_t n_inputs);
void nnfi_schedule_release(nnfi_schedule *schedule);
/* Whether it was made for inputs of these shapes, and its modules and weights are as they were. */
bool nnfi_schedule_fits(const nnfi_schedule *schedule, nnf_tensor *const *inputs, size_t n_inputs);
nnf_status nnfi_schedule_run(nnfi_schedule *schedule, nnf_tensor *const *inputs, size_t n_inputs,
                             nnf_tensor **outputs, size_t n_outputs);

#endif
