/* nnfuse fuse: finds the chains, fuses them, writes the result beside its place, checks that file
 * against the original, and only then puts it in its place. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chains.h"
#include "checked.h"
#include "files.h"
#include "fusions.h"
#include "model.h"
#include "places.h"
#include "progress.h"
#include "written.h"

enum { MOST_CHAINS = 20 };

/* Everything that the job makes, in the order in which it is made. */
typedef struct fuse_job {
    const cli_settings *settings;
    FILE *report; /* where the result is told: standard error where the model goes to standard
                     output */
    double started;
    bool checks_late; /* weights are held against their range when they are written: they are read
                         once then, and not twice */
    bool overflowed;  /* one of them left it */
    bool again;       /* after that */
    nnf_module *original; /* to verify against: a copy, which --no-verify does without */
    nnf_module *fused;
    model_counts before;
    cli_bindings bindings;
    nnf_clean_report cleaned;
    nnf_chain_list *found;
    nnf_found_chain *by_hand; /* the chains of --chain; n_chains of them */
    char **words;             /* that their names point into */
    const nnf_found_chain *chains;
    size_t n_chains;
    char *out_made; /* the default name */
    const char *out;
    nnf_verify_report verification;
    bool verified;
    written_files written;
} fuse_job;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- Where to ---- */

/* MODEL with .fused before its suffix. */
static char *default_out(const char *model) {
    static const char mark[] = ".fused";
    const char *slash = strrchr(model, '/');
    const char *name = slash != NULL ? slash + 1 : model;
    const char *dot = strrchr(name, '.');
    size_t stem = dot != NULL && dot != name ? (size_t)(dot - model) : strlen(model);
    char *out = malloc(strlen(model) + sizeof mark);
    if (out == NULL) return NULL;
    memcpy(out, model, stem);
    strcpy(out + stem, mark);
    strcat(out, model + stem);
    return out;
}

static int choose_out(fuse_job *job) {
    const cli_settings *settings = job->settings;
    job->out = settings->out;
    if (job->out == NULL && strcmp(settings->operands[0], "-") == 0) job->out = "-";
    if (job->out == NULL) {
        job->out = job->out_made = default_out(settings->operands[0]);
        if (job->out == NULL) return fail(STATUS_INPUT, "out of memory");
    }
    bool to_stdout = strcmp(job->out, "-") == 0 && !settings->dry_run;
    job->report = to_stdout ? stderr : stdout;
    if (to_stdout && settings->json) {
        return fail(STATUS_USAGE, "the model and --json cannot both go to standard output; name a "
                                  "file with -o");
    }
    if (to_stdout && settings->external_data) {
        return fail(STATUS_USAGE,
                    "external data is a file beside the model, and standard output has "
                    "no place; name a file with -o");
    }
    if (to_stdout && isatty(STDOUT_FILENO)) {
        return fail(STATUS_USAGE, "standard output is a terminal, and a model is no text; name a "
                                  "file with -o");
    }
    return STATUS_DONE;
}

/* ---- What to fuse ---- */

/* Fills in the types of a chain's modules. */
static int name_types(nnf_found_chain *chain, const nnf_module *model) {
    const char **types = (const char **)chain->types;
    for (size_t i = 0; i < chain->chain.length; i++) {
        nnf_module *module = NULL;
        nnf_status status = nnf_module_get(&module, model, chain->chain.names[i]);
        if (status != NNF_OK) return fail_library(status);
        types[i] = nnf_module_type_name(module);
    }
    return STATUS_DONE;
}

static int take_chains(fuse_job *job) {
    const string_list *given = &job->settings->chains;
    job->by_hand = calloc(given->n, sizeof *job->by_hand);
    job->words = calloc(given->n, sizeof *job->words);
    if (job->by_hand == NULL || job->words == NULL) return fail(STATUS_INPUT, "out of memory");
    job->chains = job->by_hand;
    int status = STATUS_DONE;
    for (size_t i = 0; i < given->n && status == STATUS_DONE; i++) {
        job->n_chains = i + 1;
        status = chain_parse(&job->by_hand[i], &job->words[i], given->items[i]);
        if (status == STATUS_DONE) status = name_types(&job->by_hand[i], job->fused);
    }
    return status;
}

/* Fuses what --chain names. */
static int fuse_by_hand(fuse_job *job) {
    int given = take_chains(job);
    if (given != STATUS_DONE) return given;
    nnf_chain *chains = calloc(job->n_chains, sizeof *chains);
    if (chains == NULL) return fail(STATUS_INPUT, "out of memory");
    for (size_t i = 0; i < job->n_chains; i++)
        chains[i] = job->chains[i].chain;
    nnf_module *same = NULL;
    const nnf_fuse_options options = {.inplace = true};
    nnf_status status = nnf_fuse_modules(&same, job->fused, chains, job->n_chains, &options);
    nnf_module_release(same);
    free(chains);
    if (status != NNF_OK) return fail_library(status);
    for (size_t i = 0; i < job->n_chains; i++) {
        nnf_module *module = NULL;
        status = nnf_module_get(&module, job->fused, job->by_hand[i].chain.names[0]);
        if (status != NNF_OK) return fail_library(status);
        job->by_hand[i].fused_type = nnf_module_type_name(module);
    }
    return STATUS_DONE;
}

static int fuse_model(fuse_job *job) {
    bool by_hand = job->settings->chains.n > 0;
    nnf_status status = NNF_OK;
    job->before = model_count(job->fused);
    if (!job->settings->no_verify) status = nnf_module_copy(&job->original, job->fused);
    if (status == NNF_OK && !job->settings->no_clean) status = nnf_clean(job->fused, &job->cleaned);
    if (status == NNF_OK && by_hand) status = nnf_lift_patterns(job->fused, NULL);
    if (status == NNF_OK)
        status = by_hand ? nnf_find_chains(&job->found, job->fused, job->settings->mapping)
                         : nnf_fuse_found(&job->found, job->fused, job->settings->mapping, NULL);
    if (status != NNF_OK) return fail_library(status);
    if (by_hand) return fuse_by_hand(job);
    job->chains = job->found->chains;
    job->n_chains = job->found->n_chains;
    return STATUS_DONE;
}

/* ---- Checking and writing ---- */

static int verify(fuse_job *job, nnf_module *written) {
    nnf_status status =
        nnf_verify(&job->verification, job->original, written, &job->bindings.options);
    if (status != NNF_OK) return fail_library(status);
    job->verified = true;
    /* Of a model that nnfuse cannot run and that nothing fused in, cleaning may leave nothing to
     * compare; the report says so. */
    bool compared = job->verification.n_rows > 0 || job->verification.n_same > 0;
    return job->verification.ok || !compared ? STATUS_DONE : STATUS_DIFFERS;
}

/* Opens the file as its user will, and verifies that. */
static int verify_file(fuse_job *job, const char *path) {
    nnf_module *written = NULL;
    int status = model_load(&written, path);
    if (status == STATUS_DONE) status = verify(job, written);
    nnf_module_release(written);
    return status;
}

/* Who may not read the model may not read what comes of it either. A file that is there already
 * keeps its own permissions. */
static void mask_as(const char *model) {
    struct stat info;
    if (strcmp(model, "-") == 0 || stat(model, &info) != 0) return;
    umask(umask(0) | (~(info.st_mode | S_IWUSR) & 0777));
}

/* What check_range_late lets happen is not told: the job is done again without it. */
static int fail_saving(fuse_job *job, nnf_status saved) {
    job->overflowed = job->checks_late && saved == NNF_ERROR_NOT_FUSABLE;
    return job->overflowed ? STATUS_INPUT : fail_library(saved);
}

static int write_file(fuse_job *job) {
    nnf_pending_file *pending = NULL;
    progress_library_writes(true);
    const nnf_onnx_save_options options = {.external_data = job->settings->external_data};
    mask_as(job->settings->operands[0]);
    nnf_status saved = nnf_onnx_save_pending(&pending, job->fused, job->out, &options);
    /* From here on its name is known, and a signal removes it at once. */
    if (saved == NNF_OK) {
        files_set_temporary(nnf_pending_file_path(pending), nnf_pending_file_data_path(pending));
    }
    progress_library_writes(false);
    if (interrupted() != 0) {
        nnf_pending_file_discard(pending);
        files_set_temporary(NULL, NULL);
        return fail(128 + interrupted(), "interrupted; nothing was written");
    }
    if (saved != NNF_OK) return fail_saving(job, saved);
    int status = written_note(&job->written, pending, job->out);
    if (status == STATUS_DONE && !job->settings->no_verify)
        status = verify_file(job, nnf_pending_file_path(pending));
    if (status == STATUS_DONE) {
        /* The model may have its name already while this goes on: a signal waits. */
        progress_library_writes(true);
        files_set_temporary(NULL, NULL);
        saved = nnf_pending_file_commit(pending);
        progress_library_writes(false);
        progress_written();
        if (saved != NNF_OK) status = fail_library(saved);
    } else {
        nnf_pending_file_discard(pending);
    }
    files_set_temporary(NULL, NULL);
    if (status == STATUS_DONE) job->written.bytes = file_bytes(job->out);
    return status;
}

static int verify_memory(fuse_job *job, const void *data, size_t size) {
    nnf_module *written = NULL;
    nnf_onnx_load_options options = {.name = "the fused model"};
    nnf_status loaded = nnf_onnx_load_memory(&written, data, size, &options);
    if (loaded != NNF_OK) return fail_library(loaded);
    int status = verify(job, written);
    nnf_module_release(written);
    return status;
}

/* Standard output, a device or a pipe: nothing that could be read again or renamed. */
static bool is_stream(const char *path) {
    struct stat info;
    if (strcmp(path, "-") == 0) return true;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static int put_stream(const char *path, const void *data, size_t size) {
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : fopen(path, "wb");
    bool done = file != NULL && fwrite(data, 1, size, file) == size && fflush(file) == 0;
    int reason = errno;
    if (file != NULL && !to_stdout) fclose(file);
    if (done) return STATUS_DONE;
    if (reader_gone()) return 128 + SIGPIPE;
    return fail(STATUS_OUTPUT, "cannot write %s: %s", to_stdout ? "standard output" : path,
                strerror(reason));
}

static int write_stream(fuse_job *job) {
    void *data = NULL;
    size_t size = 0;
    nnf_status saved = nnf_onnx_save_memory(job->fused, &data, &size, NULL);
    if (saved != NNF_OK) return fail_saving(job, saved);
    int status = job->settings->no_verify ? STATUS_DONE : verify_memory(job, data, size);
    if (status == STATUS_DONE) status = put_stream(job->out, data, size);
    nnf_free(data);
    job->written.bytes = (int64_t)size;
    return status;
}

static int write_model(fuse_job *job) {
    if (job->settings->dry_run) return STATUS_DONE;
    return is_stream(job->out) ? write_stream(job) : write_file(job);
}

/* ---- Telling ---- */

/* What cleaning did: the words for a reader, and the key in JSON. */
enum { N_CLEANINGS = 6 };
typedef struct cleaning {
    const char *noun, *words, *key;
    size_t n;
} cleaning;

static void list_cleanings(cleaning *out, const nnf_clean_report *report) {
    const cleaning list[N_CLEANINGS] = {
        {"constant", "now initializers", "constants", report->n_constants},
        {"node", "computed ahead", "computed", report->n_computed},
        {"node", "that did nothing removed", "removed", report->n_removed},
        {"node", "merged with an equal one", "merged", report->n_merged},
        {"node", "that nobody read removed", "unused", report->n_unused},
        {"initializer", "shared", "shared", report->n_shared},
    };
    memcpy(out, list, sizeof list);
}

static void print_cleaned(FILE *file, const fuse_job *job) {
    cleaning list[N_CLEANINGS];
    const char *before = "cleaned: ";
    list_cleanings(list, &job->cleaned);
    for (int i = 0; i < N_CLEANINGS; i++) {
        if (list[i].n == 0) continue;
        fprintf(file, "%s%zu %s%s %s", before, list[i].n, list[i].noun, list[i].n == 1 ? "" : "s",
                list[i].words);
        before = ", ";
    }
    if (*before == ',') fputc('\n', file);
}

static json_t *json_cleaned(const fuse_job *job) {
    cleaning list[N_CLEANINGS];
    json_t *object = json_object();
    list_cleanings(list, &job->cleaned);
    for (int i = 0; i < N_CLEANINGS; i++)
        json_object_set_new(object, list[i].key, json_integer((json_int_t)list[i].n));
    return object;
}

static void print_counts(FILE *file, const fuse_job *job) {
    char before[NUMBER_TEXT], after[NUMBER_TEXT];
    model_counts counts = model_count(job->fused);
    text_table table = {.n_columns = 3, .right = {[1] = true, true}};
    table_add(&table, "%s", "");
    table_add(&table, "before");
    table_add(&table, "after");
    table_add(&table, "nodes");
    table_add(&table, "%s", number_text(before, job->before.nodes));
    table_add(&table, "%s", number_text(after, counts.nodes));
    table_add(&table, "parameters");
    table_add(&table, "%s", number_text(before, job->before.parameters));
    table_add(&table, "%s", number_text(after, counts.parameters));
    fputc('\n', file);
    table_print(file, &table);
    if (counts.parameters > job->before.parameters && job->n_chains > 0)
        fputs("  more than before: layers that shared weights, and had other things folded into\n"
              "  these, have their own now ('nnfuse fuse --list' says what --skip can leave out)\n",
              file);
}

static void print_end(FILE *file, const fuse_job *job, int status) {
    fputc('\n', file);
    if (status == STATUS_DIFFERS) {
        print_styled(file, RED, "nothing was written");
        fputs(": the fused model differs by more than the tolerance\n", file);
    } else if (job->settings->dry_run) {
        fputs("nothing was written (--dry-run); this would be ", file);
        print_clean(file, strcmp(job->out, "-") == 0 ? "standard output" : job->out);
        fputc('\n', file);
    } else {
        print_styled(file, BOLD, strcmp(job->out, "-") == 0 ? "standard output" : job->out);
        fputs(": ", file);
        written_print(file, &job->written, job->settings->verbose);
        fprintf(file, "%s written in %.2f s%s\n", job->written.n_kept > 0 ? ";" : ",",
                now() - job->started, job->verified ? "" : ", not checked (--no-verify)");
    }
}

static void print_text(const fuse_job *job, int status) {
    FILE *file = job->report;
    print_styled(file, BOLD, input_name(job->settings->operands[0]));
    if (job->n_chains == 0) {
        fputs(": nothing to fuse\n", file);
    } else {
        fprintf(file, ": %zu chain%s %s\n\n", job->n_chains, job->n_chains == 1 ? "" : "s",
                job->settings->dry_run ? "would be fused" : "fused");
    }
    print_chains(file, job->chains, job->n_chains, job->settings->verbose ? SIZE_MAX : MOST_CHAINS);
    if (job->by_hand == NULL) print_left(file, job->found, job->settings->verbose);
    print_cleaned(file, job);
    print_counts(file, job);
    if (job->verified) {
        print_heading(file, "the written file against the original");
        print_verification(file, &job->verification);
    }
    print_end(file, job, status);
}

static json_t *json_counts(int64_t before, int64_t after) {
    json_t *object = json_object();
    json_object_set_new(object, "before", json_integer(before));
    json_object_set_new(object, "after", json_integer(after));
    return object;
}

static int print_json(const fuse_job *job, int status) {
    bool written = status == STATUS_DONE && !job->settings->dry_run;
    model_counts after = model_count(job->fused);
    json_t *object = json_object();
    json_object_set_new(object, "model", json_text(job->settings->operands[0]));
    json_object_set_new(object, "output", written ? json_text(job->out) : json_null());
    written_add_json(object, written ? &job->written : NULL);
    json_object_set_new(object, "chains", json_chains(job->chains, job->n_chains));
    json_object_set_new(object, "left_alone", json_left(job->found));
    json_object_set_new(object, "cleaned",
                        job->settings->no_clean ? json_null() : json_cleaned(job));
    json_object_set_new(object, "nodes", json_counts(job->before.nodes, after.nodes));
    json_object_set_new(object, "parameters",
                        json_counts(job->before.parameters, after.parameters));
    json_object_set_new(object, "verification",
                        job->verified ? json_verification(&job->verification) : json_null());
    json_object_set_new(object, "seconds", json_real(now() - job->started));
    int printed = json_print(object);
    return status != STATUS_DONE ? status : printed;
}

static int tell(const fuse_job *job, int status) {
    if (status != STATUS_DONE && status != STATUS_DIFFERS) return status; /* told already */
    if (job->settings->json) return print_json(job, status);
    if (status == STATUS_DIFFERS && job->settings->quiet) {
        return fail(status,
                    "%s differs from the fused model by more than the tolerance; nothing "
                    "was written",
                    input_name(job->settings->operands[0]));
    }
    if (!job->settings->quiet) print_text(job, status);
    return status;
}

/* ---- The job ---- */

static void job_clear(fuse_job *job) {
    for (size_t i = 0; job->by_hand != NULL && i < job->n_chains; i++) {
        free((void *)job->by_hand[i].chain.names);
        free((void *)job->by_hand[i].types);
        free(job->words[i]);
    }
    free(job->by_hand);
    free(job->words);
    free(job->out_made);
    written_clear(&job->written);
    nnf_verify_report_clear(&job->verification);
    bindings_clear(&job->bindings);
    nnf_chain_list_release(job->found);
    nnf_module_release(job->fused);
    nnf_module_release(job->original);
}

static int do_job(fuse_job *job) {
    const cli_settings *settings = job->settings;
    const char *model = settings->operands[0];
    int status = choose_out(job);
    if (status == STATUS_DONE)
        status = (job->checks_late ? model_load_late : model_load)(&job->fused, model);
    if (status == STATUS_DONE && !job->again) note_opset(settings, model, job->fused);
    if (status == STATUS_DONE && !settings->dry_run)
        status = check_place(job->out, settings, job->fused, NULL);
    if (status == STATUS_DONE) status = bindings_make(&job->bindings, settings, job->fused);
    if (status == STATUS_DONE) status = fuse_model(job);
    if (status == STATUS_DONE) status = write_model(job);
    return job->overflowed ? status : tell(job, status);
}

static int run_fuse(const cli_settings *settings) {
    if (settings->list) return print_fusions(settings);
    const fuse_job new_job = {.settings = settings, .report = stdout, .started = now()};
    fuse_job job = new_job;
    /* standard input is read once, and without a file there is nothing to find out late */
    job.checks_late = strcmp(settings->operands[0], "-") != 0 && !settings->dry_run;
    int status = do_job(&job);
    bool overflowed = job.overflowed;
    job_clear(&job);
    if (!overflowed) return status;
    job = new_job;
    job.again = true;
    status = do_job(&job);
    job_clear(&job);
    return status;
}

const cli_command command_fuse = {
    .name = "fuse",
    .operands = "MODEL",
    .summary = "fuses a model and writes it, checked against the original",
    .about =
        "Fuses chains of layers, such as convolution, batch norm and ReLU, into one layer each;\n"
        "writes the model; opens the written file again and runs it beside the original. A file\n"
        "whose results differ by more than the tolerance is removed (exit status 3). Before that,\n"
        "what exporters leave behind is cleaned up: Constant and Identity nodes, shape "
        "arithmetic,\n"
        "what nobody reads. Everything else in the model is passed on as it is.\n\n"
        "options:\n",
    .examples =
        "  nnfuse fuse model.onnx                       writes model.fused.onnx\n"
        "  nnfuse fuse model.onnx -o small.onnx\n"
        "  nnfuse fuse model.onnx --dry-run             shows what would be fused\n"
        "  nnfuse fuse model.onnx --no-clean            fuses, and touches nothing else\n"
        "  nnfuse fuse model.onnx --chain conv1,bn1,relu\n"
        "  nnfuse fuse --list                           the kinds of fusion\n"
        "  nnfuse fuse model.onnx --skip series --skip parallel\n"
        "  nnfuse fuse model.onnx --input image=images.npy --labels labels.npy\n"
        "  nnfuse fuse bert.onnx --shape ids=1,128      where the file leaves the shape open\n"
        "  nnfuse fuse - < model.onnx > fused.onnx\n",
    .n_operands = 1,
    .bit = FOR_FUSE,
    .run = run_fuse,
};
