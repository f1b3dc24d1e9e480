/* Checking chain by chain, for models that nnfuse cannot run as a whole: where one call of b (or a
 * norm and a layer behind it) stands for several of a, both are run on the same random input. */
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
    const nnfi_graph *graph_a, *graph_b;
    nnfi_uses uses;       /* of a */
    int32_t *producers;   /* [n_values] of b */
    nnf_type_info *infos; /* of a's values; NULL where inference gave an error */
    size_t n_infos;
    const nnf_verify_options *options;
} search;

/* A call, and which of its inputs comes from the call before it in the chain. Its others are
 * constants and the chain's residual. */
typedef struct link {
    const nnfi_call *call;
    size_t data;
} link;

/* A chain of a, first call first. */
typedef struct chain {
    size_t length;
    link links[MAX_CHAIN];
} chain;

/* A module that fusing makes: a linear map (with folded weights), or a container. */
static bool is_fused_or_linear(const nnf_module *module) {
    const nnf_module_type *type = nnf_module_get_type(module);
    return type->linear_map != NULL || (type->flags & NNF_TYPE_FUSED) != 0;
}

/* The constant, or the default, that an input of a call is; NULL where it is none. */
static nnf_tensor *constant_at(const nnfi_graph *graph, const nnfi_call *call, size_t index) {
    nnf_value value = call->inputs[index];
    return value == NNF_NO_VALUE ? NULL : graph->values[value].constant;
}

/* The input that is neither a constant nor the value named `residual` (may be NULL); n_inputs where
 * there are several or none. */
static size_t data_input(const nnfi_graph *graph, const nnfi_call *call, const char *residual) {
    size_t data = call->n_inputs;
    bool adds = residual != NULL && nnfi_takes_residual(call->module);
    for (size_t i = 0; i < call->n_inputs; i++) {
        nnf_value value = call->inputs[i];
        if (value == NNF_NO_VALUE || constant_at(graph, call, i) != NULL) continue;
        if (adds && strcmp(graph->values[value].name, residual) == 0) {
            adds = false;
            continue;
        }
        if (data < call->n_inputs) return call->n_inputs;
        data = i;
    }
    return data;
}

static void reverse(chain *found) {
    for (size_t i = 0; i < found->length / 2; i++) {
        link swap = found->links[i];
        found->links[i] = found->links[found->length - 1 - i];
        found->links[found->length - 1 - i] = swap;
    }
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
        size_t data = data_input(s->graph_a, call, residual);
        if (call->n_outputs != 1 || data == call->n_inputs) return false;
        found->links[found->length++] = (link){call, data};
        value = call->inputs[data];
        if (strcmp(s->graph_a->values[value].name, first) == 0) break;
        if (found->length == MAX_CHAIN) return false;
    }
    reverse(found); /* it was found from its end */
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
    if (!nnfi_is_built_in(type) && !nnfi_is_lifted(module)) return -1; /* its own options */
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

/* What both take: the chain may begin with calls that did nothing, the fused module does not. NULL
 * where its dtype or shape is not known. */
static nnf_status make_input(nnf_tensor **out, const search *s, const chain *found,
                             const nnf_module *fused) {
    const link *first = &found->links[0];
    const nnf_module *base = (nnf_module_get_type(fused)->flags & NNF_TYPE_FUSED) != 0
                                 ? nnf_module_child(fused, 0)
                                 : fused;
    const nnf_tensor *tensor = first_tensor(base);
    int ndim = 0;
    int64_t shape[NNF_MAX_DIMS] = {0};
    *out = NULL;
    if (tensor == NULL || !choose_shape(s, first->call->inputs[first->data], base, &ndim, shape))
        return NNF_OK;
    return nnfi_random_tensor(out, nnf_tensor_dtype(tensor), ndim, shape,
                              nnfi_random_start(s->options->seed, first->call->path),
                              s->options->int_max);
}

/* ---- Running a chain beside the call that stands for it ---- */

/* Runs a call's module on its constants, `data` and the residual. Where there is none yet, a random
 * one is made, of the shape of what it is added to. */
static nnf_status run_link(nnf_tensor **out, const nnfi_graph *graph, const link *l,
                           nnf_tensor *data, nnf_tensor **residual, const search *s) {
    const nnfi_call *call = l->call;
    nnf_tensor **inputs = nnfi_calloc(call->n_inputs, sizeof *inputs);
    nnf_session *session = NULL;
    nnf_session_options options = {
        .threads = s->options->threads, .no_winograd = true, .runs_once = true};
    nnf_status status =
        inputs != NULL ? NNF_OK : nnfi_error_memory(call->n_inputs, "the inputs of a module");
    for (size_t i = 0; i < call->n_inputs && status == NNF_OK; i++) {
        if (i == l->data) {
            inputs[i] = data;
        } else if (call->inputs[i] == NNF_NO_VALUE || constant_at(graph, call, i) != NULL) {
            inputs[i] = constant_at(graph, call, i);
        } else {
            if (*residual == NULL)
                status = nnfi_random_tensor(
                    residual, nnf_tensor_dtype(data), nnf_tensor_ndim(data), nnf_tensor_shape(data),
                    nnfi_random_start(s->options->seed, "residual"), s->options->int_max);
            inputs[i] = *residual;
        }
    }
    if (status == NNF_OK) status = nnf_session_new(&session, call->module, &options);
    if (status == NNF_OK) status = nnf_session_run(session, inputs, call->n_inputs, out, 1);
    nnf_session_release(session);
    nnfi_free(inputs);
    return status;
}

static nnf_status run_chain(nnf_tensor **out, const nnfi_graph *graph, const search *s,
                            const chain *found, nnf_tensor *input, nnf_tensor **residual) {
    nnf_tensor *value = nnf_tensor_retain(input);
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < found->length && status == NNF_OK; i++) {
        nnf_tensor *next = NULL;
        status = run_link(&next, graph, &found->links[i], value, residual, s);
        nnf_tensor_release(value);
        value = next;
    }
    if (status == NNF_OK) *out = value;
    return status;
}

/* The layer of a chain of b that has weights; NULL: none has. */
static const nnf_module *layer_of(const chain *fused) {
    for (size_t i = 0; i < fused->length; i++)
        if (is_fused_or_linear(fused->links[i].call->module)) return fused->links[i].call->module;
    return NULL;
}

/* `fused`: what b has for it. */
static nnf_status compare_chain(nnf_verify_report *report, const search *s, const chain *found,
                                const chain *fused) {
    const char *path = found->links[0].call->path;
    nnf_tensor *input = NULL, *residual = NULL, *before = NULL, *after = NULL;
    nnf_status status = make_input(&input, s, found, layer_of(fused));
    bool runs = input != NULL;
    if (runs) status = run_chain(&before, s->graph_a, s, found, input, &residual);
    if (runs && status == NNF_OK)
        status = run_chain(&after, s->graph_b, s, fused, input, &residual);
    /* cleaning may have given the value in front another rank, under the same name */
    if (before && status == NNF_ERROR_SHAPE) {
        runs = false;
        status = NNF_OK;
    }
    if (status == NNF_OK && !runs) report->n_unchecked++;
    if (status == NNF_OK && runs) {
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

/* What b has for a chain that ends in the call: this one, and those in front whose values a does
 * not have (what a norm gives whose scale went into the layers behind it, a product in front of its
 * bias). False where there is no layer among them, or one of them reads something else too. */
static bool find_fused(chain *out, const search *s, const nnfi_call *call) {
    const nnfi_graph *graph = s->graph_b;
    size_t data = is_fused_or_linear(call->module) ? 0 : data_input(graph, call, NULL);
    for (out->length = 0;;) {
        if (call->n_outputs != 1 || data >= call->n_inputs || call->inputs[data] == NNF_NO_VALUE ||
            out->length == MAX_CHAIN)
            return false;
        out->links[out->length++] = (link){call, data};
        const nnf_value value = call->inputs[data];
        if (nnfi_graph_find_value(s->graph_a, graph->values[value].name) != NNF_NO_VALUE) break;
        if (s->producers[value] < 0) return false;
        call = graph->calls[s->producers[value]];
        data = data_input(graph, call, NULL);
    }
    reverse(out);
    return layer_of(out) != NULL;
}

/* Whether a chain of a ends where the call does. */
static bool stands_for_chain(chain *found, chain *fused, const search *s, const nnfi_call *call) {
    const nnfi_graph *graph = s->graph_b;
    if (call->n_outputs != 1 || call->outputs[0] == NNF_NO_VALUE || !find_fused(fused, s, call))
        return false;
    const link *first = &fused->links[0];
    const char *residual = NULL;
    if (nnfi_n_residuals(call->module) && call->inputs[call->n_inputs - 1] != NNF_NO_VALUE)
        residual = graph->values[call->inputs[call->n_inputs - 1]].name;
    return find_chain(found, s, graph->values[first->call->inputs[first->data]].name,
                      graph->values[call->outputs[0]].name, residual);
}

static nnf_status check_call(nnf_verify_report *report, const search *s, const nnfi_call *call) {
    chain found, fused;
    if (stands_for_chain(&found, &fused, s, call)) return compare_chain(report, s, &found, &fused);
    const nnfi_call *same = nnfi_find_unchanged(s->graph_a, s->uses.producer, s->graph_b, call);
    if (!same) return NNF_OK;
    return nnfi_compare_unchanged(report, s->graph_a, same, s->graph_b, call,
                                  s->options->tolerance);
}

static nnf_status check_calls(nnf_verify_report *report, const search *s) {
    const nnfi_graph *graph = s->graph_b;
    for (size_t i = 0; i < graph->n_calls; i++) {
        NNFI_TRY(check_call(report, s, graph->calls[i]));
        if (!nnfi_progress("verifying", (double)(i + 1) / (double)graph->n_calls))
            return nnf_error(NNF_ERROR_CANCELLED, "verifying was cancelled");
    }
    return NNF_OK;
}

nnf_status nnfi_verify_chains(nnf_verify_report *report, const nnf_module *a, const nnf_module *b,
                              const nnf_verify_options *options) {
    search s = {.graph_a = nnfi_graph_of(a), .graph_b = nnfi_graph_of(b), .options = options};
    NNFI_TRY(nnfi_uses_new(&s.uses, s.graph_a));
    /* A graph with nodes that nnfuse does not know may well infer in part or not at all. */
    if (nnf_graph_infer(a, NULL, &s.infos, &s.n_infos) != NNF_OK) s.infos = NULL;
    report->ok = true;
    report->inputs = nnfi_format("a random input for each fused chain, N(0,1), seed %llu%s",
                                 (unsigned long long)options->seed,
                                 options->n_inputs + options->n_shapes > 0
                                     ? ": what was given for the model's inputs was not used"
                                     : "");
    nnf_status status = report->inputs != NULL ? nnfi_producers_new(&s.producers, s.graph_b)
                                               : nnfi_error_memory(0, "the report");
    if (status == NNF_OK) status = check_calls(report, &s);
    if (report->n_rows == 0 && report->n_same == 0) report->ok = false; /* nothing is known */
    if (s.infos != NULL) nnf_graph_infer_free(s.infos, s.n_infos);
    nnfi_free(s.producers);
    nnfi_uses_clear(&s.uses);
    return status;
}
