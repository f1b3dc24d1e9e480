#include "files.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One command writes one model at a time: a file and perhaps its data file. The handler reads a
 * path only where it is set. */
typedef struct temporary {
    char path[PATH_SIZE];
    volatile sig_atomic_t set;
} temporary;
static temporary model_file, data_file;

static void set_temporary(temporary *file, const char *path) {
    file->set = 0;
    if (path == NULL || strlen(path) >= sizeof file->path) return;
    strcpy(file->path, path);
    file->set = 1;
}

void files_set_temporary(const char *path, const char *data_path) {
    set_temporary(&model_file, path);
    set_temporary(&data_file, data_path);
}

void files_remove_temporary(void) {
    if (model_file.set) unlink(model_file.path);
    if (data_file.set) unlink(data_file.path);
}

const char *input_name(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

bool path_beside(char out[PATH_SIZE], const char *path, const char *name, size_t length) {
    const char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    if (folder >= PATH_SIZE || length >= PATH_SIZE - folder) return false;
    memcpy(out, path, folder);
    memcpy(out + folder, name, length);
    out[folder + length] = '\0';
    return true;
}

static nnf_status read_stream(void **data, size_t *size, FILE *file, const char *name) {
    char *buffer = NULL;
    size_t used = 0, room = 0;
    do {
        if (room - used < 65536) {
            size_t more = room < 65536 ? 131072 : 2 * room;
            char *grown = realloc(buffer, more);
            if (grown == NULL) {
                free(buffer);
                return nnf_error(NNF_ERROR_MEMORY, "%s: out of memory after %zu bytes", name, used);
            }
            buffer = grown;
            room = more;
        }
        used += fread(buffer + used, 1, room - used, file);
    } while (!feof(file) && !ferror(file));
    if (ferror(file)) {
        free(buffer);
        return nnf_error(NNF_ERROR_READ, "%s: %s", name, strerror(errno));
    }
    *data = buffer;
    *size = used;
    return NNF_OK;
}

nnf_status file_read(void **data, size_t *size, const char *path) {
    if (strcmp(path, "-") == 0) {
        if (!feof(stdin)) return read_stream(data, size, stdin, "standard input");
        return nnf_error(NNF_ERROR_READ,
                         "'-' stands for two files: standard input is read already");
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) return nnf_error(NNF_ERROR_READ, "%s: %s", path, strerror(errno));
    nnf_status status = read_stream(data, size, file, path);
    fclose(file);
    return status;
}

static nnf_status cannot_write(const char *path) {
    return nnf_error(NNF_ERROR_WRITE, "cannot write '%s': %s", path, strerror(errno));
}

/* The permissions that a file gets: those of the one that it replaces, or what the umask leaves of
 * a new one's. */
static mode_t mode_of(const struct stat *old) {
    if (old != NULL) return old->st_mode & 07777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* A new file that nobody can have put a link in place of (mkstemp), beside the target. */
static nnf_status open_temporary(file_writer *writer, const struct stat *old) {
    size_t size = strlen(writer->target) + 8;
    writer->temporary = malloc(size);
    if (writer->temporary == NULL)
        return nnf_error(NNF_ERROR_MEMORY, "%s: out of memory", writer->path);
    snprintf(writer->temporary, size, "%s.XXXXXX", writer->target);
    int fd = mkstemp(writer->temporary);
    if (fd < 0) return cannot_write(writer->path);
    files_set_temporary(writer->temporary, NULL);
    if (fchmod(fd, mode_of(old)) == 0) writer->file = fdopen(fd, "wb");
    if (writer->file != NULL) return NNF_OK;
    nnf_status status = cannot_write(writer->path);
    close(fd);
    unlink(writer->temporary);
    files_set_temporary(NULL, NULL);
    return status;
}

static void free_paths(file_writer *writer) {
    free(writer->target);
    free(writer->temporary);
    writer->target = writer->temporary = NULL;
}

nnf_status file_open(file_writer *writer, const char *path) {
    *writer = (file_writer){.path = path};
    if (strcmp(path, "-") == 0) {
        writer->path = "standard output";
        writer->file = stdout;
        return NNF_OK;
    }
    struct stat old;
    bool exists = stat(path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) { /* a rename would replace a device */
        writer->file = fopen(path, "wb");
        return writer->file != NULL ? NNF_OK : cannot_write(path);
    }
    /* A rename would replace a file that its owner has write-protected, and a link to a file. */
    if (exists && access(path, W_OK) < 0) return cannot_write(path);
    writer->target = exists ? realpath(path, NULL) : strdup(path);
    nnf_status status =
        writer->target != NULL ? open_temporary(writer, exists ? &old : NULL) : cannot_write(path);
    if (status != NNF_OK) free_paths(writer);
    return status;
}

nnf_status file_write(file_writer *writer, const void *data, size_t size) {
    return fwrite(data, 1, size, writer->file) == size ? NNF_OK : cannot_write(writer->path);
}

nnf_status file_close(file_writer *writer, nnf_status status) {
    if (writer->temporary == NULL) {
        if (fflush(writer->file) != 0 && status == NNF_OK) status = cannot_write(writer->path);
        if (writer->file != stdout) fclose(writer->file);
        return status;
    }
    if (fclose(writer->file) != 0 && status == NNF_OK) status = cannot_write(writer->path);
    if (status == NNF_OK && rename(writer->temporary, writer->target) != 0) {
        status = cannot_write(writer->path);
    }
    if (status != NNF_OK) unlink(writer->temporary);
    files_set_temporary(NULL, NULL);
    free_paths(writer);
    return status;
}
