#include "chains.h"

#include <stdlib.h>
#include <string.h>

/* ---- Names ---- */

enum { CHAIN_TEXT = 1024 };

static void append(char *buffer, const char *first, int length) {
    size_t used = strlen(buffer);
    snprintf(buffer + used, CHAIN_TEXT - used, "%.*s", length, first);
}

static void join(char *buffer, const char *const *texts, size_t n, size_t skip) {
    for (size_t i = 0; i < n; i++) {
        if (i > 0) append(buffer, ", ", 2);
        append(buffer, texts[i] + skip, (int)strlen(texts[i] + skip));
    }
}

/* The length of the path that all names begin with, its last dot included. */
static size_t common_parent(const char *const *names, size_t n) {
    const char *dot = strrchr(names[0], '.');
    size_t length = dot != NULL ? (size_t)(dot - names[0]) + 1 : 0;
    for (size_t i = 1; i < n && length > 0; i++) {
        while (length > 0 && strncmp(names[i], names[0], length) != 0) {
            length--;
            while (length > 0 && names[0][length - 1] != '.')
                length--;
        }
    }
    return length;
}

/* "layer1.0.{conv1, bn1, relu}", as the shell and git write what has a part in common. */
static const char *names_text(char *buffer, const nnf_chain *chain) {
    size_t parent = common_parent(chain->names, chain->length);
    buffer[0] = '\0';
    if (parent > 0) {
        append(buffer, chain->names[0], (int)parent);
        append(buffer, "{", 1);
    }
    join(buffer, chain->names, chain->length, parent);
    if (parent > 0) append(buffer, "}", 1);
    return buffer;
}

/* ---- Reading names ---- */

/* What a chain's text says: names between commas, and what all of them begin with. */
typedef struct chain_text {
    const char *parent, *list;
    size_t parent_length, list_length;
} chain_text;

static chain_text split_parent(const char *text) {
    size_t length = strlen(text);
    const char *brace = strstr(text, ".{");
    if (brace == NULL || text[length - 1] != '}') return (chain_text){text, text, 0, length};
    size_t parent = (size_t)(brace - text) + 1;
    return (chain_text){text, brace + 2, parent, length - parent - 2};
}

/* Appends "parent" "name", without spaces around the name, at `to`; returns what is behind its NUL,
 * or NULL where the name is empty. */
static char *put_name(char *to, const chain_text *text, const char *name, const char *end) {
    while (name < end && *name == ' ')
        name++;
    while (name < end && end[-1] == ' ')
        end--;
    if (name == end) return NULL;
    memcpy(to, text->parent, text->parent_length);
    memcpy(to + text->parent_length, name, (size_t)(end - name));
    to += text->parent_length + (size_t)(end - name);
    *to = '\0';
    return to + 1;
}

int chain_parse(nnf_found_chain *out, char **words, const char *text) {
    chain_text t = split_parent(text);
    if (t.parent_length == 0 && strstr(text, ".{") != NULL)
        return fail(STATUS_USAGE, "--chain: '%s' has no brace at its end", text);
    const char *end = t.list + t.list_length;
    size_t n = 1, at = 0;
    for (const char *c = t.list; c < end; c++)
        n += *c == ',';
    char *word = *words = malloc(n * (t.parent_length + 1) + t.list_length + 1);
    const char **names = malloc(n * sizeof *names);
    out->chain = (nnf_chain){.names = names, .length = n};
    out->types = calloc(n, sizeof *out->types);
    if (word == NULL || names == NULL || out->types == NULL)
        return fail(STATUS_INPUT, "out of memory");
    for (const char *name = t.list; at < n; at++) {
        const char *comma = memchr(name, ',', (size_t)(end - name));
        names[at] = word;
        word = put_name(word, &t, name, comma != NULL ? comma : end);
        if (word == NULL)
            return fail(STATUS_USAGE,
                        "--chain takes modules' names, as in --chain conv1,bn1,relu; "
                        "in '%s' name %zu is empty",
                        text, at + 1);
        if (comma != NULL) name = comma + 1;
    }
    return STATUS_DONE;
}

/* ---- Chains ---- */

static const char *types_text(char *buffer, const nnf_found_chain *chain) {
    buffer[0] = '\0';
    join(buffer, chain->types, chain->chain.length, 0);
    return buffer;
}

enum { FUSED_TEXT = 128 };

/* "Conv2d", or "Conv2d, 10 % fewer multiplications". */
static const char *fused_text(char *buffer, const nnf_found_chain *chain) {
    if (chain->saved > 0.0005)
        snprintf(buffer, FUSED_TEXT, "%s, %.1f %% fewer multiplications", chain->fused_type,
                 100 * chain->saved);
    else
        snprintf(buffer, FUSED_TEXT, "%s", chain->fused_type);
    return buffer;
}

/* For a terminal that is too narrow for the table: two lines each. */
static void print_stacked(FILE *file, const nnf_found_chain *chains, size_t n) {
    char names[CHAIN_TEXT], types[CHAIN_TEXT], fused[FUSED_TEXT];
    for (size_t i = 0; i < n; i++) {
        fputs("  ", file);
        print_clean(file, names_text(names, &chains[i].chain));
        fprintf(file, "\n      %s -> %s\n", types_text(types, &chains[i]),
                fused_text(fused, &chains[i]));
    }
}

void print_chains(FILE *file, const nnf_found_chain *chains, size_t n, size_t most) {
    size_t shown = n <= most ? n : most;
    text_table table = {.n_columns = 3};
    char names[CHAIN_TEXT], types[CHAIN_TEXT], fused[FUSED_TEXT];
    if (n == 0) return;
    table_add(&table, "modules");
    table_add(&table, "types before");
    table_add(&table, "type after");
    for (size_t i = 0; i < shown; i++) {
        table_add(&table, "%s", names_text(names, &chains[i].chain));
        table_add(&table, "%s", types_text(types, &chains[i]));
        table_add(&table, "%s", fused_text(fused, &chains[i]));
    }
    if (table_width(&table) <= line_width(file)) {
        table_print(file, &table);
    } else {
        table_clear(&table);
        print_stacked(file, chains, shown);
    }
    if (shown < n) fprintf(file, "  ... and %zu more; --verbose lists all\n", n - shown);
}

json_t *json_chains(const nnf_found_chain *chains, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const nnf_found_chain *c = &chains[i];
        json_t *object = json_object();
        json_object_set_new(object, "modules", json_texts(c->chain.names, c->chain.length));
        json_object_set_new(object, "types", json_texts(c->types, c->chain.length));
        json_object_set_new(object, "fused_type", json_text(c->fused_type));
        json_object_set_new(object, "multiplications_saved", json_real(c->saved));
        json_array_append_new(array, object);
    }
    return array;
}

/* ---- What is left alone ---- */

static void print_left_all(FILE *file, const nnf_chain_list *list) {
    for (size_t i = 0; i < list->n_left; i++) {
        fputs("  ", file);
        print_clean(file, list->left[i].name);
        fprintf(file, "  %s\n      ", list->left[i].type);
        print_clean(file, list->left[i].reason);
        fputc('\n', file);
    }
}

/* How many modules of a type are left. Types are few, whatever the number of modules. */
typedef struct type_count {
    const char *type;
    size_t n;
} type_count;

/* The types in the order in which they come first, with their numbers; NULL: out of memory. */
static type_count *count_types(size_t *n_types, const nnf_chain_list *list) {
    type_count *counts = NULL;
    *n_types = 0;
    for (size_t i = 0; i < list->n_left; i++) {
        size_t at = 0;
        while (at < *n_types && strcmp(counts[at].type, list->left[i].type) != 0)
            at++;
        if (at == *n_types) {
            type_count *grown = realloc(counts, (at + 1) * sizeof *counts);
            if (grown == NULL) {
                free(counts);
                return NULL;
            }
            counts = grown;
            counts[(*n_types)++] = (type_count){list->left[i].type, 0};
        }
        counts[at].n++;
    }
    return counts;
}

static void print_left_types(FILE *file, const nnf_chain_list *list) {
    size_t n_types;
    type_count *counts = count_types(&n_types, list);
    fputs(counts != NULL ? "  " : "  (out of memory)", file);
    for (size_t i = 0; counts != NULL && i < n_types; i++)
        fprintf(file, "%s%zu %s", i > 0 ? ", " : "", counts[i].n, counts[i].type);
    fputs("; 'nnfuse inspect' says why\n", file);
    free(counts);
}

void print_left(FILE *file, const nnf_chain_list *list, bool all) {
    if (list->n_left == 0) return;
    print_heading(file, "left alone");
    if (all) {
        print_left_all(file, list);
    } else {
        print_left_types(file, list);
    }
}

json_t *json_left(const nnf_chain_list *list) {
    json_t *array = json_array();
    for (size_t i = 0; i < list->n_left; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "module", json_text(list->left[i].name));
        json_object_set_new(object, "type", json_text(list->left[i].type));
        json_object_set_new(object, "reason", json_text(list->left[i].reason));
        json_array_append_new(array, object);
    }
    return array;
}
