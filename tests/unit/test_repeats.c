/* What the races of each contestant say together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/repeats.h"

enum { RACES_MAX = 16 };

/* Races by name and rate, without anything else. */
static struct load_result loads[RACES_MAX];
static struct result_target targets[RACES_MAX];
static struct result result;
static struct hist *empty;

static int set_up(void **state)
{
    (void)state;
    empty = hist_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(empty);
    return 0;
}

static struct load_result *race(const char *name, double rps)
{
    unsigned i = result.target_count++;
    loads[i] = (struct load_result){.quoted_rps = rps, .quoted_latency = empty};
    loads[i].counts = (struct load_counts){.sent = 100, .ok = 100};
    targets[i] = (struct result_target){.name = name, .load = &loads[i]};
    result.targets = targets;
    return &loads[i];
}

static void blame(struct load_result *r, enum load_verdict verdict, const char *reason)
{
    r->verdict = verdict > r->verdict ? verdict : r->verdict;
    r->reason_verdicts[r->reason_count] = verdict;
    snprintf(r->reasons[r->reason_count++], sizeof r->reasons[0], "%s", reason);
}

/* Interleaved races are dealt to their contestants, in the order in which these raced first. */
static void test_sides(void **state)
{
    (void)state;
    struct repeats_side sides[RACES_MAX];
    result = (struct result){0};
    const double slow[] = {10, 14, 12, 11, 13}, fast[] = {100, 90, 95, 400, 105};
    for (unsigned i = 0; i < 5; i++) {
        race("b", slow[i]);
        race("a", fast[i]);
    }
    blame(&loads[1], LOAD_INVALID, "late");
    assert_int_equal(repeats_sides(&result, sides), 2);
    assert_string_equal(sides[0].name, "b");
    assert_int_equal(sides[0].races, 5);
    assert_int_equal(sides[0].by_verdict[LOAD_VALID], 5);
    assert_int_equal(sides[1].by_verdict[LOAD_INVALID], 1);
    const struct repeats_figure *rps = &sides[0].figures[REPEATS_RPS];
    assert_int_equal(rps->count, 5);
    assert_float_equal(rps->median, 12, 1e-9);
    assert_true(rps->interval.low >= 10 && rps->interval.low < 12);
    assert_true(rps->interval.high <= 14 && rps->interval.high > 12);
    assert_float_equal(sides[1].figures[REPEATS_RPS].median, 100, 1e-9);
    assert_float_equal(sides[1].figures[REPEATS_AVAILABILITY].median, 1, 1e-9);
    /* of what no race knows there is no figure */
    assert_int_equal(sides[0].figures[REPEATS_P99_US].count, 0);
    assert_true(isnan(sides[0].figures[REPEATS_P99_US].median));
    assert_true(isnan(sides[0].figures[REPEATS_CPU_US].median));
}

/* Three races are too few for an interval, and one is itself. */
static void test_few(void **state)
{
    (void)state;
    struct repeats_side sides[RACES_MAX];
    result = (struct result){0};
    for (unsigned i = 0; i < 3; i++)
        race("a", 10 + i);
    race("b", 7);
    assert_int_equal(repeats_sides(&result, sides), 2);
    assert_float_equal(sides[0].figures[REPEATS_RPS].median, 11, 1e-9);
    assert_true(isnan(sides[0].figures[REPEATS_RPS].interval.low));
    assert_float_equal(sides[1].figures[REPEATS_RPS].median, 7, 1e-9);
}

/* One reason in several races is said once; the worst come first, each by its own weight: what is
 * only suspect is so beside something invalid as well. */
static void test_reasons(void **state)
{
    (void)state;
    struct repeats_reason reasons[RACES_MAX];
    struct text text = {0};
    result = (struct result){0};
    blame(race("a", 1), LOAD_SUSPECT, "the host took 3 % of the time");
    blame(race("b", 1), LOAD_SUSPECT, "the host took 4 % of the time");
    race("a", 1);
    struct load_result *third = race("a", 1);
    blame(third, LOAD_INVALID, "the client sent late by 5 ms");
    blame(third, LOAD_SUSPECT, "the host took 9 % of the time");
    assert_int_equal(repeats_reasons(&result, reasons, RACES_MAX), 3);
    assert_string_equal(reasons[0].name, "a");
    assert_string_equal(reasons[0].text, "the client sent late by 5 ms");
    assert_int_equal(reasons[0].verdict, LOAD_INVALID);
    assert_string_equal(reasons[1].text, "the host took 3 % of the time");
    assert_int_equal(reasons[1].races, 2);
    assert_int_equal(reasons[1].of, 3);
    assert_int_equal(reasons[1].verdict, LOAD_SUSPECT);
    assert_string_equal(reasons[2].name, "b");
    repeats_reason_text(&reasons[1], &text);
    repeats_reason_text(&reasons[2], &text);
    assert_string_equal(text.data, "a, 2 of 3 races: the host took 3 % of the time"
                                   "b: the host took 4 % of the time");
    text_free(&text);
    assert_int_equal(repeats_reasons(&result, reasons, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sides),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
