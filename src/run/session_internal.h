/* What a session holds while it runs: for the files of this folder. */
#ifndef NNFI_SESSION_INTERNAL_H
#define NNFI_SESSION_INTERNAL_H

#include "module/module_internal.h"
#include "run/kernel_set.h"
#include "run/kernels.h"
#include "run/schedule.h"

struct nnf_session {
    nnf_module *module;
    const nnfi_kernels *kernels;
    const nnfi_kernel_set *set; /* NULL: the reference kernels run everything */
    nnfi_schedule *schedule;    /* for the last run's input shapes; NULL: none */
    int scheduled_for;          /* so many threads */
    nnfi_kernel_options kernel_options;
    int threads;
    nnf_profile profile; /* may be NULL */
    void *profile_payload;
    /* The names of the calls that run now, outermost first: the path in error messages. */
    const char **names;
    size_t n_names, names_capacity;
    /* Tensors that were made for a call beside its outputs (widened inputs, computed weights): each
     * call releases its own when it ends. */
    nnf_tensor **kept;
    size_t n_kept, kept_capacity;
    bool error_is_named; /* the error that is on its way out has its path already */
};

/* For a schedule: the forward of the module at `path` in the session's graph, on plain tensors that
 * are all there; its error is named. */
nnf_status nnfi_session_forward(nnf_session *session, const char *path, nnf_module *module,
                                nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                size_t n_outputs);

/* What session->profile is told: nnfi_profile_start gives the time, where somebody wants to know.
 */
double nnfi_profile_start(const nnf_session *session);
void nnfi_profile_end(const nnf_session *session, const char *path, const char *type, double start);

#endif
