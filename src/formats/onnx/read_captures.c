/* Which names of the graph around it a subgraph reads. ONNX's scopes: a body sees its own names and
 * those of every graph around it, and a name may be given after the place where it is read. */
#include "formats/onnx/read.h"
#include "support/memory.h"

typedef struct scope {
    const struct scope *outer;
    nnfi_map names;  /* given in this graph */
    nnfi_map *given; /* the same of all subgraphs */
} scope;

typedef struct walk {
    nnfi_map *given;
    nnfi_capture capture;
    void *payload;
} walk;

static nnf_status visit_graph(const walk *w, const nnfi_reader *outer_reader, nnfi_span span,
                              const scope *outer);

static bool is_given(const scope *s, const char *name, size_t length) {
    for (; s; s = s->outer) {
        if (nnfi_map_get(&s->names, name, length, NULL)) return true;
    }
    return false;
}

static nnf_status read_name(const walk *w, const nnfi_reader *reader, nnfi_span name,
                            const scope *s) {
    if (name.begin == name.end) return NNF_OK;
    const char *text = (const char *)reader->data + name.begin;
    if (is_given(s, text, name.end - name.begin)) return NNF_OK;
    return w->capture(w->payload, reader, name);
}

static nnf_status give_name(scope *s, const nnfi_reader *reader, nnfi_span name) {
    const char *text = (const char *)reader->data + name.begin;
    size_t length = name.end - name.begin;
    if (nnfi_map_put(&s->names, text, length, 0) && nnfi_map_put(s->given, text, length, 0)) {
        return NNF_OK;
    }
    return nnfi_error_memory(length, "the names of a subgraph");
}

/* The first field of that number in a message: a ValueInfoProto's or TensorProto's name. */
static nnf_status find_field(nnfi_span *out, const nnfi_reader *outer, nnfi_span message,
                             uint32_t number) {
    nnfi_reader reader;
    nnfi_field field;
    *out = (nnfi_span){0, 0};
    NNFI_TRY(nnfi_reader_enter(&reader, outer, message, outer->place, outer->index));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != number) continue;
        NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
        *out = field.bytes;
    }
}

/* The names that a field of a graph gives. */
static nnf_status collect_names(scope *s, const nnfi_reader *reader, const nnfi_field *field) {
    nnfi_reader node;
    nnfi_field inner;
    nnfi_span name, values;
    switch (field->number) {
    case GRAPH_INPUT:
        NNFI_TRY(find_field(&name, reader, field->bytes, VALUE_INFO_NAME));
        return give_name(s, reader, name);
    case GRAPH_INITIALIZER:
        NNFI_TRY(find_field(&name, reader, field->bytes, TENSOR_NAME));
        return give_name(s, reader, name);
    case GRAPH_SPARSE_INITIALIZER:
        NNFI_TRY(find_field(&values, reader, field->bytes, SPARSE_VALUES));
        NNFI_TRY(find_field(&name, reader, values, TENSOR_NAME));
        return give_name(s, reader, name);
    case GRAPH_NODE:
        NNFI_TRY(nnfi_reader_enter(&node, reader, field->bytes, "subgraph.node", -1));
        for (bool more;;) {
            NNFI_TRY(nnfi_reader_next(&node, &inner, &more));
            if (!more) return NNF_OK;
            if (inner.number != NODE_OUTPUT) continue;
            NNFI_TRY(nnfi_reader_expect(&node, &inner, NNFI_WIRE_BYTES));
            NNFI_TRY(give_name(s, reader, inner.bytes));
        }
    default:
        return NNF_OK;
    }
}

static nnf_status visit_node(const walk *w, const nnfi_reader *outer, nnfi_span span,
                             const scope *s) {
    nnfi_reader node, attribute;
    nnfi_field field, inner;
    NNFI_TRY(nnfi_reader_enter(&node, outer, span, "subgraph.node", -1));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&node, &field, &more));
        if (!more) return NNF_OK;
        if (field.number == NODE_INPUT) {
            NNFI_TRY(nnfi_reader_expect(&node, &field, NNFI_WIRE_BYTES));
            NNFI_TRY(read_name(w, &node, field.bytes, s));
        }
        if (field.number != NODE_ATTRIBUTE) continue;
        NNFI_TRY(nnfi_reader_expect(&node, &field, NNFI_WIRE_BYTES));
        NNFI_TRY(nnfi_reader_enter(&attribute, &node, field.bytes, "subgraph.node.attribute", -1));
        for (bool inner_more;;) {
            NNFI_TRY(nnfi_reader_next(&attribute, &inner, &inner_more));
            if (!inner_more) break;
            if (inner.number != ATTRIBUTE_G && inner.number != ATTRIBUTE_GRAPHS) continue;
            NNFI_TRY(nnfi_reader_expect(&attribute, &inner, NNFI_WIRE_BYTES));
            NNFI_TRY(visit_graph(w, &attribute, inner.bytes, s));
        }
    }
}

static nnf_status visit_fields(const walk *w, nnfi_reader reader, scope *s, bool collect) {
    nnfi_field field;
    nnfi_span name;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != GRAPH_NODE && field.number != GRAPH_INPUT &&
            field.number != GRAPH_OUTPUT && field.number != GRAPH_INITIALIZER &&
            field.number != GRAPH_SPARSE_INITIALIZER) {
            continue;
        }
        NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
        if (collect) {
            NNFI_TRY(collect_names(s, &reader, &field));
        } else if (field.number == GRAPH_NODE) {
            NNFI_TRY(visit_node(w, &reader, field.bytes, s));
        } else if (field.number == GRAPH_OUTPUT) {
            NNFI_TRY(find_field(&name, &reader, field.bytes, VALUE_INFO_NAME));
            NNFI_TRY(read_name(w, &reader, name, s));
        }
    }
}

static nnf_status visit_graph(const walk *w, const nnfi_reader *outer_reader, nnfi_span span,
                              const scope *outer) {
    nnfi_reader reader;
    scope s = {.outer = outer, .given = w->given};
    NNFI_TRY(nnfi_reader_enter(&reader, outer_reader, span, "subgraph", -1));
    nnf_status status = visit_fields(w, reader, &s, true);
    if (status == NNF_OK) status = visit_fields(w, reader, &s, false);
    nnfi_map_clear(&s.names);
    return status;
}

nnf_status nnfi_read_captures(const nnfi_reader *outer, nnfi_span graph, nnfi_map *given,
                              nnfi_capture capture, void *payload) {
    const walk w = {given, capture, payload};
    return visit_graph(&w, outer, graph, NULL);
}
