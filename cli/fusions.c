#include "fusions.h"

#include <string.h>

#include "options.h"
#include "report.h"

static bool is_in(const string_list *list, const char *name) {
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], name) == 0) return true;
    return false;
}

static int check_names(const string_list *list) {
    const char *names[64];
    size_t n;
    const nnf_fusion *fusions = nnf_fusions(&n);
    for (size_t i = 0; i < n; i++)
        names[i] = fusions[i].name;
    for (size_t i = 0; i < list->n; i++) {
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known = known || strcmp(list->items[i], names[k]) == 0;
        if (known) continue;
        const char *near = nearest(list->items[i], names, n);
        return fail(STATUS_USAGE, "there is no fusion '%s'; %s%s%s", list->items[i],
                    near != NULL ? "did you mean '" : "'nnfuse fuse --list' lists them",
                    near != NULL ? near : "", near != NULL ? "'?" : "");
    }
    return STATUS_DONE;
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
