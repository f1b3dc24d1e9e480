#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_kind { FLAG, TEXT, LIST, NUMBER, COUNT } option_kind;

typedef struct option {
    const char *name;
    char letter;       /* "-o"; 0: none */
    const char *value; /* what --help calls its value */
    unsigned commands;
    option_kind kind;
    size_t offset;       /* in settings */
    int64_t least, most; /* of a COUNT; most 0: INT32_MAX */
    const char *help;
} option;

#define AT(member) offsetof(cli_settings, member)
static const option options[] = {
    {"output", 'o', "OUT", FOR_FUSE, TEXT, AT(out), 0, 0,
     "the file to write; - is standard output\n(default: MODEL with .fused before its suffix)"},
    {"chain", 0, "A,B,C", FOR_FUSE, LIST, AT(chains), 0, 0,
     "fuse the modules of these names, and no others, also written as\n"
     "'layer1.{conv, bn}'; may be repeated\n"
     "(default: every chain that 'nnfuse inspect' lists; layers in\n"
     "a row, branches, and what several layers read have no name)"},
    {"list", 0, NULL, FOR_FUSE, FLAG, AT(list), 0, 0,
     "list the kinds of fusion and when each is exact"},
    {"only", 0, "NAME,...", FOR_FUSING, LIST, AT(only), 0, 0,
     "these kinds of fusion and no others; may be repeated"},
    {"skip", 0, "NAME,...", FOR_FUSING, LIST, AT(skip), 0, 0,
     "not these kinds of fusion; may be repeated"},
    {"strict", 0, NULL, FOR_FUSING, FLAG, AT(strict), 0, 0,
     "only what PyTorch's fuse_modules does"},
    {"dry-run", 'n', NULL, FOR_FUSE, FLAG, AT(dry_run), 0, 0,
     "show what would be fused; write nothing"},
    {"no-clean", 0, NULL, FOR_FUSE, FLAG, AT(no_clean), 0, 0,
     "fuse, and leave everything else as it is"},
    {"no-verify", 0, NULL, FOR_FUSE, FLAG, AT(no_verify), 0, 0, "write without checking"},
    {"external-data", 0, NULL, FOR_FUSE, FLAG, AT(external_data), 0, 0,
     "write all weights beside the model, into OUT.data, as a model\n"
     "of more than 2 GB must; into OUT.1.data where an OUT that is\n"
     "there reads OUT.data, which stays good until OUT is replaced\n"
     "(default: as MODEL has them, and those of a data file in the\n"
     "same folder that do not change stay there)"},
    {"input", 'i', "[NAME=]X.npy", FOR_FUSE | FOR_RUN | FOR_VERIFY, LIST, AT(inputs), 0, 0,
     "a numpy file for the model's input NAME; - is standard input;\n"
     "may be repeated (default: random numbers, N(0,1))"},
    {"output", 'o', "[NAME=]Y.npy", FOR_RUN, LIST, AT(outputs), 0, 0,
     "write the model's output NAME there; may be repeated\n"
     "(default: print a summary of every output)"},
    {"shape", 0, "[NAME=]1,3,32", FOR_FUSE | FOR_RUN | FOR_VERIFY | FOR_BENCH, LIST, AT(shapes), 0,
     0,
     "the shape of a random input; may be repeated\n"
     "(default: the file's, with 1 for an unknown first dimension)"},
    {"labels", 0, "Y.npy", FOR_FUSE | FOR_RUN | FOR_VERIFY, TEXT, AT(labels), 0, 0,
     "the right answers, integers [N]: prints how many a classifier\n"
     "gets right on its input"},
    {"against", 0, "OTHER", FOR_BENCH, TEXT, AT(against), 0, 0,
     "another model, which takes turns with MODEL"},
    {"runs", 0, "N", FOR_BENCH, COUNT, AT(runs), 1, 0, "runs that count (default: 20)"},
    {"warmup", 0, "N", FOR_BENCH, COUNT, AT(warmup), 0, 0,
     "runs before them, which do not (default: 3)"},
    {"no-fuse", 0, NULL, FOR_RUN | FOR_BENCH, FLAG, AT(no_fuse), 0, 0, "run files as they stand"},
    {"no-winograd", 0, NULL, FOR_RUN | FOR_BENCH, FLAG, AT(no_winograd), 0, 0,
     "compute every convolution by its definition"},
    {"tolerance", 't', "T", FOR_FUSE | FOR_VERIFY, NUMBER, AT(tolerance), 0, 0,
     "the difference that is allowed, relative to the output's largest\n"
     "value (default: float32 and float64 1e-4, float16 1e-2, bfloat16 5e-2)"},
    {"int-max", 0, "N", FOR_FUSE | FOR_RUN | FOR_VERIFY | FOR_BENCH, COUNT, AT(int_max), 1, 0,
     "random integer inputs are 0 to N (default: 1)"},
    {"seed", 0, "N", FOR_FUSE | FOR_RUN | FOR_VERIFY | FOR_BENCH, COUNT, AT(seed), 0, 0,
     "the seed of random inputs (default: 1)"},
    {"threads", 0, "N", FOR_FUSE | FOR_RUN | FOR_VERIFY | FOR_BENCH, COUNT, AT(threads), 1,
     NNF_MAX_THREADS, "threads to run on (default: OMP_NUM_THREADS, or the cores)"},
    {"json", 0, NULL, FOR_ALL, FLAG, AT(json), 0, 0, "print the result as one JSON object"},
    {"verbose", 'v', NULL, FOR_FUSE, FLAG, AT(verbose), 0, 0, "print long lists to their end"},
    {"quiet", 'q', NULL, FOR_FUSE | FOR_RUN | FOR_VERIFY | FOR_BENCH, FLAG, AT(quiet), 0, 0,
     "print errors only, and what --json asks for"},
    {"help", 'h', NULL, FOR_ALL, FLAG, AT(help), 0, 0, "print this help"},
};
enum { N_OPTIONS = sizeof options / sizeof options[0] };

/* ---- "Did you mean" ---- */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance; words longer than 31 characters are far from all. */
static size_t distance(const char *a, const char *b) {
    size_t row[32], n = strlen(b);
    if (n >= 32) return 32;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(replaced, least(row[j], row[j + 1]) + 1);
        }
    }
    return row[n];
}

const char *nearest(const char *word, const char *const *candidates, size_t n) {
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, candidates[i]);
        if (d < best_distance) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}

/* ---- Parsing ---- */

static const option *find_long(const cli_command *command, const char *name, size_t length) {
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &options[i];
        bool same = strlen(o->name) == length && memcmp(o->name, name, length) == 0;
        if (same && (o->commands & command->bit) != 0) return o;
    }
    return NULL;
}

static const option *find_letter(const cli_command *command, char letter) {
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &options[i];
        if (o->letter == letter && (o->commands & command->bit) != 0) return o;
    }
    return NULL;
}

static int unknown_option(const cli_command *command, const char *given) {
    const char *names[N_OPTIONS];
    size_t n = 0, length = strcspn(given, "=");
    for (int i = 0; i < N_OPTIONS; i++) {
        if ((options[i].commands & command->bit) != 0) names[n++] = options[i].name;
    }
    char name[32] = "";
    if (given[1] == '-' && length - 2 < sizeof name) memcpy(name, given + 2, length - 2);
    const char *near = name[0] != '\0' ? nearest(name, names, n) : NULL;
    if (near != NULL) {
        return fail(STATUS_USAGE, "'%s' has no option '%.*s'; did you mean '--%s'?", command->name,
                    (int)length, given, near);
    }
    return fail(STATUS_USAGE, "'%s' has no option '%.*s'; 'nnfuse %s --help' lists them",
                command->name, (int)length, given, command->name);
}

static int add_to_list(string_list *list, const char *value) {
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (items == NULL) return fail(STATUS_INPUT, "out of memory");
    list->items = items;
    items[list->n++] = value;
    return STATUS_DONE;
}

static int set_number(double *out, const option *o, const char *value) {
    char *end = NULL;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !(number > 0.0) || number > 1e300) {
        return fail(STATUS_USAGE, "--%s takes a number above 0, not '%s'", o->name, value);
    }
    *out = number;
    return STATUS_DONE;
}

static int set_count(int64_t *out, const option *o, const char *value) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10), most = o->most > 0 ? o->most : INT32_MAX;
    if (end == value || *end != '\0' || errno != 0 || number < o->least || number > most) {
        return fail(STATUS_USAGE, "--%s takes an integer from %lld to %lld, not '%s'", o->name,
                    (long long)o->least, most, value);
    }
    *out = number;
    return STATUS_DONE;
}

static int set_option(cli_settings *out, const option *o, const char *value) {
    void *at = (char *)out + o->offset;
    out->given |= UINT64_C(1) << (o - options);
    if (o->kind != FLAG && value[0] == '\0') {
        return fail(STATUS_USAGE, "--%s takes a value: %s", o->name, o->value);
    }
    switch (o->kind) {
    case FLAG:
        *(bool *)at = true;
        return STATUS_DONE;
    case TEXT:
        *(const char **)at = value;
        return STATUS_DONE;
    case LIST:
        return add_to_list(at, value);
    case NUMBER:
        return set_number(at, o, value);
    case COUNT:
        return set_count(at, o, value);
    }
    return STATUS_USAGE;
}

/* Options that say nothing beside another one: who gives both expects something else. */
enum { MOST_OTHERS = 8 };
static const struct {
    const char *name, *others[MOST_OTHERS], *why;
} contradictions[] = {
    {"dry-run",
     {"no-verify", "labels", "tolerance", "input", "shape", "int-max", "seed"},
     "nothing is written, and so there is nothing to check"},
    {"dry-run", {"external-data"}, "nothing is written"},
    {"no-verify", {"labels"}, "the right answers are counted in the check that it leaves out"},
    {"no-verify", {"tolerance"}, "there is no difference to hold against it without the check"},
    {"no-verify", {"input", "shape", "int-max", "seed"}, "without the check the model is not run"},
    {"chain", {"only", "skip", "strict"}, "the chains that it names are fused, and no others"},
    {"no-fuse", {"only", "skip", "strict"}, "they choose among fusions, and nothing is fused"},
};
enum { N_CONTRADICTIONS = sizeof contradictions / sizeof contradictions[0] };

static bool is_given(const cli_settings *settings, const char *name) {
    for (int i = 0; i < N_OPTIONS; i++) {
        bool given = (settings->given >> i & 1) != 0;
        if (given && strcmp(options[i].name, name) == 0) return true;
    }
    return false;
}

static int check_contradictions(const cli_settings *settings) {
    for (int i = 0; i < N_CONTRADICTIONS; i++) {
        const char *name = contradictions[i].name;
        if (!is_given(settings, name)) continue;
        for (int o = 0; o < MOST_OTHERS && contradictions[i].others[o] != NULL; o++) {
            const char *other = contradictions[i].others[o];
            if (!is_given(settings, other)) continue;
            return fail(STATUS_USAGE, "--%s and --%s do not go together: %s", name, other,
                        contradictions[i].why);
        }
    }
    if (settings->labels != NULL && settings->inputs.n == 0)
        return fail(STATUS_USAGE,
                    "--labels are the right answers for an input of yours: give it too, "
                    "as in --input images.npy");
    return STATUS_DONE;
}

/* An option and what is attached to it (NULL: nothing). *next is the word behind it, which it may
 * take as its value. */
static int take_option(cli_settings *out, const option *o, const char *attached, const char *next,
                       bool *took_next) {
    if (attached != NULL) return set_option(out, o, attached);
    if (next == NULL) return fail(STATUS_USAGE, "--%s takes a value: %s", o->name, o->value);
    *took_next = true;
    return set_option(out, o, next);
}

static int parse_long(cli_settings *out, const cli_command *command, const char *word,
                      const char *next, bool *took_next) {
    const char *equals = strchr(word, '=');
    const option *o = find_long(command, word + 2, strcspn(word + 2, "="));
    if (o == NULL) return unknown_option(command, word);
    if (o->kind != FLAG)
        return take_option(out, o, equals != NULL ? equals + 1 : NULL, next, took_next);
    if (equals != NULL) return fail(STATUS_USAGE, "--%s takes no value", o->name);
    return set_option(out, o, "");
}

/* Letters in one word: flags, and behind them perhaps one that takes what follows as its value. */
static int parse_letters(cli_settings *out, const cli_command *command, const char *word,
                         const char *next, bool *took_next) {
    int status = STATUS_DONE;
    for (const char *at = word + 1; *at != '\0' && status == STATUS_DONE; at++) {
        const option *o = find_letter(command, *at);
        if (o == NULL)
            return unknown_option(command, at > word + 1 ? (char[]){'-', *at, '\0'} : word);
        if (o->kind != FLAG)
            return take_option(out, o, at[1] != '\0' ? at + 1 : NULL, next, took_next);
        status = set_option(out, o, "");
    }
    return status;
}

static int add_operand(cli_settings *out, const cli_command *command, const char *word) {
    if (command->n_operands == 0) {
        return fail(STATUS_USAGE, "'%s' takes options alone: '%s' is too much", command->name,
                    word);
    }
    if (out->n_operands == command->n_operands) {
        return fail(STATUS_USAGE, "'%s' takes %s, and nothing else: '%s' is too much",
                    command->name, command->operands, word);
    }
    out->operands[out->n_operands++] = word;
    return STATUS_DONE;
}

int options_parse(cli_settings *out, const cli_command *command, int argc, char **argv) {
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int status = STATUS_DONE;
        if (!only_operands && strcmp(word, "--") == 0) {
            only_operands = true;
        } else if (only_operands || word[0] != '-' || word[1] == '\0') {
            status = add_operand(out, command, word);
        } else {
            bool took_next = false;
            status = (word[1] == '-' ? parse_long : parse_letters)(out, command, word, argv[i + 1],
                                                                   &took_next);
            i += took_next;
        }
        if (status != STATUS_DONE) return status;
    }
    if (out->help || out->list) return STATUS_DONE;
    if (out->n_operands == command->n_operands) return check_contradictions(out);
    return fail(STATUS_USAGE, "'%s' takes %s; 'nnfuse %s --help' says more", command->name,
                command->operands, command->name);
}

void options_clear(cli_settings *settings) {
    free(settings->chains.items);
    free(settings->only.items);
    free(settings->skip.items);
    free(settings->inputs.items);
    free(settings->outputs.items);
    free(settings->shapes.items);
}

void options_help(FILE *file, const cli_command *command) {
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &options[i];
        if ((o->commands & command->bit) == 0) continue;
        char letter[8] = "    ", name[64];
        if (o->letter != 0) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(name, sizeof name, "%s--%s %s", letter, o->name, o->value != NULL ? o->value : "");
        fprintf(file, "  %-27s", name);
        for (const char *line = o->help; line != NULL;) {
            const char *end = strchr(line, '\n');
            int length = end != NULL ? (int)(end - line) : (int)strlen(line);
            fprintf(file, "%*s%.*s\n", line == o->help ? 0 : 29, "", length, line);
            line = end != NULL ? end + 1 : NULL;
        }
    }
}

bool parse_shape(const char *text, int *ndim, int64_t *shape) {
    *ndim = 0;
    for (;;) {
        char *end = NULL;
        errno = 0;
        long long size = strtoll(text, &end, 10);
        if (end == text || errno != 0 || size < 0 || *ndim == NNF_MAX_DIMS) return false;
        shape[(*ndim)++] = size;
        if (*end == '\0') return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}
