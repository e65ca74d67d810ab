/* The benchmark target: the endpoints of CONTRACT section 1 on a loop per core, with storage, a fib
 * pool and an upstream behind them. `iubench serve` and `iubench run` start it. */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "cli/cli.h"
#include "conn/server.h"
#include "storage/storage.h"

enum target_mode { MODE_ALL, MODE_STATIC, MODE_FIB, MODE_PROXY, MODE_POST, MODE_DB };

struct target_config {
    struct storage_config storage; /* at offset 0, for storage_options */
    int mode;                      /* enum target_mode */
    const char *listen;            /* ADDR:PORT or unix:PATH */
    const char *metrics;           /* ADDR:PORT of a metrics page of its own; NULL: none */
    uint32_t threads;              /* 0: the CPUs in the mask */
    const char *cores;             /* core list; NULL: not pinned */
    const char *upstream;          /* URL; NULL: a built-in one when the mode needs it */
    uint64_t upstream_timeout_ns;
    uint64_t upstream_delay_ns;    /* of the built-in one */
    uint32_t upstream_connections; /* per loop */
    uint32_t fib_max, fib_threads, fib_queue;
    struct server_limits limits;
};
extern const struct target_config target_config_default;
extern const struct option_row target_options[]; /* beside storage_options */

struct target;

/* Opens storage, starts fib pool, built-in upstream and workers; returns when it accepts. */
struct target *target_start(const struct target_config *config, struct fail *f) MUST_USE;

/* Where it listens, as "127.0.0.1:8080"; the start-up line. */
const char *target_address(const struct target *t);
const char *target_line(const struct target *t);
const char *target_store_text(const struct target *t);
const char *target_cache_text(const struct target *t);
bool target_is_embedded(const struct target *t);
/* As many inserts may share a commit; 1: each has its own; 0: they do not go to PostgreSQL. */
uint32_t target_pg_batch(const struct target *t);
const struct storage *target_storage(const struct target *t); /* NULL: none in this mode */

/* CPU time of its threads so far, fib pool included, built-in upstream excluded; ns. */
uint64_t target_cpu_ns(const struct target *t);

/* Latencies of inserts and sets since the start, all threads (merged into the two given
 * histograms). */
void target_storage_latency(const struct target *t, struct hist *store, struct hist *cache);
int target_pool(
    const struct target *t); /* open database connections, -1 where there is no database */

/* Inserts under way now, those that wait for a connection included. */
unsigned target_pool_in_flight(const struct target *t);

/* Inserts and sets that did not end as done, since the start. */
void target_storage_errors(const struct target *t, uint64_t *db, uint64_t *cache);

/* Drains and stops; blocks; frees. */
void target_stop(struct target *t);

#endif
