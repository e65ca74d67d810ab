/* A load that was checked and made ready: where to, what bytes, when. Read-only while it runs, so
 * that all threads share it. */
#ifndef LOAD_PLAN_H
#define LOAD_PLAN_H

#include "http/http.h"
#include "http/url.h"
#include "load/load.h"
#include "load/mix.h"
#include "load/pace.h"
#include "net/sock.h"

#define PLAN_ADDRESSES_MAX 8

/* A stretch of a schedule that is judged by itself: a step of a ramp, a stage, or a second of a
 * linear ramp or of shorter stages. Without ramp or stages there is one: the whole. */
struct plan_step {
    uint64_t begin_ns, end_ns; /* from the start */
    double rate;               /* the mean, per second; clients ramp: the clients */
};

struct load_plan {
    struct load_config config;
    struct url url; /* of several requests: the host's */
    struct address addresses[PLAN_ADDRESSES_MAX];
    int address_count;

    struct mix mix;
    char method_text[16];     /* of the only request; "mix of 3" */
    bool is_expected[1000];   /* by status: such an answer is ok */
    bool has_expected_status; /* any other is unexpected, else it is counted by its class */

    bool is_open;
    const char *model;           /* as in struct load_result */
    struct pace pace;            /* open loop */
    struct clients_ramp clients; /* pods 0: none; else a closed loop with steps */
    bool is_climbing; /* --rps-ramp without a value: ends when the target no longer keeps up */
    bool has_steps;   /* a ramp or stages: results are quoted from a step */
    struct plan_step *steps;
    unsigned step_count;
    unsigned steps_alive; /* at most so many steps have requests under way at one time */

    struct expectations expected, objective; /* --expect, --find-max; not judged */
    uint64_t window_ns;     /* how long to send; UINT64_MAX: until the requests are used up */
    uint64_t request_count; /* closed loop with -n: exactly these of the shard's; else 0 */
    struct reference_offset offset; /* --clock-from */
    struct shard shard; /* whose part is what is to be sent: pace and clients are the whole's */
    uint32_t connections, threads;
    uint32_t connections_all; /* of all shards */
    cpu_set_t cpus;           /* empty: not pinned */
};

/* How long a request can be under way after its due time: it waits for a connection up to the
 * timeout, then for its answer up to the timeout again, then to be counted. */
static inline uint64_t plan_life_ns(const struct load_plan *p)
{
    return 2 * p->config.timeout_ns + 2 * NS_PER_S;
}

/* Clients of this shard at `ns` from the start, on a clients ramp. */
static inline uint32_t plan_clients_at(const struct load_plan *p, uint64_t ns)
{
    return (uint32_t)shard_part(clients_at(&p->clients, ns), p->shard.count, p->shard.index);
}

#endif
