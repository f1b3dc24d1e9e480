/* Reads the .golden files that tests/goldens/make_*.py write: values that PyTorch computed. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "nnfuse.h"

typedef struct golden golden;

/* Opens tests/goldens/<name>.golden; the test fails where it is not there. */
golden *golden_open(const char *name);
void golden_close(golden *file);

/* A new tensor with the array of that name (printf-style); the test fails where there is none. */
nnf_tensor *golden_tensor(const golden *file, const char *name, ...) NNF_PRINTF(2, 3);
bool golden_has(const golden *file, const char *name, ...) NNF_PRINTF(2, 3);
/* The elements of an array as doubles or integers: at most `room`; returns how many there are. */
size_t golden_numbers(const golden *file, double *out, size_t room, const char *name, ...)
    NNF_PRINTF(4, 5);
size_t golden_integers(const golden *file, int64_t *out, size_t room, const char *name, ...)
    NNF_PRINTF(4, 5);

/* Fails the test unless both have one dtype and shape and differ by at most `tolerance` times the
 * largest |expected| (NaN and infinities in the same places). */
void assert_tensors_close(const nnf_tensor *actual, const nnf_tensor *expected, double tolerance);

/* Fails the test with the library's message unless `call` succeeds. */
#define assert_ok(call) assert_ok_at((call), __FILE__, __LINE__)
void assert_ok_at(nnf_status status, const char *file, int line);
/* Fails unless `call` gives `status` with a message that holds every one of the texts. */
#define assert_error(call, status, ...) \
    assert_error_at((call), (status), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)
void assert_error_at(nnf_status actual, nnf_status expected, const char *const *texts,
                     const char *file, int line);

#endif
