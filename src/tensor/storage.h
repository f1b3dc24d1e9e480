/* What tensors stand on: heap memory, somebody else's bytes, or a fold that nobody has computed
 * yet. Shared by any number of tensors and threads; only its one owner may write it. */
#ifndef NNFI_STORAGE_H
#define NNFI_STORAGE_H

#include "tensor/tensor_internal.h"

typedef struct nnfi_storage nnfi_storage;
typedef struct nnfi_folded nnfi_folded; /* tensor/folded.h */

nnf_status nnfi_storage_new(nnfi_storage **out, nnf_dtype dtype, int64_t numel, bool zeroed);
nnf_status nnfi_storage_borrow(nnfi_storage **out, nnf_dtype dtype, int64_t numel,
                               const void *data);
/* What to call when a borrowed storage goes: set last, so that a failed call doesn't. */
void nnfi_storage_on_release(nnfi_storage *storage, void (*release)(void *payload), void *payload);
/* Folds of a borrowed storage will not read it to know whether they leave their dtype's range: they
 * look at what they compute, and that fails then. To be said before anybody shares the storage. */
void nnfi_storage_check_late(nnfi_storage *storage);
bool nnfi_storage_checks_late(const nnfi_storage *storage);
/* Over aligned memory of the caller's, who keeps it as long as the storage lives: written in place.
 */
nnf_status nnfi_storage_lend(nnfi_storage **out, nnf_dtype dtype, int64_t numel, void *data);
/* Takes over `folded`; not where it fails. */
nnf_status nnfi_storage_from_folded(nnfi_storage **out, nnfi_folded *folded);

nnfi_storage *nnfi_storage_retain(nnfi_storage *storage);
void nnfi_storage_release(nnfi_storage *storage); /* NULL is allowed */

int64_t nnfi_storage_numel(const nnfi_storage *storage);
nnf_dtype nnfi_storage_dtype(const nnfi_storage *storage);
uint64_t nnfi_storage_version(const nnfi_storage *storage);
bool nnfi_storage_is_deferred(const nnfi_storage *storage);
/* Its fold, retained; NULL where it is none or was computed. */
nnfi_folded *nnfi_storage_folded(nnfi_storage *storage);

/* All its elements, aligned for the dtype; copied or computed the first time, where needed. */
nnf_status nnfi_storage_data(nnfi_storage *storage, const void **data);
/* The same for its only owner to write; NULL where it has others or the bytes aren't its own. */
nnf_status nnfi_storage_own_data(nnfi_storage *storage, void **data);
/* Elements [first, first + count), computed for this call only where they aren't there. */
nnf_status nnfi_storage_read(nnfi_storage *storage, int64_t first, int64_t count, void *out);

/* Its elements where they stand, unaligned perhaps; NULL where they must be computed. */
const unsigned char *nnfi_storage_bytes(const nnfi_storage *storage);

#endif
