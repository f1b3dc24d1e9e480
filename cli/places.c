#include "places.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "model.h"

bool same_file(const char *a, const char *b) {
    struct stat of_a, of_b;
    if (strcmp(a, b) == 0) return true;
    if (strcmp(a, "-") == 0 || strcmp(b, "-") == 0) return false;
    if (stat(a, &of_a) != 0 || stat(b, &of_b) != 0) return false;
    return of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* A device or a pipe may be read and written. */
static bool is_file(const char *path) {
    struct stat info;
    return strcmp(path, "-") != 0 && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool would_replace(const char *path, const char *source) {
    return source != NULL && is_file(path) && same_file(path, source);
}

/* Whether the model, read from the file `model`, has weights in the file at `path`. */
static bool has_weights_in(const nnf_module *graph, const char *model, const char *path) {
    char file[PATH_SIZE];
    const char *location;
    for (size_t i = 0; (location = nnf_onnx_data_file(graph, i)) != NULL; i++)
        if (path_beside(file, model, location, strlen(location)) && would_replace(path, file))
            return true;
    return false;
}

/* ---- What is asked ---- */

static int refuse(const char *path, const char *what) {
    return fail(STATUS_USAGE, "%s is %s, which an output would replace; name another file", path,
                what);
}

int check_place(const char *path, const cli_settings *settings, const nnf_module *graph,
                const char *model) {
    if (would_replace(path, model)) return refuse(path, "the model");
    if (model != NULL && has_weights_in(graph, model, path))
        return refuse(path, "a data file of the model");
    if (would_replace(path, settings->labels)) return refuse(path, "the file of --labels");
    for (size_t i = 0; i < settings->inputs.n; i++) {
        const char *name = NULL, *source = NULL;
        int status = split_binding(&name, &source, "--input", settings->inputs.items[i], graph);
        if (status != STATUS_DONE) return status;
        if (would_replace(path, source)) return refuse(path, "an input");
    }
    /* A rename would replace a file that its owner has write-protected. */
    if (strcmp(path, "-") != 0 && access(path, F_OK) == 0 && access(path, W_OK) != 0)
        return fail(STATUS_OUTPUT, "cannot write '%s': %s", path, strerror(errno));
    return STATUS_DONE;
}
