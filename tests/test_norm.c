/* Normalizations by the input's own statistics: what their infer refuses. Values are tested by
 * test_operators. */
#include "layer_support.h"
#include "nn/nn_internal.h"

static void scale_and_bias_have_the_inputs_dtype(void **state) {
    (void)state;
    const nnf_norm_options options = {.axis = -1, .eps = 1e-5, .centred = true};
    const nnfi_lifted_options lifted = {.as.norm = options};
    static const char *const names[] = {"LayerNorm", "RMSNorm"};
    for (int i = 0; i < 4; i++) {
        const char *name = names[i % 2];
        nnf_module *module = NULL;
        if (i < 2)
            module = new_module(name, &options);
        else
            assert_ok(nnf_module_new(&module, nnfi_lifted_type(name), &lifted));
        assert_error(INFER_STATUS(module, 2, INFO(NNF_F64, D(1), D(8)), INFO(NNF_F32, D(8))),
                     NNF_ERROR_DTYPE, name, "float64 and float32");
        assert_error(INFER_STATUS(module, 2, INFO(NNF_F32, D(1), D(8)), INFO(NNF_F64, D(8))),
                     NNF_ERROR_DTYPE, "float32 and float64");
        assert_error(INFER_STATUS(module, 3, INFO(NNF_F32, D(1), D(8)), INFO(NNF_F32, D(8)),
                                  INFO(NNF_F64, D(8))),
                     NNF_ERROR_DTYPE, "float32 and float64");
        CHECK_INFER(module, "float32 [1, 8]", INFO(NNF_DTYPE_UNKNOWN, D(1), D(8)),
                    INFO(NNF_F32, D(8)));
        nnf_module_release(module);
    }
}

/* groups 0 stands for a group for each channel, and so does a scale of groups then. */
static void a_scale_of_groups_is_as_long_as_there_are_groups(void **state) {
    (void)state;
    nnf_norm_options options = {.eps = 1e-5, .scale_of_groups = true};
    nnf_module *each = new_module("GroupNorm", &options);
    options.groups = 2;
    nnf_module *two = new_module("GroupNorm", &options);
    assert_error(INFER_STATUS(each, 3, INFO(NNF_F32, D(1), D(4), D(3)), INFO(NNF_F32, D(0)),
                              INFO(NNF_F32, D(0))),
                 NNF_ERROR_SHAPE, "float32 [0] for 4 channels");
    CHECK_INFER(each, "float32 [1, 4, 3]", INFO(NNF_F32, D(1), D(4), D(3)), INFO(NNF_F32, D(4)),
                INFO(NNF_F32, D(4)));
    CHECK_INFER(two, "float32 [1, 4, 3]", INFO(NNF_F32, D(1), D(4), D(3)), INFO(NNF_F32, D(2)),
                INFO(NNF_F32, D(2)));
    nnf_module_release(each);
    nnf_module_release(two);
}

TEST_MAIN(cmocka_unit_test(scale_and_bias_have_the_inputs_dtype),
          cmocka_unit_test(a_scale_of_groups_is_as_long_as_there_are_groups))
