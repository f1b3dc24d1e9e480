#include "fuse/chain_list.h"

#include <string.h>

#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/memory.h"
#include "support/pile.h"

struct nnfi_chain_list {
    nnf_chain_list list; /* first, so that the caller's pointer is this one */
    size_t chains_capacity, left_capacity;
    nnfi_pile pile; /* strings and arrays of strings */
};

nnfi_chain_list *nnfi_chain_list_new(void) {
    nnfi_chain_list *list = nnfi_calloc(1, sizeof *list);
    if (!list) nnfi_error_memory(sizeof *list, "a list of chains");
    return list;
}

nnf_chain_list *nnfi_chain_list_public(nnfi_chain_list *list) {
    return &list->list;
}

static const char **list_strings(nnfi_chain_list *list, size_t n) {
    return nnfi_pile_alloc(&list->pile, n * sizeof(char *), _Alignof(char *));
}

const char *nnfi_chain_list_text(nnfi_chain_list *list, const char *text) {
    return nnfi_pile_strndup(&list->pile, text, strlen(text));
}

void nnf_chain_list_release(nnf_chain_list *public_list) {
    nnfi_chain_list *list = (nnfi_chain_list *)public_list;
    if (!list) return;
    nnfi_pile_clear(&list->pile);
    nnfi_free(list->list.chains);
    nnfi_free(list->list.left);
    nnfi_free(list);
}

/* Types of the library have names that outlive every list. */
static const char *type_name(nnfi_chain_list *list, const nnf_module *module) {
    const char *name = nnf_module_type_before_parametrizations(module);
    return nnfi_is_built_in(nnf_module_get_type(module)) ? name : nnfi_chain_list_text(list, name);
}

/* The types of a chain: those of the last one where they are the same. */
static const char *const *list_types(nnfi_chain_list *list, const nnfi_job *job) {
    const size_t n = list->list.n_chains;
    const nnf_found_chain *last = n > 0 ? &list->list.chains[n - 1] : NULL;
    bool same = last && last->chain.length == job->n;
    for (size_t i = 0; same && i < job->n; i++)
        same = !strcmp(last->types[i], nnf_module_type_before_parametrizations(job->modules[i]));
    if (same) return last->types;
    const char **types = list_strings(list, job->n);
    for (size_t i = 0; types && i < job->n; i++) {
        types[i] = type_name(list, job->modules[i]);
        if (!types[i]) return NULL;
    }
    return types;
}

nnf_status nnfi_chain_list_add(nnfi_chain_list *list, const nnfi_job *job, double saved) {
    const char **names = list_strings(list, job->n);
    const char *const *types = list_types(list, job);
    bool room = names && types &&
                nnfi_reserve(&list->list.chains, &list->chains_capacity, list->list.n_chains + 1,
                             sizeof *list->list.chains);
    for (size_t i = 0; room && i < job->n; i++) {
        names[i] = nnfi_chain_list_text(list, job->names[i]);
        room = names[i] != NULL;
    }
    const char *fused = room ? type_name(list, job->fused[job->base]) : NULL;
    if (!fused) return nnfi_error_memory(sizeof *list->list.chains, "the chains found");
    list->list.chains[list->list.n_chains++] =
        (nnf_found_chain){{names, job->n}, types, fused, saved};
    return NNF_OK;
}

nnf_status nnfi_chain_list_left(nnfi_chain_list *list, const nnfi_call *call, const char *reason) {
    if (!reason) reason = nnfi_chain_list_text(list, nnf_error_message());
    const char *name = nnfi_chain_list_text(list, call->path);
    const char *type = type_name(list, call->module);
    if (!reason || !name || !type ||
        !nnfi_reserve(&list->list.left, &list->left_capacity, list->list.n_left + 1,
                      sizeof *list->list.left))
        return nnfi_error_memory(sizeof *list->list.left, "the modules left alone");
    list->list.left[list->list.n_left++] = (nnf_left_alone){name, type, reason};
    return NNF_OK;
}
