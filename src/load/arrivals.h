/* Random arrivals at unit rate, as users have them that know nothing of each other: a Poisson
 * process over [0, length), whose k-th arrival is a pure function of seed and k, so that threads and
 * machines share one schedule by sharing a seed.
 *
 * Blocks of ARRIVALS_BLOCK arrivals begin at whole multiples of that number, each with a stream of
 * random numbers of its own, and an arrival is found without those of the blocks before it. Within a
 * block the arrivals are independent and uniform in time, which is a Poisson process that is known to
 * have just so many; gaps are exponential as far as a queue can tell. Over many blocks the number is
 * exact: a run at 1000 a second for 10 s has 10000 requests. */
#ifndef LOAD_ARRIVALS_H
#define LOAD_ARRIVALS_H

#include <stdint.h>

#include "base/rng.h"

#define ARRIVALS_BLOCK 4096

struct arrivals {
    uint64_t seed, count;
    double length; /* above count - 1 */
};

/* Where one reader stands. Begin with {0}. */
struct arrivals_walk {
    uint64_t next; /* the arrival after the one last given; 0: none was */
    double at;     /* of the one last given */
    double rest;   /* share of the block behind it */
    struct rng rng;
};

/* When arrival k < count is. Cheap when k only grows; else up to ARRIVALS_BLOCK steps. */
double arrivals_at(const struct arrivals *a, struct arrivals_walk *w, uint64_t k);

/* How many are at or before `at`. Up to ARRIVALS_BLOCK steps. */
uint64_t arrivals_until(const struct arrivals *a, double at);

#endif
