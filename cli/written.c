#include "written.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"

/* Of data files that stay, so many are named: some exporters write one for each weight. */
enum { MOST_NAMED = 4 };

int64_t file_bytes(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

/* The size of the file that is at `location`, seen from the folder of `out`. */
static int64_t bytes_beside(const char *out, const char *location) {
    char path[PATH_SIZE];
    return path_beside(path, out, location, strlen(location)) ? file_bytes(path) : -1;
}

int written_note(written_files *files, const nnf_pending_file *pending, const char *out) {
    const char *data = nnf_pending_file_data_path(pending);
    size_t n = nnf_pending_file_n_kept(pending);
    files->data_path = data != NULL ? strdup(data) : NULL;
    files->data_bytes = data != NULL ? file_bytes(data) : 0;
    files->kept = calloc(n + 1, sizeof *files->kept);
    bool there = files->kept != NULL && (data == NULL || files->data_path != NULL);
    for (size_t i = 0; i < n && there; i++) {
        kept_file *kept = &files->kept[files->n_kept++];
        const char *location = nnf_pending_file_kept(pending, i, &kept->n_tensors);
        kept->location = strdup(location);
        kept->bytes = bytes_beside(out, location);
        there = kept->location != NULL;
    }
    return there ? STATUS_DONE : fail(STATUS_INPUT, "out of memory");
}

void written_clear(written_files *files) {
    for (size_t i = 0; i < files->n_kept; i++)
        free(files->kept[i].location);
    free(files->kept);
    free(files->data_path);
    *files = (written_files){0};
}

static void print_file(FILE *file, const char *path, int64_t bytes) {
    char size[NUMBER_TEXT];
    print_clean(file, path);
    if (bytes >= 0) fprintf(file, ": %s", bytes_text(size, bytes));
}

void written_print(FILE *file, const written_files *files, bool all) {
    char number[NUMBER_TEXT];
    size_t n_weights = 0, named = all || files->n_kept <= MOST_NAMED ? files->n_kept : MOST_NAMED;
    fprintf(file, "%s bytes", number_text(number, files->bytes));
    if (files->data_path != NULL) {
        fputs(", with ", file);
        print_file(file, files->data_path, files->data_bytes);
    }
    for (size_t i = 0; i < files->n_kept; i++)
        n_weights += files->kept[i].n_tensors;
    for (size_t i = 0; i < named; i++) {
        if (i == 0)
            fprintf(file, "; %s weight%s in ", number_text(number, (int64_t)n_weights),
                    n_weights == 1 ? " stays" : "s stay");
        else
            fputs(", ", file);
        print_file(file, files->kept[i].location, files->kept[i].bytes);
    }
    if (named < files->n_kept) fprintf(file, " and %zu other files", files->n_kept - named);
}

static json_t *json_file(const char *path, int64_t bytes) {
    json_t *object = json_object();
    json_object_set_new(object, "path", json_text(path));
    json_object_set_new(object, "bytes", bytes >= 0 ? json_integer(bytes) : json_null());
    return object;
}

void written_add_json(json_t *object, const written_files *files) {
    bool data = files != NULL && files->data_path != NULL;
    json_t *kept = json_array();
    for (size_t i = 0; files != NULL && i < files->n_kept; i++) {
        const kept_file *file = &files->kept[i];
        json_t *entry = json_file(file->location, file->bytes);
        json_object_set_new(entry, "weights", json_integer((json_int_t)file->n_tensors));
        json_array_append_new(kept, entry);
    }
    json_object_set_new(object, "bytes", files != NULL ? json_integer(files->bytes) : json_null());
    json_object_set_new(object, "data",
                        data ? json_file(files->data_path, files->data_bytes) : json_null());
    json_object_set_new(object, "kept_data", kept);
}
