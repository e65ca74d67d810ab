/* The delayed upstream: GET /external answers {"message": "External service response"} after a
 * delay. */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "cli/cli.h"
#include "conn/server.h"
#include "upstream/delay.h"

struct upstream_config {
    const char *listen;
    struct delay delay;
    uint32_t threads;
    const char *cores;
    struct server_limits limits;
};
extern const struct upstream_config upstream_config_default;
extern const struct option_row upstream_options[];

struct upstream;

/* Starts its threads; returns when it accepts. NULL with `f` filled: the address is taken, a core
 * list is wrong, or there is no ring. */
struct upstream *upstream_start(const struct upstream_config *config, struct fail *f) MUST_USE;

/* Where it listens, as "127.0.0.1:5001", valid until it is stopped; CPU time of its threads so far.
 */
const char *upstream_address(const struct upstream *u);
uint64_t upstream_cpu_ns(const struct upstream *u);

/* Finishes what it has, stops and frees; blocks. */
void upstream_stop(struct upstream *u);

#endif
