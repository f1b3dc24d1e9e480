/* Constants in the layouts that primitives want, one copy for all sessions of a process. */
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "run/onednn/onednn_internal.h"
#include "support/memory.h"
#include "tensor/tensor_internal.h"

struct nnfi_packed {
    nnfi_packed *next; /* of those with the same bucket */
    size_t references;
    void *data;
    void *block;        /* the memory that `data` is in; NULL: the tensor's own */
    nnf_tensor *tensor; /* held where `data` is its own */
    uint64_t version;   /* of the tensor's storage: no two storages ever have the same */
    int64_t offset, strides[NNF_MAX_DIMS];
    nnfi_md from, to; /* `from` has the tensor's shape in it, and not its strides */
};

/* What is packed now, for other sessions to find. */
enum { BUCKETS = 1024 };
static nnfi_packed *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static nnfi_packed **bucket_of(uint64_t version) {
    return &buckets[version % BUCKETS];
}

static void destroy(nnfi_packed *packed) {
    nnf_tensor_release(packed->tensor);
    nnfi_md_release(packed->from);
    nnfi_md_release(packed->to);
    nnfi_free(packed->block);
    nnfi_free(packed);
}

void *nnfi_packed_data(const nnfi_packed *packed) {
    return packed->data;
}

void nnfi_packed_release(nnfi_packed *packed) {
    if (!packed) return;
    pthread_mutex_lock(&lock);
    bool last = --packed->references == 0;
    if (last && packed->block) {
        nnfi_packed **link = bucket_of(packed->version);
        while (*link != packed)
            link = &(*link)->next;
        *link = packed->next;
    }
    pthread_mutex_unlock(&lock);
    if (last) destroy(packed);
}

static bool same_pack(const nnfi_packed *a, const nnfi_packed *b) {
    return a->version == b->version && a->offset == b->offset &&
           !memcmp(a->strides, b->strides, sizeof a->strides) && nnfi_md_equal(a->from, b->from) &&
           nnfi_md_equal(a->to, b->to);
}

/* Another reference to what is packed like `wanted`; or NULL, and `publish` puts `wanted` there. */
static nnfi_packed *find(nnfi_packed *wanted, bool publish) {
    nnfi_packed **bucket = bucket_of(wanted->version);
    pthread_mutex_lock(&lock);
    nnfi_packed *found = *bucket;
    while (found && !same_pack(found, wanted))
        found = found->next;
    if (found) {
        found->references++;
    } else if (publish) {
        wanted->next = *bucket;
        *bucket = wanted;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static nnf_status pack(nnfi_packed *packed, nnfi_engine *engine, nnf_tensor *tensor) {
    enum { LINE = 64 }; /* what blocked kernels like best */
    size_t size = nnfi_md_bytes(packed->to);
    nnfi_packing *packing;
    void *buffer = NULL;
    packed->block = size < SIZE_MAX - LINE ? nnfi_alloc(size + LINE) : NULL;
    if (!packed->block) return nnfi_error_memory(size, "packed weights");
    packed->data = (char *)packed->block + (LINE - (uintptr_t)packed->block % LINE) % LINE;
    NNFI_TRY(nnfi_packing_new(&packing, engine, tensor, packed->from, packed->to));
    nnf_status status = nnfi_engine_buffer(engine, nnfi_packing_buffer_bytes(packing), &buffer);
    if (status == NNF_OK) status = nnfi_packing_run(packing, buffer, packed->data);
    nnfi_packing_release(packing);
    return status;
}

/* The tensor's own elements will do: a mapped file's numbers stand where the file has them. */
static nnf_status borrow(nnfi_packed *packed, nnf_tensor *tensor) {
    NNFI_TRY(nnf_tensor_contiguous(&packed->tensor, tensor));
    const void *data = NNFI_LOADS_ANYWHERE ? nnfi_tensor_bytes(packed->tensor) : NULL;
    if (!data) NNFI_TRY(nnf_tensor_data(packed->tensor, &data));
    packed->data = (void *)(uintptr_t)data; /* only read */
    return NNF_OK;
}

nnf_status nnfi_packed_get(nnfi_packed **out, nnfi_engine *engine, nnf_tensor *tensor,
                           nnfi_const_md from, nnfi_const_md to) {
    nnfi_packed *packed = nnfi_calloc(1, sizeof *packed), *found = NULL;
    if (!packed) return nnfi_error_memory(sizeof *packed, "packed weights");
    packed->references = 1;
    packed->version = nnfi_tensor_version(tensor);
    packed->offset = nnfi_tensor_offset(tensor);
    for (int i = 0; i < nnf_tensor_ndim(tensor); i++)
        packed->strides[i] = nnf_tensor_strides(tensor)[i];
    dnnl_status_t cloned = nnfi_md_clone(&packed->from, from);
    if (cloned == dnnl_success) cloned = nnfi_md_clone(&packed->to, to);
    nnf_status status = NNF_OK;
    if (cloned != dnnl_success) {
        status = nnfi_onednn_error(cloned, "a memory descriptor");
    } else if (nnfi_md_equal(from, to)) {
        status = borrow(packed, tensor);
    } else {
        /* Two threads may pack the same at once: then the second one's goes. */
        found = find(packed, false);
        if (!found) status = pack(packed, engine, tensor);
        if (!found && !status) found = find(packed, true);
    }
    if (status || found) destroy(packed);
    if (!status) *out = found ? found : packed;
    return status;
}
