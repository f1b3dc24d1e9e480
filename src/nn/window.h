/* The arithmetic of windows that slide along an axis: convolutions and pools share it. */
#ifndef NNFI_WINDOW_H
#define NNFI_WINDOW_H

#include "nn/nn_internal.h"

/* One spatial axis. infer and forward resolve auto_pad by the same function, so that what was told
 * and what is computed agree. */
typedef struct nnfi_window {
    int64_t kernel, stride, dilation;
    int64_t begin, end; /* padding; where auto_pad is set, nnfi_window_slide finds them */
    nnf_auto_pad auto_pad;
    bool ceil_mode, drop_last_outside; /* as in nnf_pool_options */
} nnfi_window;

/* The number of places of the window along an axis of `in` elements, as far as it is known;
 * NNF_ERROR_SHAPE where the window fits nowhere or a size overflows. */
nnf_status nnfi_window_slide(const nnf_module *module, nnfi_window *window, nnf_dim in,
                             nnf_dim *out);

/* The elements that the window spans with its dilation; false on overflow. */
bool nnfi_window_extent(const nnfi_window *window, int64_t *extent);

/* Padding may be negative, so nnfi_add does not serve; this bound leaves room for a few sums. */
bool nnfi_is_small(int64_t value);

/* Whether the output is to be the input by stride, rounded up. */
static inline bool nnfi_auto_pad_is_same(nnf_auto_pad auto_pad) {
    return auto_pad == NNF_AUTO_PAD_SAME_UPPER || auto_pad == NNF_AUTO_PAD_SAME_LOWER;
}

/* Splits `total` into begin and end: the odd one goes to the end for SAME_UPPER, else to the
 * beginning. */
void nnfi_split_padding(nnf_auto_pad auto_pad, int64_t total, int64_t *begin, int64_t *end);

/* NNF_ERROR_INVALID "Conv2d has stride[1] = 0, ..." unless every number is at least `least`. */
nnf_status nnfi_check_each(const char *type, const char *option, const int64_t *values, int n,
                           int64_t least);

/* What is known of a slot's tensor: the module's own, or the input in its place. given: false where
 * the layer has none. A parametrized one is given, but nothing is known of it. */
typedef struct nnfi_slot_info {
    bool given;
    nnf_type_info info; /* without values: nothing to clear */
} nnfi_slot_info;
nnfi_slot_info nnfi_slot_info_of(const nnf_module *module, size_t slot,
                                 const nnf_type_info *const *inputs, size_t n_inputs);

/* Sets a slot to a new tensor of zeros: for constructors. NNF_ERROR_DTYPE unless dtype is a float.
 */
nnf_status nnfi_set_zeros(nnf_module *module, size_t slot, nnf_dtype dtype, int ndim,
                          const int64_t *shape);

#endif
