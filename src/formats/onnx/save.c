/* The public functions that save. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/write.h"
#include "support/memory.h"

struct nnf_pending_file {
    nnfi_output *model;
    char *data_path; /* of an external data file that is in its place already, or NULL */
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

static bool same_folder(const char *a, const char *b) {
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    bool same = real_a && real_b && strcmp(real_a, real_b) == 0;
    free(real_a);
    free(real_b);
    return same;
}

static bool file_exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

/* A name for the data file that no file has: "<name>.data", "<name>.1.data" ... So nothing of the
 * user's is overwritten, and the model in front of it stays whole until it is replaced. */
static nnf_status choose_data_path(char **out, const char *path) {
    for (int i = 0;; i++) {
        *out = i == 0 ? nnfi_format("%s.data", path) : nnfi_format("%s.%d.data", path, i);
        if (!*out) return nnfi_error_memory(strlen(path), "a path");
        if (!file_exists(*out)) return NNF_OK;
        nnfi_free(*out);
    }
}

static nnf_status save_data(const nnfi_file_layout *layout, const char *path) {
    nnfi_output *output;
    NNFI_TRY(nnfi_output_open(&output, path));
    nnf_status status = nnfi_segments_write(layout, layout->data, layout->n_data, output);
    if (status == NNF_OK) return nnfi_output_commit(output);
    nnfi_output_discard(output);
    return status;
}

static nnf_status save_model(nnf_pending_file *pending, const nnfi_file_layout *layout) {
    NNFI_TRY(nnfi_segments_write(layout, layout->segments, layout->n_segments, pending->model));
    return nnfi_output_finish(pending->model);
}

/* The folder and the data file's name decide what the model says of external data. The data file
 * gets its own name at once: the model's text has it, and is read under its temporary name. */
static nnf_status save(nnf_pending_file *pending, nnfi_write_plan *plan) {
    nnfi_file_layout layout = {.plan = plan, .same_folder = true};
    const char *path = nnfi_output_target(pending->model);
    char *folder = nnfi_path_folder(path), *data_path = NULL;
    nnf_status status = folder ? NNF_OK : nnfi_error_memory(strlen(path), "a path");
    if (status == NNF_OK && plan->source && plan->source->n_files > 0) {
        layout.same_folder = same_folder(folder, plan->source->folder);
        status = choose_data_path(&data_path, path);
        if (status == NNF_OK) {
            const char *slash = strrchr(data_path, '/');
            layout.data_name = slash ? slash + 1 : data_path;
        }
    }
    if (status == NNF_OK) status = nnfi_file_layout_make(&layout);
    if (status == NNF_OK && layout.n_data > 0) {
        status = save_data(&layout, data_path);
        if (status == NNF_OK) {
            pending->data_path = data_path;
            data_path = NULL;
            layout.data_name = NULL; /* it pointed there; the model's text has it now */
        }
    }
    if (status == NNF_OK) status = save_model(pending, &layout);
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
        status = nnfi_output_open(&pending->model, path);
        if (status == NNF_OK) status = save(pending, &plan);
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
    return nnfi_output_path(pending->model);
}

const char *nnf_pending_file_data_path(const nnf_pending_file *pending) {
    return pending->data_path;
}

nnf_status nnf_pending_file_commit(nnf_pending_file *pending) {
    nnf_status status = nnfi_output_commit(pending->model);
    if (status != NNF_OK && pending->data_path) remove(pending->data_path);
    nnfi_free(pending->data_path);
    nnfi_free(pending);
    return status;
}

void nnf_pending_file_discard(nnf_pending_file *pending) {
    if (!pending) return;
    nnfi_output_discard(pending->model);
    if (pending->data_path) remove(pending->data_path);
    nnfi_free(pending->data_path);
    nnfi_free(pending);
}

nnf_status nnf_onnx_save(const nnf_module *graph, const char *path,
                         const nnf_onnx_save_options *options) {
    nnf_pending_file *pending;
    NNFI_TRY(nnf_onnx_save_pending(&pending, graph, path, options));
    return nnf_pending_file_commit(pending);
}
