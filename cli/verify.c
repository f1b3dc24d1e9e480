/* nnfuse verify: runs two models on the same inputs; the second one also with its chains fused, as
 * 'nnfuse run' would run it. */
#include "checked.h"
#include "files.h"
#include "model.h"

typedef struct verify_job {
    const cli_settings *settings;
    nnf_module *a, *b;
    cli_bindings bindings;
    nnf_verify_report as_stored, fused;
    size_t n_fused; /* chains; 0: the second report was not made */
} verify_job;

static int compare(verify_job *job) {
    const nnf_verify_options *options = &job->bindings.options;
    size_t n_fused = 0;
    nnf_status status = nnf_verify(&job->as_stored, job->a, job->b, options);
    if (status == NNF_OK) status = model_fuse(job->b, NULL, &n_fused);
    if (status == NNF_OK && n_fused > 0) {
        status = nnf_verify(&job->fused, job->a, job->b, options);
        if (status == NNF_OK) job->n_fused = n_fused;
    }
    return status == NNF_OK ? STATUS_DONE : fail_library(status);
}

static bool is_ok(const nnf_verify_report *report) {
    return report->ok && report->n_unchecked == 0;
}

static bool all_ok(const verify_job *job) {
    return is_ok(&job->as_stored) && (job->n_fused == 0 || is_ok(&job->fused));
}

/* A report that is not ok without a row has compared nothing. */
static bool differ(const verify_job *job) {
    return (!job->as_stored.ok && job->as_stored.n_rows > 0) ||
           (job->n_fused > 0 && !job->fused.ok && job->fused.n_rows > 0);
}

static void print_text(const verify_job *job) {
    const char *const *names = job->settings->operands;
    print_styled(stdout, BOLD, input_name(names[0]));
    fputs(" and ", stdout);
    print_styled(stdout, BOLD, input_name(names[1]));
    fputs(all_ok(job)   ? ": the same, within the tolerance\n"
          : differ(job) ? ": different\n"
                        : ": not known to be the same\n",
          stdout);
    print_heading(stdout, "both as they stand");
    print_verification(stdout, &job->as_stored);
    if (job->n_fused == 0) return;
    print_heading(stdout, "the second one fused");
    printf("  %zu chain%s fused in memory, as 'nnfuse run' does\n", job->n_fused,
           job->n_fused == 1 ? "" : "s");
    print_verification(stdout, &job->fused);
}

static int print_json(const verify_job *job) {
    json_t *object = json_object();
    json_object_set_new(object, "a", json_text(job->settings->operands[0]));
    json_object_set_new(object, "b", json_text(job->settings->operands[1]));
    json_object_set_new(object, "ok", json_boolean(all_ok(job)));
    json_object_set_new(object, "as_stored", json_verification(&job->as_stored));
    json_object_set_new(object, "fused",
                        job->n_fused > 0 ? json_verification(&job->fused) : json_null());
    return json_print(object);
}

static int tell(const verify_job *job) {
    int status = STATUS_DONE;
    if (job->settings->json) {
        status = print_json(job);
    } else if (!job->settings->quiet) {
        print_text(job);
    } else if (!all_ok(job)) {
        return fail(STATUS_DIFFERS, "%s and %s %s", input_name(job->settings->operands[0]),
                    input_name(job->settings->operands[1]),
                    differ(job) ? "differ by more than the tolerance"
                                : "could not be compared, or not all of them");
    }
    return status != STATUS_DONE || all_ok(job) ? status : STATUS_DIFFERS;
}

static int run_verify(const cli_settings *settings) {
    verify_job job = {.settings = settings};
    int status = model_load(&job.a, settings->operands[0]);
    if (status == STATUS_DONE) status = model_load(&job.b, settings->operands[1]);
    if (status == STATUS_DONE) status = bindings_make(&job.bindings, settings, job.a);
    if (status == STATUS_DONE) status = compare(&job);
    if (status == STATUS_DONE) status = tell(&job);
    bindings_clear(&job.bindings);
    nnf_verify_report_clear(&job.as_stored);
    nnf_verify_report_clear(&job.fused);
    nnf_module_release(job.a);
    nnf_module_release(job.b);
    return status;
}

const cli_command command_verify = {
    .name = "verify",
    .operands = "A B",
    .summary = "runs two models on the same inputs and compares their outputs",
    .about = "Runs models A and B on the same inputs and prints, for each output, the largest\n"
             "difference. B is run as it stands and, where it holds chains that fuse, fused in\n"
             "memory as well. Exit status 3 where an output differs by more than the tolerance,\n"
             "or where something could not be compared.\n\n"
             "options:\n",
    .examples = "  nnfuse verify model.onnx model.fused.onnx\n"
                "  nnfuse verify a.onnx b.onnx --input image=images.npy --labels labels.npy\n"
                "  nnfuse verify a.onnx b.onnx --tolerance 1e-3 --json\n",
    .n_operands = 2,
    .bit = FOR_VERIFY,
    .run = run_verify,
};
