/* Patterns: small graphs with one input and one result that are one layer written as several. */
#include "fuse/batch.h"

#include <string.h>

#include "nn/nn_internal.h"
#include "support/error.h"

enum { MAX_NODES = 4, X = -1 /* the pattern's input */ };

typedef struct pattern_node {
    const char *type;
    int inputs[2]; /* earlier nodes, or X; for types whose two inputs may change places */
    int n_inputs;
} pattern_node;

typedef struct pattern {
    const nnf_module_type *type; /* what is lifted; options all zero but for `activation` */
    nnf_activation activation;
    int n_nodes;
    pattern_node nodes[MAX_NODES]; /* in execution order; the last one gives the result */
} pattern;

static const pattern patterns[] = {
    {&nnfi_lifted_silu, NNF_SILU, 2, {{"Sigmoid", {X}, 1}, {"Mul", {0, X}, 2}}},
};

/* Calls that match so far: x is the value that stands for the pattern's input. */
typedef struct match {
    size_t calls[MAX_NODES];
    bool bound[MAX_NODES];
    nnf_value x;
} match;

static bool match_node(const nnfi_plan *plan, const pattern *wanted, int node, size_t index,
                       match *m);

static bool match_value(const nnfi_plan *plan, const pattern *wanted, int node, nnf_value value,
                        match *m) {
    if (value == NNF_NO_VALUE) return false;
    if (node == X) {
        if (m->x == NNF_NO_VALUE) m->x = value;
        return m->x == value;
    }
    int64_t producer = plan->uses.producer[value];
    return producer >= 0 && match_node(plan, wanted, node, (size_t)producer, m);
}

static bool match_node(const nnfi_plan *plan, const pattern *wanted, int node, size_t index,
                       match *m) {
    const pattern_node *expected = &wanted->nodes[node];
    const nnfi_call *call = plan->graph->calls[index];
    if (m->bound[node]) return m->calls[node] == index;
    if (strcmp(nnf_module_type_name(call->module), expected->type) != 0 || call->n_outputs != 1 ||
        (int)call->n_inputs != expected->n_inputs)
        return false;
    for (int swapped = 0; swapped < expected->n_inputs; swapped++) {
        match before = *m;
        bool good = true;
        for (int i = 0; good && i < expected->n_inputs; i++) {
            nnf_value value = call->inputs[swapped ? expected->n_inputs - 1 - i : i];
            good = match_value(plan, wanted, expected->inputs[i], value, m);
        }
        m->calls[node] = index;
        m->bound[node] = good;
        if (good) return true;
        *m = before;
    }
    return false;
}

/* Whether nothing but the matched calls needs their modules and what they give each other. */
static bool stands_alone(const nnfi_plan *plan, const pattern *wanted, const match *m) {
    for (int k = 0; k < wanted->n_nodes; k++) {
        const nnfi_call *call = plan->graph->calls[m->calls[k]];
        nnf_value out = call->outputs[0];
        bool shared = nnfi_plan_last_call(plan, call->module) != m->calls[k] ||
                      plan->previous[m->calls[k]] != NNFI_NO_CALL;
        if (plan->taken[m->calls[k]] || shared || nnf_module_n_forward_hooks(call->module) ||
            nnf_module_n_forward_pre_hooks(call->module))
            return false;
        if (k + 1 == wanted->n_nodes) continue;
        if (out == NNF_NO_VALUE || plan->graph->values[out].is_output) return false;
        for (int64_t r = plan->uses.first_reader[out]; r < plan->uses.first_reader[out + 1]; r++) {
            bool inside = false;
            for (int j = k + 1; j < wanted->n_nodes; j++)
                inside = inside || plan->uses.readers[r] == (int64_t)m->calls[j];
            if (!inside) return false;
        }
    }
    return true;
}

/* The layer, with the modules that it was as children: a writer passes their nodes on. */
static nnf_status make_lifted(nnf_module **out, const pattern *wanted, nnf_module *const *modules) {
    const nnf_activation_options options = {.kind = wanted->activation};
    nnf_module *lifted;
    NNFI_TRY(nnf_module_new(&lifted, wanted->type, &options));
    nnf_module_set_training(lifted, nnf_module_training(modules[0]));
    nnf_status status = nnfi_set_numbered_children(lifted, modules, (size_t)wanted->n_nodes);
    if (status != NNF_OK)
        nnf_module_release(lifted);
    else
        *out = lifted;
    return status;
}

static nnf_status add_job(nnfi_batch *batch, nnfi_plan *plan, const pattern *wanted,
                          const match *m) {
    size_t n = (size_t)wanted->n_nodes;
    nnfi_job *job;
    NNFI_TRY(nnfi_batch_add(batch, &job, n));
    job->plan = plan;
    for (size_t k = 0; k < n; k++) {
        const nnfi_call *call = plan->graph->calls[m->calls[k]];
        job->names[k] = call->path;
        job->calls[k] = m->calls[k];
        job->modules[k] = nnf_module_retain(call->module);
        plan->taken[m->calls[k]] = true;
    }
    NNFI_TRY(make_lifted(&job->fused[0], wanted, job->modules));
    for (size_t k = 1; k < n; k++)
        NNFI_TRY(nnf_identity_new(&job->fused[k]));
    return NNF_OK;
}

static nnf_status find_patterns(nnfi_batch *batch, nnfi_plan *plan) {
    for (size_t c = 0; c < plan->graph->n_calls; c++)
        for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
            match m = {.x = NNF_NO_VALUE};
            if (match_node(plan, &patterns[p], patterns[p].n_nodes - 1, c, &m) &&
                m.x != NNF_NO_VALUE && stands_alone(plan, &patterns[p], &m))
                NNFI_TRY(add_job(batch, plan, &patterns[p], &m));
        }
    return NNF_OK;
}

nnf_status nnf_lift_patterns(nnf_module *graph, size_t *n_lifted) {
    if (!graph || !nnf_module_is_graph(graph))
        return nnf_error(NNF_ERROR_INVALID, "patterns are found in a Graph, not in a %s",
                         graph ? nnf_module_type_name(graph) : "null pointer");
    nnfi_batch batch = {.root = graph};
    nnfi_plan *plan;
    nnf_status status = nnfi_batch_plan(&batch, &plan, graph);
    if (status == NNF_OK) status = find_patterns(&batch, plan);
    size_t n = batch.n_jobs;
    if (status == NNF_OK && n > 0) status = nnfi_batch_commit(&batch, NULL);
    nnfi_batch_clear(&batch);
    if (status == NNF_OK && n_lifted) *n_lifted = n;
    return status;
}
