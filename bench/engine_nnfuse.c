/* One engine of bench/engines.py: runs a model through the public API. Writes "ready" and its
 * version, and reads a line before it loads the model. Then reads lines, each the path of a file
 * with the raw float32 numbers of the model's one input; writes the numbers of the first output to
 * <path>.out and the milliseconds of the run to standard output.
 *
 *     engine_nnfuse MODEL THREADS fuse|strict|asis DIM...
 */
#include <nnfuse.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void check(nnf_status status) {
    if (status == NNF_OK) return;
    fprintf(stderr, "engine_nnfuse: %s\n", nnf_error_message());
    exit(1);
}

static void fail(const char *what) {
    fprintf(stderr, "engine_nnfuse: cannot read or write %s\n", what);
    exit(1);
}

static void read_file(const char *path, void *data, size_t size) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(data, 1, size, file) != size) fail(path);
    fclose(file);
}

static void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) fail(path);
}

/* "fuse" with all there is; "strict" with what PyTorch's fuse_modules does; else not at all. */
static void fuse(nnf_module *model, const char *mode) {
    size_t n;
    nnf_mapping *mapping;
    const nnf_fusion *fusions = nnf_fusions(&n);
    const bool strict = !strcmp(mode, "strict");
    if (!strict && strcmp(mode, "fuse") != 0) return;
    check(nnf_mapping_new(&mapping));
    for (size_t i = 0; i < n; i++)
        if (strict && !fusions[i].is_pytorch) check(nnf_mapping_skip(mapping, fusions[i].name));
    check(nnf_fuse(model, mapping, NULL));
    nnf_mapping_release(mapping);
}

int main(int argc, char **argv) {
    if (argc < 5) return 1;
    nnf_module *model = NULL;
    nnf_session *session = NULL;
    nnf_session_options options = {.threads = atoi(argv[2])};
    char path[4096], out[4104];
    printf("ready %s\n", nnf_version());
    fflush(stdout);
    if (!fgets(path, sizeof path, stdin)) return 1;
    check(nnf_onnx_load(&model, argv[1], &(nnf_onnx_load_options){.map = true}));
    fuse(model, argv[3]);
    check(nnf_session_new(&session, model, &options));
    int64_t shape[NNF_MAX_DIMS];
    int ndim = argc - 4;
    for (int i = 0; i < ndim; i++)
        shape[i] = atoll(argv[4 + i]);
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        nnf_tensor *x = NULL, *y = NULL;
        void *data;
        const void *result;
        check(nnf_tensor_new(&x, NNF_F32, ndim, shape));
        check(nnf_tensor_mut_data(x, &data));
        read_file(path, data, (size_t)nnf_tensor_nbytes(x));
        double start = now_ms();
        check(nnf_session_run(session, &x, 1, &y, 1));
        check(nnf_tensor_data(y, &result));
        double took = now_ms() - start;
        snprintf(out, sizeof out, "%s.out", path);
        write_file(out, result, (size_t)nnf_tensor_nbytes(y));
        nnf_tensor_release(x);
        nnf_tensor_release(y);
        printf("%.4f\n", took);
        fflush(stdout);
    }
    nnf_session_release(session);
    nnf_module_release(model);
    return 0;
}
