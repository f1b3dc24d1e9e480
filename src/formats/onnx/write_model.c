/* The model: the source's fields in their order, with what changed in its place. */
#include <inttypes.h>
#include <string.h>

#include "formats/onnx/write.h"
#include "support/memory.h"

/* Protobuf's own limit for a message. */
#define MAX_MODEL_BYTES INT64_C(0x7fffffff)

/* Lists of numbers by key, each in the order in which its numbers were added last to first. */
typedef struct buckets {
    uint32_t *first; /* [n_keys]: 1 + a number, 0: none */
    uint32_t *next;  /* [n_numbers] */
} buckets;

typedef struct writer {
    nnfi_file_layout *layout;
    nnfi_write_plan *plan;
    buckets leaves;                                              /* by 1 + place */
    buckets tensors;                                             /* by 1 + initializer */
    bool *input_written, *output_written;                        /* [n_values] */
    size_t last_initializer, last_input, last_output, last_node; /* pieces; SIZE_MAX: none */
    size_t n_nodes, n_initializers;                              /* pieces met so far */
} writer;

static bool buckets_init(buckets *b, size_t n_keys, size_t n_numbers) {
    b->first = nnfi_calloc(n_keys, sizeof *b->first);
    b->next = nnfi_calloc(n_numbers, sizeof *b->next);
    return b->first && b->next;
}

static void buckets_push(buckets *b, size_t key, size_t number) {
    b->next[number] = b->first[key];
    b->first[key] = (uint32_t)number + 1;
}

static void buckets_clear(buckets *b) {
    nnfi_free(b->first);
    nnfi_free(b->next);
}

/* ---- Types ---- */

static void put_type(nnfi_text *value_info, const nnf_module *graph, const nnf_type_info *info) {
    nnfi_text tensor = {0}, shape = {0}, type = {0}, dim = {0};
    nnfi_put_int(&tensor, TENSOR_TYPE_ELEM_TYPE, nnfi_onnx_dtype_of(info->dtype)->number);
    for (int i = 0; i < info->ndim; i++) {
        const char *symbol = nnf_graph_symbol_name(graph, info->shape[i].symbol);
        if (info->shape[i].symbol == 0) nnfi_put_int(&dim, DIM_VALUE, info->shape[i].value);
        if (symbol) nnfi_put_string(&dim, DIM_PARAM, symbol);
        nnfi_put_message(&shape, SHAPE_DIM, &dim);
    }
    if (info->ndim >= 0) nnfi_put_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    nnfi_text_clear(&shape);
    nnfi_put_message(&type, TYPE_TENSOR, &tensor);
    nnfi_put_message(value_info, VALUE_INFO_TYPE, &type);
}

static nnf_status add_value_info(const writer *w, uint32_t number, const char *name,
                                 const nnf_type_info *info) {
    nnfi_text value_info = {0};
    size_t begin = w->layout->owned.length;
    if (info->dtype == NNF_DTYPE_UNKNOWN) {
        return nnf_error(NNF_ERROR_UNSUPPORTED,
                         "the graph's %s '%s' cannot be written as ONNX: its dtype is not known",
                         number == GRAPH_INPUT ? "input" : "output", name);
    }
    nnfi_put_string(&value_info, VALUE_INFO_NAME, name);
    put_type(&value_info, w->plan->module, info);
    nnfi_put_message(&w->layout->owned, number, &value_info);
    return nnfi_file_layout_add_owned(w->layout, begin);
}

/* ---- What comes at a place ---- */

static nnf_status add_leaves(const writer *w, size_t key) {
    for (size_t i = w->leaves.first[key]; i > 0; i = w->leaves.next[i - 1]) {
        const nnfi_leaf_bytes *leaf = &w->layout->leaf_bytes[i - 1];
        const nnfi_bytes *bytes = leaf->is_owned ? NULL : w->plan->source->bytes;
        NNFI_TRY(nnfi_file_layout_add(
            w->layout, &(nnfi_segment){.bytes = bytes, .begin = leaf->begin, .size = leaf->size}));
    }
    return NNF_OK;
}

static nnf_status add_tensors(const writer *w, size_t key) {
    for (size_t i = w->tensors.first[key]; i > 0; i = w->tensors.next[i - 1]) {
        const nnfi_new_tensor *tensor = &w->plan->tensors[i - 1];
        NNFI_TRY(nnfi_file_layout_add_tensor(w->layout, tensor->tensor, tensor->name));
    }
    return NNF_OK;
}

/* Inputs that no piece is for: a program's, and in IR 3 the new initializers. */
static nnf_status add_new_inputs(const writer *w) {
    const nnfi_graph *graph = w->plan->graph;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const nnfi_value *value = &graph->values[graph->inputs[i]];
        if (w->input_written[graph->inputs[i]]) continue;
        NNFI_TRY(add_value_info(w, GRAPH_INPUT, value->name, nnfi_value_info(value)));
    }
    for (size_t i = 0; w->plan->ir_version < 4 && i < w->plan->n_tensors; i++) {
        const nnfi_new_tensor *tensor = &w->plan->tensors[i];
        nnf_type_info info;
        if (tensor->replaces) continue;
        nnf_type_info_init(&info);
        NNFI_TRY(nnf_type_info_of_tensor(&info, tensor->tensor));
        nnf_status status = add_value_info(w, GRAPH_INPUT, tensor->name, &info);
        nnf_type_info_clear(&info);
        NNFI_TRY(status);
    }
    return NNF_OK;
}

static nnf_status add_output(const writer *w, nnf_value value) {
    nnfi_write_plan *plan = w->plan;
    if (!plan->infos) {
        NNFI_TRY(nnf_graph_infer(plan->module, NULL, &plan->infos, &plan->n_infos));
    }
    return add_value_info(w, GRAPH_OUTPUT, plan->graph->values[value].name, &plan->infos[value]);
}

static nnf_status add_new_outputs(const writer *w) {
    const nnfi_graph *graph = w->plan->graph;
    for (size_t i = 0; i < graph->n_outputs; i++) {
        if (!w->output_written[graph->outputs[i]]) NNFI_TRY(add_output(w, graph->outputs[i]));
    }
    return NNF_OK;
}

/* ---- The source's pieces ---- */

static nnf_status add_piece(const writer *w, size_t piece) {
    nnfi_span span = nnfi_source_piece(w->plan->source, piece);
    return nnfi_file_layout_add_source(w->layout, span.begin, span.end);
}

static bool is_dropped(const nnfi_write_plan *plan, size_t initializer) {
    if (plan->initializer_gone[initializer]) return true;
    return plan->initializer_values[initializer] == -1 && !plan->initializer_kept[initializer];
}

static nnf_status add_initializer(const writer *w, size_t index) {
    const nnfi_write_plan *plan = w->plan;
    int64_t value = plan->initializer_values[index];
    if (!is_dropped(plan, index)) {
        const nnf_tensor *constant = value >= 0 ? plan->graph->values[value].constant : NULL;
        nnfi_origin origin = constant ? nnfi_tensor_origin(constant) : (nnfi_origin){0, 0};
        bool changed =
            constant && (origin.source != plan->source->number || origin.index != (int64_t)index);
        if (changed) {
            NNFI_TRY(
                nnfi_file_layout_add_tensor(w->layout, constant, plan->graph->values[value].name));
        } else {
            NNFI_TRY(nnfi_file_layout_add_original(w->layout, index));
        }
    }
    return add_tensors(w, 1 + index);
}

/* The name of a ValueInfoProto. */
static nnf_status value_info_name(nnfi_reader reader, nnfi_span *name) {
    nnfi_field field;
    *name = (nnfi_span){0, 0};
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == VALUE_INFO_NAME) *name = field.bytes;
    }
}

/* Inputs (in IR 3 every initializer is one) and value_info go with what they are about; inputs and
 * outputs that have another type now keep their places. */
static nnf_status add_value_piece(const writer *w, size_t piece) {
    const nnfi_source *source = w->plan->source;
    nnfi_reader reader = nnfi_source_reader(source, piece, "graph.value_info", -1);
    nnfi_span name;
    NNFI_TRY(value_info_name(reader, &name));
    const char *text = (const char *)reader.data + name.begin;
    size_t length = name.end - name.begin;
    const uint32_t number = source->pieces[piece].number;
    const nnf_value value = nnfi_graph_find_name(w->plan->graph, text, length);
    const nnfi_value *known = value == NNF_NO_VALUE ? NULL : &w->plan->graph->values[value];
    bool *written = number == GRAPH_INPUT    ? w->input_written
                    : number == GRAPH_OUTPUT ? w->output_written
                                             : NULL;
    const bool changed = known && written && known->is_reshaped && !known->gone;
    if (!changed && number != GRAPH_OUTPUT && nnfi_map_get(&w->layout->stale, text, length, NULL))
        return NNF_OK;
    if (known && written) written[value] = true;
    if (!changed) return add_piece(w, piece);
    return number == GRAPH_OUTPUT ? add_output(w, value)
                                  : add_value_info(w, number, known->name, nnfi_value_info(known));
}

static nnf_status add_pieces(writer *w) {
    const nnfi_source *source = w->plan->source;
    for (size_t i = 0; source && i < source->n_pieces; i++) {
        switch (source->pieces[i].number) {
        case GRAPH_NODE:
            if (w->n_nodes == 0) NNFI_TRY(add_leaves(w, 0));
            NNFI_TRY(add_leaves(w, ++w->n_nodes));
            break;
        case GRAPH_INITIALIZER:
            NNFI_TRY(add_initializer(w, w->n_initializers++));
            break;
        case GRAPH_INPUT:
        case GRAPH_OUTPUT:
        case GRAPH_VALUE_INFO:
            NNFI_TRY(add_value_piece(w, i));
            break;
        default:
            NNFI_TRY(add_piece(w, i));
            break;
        }
        if (i == w->last_initializer) NNFI_TRY(add_tensors(w, 0));
        if (i == w->last_input) NNFI_TRY(add_new_inputs(w));
        if (i == w->last_output) NNFI_TRY(add_new_outputs(w));
    }
    return NNF_OK;
}

static nnf_status add_graph(writer *w) {
    size_t begin = w->layout->owned.length;
    NNFI_TRY(add_pieces(w));
    if (w->n_nodes == 0) NNFI_TRY(add_leaves(w, 0));
    if (!w->plan->source) {
        nnfi_put_string(&w->layout->owned, GRAPH_NAME, "nnfuse");
        NNFI_TRY(nnfi_file_layout_add_owned(w->layout, begin));
    }
    if (w->last_initializer == SIZE_MAX) NNFI_TRY(add_tensors(w, 0));
    if (w->last_input == SIZE_MAX) NNFI_TRY(add_new_inputs(w));
    if (w->last_output == SIZE_MAX) NNFI_TRY(add_new_outputs(w));
    return NNF_OK;
}

/* ---- The model around the graph ---- */

static nnf_status add_stale(nnfi_file_layout *layout, const char *name) {
    size_t length = strlen(name);
    if (nnfi_map_put(&layout->stale, name, length, 0)) return NNF_OK;
    return nnfi_error_memory(length, "the names that are gone");
}

/* Whether the source has fields about values that may be gone: most files have none. */
static bool tells_of_values(const nnfi_source *source) {
    for (size_t i = 0; source && i < source->n_pieces; i++) {
        uint32_t number = source->pieces[i].number;
        if (number == GRAPH_VALUE_INFO || (number == GRAPH_INPUT && source->ir_version < 4)) {
            return true;
        }
    }
    return false;
}

static nnf_status find_stale(nnfi_file_layout *layout) {
    const nnfi_write_plan *plan = layout->plan;
    if (!tells_of_values(plan->source)) return NNF_OK;
    for (size_t i = 0; i < plan->graph->n_values; i++) {
        const nnfi_value *value = &plan->graph->values[i];
        bool kept =
            !value->gone || nnfi_map_get(&plan->kept_names, value->name, strlen(value->name), NULL);
        if (value->is_reshaped || !kept) NNFI_TRY(add_stale(layout, value->name));
    }
    for (size_t i = 0; i < plan->n_leaves; i++) {
        for (size_t k = 0; plan->leaves[i].dropped && k < plan->leaves[i].n_outputs; k++) {
            NNFI_TRY(add_stale(layout, plan->leaves[i].outputs[k]));
        }
    }
    for (size_t i = 0; i < plan->n_tensors; i++) { /* something else had the name, if anything */
        if (!plan->tensors[i].replaces) NNFI_TRY(add_stale(layout, plan->tensors[i].name));
    }
    for (size_t i = 0; plan->source && i < plan->source->n_initializers; i++) {
        int64_t value = plan->initializer_values[i];
        if (!plan->initializer_gone[i] || plan->initializer_replaced[i] || value < 0) continue;
        NNFI_TRY(add_stale(layout, plan->graph->values[value].name));
    }
    return NNF_OK;
}

static nnf_status init_writer(writer *w, nnfi_file_layout *layout) {
    nnfi_write_plan *plan = layout->plan;
    const nnfi_source *source = plan->source;
    *w = (writer){.layout = layout,
                  .plan = plan,
                  .last_initializer = SIZE_MAX,
                  .last_input = SIZE_MAX,
                  .last_output = SIZE_MAX};
    w->input_written = nnfi_calloc(plan->graph->n_values, sizeof(bool));
    w->output_written = nnfi_calloc(plan->graph->n_values, sizeof(bool));
    if (!buckets_init(&w->leaves, 1 + (source ? source->n_nodes : 0), plan->n_leaves) ||
        !buckets_init(&w->tensors, 1 + (source ? source->n_initializers : 0), plan->n_tensors) ||
        !w->input_written || !w->output_written) {
        return nnfi_error_memory(plan->n_leaves * sizeof(size_t), "what is written");
    }
    for (size_t i = plan->n_leaves; i-- > 0;) {
        buckets_push(&w->leaves, (size_t)(1 + plan->leaves[i].place), i);
    }
    for (size_t i = plan->n_tensors; i-- > 0;) {
        buckets_push(&w->tensors, (size_t)(1 + plan->tensors[i].initializer), i);
    }
    for (size_t i = 0; source && i < source->n_pieces; i++) {
        if (source->pieces[i].number == GRAPH_INITIALIZER) w->last_initializer = i;
        if (source->pieces[i].number == GRAPH_INPUT) w->last_input = i;
        if (source->pieces[i].number == GRAPH_OUTPUT) w->last_output = i;
    }
    return NNF_OK;
}

static void put_model_begin(nnfi_text *to, const nnfi_write_plan *plan) {
    nnfi_put_int(to, MODEL_IR_VERSION, plan->ir_version);
    nnfi_put_string(to, MODEL_PRODUCER_NAME, "nnfuse");
    nnfi_put_string(to, MODEL_PRODUCER_VERSION, nnf_version());
}

static void put_model_end(nnfi_text *to, const nnfi_write_plan *plan) {
    nnfi_text opset = {0};
    nnfi_put_string(&opset, OPSET_DOMAIN, "");
    nnfi_put_int(&opset, OPSET_VERSION, plan->opset);
    nnfi_put_message(to, MODEL_OPSET_IMPORT, &opset);
}

/* Whether the graph's pieces all go out as they came in. */
static bool is_unchanged(const nnfi_file_layout *layout) {
    const nnfi_source *source = layout->plan->source;
    if (!source || source->n_pieces == 0) return source && layout->n_segments == 0;
    const nnfi_segment *only = layout->segments;
    return layout->n_segments == 1 && only->bytes && only->begin == source->pieces[0].begin &&
           only->begin + only->size == source->graph.end;
}

/* Puts the rest of the model around the segments of the graph. */
static nnf_status wrap_graph(nnfi_file_layout *layout) {
    nnfi_write_plan *plan = layout->plan;
    const nnfi_source *source = plan->source;
    nnfi_segment *graph = layout->segments;
    size_t n = layout->n_segments, begin = layout->owned.length;
    uint64_t size = nnfi_file_layout_size(layout);
    bool unchanged = is_unchanged(layout);
    size_t end = source ? nnfi_bytes_size(source->bytes) : 0;
    layout->segments = NULL;
    layout->n_segments = layout->capacity = 0;
    nnf_status status = NNF_OK;
    if (unchanged) {
        status = nnfi_file_layout_add_source(layout, 0, end);
        nnfi_free(graph);
        return status;
    }
    if (source) {
        status = nnfi_file_layout_add_source(layout, 0, source->graph.begin);
    } else {
        put_model_begin(&layout->owned, plan);
    }
    nnfi_put_tag(&layout->owned, MODEL_GRAPH, NNFI_WIRE_BYTES);
    nnfi_put_varint(&layout->owned, size);
    if (status == NNF_OK) status = nnfi_file_layout_add_owned(layout, begin);
    for (size_t i = 0; i < n && status == NNF_OK; i++) {
        status = nnfi_file_layout_add(layout, &graph[i]);
    }
    nnfi_free(graph);
    begin = layout->owned.length;
    if (!source) put_model_end(&layout->owned, plan);
    if (status == NNF_OK) status = nnfi_file_layout_add_owned(layout, begin);
    if (status != NNF_OK || !source) return status;
    return nnfi_file_layout_add_source(layout, source->graph.end, end);
}

nnf_status nnfi_file_layout_make(nnfi_file_layout *layout) {
    writer w = {0};
    nnf_status status = nnfi_file_layout_encode_leaves(layout);
    if (status == NNF_OK) status = find_stale(layout);
    if (status == NNF_OK) status = init_writer(&w, layout);
    if (status == NNF_OK) status = add_graph(&w);
    if (status == NNF_OK) status = wrap_graph(layout);
    buckets_clear(&w.leaves);
    buckets_clear(&w.tensors);
    nnfi_free(w.input_written);
    nnfi_free(w.output_written);
    if (status != NNF_OK) return status;
    uint64_t size = 0;
    for (size_t i = 0; i < layout->n_segments; i++) {
        layout->segments[i].at = size;
        size += layout->segments[i].size;
    }
    if (size <= MAX_MODEL_BYTES) return NNF_OK;
    return nnf_error(NNF_ERROR_UNSUPPORTED,
                     "the model would have %" PRIu64 " bytes, and protobuf allows %" PRId64
                     ": write its weights beside it (--external-data, or external_data in "
                     "the options)",
                     size, MAX_MODEL_BYTES);
}

void nnfi_file_layout_clear(nnfi_file_layout *layout) {
    nnfi_free(layout->segments);
    nnfi_free(layout->data);
    nnfi_free(layout->leaf_bytes);
    nnfi_text_clear(&layout->owned);
    nnfi_map_clear(&layout->stale);
    nnfi_kept_files_clear(&layout->kept);
    *layout = (nnfi_file_layout){0};
}
