#define _FILE_OFFSET_BITS 64
#define _XOPEN_SOURCE 700

#include "support/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/memory.h"

struct nnfi_bytes {
    atomic_size_t references;
    const uint8_t *data;
    size_t size;
    void *base;         /* what is freed or unmapped: `data` may begin inside of it */
    size_t mapped_size; /* 0: `base` is from nnfi_alloc */
    int file;           /* that is mapped, open, to be copied from; -1: none */
    int64_t offset;     /* of `data` in it */
};

/* Models with a data file for each tensor are mapped too, and a process may open few files: the
 * first ones stay open. */
#define MOST_OPEN 64
static atomic_int n_open;

/* A part of a file that somebody asked for. */
typedef struct range {
    const char *path;
    int64_t offset, length; /* length -1: to the end */
} range;

#define READ_SIZE_MAX ((size_t)1 << 30) /* some systems refuse more in one call */

static nnf_status cannot_read(const char *path, int reason) {
    return nnf_error(NNF_ERROR_READ, "cannot read '%s': %s", path, strerror(reason));
}

/* Checks the range against the file's size and gives its end. */
static nnf_status check_range(const range *part, int64_t file_size, int64_t *end) {
    *end = file_size;
    if (part->offset >= 0 && part->offset <= file_size && part->length < 0) return NNF_OK;
    if (nnfi_add(part->offset, part->length, end) && *end <= file_size) return NNF_OK;
    if (part->length < 0)
        return nnf_error(NNF_ERROR_FORMAT,
                         "'%s' has %lld bytes, but its part from byte %lld on is needed",
                         part->path, (long long)file_size, (long long)part->offset);
    return nnf_error(NNF_ERROR_FORMAT,
                     "'%s' has %lld bytes, but %lld bytes from byte %lld on are needed", part->path,
                     (long long)file_size, (long long)part->length, (long long)part->offset);
}

/* Takes over `base`, also where it fails. */
static nnf_status wrap(nnfi_bytes **out, void *base, size_t skip, size_t size, size_t mapped_size) {
    nnfi_bytes *bytes = nnfi_alloc(sizeof *bytes);
    if (!bytes) {
        if (mapped_size > 0)
            munmap(base, mapped_size);
        else
            nnfi_free(base);
        return nnfi_error_memory(sizeof *bytes, "a file's bytes");
    }
    atomic_init(&bytes->references, 1);
    bytes->data = (const uint8_t *)base + skip;
    bytes->size = size;
    bytes->base = base;
    bytes->mapped_size = mapped_size;
    bytes->file = -1;
    *out = bytes;
    return NNF_OK;
}

/* Reads up to `size` bytes; fewer only at the file's end. */
static nnf_status read_fully(int file, const char *path, uint8_t *data, size_t size, size_t *got) {
    *got = 0;
    while (*got < size) {
        size_t rest = size - *got;
        ssize_t n = read(file, data + *got, rest < READ_SIZE_MAX ? rest : READ_SIZE_MAX);
        if (n == 0) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cannot_read(path, errno);
        *got += (size_t)n;
    }
    return NNF_OK;
}

/* What has no size beforehand (a pipe, a terminal, a file of /proc): all of it, then its part. */
static nnf_status read_stream(nnfi_bytes **out, int file, const range *part) {
    uint8_t *data = NULL;
    size_t capacity = 0, size = 0, got = 0;
    nnf_status status = NNF_OK;
    do {
        if (size == SIZE_MAX || !nnfi_reserve(&data, &capacity, size + 1, 1) ||
            (capacity < 65536 && !nnfi_reserve(&data, &capacity, 65536, 1))) {
            status = nnfi_error_memory(size, part->path);
            goto failed;
        }
        status = read_fully(file, part->path, data + size, capacity - size, &got);
        if (status != NNF_OK) goto failed;
        size += got;
    } while (got > 0);
    int64_t end;
    status = check_range(part, (int64_t)size, &end);
    if (status != NNF_OK) goto failed;
    return wrap(out, data, (size_t)part->offset, (size_t)(end - part->offset), 0);
failed:
    nnfi_free(data);
    return status;
}

static nnf_status read_part(nnfi_bytes **out, int file, const range *part, size_t size) {
    if (lseek(file, (off_t)part->offset, SEEK_SET) < 0) return cannot_read(part->path, errno);
    uint8_t *data = nnfi_alloc(size);
    if (!data) return nnfi_error_memory(size, part->path);
    size_t got;
    nnf_status status = read_fully(file, part->path, data, size, &got);
    if (status == NNF_OK && got < size)
        status =
            nnf_error(NNF_ERROR_READ, "cannot read '%s': it became shorter meanwhile", part->path);
    if (status != NNF_OK) {
        nnfi_free(data);
        return status;
    }
    return wrap(out, data, 0, size, 0);
}

static void keep_open(nnfi_bytes *bytes, int file, int64_t offset) {
    int number = atomic_fetch_add(&n_open, 1);
    if (number < MOST_OPEN) bytes->file = fcntl(file, F_DUPFD_CLOEXEC, 3);
    if (bytes->file < 0) atomic_fetch_sub(&n_open, 1);
    bytes->offset = offset;
}

/* A mapping begins at a page; false where the system cannot map this file. */
static bool map_part(nnfi_bytes **out, int file, const range *part, size_t size,
                     nnf_status *status) {
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0 || size == 0) return false;
    size_t skip = (size_t)(part->offset % page);
    if (size > SIZE_MAX - skip) return false;
    void *base = mmap(NULL, size + skip, PROT_READ, MAP_PRIVATE, file,
                      (off_t)(part->offset - (int64_t)skip));
    if (base == MAP_FAILED) return false;
    *status = wrap(out, base, skip, size, size + skip);
    if (*status == NNF_OK) keep_open(*out, file, part->offset);
    return true;
}

static nnf_status read_open_file(nnfi_bytes **out, int file, bool map, const range *part) {
    struct stat info;
    if (fstat(file, &info) < 0) return cannot_read(part->path, errno);
    if (S_ISDIR(info.st_mode)) return cannot_read(part->path, EISDIR);
    if (!S_ISREG(info.st_mode) || info.st_size == 0) return read_stream(out, file, part);
    int64_t end;
    NNFI_TRY(check_range(part, (int64_t)info.st_size, &end));
    uint64_t size = (uint64_t)(end - part->offset);
    if (size > SIZE_MAX)
        return nnf_error(NNF_ERROR_MEMORY,
                         "'%s' does not fit in this machine's addresses: %lld bytes", part->path,
                         (long long)size);
    nnf_status status;
    if (map && map_part(out, file, part, (size_t)size, &status)) return status;
    return read_part(out, file, part, (size_t)size);
}

nnf_status nnfi_bytes_read_range(nnfi_bytes **out, const char *path, bool map, int64_t offset,
                                 int64_t length) {
    int file;
    do
        file = open(path, O_RDONLY | O_CLOEXEC);
    while (file < 0 && errno == EINTR);
    if (file < 0) return cannot_read(path, errno);
    nnf_status status = read_open_file(out, file, map, &(range){path, offset, length});
    close(file);
    return status;
}

nnf_status nnfi_bytes_read(nnfi_bytes **out, const char *path, bool map) {
    return nnfi_bytes_read_range(out, path, map, 0, -1);
}

nnf_status nnfi_bytes_copy(nnfi_bytes **out, const void *data, size_t size) {
    void *copy = nnfi_alloc(size);
    if (!copy) return nnfi_error_memory(size, "a copy of a buffer");
    if (size > 0) memcpy(copy, data, size);
    return wrap(out, copy, 0, size, 0);
}

nnfi_bytes *nnfi_bytes_retain(nnfi_bytes *bytes) {
    if (bytes) atomic_fetch_add_explicit(&bytes->references, 1, memory_order_relaxed);
    return bytes;
}

void nnfi_bytes_release(nnfi_bytes *bytes) {
    if (!bytes || atomic_fetch_sub_explicit(&bytes->references, 1, memory_order_acq_rel) != 1)
        return;
    if (bytes->mapped_size > 0)
        munmap(bytes->base, bytes->mapped_size);
    else
        nnfi_free(bytes->base);
    if (bytes->file >= 0) {
        close(bytes->file);
        atomic_fetch_sub(&n_open, 1);
    }
    nnfi_free(bytes);
}

int nnfi_bytes_file(const nnfi_bytes *bytes, int64_t *offset) {
    *offset = bytes->offset;
    return bytes->file;
}

const uint8_t *nnfi_bytes_data(const nnfi_bytes *bytes) {
    return bytes->data;
}

size_t nnfi_bytes_size(const nnfi_bytes *bytes) {
    return bytes->size;
}

static bool is_separator(char c) {
    return c == '/' || c == '\\'; /* files written on Windows name their data with backslashes */
}

bool nnfi_path_is_inside(const char *path) {
    if (path[0] == '\0' || is_separator(path[0]) || path[1] == ':') return false;
    for (const char *part = path; *part != '\0';) {
        size_t length = 0;
        while (part[length] != '\0' && !is_separator(part[length]))
            length++;
        if (length == 2 && part[0] == '.' && part[1] == '.') return false;
        part += length;
        if (*part != '\0') part++;
    }
    return true;
}

const char *nnfi_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *nnfi_path_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return nnfi_strdup(".");
    size_t length = (size_t)(slash - path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    return length == 0 ? nnfi_strdup("/") : nnfi_strndup(path, length);
}

char *nnfi_path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    bool ends = length > 0 && folder[length - 1] == '/';
    return nnfi_format("%s%s%s", folder, ends ? "" : "/", name);
}
