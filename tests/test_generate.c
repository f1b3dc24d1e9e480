/* Range with bounds that no double can tell apart. Other values are tested by test_operators. */
#include "layer_support.h"

static nnf_tensor *integer(int64_t value) {
    nnf_tensor *tensor = NULL;
    assert_ok(nnf_tensor_from_data(&tensor, NNF_I64, 0, NULL, &value));
    return tensor;
}

static nnf_type_info known_integer(int64_t value) {
    nnf_type_info info = make_info(NNF_I64, NULL, 0);
    assert_ok(nnf_type_info_set_values(&info, (const nnf_dim[]){D(value)}, 1));
    return info;
}

/* What forward gives, or its error. */
static nnf_status range(nnf_tensor **y, int64_t start, int64_t limit, int64_t delta) {
    nnf_module *module = new_module("Range", NULL);
    nnf_tensor *x[3] = {integer(start), integer(limit), integer(delta)};
    *y = NULL;
    nnf_status status = nnf_module_forward(module, x, 3, y, 1);
    for (int i = 0; i < 3; i++)
        nnf_tensor_release(x[i]);
    nnf_module_release(module);
    return status;
}

/* ONNX: max(ceil((limit - start) / delta), 0) elements, start + i * delta. */
static void integers_are_counted_exactly(void **state) {
    (void)state;
    static const int64_t large = 1700000000000000000, quarter = (int64_t)1 << 62;
    static const struct {
        int64_t start, limit, delta, n, last;
    } cases[] = {{large, large + 100, 1, 100, large + 99},
                 {-large, -large - 7, -2, 4, -large - 6},
                 {INT64_MIN, INT64_MAX, quarter, 4, quarter},
                 {INT64_MAX, INT64_MIN, -quarter, 4, -quarter - 1},
                 {INT64_MAX, INT64_MIN, INT64_MIN, 2, -1},
                 {INT64_MAX - 1, INT64_MAX, INT64_MAX, 1, INT64_MAX - 1},
                 {5, 5, 1, 0, 0},
                 {5, 4, 1, 0, 0},
                 {4, 5, -1, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnf_tensor *y;
        const void *data;
        assert_ok(range(&y, cases[i].start, cases[i].limit, cases[i].delta));
        assert_int_equal(nnf_tensor_numel(y), cases[i].n);
        assert_ok(nnf_tensor_data(y, &data));
        if (cases[i].n > 0)
            assert_int_equal(((const int64_t *)data)[cases[i].n - 1], cases[i].last);
        nnf_tensor_release(y);
    }
}

static void infer_counts_as_forward_does(void **state) {
    (void)state;
    nnf_module *module = new_module("Range", NULL);
    const int64_t large = 1700000000000000000;
    CHECK_INFER(module, "int64 [100]", known_integer(large), known_integer(large + 100),
                known_integer(1));
    CHECK_INFER(module, "int64 [2] = 9223372036854775807, -1", known_integer(INT64_MAX),
                known_integer(INT64_MIN), known_integer(INT64_MIN));
    assert_error(INFER_STATUS(module, 3, known_integer(1), known_integer(1), known_integer(0)),
                 NNF_ERROR_INVALID, "Range from 1 to 1 by 0 has no end");
    nnf_module_release(module);
}

static void ranges_that_cannot_be(void **state) {
    (void)state;
    nnf_tensor *y;
    assert_error(range(&y, 0, 1, 0), NNF_ERROR_INVALID, "Range from 0 to 1 by 0 has no end");
    assert_error(range(&y, INT64_MIN, INT64_MAX, 1), NNF_ERROR_INVALID, "too many elements");
}

TEST_MAIN(cmocka_unit_test(integers_are_counted_exactly),
          cmocka_unit_test(infer_counts_as_forward_does), cmocka_unit_test(ranges_that_cannot_be))
