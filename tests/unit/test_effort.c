/* What the client's threads used between any two marks of a run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/effort.h"

enum { THREADS = 2, MARKS = 4 };

/* Four marks, three seconds: thread 0 uses 10, 99 and 10 %; thread 1 uses 40 % and is starved for 0,
 * 0 and 58 %. */
static struct worker_time times[MARKS][THREADS] = {
    {{0, 0}, {0, 0}},
    {{100000000, 0}, {400000000, 0}},
    {{1090000000, 0}, {800000000, 0}},
    {{1190000000, 0}, {1200000000, 580000000}},
};
static struct effort_mark marks[MARKS] = {
    {10 * NS_PER_S, times[0]},
    {11 * NS_PER_S + 3000, times[1]}, /* a mark comes a little late */
    {12 * NS_PER_S + 9000, times[2]},
    {13 * NS_PER_S, times[3]},
};
static const struct effort run = {.thread_count = THREADS, .marks = marks, .mark_count = MARKS};

static void check(uint64_t begin_s, uint64_t end_s, double cpu, double worst, double starved)
{
    struct effort_share s = effort_between(&run, begin_s * NS_PER_S, end_s * NS_PER_S);
    assert_true(fabs(s.cpu_pct - cpu) < 0.01);
    assert_true(fabs(s.worst_cpu_pct - worst) < 0.01);
    assert_true(fabs(s.worst_starved_pct - starved) < 0.01);
}

/* One busy second is not to be seen in the whole; it is in its own. */
static void test_between(void **state)
{
    (void)state;
    check(10, 13, 239.0 / 3, 40, 58.0 / 3);
    check(10, 11, 50, 10 + 30, 0);
    check(11, 12, 139, 99, 0);
}

/* Starved counts as busy: who waits for a core has nothing left, however little it used. */
static void test_starved(void **state)
{
    (void)state;
    check(12, 13, 50, 40, 58);
}

/* Between two marks that are the same there is at least one second; outside of them the nearest. */
static void test_edges(void **state)
{
    (void)state;
    check(11, 11, 139, 99, 0);
    check(13, 13, 50, 40, 58);
    check(1, 10, 50, 40, 0);
    check(20, 30, 50, 40, 58);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_starved),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
