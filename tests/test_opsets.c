/* What a file of one opset can say: every row of the operator tables, in every opset, with each of
 * its options changed, is written and read back as it was, or refused. Which operator has which
 * attribute when comes from ONNX's own schemas (opsets.golden). */
#include <inttypes.h>
#include <string.h>

#include "formats/onnx/ops.h"
#include "test_support.h"

enum { FIRST = 7, LAST = 28, OPSETS = LAST - FIRST + 1 };

static const nnfi_onnx_table *const tables[] = {&nnfi_onnx_layers, &nnfi_onnx_elementwise,
                                                &nnfi_onnx_tensors};

/* ---- What ONNX says ---- */

/* The AttributeProto.type; 0: the operator has none of that name in the opset. */
static int64_t onnx_type(const golden *file, const char *op, const char *attribute, int opset) {
    int64_t types[OPSETS] = {0};
    if (!golden_has(file, "%s.%s", op, attribute)) return 0;
    golden_integers(file, types, OPSETS, "%s.%s", op, attribute);
    return types[opset - FIRST];
}

static int64_t onnx_inputs(const golden *file, const char *op, int opset, bool most) {
    int64_t inputs[2 * OPSETS];
    golden_integers(file, inputs, 2 * (size_t)OPSETS, "%s", op);
    return inputs[2 * (opset - FIRST) + most];
}

/* Values of attributes that are younger than the attribute (the operators' documentation). */
static const struct {
    const char *op, *attribute;
    int value, since;
} words[] = {
    {"Pad", "mode", NNF_PAD_WRAP, 19},
    {"ScatterElements", "reduction", NNF_SCATTER_MIN, 18},
    {"ScatterElements", "reduction", NNF_SCATTER_MAX, 18},
    {"ScatterND", "reduction", NNF_SCATTER_MIN, 18},
    {"ScatterND", "reduction", NNF_SCATTER_MAX, 18},
    {"Resize", "coordinate_transformation_mode", NNF_RESIZE_HALF_PIXEL_SYMMETRIC, 19},
    {"Resize", "mode", NNF_RESIZE_CUBIC, 11},
    {"Upsample", "mode", NNF_RESIZE_CUBIC, 99},
};

static bool has_word(const nnfi_onnx_op *op, const char *attribute, int value, int opset) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].op, op->op_type) && !strcmp(words[i].attribute, attribute) &&
            words[i].value == value)
            return opset >= words[i].since;
    return true;
}

/* ---- A model with one call ---- */

static const char *type_of(const nnfi_onnx_op *op) {
    static char type[64];
    snprintf(type, sizeof type, "%s", op->type);
    for (char *at = type; *at; at++)
        if (*at == '#') *at = '2';
    return type;
}

static void set(nnf_module *module, const char *name, int ndim, const int64_t *shape) {
    nnf_tensor *tensor;
    assert_ok(nnf_tensor_new(&tensor, NNF_F32, ndim, shape));
    assert_ok(nnf_module_set_parameter(module, name, tensor));
    nnf_tensor_release(tensor);
}

/* Tensors without which a node is not read as the layer. */
static void set_tensors(nnf_module *module, const nnfi_options *options) {
    const char *type = nnf_module_type_name(module);
    const int64_t *kernel = options->conv.kernel_size;
    if (!strncmp(type, "Conv", 4) && strlen(type) > 5 && type[strlen(type) - 1] == 'd')
        set(module, "weight", 4,
            (const int64_t[]){2, 2 / options->conv.groups, kernel[0], kernel[1]});
    if (!strncmp(type, "BatchNorm", 9)) {
        set(module, "weight", 1, (const int64_t[]){2});
        set(module, "bias", 1, (const int64_t[]){2});
        nnf_tensor *ones = nnf_module_tensor(module, "weight");
        assert_ok(nnf_module_set_buffer(module, "running_mean", ones));
        assert_ok(nnf_module_set_buffer(module, "running_var", ones));
    }
    if (!strcmp(type, "Constant")) set(module, "value", 1, (const int64_t[]){2});
}

/* The operator's defaults, complete. */
static nnfi_options usual_options(const nnfi_onnx_op *op) {
    nnfi_options options;
    memset(&options, 0, sizeof options);
    if (op->defaults) memcpy(&options, op->defaults, op->options_size);
    const char *type = op->type;
    if (strchr(type, '#')) options.spatial = 2;
    if (!strncmp(type, "Conv", 4) && strchr(type, '#')) {
        options.conv.in_channels = options.conv.out_channels = 2;
        options.conv.kernel_size[0] = options.conv.kernel_size[1] = 3;
        options.conv.stride[0] = options.conv.stride[1] = 3; /* more than an output padding */
    }
    if (!strncmp(type, "BatchNorm", 9)) options.batchnorm.num_features = 2;
    for (const nnfi_attribute_row *row = op->attributes; row->name; row++) { /* what must be said */
        char *at = (char *)&options + row->offset;
        if (!row->required) continue;
        if (row->kind == NNFI_ATTRIBUTE_INT) *(int64_t *)(void *)at = 1;
        if (row->kind == NNFI_ATTRIBUTE_SPATIAL)
            ((int64_t *)(void *)at)[0] = ((int64_t *)(void *)at)[1] = 2;
        if (row->kind == NNFI_ATTRIBUTE_LIST || row->kind == NNFI_ATTRIBUTE_PAD_LIST)
            *(int *)(void *)((char *)&options + row->count) = 2;
        if (row->kind == NNFI_ATTRIBUTE_DTYPE) *(nnf_dtype *)(void *)at = NNF_F32;
    }
    return options;
}

/* Dtypes of the first input and of the others, one of which every layer takes. */
static const nnf_dtype dtypes[][2] = {
    {NNF_F32, NNF_F32},   {NNF_F32, NNF_I64}, {NNF_I64, NNF_I64},
    {NNF_BOOL, NNF_BOOL}, {NNF_U8, NNF_U8},   {NNF_BOOL, NNF_F32},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

/* x0 ... -> m, of the operator's type. */
static nnf_module *new_model(const nnfi_onnx_op *op, const nnfi_options *options, int64_t n,
                             const nnf_dtype of[2]) {
    nnf_module *graph, *module;
    nnf_value inputs[8], output;
    const nnf_module_type *type = nnf_type(type_of(op));
    assert_ok(nnf_graph_new(&graph));
    assert_ok(nnf_module_new(&module, type, type->options_size ? options : NULL));
    set_tensors(module, options);
    assert_ok(nnf_module_set(graph, "m", module));
    for (int64_t i = 0; i < n; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", (int)i);
        const nnf_type_info info = {.dtype = of[i > 0], .ndim = -1, .n_values = -1};
        assert_ok(nnf_graph_add_input(graph, &inputs[i], name, &info));
    }
    assert_ok(nnf_graph_add_call(graph, "m", inputs, (size_t)n, NULL, &output, 1));
    assert_ok(nnf_graph_add_output(graph, output));
    nnf_module_eval(graph);
    nnf_module_release(module);
    return graph;
}

/* The model's bytes; NULL where it is refused, with a sentence that names the operator. */
static uint8_t *save_with(const nnfi_onnx_op *op, const nnfi_options *options, int opset, int64_t n,
                          size_t *size) {
    const nnf_onnx_save_options saving = {.opset = opset};
    for (int i = 0; i < N_DTYPES; i++) {
        nnf_module *graph = new_model(op, options, n, dtypes[i]);
        void *bytes = NULL;
        nnf_status status = nnf_onnx_save_memory(graph, &bytes, size, &saving);
        nnf_module_release(graph);
        if (status == NNF_OK) return bytes;
        if (status == NNF_ERROR_UNSUPPORTED && strstr(nnf_error_message(), "'m' (")) return NULL;
    }
    fail_msg("%s of opset %d: %s", op->op_type, opset, nnf_error_message());
    return NULL;
}

static uint8_t *save(const golden *file, const nnfi_onnx_op *op, const nnfi_options *options,
                     int opset, size_t *size) {
    int64_t n = onnx_inputs(file, op->op_type, opset, false);
    bool has_slots = !strncmp(op->type, "BatchNorm", 9) ||
                     (!strncmp(op->type, "Conv", 4) && strchr(op->type, '#'));
    if (!strcmp(op->op_type, "Resize") && opset >= 11) n = 3; /* with scales */
    return save_with(op, options, opset, has_slots ? 1 : n, size);
}

static nnf_module *load(const uint8_t *bytes, size_t size) {
    nnf_module *graph;
    assert_ok(nnf_onnx_load_memory(&graph, bytes, size, NULL));
    assert_int_equal(nnf_graph_n_calls(graph), 1);
    return graph;
}

/* ---- Options that are not the usual ones ---- */

static void change(const nnfi_attribute_row *row, nnfi_options *options, int value) {
    char *at = (char *)options + row->offset;
    int64_t *ints = (int64_t *)(void *)at;
    double *number = (double *)(void *)at;
    switch (row->kind) {
    case NNFI_ATTRIBUTE_INT:
        *ints = *ints == 2 || *ints == INT64_MAX ? 1 : *ints + 1;
        break;
    case NNFI_ATTRIBUTE_BOOL:
        *at = !*at;
        break;
    case NNFI_ATTRIBUTE_FLOAT:
    case NNFI_ATTRIBUTE_MOMENTUM:
        *number = 0.25;
        break;
    case NNFI_ATTRIBUTE_LIST:
    case NNFI_ATTRIBUTE_PAD_LIST:
        *(int *)(void *)((char *)options + row->count) = 2;
        ints[0] = 1, ints[1] = 0;
        break;
    case NNFI_ATTRIBUTE_SPATIAL:
        ints[0] = ints[1] = 2;
        break;
    case NNFI_ATTRIBUTE_PADS:
        ints[0] = ints[1] = ints[NNF_MAX_SPATIAL] = ints[NNF_MAX_SPATIAL + 1] = 1;
        break;
    case NNFI_ATTRIBUTE_DTYPE:
        *(nnf_dtype *)(void *)at = NNF_I64;
        break;
    case NNFI_ATTRIBUTE_FIXED:
        *at ^= 1;
        break;
    default: /* a word */
        memcpy(at, &value, sizeof value);
        break;
    }
}

static bool is_word(nnfi_attribute_kind kind) {
    return kind >= NNFI_ATTRIBUTE_AUTO_PAD && kind < NNFI_ATTRIBUTE_DTYPE;
}

static bool is_option(const nnfi_attribute_row *row) {
    return row->kind != NNFI_ATTRIBUTE_ONE && row->kind != NNFI_ATTRIBUTE_ANY &&
           !(row->kind >= NNFI_ATTRIBUTE_VALUE && row->kind <= NNFI_ATTRIBUTE_VALUE_INTS);
}

/* Whether the options say the same, as far as this attribute goes. */
static bool same(const nnfi_attribute_row *row, const void *a, const void *b) {
    const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
    double p, q;
    switch (row->kind) {
    case NNFI_ATTRIBUTE_BOOL:
        return *x == *y;
    case NNFI_ATTRIBUTE_FLOAT:
    case NNFI_ATTRIBUTE_MOMENTUM:
        memcpy(&p, x, sizeof p);
        memcpy(&q, y, sizeof q);
        return (float)p == (float)q;
    case NNFI_ATTRIBUTE_LIST:
    case NNFI_ATTRIBUTE_PAD_LIST:
    case NNFI_ATTRIBUTE_SPATIAL:
    case NNFI_ATTRIBUTE_PADS:
        return !memcmp(x, y, 2 * sizeof(int64_t));
    case NNFI_ATTRIBUTE_INT:
        return !memcmp(x, y, sizeof(int64_t));
    default:
        return !memcmp(x, y, sizeof(int));
    }
}

typedef struct counts {
    int kept, refused;
} counts;

static void check(const golden *file, const nnfi_onnx_op *op, const nnfi_attribute_row *row,
                  int opset, int value, counts *n) {
    nnfi_options options = usual_options(op);
    bool usual = is_word(row->kind) && !row->required &&
                 !memcmp((char *)&options + row->offset, &value, sizeof value);
    change(row, &options, value);
    size_t size;
    uint8_t *bytes = save(file, op, &options, opset, &size);
    bool sayable = row->kind != NNFI_ATTRIBUTE_FIXED &&
                   (usual || onnx_type(file, op->op_type, row->name, opset) != 0) &&
                   has_word(op, row->name, value, opset);
    if (!bytes) {
        n->refused++;
        /* numbers that stand for no word are refused as well */
        if (sayable && !is_word(row->kind))
            fail_msg("%s of opset %d has '%s', but: %s", op->op_type, opset, row->name,
                     nnf_error_message());
        return;
    }
    if (!sayable) fail_msg("%s of opset %d has no '%s' (%d)", op->op_type, opset, row->name, value);
    nnf_module *graph = load(bytes, size), *module = nnf_graph_call_module(graph, 0);
    if (strcmp(nnf_module_type_name(module), type_of(op)) != 0 ||
        !same(row, nnf_module_options(module), &options))
        fail_msg("%s of opset %d: '%s' (%d) is another one in the file, or the %s became a %s",
                 op->op_type, opset, row->name, value, type_of(op), nnf_module_type_name(module));
    n->kept++;
    nnf_module_release(graph);
    nnf_free(bytes);
}

/* Calls `visit` for each row that serves an opset and writes its type there. */
static void each_row(const golden *file,
                     void (*visit)(const golden *file, const nnfi_onnx_op *op, int opset,
                                   counts *n),
                     counts *n) {
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < tables[t]->n; i++) {
            const nnfi_onnx_op *op = &tables[t]->ops[i];
            int last = op->last_opset < LAST ? op->last_opset : LAST;
            for (int opset = op->first_opset; opset <= last; opset++)
                if (nnfi_onnx_op_of_type(type_of(op), opset) == op) visit(file, op, opset, n);
        }
}

static void check_options(const golden *file, const nnfi_onnx_op *op, int opset, counts *n) {
    if (!strcmp(op->type, "Flatten")) return; /* its node is written by rank */
    for (const nnfi_attribute_row *row = op->attributes; row->name; row++) {
        if (!is_option(row)) continue;
        for (int value = 0; value < (is_word(row->kind) ? 8 : 1); value++)
            check(file, op, row, opset, value, n);
    }
}

static void what_is_written_is_what_the_opset_means(void **state) {
    (void)state;
    golden *file = golden_open("opsets");
    counts n = {0};
    each_row(file, check_options, &n);
    print_message("%d kept, %d refused\n", n.kept, n.refused);
    assert_true(n.kept > 1000 && n.refused > 500);
    golden_close(file);
}

/* ---- The tables themselves ---- */

static void check_names(const golden *file, const nnfi_onnx_op *op, int opset, counts *n) {
    if (onnx_inputs(file, op->op_type, opset, false) < 0)
        fail_msg("there is no %s in opset %d", op->op_type, opset);
    for (const nnfi_attribute_row *row = op->attributes; row->name; row++) {
        if (row->kind == NNFI_ATTRIBUTE_FIXED) continue;
        bool is_there = row->since <= opset;
        if (is_there != (onnx_type(file, op->op_type, row->name, opset) != 0))
            fail_msg("%s of opset %d: '%s'", op->op_type, opset, row->name);
        n->kept++;
    }
}

static void attributes_are_as_old_as_the_tables_say(void **state) {
    (void)state;
    golden *file = golden_open("opsets");
    counts n = {0};
    each_row(file, check_names, &n);
    golden_close(file);
}

/* ---- Reading ---- */

/* Behind a field of the attribute of that name: its type's byte. */
static uint8_t *find_type(uint8_t *bytes, size_t size, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i + length + 3 < size; i++) {
        if (bytes[i] != 0x0a || bytes[i + 1] != length || memcmp(bytes + i + 2, name, length))
            continue;
        for (size_t k = i + 2 + length; k + 2 < size && k < i + 200; k++)
            if (bytes[k] == 0xa0 && bytes[k + 1] == 0x01) return bytes + k + 2;
    }
    return NULL;
}

static void check_types(const golden *file, const nnfi_onnx_op *op, int opset, counts *n) {
    for (const nnfi_attribute_row *row = op->attributes; row->name; row++) {
        if (!is_option(row) || row->kind == NNFI_ATTRIBUTE_FIXED || !strcmp(op->type, "Flatten"))
            continue;
        nnfi_options options = usual_options(op);
        change(row, &options, 1);
        size_t size;
        uint8_t *bytes = save(file, op, &options, opset, &size);
        uint8_t *type = bytes ? find_type(bytes, size, row->name) : NULL;
        if (type) {
            if (*type != onnx_type(file, op->op_type, row->name, opset))
                fail_msg("%s of opset %d: '%s' is of type %d", op->op_type, opset, row->name,
                         *type);
            for (uint8_t other = 1; other < 8; other++) {
                if (other == onnx_type(file, op->op_type, row->name, opset)) continue;
                *type = other;
                nnf_module *graph = load(bytes, size);
                const char *loaded = nnf_module_type_name(nnf_graph_call_module(graph, 0));
                if (strcmp(loaded, "Opaque") != 0)
                    fail_msg("%s of opset %d: '%s' of type %d was taken", op->op_type, opset,
                             row->name, other);
                nnf_module_release(graph);
            }
            n->kept++;
        }
        nnf_free(bytes);
    }
}

static void an_attribute_of_another_type_makes_the_node_opaque(void **state) {
    (void)state;
    golden *file = golden_open("opsets");
    counts n = {0};
    each_row(file, check_types, &n);
    assert_true(n.kept > 300);
    golden_close(file);
}

/* The opset of a model is one byte. */
static void set_opset(uint8_t *bytes, size_t size, int from, int to) {
    for (size_t i = 0; i + 5 < size; i++)
        if (bytes[i] == 0x42 && bytes[i + 1] <= 4 && bytes[i + 1 + bytes[i + 1]] == from) {
            bytes[i + 1 + bytes[i + 1]] = (uint8_t)to;
            return;
        }
    fail_msg("no opset in the file");
}

static void an_attribute_before_its_time_makes_the_node_opaque(void **state) {
    (void)state;
    golden *file = golden_open("opsets");
    static const struct {
        const char *op, *attribute;
        int value, since;
    } cases[] = {{"Shape", "end", 0, 15},
                 {"ArgMax", "select_last_index", 0, 12},
                 {"ScatterElements", "reduction", NNF_SCATTER_ADD, 16},
                 {"ScatterElements", "reduction", NNF_SCATTER_MAX, 18},
                 {"Pad", "mode", NNF_PAD_WRAP, 19},
                 {"Reshape", "allowzero", 0, 14},
                 {"Split", "num_outputs", 0, 18},
                 {"Resize", "antialias", 0, 18},
                 {"AveragePool", "dilations", 0, 19}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int opset = cases[i].since;
        const nnfi_onnx_op *op = nnfi_onnx_op_find(cases[i].op, strlen(cases[i].op), opset);
        const nnfi_attribute_row *row = op->attributes;
        while (strcmp(row->name, cases[i].attribute) != 0)
            row++;
        nnfi_options options = usual_options(op);
        change(row, &options, cases[i].value);
        size_t size;
        uint8_t *bytes = save(file, op, &options, opset, &size);
        assert_non_null(bytes);
        set_opset(bytes, size, opset, opset - 1);
        nnf_module *graph = load(bytes, size);
        assert_string_equal(nnf_module_type_name(nnf_graph_call_module(graph, 0)), "Opaque");
        nnf_module_release(graph);
        nnf_free(bytes);
    }
    golden_close(file);
}

/* ---- Inputs ---- */

/* ReduceMean's axes are an input since opset 18, and so on: with one input more than the operator
 * has, a node is refused. */
static void check_inputs(const golden *file, const nnfi_onnx_op *op, int opset, counts *n) {
    int64_t most = onnx_inputs(file, op->op_type, opset, true);
    const nnfi_options options = usual_options(op);
    size_t size;
    if (most >= onnx_inputs(file, op->op_type, LAST, true)) return;
    if (save_with(op, &options, opset, most + 1, &size))
        fail_msg("%s of opset %d has %d inputs, not one more", op->op_type, opset, (int)most);
    n->refused++;
}

static void an_input_before_its_time_is_refused(void **state) {
    (void)state;
    golden *file = golden_open("opsets");
    counts n = {0};
    each_row(file, check_inputs, &n);
    assert_true(n.refused > 50);
    golden_close(file);
}

TEST_MAIN(cmocka_unit_test(what_is_written_is_what_the_opset_means),
          cmocka_unit_test(attributes_are_as_old_as_the_tables_say),
          cmocka_unit_test(an_attribute_of_another_type_makes_the_node_opaque),
          cmocka_unit_test(an_attribute_before_its_time_makes_the_node_opaque),
          cmocka_unit_test(an_input_before_its_time_is_refused))
