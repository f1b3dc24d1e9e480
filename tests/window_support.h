/* Convolutions and pools from the options and tensors of a golden case. */
#ifndef WINDOW_SUPPORT_H
#define WINDOW_SUPPORT_H

#include "layer_support.h"

static inline void take3(int64_t *to, const int64_t **from) {
    memcpy(to, *from, 3 * sizeof *to);
    *from += 3;
}

static inline nnf_conv_options golden_conv_options(const golden *file, const char *name) {
    int64_t numbers[28];
    const int64_t *at = numbers + 5;
    assert_int_equal(golden_integers(file, numbers, 28, "%s.options", name), 28);
    nnf_conv_options options = {.spatial = (int)numbers[0],
                                .transposed = numbers[1] != 0,
                                .in_channels = numbers[2],
                                .out_channels = numbers[3],
                                .groups = numbers[4],
                                .padding_mode = (nnf_padding_mode)numbers[26],
                                .auto_pad = (nnf_auto_pad)numbers[27]};
    take3(options.kernel_size, &at);
    take3(options.stride, &at);
    take3(options.dilation, &at);
    take3(options.padding_begin, &at);
    take3(options.padding_end, &at);
    take3(options.output_padding, &at);
    take3(options.output_shape, &at);
    return options;
}

static inline void set_golden(nnf_module *module, const golden *file, const char *name,
                              const char *parameter) {
    nnf_tensor *tensor = golden_tensor(file, "%s.%s", name, parameter);
    assert_ok(nnf_module_set_parameter(module, parameter, tensor));
    nnf_tensor_release(tensor);
}

/* The module (released here) on <values>.x against <values>.y. */
static inline void check_x_to_y(const golden *file, const char *values, nnf_module *module,
                                double tolerance) {
    nnf_tensor *x = golden_tensor(file, "%s.x", values), *y = NULL;
    nnf_tensor *expected = golden_tensor(file, "%s.y", values);
    print_message("%s\n", values);
    nnf_module_eval(module);
    assert_ok(nnf_module_forward(module, &x, 1, &y, 1));
    assert_tensors_close(y, expected, tolerance);
    nnf_tensor_release(x);
    nnf_tensor_release(y);
    nnf_tensor_release(expected);
    nnf_module_release(module);
}

static inline void check_conv(const golden *file, const char *name, const char *dtype,
                              double tolerance) {
    char values[96];
    snprintf(values, sizeof values, "%s.%s", name, dtype);
    nnf_conv_options options = golden_conv_options(file, name);
    bool bias = golden_has(file, "%s.bias", values);
    nnf_module *conv = NULL;
    assert_ok(nnf_conv_new(&conv, &options, bias, strcmp(dtype, "f64") ? NNF_F32 : NNF_F64));
    set_golden(conv, file, values, "weight");
    if (bias) set_golden(conv, file, values, "bias");
    check_x_to_y(file, values, conv, tolerance);
}

/* Each case in f32 and f64. */
static inline void check_convs(const char *golden_name, const char *const *names, size_t n) {
    golden *file = golden_open(golden_name);
    for (size_t i = 0; i < n; i++) {
        check_conv(file, names[i], "f32", 1e-6);
        check_conv(file, names[i], "f64", 1e-14);
    }
    golden_close(file);
}
#define CHECK_CONVS(golden_name, ...)                         \
    check_convs((golden_name), (const char *[]){__VA_ARGS__}, \
                sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

#endif
