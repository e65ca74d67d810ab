/* The client side of GET /fetch-external: requests to one upstream over kept-alive connections of
 * one loop. */
#ifndef TARGET_PROXY_H
#define TARGET_PROXY_H

#include "base/fail.h"
#include "http/url.h"
#include "net/loop.h"
#include "net/sock.h"

struct proxy;
struct proxy_fetch;

enum proxy_outcome {
    PROXY_OK,
    PROXY_REFUSED,   /* no connection could be made: 502 */
    PROXY_BAD,       /* a reply that is not HTTP, not 200, too large, or cut short: 502 */
    PROXY_NOT_JSON,  /* its type is another one: 502 */
    PROXY_TIMEOUT,   /* 504 */
    PROXY_NO_MEMORY, /* ours: 503 */
    PROXY_CANCELLED, /* proxy_cancel() */
};

#define PROXY_LENGTH_UNKNOWN UINT64_MAX

/* What a fetch is told, on the loop's thread, never from within proxy_fetch(); spans are valid during
 * the call. An answer of at most hold_bytes comes whole with done(). A larger one is relayed as it
 * arrives: begun() with what there is so far and the whole body's length if the upstream named one,
 * more() with the rest, done() with an empty body. Where begun() or more() return false, what comes
 * next is kept from coming until proxy_go_on(). done() is called once, whatever happens. */
struct proxy_events {
    bool (*begun)(void *arg, struct span type, struct span bytes, uint64_t length);
    bool (*more)(void *arg, struct span bytes);
    void (*done)(void *arg, enum proxy_outcome outcome, struct span type, struct span body);
};

struct proxy_config {
    const struct url *url;           /* borrowed */
    const struct address *addresses; /* tried in turn, one a connection; borrowed */
    unsigned address_count;
    uint64_t
        timeout_ns; /* from proxy_fetch() to the answer; of a relayed one, between its pieces */
    uint32_t connections; /* at once; a fetch that finds none free waits */
    uint32_t hold_bytes;
};

/* On the loop's thread; never NULL. Opens nothing yet. */
struct proxy *proxy_new(struct loop *loop, const struct proxy_config *config);

/* NULL if memory is out, and nothing is told. */
struct proxy_fetch *proxy_fetch(struct proxy *p, const struct proxy_events *events,
                                void *arg) MUST_USE;

/* More is wanted again, after begun() or more() returned false. */
void proxy_go_on(struct proxy_fetch *fetch);

/* The answer is not wanted any more; `done` is called with PROXY_CANCELLED in a later turn. */
void proxy_cancel(struct proxy_fetch *fetch);

/* Closes what is open; `closed` is called when nothing is, from a later turn. Then proxy_free(). */
void proxy_close(struct proxy *p, void (*closed)(void *arg), void *arg);
void proxy_free(struct proxy *p);

#endif
