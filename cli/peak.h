/* What this machine can do at most, measured. */
#ifndef PEAK_H
#define PEAK_H

#include "nnfuse.h"

/* The float32 multiply-adds of `threads` threads at once, in GFLOP/s (a multiply-add is two), from
 * a loop that does nothing else; *instructions says which ones: "AVX-512". 0 where no thread can be
 * started. */
double peak_gflops(int threads, const char **instructions);

/* Memory of this process in bytes: what was resident at most, and what is anonymous now. -1 where
 * the system does not tell. */
typedef struct memory_use {
    int64_t peak_resident, anonymous;
} memory_use;
memory_use memory_now(void);

#endif
