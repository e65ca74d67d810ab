/* SIGINT and SIGTERM as something to wait for or ask about. Call signals_block() before any thread
 * is started. */
#ifndef COMMANDS_SIGNALS_H
#define COMMANDS_SIGNALS_H

#include <stdbool.h>

/* Blocks SIGINT and SIGTERM for this thread and those it starts, and ignores SIGPIPE. */
void signals_block(void);

/* Waits for one of the two; returns its number. */
int signals_wait(void);

/* The number of the one that has come, 0 if none. Once one was seen, it is returned from then on.
 */
int signals_seen(void);

/* The same as an answer to whether to stop, for callbacks; `unused` may be NULL. */
bool signals_have_come(void *unused);

/* The exit code of a command that was ended by `signal`. */
int signals_exit_code(int signal);

#endif
