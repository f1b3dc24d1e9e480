/* Whole files in and out. */
#ifndef FILES_H
#define FILES_H

#include <stdio.h>

#include "nnfuse.h"

/* Reads all of a file, or of standard input for "-"; *data is from malloc. */
nnf_status file_read(void **data, size_t *size, const char *path);

/* What an error message calls a path: "standard input" for "-". */
const char *input_name(const char *path);

/* The path of a file that the first `length` bytes of `name` are, as seen from the folder of
 * `path`; false: it is longer than the system takes. */
enum { PATH_SIZE = 4096 };
bool path_beside(char out[PATH_SIZE], const char *path, const char *name, size_t length);

/* A file that is written under a temporary name beside `path` and renamed when it is whole; it
 * keeps the permissions of the one that it replaces, which a link at `path` leads to. "-": standard
 * output, which is not renamed. */
typedef struct file_writer {
    FILE *file;
    const char *path; /* for messages */
    char *target;     /* what is replaced; NULL for standard output, like `temporary` */
    char *temporary;
} file_writer;
nnf_status file_open(file_writer *writer, const char *path);
nnf_status file_write(file_writer *writer, const void *data, size_t size);
/* Renames; or, where `status` is an error, removes the file and passes the status on. */
nnf_status file_close(file_writer *writer, nnf_status status);

/* The files that a signal must not leave behind; NULL: there is none any more. */
void files_set_temporary(const char *path, const char *data_path);
/* Removes them; for the signal handler. */
void files_remove_temporary(void);

#endif
