/* memcached's meta protocol as far as sets need it (memcached's doc/protocol.txt, "Meta Commands"):
 * quiet sets with an opaque number, a barrier behind them, and the replies. Pure: no input, no
 * output. */
#ifndef STORAGE_CACHE_MEMCACHED_WIRE_H
#define STORAGE_CACHE_MEMCACHED_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "storage/cache.h"

/* "ms <key> <len> T<ttl> O<opaque> q\r\n<value>\r\n" at most. */
#define CACHE_MEMCACHED_SET_BYTES (CACHE_VALUE_BYTES + UUID_TEXT_BYTES + 64)
#define CACHE_MEMCACHED_BARRIER   "mn\r\n"

/* Writes the command that sets `s` at `at` (room for CACHE_MEMCACHED_SET_BYTES) and returns its
 * length. A quiet set is answered only if it fails. */
size_t cache_memcached_wire_set(char *at, const struct cache_set *s, uint32_t opaque,
                                bool is_quiet);

enum cache_memcached_reply_kind {
    REPLY_NOTHING, /* more has to arrive first */
    REPLY_BARRIER, /* everything before it was carried out */
    REPLY_STORED,  /* of a set that is not quiet */
    REPLY_REFUSED, /* the set was not carried out */
    REPLY_BROKEN,  /* not what a memcached of ours says: the connection is of no more use */
};

struct cache_memcached_reply {
    enum cache_memcached_reply_kind kind;
    bool has_opaque; /* errors from deep inside memcached come without */
    uint32_t opaque;
};

/* A line that has arrived in part. */
struct cache_memcached_line {
    char text[256];
    size_t len;
};

/* Takes one reply off the front of `bytes`, which is moved on; keeps an unfinished line. */
struct cache_memcached_reply cache_memcached_wire_next(struct cache_memcached_line *line,
                                                       struct span *bytes);

#endif
