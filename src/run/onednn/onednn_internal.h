/* What the oneDNN handlers share: the engine, jobs, packed constants, post-ops. */
#ifndef NNFI_ONEDNN_INTERNAL_H
#define NNFI_ONEDNN_INTERNAL_H

#include "module/module_internal.h"
#include "nnfuse/nn.h"
#include "run/kernel_set.h"
#include "run/onednn/compat.h"

struct nnfi_layout {
    nnfi_md md;
    nnfi_layout *next;
};

/* The layout of values with channels and space between layers. */
typedef enum nnfi_order {
    NNFI_ORDER_ANY,           /* what oneDNN chooses for each primitive */
    NNFI_ORDER_CHANNELS_LAST, /* [N, D..., C] */
    NNFI_ORDER_BLOCKED        /* [N, C/16, D..., 16] */
} nnfi_order;

struct nnfi_engine {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    nnfi_layout *layouts; /* each layout once */
    nnfi_order order;
    bool winograd;   /* is allowed */
    bool packs_late; /* constants are packed by the steps that read them */
    void *buffer;    /* for constants on their way into a packed form */
    size_t buffer_size;
};

enum { NNFI_MOST_ARGS = NNFI_MOST_SOURCES + 8 };

typedef struct nnfi_primitive_step nnfi_primitive_step;

/* One call on its way to a step. A handler says which primitive it is and what its arguments are;
 * what is made on the way belongs to the job, which releases it. */
typedef struct nnfi_job {
    nnfi_engine *engine;
    const nnf_module *module; /* the base module of a fused container */
    const nnf_module *fused;  /* the container, or NULL */
    nnfi_operand *const *inputs;
    size_t n_inputs;
    nnfi_operand *output;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    void (*finish)(float *values, int64_t n); /* to be done to the output; NULL: nothing */
    const nnf_module *last; /* the container's last child, a primitive of its own; or NULL */
    bool wants_winograd;    /* more than it wants its activation as a post-op */
    nnfi_primitive_step *step;
    nnfi_step *own; /* instead of it: a step that is no primitive; or NULL */
    nnfi_md mds[NNFI_MOST_ARGS + 8];
    size_t n_mds;
} nnfi_job;

/* Makes the job's step, or leaves it NULL where oneDNN has no good way to run the module. */
typedef nnf_status (*nnfi_handler)(nnfi_job *job);

/* The handler for the module's type; NULL where there is none. */
nnfi_handler nnfi_onednn_handler(const nnf_module *module);
nnf_status nnfi_onednn_conv(nnfi_job *job);
nnf_status nnfi_onednn_linear(nnfi_job *job);
nnf_status nnfi_onednn_matmul(nnfi_job *job);
nnf_status nnfi_onednn_pool(nnfi_job *job);
nnf_status nnfi_onednn_global_pool(nnfi_job *job);
nnf_status nnfi_onednn_activation(nnfi_job *job);
nnf_status nnfi_onednn_prelu(nnfi_job *job);
nnf_status nnfi_onednn_binary(nnfi_job *job);
nnf_status nnfi_onednn_softmax(nnfi_job *job);
nnf_status nnfi_onednn_batchnorm(nnfi_job *job);
nnf_status nnfi_onednn_concat(nnfi_job *job);
nnf_status nnfi_onednn_sum(nnfi_job *job);
nnf_status nnfi_onednn_layernorm(nnfi_job *job);
nnf_status nnfi_onednn_reduce(nnfi_job *job);
nnf_status nnfi_onednn_resize(nnfi_job *job);
nnf_status nnfi_onednn_transpose(nnfi_job *job);

/* Whether the output can be the input's memory; sets its layout then. */
nnf_status nnfi_onednn_view(nnfi_job *job, bool *views);

/* A pooling over all spatial axes of input 0; the output may be without them. */
nnf_status nnfi_onednn_pool_all(nnfi_job *job, dnnl_alg_kind_t algorithm);

/* Whether Winograd's algorithm is the better one for a Conv2d of those operands. */
bool nnfi_onednn_likes_winograd(const nnf_module *conv, const nnfi_operand *x,
                                const nnfi_operand *y);

/* ---- Errors ---- */

nnf_status nnfi_onednn_error(dnnl_status_t status, const char *what);
#define NNFI_DNNL(call)                                                              \
    do {                                                                             \
        dnnl_status_t nnfi_dnnl_ = (call);                                           \
        if (nnfi_dnnl_ != dnnl_success) return nnfi_onednn_error(nnfi_dnnl_, #call); \
    } while (0)

/* ---- Jobs ---- */

void nnfi_job_clear(nnfi_job *job);

/* Descriptors that the job keeps: an operand's as it is; row-major; one whose layout oneDNN
 * chooses; in the engine's order; with strides (NULL: any layout). */
nnf_status nnfi_job_operand_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand);
nnf_status nnfi_job_plain_md(nnfi_job *job, nnfi_md *out, int ndim, const int64_t *shape);
nnf_status nnfi_job_any_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand);
nnf_status nnfi_job_ordered_md(nnfi_job *job, nnfi_md *out, const nnfi_operand *operand);
nnf_status nnfi_job_channels_last_md(nnfi_job *job, nnfi_md *out, int ndim, const int64_t *shape);
nnf_status nnfi_job_strided_md(nnfi_job *job, nnfi_md *out, int ndim, const dnnl_dims_t dims,
                               const dnnl_dims_t strides);
/* The same memory with axis perm[i] as axis i. */
nnf_status nnfi_job_transposed_md(nnfi_job *job, nnfi_md *out, nnfi_const_md md, int ndim,
                                  const int *perm);

/* The same memory under the operand's shape; NULL where there is no such layout. */
nnf_status nnfi_job_reshaped_md(nnfi_job *job, nnfi_md *out, nnfi_const_md md,
                                const nnfi_operand *operand);

/* What the options of convolutions and pools say of their windows. */
typedef struct nnfi_sliding {
    int spatial;
    const int64_t *kernel, *stride, *dilation, *padding_begin;
    nnf_auto_pad auto_pad;
} nnfi_sliding;
/* The windows over an operand at as many places as the other one has; their padding behind is what
 * the sizes ask for: negative where elements at the end are left out. */
void nnfi_window_of(nnfi_window *window, const nnfi_sliding *sliding, const nnfi_operand *over,
                    const nnfi_operand *places);

/* Sets job->attr: a scratchpad of the caller's, and the activations of the container's children
 * (NULL: none) as post-ops, job->finish or job->last; a residual as an addition to what the output
 * holds before them.
 * *supported is false where one of them is not an activation that oneDNN has. */
nnf_status nnfi_job_attr(nnfi_job *job, bool *supported, const nnf_module *fused);
/* Leaves no job->pd where it is one of oneDNN's plain loops. */
void nnfi_job_drop_reference(nnfi_job *job);
/* Makes the step around the primitive of job->pd, whose arguments are said next. */
nnf_status nnfi_job_start(nnfi_job *job);
/* A descriptor of the primitive that was made. */
nnfi_const_md nnfi_job_md(const nnfi_job *job, dnnl_query_t what);
/* Input number i, or the output, is the argument `arg` and has to be in that layout. */
nnf_status nnfi_job_input(nnfi_job *job, int arg, size_t i, nnfi_const_md md);
nnf_status nnfi_job_output(nnfi_job *job, nnfi_const_md md);
/* The same, where the primitive sees that memory as `seen`. */
nnf_status nnfi_job_input_as(nnfi_job *job, int arg, size_t i, nnfi_const_md md,
                             nnfi_const_md seen);
nnf_status nnfi_job_output_as(nnfi_job *job, nnfi_const_md md, nnfi_const_md seen);
/* The values of a tensor, described by `from` (its numbers as they stand, perhaps with axes in
 * another order), in the layout `to`. */
nnf_status nnfi_job_constant(nnfi_job *job, int arg, nnf_tensor *tensor, nnfi_const_md from,
                             nnfi_const_md to);
/* Has the step run job->last too, over the output; drops the step where oneDNN has no good way. */
nnf_status nnfi_job_add_last(nnfi_job *job);
/* The output is to be the memory of input number i. */
void nnfi_job_inplace(nnfi_job *job, size_t i);
nnfi_step *nnfi_job_take_step(nnfi_job *job);
/* Releases the step: the module runs by its forward after all. */
void nnfi_job_drop_step(nnfi_job *job);

/* x / (1 + e^-x) for each of n values. */
void nnfi_silu(float *x, int64_t n);

/* Steps of the job's own over input number i, where its channels are last and there are enough of
 * them; job->own stays NULL where not (channels.c). It times the other input, which has one factor
 * for each image and channel, or for each channel; its mean over all spatial axes. */
nnf_status nnfi_channels_scale(nnfi_job *job, size_t i);
nnf_status nnfi_channels_mean(nnfi_job *job);

/* ---- Engine ---- */

/* Sets an operand's layout and bytes to what the primitive wants or gives. */
nnf_status nnfi_operand_set_md(nnfi_engine *engine, nnfi_operand *operand, nnfi_const_md md);
/* Memory of the engine's, at least so large, until the next call. */
nnf_status nnfi_engine_buffer(nnfi_engine *engine, size_t size, void **out);

/* ---- Packing (packing.c) ---- */

/* Whether the processor loads vectors from any address: JIT-compiled kernels ask for no more, while
 * compiled C may. */
#if defined(__x86_64__) || defined(__aarch64__)
#define NNFI_LOADS_ANYWHERE true
#else
#define NNFI_LOADS_ANYWHERE false
#endif

/* Puts a tensor's elements, described by `from`, into the layout `to`. */
typedef struct nnfi_packing nnfi_packing;
nnf_status nnfi_packing_new(nnfi_packing **out, const nnfi_engine *engine, nnf_tensor *tensor,
                            nnfi_const_md from, nnfi_const_md to);
/* Bytes for elements that cannot be read where they stand; 0: they can. */
size_t nnfi_packing_buffer_bytes(const nnfi_packing *packing);
nnf_status nnfi_packing_run(const nnfi_packing *packing, void *buffer, void *target);
void nnfi_packing_release(nnfi_packing *packing); /* NULL is allowed */

/* ---- Packed constants (packed.c) ---- */

/* A tensor's f32 values in some layout, shared by all steps of all sessions that want the same of
 * the same version of it: made once, and gone with the last of them. */
typedef struct nnfi_packed nnfi_packed;
nnf_status nnfi_packed_get(nnfi_packed **out, nnfi_engine *engine, nnf_tensor *tensor,
                           nnfi_const_md from, nnfi_const_md to);
void *nnfi_packed_data(const nnfi_packed *packed); /* not to be written */
void nnfi_packed_release(nnfi_packed *packed);     /* NULL is allowed */

/* ---- Post-ops ---- */

/* Whether the container's second child is a residual Add. */
bool nnfi_has_residual(const nnf_module *fused);
/* One activation as at most two eltwise operations; returns how many, 0: oneDNN has none. */
typedef struct nnfi_eltwise {
    dnnl_alg_kind_t algorithm;
    float alpha, beta;
} nnfi_eltwise;
int nnfi_eltwise_of(const nnf_module *activation, nnfi_eltwise out[2]);
/* The same for a PReLU: one where it holds one slope for all. */
int nnfi_prelu_eltwise(const nnf_module *prelu, nnfi_eltwise *out);
/* Whether a PReLU behind the job's module holds one slope for all or one for each channel, which
 * leaves the shape as it is. */
bool nnfi_prelu_follows(const nnfi_job *job, const nnf_module *prelu);

#endif
