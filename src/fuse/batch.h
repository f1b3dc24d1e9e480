/* Chains on their way into a model. Everything that can fail happens while jobs are added and
 * prepared; then all of them go in at once. */
#ifndef NNFI_BATCH_H
#define NNFI_BATCH_H

#include "fuse/mapping.h"
#include "fuse/plan.h"
#include "nnfuse/fuse.h"
#include "support/pile.h"

/* One chain: n names, modules, and what comes in their place. */
typedef struct nnfi_job {
    size_t n;
    const char **names;   /* [n] borrowed, as paths from the batch's root */
    nnf_module **modules; /* [n] references: they leave the tree when the job goes in */
    nnf_module **fused;   /* [n] references; NULL until they are made */
    size_t base;          /* the fused one; the others are Identity */
    size_t place;         /* where it goes in the tree: that of the base, if that does not stay */
    size_t *calls;        /* [n] of a graph; see plan */
    bool *stays;          /* [n]: keeps its place, because other calls in the graph need it */
    nnfi_plan *plan;      /* the graph whose calls are replaced; NULL in a plain tree */
    bool absorbs;         /* what the first call reads as data is all that the calls read */
    nnfi_reads reads;     /* what the new call reads, in the batch's pile; inputs NULL: what
                             nnfi_plan_reads says */
    nnf_value gives;      /* in the place of the last call's output; NNF_NO_VALUE: that itself */
    bool moves_hooks;     /* they move when the job goes in; else its fuser_func saw to them, and */
    nnfi_saved_hooks *saved; /* [n] where they were before that; NULL: not noted */
} nnfi_job;

typedef struct nnfi_batch {
    nnf_module *root; /* borrowed */
    nnfi_job *jobs;
    size_t n_jobs, jobs_capacity;
    nnfi_plan **plans; /* one for each Graph that jobs are in */
    size_t n_plans, plans_capacity;
    nnfi_pile pile; /* the jobs' arrays and what they read */
} nnfi_batch;

/* The plan of a Graph: made where there is none. */
nnf_status nnfi_batch_plan(nnfi_batch *batch, nnfi_plan **out, nnf_module *graph);
/* A new job with room for n; the batch owns it. Jobs that were given out before may move. */
nnf_status nnfi_batch_add(nnfi_batch *batch, nnfi_job **out, size_t n);
/* A new job of these calls of the plan's graph, which are taken from now on. */
nnf_status nnfi_batch_add_calls(nnfi_batch *batch, nnfi_job **out, nnfi_plan *plan,
                                const size_t *calls, size_t n);
/* The job's new call reads what this one does, but `data` in the place of its data. */
nnf_status nnfi_batch_set_reads(nnfi_batch *batch, nnfi_job *job, const nnfi_call *call,
                                nnf_value data);
/* Takes the last job, of calls, back. */
void nnfi_batch_drop_last(nnfi_batch *batch);
/* Whether one of the job's modules is called there alone, so that its place becomes free. */
nnf_status nnfi_job_check_place(const nnfi_job *job);
/* Fuses a job of a graph's calls by a row of the table, and checks it: job->fused. */
nnf_status nnfi_job_fuse(nnfi_job *job, const nnfi_chain_row *row, bool is_qat);
/* Notes where the hooks of the job's modules are, and puts all that were noted back. */
nnf_status nnfi_job_save_hooks(nnfi_job *job);
void nnfi_batch_restore_hooks(nnfi_batch *batch);
/* Puts all jobs into the model, or none; `report` may be NULL. */
nnf_status nnfi_batch_commit(nnfi_batch *batch, nnf_fuse_report *report);
void nnfi_batch_clear(nnfi_batch *batch);

#endif
