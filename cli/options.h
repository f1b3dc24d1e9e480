/* The command line: one table of options for all subcommands. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdio.h>

#include "command.h"

/* Parses what stands behind the subcommand's name; returns an exit status, told about already. */
int options_parse(cli_settings *out, const cli_command *command, int argc, char **argv);
void options_clear(cli_settings *settings);
/* The options' part of a subcommand's --help. */
void options_help(FILE *file, const cli_command *command);

/* The candidate most like `word`, or NULL where none is near. */
const char *nearest(const char *word, const char *const *candidates, size_t n);

/* "1,3,224,224": false where it is no shape. */
bool parse_shape(const char *text, int *ndim, int64_t *shape);

#endif
