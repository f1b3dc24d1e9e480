/* Runs two graphs side by side on the same inputs and sums up the differences. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "nnfuse/session.h"
#include "run/kernels.h"
#include "support/memory.h"
#include "support/threads.h"
#include "verify/verify_internal.h"

static void row_clear(nnf_verify_row *row) {
    nnfi_free(row->name);
    nnfi_free(row->problem);
}

void nnf_verify_report_clear(nnf_verify_report *report) {
    if (report == NULL) return;
    for (size_t i = 0; i < report->n_rows; i++)
        row_clear(&report->rows[i]);
    nnfi_free(report->rows);
    nnfi_free(report->why_by_chain);
    nnfi_free(report->inputs);
    *report = (nnf_verify_report){0};
}

nnf_verify_row *nnfi_report_add(nnf_verify_report *report) {
    size_t size = (report->n_rows + 1) * sizeof *report->rows;
    nnf_verify_row *rows = nnfi_realloc(report->rows, size);
    if (rows == NULL) {
        nnfi_error_memory(size, "the report");
        return NULL;
    }
    report->rows = rows;
    rows[report->n_rows] = (nnf_verify_row){0};
    return &rows[report->n_rows++];
}

/* ---- A set of values with the names that they have in a graph ---- */

typedef struct values {
    size_t n;
    nnf_tensor **tensors;
} values;

static void values_clear(values *set) {
    for (size_t i = 0; i < set->n; i++)
        nnf_tensor_release(set->tensors[i]);
    nnfi_free(set->tensors);
    *set = (values){0};
}

static nnf_status values_new(values *set, size_t n) {
    set->tensors = nnfi_calloc(n, sizeof(nnf_tensor *));
    if (set->tensors == NULL) return nnfi_error_memory(n * sizeof(nnf_tensor *), "values");
    set->n = n;
    return NNF_OK;
}

typedef size_t count_function(const nnf_module *graph);
typedef nnf_value item_function(const nnf_module *graph, size_t index);

/* The place of `name` among a graph's inputs or outputs; -1 where it is not there. */
static int64_t find_name(const nnf_module *graph, count_function *count, item_function *item,
                         const char *name) {
    for (size_t i = 0; i < count(graph); i++) {
        if (strcmp(nnf_graph_value_name(graph, item(graph, i)), name) == 0) return (int64_t)i;
    }
    return -1;
}

/* What can be compared by name: `has`'s inputs or outputs, each of which `other` has too. An input
 * with a default need not be given. */
static nnf_status check_names(const nnf_module *has, const nnf_module *other, bool has_is_first,
                              bool outputs) {
    count_function *count = outputs ? nnf_graph_n_outputs : nnf_graph_n_inputs;
    item_function *item = outputs ? nnf_graph_output : nnf_graph_input;
    for (size_t i = 0; i < count(has); i++) {
        nnf_value value = item(has, i);
        const char *name = nnf_graph_value_name(has, value);
        if (find_name(other, count, item, name) >= 0) continue;
        if (!outputs && nnf_graph_value_constant(has, value) != NULL) continue;
        return nnf_error(NNF_ERROR_INVALID,
                         "the two models cannot be compared: the %s has an %s '%s' that the %s has "
                         "not",
                         has_is_first ? "first" : "second", outputs ? "output" : "input", name,
                         has_is_first ? "second" : "first");
    }
    return NNF_OK;
}

static nnf_status check_interfaces(const nnf_module *a, const nnf_module *b) {
    for (int outputs = 0; outputs < 2; outputs++) {
        NNFI_TRY(check_names(a, b, true, outputs));
        NNFI_TRY(check_names(b, a, false, outputs));
    }
    return NNF_OK;
}

/* a's inputs in b's order; check_interfaces has looked at their names. */
static nnf_status inputs_for(values *for_b, const nnf_module *a, const values *of_a,
                             const nnf_module *b) {
    NNFI_TRY(values_new(for_b, nnf_graph_n_inputs(b)));
    for (size_t i = 0; i < for_b->n; i++) {
        nnf_value value = nnf_graph_input(b, i);
        const char *name = nnf_graph_value_name(b, value);
        int64_t at = find_name(a, nnf_graph_n_inputs, nnf_graph_input, name);
        for_b->tensors[i] = nnf_tensor_retain(
            at >= 0 ? of_a->tensors[at] : nnf_graph_value_constant(b, value)); /* a default */
    }
    return NNF_OK;
}

/* ---- Running ---- */

/* One of the two models, what it is run on and what comes out. */
typedef struct side {
    nnf_module *graph;
    values inputs, outputs;
    int threads;
    nnf_status status;
    char message[2048];
} side;

static void side_clear(side *s) {
    values_clear(&s->inputs);
    values_clear(&s->outputs);
}

static nnf_status run(side *s) {
    NNFI_TRY(values_new(&s->outputs, nnf_graph_n_outputs(s->graph)));
    nnf_session *session = NULL;
    nnf_session_options options = {.threads = s->threads, .no_winograd = true, .runs_once = true};
    NNFI_TRY(nnf_session_new(&session, s->graph, &options));
    nnf_status status =
        nnf_session_run(session, s->inputs.tensors, s->inputs.n, s->outputs.tensors, s->outputs.n);
    nnf_session_release(session);
    values_clear(&s->inputs);
    return status;
}

typedef struct two_sides {
    side *sides;
    atomic_int n_taken;
} two_sides;

static void run_sides(void *payload, bool leads) {
    two_sides *both = payload;
    (void)leads;
    for (int i = 0; (i = atomic_fetch_add(&both->n_taken, 1)) < 2;) {
        side *s = &both->sides[i];
        s->status = run(s);
        if (s->status != NNF_OK) snprintf(s->message, sizeof s->message, "%s", nnf_error_message());
    }
}

/* Both at once, with half of the threads each: what goes before the kernels (making them, packing
 * weights) is one thread's work, of which there are two then. */
static nnf_status run_both(side sides[2], int threads) {
    two_sides both = {.sides = sides};
    NNFI_TRY(nnfi_check_threads(threads));
    if (threads == 0) threads = nnfi_default_threads();
    bool at_once = threads > 1 && sides[0].graph != sides[1].graph;
    sides[0].threads = at_once ? threads - threads / 2 : threads;
    sides[1].threads = at_once ? threads / 2 : threads;
    nnfi_together(at_once ? 2 : 1, run_sides, &both);
    for (int i = 0; i < 2; i++)
        if (sides[i].status != NNF_OK) return nnf_error(sides[i].status, "%s", sides[i].message);
    return NNF_OK;
}

/* ---- Comparing ---- */

static void release_at(values *set, size_t index) {
    nnf_tensor_release(set->tensors[index]);
    set->tensors[index] = NULL;
}

static nnf_status check_labels(const nnf_tensor *scores, const nnf_tensor *labels) {
    const int64_t *shape = nnf_tensor_shape(scores);
    if (nnf_tensor_ndim(scores) == 2 && nnf_tensor_ndim(labels) == 1 &&
        !nnf_dtype_is_float(nnf_tensor_dtype(labels)) && nnf_tensor_shape(labels)[0] == shape[0])
        return NNF_OK;
    char scores_text[NNFI_SHAPE_TEXT], labels_text[NNFI_SHAPE_TEXT];
    return nnf_error(
        NNF_ERROR_SHAPE, "labels are integers [N] for an output [N, classes], not %s %s for %s",
        nnf_dtype_name(nnf_tensor_dtype(labels)),
        nnfi_shape_text(labels_text, sizeof labels_text, nnf_tensor_ndim(labels),
                        nnf_tensor_shape(labels)),
        nnfi_shape_text(scores_text, sizeof scores_text, nnf_tensor_ndim(scores), shape));
}

/* Both are contiguous. */
static nnf_status count_right(int64_t *n_right, const nnf_tensor *scores,
                              const nnf_tensor *labels) {
    const int64_t *shape = nnf_tensor_shape(scores);
    const void *data = NULL, *right = NULL;
    NNFI_TRY(nnf_tensor_data(scores, &data));
    NNFI_TRY(nnf_tensor_data(labels, &right));
    *n_right = 0;
    for (int64_t i = 0; i < shape[0]; i++) {
        const int64_t label = nnfi_load_i64(nnf_tensor_dtype(labels), right, i);
        if (label < 0 || label >= shape[1])
            return nnf_error(NNF_ERROR_INVALID,
                             "label number %lld is %lld, and the classes are 0 to %lld",
                             (long long)i, (long long)label, (long long)shape[1] - 1);
        int64_t answer = nnfi_argmax(nnf_tensor_dtype(scores), data, i * shape[1], shape[1]);
        *n_right += answer == label;
    }
    return NNF_OK;
}

nnf_status nnf_count_right(int64_t *n_right, const nnf_tensor *scores, const nnf_tensor *labels) {
    nnf_tensor *plain[2] = {NULL, NULL};
    if (!n_right || !scores || !labels)
        return nnf_error(NNF_ERROR_INVALID, "scores and labels are needed");
    NNFI_TRY(check_labels(scores, labels));
    /* views have strides; what is contiguous is only retained */
    nnf_status status = nnf_tensor_contiguous(&plain[0], (nnf_tensor *)(uintptr_t)scores);
    if (status == NNF_OK)
        status = nnf_tensor_contiguous(&plain[1], (nnf_tensor *)(uintptr_t)labels);
    if (status == NNF_OK) status = count_right(n_right, plain[0], plain[1]);
    nnf_tensor_release(plain[0]);
    nnf_tensor_release(plain[1]);
    return status;
}

/* Compares each output of a with the one that b calls the same; each goes as soon as it is done. */
static nnf_status compare_outputs(nnf_verify_report *report, const nnf_module *a,
                                  const nnf_module *b, values *of_a, values *of_b,
                                  const nnf_verify_options *options) {
    report->ok = true;
    for (size_t i = 0; i < of_a->n; i++) {
        const char *name = nnf_graph_value_name(a, nnf_graph_output(a, i));
        int64_t at = find_name(b, nnf_graph_n_outputs, nnf_graph_output, name);
        nnf_tensor *from_a = of_a->tensors[i], *from_b = of_b->tensors[at];
        if (i == 0 && options->labels != NULL) {
            report->n_labels = nnf_tensor_numel(options->labels);
            NNFI_TRY(nnf_count_right(&report->n_right_a, from_a, options->labels));
            NNFI_TRY(nnf_count_right(&report->n_right_b, from_b, options->labels));
        }
        nnf_verify_row *row = nnfi_report_add(report);
        if (row == NULL) return NNF_ERROR_MEMORY;
        NNFI_TRY(nnfi_compare(row, name, from_a, from_b, options->tolerance));
        report->ok = report->ok && row->ok;
        release_at(of_a, i);
    }
    return NNF_OK;
}

/* NNF_ERROR_UNSUPPORTED, with the reason, where a graph holds a node that nnfuse has no code for:
 * found before anything is computed. */
static nnf_status check_runnable(const nnf_module *graph) {
    for (size_t i = 0; i < nnf_graph_n_calls(graph); i++) {
        const nnf_module *module = nnf_graph_call_module(graph, i);
        if (!nnfi_is_a(module, "Opaque")) continue;
        return nnf_error(NNF_ERROR_UNSUPPORTED, "nnfuse cannot run the node '%s' (%s)",
                         nnf_graph_call_path(graph, i), nnfi_told_type(module));
    }
    return NNF_OK;
}

static nnf_status verify_whole(nnf_verify_report *report, nnf_module *a, nnf_module *b,
                               const nnf_verify_options *options) {
    side sides[2] = {{.graph = a}, {.graph = b}};
    values *of_a = &sides[0].inputs;
    nnf_status status = check_runnable(a);
    if (status == NNF_OK) status = check_runnable(b);
    if (status == NNF_OK) status = values_new(of_a, nnf_graph_n_inputs(a));
    if (status == NNF_OK) status = nnf_make_inputs(of_a->tensors, a, options);
    if (status == NNF_OK) status = inputs_for(&sides[1].inputs, a, of_a, b);
    if (status == NNF_OK) {
        report->inputs = nnfi_inputs_text(a, of_a->tensors, options);
        status =
            report->inputs ? run_both(sides, options->threads) : nnfi_error_memory(0, "the report");
    }
    if (status == NNF_OK)
        status = compare_outputs(report, a, b, &sides[0].outputs, &sides[1].outputs, options);
    side_clear(&sides[0]);
    side_clear(&sides[1]);
    return status;
}

nnf_status nnf_verify(nnf_verify_report *report, nnf_module *a, nnf_module *b,
                      const nnf_verify_options *given_options) {
    if (report != NULL) *report = (nnf_verify_report){0};
    if (report == NULL || a == NULL || b == NULL || !nnf_module_is_graph(a) ||
        !nnf_module_is_graph(b)) {
        return nnf_error(NNF_ERROR_INVALID, "nnf_verify takes two Graphs");
    }
    NNFI_TRY(check_interfaces(a, b));
    nnf_verify_options options;
    NNFI_TRY(nnfi_verify_options(&options, given_options));
    nnf_verify_report result = {0};
    nnf_status status = verify_whole(&result, a, b, &options);
    if (status == NNF_ERROR_UNSUPPORTED && options.labels != NULL)
        status = nnfi_error_prefix(status, "the right answers cannot be counted: ");
    else if (status == NNF_ERROR_UNSUPPORTED) {
        nnf_verify_report_clear(&result);
        result.by_chain = true;
        result.why_by_chain = nnfi_strdup(nnf_error_message());
        status = result.why_by_chain == NULL ? nnfi_error_memory(0, "the report")
                                             : nnfi_verify_chains(&result, a, b, &options);
    }
    if (status != NNF_OK) {
        nnf_verify_report_clear(&result);
        return status;
    }
    *report = result;
    return NNF_OK;
}
