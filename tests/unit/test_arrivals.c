/* Random arrivals: pure in k, in order, exact in number, exponential in their gaps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/arrivals.h"

static const struct arrivals ten_blocks = {.seed = 20261120, .count = 40000, .length = 39999.5};

static double alone(const struct arrivals *a, uint64_t k)
{
    struct arrivals_walk w = {0};
    return arrivals_at(a, &w, k);
}

/* Whoever asks, in whatever steps: the same times. */
static void test_pure(void **state)
{
    struct arrivals_walk all = {0}, third = {0}, jump = {0};
    (void)state;
    for (uint64_t k = 0; k < ten_blocks.count; k++) {
        double at = arrivals_at(&ten_blocks, &all, k);
        if (k % 3 == 1)
            assert_true(arrivals_at(&ten_blocks, &third, k) == at);
        if (k % 997 == 0) {
            assert_true(alone(&ten_blocks, k) == at);
            assert_true(arrivals_at(&ten_blocks, &jump, (k * 7919) % ten_blocks.count) ==
                        alone(&ten_blocks, (k * 7919) % ten_blocks.count));
        }
        assert_true(arrivals_at(&ten_blocks, &all, k) == at); /* asked twice */
    }
}

/* In order, within the length, and the count is the inverse of the time. */
static void test_order(void **state)
{
    struct arrivals_walk w = {0};
    double last = 0;
    (void)state;
    for (uint64_t k = 0; k < ten_blocks.count; k++) {
        double at = arrivals_at(&ten_blocks, &w, k);
        assert_true(at >= last && at <= ten_blocks.length);
        last = at;
        if (k % 501 == 0) {
            assert_int_equal(arrivals_until(&ten_blocks, at), k + 1);
            assert_int_equal(arrivals_until(&ten_blocks, nextafter(at, 0)), k);
        }
    }
    assert_int_equal(arrivals_until(&ten_blocks, ten_blocks.length), ten_blocks.count);
    assert_int_equal(arrivals_until(&ten_blocks, 1e18), ten_blocks.count);
    assert_int_equal(arrivals_until(&ten_blocks, -1), 0);
    struct arrivals none = {.seed = 1};
    assert_int_equal(arrivals_until(&none, 5), 0);
}

/* Gaps: mean 1, and as many above x as an exponential distribution has (Kolmogorov-Smirnov, the 0.1 %
 * level for 40000 is 0.0098). */
static void test_exponential(void **state)
{
    struct arrivals_walk w = {0};
    double last = 0, worst = 0;
    unsigned below[60] = {0};
    (void)state;
    for (uint64_t k = 0; k < ten_blocks.count; k++) {
        double at = arrivals_at(&ten_blocks, &w, k);
        for (unsigned i = 0; i < 60; i++)
            below[i] += at - last <= 0.1 * (i + 1);
        last = at;
    }
    for (unsigned i = 0; i < 60; i++) {
        double share = below[i] / (double)ten_blocks.count;
        worst = fmax(worst, fabs(share - (1 - exp(-0.1 * (i + 1)))));
    }
    assert_true(worst < 0.0098);
    assert_true(fabs(last / (double)ten_blocks.count - 1) < 0.01);
}

/* Counts in windows of 20 vary like Poisson's: variance about equal to the mean. */
static void test_dispersion(void **state)
{
    struct arrivals_walk w = {0};
    unsigned counts[1999] = {0};
    double sum = 0, squares = 0;
    (void)state;
    for (uint64_t k = 0; k < ten_blocks.count; k++) {
        double at = arrivals_at(&ten_blocks, &w, k);
        if (at < 1999 * 20)
            counts[(unsigned)(at / 20)]++;
    }
    for (unsigned i = 0; i < 1999; i++) {
        sum += counts[i];
        squares += (double)counts[i] * counts[i];
    }
    double mean = sum / 1999, variance = squares / 1999 - mean * mean;
    assert_true(fabs(mean - 20) < 0.2);
    assert_true(variance / mean > 0.88 && variance / mean < 1.12);
}

/* Another seed, other times. */
static void test_seed(void **state)
{
    struct arrivals other = ten_blocks;
    (void)state;
    other.seed++;
    assert_true(alone(&other, 5) != alone(&ten_blocks, 5));
    assert_true(alone(&other, 5000) != alone(&ten_blocks, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pure),        cmocka_unit_test(test_order),
        cmocka_unit_test(test_exponential), cmocka_unit_test(test_dispersion),
        cmocka_unit_test(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
