/* nnfuse run: computes a model's outputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "model.h"
#include "npy.h"
#include "places.h"
#include "report.h"

typedef struct run_job {
    const cli_settings *settings;
    nnf_module *model;
    cli_bindings bindings;
    size_t n_fused;
    nnf_tensor **inputs, **outputs;
    size_t n_inputs, n_outputs;
    const char **paths; /* for each output: where --output says; or NULL */
} run_job;

static const char *output_name(const run_job *job, size_t index) {
    return nnf_graph_value_name(job->model, nnf_graph_output(job->model, index));
}

static int set_path(run_job *job, size_t index, const char *path) {
    if (job->paths[index] != NULL)
        return fail(STATUS_USAGE, "the output '%s' is given twice", output_name(job, index));
    for (size_t i = 0; i < job->n_outputs; i++) {
        if (job->paths[i] == NULL || !same_file(job->paths[i], path)) continue;
        return fail(STATUS_USAGE, "the outputs '%s' and '%s' cannot both go to %s",
                    output_name(job, i), output_name(job, index),
                    strcmp(path, "-") == 0 ? "standard output" : path);
    }
    job->paths[index] = path;
    return check_place(path, job->settings, job->model, job->settings->operands[0]);
}

/* Standard output takes an array, or what is told of the run. */
static int check_stdout(const run_job *job, const char *path) {
    const cli_settings *settings = job->settings;
    const char *told = settings->json ? "--json" : settings->labels != NULL ? "--labels" : NULL;
    if (strcmp(path, "-") != 0) return STATUS_DONE;
    if (told == NULL && isatty(STDOUT_FILENO))
        return fail(STATUS_USAGE, "standard output is a terminal, and an array is no text; name a "
                                  "file with -o");
    if (told == NULL) return STATUS_DONE;
    return fail(STATUS_USAGE,
                "an output and what %s prints cannot both go to standard output; name a file with "
                "-o",
                told);
}

/* Reads --output before anything is computed. */
static int choose_paths(run_job *job) {
    const string_list *given = &job->settings->outputs;
    int status = STATUS_DONE;
    for (size_t i = 0; i < given->n && status == STATUS_DONE; i++) {
        const char *name = NULL, *path = NULL;
        status = split_binding(&name, &path, "--output", given->items[i], job->model);
        if (status == STATUS_DONE) status = check_stdout(job, path);
        for (size_t o = 0; o < job->n_outputs && status == STATUS_DONE; o++) {
            if (strcmp(output_name(job, o), name) == 0) status = set_path(job, o, path);
        }
    }
    return status;
}

/* ---- Running ---- */

static int compute(run_job *job) {
    nnf_session *session = NULL;
    nnf_session_options options = {.threads = (int)job->settings->threads,
                                   .no_winograd = job->settings->no_winograd,
                                   .runs_once = true};
    nnf_status status = NNF_OK;
    if (!job->settings->no_fuse)
        status = model_fuse(job->model, job->settings->mapping, &job->n_fused);
    if (status == NNF_OK) status = nnf_make_inputs(job->inputs, job->model, &job->bindings.options);
    if (status == NNF_OK) status = nnf_session_new(&session, job->model, &options);
    if (status == NNF_OK) {
        status = nnf_session_run(session, job->inputs, job->n_inputs, job->outputs, job->n_outputs);
    }
    nnf_session_release(session);
    return status == NNF_OK ? STATUS_DONE : fail_library(status);
}

static int write_outputs(const run_job *job) {
    for (size_t i = 0; i < job->n_outputs; i++) {
        if (job->paths[i] == NULL) continue;
        nnf_status status = npy_write(job->paths[i], job->outputs[i]);
        if (status != NNF_OK) return fail_library(status);
    }
    return STATUS_DONE;
}

/* ---- What the outputs hold ---- */

typedef struct summary {
    double least, largest, mean;
    int64_t n, n_nonfinite;
} summary;

static void summarize(summary *out, const double *values, int64_t n) {
    *out = (summary){.least = INFINITY, .largest = -INFINITY, .n = n};
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) {
            out->n_nonfinite++;
            continue;
        }
        out->least = fmin(out->least, values[i]);
        out->largest = fmax(out->largest, values[i]);
        out->mean += values[i];
    }
    int64_t finite = n - out->n_nonfinite;
    out->mean = finite > 0 ? out->mean / (double)finite : 0.0;
}

/* -1 where all are NaN. */
static int64_t argmax(const double *values, int64_t n) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!isnan(values[i]) && (best < 0 || values[i] > values[best])) best = i;
    }
    return best;
}

/* An output's numbers as doubles, in a tensor of their own. */
static int doubles(nnf_tensor **out, const double **values, const nnf_tensor *tensor) {
    const void *data = NULL;
    nnf_status status = nnf_tensor_convert(out, tensor, NNF_F64);
    if (status == NNF_OK) status = nnf_tensor_data(*out, &data);
    *values = data;
    return status == NNF_OK ? STATUS_DONE : fail_library(status);
}

/* Rows of [N, classes]; 0 for another output. */
static int64_t n_answers(const nnf_tensor *tensor) {
    bool classes = nnf_tensor_ndim(tensor) == 2 && nnf_tensor_shape(tensor)[1] > 0;
    return classes && nnf_dtype_is_float(nnf_tensor_dtype(tensor)) ? nnf_tensor_shape(tensor)[0]
                                                                   : 0;
}

static void print_answers(const double *values, const nnf_tensor *tensor) {
    enum { MOST_ANSWERS = 16 };
    int64_t n = n_answers(tensor), classes = n > 0 ? nnf_tensor_shape(tensor)[1] : 0;
    if (n == 0) return;
    printf("      largest at");
    for (int64_t i = 0; i < n && i < MOST_ANSWERS; i++) {
        const int64_t best = argmax(values + i * classes, classes);
        fputs(i > 0 ? ", " : " ", stdout);
        if (best < 0)
            fputs("none", stdout);
        else
            printf("%lld", (long long)best);
    }
    puts(n > MOST_ANSWERS ? ", ..." : "");
}

static json_t *json_output(const char *name, const nnf_tensor *tensor, const summary *s,
                           const double *values) {
    json_t *object = json_object();
    json_object_set_new(object, "name", json_text(name));
    json_object_set_new(object, "dtype", json_text(nnf_dtype_name(nnf_tensor_dtype(tensor))));
    json_object_set_new(object, "shape", json_shape(tensor));
    bool any = s->n > s->n_nonfinite;
    json_object_set_new(object, "min", any ? json_number(s->least) : json_null());
    json_object_set_new(object, "max", any ? json_number(s->largest) : json_null());
    json_object_set_new(object, "mean", any ? json_number(s->mean) : json_null());
    json_object_set_new(object, "nonfinite", json_integer(s->n_nonfinite));
    int64_t n = n_answers(tensor), classes = n > 0 ? nnf_tensor_shape(tensor)[1] : 0;
    json_t *answers = json_array();
    for (int64_t i = 0; i < n; i++) {
        const int64_t best = argmax(values + i * classes, classes);
        json_array_append_new(answers, best < 0 ? json_null() : json_integer(best));
    }
    json_object_set_new(object, "argmax", answers);
    return object;
}

static void print_output(const char *name, const nnf_tensor *tensor, const summary *s,
                         const double *values, const char *path) {
    char type[TYPE_TEXT];
    fputs("  ", stdout);
    print_styled(stdout, BOLD, name);
    printf("  %s", tensor_text(type, tensor));
    if (s->n > s->n_nonfinite) {
        printf("  min %.6g  max %.6g  mean %.6g", s->least, s->largest, s->mean);
    }
    if (s->n_nonfinite > 0) printf("  NaN or infinite: %lld", (long long)s->n_nonfinite);
    fputc('\n', stdout);
    print_answers(values, tensor);
    if (path != NULL) {
        fputs("      written to ", stdout);
        print_clean(stdout, path);
        fputc('\n', stdout);
    }
}

static int tell_output(const run_job *job, size_t index, json_t *array) {
    nnf_tensor *copy = NULL;
    const double *values = NULL;
    int status = doubles(&copy, &values, job->outputs[index]);
    if (status == STATUS_DONE) {
        summary s;
        summarize(&s, values, nnf_tensor_numel(copy));
        if (array != NULL) {
            json_array_append_new(
                array, json_output(output_name(job, index), job->outputs[index], &s, values));
        } else {
            print_output(output_name(job, index), job->outputs[index], &s, values,
                         job->paths[index]);
        }
    }
    nnf_tensor_release(copy);
    return status;
}

/* ---- Labels ---- */

/* How many rows of the first output have their largest value where the label says. */
static int count_right(const run_job *job, int64_t *n_right) {
    const nnf_tensor *scores = job->n_outputs > 0 ? job->outputs[0] : NULL;
    if (scores == NULL)
        return fail(STATUS_INPUT, "%s: the model has no output", job->settings->labels);
    if (nnf_count_right(n_right, scores, job->bindings.labels) == NNF_OK) return STATUS_DONE;
    return fail(STATUS_INPUT, "%s: %s", job->settings->labels, nnf_error_message());
}

/* ---- Telling ---- */

static bool writes_stdout(const run_job *job) {
    for (size_t i = 0; i < job->n_outputs; i++) {
        if (job->paths[i] != NULL && strcmp(job->paths[i], "-") == 0) return true;
    }
    return false;
}

static int print_text(const run_job *job, int64_t n_right) {
    int status = STATUS_DONE;
    print_fused(input_name(job->settings->operands[0]), job->n_fused);
    for (size_t i = 0; i < job->n_inputs && job->bindings.options.n_inputs < job->n_inputs; i++) {
        char type[TYPE_TEXT];
        fputs("  input ", stdout);
        print_clean(stdout, nnf_graph_value_name(job->model, nnf_graph_input(job->model, i)));
        printf("  %s\n", tensor_text(type, job->inputs[i]));
    }
    for (size_t i = 0; i < job->n_outputs && status == STATUS_DONE; i++) {
        status = tell_output(job, i, NULL);
    }
    if (job->bindings.labels != NULL && status == STATUS_DONE) {
        int64_t n = nnf_tensor_numel(job->bindings.labels);
        printf("  accuracy: %.2f%% (%lld of %lld right)\n",
               n > 0 ? 100.0 * (double)n_right / (double)n : 0.0, (long long)n_right, (long long)n);
    }
    return status;
}

static json_t *json_inputs(const run_job *job) {
    json_t *array = json_array();
    for (size_t i = 0; i < job->n_inputs; i++) {
        const char *name = nnf_graph_value_name(job->model, nnf_graph_input(job->model, i));
        json_t *object = json_object();
        bool given = false;
        for (size_t g = 0; g < job->bindings.options.n_inputs; g++)
            given = given || strcmp(job->bindings.inputs[g].name, name) == 0;
        json_object_set_new(object, "name", json_text(name));
        json_object_set_new(object, "dtype",
                            json_text(nnf_dtype_name(nnf_tensor_dtype(job->inputs[i]))));
        json_object_set_new(object, "shape", json_shape(job->inputs[i]));
        json_object_set_new(object, "given", json_boolean(given));
        json_array_append_new(array, object);
    }
    return array;
}

static int print_json(const run_job *job, int64_t n_right) {
    json_t *object = json_object(), *outputs = json_array();
    int status = STATUS_DONE;
    for (size_t i = 0; i < job->n_outputs && status == STATUS_DONE; i++) {
        status = tell_output(job, i, outputs);
    }
    json_object_set_new(object, "model", json_text(job->settings->operands[0]));
    json_object_set_new(object, "chains_fused", json_integer((json_int_t)job->n_fused));
    json_object_set_new(object, "inputs", json_inputs(job));
    json_object_set_new(object, "seed", json_integer(job->settings->seed));
    json_object_set_new(object, "outputs", outputs);
    if (job->bindings.labels != NULL) {
        json_object_set_new(object, "labels", json_integer(nnf_tensor_numel(job->bindings.labels)));
        json_object_set_new(object, "right", json_integer(n_right));
    }
    if (status == STATUS_DONE) return json_print(object);
    json_decref(object);
    return status;
}

static int tell(const run_job *job) {
    int64_t n_right = 0;
    int status = job->bindings.labels != NULL ? count_right(job, &n_right) : STATUS_DONE;
    if (status != STATUS_DONE || writes_stdout(job)) return status;
    if (job->settings->json) return print_json(job, n_right);
    return job->settings->quiet ? STATUS_DONE : print_text(job, n_right);
}

static int prepare(run_job *job) {
    job->n_inputs = nnf_graph_n_inputs(job->model);
    job->n_outputs = nnf_graph_n_outputs(job->model);
    job->inputs = calloc(job->n_inputs + 1, sizeof *job->inputs);
    job->outputs = calloc(job->n_outputs + 1, sizeof *job->outputs);
    job->paths = calloc(job->n_outputs + 1, sizeof *job->paths);
    if (job->inputs == NULL || job->outputs == NULL || job->paths == NULL) {
        return fail(STATUS_INPUT, "out of memory");
    }
    return choose_paths(job);
}

static void job_clear(run_job *job) {
    for (size_t i = 0; job->inputs != NULL && i < job->n_inputs; i++) {
        nnf_tensor_release(job->inputs[i]);
    }
    for (size_t i = 0; job->outputs != NULL && i < job->n_outputs; i++) {
        nnf_tensor_release(job->outputs[i]);
    }
    free(job->inputs);
    free(job->outputs);
    free(job->paths);
    bindings_clear(&job->bindings);
    nnf_module_release(job->model);
}

static int run_run(const cli_settings *settings) {
    run_job job = {.settings = settings};
    int status = model_load(&job.model, settings->operands[0]);
    if (status == STATUS_DONE) note_opset(settings, settings->operands[0], job.model);
    if (status == STATUS_DONE) status = prepare(&job);
    if (status == STATUS_DONE) status = bindings_make(&job.bindings, settings, job.model);
    if (status == STATUS_DONE) status = compute(&job);
    if (status == STATUS_DONE) status = write_outputs(&job);
    if (status == STATUS_DONE) status = tell(&job);
    job_clear(&job);
    return status;
}

const cli_command command_run = {
    .name = "run",
    .operands = "MODEL",
    .summary = "computes a model's outputs",
    .about = "Runs a model on numpy files, or on random numbers where none are given, and prints\n"
             "a summary of its outputs or writes them as numpy files. Chains that fuse are fused\n"
             "in memory first.\n\n"
             "options:\n",
    .examples = "  nnfuse run model.onnx                             on random numbers\n"
                "  nnfuse run model.onnx --input images.npy --output answers.npy\n"
                "  nnfuse run model.onnx --input image=images.npy --labels labels.npy\n"
                "  nnfuse run model.onnx --no-fuse --json\n",
    .n_operands = 1,
    .bit = FOR_RUN,
    .run = run_run,
};
