/* Storage figures from a target's own page of metrics. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/exposition.h"

static const char first[] =
    "# HELP myapp_request_duration_seconds Duration of the request.\n"
    "# TYPE myapp_request_duration_seconds histogram\n"
    "myapp_request_duration_seconds_bucket{db=\"postgres\",op=\"insert\",le=\"1e-05\"} 10\n"
    "myapp_request_duration_seconds_bucket{db=\"postgres\",op=\"insert\",le=\"0.001\"} 10\n"
    "myapp_request_duration_seconds_bucket{db=\"postgres\",op=\"insert\",le=\"0.002\"} 10\n"
    "myapp_request_duration_seconds_bucket{db=\"postgres\",op=\"insert\",le=\"+Inf\"} 10\n"
    "myapp_request_duration_seconds_sum{db=\"postgres\",op=\"insert\"} 1\n"
    "myapp_request_duration_seconds_bucket{op=\"set\",db=\"memcache\",le=\"0.001\"} 7.0\n"
    "myapp_request_duration_seconds_bucket{op=\"set\",db=\"memcache\",le=\"+Inf\"} 7.0\n"
    "myapp_errors_count{op=\"insert\",db=\"postgres\"} 3\n"
    "myapp_errors_count{op=\"insert\",db=\"other\"} 1\n";

static const char second[] =
    "myapp_request_duration_seconds_bucket{op=\"insert\",db=\"postgres\",le=\"0.001\"} 60\n"
    "myapp_request_duration_seconds_bucket{op=\"insert\",db=\"postgres\",le=\"1e-05\"} 10\n"
    "myapp_request_duration_seconds_bucket{op=\"insert\",db=\"postgres\",le=\"+Inf\"} 111\n"
    "myapp_request_duration_seconds_bucket{op=\"insert\",db=\"postgres\",le=\"0.002\"} 110";

static struct exposition read_text(const char *text, const char *op)
{
    struct exposition e;
    exposition_read(span_of(text), op, &e);
    return e;
}

/* By operation, whatever the labels' order and the lines'. */
static void test_read(void **state)
{
    struct exposition insert = read_text(first, "insert"), set = read_text(first, "set");
    struct exposition later = read_text(second, "insert");
    (void)state;
    assert_int_equal(insert.bucket_count, 4);
    assert_true(insert.upper_s[0] == 1e-05 && isinf(insert.upper_s[3]) && insert.below[3] == 10);
    assert_true(insert.errors == 4);
    assert_int_equal(set.bucket_count, 2);
    assert_true(set.below[1] == 7 && isnan(set.errors));
    assert_true(later.upper_s[1] == 0.001 && later.below[1] == 60 && later.below[3] == 111);
}

/* 50 between 10 us and 1 ms, 50 up to 2 ms, one beyond all bounds; the same twice over. */
static void test_between(void **state)
{
    struct exposition before = read_text(first, "insert"), now = read_text(second, "insert");
    struct exposition sum = {0};
    (void)state;
    for (int times = 1; times <= 2; times++) {
        assert_true(exposition_add(&sum, &before, &now));
        assert_true(exposition_count(&sum) == 101 * times);
        assert_true(fabs(exposition_quantile(&sum, 50 / 101.0) - 0.001) < 1e-9);
        assert_true(fabs(exposition_quantile(&sum, 75 / 101.0) - 0.0015) < 1e-9);
        assert_true(exposition_quantile(&sum, 1) == 0.002);
        assert_true(isnan(sum.errors)); /* the second page does not tell them */
    }
}

static void test_errors(void **state)
{
    struct exposition before = read_text(first, "insert"), now = before, sum = {0};
    (void)state;
    now.errors += 5;
    assert_true(exposition_add(&sum, &before, &now));
    assert_true(sum.errors == 5 && exposition_count(&sum) == 0);
    assert_true(isnan(exposition_quantile(&sum, 0.99)));
}

/* Another process has lesser counts or other bounds: nothing is added. */
static void test_another(void **state)
{
    struct exposition before = read_text(first, "insert"), now = read_text(second, "insert");
    struct exposition none = read_text("", "insert"), set = read_text(first, "set"), sum = {0};
    (void)state;
    assert_false(exposition_add(&sum, &now, &before));
    assert_false(exposition_add(&sum, &none, &now));
    assert_false(exposition_add(&sum, &set, &now));
    assert_int_equal(sum.bucket_count, 0);
    assert_true(exposition_count(&none) == 0 && isnan(exposition_quantile(&none, 0.99)));
    assert_true(exposition_add(&sum, &before, &now));
    assert_false(exposition_add(&sum, &set, &set));
}

/* What only looks like it. */
static void test_strange(void **state)
{
    struct exposition e = read_text(
        "myapp_request_duration_seconds_bucket{le=\"1\"} 5\n"
        "myapp_request_duration_seconds_bucket{xop=\"insert\",le=\"1\"} 5\n"
        "myapp_request_duration_seconds_bucket{op=\"insert\"} 5\n"
        "myapp_request_duration_seconds_bucket{op=\"insert\",le=\"1\n"
        "myapp_request_duration_seconds_bucket 5\n"
        "myapp_errors_count{op=\"inserts\"} 5\n",
        "insert");
    (void)state;
    assert_int_equal(e.bucket_count, 0);
    assert_true(isnan(e.errors));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),    cmocka_unit_test(test_between),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_another),
        cmocka_unit_test(test_strange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
