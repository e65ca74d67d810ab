#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/num.h"
#include "base/rng.h"

/* Every number that is written reads back as itself, and looks as printf writes it. */
static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = rng_next(&rng) >> rng_below(&rng, 64), back;
        char text[NUM_MAX_DIGITS + 1], expected[NUM_MAX_DIGITS + 1];
        size_t len = num_put(text, value);
        text[len] = 0;
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
        assert_string_equal(text, expected);
        assert_true(num_get((struct span){text, len}, UINT64_MAX, &back));
        assert_true(back == value);
    }
}

/* Nothing but digits is a number: no sign, no space, no prefix, no end. */
static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "+1", "-1", " 1",   "1 ",
                                      "0x1", "1.", "1a", "\xb2", "18446744073709551616"};
    uint64_t value;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(num_get(span_of(bad[i]), UINT64_MAX, &value));
    assert_false(num_get((struct span){"1\0", 2}, UINT64_MAX, &value));
}

/* The greatest allowed value is accepted, the next one is not, at every size of bound. */
static void test_bounds(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {0, 1, 9, 10, 99, 255, 65535, UINT32_MAX, UINT64_MAX};
    char text[NUM_MAX_DIGITS];
    uint64_t value;
    for (unsigned i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        struct span greatest = {text, num_put(text, bounds[i])};
        assert_true(num_get(greatest, bounds[i], &value));
        assert_true(value == bounds[i]);
        if (bounds[i])
            assert_false(num_get(greatest, bounds[i] - 1, &value));
    }
    assert_true(num_get(SPAN("00000000000000000000000007"), 7, &value));
    assert_true(value == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
