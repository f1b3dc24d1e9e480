/* Work that several threads do together and that may wait for files. OpenMP's threads wait for one
 * another by turning in circles, which costs more than the work where processors are busy. */
#ifndef NNFI_THREADS_H
#define NNFI_THREADS_H

#include <stdbool.h>

/* How many threads who was not told computes with: OMP_NUM_THREADS or the number of cores, up to
 * NNF_MAX_THREADS. */
int nnfi_default_threads(void);

/* Calls `work` on as many threads as there are processors to run on, `most` at most, the caller's
 * among them, which is the one that leads; returns when all are done. Threads that cannot be had
 * are done without: work must be divided as it is taken, not beforehand. */
void nnfi_together(int most, void (*work)(void *payload, bool leads), void *payload);

#endif
