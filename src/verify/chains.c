/* Checking chain by chain, for models that nnfuse cannot run as a whole: where one call of b stands
 * for several of a, those and this one are run on the same random input. */
#include <string.h>

#include "module/graph_internal.h"
#include "nn/nn_internal.h"
#include "nnfuse/session.h"
#include "support/memory.h"
#include "verify/verify_internal.h"

/* No chain is longer than this many calls: base, batch norm, scale, shift, activation and what
 * passes its input on between them. */
#define MAX_CHAIN 16

/* What the search goes over. */
typedef struct search {
    const nnf_module *a, *b;
    const nnfi_graph *graph_a;
    nnfi_uses uses;       /* of a */
    nnf_type_info *infos; /* of a's values; NULL where inference gave an error */
    size_t n_infos;
    const nnf_verify_options *options;
} search;

/* A chain of a, first call first. */
typedef struct chain {
    size_t length;
    size_t calls[MAX_CHAIN];
} chain;

/* A module that fusing makes: a linear map (with folded weights), or a container. */
static bool is_fused_or_linear(const nnf_module *module) {
    const nnf_module_type *type = nnf_module_get_type(module);
    return type->linear_map != NULL || (type->flags & NNF_TYPE_FUSED) != 0;
}

/* The value that the call makes its output of, beside constants and the value named `residual` (may
 * be NULL); NNF_NO_VALUE where there are more. */
static nnf_value value_before(const nnfi_graph *graph, const nnfi_call *call,
                              const char *residual) {
    if (call->n_inputs == 2 && residual != NULL && nnfi_takes_residual(call->module)) {
        for (size_t i = 0; i < 2; i++) {
            nnf_value value = call->inputs[i];
            if (value == NNF_NO_VALUE || strcmp(graph->values[value].name, residual) != 0) continue;
            return call->inputs[1 - i];
        }
    }
    for (size_t i = 1; i < call->n_inputs; i++) {
        nnf_value other = call->inputs[i];
        if (other != NNF_NO_VALUE && graph->values[other].constant == NULL) return NNF_NO_VALUE;
    }
    return call->n_inputs > 0 ? call->inputs[0] : NNF_NO_VALUE;
}

/* Walks back in a from the value `last` to the call that reads the value named `first`, through
 * calls that read one value that is no constant, or that and the residual. False where there is no
 * such way, or where it is a single call: nothing was fused. */
static bool find_chain(chain *found, const search *s, const char *first, const char *last,
                       const char *residual) {
    nnf_value value = nnfi_graph_find_value(s->graph_a, last);
    found->length = 0;
    while (value != NNF_NO_VALUE && found->length < MAX_CHAIN) {
        int64_t at = s->uses.producer[value];
        if (at < 0) return false;
        const nnfi_call *call = s->graph_a->calls[at];
        value = value_before(s->graph_a, call, residual);
        if (call->n_outputs != 1 || value == NNF_NO_VALUE) return false;
        found->calls[found->length++] = (size_t)at;
        if (strcmp(s->graph_a->values[value].name, first) == 0) break;
        if (found->length == MAX_CHAIN) return false;
    }
    for (size_t i = 0; i < found->length / 2; i++) { /* it was found from its end */
        size_t swap = found->calls[i];
        found->calls[i] = found->calls[found->length - 1 - i];
        found->calls[found->length - 1 - i] = swap;
    }
    return found->length > 1;
}

/* ---- A random input for a chain ---- */

/* The parameter whose dtype the input must have. */
static const nnf_tensor *first_tensor(const nnf_module *module) {
    size_t n = nnf_module_n_tensors(module);
    for (size_t i = 0; i < n; i++) {
        const nnf_tensor *tensor = nnf_module_tensor(module, nnf_module_tensor_name(module, i));
        if (tensor != NULL) return tensor;
    }
    return NULL;
}

/* A shape that the module can take where nothing else is known: small, larger than its kernel. */
static int own_shape(const nnf_module *module, int64_t *shape) {
    nnf_linear_map map = {0};
    const nnf_module_type *type = nnf_module_get_type(module);
    if (type->linear_map == NULL || type->linear_map(module, &map) != NNF_OK) return -1;
    shape[0] = 1;
    if (map.channel_axis == -1) {
        shape[1] = map.in_channels;
        return 2;
    }
    const nnf_conv_options *options = nnf_module_options(module);
    const nnf_tensor *weight = nnf_module_tensor(module, map.weight);
    if (weight == NULL) return -1;
    int ndim = nnf_tensor_ndim(weight);
    shape[1] = map.in_channels;
    for (int d = 2; d < ndim; d++) {
        int64_t extent = options->dilation[d - 2] * (options->kernel_size[d - 2] - 1) + 1;
        shape[d] = extent < 5 ? 8 : extent + 3;
    }
    return ndim;
}

/* The shape from inference where that knows it, else from the module. */
static bool choose_shape(const search *s, nnf_value value, const nnf_module *module, int *ndim,
                         int64_t *shape) {
    int64_t own[NNF_MAX_DIMS] = {0};
    int own_ndim = own_shape(module, own);
    const nnf_type_info *info =
        s->infos != NULL ? &s->infos[value] : nnfi_value_info(&s->graph_a->values[value]);
    *ndim = info->ndim >= 0 ? info->ndim : own_ndim;
    for (int d = 0; d < *ndim; d++) {
        bool known = info->ndim >= 0 && info->shape[d].symbol == 0;
        if (known) {
            shape[d] = info->shape[d].value;
        } else if (d == 0) {
            shape[d] = 1;
        } else if (own_ndim == *ndim) {
            shape[d] = own[d];
        } else {
            return false;
        }
    }
    return *ndim >= 0;
}

static nnf_status make_input(nnf_tensor **out, const search *s, const chain *found) {
    const nnfi_call *call = s->graph_a->calls[found->calls[0]];
    const nnf_tensor *tensor = first_tensor(call->module);
    int ndim = 0;
    int64_t shape[NNF_MAX_DIMS] = {0};
    if (tensor == NULL || !choose_shape(s, call->inputs[0], call->module, &ndim, shape)) {
        return nnf_error(NNF_ERROR_UNSUPPORTED, "the shape of its input is not known");
    }
    return nnfi_random_tensor(out, nnf_tensor_dtype(tensor), ndim, shape,
                              nnfi_random_start(s->options->seed, call->path), s->options->int_max);
}

/* ---- Running a chain beside the call that stands for it ---- */

/* Runs modules one after the other on one input. Where one adds a residual and there is none yet, a
 * random one is made, of the shape of what it is added to. */
static nnf_status run_modules(nnf_tensor **out, nnf_module *const *modules, size_t n,
                              nnf_tensor *input, nnf_tensor **residual, const search *s) {
    nnf_tensor *value = nnf_tensor_retain(input);
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n && status == NNF_OK; i++) {
        nnf_session *session = NULL;
        nnf_session_options options = {
            .threads = s->options->threads, .no_winograd = true, .runs_once = true};
        nnf_tensor *next = NULL;
        bool adds = nnfi_takes_residual(modules[i]);
        if (adds && *residual == NULL)
            status = nnfi_random_tensor(
                residual, nnf_tensor_dtype(value), nnf_tensor_ndim(value), nnf_tensor_shape(value),
                nnfi_random_start(s->options->seed, "residual"), s->options->int_max);
        nnf_tensor *inputs[] = {value, *residual};
        size_t n_inputs = adds || nnfi_n_residuals(modules[i]) ? 2 : 1;
        if (status == NNF_OK) status = nnf_session_new(&session, modules[i], &options);
        if (status == NNF_OK) status = nnf_session_run(session, inputs, n_inputs, &next, 1);
        nnf_session_release(session);
        nnf_tensor_release(value);
        value = next;
    }
    if (status == NNF_OK) *out = value;
    return status;
}

static nnf_status compare_chain(nnf_verify_report *report, const search *s, const chain *found,
                                nnf_module *fused) {
    nnf_module *modules[MAX_CHAIN];
    for (size_t i = 0; i < found->length; i++) {
        modules[i] = s->graph_a->calls[found->calls[i]]->module;
    }
    const char *path = s->graph_a->calls[found->calls[0]]->path;
    nnf_tensor *input = NULL, *residual = NULL, *before = NULL, *after = NULL;
    nnf_status status = make_input(&input, s, found);
    if (status == NNF_OK) {
        status = run_modules(&before, modules, found->length, input, &residual, s);
    }
    if (status == NNF_OK) status = run_modules(&after, &fused, 1, input, &residual, s);
    if (status == NNF_OK) {
        nnf_verify_row *row = nnfi_report_add(report);
        status = row == NULL ? NNF_ERROR_MEMORY
                             : nnfi_compare(row, path, before, after, s->options->tolerance);
        if (status == NNF_OK) report->ok = report->ok && row->ok;
    }
    nnf_tensor_release(input);
    nnf_tensor_release(residual);
    nnf_tensor_release(before);
    nnf_tensor_release(after);
    return status == NNF_OK ? NNF_OK : nnfi_error_prefix(status, "%s: ", path);
}

static nnf_status check_calls(nnf_verify_report *report, const search *s) {
    size_t n = nnf_graph_n_calls(s->b);
    for (size_t i = 0; i < n; i++) {
        nnf_module *module = nnf_graph_call_module(s->b, i);
        if (!is_fused_or_linear(module) || nnf_graph_call_n_outputs(s->b, i) != 1 ||
            nnf_graph_call_n_inputs(s->b, i) == 0) {
            continue;
        }
        const nnf_value *inputs = nnf_graph_call_inputs(s->b, i);
        nnf_value input = inputs[0], residual = NNF_NO_VALUE;
        if (nnfi_n_residuals(module)) residual = inputs[nnf_graph_call_n_inputs(s->b, i) - 1];
        nnf_value output = nnf_graph_call_outputs(s->b, i)[0];
        if (input == NNF_NO_VALUE) continue;
        chain found;
        bool fused =
            find_chain(&found, s, nnf_graph_value_name(s->b, input),
                       nnf_graph_value_name(s->b, output), nnf_graph_value_name(s->b, residual));
        if (fused) NNFI_TRY(compare_chain(report, s, &found, module));
        if (!nnfi_progress("verifying", (double)(i + 1) / (double)n)) {
            return nnf_error(NNF_ERROR_CANCELLED, "verifying was cancelled");
        }
    }
    return NNF_OK;
}

nnf_status nnfi_verify_chains(nnf_verify_report *report, const nnf_module *a, const nnf_module *b,
                              const nnf_verify_options *options) {
    search s = {.a = a, .b = b, .graph_a = nnfi_graph_of(a), .options = options};
    NNFI_TRY(nnfi_uses_new(&s.uses, s.graph_a));
    /* A graph with nodes that nnfuse does not know may well infer in part or not at all. */
    if (nnf_graph_infer(a, NULL, &s.infos, &s.n_infos) != NNF_OK) s.infos = NULL;
    report->ok = true;
    report->inputs = nnfi_format("a random input for each fused chain, N(0,1), seed %llu",
                                 (unsigned long long)options->seed);
    nnf_status status =
        report->inputs != NULL ? check_calls(report, &s) : nnfi_error_memory(0, "the report");
    if (s.infos != NULL) nnf_graph_infer_free(s.infos, s.n_infos);
    nnfi_uses_clear(&s.uses);
    return status;
}
