/* The load generator: models (closed loop; open loop at a constant rate, on a ramp, in stages), its
 * threads, and what they measured. Every request is accounted for:
 *   sent = ok + errors + timeouts + unfinished
 *   scheduled = sent + unsent (open loop)
 * In open loop latency counts from the intended time, service time from the actual send; what timed
 * out or was never sent is in the latency histogram as a censored value (at least its timeout). See
 * docs/LOAD.md for the models. */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "http/http.h"
#include "load/clients.h"
#include "load/expect.h"
#include "load/reference.h"
#include "load/shard.h"
#include "metrics/hist.h"
#include "metrics/usage.h"

enum load_arrivals { LOAD_UNIFORM, LOAD_POISSON };

/* What to do, as options and scenario files give it. */
struct load_config {
    uint32_t connections;       /* -c, 64 */
    uint32_t threads;           /* -t, 1; connections are dealt to threads, remainder included */
    uint64_t duration_ns;       /* -d, 10 s */
    uint32_t requests;          /* -n, 0: by duration; closed loop only */
    double rate;                /* -r, 0: closed loop */
    const char *ramp;           /* --rps-ramp; NULL: none, "": its default */
    const char *stages;         /* --stages */
    int arrivals;               /* --arrivals, enum load_arrivals */
    uint32_t seed;              /* --seed, 1: of all that is drawn */
    const char *clients;        /* --clients-ramp */
    const char *method;         /* -m, NULL: GET, or POST when there is a body */
    struct cli_texts headers;   /* -H "Name: value" */
    const char *body;           /* -b TEXT or @FILE */
    struct cli_texts urls;      /* several URLs, instead of the one that load_plan_new() is given */
    const char *requests_file;  /* --requests-file; the URL then only names the host */
    bool is_literal;            /* --literal: braces are no placeholders */
    bool is_kept_alive;         /* --no-keepalive: a connection for each request */
    uint32_t pipeline;          /* --pipeline, 1: requests in flight on a connection */
    const char *expect_status;  /* --expect-status 201[,...]; NULL: 2xx */
    uint64_t expect_body_bytes; /* --expect-body-size; UINT64_MAX: any */
    uint64_t timeout_ns;        /* -T, 5 s */
    const char *shard;          /* --shard; NULL: alone */
    const char *start_at;       /* --start-at; NULL: at once */
    const char *clock_from;     /* --clock-from URL; NULL: none */
    const char *cores;          /* --cores */
    const char *json;           /* --json FILE */
    const char *csv;            /* --csv FILE */
    const char *hdr;            /* --hdr FILE */
    const char *expect;         /* --expect */
    const char *find_max;       /* --find-max: searches by find_max_run(), load/find_max.h */
    double find_start;          /* --find-start, 1000 */
    uint64_t probe_ns;          /* --probe-time, 2 s */
    bool is_quiet;              /* --quiet: no progress lines */
    uint32_t pid;       /* --pid: the target's process, for what it uses; 0: found by its address */
    uint64_t sample_ns; /* --sample-interval, 1 s */
    const char *dashboard; /* --dashboard; NULL: none, "": at its usual place (live/live.h) */
    const char *metrics;   /* --metrics ADDR:PORT; NULL: none */
    /* Keep so many of the latest successful answers' bodies per thread, taken from every
     * LOAD_SAMPLE_EVERY-th request; 0: none. */
    uint32_t samples;
    bool duration_was_set, rate_was_set, connections_was_set,
        timeout_was_set; /* given by the user (see struct option_row) */
    bool is_scaled;      /* set by `run`: -d stretches or shortens a ramp or stages to its length,
                            instead of cutting a ramp or holding its last rate */
};
#define LOAD_SAMPLE_EVERY 8
#define LOAD_CONFIG_DEFAULT              \
    ((struct load_config){               \
        .connections = 64,               \
        .threads = 1,                    \
        .duration_ns = 10 * NS_PER_S,    \
        .timeout_ns = 5 * NS_PER_S,      \
        .seed = 1,                       \
        .is_kept_alive = true,           \
        .pipeline = 1,                   \
        .expect_body_bytes = UINT64_MAX, \
        .find_start = 1000,              \
        .probe_ns = 2 * NS_PER_S,        \
        .sample_ns = NS_PER_S,           \
    })
extern const struct option_row load_options[];
extern const struct option_row load_lone_options[];  /* of a load by itself: files, the search */
extern const struct option_row load_shard_options[]; /* of a client that is one of several */

/* For options that are read over a scenario's: what `given`, the same options read over the defaults, says
 * of how much is sent and when takes the place of all that `c` says of it. */
void load_config_give_way(struct load_config *c, const struct load_config *given);

/* What became of a request that failed; names are the JSON keys of CONTRACT section 3. */
#define LOAD_ERRORS(X) \
    X(dns)             \
    X(connect) X(reset) X(bad_response) X(unexpected) X(status_3xx) X(status_4xx) X(status_5xx)
enum load_error {
#define X(name) LOAD_ERROR_##name,
    LOAD_ERRORS(X)
#undef X
        LOAD_ERROR_COUNT
};
extern const char *const load_error_names[LOAD_ERROR_COUNT];

/* Counters of a second, or of a whole run. */
struct load_counts {
    uint64_t scheduled; /* open loop: due so far */
    uint64_t unsent;    /* due, never sent */
    uint64_t sent, ok, timeouts, unfinished;
    uint64_t errors[LOAD_ERROR_COUNT];
    uint64_t received_bytes;
};

/* Answers by the hundreds of their status, 0 for a request that has none. */
enum { LOAD_STATUS_NONE, LOAD_STATUS_2XX = 2, LOAD_STATUS_CLASSES = 10 };

enum { LOAD_STATUSES = 1000 }; /* three digits */

/* One second of a run. Percentiles are of the requests that ended in it. */
struct load_second {
    uint32_t t;        /* seconds since the start, 1 for the first */
    double length_s;   /* 1 but for the last */
    double target_rps; /* NAN in closed loop */
    struct load_counts counts;
    uint64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
    uint32_t latency_buckets[HIST_COARSE_BUCKETS]; /* see hist_coarsen() */
    uint64_t send_lag_p99_ns;
    uint32_t connections_open, in_flight, backlog;
    uint32_t clients;      /* clients ramp: that there are; else 0 */
    double equivalent_rps; /* ... and the rate that they amount to; NAN: no clients ramp */
    double client_cpu_pct; /* of one core, summed over threads */

    /* what the lab adds; NAN where it is not known */
    struct usage *usage; /* the result's; NULL: not known */
    double db_p99_us, cache_p99_us;
    double db_errors, cache_errors; /* in this second */
    int pool, pool_in_flight;       /* -1: unknown */

    int64_t begin_us; /* wall clock */

    /* of this second; only within load_watch.second() */
    const struct hist *latency, *service, *send_lag;
    const struct hist *others[LOAD_STATUS_CLASSES]; /* the part of `latency` that is no 2xx; NULL:
                                                       there was none */
};

/* The body of an answer, kept for a check. */
struct load_sample {
    struct bytes body;
    uint64_t answered_ns; /* clock_ns() */
};

enum load_verdict { LOAD_VALID, LOAD_SUSPECT, LOAD_INVALID };

/* What all clients of a sharded load must agree on, and how this one kept the agreed time. */
struct load_shard {
    struct shard shard;
    struct clock_quality clock; /* as of the start */
    struct reference_offset offset;
    const char *reference;              /* --clock-from, which that is from; NULL: none */
    uint32_t connections;               /* of all together, like what follows */
    uint64_t requests;                  /* -n; 0: by duration */
    double rate;                        /* NAN: not a constant one */
    const char *schedule;               /* ramp, stages or clients as given; NULL: none */
    const char *expect, *expect_status; /* NULL: none */
    uint64_t window_ns;                 /* UINT64_MAX: until the requests are used up */
    uint64_t request_hash;              /* of the bytes, placeholders and order of what is sent */
    uint64_t held_begin_ns; /* of the step that is quoted from, since the start; UINT64_MAX: none */
};

struct load_result {
    char url[2560];
    char method[16];
    bool is_open;                /* open loop */
    const char *model;           /* "closed", "clients", "constant", "ramp", "stages" */
    enum load_arrivals arrivals; /* open loop */
    uint32_t seed;
    struct clients_ramp clients; /* pods 0: none */
    struct load_shard shard;
    bool is_interrupted;
    int64_t started_us; /* wall clock */
    double duration_s;
    double target_rps; /* NAN where there is none: closed loop, ramp */
    double held_rps; /* ramps and stages: the last rate that was held; clients ramp: the rate of the
                          last stage that was; NAN otherwise */
    double quoted_rps; /* ok per second, over the run, or over the held step of a ramp */
    struct load_counts counts;
    uint64_t statuses[LOAD_STATUSES]; /* answers by their status */
    struct hist *latency,
        *service; /* the whole run; in closed loop both are the same histogram's content */
    struct hist *send_lag;
    struct hist *quoted_latency, *quoted_service,
        *quoted_send_lag; /* what percentiles are quoted from: the run's, or the held step's */
    struct load_second *seconds;
    unsigned second_count;
    uint32_t threads, connections;
    uint64_t connections_made; /* opened, whole run, those before the start included */
    bool is_kept_alive;
    uint32_t pipeline; /* requests in flight on a connection, at most */
    uint64_t timeout_ns;
    uint64_t send_lag_p99_ns; /* of what is quoted; 0 in closed loop */
    double client_cpu_pct;    /* of one core, summed over threads, whole run */
    double
        client_cpu_pct_worst_thread, /* in the time that is quoted, the thread that had least left */
        client_starved_pct_worst_thread; /* and how long that was ready but had no core */
    double client_steal_pct; /* of the cores that the threads may run on; NAN: unknown */
    enum load_verdict verdict;
    bool is_only_late; /* INVALID for nothing but the send lag: latencies are at most those given */
    char reasons[8][256];
    enum load_verdict reason_verdicts[8]; /* what each alone makes of it */
    unsigned reason_count;
    struct expectations expected; /* --expect, judged */
    struct load_sample *samples;  /* see load_config; in no order */
    unsigned sample_count;
};

/* Called on the collecting (calling) thread. Each optional. */
struct load_watch {
    void (*begin)(void *arg); /* connections are open, the clock starts */
    void (*second)(void *arg,
                   struct load_second *row); /* once a second, may fill the lab's fields */
    bool (*stop)(void *arg); /* asked often; true: end now, what is under way is unfinished, result
                                is interrupted */
    void *arg;
};

/* What will be loaded; made from a URL and the configuration before anything starts, so that every
 * mistake in it is said before the first request. */
struct load_plan;

/* `url` NULL: asks 127.0.0.1:8080/openapi.json what to load. Checks everything that can be known:
 * URL, method, headers, body file, rate, core list, -c against the descriptor limit. */
struct load_plan *load_plan_new(const struct load_config *config, const char *url,
                                struct fail *f) MUST_USE;
void load_plan_free(struct load_plan *plan);

/* Fills in what is known of a result before the run: what is loaded, and how. */
void load_plan_describe(const struct load_plan *plan, struct load_result *r);

/* Threads run on these CPUs, one each, round robin, instead of on config->cores. */
void load_plan_pin(struct load_plan *plan, const cpu_set_t *cpus);

/* The same plan at another constant rate, for another time; and the highest rate that makes sense
 * over its connections. For plans with config.find_max. */
void load_plan_retime(struct load_plan *plan, double rate, uint64_t length_ns);
double load_plan_rate_most(const struct load_plan *plan);

/* Runs the plan; blocks. False only if it could not start (no ring, no memory, later than agreed). A target that
 * cannot be reached is a result with errors. The result is freed with load_result_free(). */
bool load_run(struct load_plan *plan, const struct load_watch *watch, struct load_result *result,
              struct fail *f) MUST_USE;
void load_result_free(struct load_result *r);

/* Adds each count. */
void load_counts_add(struct load_counts *to, const struct load_counts *from);

/* What was due and is no longer open: scheduled or sent, less unfinished. */
uint64_t load_ended(const struct load_counts *c);

/* ok among that, 1 if it is nothing. By the sums above it can be asked of a second as well as of a
 * run. */
double load_availability(const struct load_counts *c);

/* 0, 1 if no request succeeded, 5 if the verdict is INVALID, 3 if an expectation was not met; 130
 * when interrupted comes from the caller. */
int load_exit_code(const struct load_result *r);

#endif
