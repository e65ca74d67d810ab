/* Steal from /proc/stat: the right cores, the right field, nothing from a text that is cut. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/steal.h"

static const char text[] = "cpu  1 2 3 4 5 6 7 8 9 10\n"
                           "cpu0 10 0 10 70 0 0 0 10 5 0\n"
                           "cpu1 100 0 0 800 0 0 0 100 0 0\n"
                           "cpu10 1 1 1 1 1 1 1 1 0 0\n"
                           "intr 12345\n";

static cpu_set_t set_of(int first, int second)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)first, &set);
    CPU_SET((size_t)second, &set);
    return set;
}

/* Only the asked cores count; guest time, which user holds already, does not. */
static void test_cores(void **state)
{
    cpu_set_t one = set_of(0, 0), both = set_of(0, 1), ten = set_of(10, 10);
    struct steal s;
    (void)state;
    assert_true(steal_parse(SPAN(text), &one, &s));
    assert_int_equal(s.all, 100);
    assert_int_equal(s.stolen, 10);
    assert_true(steal_parse(SPAN(text), &both, &s));
    assert_int_equal(s.all, 1100);
    assert_int_equal(s.stolen, 110);
    assert_true(steal_parse(SPAN(text), &ten, &s));
    assert_int_equal(s.all, 8);
}

/* A core that is not there, a line without a steal field, no text: unknown. */
static void test_unknown(void **state)
{
    cpu_set_t missing = set_of(0, 7), one = set_of(0, 0);
    struct steal s;
    (void)state;
    assert_false(steal_parse(SPAN(text), &missing, &s));
    assert_false(steal_parse(SPAN("cpu0 1 2 3 4 5 6 7\ncpu1 8 9\n"), &one, &s));
    assert_false(steal_parse(SPAN(""), &one, &s));
    assert_false(steal_parse(SPAN("cpu0"), &one, &s));
}

/* The share is of the time between two readings. */
static void test_share(void **state)
{
    struct steal before = {1000, 10}, after = {1200, 15};
    (void)state;
    assert_true(fabs(steal_pct(&before, &after) - 2.5) < 1e-9);
    assert_true(isnan(steal_pct(&before, &before)));
}

/* This machine's own file can be read. */
static void test_this_machine(void **state)
{
    cpu_set_t set;
    struct steal s;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_true(steal_read(&set, &s));
    assert_true(s.all > 0 && s.stolen <= s.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
