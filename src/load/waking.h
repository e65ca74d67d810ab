/* How much before a request is due a thread should wake up.
 *
 * A sleep ends late: the timer fires, the idle core comes back, the scheduler runs the thread. That
 * is the client's own time in every request that was slept towards, and it is not small beside a fast
 * target. Measured on a virtual machine with two cores: sleeps end 18 to 20 us late, where our target
 * answers a GET in 70 us and a bare responder in 33 us. So where lateness matters the thread wakes
 * that much earlier and looks into the ring without sleeping until the request is due, at most
 * WAKING_EARLY_MAX_NS each time. At 2000 requests a second to the bare responder that takes the send
 * lag from p50 23 us, p95 27 us to p50 0.14 us, p95 0.31 us, and the thread from 8 % of a core to
 * 12 %. Where answers take long, as from a database, lateness does not matter, and nothing is burnt:
 * the sleep ends as late as it ends, and the send lag says so.
 *
 * All by exponentially weighted means, so that it follows a change. */
#ifndef LOAD_WAKING_H
#define LOAD_WAKING_H

#include <math.h>
#include <stdint.h>

#define WAKING_EARLY_MAX_NS  60000ull  /* 6 % of a core at 1000 requests a second */
#define WAKING_LATE_MAX_NS   200000ull /* later than that was another thread, not waking up */
#define WAKING_SERVICE_SHARE 0.05      /* of the service time: lateness below it does not matter */

/* Begin with WAKING_START. */
struct waking {
    double late_ns, spread_ns; /* how late sleeps end: the mean, and the mean distance from it */
    double service_ns;         /* from send to answer; 0: none came yet, then lateness matters */
};
#define WAKING_START ((struct waking){.late_ns = 20000, .spread_ns = 5000})

/* A sleep ended so late; a request was answered so long after its send. */
static inline void waking_slept(struct waking *w, uint64_t late_ns)
{
    double late = (double)(late_ns < WAKING_LATE_MAX_NS ? late_ns : WAKING_LATE_MAX_NS);
    w->spread_ns += (fabs(late - w->late_ns) - w->spread_ns) / 16;
    w->late_ns += (late - w->late_ns) / 16;
}

static inline void waking_served(struct waking *w, uint64_t service_ns)
{
    double service = (double)service_ns;
    w->service_ns += w->service_ns > 0 ? (service - w->service_ns) / 16 : service;
}

/* 0 where lateness does not matter, else what nearly every sleep's lateness stays below: the mean
 * and four mean distances, as a retransmission timer has it (RFC 6298). */
static inline uint64_t waking_early_ns(const struct waking *w)
{
    double early = w->late_ns + 4 * w->spread_ns;
    if (w->service_ns > 0 && early < WAKING_SERVICE_SHARE * w->service_ns)
        return 0;
    return early < WAKING_EARLY_MAX_NS ? (uint64_t)early : WAKING_EARLY_MAX_NS;
}

#endif
