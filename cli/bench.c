/* nnfuse bench: how long a model takes, where the time goes, and how that compares with another
 * model and with what the machine can do. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "model.h"
#include "multiply_adds.h"
#include "peak.h"
#include "report.h"

/* Time of all layers of one type in the profiled runs. */
typedef struct layer_time {
    char type[64];
    size_t n;
    double seconds;
} layer_time;
enum { MAX_LAYER_TYPES = 64 };

/* What a side's runs came to. */
typedef struct timing {
    double median, minimum, spread; /* seconds; spread: between the quartiles */
    double gflop, gflops;           /* NaN where shapes are not known beforehand */
} timing;

/* One of the two models. */
typedef struct bench_side {
    const char *path;
    nnf_module *model;
    nnf_session *session;
    size_t n_fused, n_inputs, n_outputs;
    nnf_tensor **inputs, **outputs;
    double *seconds; /* of the runs that count */
    timing timing;
    layer_time layers[MAX_LAYER_TYPES];
    size_t n_layers;
} bench_side;

typedef struct bench_job {
    const cli_settings *settings;
    cli_bindings bindings;
    bench_side sides[2];
    size_t n_sides;
    int threads;
    bool no_winograd;
    double peak; /* GFLOP/s */
    const char *instructions;
    memory_use memory; /* after the timed runs */
} bench_job;

enum { PROFILED_RUNS = 5 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Models and their inputs ---- */

static int side_load(bench_side *side, const char *path) {
    side->path = path;
    int status = model_load(&side->model, path);
    if (status != STATUS_DONE) return status;
    side->n_inputs = nnf_graph_n_inputs(side->model);
    side->n_outputs = nnf_graph_n_outputs(side->model);
    side->inputs = calloc(side->n_inputs + 1, sizeof *side->inputs);
    side->outputs = calloc(side->n_outputs + 1, sizeof *side->outputs);
    bool there = side->inputs != NULL && side->outputs != NULL;
    return there ? STATUS_DONE : fail(STATUS_INPUT, "out of memory");
}

static int side_open(bench_side *side, const cli_settings *settings) {
    nnf_session_options options = {.threads = (int)settings->threads,
                                   .no_winograd = settings->no_winograd};
    nnf_status status = NNF_OK;
    if (!settings->no_fuse) status = model_fuse(side->model, settings->mapping, &side->n_fused);
    if (status == NNF_OK) status = nnf_session_new(&side->session, side->model, &options);
    if (status != NNF_OK) return fail_library(status);
    side->seconds = calloc((size_t)settings->runs, sizeof *side->seconds);
    return side->seconds != NULL ? STATUS_DONE : fail(STATUS_INPUT, "out of memory");
}

static void release_all(nnf_tensor **tensors, size_t n) {
    for (size_t i = 0; tensors != NULL && i < n; i++) {
        nnf_tensor_release(tensors[i]);
        tensors[i] = NULL;
    }
}

static void side_clear(bench_side *side) {
    release_all(side->inputs, side->n_inputs);
    release_all(side->outputs, side->n_outputs);
    free(side->inputs);
    free(side->outputs);
    free(side->seconds);
    nnf_session_release(side->session);
    nnf_module_release(side->model);
}

/* Inputs that no run before this one had. */
static nnf_status fresh_inputs(bench_side *side, const bench_job *job, int64_t turn) {
    nnf_verify_options options = job->bindings.options;
    options.seed += (uint64_t)turn;
    release_all(side->inputs, side->n_inputs);
    return nnf_make_inputs(side->inputs, side->model, &options);
}

/* ---- Running ---- */

/* A run ends when every output can be read in plain order. */
static nnf_status run_once(bench_side *side, nnf_session *session, double *seconds) {
    double start = now();
    nnf_status status =
        nnf_session_run(session, side->inputs, side->n_inputs, side->outputs, side->n_outputs);
    for (size_t i = 0; i < side->n_outputs && status == NNF_OK; i++) {
        const void *data = NULL;
        status = nnf_tensor_data(side->outputs[i], &data);
    }
    *seconds = now() - start;
    release_all(side->outputs, side->n_outputs);
    return status;
}

static nnf_status take_turns(bench_job *job) {
    const cli_settings *settings = job->settings;
    nnf_status status = NNF_OK;
    for (int64_t turn = 0; turn < settings->warmup + settings->runs && status == NNF_OK; turn++) {
        for (size_t i = 0; i < job->n_sides && status == NNF_OK; i++) {
            bench_side *side = &job->sides[i];
            double seconds = 0.0;
            status = fresh_inputs(side, job, turn);
            if (status == NNF_OK) status = run_once(side, side->session, &seconds);
            if (turn >= settings->warmup) side->seconds[turn - settings->warmup] = seconds;
        }
    }
    return status;
}

/* ---- Layers ---- */

static void add_layer(const char *path, const char *type, double seconds, void *payload) {
    bench_side *side = payload;
    (void)path;
    size_t i = 0;
    while (i < side->n_layers && strcmp(side->layers[i].type, type) != 0)
        i++;
    if (i == side->n_layers) {
        if (i == MAX_LAYER_TYPES) return;
        snprintf(side->layers[i].type, sizeof side->layers[i].type, "%s", type);
        side->n_layers++;
    }
    side->layers[i].n++;
    side->layers[i].seconds += seconds;
}

static int by_time(const void *a, const void *b) {
    const layer_time *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* In a session of its own: the timed runs read no clock for each layer. Its first run, which makes
 * the kernels, does not count. */
static nnf_status profile(bench_side *side, const bench_job *job) {
    nnf_session_options options = {.threads = job->threads,
                                   .no_winograd = job->no_winograd,
                                   .profile = add_layer,
                                   .profile_payload = side};
    nnf_session *session = NULL;
    nnf_status status = nnf_session_new(&session, side->model, &options);
    for (int run = 0; run <= PROFILED_RUNS && status == NNF_OK; run++) {
        double seconds = 0.0;
        side->n_layers = run == 1 ? 0 : side->n_layers;
        if (run <= 1) memset(side->layers, 0, sizeof side->layers);
        status = run_once(side, session, &seconds);
    }
    nnf_session_release(session);
    qsort(side->layers, side->n_layers, sizeof side->layers[0], by_time);
    return status;
}

/* ---- Summing up ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which that fraction of the sorted numbers lies, between two where it must. */
static double quantile(const double *sorted, int64_t n, double fraction) {
    double at = fraction * (double)(n - 1);
    int64_t below = (int64_t)at, above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

static nnf_status sum_up(bench_side *side, const cli_settings *settings) {
    int64_t n = settings->runs;
    double adds = NAN;
    nnf_status status = multiply_adds(&adds, side->model, side->inputs);
    qsort(side->seconds, (size_t)n, sizeof side->seconds[0], by_value);
    double median = quantile(side->seconds, n, 0.5);
    side->timing = (timing){
        .median = median,
        .minimum = side->seconds[0],
        .spread = quantile(side->seconds, n, 0.75) - quantile(side->seconds, n, 0.25),
        .gflop = 2e-9 * adds,
        .gflops = 2e-9 * adds / median,
    };
    return status;
}

static int measure(bench_job *job) {
    for (size_t i = 0; i < job->n_sides; i++) {
        int status = side_open(&job->sides[i], job->settings);
        if (status != STATUS_DONE) return status;
    }
    job->threads = nnf_session_threads(job->sides[0].session);
    job->no_winograd = job->settings->no_winograd;
    nnf_status status = take_turns(job);
    job->memory = memory_now();
    for (size_t i = 0; i < job->n_sides && status == NNF_OK; i++) {
        status = sum_up(&job->sides[i], job->settings);
        if (status == NNF_OK) status = profile(&job->sides[i], job);
    }
    if (status != NNF_OK) return fail_library(status);
    job->peak = peak_gflops(job->threads, &job->instructions);
    return STATUS_DONE;
}

/* ---- Telling ---- */

static double ratio(const bench_job *job) {
    return job->sides[0].timing.median / job->sides[1].timing.median;
}

static void print_times(const bench_job *job) {
    text_table table = {.n_columns = 6, .right = {false, true, true, true, true, true}};
    static const char *const heading[] = {"", "median", "minimum", "spread", "GFLOP/s", "of peak"};
    for (size_t i = 0; i < 6; i++)
        table_add(&table, "%s", heading[i]);
    for (size_t i = 0; i < job->n_sides; i++) {
        const timing *t = &job->sides[i].timing;
        table_add(&table, "%s", input_name(job->sides[i].path));
        table_add(&table, "%.3f ms", t->median * 1e3);
        table_add(&table, "%.3f ms", t->minimum * 1e3);
        table_add(&table, "%.1f%%", 100.0 * t->spread / t->median);
        table_add(&table, isnan(t->gflops) ? "unknown" : "%.1f", t->gflops);
        table_add(&table, isnan(t->gflops) || job->peak <= 0.0 ? "unknown" : "%.1f%%",
                  100.0 * t->gflops / job->peak);
    }
    table_print(stdout, &table);
    if (job->n_sides > 1) printf("  the first takes %.3f of the second's time\n", ratio(job));
}

static void print_layers(const bench_side *side) {
    text_table table = {.n_columns = 4, .right = {false, true, true, true}};
    double total = 0.0;
    for (size_t i = 0; i < side->n_layers; i++)
        total += side->layers[i].seconds;
    table_add(&table, "layer type");
    table_add(&table, "calls");
    table_add(&table, "time");
    table_add(&table, "share");
    for (size_t i = 0; i < side->n_layers; i++) {
        const layer_time *layer = &side->layers[i];
        table_add(&table, "%s", layer->type);
        table_add(&table, "%zu", layer->n / PROFILED_RUNS);
        table_add(&table, "%.3f ms", layer->seconds / PROFILED_RUNS * 1e3);
        table_add(&table, "%.1f%%", total > 0.0 ? 100.0 * layer->seconds / total : 0.0);
    }
    print_heading(stdout, input_name(side->path));
    table_print(stdout, &table);
}

static int print_text(const bench_job *job) {
    const cli_settings *settings = job->settings;
    for (size_t i = 0; i < job->n_sides; i++) {
        print_fused(input_name(job->sides[i].path), job->sides[i].n_fused);
    }
    for (size_t i = 0; i < job->sides[0].n_inputs; i++) {
        char type[TYPE_TEXT];
        nnf_value value = nnf_graph_input(job->sides[0].model, i);
        fputs("  input ", stdout);
        print_clean(stdout, nnf_graph_value_name(job->sides[0].model, value));
        printf("  %s, other numbers in each run\n", tensor_text(type, job->sides[0].inputs[i]));
    }
    printf("  %lld run%s after %lld to warm up, %d thread%s\n\n", (long long)settings->runs,
           plural(settings->runs), (long long)settings->warmup, job->threads,
           job->threads == 1 ? "" : "s");
    print_times(job);
    for (size_t i = 0; i < job->n_sides; i++)
        print_layers(&job->sides[i]);
    printf("\n  peak    %.1f GFLOP/s (%s, %d thread%s)\n", job->peak, job->instructions,
           job->threads, job->threads == 1 ? "" : "s");
    if (job->memory.anonymous >= 0) {
        printf("  memory  %.1f MB at most, files included; %.1f MB anonymous\n",
               (double)job->memory.peak_resident * 1e-6, (double)job->memory.anonymous * 1e-6);
    }
    return STATUS_DONE;
}

static json_t *json_side(const bench_side *side, double peak) {
    const timing *t = &side->timing;
    json_t *object = json_object(), *layers = json_array();
    json_object_set_new(object, "model", json_text(side->path));
    json_object_set_new(object, "chains_fused", json_integer((json_int_t)side->n_fused));
    json_object_set_new(object, "median_ms", json_number(t->median * 1e3));
    json_object_set_new(object, "min_ms", json_number(t->minimum * 1e3));
    json_object_set_new(object, "quartiles_ms", json_number(t->spread * 1e3));
    json_object_set_new(object, "gflop", json_number(t->gflop));
    json_object_set_new(object, "gflops", json_number(t->gflops));
    json_object_set_new(object, "share_of_peak", json_number(t->gflops / peak));
    for (size_t i = 0; i < side->n_layers; i++) {
        const layer_time *layer = &side->layers[i];
        json_t *row = json_object();
        json_object_set_new(row, "type", json_text(layer->type));
        json_object_set_new(row, "calls", json_integer((json_int_t)(layer->n / PROFILED_RUNS)));
        json_object_set_new(row, "ms", json_number(layer->seconds / PROFILED_RUNS * 1e3));
        json_array_append_new(layers, row);
    }
    json_object_set_new(object, "layers", layers);
    return object;
}

static json_t *json_bytes(int64_t bytes) {
    return bytes >= 0 ? json_integer(bytes) : json_null();
}

static int print_json(const bench_job *job) {
    json_t *object = json_side(&job->sides[0], job->peak);
    bool two = job->n_sides > 1;
    json_object_set_new(object, "against",
                        two ? json_side(&job->sides[1], job->peak) : json_null());
    json_object_set_new(object, "ratio", two ? json_number(ratio(job)) : json_null());
    json_object_set_new(object, "runs", json_integer(job->settings->runs));
    json_object_set_new(object, "warmup", json_integer(job->settings->warmup));
    json_object_set_new(object, "threads", json_integer(job->threads));
    json_object_set_new(object, "peak_gflops", json_number(job->peak));
    json_object_set_new(object, "instructions", json_text(job->instructions));
    json_object_set_new(object, "peak_memory", json_bytes(job->memory.peak_resident));
    json_object_set_new(object, "anonymous_memory", json_bytes(job->memory.anonymous));
    return json_print(object);
}

static int tell(const bench_job *job) {
    if (job->settings->json) return print_json(job);
    return job->settings->quiet ? STATUS_DONE : print_text(job);
}

static int run_bench(const cli_settings *settings) {
    bench_job job = {.settings = settings, .n_sides = settings->against != NULL ? 2 : 1};
    int status = side_load(&job.sides[0], settings->operands[0]);
    if (status == STATUS_DONE && job.n_sides > 1) {
        status = side_load(&job.sides[1], settings->against);
    }
    if (status == STATUS_DONE) {
        status = bindings_make(&job.bindings, settings, job.sides[0].model);
    }
    if (status == STATUS_DONE) status = measure(&job);
    if (status == STATUS_DONE) status = tell(&job);
    bindings_clear(&job.bindings);
    for (size_t i = 0; i < job.n_sides; i++)
        side_clear(&job.sides[i]);
    return status;
}

const cli_command command_bench = {
    .name = "bench",
    .operands = "MODEL",
    .summary = "times a model",
    .about = "Runs a model on random numbers, other ones in each run, and prints the median and\n"
             "the shortest time, the spread (between the quartiles, of the median), the\n"
             "arithmetic of its convolutions and matrix products for each second and the share of\n"
             "this machine's measured peak, the time for each type of layer, and the memory that\n"
             "the process took. Chains that fuse are fused in memory first.\n\n"
             "options:\n",
    .examples =
        "  nnfuse bench model.onnx\n"
        "  nnfuse bench model.fused.onnx --against model.onnx --no-fuse\n"
        "  nnfuse bench model.onnx --shape image=8,3,224,224 --threads 4 --runs 50 --json\n",
    .n_operands = 1,
    .bit = FOR_BENCH,
    .run = run_bench,
};
