/* Numbers as tables show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/shown.h"

/* Thousands stand apart, at every length. */
static void test_count(void **state)
{
    char out[SHOWN_BYTES];
    (void)state;
    assert_string_equal(shown_count(0, out), "0");
    assert_string_equal(shown_count(999, out), "999");
    assert_string_equal(shown_count(1000, out), "1 000");
    assert_string_equal(shown_count(1234567, out), "1 234 567");
    assert_string_equal(shown_count(UINT64_MAX, out), "18 446 744 073 709 551 615");
}

/* A rate has digits behind its point where they say something, and fits whatever it is. */
static void test_rate(void **state)
{
    char out[SHOWN_BYTES];
    (void)state;
    assert_string_equal(shown_rate(12.345, out), "12.35");
    assert_string_equal(shown_rate(47999.6, out), "48 000");
    assert_string_equal(shown_rate(1e300, out), "1e+300");
}

/* What is short of all is never shown as all. */
static void test_share(void **state)
{
    char out[SHOWN_BYTES];
    (void)state;
    assert_string_equal(shown_share(1, out), "100 %");
    assert_string_equal(shown_share(1 - 1e-12, out), "99.999 %");
    assert_string_equal(shown_share(0.99867, out), "99.867 %");
    assert_string_equal(shown_share(0, out), "0 %");
}

/* Decimal units, three digits, and no 1000 of one unit. */
static void test_bytes(void **state)
{
    char out[SHOWN_BYTES];
    (void)state;
    assert_string_equal(shown_bytes(999, out), "999 B");
    assert_string_equal(shown_bytes(999.9, out), "1 kB");
    assert_string_equal(shown_bytes(36.2e6, out), "36.2 MB");
    assert_string_equal(shown_bytes(5e15, out), "5e+03 TB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
