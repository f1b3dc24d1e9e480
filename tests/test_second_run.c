/* A second run of the same shapes allocates nothing. In a program of its own: the library's
 * allocator is set before anything else. */
#include <stdlib.h>

#include "test_support.h"

static size_t allocations;

static void *count_allocate(size_t size, void *payload) {
    (void)payload;
    allocations++;
    return malloc(size);
}
static void *count_reallocate(void *old, size_t size, void *payload) {
    (void)payload;
    allocations++;
    return realloc(old, size);
}
static void count_deallocate(void *old, void *payload) {
    (void)payload;
    free(old);
}

static nnf_tensor *digits(int64_t n) {
    nnf_tensor *images;
    assert_ok(nnf_tensor_new(&images, NNF_F32, 4, (const int64_t[]){n, 1, 8, 8}));
    return images;
}

static void run(nnf_session *session, nnf_tensor *images) {
    nnf_tensor *output;
    assert_ok(nnf_session_run(session, &images, 1, &output, 1));
    nnf_tensor_release(output);
}

static void a_second_run_allocates_nothing(void **state) {
    (void)state;
    nnf_module *model;
    assert_ok(nnf_onnx_load(&model, NNFUSE_MODELS "/digits.onnx", NULL));
    for (int way = 0; way < 4; way++) {
        if (way == 2) assert_ok(nnf_fuse(model, NULL, NULL));
        nnf_session *session;
        const nnf_session_options options = {.kernels = NNF_KERNELS_ONEDNN, .runs_once = way % 2};
        if (nnf_session_new(&session, model, &options) != NNF_OK) {
            nnf_module_release(model);
            print_message("built without oneDNN\n");
            skip();
        }
        nnf_tensor *one = digits(1), *three = digits(3);
        run(session, one);
        for (int i = 0; i < 3; i++) {
            size_t before = allocations;
            run(session, one);
            assert_int_equal(allocations, before);
        }
        size_t before = allocations;
        run(session, three);
        assert_true(allocations > before); /* it does count */
        before = allocations;
        run(session, three);
        assert_int_equal(allocations, before);
        nnf_tensor_release(one);
        nnf_tensor_release(three);
        nnf_session_release(session);
    }
    nnf_module_release(model);
}

int main(void) {
    const nnf_library_options options = {
        .allocate = count_allocate, .reallocate = count_reallocate, .deallocate = count_deallocate};
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_second_run_allocates_nothing)};
    if (nnf_library_set_options(&options) != NNF_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
