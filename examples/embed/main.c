/* Loads a model, fuses it, checks that the fused one computes the same, and runs it. */
#include <nnfuse.h>

#include <stdio.h>
#include <stdlib.h>

static void check(nnf_status status) {
    if (status == NNF_OK) return;
    fprintf(stderr, "embed: %s\n", nnf_error_message());
    exit(1);
}

/* Runs the model on random inputs of the shapes that it takes; how many inputs and outputs it has
 * is the model's. */
static void run(nnf_module *model) {
    const size_t n_inputs = nnf_graph_n_inputs(model), n_outputs = nnf_graph_n_outputs(model);
    nnf_tensor **inputs = calloc(n_inputs + 1, sizeof *inputs);
    nnf_tensor **outputs = calloc(n_outputs + 1, sizeof *outputs);
    if (!inputs || !outputs) exit(1);
    check(nnf_make_inputs(inputs, model, NULL));
    check(nnf_module_forward(model, inputs, n_inputs, outputs, n_outputs));
    for (size_t i = 0; i < n_outputs; i++) {
        const char *name = nnf_graph_value_name(model, nnf_graph_output(model, i));
        const void *data = NULL;
        check(nnf_tensor_data(outputs[i], &data));
        printf("%s: %s, %lld numbers", name, nnf_dtype_name(nnf_tensor_dtype(outputs[i])),
               (long long)nnf_tensor_numel(outputs[i]));
        if (nnf_tensor_dtype(outputs[i]) == NNF_F32 && nnf_tensor_numel(outputs[i]) > 0)
            printf(", the first is %g", (double)((const float *)data)[0]);
        putchar('\n');
        nnf_tensor_release(outputs[i]);
    }
    for (size_t i = 0; i < n_inputs; i++)
        nnf_tensor_release(inputs[i]);
    free(inputs);
    free(outputs);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: embed MODEL.onnx\n");
        return 1;
    }
    nnf_module *model = NULL, *fused = NULL;
    check(nnf_onnx_load(&model, argv[1], NULL));
    check(nnf_module_copy(&fused, model)); /* copies no weights */
    nnf_fuse_report report = {0};
    check(nnf_fuse(fused, NULL, &report));
    printf("%zu chains fused\n", report.n_fused);
    nnf_fuse_report_clear(&report);

    nnf_verify_report difference = {0};
    check(nnf_verify(&difference, model, fused, NULL));
    for (size_t i = 0; i < difference.n_rows; i++) {
        printf("%s: largest relative difference %.1e\n", difference.rows[i].name,
               difference.rows[i].max_rel_difference);
    }
    int status = difference.ok ? 0 : 1;
    nnf_verify_report_clear(&difference);

    run(fused);
    nnf_module_release(fused);
    nnf_module_release(model);
    return status;
}
