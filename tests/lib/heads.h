/* Holds what is true of every head, good or bad, however it arrives; a breach aborts. */
#ifndef TESTS_LIB_HEADS_H
#define TESTS_LIB_HEADS_H

#include "http/http.h"

typedef int heads_read_f(struct http_head *h, const char *data, size_t len,
                         const struct http_limits *limits);

/* Reads `bytes` whole, byte by byte and cut in two, each time from allocations that end where the
 * bytes end, and compares. Returns what the parser returned, and its head in *h. */
int heads_check(heads_read_f *read, struct http_head *h, struct span bytes,
                const struct http_limits *limits);

#endif
