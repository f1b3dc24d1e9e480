#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "progress.h"

/* ---- Text ---- */

void print_clean(FILE *file, const char *text) {
    for (; *text != '\0'; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        fputc(control ? '?' : *text, file);
    }
}

static bool has_style(FILE *file) {
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fileno(file)) && (no_color == NULL || no_color[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

void print_styled(FILE *file, text_style style, const char *text) {
    static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[31m"};
    bool styled = style != PLAIN && has_style(file);
    if (styled) fputs(codes[style], file);
    print_clean(file, text);
    if (styled) fputs("\033[0m", file);
}

void print_heading(FILE *file, const char *text) {
    fputc('\n', file);
    print_styled(file, BOLD, text);
    fputc('\n', file);
}

int line_width(FILE *file) {
    struct winsize size;
    if (!isatty(fileno(file))) return INT32_MAX;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

void print_fused(const char *model, size_t n_fused) {
    print_styled(stdout, BOLD, model);
    if (n_fused > 0) printf(": %zu chain%s fused in memory", n_fused, plural((int64_t)n_fused));
    fputc('\n', stdout);
}

/* ---- Tables ---- */

enum { COLUMN_GAP = 2 };

void table_add(text_table *table, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char **cells = realloc(table->cells, (table->n_cells + 1) * sizeof *cells);
    if (cells != NULL) table->cells = cells;
    char *copy = cells != NULL ? malloc(strlen(text) + 1) : NULL;
    if (copy == NULL) {
        table->failed = true;
        return;
    }
    strcpy(copy, text);
    cells[table->n_cells++] = copy;
}

/* Characters on the screen: bytes of UTF-8 that begin one. */
static int text_width(const char *text) {
    int width = 0;
    for (; *text != '\0'; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static void column_widths(const text_table *table, int *widths) {
    for (size_t i = 0; i < table->n_cells; i++) {
        int *width = &widths[i % (size_t)table->n_columns];
        if (text_width(table->cells[i]) > *width) *width = text_width(table->cells[i]);
    }
}

int table_width(const text_table *table) {
    int widths[MAX_COLUMNS] = {0}, total = 0;
    column_widths(table, widths);
    for (int c = 0; c < table->n_columns; c++)
        total += widths[c] + COLUMN_GAP;
    return total;
}

static text_style cell_style(const char *cell, bool heading) {
    if (heading) return BOLD;
    return strcmp(cell, "ok") == 0 ? GREEN : strcmp(cell, "DIFFERS") == 0 ? RED : PLAIN;
}

void table_print(FILE *file, text_table *table) {
    int widths[MAX_COLUMNS] = {0};
    column_widths(table, widths);
    size_t n = (size_t)table->n_columns;
    int spaces = 0; /* held back, so that no line ends in them */
    for (size_t i = 0; i < table->n_cells; i++) {
        const char *cell = table->cells[i];
        size_t c = i % n;
        int fill = widths[c] - text_width(cell);
        spaces = c == 0 ? COLUMN_GAP : spaces + COLUMN_GAP;
        if (table->right[c]) spaces += fill;
        if (cell[0] != '\0') {
            fprintf(file, "%*s", spaces, "");
            print_styled(file, cell_style(cell, i < n), cell);
            spaces = 0;
        }
        if (!table->right[c]) spaces += fill;
        if (c == n - 1) fputc('\n', file);
    }
    if (table->failed) fputs("  (out of memory: this table is not whole)\n", file);
    table_clear(table);
}

void table_clear(text_table *table) {
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->n_cells = 0;
}

/* ---- Numbers and types ---- */

const char *number_text(char *buffer, int64_t number) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRId64, number), at = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

const char *plural(int64_t n) {
    return n == 1 ? "" : "s";
}

const char *bytes_text(char *buffer, int64_t bytes) {
    if (bytes < 1000000) {
        number_text(buffer, bytes);
        strcat(buffer, bytes == 1 ? " byte" : " bytes");
    } else {
        bool giga = bytes >= 1000000000;
        snprintf(buffer, NUMBER_TEXT, "%.1f %s", (double)bytes * (giga ? 1e-9 : 1e-6),
                 giga ? "GB" : "MB");
    }
    return buffer;
}

static void append(char *buffer, const char *format, ...) NNF_PRINTF(2, 3);
static void append(char *buffer, const char *format, ...) {
    size_t used = strlen(buffer);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer + used, TYPE_TEXT - used, format, arguments);
    va_end(arguments);
}

const char *tensor_text(char *buffer, const nnf_tensor *tensor) {
    buffer[0] = '\0';
    append(buffer, "%s [", nnf_dtype_name(nnf_tensor_dtype(tensor)));
    for (int d = 0; d < nnf_tensor_ndim(tensor); d++) {
        append(buffer, "%s%" PRId64, d > 0 ? ", " : "", nnf_tensor_shape(tensor)[d]);
    }
    append(buffer, "]");
    return buffer;
}

const char *info_text(char *buffer, const nnf_module *graph, const nnf_type_info *info) {
    buffer[0] = '\0';
    if (info->dtype == NNF_DTYPE_UNKNOWN) {
        append(buffer, "unknown type");
    } else {
        append(buffer, "%s", nnf_dtype_name(info->dtype));
    }
    if (info->ndim < 0) {
        append(buffer, ", unknown shape");
        return buffer;
    }
    append(buffer, " [");
    for (int d = 0; d < info->ndim; d++) {
        const nnf_dim *dim = &info->shape[d];
        const char *name = dim->symbol > 0 ? nnf_graph_symbol_name(graph, dim->symbol) : NULL;
        append(buffer, "%s", d > 0 ? ", " : "");
        if (dim->symbol == 0) {
            append(buffer, "%" PRId64, dim->value);
        } else {
            append(buffer, "%s", name != NULL ? name : "?");
        }
    }
    append(buffer, "]");
    return buffer;
}

/* ---- JSON ---- */

json_t *json_text(const char *text) {
    json_t *string = json_string(text);
    if (string != NULL || text == NULL) return string != NULL ? string : json_null();
    size_t n = strlen(text);
    char *ascii = malloc(n + 1);
    if (ascii == NULL) return NULL;
    for (size_t i = 0; i <= n; i++)
        ascii[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    string = json_string(ascii);
    free(ascii);
    return string;
}

json_t *json_number(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}

json_t *json_texts(const char *const *texts, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_text(texts[i]));
    return array;
}

json_t *json_shape(const nnf_tensor *tensor) {
    json_t *array = json_array();
    for (int d = 0; d < nnf_tensor_ndim(tensor); d++) {
        json_array_append_new(array, json_integer(nnf_tensor_shape(tensor)[d]));
    }
    return array;
}

int json_print(json_t *object) {
    int failed =
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (failed != 0 && reader_gone()) return 128 + SIGPIPE;
    if (failed != 0) return fail(STATUS_OUTPUT, "cannot write the result as JSON");
    fputc('\n', stdout);
    return STATUS_DONE;
}
