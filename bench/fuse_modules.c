/* One side of bench/fuse_modules.py: fuses the 53 conv+bn pairs of a ResNet-50 tree, as often as it
 * is told to. With the argument "count" it counts bytes, in an allocator that isn't the library's
 * own; without, it shows 0 of them. For each line "copy" or "inplace" on standard input it makes
 * one run and prints
 * "<seconds in all> <seconds until nnf_fuse_modules came back> <bytes allocated until then> <mix>",
 * mix being made of all that was read.
 * "In all" ends when every folded value has been read. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nnfuse.h"

enum { MAX_PAIRS = 64, PATH_SIZE = 64 };

/* ---- An allocator that counts ---- */

static atomic_size_t allocated;

static void *count_allocate(size_t size, void *payload) {
    (void)payload;
    atomic_fetch_add_explicit(&allocated, size, memory_order_relaxed);
    return malloc(size);
}

static void *count_reallocate(void *old, size_t size, void *payload) {
    (void)payload;
    atomic_fetch_add_explicit(&allocated, size, memory_order_relaxed);
    return realloc(old, size);
}

static void count_deallocate(void *old, void *payload) {
    (void)payload;
    free(old);
}

/* ---- The model ---- */

static void check(nnf_status status) {
    if (status == NNF_OK) return;
    fprintf(stderr, "fuse_modules: %s\n", nnf_error_message());
    exit(2);
}

/* The pairs that were added, as paths. */
typedef struct pair_list {
    char conv[MAX_PAIRS][PATH_SIZE], bn[MAX_PAIRS][PATH_SIZE];
    const char *names[MAX_PAIRS][2];
    nnf_chain chains[MAX_PAIRS];
    size_t n;
} pair_list;

static void fill(nnf_module *module, const char *name, float low, float high) {
    static uint32_t state = 1;
    nnf_tensor *tensor = nnf_module_tensor(module, name);
    void *data = NULL;
    check(nnf_tensor_mut_data(tensor, &data));
    float *values = data;
    for (int64_t i = 0; i < nnf_tensor_numel(tensor); i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = low + (high - low) * (float)(state >> 8) * 0x1p-24f;
    }
}

/* Puts `module` at a path and lets go of it. */
static void put(nnf_module *root, const char *path, nnf_module *module) {
    check(nnf_module_set(root, path, module));
    nnf_module_release(module);
}

static void add_pair(nnf_module *root, pair_list *pairs, const char *parent, const char *conv_name,
                     const char *bn_name, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    nnf_module *conv = NULL, *bn = NULL;
    nnf_conv_options options = nnf_conv_options_default(2, false, in, out, kernel);
    for (int i = 0; i < 2; i++) {
        options.stride[i] = stride;
        options.padding_begin[i] = options.padding_end[i] = kernel / 2;
    }
    check(nnf_conv_new(&conv, &options, false, NNF_F32));
    fill(conv, "weight", -0.05F, 0.05F);
    nnf_batchnorm_options bn_options = nnf_batchnorm_options_default(2, out);
    check(nnf_batchnorm_new(&bn, &bn_options, NNF_F32));
    fill(bn, "weight", 0.5F, 1.5F);
    fill(bn, "bias", -0.5F, 0.5F);
    fill(bn, "running_mean", -0.5F, 0.5F);
    fill(bn, "running_var", 0.5F, 1.5F);

    size_t i = pairs->n++;
    snprintf(pairs->conv[i], PATH_SIZE, "%s%s", parent, conv_name);
    snprintf(pairs->bn[i], PATH_SIZE, "%s%s", parent, bn_name);
    pairs->names[i][0] = pairs->conv[i];
    pairs->names[i][1] = pairs->bn[i];
    pairs->chains[i] = (nnf_chain){pairs->names[i], 2};
    put(root, pairs->conv[i], conv);
    put(root, pairs->bn[i], bn);
}

static void add_container(nnf_module *root, const char *path) {
    nnf_module *container = NULL;
    check(nnf_container_new(&container));
    put(root, path, container);
}

static void add_relu(nnf_module *root, const char *path) {
    nnf_module *relu = NULL;
    check(nnf_activation_new(&relu, NNF_RELU));
    put(root, path, relu);
}

/* torchvision's Bottleneck: 1x1, 3x3, 1x1, and a projection in the first block of a stage. */
static void add_block(nnf_module *root, pair_list *pairs, int stage, int block, int64_t in,
                      int64_t width) {
    char path[PATH_SIZE], child[PATH_SIZE + 16];
    int64_t stride = block == 0 && stage > 1 ? 2 : 1;
    snprintf(path, sizeof path, "layer%d.%d", stage, block);
    add_container(root, path);
    snprintf(path, sizeof path, "layer%d.%d.", stage, block);
    add_pair(root, pairs, path, "conv1", "bn1", in, width, 1, 1);
    add_pair(root, pairs, path, "conv2", "bn2", width, width, 3, stride);
    add_pair(root, pairs, path, "conv3", "bn3", width, 4 * width, 1, 1);
    snprintf(child, sizeof child, "%srelu", path);
    add_relu(root, child);
    if (block == 0) {
        snprintf(child, sizeof child, "%sdownsample", path);
        add_container(root, child);
        add_pair(root, pairs, path, "downsample.0", "downsample.1", in, 4 * width, 1, stride);
    }
}

static nnf_module *make_resnet50(pair_list *pairs) {
    static const int blocks[] = {3, 4, 6, 3};
    nnf_module *root = NULL, *fc = NULL;
    pairs->n = 0;
    check(nnf_container_new(&root));
    add_pair(root, pairs, "", "conv1", "bn1", 3, 64, 7, 2);
    add_relu(root, "relu");
    int64_t in = 64;
    for (int stage = 1; stage <= 4; stage++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "layer%d", stage);
        add_container(root, path);
        int64_t width = INT64_C(32) << stage;
        for (int block = 0; block < blocks[stage - 1]; block++) {
            add_block(root, pairs, stage, block, in, width);
            in = 4 * width;
        }
    }
    check(nnf_linear_new(&fc, 2048, 1000, true, NNF_F32));
    fill(fc, "weight", -0.05F, 0.05F);
    put(root, "fc", fc);
    nnf_module_eval(root);
    return root;
}

/* ---- A run ---- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Every bit of a tensor has its part in the result, so none can be left uncomputed. */
static uint32_t read_all(const nnf_module *module, const char *name) {
    const nnf_tensor *tensor = nnf_module_tensor(module, name);
    const void *data = NULL;
    check(nnf_tensor_data(tensor, &data));
    const uint32_t *words = data;
    const int64_t n = nnf_tensor_numel(tensor);
    uint32_t mix = 0;
    for (int64_t i = 0; i < n; i++)
        mix ^= words[i];
    return mix;
}

static void run(nnf_module *model, const pair_list *pairs, bool inplace) {
    nnf_fuse_options options = {.inplace = inplace};
    nnf_module *fused = NULL;
    uint32_t mix = 0;
    size_t before = atomic_load(&allocated);
    double start = now();
    check(nnf_fuse_modules(&fused, model, pairs->chains, pairs->n, &options));
    double structure = now();
    size_t bytes = atomic_load(&allocated) - before;
    for (size_t i = 0; i < pairs->n; i++) {
        nnf_module *conv = NULL;
        check(nnf_module_get(&conv, fused, pairs->conv[i]));
        mix ^= read_all(conv, "weight") ^ read_all(conv, "bias");
    }
    double end = now();
    printf("%.9f %.9f %zu %u\n", end - start, structure - start, bytes, (unsigned)mix);
    fflush(stdout);
    nnf_module_release(fused);
}

int main(int argc, char **argv) {
    static pair_list pairs;
    nnf_library_options library = {
        .allocate = count_allocate, .reallocate = count_reallocate, .deallocate = count_deallocate};
    bool counts = argc > 1 && strcmp(argv[1], "count") == 0;
    if (counts) check(nnf_library_set_options(&library));
    nnf_module *model = make_resnet50(&pairs);
    char line[32];
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "copy\n") == 0) {
            run(model, &pairs, false);
        } else if (strcmp(line, "inplace\n") == 0) {
            nnf_module *mine = make_resnet50(&pairs);
            run(mine, &pairs, true);
            nnf_module_release(mine);
        }
    }
    nnf_module_release(model);
    return 0;
}
