#include "fuse/chain_list.h"

#include <string.h>

#include "support/error.h"
#include "support/memory.h"

/* Strings and arrays that live as long as the list. */
typedef struct block {
    struct block *next;
    size_t used, size;
} block;

struct nnfi_chain_list {
    nnf_chain_list list; /* first, so that the caller's pointer is this one */
    size_t chains_capacity, left_capacity;
    block *blocks;
};

nnfi_chain_list *nnfi_chain_list_new(void) {
    nnfi_chain_list *list = nnfi_calloc(1, sizeof *list);
    if (!list) nnfi_error_memory(sizeof *list, "a list of chains");
    return list;
}

nnf_chain_list *nnfi_chain_list_public(nnfi_chain_list *list) {
    return &list->list;
}

static void *list_alloc(nnfi_chain_list *list, size_t size) {
    size = (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    if (!list->blocks || list->blocks->size - list->blocks->used < size) {
        size_t room = size > 4000 ? size : 4000;
        block *fresh = nnfi_alloc(sizeof *fresh + room);
        if (!fresh) return NULL;
        *fresh = (block){list->blocks, 0, room};
        list->blocks = fresh;
    }
    void *place = (char *)(list->blocks + 1) + list->blocks->used;
    list->blocks->used += size;
    return place;
}

const char *nnfi_chain_list_text(nnfi_chain_list *list, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = list_alloc(list, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

void nnf_chain_list_release(nnf_chain_list *public_list) {
    nnfi_chain_list *list = (nnfi_chain_list *)public_list;
    if (!list) return;
    for (block *at = list->blocks, *next; at; at = next) {
        next = at->next;
        nnfi_free(at);
    }
    nnfi_free(list->list.chains);
    nnfi_free(list->list.left);
    nnfi_free(list);
}

nnf_status nnfi_chain_list_add(nnfi_chain_list *list, const nnfi_job *job, double saved) {
    const char **names = list_alloc(list, 2 * job->n * sizeof *names);
    bool room = names && nnfi_reserve(&list->list.chains, &list->chains_capacity,
                                      list->list.n_chains + 1, sizeof *list->list.chains);
    for (size_t i = 0; room && i < job->n; i++) {
        const char *type = nnf_module_type_before_parametrizations(job->modules[i]);
        names[i] = nnfi_chain_list_text(list, job->names[i]);
        names[job->n + i] = nnfi_chain_list_text(list, type);
        room = names[i] && names[job->n + i];
    }
    const char *type = nnf_module_type_name(job->fused[job->base]);
    const char *fused = room ? nnfi_chain_list_text(list, type) : NULL;
    if (!fused) return nnfi_error_memory(sizeof *list->list.chains, "the chains found");
    list->list.chains[list->list.n_chains++] =
        (nnf_found_chain){{names, job->n}, names + job->n, fused, saved};
    return NNF_OK;
}

nnf_status nnfi_chain_list_left(nnfi_chain_list *list, const nnfi_call *call, const char *reason) {
    if (!reason) reason = nnfi_chain_list_text(list, nnf_error_message());
    const char *name = nnfi_chain_list_text(list, call->path);
    const char *type =
        nnfi_chain_list_text(list, nnf_module_type_before_parametrizations(call->module));
    if (!reason || !name || !type ||
        !nnfi_reserve(&list->list.left, &list->left_capacity, list->list.n_left + 1,
                      sizeof *list->list.left))
        return nnfi_error_memory(sizeof *list->list.left, "the modules left alone");
    list->list.left[list->list.n_left++] = (nnf_left_alone){name, type, reason};
    return NNF_OK;
}
