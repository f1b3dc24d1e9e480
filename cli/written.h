/* The files that a written model consists of, as fuse shows them. */
#ifndef WRITTEN_H
#define WRITTEN_H

#include <stdio.h>

#include "report.h"

/* A data file that was there and that the model goes on reading. */
typedef struct kept_file {
    char *location; /* as seen from the model's folder */
    size_t n_tensors;
    int64_t bytes; /* -1: not known */
} kept_file;

typedef struct written_files {
    int64_t bytes;   /* of the model */
    char *data_path; /* NULL: no data file was written */
    int64_t data_bytes;
    kept_file *kept;
    size_t n_kept;
} written_files;

/* Notes what a save at `out` consists of but for the model itself, while it is pending; an exit
 * status, told about already. */
int written_note(written_files *files, const nnf_pending_file *pending, const char *out);
void written_clear(written_files *files);

/* "21,383 bytes, with m.onnx.data: 44.7 MB; 2 weights stay in old.data: 1.2 GB"; of many files that
 * stay only some, unless `all`. */
void written_print(FILE *file, const written_files *files, bool all);
/* Adds "bytes", "data" and "kept_data"; NULL: nothing was written. */
void written_add_json(json_t *object, const written_files *files);

/* The size of the file at `path`; -1: it has none. */
int64_t file_bytes(const char *path);

#endif
