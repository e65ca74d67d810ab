#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/reproduce.h"
#include "report/compare.h"
#include "report/reproduction.h"

static const struct interval NONE = {NAN, NAN};

static enum reproduction_outcome of(double published, double ratio, double low, double high)
{
    return reproduction_outcome((struct interval){published, published}, ratio,
                                (struct interval){low, high}, 0.01);
}

/* Each outcome, and where one ends and the next begins. */
static void test_outcome(void **state)
{
    (void)state;
    assert_int_equal(of(4.8, 4.5, 4.2, 4.9), REPRODUCTION_REPRODUCED); /* within the interval */
    assert_int_equal(of(4.8, 3.2, 3.1, 3.3), REPRODUCTION_REPRODUCED); /* 1.5 times, just so */
    assert_int_equal(of(4.8, 7.2, 7.1, 7.3), REPRODUCTION_REPRODUCED); /* 1/1.5 of it */
    assert_int_equal(of(4.8, 3.19, 3.1, 3.3), REPRODUCTION_SMALLER);
    assert_int_equal(of(4.8, 7.21, 7.1, 7.3), REPRODUCTION_LARGER);
    assert_int_equal(of(44, 3, 1.2, 50), REPRODUCTION_REPRODUCED); /* wide, but apart from 1 */
    assert_int_equal(of(4.8, 2, 0.9, 5), REPRODUCTION_ALIKE);
    assert_int_equal(of(4.8, 0.5, 0.4, 0.6), REPRODUCTION_REVERSED);
    assert_int_equal(of(1.2, 0.9, 0.8, 0.95), REPRODUCTION_REVERSED); /* near, but the other way */
    assert_int_equal(of(NAN, 2, 1.5, 3), REPRODUCTION_INCOMPARABLE);
    assert_int_equal(of(4.8, NAN, NAN, NAN), REPRODUCTION_INCOMPARABLE);
}

/* Intervals apart from 1 are no claim where the ranks see none. */
static void test_outcome_needs_ranks(void **state)
{
    (void)state;
    struct interval published = {2, 2}, measured = {1.8, 2.2};
    assert_int_equal(reproduction_outcome(published, 2, measured, 0.05), REPRODUCTION_ALIKE);
    assert_int_equal(reproduction_outcome(published, 2, measured, 0.049), REPRODUCTION_REPRODUCED);
    assert_int_equal(reproduction_outcome(published, 2, NONE, 0.01), REPRODUCTION_INCOMPARABLE);
}

/* Of a published range the nearer end counts. */
static void test_outcome_of_a_range(void **state)
{
    (void)state;
    struct interval range = {5, 10};
    struct interval low = {3.4, 3.6}, inside = {6, 7}, below = {3.1, 3.3}, above = {15.1, 15.3};
    assert_int_equal(reproduction_outcome(range, 6.5, inside, 0.01), REPRODUCTION_REPRODUCED);
    assert_int_equal(reproduction_outcome(range, 3.5, low, 0.01), REPRODUCTION_REPRODUCED);
    assert_int_equal(reproduction_outcome(range, 3.2, below, 0.01), REPRODUCTION_SMALLER);
    assert_int_equal(reproduction_outcome(range, 15.2, above, 0.01), REPRODUCTION_LARGER);
}

/* --- rows by hand --- */

static void set_values(struct reproduction_contestant *c, const char *name, double published,
                       const double *values, unsigned count)
{
    snprintf(c->name, sizeof c->name, "%s", name);
    c->published = published;
    c->values = malloc(count * sizeof *values);
    assert_non_null(c->values);
    memcpy(c->values, values, count * sizeof *values);
    c->count = c->run_count = count;
}

static struct reproduction_row *add_row(struct reproduction *r, const char *metric,
                                        const double *first, const double *second, unsigned count)
{
    struct reproduction_row *row = reproduction_add(r);
    snprintf(row->name, sizeof row->name, "some|row");
    row->metric = reproduction_metric(metric);
    row->contestant_count = 2;
    set_values(&row->contestants[0], "slow", 10, first, count);
    set_values(&row->contestants[1], "fast", 40, second, count);
    row->ratio_published = (struct interval){4, 4};
    return row;
}

/* Rates are divided as they are, sizes the other way round: more than 1 is better either way. */
static void test_judge(void **state)
{
    (void)state;
    static const double slow[] = {100, 102, 98, 101}, fast[] = {400, 404, 396, 402};
    struct reproduction r = {0};
    struct reproduction_row *rate = add_row(&r, "rps", slow, fast, 4);
    reproduction_judge(rate, 1);
    assert_float_equal(rate->ratio, 401.0 / 100.5, 1e-9);
    assert_true(rate->ratio_interval.low <= rate->ratio &&
                rate->ratio <= rate->ratio_interval.high);
    assert_int_equal(rate->outcome, REPRODUCTION_REPRODUCED);
    assert_string_equal(rate->note, "");
    assert_float_equal(rate->contestants[0].median, 100.5, 1e-9);

    struct reproduction_row *size = add_row(&r, "size_bytes", fast, slow, 4);
    reproduction_judge(size, 1);
    assert_float_equal(size->ratio, 401.0 / 100.5, 1e-9);
    assert_int_equal(size->outcome, REPRODUCTION_REPRODUCED);
    reproduction_free(&r);
}

/* Too few values, a value of 0, somebody skipped: no ratio; an INVALID run: no claim. The note
 * says why. */
static void test_judge_without_ratio(void **state)
{
    (void)state;
    static const double some[] = {100, 102, 98, 101}, none[] = {0, 100, 100, 100};
    struct reproduction r = {0};
    struct reproduction_row *row = add_row(&r, "rps", some, some, 3);
    reproduction_judge(row, 1);
    assert_string_equal(row->note, "slow has 3 values, and 4 are needed");
    assert_true(isnan(row->ratio) && isnan(row->contestants[0].interval.low));

    row = add_row(&r, "rps", some, none, 4);
    reproduction_judge(row, 1);
    assert_non_null(strstr(row->note, "fast measured 0 in some runs"));

    row = add_row(&r, "rps", some, some, 4);
    row->contestants[1].invalid_count = 2;
    reproduction_judge(row, 1);
    assert_non_null(strstr(row->note, "2 of 4 runs of fast are INVALID"));
    assert_float_equal(row->ratio, 1, 1e-9); /* shown, and no claim */
    assert_int_equal(row->outcome, REPRODUCTION_INCOMPARABLE);

    row = add_row(&r, "rps", some, some, 4);
    snprintf(row->contestants[0].lack, sizeof row->contestants[0].lack, "was skipped: needs go");
    reproduction_judge(row, 1);
    assert_string_equal(row->note, "slow was skipped: needs go");
    assert_int_equal(row->outcome, REPRODUCTION_INCOMPARABLE);
    reproduction_free(&r);
}

/* The table has a line for each contestant, and a name cannot break out of its cell. */
static void test_markdown(void **state)
{
    (void)state;
    static const double slow[] = {100, 100, 100, 100}, fast[] = {400, 400, 400, 400};
    char *text = NULL;
    size_t len = 0;
    struct reproduction r = {.repeats = 4, .load_average = NAN};
    struct reproduction_row *row = add_row(&r, "rps", slow, fast, 4);
    reproduction_judge(row, 1);
    FILE *to = open_memstream(&text, &len);
    assert_true(reproduction_markdown(&r, to));
    fclose(to);
    assert_non_null(strstr(text, "| some\\|row | requests/s | slow | 10.00/s | "
                                 "100/s (100/s to 100/s) | 4 | 4 (4 to 4) | reproduced |\n"
                                 "|  |  | fast | 40.00/s | 400/s (400/s to 400/s) |  |  |  |\n"));
    assert_non_null(strstr(text, reproduction_definition));
    free(text);
    reproduction_free(&r);
}

/* Few repeats cannot give the intervals that are spoken of, and that is said. */
static void test_definition(void **state)
{
    (void)state;
    char most[32];
    for (unsigned repeats = COMPARE_REPEATS_MIN; repeats <= 5; repeats++) {
        snprintf(most, sizeof most, "%.1f %%", bootstrap_coverage_max(repeats) * 100);
        assert_non_null(strstr(reproduction_definition, most));
    }
}

/* --- the scenario --- */

/* Steps climb by a fifth, take the place of the load's ramp, and can be planned. */
static void test_prepare(void **state)
{
    (void)state;
    struct scenario s;
    struct fail f;
    assert_true(scenario_parse("a.ini",
                               span_of("[scenario]\ncontestants = iubench, http://127.0.0.1:1\n"
                                       "steps = 100 to 150\n[load]\npath = /\n"
                                       "rps-ramp = 1:10:1/1s\n"),
                               &s, &f));
    assert_true(reproduce_prepare(&s, &f));
    assert_string_equal(s.load.stages, "1s:100,1s:120,1s:144");
    assert_null(s.load.ramp);
}

/* A scenario that names nobody, or somebody who is not there, is refused before anything starts. */
static void test_prepare_refuses(void **state)
{
    (void)state;
    struct scenario s;
    struct fail f;
    assert_true(scenario_parse("a.ini", span_of("[load]\npath = /\n"), &s, &f));
    assert_false(reproduce_prepare(&s, &f));
    assert_non_null(strstr(f.text, "a names no contestants"));
    assert_true(scenario_parse("a.ini",
                               span_of("[scenario]\ncontestants = iubench, nobody-of-this-name\n"
                                       "[load]\npath = /\n"),
                               &s, &f));
    assert_false(reproduce_prepare(&s, &f));
    assert_non_null(strstr(f.text, "nobody-of-this-name"));
    assert_int_equal(f.exit, EXIT_USAGE);
}

/* All that the built-in ones name is there, and steps can be planned. */
static void test_built_in(void **state)
{
    (void)state;
    static struct scenario s;
    struct fail f;
    unsigned count = 0;
    for (const struct scenario_file *file = scenario_files(); file->name; file++) {
        if (!scenario_load(file->name, &s, &f) || (s.contestant_count && s.cause[0] == 0))
            fail_msg("%s: %s", file->name, f.text);
        count += s.contestant_count > 0;
    }
    assert_true(count >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcome),
        cmocka_unit_test(test_outcome_needs_ranks),
        cmocka_unit_test(test_outcome_of_a_range),
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_judge_without_ratio),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_prepare_refuses),
        cmocka_unit_test(test_built_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
