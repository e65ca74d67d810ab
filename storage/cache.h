/* The one interface to the cache: a set with an expiry, confirmed. A cache belongs to one loop and
 * is used on its thread alone. Adapters: memcached (storage/cache_memcached.c), memory
 * (storage/cache_memory.c). */
#ifndef STORAGE_CACHE_H
#define STORAGE_CACHE_H

#include "storage/store.h"

#define CACHE_EXPIRY_S 20

/* One set under way; the same rules as for struct store_insert. */
struct cache_set {
    char key[UUID_TEXT_BYTES]; /* always a UUID of ours, never text of a client's */
    struct span value;         /* at most CACHE_VALUE_BYTES */
    void (*done)(struct cache_set *s, enum store_outcome outcome);

    struct cache_set *next; /* the adapter's */
    uint64_t begun_ns;
    struct task answer;
    enum store_outcome outcome;
};
#define CACHE_VALUE_BYTES 8192

struct cache {
    const struct cache_ops *ops;
    struct loop *loop;
    struct store_counters counters; /* inserts are sets here */
};

struct cache_ops {
    const char *name; /* "memcached", "memory" */
    void (*set)(struct cache *c, struct cache_set *s);
    void (*close)(struct cache *c); /* both as for struct store_ops */
    void (*free)(struct cache *c);
};

static inline void cache_set(struct cache *c, struct cache_set *s)
{
    c->ops->set(c, s);
}

static inline void cache_close(struct cache *c)
{
    if (c)
        c->ops->close(c);
}

#endif
