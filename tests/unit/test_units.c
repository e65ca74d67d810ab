#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/units.h"

static const uint64_t day_ns = 24 * 3600 * NS_PER_S;

/* A failure is the user's, quotes what was written and says what was expected. */
static void assert_refused(bool is_good, const struct fail *f, const char *text,
                           const char *expected)
{
    assert_false(is_good);
    assert_int_equal(f->exit, EXIT_USAGE);
    assert_non_null(strstr(f->text, expected));
    char shown[64];
    assert_non_null(strstr(f->text, log_escape(span_of(text), shown, sizeof shown)));
}

/* Each unit, decimals, and a bare number as seconds; exact to the nanosecond. */
static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } rows[] = {
        {"0", 0},
        {"7", 7 * NS_PER_S},
        {"0.25", 250 * NS_PER_MS},
        {"3ns", 3},
        {"500us", 500 * NS_PER_US},
        {"10ms", 10 * NS_PER_MS},
        {"5s", 5 * NS_PER_S},
        {"1.5s", 1500 * NS_PER_MS},
        {"2m", 120 * NS_PER_S},
        {"1h", 3600 * NS_PER_S},
        {"0.000000001s", 1},
        {"1.50000000000000000000000000000s", 1500 * NS_PER_MS},
        {"00010ms", 10 * NS_PER_MS},
        {"720h", 30 * 24 * 3600 * NS_PER_S},
        {"2592000", 30 * 24 * 3600 * NS_PER_S},
    };
    struct fail f;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ns;
        assert_true(units_duration(rows[i].text, &ns, &f));
        assert_true(ns == rows[i].ns);
    }
}

/* Nothing is guessed: signs, spaces, exponents, other units and commas are refused, and so is what
 * is longer than 30 days or finer than a nanosecond. */
static void test_duration_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "s",
        ".5s",
        "5.",
        "5.s",
        "-5s",
        "+5s",
        " 5s",
        "5s ",
        "5 s",
        "5S",
        "5sec",
        "1e3",
        "1,5s",
        "0x10",
        "5ss",
        "1.2.3s",
        "inf",
        "nan",
        "10d",
        "5\xc2\xb5s",
        "5s\n",
        "0.5ns",
        "0.0000000001s",
        "721h",
        "2592000.1s",
        "720.000000001h",
        "99999h",
        "18446744073709551616",
        "0.1234567890123456789s",
        "999999999999999999999999999999999999999999999999999999999999999999999999999999h"};
    struct fail f;
    uint64_t ns;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(units_duration(bad[i], &ns, &f), &f, bad[i],
                       "a duration such as 500us, 10ms, 5s or 2m");
}

/* Rates: k and M are powers of ten, decimals to a millionth, above 0, at most 100M. */
static void test_rate(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double per_s;
    } rows[] = {{"1000", 1000},
                {"1k", 1000},
                {"2.5k", 2500},
                {"1M", 1e6},
                {"1K", 1000},
                {"0.5", 0.5},
                {"100M", 1e8},
                {"0.000001", 1e-6},
                {"33.333333", 33.333333},
                {"0.1k", 100},
                {"12345.678", 12345.678}};
    static const char *const bad[] = {"",    "0",    "0.0", "0k",     "-1",        "1m",
                                      "1kk", "k",    "1/s", "101M",   "0.0000001", "100000001",
                                      "1e3", "1.5.", "1 k", "100.1M", "1000:2000", "inf"};
    struct fail f;
    double per_s;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(units_rate(rows[i].text, &per_s, &f));
        assert_true(per_s == rows[i].per_s);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(units_rate(bad[i], &per_s, &f), &f, "",
                       "expected a rate per second such as 1000, 2.5k or 1M");
}

/* Sizes: powers of 1024, whole bytes. */
static void test_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"0", 0},       {"512", 512},      {"64k", 65536},
                {"64K", 65536}, {"1M", 1 << 20},   {"2G", 2ull << 30},
                {"1.5k", 1536}, {"0.5M", 1 << 19}, {"1073741824G", 1ull << 60}};
    static const char *const bad[] = {"",   "k",     "1.3k", "0.5",         "64kb",
                                      "1T", "64KiB", "-1",   "1073741825G", "99999999999999999999"};
    struct fail f;
    uint64_t bytes;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(units_size(rows[i].text, &bytes, &f));
        assert_true(bytes == rows[i].bytes);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(units_size(bad[i], &bytes, &f), &f, bad[i],
                       "expected a size in bytes such as 512, 64k, 1M or 2G");
}

/* Counts: whole, within the bounds, which the message names. */
static void test_count(void **state)
{
    (void)state;
    static const char *const good[] = {"1", "64", "10k", "0.065536M", "65536", "1.5k"};
    static const uint64_t counts[] = {1, 64, 10000, 65536, 65536, 1500};
    static const char *const bad[] = {"",
                                      "0",
                                      "65537",
                                      "1M",
                                      "-1",
                                      "1.5",
                                      "abc",
                                      "1e3",
                                      "64 ",
                                      "6 4",
                                      "1.0000000000000000001",
                                      "99999999999999999999"};
    struct fail f;
    uint64_t count;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(units_count(good[i], 1, 65536, &count, &f));
        assert_int_equal(count, counts[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(units_count(bad[i], 1, 65536, &count, &f), &f, bad[i], "from 1 to 65536");
    assert_true(units_count("0", 0, 0, &count, &f));
    assert_true(units_count("4294967295", 0, UINT32_MAX, &count, &f));
}

/* What came from outside cannot break the message that quotes it. */
static void test_refusal_is_harmless(void **state)
{
    (void)state;
    struct fail f;
    uint64_t ns;
    assert_false(units_duration("\033[2J\"\n", &ns, &f));
    assert_string_equal(f.text, "\"\\x1b[2J\\x22\\x0a\" is not understood: expected a duration "
                                "such as 500us, 10ms, 5s or 2m");
}

/* The shortest form: the greatest unit where equal, a fraction only where it saves something. */
static void test_texts(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } durations[] = {{0, "0s"},
                     {1, "1ns"},
                     {500 * NS_PER_US, "500us"},
                     {500 * NS_PER_MS, "500ms"},
                     {1500, "1.5us"},
                     {1500 * NS_PER_MS, "1.5s"},
                     {90 * NS_PER_S, "90s"},
                     {120 * NS_PER_S, "2m"},
                     {5400 * NS_PER_S, "90m"},
                     {3600 * NS_PER_S, "1h"},
                     {NS_PER_S + 1, "1.000000001s"}};
    static const struct {
        double per_s;
        const char *text;
    } rates[] = {{0, "0"},         {0.5, "0.5"},     {999, "999"},      {1000, "1k"},
                 {12300, "12.3k"}, {12340, "12340"}, {1500000, "1.5M"}, {1.0 / 3, "0.333333"}};
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {{0, "0"},
                 {1000, "1000"},
                 {1024, "1k"},
                 {65536, "64k"},
                 {1536, "1.5k"},
                 {1 << 20, "1M"},
                 {3ull << 29, "1.5G"},
                 {1025, "1025"},
                 {UINT64_MAX, "18446744073709551615"}};
    char out[UNITS_TEXT_BYTES];
    for (unsigned i = 0; i < sizeof durations / sizeof durations[0]; i++)
        assert_string_equal(units_duration_text(durations[i].ns, out), durations[i].text);
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++)
        assert_string_equal(units_rate_text(rates[i].per_s, out), rates[i].text);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_string_equal(units_size_text(sizes[i].bytes, out), sizes[i].text);
}

/* Whatever is printed reads back as the same value. */
static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 50000; i++) {
        char out[UNITS_TEXT_BYTES];
        struct fail f;
        uint64_t ns = rng_below(&rng, (30 * day_ns) >> rng_below(&rng, 50)), back;
        uint64_t bytes = rng_below(&rng, 1ull << (1 + rng_below(&rng, 59)));
        assert_true(units_duration(units_duration_text(ns, out), &back, &f));
        assert_true(back == ns);
        assert_true(units_size(units_size_text(bytes, out), &back, &f));
        assert_true(back == bytes);
        double per_s = (double)(1 + rng_below(&rng, 100000000000000 >> rng_below(&rng, 40))) / 1e6;
        double rate;
        assert_true(units_rate(units_rate_text(per_s, out), &rate, &f));
        assert_true(rate == per_s);
    }
}

/* Three digits and a unit, rounded; rounding may carry into the next unit. */
static void test_latency_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {{0, "0 ns"},
                {7, "7 ns"},
                {842, "842 ns"},
                {999, "999 ns"},
                {1000, "1.00 us"},
                {1004, "1.00 us"},
                {1005, "1.01 us"},
                {9994, "9.99 us"},
                {9995, "10.0 us"},
                {99949, "99.9 us"},
                {99950, "100 us"},
                {842000, "842 us"},
                {999499, "999 us"},
                {999500, "1.00 ms"},
                {1234567, "1.23 ms"},
                {12345678, "12.3 ms"},
                {123456789, "123 ms"},
                {999500000, "1.00 s"},
                {12300000000, "12.3 s"},
                {5000000000, "5.00 s"},
                {3600000000000, "3600 s"},
                {UINT64_MAX, "18446744074 s"}};
    char out[UNITS_TEXT_BYTES];
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(units_latency_text(rows[i].ns, out), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration),     cmocka_unit_test(test_duration_refused),
        cmocka_unit_test(test_rate),         cmocka_unit_test(test_size),
        cmocka_unit_test(test_count),        cmocka_unit_test(test_refusal_is_harmless),
        cmocka_unit_test(test_texts),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_latency_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
