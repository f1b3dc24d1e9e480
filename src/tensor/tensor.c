#include "nnfuse/tensor.h"

#include <stdio.h>
#include <string.h>

#include "support/memory.h"
#include "tensor/numbers.h"
#include "tensor/object.h"

uint64_t nnfi_new_source(void) {
    static atomic_uint_fast64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

const char *nnfi_shape_text(char *buffer, size_t size, int ndim, const int64_t *shape) {
    size_t length = (size_t)snprintf(buffer, size, "[");
    for (int d = 0; d < ndim && length < size; d++)
        length += (size_t)snprintf(buffer + length, size - length, "%s%lld", d > 0 ? ", " : "",
                                   (long long)shape[d]);
    if (length < size) snprintf(buffer + length, size - length, "]");
    return buffer;
}

bool nnfi_shape_numel(int ndim, const int64_t *shape, int64_t *numel) {
    bool fits = true, empty = false;
    *numel = 1;
    for (int d = 0; d < ndim; d++) {
        if (shape[d] < 0) return false;
        empty = empty || shape[d] == 0;
        fits = fits && nnfi_mul(*numel, shape[d], numel);
    }
    if (empty) *numel = 0;
    return fits || empty;
}

static nnf_status check_shape(nnf_dtype dtype, int ndim, const int64_t *shape, int64_t *numel) {
    if (nnf_dtype_size(dtype) == 0)
        return nnf_error(NNF_ERROR_INVALID, "a tensor cannot have the dtype %d", (int)dtype);
    if (ndim < 0 || ndim > NNF_MAX_DIMS)
        return nnf_error(NNF_ERROR_SHAPE, "a tensor cannot have %d dimensions, only 0 to %d", ndim,
                         NNF_MAX_DIMS);
    if (ndim > 0 && !shape) return nnf_error(NNF_ERROR_INVALID, "a tensor's shape is NULL");
    char text[NNFI_SHAPE_TEXT];
    for (int d = 0; d < ndim; d++)
        if (shape[d] < 0)
            return nnf_error(NNF_ERROR_SHAPE, "a tensor cannot have the shape %s",
                             nnfi_shape_text(text, sizeof text, ndim, shape));
    int64_t bytes;
    if (!nnfi_shape_numel(ndim, shape, numel) ||
        !nnfi_mul(*numel, (int64_t)nnf_dtype_size(dtype), &bytes))
        return nnf_error(NNF_ERROR_MEMORY, "a tensor of shape %s does not fit in memory",
                         nnfi_shape_text(text, sizeof text, ndim, shape));
    return NNF_OK;
}

/* Row-major strides; where a dimension is 0 they are never used and may be anything that fits. */
static void set_contiguous(nnf_tensor *tensor) {
    int64_t stride = 1, *strides = nnfi_strides(tensor);
    for (int d = tensor->ndim - 1; d >= 0; d--) {
        strides[d] = stride;
        int64_t next;
        if (nnfi_mul(stride, tensor->shape[d] > 1 ? tensor->shape[d] : 1, &next)) stride = next;
    }
    tensor->contiguous = true;
}

/* A tensor with one reference and room for its shape and strides; all else is up to the caller. */
static nnf_tensor *allocate(int ndim) {
    nnf_tensor *tensor = nnfi_alloc(sizeof *tensor + 2 * (size_t)ndim * sizeof *tensor->shape);
    if (!tensor) return NULL;
    *tensor = (nnf_tensor){.ndim = (unsigned)ndim & 0x7f};
    atomic_init(&tensor->references, 1);
    return tensor;
}

nnf_status nnfi_tensor_wrap(nnf_tensor **out, nnfi_storage *storage, nnf_dtype dtype, int ndim,
                            const int64_t *shape, int64_t offset) {
    nnf_tensor *tensor = allocate(ndim);
    if (!tensor) {
        nnfi_storage_release(storage);
        return nnfi_error_memory(sizeof *tensor, "a tensor");
    }
    tensor->storage = storage;
    tensor->dtype = (uint8_t)dtype;
    if (ndim > 0) memcpy(tensor->shape, shape, (size_t)ndim * sizeof *shape);
    nnfi_shape_numel(ndim, shape, &tensor->numel);
    tensor->offset = offset;
    set_contiguous(tensor);
    *out = tensor;
    return NNF_OK;
}

static nnf_status new_tensor(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                             bool zeroed) {
    int64_t numel;
    nnfi_storage *storage;
    NNFI_TRY(check_shape(dtype, ndim, shape, &numel));
    NNFI_TRY(nnfi_storage_new(&storage, dtype, numel, zeroed));
    return nnfi_tensor_wrap(out, storage, dtype, ndim, shape, 0);
}

nnf_status nnf_tensor_new(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape) {
    return new_tensor(out, dtype, ndim, shape, true);
}

nnf_status nnfi_tensor_new_undefined(nnf_tensor **out, nnf_dtype dtype, int ndim,
                                     const int64_t *shape) {
    return new_tensor(out, dtype, ndim, shape, false);
}

nnf_status nnfi_tensor_lend(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                            void *data) {
    int64_t numel;
    nnfi_storage *storage;
    NNFI_TRY(check_shape(dtype, ndim, shape, &numel));
    NNFI_TRY(nnfi_storage_lend(&storage, dtype, numel, data));
    return nnfi_tensor_wrap(out, storage, dtype, ndim, shape, 0);
}

bool nnfi_tensor_is_shared(const nnf_tensor *tensor) {
    return atomic_load_explicit(&tensor->references, memory_order_acquire) > 1;
}

nnf_status nnf_tensor_from_data(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                                const void *data) {
    nnf_tensor *tensor;
    void *own;
    NNFI_TRY(new_tensor(&tensor, dtype, ndim, shape, false));
    if (!data && tensor->numel > 0) {
        nnf_tensor_release(tensor);
        return nnf_error(NNF_ERROR_INVALID, "a tensor's data is NULL");
    }
    NNFI_TRY(nnfi_storage_own_data(tensor->storage, &own)); /* cannot fail: it is new */
    if (tensor->numel > 0) memcpy(own, data, (size_t)nnf_tensor_nbytes(tensor));
    *out = tensor;
    return NNF_OK;
}

nnf_status nnf_tensor_borrow(nnf_tensor **out, nnf_dtype dtype, int ndim, const int64_t *shape,
                             const void *data, void (*release)(void *payload), void *payload) {
    int64_t numel;
    NNFI_TRY(check_shape(dtype, ndim, shape, &numel));
    if (!data && numel > 0) return nnf_error(NNF_ERROR_INVALID, "a tensor's data is NULL");
    /* Told whom to call only when nothing can fail any more: a failed call doesn't release. */
    nnfi_storage *storage;
    NNFI_TRY(nnfi_storage_borrow(&storage, dtype, numel, data));
    NNFI_TRY(nnfi_tensor_wrap(out, storage, dtype, ndim, shape, 0));
    nnfi_storage_on_release(storage, release, payload);
    return NNF_OK;
}

void nnfi_tensor_check_late(nnf_tensor *tensor) {
    nnfi_storage_check_late(tensor->storage);
}

static nnf_status need_tensor(const nnf_tensor *tensor) {
    return tensor ? NNF_OK : nnf_error(NNF_ERROR_INVALID, "a tensor is needed, not NULL");
}

nnf_status nnf_tensor_copy(nnf_tensor **out, const nnf_tensor *tensor) {
    NNFI_TRY(need_tensor(tensor));
    nnf_tensor *copy = allocate(tensor->ndim);
    if (!copy) return nnfi_error_memory(sizeof *copy, "a tensor");
    copy->storage = nnfi_storage_retain(tensor->storage);
    copy->dtype = tensor->dtype;
    copy->offset = tensor->offset;
    copy->numel = tensor->numel;
    copy->contiguous = tensor->contiguous;
    copy->origin_source = tensor->origin_source;
    copy->origin_index = tensor->origin_index;
    memcpy(copy->shape, tensor->shape, 2 * (size_t)tensor->ndim * sizeof *copy->shape);
    *out = copy;
    return NNF_OK;
}

/* Whether all elements of a view, the first of them storage element `offset`, lie in [0, size). */
static bool lies_inside(int ndim, const int64_t *shape, const int64_t *strides, int64_t offset,
                        int64_t size) {
    int64_t numel;
    if (!nnfi_shape_numel(ndim, shape, &numel)) return false;
    if (numel == 0) return offset >= 0 && offset <= size;
    if (offset < 0 || offset >= size) return false;
    int64_t lowest = offset, highest = offset;
    for (int d = 0; d < ndim; d++) {
        if (shape[d] == 1) continue;
        /* Every number below is smaller than `size` in magnitude before it is added. */
        int64_t stride = strides[d], reach;
        if (stride <= -size || stride >= size ||
            !nnfi_mul(shape[d] - 1, stride < 0 ? -stride : stride, &reach) || reach >= size)
            return false;
        if (stride < 0)
            lowest -= reach;
        else
            highest += reach;
        if (lowest < 0 || highest >= size) return false;
    }
    return true;
}

static bool has_contiguous_strides(const nnf_tensor *tensor) {
    const int64_t *strides = nnf_tensor_strides(tensor);
    int64_t stride = 1;
    if (tensor->numel == 0) return true; /* whose dimensions may multiply to any number */
    for (int d = tensor->ndim - 1; d >= 0; d--) {
        if (tensor->shape[d] != 1 && strides[d] != stride) return false;
        stride *= tensor->shape[d];
    }
    return true;
}

nnf_status nnf_tensor_view(nnf_tensor **out, const nnf_tensor *tensor, int ndim,
                           const int64_t *shape, const int64_t *strides, int64_t offset) {
    int64_t numel, start;
    NNFI_TRY(need_tensor(tensor));
    NNFI_TRY(check_shape(tensor->dtype, ndim, shape, &numel));
    if (!strides && !tensor->contiguous)
        return nnf_error(NNF_ERROR_SHAPE,
                         "a view of a tensor that is not contiguous needs strides");
    int64_t room = nnfi_storage_numel(tensor->storage);
    char text[NNFI_SHAPE_TEXT];
    bool inside = offset < 0 ? (start = tensor->offset + offset) >= 0
                             : nnfi_add(tensor->offset, offset, &start);
    inside = inside && (strides ? lies_inside(ndim, shape, strides, start, room)
                                : start <= room && numel <= room - start);
    if (!inside)
        return nnf_error(
            NNF_ERROR_SHAPE,
            "a view of shape %s from element %lld on leaves the storage of %lld elements",
            nnfi_shape_text(text, sizeof text, ndim, shape), (long long)offset, (long long)room);
    nnfi_storage *storage = nnfi_storage_retain(tensor->storage);
    NNFI_TRY(nnfi_tensor_wrap(out, storage, tensor->dtype, ndim, shape, start));
    if (strides && ndim > 0) memcpy(nnfi_strides(*out), strides, (size_t)ndim * sizeof *strides);
    (*out)->contiguous = has_contiguous_strides(*out);
    return NNF_OK;
}

/* Elements in rows, `step` bytes apart in one, `row_step` from row to row. */
typedef struct strided_rows {
    const unsigned char *in;
    ptrdiff_t step, row_step;
    int64_t n, rows;
} strided_rows;

/* Puts them side by side, column by column: rows that lie beside each other in memory are read from
 * one line. */
#define PACK(name, type)                                                              \
    static void name(const strided_rows *from, unsigned char *out) {                  \
        for (int64_t i = 0; i < from->n; i++)                                         \
            for (int64_t r = 0; r < from->rows; r++)                                  \
                memcpy(out + (size_t)(r * from->n + i) * sizeof(type),                \
                       from->in + i * from->step + r * from->row_step, sizeof(type)); \
    }
PACK(pack_8, uint8_t)
PACK(pack_16, uint16_t)
PACK(pack_32, uint32_t)
PACK(pack_64, uint64_t)

static void pack(size_t size, const strided_rows *from, unsigned char *out) {
    (size == 1 ? pack_8 : size == 2 ? pack_16 : size == 4 ? pack_32 : pack_64)(from, out);
}

/* How many rows of a matrix are read at once: those whose elements share a line. */
static int64_t rows_at_once(const nnf_tensor *tensor, const int64_t *index, int64_t count) {
    enum { LINE = 64 };
    const int last = tensor->ndim - 1;
    const int64_t *strides = nnf_tensor_strides(tensor), n = tensor->shape[last];
    if (last == 0 || index[last] > 0 || count < n || strides[last - 1] != 1) return 1;
    int64_t rows = LINE / (int64_t)nnf_dtype_size(tensor->dtype);
    if (rows > count / n) rows = count / n;
    const int64_t left = tensor->shape[last - 1] - index[last - 1];
    return rows < left ? rows : left;
}

/* Elements [first, first + count) of a tensor that is not contiguous, in row-major order: along the
 * last dimension in runs, or several of its rows. `bytes` is element [0, 0, ...]. */
static void read_strided(const nnf_tensor *tensor, const unsigned char *bytes, int64_t first,
                         int64_t count, unsigned char *out) {
    const int64_t *strides = nnf_tensor_strides(tensor);
    const ptrdiff_t size = (ptrdiff_t)nnf_dtype_size(tensor->dtype);
    int last = tensor->ndim - 1;
    int64_t index[NNF_MAX_DIMS];
    for (int d = last; d >= 0; first /= tensor->shape[d--])
        index[d] = first % tensor->shape[d];
    while (count > 0) {
        int64_t at = 0, run = tensor->shape[last] - index[last];
        for (int d = 0; d <= last; d++)
            at += index[d] * strides[d];
        if (run > count) run = count;
        const strided_rows part = {.in = bytes + at * size,
                                   .step = strides[last] * size,
                                   .row_step = last > 0 ? strides[last - 1] * size : 0,
                                   .n = run,
                                   .rows = rows_at_once(tensor, index, count)};
        pack((size_t)size, &part, out);
        out += run * part.rows * size;
        count -= run * part.rows;
        index[last] += run;
        if (part.rows > 1) index[last - 1] += part.rows - 1;
        for (int d = last; d > 0 && index[d] == tensor->shape[d]; d--) {
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

/* The bytes of a tensor that is not contiguous are made first: they are needed in no order. */
static nnf_status read_elements(const nnf_tensor *tensor, int64_t first, int64_t count, void *out) {
    if (count == 0) return NNF_OK;
    if (tensor->contiguous)
        return nnfi_storage_read(tensor->storage, tensor->offset + first, count, out);
    if (nnfi_storage_is_deferred(tensor->storage)) {
        const void *ignored;
        NNFI_TRY(nnfi_storage_data(tensor->storage, &ignored));
    }
    const unsigned char *bytes = nnfi_storage_bytes(tensor->storage);
    read_strided(tensor, bytes + (size_t)tensor->offset * nnf_dtype_size(tensor->dtype), first,
                 count, out);
    return NNF_OK;
}

nnf_status nnf_tensor_read(const nnf_tensor *tensor, int64_t first, int64_t count, void *out) {
    int64_t end;
    NNFI_TRY(need_tensor(tensor));
    if (first < 0 || count < 0 || !nnfi_add(first, count, &end) || end > tensor->numel)
        return nnf_error(NNF_ERROR_INVALID,
                         "a tensor of %lld elements has no %lld from the %lldth on",
                         (long long)tensor->numel, (long long)count, (long long)first);
    return read_elements(tensor, first, count, out);
}

nnf_status nnfi_tensor_number(double *out, const nnf_tensor *tensor, int64_t index) {
    uint64_t element = 0; /* room for one of any dtype */
    NNFI_TRY(nnf_tensor_read(tensor, index, 1, &element));
    *out = nnfi_load_f64(tensor->dtype, &element, 0);
    return NNF_OK;
}

/* A new contiguous storage with the tensor's elements. */
static nnf_status copy_elements(nnfi_storage **out, const nnf_tensor *tensor) {
    nnfi_storage *storage;
    NNFI_TRY(nnfi_storage_new(&storage, tensor->dtype, tensor->numel, false));
    void *data;
    nnf_status status = nnfi_storage_own_data(storage, &data);
    if (status == NNF_OK) status = read_elements(tensor, 0, tensor->numel, data);
    if (status != NNF_OK) {
        nnfi_storage_release(storage);
        return status;
    }
    *out = storage;
    return NNF_OK;
}

nnf_status nnf_tensor_contiguous(nnf_tensor **out, nnf_tensor *tensor) {
    NNFI_TRY(need_tensor(tensor));
    if (tensor->contiguous) {
        *out = nnf_tensor_retain(tensor);
        return NNF_OK;
    }
    nnfi_storage *storage;
    NNFI_TRY(copy_elements(&storage, tensor));
    return nnfi_tensor_wrap(out, storage, tensor->dtype, tensor->ndim, tensor->shape, 0);
}

#define CONVERTED_AT_ONCE 4096

/* Block by block: what has to be computed or packed first never stands in memory as a whole. */
static nnf_status convert_elements(const nnf_tensor *tensor, nnf_dtype dtype, unsigned char *out) {
    unsigned char block[CONVERTED_AT_ONCE * sizeof(double)];
    size_t size = nnf_dtype_size(dtype);
    for (int64_t i = 0; i < tensor->numel; i += CONVERTED_AT_ONCE) {
        int64_t n = tensor->numel - i < CONVERTED_AT_ONCE ? tensor->numel - i : CONVERTED_AT_ONCE;
        NNFI_TRY(read_elements(tensor, i, n, block));
        nnfi_convert(dtype, out + (size_t)i * size, tensor->dtype, block, n);
    }
    return NNF_OK;
}

nnf_status nnf_tensor_convert(nnf_tensor **out, const nnf_tensor *tensor, nnf_dtype dtype) {
    NNFI_TRY(need_tensor(tensor));
    if (dtype == tensor->dtype && tensor->contiguous) return nnf_tensor_copy(out, tensor);
    nnf_tensor *converted;
    NNFI_TRY(new_tensor(&converted, dtype, tensor->ndim, tensor->shape, false));
    void *data;
    nnf_status status = nnfi_storage_own_data(converted->storage, &data);
    if (status == NNF_OK) status = convert_elements(tensor, dtype, data);
    if (status != NNF_OK) {
        nnf_tensor_release(converted);
        return status;
    }
    *out = converted;
    return NNF_OK;
}

nnf_tensor *nnf_tensor_retain(nnf_tensor *tensor) {
    if (tensor) atomic_fetch_add_explicit(&tensor->references, 1, memory_order_relaxed);
    return tensor;
}

void nnf_tensor_release(nnf_tensor *tensor) {
    if (!tensor || atomic_fetch_sub_explicit(&tensor->references, 1, memory_order_acq_rel) != 1)
        return;
    nnfi_storage_release(tensor->storage);
    nnfi_free(tensor);
}

nnf_dtype nnf_tensor_dtype(const nnf_tensor *tensor) {
    return tensor ? (nnf_dtype)tensor->dtype : NNF_DTYPE_UNKNOWN;
}

int nnf_tensor_ndim(const nnf_tensor *tensor) {
    return tensor ? tensor->ndim : 0;
}

const int64_t *nnf_tensor_shape(const nnf_tensor *tensor) {
    return tensor ? tensor->shape : NULL;
}

const int64_t *nnf_tensor_strides(const nnf_tensor *tensor) {
    return tensor ? tensor->shape + tensor->ndim : NULL;
}

int64_t nnf_tensor_numel(const nnf_tensor *tensor) {
    return tensor ? tensor->numel : 0;
}

int64_t nnf_tensor_nbytes(const nnf_tensor *tensor) {
    return tensor ? tensor->numel * (int64_t)nnf_dtype_size(tensor->dtype) : 0;
}

bool nnf_tensor_is_contiguous(const nnf_tensor *tensor) {
    return tensor && tensor->contiguous;
}

nnf_status nnf_tensor_data(const nnf_tensor *tensor, const void **data) {
    const void *elements;
    NNFI_TRY(need_tensor(tensor));
    NNFI_TRY(nnfi_storage_data(tensor->storage, &elements));
    *data =
        (const unsigned char *)elements + (size_t)tensor->offset * nnf_dtype_size(tensor->dtype);
    return NNF_OK;
}

nnf_status nnf_tensor_mut_data(nnf_tensor *tensor, void **data) {
    void *own;
    NNFI_TRY(need_tensor(tensor));
    NNFI_TRY(nnfi_storage_own_data(tensor->storage, &own));
    if (!own) {
        nnfi_storage *storage;
        NNFI_TRY(copy_elements(&storage, tensor));
        nnfi_storage_release(tensor->storage);
        tensor->storage = storage;
        tensor->offset = 0;
        set_contiguous(tensor);
        NNFI_TRY(nnfi_storage_own_data(storage, &own));
    }
    nnfi_tensor_set_origin(tensor, (nnfi_origin){0, 0});
    *data = (unsigned char *)own + (size_t)tensor->offset * nnf_dtype_size(tensor->dtype);
    return NNF_OK;
}

nnfi_origin nnfi_tensor_origin(const nnf_tensor *tensor) {
    return (nnfi_origin){tensor->origin_source, tensor->origin_index};
}

void nnfi_tensor_set_origin(nnf_tensor *tensor, nnfi_origin origin) {
    if (!nnfi_origin_fits(origin)) origin = (nnfi_origin){0, 0};
    tensor->origin_source = origin.source & NNFI_SOURCE_MASK;
    tensor->origin_index = (int32_t)origin.index;
}

bool nnfi_tensor_same(const nnf_tensor *a, const nnf_tensor *b) {
    return a == b || (a->origin_source != 0 && a->origin_source == b->origin_source &&
                      a->origin_index == b->origin_index);
}

void nnfi_tensor_set_same(nnf_tensor *tensor, nnf_tensor *equal) {
    if (nnfi_tensor_same(tensor, equal)) return;
    if (equal->origin_source == 0)
        nnfi_tensor_set_origin(equal, (nnfi_origin){nnfi_new_source(), 0});
    nnfi_tensor_set_origin(tensor, nnfi_tensor_origin(equal));
}

bool nnfi_tensor_is_deferred(const nnf_tensor *tensor) {
    return nnfi_storage_is_deferred(tensor->storage);
}

uint64_t nnfi_tensor_version(const nnf_tensor *tensor) {
    return nnfi_storage_version(tensor->storage);
}

int64_t nnfi_tensor_offset(const nnf_tensor *tensor) {
    return tensor->offset;
}

const void *nnfi_tensor_bytes(const nnf_tensor *tensor) {
    const unsigned char *bytes = nnfi_storage_bytes(tensor->storage);
    return bytes ? bytes + (size_t)tensor->offset * nnf_dtype_size(tensor->dtype) : NULL;
}
