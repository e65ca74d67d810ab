/* The machine that a result was made on, as far as it bears on the numbers. */
#ifndef REPORT_ENVIRONMENT_H
#define REPORT_ENVIRONMENT_H

#include <jansson.h>

#include "base/text.h"

/* Kernel, system, CPU with its topology, frequency and mitigations, memory, limits and sysctls, control
 * group, versions; docs/result.schema.json has the keys. What cannot be found out is null, what this
 * kernel does not have is left out of the lists. Files are read below `root`: "" but in tests. The
 * caller releases it. */
json_t *environment_json(const char *root);

/* Adds the file names of the libraries that were loaded, which carry their versions: "liburing.so.2.3
 * libpq.so.5.15". */
void environment_libraries(struct text *out);

#endif
