/* numpy's files: what numpy writes is read, what is written numpy's way, and what is neither is
 * refused with a sentence. Headers and bytes below are numpy 1.24's. */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/npy.h"

/* A file in memory: magic, version, a dict padded as numpy pads it, and data. */
static void *make_file(size_t *size, int version, const char *dict, const void *data,
                       size_t n_data) {
    size_t start = version == 1 ? 10 : 12;
    size_t total = (start + strlen(dict) + 1 + 63) / 64 * 64;
    unsigned char *file = malloc(total + n_data);
    assert_non_null(file);
    memset(file, ' ', total);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[7] = 0;
    memset(file + 8, 0, start - 8);
    file[8] = (unsigned char)((total - start) & 0xff);
    file[9] = (unsigned char)((total - start) >> 8);
    memcpy(file + start, dict, strlen(dict));
    file[total - 1] = '\n';
    if (n_data > 0) memcpy(file + total, data, n_data);
    *size = total + n_data;
    return file;
}

static nnf_status parse(nnf_tensor **out, int version, const char *dict, const void *data,
                        size_t n_data) {
    size_t size = 0;
    void *file = make_file(&size, version, dict, data, n_data);
    return npy_parse(out, file, size, "x.npy");
}

static const void *data_of(const nnf_tensor *tensor) {
    const void *data = NULL;
    assert_ok(nnf_tensor_data(tensor, &data));
    return data;
}

static void reads_every_dtype(void **state) {
    (void)state;
    static const struct {
        const char *descr;
        nnf_dtype dtype;
    } cases[] = {{"<f2", NNF_F16}, {"<f4", NNF_F32}, {"<f8", NNF_F64}, {"|i1", NNF_I8},
                 {"|u1", NNF_U8},  {"<i4", NNF_I32}, {"<i8", NNF_I64}, {"|b1", NNF_BOOL}};
    static const unsigned char bytes[24] = {1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0,
                                            0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char dict[128];
        snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (3,), }",
                 cases[i].descr);
        nnf_tensor *tensor = NULL;
        size_t n = 3 * nnf_dtype_size(cases[i].dtype);
        assert_ok(parse(&tensor, 1, dict, bytes, n));
        assert_int_equal(nnf_tensor_dtype(tensor), cases[i].dtype);
        assert_int_equal(nnf_tensor_ndim(tensor), 1);
        assert_int_equal(nnf_tensor_shape(tensor)[0], 3);
        assert_memory_equal(data_of(tensor), bytes, n);
        nnf_tensor_release(tensor);
    }
}

static void reads_versions_1_to_3(void **state) {
    (void)state;
    static const float values[4] = {1, 2, 3, 4};
    for (int version = 1; version <= 3; version++) {
        nnf_tensor *tensor = NULL;
        assert_ok(parse(&tensor, version,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", values,
                        sizeof values));
        assert_int_equal(nnf_tensor_ndim(tensor), 2);
        assert_memory_equal(data_of(tensor), values, sizeof values);
        nnf_tensor_release(tensor);
    }
}

static void reads_scalars_and_empty_arrays(void **state) {
    (void)state;
    static const double value = 2.5;
    nnf_tensor *tensor = NULL;
    assert_ok(parse(&tensor, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", &value,
                    sizeof value));
    assert_int_equal(nnf_tensor_ndim(tensor), 0);
    assert_memory_equal(data_of(tensor), &value, sizeof value);
    nnf_tensor_release(tensor);
    assert_ok(
        parse(&tensor, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }", NULL, 0));
    assert_int_equal(nnf_tensor_numel(tensor), 0);
    nnf_tensor_release(tensor);
}

/* np.asfortranarray([[1, 2, 3], [4, 5, 6]]) stores its columns. */
static void puts_fortran_order_in_c_order(void **state) {
    (void)state;
    static const int32_t stored[6] = {1, 4, 2, 5, 3, 6}, expected[6] = {1, 2, 3, 4, 5, 6};
    nnf_tensor *tensor = NULL;
    assert_ok(parse(&tensor, 1, "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }",
                    stored, sizeof stored));
    assert_true(nnf_tensor_is_contiguous(tensor));
    assert_int_equal(nnf_tensor_shape(tensor)[0], 2);
    assert_memory_equal(data_of(tensor), expected, sizeof expected);
    nnf_tensor_release(tensor);
}

static void refuses_what_it_has_no_values_of(void **state) {
    (void)state;
    static const char data[16] = {0};
    nnf_tensor *t = NULL;
    assert_error(
        parse(&t, 1, "{'descr': '>f4', 'fortran_order': False, 'shape': (4,), }", data, 16),
        NNF_ERROR_UNSUPPORTED, "x.npy", "big-endian");
    assert_error(
        parse(&t, 1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", data, 16),
        NNF_ERROR_UNSUPPORTED, "x.npy", "<c8");
    assert_error(parse(&t, 1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", data, 16),
                 NNF_ERROR_UNSUPPORTED, "|O");
    assert_error(parse(&t, 1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }",
                       data, 16),
                 NNF_ERROR_FORMAT, "structure");
    assert_error(
        parse(&t, 4, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", data, 16),
        NNF_ERROR_UNSUPPORTED, "version 4");
    assert_null(t);
}

static void refuses_damaged_files(void **state) {
    (void)state;
    static const char *const dicts[] = {
        "",
        "{",
        "{}",
        "{'descr'",
        "{'descr': '<f4', 'shape': (4,)}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (4,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 4}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,4)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'other': 3, 'fortran_order': False, 'shape': (4,)}",
    };
    static const char data[16] = {0};
    for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
        nnf_tensor *tensor = NULL;
        assert_error(parse(&tensor, 1, dicts[i], data, 16), NNF_ERROR_FORMAT, "x.npy");
        assert_null(tensor);
    }
}

/* Every prefix of a good file is an error, and reads nothing behind its end. */
static void refuses_truncated_files(void **state) {
    (void)state;
    static const float values[4] = {1, 2, 3, 4};
    size_t size = 0;
    void *whole = make_file(&size, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }",
                            values, sizeof values);
    for (size_t n = 0; n < size; n++) {
        void *part = malloc(n > 0 ? n : 1);
        assert_non_null(part);
        memcpy(part, whole, n);
        nnf_tensor *tensor = NULL;
        assert_error(npy_parse(&tensor, part, n, "x.npy"), NNF_ERROR_FORMAT, "x.npy");
    }
    free(whole);
}

/* The bytes of np.save("x.npy", np.array([[1, 2, 3], [4, 5, 6]], np.float32)). */
static void writes_what_numpy_writes(void **state) {
    (void)state;
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    size_t size = 0;
    char *expected =
        make_file(&size, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", values,
                  sizeof values);
    char path[] = "npy-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    nnf_tensor *tensor = NULL, *back = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 2, (const int64_t[]){2, 3}, values));
    assert_ok(npy_write(path, tensor));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char actual[512];
    assert_int_equal(fread(actual, 1, sizeof actual, file), size);
    assert_memory_equal(actual, expected, size);
    fclose(file);
    assert_ok(npy_read(&back, path));
    assert_tensors_close(back, tensor, 0.0);
    nnf_tensor_release(back);
    nnf_tensor_release(tensor);
    free(expected);
    unlink(path);
}

static void writes_bfloat16_as_float32(void **state) {
    (void)state;
    static const uint16_t values[2] = {0x3f80, 0xc000}; /* 1, -2 */
    static const float expected[2] = {1, -2};
    char path[] = "npy-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    nnf_tensor *tensor = NULL, *back = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_BF16, 1, (const int64_t[]){2}, values));
    assert_ok(npy_write(path, tensor));
    assert_ok(npy_read(&back, path));
    assert_int_equal(nnf_tensor_dtype(back), NNF_F32);
    assert_memory_equal(data_of(back), expected, sizeof expected);
    nnf_tensor_release(back);
    nnf_tensor_release(tensor);
    unlink(path);
}

static void names_files_that_cannot_be_opened(void **state) {
    (void)state;
    nnf_tensor *tensor = NULL;
    assert_error(npy_read(&tensor, "no/such/file.npy"), NNF_ERROR_READ, "no/such/file.npy",
                 "No such file");
    static const float value = 1;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_F32, 0, NULL, &value));
    assert_error(npy_write("no/such/file.npy", tensor), NNF_ERROR_WRITE, "no/such/file.npy");
    nnf_tensor_release(tensor);
}

TEST_MAIN(cmocka_unit_test(reads_every_dtype), cmocka_unit_test(reads_versions_1_to_3),
          cmocka_unit_test(reads_scalars_and_empty_arrays),
          cmocka_unit_test(puts_fortran_order_in_c_order),
          cmocka_unit_test(refuses_what_it_has_no_values_of),
          cmocka_unit_test(refuses_damaged_files), cmocka_unit_test(refuses_truncated_files),
          cmocka_unit_test(writes_what_numpy_writes), cmocka_unit_test(writes_bfloat16_as_float32),
          cmocka_unit_test(names_files_that_cannot_be_opened))
