/* A model takes the place of another: whole or not at all, whatever fails and whenever the process
 * is killed, and with nothing left behind. */
#ifdef __linux__
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "onnx_support.h"

/* ---- Failing on demand ---- */

static atomic_long n_calls, failing; /* the number of the call that fails; 0: none */
static atomic_long n_blocks;         /* of memory that are in use */

static bool fails(void) {
    long number = atomic_load(&failing);
    return number > 0 && atomic_fetch_add(&n_calls, 1) + 1 == number;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names for what it wraps */
#define WRAP(result, name, parameters, arguments, bad, reason) \
    result __real_##name parameters;                           \
    result __wrap_##name parameters;                           \
    result __wrap_##name parameters {                          \
        if (!fails()) return __real_##name arguments;          \
        errno = reason;                                        \
        return bad;                                            \
    }
#define WRAP_BOTH(result, name, parameters, arguments, bad, reason) \
    WRAP(result, name, parameters, arguments, bad, reason)          \
    WRAP(result, name##64, parameters, arguments, bad, reason)

WRAP_BOTH(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at),
          (file, data, size, at), -1, ENOSPC)
WRAP_BOTH(void *, mmap, (void *at, size_t size, int how, int flags, int file, off_t offset),
          (at, size, how, flags, file, offset), MAP_FAILED, ENOMEM)
WRAP(ssize_t, copy_file_range,
     (int from, off_t *in, int to, off_t *out, size_t size, unsigned flags),
     (from, in, to, out, size, flags), -1, EIO)
WRAP(int, rename, (const char *from, const char *to), (from, to), -1, EIO)
WRAP(int, link, (const char *from, const char *to), (from, to), -1, EPERM)
WRAP(int, fsync, (int file), (file), -1, EIO)
WRAP(int, flock, (int file, int how), (file, how), -1, ENOLCK)
WRAP(DIR *, opendir, (const char *path), (path), NULL, EMFILE)

#define WRAP_OPEN(name)                                          \
    int __real_##name(const char *path, int flags, ...);         \
    int __wrap_##name(const char *path, int flags, ...);         \
    int __wrap_##name(const char *path, int flags, ...) {        \
        va_list arguments;                                       \
        va_start(arguments, flags);                              \
        int mode = flags & O_CREAT ? va_arg(arguments, int) : 0; \
        va_end(arguments);                                       \
        if (!fails()) return __real_##name(path, flags, mode);   \
        errno = EMFILE;                                          \
        return -1;                                               \
    }
WRAP_OPEN(open)
WRAP_OPEN(open64)
/* NOLINTEND(bugprone-reserved-identifier) */

static bool memory_fails;

static void *allocate(size_t size, void *payload) {
    (void)payload;
    if (memory_fails && fails()) return NULL;
    void *pointer = malloc(size);
    if (pointer) n_blocks++;
    return pointer;
}

static void *reallocate(void *old, size_t size, void *payload) {
    (void)payload;
    return memory_fails && fails() ? NULL : realloc(old, size);
}

static void deallocate(void *old, void *payload) {
    (void)payload;
    n_blocks--;
    free(old);
}

/* ---- Files ---- */

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/nnfuse-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static const char *in_folder(const char *name) {
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folder's entries, sorted: "a b c"; free. */
static char *list_folder(void) {
    char *names[64], *all = calloc(64, 64);
    size_t n = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry = readdir(listing); entry && n < 64; entry = readdir(listing)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        names[n++] = strdup(entry->d_name);
    }
    closedir(listing);
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++) {
        strcat(strcat(all, i > 0 ? " " : ""), names[i]);
        free(names[i]);
    }
    return all;
}

static int remove_folder(void **state) {
    (void)state;
    char *all = list_folder();
    for (char *name = strtok(all, " "); name; name = strtok(NULL, " ")) {
        unlink(in_folder(name));
    }
    free(all);
    return rmdir(folder);
}

static void expect_files(const char *names) {
    char *all = list_folder();
    assert_string_equal(all, names);
    free(all);
}

/* ---- The models: one and the other ---- */

static nnf_status load(nnf_module **out, bool fused) {
    static const nnf_onnx_load_options options = {.map = true};
    char path[1024];
    snprintf(path, sizeof path, "%s/digits.onnx", NNFUSE_MODELS);
    nnf_status status = nnf_onnx_load(out, path, &options);
    if (status == NNF_OK && fused) status = nnf_fuse(*out, NULL, NULL);
    if (status != NNF_OK) {
        nnf_module_release(*out);
        *out = NULL;
    }
    return status;
}

static nnf_status save(bool fused, const char *path) {
    static const nnf_onnx_save_options options = {.external_data = true};
    nnf_module *model = NULL;
    nnf_status status = load(&model, fused);
    if (status == NNF_OK) status = nnf_onnx_save(model, path, &options);
    nnf_module_release(model);
    return status;
}

/* A model with all its data as one buffer: nnf_free. */
static void *flatten(const char *path, size_t *size) {
    nnf_module *model = NULL;
    void *bytes = NULL;
    assert_ok(nnf_onnx_load(&model, path, NULL));
    assert_ok(nnf_onnx_save_memory(model, &bytes, size, NULL));
    nnf_module_release(model);
    return bytes;
}

static void *expected[2];
static size_t expected_size[2];

static int make_expected(void **state) {
    if (make_folder(state) != 0) return -1;
    for (int fused = 0; fused < 2; fused++) {
        assert_ok(save(fused, in_folder("x.onnx")));
        expected[fused] = flatten(in_folder("x.onnx"), &expected_size[fused]);
    }
    return remove_folder(state);
}

static int free_expected(void **state) {
    (void)state;
    nnf_free(expected[0]);
    nnf_free(expected[1]);
    return 0;
}

/* Which of the two stands there, whole. */
static bool is_fused(const char *path) {
    size_t size;
    void *bytes = flatten(path, &size);
    bool fused = size == expected_size[1] && memcmp(bytes, expected[1], size) == 0;
    assert_true(fused || (size == expected_size[0] && memcmp(bytes, expected[0], size) == 0));
    nnf_free(bytes);
    return fused;
}

/* ---- Tests ---- */

static void the_data_of_the_model_that_was_replaced_goes_too(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_ok(save(i % 2, in_folder("a.onnx")));
        expect_files(i % 2 ? "a.onnx a.onnx.1.data" : "a.onnx a.onnx.data");
        assert_int_equal(is_fused(in_folder("a.onnx")), i % 2);
    }
    assert_ok(save(true, in_folder("b.onnx"))); /* another model's data is not its business */
    expect_files("a.onnx a.onnx.1.data b.onnx b.onnx.data");
}

static void put(const char *name, const char *text) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void data_that_others_wrote_stays(void **state) {
    (void)state;
    put("a.onnx.data", "precious");
    assert_ok(save(false, in_folder("a.onnx")));
    assert_ok(save(true, in_folder("a.onnx")));
    expect_files("a.onnx a.onnx.2.data a.onnx.data");
    /* A data file of nnfuse's that the model does not refer to may belong to a model that its owner
     * has renamed. */
    assert_int_equal(rename(in_folder("a.onnx"), in_folder("b.onnx")), 0);
    assert_ok(save(false, in_folder("a.onnx")));
    expect_files("a.onnx a.onnx.1.data a.onnx.2.data a.onnx.data b.onnx");
    assert_true(is_fused(in_folder("b.onnx")));
}

/* A model in the folder of one that nnfuse wrote does not share its data: that goes with it. */
static void no_model_shares_the_data_of_another(void **state) {
    (void)state;
    nnf_module *model = NULL;
    assert_ok(save(false, in_folder("a.onnx")));
    assert_ok(nnf_onnx_load(&model, in_folder("a.onnx"), NULL));
    assert_ok(nnf_onnx_save(model, in_folder("b.onnx"), NULL));
    expect_files("a.onnx a.onnx.data b.onnx b.onnx.data");
    /* It may stay where the model itself is replaced. */
    assert_ok(nnf_onnx_save(model, in_folder("a.onnx"), NULL));
    expect_files("a.onnx a.onnx.data b.onnx b.onnx.data");
    assert_ok(nnf_fuse(model, NULL, NULL));
    assert_ok(nnf_onnx_save(model, in_folder("a.onnx"), NULL));
    nnf_module_release(model);
    assert_true(is_fused(in_folder("a.onnx")));
    assert_false(is_fused(in_folder("b.onnx")));
}

static void what_a_killed_run_left_is_removed_and_what_is_held_is_not(void **state) {
    (void)state;
    assert_ok(save(false, in_folder("a.onnx")));
    assert_int_equal(rename(in_folder("a.onnx"), in_folder(".a.onnx.nnfuse-abc123")), 0);
    put(".a.onnx.7.data.nnfuse-abc124", "half");
    put(".a.onnx.nnfuse-abc125", "half");
    put(".b.onnx.nnfuse-abc126", "another's");
    int held = open(in_folder(".a.onnx.nnfuse-abc125"), O_RDONLY);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_ok(save(true, in_folder("a.onnx")));
    expect_files(".a.onnx.nnfuse-abc125 .b.onnx.nnfuse-abc126 a.onnx a.onnx.data");
    close(held);
    assert_true(is_fused(in_folder("a.onnx")));
}

/* Saves over a model with each call in turn failing; all is then as it was, or done. */
static void fail_each_in_turn(long at_least) {
    static const nnf_library_options counted = {
        .allocate = allocate, .reallocate = reallocate, .deallocate = deallocate};
    assert_ok(save(false, in_folder("a.onnx")));
    bool fused = false, ended = false;
    long number = 0;
    while (!ended) {
        number++;
        char *before = list_folder();
        long blocks = n_blocks;
        assert_ok(nnf_library_set_options(&counted));
        n_calls = 0;
        failing = number;
        nnf_status status = save(!fused, in_folder("a.onnx"));
        ended = atomic_exchange(&failing, 0) > n_calls;
        assert_ok(nnf_library_set_options(NULL));
        assert_int_equal(n_blocks, blocks);
        if (status == NNF_OK)
            fused = !fused;
        else
            expect_files(before);
        assert_int_equal(is_fused(in_folder("a.onnx")), fused);
        free(before);
    }
    assert_true(number > at_least);
    /* Old data whose removal failed may be left, but nothing half written. */
    char *after = list_folder();
    assert_null(strstr(after, ".nnfuse-"));
    assert_true(strlen(after) <= strlen("a.onnx a.onnx.1.data a.onnx.2.data"));
    free(after);
}

static void any_call_of_the_system_may_fail(void **state) {
    (void)state;
    fail_each_in_turn(20);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    memory_fails = true;
    fail_each_in_turn(400);
    memory_fails = false;
}

static void a_process_may_be_killed_at_any_moment(void **state) {
    (void)state;
    bool fused = false;
    int n_killed = 0;
    unsigned random = 1;
    assert_ok(save(false, in_folder("a.onnx")));
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (;;) {
                if (save(!fused, in_folder("a.onnx")) != NNF_OK) _exit(1);
                fused = !fused;
            }
        }
        random = random * 1664525u + 1013904223u;
        const struct timespec while_it_writes = {.tv_nsec = (random >> 8) % 20000000};
        nanosleep(&while_it_writes, NULL);
        int how;
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &how, 0), child);
        n_killed += WIFSIGNALED(how);
        fused = is_fused(in_folder("a.onnx"));
    }
    assert_int_equal(n_killed, 200);
    assert_ok(save(!fused, in_folder("a.onnx")));
    char *after = list_folder();
    assert_int_equal(strchr(after, ' ') - after, strlen("a.onnx"));
    assert_null(strchr(strchr(after, ' ') + 1, ' ')); /* the model and its data, nothing else */
    free(after);
    assert_int_equal(is_fused(in_folder("a.onnx")), !fused);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_data_of_the_model_that_was_replaced_goes_too),
        IN_FOLDER(data_that_others_wrote_stays),
        IN_FOLDER(no_model_shares_the_data_of_another),
        IN_FOLDER(what_a_killed_run_left_is_removed_and_what_is_held_is_not),
        IN_FOLDER(any_call_of_the_system_may_fail),
        IN_FOLDER(any_allocation_may_fail),
        IN_FOLDER(a_process_may_be_killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, make_expected, free_expected);
}
#else /* the linker's --wrap, and copy_file_range */
int main(void) {
    return 0;
}
#endif
