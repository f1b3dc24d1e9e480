/* Elementwise layers with two inputs, Softmax, BatchNorm in eval mode, Concat. */
#include "run/onednn/onednn_internal.h"

#include <math.h>
#include <string.h>

#include "support/memory.h"

/* ---- Add, Sub, Mul, Div ---- */

static bool equal_shapes(const nnfi_operand *a, const nnfi_operand *b) {
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

static nnf_status binary_step(const nnfi_request *request, size_t big, dnnl_alg_kind_t algorithm,
                              nnfi_step **step) {
    nnfi_operand *a = request->inputs[big], *b = request->inputs[1 - big];
    nnfi_operand *y = &request->outputs[0];
    nnfi_md first = NULL, second = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    if (equal_shapes(a, b)) b->layout = a->layout;
    nnf_status status = nnfi_operand_md(&first, a);
    if (!status) status = nnfi_operand_md(&second, b);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, request->fused);
    if (!status && supported &&
        nnfi_pd_binary(&pd, request->engine->engine, attr, algorithm, first, second, first) ==
            dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        if (!status)
            status =
                nnfi_primitive_step_arg(made, DNNL_ARG_SRC_0, first, NNFI_ARG_INPUT, big, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_SRC_1, second, NNFI_ARG_INPUT, 1 - big,
                                             NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, first, NNFI_ARG_OUTPUT, 0, NULL);
        if (!status) status = nnfi_operand_set_md(request->engine, y, first);
        if (!status) {
            b->bytes = nnfi_md_bytes(second);
            if (a->dies) nnfi_primitive_step_set_inplace(made, (int)big);
            *step = nnfi_primitive_step_finish(made);
        } else {
            nnfi_primitive_step_release(made);
        }
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    nnfi_md_release(first);
    nnfi_md_release(second);
    return status;
}

nnf_status nnfi_onednn_binary(const nnfi_request *request, nnfi_step **step) {
    static const dnnl_alg_kind_t algorithms[] = {[NNF_ADD] = dnnl_binary_add,
                                                 [NNF_SUB] = dnnl_binary_sub,
                                                 [NNF_MUL] = dnnl_binary_mul,
                                                 [NNF_DIV] = dnnl_binary_div};
    const nnf_binary_options *options = nnf_module_options(request->module);
    const nnfi_operand *y = &request->outputs[0];
    if (options->kind > NNF_DIV || request->n_inputs != 2 || !request->inputs[1] ||
        request->inputs[1]->dtype != NNF_F32)
        return NNF_OK;
    bool commutes = options->kind == NNF_ADD || options->kind == NNF_MUL;
    /* the first operand has the output's shape, the second may repeat along some axes */
    size_t big = equal_shapes(request->inputs[0], y) ? 0 : 1;
    if (big == 1 && (!commutes || !equal_shapes(request->inputs[1], y))) return NNF_OK;
    if (request->inputs[1 - big]->ndim != y->ndim) return NNF_OK;
    return binary_step(request, big, algorithms[options->kind], step);
}

/* ---- Softmax ---- */

nnf_status nnfi_onednn_softmax(const nnfi_request *request, nnfi_step **step) {
    const nnf_softmax_options *options = nnf_module_options(request->module);
    nnfi_operand *x = request->inputs[0];
    int64_t axis = options->axis < 0 ? options->axis + x->ndim : options->axis;
    if (options->flatten_from_axis && axis != x->ndim - 1) return NNF_OK;
    nnfi_md md = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = nnfi_operand_md(&md, x);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, NULL);
    if (!status && !request->fused &&
        nnfi_pd_softmax(&pd, request->engine->engine, attr, md, (int)axis) == dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_SRC, md, NNFI_ARG_INPUT, 0, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, md, NNFI_ARG_OUTPUT, 0, NULL);
        if (!status) status = nnfi_operand_set_md(request->engine, &request->outputs[0], md);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    nnfi_md_release(md);
    return status;
}

/* ---- BatchNorm with its running statistics ---- */

/* A batch norm's parameter or what stands for it; one reference. */
static nnf_status norm_tensor(nnf_tensor **out, const nnf_module *module, const char *name,
                              int64_t channels, float otherwise) {
    nnf_tensor *held = nnf_module_tensor(module, name);
    if (held) return nnf_tensor_convert(out, held, NNF_F32);
    nnf_tensor *made = NULL;
    void *data = NULL;
    NNFI_TRY(nnf_tensor_new(&made, NNF_F32, 1, &channels));
    nnf_status status = nnf_tensor_mut_data(made, &data);
    if (status) {
        nnf_tensor_release(made);
        return status;
    }
    for (int64_t c = 0; c < channels; c++)
        ((float *)data)[c] = otherwise;
    *out = made;
    return NNF_OK;
}

static nnf_status norm_constants(nnfi_primitive_step *made, const nnf_module *module,
                                 int64_t channels) {
    const struct {
        const char *name;
        int arg;
        float otherwise;
    } constants[] = {{"running_mean", DNNL_ARG_MEAN, 0},
                     {"running_var", DNNL_ARG_VARIANCE, 1},
                     {"weight", DNNL_ARG_SCALE, 1},
                     {"bias", DNNL_ARG_SHIFT, 0}};
    nnfi_md md = NULL;
    nnf_status status = nnfi_plain_md(&md, 1, &channels);
    for (size_t i = 0; !status && i < sizeof constants / sizeof *constants; i++) {
        nnf_tensor *tensor = NULL;
        status = norm_tensor(&tensor, module, constants[i].name, channels, constants[i].otherwise);
        if (!status) status = nnfi_primitive_step_constant(made, constants[i].arg, tensor, md, md);
        nnf_tensor_release(tensor);
    }
    nnfi_md_release(md);
    return status;
}

nnf_status nnfi_onednn_batchnorm(const nnfi_request *request, nnfi_step **step) {
    const nnf_batchnorm_options *options = nnf_module_options(request->module);
    const nnf_module *module = request->module, *fused = request->fused;
    nnfi_operand *x = request->inputs[0];
    bool has_all = nnf_module_tensor(module, "running_mean") &&
                   nnf_module_tensor(module, "running_var") &&
                   (!options->affine || nnf_module_tensor(module, "weight"));
    bool relu = fused && nnf_module_n_children(fused) == 2 &&
                !strcmp(nnf_module_type_name(nnf_module_child(fused, 1)), "ReLU");
    if (nnf_module_training(module) || options->training_mode || !has_all || x->ndim < 2 ||
        (fused && !relu))
        return NNF_OK;
    nnfi_md md = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = nnfi_operand_md(&md, x);
    if (!status) status = nnfi_post_ops_attr(&attr, &supported, NULL);
    if (!status && nnfi_pd_batchnorm(&pd, request->engine->engine, attr, md, (float)options->eps,
                                     relu) == dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_SRC, md, NNFI_ARG_INPUT, 0, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, md, NNFI_ARG_OUTPUT, 0, NULL);
        if (!status) status = norm_constants(made, module, x->shape[1]);
        if (!status) status = nnfi_operand_set_md(request->engine, &request->outputs[0], md);
        if (!status && x->dies) nnfi_primitive_step_set_inplace(made, 0);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    nnfi_md_release(md);
    return status;
}

/* ---- Concat ---- */

nnf_status nnfi_onednn_concat(const nnfi_request *request, nnfi_step **step) {
    const nnf_axis_options *options = nnf_module_options(request->module);
    nnfi_operand *y = &request->outputs[0];
    int axis = (int)(options->axis < 0 ? options->axis + y->ndim : options->axis);
    int n = (int)request->n_inputs;
    if (request->fused || n > 64) return NNF_OK;
    for (int i = 0; i < n; i++)
        if (!request->inputs[i] || request->inputs[i]->dtype != NNF_F32 ||
            request->inputs[i]->shape[axis] == 0)
            return NNF_OK;
    nnfi_md mds[64] = {0};
    nnfi_const_md sources[64];
    nnfi_md dst = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    nnfi_primitive_step *made = NULL;
    bool supported = false;
    nnf_status status = nnfi_post_ops_attr(&attr, &supported, NULL);
    for (int i = 0; !status && i < n; i++) {
        nnfi_operand *x = request->inputs[i];
        status = request->engine->channels_last && y->ndim > 2
                     ? nnfi_engine_md(request->engine, &mds[i], x->ndim, x->shape)
                     : nnfi_operand_md(&mds[i], x);
        sources[i] = mds[i];
    }
    if (!status) status = nnfi_engine_md(request->engine, &dst, y->ndim, y->shape);
    if (!status &&
        nnfi_pd_concat(&pd, request->engine->engine, attr, n, axis, sources, dst) == dnnl_success) {
        status = nnfi_primitive_step_new(&made, request->engine, pd);
        nnfi_const_md chosen =
            status ? NULL : nnfi_pd_md(nnfi_primitive_step_pd(made), dnnl_query_dst_md, 0);
        for (int i = 0; !status && i < n; i++)
            status = nnfi_operand_set_md(request->engine, request->inputs[i], mds[i]);
        for (int i = 0; !status && i < n; i++)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_MULTIPLE_SRC + i, mds[i],
                                             NNFI_ARG_INPUT, (size_t)i, NULL);
        if (!status)
            status = nnfi_primitive_step_arg(made, DNNL_ARG_DST, chosen, NNFI_ARG_OUTPUT, 0, NULL);
        if (!status) status = nnfi_operand_set_md(request->engine, y, chosen);
        if (status)
            nnfi_primitive_step_release(made);
        else
            *step = nnfi_primitive_step_finish(made);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i < n; i++)
        nnfi_md_release(mds[i]);
    nnfi_md_release(dst);
    return status;
}
