/* The oneDNN kernel set: which module types it takes, layouts, reorders. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

#include "support/memory.h"

/* ---- Engine and layouts ---- */

static nnf_status engine_open(nnfi_engine **out) {
    nnfi_engine *engine = nnfi_calloc(1, sizeof *engine);
    if (!engine) return nnfi_error_memory(sizeof *engine, "a oneDNN engine");
    dnnl_status_t status = dnnl_engine_create(&engine->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_stream_create(&engine->stream, engine->engine, dnnl_stream_default_flags);
    if (status != dnnl_success) {
        if (engine->engine) dnnl_engine_destroy(engine->engine);
        nnfi_free(engine);
        return nnfi_onednn_error(status, "an engine");
    }
    /* Measured on AVX-512: channels last is as fast as oneDNN's blocked layouts or faster, and
     * needs no padding where channels are not a multiple of 16. Narrower CPUs are left to oneDNN.
     */
    engine->channels_last = dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core;
    *out = engine;
    return NNF_OK;
}

static void engine_close(nnfi_engine *engine) {
    if (!engine) return;
    for (nnfi_layout *next, *layout = engine->layouts; layout; layout = next) {
        next = layout->next;
        nnfi_md_release(layout->md);
        nnfi_free(layout);
    }
    dnnl_stream_destroy(engine->stream);
    dnnl_engine_destroy(engine->engine);
    nnfi_free(engine);
}

nnf_status nnfi_plain_md(nnfi_md *out, int ndim, const int64_t *shape) {
    dnnl_dims_t dims, strides;
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        dims[i] = shape[i];
        strides[i] = stride;
        stride *= shape[i];
    }
    NNFI_DNNL(nnfi_md_new(out, ndim, dims, strides));
    return NNF_OK;
}

nnf_status nnfi_any_md(nnfi_md *out, int ndim, const int64_t *shape) {
    dnnl_dims_t dims;
    for (int i = 0; i < ndim; i++)
        dims[i] = shape[i];
    NNFI_DNNL(nnfi_md_new(out, ndim, dims, NULL));
    return NNF_OK;
}

nnf_status nnfi_engine_md(const nnfi_engine *engine, nnfi_md *out, int ndim, const int64_t *shape) {
    if (!engine->channels_last || ndim < 3) return nnfi_any_md(out, ndim, shape);
    dnnl_dims_t dims, strides;
    int64_t stride = shape[1];
    for (int i = ndim - 1; i >= 2; i--) {
        strides[i] = stride;
        stride *= shape[i];
    }
    strides[1] = 1;
    strides[0] = stride;
    for (int i = 0; i < ndim; i++)
        dims[i] = shape[i];
    NNFI_DNNL(nnfi_md_new(out, ndim, dims, strides));
    return NNF_OK;
}

nnf_status nnfi_operand_md(nnfi_md *out, const nnfi_operand *operand) {
    if (!operand->layout) return nnfi_plain_md(out, operand->ndim, operand->shape);
    NNFI_DNNL(nnfi_md_clone(out, operand->layout->md));
    return NNF_OK;
}

/* Strides of axes with one element say nothing: [N, C, 1, 1] is the same memory in many layouts. */
static bool is_row_major(nnfi_const_md md, int ndim, const int64_t *shape) {
    dnnl_dims_t strides;
    int64_t stride = 1;
    if (!nnfi_md_strides(md, strides)) return false;
    for (int i = ndim - 1; i >= 0; i--) {
        if (shape[i] != 1 && strides[i] != stride) return false;
        stride *= shape[i];
    }
    return true;
}

nnf_status nnfi_engine_layout(nnfi_engine *engine, const nnfi_layout **out, nnfi_const_md md,
                              int ndim, const int64_t *shape) {
    *out = NULL;
    if (is_row_major(md, ndim, shape)) return NNF_OK;
    for (nnfi_layout *layout = engine->layouts; layout; layout = layout->next)
        if (nnfi_md_equal(layout->md, md)) {
            *out = layout;
            return NNF_OK;
        }
    nnfi_layout *layout = nnfi_calloc(1, sizeof *layout);
    if (!layout) return nnfi_error_memory(sizeof *layout, "a layout");
    dnnl_status_t status = nnfi_md_clone(&layout->md, md);
    if (status != dnnl_success) {
        nnfi_free(layout);
        return nnfi_onednn_error(status, "a layout");
    }
    layout->next = engine->layouts;
    engine->layouts = layout;
    *out = layout;
    return NNF_OK;
}

nnf_status nnfi_operand_set_md(nnfi_engine *engine, nnfi_operand *operand, nnfi_const_md md) {
    NNFI_TRY(nnfi_engine_layout(engine, &operand->layout, md, operand->ndim, operand->shape));
    operand->bytes = nnfi_md_bytes(md);
    return NNF_OK;
}

/* ---- Which modules ---- */

static const struct {
    const char *type;
    nnfi_handler handler;
} handlers[] = {
    {"Conv1d", nnfi_onednn_conv},
    {"Conv2d", nnfi_onednn_conv},
    {"Conv3d", nnfi_onednn_conv},
    {"ConvTranspose1d", nnfi_onednn_conv},
    {"ConvTranspose2d", nnfi_onednn_conv},
    {"ConvTranspose3d", nnfi_onednn_conv},
    {"Linear", nnfi_onednn_linear},
    {"MatMul", nnfi_onednn_matmul},
    {"BatchNorm1d", nnfi_onednn_batchnorm},
    {"BatchNorm2d", nnfi_onednn_batchnorm},
    {"BatchNorm3d", nnfi_onednn_batchnorm},
    {"MaxPool1d", nnfi_onednn_pool},
    {"MaxPool2d", nnfi_onednn_pool},
    {"MaxPool3d", nnfi_onednn_pool},
    {"AvgPool1d", nnfi_onednn_pool},
    {"AvgPool2d", nnfi_onednn_pool},
    {"AvgPool3d", nnfi_onednn_pool},
    {"GlobalAveragePool", nnfi_onednn_global_pool},
    {"GlobalMaxPool", nnfi_onednn_global_pool},
    {"ReLU", nnfi_onednn_activation},
    {"ReLU6", nnfi_onednn_activation},
    {"Clip", nnfi_onednn_activation},
    {"LeakyReLU", nnfi_onednn_activation},
    {"Sigmoid", nnfi_onednn_activation},
    {"Tanh", nnfi_onednn_activation},
    {"SiLU", nnfi_onednn_activation},
    {"Hardswish", nnfi_onednn_activation},
    {"Hardsigmoid", nnfi_onednn_activation},
    {"GELU", nnfi_onednn_activation},
    {"Sqrt", nnfi_onednn_activation},
    {"Add", nnfi_onednn_binary},
    {"Sub", nnfi_onednn_binary},
    {"Mul", nnfi_onednn_binary},
    {"Div", nnfi_onednn_binary},
    {"Softmax", nnfi_onednn_softmax},
    {"Concat", nnfi_onednn_concat},
};

nnfi_handler nnfi_onednn_handler(const char *type_name) {
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        if (!strcmp(handlers[i].type, type_name)) return handlers[i].handler;
    return NULL;
}

/* A module that does more than its type's computation cannot be a primitive: it has hooks, or a
 * parameter that is computed at each use. */
static bool is_bare(const nnf_module *module) {
    if (nnf_module_n_forward_pre_hooks(module) || nnf_module_n_forward_hooks(module) ||
        nnf_module_is_parametrized(module, NULL))
        return false;
    for (size_t i = 0; i < nnf_module_n_children(module); i++)
        if (!is_bare(nnf_module_child(module, i))) return false;
    return true;
}

/* oneDNN's f32 kernels serve f32 alone, and need something to compute. */
static bool operands_fit(const nnfi_operand *operand) {
    if (operand->dtype != NNF_F32 || operand->ndim == 0) return false;
    for (int i = 0; i < operand->ndim; i++)
        if (operand->shape[i] == 0) return false;
    return true;
}

static nnf_status prepare(nnfi_engine *engine, const nnf_module *module,
                          nnfi_operand *const *inputs, size_t n_inputs, nnfi_operand *outputs,
                          size_t n_outputs, nnfi_step **step) {
    *step = NULL;
    bool fused = nnf_module_get_type(module)->flags & NNF_TYPE_FUSED;
    const nnf_module *base = fused ? nnf_module_child(module, 0) : module;
    nnfi_handler handler = nnfi_onednn_handler(nnf_module_type_name(base));
    if (!handler || !is_bare(module) || n_outputs != 1 || n_inputs == 0 || !inputs[0])
        return NNF_OK;
    if (!operands_fit(inputs[0]) || !operands_fit(&outputs[0])) return NNF_OK;
    nnfi_request request = {engine,  base,     fused ? module : NULL, inputs, n_inputs,
                            outputs, n_outputs};
    return handler(&request, step);
}

static nnf_status prepare_reorder(nnfi_engine *engine, const nnfi_operand *from, nnfi_operand *to,
                                  nnfi_step **step) {
    nnfi_md a = NULL, b = NULL;
    dnnl_primitive_attr_t attr = NULL;
    nnfi_primitive_step *made = NULL;
    dnnl_primitive_desc_t pd = NULL;
    bool supported;
    nnf_status status = nnfi_operand_md(&a, from);
    if (!status) status = nnfi_operand_md(&b, to);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, NULL);
    if (!status) {
        dnnl_status_t result = nnfi_pd_reorder(&pd, engine->engine, attr, a, b);
        if (result != dnnl_success) status = nnfi_onednn_error(result, "a reorder");
    }
    if (!status) status = nnfi_primitive_step_new(&made, engine, pd);
    if (!status) status = nnfi_primitive_step_arg(made, DNNL_ARG_FROM, a, NNFI_ARG_INPUT, 0, NULL);
    if (!status) status = nnfi_primitive_step_arg(made, DNNL_ARG_TO, b, NNFI_ARG_OUTPUT, 0, NULL);
    if (status) {
        nnfi_primitive_step_release(made);
    } else {
        to->bytes = nnfi_md_bytes(b);
        *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    nnfi_md_release(a);
    nnfi_md_release(b);
    return status;
}

const nnfi_kernel_set *nnfi_onednn(void) {
    static const nnfi_kernel_set set = {"onednn", engine_open, engine_close, prepare,
                                        prepare_reorder};
    return &set;
}
