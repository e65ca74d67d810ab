/* Files that a reader sees whole or not at all. */
#ifndef REPORT_FILE_H
#define REPORT_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/fail.h"

/* Says what is wrong with `path` before a load, not after it: its folder must be there and writable, or
 * it is a pipe, a device or a link that is. `option` begins the message. NULL and "-" are fine. */
bool file_check(const char *option, const char *path, struct fail *f) MUST_USE;

/* Writes a file by way of a temporary one beside it; what is there and is no regular file (a pipe,
 * /dev/null, a link to whatever) is written to as it is. `write` returns false with errno set. */
typedef bool file_write_f(FILE *to, const void *arg);
bool file_write(const char *path, file_write_f *write, const void *arg, struct fail *f) MUST_USE;

#endif
