/* Thresholds: what can be written, what is refused, and when one holds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "load/expect.h"
#include "load/load.h"

static struct load_result result;

static int make(void **state)
{
    (void)state;
    result = (struct load_result){.is_open = true, .quoted_rps = 999.5};
    result.counts = (struct load_counts){.scheduled = 1010, .sent = 1000, .unsent = 10, .ok = 980};
    result.counts.timeouts = 15;
    result.counts.errors[LOAD_ERROR_reset] = 3;
    result.counts.errors[LOAD_ERROR_status_5xx] = 2;
    result.quoted_latency = hist_new();
    for (uint64_t i = 1; i <= 1000; i++)
        hist_record(result.quoted_latency, i * NS_PER_US);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    free(result.quoted_latency);
    return 0;
}

static struct expectations parsed(const char *text)
{
    struct expectations e;
    struct fail f = {0};
    if (!expect_parse(text, &e, &f))
        fail_msg("%s", f.text);
    return e;
}

static bool is_met(const char *text)
{
    struct expectations e = parsed(text);
    expect_judge(&e, &result);
    return expect_all_met(&e);
}

/* Several metrics with their units, blanks between them. */
static void test_reads(void **state)
{
    struct expectations e = parsed("p99<10ms, availability >= 99.9% ,rps>=1k,errors<1%,max<=2s");
    char text[EXPECT_TEXT_BYTES];
    (void)state;
    assert_int_equal(e.count, 5);
    assert_int_equal(e.items[0].metric, EXPECT_P99);
    assert_int_equal(e.items[0].relation, EXPECT_BELOW);
    assert_true(e.items[0].bound == 10 * NS_PER_MS);
    assert_true(fabs(e.items[1].bound - 0.999) < 1e-12);
    assert_true(e.items[2].bound == 1000);
    assert_true(e.items[3].is_share && fabs(e.items[3].bound - 0.01) < 1e-12);
    assert_int_equal(e.items[4].relation, EXPECT_AT_MOST);
    assert_string_equal(expect_text(&e.items[0], text), "p99 < 10ms");
    assert_string_equal(expect_text(&e.items[1], text), "availability >= 99.9 %");
    assert_string_equal(expect_key(&e.items[0]), "p99_us");
    assert_true(expect_in_unit(&e.items[0], e.items[0].bound) == 10000);
    assert_string_equal(expect_key(&e.items[3]), "errors_share");
}

/* What is no threshold is refused as a usage error that shows the part that is wrong. */
static void test_refuses(void **state)
{
    static const char *const bad[][2] = {
        {"", "no metric"},
        {"p99<10ms,", "no metric"},
        {"p42<10ms", "p42"},
        {"p99", "compares nothing"},
        {"p99<", "duration"},
        {"p99<10", "no unit"},
        {"p99<10parsecs", "parsecs"},
        {"p99<>10ms", "duration"},
        {"availability>99.9", "99.9"},
        {"availability>101%", "101"},
        {"availability>1..%", "1.."},
        {"rps>x", "rps"},
        {"errors<-1", "errors"},
        {"errors<1.5", "errors"},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct expectations e;
        struct fail f = {0};
        if (expect_parse(bad[i][0], &e, &f))
            fail_msg("\"%s\" was read", bad[i][0]);
        assert_int_equal(f.exit, EXIT_USAGE);
        if (bad[i][1][0] && !strstr(f.text, bad[i][1]))
            fail_msg("\"%s\" is not in: %s", bad[i][1], f.text);
    }
}

/* Seventeen are too many; sixteen are not. */
static void test_how_many(void **state)
{
    char text[17 * 8 + 1] = "";
    struct expectations e;
    struct fail f = {0};
    (void)state;
    for (int i = 0; i < 17; i++)
        memcpy(text + i * 7, "max<1s,", 8);
    text[16 * 7 - 1] = 0;
    assert_true(expect_parse(text, &e, &f));
    text[16 * 7 - 1] = ',';
    text[17 * 7 - 1] = 0;
    assert_false(expect_parse(text, &e, &f));
}

/* Every metric is measured from what the result quotes, and each relation is itself. */
static void test_judges(void **state)
{
    (void)state;
    assert_true(is_met("p50<501us,p50>499us,p90<=901us,p95<=951us,p99<=991us,p999<=1ms"));
    assert_false(is_met("p50<499us"));
    assert_true(is_met("max<=1ms,max>=1ms,max==1ms,mean>500us,mean<501us"));
    assert_true(is_met("rps>=999,rps<1k,rps>0"));
    assert_true(is_met("errors==5,errors=5,errors<6,errors<=5,timeouts<=15,timeouts>14"));
    assert_false(is_met("errors<5"));
    assert_true(is_met("timeouts<1.5%,timeouts>1.48%,errors<=0.5%"));
    assert_true(is_met("availability>=97%,availability<97.1%"));
    assert_false(is_met("p50<1s,errors<1"));
}

/* 999 of 1000 are 99.9 %, whatever their doubles are. */
static void test_rounding_does_not_decide(void **state)
{
    (void)state;
    result.counts = (struct load_counts){.scheduled = 1000, .sent = 1000, .ok = 999, .timeouts = 1};
    assert_true(is_met("availability>=99.9%,availability==99.9%,timeouts<=0.1%,timeouts<=0.001%") ==
                false);
    assert_true(is_met("availability>=99.9%,availability==99.9%,timeouts<=0.1%"));
}

/* What cannot be measured is not met, and says so. */
static void test_nothing_measured(void **state)
{
    char text[EXPECT_TEXT_BYTES];
    (void)state;
    hist_clear(result.quoted_latency);
    result.counts = (struct load_counts){0};
    struct expectations e = parsed("p99<1s,max<1s,mean<1s,availability>=0%");
    expect_judge(&e, &result);
    for (unsigned i = 0; i < e.count; i++)
        assert_false(e.items[i].is_met);
    assert_string_equal(expect_measured_text(&e.items[0], text), "nothing to measure");
}

/* A percentile that is asked for wants ten samples above it. */
static void test_samples(void **state)
{
    (void)state;
    struct expectations e = parsed("p999<1s,p50<1s"), none = parsed("rps>1");
    assert_true(expect_samples_needed(&e) == 10000);
    assert_true(expect_samples_needed(&none) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads),
        TEST(test_refuses),
        TEST(test_how_many),
        TEST(test_judges),
        TEST(test_rounding_does_not_decide),
        TEST(test_nothing_measured),
        TEST(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
