/* Each shard is a ring of bytes: records are written at its end, and the oldest at its start are
 * overwritten when it is full, which also is the order in which they expire. The index is a table
 * of chains from newer to older; positions only grow, so a chain ends by itself where it reaches
 * what was overwritten, and nothing ever has to be taken out of it. */
#include "storage/cache_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/ledger.h"
#include "storage/sets.h"

enum {
    SHARDS = 16,
    SHARD_BYTES = CACHE_MEMORY_BYTES / SHARDS,
    CHAINS = 16384, /* of a shard: about one record each when values have their usual 200 bytes */
    ALIGNMENT = 8,
};

struct record {
    uint64_t older; /* position of the next in its chain */
    uint64_t expires_ns;
    uint32_t value_bytes;
    char key[UUID_TEXT_BYTES];
    char value[];
};

struct shard {
    pthread_mutex_t lock;
    /* Positions count bytes ever written; modulo SHARD_BYTES they are places. [oldest, end) is
     * there. Position 0 is never a record's: it ends chains. */
    uint64_t oldest, end;
    uint64_t chains[CHAINS];
    char *bytes;
};

struct cache_memory {
    struct shard shards[SHARDS];
    char *bytes;
};

struct cache_memory_of_loop {
    struct cache cache;
    struct cache_memory *memory;
    struct sets_later later;
};

static void set(struct cache *cache, struct cache_set *s);
static void close_cache(struct cache *cache);
static void free_cache(struct cache *cache);

static const struct cache_ops ops = {"memory", set, close_cache, free_cache};

struct cache_memory *cache_memory_new(void)
{
    struct cache_memory *m = mem_pages(sizeof *m);
    m->bytes = mem_pages(CACHE_MEMORY_BYTES);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &m->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->bytes = m->bytes + (size_t)i * SHARD_BYTES;
        shard->oldest = shard->end = SHARD_BYTES;
    }
    return m;
}

void cache_memory_free(struct cache_memory *m)
{
    if (!m)
        return;
    munmap(m->bytes, CACHE_MEMORY_BYTES);
    munmap(m, sizeof *m);
}

struct cache *cache_memory_attach(struct cache_memory *m, struct loop *loop)
{
    struct cache_memory_of_loop *c = mem_need(1, sizeof *c);
    c->cache = (struct cache){.ops = &ops, .loop = loop};
    c->memory = m;
    ledger_open(&c->cache.counters, 1);
    ledger_connections(&c->cache.counters, 1);
    sets_later_init(&c->later, &c->cache);
    return &c->cache;
}

static void close_cache(struct cache *cache)
{
    struct cache_memory_of_loop *c = (struct cache_memory_of_loop *)cache;
    sets_later_finish(&c->later);
}

static void free_cache(struct cache *cache)
{
    ledger_close(&cache->counters);
    free(cache);
}

/* --- shards --- */

/* FNV-1a; the low bits choose the shard, others the chain. */
static uint64_t hash_of(const char key[UUID_TEXT_BYTES])
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (int i = 0; i < UUID_TEXT_BYTES; i++)
        hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3ull;
    return hash;
}

static struct shard *shard_of(struct cache_memory *m, uint64_t hash)
{
    return &m->shards[hash % SHARDS];
}

static uint64_t *chain_of(struct shard *shard, uint64_t hash)
{
    return &shard->chains[(hash >> 20) % CHAINS];
}

static struct record *record_at(struct shard *shard, uint64_t position)
{
    return (struct record *)(void *)(shard->bytes + position % SHARD_BYTES);
}

static uint64_t record_bytes(size_t value_bytes)
{
    return (sizeof(struct record) + value_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* A record does not go round the end of the ring: the rest there is left unused. What lies in the
 * way is forgotten by moving `oldest`; since nobody walks from record to record, it need not stop
 * at one's begin. */
static uint64_t make_room(struct shard *shard, uint64_t bytes)
{
    uint64_t at = shard->end, left = SHARD_BYTES - at % SHARD_BYTES;
    if (left < bytes)
        at += left;
    shard->end = at + bytes;
    if (shard->end - shard->oldest > SHARD_BYTES)
        shard->oldest = shard->end - SHARD_BYTES;
    return at;
}

static void put(struct cache_memory *m, const struct cache_set *s, uint64_t expires_ns)
{
    uint64_t hash = hash_of(s->key);
    struct shard *shard = shard_of(m, hash);
    pthread_mutex_lock(&shard->lock);
    uint64_t *chain = chain_of(shard, hash), at = make_room(shard, record_bytes(s->value.len));
    struct record *r = record_at(shard, at);
    r->older = *chain;
    r->expires_ns = expires_ns;
    r->value_bytes = (uint32_t)s->value.len;
    memcpy(r->key, s->key, sizeof r->key);
    memcpy(r->value, s->value.data, s->value.len);
    *chain = at;
    pthread_mutex_unlock(&shard->lock);
}

int cache_memory_get(struct cache_memory *m, const char key[UUID_TEXT_BYTES], uint64_t now_ns,
                     char *value)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = shard_of(m, hash);
    int bytes = -1;
    pthread_mutex_lock(&shard->lock);
    for (uint64_t at = *chain_of(shard, hash); at && at >= shard->oldest;) {
        struct record *r = record_at(shard, at);
        if (memcmp(r->key, key, sizeof r->key) != 0) {
            at = r->older;
            continue;
        }
        if (r->expires_ns > now_ns) {
            bytes = (int)r->value_bytes;
            memcpy(value, r->value, r->value_bytes);
        }
        break;
    }
    pthread_mutex_unlock(&shard->lock);
    return bytes;
}

/* --- the cache of a loop --- */

static void set(struct cache *cache, struct cache_set *s)
{
    struct cache_memory_of_loop *c = (struct cache_memory_of_loop *)cache;
    sets_begin(cache, s);
    if (s->value.len > CACHE_VALUE_BYTES) {
        sets_answer_later(&c->later, s, STORE_REFUSED);
        return;
    }
    put(c->memory, s, clock_ns() + CACHE_EXPIRY_S * NS_PER_S);
    sets_answer_later(&c->later, s, STORE_DONE);
}
