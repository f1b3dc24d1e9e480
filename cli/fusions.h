/* Which fusions: --list, --only, --skip, --strict. */
#ifndef FUSIONS_H
#define FUSIONS_H

#include "command.h"

/* The table of the library without what the command line leaves out; NULL where it leaves nothing
 * out. An exit status, told about already. */
int mapping_make(nnf_mapping **out, const cli_settings *settings);
/* Prints the kinds of fusion. */
int print_fusions(const cli_settings *settings);

#endif
