/* A failure that a person will read: one sentence that says what, where, what was expected and how
 * to mend it, and the exit code of the program if it ends because of it. Functions that can fail
 * for the user's or the machine's reasons take a `struct fail *` last and return false (or NULL)
 * after filling it. */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include <stdbool.h>

#include "base/check.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,    /* failed at run time, or no request succeeded */
    EXIT_USAGE = 2,     /* the command line or a scenario file is wrong */
    EXIT_THRESHOLD = 3, /* an --expect was not met */
    EXIT_LACKING = 4,   /* this machine lacks something; the message names the mend */
    EXIT_INVALID = 5,   /* the verdict is INVALID */
    EXIT_SIGINT = 130,
    EXIT_SIGTERM = 143,
};

struct fail {
    enum exit_code exit;
    char text[1024]; /* no trailing newline; long texts are cut with "..." */
};

/* Fills `f` and returns false, so that a caller can `return fail_set(...)`. Text that came from
 * outside must have gone through log_escape() first. */
bool fail_set(struct fail *f, enum exit_code exit, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the text that `f` holds; returns false. */
bool fail_prefix(struct fail *f, const char *format, ...) PRINTF_LIKE(2, 3);

/* Ends the program at once, from any thread, with the sentence on standard error: for what the kernel
 * refuses at run time and nothing can go on without. Nothing is flushed or removed. */
void fail_end(enum exit_code exit, const char *format, ...) PRINTF_LIKE(2, 3)
    __attribute__((noreturn, cold));

#endif
