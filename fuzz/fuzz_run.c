/* Running what can be read: by the kernels that are the default and by the reference ones, as it
 * stands and fused. Whatever the file says, a run ends with outputs or a sentence, and where both
 * kernel sets give outputs, these have the same dtypes and shapes. */
#include <stdlib.h>
#include <string.h>

#include "nnfuse.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of a few bytes can ask for any amount of memory and work: larger ones are not run, and
 * what only a run finds out is stopped by the allocator, at sizes that a run does in a moment
 * under the sanitizers. */
enum { MOST_ELEMENTS = 4096, MOST_CALLS = 64, MOST_PORTS = 8 };
#define MOST_BYTES ((size_t)1 << 20)

static void *allocate(size_t size, void *payload) {
    (void)payload;
    return size > MOST_BYTES ? NULL : malloc(size);
}

static void *reallocate(void *old, size_t size, void *payload) {
    (void)payload;
    return size > MOST_BYTES ? NULL : realloc(old, size);
}

static void deallocate(void *old, void *payload) {
    (void)payload;
    free(old);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const nnf_library_options options = {
        .allocate = allocate, .reallocate = reallocate, .deallocate = deallocate};
    return nnf_library_set_options(&options) == NNF_OK ? 0 : 1;
}

static bool is_small(const nnf_type_info *info) {
    int64_t n = 1;
    for (int i = 0; i < info->ndim; i++) {
        int64_t size = info->shape[i].symbol ? 1 : info->shape[i].value;
        if (size > MOST_ELEMENTS || (n *= size) > MOST_ELEMENTS) return false;
    }
    return true;
}

static bool has_few_calls(const nnf_module *graph) {
    return nnf_graph_n_calls(graph) <= MOST_CALLS && nnf_graph_n_inputs(graph) <= MOST_PORTS &&
           nnf_graph_n_outputs(graph) <= MOST_PORTS;
}

static nnf_type_info info_of(const nnf_tensor *tensor) {
    nnf_type_info info = {
        .dtype = nnf_tensor_dtype(tensor), .ndim = nnf_tensor_ndim(tensor), .n_values = -1};
    for (int i = 0; i < info.ndim; i++)
        info.shape[i].value = nnf_tensor_shape(tensor)[i];
    return info;
}

/* Whether every value is small as far as it follows from these inputs. */
static bool is_small_with(const nnf_module *graph, nnf_tensor *const *inputs) {
    nnf_type_info given[MOST_PORTS], *infos = NULL;
    size_t n = 0;
    for (size_t i = 0; i < nnf_graph_n_inputs(graph); i++)
        given[i] = info_of(inputs[i]);
    bool small = nnf_graph_infer(graph, given, &infos, &n) == NNF_OK;
    for (size_t i = 0; i < n; i++)
        small = small && is_small(&infos[i]);
    nnf_graph_infer_free(infos, n);
    return small;
}

static void release_all(nnf_tensor **tensors, size_t n) {
    for (size_t i = 0; i < n; i++)
        nnf_tensor_release(tensors[i]);
}

static bool run(nnf_module *graph, nnf_kernels kernels, nnf_tensor **inputs, nnf_tensor **outputs) {
    nnf_session *session;
    const nnf_session_options options = {.threads = 1, .kernels = kernels};
    if (nnf_session_new(&session, graph, &options) != NNF_OK) return false;
    bool done = nnf_session_run(session, inputs, nnf_graph_n_inputs(graph), outputs,
                                nnf_graph_n_outputs(graph)) == NNF_OK;
    nnf_session_release(session);
    return done;
}

static bool is_like(const nnf_tensor *a, const nnf_tensor *b) {
    int ndim = nnf_tensor_ndim(a);
    return nnf_tensor_dtype(a) == nnf_tensor_dtype(b) && ndim == nnf_tensor_ndim(b) &&
           !memcmp(nnf_tensor_shape(a), nnf_tensor_shape(b), sizeof(int64_t) * (size_t)ndim);
}

static void run_both(nnf_module *graph, nnf_tensor **inputs) {
    nnf_tensor *outputs[2][MOST_PORTS] = {{NULL}};
    size_t n = nnf_graph_n_outputs(graph);
    bool done[2] = {run(graph, NNF_KERNELS_DEFAULT, inputs, outputs[0]),
                    run(graph, NNF_KERNELS_REFERENCE, inputs, outputs[1])};
    for (size_t i = 0; i < n && done[0] && done[1]; i++)
        if (!is_like(outputs[0][i], outputs[1][i])) abort();
    for (int k = 0; k < 2; k++)
        if (done[k]) release_all(outputs[k], n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnf_module *model = NULL;
    nnf_tensor *inputs[MOST_PORTS] = {NULL};
    if (nnf_onnx_load_memory(&model, data, size, NULL) != NNF_OK) return 0;
    if (has_few_calls(model) && nnf_make_inputs(inputs, model, NULL) == NNF_OK) {
        if (is_small_with(model, inputs)) {
            run_both(model, inputs);
            if (nnf_fuse(model, NULL, NULL) == NNF_OK) run_both(model, inputs);
        }
        release_all(inputs, nnf_graph_n_inputs(model));
    }
    nnf_module_release(model);
    return 0;
}
