/* A session runs a module. It owns everything that a run needs and that a module must not hold:
 * values, scratch memory, kernels made for a shape, the thread count. */
#ifndef NNFUSE_SESSION_H
#define NNFUSE_SESSION_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who computes. The reference kernels are plain C and check the others. Activations make the
 * same of an infinite number under either. A NaN is passed on by the reference kernels; oneDNN's
 * promise nothing where numbers are compared: of a NaN, activations made of pieces (ReLU, Clip,
 * Hardswish ...) may make 0 or a bound, and the largest of numbers with a NaN among them (MaxPool,
 * ReduceMax, Max) may be another of them. MaxPool of oneDNN's gives the least finite number where a
 * window holds nothing but -infinity. */
typedef enum nnf_kernels {
    NNF_KERNELS_DEFAULT = 0, /* oneDNN where the library was built with it; the environment variable
                                NNFUSE_KERNELS ("reference", "onednn") decides otherwise */
    NNF_KERNELS_REFERENCE,
    NNF_KERNELS_ONEDNN /* NNF_ERROR_UNSUPPORTED where the library was built without it */
} nnf_kernels;

/* One layer has run: its path, its type, its wall-clock time. What a session adds to the layers is
 * a "(reorder)" between two layouts or a "(copy)", with the path "". */
typedef void (*nnf_profile)(const char *path, const char *type, double seconds, void *payload);

/* More threads than these take more from a system than it may have, and OpenMP ends a process that
 * it cannot give its threads. */
#define NNF_MAX_THREADS 1024

typedef struct nnf_session_options {
    /* 0: OMP_NUM_THREADS, of which NNF_MAX_THREADS count, or the number of cores. More than
     * NNF_MAX_THREADS: NNF_ERROR_INVALID. */
    int threads;
    nnf_kernels kernels;
    /* Every convolution by its definition. Else large 3x3 convolutions may be computed by
     * Winograd's algorithm, in half the time: their rounding errors are a few times larger then. */
    bool no_winograd;
    /* For a session that runs once: each weight is put into the layout that its kernel reads right
     * before that, and not kept. The first run takes less time and memory, those after it more. */
    bool runs_once;
    nnf_profile profile; /* NULL: nobody is told, and no clock is read */
    void *profile_payload;
} nnf_session_options;

/* A session over `module` (retained). options NULL: defaults. A session is one thread's at a time.
 * Two sessions may run one module in two threads, as long as nobody changes it meanwhile: each of
 * these threads brings an OpenMP team of its own, of as many threads as its session has. A run that
 * is called inside of a parallel region of the program's own has the calling thread alone. OpenMP's
 * threads spin while they wait: where others want the cores, OMP_WAIT_POLICY=passive in the
 * environment is many times as fast. */
NNF_API nnf_status nnf_session_new(nnf_session **out, nnf_module *module,
                                   const nnf_session_options *options);
NNF_API void nnf_session_release(nnf_session *session);

/* Runs the module as it is now. inputs[i] may be NULL where the module has no need of it; every
 * outputs[i] gets one reference. Outputs are the caller's to change: writing one changes neither
 * the model nor an input that it passed on, nor what later runs give. Errors of a layer begin with
 * its path. */
NNF_API nnf_status nnf_session_run(nnf_session *session, nnf_tensor *const *inputs, size_t n_inputs,
                                   nnf_tensor **outputs, size_t n_outputs);

/* For a type's forward: runs a child module (its hooks too). `name` is the child's name, for error
 * messages; NULL adds nothing to the path. outputs come as NULL. */
NNF_API nnf_status nnf_session_call(nnf_session *session, const char *name, nnf_module *module,
                                    nnf_tensor *const *inputs, size_t n_inputs,
                                    nnf_tensor **outputs, size_t n_outputs);

/* For a type's forward: a contiguous uninitialized tensor for this run. */
NNF_API nnf_status nnf_session_new_tensor(nnf_session *session, nnf_tensor **out, nnf_dtype dtype,
                                          int ndim, const int64_t *shape);

/* For a type's forward: the tensor of slot number `slot` (see nnf_slot): the module's own, its
 * parametrized value, or inputs[1 + slot]; contiguous, and widened to f32 where it is f16 or bf16
 * and the type has NNF_TYPE_WIDENS_16_BIT. NULL in *out where there is none. The session keeps it
 * until the call ends. */
NNF_API nnf_status nnf_session_slot(nnf_session *session, nnf_tensor **out,
                                    const nnf_module *module, size_t slot,
                                    nnf_tensor *const *inputs, size_t n_inputs);

NNF_API int nnf_session_threads(const nnf_session *session);

#ifdef __cplusplus
}
#endif
#endif
