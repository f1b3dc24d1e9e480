#include "peak.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined __x86_64__ || defined __i386__
#include <immintrin.h>
#define HAS_X86 1
#endif

/* ---- The loops ---- */

/* So many sums hide the latency of a multiply-add, and fit into 16 registers with the factors. */
enum { SUMS = 12 };

/* `rounds` rounds of SUMS multiply-adds; what they give is returned, so that they are not dropped.
 * The sums come nearer to 1: they never overflow or become denormal. */
#define DEFINE_LOOP(name, attribute, vector, all, multiply_add)      \
    attribute static float name(int64_t rounds) {                    \
        vector sums[SUMS], factor = all(0.999F), term = all(0.001F); \
        float result[sizeof(vector) / sizeof(float)];                \
        for (int i = 0; i < SUMS; i++)                               \
            sums[i] = all((float)i);                                 \
        for (int64_t r = 0; r < rounds; r++)                         \
            for (int i = 0; i < SUMS; i++)                           \
                sums[i] = multiply_add(sums[i], factor, term);       \
        for (int i = 1; i < SUMS; i++)                               \
            sums[0] = multiply_add(sums[0], factor, sums[i]);        \
        memcpy(result, &sums[0], sizeof result);                     \
        return result[0];                                            \
    }

/* Without anything asked for, 16 bytes at once, a multiplication and an addition. */
typedef float plain_vector __attribute__((vector_size(16)));
static inline plain_vector plain_all(float value) {
    return (plain_vector){value, value, value, value};
}
#define PLAIN_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
DEFINE_LOOP(loop_plain, , plain_vector, plain_all, PLAIN_MULTIPLY_ADD)

#ifdef HAS_X86
DEFINE_LOOP(loop_avx512, __attribute__((target("avx512f"))), __m512, _mm512_set1_ps,
            _mm512_fmadd_ps)
DEFINE_LOOP(loop_fma, __attribute__((target("avx2,fma"))), __m256, _mm256_set1_ps, _mm256_fmadd_ps)
#endif

typedef struct fma_loop {
    const char *name;
    int lanes;
    float (*run)(int64_t rounds);
} fma_loop;

static fma_loop best_loop(void) {
#ifdef HAS_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return (fma_loop){"AVX-512", 16, loop_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (fma_loop){"AVX2 and FMA", 8, loop_fma};
#endif
    return (fma_loop){"multiplication and addition, 16 bytes", 4, loop_plain};
}

/* ---- Threads ---- */

typedef struct peak_thread {
    pthread_t thread;
    fma_loop loop;
    double gflops;
    volatile float result;
} peak_thread;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of the turns that start after WARM_UP seconds, in which the other threads start and the
 * processor reaches its clock, and up to the first after WARM_UP + MEASURED. */
static void *measure(void *payload) {
    enum { ROUNDS = 100000 };
    static const double WARM_UP = 0.02, MEASURED = 0.04;
    peak_thread *self = payload;
    double begun = now(), start, least = INFINITY;
    do {
        start = now();
        self->result = self->loop.run(ROUNDS);
        if (start - begun > WARM_UP) least = fmin(least, now() - start);
    } while (start - begun < WARM_UP + MEASURED);
    self->gflops = 2.0 * SUMS * self->loop.lanes * ROUNDS / least * 1e-9;
    return NULL;
}

double peak_gflops(int threads, const char **instructions) {
    fma_loop loop = best_loop();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *instructions = loop.name;
    if (cores > 0 && threads > cores) threads = (int)cores; /* the others would only take turns */
    peak_thread *all = calloc((size_t)threads, sizeof *all);
    if (all == NULL) return 0.0;
    int started = 0;
    for (; started < threads; started++) {
        all[started].loop = loop;
        if (pthread_create(&all[started].thread, NULL, measure, &all[started]) != 0) break;
    }
    double sum = 0.0;
    for (int i = 0; i < started; i++) {
        pthread_join(all[i].thread, NULL);
        sum += all[i].gflops;
    }
    free(all);
    return started == threads ? sum : 0.0;
}

/* ---- Memory ---- */

memory_use memory_now(void) {
    memory_use use = {-1, -1};
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) return use;
    char line[256];
    long long kilobytes;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %lld", &kilobytes) == 1) use.peak_resident = kilobytes * 1024;
        if (sscanf(line, "RssAnon: %lld", &kilobytes) == 1) use.anonymous = kilobytes * 1024;
    }
    fclose(file);
    return use;
}
