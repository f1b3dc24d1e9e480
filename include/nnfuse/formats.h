/* Model files. ONNX: IR versions 3 and newer, opsets 7 and newer. */
#ifndef NNFUSE_FORMATS_H
#define NNFUSE_FORMATS_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nnf_onnx_load_options {
    /* Map the file instead of reading it. A mapped file that another process truncates raises
     * SIGBUS, so only a program that owns its process should ask for this. */
    bool map;
    /* Whether folded weights leave their dtype's range is seen when they are computed, and not when
     * layers are fused, which would read all of them one time more. Where one does, that fails (to
     * save, to run) with NNF_ERROR_NOT_FUSABLE, and the model is to be loaded and fused without
     * this: then the layers are left alone. */
    bool check_range_late;
    /* nnf_onnx_load_memory: the folder of external data files; NULL: such a model is an error. */
    const char *base_dir;
    /* nnf_onnx_load_memory: what error messages call the buffer; NULL: "<memory>". */
    const char *name;
} nnf_onnx_load_options;

/* Reads a model as a Graph. Nodes that nnfuse does not know become Opaque modules: they pass
 * through untouched but do not run. An error names the file and the place in it. */
NNF_API nnf_status nnf_onnx_load(nnf_module **out, const char *path,
                                 const nnf_onnx_load_options *options);
/* The same from a buffer, which is copied where it is kept. */
NNF_API nnf_status nnf_onnx_load_memory(nnf_module **out, const void *data, size_t size,
                                        const nnf_onnx_load_options *options);

/* The data files that a Graph's weights were read from, from number 0 on, as the model names them:
 * relative to its folder. NULL behind the last. */
NNF_API const char *nnf_onnx_data_file(const nnf_module *graph, size_t index);

/* The opset of ONNX's own domain that a Graph's file uses; 0: it came from no file, or uses none.
 * In one that is newer than the newest that nnfuse knows, operators that changed may be Opaque. */
NNF_API int64_t nnf_onnx_opset(const nnf_module *graph);
NNF_API int nnf_onnx_newest_opset(void);

/* An operator of ONNX's own domain that loads as a layer which runs. */
typedef struct nnf_onnx_operator {
    const char *name;            /* "Conv" */
    int first_opset, last_opset; /* of the model's opset */
} nnf_onnx_operator;
/* The operator of that number, counted from 0 in the order of the names; false behind the last. */
NNF_API bool nnf_onnx_operator_at(nnf_onnx_operator *out, size_t index);

typedef struct nnf_onnx_save_options {
    int64_t ir_version; /* for a graph that no file produced; 0: 8 */
    int64_t opset;      /* the same; 0: 17 */
    /* Tensors of more than 1 KB become external data, whatever they were, and all of it goes into
     * the one new file: a model of more than 2 GB cannot have them inside. To a buffer they go
     * inside all the same. */
    bool external_data;
} nnf_onnx_save_options;

/* Writes a Graph. What came from a file and was not changed goes out as the bytes that came in. The
 * file is written beside `path` and renamed into place when it is whole: on an error nothing is
 * left and nothing was overwritten. External data goes beside it as <name>.data, or <name>.1.data
 * and so on where that is taken, written the same way; the one that nnfuse wrote for the model that
 * is replaced is removed. So are temporary files that a killed process left. In the folder that the
 * model came from, unchanged external data stays in the file that it is in, which the written model
 * then needs too, unless `external_data` asks for everything in one. */
NNF_API nnf_status nnf_onnx_save(const nnf_module *graph, const char *path,
                                 const nnf_onnx_save_options *options);
/* The same to a buffer: nnf_free. External data is put into it. */
NNF_API nnf_status nnf_onnx_save_memory(const nnf_module *graph, void **data, size_t *size,
                                        const nnf_onnx_save_options *options);

/* The same in two steps, for a caller who checks the file before it takes its place: writes to a
 * temporary file beside `path` ... */
typedef struct nnf_pending_file nnf_pending_file;
NNF_API nnf_status nnf_onnx_save_pending(nnf_pending_file **out, const nnf_module *graph,
                                         const char *path, const nnf_onnx_save_options *options);
NNF_API const char *
nnf_pending_file_path(const nnf_pending_file *pending); /* of the temporary file */
/* The external data file that was written for it; NULL: there is none. It has its own name, which
 * no file had, at once. */
NNF_API const char *nnf_pending_file_data_path(const nnf_pending_file *pending);
/* The other files of external data that the model needs, since what is in them was not changed:
 * where each is, as seen from the model's folder, and how many tensors it has of it (may be NULL).
 */
NNF_API size_t nnf_pending_file_n_kept(const nnf_pending_file *pending);
NNF_API const char *nnf_pending_file_kept(const nnf_pending_file *pending, size_t index,
                                          size_t *n_tensors);
/* ... and renames it. Frees `pending` whatever comes of it; on an error the file is gone. */
NNF_API nnf_status nnf_pending_file_commit(nnf_pending_file *pending);
/* ... or removes it, with its data file. */
NNF_API void nnf_pending_file_discard(nnf_pending_file *pending);

#ifdef __cplusplus
}
#endif
#endif
