#include "places.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"

bool same_file(const char *a, const char *b) {
    struct stat of_a, of_b;
    if (strcmp(a, b) == 0) return true;
    if (strcmp(a, "-") == 0 || strcmp(b, "-") == 0) return false;
    if (stat(a, &of_a) != 0 || stat(b, &of_b) != 0) return false;
    return of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* A device or a pipe may be read and written. */
static bool would_replace(const char *path, const char *source) {
    struct stat info;
    return source != NULL && strcmp(path, "-") != 0 && same_file(path, source) &&
           stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static int refuse(const char *path, const char *what) {
    return fail(STATUS_USAGE, "%s is %s, which an output would replace; name another file", path,
                what);
}

int check_place(const char *path, const cli_settings *settings, const nnf_module *graph,
                const char *model) {
    if (would_replace(path, model)) return refuse(path, "the model");
    if (would_replace(path, settings->labels)) return refuse(path, "the file of --labels");
    for (size_t i = 0; i < settings->inputs.n; i++) {
        const char *name = NULL, *source = NULL;
        int status = split_binding(&name, &source, "--input", settings->inputs.items[i], graph);
        if (status != STATUS_DONE) return status;
        if (would_replace(path, source)) return refuse(path, "an input");
    }
    /* A rename would replace a file that its owner has write-protected. */
    if (strcmp(path, "-") != 0 && access(path, F_OK) == 0 && access(path, W_OK) != 0)
        return fail(STATUS_OUTPUT, "cannot write %s: %s", path, strerror(errno));
    return STATUS_DONE;
}
