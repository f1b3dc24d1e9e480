/* Walks the elements of a channel view in row-major order, from run to run of one channel. */
#ifndef NNFI_CHANNEL_VIEW_H
#define NNFI_CHANNEL_VIEW_H

#include "tensor/tensor_internal.h"

typedef struct nnfi_place {
    const nnfi_channel_view *view;
    int64_t channel; /* counted through all groups: an index into the scales */
    int64_t in_group, outer, inner;
} nnfi_place;

static inline nnfi_place nnfi_place_of(const nnfi_channel_view *view, int64_t element) {
    nnfi_place at = {.view = view, .inner = element % view->inner};
    element /= view->inner;
    at.in_group = element % view->channels;
    element /= view->channels;
    at.outer = element % view->outer;
    at.channel = element / view->outer * view->channels + at.in_group;
    return at;
}

/* Elements from here on that have one channel, `limit` at most. */
static inline int64_t nnfi_place_run(const nnfi_place *at, int64_t limit) {
    int64_t length = at->view->inner - at->inner;
    return length < limit ? length : limit;
}

static inline void nnfi_place_next_run(nnfi_place *at) {
    at->inner = 0;
    at->channel++;
    if (++at->in_group < at->view->channels) return;
    at->in_group = 0;
    if (++at->outer < at->view->outer)
        at->channel -= at->view->channels; /* the same group again */
    else
        at->outer = 0;
}

#endif
