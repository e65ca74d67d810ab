/* When is request k due? A schedule of rates over time, and the due time of each request as a pure
 * function of its index, in nanoseconds from the start: nothing accumulates, so nothing drifts, and
 * threads share a schedule by taking every n-th index. Requests come evenly, or at random times of
 * that rate. */
#ifndef LOAD_PACE_H
#define LOAD_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "load/arrivals.h"

/* From `begin_ns`, the rate goes linearly from `from` to `to` per second for `length_ns`. A held
 * rate has from = to. */
struct pace_phase {
    uint64_t begin_ns, length_ns;
    double from, to;
    double before; /* requests due before this phase */
};

struct pace {
    struct pace_phase *phases;
    unsigned count;
    uint64_t length_ns;       /* of the whole schedule */
    uint64_t total;           /* requests due in it */
    struct arrivals arrivals; /* count 0: evenly */
};

/* Where a reader that asks for ever later requests stands; begin with {0}. */
struct pace_walk {
    struct arrivals_walk arrivals;
};

/* Builds schedules; the caller frees with pace_free(). */
void pace_constant(struct pace *p, double rate, uint64_t length_ns);

/* "FROM:TO/PERIOD" linear, "FROM:TO:STEP/PERIOD" steps of PERIOD each until TO was held for one
 * PERIOD; "" (the value left out) is 1000 more every second for `length_ns`. If `length_ns` is
 * longer than the ramp its last rate is held until then; 0: the ramp's own length. */
bool pace_ramp(struct pace *p, const char *text, uint64_t length_ns, struct fail *f) MUST_USE;

/* "10s:1000,30s:60000". */
bool pace_stages(struct pace *p, const char *text, struct fail *f) MUST_USE;

/* Stretches or shortens the schedule to `length_ns`, rates unchanged (`-d` scales a ramp). */
void pace_scale(struct pace *p, uint64_t length_ns);

/* Makes the arrivals of a finished schedule random: as many as before, at the times of a Poisson
 * process whose rate is the schedule's (see load/arrivals.h). */
void pace_randomize(struct pace *p, uint64_t seed);
void pace_free(struct pace *p);

/* The due time of request k (k < total): the first ns at which k + 1 requests are due. Not
 * decreasing in k. */
uint64_t pace_due_ns(const struct pace *p, uint64_t k);
uint64_t pace_walk_due_ns(const struct pace *p, struct pace_walk *w, uint64_t k); /* cheaper */

/* Requests due up to and including `ns`; the rate at `ns`, and the highest of all. */
uint64_t pace_due_count(const struct pace *p, uint64_t ns);
double pace_rate_at(const struct pace *p, uint64_t ns);
double pace_rate_most(const struct pace *p);

#endif
