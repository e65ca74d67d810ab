/* The memcached cache of one loop: a connection to each server, sets of a turn in one send to each,
 * each set confirmed. */
#ifndef STORAGE_CACHE_MEMCACHED_H
#define STORAGE_CACHE_MEMCACHED_H

#include "storage/cache.h"
#include "storage/cache_memcached_servers.h"

/* Connected (blocking). `servers` must stay; the loop's ring must have receive buffers. NULL with
 * `f` filled. */
struct cache *cache_memcached_attach(const struct cache_memcached_servers *servers,
                                     struct loop *loop, struct fail *f) MUST_USE;

#endif
