#define _POSIX_C_SOURCE 200809L

#include "tensor/storage.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/folded.h"

#define ALIGNMENT 64 /* a cache line: no vector of a kernel crosses two */

/* Models have storages by the million, too. */
struct nnfi_storage {
    atomic_uint references;
    uint8_t dtype;        /* nnf_dtype */
    atomic_flag busy;     /* held while `data` is made, and to look at `folded` */
    bool lent : 1;        /* `data` is a caller's, to be written like one's own */
    bool is_borrowed : 1; /* it is a borrowed_storage */
    bool checks_late : 1; /* folds of it are held against their range when they are computed */
    int64_t numel;
    atomic_uint_fast64_t version;
    _Atomic(void *) data; /* aligned elements; NULL: not there yet. Set once, under `busy` */
    nnfi_folded *folded;  /* NULL: heap, borrowed, or computed */
};

/* Over somebody else's bytes. `data` is these where they are aligned, else a copy once needed. */
typedef struct borrowed_storage {
    nnfi_storage storage; /* first: the two have one address */
    const void *bytes;
    void (*release)(void *payload);
    void *payload;
} borrowed_storage;

static const void *borrowed_bytes(const nnfi_storage *storage) {
    return storage->is_borrowed ? ((const borrowed_storage *)storage)->bytes : NULL;
}

/* In front of elements on the heap: the block of memory that they are in, which begins anywhere. */
typedef struct heap_header {
    void *block;
} heap_header;

static bool is_on_heap(const nnfi_storage *storage, const void *data) {
    return data && !storage->lent && data != borrowed_bytes(storage);
}

static void free_elements(void *data) {
    nnfi_free(((heap_header *)data)[-1].block);
}

/* One number for each state that any storage ever had. */
static uint64_t new_version(void) {
    static atomic_uint_fast64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

/* `size` bytes, that of the struct that it begins. */
static nnf_status new_storage(nnfi_storage **out, size_t size, nnf_dtype dtype, int64_t numel) {
    nnfi_storage *storage = nnfi_calloc(1, size);
    if (!storage) return nnfi_error_memory(size, "a tensor's storage");
    atomic_init(&storage->references, 1);
    atomic_init(&storage->version, new_version());
    atomic_init(&storage->data, NULL);
    atomic_flag_clear(&storage->busy);
    storage->dtype = (uint8_t)dtype;
    storage->numel = numel;
    *out = storage;
    return NNF_OK;
}

/* Aligned heap memory for all elements: free_elements. */
static nnf_status allocate(const nnfi_storage *storage, bool zeroed, void **data) {
    const size_t extra = sizeof(heap_header) + ALIGNMENT - 1;
    int64_t bytes;
    if (!nnfi_mul(storage->numel, (int64_t)nnf_dtype_size(storage->dtype), &bytes) ||
        (uint64_t)bytes > PTRDIFF_MAX - extra)
        return nnf_error(
            NNF_ERROR_MEMORY,
            "out of memory: %lld elements of %s are more bytes than an address can reach",
            (long long)storage->numel, nnf_dtype_name(storage->dtype));
    size_t size = (size_t)bytes + extra;
    unsigned char *block = zeroed ? nnfi_calloc(1, size) : nnfi_alloc(size);
    if (!block) return nnfi_error_memory((size_t)bytes, "a tensor's elements");
    size_t past = (uintptr_t)(block + sizeof(heap_header)) % ALIGNMENT;
    *data = block + sizeof(heap_header) + (past > 0 ? ALIGNMENT - past : 0);
    ((heap_header *)*data)[-1].block = block;
    return NNF_OK;
}

static void *data_of(const nnfi_storage *storage) {
    return atomic_load_explicit(&storage->data, memory_order_acquire);
}

nnf_status nnfi_storage_new(nnfi_storage **out, nnf_dtype dtype, int64_t numel, bool zeroed) {
    nnfi_storage *storage;
    NNFI_TRY(new_storage(&storage, sizeof *storage, dtype, numel));
    void *data;
    nnf_status status = allocate(storage, zeroed, &data);
    if (status != NNF_OK) {
        nnfi_free(storage);
        return status;
    }
    atomic_init(&storage->data, data);
    *out = storage;
    return NNF_OK;
}

nnf_status nnfi_storage_borrow(nnfi_storage **out, nnf_dtype dtype, int64_t numel,
                               const void *data) {
    static const int64_t nothing; /* what a tensor without elements may point to */
    nnfi_storage *storage;
    NNFI_TRY(new_storage(&storage, sizeof(borrowed_storage), dtype, numel));
    if (!data) data = &nothing;
    storage->is_borrowed = true;
    ((borrowed_storage *)storage)->bytes = data;
    /* Without the const, but never written: own_data refuses bytes that are not on the heap. */
    if ((uintptr_t)data % nnf_dtype_size(dtype) == 0)
        atomic_init(&storage->data, (void *)(uintptr_t)data);
    *out = storage;
    return NNF_OK;
}

nnf_status nnfi_storage_lend(nnfi_storage **out, nnf_dtype dtype, int64_t numel, void *data) {
    NNFI_TRY(new_storage(out, sizeof **out, dtype, numel));
    atomic_init(&(*out)->data, data);
    (*out)->lent = true;
    return NNF_OK;
}

void nnfi_storage_check_late(nnfi_storage *storage) {
    storage->checks_late = true;
}

bool nnfi_storage_checks_late(const nnfi_storage *storage) {
    return storage->checks_late;
}

void nnfi_storage_on_release(nnfi_storage *storage, void (*release)(void *payload), void *payload) {
    borrowed_storage *borrowed = (borrowed_storage *)storage;
    borrowed->release = release;
    borrowed->payload = payload;
}

nnf_status nnfi_storage_from_folded(nnfi_storage **out, nnfi_folded *folded) {
    NNFI_TRY(new_storage(out, sizeof **out, folded->dtype, nnfi_folded_numel(folded)));
    (*out)->folded = folded;
    return NNF_OK;
}

nnfi_storage *nnfi_storage_retain(nnfi_storage *storage) {
    atomic_fetch_add_explicit(&storage->references, 1, memory_order_relaxed);
    return storage;
}

void nnfi_storage_release(nnfi_storage *storage) {
    if (!storage) return;
    if (atomic_fetch_sub_explicit(&storage->references, 1, memory_order_acq_rel) != 1) return;
    nnfi_folded_release(storage->folded);
    if (is_on_heap(storage, data_of(storage))) free_elements(data_of(storage));
    if (storage->is_borrowed) {
        const borrowed_storage *borrowed = (borrowed_storage *)storage;
        if (borrowed->release) borrowed->release(borrowed->payload);
    }
    nnfi_free(storage);
}

static bool has_one_owner(const nnfi_storage *storage) {
    return atomic_load_explicit(&storage->references, memory_order_acquire) == 1;
}

int64_t nnfi_storage_numel(const nnfi_storage *storage) {
    return storage->numel;
}

nnf_dtype nnfi_storage_dtype(const nnfi_storage *storage) {
    return storage->dtype;
}

uint64_t nnfi_storage_version(const nnfi_storage *storage) {
    return atomic_load_explicit(&storage->version, memory_order_relaxed);
}

bool nnfi_storage_is_deferred(const nnfi_storage *storage) {
    return !data_of(storage) && !storage->is_borrowed;
}

/* Waiting is rare, and as long as it takes another thread to compute what this one needs too. */
static void lock(nnfi_storage *storage) {
    while (atomic_flag_test_and_set_explicit(&storage->busy, memory_order_acquire))
        sched_yield();
}

static void unlock(nnfi_storage *storage) {
    atomic_flag_clear_explicit(&storage->busy, memory_order_release);
}

nnfi_folded *nnfi_storage_folded(nnfi_storage *storage) {
    lock(storage);
    nnfi_folded *folded = storage->folded ? nnfi_folded_retain(storage->folded) : NULL;
    unlock(storage);
    return folded;
}

/* The heap memory under the base, where this fold is all that needs it; NULL otherwise. The base
 * keeps no elements and goes with the fold. */
static void *steal_base(nnfi_storage *storage) {
    nnfi_storage *base = storage->folded->base;
    if (!base || nnfi_folded_is_shared(storage->folded) || !has_one_owner(base) ||
        !is_on_heap(base, data_of(base)) || base->numel != storage->numel)
        return NULL;
    return atomic_exchange(&base->data, NULL);
}

static nnf_status make_data(nnfi_storage *storage) {
    void *data = NULL;
    nnfi_folded *folded = storage->folded;
    if (folded) {
        NNFI_TRY(nnfi_folded_prepare(folded));
        data = steal_base(storage);
    }
    const unsigned char *source = data;
    nnf_status status = NNF_OK;
    if (!data) NNFI_TRY(allocate(storage, false, &data));
    if (!folded) {
        memcpy(data, borrowed_bytes(storage),
               (size_t)storage->numel * nnf_dtype_size(storage->dtype));
    } else {
        nnfi_folded_compute(folded, source ? source : nnfi_folded_source(folded), 0, storage->numel,
                            data);
        status = nnfi_folded_check_computed(folded, 0, storage->numel, data);
    }
    if (status != NNF_OK) {
        free_elements(data);
        return status;
    }
    nnfi_folded_release(folded);
    storage->folded = NULL;
    atomic_store_explicit(&storage->data, data, memory_order_release);
    return NNF_OK;
}

nnf_status nnfi_storage_data(nnfi_storage *storage, const void **data) {
    nnf_status status = NNF_OK;
    if (!data_of(storage)) {
        lock(storage);
        if (!data_of(storage)) status = make_data(storage);
        unlock(storage);
    }
    if (status == NNF_OK) *data = data_of(storage);
    return status;
}

nnf_status nnfi_storage_own_data(nnfi_storage *storage, void **data) {
    *data = NULL;
    if (!has_one_owner(storage)) return NNF_OK;
    const void *ignored;
    if (!storage->is_borrowed) NNFI_TRY(nnfi_storage_data(storage, &ignored));
    if (!is_on_heap(storage, data_of(storage)) && !storage->lent) return NNF_OK;
    atomic_store_explicit(&storage->version, new_version(), memory_order_relaxed);
    *data = data_of(storage);
    return NNF_OK;
}

const unsigned char *nnfi_storage_bytes(const nnfi_storage *storage) {
    const void *data = data_of(storage);
    return data ? data : borrowed_bytes(storage);
}

/* Holds no lock while it computes. The retained fold keeps its base from being overwritten by
 * another thread that makes the storage's data meanwhile. */
nnf_status nnfi_storage_read(nnfi_storage *storage, int64_t first, int64_t count, void *out) {
    size_t size = nnf_dtype_size(storage->dtype);
    nnfi_folded *folded = nnfi_storage_is_deferred(storage) ? nnfi_storage_folded(storage) : NULL;
    nnf_status status = folded ? nnfi_folded_prepare(folded) : NNF_OK;
    if (status == NNF_OK && folded) {
        nnfi_folded_compute(folded, nnfi_folded_source(folded), first, count, out);
        status = nnfi_folded_check_computed(folded, first, count, out);
    } else if (status == NNF_OK && count > 0) {
        memcpy(out, nnfi_storage_bytes(storage) + (size_t)first * size, (size_t)count * size);
    }
    nnfi_folded_release(folded);
    return status;
}
