/* Convolution and transposed convolution as a matrix product: weight times the image as a matrix,
 * whose columns are made a panel at a time. A transposed convolution is computed for its output
 * places too (which input element, if any, does kernel place k bring here?), so that both differ
 * only in input_places. */
#include <string.h>

#include "run/reference/gemm.h"
#include "run/reference/reference.h"
#include "support/error.h"

/* Three spatial axes; those that a convolution has not are of size 1, in front. */
typedef struct geometry {
    bool transposed;
    int64_t channels; /* of one group of the input */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3];
    int64_t in_plane, out_plane;
    const void *x;
} geometry;

/* The coordinates of LANES output places from number `first` on; far outside behind the last. */
static void output_places(const geometry *g, int64_t first, int64_t n,
                          int64_t out[3][NNFI_GEMM_LANES]) {
    for (int j = 0; j < NNFI_GEMM_LANES; j++) {
        int64_t place = first + j;
        bool there = j < n;
        out[2][j] = there ? place % g->out[2] : INT64_MIN / 2;
        out[1][j] = there ? place / g->out[2] % g->out[1] : 0;
        out[0][j] = there ? place / g->out[2] / g->out[1] : 0;
        for (int i = 0; i < 3 && there; i++)
            out[i][j] =
                g->transposed ? out[i][j] + g->begin[i] : out[i][j] * g->stride[i] - g->begin[i];
    }
}

/* The input coordinates that kernel place k reads for the output places; -1: none. */
static void input_places(const geometry *g, int axis, const int64_t *out, int64_t k, int64_t *in) {
    int64_t step = k * g->dilation[axis], stride = g->stride[axis], size = g->in[axis];
    if (g->transposed) {
        for (int j = 0; j < NNFI_GEMM_LANES; j++) {
            int64_t place = out[j] - step;
            in[j] =
                place >= 0 && place % stride == 0 && place / stride < size ? place / stride : -1;
        }
    } else {
        for (int j = 0; j < NNFI_GEMM_LANES; j++) {
            int64_t place = out[j] + step;
            in[j] = place >= 0 && place < size ? place : -1;
        }
    }
}

#define T float
#define TYPED(name) name##_f32
#include "run/reference/conv_typed.h"
#define T double
#define TYPED(name) name##_f64
#include "run/reference/conv_typed.h"

static geometry geometry_of(const nnfi_conv *call) {
    const nnf_conv_options *o = call->options;
    geometry g = {.transposed = o->transposed, .channels = o->in_channels / o->groups};
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
    }
    g.in_plane = g.in[0] * g.in[1] * g.in[2];
    g.out_plane = g.out[0] * g.out[1] * g.out[2];
    return g;
}

nnf_status nnfi_reference_conv(nnf_session *session, const nnfi_conv *call) {
    const nnf_conv_options *o = call->options;
    geometry g = geometry_of(call);
    int64_t kernel = g.kernel[0] * g.kernel[1] * g.kernel[2];
    int64_t images = nnf_tensor_ndim(call->x) == o->spatial + 2 ? nnf_tensor_shape(call->x)[0] : 1;
    int64_t m = o->out_channels / o->groups, k = g.channels * kernel;
    nnfi_gemm gemm = {.dtype = nnf_tensor_dtype(call->x),
                      .count = images * o->groups,
                      .m = m,
                      .n = g.out_plane,
                      .k = k,
                      .threads = nnf_session_threads(session),
                      .alpha = 1.0,
                      .a_period = o->groups,
                      .a_step = m * k,
                      .a_row = o->transposed ? kernel : k,
                      .a_inner = kernel,
                      .a_outer = o->transposed ? m * kernel : kernel,
                      .a_column = 1,
                      .payload = &g};
    gemm.pack = gemm.dtype == NNF_F32 ? pack_f32 : pack_f64;
    NNFI_TRY(nnf_tensor_data(call->x, &g.x));
    NNFI_TRY(nnf_tensor_data(call->w, &gemm.a));
    if (call->b) NNFI_TRY(nnf_tensor_data(call->b, &gemm.row_bias));
    NNFI_TRY(nnf_tensor_mut_data(call->y, &gemm.y));
    return nnfi_gemm_run(&gemm);
}
