/* Convolution and transposed convolution, with the container's activations and residual as
 * post-ops. */
#include "run/onednn/onednn_internal.h"

/* The weights as oneDNN counts their axes, [g, out/g, in/g, k...] or without g where there is one
 * group, over the numbers as they stand: a transposed convolution has [g, in/g, out/g, k...]. */
static nnf_status weights_mds(nnfi_job *job, nnfi_md *plain, nnfi_md *any) {
    const nnf_conv_options *options = nnf_module_options(job->module);
    dnnl_dims_t dims, strides;
    int n = 0;
    int64_t inner = 1;
    for (int i = 0; i < options->spatial; i++)
        inner *= options->kernel_size[i];
    int64_t out = options->out_channels / options->groups;
    int64_t in = options->in_channels / options->groups;
    if (options->groups > 1) {
        dims[n] = options->groups;
        strides[n++] = out * in * inner;
    }
    dims[n] = out;
    strides[n++] = options->transposed ? inner : in * inner;
    dims[n] = in;
    strides[n++] = options->transposed ? out * inner : inner;
    for (int i = 0; i < options->spatial; i++) {
        inner /= options->kernel_size[i];
        dims[n] = options->kernel_size[i];
        strides[n++] = inner;
    }
    NNFI_TRY(nnfi_job_strided_md(job, plain, n, dims, strides));
    return nnfi_job_strided_md(job, any, n, dims, NULL);
}

/* False for what oneDNN has no words for. */
static bool window_of(nnfi_window *window, const nnf_conv_options *options, const nnfi_operand *x,
                      const nnfi_operand *y) {
    bool transposed = options->transposed;
    bool same = options->auto_pad == NNF_AUTO_PAD_SAME_UPPER ||
                options->auto_pad == NNF_AUTO_PAD_SAME_LOWER;
    const nnfi_sliding sliding = {options->spatial,  options->kernel_size,   options->stride,
                                  options->dilation, options->padding_begin, options->auto_pad};
    if (transposed && (same || options->output_shape[0] > 0)) return false;
    nnfi_window_of(window, &sliding, transposed ? y : x, transposed ? x : y);
    for (int i = 0; i < options->spatial; i++) {
        if (window->padding_l[i] < 0 || options->padding_end[i] < 0) return false;
        if (!transposed && window->padding_r[i] < 0) window->padding_r[i] = 0;
    }
    return true;
}

static bool same_shape(const nnfi_operand *a, const nnfi_operand *b) {
    if (!a || a->dtype != b->dtype || a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

/* Whether there are enough tiles of that many outputs a side to pay for weights that are larger
 * than they were: four times for tiles of 4x4, 16/9 for those of 2x2. Measured. */
static bool pays_for_tiles(const nnfi_operand *y, int64_t side) {
    enum { LEAST_TILES = 20 };
    return (double)y->shape[0] * (double)((y->shape[2] + side - 1) / side) *
               (double)((y->shape[3] + side - 1) / side) >=
           LEAST_TILES;
}

bool nnfi_onednn_likes_winograd(const nnf_module *conv, const nnfi_operand *x,
                                const nnfi_operand *y) {
    const nnf_conv_options *options = nnf_module_options(conv);
    /* Measured: below this many multiplications, and where there are few channels, the transforms
     * cost more than they save. */
    const double worth = 12e6;
    enum { LEAST_CHANNELS = 32 };
    if (options->transposed || options->spatial != 2 || x->ndim != 4 || options->groups != 1 ||
        options->in_channels < LEAST_CHANNELS || options->out_channels < LEAST_CHANNELS)
        return false;
    for (int i = 0; i < 2; i++)
        if (options->kernel_size[i] != 3 || options->stride[i] != 1 || options->dilation[i] != 1)
            return false;
    double per_place = 9.0 * (double)options->in_channels * (double)options->out_channels;
    return per_place * (double)(y->shape[0] * y->shape[2] * y->shape[3]) >= worth &&
           pays_for_tiles(y, 2);
}

/* One way to compute a convolution, the best one first. */
typedef struct conv_way {
    nnfi_convolution kind;
    bool ordered;   /* values in the engine's order; or as oneDNN chooses */
    bool reference; /* one of oneDNN's plain loops will do: there is nothing better */
} conv_way;

/* Makes job->pd; leaves it NULL where this way is none. */
static nnf_status choose(nnfi_job *job, const conv_way *way, const nnfi_window *window,
                         nnfi_md weights, nnfi_md bias) {
    const nnf_conv_options *options = nnf_module_options(job->module);
    const nnfi_operand *x = job->inputs[0], *y = job->output;
    nnfi_convolution kind = options->transposed ? NNFI_CONV_TRANSPOSED : way->kind;
    nnfi_md src, dst;
    if (way->kind != NNFI_CONV_DIRECT && !job->wants_winograd) return NNF_OK;
    if (way->kind == NNFI_CONV_WINOGRAD_4 && !pays_for_tiles(y, 4)) return NNF_OK;
    /* The first convolution reads few channels, in the order in which they come. */
    bool first = job->engine->order == NNFI_ORDER_BLOCKED && !x->layout && x->shape[1] < 4;
    NNFI_TRY(first          ? nnfi_job_operand_md(job, &src, x)
             : way->ordered ? nnfi_job_ordered_md(job, &src, x)
                            : nnfi_job_any_md(job, &src, x));
    NNFI_TRY(way->ordered ? nnfi_job_ordered_md(job, &dst, y) : nnfi_job_any_md(job, &dst, y));
    nnfi_pd_conv(&job->pd, job->engine->engine, job->attr, kind, src, weights, bias, dst, window);
    if (!way->reference) nnfi_job_drop_reference(job);
    return NNF_OK;
}

/* The residual stands where the output will be, in its layout. */
static void add_residual(nnfi_job *job) {
    size_t residual = job->n_inputs - 1;
    job->inputs[residual]->layout = job->output->layout;
    job->inputs[residual]->bytes = job->output->bytes;
    nnfi_job_inplace(job, residual);
}

static nnf_status make_conv(nnfi_job *job, const nnfi_window *window, nnf_tensor *weight,
                            nnf_tensor *bias) {
    static const conv_way ways[] = {{NNFI_CONV_WINOGRAD_4, true, false},
                                    {NNFI_CONV_WINOGRAD, true, false},
                                    {NNFI_CONV_DIRECT, true, false},
                                    {NNFI_CONV_DIRECT, false, true}};
    nnfi_md plain_weights, weights, biases = NULL;
    bool supported;
    NNFI_TRY(weights_mds(job, &plain_weights, &weights));
    const nnf_conv_options *options = nnf_module_options(job->module);
    if (bias) NNFI_TRY(nnfi_job_plain_md(job, &biases, 1, &options->out_channels));
    job->wants_winograd = job->engine->winograd &&
                          nnfi_onednn_likes_winograd(job->module, job->inputs[0], job->output);
    NNFI_TRY(nnfi_job_attr(job, &supported, job->fused));
    for (size_t i = 0; supported && !job->pd && i < sizeof ways / sizeof *ways; i++)
        NNFI_TRY(choose(job, &ways[i], window, weights, biases));
    if (!job->pd) return NNF_OK;
    NNFI_TRY(nnfi_job_start(job));
    NNFI_TRY(nnfi_job_input(job, DNNL_ARG_SRC, 0, nnfi_job_md(job, dnnl_query_src_md)));
    NNFI_TRY(nnfi_job_output(job, nnfi_job_md(job, dnnl_query_dst_md)));
    NNFI_TRY(nnfi_job_constant(job, DNNL_ARG_WEIGHTS, weight, plain_weights,
                               nnfi_job_md(job, dnnl_query_weights_md)));
    if (bias) NNFI_TRY(nnfi_job_constant(job, DNNL_ARG_BIAS, bias, biases, biases));
    if (nnfi_has_residual(job->fused)) add_residual(job);
    return NNF_OK;
}

/* False where the weight has to tell what the options leave open. */
static bool says_sizes(const nnf_conv_options *options) {
    for (int i = 0; i < options->spatial; i++)
        if (options->kernel_size[i] < 1) return false;
    return options->in_channels > 0 && options->out_channels > 0;
}

nnf_status nnfi_onednn_conv(nnfi_job *job) {
    const nnf_conv_options *options = nnf_module_options(job->module);
    nnf_tensor *weight = nnf_module_tensor(job->module, "weight");
    nnf_tensor *bias = nnf_module_tensor(job->module, "bias");
    const nnfi_operand *x = job->inputs[0], *y = job->output;
    nnfi_window window;
    if (!says_sizes(options)) return NNF_OK;
    if (!weight || nnf_tensor_dtype(weight) != NNF_F32 ||
        (bias && nnf_tensor_dtype(bias) != NNF_F32) || x->ndim != options->spatial + 2 ||
        options->padding_mode != NNF_PADDING_ZEROS || !window_of(&window, options, x, y))
        return NNF_OK;
    if (nnfi_has_residual(job->fused) && !same_shape(job->inputs[job->n_inputs - 1], y))
        return NNF_OK;
    return make_conv(job, &window, weight, bias);
}
