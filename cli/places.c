#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
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

/* ---- Data files ---- */

/* Whether a string of a model's, with its length in front, leads to the file at `path`. */
static bool leads_to(const unsigned char *at, const unsigned char *end, const char *model,
                     const char *path) {
    char file[PATH_SIZE];
    size_t length = at < end ? *at++ : 0;
    /* No path has a length of more than two of protobuf's digits to the base 128. */
    if (length >= 128 && at < end) length += ((size_t)*at++ - 1) * 128;
    return length <= (size_t)(end - at) && path_beside(file, model, (const char *)at, length) &&
           same_file(path, file);
}

/* Whether a model of these bytes has weights in the file at `path`. The bytes are searched for what
 * an entry of a tensor's external_data begins with, so that all tensors count: those too that are
 * in subgraphs and in nodes which nnfuse does not know, and which it never reads. */
static bool names_file(const unsigned char *bytes, size_t size, const char *model,
                       const char *path) {
    static const char key[] = "\n\blocation\x12"; /* field 1 of 8 bytes; the tag of field 2 */
    const size_t length = sizeof key - 1;
    const unsigned char *end = bytes + size, *at = bytes;
    for (; (at = memchr(at, key[0], (size_t)(end - at))) != NULL; at++) {
        if ((size_t)(end - at) > length && memcmp(at, key, length) == 0 &&
            leads_to(at + length, end, model, path))
            return true;
    }
    return false;
}

static bool has_weights_in(const char *model, const char *path) {
    struct stat info;
    if (!is_file(model) || !is_file(path)) return false;
    int file = open(model, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    size_t size = fstat(file, &info) == 0 ? (size_t)info.st_size : 0;
    void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
    close(file);
    if (bytes == MAP_FAILED) return false;
    bool names = names_file(bytes, size, model, path);
    munmap(bytes, size);
    return names;
}

/* ---- What is asked ---- */

static int refuse(const char *path, const char *what) {
    return fail(STATUS_USAGE, "%s is %s, which an output would replace; name another file", path,
                what);
}

int check_place(const char *path, const cli_settings *settings, const nnf_module *graph,
                const char *model) {
    if (would_replace(path, model)) return refuse(path, "the model");
    if (model != NULL && has_weights_in(model, path))
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
        return fail(STATUS_OUTPUT, "cannot write %s: %s", path, strerror(errno));
    return STATUS_DONE;
}
