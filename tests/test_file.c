#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/file.h"
#include "support/memory.h"

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[2][512];
    static int turn;
    turn = 1 - turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/nnfuse-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int count_files(void) {
    int n = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(listing);
    return n;
}

static int remove_folder(void **state) {
    (void)state;
    DIR *listing = opendir(folder);
    for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing))
        unlink(in_folder(entry->d_name));
    closedir(listing);
    return rmdir(folder);
}

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_holds(const char *path, const char *text) {
    nnfi_bytes *bytes;
    assert_int_equal(nnfi_bytes_read(&bytes, path, false), NNF_OK);
    assert_int_equal(nnfi_bytes_size(bytes), strlen(text));
    assert_memory_equal(nnfi_bytes_data(bytes), text, strlen(text));
    nnfi_bytes_release(bytes);
}

static void replace(const char *path, const char *text) {
    nnfi_output *output;
    assert_int_equal(nnfi_output_open(&output, path), NNF_OK);
    assert_int_equal(nnfi_output_put(output, 0, text, strlen(text)), NNF_OK);
    assert_int_equal(nnfi_output_commit(output), NNF_OK);
}

static void files_are_read_and_mapped_alike(void **state) {
    (void)state;
    char text[10000];
    memset(text, 'x', sizeof text - 1);
    memcpy(text + 5000, "middle", 6);
    text[sizeof text - 1] = '\0';
    put(in_folder("a"), text);
    for (int map = 0; map < 2; map++) {
        nnfi_bytes *bytes;
        assert_int_equal(nnfi_bytes_read(&bytes, in_folder("a"), map), NNF_OK);
        assert_int_equal(nnfi_bytes_size(bytes), 9999);
        assert_memory_equal(nnfi_bytes_data(bytes), text, 9999);
        assert_ptr_equal(nnfi_bytes_retain(bytes), bytes);
        nnfi_bytes_release(bytes);
        nnfi_bytes_release(bytes);
        assert_int_equal(nnfi_bytes_read_range(&bytes, in_folder("a"), map, 5000, 6), NNF_OK);
        assert_int_equal(nnfi_bytes_size(bytes), 6);
        assert_memory_equal(nnfi_bytes_data(bytes), "middle", 6);
        nnfi_bytes_release(bytes);
        assert_int_equal(nnfi_bytes_read_range(&bytes, in_folder("a"), map, 9999, -1), NNF_OK);
        assert_int_equal(nnfi_bytes_size(bytes), 0);
        nnfi_bytes_release(bytes);
    }
}

static void ranges_past_the_end_are_refused(void **state) {
    (void)state;
    put(in_folder("a"), "0123456789");
    nnfi_bytes *bytes = NULL;
    static const int64_t bad[][2] = {{5, 6}, {11, -1}, {11, 0}, {-1, 2}, {1, INT64_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(nnfi_bytes_read_range(&bytes, in_folder("a"), true, bad[i][0], bad[i][1]),
                         NNF_ERROR_FORMAT);
        assert_non_null(strstr(nnf_error_message(), "has 10 bytes"));
    }
    assert_null(bytes);
}

static void what_cannot_be_read_is_named_with_the_reason(void **state) {
    (void)state;
    nnfi_bytes *bytes = NULL;
    assert_int_equal(nnfi_bytes_read(&bytes, in_folder("none"), true), NNF_ERROR_READ);
    assert_non_null(strstr(nnf_error_message(), in_folder("none")));
    assert_non_null(strstr(nnf_error_message(), "No such file"));
    assert_int_equal(nnfi_bytes_read(&bytes, folder, false), NNF_ERROR_READ);
    assert_non_null(strstr(nnf_error_message(), "Is a directory"));
}

static void empty_files_and_copies_have_no_bytes(void **state) {
    (void)state;
    put(in_folder("a"), "");
    assert_holds(in_folder("a"), "");
    nnfi_bytes *bytes;
    assert_int_equal(nnfi_bytes_copy(&bytes, NULL, 0), NNF_OK);
    assert_int_equal(nnfi_bytes_size(bytes), 0);
    nnfi_bytes_release(bytes);
    assert_int_equal(nnfi_bytes_copy(&bytes, "ab", 2), NNF_OK);
    assert_memory_equal(nnfi_bytes_data(bytes), "ab", 2);
    nnfi_bytes_release(bytes);
    nnfi_bytes_release(NULL);
}

static void *feed_pipe(void *path) {
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < 100000; i++)
        fprintf(file, "%05d", i);
    fclose(file);
    return NULL;
}

static void pipes_are_read_to_their_end(void **state) {
    (void)state;
    char path[512];
    strcpy(path, in_folder("pipe"));
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed_pipe, path), 0);
    nnfi_bytes *bytes;
    assert_int_equal(nnfi_bytes_read(&bytes, path, true), NNF_OK);
    pthread_join(thread, NULL);
    assert_int_equal(nnfi_bytes_size(bytes), 500000);
    assert_memory_equal(nnfi_bytes_data(bytes) + 499995, "99999", 5);
    nnfi_bytes_release(bytes);
}

static void a_new_file_appears_whole_on_commit(void **state) {
    (void)state;
    nnfi_output *output;
    assert_int_equal(nnfi_output_open(&output, in_folder("new")), NNF_OK);
    assert_int_equal(nnfi_output_put(output, 4, "two", 3), NNF_OK);
    assert_int_equal(nnfi_output_put(output, 0, "one ", 4), NNF_OK);
    assert_int_equal(access(in_folder("new"), F_OK), -1);
    assert_int_equal(nnfi_output_finish(output), NNF_OK);
    assert_holds(nnfi_output_path(output), "one two");
    assert_int_equal(access(in_folder("new"), F_OK), -1);
    assert_int_equal(nnfi_output_commit(output), NNF_OK);
    assert_holds(in_folder("new"), "one two");
    assert_int_equal(count_files(), 1);
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(in_folder("new"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask);
}

static void a_replaced_file_keeps_its_permissions(void **state) {
    (void)state;
    put(in_folder("a"), "old");
    assert_int_equal(chmod(in_folder("a"), 0751), 0);
    replace(in_folder("a"), "new");
    assert_holds(in_folder("a"), "new");
    struct stat info;
    assert_int_equal(stat(in_folder("a"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0751);
}

static void a_discarded_output_leaves_the_old_file(void **state) {
    (void)state;
    put(in_folder("a"), "old");
    nnfi_output *output;
    assert_int_equal(nnfi_output_open(&output, in_folder("a")), NNF_OK);
    assert_int_equal(nnfi_output_put(output, 0, "new", 3), NNF_OK);
    nnfi_output_discard(output);
    nnfi_output_discard(NULL);
    assert_holds(in_folder("a"), "old");
    assert_int_equal(count_files(), 1);
}

static void links_stay_links_and_their_target_is_replaced(void **state) {
    (void)state;
    put(in_folder("target"), "old");
    assert_int_equal(symlink("target", in_folder("link")), 0);
    assert_int_equal(symlink(in_folder("link"), in_folder("link2")), 0);
    replace(in_folder("link2"), "new");
    assert_holds(in_folder("target"), "new");
    struct stat info;
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(symlink("later", in_folder("dangling")), 0);
    replace(in_folder("dangling"), "made");
    assert_holds(in_folder("later"), "made");
    assert_int_equal(count_files(), 5);
}

static void links_in_a_circle_are_an_error(void **state) {
    (void)state;
    nnfi_output *output = NULL;
    assert_int_equal(symlink("b", in_folder("a")), 0);
    assert_int_equal(symlink("a", in_folder("b")), 0);
    assert_int_equal(nnfi_output_open(&output, in_folder("a")), NNF_ERROR_WRITE);
    assert_null(output);
}

static void large_pieces_and_small_ones_stand_where_they_were_put(void **state) {
    (void)state;
    size_t size = 200000;
    char *piece = malloc(size);
    for (size_t i = 0; i < size; i++)
        piece[i] = (char)(i * 7);
    nnfi_output *output;
    assert_int_equal(nnfi_output_open(&output, in_folder("a")), NNF_OK);
    for (size_t at = 0, n = 1; at < size; at += n, n *= 2)
        assert_int_equal(nnfi_output_put(output, at, piece + at, n < size - at ? n : size - at),
                         NNF_OK);
    assert_int_equal(nnfi_output_commit(output), NNF_OK);
    nnfi_bytes *bytes;
    assert_int_equal(nnfi_bytes_read(&bytes, in_folder("a"), true), NNF_OK);
    assert_int_equal(nnfi_bytes_size(bytes), size);
    assert_memory_equal(nnfi_bytes_data(bytes), piece, size);
    nnfi_bytes_release(bytes);
    free(piece);
}

static void parts_of_files_are_copied(void **state) {
    (void)state;
    put(in_folder("a"), "0123456789");
    for (int map = 0; map < 2; map++) {
        nnfi_bytes *from;
        nnfi_output *output;
        assert_int_equal(nnfi_bytes_read_range(&from, in_folder("a"), map, 2, 6), NNF_OK);
        assert_int_equal(nnfi_output_open(&output, in_folder("b")), NNF_OK);
        assert_false(nnfi_output_is_stream(output));
        assert_int_equal(nnfi_output_put(output, 0, "<", 1), NNF_OK);
        assert_int_equal(nnfi_output_copy(output, 1, from, 1, 4), NNF_OK);
        assert_int_equal(nnfi_output_put(output, 5, ">", 1), NNF_OK);
        assert_int_equal(nnfi_output_commit(output), NNF_OK);
        assert_holds(in_folder("b"), "<3456>");
        char buffer[6];
        assert_int_equal(nnfi_output_over(&output, buffer), NNF_OK);
        assert_int_equal(nnfi_output_copy(output, 0, from, 0, 6), NNF_OK);
        nnfi_output_discard(output);
        assert_memory_equal(buffer, "234567", 6);
        nnfi_bytes_release(from);
    }
}

static void a_full_disk_is_a_clear_error(void **state) {
    (void)state;
    if (access("/dev/full", W_OK) < 0) skip();
    nnfi_output *output;
    assert_int_equal(nnfi_output_open(&output, "/dev/full"), NNF_OK);
    assert_int_equal(nnfi_output_put(output, 0, "x", 1), NNF_ERROR_WRITE);
    assert_string_equal(nnf_error_message(), "cannot write '/dev/full': No space left on device");
    nnfi_output_discard(output);
}

static void a_device_is_written_directly(void **state) {
    (void)state;
    nnfi_output *output;
    assert_int_equal(nnfi_output_open(&output, "/dev/null"), NNF_OK);
    assert_string_equal(nnfi_output_path(output), "/dev/null");
    assert_int_equal(nnfi_output_put(output, 0, "x", 1), NNF_OK);
    assert_int_equal(nnfi_output_commit(output), NNF_OK);
    struct stat info;
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

static void folders_cannot_be_written(void **state) {
    (void)state;
    nnfi_output *output = NULL;
    assert_int_equal(nnfi_output_open(&output, folder), NNF_ERROR_WRITE);
    assert_non_null(strstr(nnf_error_message(), "Is a directory"));
    assert_int_equal(nnfi_output_open(&output, in_folder("no/file")), NNF_ERROR_WRITE);
    assert_non_null(strstr(nnf_error_message(), "No such file"));
    assert_null(output);
}

static void paths_are_split_and_joined(void **state) {
    (void)state;
    static const char *const splits[][2] = {
        {"a/b", "a"}, {"/b", "/"}, {"b", "."}, {"a//b", "a"}, {"/x/y/z", "/x/y"}};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        char *found = nnfi_path_folder(splits[i][0]);
        assert_string_equal(found, splits[i][1]);
        nnfi_free(found);
    }
    static const char *const joins[][3] = {{"a", "b", "a/b"}, {"/", "b", "/b"}, {".", "b", "./b"}};
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
        char *found = nnfi_path_join(joins[i][0], joins[i][1]);
        assert_string_equal(found, joins[i][2]);
        nnfi_free(found);
    }
}

static void paths_that_leave_their_folder_are_seen(void **state) {
    (void)state;
    static const char *const inside[] = {"a", "a/b", "./a", "a..b", "..a", "a/.../b", "a\\b"};
    static const char *const outside[] = {"",       "/a",  "..",       "../a",    "a/..",
                                          "a/../b", "\\a", "a\\..\\b", "C:a.bin", "C:\\a"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        assert_true(nnfi_path_is_inside(inside[i]));
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_false(nnfi_path_is_inside(outside[i]));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(files_are_read_and_mapped_alike),
        IN_FOLDER(ranges_past_the_end_are_refused),
        IN_FOLDER(what_cannot_be_read_is_named_with_the_reason),
        IN_FOLDER(empty_files_and_copies_have_no_bytes),
        IN_FOLDER(pipes_are_read_to_their_end),
        IN_FOLDER(a_new_file_appears_whole_on_commit),
        IN_FOLDER(a_replaced_file_keeps_its_permissions),
        IN_FOLDER(a_discarded_output_leaves_the_old_file),
        IN_FOLDER(links_stay_links_and_their_target_is_replaced),
        IN_FOLDER(links_in_a_circle_are_an_error),
        IN_FOLDER(large_pieces_and_small_ones_stand_where_they_were_put),
        IN_FOLDER(parts_of_files_are_copied),
        IN_FOLDER(folders_cannot_be_written),
        cmocka_unit_test(a_full_disk_is_a_clear_error),
        cmocka_unit_test(a_device_is_written_directly),
        cmocka_unit_test(paths_are_split_and_joined),
        cmocka_unit_test(paths_that_leave_their_folder_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
