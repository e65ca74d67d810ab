/* The rate at which contestants can be compared. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/equal.h"

/* A target by the text of its object. */
static json_t *target(const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    assert_non_null(object);
    return object;
}

static bool ask(const char *a, const char *b, double *rate, double p99_us[2])
{
    json_t *targets[] = {target(a), target(b)};
    bool is_found = equal_rate(targets, 2, rate, p99_us);
    json_decref(targets[0]);
    json_decref(targets[1]);
    return is_found;
}

#define ROW(rate, p99) "{\"length_s\": 1, \"target_rps\": " #rate ", \"p99_us\": " #p99 "}"

/* The highest rate that both were offered, within one in a hundred, and that both held. */
static void test_highest_that_both_held(void **state)
{
    static const char a[] = "{\"held_rps\": 3000, \"series\": [" ROW(1000, 10) "," ROW(
        2000, 20) "," ROW(3000, 30) "]}";
    static const char b[] = "{\"held_rps\": 2010, \"series\": [" ROW(1000, 11) "," ROW(
        2010, 21) "," ROW(3000, 31) "]}";
    double rate, p99_us[2];
    (void)state;
    assert_true(ask(a, b, &rate, p99_us));
    assert_float_equal(rate, 2000, 1e-9);
    assert_float_equal(p99_us[0], 20, 1e-9);
    assert_float_equal(p99_us[1], 21, 1e-9);
}

/* Of several seconds at one rate the median counts; the rest of a second at the end does not. */
static void test_median(void **state)
{
    static const char a[] = "{\"series\": [" ROW(500, 9) "," ROW(500, 1) "," ROW(500, 3) "]}";
    static const char b[] = "{\"series\": [" ROW(500, 4) "," ROW(
        500, 2) ","
                "{\"length_s\": 0.2, \"target_rps\": 500, \"p99_us\": 900}]}";
    double rate, p99_us[2];
    (void)state;
    assert_true(ask(a, b, &rate, p99_us));
    assert_float_equal(p99_us[0], 3, 1e-9);
    assert_float_equal(p99_us[1], 3, 1e-9);
}

/* A search has its runs, a clients ramp the rate that it amounts to. */
static void test_other_models(void **state)
{
    static const char a[] = "{\"find_max\": {\"max_rps\": 800, \"probes\": ["
                            "{\"rate\": 800, \"p99_us\": 7}]}, \"series\": []}";
    static const char b[] = "{\"series\": [{\"length_s\": 1, \"target_rps\": null, "
                            "\"equivalent_rps\": 801, \"p99_us\": 8}]}";
    double rate, p99_us[2];
    (void)state;
    assert_true(ask(a, b, &rate, p99_us));
    assert_float_equal(rate, 800, 1e-9);
    assert_float_equal(p99_us[1], 8, 1e-9);
}

/* A run that was of one rate as a whole has its own p99. */
static void test_one_rate(void **state)
{
    static const char a[] = "{\"latency_us\": {\"p99\": 77, \"count\": 9}, \"series\": [" ROW(
        500, 1) "," ROW(500, 2) "]}";
    static const char b[] = "{\"latency_us\": {\"p99\": 0, \"count\": 0}, \"series\": [" ROW(
        500, 3) "]}";
    double rate, p99_us[2];
    (void)state;
    assert_true(ask(a, b, &rate, p99_us));
    assert_float_equal(p99_us[0], 77, 1e-9);
    assert_float_equal(p99_us[1], 3, 1e-9);
}

/* Nothing in common, nothing at all, or one alone: no such rate. */
static void test_none(void **state)
{
    static const char a[] = "{\"series\": [" ROW(500, 9) "]}",
                      b[] = "{\"series\": [" ROW(600, 9) "]}";
    double rate, p99_us[2];
    json_t *one = target(a);
    (void)state;
    assert_false(ask(a, b, &rate, p99_us));
    assert_false(ask(a, "{}", &rate, p99_us));
    assert_false(ask("{}", "{\"series\": 1, \"find_max\": 2}", &rate, p99_us));
    assert_false(equal_rate(&one, 1, &rate, p99_us));
    assert_true(isnan(equal_held(one)));
    json_decref(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_highest_that_both_held),
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_other_models),
        cmocka_unit_test(test_one_rate),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
