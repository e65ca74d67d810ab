/* Memory that ends where the test input ends: the byte behind it is on a page that may not be
 * touched, so a parser that reads one byte too many dies at once, in every build. */
#ifndef TESTS_LIB_GUARD_H
#define TESTS_LIB_GUARD_H

#include "base/span.h"

struct guard {
    char *map;
    size_t map_bytes;
    char *end; /* the first byte that may not be touched */
};

/* Room for inputs of up to `room` bytes. */
void guard_open(struct guard *g, size_t room);
void guard_close(struct guard *g);

/* Copies `s` to the end of the memory, over what was there, and returns where it stands now. */
struct span guard_put(struct guard *g, struct span s);

#endif
