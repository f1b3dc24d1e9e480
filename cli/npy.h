/* numpy's .npy files: arrays in, arrays out (numpy.lib.format, versions 1 to 3). */
#ifndef NPY_H
#define NPY_H

#include "nnfuse.h"

/* Reads the array that `size` bytes hold; `name` is what error messages call them. Little-endian
 * f2, f4, f8, i1, u1, i4, i8 and b1; Fortran order is put in C order. Others are errors that name
 * the dtype. `data` is from malloc, and the tensor's or freed afterwards, also on an error. */
nnf_status npy_parse(nnf_tensor **out, void *data, size_t size, const char *name);

/* Reads a file; "-" is standard input. */
nnf_status npy_read(nnf_tensor **out, const char *path);

/* Writes a file, which appears whole or not at all; "-" is standard output. bf16, which numpy
 * lacks, is written as f4. */
nnf_status npy_write(const char *path, const nnf_tensor *tensor);

#endif
