/* Whether the numbers of a run can be believed (CONTRACT section 3): a pure function of what was
 * counted, so that every rule can be tested without a run. */
#ifndef LOAD_VERDICT_H
#define LOAD_VERDICT_H

#include <stdarg.h>

#include "load/load.h"

struct verdict_facts {
    bool is_open, has_steps;
    uint32_t threads, connections;

    /* connections */
    uint32_t wanted, opened;   /* that were asked for, and of these open at least once */
    uint64_t connect_failures; /* attempts, whole run */
    int connect_errno;         /* of the last one, 0: none */
    uint64_t connections_made; /* whole run */
    uint32_t seconds,
        seconds_cut_off;          /* of the run; with something to send and no connection open */
    uint64_t descriptor_failures; /* attempts that failed for want of a descriptor */
    uint64_t port_failures;       /* ... of a local port */

    /* the client itself */
    double cpu_pct_worst_thread;     /* of one core, in the time that is quoted */
    double starved_pct_worst_thread; /* how long that thread was ready and had no core */
    uint64_t ring_overflows;
    double steal_pct; /* of the client's cores; NAN: unknown */

    /* what is quoted: the run, or the held step */
    uint64_t samples;                 /* in the quoted latency histogram */
    double samples_needed;            /* see expect_samples_needed() */
    uint64_t quoted_due, quoted_sent; /* open loop: due, and sent while their time lasted */
    uint64_t send_lag_p99_ns, latency_p99_ns;
    bool has_held_step;

    /* Little's law: requests in flight, averaged over time, against the sum of all service times
     * divided by the same time; counted apart from each other */
    double in_flight_mean, in_flight_by_law;
    uint64_t ended; /* requests that these two rest on */
};

/* Fills r->verdict, r->is_only_late, r->reasons and r->reason_count: INVALID reasons first. */
void verdict_reach(const struct verdict_facts *v, struct load_result *r);

/* Adds a reason, and makes the verdict at least what it says. False: there was no room for its text. */
bool verdict_add(struct load_result *r, enum load_verdict verdict, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
