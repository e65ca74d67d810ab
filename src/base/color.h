/* Whether to write in colours. */
#ifndef BASE_COLOR_H
#define BASE_COLOR_H

#include <stdbool.h>
#include <stdio.h>

/* NO_COLOR is set and not empty, as no-color.org has it. */
bool color_is_refused(void);

/* A terminal that can do more than print lines (TERM is not "dumb"), and nobody refused. */
bool color_is_wanted(FILE *to);

#endif
