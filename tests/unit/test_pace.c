/* The schedule of the open loop: due time and due count against each other, against a brute-force
 * sum, and against what the words of the command line promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "load/pace.h"

static const uint64_t SEED = 20261120;

/* Due times of every request of `p`, or of a thousand spread over it. */
static void check_inverse(const struct pace *p)
{
    uint64_t stride = p->total > 5000 ? p->total / 1000 : 1, last = 0;
    for (uint64_t k = 0; k < p->total; k += stride) {
        uint64_t due = pace_due_ns(p, k);
        assert_true(due >= last);
        assert_true(due <= p->length_ns);
        assert_true(pace_due_count(p, due) >= k + 1);
        if (due)
            assert_true(pace_due_count(p, due - 1) <= k);
        last = due;
    }
    assert_int_equal(pace_due_count(p, p->length_ns), p->total);
    assert_int_equal(pace_due_count(p, UINT64_MAX), p->total);
}

static void make_ramp(struct pace *p, const char *text, uint64_t length_ns)
{
    struct fail f = {0};
    if (!pace_ramp(p, text, length_ns, &f))
        fail_msg("%s", f.text);
}

static void make_stages(struct pace *p, const char *text)
{
    struct fail f = {0};
    if (!pace_stages(p, text, &f))
        fail_msg("%s", f.text);
}

/* A constant rate: request k is due at k / rate, to the nanosecond, after hours too. */
static void test_constant(void **state)
{
    struct pace p;
    (void)state;
    pace_constant(&p, 1000, 10 * NS_PER_S);
    assert_int_equal(p.total, 10000);
    assert_int_equal(pace_due_ns(&p, 0), 0);
    assert_int_equal(pace_due_ns(&p, 1), NS_PER_MS);
    assert_int_equal(pace_due_ns(&p, 9999), 9999 * NS_PER_MS);
    assert_int_equal(pace_due_count(&p, NS_PER_MS - 1), 1);
    assert_int_equal(pace_due_count(&p, NS_PER_MS), 2);
    check_inverse(&p);
    pace_free(&p);

    pace_constant(&p, 50000, 4 * 3600 * NS_PER_S);
    assert_int_equal(p.total, 720000000);
    assert_int_equal(pace_due_ns(&p, 719999999), 4 * 3600 * NS_PER_S - 20000);
    check_inverse(&p);
    pace_free(&p);

    pace_constant(&p, 3, NS_PER_S);
    assert_int_equal(p.total, 3);
    assert_int_equal(pace_due_ns(&p, 1), 333333334);
    pace_free(&p);

    pace_constant(&p, 0.5, 10 * NS_PER_S);
    assert_int_equal(p.total, 5);
    assert_int_equal(pace_due_ns(&p, 4), 8 * NS_PER_S);
    pace_free(&p);
}

/* A linear ramp solves from * t + slope * t * t / 2 = k. */
static void test_linear(void **state)
{
    struct pace p;
    (void)state;
    make_ramp(&p, "0:1000/10s", 0);
    assert_int_equal(p.total, 5000);
    assert_int_equal(pace_due_ns(&p, 0), 0);
    assert_int_equal(pace_due_ns(&p, 50), NS_PER_S); /* 100 * t * t / 2 */
    assert_int_equal(pace_due_ns(&p, 1250), 5 * NS_PER_S);
    assert_true(pace_rate_at(&p, 5 * NS_PER_S) == 500);
    check_inverse(&p);
    pace_free(&p);

    make_ramp(&p, "1000:0/10s", 0);
    assert_int_equal(p.total, 5000);
    assert_int_equal(pace_due_ns(&p, 3750), 5 * NS_PER_S);
    check_inverse(&p);
    pace_free(&p);
}

/* A longer length holds the last rate; a shorter one ends the ramp early; scaling keeps rates. */
static void test_lengths(void **state)
{
    struct pace p;
    (void)state;
    make_ramp(&p, "0:1000/10s", 15 * NS_PER_S);
    assert_int_equal(p.total, 10000);
    assert_int_equal(pace_due_ns(&p, 5000), 10 * NS_PER_S);
    assert_true(pace_rate_at(&p, 14 * NS_PER_S) == 1000);
    assert_true(pace_rate_at(&p, 15 * NS_PER_S) == 0);
    check_inverse(&p);
    pace_free(&p);

    make_ramp(&p, "0:1000/10s", 5 * NS_PER_S);
    assert_int_equal(p.total, 1250);
    check_inverse(&p);
    pace_scale(&p, 10 * NS_PER_S);
    assert_int_equal(p.length_ns, 10 * NS_PER_S);
    assert_int_equal(p.total, 2500);
    assert_true(pace_rate_at(&p, 5 * NS_PER_S) == 250);
    check_inverse(&p);
    pace_free(&p);
}

/* Steps: each rate for one period, the last one included; the default climbs 1000 a second. */
static void test_steps(void **state)
{
    struct pace p;
    (void)state;
    make_ramp(&p, "100:450:100/2s", 0);
    assert_int_equal(p.length_ns, 10 * NS_PER_S);
    assert_true(pace_rate_at(&p, 0) == 100);
    assert_true(pace_rate_at(&p, 2 * NS_PER_S) == 200);
    assert_true(pace_rate_at(&p, 7 * NS_PER_S) == 400);
    assert_true(pace_rate_at(&p, 9 * NS_PER_S) == 450);
    assert_int_equal(p.total, 2 * (100 + 200 + 300 + 400 + 450));
    check_inverse(&p);
    pace_free(&p);

    make_ramp(&p, "300:100:100/1s", 4 * NS_PER_S);
    assert_int_equal(p.total, 300 + 200 + 100 + 100);
    check_inverse(&p);
    pace_free(&p);

    make_ramp(&p, "", 0);
    assert_int_equal(p.length_ns, 600 * NS_PER_S);
    assert_true(pace_rate_at(&p, 0) == 1000);
    assert_true(pace_rate_at(&p, 599 * NS_PER_S) == 600000);
    assert_int_equal(p.total, 1000ull * 600 * 601 / 2);
    check_inverse(&p);
    pace_free(&p);

    make_ramp(&p, "", 3 * NS_PER_S);
    assert_int_equal(p.total, 6000);
    pace_free(&p);
}

/* Stages join without a gap; a pause in the middle has no request in it. */
static void test_stages(void **state)
{
    struct pace p;
    (void)state;
    make_stages(&p, "1s:10,2s:0,500ms:100");
    assert_int_equal(p.length_ns, 3500 * NS_PER_MS);
    assert_int_equal(p.total, 60);
    assert_int_equal(pace_due_ns(&p, 9), 900 * NS_PER_MS);
    assert_int_equal(pace_due_ns(&p, 10), NS_PER_S);
    assert_int_equal(pace_due_ns(&p, 11), 3010 * NS_PER_MS);
    assert_int_equal(pace_due_count(&p, 3 * NS_PER_S), 11);
    check_inverse(&p);
    pace_free(&p);
}

/* N(t) against the sum of the rate over a million slices, at random times of random schedules. */
static void test_brute_force(void **state)
{
    struct rng rng;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)SEED);
    rng_seed(&rng, SEED);
    for (int round = 0; round < 40; round++) {
        char text[128];
        struct pace p;
        unsigned from = (unsigned)rng_below(&rng, 3000), to = 1 + (unsigned)rng_below(&rng, 3000);
        unsigned period = 1 + (unsigned)rng_below(&rng, 5000);
        if (round % 2)
            snprintf(text, sizeof text, "%u:%u/%ums", from, to, period);
        else
            snprintf(text, sizeof text, "%u:%u:%u/%ums", from, to,
                     1 + (unsigned)rng_below(&rng, 900), period);
        make_ramp(&p, text, 0);
        check_inverse(&p);

        enum { SLICES = 100000 };
        double sum = 0, slice_ns = (double)p.length_ns / SLICES;
        for (int i = 0; i < SLICES; i++) {
            if (i % 9973 == 0) {
                double count = (double)pace_due_count(&p, (uint64_t)(slice_ns * i));
                if (count - 1 > sum + 1 || count < sum - 1)
                    fail_msg("%s: %.0f due after slice %d, the sum is %.3f", text, count, i, sum);
            }
            sum += pace_rate_at(&p, (uint64_t)(slice_ns * (i + 0.5))) * slice_ns / 1e9;
        }
        assert_true((double)p.total > sum - 1.5 && (double)p.total < sum + 1.5);
        pace_free(&p);
    }
}

/* Any moment: the requests that T threads hold due, each its every T-th index, are those of one. */
static void test_threads(void **state)
{
    struct rng rng;
    struct pace p;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)SEED);
    rng_seed(&rng, SEED);
    make_ramp(&p, "10:5000/3s", 4 * NS_PER_S);
    for (int round = 0; round < 200; round++) {
        uint64_t ns = rng_below(&rng, p.length_ns + NS_PER_S), due = pace_due_count(&p, ns);
        uint64_t threads = 1 + rng_below(&rng, 9), sum = 0;
        for (uint64_t i = 0; i < threads; i++)
            for (uint64_t k = i; k < p.total && pace_due_ns(&p, k) <= ns; k += threads)
                sum++;
        assert_int_equal(sum, due);
    }
    pace_free(&p);
}

/* Inverse and order on schedules with extreme numbers. */
static void test_extremes(void **state)
{
    static const char *const ramps[] = {"0:1/30s",   "1M:1k/20m",    "0:100M/1s",   "100M:0/1s",
                                        "1:2/1ms",   "5000:1:7/1ms", "0.5:0.25/9m", "1:1000000/1h",
                                        "1k:1k/10s", "0:0.001/1h",   "1000:0/1h"};
    struct pace p;
    (void)state;
    for (unsigned i = 0; i < sizeof ramps / sizeof *ramps; i++) {
        make_ramp(&p, ramps[i], 0);
        assert_true(p.total > 0);
        check_inverse(&p);
        pace_free(&p);
    }
}

/* What is no schedule is refused as usage, and the message shows a right one. */
static void test_refusals(void **state)
{
    static const char *const ramps[] = {
        "5",  "1:2",        "1/2s",    "1:2/x",     "a:2/1s",    "1:2:0/1s", "0:0/1s", "1:2/0s",
        ":/", "1:2:3:4/1s", "-1:5/1s", "1:1M:1/1s", "1:2/1s/1s", "1::3/1s",  "1:2/"};
    static const char *const stages[] = {"",      "10s",        "10s:",   ":5",
                                         "0s:5",  "10s:5,",     "10s:-1", "10s:0,5s:1",
                                         "5:5:5", "10s:5;2s:1", "x:1"};
    struct pace p;
    (void)state;
    for (unsigned i = 0; i < sizeof ramps / sizeof *ramps; i++) {
        struct fail f = {0};
        if (pace_ramp(&p, ramps[i], 0, &f))
            fail_msg("\"%s\" was taken for a ramp", ramps[i]);
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "--rps-ramp"));
    }
    for (unsigned i = 0; i < sizeof stages / sizeof *stages; i++) {
        struct fail f = {0};
        if (pace_stages(&p, stages[i], &f))
            fail_msg("\"%s\" was taken for stages", stages[i]);
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "--stages"));
    }
}

/* Random arrivals keep number and order, and follow the rate of a ramp: a quarter of the requests in
 * the first half. */
static void test_random(void **state)
{
    struct pace p;
    struct pace_walk walk = {0};
    (void)state;
    make_ramp(&p, "0:20000/10s", 0);
    pace_randomize(&p, SEED);
    assert_int_equal(p.total, 100000);
    check_inverse(&p);
    for (uint64_t k = 3; k < 20000; k += 4)
        assert_int_equal(pace_walk_due_ns(&p, &walk, k), pace_due_ns(&p, k));
    uint64_t half = pace_due_count(&p, 5 * NS_PER_S);
    assert_in_range(half, 24900, 25100);
    pace_free(&p);
    pace_constant(&p, 7, NS_PER_S);
    pace_randomize(&p, SEED);
    assert_int_equal(p.total, 7);
    check_inverse(&p);
    pace_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant), cmocka_unit_test(test_linear),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_steps),
        cmocka_unit_test(test_stages),   cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
