/* Order statistics of small samples: the repeats of a measurement. */
#ifndef STATS_QUANTILE_H
#define STATS_QUANTILE_H

/* Sorts ascending; no value may be NAN. */
void quantile_sort(double *values, unsigned count);

/* The median of sorted values, the mean of the middle two where their number is even. count > 0. */
double quantile_median(const double *sorted, unsigned count);

#endif
