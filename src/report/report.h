/* `iubench report`: result files made into a page or into Markdown. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"

/* Reads the results ("-": standard input) and writes to `out` ("-": standard output). EXIT_USAGE
 * for a file that is no result, EXIT_FAILED for what cannot be read or written. */
bool report_write(const char *const *paths, size_t count, const char *out, bool is_markdown,
                  struct fail *f) MUST_USE;

#endif
