/* The main graph's nodes: their names and values, and the order in which they can run. */
#include <inttypes.h>
#include <string.h>

#include "formats/onnx/read.h"
#include "support/memory.h"

void nnfi_node_list_clear(nnfi_node_list *list) {
    nnfi_pile_clear(&list->paths);
    nnfi_free(list->nodes);
    nnfi_free(list->links);
    nnfi_free(list->order);
    *list = (nnfi_node_list){0};
}

typedef struct nodes_reader {
    nnfi_node_list *list;
    nnfi_source *source;
    nnfi_graph *graph;
    nnf_value next_output;   /* of the second pass: outputs became values in the nodes' order */
    nnf_value next_constant; /* behind the one that was read last */
} nodes_reader;

static nnf_status reserve_links(nnfi_node_list *list, size_t n) {
    if (nnfi_reserve(&list->links, &list->links_capacity, list->n_links + n, sizeof *list->links)) {
        return NNF_OK;
    }
    return nnfi_error_memory((list->n_links + n) * sizeof *list->links, "the graph's nodes");
}

/* First pass: what a node is, and its outputs, every one of which becomes a value, because nodes
 * may stand in any order. */
static nnf_status read_node(const nodes_reader *r, size_t index) {
    nnfi_node *node = &r->list->nodes[index];
    nnfi_reader reader =
        nnfi_source_reader(r->source, r->source->nodes[index], "graph.node", (int64_t)index);
    nnfi_field field;
    nnf_value value;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number > NODE_OP_TYPE && field.number != NODE_DOMAIN) continue;
        NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
        if (field.number == NODE_INPUT) node->n_inputs++;
        if (field.number == NODE_NAME) node->name = field.bytes;
        if (field.number == NODE_OP_TYPE) node->op_type = field.bytes;
        if (field.number == NODE_DOMAIN) node->domain = field.bytes;
        if (field.number != NODE_OUTPUT) continue;
        node->n_outputs++;
        if (field.bytes.begin == field.bytes.end) continue; /* an output that nobody wants */
        NNFI_TRY(nnfi_add_named_value(&value, r->graph, &reader, field.bytes));
    }
}

/* Most nodes read what the one in front of them gives, and the next initializers. */
static nnf_status find_value(nodes_reader *r, const nnfi_reader *reader, nnfi_span name,
                             nnf_value *out) {
    *out = NNF_NO_VALUE;
    size_t length = name.end - name.begin;
    if (length == 0) return NNF_OK;
    const char *text = (const char *)reader->data + name.begin;
    if (nnfi_graph_is_named(r->graph, r->next_output - 1, text, length))
        *out = r->next_output - 1;
    else
        *out = nnfi_graph_find_near(r->graph, r->next_constant, text, length);
    if (*out != NNF_NO_VALUE && r->graph->values[*out].constant) r->next_constant = *out + 1;
    if (*out != NNF_NO_VALUE) return NNF_OK;
    return nnfi_reader_error(reader, name.begin, "it reads '%.*s', which nothing gives",
                             (int)(length < 256 ? length : 256), text);
}

static nnf_status add_capture(void *payload, const nnfi_reader *reader, nnfi_span name) {
    nodes_reader *r = payload;
    nnf_value value;
    NNFI_TRY(find_value(r, reader, name, &value));
    NNFI_TRY(reserve_links(r->list, 1));
    r->list->links[r->list->n_links++] = value;
    return NNF_OK;
}

static nnf_status read_attribute_graphs(nodes_reader *r, const nnfi_reader *node, nnfi_span span) {
    nnfi_reader reader;
    nnfi_field field;
    NNFI_TRY(nnfi_reader_enter(&reader, node, span, node->place, node->index));
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) return NNF_OK;
        if (field.number != ATTRIBUTE_G && field.number != ATTRIBUTE_GRAPHS) continue;
        NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
        NNFI_TRY(nnfi_read_captures(&reader, field.bytes, &r->source->inner_names, add_capture, r));
    }
}

/* Second pass: links of one kind stand together, whatever the order of the fields. */
static nnf_status read_links(nodes_reader *r, size_t index) {
    nnfi_node *node = &r->list->nodes[index];
    nnfi_node_list *list = r->list;
    nnfi_reader reader =
        nnfi_source_reader(r->source, r->source->nodes[index], "graph.node", (int64_t)index);
    nnfi_field field;
    size_t n = (size_t)node->n_inputs + node->n_outputs;
    NNFI_TRY(reserve_links(list, n));
    size_t input = list->n_links, output = input + node->n_inputs;
    node->links = input;
    list->n_links += n;
    for (bool more;;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) break;
        if (field.number == NODE_INPUT) {
            NNFI_TRY(find_value(r, &reader, field.bytes, &list->links[input++]));
        } else if (field.number == NODE_OUTPUT) {
            bool given = field.bytes.end > field.bytes.begin;
            list->links[output++] = given ? r->next_output++ : NNF_NO_VALUE;
        } else if (field.number == NODE_ATTRIBUTE) {
            NNFI_TRY(nnfi_reader_expect(&reader, &field, NNFI_WIRE_BYTES));
            NNFI_TRY(read_attribute_graphs(r, &reader, field.bytes));
        }
    }
    node->n_captures = (uint32_t)(list->n_links - node->links - n);
    return NNF_OK;
}

static void mark_hidden(const nnfi_source *source, nnfi_graph *graph) {
    for (size_t i = 0; source->inner_names.n_keys > 0 && i < graph->n_values; i++) {
        nnfi_value *value = &graph->values[i];
        value->is_hidden =
            nnfi_map_get(&source->inner_names, value->name, strlen(value->name), NULL);
    }
}

nnf_status nnfi_read_nodes(nnfi_node_list *out, nnfi_source *source, nnfi_graph *graph) {
    nnfi_node_list list = {.n = source->n_nodes};
    nodes_reader r = {&list, source, graph, (nnf_value)graph->n_values, 0};
    nnf_status status = NNF_OK;
    list.nodes = nnfi_calloc(list.n, sizeof *list.nodes);
    /* One link at least: where no node reads or gives anything, the list is still an array. */
    bool room =
        list.nodes && nnfi_reserve(&list.links, &list.links_capacity, 1, sizeof *list.links);
    if (!room) {
        nnfi_node_list_clear(&list);
        return nnfi_error_memory(list.n * sizeof *list.nodes, "the graph's nodes");
    }
    for (size_t i = 0; i < list.n && status == NNF_OK; i++) {
        status = read_node(&r, i);
    }
    for (size_t i = 0; i < list.n && status == NNF_OK; i++) {
        status = read_links(&r, i);
    }
    if (status != NNF_OK) {
        nnfi_node_list_clear(&list);
        return status;
    }
    mark_hidden(source, graph);
    *out = list;
    return NNF_OK;
}

/* ---- Execution order ---- */

/* Who reads each value, and how many inputs each node still waits for. */
typedef struct ordering {
    int64_t *producer;    /* [n_values]: the node that gives it, -1: none */
    size_t *first_reader; /* [n_nodes + 1] */
    size_t *readers;      /* [n_links] */
    size_t *waiting;      /* [n_nodes] */
} ordering;

static void clear_ordering(ordering *o) {
    nnfi_free(o->producer);
    nnfi_free(o->first_reader);
    nnfi_free(o->readers);
    nnfi_free(o->waiting);
}

/* Calls are numbered as links: inputs, outputs, captures. Reads are the first and the last. */
static bool is_read(const nnfi_node *node, size_t link) {
    return link < node->n_inputs || link >= node->n_inputs + node->n_outputs;
}

static size_t n_links_of(const nnfi_node *node) {
    return (size_t)node->n_inputs + node->n_outputs + node->n_captures;
}

static bool find_producers(ordering *o, const nnfi_node_list *list, size_t n_values) {
    o->producer = nnfi_alloc(n_values * sizeof *o->producer);
    if (!o->producer) return false;
    for (size_t v = 0; v < n_values; v++) {
        o->producer[v] = -1;
    }
    for (size_t i = 0; i < list->n; i++) {
        const nnfi_node *node = &list->nodes[i];
        for (size_t k = 0; k < node->n_outputs; k++) {
            nnf_value value = list->links[node->links + node->n_inputs + k];
            if (value != NNF_NO_VALUE) o->producer[value] = (int64_t)i;
        }
    }
    return true;
}

/* The producer that a link of a node waits for, or -1. */
static int64_t awaited(const ordering *o, const nnfi_node_list *list, const nnfi_node *node,
                       size_t link) {
    nnf_value value = list->links[node->links + link];
    return is_read(node, link) && value != NNF_NO_VALUE ? o->producer[value] : -1;
}

static bool is_in_order(const ordering *o, const nnfi_node_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        for (size_t k = 0; k < n_links_of(&list->nodes[i]); k++) {
            if (awaited(o, list, &list->nodes[i], k) >= (int64_t)i) return false;
        }
    }
    return true;
}

static bool find_readers(ordering *o, const nnfi_node_list *list) {
    /* one list of readers for each producing node */
    o->first_reader = nnfi_calloc(list->n + 1, sizeof *o->first_reader);
    o->readers = nnfi_calloc(list->n_links + 1, sizeof *o->readers);
    o->waiting = nnfi_calloc(list->n + 1, sizeof *o->waiting);
    if (!o->first_reader || !o->readers || !o->waiting) return false;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = list->n; i-- > 0;) {
            for (size_t k = 0; k < n_links_of(&list->nodes[i]); k++) {
                int64_t from = awaited(o, list, &list->nodes[i], k);
                if (from < 0) continue;
                if (pass == 0) {
                    o->first_reader[from]++;
                    o->waiting[i]++;
                } else {
                    o->readers[--o->first_reader[from]] = i;
                }
            }
        }
        /* ends of the lists, which the second pass moves down to their beginnings */
        for (size_t i = 1; pass == 0 && i <= list->n; i++) {
            o->first_reader[i] += o->first_reader[i - 1];
        }
    }
    return true;
}

/* Kahn's algorithm; true where every node found its place. */
static bool sort_nodes(ordering *o, nnfi_node_list *list) {
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (o->waiting[i] == 0) list->order[n++] = i;
    }
    for (size_t done = 0; done < n; done++) {
        size_t from = list->order[done];
        for (size_t r = o->first_reader[from]; r < o->first_reader[from + 1]; r++) {
            if (--o->waiting[o->readers[r]] == 0) list->order[n++] = o->readers[r];
        }
    }
    return n == list->n;
}

/* Walks from a node that still waits to one that it waits for, until it comes to a node for the
 * second time: that one is on a cycle. */
static nnf_status cycle_error(ordering *o, const nnfi_node_list *list, const nnfi_source *source,
                              const nnfi_graph *graph) {
    size_t at = 0;
    while (o->waiting[at] == 0) {
        at++;
    }
    nnf_value through = NNF_NO_VALUE;
    while (o->first_reader[at] != SIZE_MAX) {
        o->first_reader[at] = SIZE_MAX;
        for (size_t k = 0; k < n_links_of(&list->nodes[at]); k++) {
            int64_t from = awaited(o, list, &list->nodes[at], k);
            if (from < 0 || o->waiting[from] == 0) continue;
            through = list->links[list->nodes[at].links + k];
            at = (size_t)from;
            break;
        }
    }
    nnfi_reader reader = nnfi_source_reader(source, source->nodes[at], "graph.node", (int64_t)at);
    return nnfi_reader_error(&reader, reader.at,
                             "the node is part of a cycle: it needs its own output '%s'",
                             through == NNF_NO_VALUE ? "" : graph->values[through].name);
}

nnf_status nnfi_order_nodes(nnfi_node_list *list, const nnfi_source *source,
                            const nnfi_graph *graph) {
    ordering o = {0};
    nnf_status status = NNF_OK;
    list->order = nnfi_calloc(list->n, sizeof *list->order);
    if (!list->order || !find_producers(&o, list, graph->n_values)) {
        status = nnfi_error_memory(list->n * sizeof *list->order, "the order of the nodes");
    } else if (is_in_order(&o, list)) {
        for (size_t i = 0; i < list->n; i++) {
            list->order[i] = i;
        }
    } else if (!find_readers(&o, list)) {
        status = nnfi_error_memory(list->n_links * sizeof *o.readers, "the order of the nodes");
    } else if (!sort_nodes(&o, list)) {
        status = cycle_error(&o, list, source, graph);
    }
    clear_ordering(&o);
    return status;
}
