/* Lines for a person on standard error. What happens per request is counted, not logged. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/span.h"

/* One line "iubench: text"; each call is one write(2), so that lines of several threads do not mix.
 */
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);

/* Whether what many threads may find wrong at once, over and over, is to be told now: every ten seconds at
 * most, by one of them. `last_ns` is the subject's own, 0 at first; `now_ns` is clock_ns(). */
bool log_is_time(_Atomic uint64_t *last_ns, uint64_t now_ns);

/* Keeps lines back until log_release(), while standard error shows something else. Those of a program that
 * is killed meanwhile are lost. */
void log_hold(void);
void log_release(void); /* harmless when nothing is kept */

/* Copies `s` to `out` (always NUL-terminated) so that it is harmless in a log, a terminal and a
 * JSON string: printable ASCII except `"` and `\` stays, everything else becomes \xNN; what does
 * not fit ends in "...". Returns `out`. */
const char *log_escape(struct span s, char *out, size_t room);

/* The same for a person alone: quotation marks and backslashes stay as they are. */
const char *log_show(struct span s, char *out, size_t room);

#endif
