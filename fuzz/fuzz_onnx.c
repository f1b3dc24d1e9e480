/* The main job on arbitrary bytes: what can be read as a model is written as it came, cleaned or
 * not, fused, written and read again; and what was written must be readable. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nnfuse.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A folder with a file of external data, which corpus/external.onnx names. */
static char folder[64], data_path[96], model_path[96];

static void remove_folder(void) {
    unlink(data_path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/nnfuse-fuzz-XXXXXX", parent);
    if (!mkdtemp(folder)) abort();
    snprintf(data_path, sizeof data_path, "%s/external.data", folder);
    snprintf(model_path, sizeof model_path, "%s/model.onnx", folder);
    FILE *file = fopen(data_path, "wb");
    for (int i = 0; file && i < 8192; i++)
        fputc(i % 251, file);
    if (!file || fclose(file) != 0) abort();
    atexit(remove_folder);
    return 0;
}

static void must(nnf_status status) {
    if (status != NNF_OK) abort();
}

static void infer(const nnf_module *model) {
    nnf_type_info *infos = NULL;
    size_t n = 0;
    if (nnf_graph_infer(model, NULL, &infos, &n) == NNF_OK) nnf_graph_infer_free(infos, n);
}

/* Nothing has changed: these are the bytes that came in, but for external data, which goes inside.
 */
static void save_unchanged(const nnf_module *model, const uint8_t *data, size_t size) {
    void *bytes = NULL;
    size_t n_bytes = 0;
    if (nnf_onnx_save_memory(model, &bytes, &n_bytes, NULL) != NNF_OK) return;
    bool external = memmem(data, size, "location", 8) != NULL;
    if (!external && (n_bytes != size || memcmp(bytes, data, size) != 0)) abort();
    nnf_free(bytes);
}

static void save_to_memory(const nnf_module *model) {
    nnf_module *again = NULL;
    void *bytes = NULL;
    size_t n_bytes = 0;
    if (nnf_onnx_save_memory(model, &bytes, &n_bytes, NULL) != NNF_OK) return;
    must(nnf_onnx_load_memory(&again, bytes, n_bytes, NULL));
    nnf_module_release(again);
    nnf_free(bytes);
}

static void save_to_files(const nnf_module *model, bool external_data) {
    const nnf_onnx_save_options options = {.external_data = external_data};
    nnf_module *again = NULL;
    nnf_pending_file *pending = NULL;
    if (nnf_onnx_save_pending(&pending, model, model_path, &options) != NNF_OK) return;
    const nnf_onnx_load_options mapped = {.map = true};
    must(nnf_onnx_load(&again, nnf_pending_file_path(pending), &mapped));
    nnf_module_release(again);
    nnf_pending_file_discard(pending);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnf_module *model = NULL;
    const nnf_onnx_load_options options = {.base_dir = folder};
    uint32_t choice = 0;
    for (size_t i = 0; i < size; i++)
        choice = choice * 31 + data[i];
    choice = choice * 0x9e3779b1u >> 16;
    if (nnf_onnx_load_memory(&model, data, size, &options) != NNF_OK) return 0;
    infer(model);
    save_unchanged(model, data, size);
    bool clean = choice % 4 > 0;
    if (clean) (void)nnf_clean(model, NULL); /* failed or not, the model stays whole */
    if (nnf_fuse(model, NULL, NULL) == NNF_OK || clean) {
        if (choice / 4 % 16 > 0)
            save_to_memory(model);
        else
            save_to_files(model, choice / 64 % 2);
    }
    nnf_module_release(model);
    return 0;
}
