#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif

#include "support/threads.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "nnfuse/session.h"

int nnfi_default_threads(void) {
#ifdef _OPENMP
    int n = omp_get_max_threads();
    return n < NNF_MAX_THREADS ? n : NNF_MAX_THREADS;
#else
    return 1;
#endif
}

enum { MOST_THREADS = 16 };

typedef struct team {
    void (*work)(void *payload, bool leads);
    void *payload;
} team;

static int n_processors(void) {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : (int)n;
}

static void *follow(void *payload) {
    const team *of = payload;
    of->work(of->payload, false);
    return NULL;
}

void nnfi_together(int most, void (*work)(void *payload, bool leads), void *payload) {
    pthread_t threads[MOST_THREADS];
    team all = {work, payload};
    int n = n_processors(), n_made = 0;
    if (n > most) n = most;
    if (n > MOST_THREADS) n = MOST_THREADS;
    /* Signals are the program's threads' business. */
    sigset_t every, old;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &old);
    while (n_made < n - 1 && pthread_create(&threads[n_made], NULL, follow, &all) == 0)
        n_made++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    work(payload, true);
    while (n_made > 0)
        pthread_join(threads[--n_made], NULL);
}
