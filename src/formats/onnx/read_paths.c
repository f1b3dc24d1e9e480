/* The modules' paths: what PyTorch's exporter tells of them in the names of weights and nodes, and
 * other files in those of nodes. */
#include <ctype.h>
#include <string.h>

#include "formats/onnx/read.h"
#include "support/memory.h"

/* Paths that are longer or deeper are not taken from a file. */
enum { MAX_PATH_LENGTH = 256, MAX_PATH_DEPTH = 32, MAX_OP_LENGTH = 64 };

/* Operators that have a module's weight as their second input, and what it is called there. */
static const char *const weighted_ops[] = {"Conv", "ConvTranspose", "Gemm", "MatMul",
                                           "BatchNormalization"};
static const char weight_suffix[] = ".weight";

static bool is_path(const char *path) {
    size_t length = strlen(path), depth = 1;
    if (length == 0 || length > MAX_PATH_LENGTH || path[0] == '.' || path[length - 1] == '.') {
        return false;
    }
    for (size_t i = 1; i < length; i++) {
        if (path[i] != '.') continue;
        depth++;
        if (path[i - 1] == '.') return false;
    }
    return depth <= MAX_PATH_DEPTH;
}

/* "layer1.0.conv1" where the node reads "layer1.0.conv1.weight"; else NULL in *out. */
static bool path_of_weight(char **out, const nnfi_node_list *list, const nnfi_node *node,
                           const nnfi_source *source, const nnfi_graph *graph) {
    bool weighted = false;
    *out = NULL;
    for (size_t i = 0; i < sizeof weighted_ops / sizeof *weighted_ops; i++) {
        weighted = weighted || nnfi_source_equals(source, node->op_type, weighted_ops[i]);
    }
    if (!weighted || node->n_inputs < 2) return true;
    nnf_value value = list->links[node->links + 1];
    if (value == NNF_NO_VALUE) return true;
    const char *name = graph->values[value].name;
    size_t length = strlen(name), suffix = sizeof weight_suffix - 1;
    if (length <= suffix || strcmp(name + length - suffix, weight_suffix) != 0) return true;
    *out = nnfi_strndup(name, length - suffix);
    return *out != NULL;
}

/* Adds a scope: "layer1.0" takes the place of the "layer1" before it, others are joined. */
static void add_scope(nnfi_text *path, const char *scope, size_t length, const char *previous,
                      size_t previous_length) {
    if (previous && length > previous_length && scope[previous_length] == '.' &&
        memcmp(scope, previous, previous_length) == 0) {
        nnfi_text_add_bytes(path, scope + previous_length, length - previous_length);
        return;
    }
    if (path->length > 0) nnfi_text_add_bytes(path, ".", 1);
    nnfi_text_add_bytes(path, scope, length);
}

/* "layer1.0.relu1" from "/layer1/layer1.0/relu1/Relu", and "layer1.0.relu1_1" from ".../Relu_1". */
static bool path_of_scopes(char **out, const nnfi_source *source, const nnfi_node *node) {
    const char *name = (const char *)nnfi_bytes_data(source->bytes) + node->name.begin;
    size_t length = node->name.end - node->name.begin, start = 0;
    const char *previous = NULL;
    size_t previous_length = 0;
    nnfi_text path = {0};
    *out = NULL;
    if (length > 2 * MAX_PATH_LENGTH) return true;
    for (size_t i = 0; i < length; i++) {
        if (name[i] != '/') continue;
        if (i > start) {
            add_scope(&path, name + start, i - start, previous, previous_length);
            previous = name + start;
            previous_length = i - start;
        }
        start = i + 1;
    }
    const uint8_t *op = nnfi_bytes_data(source->bytes) + node->op_type.begin;
    size_t op_length = node->op_type.end - node->op_type.begin;
    bool numbered = length - start > op_length && name[start + op_length] == '_' &&
                    memcmp(name + start, op, op_length) == 0;
    /* A constant belongs to the module whose scope it stands in; the name is that module's. */
    bool constant = op_length == strlen("Constant") && !memcmp(op, "Constant", op_length);
    if (path.length > 0) {
        if (constant) nnfi_text_add(&path, ".constant");
        if (numbered)
            nnfi_text_add_bytes(&path, name + start + op_length, length - start - op_length);
        *out = nnfi_text_take(&path);
        return *out != NULL;
    }
    bool good = !path.failed;
    nnfi_text_clear(&path);
    return good;
}

/* The node's own name, where it has no scopes in it and nothing that a list of names is written
 * with.
 */
static bool path_of_name(char **out, const nnfi_source *source, const nnfi_node *node) {
    const char *name = (const char *)nnfi_bytes_data(source->bytes) + node->name.begin;
    size_t length = node->name.end - node->name.begin;
    *out = NULL;
    for (size_t i = 0; i < length; i++)
        if (strchr("/,{}", name[i])) return true; /* a NUL is found too */
    if (length == 0 || length > MAX_PATH_LENGTH) return true;
    *out = nnfi_strndup(name, length);
    return *out != NULL;
}

/* The operator's name in small letters, fit to be a module's name. */
static void op_name(char *to, const nnfi_source *source, const nnfi_node *node) {
    const uint8_t *name = nnfi_bytes_data(source->bytes) + node->op_type.begin;
    size_t length = node->op_type.end - node->op_type.begin;
    if (length > MAX_OP_LENGTH) length = MAX_OP_LENGTH;
    for (size_t i = 0; i < length; i++) {
        to[i] = isalnum(name[i]) ? (char)tolower(name[i]) : '_';
    }
    to[length] = '\0';
    if (length == 0) strcpy(to, "node");
}

typedef struct naming {
    const char **suggested;
    nnfi_pile *pile;     /* that paths are in */
    nnfi_map containers; /* every proper prefix of a suggested path */
    nnfi_map taken;
    nnfi_map next; /* from a suggested path to the next number that may make it unique */
} naming;

/* `base` with "_" and a number behind it; NULL where memory is short. */
static const char *numbered(naming *n, const char *base, uint64_t number) {
    char digits[NNFI_DIGITS + 1];
    size_t length = strlen(base), n_digits = nnfi_digits(digits, number);
    char *path = nnfi_pile_alloc(n->pile, length + 1 + n_digits + 1, 1);
    if (!path) return NULL;
    memcpy(path, base, length);
    path[length] = '_';
    return memcpy(path + length + 1, digits, n_digits + 1) ? path : NULL;
}

/* A copy in the pile of a string that is freed: *out NULL where it is no path. */
static bool take_path(naming *n, const char **out, char *path) {
    bool good = path && is_path(path);
    *out = good ? nnfi_pile_strndup(n->pile, path, strlen(path)) : NULL;
    nnfi_free(path);
    return *out || !good;
}

/* The path that the file suggests; NULL where memory is short. */
static const char *suggest(naming *n, const nnfi_node_list *list, size_t index,
                           const nnfi_source *source, const nnfi_graph *graph) {
    const nnfi_node *node = &list->nodes[index];
    char *found, op[MAX_OP_LENGTH + 1];
    const char *path;
    if (!path_of_weight(&found, list, node, source, graph)) return NULL;
    if (!take_path(n, &path, found) || path) return path;
    if (!path_of_scopes(&found, source, node)) return NULL;
    if (!take_path(n, &path, found) || path) return path;
    if (!path_of_name(&found, source, node)) return NULL;
    if (!take_path(n, &path, found) || path) return path;
    op_name(op, source, node);
    return numbered(n, op, index);
}

static bool add_containers(naming *n, const char *path) {
    for (size_t i = 0; path[i]; i++) {
        if (path[i] == '.' && !nnfi_map_put(&n->containers, path, i, 0)) return false;
    }
    return true;
}

/* Takes a path, unless a node has it or it is a container; false where memory is short. */
static bool claim(naming *n, const char *path, bool *claimed) {
    size_t length = strlen(path);
    *claimed = !nnfi_map_get(&n->containers, path, length, NULL);
    if (!*claimed) return true;
    int64_t number = (int64_t)n->taken.n_keys, known;
    if (!nnfi_map_add(&n->taken, path, length, number, &known)) return false;
    *claimed = known == number;
    return true;
}

/* Takes a free path: the suggested one; the operator in it where it is a container
 * ("layer1.0.add"); or with a number behind it. NULL where memory is short. */
static const char *choose(naming *n, size_t index, const nnfi_node *node,
                          const nnfi_source *source) {
    const char *suggested = n->suggested[index], *path = suggested;
    char base[MAX_PATH_LENGTH + 1 + MAX_OP_LENGTH + 1];
    if (nnfi_map_get(&n->containers, suggested, strlen(suggested), NULL)) {
        size_t length = strlen(suggested);
        memcpy(base, suggested, length);
        base[length] = '.';
        op_name(base + length + 1, source, node);
        path = nnfi_pile_strndup(n->pile, base, strlen(base));
    }
    bool claimed;
    if (!path || !claim(n, path, &claimed)) return NULL;
    if (claimed) return path;
    const char *taken = path;
    int64_t number = 1;
    nnfi_map_get(&n->next, suggested, strlen(suggested), &number);
    do {
        path = numbered(n, taken, (uint64_t)number++);
    } while (path && claim(n, path, &claimed) && !claimed);
    if (!path || !claimed || !nnfi_map_put(&n->next, suggested, strlen(suggested), number))
        return NULL;
    return path;
}

/* A number that one node needs must not take the name that the file gives another: those that can
 * stay as they are come first. */
static bool name_nodes(naming *n, nnfi_node_list *list, const nnfi_source *source,
                       const nnfi_graph *graph) {
    for (size_t i = 0; i < list->n; i++) {
        n->suggested[i] = suggest(n, list, i, source, graph);
        if (!n->suggested[i] || !add_containers(n, n->suggested[i])) return false;
    }
    for (size_t i = 0; i < list->n; i++) {
        bool claimed;
        if (!claim(n, n->suggested[i], &claimed)) return false;
        list->nodes[i].path = claimed ? n->suggested[i] : NULL;
    }
    for (size_t i = 0; i < list->n; i++) {
        nnfi_node *node = &list->nodes[i];
        if (!node->path) node->path = choose(n, i, node, source);
        if (!node->path) return false;
    }
    return true;
}

nnf_status nnfi_name_nodes(nnfi_node_list *list, const nnfi_source *source,
                           const nnfi_graph *graph) {
    naming n = {.suggested = nnfi_calloc(list->n, sizeof *n.suggested), .pile = &list->paths};
    bool good = n.suggested && name_nodes(&n, list, source, graph);
    nnfi_free((void *)n.suggested);
    nnfi_map_clear(&n.containers);
    nnfi_map_clear(&n.taken);
    nnfi_map_clear(&n.next);
    return good ? NNF_OK : nnfi_error_memory(list->n * sizeof *n.suggested, "the modules' paths");
}
