/* What two results were made under that is not the same, and so may be what their numbers differ
 * by. */
#ifndef REPORT_DIFFERENCES_H
#define REPORT_DIFFERENCES_H

#include <jansson.h>

#include "base/text.h"

/* Adds a line for each value that differs: "kernel: 6.1 in a.json, 6.18 in b.json". `name` is that of
 * the value that is compared, "" for an object whose keys speak for themselves. */
void differences_add(struct text *out, const char *name, json_t *a, const char *a_name, json_t *b,
                     const char *b_name);

#endif
