/* Max and average pooling. */
#include <math.h>

#include "run/reference/reference.h"
#include "support/error.h"

/* Three spatial axes; those that a pool has not are of size 1, in front. */
typedef struct geometry {
    bool average, count_padding, column_major;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
    int64_t in_plane, out_plane;
    const void *x;
    void *y;
    int64_t *indices; /* or NULL */
} geometry;

/* Elements from, to from + dilation, ... below `to`. */
static int64_t steps(int64_t from, int64_t to, int64_t dilation) {
    return to > from ? (to - from - 1) / dilation + 1 : 0;
}

/* The elements [first, last) on each axis, in steps of the dilation, that the window of output
 * place `o` covers; returns how many an average divides by. What lies in the padding counts where
 * the option says so, what lies beyond the end padding (ceil_mode) never does. */
static int64_t window_range(const geometry *g, int64_t o, int64_t *first, int64_t *last) {
    int64_t count = 1;
    for (int i = 2; i >= 0; i--) {
        int64_t dilation = g->dilation[i];
        int64_t begin = o % g->out[i] * g->stride[i] - g->begin[i];
        int64_t end = begin + (g->kernel[i] - 1) * dilation + 1;
        int64_t padded = end < g->in[i] + g->end[i] ? end : g->in[i] + g->end[i];
        first[i] = begin < 0 ? begin + (-begin + dilation - 1) / dilation * dilation : begin;
        last[i] = end < g->in[i] ? end : g->in[i];
        count *=
            g->count_padding ? steps(begin, padded, dilation) : steps(first[i], last[i], dilation);
        o /= g->out[i];
    }
    return count;
}

/* The number of a place of the plane: row-major, as it is, or column-major. */
static int64_t numbered(const geometry *g, int64_t place) {
    if (!g->column_major || place < 0) return place;
    int64_t w = place % g->in[2], h = place / g->in[2] % g->in[1];
    int64_t d = place / g->in[2] / g->in[1];
    return (w * g->in[1] + h) * g->in[0] + d;
}

#define T float
#define TYPED(name) name##_f32
#include "run/reference/pool_typed.h"
#define T double
#define TYPED(name) name##_f64
#include "run/reference/pool_typed.h"

static geometry geometry_of(const nnfi_pool *call) {
    const nnf_pool_options *o = call->options;
    geometry g = {.average = o->average,
                  .count_padding = o->count_include_pad,
                  .column_major = o->column_major};
    int lead = nnf_tensor_ndim(call->x) - o->spatial;
    for (int i = 0; i < 3; i++)
        g.in[i] = g.out[i] = g.kernel[i] = g.stride[i] = g.dilation[i] = 1;
    for (int i = 0; i < o->spatial; i++) {
        int axis = 3 - o->spatial + i;
        g.in[axis] = nnf_tensor_shape(call->x)[lead + i];
        g.out[axis] = nnf_tensor_shape(call->y)[lead + i];
        g.kernel[axis] = o->kernel_size[i];
        g.stride[axis] = o->stride[i];
        g.dilation[axis] = o->dilation[i];
        g.begin[axis] = call->padding_begin[i];
        g.end[axis] = call->padding_end[i];
    }
    g.in_plane = g.in[0] * g.in[1] * g.in[2];
    g.out_plane = g.out[0] * g.out[1] * g.out[2];
    return g;
}

nnf_status nnfi_reference_pool(nnf_session *session, const nnfi_pool *call) {
    geometry g = geometry_of(call);
    int threads = nnf_session_threads(session);
    void *indices = NULL;
    NNFI_TRY(nnf_tensor_data(call->x, &g.x));
    NNFI_TRY(nnf_tensor_mut_data(call->y, &g.y));
    if (call->indices) NNFI_TRY(nnf_tensor_mut_data(call->indices, &indices));
    g.indices = indices;
    int64_t planes = 1;
    for (int i = 0; i < nnf_tensor_ndim(call->x) - call->options->spatial; i++)
        planes *= nnf_tensor_shape(call->x)[i];
    void (*pool_plane)(const geometry *, int64_t) =
        nnf_tensor_dtype(call->x) == NNF_F32 ? pool_plane_f32 : pool_plane_f64;
#pragma omp parallel for num_threads(threads)
    for (int64_t plane = 0; plane < planes; plane++)
        pool_plane(&g, plane);
    (void)threads;
    return NNF_OK;
}
