#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"

/* Known instants, among them a leap day, the last second of a year and the last that has a text. */
static void test_text(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1795194000123456, "2026-11-20T17:00:00.123456Z"},
        {1709251199999999, "2024-02-29T23:59:59.999999Z"},
        {1709251200000000, "2024-03-01T00:00:00.000000Z"},
        {1798761599000001, "2026-12-31T23:59:59.000001Z"},
        {253402300799999999, "9999-12-31T23:59:59.999999Z"},
    };
    char text[CLOCK_TEXT_BYTES];
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clock_text(rows[i].wall_us, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* A text that was written is read back; fractions and offsets are taken off, what is no time is not
 * read. */
static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-20T17:00:00.123456Z", 1795194000123456},
        {"2026-11-20t17:00:00.1234569z", 1795194000123456},
        {"2026-11-20 18:30:00.5+01:30", 1795194000500000},
        {"2026-11-20T09:00:00-08:00", 1795194000000000},
        {"2024-02-29T23:59:59.999999Z", 1709251199999999},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999},
    };
    static const char *const bad[] = {
        "",
        "17:00",
        "2026-11-20",
        "2026-11-20T17:00:00",
        "2026-11-20T17:00Z",
        "2026-11-20T17:00:00.Z",
        "2026-11-20T24:00:00Z",
        "2026-13-20T17:00:00Z",
        "2026-02-29T17:00:00Z",
        "2026-11-00T17:00:00Z",
        "2026-11-20T17:00:00Zz",
        "2026-11-20T17:00:00+0100",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
    };
    int64_t wall_us;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!clock_parse(good[i].text, &wall_us))
            fail_msg("%s was not read", good[i].text);
        assert_int_equal(wall_us, good[i].wall_us);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (clock_parse(bad[i], &wall_us))
            fail_msg("%s was read", bad[i]);
}

/* What the kernel says of the wall clock is of a sensible size; one that is synchronised has a bound. */
static void test_quality(void **state)
{
    (void)state;
    struct clock_quality q = clock_quality();
    assert_true(q.error_us >= 0 && q.error_max_us >= 0);
    assert_true(q.is_known || !q.is_synchronised);
}

/* The cached second is not taken for another one, going forwards and backwards. */
static void test_text_cache(void **state)
{
    (void)state;
    static const int64_t seconds[] = {100, 101, 100, 0, 101};
    static const char *const texts[] = {
        "1970-01-01T00:01:40.000007Z", "1970-01-01T00:01:41.000007Z", "1970-01-01T00:01:40.000007Z",
        "1970-01-01T00:00:00.000007Z", "1970-01-01T00:01:41.000007Z"};
    char text[CLOCK_TEXT_BYTES];
    for (unsigned i = 0; i < 5; i++) {
        clock_text(seconds[i] * 1000000 + 7, text);
        assert_string_equal(text, texts[i]);
    }
}

/* The monotonic clock does not step back; the wall clock is the C library's. */
static void test_clocks(void **state)
{
    (void)state;
    uint64_t before = clock_ns();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_ns();
        assert_true(now >= before);
        before = now;
    }
    int64_t now_s = (int64_t)time(NULL);
    int64_t wall_s = clock_wall_us() / 1000000;
    assert_true(wall_s >= now_s - 1 && wall_s <= now_s + 2);
}

static void *burn(void *cpu_ns)
{
    while (clock_thread_cpu_ns() < 2 * NS_PER_MS)
        ;
    *(uint64_t *)cpu_ns = clock_cpu_ns_of(pthread_self());
    return NULL;
}

/* A thread's CPU time is its own: seen by itself and by handle alike, and not another thread's. */
static void test_thread_cpu(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t burnt_ns = 0, mine_ns = clock_thread_cpu_ns();
    assert_int_equal(pthread_create(&thread, NULL, burn, &burnt_ns), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(burnt_ns >= 2 * NS_PER_MS);
    assert_true(clock_cpu_ns_of(pthread_self()) >= mine_ns);
    assert_true(clock_thread_cpu_ns() - mine_ns < burnt_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_parse),
        cmocka_unit_test(test_quality), cmocka_unit_test(test_text_cache),
        cmocka_unit_test(test_clocks),  cmocka_unit_test(test_thread_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
