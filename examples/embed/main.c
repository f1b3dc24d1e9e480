/* Loads a model, fuses it, checks that the fused one computes the same, and runs it. */
#include <nnfuse.h>

#include <stdio.h>
#include <stdlib.h>

static void check(nnf_status status) {
    if (status == NNF_OK) return;
    fprintf(stderr, "embed: %s\n", nnf_error_message());
    exit(1);
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

    nnf_tensor *input = NULL, *output = NULL;
    check(nnf_make_inputs(&input, fused, NULL)); /* a model with one input and one output */
    check(nnf_module_forward(fused, &input, 1, &output, 1));
    const void *scores = NULL;
    check(nnf_tensor_data(output, &scores));
    printf("first score: %g\n", (double)((const float *)scores)[0]);

    nnf_tensor_release(input);
    nnf_tensor_release(output);
    nnf_module_release(fused);
    nnf_module_release(model);
    return status;
}
