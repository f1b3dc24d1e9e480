/* Packing a constant: its numbers, wherever they stand, in the layout that a primitive wants. */
#include <stdint.h>

#include "run/onednn/onednn_internal.h"
#include "support/memory.h"
#include "tensor/tensor_internal.h"

struct nnfi_packing {
    nnf_tensor *tensor;
    dnnl_stream_t stream; /* of the engine */
    dnnl_primitive_t reorder;
    dnnl_memory_t from, to;
    bool jit; /* the reorder's kernel is made for the processor */
};

void nnfi_packing_release(nnfi_packing *packing) {
    if (!packing) return;
    dnnl_memory_destroy(packing->from);
    dnnl_memory_destroy(packing->to);
    if (packing->reorder) dnnl_primitive_destroy(packing->reorder);
    nnf_tensor_release(packing->tensor);
    nnfi_free(packing);
}

static dnnl_status_t make_reorder(nnfi_packing *packing, dnnl_engine_t engine, nnfi_const_md from,
                                  nnfi_const_md to) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = nnfi_pd_reorder(&pd, engine, NULL, from, to);
    if (status != dnnl_success) return status;
    packing->jit = nnfi_pd_is_jit(pd);
    status = dnnl_primitive_create(&packing->reorder, pd);
    dnnl_primitive_desc_destroy(pd);
    if (status == dnnl_success) status = dnnl_memory_create(&packing->from, from, engine, NULL);
    if (status == dnnl_success) status = dnnl_memory_create(&packing->to, to, engine, NULL);
    return status;
}

nnf_status nnfi_packing_new(nnfi_packing **out, const nnfi_engine *engine, nnf_tensor *tensor,
                            nnfi_const_md from, nnfi_const_md to) {
    nnfi_packing *packing = nnfi_calloc(1, sizeof *packing);
    if (!packing) return nnfi_error_memory(sizeof *packing, "packed weights");
    packing->tensor = nnf_tensor_retain(tensor);
    packing->stream = engine->stream;
    dnnl_status_t status = make_reorder(packing, engine->engine, from, to);
    if (status != dnnl_success) {
        nnfi_packing_release(packing);
        return nnfi_onednn_error(status, "a reorder of weights");
    }
    *out = packing;
    return NNF_OK;
}

/* The elements where they stand, if the reorder can read them there. */
static const void *readable_bytes(const nnfi_packing *packing) {
    const void *bytes =
        nnf_tensor_is_contiguous(packing->tensor) ? nnfi_tensor_bytes(packing->tensor) : NULL;
    bool anywhere = NNFI_LOADS_ANYWHERE && packing->jit;
    return anywhere || (uintptr_t)bytes % sizeof(float) == 0 ? bytes : NULL;
}

size_t nnfi_packing_buffer_bytes(const nnfi_packing *packing) {
    return readable_bytes(packing) ? 0 : (size_t)nnf_tensor_nbytes(packing->tensor);
}

/* A fold that nobody else has computed is computed into the buffer, so that it is not kept twice.
 */
nnf_status nnfi_packing_run(const nnfi_packing *packing, void *buffer, void *target) {
    const nnf_tensor *tensor = packing->tensor;
    const void *bytes = readable_bytes(packing);
    if (!bytes) NNFI_TRY(nnf_tensor_read(tensor, 0, nnf_tensor_numel(tensor), buffer));
    void *source = bytes ? (void *)(uintptr_t)bytes : buffer; /* only read */
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, packing->from}, {DNNL_ARG_TO, packing->to}};
    NNFI_DNNL(dnnl_memory_set_data_handle(packing->from, source));
    NNFI_DNNL(dnnl_memory_set_data_handle(packing->to, target));
    NNFI_DNNL(dnnl_primitive_execute(packing->reorder, packing->stream, 2, args));
    NNFI_DNNL(dnnl_stream_wait(packing->stream));
    return NNF_OK;
}
