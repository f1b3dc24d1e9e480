/* How results look: text, tables, colour, JSON. */
#ifndef REPORT_H
#define REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "command.h"

/* Prints a text that a file may have brought, without its control characters. */
void print_clean(FILE *file, const char *text);

/* Styles: nothing where `file` is no terminal, NO_COLOR is set or TERM is dumb. */
typedef enum text_style { PLAIN, BOLD, GREEN, RED } text_style;
void print_styled(FILE *file, text_style style, const char *text);
/* A heading on a line of its own, with an empty line in front. */
void print_heading(FILE *file, const char *text);

/* The columns that lines should keep to: the terminal's, or no limit. */
int line_width(FILE *file);

/* "MODEL: 3 chains fused in memory", or the model alone. */
void print_fused(const char *model, size_t n_fused);

/* A table: cells are collected, then printed in aligned columns. */
enum { MAX_COLUMNS = 8 };
typedef struct text_table {
    int n_columns;
    bool right[MAX_COLUMNS]; /* numbers stand to the right */
    char **cells;            /* row by row; the first row is the heading */
    size_t n_cells;
    bool failed; /* memory was short */
} text_table;
void table_add(text_table *table, const char *format, ...) NNF_PRINTF(2, 3);
/* Prints and frees it. */
void table_print(FILE *file, text_table *table);
/* The columns that it takes. */
int table_width(const text_table *table);
void table_clear(text_table *table);

/* "1,234,567". */
enum { NUMBER_TEXT = 32 };
const char *number_text(char *buffer, int64_t number);
/* "s" behind a word of which there are n. */
const char *plural(int64_t n);
/* "44.7 MB", "1,234 bytes". */
const char *bytes_text(char *buffer, int64_t bytes);
/* "float32 [1, 3, 224, 224]". */
enum { TYPE_TEXT = 512 };
const char *tensor_text(char *buffer, const nnf_tensor *tensor);
const char *info_text(char *buffer, const nnf_module *graph, const nnf_type_info *info);

/* JSON values that cannot fail on what a file brings: bytes that are no UTF-8 become '?', NaN and
 * infinities null. */
json_t *json_text(const char *text);
json_t *json_number(double number);
/* An array of n texts; a shape. */
json_t *json_texts(const char *const *texts, size_t n);
json_t *json_shape(const nnf_tensor *tensor);
/* Prints the object on standard output and releases it; an exit status. */
int json_print(json_t *object);

#endif
