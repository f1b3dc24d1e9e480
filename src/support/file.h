/* All that is the operating system's: reading, mapping, and writing a file so that it appears whole
 * or not at all. */
#ifndef NNFI_FILE_H
#define NNFI_FILE_H

#include "support/error.h"

/* A file's bytes, read or mapped; reference-counted because tensors borrow from it. */
typedef struct nnfi_bytes nnfi_bytes;
/* Errors: NNF_ERROR_READ with the path and the system's reason; a directory is one. */
nnf_status nnfi_bytes_read(nnfi_bytes **out, const char *path, bool map);
/* Bytes [offset, offset + length) of a file; length -1: to its end. NNF_ERROR_FORMAT where they
 * reach past the end. */
nnf_status nnfi_bytes_read_range(nnfi_bytes **out, const char *path, bool map, int64_t offset,
                                 int64_t length);
nnf_status nnfi_bytes_copy(nnfi_bytes **out, const void *data, size_t size);
nnfi_bytes *nnfi_bytes_retain(nnfi_bytes *bytes);
void nnfi_bytes_release(nnfi_bytes *bytes);
const uint8_t *nnfi_bytes_data(const nnfi_bytes *bytes);
size_t nnfi_bytes_size(const nnfi_bytes *bytes);
/* The open file that they are mapped from, and where in it they begin; -1: there is none. */
int nnfi_bytes_file(const nnfi_bytes *bytes, int64_t *offset);

/* Where bytes go: a temporary file in the folder of the path that it will get; a device or a pipe;
 * or a buffer. */
typedef struct nnfi_output nnfi_output;
nnf_status nnfi_output_open(nnfi_output **out, const char *path);
/* Over a buffer of the caller's that has room for all that will be put. */
nnf_status nnfi_output_over(nnfi_output **out, void *buffer);
/* Whether it takes bytes in their order only: a device, a pipe. All others take them in any order,
 * and from several threads at once. */
bool nnfi_output_is_stream(const nnfi_output *output);
/* Puts bytes at position `at`: others', or those of `from` from `begin` on, which the system copies
 * from file to file where it can. */
nnf_status nnfi_output_put(const nnfi_output *output, uint64_t at, const void *data, size_t size);
nnf_status nnfi_output_copy(const nnfi_output *output, uint64_t at, const nnfi_bytes *from,
                            size_t begin, size_t size);
/* Flushes to the disk (fsync), so that it can be read under its temporary name. */
nnf_status nnfi_output_finish(nnfi_output *output);
const char *nnfi_output_path(const nnfi_output *output); /* the temporary name */
/* The name it will have: the path it was opened for, with symbolic links followed. */
const char *nnfi_output_target(const nnfi_output *output);
/* Gives it its name already, where no file has that. */
nnf_status nnfi_output_place(nnfi_output *output);
/* Renames to the path it was opened for, keeping that file's permissions where one was there; frees
 * `output`; on an error the temporary file is removed. */
nnf_status nnfi_output_commit(nnfi_output *output);
void nnfi_output_discard(nnfi_output *output); /* removes the file that it made; NULL is allowed */

/* What a process that was killed leaves behind. Whether a folder's entry is named as a temporary
 * file, and the name in it: that of the file that it was to be, or the beginning of that, of
 * nnfi_temporary_length bytes. Whether a process holds it still. */
bool nnfi_is_temporary(const char *entry, const char **name, size_t *length);
size_t nnfi_temporary_length(const char *name);
bool nnfi_is_held(const char *path);
/* The file that will be replaced gets a temporary name too, in *kept; NULL where it cannot. */
nnf_status nnfi_output_keep_old(const nnfi_output *output, char **kept);

/* Whether `path` stays in its folder: relative, no "..", no drive, no NUL. For names that a file
 * gives. */
bool nnfi_path_is_inside(const char *path);
/* The last part of a path. */
const char *nnfi_path_name(const char *path);
/* The folder of a path ("." where it names none), and folder + "/" + name: new strings or NULL. */
char *nnfi_path_folder(const char *path);
char *nnfi_path_join(const char *folder, const char *name);

#endif
