/* Equal values share the mean of their ranks, which is a whole number or a half; twice the rank is
 * always whole, and so the ways to reach a sum of ranks can be counted in a table. */
#include "stats/ranks.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "stats/quantile.h"

/* Twice the rank of a value among all sorted ones. */
static unsigned twice_rank(const double *sorted, unsigned count, double value)
{
    unsigned below = 0, equal = 0;
    for (unsigned i = 0; i < count && sorted[i] <= value; i++)
        if (sorted[i] < value)
            below++;
        else
            equal++;
    return 2 * below + equal + 1;
}

/* ways[taken][sum]: subsets of `taken` ranks with that doubled sum, rank by rank. Returns the share
 * of the subsets of `wanted` ranks whose sum is as far from the mean as `observed`, or farther. */
static double exact_p(const unsigned *ranks, unsigned count, unsigned wanted, unsigned observed)
{
    unsigned sums = count * (count + 1) + 1;
    double *ways = mem_need((size_t)(wanted + 1) * sums, sizeof *ways), all = 0, extreme = 0;
    ways[0] = 1;
    for (unsigned i = 0; i < count; i++)
        for (unsigned taken = i + 1 < wanted ? i + 1 : wanted; taken > 0; taken--)
            for (unsigned sum = sums - 1; sum >= ranks[i]; sum--)
                ways[taken * sums + sum] += ways[(taken - 1) * sums + sum - ranks[i]];
    long mean = (long)wanted * (count + 1), far = labs((long)observed - mean);
    for (unsigned sum = 0; sum < sums; sum++) {
        all += ways[wanted * sums + sum];
        if (labs((long)sum - mean) >= far)
            extreme += ways[wanted * sums + sum];
    }
    free(ways);
    return extreme / all;
}

/* Sum over groups of equal values of t^3 - t. */
static double ties_of(const double *sorted, unsigned count)
{
    double sum = 0;
    for (unsigned i = 0, same; i < count; i += same) {
        for (same = 1; i + same < count && sorted[i + same] == sorted[i];)
            same++;
        sum += (double)same * same * same - same;
    }
    return sum;
}

static double normal_p(const double *sorted, unsigned count, double u, double pairs)
{
    double n = count, ties = ties_of(sorted, count) / (n * (n - 1));
    double deviation = sqrt(pairs / 12 * (n + 1 - ties));
    double far = fabs(u - pairs / 2) - 0.5;
    if (far <= 0 || deviation == 0)
        return 1;
    return erfc(far / deviation / sqrt(2));
}

struct ranks ranks_test(const double *first, unsigned first_count, const double *second,
                        unsigned second_count)
{
    CHECK(first_count > 0 && second_count > 0);
    unsigned count = first_count + second_count, sum = 0;
    double *sorted = mem_need(count, sizeof *sorted), pairs = (double)first_count * second_count;
    unsigned *ranks = mem_need(count, sizeof *ranks);
    for (unsigned i = 0; i < count; i++)
        sorted[i] = i < first_count ? first[i] : second[i - first_count];
    quantile_sort(sorted, count);
    for (unsigned i = 0; i < count; i++)
        ranks[i] = twice_rank(sorted, count, sorted[i]);
    for (unsigned i = 0; i < second_count; i++)
        sum += twice_rank(sorted, count, second[i]);
    struct ranks found = {.u = (double)sum / 2 - (double)second_count * (second_count + 1) / 2,
                          .is_exact = count <= RANKS_EXACT_MAX};
    found.p = found.is_exact ? exact_p(ranks, count, second_count, sum)
                             : normal_p(sorted, count, found.u, pairs);
    free(ranks);
    free(sorted);
    return found;
}

double ranks_p_min(unsigned first_count, unsigned second_count)
{
    double ways = 1;
    for (unsigned i = 1; i <= first_count; i++)
        ways *= (double)(second_count + i) / i;
    return fmin(1, 2 / ways);
}
