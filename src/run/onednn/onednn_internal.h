/* What the oneDNN handlers share: the engine, steps around one primitive, packed constants. */
#ifndef NNFI_ONEDNN_INTERNAL_H
#define NNFI_ONEDNN_INTERNAL_H

#include "nnfuse/nn.h"
#include "run/kernel_set.h"
#include "run/onednn/compat.h"

struct nnfi_layout {
    nnfi_md md;
    nnfi_layout *next;
};

struct nnfi_engine {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    nnfi_layout *layouts; /* each layout once */
    bool channels_last;   /* values between convolutions are [N, D..., C] in memory */
};

/* What a handler works on. */
typedef struct nnfi_request {
    nnfi_engine *engine;
    const nnf_module *module; /* the base module of a fused container */
    const nnf_module *fused;  /* the container, or NULL */
    nnfi_operand *const *inputs;
    size_t n_inputs;
    nnfi_operand *outputs;
    size_t n_outputs;
} nnfi_request;

/* Sets *step, or leaves it NULL where oneDNN has no good way to run the module. */
typedef nnf_status (*nnfi_handler)(const nnfi_request *request, nnfi_step **step);

/* The handler for a type of that name; NULL where there is none. */
nnfi_handler nnfi_onednn_handler(const char *type_name);
nnf_status nnfi_onednn_conv(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_linear(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_matmul(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_pool(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_global_pool(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_activation(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_binary(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_softmax(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_batchnorm(const nnfi_request *request, nnfi_step **step);
nnf_status nnfi_onednn_concat(const nnfi_request *request, nnfi_step **step);

/* ---- Errors ---- */

nnf_status nnfi_onednn_error(dnnl_status_t status, const char *what);
#define NNFI_DNNL(call)                                                              \
    do {                                                                             \
        dnnl_status_t nnfi_dnnl_ = (call);                                           \
        if (nnfi_dnnl_ != dnnl_success) return nnfi_onednn_error(nnfi_dnnl_, #call); \
    } while (0)

/* ---- Descriptors ---- */

/* An operand's descriptor as it is; a row-major one; one whose layout oneDNN chooses. */
nnf_status nnfi_operand_md(nnfi_md *out, const nnfi_operand *operand);
nnf_status nnfi_plain_md(nnfi_md *out, int ndim, const int64_t *shape);
nnf_status nnfi_any_md(nnfi_md *out, int ndim, const int64_t *shape);
/* The engine's own layout for values with channels and space; any, where it leaves that to oneDNN.
 */
nnf_status nnfi_engine_md(const nnfi_engine *engine, nnfi_md *out, int ndim, const int64_t *shape);
/* The layout that a descriptor says, for a value of that shape: NULL where it is row-major. */
nnf_status nnfi_engine_layout(nnfi_engine *engine, const nnfi_layout **out, nnfi_const_md md,
                              int ndim, const int64_t *shape);
/* Sets an operand's layout and bytes to what the primitive wants or gives. */
nnf_status nnfi_operand_set_md(nnfi_engine *engine, nnfi_operand *operand, nnfi_const_md md);

/* ---- Post-ops ---- */

/* Attributes with a scratchpad of the caller's and the activations of the container's children as
 * post-ops; `sum` puts an addition to what the output holds before them. *supported is false where
 * one of them is not an activation that oneDNN has. */
nnf_status nnfi_post_ops_attr(dnnl_primitive_attr_t *out, bool *supported, const nnf_module *fused);
/* Whether the container's second child is a residual Add. */
bool nnfi_has_residual(const nnf_module *fused);
/* One activation as at most two eltwise operations; returns how many, 0: oneDNN has none. */
typedef struct nnfi_eltwise {
    dnnl_alg_kind_t algorithm;
    float alpha, beta;
} nnfi_eltwise;
int nnfi_eltwise_of(const nnf_module *activation, nnfi_eltwise out[2]);

/* ---- Steps ---- */

typedef enum nnfi_arg_source {
    NNFI_ARG_INPUT,
    NNFI_ARG_OUTPUT,
    NNFI_ARG_SCRATCH,
    NNFI_ARG_OWN
} nnfi_arg_source;

typedef struct nnfi_primitive_step nnfi_primitive_step;

/* A step around the primitive of `pd`, which is destroyed in any case. */
nnf_status nnfi_primitive_step_new(nnfi_primitive_step **out, nnfi_engine *engine,
                                   dnnl_primitive_desc_t pd);
/* Says what stands behind one of the primitive's arguments: input or output number `index`, or, for
 * NNFI_ARG_OWN, `data`, which the step frees (also where this fails). */
nnf_status nnfi_primitive_step_arg(nnfi_primitive_step *step, int arg, nnfi_const_md md,
                                   nnfi_arg_source source, size_t index, void *data);
/* A copy of the tensor's f32 values, described by `from` (its numbers as they stand, perhaps with
 * axes in another order), reordered to `to`. */
nnf_status nnfi_primitive_step_constant(nnfi_primitive_step *step, int arg,
                                        const nnf_tensor *tensor, nnfi_const_md from,
                                        nnfi_const_md to);
/* Sets the operands' layouts from the primitive's src and dst and gives the step to the plan. */
nnfi_step *nnfi_primitive_step_finish(nnfi_primitive_step *step);
const_dnnl_primitive_desc_t nnfi_primitive_step_pd(const nnfi_primitive_step *step);
void nnfi_primitive_step_release(nnfi_primitive_step *step);
void nnfi_primitive_step_set_inplace(nnfi_primitive_step *step, int input);

#endif
