/* The oneDNN kernel set: which module types it takes, layouts, reorders. */
#include "run/onednn/onednn_internal.h"

#include <string.h>

#include "support/memory.h"

/* ---- Engine and layouts ---- */

static nnf_status engine_open(nnfi_engine **out, const nnfi_kernel_options *options) {
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
     * needs no padding where channels are not a multiple of 16. Narrower CPUs are left to oneDNN,
     * which has Winograd's algorithm for AVX-512 alone. */
    bool wide = dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core;
    engine->order = wide ? NNFI_ORDER_CHANNELS_LAST : NNFI_ORDER_ANY;
    engine->winograd = wide && options->winograd;
    engine->packs_late = options->packs_late;
    *out = engine;
    return NNF_OK;
}

static void engine_settle(nnfi_engine *engine) {
    nnfi_free(engine->buffer);
    engine->buffer = NULL;
    engine->buffer_size = 0;
}

static void engine_close(nnfi_engine *engine) {
    if (!engine) return;
    engine_settle(engine);
    for (nnfi_layout *next, *layout = engine->layouts; layout; layout = next) {
        next = layout->next;
        nnfi_md_release(layout->md);
        nnfi_free(layout);
    }
    dnnl_stream_destroy(engine->stream);
    dnnl_engine_destroy(engine->engine);
    nnfi_free(engine);
}

nnf_status nnfi_engine_buffer(nnfi_engine *engine, size_t size, void **out) {
    if (size > engine->buffer_size) {
        engine_settle(engine);
        engine->buffer = nnfi_alloc(size);
        if (!engine->buffer) return nnfi_error_memory(size, "weights to be packed");
        engine->buffer_size = size;
    }
    *out = engine->buffer;
    return NNF_OK;
}

/* The pointer that stands for a layout: NULL where it is row-major. */
static nnf_status engine_layout(nnfi_engine *engine, const nnfi_layout **out, nnfi_const_md md) {
    *out = NULL;
    if (nnfi_md_is_plain(md)) return NNF_OK;
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
    NNFI_TRY(engine_layout(engine, &operand->layout, md));
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
    {"ELU", nnfi_onednn_activation},
    {"Swish", nnfi_onednn_activation},
    {"Mish", nnfi_onednn_activation},
    {"Sqrt", nnfi_onednn_activation},
    {"Exp", nnfi_onednn_activation},
    {"Abs", nnfi_onednn_activation},
    {"Neg", nnfi_onednn_activation},
    {"Softplus", nnfi_onednn_activation},
    {"PReLU", nnfi_onednn_prelu},
    {"Add", nnfi_onednn_binary},
    {"Sub", nnfi_onednn_binary},
    {"Mul", nnfi_onednn_binary},
    {"Div", nnfi_onednn_binary},
    {"Softmax", nnfi_onednn_softmax},
    {"LogSoftmax", nnfi_onednn_softmax},
    {"LayerNorm", nnfi_onednn_layernorm},
    {"ReduceMean", nnfi_onednn_reduce},
    {"ReduceSum", nnfi_onednn_reduce},
    {"ReduceL1", nnfi_onednn_reduce},
    {"ReduceL2", nnfi_onednn_reduce},
    {"ReduceSumSquare", nnfi_onednn_reduce},
    {"Resize", nnfi_onednn_resize},
    {"Transpose", nnfi_onednn_transpose},
    {"Concat", nnfi_onednn_concat},
    {"Sum", nnfi_onednn_sum},
};

nnfi_handler nnfi_onednn_handler(const nnf_module *module) {
    const char *type = nnfi_known_type(module);
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        if (!strcmp(handlers[i].type, type)) return handlers[i].handler;
    return NULL;
}

/* A module with a parameter that is computed at each use cannot be a primitive. */
static bool is_bare(const nnf_module *module) {
    if (nnf_module_is_parametrized(module, NULL)) return false;
    for (size_t i = 0; i < nnf_module_n_children(module); i++)
        if (!is_bare(nnf_module_child(module, i))) return false;
    return true;
}

/* Not where a parameter is given by the call: it may be another at each run. A MatMul's second
 * operand may be either. */
static bool holds_parameters(const nnfi_job *job, nnfi_handler handler) {
    const nnf_module_type *type = nnf_module_get_type(job->module);
    if (handler == nnfi_onednn_matmul) return true;
    size_t n = job->n_inputs - nnfi_has_residual(job->fused);
    for (size_t i = 0; i < type->n_slots && i + 1 < n; i++)
        if (job->inputs[i + 1] && !nnf_module_tensor(job->module, type->slots[i].name))
            return false;
    return true;
}

/* oneDNN's f32 kernels serve f32 alone, and need something to compute. */
static bool operands_fit(const nnfi_operand *operand) {
    if (operand->dtype != NNF_F32 || operand->ndim == 0) return false;
    for (int i = 0; i < operand->ndim; i++)
        if (operand->shape[i] == 0) return false;
    return true;
}

/* Sets up a job; false where oneDNN does not take the module. */
static bool job_of(nnfi_job *job, nnfi_handler *handler, nnfi_engine *engine,
                   const nnf_module *module, nnfi_operand *const *inputs, size_t n_inputs,
                   nnfi_operand *outputs, size_t n_outputs) {
    bool fused = nnf_module_get_type(module)->flags & NNF_TYPE_FUSED;
    const nnf_module *base = fused ? nnf_module_child(module, 0) : module;
    *handler = nnfi_onednn_handler(base);
    if (!*handler || !is_bare(module) || n_outputs != 1 || n_inputs == 0 || !inputs[0] ||
        !operands_fit(inputs[0]) || !operands_fit(&outputs[0]))
        return false;
    *job = (nnfi_job){.engine = engine,
                      .module = base,
                      .fused = fused ? module : NULL,
                      .inputs = inputs,
                      .n_inputs = n_inputs,
                      .output = &outputs[0]};
    return holds_parameters(job, *handler);
}

static nnf_status view(nnfi_engine *engine, const nnf_module *module, nnfi_operand *input,
                       nnfi_operand *output, bool *views) {
    nnfi_job job = {
        .engine = engine, .module = module, .inputs = &input, .n_inputs = 1, .output = output};
    *views = false;
    if (!operands_fit(input) || !operands_fit(output)) return NNF_OK;
    nnf_status status = nnfi_onednn_view(&job, views);
    nnfi_job_clear(&job);
    return status;
}

/* Winograd's convolutions are blocked, and what stands between them had better be so too. */
static void survey(nnfi_engine *engine, const nnf_module *module, nnfi_operand *const *inputs,
                   size_t n_inputs, nnfi_operand *outputs, size_t n_outputs) {
    nnfi_handler handler;
    nnfi_job job;
    if (engine->winograd &&
        job_of(&job, &handler, engine, module, inputs, n_inputs, outputs, n_outputs) &&
        handler == nnfi_onednn_conv &&
        nnfi_onednn_likes_winograd(job.module, job.inputs[0], job.output))
        engine->order = NNFI_ORDER_BLOCKED;
}

static nnf_status prepare(nnfi_engine *engine, const nnf_module *module,
                          nnfi_operand *const *inputs, size_t n_inputs, nnfi_operand *outputs,
                          size_t n_outputs, nnfi_step **step) {
    nnfi_handler handler;
    nnfi_job job;
    *step = NULL;
    if (!job_of(&job, &handler, engine, module, inputs, n_inputs, outputs, n_outputs))
        return NNF_OK;
    nnf_status status = handler(&job);
    if (!status && job.step && job.last) status = nnfi_job_add_last(&job);
    if (!status) *step = nnfi_job_take_step(&job);
    nnfi_job_clear(&job);
    return status;
}

/* Blocks of channels of one image follow each other. */
static nnf_status join(nnfi_engine *engine, const nnf_module *module, nnfi_operand *const *parts,
                       size_t n, nnfi_operand *whole, bool *joins) {
    enum { BLOCK = 16 };
    nnfi_handler handler;
    nnfi_job job;
    *joins = false;
    if (engine->order != NNFI_ORDER_BLOCKED ||
        !job_of(&job, &handler, engine, module, parts, n, whole, 1) ||
        handler != nnfi_onednn_concat || whole->ndim < 3 || whole->ndim > 5 || whole->shape[0] != 1)
        return NNF_OK;
    const nnf_axis_options *options = nnf_module_options(module);
    if (options->axis != 1 && options->axis != 1 - whole->ndim) return NNF_OK;
    for (size_t i = 0; i < n; i++)
        if (!parts[i] || !operands_fit(parts[i]) || parts[i]->shape[1] % BLOCK) return NNF_OK;
    nnf_status status = NNF_OK;
    for (size_t i = 0; !status && i <= n; i++) {
        nnfi_operand *operand = i < n ? parts[i] : whole;
        nnfi_md md;
        status = nnfi_job_ordered_md(&job, &md, operand);
        if (!status) status = nnfi_operand_set_md(engine, operand, md);
        nnfi_job_clear(&job);
    }
    *joins = true;
    return status;
}

static nnf_status reorder_job(nnfi_job *job, const nnfi_operand *from) {
    nnfi_md a, b;
    bool supported;
    NNFI_TRY(nnfi_job_operand_md(job, &a, from));
    NNFI_TRY(nnfi_job_operand_md(job, &b, job->output));
    NNFI_TRY(nnfi_job_attr(job, &supported, NULL));
    NNFI_DNNL(nnfi_pd_reorder(&job->pd, job->engine->engine, job->attr, a, b));
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_FROM, 0, a));
    return nnfi_job_output(job, b); /* DNNL_ARG_TO is DNNL_ARG_DST */
}

static nnf_status prepare_reorder(nnfi_engine *engine, const nnfi_operand *from, nnfi_operand *to,
                                  nnfi_step **step) {
    nnfi_operand source = *from, *inputs[] = {&source};
    nnfi_job job = {.engine = engine, .inputs = inputs, .n_inputs = 1, .output = to};
    nnf_status status = reorder_job(&job, from);
    if (!status) *step = nnfi_job_take_step(&job);
    nnfi_job_clear(&job);
    return status;
}

const nnfi_kernel_set *nnfi_onednn(void) {
    static const nnfi_kernel_set set = {.name = "onednn",
                                        .open = engine_open,
                                        .settle = engine_settle,
                                        .close = engine_close,
                                        .survey = survey,
                                        .prepare = prepare,
                                        .view = view,
                                        .join = join,
                                        .prepare_reorder = prepare_reorder};
    return &set;
}
