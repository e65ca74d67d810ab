/* A set goes to the server of its key, and only there: a lost server refuses its own keys at once
 * and delays nobody else's. */
#include "storage/cache_memcached.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/cache_memcached_link.h"
#include "storage/ledger.h"

enum { WAITING_MOST = 16384 }; /* for one server in one loop */

struct cache_memcached {
    struct cache cache;
    const struct cache_memcached_servers *servers;
    struct loop_hook hook;
    struct sets_later later;
    bool is_started; /* what becomes ready from now on is a reconnect */
    struct cache_memcached_link links[];
};

static void set(struct cache *cache, struct cache_set *s);
static void send_waiting(struct loop_hook *hook);
static void link_ready(struct cache_memcached_link *l);
static void link_answered(struct cache_memcached_link *l, struct cache_set *s,
                          enum store_outcome outcome);
static void link_lost(struct cache_memcached_link *l, struct set_queue *unknown,
                      struct set_queue *unsent);
static void close_cache(struct cache *cache);
static void free_cache(struct cache *cache);

static const struct cache_ops ops = {"memcached", set, close_cache, free_cache};
static const struct cache_memcached_link_events link_events = {link_ready, link_answered,
                                                               link_lost};

bool cache_memcached_attach(const struct cache_memcached_servers *servers, struct loop *loop,
                            struct cache **cache, struct fail *f)
{
    struct cache_memcached *c = mem_need(1, sizeof *c + servers->count * sizeof *c->links);
    bool is_good = true;
    c->cache = (struct cache){.ops = &ops, .loop = loop};
    *cache = &c->cache;
    c->servers = servers;
    c->hook.before_submit = send_waiting;
    ledger_open(&c->cache.counters, servers->count);
    sets_later_init(&c->later, &c->cache);
    loop_hook_add(loop, &c->hook);
    for (unsigned i = 0; i < servers->count; i++) {
        struct cache_memcached_link *l = &c->links[i];
        l->events = &link_events;
        l->owner = c;
        l->servers = servers;
        l->loop = loop;
        l->server = i;
        l->fd = -1;
        is_good = is_good && cache_memcached_link_open(l, f);
        if (is_good)
            link_ready(l);
    }
    c->is_started = true;
    return is_good;
}

static void give_to(struct cache_memcached *c, struct cache_memcached_link *l, int change)
{
    ledger_given(&c->cache.counters, (unsigned)(l - c->links), change);
}

static void set(struct cache *cache, struct cache_set *s)
{
    struct cache_memcached *c = (struct cache_memcached *)cache;
    sets_begin(cache, s);
    if (s->value.len > CACHE_VALUE_BYTES) {
        sets_answer_later(&c->later, s, STORE_REFUSED);
        return;
    }
    struct cache_memcached_link *l = &c->links[cache_memcached_servers_of(c->servers, s->key)];
    if (l->state != CACHE_LINK_READY || l->waiting.count == WAITING_MOST) {
        sets_answer_later(&c->later, s, STORE_UNAVAILABLE);
        return;
    }
    give_to(c, l, 1);
    cache_memcached_link_set(l, s);
}

static void send_waiting(struct loop_hook *hook)
{
    struct cache_memcached *c = (struct cache_memcached *)((char *)hook -
                                                           offsetof(struct cache_memcached, hook));
    for (unsigned i = 0; i < c->servers->count; i++)
        cache_memcached_link_flush(&c->links[i]);
}

static void link_ready(struct cache_memcached_link *l)
{
    struct cache_memcached *c = l->owner;
    ledger_connections(&c->cache.counters, 1);
    if (c->is_started)
        ledger_reconnected(&c->cache.counters);
}

static void link_answered(struct cache_memcached_link *l, struct cache_set *s,
                          enum store_outcome outcome)
{
    struct cache_memcached *c = l->owner;
    give_to(c, l, -1);
    sets_answer(&c->cache, s, outcome);
}

static void link_lost(struct cache_memcached_link *l, struct set_queue *unknown,
                      struct set_queue *unsent)
{
    struct cache_memcached *c = l->owner;
    ledger_connections(&c->cache.counters, -1);
    give_to(c, l, -(int)(unknown->count + unsent->count));
    sets_answer_all_later(&c->later, unknown, STORE_UNKNOWN);
    sets_answer_all_later(&c->later, unsent, STORE_UNAVAILABLE);
}

static void close_cache(struct cache *cache)
{
    struct cache_memcached *c = (struct cache_memcached *)cache;
    loop_hook_remove(cache->loop, &c->hook);
    for (unsigned i = 0; i < c->servers->count; i++)
        cache_memcached_link_close(&c->links[i]);
    sets_later_finish(&c->later);
}

static void free_cache(struct cache *cache)
{
    struct cache_memcached *c = (struct cache_memcached *)cache;
    for (unsigned i = 0; i < c->cache.counters.pool; i++)
        cache_memcached_link_free(&c->links[i]);
    ledger_close(&cache->counters);
    free(c);
}
