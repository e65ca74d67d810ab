/* A seeded generator for schedules, think times and test data: fast, repeatable, not for secrets
 * (xoshiro256**). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* Any seed; the same seed gives the same numbers, on every machine. */
void rng_seed(struct rng *r, uint64_t seed);

/* All 64 bits. */
uint64_t rng_next(struct rng *r);

/* Uniform in [0, below), without modulo bias; below > 0. */
uint64_t rng_below(struct rng *r, uint64_t below);

/* Uniform in [0, 1) with 53 bits; exponential with mean 1. */
double rng_unit(struct rng *r);
double rng_exponential(struct rng *r);

#endif
