#include "fuse/blocks.h"

#include "fuse/look.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/memory.h"

/* ---- Looking ---- */

/* The free call of that type that gives the value, to one reader; NNFI_NO_CALL: none. */
static size_t giver(const nnfi_plan *plan, nnf_value value, const char *type) {
    const nnfi_uses *uses = &plan->uses;
    if (value == NNF_NO_VALUE || uses->producer[value] < 0 || plan->graph->values[value].is_output)
        return NNFI_NO_CALL;
    size_t call = (size_t)uses->producer[value];
    bool alone = uses->first_reader[value + 1] - uses->first_reader[value] == 1 &&
                 nnfi_is_a(plan->graph->calls[call]->module, type) && nnfi_is_free(plan, call);
    return alone ? call : NNFI_NO_CALL;
}

/* Adds the pixel that a Slice takes of each block of `x`. */
static bool add_pixel(nnfi_blocks *blocks, const nnfi_plan *plan, size_t slice, nnf_value x,
                      int spatial) {
    const nnfi_call *call = plan->graph->calls[slice];
    const nnf_tensor *lists[NNFI_CUT_LISTS] = {NULL};
    nnfi_cuts cuts = {0};
    int64_t offset[NNF_MAX_DIMS], place = 0;
    for (size_t k = 1; k < call->n_inputs && k <= NNFI_CUT_LISTS; k++)
        lists[k - 1] = nnfi_constant_of(plan->graph, call->inputs[k]);
    if (call->inputs[0] != x || !nnfi_add_cuts(&cuts, lists, spatial + 2) || cuts.n != spatial)
        return false;
    for (int i = 0; i < spatial; i++) {
        int64_t start = cuts.lists[NNFI_CUT_STARTS][i], axis = cuts.lists[NNFI_CUT_AXES][i];
        if (axis < 2 || cuts.lists[NNFI_CUT_STEPS][i] != blocks->size || start < 0 ||
            start >= blocks->size || cuts.lists[NNFI_CUT_ENDS][i] < INT32_MAX)
            return false;
        offset[axis - 2] = start;
    }
    for (int i = 0; i < spatial; i++)
        place = place * blocks->size + offset[i];
    for (int i = 0; i < blocks->n_pixels; i++)
        if (blocks->place[i] == place) return false;
    blocks->place[blocks->n_pixels++] = place;
    blocks->calls[blocks->n_calls++] = slice;
    return true;
}

/* All have one size, so the input's is a multiple of the blocks'. */
static bool find_slices(nnfi_blocks *out, const nnfi_plan *plan, size_t concat, int spatial) {
    const nnfi_call *call = plan->graph->calls[concat];
    int64_t axis = ((const nnf_axis_options *)nnf_module_options(call->module))->axis, n = 0;
    for (out->size = 1; n < (int64_t)call->n_inputs && out->size < NNFI_MOST_PIXELS;) {
        out->size++;
        n = 1;
        for (int i = 0; i < spatial; i++)
            n *= out->size;
    }
    if (n != (int64_t)call->n_inputs || n > NNFI_MOST_PIXELS ||
        (axis != 1 && axis != 1 - (spatial + 2)))
        return false;
    nnf_value x = NNF_NO_VALUE;
    for (size_t k = 0; k < call->n_inputs; k++) {
        size_t slice = giver(plan, call->inputs[k], "Slice");
        if (slice == NNFI_NO_CALL) return false;
        if (k == 0) x = plan->graph->calls[slice]->inputs[0];
        if (!add_pixel(out, plan, slice, x, spatial)) return false;
    }
    out->calls[out->n_calls++] = concat;
    return true;
}

bool nnfi_blocks_find(nnfi_blocks *out, const nnfi_plan *plan, size_t layer, int spatial) {
    nnf_value value = nnfi_data_of(plan, layer);
    size_t call = giver(plan, value, "Concat");
    *out = (nnfi_blocks){0};
    if (spatial > 0 && call != NNFI_NO_CALL) return find_slices(out, plan, call, spatial);
    call = giver(plan, value, "SpaceToDepth");
    if (spatial != 2 || call == NNFI_NO_CALL) return false;
    const nnf_blocks_options *options = nnf_module_options(plan->graph->calls[call]->module);
    if (options->blocksize < 1 || options->blocksize > 4 || options->kind != NNF_BLOCKS_INSIDE)
        return false;
    out->size = options->blocksize;
    for (; out->n_pixels < out->size * out->size; out->n_pixels++)
        out->place[out->n_pixels] = out->n_pixels;
    out->calls[out->n_calls++] = call;
    return true;
}

/* ---- Making ---- */

/* Element `k` of a kernel, at the pixel `place` of a block, in the kernel over pixels. */
static int64_t pixel_of(const nnfi_dense *dense, int64_t size, int64_t k, int64_t place) {
    int64_t at = 0, step = 1;
    for (int i = dense->spatial - 1; i >= 0; i--) {
        at += (k % dense->kernel[i] * size + place % size) * step;
        step *= dense->kernel[i] * size;
        k /= dense->kernel[i];
        place /= size;
    }
    return at;
}

nnf_status nnfi_blocks_unfold(nnfi_dense *dense, const nnfi_blocks *blocks) {
    int64_t n = 1, in = dense->in / blocks->n_pixels;
    bool plain = dense->groups == 1 && dense->in % blocks->n_pixels == 0;
    for (int i = 0; i < dense->spatial; i++) {
        plain = plain && (dense->dilation[i] == 1 || dense->kernel[i] == 1);
        n *= dense->kernel[i];
    }
    if (!plain)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "a convolution with groups or a dilated kernel reads blocks of pixels as "
                         "channels");
    nnfi_dense pixels = *dense; /* over pixels, with as many weights */
    pixels.in = in;
    for (int i = 0; i < dense->spatial; i++) {
        pixels.kernel[i] *= blocks->size;
        pixels.stride[i] *= blocks->size;
        pixels.begin[i] *= blocks->size;
        pixels.end[i] *= blocks->size;
        pixels.dilation[i] = 1;
    }
    NNFI_TRY(nnfi_dense_check(&pixels));
    int64_t large = n * blocks->n_pixels;
    pixels.weight = nnfi_alloc((size_t)(dense->out * in * large + 1) * sizeof *pixels.weight);
    if (!pixels.weight) return nnfi_error_memory((size_t)(dense->out * in * large), "a weight");
    for (int64_t o = 0; o < dense->out; o++)
        for (int64_t c = 0; c < dense->in; c++)
            for (int64_t k = 0; k < n; k++)
                pixels.weight[(o * in + c % in) * large +
                              pixel_of(dense, blocks->size, k, blocks->place[c / in])] =
                    dense->weight[(o * dense->in + c) * n + k];
    nnfi_free(dense->weight);
    *dense = pixels;
    return NNF_OK;
}
