/* The tree: children, paths, and walks over all modules and tensors. */
#include <string.h>

#include "module/object.h"
#include "support/hash.h"

/* A linear search beats hashing below this. */
#define FEW_CHILDREN 16
/* The deepest path that is made, and the most edges that are looked at without a table. */
#define MAX_DEPTH 1000

/* ---- Children ---- */

size_t nnf_module_n_children(const nnf_module *module) {
    return module ? nnfi_n_children(module) : 0;
}

const char *nnf_module_child_name(const nnf_module *module, size_t index) {
    return index < nnf_module_n_children(module) ? module->children->items[index].name : NULL;
}

nnf_module *nnf_module_child(const nnf_module *module, size_t index) {
    return index < nnf_module_n_children(module) ? module->children->items[index].module : NULL;
}

typedef struct wanted_child {
    const nnf_module *module;
    const char *name;
    size_t length;
} wanted_child;

static bool is_child(const void *payload, size_t number) {
    const wanted_child *wanted = payload;
    const char *name = wanted->module->children->items[number].name;
    return !strncmp(name, wanted->name, wanted->length) && !name[wanted->length];
}

static nnfi_child *find_child(const nnf_module *module, const char *name, size_t length) {
    const wanted_child wanted = {module, name, length};
    const nnfi_more *more = nnfi_more_of(module);
    if (more->n_indexed > 0) {
        const struct nnfi_index_slot *slot =
            nnfi_index_find(&more->child_by_name, nnfi_hash(0, name, length), is_child, &wanted);
        return slot ? &module->children->items[nnfi_index_number(slot)] : NULL;
    }
    for (size_t i = 0; i < nnfi_n_children(module); i++)
        if (is_child(&wanted, i)) return &module->children->items[i];
    return NULL;
}

/* They are searched one by one then. */
static void forget_index(nnfi_more *more) {
    if (!more) return;
    nnfi_index_clear(&more->child_by_name);
    more->n_indexed = 0;
}

/* Enters the children from the first that is not in the table yet. */
static bool index_children(nnf_module *module) {
    nnfi_more *more = nnfi_more_new(module);
    if (!more) return false;
    for (; more->n_indexed < nnfi_n_children(module); more->n_indexed++) {
        const char *name = module->children->items[more->n_indexed].name;
        if (!nnfi_index_add(&more->child_by_name, nnfi_hash(0, name, strlen(name)),
                            more->n_indexed))
            return false;
    }
    return true;
}

/* Fused modules come by the million, and theirs are called "0", "1" and "2". */
static const char digits[10][2] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

static bool is_digit(const char *name) {
    return name[0] >= '0' && name[0] <= '9' && !name[1];
}

/* A copy of a name for the next child; NULL where memory is short. */
static const char *copy_name(nnf_module *module, const char *name) {
    if (nnfi_n_children(module) >= FEW_CHILDREN) {
        nnfi_more *more = nnfi_more_new(module);
        return more ? nnfi_pile_strndup(&more->child_names, name, strlen(name)) : NULL;
    }
    return is_digit(name) ? digits[name[0] - '0'] : nnfi_strdup(name);
}

void nnfi_children_free_names(const nnf_module *module) {
    for (size_t i = 0; i < nnfi_n_children(module) && i < FEW_CHILDREN; i++) {
        const char *name = module->children->items[i].name;
        if (!is_digit(name)) nnfi_free((void *)(uintptr_t)name);
    }
}

/* Room for one child more: most modules that have some have two. */
static bool reserve_child(nnf_module *module) {
    nnfi_children *children = module->children;
    size_t n = nnfi_n_children(module), capacity = children ? children->capacity : 0;
    if (n < capacity) return true;
    capacity = capacity ? capacity * 2 : 2;
    if (capacity > NNFI_INDEX_MOST) return false;
    children = nnfi_realloc(children, sizeof *children + capacity * sizeof *children->items);
    if (!children) return false;
    children->n = (uint32_t)n;
    children->capacity = (uint32_t)capacity;
    module->children = children;
    return true;
}

nnf_status nnfi_append_child(nnf_module *module, const char *name, nnf_module *child) {
    if (!reserve_child(module)) return nnfi_error_memory(sizeof(nnfi_child), "a module's children");
    const char *copy = copy_name(module, name);
    if (!copy) return nnfi_error_memory(strlen(name) + 1, "a module's name");
    nnfi_children *children = module->children;
    children->items[children->n++] = (nnfi_child){copy, child};
    if (children->n > FEW_CHILDREN && !index_children(module)) {
        forget_index(module->more);
        children->n--; /* its name stays in the pile */
        return nnfi_error_memory(children->n * sizeof(void *), "the names of children");
    }
    nnf_module_retain(child);
    return NNF_OK;
}

/* Whether `wanted` is `tree` or below it. Gives up when `edges` are used up. */
static bool reaches(const nnf_module *tree, const nnf_module *wanted, size_t *edges) {
    if (tree == wanted) return true;
    size_t n = nnfi_n_children(tree);
    for (size_t i = 0; i < n && (*edges) > 0; i++) {
        --*edges;
        if (reaches(tree->children->items[i].module, wanted, edges)) return true;
    }
    return false;
}

/* Most modules that are put somewhere are small: these need no table of what was seen, so that
 * replacing a child by one of them cannot run out of memory. */
static nnf_status check_acyclic(const nnf_module *module, const char *name,
                                const nnf_module *child) {
    size_t edges = MAX_DEPTH;
    bool cycle = reaches(child, module, &edges);
    if (!cycle && edges == 0) {
        nnfi_walk walk;
        NNFI_TRY(nnfi_walk_new(&walk, child));
        cycle = nnfi_pointers_get(&walk.index, module, NULL);
        nnfi_walk_clear(&walk);
    }
    if (!cycle) return NNF_OK;
    return nnf_error(NNF_ERROR_INVALID, "a %s cannot be child '%s' of a %s that it contains",
                     child->type->name, name, module->type->name);
}

/* find_child for who replaces one after another. */
static nnfi_child *find_child_near(nnf_module *module, const char *name) {
    nnfi_more *more = module->more;
    nnfi_child *place = NULL;
    if (!more || more->n_indexed == 0) return find_child(module, name, strlen(name));
    if (more->next_put < nnfi_n_children(module) &&
        !strcmp(module->children->items[more->next_put].name, name))
        place = &module->children->items[more->next_put];
    else
        place = find_child(module, name, strlen(name));
    if (place) more->next_put = (size_t)(place - module->children->items) + 1;
    return place;
}

/* set_child without regard to a Graph's calls. */
static nnf_status put_child(nnf_module *module, const char *name, nnf_module *child) {
    NNFI_TRY(check_acyclic(module, name, child));
    nnfi_child *place = find_child_near(module, name);
    if (!place) return nnfi_append_child(module, name, child);
    nnf_module *old = place->module;
    place->module = nnf_module_retain(child);
    nnf_module_release(old);
    return NNF_OK;
}

nnf_status nnf_module_set_child(nnf_module *module, const char *name, nnf_module *child) {
    if (!name || !*name || strchr(name, '.'))
        return nnf_error(NNF_ERROR_INVALID,
                         "'%s' is no name for a child: it must not be empty or hold a dot",
                         name ? name : "");
    return nnf_module_set(module, name, child);
}

/* ---- Paths ---- */

static nnf_status no_child(const nnf_module *module, const char *path, const char *part,
                           const char *stop) {
    const char *type = module->type->name;
    int length = (int)(stop - part);
    if (part == path)
        return nnf_error(NNF_ERROR_NOT_FOUND,
                         "there is no module '%s': the root (%s) has no child '%.*s'", path, type,
                         length, part);
    return nnf_error(NNF_ERROR_NOT_FOUND,
                     "there is no module '%s': '%.*s' (%s) has no child '%.*s'", path,
                     (int)(part - path - 1), path, type, length, part);
}

/* Follows the first `length` bytes of a path, which end where a part ends. */
static nnf_status descend(nnf_module **out, const nnf_module *root, const char *path,
                          size_t length) {
    const nnf_module *module = root;
    const char *end = path + length;
    for (const char *part = path, *stop; length > 0 && part <= end; part = stop + 1) {
        stop = memchr(part, '.', (size_t)(end - part));
        if (!stop) stop = end;
        const nnfi_child *child = find_child(module, part, (size_t)(stop - part));
        if (!child) return no_child(module, path, part, stop);
        module = child->module;
    }
    *out = (nnf_module *)module;
    return NNF_OK;
}

nnf_status nnf_module_get(nnf_module **out, const nnf_module *root, const char *path) {
    if (!out || !root || !path)
        return nnf_error(NNF_ERROR_INVALID, "a module is looked up by a root and a path");
    return descend(out, root, path, strlen(path));
}

/* Sets what is at `path`, whose parent exists; the calls of every Graph on the way follow. */
static nnf_status set_below(nnf_module *root, const char *path, nnf_module *module) {
    bool is_graph = nnf_module_is_graph(root);
    if (is_graph) NNFI_TRY(nnfi_graph_prepare_set(root, path, module));
    const char *dot = strchr(path, '.');
    if (!dot)
        NNFI_TRY(put_child(root, path, module));
    else
        NNFI_TRY(set_below(find_child(root, path, (size_t)(dot - path))->module, dot + 1, module));
    if (is_graph) nnfi_graph_commit_set(root, path);
    return NNF_OK;
}

nnf_status nnf_module_set(nnf_module *root, const char *path, nnf_module *module) {
    if (!root || !path || !module)
        return nnf_error(NNF_ERROR_INVALID, "a module is set by a root, a path and a module");
    const char *name = strrchr(path, '.');
    size_t parent_length = name ? (size_t)(name - path) : 0;
    name = name ? name + 1 : path;
    if (!*name || *path == '.')
        return nnf_error(NNF_ERROR_INVALID, "'%s' is no path of a module below the root", path);
    size_t depth = 1;
    for (const char *at = path; *at; at++)
        depth += *at == '.';
    if (depth > MAX_DEPTH)
        return nnf_error(NNF_ERROR_INVALID, "a path has %zu parts: at most %d are possible", depth,
                         MAX_DEPTH);
    nnf_module *parent;
    NNFI_TRY(descend(&parent, root, path, parent_length));
    return set_below(root, path, module);
}

nnf_status nnfi_module_put(nnf_module *root, const char *path, nnf_module *module) {
    const char *dot = strrchr(path, '.');
    nnf_module *parent;
    NNFI_TRY(descend(&parent, root, path, dot ? (size_t)(dot - path) : 0));
    return put_child(parent, dot ? dot + 1 : path, module);
}

/* ---- Walks ---- */

typedef struct pending_visits {
    nnfi_visit *items;
    size_t n, capacity;
} pending_visits;

/* Puts visit i's children on the stack, the first on top. */
static bool push_children(pending_visits *stack, const nnfi_walk *walk, size_t i) {
    const nnf_module *module = walk->visits[i].module;
    size_t n = nnfi_n_children(module);
    if (!nnfi_reserve(&stack->items, &stack->capacity, stack->n + n, sizeof *stack->items))
        return false;
    for (size_t child = n; child-- > 0;)
        stack->items[stack->n++] = (nnfi_visit){module->children->items[child].module, i, child};
    return true;
}

/* Visits a module, and its children after it, unless the walk was there before. */
static bool add_visit(nnfi_walk *walk, pending_visits *stack, nnfi_visit visit) {
    const size_t *number = nnfi_pointers_put(&walk->index, visit.module, walk->n);
    if (!number) return false;
    if (*number != walk->n) return true;
    if (!nnfi_reserve(&walk->visits, &walk->capacity, walk->n + 1, sizeof *walk->visits))
        return false;
    walk->visits[walk->n++] = visit;
    return push_children(stack, walk, walk->n - 1);
}

/* A stack of its own instead of recursion: see nnf_module_release. */
nnf_status nnfi_walk_new(nnfi_walk *out, const nnf_module *root) {
    nnfi_walk walk = {0};
    pending_visits stack = {0};
    nnfi_visit visit = {(nnf_module *)root, 0, 0};
    bool ok = add_visit(&walk, &stack, visit);
    while (ok && stack.n > 0) {
        visit = stack.items[--stack.n];
        ok = add_visit(&walk, &stack, visit);
    }
    nnfi_free(stack.items);
    if (!ok) {
        size_t bytes = (walk.n + 1) * sizeof visit;
        nnfi_walk_clear(&walk);
        return nnfi_error_memory(bytes, "a walk over a module tree");
    }
    *out = walk;
    return NNF_OK;
}

void nnfi_walk_clear(nnfi_walk *walk) {
    nnfi_free(walk->visits);
    nnfi_pointers_clear(&walk->index);
    *walk = (nnfi_walk){0};
}

static const char *visit_name(const nnfi_walk *walk, size_t i) {
    const nnfi_visit *visit = &walk->visits[i];
    return walk->visits[visit->parent].module->children->items[visit->child].name;
}

/* Puts `name` and, unless it is the last part, a dot in front of what begins at `at`. */
static char *prepend(char *at, const char *name, bool is_last) {
    size_t length = strlen(name);
    if (!is_last) *--at = '.';
    return memcpy(at - length, name, length);
}

char *nnfi_walk_path(const nnfi_walk *walk, size_t i, const char *name) {
    size_t length = name ? strlen(name) + 1 : 0;
    for (size_t at = i; at > 0; at = walk->visits[at].parent)
        length += strlen(visit_name(walk, at)) + 1;
    if (length == 0) return nnfi_strdup("");
    char *path = nnfi_alloc(length);
    if (!path) return NULL;
    char *begin = path + length - 1;
    *begin = '\0';
    const char *end = begin;
    if (name) begin = prepend(begin, name, true);
    for (size_t at = i; at > 0; at = walk->visits[at].parent)
        begin = prepend(begin, visit_name(walk, at), begin == end);
    return path;
}

nnf_status nnf_module_named_modules(nnf_module *root,
                                    nnf_status (*visit)(const char *path, nnf_module *module,
                                                        void *payload),
                                    void *payload) {
    if (!root || !visit) return nnf_error(NNF_ERROR_INVALID, "a walk needs a root and a callback");
    nnfi_walk walk;
    NNFI_TRY(nnfi_walk_new(&walk, root));
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < walk.n && status == NNF_OK; i++) {
        char *path = nnfi_walk_path(&walk, i, NULL);
        status = path ? visit(path, walk.visits[i].module, payload)
                      : nnfi_error_memory(1, "a module's path");
        nnfi_free(path);
    }
    nnfi_walk_clear(&walk);
    return status;
}

typedef struct tensor_walk {
    nnfi_walk modules;
    nnfi_pointers seen;
    nnf_slot_kind kind;
    nnf_status (*visit)(const char *path, nnf_tensor *tensor, void *payload);
    void *payload;
} tensor_walk;

static void tensor_walk_clear(tensor_walk *walk) {
    nnfi_pointers_clear(&walk->seen);
    nnfi_walk_clear(&walk->modules);
}

/* The t-th tensor of a module where it is one to visit; else NULL in *out. */
static nnf_status next_tensor(tensor_walk *walk, nnf_tensor **out, const nnf_module *module,
                              size_t t) {
    const nnf_slot *slot;
    const nnfi_extra *extra;
    nnf_tensor *tensor = nnfi_nth_tensor(module, t, &slot, &extra);
    *out = NULL;
    if ((slot ? slot->kind : extra->kind) != walk->kind) return NNF_OK;
    size_t n_seen = walk->seen.n_keys;
    const size_t *number = nnfi_pointers_put(&walk->seen, tensor, n_seen);
    if (!number) return nnfi_error_memory(sizeof tensor, "the tensors seen");
    if (*number == n_seen) *out = tensor;
    return NNF_OK;
}

static nnf_status visit_tensors(tensor_walk *walk, size_t i) {
    const nnf_module *module = walk->modules.visits[i].module;
    size_t n = nnf_module_n_tensors(module);
    for (size_t t = 0; t < n; t++) {
        nnf_tensor *tensor;
        NNFI_TRY(next_tensor(walk, &tensor, module, t));
        if (!tensor) continue;
        const char *name = nnf_module_tensor_name(module, t);
        char *path = nnfi_walk_path(&walk->modules, i, name);
        if (!path) return nnfi_error_memory(1, "a tensor's path");
        nnf_status status = walk->visit(path, tensor, walk->payload);
        nnfi_free(path);
        NNFI_TRY(status);
    }
    return NNF_OK;
}

nnf_status nnf_module_named_tensors(nnf_module *root, nnf_slot_kind kind,
                                    nnf_status (*visit)(const char *path, nnf_tensor *tensor,
                                                        void *payload),
                                    void *payload) {
    if (!root || !visit) return nnf_error(NNF_ERROR_INVALID, "a walk needs a root and a callback");
    tensor_walk walk = {.kind = kind, .visit = visit, .payload = payload};
    NNFI_TRY(nnfi_walk_new(&walk.modules, root));
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < walk.modules.n && status == NNF_OK; i++)
        status = visit_tensors(&walk, i);
    tensor_walk_clear(&walk);
    return status;
}

/* Cannot fail, so it chains the modules up by their links instead of keeping a table of them. The
 * last one links to itself, so that a link tells whether a module was met. */
void nnf_module_train(nnf_module *root, bool training) {
    nnf_module *last = root;
    if (!root) return;
    root->link = root;
    for (nnf_module *at = root;; at = at->link) {
        at->training = training;
        for (size_t i = 0; i < nnfi_n_children(at); i++) {
            nnf_module *child = at->children->items[i].module;
            if (child->link) continue;
            last->link = child;
            last = child->link = child;
        }
        if (at == last) break;
    }
    for (nnf_module *at = root; at;) {
        nnf_module *next = at->link != at ? at->link : NULL;
        at->link = NULL;
        at = next;
    }
}

void nnf_module_eval(nnf_module *root) {
    nnf_module_train(root, false);
}
