#include "tensor/affine.h"

#include <math.h>

#include "support/memory.h"
#include "tensor/numbers.h"
#include "tensor/object.h"

#define PIECE NNFI_AFFINE_PIECE

/* The elements of a tensor as they were, one for each channel. */
typedef struct snapshot {
    nnfi_storage *storage; /* computed; NULL: the default */
    int64_t offset;
} snapshot;

struct nnfi_affine {
    atomic_size_t references;
    int64_t channels;
    double eps;
    snapshot parts[NNFI_AFFINE_PARTS];
};

static const struct {
    const char *name;
    double value; /* where there is no tensor */
} defaults[NNFI_AFFINE_PARTS] = {[NNFI_AFFINE_WEIGHT] = {"weight", 1.0},
                                 [NNFI_AFFINE_BIAS] = {"bias", 0.0},
                                 [NNFI_AFFINE_MEAN] = {"mean", 0.0},
                                 [NNFI_AFFINE_VAR] = {"variance", 1.0}};

nnfi_affine *nnfi_affine_retain(nnfi_affine *affine) {
    atomic_fetch_add_explicit(&affine->references, 1, memory_order_relaxed);
    return affine;
}

void nnfi_affine_release(nnfi_affine *affine) {
    if (!affine) return;
    if (atomic_fetch_sub_explicit(&affine->references, 1, memory_order_acq_rel) != 1) return;
    for (int i = 0; i < NNFI_AFFINE_PARTS; i++)
        nnfi_storage_release(affine->parts[i].storage);
    nnfi_free(affine);
}

static nnf_status take(snapshot *out, nnf_tensor *tensor, int part, int64_t channels) {
    char text[NNFI_SHAPE_TEXT];
    int ndim = nnf_tensor_ndim(tensor);
    const int64_t *shape = nnf_tensor_shape(tensor);
    if (!nnf_dtype_is_float(nnf_tensor_dtype(tensor)) || ndim != 1 || shape[0] != channels)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s is a %s of shape %s, not [%lld]",
                         defaults[part].name, nnf_dtype_name(nnf_tensor_dtype(tensor)),
                         nnfi_shape_text(text, sizeof text, ndim, shape), (long long)channels);
    nnf_tensor *whole;
    const void *ignored;
    NNFI_TRY(nnf_tensor_contiguous(&whole, tensor));
    nnf_status status = NNF_OK;
    if (nnfi_tensor_is_deferred(whole)) status = nnf_tensor_data(whole, &ignored);
    if (status == NNF_OK) *out = (snapshot){nnfi_storage_retain(whole->storage), whole->offset};
    nnf_tensor_release(whole);
    return status;
}

void nnfi_affine_read(const nnfi_affine *affine, int part, int64_t first, int64_t n, double *out) {
    unsigned char raw[PIECE * sizeof(double)];
    const snapshot *from = &affine->parts[part];
    for (int64_t i = 0; i < n && !from->storage; i++)
        out[i] = defaults[part].value;
    for (int64_t i = 0; i < n && from->storage; i += PIECE) {
        int64_t count = n - i < PIECE ? n - i : PIECE;
        /* cannot fail: only copies */
        (void)nnfi_storage_read(from->storage, from->offset + first + i, count, raw);
        nnfi_to_f64(nnfi_storage_dtype(from->storage), raw, out + i, count);
    }
}

/* weight / sqrt(var + eps) of at most a piece, in place of the weight. */
static void plain_scales(const nnfi_affine *affine, int64_t first, int64_t n, double *out) {
    double var[PIECE];
    nnfi_affine_read(affine, NNFI_AFFINE_WEIGHT, first, n, out);
    nnfi_affine_read(affine, NNFI_AFFINE_VAR, first, n, var);
    for (int64_t i = 0; i < n; i++)
        out[i] /= sqrt(var[i] + affine->eps);
}

static nnf_status check_piece(const nnfi_affine *affine, int64_t first, int64_t n) {
    double scale[PIECE], bias[PIECE], mean[PIECE], var[PIECE];
    plain_scales(affine, first, n, scale);
    nnfi_affine_read(affine, NNFI_AFFINE_BIAS, first, n, bias);
    nnfi_affine_read(affine, NNFI_AFFINE_MEAN, first, n, mean);
    nnfi_affine_read(affine, NNFI_AFFINE_VAR, first, n, var);
    for (int64_t i = 0; i < n; i++) {
        double sum = var[i] + affine->eps;
        if (!(sum > 0.0) || !isfinite(sum))
            return nnf_error(NNF_ERROR_NOT_FUSABLE,
                             "channel %lld has variance + eps = %g, which has no inverse square "
                             "root",
                             (long long)(first + i), sum);
        if (!isfinite(scale[i]) || !isfinite(bias[i]) || !isfinite(mean[i]))
            return nnf_error(
                NNF_ERROR_NOT_FUSABLE,
                "channel %lld has the scale %g, the mean %g and the bias %g, which are "
                "not all finite",
                (long long)(first + i), scale[i], mean[i], bias[i]);
    }
    return NNF_OK;
}

static nnf_status fill_in(nnfi_affine *affine, nnf_tensor *const *parts) {
    for (int i = 0; i < NNFI_AFFINE_PARTS; i++)
        if (parts[i]) NNFI_TRY(take(&affine->parts[i], parts[i], i, affine->channels));
    for (int64_t i = 0; i < affine->channels; i += PIECE) {
        int64_t rest = affine->channels - i;
        NNFI_TRY(check_piece(affine, i, rest < PIECE ? rest : PIECE));
    }
    return NNF_OK;
}

nnf_status nnfi_affine_new(nnfi_affine **out, int64_t channels, nnf_tensor *weight,
                           nnf_tensor *bias, nnf_tensor *mean, nnf_tensor *var, double eps) {
    nnfi_affine *affine = nnfi_calloc(1, sizeof *affine);
    if (!affine) return nnfi_error_memory(sizeof *affine, "an affine map");
    atomic_init(&affine->references, 1);
    affine->channels = channels;
    affine->eps = var ? eps : 0.0;
    nnf_status status = fill_in(affine, (nnf_tensor *const[]){weight, bias, mean, var});
    if (status == NNF_OK)
        *out = affine;
    else
        nnfi_affine_release(affine);
    return status;
}

int64_t nnfi_affine_channels(const nnfi_affine *affine) {
    return affine->channels;
}

void nnfi_affine_scales(const nnfi_affine *affine, int64_t first, int64_t n, double *out) {
    double weight[PIECE];
    nnfi_affine_read(affine, NNFI_AFFINE_WEIGHT, first, n, weight);
    plain_scales(affine, first, n, out);
    for (int64_t i = 0; i < n; i++)
        if (weight[i] != 0.0 && !(fabs(out[i]) > 0x1p-300 && fabs(out[i]) < 0x1p300)) out[i] = NAN;
}

static nnfi_triple exact_part(const nnfi_affine *affine, int part, int64_t channel) {
    double value;
    nnfi_affine_read(affine, part, channel, 1, &value);
    return nnfi_triple_of(value);
}

nnfi_triple nnfi_affine_exact_scale(const nnfi_affine *affine, int64_t channel) {
    nnfi_triple var = exact_part(affine, NNFI_AFFINE_VAR, channel);
    nnfi_triple root = nnfi_triple_rsqrt(nnfi_triple_add(var, nnfi_triple_of(affine->eps)));
    return nnfi_triple_mul(exact_part(affine, NNFI_AFFINE_WEIGHT, channel), root);
}

nnfi_triple nnfi_affine_exact(const nnfi_affine *affine, int64_t channel, nnfi_triple x) {
    nnfi_triple mean = exact_part(affine, NNFI_AFFINE_MEAN, channel);
    nnfi_triple moved = nnfi_triple_add(x, nnfi_triple_neg(mean));
    nnfi_triple scaled = nnfi_triple_mul(moved, nnfi_affine_exact_scale(affine, channel));
    return nnfi_triple_add(scaled, exact_part(affine, NNFI_AFFINE_BIAS, channel));
}
