#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "upstream/delay.h"

/* Each form reads as its kind and durations, and prints as itself. */
static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct delay d;
    } rows[] = {
        {"500ms", {DELAY_FIXED, 500 * NS_PER_MS, 0}},
        {"0s", {DELAY_FIXED, 0, 0}},
        {"uniform:100ms:900ms", {DELAY_UNIFORM, 100 * NS_PER_MS, 900 * NS_PER_MS}},
        {"uniform:1s:1s", {DELAY_UNIFORM, NS_PER_S, NS_PER_S}},
        {"normal:500ms:50ms", {DELAY_NORMAL, 500 * NS_PER_MS, 50 * NS_PER_MS}},
        {"exp:500ms", {DELAY_EXPONENTIAL, 500 * NS_PER_MS, 0}},
        {"normal:2591999.999999999s:2591999.999999999s",
         {DELAY_NORMAL, 2592000 * NS_PER_S - 1, 2592000 * NS_PER_S - 1}},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delay d;
        struct fail f;
        char out[64];
        assert_true(delay_parse(rows[i].text, &d, &f));
        assert_int_equal(d.kind, rows[i].d.kind);
        assert_true(d.a_ns == rows[i].d.a_ns && d.b_ns == rows[i].d.b_ns);
        assert_string_equal(delay_text(&d, out), rows[i].text);
    }
}

/* Anything else is refused with the forms there are, and leaves the delay alone. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "500ms:1s",
                                      "uniform:",
                                      "uniform:1s",
                                      "uniform:1s:",
                                      "uniform::1s",
                                      "uniform:2s:1s",
                                      "uniform:1s:2s:3s",
                                      "normal:1s",
                                      "exp:",
                                      "exp:1s:2s",
                                      "Exp:1s",
                                      "fixed:1s",
                                      "exp:-1s",
                                      "exp:1000h",
                                      "normal:11111111111111111111111111111111111111111s:1s",
                                      ":",
                                      "1s:"};
    struct delay d = {DELAY_FIXED, 7, 0};
    struct fail f;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(delay_parse(bad[i], &d, &f));
        assert_int_equal(f.exit, EXIT_USAGE);
        assert_non_null(strstr(f.text, "expected 500ms, uniform:100ms:900ms, normal:500ms:50ms or "
                                       "exp:500ms"));
        assert_true(d.kind == DELAY_FIXED && d.a_ns == 7);
    }
}

struct moments {
    double min, max, mean, deviation; /* ms */
};

static struct moments draw_many(const char *text)
{
    enum { COUNT = 100000 };
    struct delay d;
    struct fail f;
    struct rng r;
    rng_seed(&r, 11);
    assert_true(delay_parse(text, &d, &f));
    struct moments m = {INFINITY, 0, 0, 0};
    double squares = 0;
    for (int i = 0; i < COUNT; i++) {
        double ms = (double)delay_draw_ns(&d, &r) / NS_PER_MS;
        m.min = fmin(m.min, ms);
        m.max = fmax(m.max, ms);
        m.mean += ms / COUNT;
        squares += ms * ms / COUNT;
    }
    m.deviation = sqrt(squares - m.mean * m.mean);
    return m;
}

/* A fixed delay is the same every time. */
static void test_fixed(void **state)
{
    (void)state;
    struct moments m = draw_many("500ms");
    assert_true(m.min == 500 && m.max == 500);
}

/* 100 000 draws of each distribution have its range, mean and deviation. */
static void test_distributions(void **state)
{
    (void)state;
    struct moments m = draw_many("uniform:100ms:900ms");
    assert_true(m.min >= 100 && m.min < 101 && m.max > 899 && m.max <= 900);
    assert_true(fabs(m.mean - 500) < 4 && fabs(m.deviation - 800 / sqrt(12)) < 3);
    m = draw_many("normal:500ms:50ms");
    assert_true(m.min > 200 && m.max < 800);
    assert_true(fabs(m.mean - 500) < 1 && fabs(m.deviation - 50) < 1);
    m = draw_many("exp:500ms");
    assert_true(m.min < 1 && m.max > 4000);
    assert_true(fabs(m.mean - 500) < 8 && fabs(m.deviation - 500) < 10);
}

/* A normal delay that would be negative is none: half of them when the mean is 0. */
static void test_normal_is_cut(void **state)
{
    (void)state;
    struct moments m = draw_many("normal:0s:50ms");
    assert_true(m.min == 0);
    assert_true(fabs(m.mean - 50 / sqrt(2 * M_PI)) < 0.5);
}

/* Both ends of a uniform delay occur. */
static void test_uniform_ends(void **state)
{
    (void)state;
    struct delay d = {DELAY_UNIFORM, 5, 6};
    struct rng r;
    rng_seed(&r, 12);
    unsigned seen[2] = {0};
    for (int i = 0; i < 1000; i++)
        seen[delay_draw_ns(&d, &r) - 5]++;
    assert_true(seen[0] > 400 && seen[1] > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_fixed),         cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_normal_is_cut), cmocka_unit_test(test_uniform_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
