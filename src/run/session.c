/* Running modules: hooks, inference, allocation, 16-bit floats, and paths for errors. */
#include "run/session_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "nnfuse/graph.h"
#include "nnfuse/nn.h"
#include "support/memory.h"
#include "support/text.h"
#include "support/threads.h"

static nnf_status choose_kernels(const nnfi_kernel_set **out, nnf_kernels kernels) {
    static const struct {
        const char *name;
        nnf_kernels kernels;
    } wishes[] = {{"reference", NNF_KERNELS_REFERENCE}, {"onednn", NNF_KERNELS_ONEDNN}};
    const char *wish = getenv("NNFUSE_KERNELS");
    *out = NULL;
    if (kernels == NNF_KERNELS_DEFAULT && wish && *wish) {
        for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
            if (!strcmp(wish, wishes[i].name)) kernels = wishes[i].kernels;
        if (kernels == NNF_KERNELS_DEFAULT)
            return nnf_error(
                NNF_ERROR_INVALID,
                "there are no kernels '%s', as NNFUSE_KERNELS in the environment wants "
                "them; there are 'reference' and 'onednn'",
                wish);
    }
    if (kernels == NNF_KERNELS_REFERENCE) return NNF_OK;
    if (kernels != NNF_KERNELS_DEFAULT && kernels != NNF_KERNELS_ONEDNN)
        return nnf_error(NNF_ERROR_INVALID, "there are no kernels of number %d", (int)kernels);
    *out = nnfi_onednn();
    if (*out || kernels == NNF_KERNELS_DEFAULT) return NNF_OK;
    return nnf_error(NNF_ERROR_UNSUPPORTED, "this library was built without oneDNN");
}

nnf_status nnfi_check_threads(int threads) {
    if (threads >= 0 && threads <= NNF_MAX_THREADS) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID,
                     "a session has 0 to %d threads (0: as many as there are "
                     "cores), not %d",
                     NNF_MAX_THREADS, threads);
}

nnf_status nnf_session_new(nnf_session **out, nnf_module *module,
                           const nnf_session_options *options) {
    int threads = options ? options->threads : 0;
    if (!out || !module) return nnf_error(NNF_ERROR_INVALID, "a session needs a module");
    NNFI_TRY(nnfi_check_threads(threads));
    const nnfi_kernel_set *set;
    NNFI_TRY(choose_kernels(&set, options ? options->kernels : NNF_KERNELS_DEFAULT));
    nnf_session *session = nnfi_calloc(1, sizeof *session);
    if (!session) return nnfi_error_memory(sizeof *session, "a session");
    session->module = nnf_module_retain(module);
    session->kernels = &nnfi_reference_kernels;
    session->set = set;
    session->threads = threads > 0 ? threads : nnfi_default_threads();
    session->kernel_options = (nnfi_kernel_options){.winograd = !(options && options->no_winograd),
                                                    .packs_late = options && options->runs_once};
    session->profile = options ? options->profile : NULL;
    session->profile_payload = options ? options->profile_payload : NULL;
    *out = session;
    return NNF_OK;
}

void nnf_session_release(nnf_session *session) {
    if (!session) return;
    nnfi_schedule_release(session->schedule);
    nnf_module_release(session->module);
    nnfi_free(session->names);
    nnfi_free(session->kept);
    nnfi_free(session);
}

int nnf_session_threads(const nnf_session *session) {
    return session ? session->threads : 0;
}

const nnfi_kernels *nnfi_session_kernels(const nnf_session *session) {
    return session->kernels;
}

/* ---- Profiles ---- */

double nnfi_profile_start(const nnf_session *session) {
    struct timespec now = {0};
    if (session->profile) clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void nnfi_profile_end(const nnf_session *session, const char *path, const char *type,
                      double start) {
    if (!session->profile) return;
    double seconds = nnfi_profile_start(session) - start;
    session->profile(path, type, seconds, session->profile_payload);
}

/* ---- Paths in errors ---- */

static nnf_status push_name(nnf_session *session, const char *name) {
    if (session->n_names >= NNFI_MAX_NESTING)
        return nnf_error(NNF_ERROR_UNSUPPORTED, "modules are nested deeper than %d",
                         NNFI_MAX_NESTING);
    if (!nnfi_reserve(&session->names, &session->names_capacity, session->n_names + 1,
                      sizeof *session->names))
        return nnfi_error_memory(sizeof *session->names, "a path");
    session->names[session->n_names++] = name;
    return NNF_OK;
}

/* The path of the call that runs now: to be cleared; empty for the root, or without memory. */
static nnfi_text current_path(const nnf_session *session) {
    nnfi_text path = {0};
    for (size_t i = 0; i < session->n_names; i++)
        if (session->names[i] && *session->names[i])
            nnfi_text_add(&path, "%s%s", path.length > 0 ? "." : "", session->names[i]);
    return path;
}

/* Puts path and type in front of an error, unless a call inside of this one has done so. */
static nnf_status name_error(nnf_session *session, const nnf_module *module, nnf_status status) {
    if (session->error_is_named) return status;
    session->error_is_named = true;
    const char *type = nnf_module_type_name(module);
    nnfi_text path = current_path(session);
    if (path.length > 0)
        nnfi_error_prefix(status, "'%s' (%s): ", path.data, type);
    else if (!nnf_module_is_graph(module))
        nnfi_error_prefix(status, "%s: ", type);
    nnfi_text_clear(&path);
    return status;
}

/* A node that no layer stands for is called by its operator. */
static nnf_status cannot_run(nnf_session *session, const nnf_module *module) {
    const char *type = nnf_module_type_name(module), *why = "";
    const nnf_opaque_options *node = nnf_module_options(module);
    nnfi_text path = current_path(session), what = {0};
    if (nnfi_is_a(module, "Opaque") && node->op_type) {
        nnfi_text_add(&what, "operator %s%s%s", node->domain, *node->domain ? "." : "",
                      node->op_type);
        why = ": nnfuse does not compute that, or not with these attributes and inputs "
              "(docs/operators.md)";
    } else {
        nnfi_text_add(&what, "%s", type);
    }
    const char *name = what.data ? what.data : type;
    if (path.length > 0)
        nnf_error(NNF_ERROR_UNSUPPORTED, "'%s' (%s) cannot be run by nnfuse%s", path.data, name,
                  why);
    else
        nnf_error(NNF_ERROR_UNSUPPORTED, "a %s cannot be run by nnfuse%s", name, why);
    nnfi_text_clear(&path);
    nnfi_text_clear(&what);
    session->error_is_named = true;
    return NNF_ERROR_UNSUPPORTED;
}

/* ---- Tensors that live as long as a call ---- */

/* Takes over the reference, also where it fails. */
static nnf_status keep(nnf_session *session, nnf_tensor *tensor) {
    if (!nnfi_reserve(&session->kept, &session->kept_capacity, session->n_kept + 1,
                      sizeof *session->kept)) {
        nnf_tensor_release(tensor);
        return nnfi_error_memory(sizeof *session->kept, "a call's tensors");
    }
    session->kept[session->n_kept++] = tensor;
    return NNF_OK;
}

static void release_kept(nnf_session *session, size_t n) {
    while (session->n_kept > n)
        nnf_tensor_release(session->kept[--session->n_kept]);
}

static bool is_narrow(nnf_dtype dtype) {
    return dtype == NNF_F16 || dtype == NNF_BF16;
}

/* Makes *tensor one that a type's forward can take: contiguous, and wide where the type asks for
 * it. What is made for that is kept. */
static nnf_status prepare_tensor(nnf_session *session, const nnf_module *module,
                                 nnf_tensor **tensor) {
    bool widens = nnf_module_get_type(module)->flags & NNF_TYPE_WIDENS_16_BIT;
    nnf_tensor *made;
    if (widens && is_narrow(nnf_tensor_dtype(*tensor)))
        NNFI_TRY(nnf_tensor_convert(&made, *tensor, NNF_F32));
    else if (!nnf_tensor_is_contiguous(*tensor))
        NNFI_TRY(nnf_tensor_contiguous(&made, *tensor));
    else
        return NNF_OK;
    *tensor = made;
    return keep(session, made);
}

nnf_status nnf_session_new_tensor(nnf_session *session, nnf_tensor **out, nnf_dtype dtype, int ndim,
                                  const int64_t *shape) {
    if (!session) return nnf_error(NNF_ERROR_INVALID, "a tensor for a run needs its session");
    return nnfi_tensor_new_undefined(out, dtype, ndim, shape);
}

nnf_status nnf_session_slot(nnf_session *session, nnf_tensor **out, const nnf_module *module,
                            size_t slot, nnf_tensor *const *inputs, size_t n_inputs) {
    if (!session || !module || (n_inputs > 0 && !inputs))
        return nnf_error(NNF_ERROR_INVALID, "a slot needs a session, a module and its inputs");
    const nnf_module_type *type = nnf_module_get_type(module);
    nnf_tensor *tensor = NULL;
    if (slot < type->n_slots)
        NNFI_TRY(nnf_module_parametrized_tensor(&tensor, module, type->slots[slot].name));
    if (tensor)
        NNFI_TRY(keep(session, tensor));
    else if (slot + 1 < n_inputs)
        tensor = inputs[slot + 1];
    if (tensor) NNFI_TRY(prepare_tensor(session, module, &tensor));
    *out = tensor;
    return NNF_OK;
}

/* ---- One call ---- */

typedef struct call_frame {
    nnf_session *session;
    nnf_module *module;
    const nnf_module_type *type;
    size_t n_inputs, n_outputs;
    nnf_tensor **given;  /* the inputs as hooks see them, retained */
    nnf_tensor **inputs; /* as forward sees them, borrowed */
    nnf_tensor **outputs;
    nnf_type_info *infos;        /* the inputs', then the outputs' */
    const nnf_type_info **known; /* pointers to the inputs' */
} call_frame;

/* All of a frame's arrays are one block. */
static nnf_status frame_init(call_frame *frame, nnf_tensor *const *inputs) {
    size_t n = frame->n_inputs + frame->n_outputs;
    size_t bytes = n * sizeof *frame->infos + 3 * frame->n_inputs * sizeof(void *);
    frame->infos = nnfi_alloc(bytes);
    if (!frame->infos) return nnfi_error_memory(bytes, "a call");
    frame->known = (const nnf_type_info **)(frame->infos + n);
    frame->given = (nnf_tensor **)(frame->known + frame->n_inputs);
    frame->inputs = frame->given + frame->n_inputs;
    for (size_t i = 0; i < n; i++)
        nnf_type_info_init(&frame->infos[i]);
    for (size_t i = 0; i < frame->n_inputs; i++)
        frame->given[i] = inputs[i] ? nnf_tensor_retain(inputs[i]) : NULL;
    return NNF_OK;
}

static void frame_clear(call_frame *frame) {
    for (size_t i = 0; i < frame->n_inputs + frame->n_outputs; i++)
        nnf_type_info_clear(&frame->infos[i]);
    for (size_t i = 0; i < frame->n_inputs; i++)
        nnf_tensor_release(frame->given[i]);
    nnfi_free(frame->infos);
}

static bool runs_children(const nnf_module_type *type) {
    return type->flags & (NNF_TYPE_RUNS_CHILDREN | NNF_TYPE_FUSED);
}

static nnf_status infer_outputs(call_frame *frame) {
    if (!frame->type->infer || runs_children(frame->type)) return NNF_OK;
    for (size_t i = 0; i < frame->n_inputs; i++) {
        frame->known[i] = frame->given[i] ? &frame->infos[i] : NULL;
        if (frame->given[i]) NNFI_TRY(nnf_type_info_of_tensor(&frame->infos[i], frame->given[i]));
    }
    return nnfi_module_infer(frame->module, frame->known, frame->n_inputs,
                             frame->infos + frame->n_inputs, frame->n_outputs);
}

/* Allocates an output where inference told all of it. */
static nnf_status allocate_output(call_frame *frame, size_t index) {
    const nnf_type_info *info = &frame->infos[frame->n_inputs + index];
    if (info->dtype == NNF_DTYPE_UNKNOWN || info->ndim < 0) return NNF_OK;
    int64_t shape[NNF_MAX_DIMS];
    for (int i = 0; i < info->ndim; i++) {
        if (info->shape[i].symbol != 0) return NNF_OK;
        shape[i] = info->shape[i].value;
    }
    bool widens = frame->type->flags & NNF_TYPE_WIDENS_16_BIT;
    nnf_dtype dtype = widens && is_narrow(info->dtype) ? NNF_F32 : info->dtype;
    return nnf_session_new_tensor(frame->session, &frame->outputs[index], dtype, info->ndim, shape);
}

/* A program's own type may make any output itself; the library's rely on infer. */
static bool makes_outputs(const nnf_module_type *type) {
    return type->flags & NNFI_TYPE_MAKES_OUTPUTS || runs_children(type) ||
           nnf_type(type->name) != type;
}

static nnf_status allocate_outputs(call_frame *frame) {
    for (size_t i = 0; i < frame->n_outputs; i++) {
        NNFI_TRY(allocate_output(frame, i));
        if (!frame->outputs[i] && !makes_outputs(frame->type))
            return nnf_error(NNF_ERROR_SHAPE,
                             "its inputs and options do not tell what its output number %zu is", i);
    }
    return NNF_OK;
}

/* The dtype that an output is to have: what infer told, else that of a 16-bit input. */
static nnf_dtype output_dtype(const call_frame *frame, size_t index) {
    nnf_dtype dtype = frame->infos[frame->n_inputs + index].dtype;
    for (size_t i = 0; i < frame->n_inputs && dtype == NNF_DTYPE_UNKNOWN; i++)
        if (frame->given[i] && is_narrow(nnf_tensor_dtype(frame->given[i])))
            dtype = nnf_tensor_dtype(frame->given[i]);
    return dtype;
}

static nnf_status narrow_output(const call_frame *frame, size_t index) {
    nnf_tensor *wide = frame->outputs[index], *narrow;
    nnf_dtype dtype = output_dtype(frame, index);
    if (!is_narrow(dtype) || nnf_tensor_dtype(wide) != NNF_F32) return NNF_OK;
    NNFI_TRY(nnf_tensor_convert(&narrow, wide, dtype));
    frame->outputs[index] = narrow;
    nnf_tensor_release(wide);
    return NNF_OK;
}

static nnf_status run_forward(call_frame *frame) {
    NNFI_TRY(infer_outputs(frame));
    NNFI_TRY(allocate_outputs(frame));
    for (size_t i = 0; i < frame->n_inputs; i++) {
        frame->inputs[i] = frame->given[i];
        if (frame->given[i])
            NNFI_TRY(prepare_tensor(frame->session, frame->module, &frame->inputs[i]));
    }
    NNFI_TRY(frame->type->forward(frame->session, frame->module, frame->inputs, frame->n_inputs,
                                  frame->outputs, frame->n_outputs));
    for (size_t i = 0; i < frame->n_outputs; i++) {
        if (!frame->outputs[i])
            return nnf_error(NNF_ERROR_INVALID, "its forward gave no output number %zu", i);
        if (frame->type->flags & NNF_TYPE_WIDENS_16_BIT) NNFI_TRY(narrow_output(frame, i));
    }
    return NNF_OK;
}

/* Tells of a layer that ran; one that runs its children leaves the word to them. */
static void profile_call(const call_frame *frame, double start) {
    if (!frame->session->profile || runs_children(frame->type)) return;
    nnfi_text path = current_path(frame->session);
    nnfi_profile_end(frame->session, path.length > 0 ? path.data : "", frame->type->name, start);
    nnfi_text_clear(&path);
}

static nnf_status run_frame(call_frame *frame) {
    nnf_module *module = frame->module;
    NNFI_TRY(nnfi_module_run_pre_hooks(module, frame->given, frame->n_inputs));
    if (!frame->type->forward) return cannot_run(frame->session, module);
    double start = nnfi_profile_start(frame->session);
    NNFI_TRY(run_forward(frame));
    profile_call(frame, start);
    return nnfi_module_run_forward_hooks(module, frame->given, frame->n_inputs, frame->outputs,
                                         frame->n_outputs);
}

nnf_status nnf_session_call(nnf_session *session, const char *name, nnf_module *module,
                            nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                            size_t n_outputs) {
    if (!session || !module || (n_inputs > 0 && !inputs) || (n_outputs > 0 && !outputs))
        return nnf_error(NNF_ERROR_INVALID,
                         "a call needs a session, a module, its inputs and its outputs");
    call_frame frame = {.session = session,
                        .module = module,
                        .type = nnf_module_get_type(module),
                        .n_inputs = n_inputs,
                        .n_outputs = n_outputs,
                        .outputs = outputs};
    size_t n_kept = session->n_kept;
    for (size_t i = 0; i < n_outputs; i++)
        outputs[i] = NULL;
    session->error_is_named = false;
    NNFI_TRY(push_name(session, name));
    nnf_status status = frame_init(&frame, inputs);
    if (status == NNF_OK) {
        status = run_frame(&frame);
        frame_clear(&frame);
    }
    if (status != NNF_OK) name_error(session, module, status);
    for (size_t i = 0; i < n_outputs && status != NNF_OK; i++) {
        nnf_tensor_release(outputs[i]);
        outputs[i] = NULL;
    }
    release_kept(session, n_kept);
    session->n_names--;
    return status;
}

nnf_status nnfi_session_forward(nnf_session *session, const char *path, nnf_module *module,
                                nnf_tensor *const *inputs, size_t n_inputs, nnf_tensor **outputs,
                                size_t n_outputs) {
    const nnf_module_type *type = nnf_module_get_type(module);
    size_t n_kept = session->n_kept;
    session->error_is_named = false;
    NNFI_TRY(push_name(session, path));
    nnf_status status = type->forward
                            ? type->forward(session, module, inputs, n_inputs, outputs, n_outputs)
                            : cannot_run(session, module);
    if (status != NNF_OK) name_error(session, module, status);
    release_kept(session, n_kept);
    session->n_names--;
    return status;
}

/* ---- Whole runs ---- */

/* What OpenMP is told for a run, and what it was told before. */
typedef struct teams {
    int threads, dynamic;
} teams;

#ifdef _OPENMP
/* oneDNN plans a primitive for a number of threads, and some are wrong with fewer: the planned ones
 * have to be what a team gets. Inside of a parallel region of the program's own, that is one. */
static teams set_teams(int threads) {
    const teams before = {omp_get_max_threads(), omp_get_dynamic()};
    const int limit = omp_in_parallel() ? 1 : omp_get_thread_limit();
    omp_set_dynamic(false);
    omp_set_num_threads(threads < limit ? threads : limit);
    return before;
}
static void restore_teams(teams before) {
    omp_set_num_threads(before.threads);
    omp_set_dynamic(before.dynamic);
}
static int team_size(void) {
    return omp_get_max_threads();
}
#else
static teams set_teams(int threads) {
    return (teams){threads, 0};
}
static void restore_teams(teams before) {
    (void)before;
}
static int team_size(void) {
    return 1;
}
#endif

static bool has_hooks(const nnf_module *module) {
    if (nnf_module_n_forward_pre_hooks(module) || nnf_module_n_forward_hooks(module)) return true;
    for (size_t i = 0; i < nnf_module_n_children(module); i++)
        if (has_hooks(nnf_module_child(module, i))) return true;
    return false;
}

/* Makes session->schedule fit the inputs, or NULL where that cannot be. */
static nnf_status update_schedule(nnf_session *session, nnf_tensor *const *inputs,
                                  size_t n_inputs) {
    if (session->schedule && session->scheduled_for == team_size() &&
        nnfi_schedule_fits(session->schedule, inputs, n_inputs))
        return NNF_OK;
    nnfi_schedule_release(session->schedule);
    session->schedule = NULL;
    session->scheduled_for = team_size();
    NNFI_TRY(nnfi_graph_check_inputs(session->module, inputs, n_inputs));
    for (size_t i = 0; i < n_inputs; i++)
        if (!inputs[i]) return NNF_OK;
    return nnfi_schedule_new(&session->schedule, session, session->set, &session->kernel_options,
                             session->module, inputs, n_inputs);
}

/* A tensor that others hold too (a constant of the model, an input, another output) becomes one of
 * the caller's own over the same storage. */
static nnf_status own_output(nnf_tensor **output) {
    nnf_tensor *shared = *output;
    if (!nnfi_tensor_is_shared(shared)) return NNF_OK;
    NNFI_TRY(nnf_tensor_copy(output, shared));
    nnf_tensor_release(shared);
    return NNF_OK;
}

static nnf_status run_calls(nnf_session *session, nnf_tensor *const *inputs, size_t n_inputs,
                            nnf_tensor **outputs, size_t n_outputs) {
    nnf_tensor **made = nnfi_alloc(n_outputs * sizeof(nnf_tensor *));
    if (!made) return nnfi_error_memory(n_outputs * sizeof(nnf_tensor *), "a run's outputs");
    nnf_status status =
        nnf_session_call(session, NULL, session->module, inputs, n_inputs, made, n_outputs);
    bool gave = status == NNF_OK;
    for (size_t i = 0; i < n_outputs && status == NNF_OK; i++)
        status = own_output(&made[i]);
    for (size_t i = 0; i < n_outputs && gave; i++) {
        if (status == NNF_OK)
            outputs[i] = made[i];
        else
            nnf_tensor_release(made[i]);
    }
    nnfi_free(made);
    return status;
}

nnf_status nnf_session_run(nnf_session *session, nnf_tensor *const *inputs, size_t n_inputs,
                           nnf_tensor **outputs, size_t n_outputs) {
    if (!session || (n_inputs > 0 && !inputs) || (n_outputs > 0 && !outputs))
        return nnf_error(NNF_ERROR_INVALID, "a run needs a session, its inputs and its outputs");
    const teams before = set_teams(session->threads);
    /* hooks may replace any value: a schedule could not know */
    bool schedules = session->set && nnf_module_is_graph(session->module) &&
                     n_outputs == nnf_graph_n_outputs(session->module) &&
                     !has_hooks(session->module);
    nnf_status status = schedules ? update_schedule(session, inputs, n_inputs) : NNF_OK;
    if (status == NNF_OK)
        status = session->schedule && schedules
                     ? nnfi_schedule_run(session->schedule, inputs, n_inputs, outputs, n_outputs)
                     : run_calls(session, inputs, n_inputs, outputs, n_outputs);
    restore_teams(before);
    return status;
}

nnf_status nnf_module_forward(nnf_module *module, nnf_tensor *const *inputs, size_t n_inputs,
                              nnf_tensor **outputs, size_t n_outputs) {
    nnf_session *session;
    NNFI_TRY(nnf_session_new(&session, module, &(nnf_session_options){.runs_once = true}));
    nnf_status status = nnf_session_run(session, inputs, n_inputs, outputs, n_outputs);
    nnf_session_release(session);
    return status;
}
