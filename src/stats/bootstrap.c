/* Resampled medians are sorted and cut off at both ends; where a cut falls between two of them the
 * outer one is taken. */
#include "stats/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "stats/quantile.h"

/* The median of as many values as there are, drawn with replacement. */
static double resample(const double *values, unsigned count, double *drawn, struct rng *rng)
{
    for (unsigned i = 0; i < count; i++)
        drawn[i] = values[rng_below(rng, count)];
    quantile_sort(drawn, count);
    return quantile_median(drawn, count);
}

static struct interval cut(double *rounds)
{
    double outside = (1 - BOOTSTRAP_CONFIDENCE) / 2 * BOOTSTRAP_ROUNDS;
    unsigned left = (unsigned)floor(outside);
    quantile_sort(rounds, BOOTSTRAP_ROUNDS);
    return (struct interval){rounds[left], rounds[BOOTSTRAP_ROUNDS - 1 - left]};
}

struct interval bootstrap_median(const double *values, unsigned count, struct rng *rng)
{
    double *rounds = mem_need(BOOTSTRAP_ROUNDS, sizeof *rounds);
    double *drawn = mem_need(count, sizeof *drawn);
    for (unsigned i = 0; i < BOOTSTRAP_ROUNDS; i++)
        rounds[i] = resample(values, count, drawn, rng);
    struct interval found = cut(rounds);
    free(drawn);
    free(rounds);
    return found;
}

struct interval bootstrap_ratio(const double *base, unsigned base_count, const double *values,
                                unsigned count, struct rng *rng)
{
    double *rounds = mem_need(BOOTSTRAP_ROUNDS, sizeof *rounds);
    double *drawn = mem_need(base_count > count ? base_count : count, sizeof *drawn);
    for (unsigned i = 0; i < BOOTSTRAP_ROUNDS; i++) {
        double below = resample(base, base_count, drawn, rng);
        CHECK(below > 0);
        rounds[i] = resample(values, count, drawn, rng) / below;
    }
    struct interval found = cut(rounds);
    free(drawn);
    free(rounds);
    return found;
}

double bootstrap_coverage_max(unsigned count)
{
    return 1 - ldexp(1, 1 - (int)count);
}
