#define _FILE_OFFSET_BITS 64
#ifdef __linux__
#define _GNU_SOURCE /* copy_file_range */
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
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
    bool placed;     /* has its name already, and the temporary one no more */
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

#define MARK ".nnfuse-"

/* The name is cut so that the longer one is no longer than a name may be. */
#define MOST_OF_NAME 200

static char *temporary_name(const char *path) {
    char suffix[7], *folder = nnfi_path_folder(path);
    if (!folder) return NULL;
    make_suffix(suffix);
    char *name =
        nnfi_format("%s/.%.*s" MARK "%s", folder, MOST_OF_NAME, nnfi_path_name(path), suffix);
    nnfi_free(folder);
    return name;
}

/* Opens a new file under a temporary name, and locks it: what nobody holds has been left behind. As
 * mkstemp does, but with the permissions that a new file gets: mkstemp's are narrower, and reading
 * the umask to widen them would change it for the other threads. False: errno says why. */
static bool try_temporary(nnfi_output *output, mode_t mode) {
    output->file = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (output->file < 0) return false;
    struct stat info;
    /* A file system may have no locks, and then nothing is ever found to be left behind. */
    bool taken = flock(output->file, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (!taken && fstat(output->file, &info) == 0 && info.st_nlink > 0) return true;
    /* Somebody tidied up just between the two. */
    close(output->file);
    output->file = -1;
    errno = EEXIST;
    return false;
}

static nnf_status create_temporary(nnfi_output *output, mode_t mode) {
    bool made;
    do {
        nnfi_free(output->temporary);
        output->temporary = temporary_name(output->path);
        if (!output->temporary) return nnfi_error_memory(strlen(output->path), "a path");
        made = try_temporary(output, mode);
    } while (!made && (errno == EEXIST || errno == EINTR));
    if (made) return NNF_OK;
    nnf_status status = cannot_write(output->asked, errno);
    nnfi_free(output->temporary);
    output->temporary = NULL;
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

nnf_status nnfi_output_place(nnfi_output *output) {
    NNFI_TRY(nnfi_output_finish(output));
    /* A link fails where the name is taken, and a rename replaces; not all file systems have
     * links. */
    if (link(output->temporary, output->path) == 0)
        unlink(output->temporary);
    else if (errno == EEXIST || rename(output->temporary, output->path) < 0)
        return cannot_write(output->asked, errno);
    output->placed = true;
    sync_folder(output->path);
    return NNF_OK;
}

static nnf_status take_place(nnfi_output *output) {
    if (!output->temporary) return close_file(output);
    if (output->placed) return NNF_OK;
    NNFI_TRY(nnfi_output_finish(output));
    if (rename(output->temporary, output->path) < 0) return cannot_write(output->asked, errno);
    sync_folder(output->path);
    return NNF_OK;
}

nnf_status nnfi_output_commit(nnfi_output *output) {
    nnf_status status = take_place(output);
    if (status != NNF_OK) {
        nnfi_output_discard(output);
        return status;
    }
    (void)close_file(output); /* it was synced: closing has nothing to say */
    free_output(output);
    return NNF_OK;
}

void nnfi_output_discard(nnfi_output *output) {
    if (!output) return;
    if (output->temporary) unlink(output->placed ? output->path : output->temporary);
    (void)close_file(output);
    free_output(output);
}

/* ---- What was left behind ---- */

bool nnfi_is_temporary(const char *entry, const char **name, size_t *length) {
    size_t tail = strlen(MARK) + 6, whole = strlen(entry);
    if (entry[0] != '.' || whole < 1 + tail) return false;
    *name = entry + 1;
    *length = whole - 1 - tail;
    return memcmp(entry + whole - tail, MARK, strlen(MARK)) == 0;
}

size_t nnfi_temporary_length(const char *name) {
    size_t length = strlen(name);
    return length < MOST_OF_NAME ? length : MOST_OF_NAME;
}

bool nnfi_is_held(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool held = file < 0 || flock(file, LOCK_EX | LOCK_NB) < 0;
    if (file >= 0) close(file);
    return held;
}

nnf_status nnfi_output_keep_old(const nnfi_output *output, char **kept) {
    *kept = temporary_name(output->path);
    if (!*kept) return nnfi_error_memory(strlen(output->path), "a path");
    if (link(output->path, *kept) == 0) return NNF_OK;
    nnfi_free(*kept); /* then it is only removed sooner than it could be known to be the last */
    *kept = NULL;
    return NNF_OK;
}
