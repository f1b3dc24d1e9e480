/* The public functions that load. */
#include <string.h>

#include "formats/onnx/read.h"
#include "nnfuse/formats.h"
#include "support/memory.h"

/* Takes `bytes` over. */
static nnf_status load(nnf_module **out, nnfi_bytes *bytes, const char *name, const char *folder,
                       const nnf_onnx_load_options *options) {
    nnfi_source *source;
    nnf_module *module;
    NNFI_TRY(nnfi_source_new(&source, bytes, name, folder, options->map));
    source->check_range_late = options->check_range_late;
    nnf_status status = nnf_graph_new(&module);
    if (status != NNF_OK) {
        nnfi_source_release(source);
        return status;
    }
    nnfi_graph *graph = nnfi_graph_of(module);
    graph->source = source->number;
    graph->inner_names = &source->inner_names;
    graph->source_data = source;
    graph->source_retain = nnfi_source_retain;
    graph->source_release = nnfi_source_release;
    status = nnfi_read_graph(module, source);
    if (status != NNF_OK) {
        nnf_module_release(module);
        return status;
    }
    nnf_module_set_training(module, false);
    *out = module;
    return NNF_OK;
}

static const nnf_onnx_load_options defaults;

nnf_status nnf_onnx_load(nnf_module **out, const char *path, const nnf_onnx_load_options *options) {
    nnfi_bytes *bytes;
    if (!out || !path) return nnf_error(NNF_ERROR_INVALID, "nnf_onnx_load needs a path");
    if (!options) options = &defaults;
    NNFI_TRY(nnfi_bytes_read(&bytes, path, options->map));
    char *folder = nnfi_path_folder(path);
    if (!folder) {
        nnfi_bytes_release(bytes);
        return nnfi_error_memory(strlen(path), "a path");
    }
    nnf_status status = load(out, bytes, path, folder, options);
    nnfi_free(folder);
    return status == NNF_OK ? NNF_OK : nnfi_error_prefix(status, "%s: ", path);
}

nnf_status nnf_onnx_load_memory(nnf_module **out, const void *data, size_t size,
                                const nnf_onnx_load_options *options) {
    nnfi_bytes *bytes;
    if (!out || (!data && size > 0)) {
        return nnf_error(NNF_ERROR_INVALID, "nnf_onnx_load_memory needs a buffer");
    }
    if (!options) options = &defaults;
    const char *name = options->name ? options->name : "<memory>";
    NNFI_TRY(nnfi_bytes_copy(&bytes, data, size));
    nnf_status status = load(out, bytes, name, options->base_dir, options);
    return status == NNF_OK ? NNF_OK : nnfi_error_prefix(status, "%s: ", name);
}

/* NULL where no file gave the graph. */
static const nnfi_source *source_of(const nnf_module *graph) {
    const nnfi_graph *of = graph ? nnfi_graph_of(graph) : NULL;
    return of ? of->source_data : NULL;
}

int64_t nnf_onnx_opset(const nnf_module *graph) {
    const nnfi_source *source = source_of(graph);
    return source ? source->opset : 0;
}

const char *nnf_onnx_data_file(const nnf_module *graph, size_t index) {
    const nnfi_source *source = source_of(graph);
    return source && index < source->n_files ? source->files[index].location : NULL;
}

int nnf_onnx_newest_opset(void) {
    return ONNX_NEWEST_OPSET;
}
