/* A step around one oneDNN primitive. */
#include "run/onednn/step.h"

#include "support/memory.h"

typedef struct step_arg {
    nnfi_arg_source source;
    size_t index;          /* of an input or output; in scratch memory: where it begins */
    void *data;            /* what the memory object points to now */
    nnfi_packed *packed;   /* of a constant */
    nnfi_packing *packing; /* of one that is packed in each run, into scratch memory */
    size_t buffer;         /* the packing's own, so many bytes from `data` */
} step_arg;

struct nnfi_primitive_step {
    nnfi_step step; /* first: a step is this struct's address */
    dnnl_stream_t stream;
    dnnl_engine_t engine;
    dnnl_primitive_t primitive;
    int n_args;
    dnnl_exec_arg_t args[NNFI_MOST_ARGS];
    step_arg sources[NNFI_MOST_ARGS];
    void (*finish)(float *values, int64_t n); /* NULL: nothing */
    size_t finish_n;
    void *output;
    nnfi_primitive_step *then; /* what runs over the output; NULL: nothing */
};

static void release(nnfi_step *step) {
    nnfi_primitive_step *self = (nnfi_primitive_step *)step;
    for (int i = 0; i < self->n_args; i++) {
        dnnl_memory_destroy(self->args[i].memory);
        nnfi_packed_release(self->sources[i].packed);
        nnfi_packing_release(self->sources[i].packing);
    }
    dnnl_primitive_destroy(self->primitive);
    if (self->then) release(&self->then->step);
    nnfi_free(self);
}

static nnf_status bind(nnfi_step *step, void *const *inputs, void *const *outputs, void *scratch) {
    nnfi_primitive_step *self = (nnfi_primitive_step *)step;
    for (int i = 0; i < self->n_args; i++) {
        step_arg *source = &self->sources[i];
        void *data = source->source == NNFI_ARG_INPUT     ? inputs[source->index]
                     : source->source == NNFI_ARG_OUTPUT  ? outputs[source->index]
                     : source->source == NNFI_ARG_SCRATCH ? (char *)scratch + source->index
                                                          : source->data;
        if (data == source->data) continue;
        NNFI_DNNL(dnnl_memory_set_data_handle(self->args[i].memory, data));
        source->data = data;
    }
    self->output = outputs[0];
    return self->then ? bind(&self->then->step, outputs, outputs, scratch) : NNF_OK;
}

static nnf_status pack(const step_arg *source) {
    return nnfi_packing_run(source->packing, (char *)source->data + source->buffer, source->data);
}

static nnf_status run(nnfi_step *step) {
    nnfi_primitive_step *self = (nnfi_primitive_step *)step;
    for (int i = 0; i < self->n_args; i++)
        if (self->sources[i].packing) NNFI_TRY(pack(&self->sources[i]));
    NNFI_DNNL(dnnl_primitive_execute(self->primitive, self->stream, self->n_args, self->args));
    if (self->finish) {
        NNFI_DNNL(dnnl_stream_wait(self->stream));
        self->finish(self->output, (int64_t)self->finish_n);
    }
    return self->then ? run(&self->then->step) : NNF_OK;
}

static nnf_status add_arg(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                          const step_arg *source) {
    dnnl_memory_t memory = NULL;
    if (step->n_args == NNFI_MOST_ARGS)
        return nnfi_onednn_error(dnnl_out_of_memory, "a primitive's arguments");
    NNFI_DNNL(dnnl_memory_create(&memory, md, step->engine, source->data));
    step->args[step->n_args] = (dnnl_exec_arg_t){arg, memory};
    step->sources[step->n_args++] = *source;
    return NNF_OK;
}

nnf_status nnfi_primitive_step_arg(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                   nnfi_arg_source source, size_t index) {
    return add_arg(step, arg, md, &(step_arg){.source = source, .index = index});
}

nnf_status nnfi_primitive_step_constant(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                        nnfi_packed *packed) {
    void *data = nnfi_packed_data(packed);
    return add_arg(step, arg, md,
                   &(step_arg){.source = NNFI_ARG_CONSTANT, .data = data, .packed = packed});
}

/* So many bytes more of scratch memory, which begin on a line. */
static size_t take_scratch(nnfi_primitive_step *step, size_t size) {
    enum { LINE = 64 };
    size_t offset = (step->step.scratch_bytes + LINE - 1) / LINE * LINE;
    step->step.scratch_bytes = offset + size;
    return offset;
}

nnf_status nnfi_primitive_step_packing(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                       nnfi_packing *packing) {
    size_t target = take_scratch(step, nnfi_md_bytes(md));
    size_t buffer = take_scratch(step, nnfi_packing_buffer_bytes(packing));
    return add_arg(step, arg, md,
                   &(step_arg){.source = NNFI_ARG_SCRATCH,
                               .index = target,
                               .packing = packing,
                               .buffer = buffer - target});
}

nnf_status nnfi_primitive_step_new(nnfi_primitive_step **out, const nnfi_engine *engine,
                                   const_dnnl_primitive_desc_t pd) {
    nnfi_primitive_step *step = nnfi_calloc(1, sizeof *step);
    if (!step) return nnfi_error_memory(sizeof *step, "a step of a run");
    dnnl_status_t status = dnnl_primitive_create(&step->primitive, pd);
    if (status != dnnl_success) {
        nnfi_free(step);
        return nnfi_onednn_error(status, "a primitive");
    }
    step->engine = engine->engine;
    step->stream = engine->stream;
    step->step = (nnfi_step){.bind = bind, .run = run, .release = release, .inplace = -1};
    nnfi_const_md scratch = nnfi_pd_md(pd, dnnl_query_scratchpad_md, 0);
    size_t scratch_bytes = scratch ? nnfi_md_bytes(scratch) : 0;
    nnf_status failed =
        scratch_bytes ? nnfi_primitive_step_arg(step, DNNL_ARG_SCRATCHPAD, scratch,
                                                NNFI_ARG_SCRATCH, take_scratch(step, scratch_bytes))
                      : NNF_OK;
    if (failed) {
        release(&step->step);
        return failed;
    }
    *out = step;
    return NNF_OK;
}

void nnfi_primitive_step_finish(nnfi_primitive_step *step, void (*finish)(float *values, int64_t n),
                                size_t n) {
    step->finish = finish;
    step->finish_n = n;
}

/* One runs after the other, so they share scratch memory. */
void nnfi_primitive_step_then(nnfi_primitive_step *step, nnfi_primitive_step *then) {
    step->then = then;
    if (step->step.scratch_bytes < then->step.scratch_bytes)
        step->step.scratch_bytes = then->step.scratch_bytes;
}

nnfi_step *nnfi_primitive_step_base(nnfi_primitive_step *step) {
    return &step->step;
}
