#include "fuse/methods.h"

#include <string.h>

#include "fuse/linear_map.h"
#include "fuse/mapping.h"
#include "nn/nn_internal.h"
#include "support/error.h"

/* The default table has shorter ones, but batch norms in a row count one by one, and a caller's own
 * may be longer. */
#define MAX_SEQUENCE 64

static bool is_linear(const nnf_module *module) {
    return nnf_module_get_type(module)->linear_map != NULL;
}
static bool is_affine(const nnf_module *module) {
    return nnf_module_get_type(module)->affine_map != NULL;
}

size_t nnfi_chain_base(nnf_module *const *modules, size_t n) {
    size_t base = 0;
    while (base < n && nnfi_type_goes_before(nnfi_known_type(modules[base])))
        base++;
    return base < n && nnfi_type_takes_before(nnfi_known_type(modules[base])) ? base : 0;
}

/* The first affine map beside a linear one, which is what makes modes matter; or NULL. */
static const nnf_module *norm_of_linear(nnf_module *const *modules, size_t n) {
    const nnf_module *base = modules[nnfi_chain_base(modules, n)];
    for (size_t i = 0; i < n && (is_linear(base) || is_affine(base)); i++)
        if (modules[i] != base && is_affine(modules[i])) return modules[i];
    return NULL;
}

static nnf_status check_modes(nnf_module *const *modules, size_t n, bool is_qat) {
    bool training = nnf_module_training(modules[0]);
    for (size_t i = 1; i < n; i++)
        if (nnf_module_training(modules[i]) != training)
            return nnf_error(NNF_ERROR_NOT_FUSABLE,
                             "the %s is in %s mode and the %s in %s mode, but all must be in one",
                             nnf_module_type_name(modules[0]), training ? "training" : "eval",
                             nnf_module_type_name(modules[i]), training ? "eval" : "training");
    if (training && !is_qat)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "a batch norm is folded in eval mode only, and these are in training "
                         "mode: call nnf_module_eval first, or nnf_fuse_modules_qat");
    return NNF_OK;
}

/* What quantization-aware training asks of a linear map and its batch norm. */
static nnf_status check_qat(const nnf_module *linear, const nnf_module *norm) {
    nnf_linear_map map;
    NNFI_TRY(nnf_module_get_type(linear)->linear_map(linear, &map));
    if (map.transposed && map.channel_axis == 1)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "%s and %s cannot be fused for training: it is not supported",
                         nnf_module_type_name(linear), nnf_module_type_name(norm));
    if (nnf_module_is_parametrized(linear, NULL))
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "the %s has a parametrization, which cannot be trained in a fused module: "
                         "fix its value first with nnf_module_remove_parametrizations",
                         nnf_module_type_name(linear));
    if (strncmp(nnf_module_type_name(norm), "BatchNorm", 9)) return NNF_OK;
    const nnf_batchnorm_options *options = nnf_module_options(norm);
    if (options->num_features != map.out_channels)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "the %s has num_features %lld, but the %s has %lld output channels",
                         nnf_module_type_name(norm), (long long)options->num_features,
                         nnf_module_type_name(linear), (long long)map.out_channels);
    if (!options->affine || !options->track_running_stats)
        return nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s has no %s, which training needs",
                         nnf_module_type_name(norm),
                         options->affine ? "running statistics" : "weight and bias (affine)");
    return NNF_OK;
}

/* Puts `made` in the place of *kept. */
static nnf_status replace(nnf_module **kept, nnf_status status, nnf_module *made) {
    if (status != NNF_OK) return status;
    nnf_module_release(*kept);
    *kept = made;
    return NNF_OK;
}

/* What stands in front of the base, from the nearest on, into it. */
static nnf_status fold_before(nnf_module **base, nnf_module *const *modules, size_t n) {
    for (size_t i = n; i-- > 0;) {
        nnf_module *made = NULL;
        nnf_status status;
        if (is_affine(modules[i]) && is_linear(*base))
            status = nnfi_affine_before(&made, modules[i], *base);
        else if (!is_affine(modules[i]))
            status = nnfi_pad_before(&made, modules[i], *base);
        else
            status = nnf_error(NNF_ERROR_NOT_FUSABLE, "the %s behind the %s is not linear",
                               nnf_module_type_name(*base), nnf_module_type_name(modules[i]));
        NNFI_TRY(replace(base, status, made));
    }
    return NNF_OK;
}

/* Folds the affine maps (and Pads) around the base into it: kept[0 .. *n_kept) are the modules that
 * are left, one reference each. */
static nnf_status fold(nnf_module **kept, size_t *n_kept, nnf_module *const *modules, size_t n) {
    size_t base = nnfi_chain_base(modules, n), next = base + 1;
    kept[0] = nnf_module_retain(modules[base]);
    *n_kept = 1;
    NNFI_TRY(fold_before(&kept[0], modules, base));
    for (; next < n && is_affine(modules[next]); next++) {
        nnf_module *made = NULL;
        nnf_status status = nnfi_affine_after(&made, kept[0], modules[next]);
        NNFI_TRY(replace(&kept[0], status, made));
    }
    for (; next < n; next++)
        kept[(*n_kept)++] = nnf_module_retain(modules[next]);
    return NNF_OK;
}

static nnf_status wrap(nnf_module **out, nnf_module *const *modules, size_t n) {
    if (n == 1) {
        *out = nnf_module_retain(modules[0]);
        return NNF_OK;
    }
    const char *types[MAX_SEQUENCE];
    for (size_t i = 0; i < n; i++)
        types[i] = nnfi_known_type(modules[i]);
    const char *name = nnfi_fused_name_of(types, n);
    if (!name)
        return nnf_error(NNF_ERROR_NOT_FUSABLE,
                         "there is no fused type that begins with '%s, %s' and has %zu modules",
                         types[0], types[1], n);
    return nnf_fused_new(out, name, modules, n);
}

nnf_status nnfi_fuse_sequence(nnf_module **fused, nnf_module *const *modules, size_t n, bool is_qat,
                              void *payload) {
    (void)payload;
    if (n == 0 || n > MAX_SEQUENCE)
        return nnf_error(NNF_ERROR_INVALID, "a chain of %zu modules cannot be fused", n);
    const nnf_module *norm = norm_of_linear(modules, n);
    if (norm) NNFI_TRY(check_modes(modules, n, is_qat));
    if (norm && is_qat) NNFI_TRY(check_qat(modules[0], norm));
    if (is_qat) return wrap(fused, modules, n);

    nnf_module *kept[MAX_SEQUENCE];
    size_t n_kept;
    nnf_status status = fold(kept, &n_kept, modules, n);
    if (status == NNF_OK) status = wrap(fused, kept, n_kept);
    while (n_kept > 0)
        nnf_module_release(kept[--n_kept]);
    return status;
}

/* A library type and another must stand in a row of the default table; with a user's own type among
 * them, whatever has the views that folding needs will do. */
static nnf_status fuse_named(nnf_module **fused, bool is_qat, nnf_module *const *modules,
                             size_t n) {
    const char *types[3];
    bool all_known = true;
    for (size_t i = 0; i < n; i++) {
        if (!modules[i]) return nnf_error(NNF_ERROR_INVALID, "module %zu of the chain is NULL", i);
        types[i] = nnfi_known_type(modules[i]);
        all_known = all_known && nnf_type(types[i]);
    }
    nnf_fuser_method method = nnfi_fuse_sequence;
    if (all_known) NNFI_TRY(nnf_get_fuser_method(&method, NULL, types, n, NULL));
    return method(fused, modules, n, is_qat, NULL);
}

nnf_status nnf_fuse_conv_bn(nnf_module **fused, bool is_qat, nnf_module *conv, nnf_module *bn) {
    return fuse_named(fused, is_qat, (nnf_module *const[]){conv, bn}, 2);
}
nnf_status nnf_fuse_conv_bn_relu(nnf_module **fused, bool is_qat, nnf_module *conv, nnf_module *bn,
                                 nnf_module *relu) {
    return fuse_named(fused, is_qat, (nnf_module *const[]){conv, bn, relu}, 3);
}
nnf_status nnf_fuse_linear_bn(nnf_module **fused, bool is_qat, nnf_module *linear, nnf_module *bn) {
    return fuse_named(fused, is_qat, (nnf_module *const[]){linear, bn}, 2);
}
nnf_status nnf_fuse_convtranspose_bn(nnf_module **fused, bool is_qat, nnf_module *convt,
                                     nnf_module *bn) {
    return fuse_named(fused, is_qat, (nnf_module *const[]){convt, bn}, 2);
}
