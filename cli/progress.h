/* How far a long operation is, on standard error; and signals, which end it. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "command.h"

/* Installs the library's progress and log callbacks and the signal handlers. */
void progress_start(const cli_settings *settings);
/* Wipes the bar off, before something else is printed. */
void progress_clear(void);

/* The signal that asked the command to end; 0: none. */
int interrupted(void);
/* Whether who read standard output went away (SIGPIPE): as for other commands, that is the end, and
 * nothing to complain of. */
bool reader_gone(void);

/* While a library call is writing a file whose name only the library knows: a signal then cancels
 * the call, which removes the file, where it would else end the command at once. */
void progress_library_writes(bool writes);
/* The file has its place: a signal can no longer say that nothing was written. */
void progress_written(void);

#endif
