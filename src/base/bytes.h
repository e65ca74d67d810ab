/* A buffer that grows up to a bound, for the rare paths where bytes have to be kept: a head that
 * came in two pieces, a body, what a slow reader has not taken yet. Empty it holds no memory. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>

#include "base/check.h"
#include "base/span.h"

struct bytes {
    char *data;
    uint32_t len, room;
};

/* Appends a copy of `s`. False, and nothing changed, if memory is out or `max` would be exceeded, or
 * 2 GiB. */
bool bytes_append(struct bytes *b, struct span s, uint32_t max) MUST_USE;

/* Drops the first `n` bytes. The last byte's going frees the memory. */
void bytes_consume(struct bytes *b, uint32_t n);

/* Drops everything, memory included. */
void bytes_free(struct bytes *b);

static inline struct span bytes_span(const struct bytes *b)
{
    return (struct span){b->data, b->len};
}

#endif
