/* The published tester's model: its notation, its presets, its growth, its think times. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "load/clients.h"

static struct clients_ramp parsed(const char *text)
{
    struct clients_ramp c;
    struct fail f = {0};
    if (!clients_parse(text, &c, &f))
        fail_msg("%s", f.text);
    return c;
}

static void test_reads(void **state)
{
    (void)state;
    struct clients_ramp c = parsed("3x20/500ms");
    assert_int_equal(c.pods, 3);
    assert_int_equal(c.stage_count, 20);
    assert_int_equal(c.stage_ns, 500 * NS_PER_MS);
    assert_int_equal(c.think_ns, 40 * NS_PER_MS);
    assert_false(c.is_think_fixed);
    c = parsed("1x1/2s,think-is=fixed,think=5ms");
    assert_int_equal(c.think_ns, 5 * NS_PER_MS);
    assert_true(c.is_think_fixed);
    assert_false(parsed("1x1/2s,think-is=uniform").is_think_fixed);
}

/* The published numbers of both tests: pods, stage, think time, time-out; up to 1000 clients. */
static void test_presets(void **state)
{
    (void)state;
    struct clients_ramp one = parsed("published-test1"), two = parsed("published-test2");
    assert_int_equal(one.pods, 14);
    assert_int_equal(one.stage_ns, 17 * NS_PER_S);
    assert_int_equal(one.think_ns, 40 * NS_PER_MS);
    assert_int_equal(one.timeout_ns, 100 * NS_PER_MS);
    assert_int_equal(two.pods, 10);
    assert_int_equal(two.stage_ns, 35 * NS_PER_S);
    assert_int_equal(two.think_ns, 100 * NS_PER_MS);
    assert_int_equal(two.timeout_ns, 5 * NS_PER_S);
    assert_true(two.is_post && !one.is_post);
    assert_true(one.stage_count == 1000 && two.stage_count == 1000);
    /* 62 k requests/s are stage 89 when think times are uniform (published-benchmark, section 3) */
    assert_true(fabs(clients_equivalent_rps(&one, 14 * 89, 0) - 62300) < 1);
}

static void test_refuses(void **state)
{
    static const char *const bad[] = {
        "",          "14",           "14x1000",      "x/1s",           "0x1/1s",
        "1x0/1s",    "1x1/0s",       "1x1/1s,think", "1x1/1s,",        "1x1/1s,a=b",
        "published", "2x1000000/1s", "1.5x1/1s",     "1x1/1s,think=x", "1x1/1s,think-is=odd"};
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct clients_ramp c;
        struct fail f = {0};
        if (clients_parse(bad[i], &c, &f))
            fail_msg("\"%s\" was read", bad[i]);
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "--clients-ramp"));
    }
}

/* One more client per pod and stage, the last stage for ever; scaling keeps their number. */
static void test_growth(void **state)
{
    (void)state;
    struct clients_ramp c = parsed("14x1000/17s");
    assert_int_equal(clients_at(&c, 0), 14);
    assert_int_equal(clients_at(&c, 17 * NS_PER_S - 1), 14);
    assert_int_equal(clients_at(&c, 17 * NS_PER_S), 28);
    assert_int_equal(clients_at(&c, 999 * 17 * NS_PER_S), 14000);
    assert_int_equal(clients_at(&c, 9999 * 17 * NS_PER_S), 14000);
    assert_int_equal(clients_length_ns(&c), 17000 * NS_PER_S);
    clients_scale(&c, 10 * NS_PER_S);
    assert_int_equal(c.stage_ns, 10 * NS_PER_MS);
    assert_int_equal(clients_at(&c, 10 * NS_PER_MS), 28);
}

/* Think times: uniform with the right mean, below the most; fixed ones are fixed. */
static void test_think(void **state)
{
    struct rng rng;
    double sum = 0;
    (void)state;
    struct clients_ramp c = parsed("1x1/1s,think=40ms");
    rng_seed(&rng, 20261120);
    for (int i = 0; i < 10000; i++) {
        uint64_t ns = clients_draw_think_ns(&c, &rng);
        assert_true(ns < 40 * NS_PER_MS);
        sum += (double)ns;
    }
    assert_true(fabs(sum / 10000 / 1e6 - 20) < 0.5);
    c.is_think_fixed = true;
    assert_int_equal(clients_draw_think_ns(&c, &rng), 40 * NS_PER_MS);
    c.think_ns = 0;
    assert_int_equal(clients_draw_think_ns(&c, &rng), 0);
}

/* The open loop's rate: clients / (mean think time + latency). */
static void test_equivalent(void **state)
{
    (void)state;
    struct clients_ramp c = parsed("1x1/1s,think=40ms");
    assert_true(fabs(clients_equivalent_rps(&c, 14, 0) - 700) < 1e-9);
    assert_true(fabs(clients_equivalent_rps(&c, 14, 20e6) - 350) < 1e-9);
    c.is_think_fixed = true;
    assert_true(fabs(clients_equivalent_rps(&c, 14, 0) - 350) < 1e-9);
    c.think_ns = 0;
    assert_true(isinf(clients_equivalent_rps(&c, 14, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),   cmocka_unit_test(test_presets),
        cmocka_unit_test(test_refuses), cmocka_unit_test(test_growth),
        cmocka_unit_test(test_think),   cmocka_unit_test(test_equivalent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
