#define _POSIX_C_SOURCE 200809L

#include "tensor/storage.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/folded.h"

#define ALIGNMENT 64 /* a cache line: no vector of a kernel crosses two */

struct nnfi_storage {
    atomic_uint references;
    uint8_t dtype;    /* nnf_dtype */
    atomic_flag busy; /* held while `data` is made, and to look at `folded` */
    bool lent;        /* `data` is a caller's, to be written like one's own */
    int64_t numel;
    atomic_uint_fast64_t version;
    _Atomic(void *) data; /* aligned elements; NULL: not there yet. Set once, under `busy` */
    void *block;          /* the heap memory that `data` is in; NULL: none of its own */
    const void *borrowed; /* NULL: heap or folded */
    void (*release)(void *payload);
    void *payload;
    nnfi_folded *folded; /* NULL: heap, borrowed, or computed */
};

/* One number for each state that any storage ever had. */
static uint64_t new_version(void) {
    static atomic_uint_fast64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static nnf_status new_storage(nnfi_storage **out, nnf_dtype dtype, int64_t numel) {
    nnfi_storage *storage = nnfi_calloc(1, sizeof *storage);
    if (!storage) return nnfi_error_memory(sizeof *storage, "a tensor's storage");
    atomic_init(&storage->references, 1);
    atomic_init(&storage->version, new_version());
    atomic_init(&storage->data, NULL);
    atomic_flag_clear(&storage->busy);
    storage->dtype = (uint8_t)dtype;
    storage->numel = numel;
    *out = storage;
    return NNF_OK;
}

/* Heap memory for all elements: *block is what is to be freed, *data the aligned part of it. */
static nnf_status allocate(const nnfi_storage *storage, bool zeroed, void **block, void **data) {
    int64_t bytes;
    if (!nnfi_mul(storage->numel, (int64_t)nnf_dtype_size(storage->dtype), &bytes) ||
        (uint64_t)bytes > PTRDIFF_MAX - ALIGNMENT)
        return nnf_error(
            NNF_ERROR_MEMORY,
            "out of memory: %lld elements of %s are more bytes than an address can reach",
            (long long)storage->numel, nnf_dtype_name(storage->dtype));
    size_t size = (size_t)bytes + ALIGNMENT - 1;
    *block = zeroed ? nnfi_calloc(1, size) : nnfi_alloc(size);
    if (!*block) return nnfi_error_memory((size_t)bytes, "a tensor's elements");
    size_t past = (size_t)((uintptr_t)*block % ALIGNMENT);
    *data = (unsigned char *)*block + (past > 0 ? ALIGNMENT - past : 0);
    return NNF_OK;
}

nnf_status nnfi_storage_new(nnfi_storage **out, nnf_dtype dtype, int64_t numel, bool zeroed) {
    nnfi_storage *storage;
    NNFI_TRY(new_storage(&storage, dtype, numel));
    void *data;
    nnf_status status = allocate(storage, zeroed, &storage->block, &data);
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
    NNFI_TRY(new_storage(&storage, dtype, numel));
    storage->borrowed = data ? data : &nothing;
    /* Without the const, but never written: own_data refuses bytes outside of a block. */
    if ((uintptr_t)storage->borrowed % nnf_dtype_size(dtype) == 0)
        atomic_init(&storage->data, (void *)(uintptr_t)storage->borrowed);
    *out = storage;
    return NNF_OK;
}

nnf_status nnfi_storage_lend(nnfi_storage **out, nnf_dtype dtype, int64_t numel, void *data) {
    NNFI_TRY(new_storage(out, dtype, numel));
    atomic_init(&(*out)->data, data);
    (*out)->lent = true;
    return NNF_OK;
}

void nnfi_storage_on_release(nnfi_storage *storage, void (*release)(void *payload), void *payload) {
    storage->release = release;
    storage->payload = payload;
}

nnf_status nnfi_storage_from_folded(nnfi_storage **out, nnfi_folded *folded) {
    NNFI_TRY(new_storage(out, folded->dtype, folded->numel));
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
    nnfi_free(storage->block);
    if (storage->release) storage->release(storage->payload);
    nnfi_free(storage);
}

static bool has_one_owner(const nnfi_storage *storage) {
    return atomic_load_explicit(&storage->references, memory_order_acquire) == 1;
}

static void *data_of(const nnfi_storage *storage) {
    return atomic_load_explicit(&storage->data, memory_order_acquire);
}

int64_t nnfi_storage_numel(const nnfi_storage *storage) {
    return storage->numel;
}

uint64_t nnfi_storage_version(const nnfi_storage *storage) {
    return atomic_load_explicit(&storage->version, memory_order_relaxed);
}

bool nnfi_storage_is_deferred(const nnfi_storage *storage) {
    return !data_of(storage) && !storage->borrowed;
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
static void *steal_base(nnfi_storage *storage, void **block) {
    nnfi_storage *base = storage->folded->base;
    if (!base || nnfi_folded_is_shared(storage->folded) || !has_one_owner(base) || !base->block ||
        base->numel != storage->numel)
        return NULL;
    *block = base->block;
    base->block = NULL;
    return atomic_exchange(&base->data, NULL);
}

static nnf_status make_data(nnfi_storage *storage) {
    void *block = NULL, *data = NULL;
    nnfi_folded *folded = storage->folded;
    if (folded) {
        NNFI_TRY(nnfi_folded_prepare(folded));
        data = steal_base(storage, &block);
    }
    const unsigned char *source = data;
    if (!data) NNFI_TRY(allocate(storage, false, &block, &data));
    if (!folded)
        memcpy(data, storage->borrowed, (size_t)storage->numel * nnf_dtype_size(storage->dtype));
    else
        nnfi_folded_compute(folded, source ? source : nnfi_folded_source(folded), 0, storage->numel,
                            data);
    nnfi_folded_release(folded);
    storage->folded = NULL;
    storage->block = block;
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
    if (!storage->borrowed) NNFI_TRY(nnfi_storage_data(storage, &ignored));
    if (!storage->block && !storage->lent) return NNF_OK;
    atomic_store_explicit(&storage->version, new_version(), memory_order_relaxed);
    *data = data_of(storage);
    return NNF_OK;
}

const unsigned char *nnfi_storage_bytes(const nnfi_storage *storage) {
    const void *data = data_of(storage);
    return data ? data : storage->borrowed;
}

/* Holds no lock while it computes. The retained fold keeps its base from being overwritten by
 * another thread that makes the storage's data meanwhile. */
nnf_status nnfi_storage_read(nnfi_storage *storage, int64_t first, int64_t count, void *out) {
    size_t size = nnf_dtype_size(storage->dtype);
    nnfi_folded *folded = nnfi_storage_is_deferred(storage) ? nnfi_storage_folded(storage) : NULL;
    nnf_status status = folded ? nnfi_folded_prepare(folded) : NNF_OK;
    if (status == NNF_OK && folded)
        nnfi_folded_compute(folded, nnfi_folded_source(folded), first, count, out);
    else if (status == NNF_OK && count > 0)
        memcpy(out, nnfi_storage_bytes(storage) + (size_t)first * size, (size_t)count * size);
    nnfi_folded_release(folded);
    return status;
}
