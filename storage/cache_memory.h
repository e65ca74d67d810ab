/* The embedded cache: one for the process, of fixed size, values expire or make room for newer
 * ones.
 */
#ifndef STORAGE_CACHE_MEMORY_H
#define STORAGE_CACHE_MEMORY_H

#include <stddef.h>

#include "storage/cache.h"

#define CACHE_MEMORY_BYTES (64ull << 20)

struct cache_memory;

/* Memory for CACHE_MEMORY_BYTES; pages are used as they are written. Never NULL. */
struct cache_memory *cache_memory_new(void);
/* After every cache of it was closed. */
void cache_memory_free(struct cache_memory *m);

/* The cache of one loop. Never NULL. */
struct cache *cache_memory_attach(struct cache_memory *m, struct loop *loop);

/* Copies the value of a key into `value` (room for CACHE_VALUE_BYTES) and returns its length, or -1
 * if there is none that expires after `now_ns`. Any thread; clock_ns() is the clock. */
int cache_memory_get(struct cache_memory *m, const char key[UUID_TEXT_BYTES], uint64_t now_ns,
                     char *value);

#endif
