/* xoshiro256** 1.0 and splitmix64 after Blackman and Vigna, https://prng.di.unimi.it (public
 * domain). */
#include "base/rng.h"

#include <math.h>

#include "base/check.h"

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* splitmix64 spreads any seed, 0 too, over a state that is never all zero. */
void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire, "Fast random integer generation in an interval" (2019): the high half of a product is the
 * draw; the few low halves that would favour some results are drawn again. */
uint64_t rng_below(struct rng *r, uint64_t below)
{
    CHECK(below > 0);
    unsigned __int128 product = (unsigned __int128)rng_next(r) * below;
    if ((uint64_t)product < below) {
        uint64_t biased = -below % below;
        while ((uint64_t)product < biased)
            product = (unsigned __int128)rng_next(r) * below;
    }
    return (uint64_t)(product >> 64);
}

double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

/* 1 - u is never 0, so the logarithm is finite: at most 36.7. */
double rng_exponential(struct rng *r)
{
    return -log1p(-rng_unit(r));
}
