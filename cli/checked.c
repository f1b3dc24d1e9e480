#include "checked.h"

#include <inttypes.h>

/* Where shapes or types differ no two numbers were compared, and a difference of 0 would say that
 * they are the same. */
static bool has_numbers(const nnf_verify_row *row) {
    return row->ok || row->max_abs_difference > 0.0;
}

static void add_row(text_table *table, const nnf_verify_row *row) {
    char number[NUMBER_TEXT], of[NUMBER_TEXT];
    table_add(table, "%s", row->name);
    bool numbers = has_numbers(row);
    table_add(table, numbers ? "%.3g" : "-", row->max_abs_difference);
    table_add(table, numbers ? "%.3g" : "-", row->max_rel_difference);
    table_add(table, "%.3g", row->tolerance);
    if (row->n_argmax > 0) {
        table_add(table, "%s of %s", number_text(number, row->n_argmax_equal),
                  number_text(of, row->n_argmax));
    } else {
        table_add(table, "-");
    }
    table_add(table, !row->ok ? "DIFFERS" : row->n_elements == 0 ? "empty" : "ok");
}

static void print_rows(FILE *file, const nnf_verify_report *report) {
    text_table table = {.n_columns = 6, .right = {[1] = true, true, true, true}};
    static const char *const headings[] = {[0] = NULL,  "largest difference", "relative",
                                           "tolerance", "same answers",       ""};
    table_add(&table, "%s", report->by_chain ? "chain" : "output");
    for (int c = 1; c < table.n_columns; c++)
        table_add(&table, "%s", headings[c]);
    for (size_t i = 0; i < report->n_rows; i++)
        add_row(&table, &report->rows[i]);
    table_print(file, &table);
}

static void print_accuracy(FILE *file, const nnf_verify_report *report) {
    double percent = 100.0 / (double)report->n_labels;
    char before[NUMBER_TEXT], after[NUMBER_TEXT], all[NUMBER_TEXT];
    fprintf(file, "  accuracy: %.2f%% before (%s of %s right), %.2f%% after (%s right)\n",
            percent * (double)report->n_right_a, number_text(before, report->n_right_a),
            number_text(all, report->n_labels), percent * (double)report->n_right_b,
            number_text(after, report->n_right_b));
}

/* Whether a fused chain was run, or would have been. */
static bool has_chains(const nnf_verify_report *report) {
    return report->n_rows > 0 || report->n_unchecked > 0;
}

static void print_by_chain(FILE *file, const nnf_verify_report *report) {
    const bool one = report->n_same == 1;
    fputs("  not run as a whole: ", file);
    print_clean(file, report->why_by_chain);
    fputc('\n', file);
    if (has_chains(report))
        fprintf(
            file,
            "  so each fused chain was checked by itself, and %zu other node%s by %s attributes "
            "and constants\n",
            report->n_same, one ? "" : "s", one ? "its" : "their");
    else if (report->ok)
        fprintf(
            file,
            "  nothing had to be run: %zu node%s the same in both, attributes and constants, and "
            "there are no others\n",
            report->n_same, one ? " is" : "s are");
    else
        fputs("  nothing to compare: no chain was fused, and no node is in both models\n", file);
}

void print_verification(FILE *file, const nnf_verify_report *report) {
    if (report->by_chain) print_by_chain(file, report);
    if (report->n_rows > 0)
        print_rows(file, report);
    else if (!report->by_chain)
        fputs("  nothing to check: the model has no outputs\n", file);
    for (size_t i = 0; i < report->n_rows; i++) {
        if (report->rows[i].ok) continue;
        fputs("  ", file);
        print_clean(file, report->rows[i].name);
        fputs(": ", file);
        print_clean(file, report->rows[i].problem);
        fputc('\n', file);
    }
    if (report->n_unchecked > 0)
        fprintf(file, "  %zu chain%s could not be run: no input is known that both models take\n",
                report->n_unchecked, report->n_unchecked == 1 ? "" : "s");
    if (report->n_labels > 0) print_accuracy(file, report);
    if (report->n_rows == 0) return;
    fputs("  checked, not proved, on ", file);
    print_clean(file, report->inputs);
    fputc('\n', file);
}

static json_t *json_row(const nnf_verify_row *row) {
    json_t *object = json_object();
    json_object_set_new(object, "name", json_text(row->name));
    json_object_set_new(object, "dtype", json_text(nnf_dtype_name(row->dtype)));
    json_object_set_new(object, "ok", json_boolean(row->ok));
    json_object_set_new(object, "problem", json_text(row->problem));
    bool numbers = has_numbers(row);
    json_object_set_new(object, "max_abs_difference",
                        numbers ? json_number(row->max_abs_difference) : json_null());
    json_object_set_new(object, "max_rel_difference",
                        numbers ? json_number(row->max_rel_difference) : json_null());
    json_object_set_new(object, "max_value", json_number(row->max_value));
    json_object_set_new(object, "elements", json_integer(row->n_elements));
    json_object_set_new(object, "tolerance", json_number(row->tolerance));
    json_object_set_new(object, "nonfinite_match", json_boolean(row->nonfinite_match));
    json_object_set_new(object, "argmax", json_integer(row->n_argmax));
    json_object_set_new(object, "argmax_equal", json_integer(row->n_argmax_equal));
    return object;
}

json_t *json_verification(const nnf_verify_report *report) {
    json_t *object = json_object(), *rows = json_array();
    for (size_t i = 0; i < report->n_rows; i++) {
        json_array_append_new(rows, json_row(&report->rows[i]));
    }
    json_object_set_new(object, "ok", json_boolean(report->ok));
    json_object_set_new(object, "inputs",
                        report->n_rows > 0 ? json_text(report->inputs) : json_null());
    json_object_set_new(object, "by_chain", json_boolean(report->by_chain));
    json_object_set_new(object, "why_by_chain", json_text(report->why_by_chain));
    json_object_set_new(object, report->by_chain ? "chains" : "outputs", rows);
    if (report->by_chain) {
        json_object_set_new(object, "same_nodes", json_integer((json_int_t)report->n_same));
        json_object_set_new(object, "unchecked_chains",
                            json_integer((json_int_t)report->n_unchecked));
    }
    if (report->n_labels > 0) {
        json_t *labels = json_object();
        json_object_set_new(labels, "n", json_integer(report->n_labels));
        json_object_set_new(labels, "right_before", json_integer(report->n_right_a));
        json_object_set_new(labels, "right_after", json_integer(report->n_right_b));
        json_object_set_new(object, "labels", labels);
    }
    return object;
}
