/* GraphProto to Graph: its values, and then its nodes through the other files. */
#include <inttypes.h>
#include <string.h>

#include "formats/onnx/read.h"
#include "support/memory.h"

typedef struct graph_reader {
    nnf_module *module;
    nnfi_graph *graph;
    nnfi_source *source;
} graph_reader;

static int shown(nnfi_span name) {
    size_t length = name.end - name.begin;
    return (int)(length < 256 ? length : 256);
}

nnf_status nnfi_add_named_value(nnf_value *out, nnfi_graph *graph, const nnfi_reader *reader,
                                nnfi_span name) {
    const char *text = (const char *)reader->data + name.begin;
    size_t length = name.end - name.begin;
    if (memchr(text, '\0', length)) {
        return nnfi_reader_error(reader, name.begin, "a name has a NUL character in it");
    }
    nnf_status status = nnfi_graph_add_name(graph, out, text, length);
    if (status != NNF_ERROR_INVALID) return status;
    return nnfi_reader_error(reader, name.begin, "'%.*s' is given a second time", shown(name),
                             text);
}

/* ---- Initializers ---- */

static nnf_status read_initializer(const graph_reader *r, size_t index) {
    nnfi_tensor_proto proto;
    nnf_value value;
    nnf_tensor *tensor;
    nnfi_reader reader = nnfi_source_reader(r->source, r->source->initializers[index],
                                            "graph.initializer", (int64_t)index);
    NNFI_TRY(nnfi_tensor_proto_read(&proto, reader));
    if (proto.name.begin == proto.name.end) return NNF_OK; /* nobody can read it */
    NNFI_TRY(nnfi_add_named_value(&value, r->graph, &reader, proto.name));
    NNFI_TRY(nnfi_tensor_proto_tensor(&tensor, r->source, &proto));
    if (!tensor) return NNF_OK;
    nnfi_tensor_set_origin(tensor, (nnfi_origin){r->source->number, (int64_t)index});
    r->graph->values[value].constant = tensor;
    return NNF_OK;
}

/* nnfuse has no sparse tensors: it is a value that nothing is known of. */
static nnf_status read_sparse_initializer(const graph_reader *r, size_t piece) {
    nnfi_reader reader = nnfi_source_reader(r->source, piece, "graph.sparse_initializer", -1);
    nnfi_reader values;
    nnfi_field field;
    nnfi_tensor_proto proto;
    nnf_value value;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != SPARSE_VALUES || field.type != NNFI_WIRE_BYTES) continue;
        NNFI_TRY(nnfi_reader_enter(&values, &reader, field.bytes, reader.place, -1));
        NNFI_TRY(nnfi_tensor_proto_read(&proto, values));
        if (proto.name.begin == proto.name.end) return NNF_OK;
        return nnfi_add_named_value(&value, r->graph, &reader, proto.name);
    }
}

/* ---- Types ---- */

static nnf_status read_dim(const graph_reader *r, const nnfi_reader *outer, nnfi_span span,
                           nnf_dim *dim) {
    nnfi_reader reader;
    nnfi_field field;
    NNFI_TRY(nnfi_reader_enter(&reader, outer, span, outer->place, outer->index));
    *dim = (nnf_dim){0, NNF_DIM_UNKNOWN};
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == DIM_VALUE && field.type == NNFI_WIRE_VARINT) {
            int64_t value = (int64_t)field.value;
            *dim = value >= 0 ? (nnf_dim){value, 0} : (nnf_dim){0, NNF_DIM_UNKNOWN};
        } else if (field.number == DIM_PARAM && field.type == NNFI_WIRE_BYTES) {
            char *name = nnfi_source_string(r->source, field.bytes);
            if (!name) return nnfi_error_memory(1, "a dimension's name");
            *dim = (nnf_dim){0, NNF_DIM_UNKNOWN};
            nnf_status status = *name ? nnf_graph_symbol(r->module, &dim->symbol, name) : NNF_OK;
            nnfi_free(name);
            NNFI_TRY(status);
        }
    }
}

static nnf_status read_shape(const graph_reader *r, const nnfi_reader *outer, nnfi_span span,
                             nnf_type_info *info) {
    nnfi_reader reader;
    nnfi_field field;
    int ndim = 0;
    NNFI_TRY(nnfi_reader_enter(&reader, outer, span, outer->place, outer->index));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) break;
        if (field.number != SHAPE_DIM || field.type != NNFI_WIRE_BYTES) continue;
        if (ndim == NNF_MAX_DIMS) return NNF_OK; /* more than nnfuse's tensors have */
        NNFI_TRY(read_dim(r, &reader, field.bytes, &info->shape[ndim++]));
    }
    info->ndim = ndim;
    return NNF_OK;
}

static nnf_status read_tensor_type(const graph_reader *r, const nnfi_reader *outer, nnfi_span span,
                                   nnf_type_info *info) {
    nnfi_reader reader;
    nnfi_field field;
    NNFI_TRY(nnfi_reader_enter(&reader, outer, span, outer->place, outer->index));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == TENSOR_TYPE_ELEM_TYPE && field.type == NNFI_WIRE_VARINT) {
            const nnfi_onnx_dtype *row = nnfi_onnx_dtype_of_number((int64_t)field.value);
            info->dtype = row ? row->dtype : NNF_DTYPE_UNKNOWN;
        } else if (field.number == TENSOR_TYPE_SHAPE && field.type == NNFI_WIRE_BYTES) {
            NNFI_TRY(read_shape(r, &reader, field.bytes, info));
        }
    }
}

/* A ValueInfoProto: its name, and what it says of a tensor. */
static nnf_status read_value_info(const graph_reader *r, nnfi_reader reader, nnfi_span *name,
                                  nnf_type_info *info) {
    nnfi_reader type;
    nnfi_field field, inner;
    *name = (nnfi_span){0, 0};
    nnf_type_info_init(info);
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == VALUE_INFO_NAME) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            *name = field.bytes;
        }
        if (field.number != VALUE_INFO_TYPE || field.type != NNFI_WIRE_BYTES) continue;
        NNFI_TRY(nnfi_reader_enter(&type, &reader, field.bytes, reader.place, reader.index));
        for (bool inner_more;;) {
            NNFI_TRY(nnfi_reader_next(&type, &inner, &inner_more));
            if (!inner_more) break;
            if (inner.number == TYPE_TENSOR && inner.type == NNFI_WIRE_BYTES) {
                NNFI_TRY(read_tensor_type(r, &type, inner.bytes, info));
            }
        }
    }
}

/* ---- Inputs and outputs ---- */

static nnf_status list_input(nnfi_graph *graph, nnf_value value) {
    if (!nnfi_reserve(&graph->inputs, &graph->inputs_capacity, graph->n_inputs + 1,
                      sizeof *graph->inputs)) {
        return nnfi_error_memory(sizeof *graph->inputs, "the graph's inputs");
    }
    graph->inputs[graph->n_inputs++] = value;
    graph->values[value].is_input = true;
    return NNF_OK;
}

/* An initializer that is also an input is the input's default from IR 4 on, and a constant before:
 * there every initializer is listed among the inputs. */
static nnf_status read_input(const graph_reader *r, size_t piece, int64_t index) {
    nnfi_reader reader = nnfi_source_reader(r->source, piece, "graph.input", index);
    nnfi_graph *graph = r->graph;
    nnfi_span name;
    nnf_type_info info;
    NNFI_TRY(read_value_info(r, reader, &name, &info));
    const char *text = (const char *)reader.data + name.begin;
    if (name.begin == name.end) {
        return nnfi_reader_error(&reader, reader.at, "a graph input has no name");
    }
    nnf_value value = nnfi_graph_find_name(graph, text, name.end - name.begin);
    if (value != NNF_NO_VALUE && !graph->values[value].is_input) {
        if (r->source->ir_version < 4 && graph->values[value].constant) return NNF_OK;
    } else {
        NNFI_TRY(nnfi_add_named_value(&value, graph, &reader, name));
    }
    NNFI_TRY(nnfi_value_set_info(&graph->values[value], &info));
    graph->values[value].is_foreign = info.dtype == NNF_DTYPE_UNKNOWN;
    return list_input(graph, value);
}

static nnf_status read_output(const graph_reader *r, size_t piece, int64_t index) {
    nnfi_reader reader = nnfi_source_reader(r->source, piece, "graph.output", index);
    nnfi_span name;
    nnf_type_info info;
    NNFI_TRY(read_value_info(r, reader, &name, &info));
    const char *text = (const char *)reader.data + name.begin;
    nnf_value value = nnfi_graph_find_name(r->graph, text, name.end - name.begin);
    if (value == NNF_NO_VALUE) {
        return nnfi_reader_error(
            &reader, reader.at, "the graph's output '%.*s' is given by nothing", shown(name), text);
    }
    nnfi_value *at = &r->graph->values[value];
    if (nnfi_value_info(at)->ndim < 0) NNFI_TRY(nnfi_value_set_info(at, &info));
    return nnf_graph_add_output(r->module, value);
}

static nnf_status read_known_type(const graph_reader *r, size_t piece, int64_t index) {
    nnfi_reader reader = nnfi_source_reader(r->source, piece, "graph.value_info", index);
    nnfi_span name;
    nnf_type_info info;
    NNFI_TRY(read_value_info(r, reader, &name, &info));
    const char *text = (const char *)reader.data + name.begin;
    nnf_value value = nnfi_graph_find_name(r->graph, text, name.end - name.begin);
    if (value != NNF_NO_VALUE && !r->graph->values[value].is_input) {
        return nnfi_value_set_info(&r->graph->values[value], &info);
    }
    return NNF_OK;
}

/* ---- The graph ---- */

static nnf_status read_pieces(const graph_reader *r, uint32_t number) {
    int64_t index = 0;
    for (size_t i = 0; i < r->source->n_pieces; i++) {
        if (r->source->pieces[i].number != number) continue;
        switch (number) {
        case GRAPH_INPUT:
            NNFI_TRY(read_input(r, i, index++));
            break;
        case GRAPH_OUTPUT:
            NNFI_TRY(read_output(r, i, index++));
            break;
        case GRAPH_VALUE_INFO:
            NNFI_TRY(read_known_type(r, i, index++));
            break;
        default:
            NNFI_TRY(read_sparse_initializer(r, i));
            break;
        }
    }
    return NNF_OK;
}

nnf_status nnfi_read_graph(nnf_module *module, nnfi_source *source) {
    const graph_reader r = {module, nnfi_graph_of(module), source};
    nnfi_node_list list = {0};
    /* one output for each node, and some inputs: most models have not more */
    NNFI_TRY(
        nnfi_graph_reserve(r.graph, source->n_initializers + source->n_nodes + 8, source->n_nodes));
    for (size_t i = 0; i < source->n_initializers; i++) {
        NNFI_TRY(read_initializer(&r, i));
    }
    NNFI_TRY(read_pieces(&r, GRAPH_SPARSE_INITIALIZER));
    NNFI_TRY(read_pieces(&r, GRAPH_INPUT));
    NNFI_TRY(nnfi_read_nodes(&list, source, r.graph));
    nnf_status status = read_pieces(&r, GRAPH_VALUE_INFO);
    if (status == NNF_OK) status = nnfi_order_nodes(&list, source, r.graph);
    if (status == NNF_OK) status = nnfi_name_nodes(&list, source, r.graph);
    if (status == NNF_OK) status = nnfi_build_calls(module, &list, source);
    if (status == NNF_OK) status = read_pieces(&r, GRAPH_OUTPUT);
    nnfi_node_list_clear(&list);
    return status;
}
