/* Leaves to node fields: original bytes wherever names allow it. */
#include <string.h>

#include "formats/onnx/write.h"
#include "support/memory.h"

/* Whether the node's k-th input (or output) has that name. Names left out at the end count as "".
 */
static nnf_status names_match(bool *match, nnfi_reader reader, uint32_t number,
                              const char *const *names, size_t n) {
    nnfi_field field;
    size_t k = 0;
    *match = true;
    for (bool more; *match;) {
        NNFI_TRY(nnfi_reader_next(&reader, &field, &more));
        if (!more) break;
        if (field.number != number) continue;
        const char *name = k < n ? names[k] : "";
        size_t length = strlen(name);
        *match = length == field.bytes.end - field.bytes.begin &&
                 memcmp(name, reader.data + field.bytes.begin, length) == 0;
        k++;
    }
    for (; *match && k < n; k++) {
        *match = *names[k] == '\0';
    }
    return NNF_OK;
}

/* The original node with other names; everything else in it as it was. */
static nnf_status rename_node(nnfi_file_layout *layout, const nnfi_leaf *leaf, nnfi_reader reader) {
    nnfi_text node = {0};
    nnfi_field field;
    for (size_t i = 0; i < leaf->n_inputs; i++) {
        nnfi_put_string(&node, NODE_INPUT, leaf->inputs[i]);
    }
    for (size_t i = 0; i < leaf->n_outputs; i++) {
        nnfi_put_string(&node, NODE_OUTPUT, leaf->outputs[i]);
    }
    nnf_status status = NNF_OK;
    for (bool more; status == NNF_OK;) {
        status = nnfi_reader_next(&reader, &field, &more);
        if (status != NNF_OK || !more) break;
        if (field.number == NODE_INPUT || field.number == NODE_OUTPUT) continue;
        nnfi_text_add_bytes(&node, (const char *)reader.data + field.whole.begin,
                            field.whole.end - field.whole.begin);
    }
    nnfi_put_message(&layout->owned, GRAPH_NODE, &node);
    return status;
}

static nnfi_leaf_bytes leaf_bytes(size_t begin, size_t end, bool is_owned) {
    return (nnfi_leaf_bytes){begin, (uint64_t)(end - begin) & INT64_MAX, is_owned};
}

static nnf_status encode_leaf(nnfi_file_layout *layout, const nnfi_leaf *leaf,
                              nnfi_leaf_bytes *out) {
    nnfi_source *source = layout->plan->source;
    size_t begin = layout->owned.length;
    bool inputs_match = false, outputs_match = false;
    if (leaf->node >= 0) {
        nnfi_span piece = nnfi_source_piece(source, source->nodes[leaf->node]);
        nnfi_reader reader =
            nnfi_source_reader(source, source->nodes[leaf->node], "graph.node", leaf->node);
        NNFI_TRY(names_match(&inputs_match, reader, NODE_INPUT, leaf->inputs, leaf->n_inputs));
        NNFI_TRY(names_match(&outputs_match, reader, NODE_OUTPUT, leaf->outputs, leaf->n_outputs));
        if (inputs_match && outputs_match) {
            *out = leaf_bytes(piece.begin, piece.end, false);
            return NNF_OK;
        }
        NNFI_TRY(rename_node(layout, leaf, reader));
    } else {
        NNFI_TRY(nnfi_leaf_encode(&layout->owned, layout->plan, leaf));
    }
    *out = leaf_bytes(begin, layout->owned.length, true);
    return NNF_OK;
}

nnf_status nnfi_file_layout_encode_leaves(nnfi_file_layout *layout) {
    nnfi_write_plan *plan = layout->plan;
    layout->leaf_bytes = nnfi_calloc(plan->n_leaves, sizeof *layout->leaf_bytes);
    if (!layout->leaf_bytes) {
        return nnfi_error_memory(plan->n_leaves * sizeof *layout->leaf_bytes, "the nodes");
    }
    for (size_t i = 0; i < plan->n_leaves; i++) {
        if (plan->leaves[i].dropped) continue;
        NNFI_TRY(encode_leaf(layout, &plan->leaves[i], &layout->leaf_bytes[i]));
    }
    return NNF_OK;
}
