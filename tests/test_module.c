/* The module object: options, tensors, references. */
#include "module_support.h"

#include "module/module_internal.h"

static void a_new_module_is_in_training_mode_with_its_options(void **state) {
    (void)state;
    nnf_module *module = new_scale(2.5f);
    assert_true(nnf_module_training(module));
    assert_string_equal(nnf_module_type_name(module), "Scale");
    assert_ptr_equal(nnf_module_get_type(module), &scale_type);
    assert_true(((const scale_options *)nnf_module_options(module))->factor == 2.5f);
    assert_int_equal(nnf_module_n_tensors(module), 0);
    nnf_module_release(module);
    nnf_module *box = new_box();
    assert_null(nnf_module_options(box));
    assert_null(nnf_module_mut_options(box));
    nnf_module_release(box);
    nnf_module_release(NULL);
}

static void a_module_without_a_type_is_an_error(void **state) {
    (void)state;
    nnf_module *module = NULL;
    assert_error(nnf_module_new(&module, NULL, NULL), NNF_ERROR_INVALID, "type");
    assert_null(module);
}

static void slots_come_before_other_tensors_and_unset_ones_are_not_counted(void **state) {
    (void)state;
    nnf_module *module = new_scale(1);
    nnf_tensor *a = VECTOR(1), *b = VECTOR(2);
    assert_ok(nnf_module_set_buffer(module, "steps", a));
    assert_ok(nnf_module_set_parameter(module, "bias", b));
    assert_int_equal(nnf_module_n_tensors(module), 2);
    assert_string_equal(nnf_module_tensor_name(module, 0), "bias");
    assert_string_equal(nnf_module_tensor_name(module, 1), "steps");
    assert_int_equal(nnf_module_tensor_kind(module, 0), NNF_SLOT_PARAMETER);
    assert_int_equal(nnf_module_tensor_kind(module, 1), NNF_SLOT_BUFFER);
    assert_null(nnf_module_tensor_name(module, 2));
    assert_ptr_equal(nnf_module_tensor(module, "bias"), b);
    assert_null(nnf_module_tensor(module, "weight"));
    assert_ok(nnf_module_set_parameter(module, "bias", NULL));
    assert_ok(nnf_module_set_parameter(module, "never set", NULL));
    assert_int_equal(nnf_module_n_tensors(module), 1);
    assert_string_equal(nnf_module_tensor_name(module, 0), "steps");
    assert_ok(nnf_module_set_buffer(module, "steps", NULL));
    assert_int_equal(nnf_module_n_tensors(module), 0);
    nnf_tensor_release(a);
    nnf_tensor_release(b);
    nnf_module_release(module);
}

static void a_parameter_does_not_become_a_buffer(void **state) {
    (void)state;
    nnf_module *module = new_scale(1);
    nnf_tensor *a = VECTOR(1);
    assert_error(nnf_module_set_buffer(module, "bias", a), NNF_ERROR_INVALID, "'bias'", "Scale",
                 "is a parameter");
    assert_ok(nnf_module_set_buffer(module, "steps", a));
    assert_error(nnf_module_set_parameter(module, "steps", a), NNF_ERROR_INVALID, "'steps'",
                 "is a buffer");
    assert_error(nnf_module_set_parameter(module, "", a), NNF_ERROR_INVALID, "name");
    nnf_tensor_release(a);
    nnf_module_release(module);
}

static void changing_the_options_clears_the_origin(void **state) {
    (void)state;
    nnf_module *module = new_scale(1), *copy = NULL;
    nnfi_module_set_origin(module, (nnfi_origin){7, 3});
    assert_non_null(nnfi_module_state(module));
    assert_int_equal(nnfi_module_origin(module).source, 7);
    assert_ok(nnf_module_copy(&copy, module));
    ((scale_options *)nnf_module_mut_options(module))->factor = 2;
    assert_int_equal(nnfi_module_origin(module).source, 0);
    assert_int_equal(nnfi_module_origin(copy).source, 7);
    assert_int_equal(nnfi_module_origin(copy).index, 3);
    nnf_module_release(copy);
    nnf_module_release(module);
}

/* ---- Options that own memory ---- */

typedef struct note_options {
    char *text;
} note_options;
static nnf_status copy_note(void *to, const void *from) {
    char *text = ((const note_options *)from)->text;
    if (!strcmp(text, "refuse")) return nnf_error(NNF_ERROR_MEMORY, "no room for the note");
    char *copy = malloc(strlen(text) + 1);
    assert_non_null(copy);
    ((note_options *)to)->text = strcpy(copy, text);
    return NNF_OK;
}
static void destroy_note(void *options) {
    free(((note_options *)options)->text);
}
static const nnf_module_type note_type = {.name = "Note",
                                          .options_size = sizeof(note_options),
                                          .copy_options = copy_note,
                                          .destroy_options = destroy_note};

static void options_are_copied_deeply_and_freed_once(void **state) {
    (void)state;
    char text[] = "hello";
    nnf_module *module = NULL, *copy = NULL;
    assert_ok(nnf_module_new(&module, &note_type, &(note_options){text}));
    assert_ok(nnf_module_copy(&copy, module));
    nnf_module_release(module);
    assert_string_equal(((const note_options *)nnf_module_options(copy))->text, "hello");
    nnf_module_release(copy);
    module = NULL;
    assert_error(nnf_module_new(&module, &note_type, &(note_options){(char[]){"refuse"}}),
                 NNF_ERROR_MEMORY, "no room");
    assert_null(module);
}

TEST_MAIN(cmocka_unit_test(a_new_module_is_in_training_mode_with_its_options),
          cmocka_unit_test(a_module_without_a_type_is_an_error),
          cmocka_unit_test(slots_come_before_other_tensors_and_unset_ones_are_not_counted),
          cmocka_unit_test(a_parameter_does_not_become_a_buffer),
          cmocka_unit_test(changing_the_options_clears_the_origin),
          cmocka_unit_test(options_are_copied_deeply_and_freed_once))
