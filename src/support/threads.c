#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif

#include "support/threads.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
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

static bool make_thread(pthread_t *out, void *(*run)(void *payload), void *payload) {
    /* Signals are the program's threads' business. */
    sigset_t every, old;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &old);
    int error = pthread_create(out, NULL, run, payload);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error == 0;
}

/* ---- Threads for one job ---- */

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
    while (n_made < n - 1 && make_thread(&threads[n_made], follow, &all))
        n_made++;
    work(payload, true);
    while (n_made > 0)
        pthread_join(threads[--n_made], NULL);
}

/* ---- Threads that are kept ---- */

typedef struct shared_work {
    void (*work)(void *payload, int64_t i);
    void *payload;
    int64_t n;
    atomic_int_fast64_t next; /* the first i that nobody has taken */
    int n_wanted;             /* helpers that may still come */
    atomic_int n_inside;      /* helpers that have come and not gone */
} shared_work;

/* A forked process has the numbers and not the helpers: it works alone, and waits for nobody. */
static struct {
    pthread_mutex_t lock; /* over all but `offers` */
    shared_work *offer;   /* NULL: nothing to do */
    int n_helpers;
    sem_t offers; /* posted for each helper that is wanted */
} crew = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void do_share(shared_work *shared) {
    for (int64_t i; (i = atomic_fetch_add(&shared->next, 1)) < shared->n;)
        shared->work(shared->payload, i);
}

/* NULL where the work was done before this helper came. */
static shared_work *accept_offer(void) {
    pthread_mutex_lock(&crew.lock);
    shared_work *shared = crew.offer;
    if (shared) {
        atomic_fetch_add(&shared->n_inside, 1);
        if (--shared->n_wanted == 0) crew.offer = NULL;
    }
    pthread_mutex_unlock(&crew.lock);
    return shared;
}

static void withdraw(const shared_work *shared) {
    pthread_mutex_lock(&crew.lock);
    if (crew.offer == shared) crew.offer = NULL;
    pthread_mutex_unlock(&crew.lock);
}

static void *help(void *unused) {
    for (;;) {
        (void)sem_wait(&crew.offers);
        shared_work *shared = accept_offer();
        if (!shared) continue;
        do_share(shared);
        withdraw(shared);
        atomic_fetch_sub(&shared->n_inside, 1); /* now it may be gone */
    }
    return unused;
}

static void hire(int n) {
    pthread_t thread;
    if (crew.n_helpers == 0 && sem_init(&crew.offers, 0, 0) != 0) return;
    while (crew.n_helpers < n && make_thread(&thread, help, NULL)) {
        pthread_detach(thread);
        crew.n_helpers++;
    }
}

/* False where somebody else's work is offered, or was when the process was forked. */
static bool offer(shared_work *shared) {
    if (pthread_mutex_trylock(&crew.lock) != 0) return false;
    bool is_free = !crew.offer;
    if (is_free) {
        hire(shared->n_wanted);
        int n = shared->n_wanted < crew.n_helpers ? shared->n_wanted : crew.n_helpers;
        crew.offer = shared;
        while (n-- > 0)
            (void)sem_post(&crew.offers);
    }
    pthread_mutex_unlock(&crew.lock);
    return is_free;
}

void nnfi_share(int n_threads, int64_t n, void (*work)(void *payload, int64_t i), void *payload) {
    shared_work shared = {.work = work, .payload = payload, .n = n};
    shared.n_wanted = (int)(n < n_threads ? n : n_threads) - 1;
    bool is_offered = shared.n_wanted > 0 && offer(&shared);
    do_share(&shared);
    if (is_offered) withdraw(&shared);
    while (atomic_load(&shared.n_inside) > 0)
        sched_yield();
}
