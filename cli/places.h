/* Where results may go: what is asked before anything is computed. */
#ifndef PLACES_H
#define PLACES_H

#include "command.h"

/* Whether two paths are of the same file, there or not; "-" is one too. */
bool same_file(const char *a, const char *b);

/* Refuses a path that the command reads from: one of --input, --labels and, where `model` is given,
 * the model's and those of its weights; and a file that may not be written. An exit status, told
 * about already. */
int check_place(const char *path, const cli_settings *settings, const nnf_module *graph,
                const char *model);

#endif
