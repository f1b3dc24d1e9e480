/* The public functions that save. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/onnx/replace.h"
#include "formats/onnx/write.h"
#include "support/memory.h"

struct nnf_pending_file {
    nnfi_output *model;
    nnfi_output
        *data; /* of an external data file, which has its name already; NULL: there is none */
    nnfi_kept_files kept; /* of others' data files */
    bool map;             /* how a file that is replaced is looked at */
};

/* ---- To memory ---- */

nnf_status nnf_onnx_save_memory(const nnf_module *graph, void **data, size_t *size,
                                const nnf_onnx_save_options *options) {
    nnfi_write_plan plan;
    if (!graph || !data || !size) {
        return nnf_error(NNF_ERROR_INVALID, "nnf_onnx_save_memory needs a graph and outputs");
    }
    NNFI_TRY(nnfi_write_plan_make(&plan, graph, options));
    nnfi_file_layout layout = {.plan = &plan};
    nnf_status status = nnfi_file_layout_make(&layout);
    size_t total = status == NNF_OK ? (size_t)nnfi_file_layout_size(&layout) : 0;
    uint8_t *bytes = status == NNF_OK ? nnfi_alloc(total) : NULL;
    if (status == NNF_OK && !bytes) status = nnfi_error_memory(total, "a model");
    nnfi_output *output = NULL;
    if (status == NNF_OK) status = nnfi_output_over(&output, bytes);
    if (status == NNF_OK) {
        status = nnfi_segments_write(&layout, layout.segments, layout.n_segments, output);
    }
    nnfi_output_discard(output);
    nnfi_file_layout_clear(&layout);
    nnfi_write_plan_clear(&plan);
    if (status != NNF_OK) {
        nnfi_free(bytes);
        return status;
    }
    *data = bytes;
    *size = total;
    return NNF_OK;
}

/* ---- To files ---- */

static bool same_path(const char *a, const char *b) {
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    bool same = real_a && real_b && strcmp(real_a, real_b) == 0;
    free(real_a);
    free(real_b);
    return same;
}

/* A name for the data file that no file has: "<name>.data", "<name>.1.data" ... So nothing of the
 * user's is overwritten, and the model in front of it stays whole until it is replaced. */
static nnf_status choose_data_path(char **out, const char *path) {
    for (int i = 0;; i++) {
        *out = i == 0 ? nnfi_format("%s.data", path) : nnfi_format("%s.%d.data", path, i);
        if (!*out) return nnfi_error_memory(strlen(path), "a path");
        if (access(*out, F_OK) < 0) return NNF_OK;
        nnfi_free(*out);
    }
}

static nnf_status write_file(nnfi_output **output, const char *path, const nnfi_file_layout *layout,
                             const nnfi_segment *segments, size_t n) {
    if (!*output) NNFI_TRY(nnfi_output_open(output, path));
    NNFI_TRY(nnfi_segments_write(layout, segments, n, *output));
    return nnfi_output_finish(*output);
}

/* The data file gets its own name before the model does: the model's text has it, and is read under
 * its temporary name. By then the model is whole, so that it says whose the data file is even if
 * nothing more comes. */
static nnf_status write_files(nnf_pending_file *pending, const nnfi_file_layout *layout,
                              const char *data_path) {
    if (layout->n_data > 0) {
        NNFI_TRY(write_file(&pending->data, data_path, layout, layout->data, layout->n_data));
    }
    NNFI_TRY(write_file(&pending->model, NULL, layout, layout->segments, layout->n_segments));
    return pending->data ? nnfi_output_place(pending->data) : NNF_OK;
}

/* A model takes the place of the one that it came from, but not of that one's weights. */
static nnf_status check_target(const nnfi_source *source, const char *path) {
    nnf_status status = NNF_OK;
    for (size_t i = 0; source && source->folder && i < source->n_files && status == NNF_OK; i++) {
        char *data = nnfi_path_join(source->folder, source->files[i].location);
        if (!data) return nnfi_error_memory(strlen(path), "a path");
        if (same_path(path, data))
            status = nnf_error(NNF_ERROR_WRITE, "cannot write '%s': it holds weights of '%s'", path,
                               source->name);
        nnfi_free(data);
    }
    return status;
}

/* Where the model goes decides what it says of external data. */
static nnf_status save(nnf_pending_file *pending, nnfi_write_plan *plan, bool all_external) {
    nnfi_file_layout layout = {.plan = plan, .same_folder = true};
    const char *path = nnfi_output_target(pending->model);
    char *folder = nnfi_path_folder(path), *data_path = NULL;
    nnf_status status = folder ? NNF_OK : nnfi_error_memory(strlen(path), "a path");
    if (status == NNF_OK && plan->has_external) {
        layout.same_folder = plan->source->folder && same_path(folder, plan->source->folder);
        layout.same_model = same_path(path, plan->source->name);
    }
    bool beside = !nnfi_output_is_stream(pending->model) && (plan->has_external || all_external);
    if (status == NNF_OK && beside) status = choose_data_path(&data_path, path);
    if (status == NNF_OK && beside) {
        layout.data_name = nnfi_path_name(data_path);
        layout.all_external = all_external;
    }
    if (status == NNF_OK) status = nnfi_file_layout_make(&layout);
    if (status == NNF_OK) status = check_target(plan->source, path);
    if (status == NNF_OK) status = write_files(pending, &layout, data_path);
    pending->kept = layout.kept;
    layout.kept = (nnfi_kept_files){0};
    nnfi_file_layout_clear(&layout);
    nnfi_free(folder);
    nnfi_free(data_path);
    return status;
}

nnf_status nnf_onnx_save_pending(nnf_pending_file **out, const nnf_module *graph, const char *path,
                                 const nnf_onnx_save_options *options) {
    nnfi_write_plan plan;
    if (!out || !graph || !path) {
        return nnf_error(NNF_ERROR_INVALID, "saving a model needs a graph and a path");
    }
    nnf_pending_file *pending = nnfi_calloc(1, sizeof *pending);
    if (!pending) return nnfi_error_memory(sizeof *pending, "an output file");
    nnf_status status = nnfi_write_plan_make(&plan, graph, options);
    if (status == NNF_OK) {
        pending->map = plan.source && plan.source->map;
        status = nnfi_output_open(&pending->model, path);
        if (status == NNF_OK && !nnfi_output_is_stream(pending->model)) {
            nnfi_leftovers_remove(nnfi_output_target(pending->model), pending->map);
        }
        if (status == NNF_OK) status = save(pending, &plan, options && options->external_data);
        nnfi_write_plan_clear(&plan);
    }
    if (status != NNF_OK) {
        nnf_pending_file_discard(pending);
        return status;
    }
    *out = pending;
    return NNF_OK;
}

const char *nnf_pending_file_path(const nnf_pending_file *pending) {
    return pending ? nnfi_output_path(pending->model) : NULL;
}

const char *nnf_pending_file_data_path(const nnf_pending_file *pending) {
    return pending && pending->data ? nnfi_output_target(pending->data) : NULL;
}

size_t nnf_pending_file_n_kept(const nnf_pending_file *pending) {
    return pending ? pending->kept.n : 0;
}

const char *nnf_pending_file_kept(const nnf_pending_file *pending, size_t index,
                                  size_t *n_tensors) {
    if (!pending || index >= pending->kept.n) return NULL;
    const nnfi_kept_file *file = &pending->kept.items[index];
    if (n_tensors) *n_tensors = file->n_tensors;
    return file->location;
}

/* The data of the model that is replaced goes last. Until then that model has a temporary name too,
 * by which the next run would know what to remove. */
static nnf_status replace(nnf_pending_file *pending) {
    const char *path = nnfi_output_target(pending->model);
    nnfi_paths old = {0};
    char *kept = NULL;
    nnf_status status = NNF_OK;
    if (!nnfi_output_is_stream(pending->model)) {
        status =
            nnfi_data_only_of(&old, path, path, nnfi_output_path(pending->model), pending->map);
    }
    if (status == NNF_OK && old.n > 0) status = nnfi_output_keep_old(pending->model, &kept);
    if (status == NNF_OK) {
        status = nnfi_output_commit(pending->model);
        pending->model = NULL;
    }
    if (status == NNF_OK) nnfi_paths_remove(&old);
    if (kept) remove(kept);
    nnfi_free(kept);
    nnfi_paths_clear(&old);
    return status;
}

nnf_status nnf_pending_file_commit(nnf_pending_file *pending) {
    if (!pending) return nnf_error(NNF_ERROR_INVALID, "there is no pending file to rename");
    nnf_status status = replace(pending);
    if (status == NNF_OK && pending->data) {
        status = nnfi_output_commit(pending->data); /* only closes it */
        pending->data = NULL;
    }
    nnf_pending_file_discard(pending);
    return status;
}

/* The data goes first: while the model is there, it says what else is. */
void nnf_pending_file_discard(nnf_pending_file *pending) {
    if (!pending) return;
    nnfi_output_discard(pending->data);
    nnfi_output_discard(pending->model);
    nnfi_kept_files_clear(&pending->kept);
    nnfi_free(pending);
}

nnf_status nnf_onnx_save(const nnf_module *graph, const char *path,
                         const nnf_onnx_save_options *options) {
    nnf_pending_file *pending;
    NNFI_TRY(nnf_onnx_save_pending(&pending, graph, path, options));
    return nnf_pending_file_commit(pending);
}
