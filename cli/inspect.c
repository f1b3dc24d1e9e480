/* nnfuse inspect: what is in a model, what would be fused, and why the rest would not. */
#include <string.h>

#include "chains.h"
#include "files.h"
#include "model.h"

typedef struct inspect_job {
    const cli_settings *settings;
    nnf_module *model;
    nnf_chain_list *list;
    nnf_type_info *infos; /* NULL where shapes cannot be inferred */
    size_t n_infos;
} inspect_job;

/* ---- Inputs and outputs ---- */

/* What inference finds where it finds more than the file says. */
static const nnf_type_info *info_of(const inspect_job *job, nnf_value value) {
    const nnf_type_info *stated = nnf_graph_value_info(job->model, value);
    bool whole = stated->dtype != NNF_DTYPE_UNKNOWN && stated->ndim >= 0;
    bool inferred = job->infos != NULL && (size_t)value < job->n_infos;
    return whole || !inferred ? stated : &job->infos[value];
}

typedef nnf_value port_function(const nnf_module *graph, size_t index);

static void print_ports(const inspect_job *job, const char *heading, port_function *port,
                        size_t n) {
    text_table table = {.n_columns = 2};
    char type[TYPE_TEXT];
    table_add(&table, "%s", heading);
    table_add(&table, "%s", "");
    for (size_t i = 0; i < n; i++) {
        nnf_value value = port(job->model, i);
        table_add(&table, "%s", nnf_graph_value_name(job->model, value));
        table_add(&table, "%s", info_text(type, job->model, info_of(job, value)));
    }
    fputc('\n', stdout);
    table_print(stdout, &table);
}

static json_t *json_ports(const inspect_job *job, port_function *port, size_t n) {
    json_t *array = json_array();
    char type[TYPE_TEXT];
    for (size_t i = 0; i < n; i++) {
        nnf_value value = port(job->model, i);
        json_t *object = json_object();
        json_object_set_new(object, "name", json_text(nnf_graph_value_name(job->model, value)));
        json_object_set_new(object, "type",
                            json_text(info_text(type, job->model, info_of(job, value))));
        json_array_append_new(array, object);
    }
    return array;
}

/* ---- The tree ---- */

static int64_t own_parameters(const nnf_module *module) {
    int64_t n = 0;
    for (size_t i = 0; i < nnf_module_n_tensors(module); i++) {
        const nnf_tensor *tensor = nnf_module_tensor(module, nnf_module_tensor_name(module, i));
        bool counts = nnf_module_tensor_kind(module, i) == NNF_SLOT_PARAMETER && tensor != NULL;
        n += counts ? nnf_tensor_numel(tensor) : 0;
    }
    return n;
}

/* ONNX's operator of a node that nnfuse does not know; NULL for another module. */
static const nnf_opaque_options *opaque_of(const nnf_module *module) {
    bool opaque = strcmp(nnf_module_type_name(module), "Opaque") == 0;
    return opaque ? nnf_module_options(module) : NULL;
}

/* Before opset 14 a batch norm is in training mode where it gives its new statistics. */
static bool is_training(const nnf_module *model, const nnf_module *module) {
    const nnf_opaque_options *node = opaque_of(module);
    if (node == NULL || node->domain[0] != '\0' || strcmp(node->op_type, "BatchNormalization") != 0)
        return false;
    for (size_t i = 0; i < nnf_graph_n_calls(model); i++)
        if (nnf_graph_call_module(model, i) == module)
            return nnf_graph_call_n_outputs(model, i) > 1;
    return false;
}

/* "Opaque (com.acme.Magic)". */
static void add_type(text_table *table, const nnf_module *model, const nnf_module *module) {
    const nnf_opaque_options *node = opaque_of(module);
    if (nnf_module_n_children(module) > 0) {
        table_add(table, "%s", "");
    } else if (node == NULL) {
        table_add(table, "%s", nnf_module_type_name(module));
    } else {
        table_add(table, "Opaque (%s%s%s%s)", node->domain, node->domain[0] != '\0' ? "." : "",
                  node->op_type, is_training(model, module) ? " in training mode" : "");
    }
}

typedef struct tree_rows {
    text_table table;
    const nnf_module *model;
} tree_rows;

static nnf_status add_module(const char *path, nnf_module *module, void *payload) {
    if (path[0] == '\0') return NNF_OK; /* the graph itself */
    int depth = 0;
    const char *name = path;
    for (const char *at = path; *at != '\0'; at++) {
        if (*at != '.') continue;
        depth++;
        name = at + 1;
    }
    tree_rows *rows = payload;
    text_table *table = &rows->table;
    char number[NUMBER_TEXT];
    int64_t n = own_parameters(module);
    table_add(table, "%*s%s", 2 * depth, "", name);
    add_type(table, rows->model, module);
    table_add(table, "%s", n > 0 ? number_text(number, n) : "");
    return NNF_OK;
}

static void print_tree(const inspect_job *job) {
    tree_rows rows = {.table = {.n_columns = 3, .right = {[2] = true}}, .model = job->model};
    table_add(&rows.table, "modules");
    table_add(&rows.table, "type");
    table_add(&rows.table, "parameters");
    fputc('\n', stdout);
    if (nnf_module_named_modules(job->model, add_module, &rows) != NNF_OK) rows.table.failed = true;
    table_print(stdout, &rows.table);
}

static nnf_status add_json_module(const char *path, nnf_module *module, void *payload) {
    if (nnf_module_n_children(module) > 0) return NNF_OK;
    json_t *object = json_object();
    json_object_set_new(object, "path", json_text(path));
    json_object_set_new(object, "type", json_text(nnf_module_type_name(module)));
    const nnf_opaque_options *node = opaque_of(module);
    if (node != NULL) {
        json_object_set_new(object, "operator", json_text(node->op_type));
        json_object_set_new(object, "domain", json_text(node->domain));
    }
    json_object_set_new(object, "parameters", json_integer(own_parameters(module)));
    json_array_append_new(payload, object);
    return NNF_OK;
}

/* ---- The whole ---- */

static void print_text(const inspect_job *job) {
    char nodes[NUMBER_TEXT], parameters[NUMBER_TEXT];
    model_counts counts = model_count(job->model);
    size_t n = job->list->n_chains;
    print_styled(stdout, BOLD, input_name(job->settings->operands[0]));
    printf(": %s node%s, %s parameter%s\n", number_text(nodes, counts.nodes), plural(counts.nodes),
           number_text(parameters, counts.parameters), plural(counts.parameters));
    print_ports(job, "inputs", nnf_graph_input, nnf_graph_n_inputs(job->model));
    print_ports(job, "outputs", nnf_graph_output, nnf_graph_n_outputs(job->model));
    print_tree(job);
    if (n == 0) {
        fputs("\nnothing would be fused\n", stdout);
    } else {
        printf("\n%zu chain%s would be fused\n\n", n, n == 1 ? "" : "s");
    }
    print_chains(stdout, job->list->chains, n, SIZE_MAX);
    print_left(stdout, job->list, true);
}

static int print_json(const inspect_job *job) {
    json_t *object = json_object(), *modules = json_array();
    const nnf_module *model = job->model;
    model_counts counts = model_count(job->model);
    nnf_status status = nnf_module_named_modules(job->model, add_json_module, modules);
    json_object_set_new(object, "model", json_text(job->settings->operands[0]));
    json_object_set_new(object, "nodes", json_integer(counts.nodes));
    json_object_set_new(object, "parameters", json_integer(counts.parameters));
    json_object_set_new(object, "inputs",
                        json_ports(job, nnf_graph_input, nnf_graph_n_inputs(model)));
    json_object_set_new(object, "outputs",
                        json_ports(job, nnf_graph_output, nnf_graph_n_outputs(model)));
    json_object_set_new(object, "modules", modules);
    json_object_set_new(object, "chains", json_chains(job->list->chains, job->list->n_chains));
    json_object_set_new(object, "left_alone", json_left(job->list));
    if (status == NNF_OK) return json_print(object);
    json_decref(object);
    return fail_library(status);
}

/* As 'nnfuse fuse' would: in what cleaning leaves. */
static nnf_status find_chains(inspect_job *job) {
    nnf_module *cleaned = NULL;
    nnf_clean_report report = {0};
    nnf_status status = nnf_module_copy(&cleaned, job->model);
    if (status == NNF_OK) status = nnf_clean(cleaned, &report);
    if (status == NNF_OK) status = nnf_lift_patterns(cleaned, NULL);
    if (status == NNF_OK) status = nnf_find_chains(&job->list, cleaned, job->settings->mapping);
    nnf_module_release(cleaned);
    return status;
}

static int run_inspect(const cli_settings *settings) {
    inspect_job job = {.settings = settings};
    int status = model_load(&job.model, settings->operands[0]);
    if (status == STATUS_DONE) note_opset(settings, settings->operands[0], job.model);
    if (status == STATUS_DONE) {
        nnf_status found = find_chains(&job);
        if (found != NNF_OK) status = fail_library(found);
    }
    if (status == STATUS_DONE) {
        /* A file may be looked at although its shapes do not fit together. */
        if (nnf_graph_infer(job.model, NULL, &job.infos, &job.n_infos) != NNF_OK) {
            job.infos = NULL;
            note(settings, "shapes cannot be inferred: %s", nnf_error_message());
        }
        if (settings->json) {
            status = print_json(&job);
        } else {
            print_text(&job);
        }
    }
    if (job.infos != NULL) nnf_graph_infer_free(job.infos, job.n_infos);
    nnf_chain_list_release(job.list);
    nnf_module_release(job.model);
    return status;
}

const cli_command command_inspect = {
    .name = "inspect",
    .operands = "MODEL",
    .summary = "shows what is in a model, and what would be fused",
    .about = "Prints a model's inputs, outputs and modules, the chains that 'nnfuse fuse' would\n"
             "fuse (after cleaning), and for each layer that could be fused but would stay, the\n"
             "reason.\n\n"
             "options:\n",
    .examples = "  nnfuse inspect model.onnx\n"
                "  nnfuse inspect model.onnx --json | jq '.chains[].modules'\n",
    .n_operands = 1,
    .bit = FOR_INSPECT,
    .run = run_inspect,
};
