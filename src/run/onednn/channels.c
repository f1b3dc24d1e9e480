/* Passes over values whose channels are last: a factor for each channel, and the mean over space,
 * as squeeze-and-excitation has them. They take the values in the order in which they stand, each
 * thread a part as long as the others': where the layer before did so too (SiLU), a part is still
 * in its core's cache. oneDNN's binary and pooling primitives split them in other ways, and take
 * two to five times as long. */
#include <string.h>

#include "run/onednn/onednn_internal.h"
#include "run/onednn/vector.h"
#include "support/memory.h"

enum {
    LEAST_CHANNELS = 16, /* a vector */
    BLOCK = 16           /* places that one task goes through */
};

/* [images, places, channels]. */
typedef struct channels_pass {
    int64_t images, places, channels;
    int64_t factor_step; /* from one image's factors to the next one's */
    const float *x, *factors;
    float *y;    /* mean: [images, channels] */
    float *sums; /* mean: [images, blocks, channels], scratch memory */
} channels_pass;

typedef struct channels_step {
    nnfi_step step; /* first: a step is this struct's address */
    dnnl_stream_t stream;
    void (*go)(const channels_pass *pass);
    size_t x; /* which input; the other one is the factors */
    channels_pass pass;
} channels_step;

static int64_t n_blocks(int64_t places) {
    return (places + BLOCK - 1) / BLOCK;
}

/* Of the block that begins there. */
static int64_t length(int64_t first, int64_t places) {
    return places - first < BLOCK ? places - first : BLOCK;
}

/* The places of block number `block` of all images. */
typedef struct block_range {
    int64_t image, first, n;
} block_range;

static block_range range_of(const channels_pass *pass, int64_t block) {
    int64_t per_image = n_blocks(pass->places), first = block % per_image * BLOCK;
    return (block_range){block / per_image, first, length(first, pass->places)};
}

/* ---- Factors ---- */

/* y may be x, which a loop of its own tells the compiler. */
NNFI_BODY void scale_places(const float *x, const float *factors, float *y, int64_t n,
                            int64_t channels) {
    if (x == y) {
        for (int64_t place = 0; place < n; place++, y += channels)
            for (int64_t c = 0; c < channels; c++)
                y[c] *= factors[c];
        return;
    }
    for (int64_t place = 0; place < n; place++, x += channels, y += channels)
        for (int64_t c = 0; c < channels; c++)
            y[c] = x[c] * factors[c];
}
NNFI_VERSIONS(scale_for_cpu, scale_places,
              (const float *x, const float *factors, float *y, int64_t n, int64_t channels),
              (x, factors, y, n, channels))

static void scale(const channels_pass *pass) {
    void (*places)(const float *, const float *, float *, int64_t, int64_t) = scale_for_cpu();
    int64_t blocks = pass->images * n_blocks(pass->places);
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; block++) {
        block_range range = range_of(pass, block);
        int64_t offset = (range.image * pass->places + range.first) * pass->channels;
        places(pass->x + offset, pass->factors + range.image * pass->factor_step, pass->y + offset,
               range.n, pass->channels);
    }
}

/* ---- Means ---- */

/* The sum of n rows; it may be put where the first one is, or before them. */
NNFI_BODY void sum_rows(const float *x, float *sum, int64_t n, int64_t channels) {
    if (sum != x) memcpy(sum, x, (size_t)channels * sizeof *sum);
    for (int64_t row = 1; row < n; row++) {
        x += channels;
        for (int64_t c = 0; c < channels; c++)
            sum[c] += x[c];
    }
}
NNFI_VERSIONS(sum_for_cpu, sum_rows, (const float *x, float *sum, int64_t n, int64_t channels),
              (x, sum, n, channels))

/* The sums of each BLOCK rows, over which the sums of those are put, and so on: no number is added
 * up more than BLOCK times for each of a few rounds, and always in the same order. */
static void mean(const channels_pass *pass) {
    void (*sum)(const float *, float *, int64_t, int64_t) = sum_for_cpu();
    int64_t per_image = n_blocks(pass->places), channels = pass->channels;
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < pass->images * per_image; block++) {
        block_range range = range_of(pass, block);
        sum(pass->x + (range.image * pass->places + range.first) * channels,
            pass->sums + block * channels, range.n, channels);
    }
    for (int64_t image = 0; image < pass->images; image++) {
        float *rows = pass->sums + image * per_image * channels;
        for (int64_t n = per_image; n > 1; n = n_blocks(n))
            for (int64_t first = 0; first < n; first += BLOCK)
                sum(rows + first * channels, rows + first / BLOCK * channels, length(first, n),
                    channels);
        for (int64_t c = 0; c < channels; c++)
            pass->y[image * channels + c] = rows[c] / (float)pass->places;
    }
}

/* ---- Steps ---- */

static nnf_status bind(nnfi_step *step, void *const *inputs, void *const *outputs, void *scratch) {
    channels_step *self = (channels_step *)step;
    self->pass.x = inputs[self->x];
    if (self->go == scale) self->pass.factors = inputs[1 - self->x];
    self->pass.y = outputs[0];
    self->pass.sums = scratch;
    return NNF_OK;
}

static nnf_status run(nnfi_step *step) {
    channels_step *self = (channels_step *)step;
    NNFI_DNNL(dnnl_stream_wait(self->stream));
    self->go(&self->pass);
    return NNF_OK;
}

static void release(nnfi_step *step) {
    nnfi_free(step);
}

/* Whether the operand stands as [images, places, channels]. */
static nnf_status is_channels_last(nnfi_job *job, const nnfi_operand *x, bool *last) {
    nnfi_md md;
    nnfi_operand wanted = *x;
    *last = false;
    if (x->ndim < 3 || x->ndim > 5 || x->shape[1] < LEAST_CHANNELS) return NNF_OK;
    NNFI_TRY(nnfi_job_channels_last_md(job, &md, x->ndim, x->shape));
    NNFI_TRY(nnfi_operand_set_md(job->engine, &wanted, md));
    *last = wanted.layout == x->layout;
    return NNF_OK;
}

static nnf_status new_step(nnfi_job *job, channels_step **out, const nnfi_operand *x,
                           void (*go)(const channels_pass *pass)) {
    channels_step *step = nnfi_calloc(1, sizeof *step);
    if (!step) return nnfi_error_memory(sizeof *step, "a step of a run");
    *step = (channels_step){.step = {.bind = bind, .run = run, .release = release, .inplace = -1},
                            .stream = job->engine->stream,
                            .go = go,
                            .pass = {.images = x->shape[0], .places = 1, .channels = x->shape[1]}};
    for (int i = 2; i < x->ndim; i++)
        step->pass.places *= x->shape[i];
    job->own = &step->step;
    *out = step;
    return NNF_OK;
}

/* [N, C, 1...] or [1, C, 1...]. */
static bool has_factors(const nnfi_operand *factors, const nnfi_operand *x) {
    if (factors->shape[0] != 1 && factors->shape[0] != x->shape[0]) return false;
    for (int i = 2; i < x->ndim; i++)
        if (factors->shape[i] != 1) return false;
    return factors->shape[1] == x->shape[1];
}

static void make_plain(nnfi_operand *operand, int64_t numel) {
    operand->layout = NULL;
    operand->bytes = sizeof(float) * (size_t)numel;
}

nnf_status nnfi_channels_scale(nnfi_job *job, size_t i) {
    nnfi_operand *x = job->inputs[i], *factors = job->inputs[1 - i], *y = job->output;
    channels_step *step;
    bool last;
    NNFI_TRY(is_channels_last(job, x, &last));
    if (!last || !has_factors(factors, x)) return NNF_OK;
    NNFI_TRY(new_step(job, &step, x, scale));
    step->x = i;
    step->pass.factor_step = factors->shape[0] == 1 ? 0 : x->shape[1];
    if (x->dies) step->step.inplace = (int)i;
    make_plain(factors, factors->shape[0] * factors->shape[1]);
    y->layout = x->layout;
    y->bytes = x->bytes;
    return NNF_OK;
}

nnf_status nnfi_channels_mean(nnfi_job *job) {
    const nnfi_operand *x = job->inputs[0];
    channels_step *step;
    bool last;
    NNFI_TRY(is_channels_last(job, x, &last));
    if (!last) return NNF_OK;
    NNFI_TRY(new_step(job, &step, x, mean));
    channels_pass *pass = &step->pass;
    step->step.scratch_bytes =
        sizeof(float) * (size_t)(pass->images * n_blocks(pass->places) * pass->channels);
    make_plain(job->output, pass->images * pass->channels);
    return NNF_OK;
}
