#include "progress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files.h"

static volatile sig_atomic_t signal_number;
static volatile sig_atomic_t library_writes;
static volatile sig_atomic_t will_write; /* and has not yet */
static volatile sig_atomic_t bar_shown;

/* ---- Signals ---- */

int interrupted(void) {
    return signal_number;
}

bool reader_gone(void) {
    return signal_number == SIGPIPE;
}

void progress_library_writes(bool writes) {
    library_writes = writes;
    if (writes) will_write = 1;
}

void progress_written(void) {
    will_write = 0;
}

/* By write alone, as a signal handler may. */
static void say_interrupted(void) {
    static const char clear[] = "\r\033[K",
                      nothing[] = "nnfuse: interrupted; nothing was written\n",
                      alone[] = "nnfuse: interrupted\n";
    const char *text = will_write ? nothing : alone;
    ssize_t n = 0;
    if (bar_shown) n += write(STDERR_FILENO, clear, sizeof clear - 1);
    n += write(STDERR_FILENO, text, will_write ? sizeof nothing - 1 : sizeof alone - 1);
    (void)n; /* there is nobody to tell */
}

/* Leaves nothing behind: removes the temporary file and ends; or, where only the library knows its
 * name, has the next progress callback cancel. The second signal does not wait for that. */
static void on_signal(int number) {
    bool again = signal_number != 0;
    signal_number = number;
    if (library_writes && !again) return;
    if (number == SIGPIPE) return; /* the write fails, and the command ends in its own way */
    files_remove_temporary();
    say_interrupted();
    _exit(128 + number);
}

static void handle_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old, action;
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal;
        sigemptyset(&action.sa_mask);
        /* A signal that is ignored (nohup) stays so. */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
        sigaction(numbers[i], &action, NULL);
    }
}

/* ---- The bar ---- */

enum { BAR_WIDTH = 30 };
static bool bar_wanted;
static char bar_what[64];
static struct timespec bar_start, bar_last;

static double seconds_between(const struct timespec *from, const struct timespec *to) {
    return (double)(to->tv_sec - from->tv_sec) + 1e-9 * (double)(to->tv_nsec - from->tv_nsec);
}

void progress_clear(void) {
    if (bar_shown) fputs("\r\033[K", stderr);
    bar_shown = false;
}

static bool on_progress(const char *what, double fraction, void *payload) {
    (void)payload;
    if (signal_number != 0) return false;
    if (!bar_wanted) return true;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (strncmp(bar_what, what, sizeof bar_what - 1) != 0) {
        snprintf(bar_what, sizeof bar_what, "%s", what);
        bar_start = bar_last = now;
    }
    /* What is soon done needs no bar; ten pictures a second are enough. */
    if (seconds_between(&bar_start, &now) < 0.5 || seconds_between(&bar_last, &now) < 0.1) {
        return true;
    }
    bar_last = now;
    bar_shown = true;
    int full = (int)(fraction * BAR_WIDTH + 0.5);
    if (full < 0) full = 0;
    if (full > BAR_WIDTH) full = BAR_WIDTH;
    fprintf(stderr, "\r\033[K%s  [%.*s%*s] %3.0f%%", what, full, "##############################",
            BAR_WIDTH - full, "", 100.0 * fraction);
    return true;
}

void progress_start(const cli_settings *settings) {
    const char *terminal = getenv("TERM");
    bar_wanted = !settings->quiet && isatty(STDERR_FILENO) && terminal != NULL &&
                 strcmp(terminal, "dumb") != 0;
    nnf_library_options options = {.progress = on_progress};
    nnf_library_set_options(&options);
    handle_signals();
}
