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
    PROXY_TIMEOUT,   /* 504 */
    PROXY_CANCELLED, /* proxy_cancel() */
};

/* Called once per fetch, on the loop's thread, never from within proxy_fetch(). `type` and `body`
 * are valid during the call. */
typedef void proxy_done_f(void *arg, enum proxy_outcome outcome, struct span type,
                          struct span body);

struct proxy_config {
    const struct url *url;           /* borrowed */
    const struct address *addresses; /* tried in turn, one a connection; borrowed */
    unsigned address_count;
    uint64_t timeout_ns;  /* from proxy_fetch() to the last byte */
    uint32_t connections; /* at once; a fetch that finds none free waits */
    uint32_t body_bytes;
};

/* On the loop's thread; never NULL. Opens nothing yet. */
struct proxy *proxy_new(struct loop *loop, const struct proxy_config *config);

/* NULL if memory is out, and `done` is not called. */
struct proxy_fetch *proxy_fetch(struct proxy *p, proxy_done_f *done, void *arg) MUST_USE;

/* The answer is not wanted any more; `done` is called with PROXY_CANCELLED in a later turn. */
void proxy_cancel(struct proxy_fetch *fetch);

/* Closes what is open; `closed` is called when nothing is, from a later turn. Then proxy_free(). */
void proxy_close(struct proxy *p, void (*closed)(void *arg), void *arg);
void proxy_free(struct proxy *p);

#endif
