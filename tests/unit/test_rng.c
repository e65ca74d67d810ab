#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

#include "base/rng.h"

/* The published algorithms: splitmix64 from seed 0 and 1234567, then xoshiro256** from state 1, 2,
 * 3, 4. */
static void test_reference(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 0);
    assert_true(r.s[0] == 0xe220a8397b1dcdaf);
    assert_true(r.s[1] == 0x6e789e6aa1b965f4);
    rng_seed(&r, 1234567);
    assert_true(r.s[0] == 6457827717110365317u);
    assert_true(r.s[1] == 3203168211198807973u);
    assert_true(r.s[2] == 9817491932198370423u);
    assert_true(r.s[3] == 4593380528125082431u);

    static const uint64_t first[] = {11520,
                                     0,
                                     1509978240,
                                     1215971899390074240,
                                     1216172134540287360,
                                     607988272756665600,
                                     16172922978634559625u,
                                     8476171486693032832};
    r = (struct rng){{1, 2, 3, 4}};
    for (unsigned i = 0; i < sizeof first / sizeof first[0]; i++)
        assert_true(rng_next(&r) == first[i]);
}

/* The same seed gives the same numbers, another seed others. */
static void test_repeatable(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    unsigned same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        same += x == rng_next(&c);
    }
    assert_int_equal(same, 0);
}

/* Every value below the bound comes, equally often, and none at or above it. */
static void test_below(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 5);
    unsigned seen[7] = {0};
    for (int i = 0; i < 70000; i++)
        seen[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_true(seen[i] > 9400 && seen[i] < 10600);
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_below(&r, 1) == 0);
        assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
    }
}

/* At 3/4 of 2^64 a plain multiplication would give a third of the values twice as often: those
 * that are 0 modulo 3 half of the time. */
static void test_below_is_unbiased(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 6);
    unsigned by_rest[3] = {0};
    for (int i = 0; i < 90000; i++)
        by_rest[rng_below(&r, 3ull << 62) % 3]++;
    for (int i = 0; i < 3; i++)
        assert_true(by_rest[i] > 29000 && by_rest[i] < 31000);
}

/* Uniform and exponential: range, mean and variance of 200 000 draws within five deviations. */
static void test_moments(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct rng r;
    rng_seed(&r, 8);
    double unit = 0, unit_squares = 0, exponential = 0, exponential_squares = 0;
    for (int i = 0; i < COUNT; i++) {
        double u = rng_unit(&r), e = rng_exponential(&r);
        assert_true(u >= 0 && u < 1);
        assert_true(e >= 0 && e < 37);
        unit += u;
        unit_squares += u * u;
        exponential += e;
        exponential_squares += e * e;
    }
    assert_true(fabs(unit / COUNT - 0.5) < 0.004);
    assert_true(fabs(unit_squares / COUNT - 1.0 / 3) < 0.004);
    assert_true(fabs(exponential / COUNT - 1) < 0.012);
    assert_true(fabs(exponential_squares / COUNT - 2) < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_below),     cmocka_unit_test(test_below_is_unbiased),
        cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
