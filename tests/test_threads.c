/* Several threads run one model at once, each by a session of its own; and share out work to the
 * threads that are kept. ThreadSanitizer watches. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"

#include "support/threads.h"

enum { THREADS = 4, RUNS = 10 };

typedef struct worker {
    nnf_module *model;
    nnf_kernels kernels;
    const nnf_tensor *wanted;
    nnf_status status;
    bool same;
} worker;

static nnf_status run(nnf_session *session, int64_t n, nnf_tensor **output) {
    nnf_tensor *images;
    void *data;
    nnf_status status = nnf_tensor_new(&images, NNF_F32, 4, (const int64_t[]){n, 1, 8, 8});
    if (status != NNF_OK) return status;
    status = nnf_tensor_mut_data(images, &data);
    for (int64_t i = 0; status == NNF_OK && i < n * 64; i++)
        ((float *)data)[i] = (float)(i % 64) / 64;
    if (status == NNF_OK) status = nnf_session_run(session, &images, 1, output, 1);
    nnf_tensor_release(images);
    return status;
}

/* Results of one thread's runs, whatever the others do, are those of a run alone. */
static void *work(void *payload) {
    worker *self = payload;
    const nnf_session_options options = {.threads = 1, .kernels = self->kernels};
    nnf_session *session;
    self->status = nnf_session_new(&session, self->model, &options);
    if (self->status != NNF_OK) return NULL;
    self->same = true;
    for (int i = 0; i < RUNS && self->status == NNF_OK; i++) {
        nnf_tensor *output = NULL;
        const void *a, *b;
        self->status = run(session, 1 + i % 2, &output); /* and back */
        if (self->status == NNF_OK && i % 2 == 0 && nnf_tensor_data(output, &a) == NNF_OK &&
            nnf_tensor_data(self->wanted, &b) == NNF_OK)
            self->same = self->same && !memcmp(a, b, 10 * sizeof(float));
        nnf_tensor_release(output);
    }
    nnf_session_release(session);
    return NULL;
}

static void check_kernels(nnf_kernels kernels) {
    nnf_module *model;
    nnf_tensor *wanted;
    nnf_session *session;
    pthread_t threads[THREADS];
    worker workers[THREADS];
    const nnf_session_options options = {.threads = 1, .kernels = kernels};
    assert_ok(nnf_onnx_load(&model, NNFUSE_MODELS "/digits.onnx", NULL));
    assert_ok(nnf_fuse(model, NULL, NULL)); /* folds not computed yet: threads meet there too */
    nnf_module *copy;
    assert_ok(nnf_module_copy(&copy, model));
    if (nnf_session_new(&session, copy, &options) != NNF_OK) {
        nnf_module_release(copy);
        nnf_module_release(model);
        print_message("built without oneDNN\n");
        skip();
    }
    assert_ok(run(session, 1, &wanted));
    nnf_session_release(session);
    nnf_module_release(copy);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.model = model, .kernels = kernels, .wanted = wanted};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].status, NNF_OK);
        assert_true(workers[i].same);
    }
    nnf_tensor_release(wanted);
    nnf_module_release(model);
}

static void threads_share_a_model_with_the_reference_kernels(void **state) {
    (void)state;
    check_kernels(NNF_KERNELS_REFERENCE);
}
static void threads_share_a_model_with_onednn(void **state) {
    (void)state;
    check_kernels(NNF_KERNELS_ONEDNN);
}

enum { SHARES = 200 };

static void count(void *payload, int64_t i) {
    atomic_fetch_add(&((atomic_int *)payload)[i], 1);
}

static void share_within(void *payload, int64_t i) {
    (void)i;
    nnfi_share(THREADS, SHARES, count, payload);
}

/* Whether each part was done once, by share after share of all sizes. */
static void *share_out(void *payload) {
    bool *right = payload;
    *right = true;
    for (int64_t n = 0; n <= SHARES; n++) {
        atomic_int counts[SHARES] = {0};
        nnfi_share(THREADS, n, count, counts);
        for (int64_t i = 0; i < SHARES; i++)
            *right = *right && counts[i] == (i < n);
    }
    return NULL;
}

static void work_is_shared_out_by_several_threads_and_each_part_done_once(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    bool right[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share_out, &right[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(right[i]);
    }
    atomic_int counts[SHARES] = {0};
    nnfi_share(THREADS, 8, share_within, counts);
    for (int i = 0; i < SHARES; i++)
        assert_int_equal(counts[i], 8);
}

/* The threads that are kept are not in a forked process, which does without. */
static void a_forked_process_shares_out_work_too(void **state) {
    (void)state;
    bool right;
    share_out(&right);
    assert_true(right);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        share_out(&right);
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_MAIN(cmocka_unit_test(threads_share_a_model_with_the_reference_kernels),
          cmocka_unit_test(threads_share_a_model_with_onednn),
          cmocka_unit_test(work_is_shared_out_by_several_threads_and_each_part_done_once),
          cmocka_unit_test(a_forked_process_shares_out_work_too))
