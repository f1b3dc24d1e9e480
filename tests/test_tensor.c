#include <stdlib.h>
#include <string.h>

#include "test_support.h"

#include "tensor/tensor_internal.h"

static void new_tensors_are_zeros(void **state) {
    (void)state;
    nnf_tensor *tensor;
    const void *data;
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, 3, (int64_t[]){2, 3, 4}));
    assert_int_equal(nnf_tensor_dtype(tensor), NNF_F32);
    assert_int_equal(nnf_tensor_ndim(tensor), 3);
    assert_int_equal(nnf_tensor_numel(tensor), 24);
    assert_int_equal(nnf_tensor_nbytes(tensor), 96);
    assert_memory_equal(nnf_tensor_shape(tensor), ((int64_t[]){2, 3, 4}), 3 * sizeof(int64_t));
    assert_memory_equal(nnf_tensor_strides(tensor), ((int64_t[]){12, 4, 1}), 3 * sizeof(int64_t));
    assert_true(nnf_tensor_is_contiguous(tensor));
    assert_ok(nnf_tensor_data(tensor, &data));
    for (int i = 0; i < 24; i++)
        assert_true(((const float *)data)[i] == 0.0f);
    nnf_tensor_release(tensor);
}

static void scalars_and_empty_tensors_exist(void **state) {
    (void)state;
    nnf_tensor *scalar, *empty, *borrowed;
    const void *data = NULL;
    assert_ok(nnf_tensor_new(&scalar, NNF_I64, 0, NULL));
    assert_int_equal(nnf_tensor_numel(scalar), 1);
    assert_ok(nnf_tensor_new(&empty, NNF_F32, 2, (int64_t[]){INT64_MAX, 0}));
    assert_int_equal(nnf_tensor_numel(empty), 0);
    assert_ok(nnf_tensor_data(empty, &data));
    assert_non_null(data);
    assert_ok(nnf_tensor_borrow(&borrowed, NNF_F32, 1, (int64_t[]){0}, NULL, NULL, NULL));
    assert_ok(nnf_tensor_data(borrowed, &data));
    nnf_tensor_release(scalar);
    nnf_tensor_release(empty);
    nnf_tensor_release(borrowed);
    nnf_tensor_release(NULL);
}

static void shapes_that_cannot_be_are_refused(void **state) {
    (void)state;
    nnf_tensor *tensor = NULL;
    assert_error(nnf_tensor_new(&tensor, NNF_F32, 2, (int64_t[]){3, -1}), NNF_ERROR_SHAPE,
                 "[3, -1]");
    assert_error(nnf_tensor_new(&tensor, NNF_F32, 9, (int64_t[9]){0}), NNF_ERROR_SHAPE, "9");
    assert_error(nnf_tensor_new(&tensor, NNF_F32, -1, NULL), NNF_ERROR_SHAPE, "-1");
    assert_error(nnf_tensor_new(&tensor, NNF_I8, 2, (int64_t[]){1LL << 32, 1LL << 32}),
                 NNF_ERROR_MEMORY, "4294967296");
    assert_error(nnf_tensor_new(&tensor, NNF_F64, 1, (int64_t[]){1LL << 61}), NNF_ERROR_MEMORY, "");
    assert_error(nnf_tensor_new(&tensor, NNF_I8, 1, (int64_t[]){INT64_MAX}), NNF_ERROR_MEMORY, "");
    assert_error(nnf_tensor_new(&tensor, NNF_DTYPE_UNKNOWN, 0, NULL), NNF_ERROR_INVALID, "dtype");
    assert_error(nnf_tensor_from_data(&tensor, NNF_F32, 1, (int64_t[]){2}, NULL), NNF_ERROR_INVALID,
                 "NULL");
    assert_null(tensor);
}

static nnf_tensor *count_to(int64_t n) {
    nnf_tensor *tensor;
    void *data;
    assert_ok(nnf_tensor_new(&tensor, NNF_I32, 1, &n));
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    for (int i = 0; i < n; i++)
        ((int32_t *)data)[i] = i;
    return tensor;
}

static int32_t element(const nnf_tensor *tensor, int64_t i) {
    int32_t value = -1;
    assert_ok(nnf_tensor_read(tensor, i, 1, &value));
    return value;
}

static void set(nnf_tensor *tensor, int64_t i, int32_t value) {
    void *data;
    assert_ok(nnf_tensor_mut_data(tensor, &data));
    ((int32_t *)data)[i] = value;
}

static void copies_share_until_one_is_written(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(10), *copy;
    const void *a, *b;
    nnfi_tensor_set_origin(tensor, (nnfi_origin){7, 3});
    assert_ok(nnf_tensor_copy(&copy, tensor));
    assert_int_equal(nnfi_tensor_origin(copy).source, 7);
    assert_ok(nnf_tensor_data(tensor, &a));
    assert_ok(nnf_tensor_data(copy, &b));
    assert_ptr_equal(a, b);
    assert_true(nnfi_tensor_version(copy) == nnfi_tensor_version(tensor));
    set(copy, 0, 99);
    assert_int_equal(element(copy, 0), 99);
    assert_int_equal(element(tensor, 0), 0);
    assert_int_equal(nnfi_tensor_origin(copy).source, 0);
    assert_int_equal(nnfi_tensor_origin(tensor).source, 7);
    assert_true(nnfi_tensor_version(copy) != nnfi_tensor_version(tensor));
    nnf_tensor_release(copy);
    nnf_tensor_release(tensor);
}

static void tied_tensors_see_each_others_writes(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(3), *tied = nnf_tensor_retain(tensor);
    uint64_t before = nnfi_tensor_version(tied);
    set(tensor, 1, 5);
    assert_int_equal(element(tied, 1), 5);
    assert_true(nnfi_tensor_version(tied) != before);
    nnf_tensor_release(tensor);
    assert_int_equal(element(tied, 1), 5);
    nnf_tensor_release(tied);
}

static void count_release(void *payload) {
    ++*(int *)payload;
}

static void borrowed_bytes_are_released_once_and_never_written(void **state) {
    (void)state;
    int released = 0;
    int32_t bytes[3] = {1, 2, 3};
    nnf_tensor *tensor, *copy;
    const void *data;
    assert_ok(
        nnf_tensor_borrow(&tensor, NNF_I32, 1, (int64_t[]){3}, bytes, count_release, &released));
    assert_ok(nnf_tensor_data(tensor, &data));
    assert_ptr_equal(data, bytes);
    assert_ok(nnf_tensor_copy(&copy, tensor));
    set(copy, 0, 9);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(released, 0);
    set(tensor, 0, 8);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(released, 1);
    nnf_tensor_release(tensor);
    nnf_tensor_release(copy);
    assert_int_equal(released, 1);
}

static void unaligned_bytes_become_aligned_once(void **state) {
    (void)state;
    int released = 0;
    _Alignas(8) unsigned char bytes[8 * 4 + 1];
    for (int i = 0; i < 4; i++)
        memcpy(bytes + 1 + 8 * i, &(double){i + 0.5}, 8);
    nnf_tensor *tensor, *view;
    const void *data, *again;
    double last;
    assert_ok(nnf_tensor_borrow(&tensor, NNF_F64, 1, (int64_t[]){4}, bytes + 1, count_release,
                                &released));
    assert_ok(nnf_tensor_read(tensor, 3, 1, &last));
    assert_true(last == 3.5);
    assert_ok(nnf_tensor_view(&view, tensor, 1, (int64_t[]){2}, NULL, 2));
    assert_ok(nnf_tensor_data(tensor, &data));
    assert_int_equal((uintptr_t)data % sizeof(double), 0);
    assert_ok(nnf_tensor_data(view, &again));
    assert_ptr_equal(again, (const double *)data + 2);
    assert_true(*(const double *)again == 2.5);
    nnf_tensor_release(view);
    nnf_tensor_release(tensor);
    assert_int_equal(released, 1);
}

/* Any part of a matrix that stands transposed, in elements of each size: rows are read together. */
static void transposed_parts_are_read(void **state) {
    (void)state;
    static const nnf_dtype dtypes[] = {NNF_U8, NNF_F16, NNF_I32, NNF_F64};
    enum { BATCH = 2, ROWS = 37, COLUMNS = 5, N = BATCH * ROWS * COLUMNS };
    for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
        const size_t size = nnf_dtype_size(dtypes[t]);
        unsigned char elements[N * sizeof(double)], expected[sizeof elements];
        unsigned char found[sizeof elements];
        const int64_t shape[] = {BATCH, ROWS, COLUMNS}, strides[] = {ROWS * COLUMNS, 1, ROWS};
        nnf_tensor *tensor, *turned;
        for (size_t i = 0; i < sizeof elements; i++)
            elements[i] = (unsigned char)(i * 7 + i / 251);
        for (int i = 0; i < N; i++) {
            const int column = i % COLUMNS, row = i / COLUMNS % ROWS, batch = i / COLUMNS / ROWS;
            const size_t at = (size_t)(batch * ROWS * COLUMNS + column * ROWS + row);
            memcpy(expected + (size_t)i * size, elements + at * size, size);
        }
        assert_ok(nnf_tensor_from_data(&tensor, dtypes[t], 1, (int64_t[]){N}, elements));
        assert_ok(nnf_tensor_view(&turned, tensor, 3, shape, strides, 0));
        for (int64_t first = 0; first < N; first += 3)
            for (int64_t n = 1; first + n <= N; n += 11) {
                assert_ok(nnf_tensor_read(turned, first, n, found));
                assert_memory_equal(found, expected + (size_t)first * size, (size_t)n * size);
            }
        nnf_tensor_release(turned);
        nnf_tensor_release(tensor);
    }
}

static void views_have_strides(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(12), *turned, *packed, *backwards, *repeated;
    assert_ok(nnf_tensor_view(&turned, tensor, 2, (int64_t[]){4, 3}, (int64_t[]){1, 4}, 0));
    assert_false(nnf_tensor_is_contiguous(turned));
    const int32_t expected[12] = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11};
    int32_t found[12];
    for (int64_t first = 0; first < 12; first++) {
        assert_ok(nnf_tensor_read(turned, first, 12 - first, found));
        assert_memory_equal(found, expected + first, (size_t)(12 - first) * sizeof *found);
    }
    assert_ok(nnf_tensor_contiguous(&packed, turned));
    assert_ok(nnf_tensor_read(packed, 0, 12, found));
    assert_memory_equal(found, expected, sizeof found);
    assert_ok(nnf_tensor_view(&backwards, tensor, 1, (int64_t[]){12}, (int64_t[]){-1}, 11));
    assert_int_equal(element(backwards, 2), 9);
    assert_ok(nnf_tensor_view(&repeated, tensor, 2, (int64_t[]){5, 1}, (int64_t[]){0, 7}, 3));
    assert_int_equal(element(repeated, 4), 3);
    set(repeated, 4, 77); /* it gets elements of its own */
    assert_int_equal(element(repeated, 3), 3);
    assert_int_equal(element(tensor, 3), 3);
    nnf_tensor *all[] = {tensor, turned, packed, backwards, repeated};
    for (int i = 0; i < 5; i++)
        nnf_tensor_release(all[i]);
}

static void a_views_offset_counts_from_its_tensor(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(12), *slice, *inner;
    assert_ok(nnf_tensor_view(&slice, tensor, 2, (int64_t[]){2, 3}, NULL, 6));
    assert_true(nnf_tensor_is_contiguous(slice));
    assert_ok(nnf_tensor_view(&inner, slice, 1, (int64_t[]){6}, NULL, 0));
    assert_int_equal(element(inner, 0), 6);
    nnf_tensor_release(inner);
    assert_ok(nnf_tensor_view(&inner, slice, 1, (int64_t[]){1}, NULL, -6));
    assert_int_equal(element(inner, 0), 0);
    nnf_tensor_release(inner);
    nnf_tensor_release(slice);
    nnf_tensor_release(tensor);
}

/* The other dimensions may multiply to more than there are numbers for. */
static void a_view_without_elements_is_contiguous(void **state) {
    (void)state;
    nnf_tensor *tensor = NULL, *view = NULL;
    const int64_t shape[] = {0, INT64_C(1) << 62, 4}, strides[] = {7, 5, 3};
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, 1, (const int64_t[]){0}));
    for (int i = 0; i < 2; i++) {
        assert_ok(nnf_tensor_view(&view, tensor, 3, shape, i ? strides : NULL, 0));
        assert_true(nnf_tensor_is_contiguous(view));
        nnf_tensor_release(view);
    }
    nnf_tensor_release(tensor);
}

static void views_that_leave_the_storage_are_refused(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(12), *turned, *view = NULL;
    static const struct {
        int64_t shape[2], strides[2], offset;
    } bad[] = {
        {{4, 3}, {1, 4}, 1},         {{4, 4}, {1, 4}, 0},          {{1, 1}, {1, 1}, 12},
        {{1, 1}, {1, 1}, -1},        {{2, 1}, {-1, 1}, 0},         {{2, 2}, {INT64_MIN, 1}, 0},
        {{2, 2}, {INT64_MAX, 1}, 0}, {{1LL << 40, 1}, {11, 1}, 0}, {{1, 1}, {1, 1}, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(nnf_tensor_view(&view, tensor, 2, bad[i].shape, bad[i].strides, bad[i].offset),
                     NNF_ERROR_SHAPE, "12 elements");
    assert_error(nnf_tensor_view(&view, tensor, 1, (int64_t[]){13}, NULL, 0), NNF_ERROR_SHAPE,
                 "[13]");
    assert_ok(nnf_tensor_view(&turned, tensor, 2, (int64_t[]){4, 3}, (int64_t[]){1, 4}, 0));
    assert_error(nnf_tensor_view(&view, turned, 1, (int64_t[]){12}, NULL, 0), NNF_ERROR_SHAPE,
                 "strides");
    assert_null(view);
    nnf_tensor_release(turned);
    nnf_tensor_release(tensor);
}

static void reading_past_the_end_is_refused(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(4);
    int32_t out[4];
    assert_error(nnf_tensor_read(tensor, 2, 3, out), NNF_ERROR_INVALID, "4 elements");
    assert_error(nnf_tensor_read(tensor, -1, 1, out), NNF_ERROR_INVALID, "");
    assert_error(nnf_tensor_read(tensor, 1, INT64_MAX, out), NNF_ERROR_INVALID, "");
    assert_ok(nnf_tensor_read(tensor, 4, 0, out));
    nnf_tensor_release(tensor);
}

static void converting_packs_and_keeps_the_shape(void **state) {
    (void)state;
    nnf_tensor *tensor = count_to(12), *turned, *floats, *same;
    assert_ok(nnf_tensor_view(&turned, tensor, 2, (int64_t[]){4, 3}, (int64_t[]){1, 4}, 0));
    assert_ok(nnf_tensor_convert(&floats, turned, NNF_F16));
    assert_true(nnf_tensor_is_contiguous(floats));
    assert_int_equal(nnf_tensor_shape(floats)[0], 4);
    uint16_t second;
    assert_ok(nnf_tensor_read(floats, 1, 1, &second));
    assert_true(nnf_f16_to_f32(second) == 4.0f);
    assert_ok(nnf_tensor_convert(&same, tensor, NNF_I32));
    assert_ptr_not_equal(same, tensor);
    set(same, 0, 4);
    assert_int_equal(element(tensor, 0), 0);
    nnf_tensor_release(same);
    nnf_tensor_release(floats);
    nnf_tensor_release(turned);
    nnf_tensor_release(tensor);
}

static void shapes_are_written_as_pytorch_does(void **state) {
    (void)state;
    char text[NNFI_SHAPE_TEXT], small[6];
    assert_string_equal(nnfi_shape_text(text, sizeof text, 3, (int64_t[]){1, -1, 224}),
                        "[1, -1, 224]");
    assert_string_equal(nnfi_shape_text(text, sizeof text, 0, NULL), "[]");
    assert_string_equal(nnfi_shape_text(small, sizeof small, 3, (int64_t[]){100, 200, 3}), "[100,");
}

/* The allocation that fails, counted down, and how many are out. */
typedef struct failing {
    int left, out;
} failing;

static void *failing_allocate(size_t size, void *payload) {
    failing *self = payload;
    if (self->left-- <= 0) return NULL;
    self->out++;
    return malloc(size);
}

static void *failing_reallocate(void *old, size_t size, void *payload) {
    failing *self = payload;
    return self->left-- <= 0 ? NULL : realloc(old, size);
}

static void failing_deallocate(void *old, void *payload) {
    failing *self = payload;
    self->out--;
    free(old);
}

/* Everything that allocates, in one go; tensors made on the way are released also where it fails.
 */
static nnf_status use_everything(nnf_tensor **made, nnfi_affine **affine,
                                 const unsigned char *bytes, int *released) {
    const int64_t shape[2] = {4, 3}, turned[2] = {1, 4};
    const double scale[4] = {1, 2, 3, 4};
    const nnfi_channel_view rows = {1, 1, 4, 3}, columns = {1, 3, 4, 1};
    const void *data;
    void *own;
    NNFI_TRY(nnf_tensor_borrow(&made[0], NNF_F32, 2, shape, bytes + 1, count_release, released));
    NNFI_TRY(nnf_tensor_view(&made[1], made[0], 2, shape, turned, 0));
    NNFI_TRY(nnf_tensor_contiguous(&made[2], made[1]));
    NNFI_TRY(nnf_tensor_from_data(&made[9], NNF_F64, 1, shape, scale));
    NNFI_TRY(nnfi_affine_new(affine, 4, made[9], NULL, NULL, NULL, 0.0));
    NNFI_TRY(nnfi_tensor_fold(&made[3], made[0], NNF_F32, &rows, *affine));
    NNFI_TRY(nnfi_tensor_fold(&made[4], made[3], NNF_F32, &rows, *affine));
    NNFI_TRY(nnfi_tensor_fold(&made[5], made[4], NNF_F32, &columns, *affine));
    NNFI_TRY(nnfi_tensor_fold(&made[10], NULL, NNF_F32, NULL, *affine));
    NNFI_TRY(nnf_tensor_copy(&made[6], made[5]));
    NNFI_TRY(nnf_tensor_mut_data(made[6], &own));
    NNFI_TRY(nnf_tensor_convert(&made[7], made[5], NNF_F64));
    NNFI_TRY(nnf_tensor_data(made[3], &data));
    return nnf_tensor_from_data(&made[8], NNF_F32, 2, shape, data);
}

static void failing_allocations_leak_nothing(void **state) {
    (void)state;
    enum { MADE = 11 };
    static unsigned char bytes[4 * 12 + 1];
    nnf_status status = NNF_ERROR_MEMORY;
    int tries = 0;
    for (; status != NNF_OK && tries < 1000; tries++) {
        failing self = {tries, 0};
        nnf_library_options options = {.allocate = failing_allocate,
                                       .reallocate = failing_reallocate,
                                       .deallocate = failing_deallocate,
                                       .allocator_payload = &self};
        nnf_tensor *made[MADE] = {NULL};
        nnfi_affine *affine = NULL;
        int released = 0;
        assert_ok(nnf_library_set_options(&options));
        status = use_everything(made, &affine, bytes, &released);
        bool borrowed = made[0] != NULL;
        for (int i = 0; i < MADE; i++)
            nnf_tensor_release(made[i]);
        nnfi_affine_release(affine);
        assert_ok(nnf_library_set_options(NULL));
        assert_true(status == NNF_OK || status == NNF_ERROR_MEMORY);
        assert_int_equal(self.out, 0);
        assert_int_equal(released, borrowed ? 1 : 0);
    }
    assert_int_equal(status, NNF_OK);
    assert_true(tries > 20);
}

TEST_MAIN(cmocka_unit_test(new_tensors_are_zeros),
          cmocka_unit_test(scalars_and_empty_tensors_exist),
          cmocka_unit_test(shapes_that_cannot_be_are_refused),
          cmocka_unit_test(copies_share_until_one_is_written),
          cmocka_unit_test(tied_tensors_see_each_others_writes),
          cmocka_unit_test(borrowed_bytes_are_released_once_and_never_written),
          cmocka_unit_test(unaligned_bytes_become_aligned_once),
          cmocka_unit_test(transposed_parts_are_read), cmocka_unit_test(views_have_strides),
          cmocka_unit_test(a_views_offset_counts_from_its_tensor),
          cmocka_unit_test(a_view_without_elements_is_contiguous),
          cmocka_unit_test(views_that_leave_the_storage_are_refused),
          cmocka_unit_test(reading_past_the_end_is_refused),
          cmocka_unit_test(converting_packs_and_keeps_the_shape),
          cmocka_unit_test(shapes_are_written_as_pytorch_does),
          cmocka_unit_test(failing_allocations_leak_nothing))
