/* Steal: time in which a virtual core had work and its host ran someone else (proc_stat(5)). */
#ifndef LOAD_STEAL_H
#define LOAD_STEAL_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/span.h"

/* In ticks, since the machine was started, summed over some cores. */
struct steal {
    uint64_t all, stolen;
};

/* Reads /proc/stat, or its text, for `cpus`; false if it does not show one of them. */
bool steal_read(const cpu_set_t *cpus, struct steal *s) MUST_USE;
bool steal_parse(struct span text, const cpu_set_t *cpus, struct steal *s) MUST_USE;

/* What was stolen between two readings, in % of the time; NAN if no time passed. */
double steal_pct(const struct steal *before, const struct steal *after);

#endif
