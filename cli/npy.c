#include "npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

/* numpy's name of each dtype; '|' where byte order means nothing. */
static const struct {
    const char *descr;
    nnf_dtype dtype;
} npy_dtypes[] = {{"<f4", NNF_F32}, {"<f8", NNF_F64}, {"<f2", NNF_F16}, {"|i1", NNF_I8},
                  {"|u1", NNF_U8},  {"<i4", NNF_I32}, {"<i8", NNF_I64}, {"|b1", NNF_BOOL}};
enum { N_NPY_DTYPES = sizeof npy_dtypes / sizeof npy_dtypes[0] };

/* What a header says. */
typedef struct npy_info {
    nnf_dtype dtype;
    bool fortran_order;
    int ndim;
    int64_t shape[NNF_MAX_DIMS];
    size_t data_offset;
} npy_info;

/* ---- Reading: the header is a Python dict, {'descr': '<f4', 'fortran_order': False, 'shape': (3,
 * 4), } ---- */

typedef struct cursor {
    const char *at, *end;
    const char *name; /* of the file */
} cursor;

static nnf_status error_header(const cursor *c, const char *what) {
    return nnf_error(NNF_ERROR_FORMAT, "%s: not a .npy file that can be read: %s", c->name, what);
}

static void skip_spaces(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool take(cursor *c, char expected) {
    skip_spaces(c);
    if (c->at == c->end || *c->at != expected) return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word) {
    skip_spaces(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

/* A quoted string of fewer than `size` characters. */
static bool take_string(cursor *c, char *out, size_t size) {
    skip_spaces(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    char quote = *c->at++;
    size_t length = 0;
    while (c->at < c->end && *c->at != quote) {
        if (length + 1 >= size) return false;
        out[length++] = *c->at++;
    }
    out[length] = '\0';
    return take(c, quote);
}

static bool take_integer(cursor *c, int64_t *out) {
    skip_spaces(c);
    int64_t value = 0;
    const char *first = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (value > (INT64_MAX - 9) / 10) return false;
        value = 10 * value + (*c->at - '0');
    }
    *out = value;
    return c->at > first;
}

static nnf_status parse_dtype(cursor *c, npy_info *out) {
    char descr[32] = "";
    if (!take_string(c, descr, sizeof descr)) {
        return error_header(c, "its dtype is a structure, or too long");
    }
    for (int i = 0; i < N_NPY_DTYPES; i++) {
        bool same = strcmp(descr + 1, npy_dtypes[i].descr + 1) == 0;
        bool order = descr[0] == npy_dtypes[i].descr[0] || descr[0] == '|' || descr[0] == '<';
        if (same && order) {
            out->dtype = npy_dtypes[i].dtype;
            return NNF_OK;
        }
    }
    if (descr[0] == '>') {
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "%s: its numbers are big-endian ('%s'); save it with .astype('<%s')",
                         c->name, descr, descr + 1);
    }
    return nnf_error(NNF_ERROR_UNSUPPORTED,
                     "%s: nnfuse has no values of numpy's dtype '%s'; it reads float16, float32, "
                     "float64, int8, uint8, int32, int64 and bool",
                     c->name, descr);
}

static nnf_status parse_shape(cursor *c, npy_info *out) {
    if (!take(c, '(')) return error_header(c, "its shape is not a tuple");
    while (!take(c, ')')) {
        if (out->ndim == NNF_MAX_DIMS) return error_header(c, "it has more than 8 dimensions");
        if (!take_integer(c, &out->shape[out->ndim++])) {
            return error_header(c, "its shape holds something that is no size");
        }
        if (!take(c, ',')) {
            if (!take(c, ')')) return error_header(c, "its shape does not end");
            break;
        }
    }
    return NNF_OK;
}

static nnf_status parse_order(cursor *c, npy_info *out) {
    out->fortran_order = take_word(c, "True");
    if (out->fortran_order || take_word(c, "False")) return NNF_OK;
    return error_header(c, "its fortran_order is neither True nor False");
}

static nnf_status parse_dict(cursor *c, npy_info *out) {
    static const struct {
        const char *key;
        nnf_status (*parse)(cursor *c, npy_info *out);
    } members[] = {{"descr", parse_dtype}, {"shape", parse_shape}, {"fortran_order", parse_order}};
    bool seen[3] = {false, false, false};
    if (!take(c, '{')) return error_header(c, "its header is not a dict");
    while (!take(c, '}')) {
        char key[32] = "";
        if (!take_string(c, key, sizeof key) || !take(c, ':')) {
            return error_header(c, "its header is not a dict");
        }
        size_t member = 0;
        while (member < 3 && strcmp(members[member].key, key) != 0)
            member++;
        if (member == 3 || seen[member]) return error_header(c, "its header has an unknown key");
        seen[member] = true;
        nnf_status status = members[member].parse(c, out);
        if (status != NNF_OK) return status;
        take(c, ',');
    }
    if (!seen[0] || !seen[1] || !seen[2]) return error_header(c, "its header lacks a key");
    return NNF_OK;
}

static nnf_status parse_header(npy_info *out, const unsigned char *data, size_t size,
                               const char *name) {
    cursor c = {.name = name};
    if (size < 10 || memcmp(data, "\x93NUMPY", 6) != 0) {
        return error_header(&c, "it does not begin with \\x93NUMPY");
    }
    if (data[6] < 1 || data[6] > 3) {
        return nnf_error(NNF_ERROR_UNSUPPORTED, "%s: version %d of the .npy format is not known",
                         name, data[6]);
    }
    size_t start = data[6] == 1 ? 10 : 12; /* the header's length has 2 bytes, then 4 */
    if (size < start) return error_header(&c, "it ends within its header");
    size_t length = (size_t)data[8] | (size_t)data[9] << 8;
    if (start == 12) length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > size - start) return error_header(&c, "it ends within its header");
    c.at = (const char *)data + start;
    c.end = c.at + length;
    out->data_offset = start + length;
    return parse_dict(&c, out);
}

/* Holds the shape against the bytes that are there. */
static nnf_status check_size(const npy_info *h, size_t size, const char *name) {
    size_t bytes = nnf_dtype_size(h->dtype);
    bool empty = false, overflow = false;
    for (int d = 0; d < h->ndim; d++) {
        if (h->shape[d] == 0) empty = true;
    }
    for (int d = 0; d < h->ndim && !empty && !overflow; d++) {
        overflow = (uint64_t)h->shape[d] > SIZE_MAX / bytes;
        if (!overflow) bytes *= (size_t)h->shape[d];
    }
    if (empty) bytes = 0;
    if (overflow || bytes != size - h->data_offset) {
        return nnf_error(NNF_ERROR_FORMAT,
                         "%s: its shape asks for %s%zu bytes of data, but it has %zu", name,
                         overflow ? "more than " : "", bytes, size - h->data_offset);
    }
    return NNF_OK;
}

/* Fortran order is C order of the reversed shape, seen through reversed strides. */
static nnf_status to_c_order(nnf_tensor **tensor, const npy_info *h) {
    int64_t strides[NNF_MAX_DIMS] = {0}, stride = 1;
    for (int d = 0; d < h->ndim; d++) {
        strides[d] = stride;
        stride *= h->shape[d];
    }
    nnf_tensor *view = NULL, *plain = NULL;
    nnf_status status = nnf_tensor_view(&view, *tensor, h->ndim, h->shape, strides, 0);
    if (status == NNF_OK) status = nnf_tensor_contiguous(&plain, view);
    nnf_tensor_release(view);
    if (status != NNF_OK) return status;
    nnf_tensor_release(*tensor);
    *tensor = plain;
    return NNF_OK;
}

nnf_status npy_parse(nnf_tensor **out, void *data, size_t size, const char *name) {
    npy_info h = {0};
    nnf_tensor *tensor = NULL;
    nnf_status status = parse_header(&h, data, size, name);
    if (status == NNF_OK) status = check_size(&h, size, name);
    if (status == NNF_OK) {
        status = nnf_tensor_borrow(&tensor, h.dtype, h.ndim, h.shape, (char *)data + h.data_offset,
                                   free, data);
    }
    if (status != NNF_OK) {
        free(data);
        return status;
    }
    if (h.fortran_order && h.ndim > 1 && nnf_tensor_numel(tensor) > 0)
        status = to_c_order(&tensor, &h);
    if (status != NNF_OK) {
        nnf_tensor_release(tensor);
        return status;
    }
    *out = tensor;
    return NNF_OK;
}

nnf_status npy_read(nnf_tensor **out, const char *path) {
    void *data = NULL;
    size_t size = 0;
    nnf_status status = file_read(&data, &size, path);
    if (status == NNF_OK && size >= 4 && memcmp(data, "PK\x03\x04", 4) == 0) {
        free(data);
        return nnf_error(
            NNF_ERROR_FORMAT,
            "%s: this is a .npz archive, which may hold several arrays; save the one that "
            "is meant: numpy.save('x.npy', numpy.load('x.npz')['NAME'])",
            input_name(path));
    }
    return status == NNF_OK ? npy_parse(out, data, size, input_name(path)) : status;
}

/* ---- Writing ---- */

static const char *descr_of(nnf_dtype dtype) {
    for (int i = 0; i < N_NPY_DTYPES; i++) {
        if (npy_dtypes[i].dtype == dtype) return npy_dtypes[i].descr;
    }
    return NULL;
}

static nnf_status make_header(char **out, size_t *size, const nnf_tensor *tensor) {
    const char *descr = descr_of(nnf_tensor_dtype(tensor));
    if (descr == NULL) return nnf_error(NNF_ERROR_UNSUPPORTED, "numpy has no such dtype");
    char shape[NNF_MAX_DIMS * 24 + 4] = "";
    int at = 0, ndim = nnf_tensor_ndim(tensor);
    for (int d = 0; d < ndim; d++) {
        at += snprintf(shape + at, sizeof shape - (size_t)at,
                       d > 0 ? " %" PRId64 "," : "%" PRId64 ",", nnf_tensor_shape(tensor)[d]);
    }
    if (ndim > 1) shape[at - 1] = '\0'; /* numpy writes (3, 4) and (3,) */
    char dict[512];
    int length = snprintf(dict, sizeof dict,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    /* Spaces and a newline so that the data begin at a multiple of 64. */
    size_t total = (10 + (size_t)length + 1 + 63) / 64 * 64;
    char *header = malloc(total);
    if (header == NULL) return nnf_error(NNF_ERROR_MEMORY, "out of memory: %zu bytes", total);
    memset(header, ' ', total);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((total - 10) & 0xff);
    header[9] = (char)((total - 10) >> 8);
    memcpy(header + 10, dict, (size_t)length);
    header[total - 1] = '\n';
    *out = header;
    *size = total;
    return NNF_OK;
}

nnf_status npy_write(const char *path, const nnf_tensor *tensor) {
    /* Output tensors are contiguous; a conversion to the same dtype makes others so. */
    nnf_dtype dtype = nnf_tensor_dtype(tensor) == NNF_BF16 ? NNF_F32 : nnf_tensor_dtype(tensor);
    nnf_tensor *plain = NULL;
    char *header = NULL;
    size_t header_size = 0;
    const void *data = NULL;
    nnf_status status = nnf_tensor_convert(&plain, tensor, dtype);
    if (status == NNF_OK) status = nnf_tensor_data(plain, &data);
    if (status == NNF_OK) status = make_header(&header, &header_size, plain);
    if (status == NNF_OK) {
        file_writer writer;
        status = file_open(&writer, path);
        if (status == NNF_OK) {
            status = file_write(&writer, header, header_size);
            if (status == NNF_OK) {
                status = file_write(&writer, data, (size_t)nnf_tensor_nbytes(plain));
            }
            status = file_close(&writer, status);
        }
    }
    free(header);
    nnf_tensor_release(plain);
    return status;
}
