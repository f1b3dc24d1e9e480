#include "run/onednn/compat.h"

#include <string.h>

#include "support/memory.h"

#define TRY_DNNL(call)                               \
    do {                                             \
        dnnl_status_t status_ = (call);              \
        if (status_ != dnnl_success) return status_; \
    } while (0)

static dnnl_format_tag_t blocked_tag(int ndims) {
    return ndims == 3 ? dnnl_aBc16b : ndims == 4 ? dnnl_aBcd16b : dnnl_aBcde16b;
}

static dnnl_alg_kind_t algorithm_of(nnfi_convolution kind) {
    static const dnnl_alg_kind_t algorithms[] = {[NNFI_CONV_DIRECT] = dnnl_convolution_direct,
                                                 [NNFI_CONV_WINOGRAD] = dnnl_convolution_winograd,
                                                 [NNFI_CONV_WINOGRAD_4] = dnnl_convolution_winograd,
                                                 [NNFI_CONV_TRANSPOSED] =
                                                     dnnl_deconvolution_direct};
    return algorithms[kind];
}

static bool implementation_has(const_dnnl_primitive_desc_t pd, const char *word) {
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return strstr(name, word) != NULL;
}

static bool has_tiles_of_4(const_dnnl_primitive_desc_t pd) {
    return implementation_has(pd, "wino_4x3");
}

static unsigned norm_flags(bool scale, bool shift) {
    return (scale ? (unsigned)dnnl_use_scale : 0) | (shift ? (unsigned)dnnl_use_shift : 0);
}

/* oneDNN asks where each axis goes to, not where it comes from. */
static void invert(int *inverse, int ndims, const int *perm) {
    for (int i = 0; i < ndims; i++)
        inverse[perm[i]] = i;
}

#if DNNL_VERSION_MAJOR >= 3

dnnl_status_t nnfi_md_new(nnfi_md *out, int ndims, const dnnl_dims_t dims,
                          const dnnl_dims_t strides) {
    if (strides) return dnnl_memory_desc_create_with_strides(out, ndims, dims, dnnl_f32, strides);
    return dnnl_memory_desc_create_with_tag(out, ndims, dims, dnnl_f32, dnnl_format_tag_any);
}

dnnl_status_t nnfi_md_clone(nnfi_md *out, nnfi_const_md md) {
    return dnnl_memory_desc_clone(out, md);
}

dnnl_status_t nnfi_md_new_blocked(nnfi_md *out, int ndims, const dnnl_dims_t dims) {
    return dnnl_memory_desc_create_with_tag(out, ndims, dims, dnnl_f32, blocked_tag(ndims));
}

dnnl_status_t nnfi_md_transposed(nnfi_md *out, nnfi_const_md md, int ndims, const int *perm) {
    int inverse[DNNL_MAX_NDIMS];
    invert(inverse, ndims, perm);
    return dnnl_memory_desc_permute_axes(out, md, inverse);
}

dnnl_status_t nnfi_md_reshaped(nnfi_md *out, nnfi_const_md md, int ndims, const dnnl_dims_t dims) {
    return dnnl_memory_desc_reshape(out, md, ndims, dims);
}

void nnfi_md_release(nnfi_md md) {
    if (md) dnnl_memory_desc_destroy(md);
}

/* The axes and, where the layout is nothing but strides, those. */
static bool md_strides(nnfi_const_md md, int *ndims, const dnnl_dim_t **dims,
                       const dnnl_dim_t **strides) {
    int blocks = 0;
    dnnl_format_kind_t kind;
    return dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) == dnnl_success &&
           kind == dnnl_blocked &&
           dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &blocks) == dnnl_success &&
           blocks == 0 && dnnl_memory_desc_query(md, dnnl_query_ndims_s32, ndims) == dnnl_success &&
           dnnl_memory_desc_query(md, dnnl_query_dims, dims) == dnnl_success &&
           dnnl_memory_desc_query(md, dnnl_query_strides, strides) == dnnl_success;
}

/* Makes the descriptor: 3.x has one function for each kind. */
#define FORWARD dnnl_forward_inference

dnnl_status_t nnfi_pd_conv(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                           const_dnnl_primitive_attr_t attr, nnfi_convolution kind,
                           nnfi_const_md src, nnfi_const_md weights, nnfi_const_md bias,
                           nnfi_const_md dst, const nnfi_window *w) {
    if (kind == NNFI_CONV_TRANSPOSED)
        return dnnl_deconvolution_forward_primitive_desc_create(
            pd, engine, FORWARD, algorithm_of(kind), src, weights, bias, dst, w->strides,
            w->dilates, w->padding_l, w->padding_r, attr);
    TRY_DNNL(dnnl_convolution_forward_primitive_desc_create(
        pd, engine, FORWARD, algorithm_of(kind), src, weights, bias, dst, w->strides, w->dilates,
        w->padding_l, w->padding_r, attr));
    while (kind == NNFI_CONV_WINOGRAD_4 && !has_tiles_of_4(*pd)) {
        dnnl_status_t status = dnnl_primitive_desc_next_impl(*pd);
        if (status == dnnl_success) continue;
        dnnl_primitive_desc_destroy(*pd);
        *pd = NULL;
        return dnnl_unimplemented;
    }
    return dnnl_success;
}

dnnl_status_t nnfi_pd_inner_product(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const_dnnl_primitive_attr_t attr, nnfi_const_md src,
                                    nnfi_const_md weights, nnfi_const_md bias, nnfi_const_md dst) {
    return dnnl_inner_product_forward_primitive_desc_create(pd, engine, FORWARD, src, weights, bias,
                                                            dst, attr);
}

dnnl_status_t nnfi_pd_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, nnfi_const_md a, nnfi_const_md b,
                             nnfi_const_md bias, nnfi_const_md dst) {
    return dnnl_matmul_primitive_desc_create(pd, engine, a, b, bias, dst, attr);
}

dnnl_status_t nnfi_pd_pool(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                           const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                           nnfi_const_md src, nnfi_const_md dst, const nnfi_window *w) {
    return dnnl_pooling_forward_primitive_desc_create(pd, engine, FORWARD, algorithm, src, dst,
                                                      w->strides, w->kernel, w->dilates,
                                                      w->padding_l, w->padding_r, attr);
}

dnnl_status_t nnfi_pd_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                              nnfi_const_md data, float alpha, float beta) {
    return dnnl_eltwise_forward_primitive_desc_create(pd, engine, FORWARD, algorithm, data, data,
                                                      alpha, beta, attr);
}

dnnl_status_t nnfi_pd_binary(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                             nnfi_const_md a, nnfi_const_md b, nnfi_const_md dst) {
    return dnnl_binary_primitive_desc_create(pd, engine, algorithm, a, b, dst, attr);
}

dnnl_status_t nnfi_pd_prelu(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                            const_dnnl_primitive_attr_t attr, nnfi_const_md data,
                            nnfi_const_md slopes) {
    return dnnl_prelu_forward_primitive_desc_create(pd, engine, FORWARD, data, slopes, data, attr);
}

dnnl_status_t nnfi_pd_softmax(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, bool log, nnfi_const_md data,
                              int axis) {
    return dnnl_softmax_forward_primitive_desc_create(
        pd, engine, FORWARD, log ? dnnl_softmax_log : dnnl_softmax_accurate, data, data, axis,
        attr);
}

dnnl_status_t nnfi_pd_batchnorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, nnfi_const_md data, float eps,
                                bool relu) {
    unsigned flags = dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift;
    if (relu) flags |= dnnl_fuse_norm_relu;
    return dnnl_batch_normalization_forward_primitive_desc_create(pd, engine, FORWARD, data, data,
                                                                  eps, flags, attr);
}

dnnl_status_t nnfi_pd_layernorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, nnfi_const_md data, float eps,
                                bool scale, bool shift) {
    return dnnl_layer_normalization_forward_primitive_desc_create(
        pd, engine, FORWARD, data, data, NULL, eps, norm_flags(scale, shift), attr);
}

dnnl_status_t nnfi_pd_reduction(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                                nnfi_const_md src, nnfi_const_md dst, float p) {
    return dnnl_reduction_primitive_desc_create(pd, engine, algorithm, src, dst, p, 0, attr);
}

dnnl_status_t nnfi_pd_resampling(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                                 nnfi_const_md src, nnfi_const_md dst) {
    return dnnl_resampling_forward_primitive_desc_create(pd, engine, FORWARD, algorithm, NULL, src,
                                                         dst, attr);
}

dnnl_status_t nnfi_pd_sum(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                          const_dnnl_primitive_attr_t attr, int n, const nnfi_const_md *sources,
                          nnfi_const_md dst) {
    float ones[NNFI_MOST_SOURCES];
    for (int i = 0; i < n; i++)
        ones[i] = 1;
    return dnnl_sum_primitive_desc_create(pd, engine, dst, n, ones, sources, attr);
}

dnnl_status_t nnfi_pd_concat(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, int n, int axis,
                             const nnfi_const_md *sources, nnfi_const_md dst) {
    return dnnl_concat_primitive_desc_create(pd, engine, dst, n, axis, sources, attr);
}

dnnl_status_t nnfi_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t algorithm, float alpha,
                                float beta) {
    return dnnl_post_ops_append_eltwise(ops, algorithm, alpha, beta);
}

#else

dnnl_status_t nnfi_md_clone(nnfi_md *out, nnfi_const_md md) {
    nnfi_md copy = nnfi_alloc(sizeof *copy);
    if (!copy) return dnnl_out_of_memory;
    *copy = *md;
    *out = copy;
    return dnnl_success;
}

dnnl_status_t nnfi_md_new(nnfi_md *out, int ndims, const dnnl_dims_t dims,
                          const dnnl_dims_t strides) {
    dnnl_memory_desc_t md;
    if (strides)
        TRY_DNNL(dnnl_memory_desc_init_by_strides(&md, ndims, dims, dnnl_f32, strides));
    else
        TRY_DNNL(dnnl_memory_desc_init_by_tag(&md, ndims, dims, dnnl_f32, dnnl_format_tag_any));
    return nnfi_md_clone(out, &md);
}

dnnl_status_t nnfi_md_new_blocked(nnfi_md *out, int ndims, const dnnl_dims_t dims) {
    dnnl_memory_desc_t md;
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&md, ndims, dims, dnnl_f32, blocked_tag(ndims)));
    return nnfi_md_clone(out, &md);
}

dnnl_status_t nnfi_md_transposed(nnfi_md *out, nnfi_const_md md, int ndims, const int *perm) {
    int inverse[DNNL_MAX_NDIMS];
    dnnl_memory_desc_t transposed;
    invert(inverse, ndims, perm);
    TRY_DNNL(dnnl_memory_desc_permute_axes(&transposed, md, inverse));
    return nnfi_md_clone(out, &transposed);
}

dnnl_status_t nnfi_md_reshaped(nnfi_md *out, nnfi_const_md md, int ndims, const dnnl_dims_t dims) {
    dnnl_memory_desc_t reshaped;
    TRY_DNNL(dnnl_memory_desc_reshape(&reshaped, md, ndims, dims));
    return nnfi_md_clone(out, &reshaped);
}

void nnfi_md_release(nnfi_md md) {
    nnfi_free(md);
}

static bool md_strides(nnfi_const_md md, int *ndims, const dnnl_dim_t **dims,
                       const dnnl_dim_t **strides) {
    *ndims = md->ndims;
    *dims = md->dims;
    *strides = md->format_desc.blocking.strides;
    return md->format_kind == dnnl_blocked && md->format_desc.blocking.inner_nblks == 0;
}

/* 2.6 makes an operation descriptor first, and from it the primitive descriptor. */
#define MAKE(type, init)                                                  \
    do {                                                                  \
        type desc;                                                        \
        TRY_DNNL(init);                                                   \
        return dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL); \
    } while (0)
#define FORWARD dnnl_forward_inference

/* The implementation of that kind among all that there are. */
static dnnl_status_t tiles_of_4(dnnl_primitive_desc_t *pd, const dnnl_convolution_desc_t *desc,
                                const_dnnl_primitive_attr_t attr, dnnl_engine_t engine) {
    dnnl_primitive_desc_iterator_t all;
    TRY_DNNL(dnnl_primitive_desc_iterator_create(&all, desc, attr, engine, NULL));
    dnnl_status_t status = dnnl_success;
    while (status == dnnl_success) {
        *pd = dnnl_primitive_desc_iterator_fetch(all);
        if (!*pd) {
            status = dnnl_out_of_memory;
        } else if (has_tiles_of_4(*pd)) {
            break;
        } else {
            dnnl_primitive_desc_destroy(*pd);
            *pd = NULL;
            status = dnnl_primitive_desc_iterator_next(all);
        }
    }
    dnnl_primitive_desc_iterator_destroy(all);
    return status;
}

dnnl_status_t nnfi_pd_conv(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                           const_dnnl_primitive_attr_t attr, nnfi_convolution kind,
                           nnfi_const_md src, nnfi_const_md weights, nnfi_const_md bias,
                           nnfi_const_md dst, const nnfi_window *w) {
    if (kind == NNFI_CONV_TRANSPOSED)
        MAKE(dnnl_deconvolution_desc_t,
             dnnl_dilated_deconvolution_forward_desc_init(&desc, FORWARD, algorithm_of(kind), src,
                                                          weights, bias, dst, w->strides,
                                                          w->dilates, w->padding_l, w->padding_r));
    dnnl_convolution_desc_t desc;
    TRY_DNNL(dnnl_dilated_convolution_forward_desc_init(&desc, FORWARD, algorithm_of(kind), src,
                                                        weights, bias, dst, w->strides, w->dilates,
                                                        w->padding_l, w->padding_r));
    if (kind == NNFI_CONV_WINOGRAD_4) return tiles_of_4(pd, &desc, attr, engine);
    return dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
}

dnnl_status_t nnfi_pd_inner_product(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const_dnnl_primitive_attr_t attr, nnfi_const_md src,
                                    nnfi_const_md weights, nnfi_const_md bias, nnfi_const_md dst) {
    MAKE(dnnl_inner_product_desc_t,
         dnnl_inner_product_forward_desc_init(&desc, FORWARD, src, weights, bias, dst));
}

dnnl_status_t nnfi_pd_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, nnfi_const_md a, nnfi_const_md b,
                             nnfi_const_md bias, nnfi_const_md dst) {
    MAKE(dnnl_matmul_desc_t, dnnl_matmul_desc_init(&desc, a, b, bias, dst));
}

dnnl_status_t nnfi_pd_pool(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                           const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                           nnfi_const_md src, nnfi_const_md dst, const nnfi_window *w) {
    MAKE(dnnl_pooling_v2_desc_t,
         dnnl_pooling_v2_forward_desc_init(&desc, FORWARD, algorithm, src, dst, w->strides,
                                           w->kernel, w->dilates, w->padding_l, w->padding_r));
}

dnnl_status_t nnfi_pd_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                              nnfi_const_md data, float alpha, float beta) {
    MAKE(dnnl_eltwise_desc_t,
         dnnl_eltwise_forward_desc_init(&desc, FORWARD, algorithm, data, alpha, beta));
}

dnnl_status_t nnfi_pd_binary(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                             nnfi_const_md a, nnfi_const_md b, nnfi_const_md dst) {
    MAKE(dnnl_binary_desc_t, dnnl_binary_desc_init(&desc, algorithm, a, b, dst));
}

dnnl_status_t nnfi_pd_prelu(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                            const_dnnl_primitive_attr_t attr, nnfi_const_md data,
                            nnfi_const_md slopes) {
    MAKE(dnnl_prelu_desc_t, dnnl_prelu_forward_desc_init(&desc, FORWARD, data, slopes));
}

dnnl_status_t nnfi_pd_softmax(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, bool log, nnfi_const_md data,
                              int axis) {
    const dnnl_alg_kind_t algorithm = log ? dnnl_softmax_log : dnnl_softmax_accurate;
    MAKE(dnnl_softmax_v2_desc_t,
         dnnl_softmax_v2_forward_desc_init(&desc, FORWARD, algorithm, data, data, axis));
}

dnnl_status_t nnfi_pd_batchnorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, nnfi_const_md data, float eps,
                                bool relu) {
    unsigned flags = dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift;
    if (relu) flags |= dnnl_fuse_norm_relu;
    MAKE(dnnl_batch_normalization_desc_t,
         dnnl_batch_normalization_forward_desc_init(&desc, FORWARD, data, eps, flags));
}

dnnl_status_t nnfi_pd_layernorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, nnfi_const_md data, float eps,
                                bool scale, bool shift) {
    MAKE(dnnl_layer_normalization_desc_t,
         dnnl_layer_normalization_forward_desc_init(&desc, FORWARD, data, NULL, eps,
                                                    norm_flags(scale, shift)));
}

dnnl_status_t nnfi_pd_reduction(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                                nnfi_const_md src, nnfi_const_md dst, float p) {
    MAKE(dnnl_reduction_desc_t, dnnl_reduction_desc_init(&desc, algorithm, src, dst, p, 0));
}

dnnl_status_t nnfi_pd_resampling(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                                 nnfi_const_md src, nnfi_const_md dst) {
    MAKE(dnnl_resampling_desc_t,
         dnnl_resampling_forward_desc_init(&desc, FORWARD, algorithm, NULL, src, dst));
}

dnnl_status_t nnfi_pd_sum(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                          const_dnnl_primitive_attr_t attr, int n, const nnfi_const_md *sources,
                          nnfi_const_md dst) {
    dnnl_memory_desc_t all[NNFI_MOST_SOURCES];
    float ones[NNFI_MOST_SOURCES];
    for (int i = 0; i < n; i++) {
        all[i] = *sources[i];
        ones[i] = 1;
    }
    return dnnl_sum_primitive_desc_create(pd, dst, n, ones, all, attr, engine);
}

dnnl_status_t nnfi_pd_concat(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, int n, int axis,
                             const nnfi_const_md *sources, nnfi_const_md dst) {
    dnnl_memory_desc_t all[NNFI_MOST_SOURCES];
    for (int i = 0; i < n; i++)
        all[i] = *sources[i];
    return dnnl_concat_primitive_desc_create(pd, dst, n, axis, all, attr, engine);
}

dnnl_status_t nnfi_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t algorithm, float alpha,
                                float beta) {
    return dnnl_post_ops_append_eltwise(ops, 1.0f, algorithm, alpha, beta);
}

#endif

bool nnfi_md_equal(nnfi_const_md a, nnfi_const_md b) {
    return dnnl_memory_desc_equal(a, b) != 0;
}

bool nnfi_md_is_plain(nnfi_const_md md) {
    int ndims = 0;
    const dnnl_dim_t *dims = NULL, *strides = NULL;
    int64_t stride = 1;
    if (!md_strides(md, &ndims, &dims, &strides)) return false;
    for (int i = ndims - 1; i >= 0; i--) {
        if (dims[i] != 1 && strides[i] != stride) return false;
        stride *= dims[i];
    }
    return true;
}

bool nnfi_md_is_strided(nnfi_const_md md) {
    int ndims;
    const dnnl_dim_t *dims, *strides;
    return md_strides(md, &ndims, &dims, &strides);
}

size_t nnfi_md_bytes(nnfi_const_md md) {
    return dnnl_memory_desc_get_size(md);
}

bool nnfi_pd_is_reference(const_dnnl_primitive_desc_t pd) {
    return implementation_has(pd, "ref");
}

bool nnfi_pd_is_jit(const_dnnl_primitive_desc_t pd) {
    return implementation_has(pd, "jit");
}

nnfi_const_md nnfi_pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what, int index) {
    return dnnl_primitive_desc_query_md(pd, what, index);
}

dnnl_status_t nnfi_pd_reorder(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, nnfi_const_md from,
                              nnfi_const_md to) {
    return dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, attr);
}
