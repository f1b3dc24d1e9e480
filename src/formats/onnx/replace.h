/* What stands beside a model that is replaced: data files that nnfuse wrote for it, and what a
 * killed process left. A data file of nnfuse's belongs to one model: it is named after it, begins
 * with a mark, and no other model is made to refer to it. So it may go when its model does. */
#ifndef NNFI_ONNX_REPLACE_H
#define NNFI_ONNX_REPLACE_H

#include "support/file.h"

/* The mark, at the beginning of the data file's first page. */
extern const char nnfi_data_mark[];
bool nnfi_data_is_marked(const nnfi_bytes *bytes);

/* Paths, each from nnfi_alloc. */
typedef struct nnfi_paths {
    char **items;
    size_t n, capacity;
} nnfi_paths;
void nnfi_paths_remove(const nnfi_paths *paths); /* the files */
void nnfi_paths_clear(nnfi_paths *paths);

/* The data files of nnfuse's for the model at `path` that the file `model` refers to, which may be
 * that one or what was to replace it, and the file `kept` does not. */
nnf_status nnfi_data_only_of(nnfi_paths *out, const char *path, const char *model, const char *kept,
                             bool map);

/* Removes temporary files that were to become the model at `path` or its data and that no process
 * holds, with the data files that only they refer to. What cannot be removed stays. */
void nnfi_leftovers_remove(const char *path, bool map);

#endif
