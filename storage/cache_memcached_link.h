/* The life of one memcached connection on a loop: connecting, probing, ready, lost, waiting to try
 * again; and the sets that are under way on it, in batches that a barrier ends. A loss is noticed
 * by the socket, by a reply that makes no sense, or by the deadline of the oldest set. */
#ifndef STORAGE_CACHE_MEMCACHED_LINK_H
#define STORAGE_CACHE_MEMCACHED_LINK_H

#include "base/rng.h"
#include "net/loop.h"
#include "storage/cache_memcached_servers.h"
#include "storage/cache_memcached_wire.h"
#include "storage/sets.h"

enum cache_memcached_link_state {
    CACHE_LINK_WAITING, /* until it is time to try again */
    CACHE_LINK_CONNECTING,
    CACHE_LINK_PROBING, /* connected; a stalled server accepts too, so the first barrier decides */
    CACHE_LINK_READY,
    CACHE_LINK_CLOSING, /* lost; the kernel still holds operations of its socket */
};

enum {
    CACHE_BATCHES_MOST = 64,
    CACHE_BATCH_SETS_MOST = 1024,
    CACHE_OUT_BYTES = 256 * 1024, /* one batch on its way */
};

/* Sets that one barrier confirms. Quiet ones are answered only when they fail. When such an error
 * does not say whose it is, the batch goes again, loudly: each of its sets then has its own reply,
 * and setting a key twice to the same value does no harm. */
struct cache_memcached_batch {
    struct set_queue sets;
    uint32_t first_opaque;
    bool is_quiet, is_unclear;
    struct cache_set *next_loud; /* whose reply comes next */
};

struct cache_memcached_link;

/* All on the loop's thread. `lost` follows a `ready` (or the open); sets that were sent are in
 * `unknown`, others in `unsent`; both are the callee's then. It may come from within any call
 * below.
 */
struct cache_memcached_link_events {
    void (*ready)(struct cache_memcached_link *l);
    void (*answered)(struct cache_memcached_link *l, struct cache_set *s,
                     enum store_outcome outcome);
    void (*lost)(struct cache_memcached_link *l, struct set_queue *unknown,
                 struct set_queue *unsent);
};

struct cache_memcached_link {
    const struct cache_memcached_link_events *events;
    void *owner;
    const struct cache_memcached_servers *servers;
    struct loop *loop;
    unsigned server;

    enum cache_memcached_link_state state;
    int fd;
    struct op connecting, arrival, sending;
    struct timer timer; /* always armed, so that moving it never needs memory */
    uint64_t tried_ns;  /* when the attempt to connect began, or when the next one will */
    uint64_t backoff_ns;
    struct rng rng;
    struct set_queue waiting, again; /* to be sent; to be sent loudly, before the others */
    struct cache_memcached_batch batches[CACHE_BATCHES_MOST]; /* under way, a ring */
    unsigned batch_first, batch_count;
    uint32_t next_opaque;
    struct cache_memcached_line line;
    char *out;
    bool is_ending;
};

/* Connects at once, blocking. `owner`, `events`, `servers`, `server` and `loop` are set by the
 * caller. `ready` is not called. */
bool cache_memcached_link_open(struct cache_memcached_link *l, struct fail *f) MUST_USE;

/* Queues a set on a link that is ready. */
void cache_memcached_link_set(struct cache_memcached_link *l, struct cache_set *s);

/* Sends what was queued, in one send; in the hook before the loop enters the kernel. */
void cache_memcached_link_flush(struct cache_memcached_link *l);

/* Ends the link for good; `lost` is called if it was ready. */
void cache_memcached_link_close(struct cache_memcached_link *l);

/* After the loop's last turn: closes the socket, which until then keeps its number from being given
 * to a stranger while the kernel still knows of our operations. */
void cache_memcached_link_free(struct cache_memcached_link *l);

#endif
