/* A step around one oneDNN primitive. */
#include "run/onednn/onednn_internal.h"

#include <stdlib.h>
#include <string.h>

#include "support/memory.h"

enum { MAX_ARGS = 72 }; /* a Concat has one for each input */

typedef struct step_arg {
    nnfi_arg_source source;
    size_t index;
    void *data; /* what the memory object points to now */
} step_arg;

struct nnfi_primitive_step {
    nnfi_step step; /* first: a step is this struct's address */
    nnfi_engine *engine;
    dnnl_primitive_t primitive;
    int n_args;
    dnnl_exec_arg_t args[MAX_ARGS];
    step_arg sources[MAX_ARGS];
};

/* What oneDNN's blocked kernels like best: a cache line. */
enum { ALIGNMENT = 64 };

/* Aligned memory from the library's allocator: the pointer to free stands before the block. */
static void *aligned_new(size_t size) {
    char *block = nnfi_alloc(size + ALIGNMENT + sizeof(void *));
    if (!block) return NULL;
    uintptr_t start = (uintptr_t)(block + sizeof(void *));
    char *aligned = block + sizeof(void *) + (ALIGNMENT - start % ALIGNMENT) % ALIGNMENT;
    memcpy(aligned - sizeof(void *), &block, sizeof block);
    return aligned;
}

static void aligned_free(void *aligned) {
    void *block;
    if (!aligned) return;
    memcpy(&block, (char *)aligned - sizeof(void *), sizeof block);
    nnfi_free(block);
}

nnf_status nnfi_onednn_error(dnnl_status_t status, const char *what) {
    if (status == dnnl_out_of_memory) return nnf_error(NNF_ERROR_MEMORY, "out of memory in oneDNN");
    return nnf_error(NNF_ERROR_UNSUPPORTED, "oneDNN gave status %d for %s", (int)status, what);
}

static void release(nnfi_step *step) {
    nnfi_primitive_step *self = (nnfi_primitive_step *)step;
    for (int i = 0; i < self->n_args; i++) {
        dnnl_memory_destroy(self->args[i].memory);
        if (self->sources[i].source == NNFI_ARG_OWN) aligned_free(self->sources[i].data);
    }
    dnnl_primitive_destroy(self->primitive);
    nnfi_free(self);
}

static nnf_status bind(nnfi_step *step, void *const *inputs, void *const *outputs, void *scratch) {
    nnfi_primitive_step *self = (nnfi_primitive_step *)step;
    for (int i = 0; i < self->n_args; i++) {
        step_arg *source = &self->sources[i];
        void *data = source->source == NNFI_ARG_INPUT     ? inputs[source->index]
                     : source->source == NNFI_ARG_OUTPUT  ? outputs[source->index]
                     : source->source == NNFI_ARG_SCRATCH ? scratch
                                                          : source->data;
        if (data == source->data) continue;
        NNFI_DNNL(dnnl_memory_set_data_handle(self->args[i].memory, data));
        source->data = data;
    }
    return NNF_OK;
}

static nnf_status run(nnfi_step *step) {
    nnfi_primitive_step *self = (nnfi_primitive_step *)step;
    NNFI_DNNL(
        dnnl_primitive_execute(self->primitive, self->engine->stream, self->n_args, self->args));
    return NNF_OK;
}

nnf_status nnfi_primitive_step_arg(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                   nnfi_arg_source source, size_t index, void *data) {
    dnnl_memory_t memory = NULL;
    dnnl_status_t status = step->n_args == MAX_ARGS
                               ? dnnl_out_of_memory
                               : dnnl_memory_create(&memory, md, step->engine->engine, data);
    if (status != dnnl_success) {
        aligned_free(data);
        return nnfi_onednn_error(status, "a memory object");
    }
    step->args[step->n_args] = (dnnl_exec_arg_t){arg, memory};
    step->sources[step->n_args++] = (step_arg){source, index, data};
    return NNF_OK;
}

nnf_status nnfi_primitive_step_new(nnfi_primitive_step **out, nnfi_engine *engine,
                                   dnnl_primitive_desc_t pd) {
    nnfi_primitive_step *step = nnfi_calloc(1, sizeof *step);
    dnnl_status_t status = step ? dnnl_primitive_create(&step->primitive, pd) : dnnl_out_of_memory;
    dnnl_primitive_desc_destroy(pd);
    if (status != dnnl_success) {
        nnfi_free(step);
        return nnfi_onednn_error(status, "a primitive");
    }
    step->engine = engine;
    step->step = (nnfi_step){.bind = bind, .run = run, .release = release, .inplace = -1};
    nnfi_const_md scratch = nnfi_pd_md(nnfi_primitive_step_pd(step), dnnl_query_scratchpad_md, 0);
    size_t bytes = scratch ? nnfi_md_bytes(scratch) : 0;
    if (bytes > 0) {
        step->step.scratch_bytes = bytes;
        nnf_status failed =
            nnfi_primitive_step_arg(step, DNNL_ARG_SCRATCHPAD, scratch, NNFI_ARG_SCRATCH, 0, NULL);
        if (failed) {
            nnfi_primitive_step_release(step);
            return failed;
        }
    }
    *out = step;
    return NNF_OK;
}

static dnnl_status_t reorder(nnfi_engine *engine, nnfi_const_md from, void *source,
                             nnfi_const_md to, void *target) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t a = NULL, b = NULL;
    dnnl_status_t status = nnfi_pd_reorder(&pd, engine->engine, NULL, from, to);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, pd);
    if (status == dnnl_success) status = dnnl_memory_create(&a, from, engine->engine, source);
    if (status == dnnl_success) status = dnnl_memory_create(&b, to, engine->engine, target);
    if (status == dnnl_success) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
        status = dnnl_primitive_execute(primitive, engine->stream, 2, args);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(engine->stream);
    dnnl_memory_destroy(a);
    dnnl_memory_destroy(b);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

nnf_status nnfi_primitive_step_constant(nnfi_primitive_step *step, int arg,
                                        const nnf_tensor *tensor, nnfi_const_md from,
                                        nnfi_const_md to) {
    bool same = nnfi_md_equal(from, to);
    size_t size = nnfi_md_bytes(to);
    void *packed = aligned_new(size);
    void *plain = packed && !same ? aligned_new((size_t)nnf_tensor_nbytes(tensor)) : packed;
    if (!plain) {
        aligned_free(packed);
        return nnfi_error_memory(size, "packed weights");
    }
    nnf_status status = nnf_tensor_read(tensor, 0, nnf_tensor_numel(tensor), plain);
    if (!status && !same) {
        dnnl_status_t reordered = reorder(step->engine, from, plain, to, packed);
        if (reordered != dnnl_success) status = nnfi_onednn_error(reordered, "a weight's reorder");
    }
    if (plain != packed) aligned_free(plain);
    if (status) {
        aligned_free(packed);
        return status;
    }
    return nnfi_primitive_step_arg(step, arg, to, NNFI_ARG_OWN, 0, packed);
}

nnfi_step *nnfi_primitive_step_finish(nnfi_primitive_step *step) {
    return &step->step;
}

const_dnnl_primitive_desc_t nnfi_primitive_step_pd(const nnfi_primitive_step *step) {
    const_dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_get_primitive_desc(step->primitive, &pd);
    return pd;
}

void nnfi_primitive_step_release(nnfi_primitive_step *step) {
    if (step) release(&step->step);
}

void nnfi_primitive_step_set_inplace(nnfi_primitive_step *step, int input) {
    step->step.inplace = input;
}
