/* The search for a highest rate, against targets that are formulas: exact ones, noisy ones, ones that
 * hold nothing or everything. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "load/search.h"

struct target {
    double limit;  /* rates up to it hold */
    double noise;  /* it moves by this share from run to run, normally */
    double strict; /* confirmation runs hold up to this share of it */
    struct rng rng;
    unsigned runs;
};

static bool holds(struct target *t, double rate, bool is_long)
{
    double normal = 0;
    for (int i = 0; i < 12; i++)
        normal += rng_unit(&t->rng);
    t->runs++;
    return rate <= t->limit * (1 + t->noise * (normal - 6)) * (is_long ? t->strict : 1);
}

static struct search searched(struct target *t, double start, double most)
{
    struct search s;
    rng_seed(&t->rng, 20261120);
    search_begin(&s, start, most);
    while (s.phase != SEARCH_DONE) {
        assert_true(s.rate > 0 && s.rate <= most);
        assert_true(t->runs < 200);
        search_tell(&s, holds(t, s.rate, s.phase == SEARCH_CONFIRM));
    }
    return s;
}

/* An exact limit is found to within 3 %, from below and from above, in some thirty runs. */
static void test_exact(void **state)
{
    static const double limits[] = {3, 47, 999, 1000, 12345, 1.5e6};
    (void)state;
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct target t = {.limit = limits[i], .strict = 1};
        struct search s = searched(&t, 1000, 1e7);
        double low, high;
        if (!(s.rate <= limits[i] && s.rate >= limits[i] * 0.95))
            fail_msg("%g was found for %g", s.rate, limits[i]);
        assert_true(search_interval(&s, &low, &high));
        assert_true(low <= s.rate && s.rate <= high);
        assert_true(low > limits[i] * 0.93 && high < limits[i] * 1.05);
        assert_true(t.runs <= 45);
        assert_int_equal(s.end_count, SEARCH_BISECTIONS);
    }
}

/* Where runs differ by 5 % the interval says so, and what is found is near all the same. */
static void test_noise(void **state)
{
    struct target t = {.limit = 20000, .noise = 0.05, .strict = 1},
                  calm = {.limit = 20000, .strict = 1};
    double low, high, calm_low, calm_high;
    (void)state;
    struct search s = searched(&t, 1000, 1e7), c = searched(&calm, 1000, 1e7);
    assert_true(s.rate > 16000 && s.rate < 21000);
    search_interval(&s, &low, &high);
    search_interval(&c, &calm_low, &calm_high);
    assert_true(low < 20000 && high > 18000);
    assert_true(high / low > calm_high / calm_low);
}

/* Longer runs that hold less take the rate down until they hold, and the interval with it. */
static void test_confirmation_takes_down(void **state)
{
    struct target t = {.limit = 10000, .strict = 0.8};
    double low, high;
    (void)state;
    struct search s = searched(&t, 1000, 1e7);
    assert_true(s.rate <= 8000 && s.rate > 7600);
    assert_int_equal(s.confirmed, SEARCH_CONFIRMATIONS);
    search_interval(&s, &low, &high);
    assert_true(low <= s.rate && high > 9000);
}

/* Nothing holds: 0, and not for ever. */
static void test_nothing(void **state)
{
    struct target none = {.limit = 0.5, .strict = 1}, brief = {.limit = 100, .strict = 0};
    (void)state;
    assert_true(searched(&none, 1000, 1e7).rate <= 0);
    assert_true(none.runs < 20);
    assert_true(searched(&brief, 1000, 1e7).rate <= 0);
}

/* Everything holds: the most that can be asked for, and said to be that. */
static void test_capped(void **state)
{
    struct target all = {.limit = 1e12, .strict = 1};
    double low, high;
    (void)state;
    struct search s = searched(&all, 1000, 50000);
    assert_true(s.is_capped && s.rate >= 50000 && s.rate <= 50000);
    assert_false(search_interval(&s, &low, &high));
}

/* One run that breaks for another reason does not send the bracket astray. */
static void test_hiccup(void **state)
{
    struct search s;
    (void)state;
    search_begin(&s, 1000, 1e7);
    search_tell(&s, false);
    assert_true(s.rate >= 1000 && s.rate <= 1000);
    search_tell(&s, true);
    assert_true(s.rate >= 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_confirmation_takes_down),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_capped),
        cmocka_unit_test(test_hiccup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
