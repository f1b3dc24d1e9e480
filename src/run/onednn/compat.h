/* The one place that knows the difference between oneDNN 2.6 and 3.x: how primitive descriptors are
 * made, and that memory descriptors are structs in one and handles in the other. */
#ifndef NNFI_ONEDNN_COMPAT_H
#define NNFI_ONEDNN_COMPAT_H

#include <oneapi/dnnl/dnnl.h>

#include "support/error.h"

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t nnfi_md;
typedef const_dnnl_memory_desc_t nnfi_const_md;
#else
typedef dnnl_memory_desc_t *nnfi_md;
typedef const dnnl_memory_desc_t *nnfi_const_md;
#endif

/* A sum or a concatenation has at most so many sources. */
enum { NNFI_MOST_SOURCES = 64 };

/* Memory descriptors; they own themselves. f32. strides NULL: any layout. */
dnnl_status_t nnfi_md_new(nnfi_md *out, int ndims, const dnnl_dims_t dims,
                          const dnnl_dims_t strides);
dnnl_status_t nnfi_md_clone(nnfi_md *out, nnfi_const_md md);
/* Channels (axis 1) in blocks of 16, as AVX-512 kernels have them; 3 to 5 axes. */
dnnl_status_t nnfi_md_new_blocked(nnfi_md *out, int ndims, const dnnl_dims_t dims);
/* The same memory with its axes in another order: axis i is axis perm[i] of `md`. */
dnnl_status_t nnfi_md_transposed(nnfi_md *out, nnfi_const_md md, int ndims, const int *perm);
/* The same memory under another shape; an error where no layout of that shape is the same. */
dnnl_status_t nnfi_md_reshaped(nnfi_md *out, nnfi_const_md md, int ndims, const dnnl_dims_t dims);
void nnfi_md_release(nnfi_md md);
bool nnfi_md_equal(nnfi_const_md a, nnfi_const_md b);
/* Whether the elements stand in row-major order, whatever the strides of axes with one element. */
bool nnfi_md_is_plain(nnfi_const_md md);
/* Whether the layout is nothing but strides: no blocks. */
bool nnfi_md_is_strided(nnfi_const_md md);
size_t nnfi_md_bytes(nnfi_const_md md);
/* Whether oneDNN computes it by one of its reference loops. */
bool nnfi_pd_is_reference(const_dnnl_primitive_desc_t pd);
/* Whether its kernel is compiled for this processor when the primitive is made. */
bool nnfi_pd_is_jit(const_dnnl_primitive_desc_t pd);
nnfi_const_md nnfi_pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what, int index);

/* Primitive descriptors for inference. Dilations are oneDNN's (0 is dense). */
typedef struct nnfi_window {
    dnnl_dims_t kernel, strides, dilates, padding_l, padding_r;
} nnfi_window;

typedef enum nnfi_convolution {
    NNFI_CONV_DIRECT,
    NNFI_CONV_WINOGRAD,   /* fewer multiplications for 3x3, rounded a little worse */
    NNFI_CONV_WINOGRAD_4, /* by tiles of 4x4 outputs and nothing else: a quarter of them */
    NNFI_CONV_TRANSPOSED
} nnfi_convolution;

dnnl_status_t nnfi_pd_conv(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                           const_dnnl_primitive_attr_t attr, nnfi_convolution kind,
                           nnfi_const_md src, nnfi_const_md weights, nnfi_const_md bias,
                           nnfi_const_md dst, const nnfi_window *window);
dnnl_status_t nnfi_pd_inner_product(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const_dnnl_primitive_attr_t attr, nnfi_const_md src,
                                    nnfi_const_md weights, nnfi_const_md bias, nnfi_const_md dst);
dnnl_status_t nnfi_pd_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, nnfi_const_md a, nnfi_const_md b,
                             nnfi_const_md bias, nnfi_const_md dst);
dnnl_status_t nnfi_pd_pool(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                           const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                           nnfi_const_md src, nnfi_const_md dst, const nnfi_window *window);
dnnl_status_t nnfi_pd_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                              nnfi_const_md data, float alpha, float beta);
dnnl_status_t nnfi_pd_binary(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                             nnfi_const_md a, nnfi_const_md b, nnfi_const_md dst);
/* x, or x times the slope where it is below 0; the slopes repeat along axes where they are 1 long.
 */
dnnl_status_t nnfi_pd_prelu(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                            const_dnnl_primitive_attr_t attr, nnfi_const_md data,
                            nnfi_const_md slopes);
/* `log`: its logarithm. */
dnnl_status_t nnfi_pd_softmax(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, bool log, nnfi_const_md data,
                              int axis);
/* Batch norm with given statistics, scale and shift; `relu`: followed by one. */
dnnl_status_t nnfi_pd_batchnorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, nnfi_const_md data, float eps,
                                bool relu);
/* Over the last axis, with the data's own statistics. */
dnnl_status_t nnfi_pd_layernorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, nnfi_const_md data, float eps,
                                bool scale, bool shift);
/* dst is 1 long where it reduces; p is the norm's. */
dnnl_status_t nnfi_pd_reduction(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                                nnfi_const_md src, nnfi_const_md dst, float p);
/* Spatial axes resized to dst's. */
dnnl_status_t nnfi_pd_resampling(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 const_dnnl_primitive_attr_t attr, dnnl_alg_kind_t algorithm,
                                 nnfi_const_md src, nnfi_const_md dst);
/* The sum of values of one shape. */
dnnl_status_t nnfi_pd_sum(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                          const_dnnl_primitive_attr_t attr, int n, const nnfi_const_md *sources,
                          nnfi_const_md dst);
dnnl_status_t nnfi_pd_concat(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const_dnnl_primitive_attr_t attr, int n, int axis,
                             const nnfi_const_md *sources, nnfi_const_md dst);
dnnl_status_t nnfi_pd_reorder(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, nnfi_const_md from,
                              nnfi_const_md to);

/* Eltwise and binary post-ops. */
dnnl_status_t nnfi_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t algorithm, float alpha,
                                float beta);

#endif
