/* The rank test against published tables, all permutations counted by hand or machine, and the
 * values that an independent implementation (scipy.stats.mannwhitneyu 1.16) gives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "stats/ranks.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void is_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

struct sample {
    double values[10];
    unsigned count;
};

/* u and p, without and with equal values, sizes alike and not. */
static void test_exact(void **state)
{
    static const struct {
        struct sample first, second;
        double u, p;
    } cases[] = {
        {{{1, 2, 3, 4}, 4}, {{5, 6, 7, 8}, 4}, 16, 2.0 / 70},
        {{{1, 2, 3, 5}, 4}, {{4, 6, 7, 8}, 4}, 15, 4.0 / 70},
        {{{5, 6, 7, 8}, 4}, {{1, 2, 3, 4}, 4}, 0, 2.0 / 70},
        {{{10, 12, 14, 16, 18}, 5}, {{11, 13, 15, 17, 19}, 5}, 15, 0.6904761904761905},
        {{{1.83, .50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30}, 9},
         {{.878, .647, .598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29}, 9},
         23,
         6316.0 / 48620},
        {{{1.1, 2.2, 3.3, 4.4, 5.5, 6.6}, 6},
         {{.5, 1.5, 2.5, 3.5, 9.5}, 5},
         12,
         0.6623376623376623},
        {{{3, 1, 4.5, 1.5, 5, 9}, 6}, {{2, 6, 5.5, 3.5, 8, 9.7, 9.3}, 7}, 32, 0.13752913752913754},
        {{{1, 1, 2, 3, 3}, 5}, {{2, 3, 3, 4, 5}, 5}, 20.5, 34.0 / 252},
        {{{1, 1, 1, 1}, 4}, {{1, 1, 1, 2}, 4}, 10, 1},
        {{{5, 5, 5}, 3}, {{5, 5, 5, 5}, 4}, 6, 1},
        {{{1, 2, 2, 3, 4, 4}, 6}, {{2, 4, 4, 5, 5, 6, 6}, 7}, 36, 0.027972027972027972},
        {{{7}, 1}, {{9}, 1}, 1, 1},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct ranks r = ranks_test(cases[i].first.values, cases[i].first.count,
                                    cases[i].second.values, cases[i].second.count);
        is_near(r.u, cases[i].u);
        is_near(r.p, cases[i].p);
        assert_true(r.is_exact);
    }
}

/* Critical values of U for two sides at 5 % (the tables of Mann and Whitney's test in every textbook):
 * the greatest U with p <= 0.05. */
static void test_tables(void **state)
{
    static const struct {
        unsigned first, second, critical;
    } table[] = {{4, 4, 0},   {4, 5, 1},    {5, 5, 2},    {5, 6, 3},    {6, 6, 5},
                 {5, 8, 6},   {7, 7, 8},    {8, 8, 13},   {9, 9, 17},   {10, 10, 23},
                 {8, 12, 22}, {12, 12, 37}, {15, 15, 64}, {20, 20, 127}};
    (void)state;
    for (unsigned i = 0; i < COUNT(table); i++)
        for (unsigned above = 0; above < 2; above++) {
            unsigned n = table[i].first, m = table[i].second, u = table[i].critical + above;
            double first[20], second[20];
            /* `second` lies below all of `first` but for u pairs: moved up one place at a time */
            for (unsigned j = 0; j < n; j++)
                first[j] = j + 1;
            for (unsigned j = 0; j < m; j++) {
                unsigned steps = u < n ? u : n;
                second[m - 1 - j] = steps + 0.5 + (double)(m - j) / 100;
                u -= steps;
            }
            struct ranks r = ranks_test(first, n, second, m);
            is_near(r.u, table[i].critical + above);
            if ((r.p <= 0.05) != !above)
                fail_msg("%u and %u values: U = %g has p = %g", n, m, r.u, r.p);
        }
}

/* Above 60 values the normal distribution stands in, with and without equal values; up to there it is
 * exact: 30 and 30. */
static void test_many(void **state)
{
    double first[40], second[35];
    (void)state;
    for (int i = 0; i < 40; i++)
        first[i] = i;
    for (int i = 0; i < 35; i++)
        second[i] = i * 1.2 + 3.5;
    struct ranks r = ranks_test(first, 40, second, 35);
    assert_false(r.is_exact);
    is_near(r.u, 842);
    is_near(r.p, 0.13291288559072786);
    for (int i = 0; i < 40; i++)
        first[i] = i / 3;
    for (int i = 0; i < 35; i++)
        second[i] = i / 2;
    r = ranks_test(first, 40, second, 35);
    is_near(r.u, 866);
    is_near(r.p, 0.0782488705883569);
    for (int i = 0; i < 30; i++) {
        first[i] = i;
        second[i] = i + 5.5;
    }
    r = ranks_test(first, 30, second, 30);
    assert_true(r.is_exact);
    is_near(r.u, 600);
    is_near(r.p, 0.02633196030257917);
}

/* The least p: 3 and 3 values never come below 0.1, 4 and 4 do. */
static void test_least(void **state)
{
    (void)state;
    is_near(ranks_p_min(3, 3), 0.1);
    is_near(ranks_p_min(4, 4), 2.0 / 70);
    is_near(ranks_p_min(5, 5), 2.0 / 252);
    is_near(ranks_p_min(1, 1), 1);
    for (unsigned n = 1; n < 8; n++) {
        double first[8], second[8];
        for (unsigned i = 0; i < n; i++) {
            first[i] = i;
            second[i] = 100 + i;
        }
        is_near(ranks_test(first, n, second, n).p, ranks_p_min(n, n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
