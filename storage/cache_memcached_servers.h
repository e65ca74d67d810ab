/* The memcached servers of a process: read from text, checked once, and chosen by key. libmemcached
 * does the choosing, so that its own clients look for a key where we put it. */
#ifndef STORAGE_CACHE_MEMCACHED_SERVERS_H
#define STORAGE_CACHE_MEMCACHED_SERVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/uuid.h"
#include "net/sock.h"

enum { CACHE_MEMCACHED_SERVERS_MOST = 64 };

struct cache_memcached_server {
    struct address address;
    char text[128]; /* "127.0.0.1:11211", "/path/to.sock" */
};

struct cache_memcached_servers {
    struct cache_memcached_server list[CACHE_MEMCACHED_SERVERS_MOST];
    unsigned count;
    uint64_t timeout_ns;
    void *router;   /* memcached_st; never connects */
    char text[256]; /* "memcached 1.6.18 at 127.0.0.1:11211" */
};

/* Reads "HOST[:PORT][,HOST[:PORT]...]" or paths of Unix sockets, each with an optional weight
 * behind
 * "/?" ("10.0.0.1:11211/?2"), or a configuration of libmemcached ("--SERVER=...
 * --DISTRIBUTION=...", see libmemcached_configuration(3)). `source` names where the text came from.
 * Keys go by libmemcached's default distribution, where weights were given by its weighted ketama.
 * Connects to each server once and asks for its version (blocking): unreachable, or older than the
 * meta commands (1.6), is EXIT_FAILED. `timeout_ns` is set by the caller. */
bool cache_memcached_servers_open(struct cache_memcached_servers *s, const char *text,
                                  const char *source, struct fail *f) MUST_USE;
void cache_memcached_servers_close(struct cache_memcached_servers *s);

/* A connection to one of them, blocking until it is there; the descriptor is non-blocking. -1 with
 * `f` filled. */
int cache_memcached_servers_connect(const struct cache_memcached_servers *s, unsigned server,
                                    struct fail *f) MUST_USE;

/* Which server a key belongs to, below `count`. Any thread. */
unsigned cache_memcached_servers_of(const struct cache_memcached_servers *s,
                                    const char key[UUID_TEXT_BYTES]);

#endif
