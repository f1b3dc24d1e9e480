/* Blocks of pixels whose pixels a layer reads as channels: Slices in a Concat (the Focus of YOLOv5
 * and YOLOX), or SpaceToDepth. The layer can read the pixels themselves. */
#ifndef NNFI_BLOCKS_H
#define NNFI_BLOCKS_H

#include "fuse/dense.h"
#include "fuse/plan.h"

enum { NNFI_MOST_PIXELS = 16 };

typedef struct nnfi_blocks {
    int64_t size;                    /* on each spatial axis */
    int n_pixels;                    /* of a block */
    int64_t place[NNFI_MOST_PIXELS]; /* in the block, row-major, of the pixel that the layer has as
                                        its channels' part of that number */
    size_t calls[NNFI_MOST_PIXELS + 1]; /* that make channels of them */
    size_t n_calls;
} nnfi_blocks;

/* Whether the layer, over `spatial` axes, reads such blocks, and nobody else does. */
bool nnfi_blocks_find(nnfi_blocks *out, const nnfi_plan *plan, size_t layer, int spatial);
/* Makes the layer one that reads pixels. NNF_ERROR_NOT_FUSABLE where its kernel is dilated, or it
 * has groups. */
nnf_status nnfi_blocks_unfold(nnfi_dense *dense, const nnfi_blocks *blocks);

#endif
