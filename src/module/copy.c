/* Copies of modules, and changes of all tensors of a tree at once. */
#include "module/object.h"

/* ---- One module ---- */

static nnf_status copy_tensors(nnf_module *to, const nnf_module *from) {
    for (size_t i = 0; i < from->type->n_slots; i++)
        if (from->slots[i]) to->slots[i] = nnf_tensor_retain(from->slots[i]);
    const nnfi_more *more = nnfi_more_of(from);
    for (size_t i = 0; i < more->n_extras; i++)
        NNFI_TRY(nnfi_set_tensor(to, more->extras[i].name, more->extras[i].kind,
                                 more->extras[i].tensor));
    return NNF_OK;
}

static nnf_status copy_children(nnf_module *to, const nnf_module *from) {
    for (size_t i = 0; i < nnfi_n_children(from); i++)
        NNFI_TRY(
            nnfi_append_child(to, from->children->items[i].name, from->children->items[i].module));
    return NNF_OK;
}

/* A new module that shares everything with `from`; with copies of its hooks, or without. */
static nnf_status copy_module(nnf_module **out, const nnf_module *from, bool hooks) {
    nnf_module *to;
    NNFI_TRY(nnf_module_new(&to, from->type, nnfi_options_of(from)));
    to->training = from->training;
    to->origin_source = from->origin_source;
    to->origin_index = from->origin_index;
    nnf_status status = copy_tensors(to, from);
    if (status == NNF_OK) status = copy_children(to, from);
    if (status == NNF_OK) status = nnfi_parametrized_copy(to, from);
    if (status == NNF_OK && hooks) status = nnfi_hooks_copy(to, from);
    if (status != NNF_OK) {
        nnf_module_release(to);
        return status;
    }
    *out = to;
    return NNF_OK;
}

nnf_status nnfi_module_shallow_copy(nnf_module **out, const nnf_module *module) {
    return copy_module(out, module, false);
}

/* ---- All tensors of many modules ---- */

size_t nnfi_module_n_cells(const nnf_module *module) {
    const nnfi_graph *graph = nnfi_graph_of(module);
    size_t n_extras = nnfi_more_of(module)->n_extras;
    return module->type->n_slots + n_extras + (graph ? graph->n_values : 0);
}

nnf_tensor **nnfi_module_cell(const nnf_module *module, size_t index) {
    const nnfi_more *more = nnfi_more_of(module);
    size_t n_slots = module->type->n_slots;
    if (index < n_slots) return (nnf_tensor **)(uintptr_t)&module->slots[index];
    index -= n_slots;
    if (index < more->n_extras) return &more->extras[index].tensor;
    return &nnfi_graph_of(module)->values[index - more->n_extras].constant;
}

/* What became of each tensor. */
typedef struct tensor_images {
    nnfi_pointers index; /* of the original, into images */
    nnf_tensor **images;
    size_t n, capacity;
} tensor_images;

static void images_clear(tensor_images *images) {
    for (size_t i = 0; i < images->n; i++)
        nnf_tensor_release(images->images[i]);
    nnfi_free(images->images);
    nnfi_pointers_clear(&images->index);
}

static nnf_status add_image(tensor_images *images, nnf_tensor *tensor, nnfi_tensor_map map,
                            void *payload) {
    if (!tensor) return NNF_OK;
    const size_t *number = nnfi_pointers_put(&images->index, tensor, images->n);
    if (number && *number != images->n) return NNF_OK;
    if (!number ||
        !nnfi_reserve(&images->images, &images->capacity, images->n + 1, sizeof(nnf_tensor *)))
        return nnfi_error_memory(sizeof(nnf_tensor *), "a tree's tensors");
    images->images[images->n] = NULL;
    return map(&images->images[images->n++], tensor, payload);
}

static nnf_status add_images(tensor_images *images, const nnf_module *module, nnfi_tensor_map map,
                             void *payload) {
    size_t n = nnfi_module_n_cells(module);
    for (size_t i = 0; i < n; i++)
        NNFI_TRY(add_image(images, *nnfi_module_cell(module, i), map, payload));
    return NNF_OK;
}

static void put_images(const tensor_images *images, const nnf_module *module) {
    size_t n = nnfi_module_n_cells(module);
    for (size_t i = 0; i < n; i++) {
        nnf_tensor **cell = nnfi_module_cell(module, i), *old = *cell;
        size_t image = 0;
        if (!old || !nnfi_pointers_get(&images->index, old, &image)) continue;
        *cell = nnf_tensor_retain(images->images[image]);
        nnf_tensor_release(old);
    }
}

nnf_status nnfi_map_tensors(nnf_module *const *modules, size_t n, nnfi_tensor_map map,
                            void *payload) {
    tensor_images images = {0};
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n && status == NNF_OK; i++)
        status = add_images(&images, modules[i], map, payload);
    for (size_t i = 0; i < n && status == NNF_OK; i++)
        put_images(&images, modules[i]);
    images_clear(&images);
    return status;
}

/* ---- A tree ---- */

static nnf_status copy_tensor(nnf_tensor **out, nnf_tensor *tensor, void *payload) {
    (void)payload;
    return nnf_tensor_copy(out, tensor);
}

/* Children and calls still are the originals': exchanges them for their copies. */
static void relink(const nnfi_walk *originals, nnf_module *const *copies) {
    for (size_t i = 0; i < originals->n; i++) {
        nnf_module *copy = copies[i];
        for (size_t c = 0; c < nnfi_n_children(copy); c++) {
            size_t index = 0;
            nnfi_child *child = &copy->children->items[c];
            nnf_module *original = child->module;
            nnfi_pointers_get(&originals->index, original, &index);
            child->module = nnf_module_retain(copies[index]);
            nnf_module_release(original);
        }
        if (nnf_module_is_graph(copy)) nnfi_graph_relink(copy, originals, copies);
    }
}

static nnf_status copy_modules(nnf_module **copies, const nnfi_walk *originals) {
    for (size_t i = 0; i < originals->n; i++)
        NNFI_TRY(copy_module(&copies[i], originals->visits[i].module, true));
    relink(originals, copies);
    return nnfi_map_tensors(copies, originals->n, copy_tensor, NULL);
}

/* First every module for itself, then what refers to one another: so nothing recurs, and whatever
 * occurs twice is copied once. */
nnf_status nnf_module_copy(nnf_module **out, const nnf_module *module) {
    if (!out || !module) return nnf_error(NNF_ERROR_INVALID, "there is no module to copy");
    nnfi_walk originals;
    NNFI_TRY(nnfi_walk_new(&originals, module));
    nnf_module **copies = nnfi_calloc(originals.n, sizeof(nnf_module *));
    nnf_status status = copies ? copy_modules(copies, &originals)
                               : nnfi_error_memory(originals.n * sizeof(nnf_module *), "a copy");
    if (status == NNF_OK) *out = nnf_module_retain(copies[0]);
    for (size_t i = 0; copies && i < originals.n; i++)
        nnf_module_release(copies[i]);
    nnfi_free(copies);
    nnfi_walk_clear(&originals);
    return status;
}

/* ---- Conversion ---- */

static nnf_status convert_tensor(nnf_tensor **out, nnf_tensor *tensor, void *payload) {
    nnf_dtype dtype = *(const nnf_dtype *)payload, from = nnf_tensor_dtype(tensor);
    if (nnf_dtype_is_float(from) && from != dtype) return nnf_tensor_convert(out, tensor, dtype);
    *out = nnf_tensor_retain(tensor);
    return NNF_OK;
}

/* What a Graph says of its values' dtypes follows. */
static void convert_infos(const nnf_module *module, nnf_dtype dtype) {
    nnfi_graph *graph = nnfi_graph_of(module);
    for (size_t i = 0; graph && i < graph->n_values; i++) {
        nnfi_value *value = &graph->values[i];
        if (!nnf_dtype_is_float(nnfi_value_info(value)->dtype)) continue;
        value->is_reshaped = value->is_reshaped || value->info->dtype != dtype;
        value->info->dtype = dtype;
    }
}

nnf_status nnf_module_to(nnf_module *root, nnf_dtype dtype) {
    if (!root) return nnf_error(NNF_ERROR_INVALID, "there is no module to convert");
    if (!nnf_dtype_is_float(dtype))
        return nnf_error(NNF_ERROR_INVALID,
                         "modules can be converted to floating-point dtypes only, not to %s",
                         nnf_dtype_name(dtype));
    nnfi_walk walk;
    NNFI_TRY(nnfi_walk_new(&walk, root));
    nnf_module **modules = nnfi_alloc(walk.n * sizeof(nnf_module *));
    nnf_status status =
        modules ? NNF_OK : nnfi_error_memory(walk.n * sizeof(nnf_module *), "a conversion");
    for (size_t i = 0; modules && i < walk.n; i++)
        modules[i] = walk.visits[i].module;
    if (status == NNF_OK) status = nnfi_map_tensors(modules, walk.n, convert_tensor, &dtype);
    for (size_t i = 0; status == NNF_OK && i < walk.n; i++)
        convert_infos(modules[i], dtype);
    nnfi_free(modules);
    nnfi_walk_clear(&walk);
    return status;
}
