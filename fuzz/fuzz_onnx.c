/* The main job on arbitrary bytes: what can be read as a model is fused, written and read again,
 * and what was written must be readable. */
#include <stdlib.h>

#include "nnfuse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void infer(const nnf_module *model) {
    nnf_type_info *infos = NULL;
    size_t n = 0;
    if (nnf_graph_infer(model, NULL, &infos, &n) == NNF_OK) nnf_graph_infer_free(infos, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnf_module *model = NULL, *again = NULL;
    if (nnf_onnx_load_memory(&model, data, size, NULL) != NNF_OK) return 0;
    infer(model);
    if (nnf_fuse(model, NULL, NULL) == NNF_OK) {
        void *bytes = NULL;
        size_t n_bytes = 0;
        if (nnf_onnx_save_memory(model, &bytes, &n_bytes, NULL) == NNF_OK) {
            if (nnf_onnx_load_memory(&again, bytes, n_bytes, NULL) != NNF_OK) abort();
            nnf_module_release(again);
            nnf_free(bytes);
        }
    }
    nnf_module_release(model);
    return 0;
}
