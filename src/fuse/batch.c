#include "fuse/batch.h"

#include <string.h>

#include "fuse/known_modules.h"
#include "fuse/methods.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/memory.h"
#include "support/text.h"

nnf_status nnfi_batch_plan(nnfi_batch *batch, nnfi_plan **out, nnf_module *graph) {
    for (size_t i = 0; i < batch->n_plans; i++)
        if (batch->plans[i]->module == graph) {
            *out = batch->plans[i];
            return NNF_OK;
        }
    nnfi_plan *plan = nnfi_alloc(sizeof *plan);
    if (!plan || !nnfi_reserve(&batch->plans, &batch->plans_capacity, batch->n_plans + 1,
                               sizeof(nnfi_plan *))) {
        nnfi_free(plan);
        return nnfi_error_memory(sizeof *plan, "a graph to be fused");
    }
    nnf_status status = nnfi_plan_open(plan, graph);
    if (status != NNF_OK) {
        nnfi_free(plan);
        return status;
    }
    batch->plans[batch->n_plans++] = *out = plan;
    return NNF_OK;
}

nnf_status nnfi_batch_add(nnfi_batch *batch, nnfi_job **out, size_t n) {
    nnfi_job job = {.n = n, .gives = NNF_NO_VALUE};
    const size_t each = sizeof *job.names + sizeof *job.modules + sizeof *job.fused +
                        sizeof *job.calls + sizeof *job.stays;
    if (n <= SIZE_MAX / each) job.names = nnfi_pile_alloc(&batch->pile, n * each, _Alignof(char *));
    bool room = job.names && nnfi_reserve(&batch->jobs, &batch->jobs_capacity, batch->n_jobs + 1,
                                          sizeof *batch->jobs);
    if (!room) return nnfi_error_memory(n * each, "a chain");
    memset((void *)job.names, 0, n * each);
    job.modules = (nnf_module **)(job.names + n);
    job.fused = job.modules + n;
    job.calls = (size_t *)(job.fused + n);
    job.stays = (bool *)(job.calls + n);
    batch->jobs[batch->n_jobs] = job;
    *out = &batch->jobs[batch->n_jobs++];
    return NNF_OK;
}

nnf_status nnfi_batch_add_calls(nnfi_batch *batch, nnfi_job **out, nnfi_plan *plan,
                                const size_t *calls, size_t n) {
    NNFI_TRY(nnfi_batch_add(batch, out, n));
    nnfi_job *job = *out;
    job->plan = plan;
    for (size_t i = 0; i < n; i++) {
        const nnfi_call *call = plan->graph->calls[calls[i]];
        job->calls[i] = calls[i];
        job->names[i] = call->path;
        job->modules[i] = nnf_module_retain(call->module);
        plan->taken[calls[i]] = true;
    }
    return NNF_OK;
}

/* What a lifted layer captures is its steps'. */
nnf_status nnfi_batch_set_reads(nnfi_batch *batch, nnfi_job *job, const nnfi_call *call,
                                nnf_value data) {
    const bool steps = nnfi_is_lifted(call->module) && job->fused[job->base] != call->module;
    const size_t n_captures = steps ? 0 : call->n_captures;
    const size_t n = call->n_inputs + n_captures;
    nnf_value *values = nnfi_pile_alloc(&batch->pile, n * sizeof *values, _Alignof(nnf_value));
    if (!values) return nnfi_error_memory(n * sizeof *values, "a chain's inputs");
    for (size_t i = 0; i < n; i++)
        values[i] = i < call->n_inputs ? call->inputs[i] : call->captures[i - call->n_inputs];
    values[0] = data;
    job->reads = (nnfi_reads){values, values + call->n_inputs, call->n_inputs, n_captures};
    return NNF_OK;
}

static void release_job(nnfi_job *job) {
    for (size_t i = 0; job->saved && i < job->n; i++)
        nnfi_saved_hooks_clear(&job->saved[i]);
    nnfi_free(job->saved);
    for (size_t i = 0; i < job->n; i++) {
        nnf_module_release(job->fused[i]);
        nnf_module_release(job->modules[i]);
    }
}

void nnfi_batch_drop_last(nnfi_batch *batch) {
    nnfi_job *job = &batch->jobs[--batch->n_jobs];
    for (size_t i = 0; i < job->n; i++)
        job->plan->taken[job->calls[i]] = false;
    release_job(job);
    nnfi_pile_take_back(&batch->pile, (const void *)job->names);
}

void nnfi_batch_clear(nnfi_batch *batch) {
    while (batch->n_jobs > 0)
        release_job(&batch->jobs[--batch->n_jobs]);
    for (size_t i = 0; i < batch->n_plans; i++) {
        nnfi_plan_clear(batch->plans[i]);
        nnfi_free(batch->plans[i]);
    }
    nnfi_free(batch->jobs);
    nnfi_free(batch->plans);
    nnfi_pile_clear(&batch->pile);
    *batch = (nnfi_batch){0};
}

nnf_status nnfi_job_check_place(const nnfi_job *job) {
    for (size_t i = 0; i < job->n; i++)
        if (nnfi_plan_last_call(job->plan, job->modules[i]) == job->calls[i] &&
            nnfi_plan_call_before(job->plan, job->calls[i]) == NNFI_NO_CALL)
            return NNF_OK;
    return nnf_error(NNF_ERROR_NOT_FUSABLE,
                     "each of these modules is called elsewhere too, so that the fused one could "
                     "take the place of none");
}

static nnf_status fuse_and_check(nnfi_job *job, nnf_module *const *views, const nnfi_chain_row *row,
                                 bool is_qat) {
    NNFI_TRY(nnfi_call_method(&job->fused[0], views, job->n, is_qat, row));
    for (size_t i = 1; i < job->n; i++)
        NNFI_TRY(nnfi_plan_identity(job->plan, &job->fused[i], nnf_module_training(views[0])));
    nnf_module *fused = job->fused[0];
    if (row->folds) job->base = nnfi_chain_base(views, job->n);
    NNFI_TRY(nnfi_plan_check(job->plan, job->calls, views, job->n, job->base, fused));
    job->fused[0] = job->fused[job->base];
    job->fused[job->base] = fused;
    return NNF_OK;
}

nnf_status nnfi_job_fuse(nnfi_job *job, const nnfi_chain_row *row, bool is_qat) {
    NNFI_TRY(nnfi_job_check_place(job));
    if (!row->folds) return fuse_and_check(job, job->modules, row, is_qat);
    nnf_module **views = nnfi_calloc(job->n, sizeof *views);
    if (!views) return nnfi_error_memory(job->n * sizeof *views, "a chain");
    nnf_status status = nnfi_plan_views(job->plan, job->calls, job->n, views);
    if (status == NNF_OK) status = fuse_and_check(job, views, row, is_qat);
    for (size_t i = 0; i < job->n; i++)
        nnf_module_release(views[i]);
    nnfi_free(views);
    return status;
}

nnf_status nnfi_job_save_hooks(nnfi_job *job) {
    job->saved = nnfi_calloc(job->n, sizeof *job->saved);
    if (!job->saved) return nnfi_error_memory(job->n * sizeof *job->saved, "the hooks of a chain");
    for (size_t i = 0; i < job->n; i++)
        NNFI_TRY(nnfi_hooks_save(&job->saved[i], job->modules[i]));
    return NNF_OK;
}

void nnfi_batch_restore_hooks(nnfi_batch *batch) {
    for (size_t j = 0; j < batch->n_jobs; j++)
        for (size_t i = 0; batch->jobs[j].saved && i < batch->jobs[j].n; i++)
            nnfi_hooks_restore(&batch->jobs[j].saved[i]);
}

/* Notes which modules keep their place because other calls need them: when all jobs are there, and
 * before any of them is in. One at least does not (nnfi_job_check_place). */
static void note_those_that_stay(nnfi_batch *batch) {
    for (size_t j = 0; j < batch->n_jobs; j++) {
        nnfi_job *job = &batch->jobs[j];
        for (size_t i = 0; job->plan && i < job->n; i++)
            job->stays[i] = nnfi_plan_stays(job->plan, job->modules[i]);
        job->place = job->base;
        for (size_t i = 0; i < job->n && job->stays[job->place]; i++)
            job->place = i;
    }
}

/* ---- The report ---- */

/* Hooks of module `i` that do not run any more when the job is in. */
static size_t dropped_hooks(const nnfi_job *job, size_t i) {
    const nnf_module *module = job->modules[i];
    if (job->stays[i]) return 0;
    if (job->moves_hooks) return nnfi_hooks_dropped(job->fused[job->base], job->modules, job->n, i);
    for (size_t k = 0; k < job->n; k++)
        if (nnfi_contains(job->fused[k], module)) return 0;
    return nnf_module_n_forward_pre_hooks(module) + nnf_module_n_forward_hooks(module);
}

static nnf_status make_report(nnf_fuse_report *report, const nnfi_batch *batch) {
    nnfi_text text = {0};
    *report = (nnf_fuse_report){.n_fused = batch->n_jobs};
    for (size_t j = 0; j < batch->n_jobs; j++)
        for (size_t i = 0; i < batch->jobs[j].n; i++) {
            size_t n = dropped_hooks(&batch->jobs[j], i);
            if (n == 0) continue;
            nnfi_text_add(&text, "%s%s", report->n_hooks_dropped ? ", " : "",
                          batch->jobs[j].names[i]);
            report->n_hooks_dropped += n;
        }
    if (report->n_hooks_dropped == 0) return NNF_OK;
    report->dropped = nnfi_text_take(&text);
    return report->dropped ? NNF_OK : nnfi_error_memory(64, "the names of dropped hooks");
}

void nnf_fuse_report_clear(nnf_fuse_report *report) {
    if (!report) return;
    nnfi_free(report->dropped);
    *report = (nnf_fuse_report){0};
}

/* ---- The graphs ---- */

typedef struct surgery {
    nnfi_replacement *replacements; /* owns their modules until they are committed */
    size_t n;
    nnfi_surgery *prepared;
} surgery;

static nnf_status add_replacement(surgery *to, nnfi_pile *pile, nnfi_job *job) {
    nnfi_call *const *calls = job->plan->graph->calls;
    const nnfi_call *place = calls[job->calls[job->place]], *last = calls[job->calls[job->n - 1]];
    nnfi_reads *reads = &job->reads;
    nnfi_replacement *replacement = &to->replacements[to->n];
    if (!reads->inputs)
        NNFI_TRY(nnfi_plan_reads(job->plan, job->calls, job->absorbs ? job->base + 1 : job->n,
                                 job->base, job->fused[job->base], pile, reads));
    *replacement = (nnfi_replacement){
        .gone = job->calls,
        .n_gone = job->n,
        .path = place->path,
        .inputs = reads->inputs,
        .n_inputs = reads->n_inputs,
        .outputs = job->gives == NNF_NO_VALUE ? last->outputs : &job->gives,
        .n_outputs = 1,
        .captures = reads->captures,
        .n_captures = reads->n_captures,
    };
    replacement->module = nnf_module_retain(job->fused[job->base]);
    to->n++;
    return NNF_OK;
}

static nnf_status prepare_surgery(surgery *out, nnfi_batch *batch, const nnfi_plan *plan) {
    size_t n = 0;
    for (size_t j = 0; j < batch->n_jobs; j++)
        n += batch->jobs[j].plan == plan;
    out->replacements = nnfi_calloc(n, sizeof *out->replacements);
    if (!out->replacements) return nnfi_error_memory(n * sizeof *out->replacements, "chains");
    for (size_t j = 0; j < batch->n_jobs; j++)
        if (batch->jobs[j].plan == plan)
            NNFI_TRY(add_replacement(out, &batch->pile, &batch->jobs[j]));
    return nnfi_surgery_prepare(&out->prepared, plan->module, out->replacements, out->n);
}

static void discard_surgery(surgery *work) {
    if (work->prepared) nnfi_surgery_discard(work->prepared);
    for (size_t i = 0; i < work->n; i++)
        nnf_module_release(work->replacements[i].module);
    nnfi_free(work->replacements);
}

static void commit_surgery(surgery *work) {
    nnfi_surgery_commit(work->prepared);
    nnfi_free(work->replacements);
}

/* ---- The tree ---- */

static nnf_status set_module(const nnfi_batch *batch, const nnfi_job *job, size_t i,
                             nnf_module *module) {
    if (!job->plan) return nnf_module_set(batch->root, job->names[i], module);
    /* The surgery sees to the calls. */
    return nnfi_module_put(job->plan->module, job->plan->graph->calls[job->calls[i]]->path, module);
}

/* Sets the first n places of a job back to the modules that were there. */
static void unset_job(const nnfi_batch *batch, const nnfi_job *job, size_t n) {
    while (n-- > 0)
        if (!job->stays[n]) (void)set_module(batch, job, n, job->modules[n]);
}

/* The fused module and the Identity of its place are exchanged where that is not the base's. */
static nnf_module *comes_at(const nnfi_job *job, size_t i) {
    return job->fused[i == job->place ? job->base : i == job->base ? job->place : i];
}

static nnf_status set_job(const nnfi_batch *batch, const nnfi_job *job) {
    for (size_t i = 0; i < job->n; i++) {
        if (job->stays[i]) continue;
        nnf_status status = set_module(batch, job, i, comes_at(job, i));
        if (status == NNF_OK) continue;
        unset_job(batch, job, i);
        return status;
    }
    return NNF_OK;
}

static nnf_status set_tree(const nnfi_batch *batch) {
    for (size_t j = 0; j < batch->n_jobs; j++) {
        nnf_status status = set_job(batch, &batch->jobs[j]);
        if (status == NNF_OK) continue;
        while (j-- > 0)
            unset_job(batch, &batch->jobs[j], batch->jobs[j].n);
        return status;
    }
    return NNF_OK;
}

/* ---- All of it ---- */

static nnf_status prepare(nnfi_batch *batch, surgery *surgeries, nnf_fuse_report *report) {
    note_those_that_stay(batch);
    for (size_t j = 0; j < batch->n_jobs; j++) {
        const nnfi_job *job = &batch->jobs[j];
        if (job->moves_hooks)
            NNFI_TRY(nnfi_hooks_reserve(job->fused[job->base], job->modules, job->n));
    }
    NNFI_TRY(make_report(report, batch));
    for (size_t p = 0; p < batch->n_plans; p++)
        NNFI_TRY(prepare_surgery(&surgeries[p], batch, batch->plans[p]));
    return set_tree(batch);
}

nnf_status nnfi_batch_commit(nnfi_batch *batch, nnf_fuse_report *report) {
    nnf_fuse_report made = {0};
    surgery *surgeries = nnfi_calloc(batch->n_plans, sizeof *surgeries);
    if (!surgeries) return nnfi_error_memory(sizeof *surgeries, "a graph to be fused");
    nnf_status status = prepare(batch, surgeries, &made);
    if (status == NNF_OK) {
        for (size_t j = 0; j < batch->n_jobs; j++) {
            const nnfi_job *job = &batch->jobs[j];
            if (job->moves_hooks)
                nnfi_hooks_move(job->fused[job->base], job->modules, job->n,
                                job->stays[job->n - 1]);
        }
        for (size_t p = 0; p < batch->n_plans; p++)
            commit_surgery(&surgeries[p]);
        if (report) {
            *report = made;
            made = (nnf_fuse_report){0};
        }
    } else {
        for (size_t p = 0; p < batch->n_plans; p++)
            discard_surgery(&surgeries[p]);
    }
    nnf_fuse_report_clear(&made);
    nnfi_free(surgeries);
    return status;
}
