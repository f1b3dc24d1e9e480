/* Attributes to options and back, as the rows of ops.c say. */
#include <string.h>

#include "formats/onnx/ops.h"
#include "support/memory.h"

/* An AttributeProto. */
typedef struct attribute {
    nnfi_reader reader; /* at its beginning */
    nnfi_span name, s, t;
    int64_t type, i;
    float f;
    bool has_t, is_reference;
} attribute;

static nnf_status read_attribute(attribute *out, const nnfi_reader *node, nnfi_span span) {
    nnfi_reader reader;
    nnfi_field field;
    NNFI_TRY(nnfi_reader_enter(&reader, node, span, node->place, node->index));
    *out = (attribute){.reader = reader};
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == ATTRIBUTE_NAME && field.type == NNFI_WIRE_BYTES) {
            out->name = field.bytes;
        } else if (field.number == ATTRIBUTE_S && field.type == NNFI_WIRE_BYTES) {
            out->s = field.bytes;
        } else if (field.number == ATTRIBUTE_T && field.type == NNFI_WIRE_BYTES) {
            out->t = field.bytes;
            out->has_t = true;
        } else if (field.number == ATTRIBUTE_F && field.type == NNFI_WIRE_FIXED32) {
            out->f = nnfi_wire_float(field.value);
        } else if (field.number == ATTRIBUTE_I && field.type == NNFI_WIRE_VARINT) {
            out->i = (int64_t)field.value;
        } else if (field.number == ATTRIBUTE_TYPE && field.type == NNFI_WIRE_VARINT) {
            out->type = (int64_t)field.value;
        } else if (field.number == ATTRIBUTE_REF_NAME) {
            out->is_reference = true;
        }
    }
}

/* ---- Lists of integers ---- */

enum { MAX_INTS = 2 * NNF_MAX_DIMS };

typedef struct int_list {
    int64_t values[MAX_INTS];
    int n; /* MAX_INTS + 1: more than that */
} int_list;

static nnf_status take_int(void *payload, uint64_t bits) {
    int_list *list = payload;
    if (list->n < MAX_INTS) list->values[list->n] = (int64_t)bits;
    if (list->n <= MAX_INTS) list->n++;
    return NNF_OK;
}

static nnf_status read_numbers(const attribute *a, uint32_t number, uint32_t wire_type,
                               nnf_status (*take)(void *, uint64_t), void *payload) {
    nnfi_reader reader = a->reader;
    nnfi_field field;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != number) continue;
        NNFI_TRY(nnfi_reader_numbers(&reader, &field, wire_type, take, payload));
    }
}

/* How many numbers a list in the options struct has room for. */
static int room_of(const nnfi_attribute_row *row) {
    return row->kind == NNFI_ATTRIBUTE_PAD_LIST ? 2 * NNF_MAX_DIMS
           : row->kind == NNFI_ATTRIBUTE_LIST   ? NNF_MAX_DIMS
                                                : NNF_MAX_SPATIAL;
}

/* Every list of a kernel's geometry has one number for each spatial axis. */
static bool agree_on_spatial(nnfi_node_call *call, int n) {
    if (n < 1 || n > NNF_MAX_SPATIAL || (call->spatial != 0 && call->spatial != n)) return false;
    call->spatial = n;
    return true;
}

static bool store_ints(nnfi_node_call *call, char *options, const nnfi_attribute_row *row,
                       const int_list *list) {
    int64_t *to = (int64_t *)(void *)(options + row->offset);
    int half = list->n / 2;
    switch (row->kind) {
    case NNFI_ATTRIBUTE_SPATIAL:
        if (!agree_on_spatial(call, list->n)) return false;
        memcpy(to, list->values, (size_t)list->n * sizeof *to);
        return true;
    case NNFI_ATTRIBUTE_PADS:
        if (list->n % 2 != 0 || !agree_on_spatial(call, half)) return false;
        memcpy(to, list->values, (size_t)half * sizeof *to);
        memcpy(to + NNF_MAX_SPATIAL, list->values + half, (size_t)half * sizeof *to);
        return true;
    default: {
        int *count = (int *)(void *)(options + row->count);
        if (list->n > room_of(row) || (*count >= 0 && *count != list->n)) return false;
        *count = list->n;
        memcpy(to, list->values, (size_t)list->n * sizeof *to);
        return true;
    }
    }
}

/* ---- Words ---- */

typedef struct word {
    nnfi_attribute_kind kind;
    const char *name;
    int value;
} word;

static const word words[] = {
    {NNFI_ATTRIBUTE_AUTO_PAD, "NOTSET", NNF_AUTO_PAD_NOTSET},
    {NNFI_ATTRIBUTE_AUTO_PAD, "SAME_UPPER", NNF_AUTO_PAD_SAME_UPPER},
    {NNFI_ATTRIBUTE_AUTO_PAD, "SAME_LOWER", NNF_AUTO_PAD_SAME_LOWER},
    {NNFI_ATTRIBUTE_AUTO_PAD, "VALID", NNF_AUTO_PAD_VALID},
    {NNFI_ATTRIBUTE_PAD_MODE, "constant", NNF_PAD_CONSTANT},
    {NNFI_ATTRIBUTE_PAD_MODE, "reflect", NNF_PAD_REFLECT},
    {NNFI_ATTRIBUTE_PAD_MODE, "edge", NNF_PAD_EDGE},
    {NNFI_ATTRIBUTE_PAD_MODE, "wrap", NNF_PAD_WRAP},
    {NNFI_ATTRIBUTE_GELU, "none", NNF_GELU},
    {NNFI_ATTRIBUTE_GELU, "tanh", NNF_GELU_TANH},
    {NNFI_ATTRIBUTE_DIRECTION, "LEFT", NNF_SHIFT_LEFT},
    {NNFI_ATTRIBUTE_REDUCTION, "none", NNF_SCATTER_REPLACE},
    {NNFI_ATTRIBUTE_REDUCTION, "add", NNF_SCATTER_ADD},
    {NNFI_ATTRIBUTE_REDUCTION, "mul", NNF_SCATTER_MUL},
    {NNFI_ATTRIBUTE_REDUCTION, "min", NNF_SCATTER_MIN},
    {NNFI_ATTRIBUTE_REDUCTION, "max", NNF_SCATTER_MAX},
    {NNFI_ATTRIBUTE_BLOCKS, "DCR", NNF_BLOCKS_INSIDE},
    {NNFI_ATTRIBUTE_BLOCKS, "CRD", NNF_BLOCKS_OUTSIDE},
    {NNFI_ATTRIBUTE_RESIZE_MODE, "nearest", NNF_RESIZE_NEAREST},
    {NNFI_ATTRIBUTE_RESIZE_MODE, "linear", NNF_RESIZE_LINEAR},
    {NNFI_ATTRIBUTE_RESIZE_MODE, "cubic", NNF_RESIZE_CUBIC},
    {NNFI_ATTRIBUTE_COORDINATES, "half_pixel", NNF_RESIZE_HALF_PIXEL},
    {NNFI_ATTRIBUTE_COORDINATES, "half_pixel_symmetric", NNF_RESIZE_HALF_PIXEL_SYMMETRIC},
    {NNFI_ATTRIBUTE_COORDINATES, "pytorch_half_pixel", NNF_RESIZE_PYTORCH_HALF_PIXEL},
    {NNFI_ATTRIBUTE_COORDINATES, "align_corners", NNF_RESIZE_ALIGN_CORNERS},
    {NNFI_ATTRIBUTE_COORDINATES, "asymmetric", NNF_RESIZE_ASYMMETRIC},
    {NNFI_ATTRIBUTE_COORDINATES, "tf_crop_and_resize", NNF_RESIZE_CROP},
    {NNFI_ATTRIBUTE_NEAREST, "round_prefer_floor", NNF_RESIZE_PREFER_FLOOR},
    {NNFI_ATTRIBUTE_NEAREST, "round_prefer_ceil", NNF_RESIZE_PREFER_CEIL},
    {NNFI_ATTRIBUTE_NEAREST, "floor", NNF_RESIZE_FLOOR},
    {NNFI_ATTRIBUTE_NEAREST, "ceil", NNF_RESIZE_CEIL},
    {NNFI_ATTRIBUTE_POLICY, "stretch", NNF_RESIZE_STRETCH},
    {NNFI_ATTRIBUTE_POLICY, "not_larger", NNF_RESIZE_NOT_LARGER},
    {NNFI_ATTRIBUTE_POLICY, "not_smaller", NNF_RESIZE_NOT_SMALLER},
    {NNFI_ATTRIBUTE_DIRECTION, "RIGHT", NNF_SHIFT_RIGHT},
};
enum { N_WORDS = sizeof words / sizeof *words };

/* Every enum of options is as wide as an int: its values are small, and none is negative. */
_Static_assert(sizeof(nnf_auto_pad) == sizeof(int) && sizeof(nnf_pad_kind) == sizeof(int) &&
                   sizeof(nnf_activation) == sizeof(int) && sizeof(nnf_binary) == sizeof(int) &&
                   sizeof(nnf_scatter_kind) == sizeof(int) &&
                   sizeof(nnf_blocks_kind) == sizeof(int),
               "words are stored as ints");

static void store_word(char *to, int value) {
    memcpy(to, &value, sizeof value);
}

static int load_word(const char *from) {
    int value;
    memcpy(&value, from, sizeof value);
    return value;
}

static bool is_word(nnfi_attribute_kind kind) {
    return kind >= NNFI_ATTRIBUTE_AUTO_PAD && kind < NNFI_ATTRIBUTE_DTYPE;
}

static bool read_word(char *to, nnfi_attribute_kind kind, const attribute *a,
                      const nnfi_source *source) {
    for (int i = 0; i < N_WORDS; i++) {
        if (words[i].kind != kind || !nnfi_source_equals(source, a->s, words[i].name)) continue;
        store_word(to, words[i].value);
        return true;
    }
    return false;
}

/* ---- The value of a Constant ---- */

typedef struct number_sink {
    int64_t n;
    size_t size;
    uint8_t *data; /* NULL: only count */
} number_sink;

static nnf_status take_number(void *payload, uint64_t bits) {
    number_sink *sink = payload;
    for (size_t i = 0; sink->data && i < sink->size; i++) {
        sink->data[(size_t)sink->n * sink->size + i] = (uint8_t)(bits >> (8 * i));
    }
    sink->n++;
    return NNF_OK;
}

static nnf_status read_list_value(nnf_tensor **out, const attribute *a, nnf_dtype dtype) {
    uint32_t number = dtype == NNF_F32 ? ATTRIBUTE_FLOATS : ATTRIBUTE_INTS;
    uint32_t wire_type = dtype == NNF_F32 ? NNFI_WIRE_FIXED32 : NNFI_WIRE_VARINT;
    number_sink sink = {0, nnf_dtype_size(dtype), NULL};
    nnf_tensor *tensor;
    void *data;
    NNFI_TRY(read_numbers(a, number, wire_type, take_number, &sink));
    NNFI_TRY(nnf_tensor_new(&tensor, dtype, 1, &sink.n));
    nnf_status status = nnf_tensor_mut_data(tensor, &data);
    if (status == NNF_OK) {
        sink = (number_sink){0, sink.size, data};
        status = read_numbers(a, number, wire_type, take_number, &sink);
    }
    if (status != NNF_OK) {
        nnf_tensor_release(tensor);
        return status;
    }
    *out = tensor;
    return NNF_OK;
}

/* *out stays NULL where the value is none that nnfuse has. */
static nnf_status read_value(nnf_tensor **out, const attribute *a, nnfi_source *source) {
    nnfi_tensor_proto proto;
    nnfi_reader reader;
    if (a->has_t) {
        NNFI_TRY(nnfi_reader_enter(&reader, &a->reader, a->t, a->reader.place, a->reader.index));
        NNFI_TRY(nnfi_tensor_proto_read(&proto, reader));
        return nnfi_tensor_proto_tensor(out, source, &proto);
    }
    if (nnfi_source_equals(source, a->name, "value_float")) {
        return nnf_tensor_from_data(out, NNF_F32, 0, NULL, &a->f);
    }
    if (nnfi_source_equals(source, a->name, "value_int")) {
        return nnf_tensor_from_data(out, NNF_I64, 0, NULL, &a->i);
    }
    if (nnfi_source_equals(source, a->name, "value_floats")) {
        return read_list_value(out, a, NNF_F32);
    }
    if (nnfi_source_equals(source, a->name, "value_ints")) return read_list_value(out, a, NNF_I64);
    return NNF_OK;
}

/* ---- Reading ---- */

static nnf_status read_into(bool *known, nnfi_node_call *call, char *options, const attribute *a,
                            const nnfi_attribute_row *row, nnfi_source *source) {
    char *to = options + row->offset;
    const nnfi_onnx_dtype *dtype;
    int_list list = {.n = 0};
    switch (row->kind) {
    case NNFI_ATTRIBUTE_INT:
        memcpy(to, &a->i, sizeof a->i);
        break;
    case NNFI_ATTRIBUTE_BOOL:
        *known = a->i == 0 || a->i == 1;
        *to = a->i == 1;
        break;
    case NNFI_ATTRIBUTE_ONE:
        *known = a->i == 1;
        break;
    case NNFI_ATTRIBUTE_ANY:
        break;
    case NNFI_ATTRIBUTE_FLOAT:
        *(double *)(void *)to = (double)a->f;
        break;
    case NNFI_ATTRIBUTE_MOMENTUM:
        *(double *)(void *)to = 1 - (double)a->f;
        break;
    case NNFI_ATTRIBUTE_DTYPE:
        dtype = nnfi_onnx_dtype_of_number(a->i);
        *known = dtype != NULL;
        if (dtype) *(nnf_dtype *)(void *)to = dtype->dtype;
        break;
    case NNFI_ATTRIBUTE_VALUE:
        if (!call->value) NNFI_TRY(read_value(&call->value, a, source));
        *known = call->value != NULL;
        break;
    default:
        if (is_word(row->kind)) {
            *known = read_word(to, row->kind, a, source);
            break;
        }
        NNFI_TRY(read_numbers(a, ATTRIBUTE_INTS, NNFI_WIRE_VARINT, take_int, &list));
        *known = store_ints(call, options, row, &list);
        break;
    }
    return NNF_OK;
}

static const nnfi_attribute_row *find_row(const nnfi_onnx_op *op, const attribute *a,
                                          const nnfi_source *source) {
    for (const nnfi_attribute_row *row = op->attributes; row->name; row++) {
        if (nnfi_source_equals(source, a->name, row->name)) return row;
    }
    return NULL;
}

static bool has_required(const nnfi_onnx_op *op, uint32_t seen) {
    for (int i = 0; op->attributes[i].name; i++) {
        if (op->attributes[i].required && !(seen >> i & 1)) return false;
    }
    return true;
}

nnf_status nnfi_attributes_read(bool *known, nnfi_options *options, nnfi_node_call *call,
                                const nnfi_onnx_op *op, nnfi_reader node, nnfi_source *source) {
    nnfi_field field;
    attribute a;
    uint32_t seen = 0;
    *known = true;
    memset(options, 0, sizeof *options);
    if (op->defaults) memcpy(options, op->defaults, op->options_size);
    for (bool more; *known;) {
        NNFI_TRY(nnfi_reader_next(&node, &field, &more));
        if (!more) {
            *known = has_required(op, seen);
            break;
        }
        if (field.number != NODE_ATTRIBUTE) continue;
        NNFI_TRY(nnfi_reader_expect(&node, &field, NNFI_WIRE_BYTES));
        NNFI_TRY(read_attribute(&a, &node, field.bytes));
        const nnfi_attribute_row *row = find_row(op, &a, source);
        uint32_t bit = row ? UINT32_C(1) << (row - op->attributes) : 0;
        *known = row && !a.is_reference && !(seen & bit);
        seen |= bit;
        if (*known) NNFI_TRY(read_into(known, call, (char *)options, &a, row, source));
    }
    return NNF_OK;
}

/* ---- Writing ---- */

static void write_ints(nnfi_text *to, const int64_t *values, int n) {
    for (int i = 0; i < n; i++) {
        nnfi_put_int(to, ATTRIBUTE_INTS, values[i]);
    }
}

/* Whether an array of n numbers differs from the defaults'. */
static bool differ(const int64_t *values, const int64_t *defaults, int n) {
    for (int i = 0; i < n; i++) {
        if (values[i] != defaults[i]) return true;
    }
    return false;
}

/* Lists: writes nothing where they are the default. A count that a program set may be any. */
static nnf_status write_list(nnfi_text *to, const nnfi_attribute_row *row, const char *options,
                             const char *defaults, int64_t *type) {
    const int64_t *values = (const int64_t *)(const void *)(options + row->offset);
    const int64_t *usual = (const int64_t *)(const void *)(defaults + row->offset);
    bool pads = row->kind == NNFI_ATTRIBUTE_PADS;
    bool counted = row->kind == NNFI_ATTRIBUTE_LIST || row->kind == NNFI_ATTRIBUTE_PAD_LIST;
    int n = *(const int *)(const void *)(options + (counted ? row->count : 0)); /* or `spatial` */
    if (n > room_of(row))
        return nnf_error(NNF_ERROR_INVALID, "the attribute '%s' has %d numbers; it has %d at most",
                         row->name, n, room_of(row));
    bool changed = counted ? n >= 0 : differ(values, usual, n);
    if (pads) changed = changed || differ(values + NNF_MAX_SPATIAL, usual + NNF_MAX_SPATIAL, n);
    if (!changed) return NNF_OK;
    write_ints(to, values, n);
    if (pads) write_ints(to, values + NNF_MAX_SPATIAL, n);
    *type = ATTRIBUTE_TYPE_INTS;
    return NNF_OK;
}

static int64_t write_word(nnfi_text *to, const nnfi_attribute_row *row, const char *options,
                          const char *defaults) {
    int value = load_word(options + row->offset);
    if (!row->required && value == load_word(defaults + row->offset))
        return ATTRIBUTE_TYPE_UNDEFINED;
    for (int i = 0; i < N_WORDS; i++) {
        if (words[i].kind == row->kind && words[i].value == value) {
            nnfi_put_string(to, ATTRIBUTE_S, words[i].name);
        }
    }
    return ATTRIBUTE_TYPE_STRING;
}

static nnf_status write_value(nnfi_text *to, const nnf_module *module, int64_t *type) {
    const nnf_tensor *value = nnf_module_tensor(module, "value");
    nnfi_text tensor = {0};
    if (!value) return NNF_OK;
    nnfi_tensor_write_header(&tensor, value, "");
    nnf_status status = nnfi_tensor_write_raw(&tensor, value);
    nnfi_put_message(to, ATTRIBUTE_T, &tensor);
    *type = ATTRIBUTE_TYPE_TENSOR;
    return status;
}

/* Writes the value and says of which type it is; *type stays UNDEFINED where it is the default. */
static nnf_status write_from(nnfi_text *to, const nnfi_attribute_row *row, const char *options,
                             const char *defaults, const nnf_module *module, int64_t *type) {
    const char *from = options + row->offset, *usual = defaults + row->offset;
    double number;
    switch (row->kind) {
    case NNFI_ATTRIBUTE_ONE:
    case NNFI_ATTRIBUTE_ANY:
        break;
    case NNFI_ATTRIBUTE_INT:
        if (!row->required && memcmp(from, usual, sizeof(int64_t)) == 0) break;
        nnfi_put_int(to, ATTRIBUTE_I, *(const int64_t *)(const void *)from);
        *type = ATTRIBUTE_TYPE_INT;
        break;
    case NNFI_ATTRIBUTE_BOOL:
        if (*from == *usual) break;
        nnfi_put_int(to, ATTRIBUTE_I, *from);
        *type = ATTRIBUTE_TYPE_INT;
        break;
    case NNFI_ATTRIBUTE_DTYPE:
        if (*(const nnf_dtype *)(const void *)from == NNF_DTYPE_UNKNOWN) break;
        nnfi_put_int(to, ATTRIBUTE_I,
                     nnfi_onnx_dtype_of(*(const nnf_dtype *)(const void *)from)->number);
        *type = ATTRIBUTE_TYPE_INT;
        break;
    case NNFI_ATTRIBUTE_FLOAT:
    case NNFI_ATTRIBUTE_MOMENTUM:
        if (memcmp(from, usual, sizeof number) == 0) break;
        number = *(const double *)(const void *)from;
        if (row->kind == NNFI_ATTRIBUTE_MOMENTUM) number = 1 - number;
        nnfi_put_float(to, ATTRIBUTE_F, (float)number);
        *type = ATTRIBUTE_TYPE_FLOAT;
        break;
    case NNFI_ATTRIBUTE_VALUE:
        /* a Constant's rows are spellings of one value: the first of them says it */
        if (strcmp(row->name, "value") == 0) return write_value(to, module, type);
        break;
    default:
        if (!is_word(row->kind)) return write_list(to, row, options, defaults, type);
        *type = write_word(to, row, options, defaults);
        break;
    }
    return NNF_OK;
}

nnf_status nnfi_attributes_write(nnfi_text *node, const nnfi_onnx_op *op, const void *options,
                                 const nnf_module *module) {
    static const nnfi_options zero;
    const char *defaults = op->defaults ? op->defaults : (const char *)&zero;
    nnf_status status = NNF_OK;
    for (const nnfi_attribute_row *row = op->attributes; row->name && status == NNF_OK; row++) {
        nnfi_text text = {0};
        int64_t type = ATTRIBUTE_TYPE_UNDEFINED;
        nnfi_put_string(&text, ATTRIBUTE_NAME, row->name);
        status = write_from(&text, row, options ? options : &zero, defaults, module, &type);
        nnfi_put_int(&text, ATTRIBUTE_TYPE, type);
        if (status == NNF_OK && type != ATTRIBUTE_TYPE_UNDEFINED) {
            nnfi_put_message(node, NODE_ATTRIBUTE, &text);
        }
        nnfi_text_clear(&text);
    }
    if (status != NNF_OK) nnfi_text_clear(node);
    return status;
}
