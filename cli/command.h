/* What the subcommands share: their row, their options, how they fail. */
#ifndef COMMAND_H
#define COMMAND_H

#include "nnfuse.h"

/* What the command exits with. */
enum exit_status {
    STATUS_DONE = 0,
    STATUS_USAGE = 1,   /* wrong usage */
    STATUS_INPUT = 2,   /* input that cannot be read, fused or run */
    STATUS_DIFFERS = 3, /* the models' results differ by more than the tolerance */
    STATUS_OUTPUT = 4   /* a file cannot be written */
};

/* Strings from the command line, in order. */
typedef struct string_list {
    const char **items;
    size_t n;
} string_list;

/* The command line, parsed. */
typedef struct cli_settings {
    const char *operands[2]; /* MODEL, or A and B */
    size_t n_operands;
    const char *out, *labels, *against;
    string_list chains, inputs, outputs, shapes, only, skip;
    bool dry_run, no_verify, no_clean, no_fuse, no_winograd, json, quiet, verbose, help;
    bool external_data, strict, list;
    uint64_t given;       /* a bit for each row of the options' table */
    nnf_mapping *mapping; /* what --only, --skip and --strict leave; NULL: everything */
    double tolerance;     /* 0: by dtype */
    int64_t int_max, seed, threads, runs, warmup;
} cli_settings;

/* A subcommand. */
typedef struct cli_command {
    const char *name, *operands, *summary, *about, *examples;
    size_t n_operands;
    unsigned bit; /* in the options table */
    int (*run)(const cli_settings *settings);
} cli_command;
enum {
    FOR_FUSE = 1,
    FOR_INSPECT = 2,
    FOR_RUN = 4,
    FOR_VERIFY = 8,
    FOR_BENCH = 16,
    FOR_OPERATORS = 32,
    FOR_FUSING = FOR_FUSE | FOR_INSPECT | FOR_RUN | FOR_BENCH,
    FOR_ALL = 63
};

extern const cli_command command_fuse, command_inspect, command_run, command_verify, command_bench,
    command_operators;

/* Prints "nnfuse: <sentence>" to standard error; returns `status`. */
int fail(int status, const char *format, ...) NNF_PRINTF(2, 3);
/* The same with the library's message, and the exit status that belongs to its status. */
int fail_library(nnf_status status);
/* Prints "nnfuse: note: <sentence>" to standard error unless --quiet. */
void note(const cli_settings *settings, const char *format, ...) NNF_PRINTF(2, 3);

#endif
