/* Mann and Whitney's rank test: do two samples come from one distribution? It asks only which value
 * is the greater, so a single wild repeat moves it no further than a mild one (H. B. Mann and D. R.
 * Whitney, On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other,
 * 1947). */
#ifndef STATS_RANKS_H
#define STATS_RANKS_H

#include <stdbool.h>

#define RANKS_EXACT_MAX 60 /* values in both samples together, up to which p is exact */

struct ranks {
    double u; /* pairs in which the second sample's value is the greater; equal ones count a half */
    double p; /* two-sided: how often chance alone gives a u at least as far from the middle */
    bool is_exact; /* by all ways to deal the ranks, equal values included; else by the normal
                      distribution, corrected for them and for continuity */
};

/* Both counts above 0; no value may be NAN. */
struct ranks ranks_test(const double *first, unsigned first_count, const double *second,
                        unsigned second_count);

/* The least p that samples of these sizes can give: when all of one lie above all of the other. */
double ranks_p_min(unsigned first_count, unsigned second_count);

#endif
