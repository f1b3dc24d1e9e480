#include "fusions.h"

#include <string.h>

#include "options.h"
#include "report.h"

/* The next of the names between commas; false behind the last. */
static bool next_name(const char **at, const char **name, size_t *length) {
    if (*at == NULL) return false;
    *name = *at;
    *length = strcspn(*at, ",");
    *at = (*name)[*length] == ',' ? *name + *length + 1 : NULL;
    return true;
}

static bool is_name(const char *name, size_t length, const char *of) {
    return strlen(of) == length && memcmp(name, of, length) == 0;
}

static bool is_in(const string_list *list, const char *wanted) {
    const char *name;
    size_t length;
    for (size_t i = 0; i < list->n; i++)
        for (const char *at = list->items[i]; next_name(&at, &name, &length);)
            if (is_name(name, length, wanted)) return true;
    return false;
}

static int check_name(const char *name, size_t length) {
    const char *names[64];
    char text[64];
    size_t n;
    const nnf_fusion *fusions = nnf_fusions(&n);
    for (size_t i = 0; i < n; i++) {
        if (is_name(name, length, fusions[i].name)) return STATUS_DONE;
        names[i] = fusions[i].name;
    }
    if (length == 0) return fail(STATUS_USAGE, "a kind of fusion has no name between the commas");
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    const char *near = nearest(text, names, n);
    return fail(STATUS_USAGE, "there is no fusion '%s'; %s%s%s", text,
                near != NULL ? "did you mean '" : "'nnfuse fuse --list' lists them",
                near != NULL ? near : "", near != NULL ? "'?" : "");
}

static int check_names(const string_list *list) {
    int status = STATUS_DONE;
    const char *name;
    size_t length;
    for (size_t i = 0; i < list->n; i++)
        for (const char *at = list->items[i];
             status == STATUS_DONE && next_name(&at, &name, &length);)
            status = check_name(name, length);
    return status;
}

int mapping_make(nnf_mapping **out, const cli_settings *settings) {
    *out = NULL;
    int checked = check_names(&settings->only);
    if (checked == STATUS_DONE) checked = check_names(&settings->skip);
    if (checked != STATUS_DONE) return checked;
    if (settings->only.n + settings->skip.n == 0 && !settings->strict) return STATUS_DONE;
    nnf_status status = nnf_mapping_new(out);
    size_t n;
    const nnf_fusion *fusions = nnf_fusions(&n);
    for (size_t i = 0; i < n && status == NNF_OK; i++) {
        const char *name = fusions[i].name;
        if (is_in(&settings->skip, name) || (settings->strict && !fusions[i].is_pytorch) ||
            (settings->only.n > 0 && !is_in(&settings->only, name)))
            status = nnf_mapping_skip(*out, name);
    }
    if (status == NNF_OK) return STATUS_DONE;
    nnf_mapping_release(*out);
    *out = NULL;
    return fail_library(status);
}

int print_fusions(const cli_settings *settings) {
    size_t n;
    const nnf_fusion *fusions = nnf_fusions(&n);
    if (settings->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            json_t *object = json_object();
            json_object_set_new(object, "name", json_text(fusions[i].name));
            json_object_set_new(object, "what", json_text(fusions[i].what));
            json_object_set_new(object, "when", json_text(fusions[i].when));
            json_object_set_new(object, "pytorch", json_boolean(fusions[i].is_pytorch));
            json_array_append_new(list, object);
        }
        json_t *result = json_object();
        json_object_set_new(result, "fusions", list);
        return json_print(result);
    }
    for (size_t i = 0; i < n; i++)
        printf("%-12s%s%s\n%12sexact when: %s\n", fusions[i].name, fusions[i].what,
               fusions[i].is_pytorch ? " (PyTorch has it)" : "", "", fusions[i].when);
    return STATUS_DONE;
}
