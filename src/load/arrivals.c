/* The smallest of m independent uniform numbers lies above x with the probability (1 - x)^m, so it
 * can be drawn alone, and the next one likewise from what is left: sorted numbers, one at a time,
 * without sorting or storing any. */
#include "load/arrivals.h"

#include <math.h>

#include "base/check.h"

static uint64_t block_seed(uint64_t seed, uint64_t block)
{
    return (seed ^ 0xd1b54a32d192ed03) + block * 0x9e3779b97f4a7c15;
}

static void walk_begin(const struct arrivals *a, struct arrivals_walk *w, uint64_t k)
{
    w->next = k / ARRIVALS_BLOCK * ARRIVALS_BLOCK;
    w->rest = 1;
    rng_seed(&w->rng, block_seed(a->seed, w->next / ARRIVALS_BLOCK));
}

static void walk_step(const struct arrivals *a, struct arrivals_walk *w)
{
    uint64_t place = w->next % ARRIVALS_BLOCK, begin = w->next - place;
    uint64_t count = a->count - begin < ARRIVALS_BLOCK ? a->count - begin : ARRIVALS_BLOCK;
    double length = a->length - (double)begin;
    if (length > ARRIVALS_BLOCK)
        length = ARRIVALS_BLOCK;
    w->rest *= exp(-rng_exponential(&w->rng) / (double)(count - place));
    w->at = (double)begin + length * (1 - w->rest);
    w->next++;
}

double arrivals_at(const struct arrivals *a, struct arrivals_walk *w, uint64_t k)
{
    CHECK(k < a->count);
    if (w->next && k + 1 == w->next)
        return w->at;
    if (!w->next || k < w->next || k / ARRIVALS_BLOCK != (w->next - 1) / ARRIVALS_BLOCK)
        walk_begin(a, w, k);
    while (w->next <= k)
        walk_step(a, w);
    return w->at;
}

uint64_t arrivals_until(const struct arrivals *a, double at)
{
    struct arrivals_walk w;
    uint64_t low = at > 0 ? (uint64_t)(at / ARRIVALS_BLOCK) * ARRIVALS_BLOCK : 0, most;
    if (!a->count || at < 0)
        return 0;
    if (low >= a->count)
        return a->count;
    most = a->count - low < ARRIVALS_BLOCK ? a->count : low + ARRIVALS_BLOCK;
    walk_begin(a, &w, low);
    while (w.next < most) {
        walk_step(a, &w);
        if (w.at > at)
            return w.next - 1;
    }
    return most;
}
