/* Medians and their resampled intervals: known values, and on synthetic data of a known median how
 * often the intervals hold it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "stats/bootstrap.h"
#include "stats/quantile.h"

enum { SEED = 20261120, SAMPLES = 200 };

/* Log-normal with median 1, as latencies and rates scatter. */
static double draw(struct rng *r)
{
    double normal = 0;
    for (int i = 0; i < 12; i++)
        normal += rng_unit(r);
    return exp(0.1 * (normal - 6));
}

/* The middle, or the mean of the middle two; sorting is by value. */
static void test_median(void **state)
{
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, one[] = {7};
    (void)state;
    quantile_sort(odd, 3);
    quantile_sort(even, 4);
    assert_true(odd[0] == 1 && odd[2] == 3);
    assert_true(quantile_median(odd, 3) == 2);
    assert_true(quantile_median(even, 4) == 2.5);
    assert_true(quantile_median(one, 1) == 7);
}

/* Five values: a resample's median is the least one in 5.8 % of all cases, three draws of five, so the
 * interval is the whole range; of equal values it is that value; the same seed gives the same. */
static void test_known(void **state)
{
    static const double five[] = {10, 11, 12, 13, 14}, same[] = {3, 3, 3, 3};
    struct rng rng, again;
    (void)state;
    rng_seed(&rng, SEED);
    struct interval i = bootstrap_median(five, 5, &rng);
    assert_true(i.low == 10 && i.high == 14);
    i = bootstrap_median(same, 4, &rng);
    assert_true(i.low == 3 && i.high == 3);
    i = bootstrap_ratio(same, 4, same, 4, &rng);
    assert_true(i.low == 1 && i.high == 1);
    struct interval a, b;
    static const double wide[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};
    rng_seed(&rng, SEED);
    rng_seed(&again, SEED);
    a = bootstrap_ratio(wide, 12, wide, 11, &rng);
    b = bootstrap_ratio(wide, 12, wide, 11, &again);
    assert_true(a.low == b.low && a.high == b.high && a.low < 1 && a.high > 1);
}

/* How often the interval of `count` repeats holds the true median, and that of two samples the true
 * ratio of 1. */
static void cover(unsigned count, double *median, double *ratio)
{
    struct rng data, rng;
    double first[32], second[32];
    unsigned medians = 0, ratios = 0;
    rng_seed(&data, SEED + count);
    rng_seed(&rng, SEED);
    for (unsigned i = 0; i < SAMPLES; i++) {
        for (unsigned j = 0; j < count; j++) {
            first[j] = draw(&data);
            second[j] = draw(&data);
        }
        struct interval m = bootstrap_median(first, count, &rng);
        struct interval r = bootstrap_ratio(first, count, second, count, &rng);
        medians += m.low <= 1 && 1 <= m.high;
        ratios += r.low <= 1 && 1 <= r.high;
    }
    *median = (double)medians / SAMPLES;
    *ratio = (double)ratios / SAMPLES;
    printf("%u repeats, seed %d: the median is held in %.1f %%, the ratio in %.1f %%\n", count,
           SEED, *median * 100, *ratio * 100);
}

/* Near the 95 % that they are called by; for few repeats the median's as near as the range allows. */
static void test_coverage(void **state)
{
    static const unsigned counts[] = {4, 5, 8, 12};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        double median, ratio, most = bootstrap_coverage_max(counts[i]);
        cover(counts[i], &median, &ratio);
        assert_true(median > fmin(most, 0.95) - 0.05 && median < fmin(1, most + 0.05));
        assert_true(ratio > 0.92 && ratio <= 1);
    }
    assert_true(bootstrap_coverage_max(4) == 0.875);
    assert_true(bootstrap_coverage_max(5) == 0.9375);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
