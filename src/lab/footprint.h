/* What a contestant weighs before it has done anything. */
#ifndef LAB_FOOTPRINT_H
#define LAB_FOOTPRINT_H

#include <sys/types.h>

#include "lab/target_file.h"
#include "report/result.h"

/* `file` NULL: our own program. Memory is that of process `pid` with its descendants; 0: of this one.
 * Waits for a second first, in which workers that are still starting settle. `start_ms` is the
 * caller's. */
struct result_footprint footprint_take(const struct target_file *file, pid_t pid);

/* The sizes of files and folders, white space between, relative to `directory`, summed; links count
 * as themselves. NAN: `files` is empty, or one is not there. */
double footprint_size(const char *files, const char *directory);

#endif
