/* fuse_modules: chains named by hand, in a tree of modules or in Graphs within it. */
#include <string.h>

#include "fuse/batch.h"
#include "fuse/known_modules.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/memory.h"
#include "support/text.h"

typedef struct nnfi_request {
    const nnf_fuse_options *options;
    bool is_qat;
    nnfi_map seen; /* names, to the number of the chain that they are in */
} nnfi_request;

/* Puts "cannot fuse 'a', 'b': " in front of the message. */
static nnf_status cannot_fuse(nnf_status status, const nnf_chain *chain) {
    nnfi_text text = {0};
    for (size_t i = 0; i < chain->length; i++)
        nnfi_text_add(&text, "%s'%s'", i ? ", " : "", chain->names[i] ? chain->names[i] : "(null)");
    if (text.data && !text.failed)
        status = nnfi_error_prefix(status, "cannot fuse %s: ", text.data);
    nnfi_text_clear(&text);
    return status;
}

/* The innermost Graph that holds the module at `path`, which exists; NULL: none. */
static nnf_status graph_of_path(nnf_module **out, nnf_module *root, const char *path) {
    char *parts = nnfi_strdup(path);
    if (!parts) return nnfi_error_memory(strlen(path), "a path");
    nnf_module *module = root;
    nnf_status status = NNF_OK;
    *out = NULL;
    for (char *part = parts, *dot; status == NNF_OK; part = dot + 1) {
        if (nnf_module_is_graph(module)) *out = module;
        dot = strchr(part, '.');
        if (!dot) break;
        *dot = '\0';
        status = nnf_module_get(&module, module, part);
    }
    nnfi_free(parts);
    return status;
}

/* No name is in two chains of a tree, or twice in one chain. In a Graph a stateless module may be
 * in several: its calls are told apart later. */
static nnf_status check_names(nnfi_request *request, const nnf_chain *chain, size_t number,
                              const nnfi_job *job) {
    for (size_t i = 0; i < chain->length; i++) {
        const char *name = chain->names[i];
        int64_t other;
        bool seen = nnfi_map_get(&request->seen, name, strlen(name), &other);
        if (seen && ((size_t)other == number || !job->plan))
            return nnf_error(NNF_ERROR_INVALID, "'%s' is there twice", name);
        if (!nnfi_map_put(&request->seen, name, strlen(name), (int64_t)number))
            return nnfi_error_memory(strlen(name), "the names of chains");
    }
    return NNF_OK;
}

static nnf_status resolve(nnfi_batch *batch, nnfi_job *job, const nnf_chain *chain) {
    nnf_module *graph = NULL;
    bool called = false;
    for (size_t i = 0; i < chain->length; i++) {
        job->names[i] = chain->names[i];
        nnf_module *module;
        NNFI_TRY(nnf_module_get(&module, batch->root, chain->names[i]));
        job->modules[i] = nnf_module_retain(module);
        nnf_module *holder;
        NNFI_TRY(graph_of_path(&holder, batch->root, chain->names[i]));
        if (i > 0 && holder != graph)
            return nnf_error(NNF_ERROR_NOT_FUSABLE, "'%s' and '%s' are not in the same graph",
                             chain->names[0], chain->names[i]);
        graph = holder;
    }
    if (!graph) return NNF_OK;
    nnfi_plan *plan;
    NNFI_TRY(nnfi_batch_plan(batch, &plan, graph));
    for (size_t i = 0; i < chain->length; i++)
        called = called || nnfi_plan_last_call(plan, job->modules[i]) != NNFI_NO_CALL;
    /* Modules that the graph does not call itself belong to a plain part of its tree. */
    if (called) job->plan = plan;
    return NNF_OK;
}

static nnf_status check_no_residual(const nnfi_job *job) {
    for (size_t i = 1; i < job->n; i++)
        if (nnfi_takes_residual(job->modules[i]))
            return nnf_error(NNF_ERROR_NOT_FUSABLE,
                             "'%s' takes a second input, and only a Graph says which",
                             job->names[i]);
    return NNF_OK;
}

/* The row for a job in a graph: for what its modules are, or for what folding sees their calls as.
 */
static nnf_status find_row(nnfi_chain_row *row, const nnfi_job *job, const nnf_mapping *mapping) {
    nnf_status status = nnfi_row_of_modules(row, job->modules, job->n, mapping);
    if (status != NNF_ERROR_NOT_FOUND || !job->plan) return status;
    nnf_module **views = nnfi_calloc(job->n, sizeof *views);
    if (!views) return nnfi_error_memory(job->n * sizeof *views, "a chain");
    if (nnfi_plan_trace(job->plan, job->modules, job->n, job->calls) == NNF_OK &&
        nnfi_plan_views(job->plan, job->calls, job->n, views) == NNF_OK)
        status = nnfi_row_of_modules(row, views, job->n, mapping);
    else
        status = nnfi_row_of_modules(row, job->modules, job->n, mapping);
    for (size_t i = 0; i < job->n; i++)
        nnf_module_release(views[i]);
    nnfi_free(views);
    return status;
}

static nnf_status fuse_known(nnfi_job *job, const nnfi_request *request) {
    nnfi_chain_row row;
    job->moves_hooks = true;
    NNFI_TRY(find_row(&row, job, request->options->additional));
    if (!job->plan) {
        NNFI_TRY(check_no_residual(job));
        return nnfi_fuse_by_row(job->fused, job->modules, job->n, request->is_qat, &row);
    }
    NNFI_TRY(nnfi_plan_trace(job->plan, job->modules, job->n, job->calls));
    return nnfi_job_fuse(job, &row, request->is_qat);
}

static nnf_status fuse_by_caller(nnfi_job *job, const nnfi_request *request) {
    const nnf_fuse_options *options = request->options;
    size_t n = job->n;
    if (job->plan) {
        NNFI_TRY(nnfi_plan_trace(job->plan, job->modules, job->n, job->calls));
        NNFI_TRY(nnfi_job_check_place(job));
    }
    NNFI_TRY(nnfi_job_save_hooks(job));
    nnf_status status = options->fuser_func(job->fused, &n, job->modules, job->n, request->is_qat,
                                            options->additional, options->payload);
    if (status != NNF_OK) { /* then it gave no references */
        memset(job->fused, 0, job->n * sizeof *job->fused);
        return status;
    }
    if (n != job->n)
        return nnf_error(NNF_ERROR_INVALID, "fuser_func gave %zu modules for %zu", n, job->n);
    for (size_t i = 0; i < n; i++)
        if (!job->fused[i])
            return nnf_error(NNF_ERROR_INVALID, "fuser_func gave NULL as module %zu", i);
    return job->plan
               ? nnfi_plan_check(job->plan, job->calls, job->modules, job->n, 0, job->fused[0])
               : NNF_OK;
}

static nnf_status make_job(nnfi_job *job, const nnfi_request *request) {
    NNFI_TRY(request->options->fuser_func ? fuse_by_caller(job, request)
                                          : fuse_known(job, request));
    if (!job->plan) return NNF_OK;
    for (size_t i = 0; i < job->n; i++)
        job->plan->taken[job->calls[i]] = true;
    return NNF_OK;
}

static nnf_status add_chain(nnfi_batch *batch, nnfi_request *request, const nnf_chain *chain,
                            size_t number) {
    if (!chain->names || chain->length == 0)
        return nnf_error(NNF_ERROR_INVALID, "chain %zu names no module", number);
    for (size_t i = 0; i < chain->length; i++)
        if (!chain->names[i] || !chain->names[i][0])
            return nnf_error(NNF_ERROR_INVALID, "name %zu of chain %zu is empty", i, number);
    nnfi_job *job;
    NNFI_TRY(nnfi_batch_add(batch, &job, chain->length));
    nnf_status status = resolve(batch, job, chain);
    if (status == NNF_OK) status = check_names(request, chain, number, job);
    if (status == NNF_OK) status = make_job(job, request);
    return status == NNF_OK ? status : cannot_fuse(status, chain);
}

static nnf_status fuse(nnf_module **out, nnf_module *model, const nnf_chain *chains,
                       size_t n_chains, const nnf_fuse_options *options, bool is_qat) {
    if (options && options->report) *options->report = (nnf_fuse_report){0};
    if (!out || !model || (!chains && n_chains))
        return nnf_error(NNF_ERROR_INVALID,
                         "fusing needs a model, chains and a place for the result");
    static const nnf_fuse_options defaults = {0};
    nnfi_request request = {.options = options ? options : &defaults, .is_qat = is_qat};
    nnf_module *root = NULL;
    if (request.options->inplace)
        root = nnf_module_retain(model);
    else
        NNFI_TRY(nnf_module_copy(&root, model));

    nnfi_batch batch = {.root = root};
    nnf_status status = NNF_OK;
    for (size_t i = 0; status == NNF_OK && i < n_chains; i++)
        status = add_chain(&batch, &request, &chains[i], i);
    if (status == NNF_OK) status = nnfi_batch_commit(&batch, request.options->report);
    if (status != NNF_OK) nnfi_batch_restore_hooks(&batch);
    nnfi_batch_clear(&batch);
    nnfi_map_clear(&request.seen);
    if (status == NNF_OK)
        *out = root;
    else
        nnf_module_release(root);
    return status;
}

nnf_status nnf_fuse_modules(nnf_module **out, nnf_module *model, const nnf_chain *chains,
                            size_t n_chains, const nnf_fuse_options *options) {
    return fuse(out, model, chains, n_chains, options, false);
}

nnf_status nnf_fuse_modules_qat(nnf_module **out, nnf_module *model, const nnf_chain *chains,
                                size_t n_chains, const nnf_fuse_options *options) {
    return fuse(out, model, chains, n_chains, options, true);
}
