/* Repeats are few, so sorting is all that is needed. */
#include "stats/quantile.h"

#include <stdlib.h>

#include "base/check.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void quantile_sort(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
}

double quantile_median(const double *sorted, unsigned count)
{
    CHECK(count > 0);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}
