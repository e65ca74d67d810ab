/* Confidence intervals by resampling (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
 * chapter 13: the percentile interval): the sample stands for what it was drawn from, and what its
 * resamples scatter over is what the statistic would.
 *
 * An interval never leaves the range of the sample, and so covers the true median at most in
 * bootstrap_coverage_max() of all cases: 87.5 % for 4 repeats, 93.8 % for 5, 96.9 % for 6. */
#ifndef STATS_BOOTSTRAP_H
#define STATS_BOOTSTRAP_H

#include "base/rng.h"

#define BOOTSTRAP_ROUNDS     10000
#define BOOTSTRAP_CONFIDENCE 0.95

struct interval {
    double low, high;
};

/* Of the median. count > 0; the same state of `rng` gives the same interval. */
struct interval bootstrap_median(const double *values, unsigned count, struct rng *rng);

/* Of median(values) / median(base), whose samples are independent of each other. All of `base` must
 * be above 0. */
struct interval bootstrap_ratio(const double *base, unsigned base_count, const double *values,
                                unsigned count, struct rng *rng);

/* How often the range of `count` independent values holds the median they come from, at the most. */
double bootstrap_coverage_max(unsigned count);

#endif
