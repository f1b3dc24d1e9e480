/* The nnfuse command: finds the subcommand, and what all of them do at their start and end. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "fusions.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static const cli_command *const commands[] = {&command_fuse,  &command_inspect,
                                              &command_run,   &command_verify,
                                              &command_bench, &command_operators};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

/* ---- Messages ---- */

static void print_message(const char *prefix, const char *format, va_list arguments) {
    char message[4096];
    vsnprintf(message, sizeof message, format, arguments);
    progress_clear();
    fputs(prefix, stderr);
    print_clean(stderr, message);
    fputc('\n', stderr);
}

int fail(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message("nnfuse: ", format, arguments);
    va_end(arguments);
    return status;
}

int fail_library(nnf_status status) {
    if (status == NNF_ERROR_CANCELLED && interrupted() != 0) {
        return fail(128 + interrupted(), "interrupted; nothing was written");
    }
    if (status == NNF_ERROR_WRITE && reader_gone()) return 128 + SIGPIPE;
    return fail(status == NNF_ERROR_WRITE ? STATUS_OUTPUT : STATUS_INPUT, "%s",
                nnf_error_message());
}

void note(const cli_settings *settings, const char *format, ...) {
    if (settings->quiet) return;
    va_list arguments;
    va_start(arguments, format);
    print_message("nnfuse: note: ", format, arguments);
    va_end(arguments);
}

/* ---- Help ---- */

static void print_help(FILE *file) {
    fputs("Fuses the small layers of a trained neural network into larger ones, checks that the\n"
          "network still computes the same, and runs it.\n\n"
          "usage: nnfuse COMMAND [OPTIONS]\n\n",
          file);
    for (int i = 0; i < N_COMMANDS; i++) {
        fprintf(file, "  nnfuse %-9s %-5s  %s\n", commands[i]->name, commands[i]->operands,
                commands[i]->summary);
    }
    fputs("\n"
          "  nnfuse --version\n"
          "  nnfuse COMMAND --help     the command's options, with examples\n\n"
          "Try this:\n\n"
          "  nnfuse inspect model.onnx              what is in it, and what would be fused\n"
          "  nnfuse fuse model.onnx                 writes model.fused.onnx, checked\n\n"
          "Models are ONNX files; - is standard input or output. Results go to standard output,\n"
          "messages to standard error. Exit status: 0 done, 1 wrong usage, 2 input that cannot\n"
          "be read or fused, 3 the results differ by more than the tolerance, 4 a file cannot\n"
          "be written.\n",
          file);
}

static void print_command_help(const cli_command *command) {
    printf("usage: nnfuse %s %s%s[OPTIONS]\n\n%s\n", command->name, command->operands,
           command->n_operands > 0 ? " " : "", command->about);
    options_help(stdout, command);
    printf("\nExamples:\n\n%s", command->examples);
}

/* ---- The command ---- */

static int unknown_command(const char *word) {
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *near = nearest(word, names, N_COMMANDS);
    if (near != NULL) {
        return fail(STATUS_USAGE, "there is no command '%s'; did you mean '%s'?", word, near);
    }
    return fail(STATUS_USAGE, "there is no command '%s'; 'nnfuse --help' lists them", word);
}

static int run_command(const cli_command *command, int argc, char **argv) {
    cli_settings settings = {.int_max = 1, .seed = 1, .runs = 20, .warmup = 3};
    int status = options_parse(&settings, command, argc, argv);
    if (status == STATUS_DONE && settings.help) {
        print_command_help(command);
    } else if (status == STATUS_DONE) {
        status = mapping_make(&settings.mapping, &settings);
        progress_start(&settings);
        if (status == STATUS_DONE) status = command->run(&settings);
        progress_clear();
    }
    nnf_mapping_release(settings.mapping);
    options_clear(&settings);
    return status;
}

static const cli_command *find_command(const char *word) {
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(word, commands[i]->name) == 0) return commands[i];
    return NULL;
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c) {
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

static int help(const char *word) {
    const cli_command *command = word != NULL ? find_command(word) : NULL;
    if (word != NULL && command == NULL) return unknown_command(word);
    if (command != NULL)
        print_command_help(command);
    else
        print_help(stdout);
    return STATUS_DONE;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    const char *word = argv[1];
    const cli_command *command = find_command(word);
    if (command != NULL) return run_command(command, argc - 2, argv + 2);
    if (is_one_of(word, "--help", "-h", "help")) return help(argv[2]);
    if (!is_one_of(word, "--version", "-V", "version")) return unknown_command(word);
    printf("nnfuse %s\n", nnf_version());
    return STATUS_DONE;
}

int main(int argc, char **argv) {
    int status = dispatch(argc, argv);
    /* What was printed counts as done only when it has arrived. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (interrupted() != 0) return 128 + interrupted(); /* a reader that went away */
        if (status == STATUS_DONE) {
            status = fail(STATUS_OUTPUT, "cannot write standard output: %s", strerror(errno));
        }
    }
    return status;
}
