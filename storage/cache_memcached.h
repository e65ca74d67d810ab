/* The memcached cache of one loop: a connection to each server, sets of a turn in one send to each,
 * each set confirmed. */
#ifndef STORAGE_CACHE_MEMCACHED_H
#define STORAGE_CACHE_MEMCACHED_H

#include "storage/cache.h"
#include "storage/cache_memcached_servers.h"

/* Connected (blocking). `servers` must stay; the loop's ring must have receive buffers. *cache is
 * set in any case and has to be closed and freed; false with `f` filled. */
bool cache_memcached_attach(const struct cache_memcached_servers *servers, struct loop *loop,
                            struct cache **cache, struct fail *f) MUST_USE;

#endif
