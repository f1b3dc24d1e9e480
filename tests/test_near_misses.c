/* What looks as if it could be fused and breaks one condition, from files (goldens/
 * make_near_misses.py): it is left as it is, and what is written computes what the file did. */
#include "nnfuse/clean.h"
#include "onnx_support.h"

static const struct {
    const char *name;
    size_t n_fused;
    bool runs;
} files[] = {
    {"near_gray_to_rgb.onnx", 0, true},
    {"near_new_axis.onnx", 0, true},
    {"near_wider_features.onnx", 0, true},
    {"near_gray_branches.onnx", 1, true}, /* the last convolution adds the other one */
    {"near_pad_matmul.onnx", 0, true},
    {"near_pad_gemm.onnx", 0, true},
    {"near_pad_matmul10.onnx", 0, true},
    {"near_blocks_0.onnx", 0, false},
    {"near_blocks_-40.onnx", 0, false},
    {"near_blocks_crd.onnx", 0, true},
    {"near_far_apart.onnx", 1, false}, /* the same; what it pads to has more elements than fit */
    {"near_loop.onnx", 0, false},
    {"near_mean.onnx", 0, true},
    {"near_rank_matmul.onnx", 1, false}, /* fused, and written for any rank */
    {"near_rank_gemm.onnx", 1, false},
};

static void near_misses_are_left_alone(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        nnf_module *original = load_model(files[i].name), *graph = load_model(files[i].name);
        nnf_fuse_report report = {0};
        void *bytes = NULL;
        size_t size = 0;
        assert_ok(nnf_clean(graph, NULL));
        assert_ok(nnf_fuse(graph, NULL, &report));
        if (report.n_fused != files[i].n_fused) fail_msg("%s: %zu", files[i].name, report.n_fused);
        assert_ok(nnf_onnx_save_memory(graph, &bytes, &size, NULL));
        nnf_free(bytes);
        if (files[i].runs) {
            nnf_module *again = round_trip(graph);
            assert_same_results(original, graph);
            assert_same_results(original, again);
            nnf_module_release(again);
        }
        nnf_fuse_report_clear(&report);
        nnf_module_release(graph);
        nnf_module_release(original);
    }
}

TEST_MAIN(cmocka_unit_test(near_misses_are_left_alone))
