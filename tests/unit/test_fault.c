/* Faults on demand: what may be asked for, and how what became of one is judged by the rows. Making
 * them is tested by runs (tests/integration/test_fault.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "lab/fault.h"

static struct fail failure;

static const struct fault_plan stall = {
    .what = FAULT_STALL, .party = FAULT_POSTGRES, .from_pct = 25, .to_pct = 50};

static void assert_refused(struct fault_plan p, const char *words)
{
    assert_false(fault_plan_check(&p, &failure));
    assert_int_equal(failure.exit, EXIT_USAGE);
    if (!strstr(failure.text, words))
        fail_msg("\"%s\" is not in: %s", words, failure.text);
}

static void test_plans(void **state)
{
    (void)state;
    struct fault_plan p = {0};
    assert_true(fault_plan_check(&p, &failure));
    assert_true(fault_plan_check(&stall, &failure));
    p.to_pct = 50;
    assert_refused(p, "has no what");
    p = stall;
    p.from_pct = 50;
    assert_refused(p, "ends before it begins");
    p = stall;
    p.what = FAULT_LOSE;
    assert_true(fault_plan_check(&p, &failure));
    p.party = FAULT_TARGET;
    assert_refused(p, "ends its race");
    p = stall;
    p.what = FAULT_DESCRIPTORS;
    assert_refused(p, "go together");
    p.descriptors = 64;
    assert_true(fault_plan_check(&p, &failure));
    p.what = FAULT_STALL;
    assert_refused(p, "go together");
}

/* Which of them need a process of their own, a limit, a service of the run. */
static void test_needs(void **state)
{
    (void)state;
    struct fault_plan p = stall;
    assert_false(fault_hits_target(&p));
    assert_true(fault_fits(&p, true, false, &failure));
    assert_false(fault_fits(&p, false, true, &failure));
    assert_non_null(strstr(failure.text, "postgres"));
    p.party = FAULT_TARGET;
    assert_true(fault_hits_target(&p) && fault_fits(&p, false, false, &failure));
    assert_int_equal(fault_descriptors(&p), 0);
    p.what = FAULT_DESCRIPTORS;
    p.descriptors = 64;
    assert_true(fault_hits_target(&p));
    assert_int_equal(fault_descriptors(&p), 64);
    p.party = FAULT_MEMCACHED;
    assert_int_equal(fault_descriptors(&p), 0);
    assert_false(fault_fits(&p, true, false, &failure));
    p = (struct fault_plan){.what = FAULT_OVERLOAD, .to_pct = 50};
    assert_false(fault_hits_target(&p));
    assert_true(fault_fits(&p, false, false, &failure));
}

static void test_texts(void **state)
{
    (void)state;
    char text[FAULT_TEXT_BYTES];
    struct fault_plan p = stall;
    assert_string_equal(fault_text(&p, text), "postgres stalled");
    p = (struct fault_plan){
        .what = FAULT_DESCRIPTORS, .party = FAULT_MEMCACHED, .descriptors = 1000000};
    assert_string_equal(fault_text(&p, text), "memcached limited to 1000000 descriptors");
    p = (struct fault_plan){.what = FAULT_OVERLOAD};
    assert_string_equal(fault_text(&p, text), "target overloaded");
}

/* One that needs nobody else is made and ended by calls alone, at its times. */
static void test_course(void **state)
{
    (void)state;
    const struct fault_plan p = {.what = FAULT_OVERLOAD, .from_pct = 50, .to_pct = 100};
    struct fault x;
    assert_false(fault_begin(&x, &p, NULL, 0, UINT64_MAX, &failure));
    assert_non_null(strstr(failure.text, "-d"));
    assert_true(fault_begin(&x, &p, NULL, 0, 3600 * NS_PER_S, &failure));
    assert_int_equal(x.due_ns[0] - x.start_ns, 1800 * NS_PER_S);
    assert_int_equal(x.due_ns[1] - x.start_ns, 3600 * NS_PER_S);
    assert_true(fault_turn(&x, &failure));
    assert_int_equal(x.done_ns[0], 0);
    x.due_ns[0] = x.start_ns;
    assert_true(fault_turn(&x, &failure) && fault_turn(&x, &failure));
    assert_true(x.done_ns[0] && !x.done_ns[1]);
    assert_true(fault_end(&x, &failure)); /* however early the load ended */
    assert_true(x.done_ns[1] >= x.done_ns[0]);
}

/* None is none in every call, and one that was not due before the end was not made. */
static void test_none(void **state)
{
    (void)state;
    const struct fault_plan none = {0},
                            late = {.what = FAULT_OVERLOAD, .from_pct = 50, .to_pct = 100};
    struct load_result r = {0};
    struct result_fault to;
    struct fault x;
    assert_true(fault_begin(&x, &none, NULL, 0, UINT64_MAX, &failure));
    assert_true(fault_turn(&x, &failure) && fault_end(&x, &failure));
    assert_false(fault_judge(&x, &r, &to));
    assert_true(fault_begin(&x, &late, NULL, 0, 3600 * NS_PER_S, &failure));
    assert_true(fault_turn(&x, &failure) && fault_end(&x, &failure));
    assert_false(fault_judge(&x, &r, &to));
}

/* --- judging --- */

enum { ROWS = 10 };

/* Of a second: `ok` of 100 requests were well, the slowest took `p99_ms`. */
static struct load_second row(unsigned ok, unsigned p99_ms)
{
    return (struct load_second){
        .length_s = 1,
        .counts = {.scheduled = 100, .sent = 100, .ok = ok, .timeouts = 100 - ok},
        .p99_ns = p99_ms * NS_PER_MS};
}

/* A fault from 3.1 s to 5.1 s of ten seconds, of which the later ones are given. */
static struct result_fault judged(const struct load_second after[ROWS])
{
    struct load_second rows[ROWS];
    struct load_result r = {.is_open = true, .seconds = rows, .second_count = ROWS};
    struct fault x = {.plan = &stall, .start_ns = 1000 * NS_PER_S};
    struct result_fault to;
    x.done_ns[0] = x.start_ns + 3100 * NS_PER_MS;
    x.done_ns[1] = x.start_ns + 5100 * NS_PER_MS;
    memcpy(rows, after, sizeof rows);
    assert_true(fault_judge(&x, &r, &to));
    return to;
}

static void test_recovery(void **state)
{
    (void)state;
    struct load_second rows[ROWS] = {row(100, 5),  row(100, 20),  row(100, 5),  row(60, 900),
                                     row(0, 1000), row(30, 1000), row(97, 300), row(100, 41),
                                     row(99, 40),  row(100, 8)};
    struct result_fault f = judged(rows);
    assert_string_equal(f.what, "stall");
    assert_string_equal(f.party, "postgres");
    assert_string_equal(f.text, "postgres stalled");
    assert_float_equal(f.begin_s, 3.1, 1e-9);
    assert_float_equal(f.end_s, 5.1, 1e-9);
    assert_float_equal(f.availability, 287 / 500.0, 1e-9); /* seconds 4 to 8 */
    assert_float_equal(f.recovered_s, 8 - 5.1,
                       1e-9); /* second 8 still was slower than twice 20 ms */
    rows[7] = row(100, 40);
    assert_float_equal(judged(rows).recovered_s, 7 - 5.1, 1e-9);
    assert_float_equal(judged(rows).availability, 187 / 400.0, 1e-9);
}

/* A second that is bad again takes it back; never is never. */
static void test_relapse(void **state)
{
    (void)state;
    struct load_second rows[ROWS];
    for (unsigned i = 0; i < ROWS; i++)
        rows[i] = row(100, 5);
    assert_float_equal(judged(rows).recovered_s, 6 - 5.1, 1e-9);
    assert_float_equal(judged(rows).availability, 1, 1e-9);
    rows[8] = row(98, 5);
    assert_float_equal(judged(rows).recovered_s, 9 - 5.1, 1e-9);
    assert_float_equal(judged(rows).availability, 598 / 600.0, 1e-9);
    rows[9] = row(100, 16); /* 10 ms above 5 ms are no relapse, 11 are */
    assert_true(isnan(judged(rows).recovered_s));
    rows[9] = row(100, 15);
    assert_float_equal(judged(rows).recovered_s, 9 - 5.1, 1e-9);
    rows[9] = row(0, 0); /* nothing was answered */
    rows[9].counts.timeouts = 0;
    rows[9].counts.unfinished = 100;
    assert_true(isnan(judged(rows).recovered_s));
}

/* What was set before memcached was lost is gone, and nothing by any other fault. */
static void test_forgotten(void **state)
{
    (void)state;
    struct fault_plan p = stall;
    struct fault x = {.plan = &p, .done_ns = {5, 7}};
    assert_int_equal(fault_forgets_ns(&x), 0);
    p.what = FAULT_LOSE;
    assert_int_equal(fault_forgets_ns(&x), 0);
    p.party = FAULT_MEMCACHED;
    assert_int_equal(fault_forgets_ns(&x), 7);
    x.plan = NULL;
    assert_int_equal(fault_forgets_ns(&x), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),   cmocka_unit_test(test_needs),
        cmocka_unit_test(test_texts),   cmocka_unit_test(test_course),
        cmocka_unit_test(test_none),    cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_relapse), cmocka_unit_test(test_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
