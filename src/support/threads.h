/* Work that several threads do together and that may wait, for files or for memory. OpenMP's
 * threads wait for one another by turning in circles, which costs more than the work where
 * processors are busy. */
#ifndef NNFI_THREADS_H
#define NNFI_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/* How many threads who was not told computes with: OMP_NUM_THREADS or the number of cores, up to
 * NNF_MAX_THREADS. */
int nnfi_default_threads(void);

/* Calls `work` on as many threads as there are processors to run on, `most` at most, the caller's
 * among them, which is the one that leads; returns when all are done. Threads that cannot be had
 * are done without: work must be divided as it is taken, not beforehand. */
void nnfi_together(int most, void (*work)(void *payload, bool leads), void *payload);

/* Calls `work` once for each i below n, by no more than n_threads threads: the caller's, and those
 * kept for this that find the time before all is done. One that the system doesn't let run is not
 * waited for. */
void nnfi_share(int n_threads, int64_t n, void (*work)(void *payload, int64_t i), void *payload);

#endif
