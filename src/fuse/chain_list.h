/* The list of what was found, as it is made. */
#ifndef NNFI_CHAIN_LIST_H
#define NNFI_CHAIN_LIST_H

#include "fuse/batch.h"

typedef struct nnfi_chain_list nnfi_chain_list;

/* NULL where memory is short, with the error set. */
nnfi_chain_list *nnfi_chain_list_new(void);
nnf_chain_list *nnfi_chain_list_public(nnfi_chain_list *list); /* for nnf_chain_list_release */
/* A copy that lives as long as the list; NULL: no memory. */
const char *nnfi_chain_list_text(nnfi_chain_list *list, const char *text);
/* `saved`: the share of its layers' multiplications that the fused one does without. */
nnf_status nnfi_chain_list_add(nnfi_chain_list *list, const nnfi_job *job, double saved);
/* A call that stays, and the reason: one of the list's texts, or NULL for the thread's error. */
nnf_status nnfi_chain_list_left(nnfi_chain_list *list, const nnfi_call *call, const char *reason);

#endif
