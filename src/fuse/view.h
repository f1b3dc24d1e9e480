/* How folding sees a call: as its module, or, where part of what it computes stands beside the
 * module as constants that it reads, as a module that holds them. */
#ifndef NNFI_VIEW_H
#define NNFI_VIEW_H

#include "module/graph_internal.h"

/* Arithmetic with a constant that has one element for each index of one axis, or one in all: an
 * affine map along that axis. Not a layer: it only lives while a chain is fused. */
extern const nnf_module_type nnfi_scale_type;
#define NNFI_SCALE "(arithmetic)" /* its name: no layer's */
typedef struct nnfi_scale_options {
    int axis; /* of the constant, from the end: 1 is the last; 0: the same number everywhere */
    int ndim; /* of the constant */
} nnfi_scale_options;

/* What the call is seen as; NULL: as its module. */
typedef struct nnfi_view nnfi_view;
const nnfi_view *nnfi_view_of(const nnfi_graph *graph, const nnfi_call *call);
/* The type that chains know the call by. */
const char *nnfi_view_type(const nnfi_graph *graph, const nnfi_call *call);
/* The input that is no constant of a call that has a view. */
size_t nnfi_view_data_input(const nnfi_view *view);

/* One reference to what the call is seen as. `channels`, `ndim`: of the layer that it would be
 * folded into. */
nnf_status nnfi_view_make(nnf_module **out, const nnfi_graph *graph, const nnfi_call *call,
                          int64_t channels, int ndim);

/* Whether the call is a LayerNorm or RMSNorm with a scale, and perhaps a bias, that are constants
 * along the last axis; and these two as arithmetic behind it. */
bool nnfi_norm_scales_last_axis(const nnfi_graph *graph, const nnfi_call *call);
nnf_status nnfi_norm_scale_make(nnf_module **out, const nnfi_graph *graph, const nnfi_call *call,
                                int64_t channels);

#endif
