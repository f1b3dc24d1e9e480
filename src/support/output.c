#define _FILE_OFFSET_BITS 64
#ifdef __linux__
#define _GNU_SOURCE /* copy_file_range */
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/file.h"
#include "support/memory.h"

#define WRITE_SIZE_MAX ((size_t)1 << 30) /* some systems refuse more in one call */
#define MAX_LINKS 40                     /* as Linux follows at most */

struct nnfi_output {
    char *asked;     /* the path that the caller gave: for messages */
    char *path;      /* where the file will stand: `asked` with symbolic links followed */
    char *temporary; /* NULL: a device or a pipe, written directly */
    int file;        /* -1: none */
    uint8_t *memory; /* what an output over a buffer is over */
};

static nnf_status cannot_write(const char *path, int reason) {
    return nnf_error(NNF_ERROR_WRITE, "cannot write '%s': %s", path, strerror(reason));
}

/* Follows the link at *path; *path is a new string then. `link` gets false where it is none. */
static nnf_status follow_link(char **path, bool *link) {
    char target[4096];
    ssize_t length = readlink(*path, target, sizeof target - 1);
    *link = length >= 0;
    if (length < 0) return NNF_OK;
    target[length] = '\0';
    char *next = NULL;
    if (target[0] == '/') {
        next = nnfi_strdup(target);
    } else {
        char *folder = nnfi_path_folder(*path);
        if (folder) next = nnfi_path_join(folder, target);
        nnfi_free(folder);
    }
    if (!next) return nnfi_error_memory((size_t)length, "a path");
    nnfi_free(*path);
    *path = next;
    return NNF_OK;
}

/* A file behind symbolic links is replaced where it stands, so that the links stay what they are.
 */
static nnf_status follow_links(nnfi_output *output) {
    bool link = true;
    for (int i = 0; i < MAX_LINKS && link; i++)
        NNFI_TRY(follow_link(&output->path, &link));
    return link ? cannot_write(output->asked, ELOOP) : NNF_OK;
}

/* Six characters that no other output of this process has, and hardly one of another process. */
static void make_suffix(char suffix[7]) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    static atomic_uint count;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t number = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30 ^ (uint64_t)getpid() << 40;
    number = (number + atomic_fetch_add(&count, 1)) * 0x9e3779b97f4a7c15u >> 16;
    for (int i = 0; i < 6; i++, number /= 36)
        suffix[i] = digits[number % 36];
    suffix[6] = '\0';
}

/* As mkstemp does, but with the permissions that a new file gets: mkstemp's are narrower, and
 * reading the umask to widen them would change it for the other threads. */
static nnf_status create_temporary(nnfi_output *output, mode_t mode) {
    char *folder = nnfi_path_folder(output->path);
    if (!folder) return nnfi_error_memory(strlen(output->path), "a path");
    const char *slash = strrchr(output->path, '/');
    const char *name = slash ? slash + 1 : output->path;
    nnf_status status = NNF_OK;
    do {
        char suffix[7];
        make_suffix(suffix);
        nnfi_free(output->temporary);
        /* The name is cut so that the longer one is no longer than a name may be. */
        output->temporary = nnfi_format("%s/.%.200s.nnfuse-%s", folder, name, suffix);
        if (!output->temporary) {
            status = nnfi_error_memory(strlen(output->path), "a path");
            break;
        }
        output->file = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    } while (output->file < 0 && (errno == EEXIST || errno == EINTR));
    if (status == NNF_OK && output->file < 0) {
        status = cannot_write(output->asked, errno);
        nnfi_free(output->temporary);
        output->temporary = NULL;
    }
    nnfi_free(folder);
    return status;
}

static nnf_status open_output(nnfi_output *output) {
    struct stat old;
    bool exists = stat(output->asked, &old) == 0;
    if (!exists && errno != ENOENT) return cannot_write(output->asked, errno);
    if (exists && S_ISDIR(old.st_mode)) return cannot_write(output->asked, EISDIR);
    if (exists && !S_ISREG(old.st_mode)) {
        output->file = open(output->asked, O_WRONLY | O_CLOEXEC);
        return output->file < 0 ? cannot_write(output->asked, errno) : NNF_OK;
    }
    /* A rename would replace a file that its owner has write-protected. */
    if (exists && access(output->asked, W_OK) < 0) return cannot_write(output->asked, errno);
    NNFI_TRY(follow_links(output));
    NNFI_TRY(create_temporary(output, exists ? old.st_mode & 0777 : 0666));
    /* root can keep another user's file that user's; where nobody may, it is the writer's now. */
    if (exists && fchown(output->file, old.st_uid, old.st_gid) < 0) errno = 0;
    if (exists && fchmod(output->file, old.st_mode & 07777) < 0)
        return cannot_write(output->asked, errno);
    return NNF_OK;
}

static nnf_status new_output(nnfi_output **out, void *memory) {
    nnfi_output *output = nnfi_calloc(1, sizeof *output);
    if (!output) return nnfi_error_memory(sizeof *output, "an output file");
    output->file = -1;
    output->memory = memory;
    *out = output;
    return NNF_OK;
}

nnf_status nnfi_output_over(nnfi_output **out, void *buffer) {
    return new_output(out, buffer);
}

nnf_status nnfi_output_open(nnfi_output **out, const char *path) {
    nnfi_output *output;
    NNFI_TRY(new_output(&output, NULL));
    output->asked = nnfi_strdup(path);
    output->path = nnfi_strdup(path);
    nnf_status status = output->asked && output->path ? open_output(output)
                                                      : nnfi_error_memory(strlen(path), "a path");
    if (status != NNF_OK) {
        nnfi_output_discard(output);
        return status;
    }
    *out = output;
    return NNF_OK;
}

/* ---- Bytes ---- */

bool nnfi_output_is_stream(const nnfi_output *output) {
    return !output->memory && !output->temporary;
}

nnf_status nnfi_output_put(const nnfi_output *output, uint64_t at, const void *data, size_t size) {
    const uint8_t *bytes = data;
    if (output->memory && size > 0) memcpy(output->memory + at, data, size);
    while (!output->memory && size > 0) {
        size_t part = size < WRITE_SIZE_MAX ? size : WRITE_SIZE_MAX;
        ssize_t n = output->temporary ? pwrite(output->file, bytes, part, (off_t)at)
                                      : write(output->file, bytes, part);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cannot_write(output->asked, errno);
        bytes += n;
        size -= (size_t)n;
        at += (uint64_t)n;
    }
    return NNF_OK;
}

/* How many bytes the system copied itself; what it did not copy is left to be put. */
static size_t copy_in_kernel(const nnfi_output *output, uint64_t at, const nnfi_bytes *from,
                             size_t begin, size_t size) {
    size_t done = 0;
#ifdef __linux__
    int64_t offset;
    int file = nnfi_bytes_file(from, &offset);
    off_t in = (off_t)(offset + (int64_t)begin), out = (off_t)at;
    while (file >= 0 && output->temporary && done < size) {
        ssize_t n = copy_file_range(file, &in, output->file, &out, size - done, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
#else
    (void)output, (void)at, (void)from, (void)begin, (void)size;
#endif
    return done;
}

nnf_status nnfi_output_copy(const nnfi_output *output, uint64_t at, const nnfi_bytes *from,
                            size_t begin, size_t size) {
    size_t done = copy_in_kernel(output, at, from, begin, size);
    return nnfi_output_put(output, at + done, nnfi_bytes_data(from) + begin + done, size - done);
}

/* ---- Into its place ---- */

nnf_status nnfi_output_finish(nnfi_output *output) {
    if (!output->temporary || fsync(output->file) == 0) return NNF_OK;
    return cannot_write(output->asked, errno);
}

const char *nnfi_output_path(const nnfi_output *output) {
    return output->temporary ? output->temporary : output->path;
}

const char *nnfi_output_target(const nnfi_output *output) {
    return output->path;
}

/* So that the new name survives a crash as well. The file is there already: where a file system
 * cannot do it for folders, that is no failure. */
static void sync_folder(const char *path) {
    char *folder = nnfi_path_folder(path);
    int file = folder ? open(folder, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        fsync(file);
        close(file);
    }
    nnfi_free(folder);
}

static void free_output(nnfi_output *output) {
    nnfi_free(output->asked);
    nnfi_free(output->path);
    nnfi_free(output->temporary);
    nnfi_free(output);
}

static nnf_status close_file(nnfi_output *output) {
    int closed = output->file >= 0 ? close(output->file) : 0;
    output->file = -1;
    return closed < 0 && errno != EINTR ? cannot_write(output->asked, errno) : NNF_OK;
}

nnf_status nnfi_output_commit(nnfi_output *output) {
    nnf_status status = nnfi_output_finish(output);
    if (status == NNF_OK && output->temporary && rename(output->temporary, output->path) < 0)
        status = cannot_write(output->asked, errno);
    if (status == NNF_OK && !output->temporary) status = close_file(output);
    if (status != NNF_OK) {
        nnfi_output_discard(output);
        return status;
    }
    (void)close_file(output); /* it was synced: closing has nothing to say */
    if (output->temporary) sync_folder(output->path);
    free_output(output);
    return NNF_OK;
}

void nnfi_output_discard(nnfi_output *output) {
    if (!output) return;
    (void)close_file(output);
    if (output->temporary) unlink(output->temporary);
    free_output(output);
}
