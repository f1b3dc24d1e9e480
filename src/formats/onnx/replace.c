#include "formats/onnx/replace.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "formats/onnx/read.h"
#include "support/memory.h"

const char nnfi_data_mark[] = "nnfuse: weights of the ONNX model that this file is named after\n";

bool nnfi_data_is_marked(const nnfi_bytes *bytes) {
    size_t length = strlen(nnfi_data_mark);
    return nnfi_bytes_size(bytes) >= length &&
           memcmp(nnfi_bytes_data(bytes), nnfi_data_mark, length) == 0;
}

/* ---- Lists of files ---- */

void nnfi_paths_remove(const nnfi_paths *paths) {
    for (size_t i = 0; i < paths->n; i++) {
        unlink(paths->items[i]);
    }
}

void nnfi_paths_clear(nnfi_paths *paths) {
    for (size_t i = 0; i < paths->n; i++) {
        nnfi_free(paths->items[i]);
    }
    nnfi_free(paths->items);
    *paths = (nnfi_paths){0};
}

static nnf_status add_path(nnfi_paths *paths, const char *folder, const char *entry) {
    char *path = nnfi_path_join(folder, entry);
    if (path && nnfi_reserve(&paths->items, &paths->capacity, paths->n + 1, sizeof *paths->items)) {
        paths->items[paths->n++] = path;
        return NNF_OK;
    }
    nnfi_free(path);
    return nnfi_error_memory(strlen(entry), "a path");
}

/* "<name>.data" or "<name>.<number>.data". */
static bool is_data_name(const char *entry, size_t n, const char *name) {
    static const char end[] = ".data";
    size_t length = strlen(name);
    if (n < length + strlen(end) || memcmp(entry, name, length) != 0) return false;
    const char *at = entry + length, *tail = entry + n - strlen(end);
    if (memcmp(tail, end, strlen(end)) != 0) return false;
    if (at < tail && *at == '.') at++;
    while (at < tail && isdigit((unsigned char)*at)) {
        at++;
    }
    return at == tail;
}

static bool is_data_entry(const char *entry, const char *name) {
    return is_data_name(entry, strlen(entry), name);
}

static bool is_leftover_entry(const char *entry, const char *name) {
    const char *inner;
    size_t length;
    if (!nnfi_is_temporary(entry, &inner, &length)) return false;
    bool models = length == nnfi_temporary_length(name) && memcmp(inner, name, length) == 0;
    return models || is_data_name(inner, length, name);
}

/* The entries of the path's folder that are wanted. A folder that cannot be read has none. */
static nnf_status list_beside(nnfi_paths *out, const char *path,
                              bool (*wanted)(const char *entry, const char *name)) {
    char *folder = nnfi_path_folder(path);
    if (!folder) return nnfi_error_memory(strlen(path), "a path");
    DIR *listing = opendir(folder);
    nnf_status status = NNF_OK;
    struct dirent *entry;
    while (listing && status == NNF_OK && (entry = readdir(listing))) {
        if (wanted(entry->d_name, nnfi_path_name(path))) {
            status = add_path(out, folder, entry->d_name);
        }
    }
    if (listing) closedir(listing);
    nnfi_free(folder);
    return status;
}

/* ---- Who refers to what ---- */

/* NULL where there is no file, or it is no model. */
static nnf_status open_model(nnfi_source **out, const char *path, bool map) {
    nnfi_bytes *bytes;
    *out = NULL;
    if (access(path, F_OK) < 0) return NNF_OK;
    NNFI_TRY(nnfi_bytes_read(&bytes, path, map));
    nnf_status status = nnfi_source_new(out, bytes, path, NULL, map);
    return status == NNF_ERROR_MEMORY ? status : NNF_OK;
}

static nnf_status refers_to(bool *found, const nnfi_source *source, const char *name) {
    *found = false;
    for (size_t i = 0; !*found && i < source->n_initializers; i++) {
        nnfi_tensor_proto proto;
        nnfi_span location = {0, 0};
        NNFI_TRY(
            nnfi_tensor_proto_read(&proto, nnfi_source_reader(source, source->initializers[i],
                                                              "graph.initializer", (int64_t)i)));
        if (proto.external) NNFI_TRY(nnfi_tensor_proto_location(&location, source, &proto));
        const char *text = (const char *)nnfi_bytes_data(source->bytes);
        while (location.end - location.begin > 2 && memcmp(text + location.begin, "./", 2) == 0) {
            location.begin += 2;
        }
        *found = proto.external && nnfi_source_equals(source, location, name);
    }
    return NNF_OK;
}

static nnf_status is_marked_file(bool *marked, const char *path) {
    nnfi_bytes *bytes;
    *marked = false;
    nnf_status status =
        nnfi_bytes_read_range(&bytes, path, false, 0, (int64_t)strlen(nnfi_data_mark));
    if (status == NNF_ERROR_FORMAT) return NNF_OK; /* it is shorter */
    NNFI_TRY(status);
    *marked = nnfi_data_is_marked(bytes);
    nnfi_bytes_release(bytes);
    return NNF_OK;
}

/* Of the data files beside a model, keeps those that only `model` refers to. */
static nnf_status keep_own(nnfi_paths *paths, const nnfi_source *model, const nnfi_source *kept) {
    size_t n = paths->n;
    paths->n = 0;
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n; i++) {
        bool own = false, marked = false, needed = false;
        const char *name = nnfi_path_name(paths->items[i]);
        if (status == NNF_OK) status = refers_to(&own, model, name);
        if (status == NNF_OK && kept) status = refers_to(&needed, kept, name);
        if (status == NNF_OK && own && !needed) status = is_marked_file(&marked, paths->items[i]);
        if (status == NNF_OK && marked)
            paths->items[paths->n++] = paths->items[i];
        else
            nnfi_free(paths->items[i]);
    }
    return status;
}

nnf_status nnfi_data_only_of(nnfi_paths *out, const char *path, const char *model, const char *kept,
                             bool map) {
    nnfi_source *old = NULL, *new = NULL;
    *out = (nnfi_paths){0};
    nnf_status status = list_beside(out, path, is_data_entry);
    if (status == NNF_OK && out->n > 0) status = open_model(&old, model, map);
    if (status == NNF_OK && old) status = open_model(&new, kept, map);
    /* A file that is there and cannot be read may need anything. */
    bool unknown = !old || (!new &&access(kept, F_OK) == 0);
    if (status == NNF_OK && !unknown) status = keep_own(out, old, new);
    nnfi_source_release(old);
    nnfi_source_release(new);
    if (status != NNF_OK || unknown) nnfi_paths_clear(out);
    return status;
}

void nnfi_leftovers_remove(const char *path, bool map) {
    nnfi_paths leftovers = {0}, data;
    (void)list_beside(&leftovers, path, is_leftover_entry);
    for (size_t i = 0; i < leftovers.n; i++) {
        if (nnfi_is_held(leftovers.items[i])) continue;
        if (nnfi_data_only_of(&data, path, leftovers.items[i], path, map) != NNF_OK) continue;
        nnfi_paths_remove(&data);
        nnfi_paths_clear(&data);
        unlink(leftovers.items[i]);
    }
    nnfi_paths_clear(&leftovers);
}
