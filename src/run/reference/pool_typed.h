/* The part of pool.c that depends on the element type: included once for each T. */

/* The largest element of the window and its place in the plane (-1: the window holds none); NaN
 * counts as the largest, as in PyTorch. */
static int64_t TYPED(window_max)(const geometry *g, const T *x, const int64_t *first,
                                 const int64_t *last, T *largest) {
    int64_t place = -1;
    *largest = (T)-INFINITY;
    for (int64_t d = first[0]; d < last[0]; d += g->dilation[0])
        for (int64_t h = first[1]; h < last[1]; h += g->dilation[1])
            for (int64_t w = first[2]; w < last[2]; w += g->dilation[2]) {
                int64_t at = (d * g->in[1] + h) * g->in[2] + w;
                if (place >= 0 && !(x[at] > *largest) && !isnan(x[at])) continue;
                *largest = x[at];
                place = at;
                if (isnan(x[at])) return place;
            }
    return place;
}

static double TYPED(window_sum)(const geometry *g, const T *x, const int64_t *first,
                                const int64_t *last) {
    double sum = 0.0;
    for (int64_t d = first[0]; d < last[0]; d += g->dilation[0])
        for (int64_t h = first[1]; h < last[1]; h += g->dilation[1])
            for (int64_t w = first[2]; w < last[2]; w += g->dilation[2])
                sum += (double)x[(d * g->in[1] + h) * g->in[2] + w];
    return sum;
}

static void TYPED(pool_plane)(const geometry *g, int64_t plane) {
    const T *x = (const T *)g->x + plane * g->in_plane;
    T *y = (T *)g->y + plane * g->out_plane;
    int64_t *indices = g->indices ? g->indices + plane * g->out_plane : NULL;
    for (int64_t o = 0; o < g->out_plane; o++) {
        int64_t first[3], last[3];
        int64_t count = window_range(g, o, first, last);
        if (g->average) {
            y[o] = count ? (T)(TYPED(window_sum)(g, x, first, last) / (double)count) : (T)0;
        } else {
            int64_t place = TYPED(window_max)(g, x, first, last, &y[o]);
            if (indices) indices[o] = plane * g->in_plane + numbered(g, place);
        }
    }
}

#undef T
#undef TYPED
