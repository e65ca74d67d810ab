/* Reason phrases and dates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "http/http.h"
#include "lib/guard.h"

/* Known codes have the registry's phrase, all others an empty one. */
static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(413), "Content Too Large");
    assert_string_equal(http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_reason(505), "HTTP Version Not Supported");
    assert_string_equal(http_reason(0), "");
    assert_string_equal(http_reason(418), "");
    assert_string_equal(http_reason(599), "");
    assert_string_equal(http_reason(70000), "");
}

static void is_date(struct guard *g, int64_t second, const char *wanted)
{
    char *text = g->end - HTTP_DATE_BYTES;
    http_date(second, text);
    if (memcmp(text, wanted, HTTP_DATE_BYTES) != 0)
        fail_msg("%lld: %.29s instead of %s", (long long)second, text, wanted);
}

/* The example of RFC 9110 section 5.6.7, leap days, the ends of what four digits can say. */
static void test_known_dates(void **state)
{
    struct guard g;
    (void)state;
    guard_open(&g, HTTP_DATE_BYTES);
    is_date(&g, 784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    is_date(&g, 0, "Thu, 01 Jan 1970 00:00:00 GMT");
    is_date(&g, 951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    is_date(&g, 951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    is_date(&g, 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    is_date(&g, -1, "Thu, 01 Jan 1970 00:00:00 GMT");
    is_date(&g, 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
    is_date(&g, INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    guard_close(&g);
}

/* Every day until 2400, at a time of day that walks along, is what strftime(3) says. */
static void test_every_day(void **state)
{
    struct guard g;
    (void)state;
    guard_open(&g, HTTP_DATE_BYTES);
    for (int64_t day = 0; day < 157054; day++) {
        time_t second = (time_t)(day * 86400 + day * 7919 % 86400);
        struct tm tm;
        char wanted[64];
        gmtime_r(&second, &tm);
        strftime(wanted, sizeof wanted, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        is_date(&g, second, wanted);
    }
    guard_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_known_dates),
        cmocka_unit_test(test_every_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
