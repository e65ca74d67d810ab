#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lab/order.h"

/* Every repeat has everyone once, and is the one before it backwards. */
static void test_reversed(void **state)
{
    (void)state;
    unsigned order[5 * 4];
    for (uint64_t seed = 1; seed < 50; seed++) {
        order_make(5, 4, seed, order);
        unsigned seen = 0;
        for (int i = 0; i < 5; i++)
            seen |= 1u << order[i];
        assert_int_equal(seen, 31);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(order[5 + i], order[4 - i]);
            assert_int_equal(order[10 + i], order[i]);
            assert_int_equal(order[15 + i], order[4 - i]);
        }
    }
}

/* The same seed gives the same order, and of two contestants either may come first. */
static void test_seed(void **state)
{
    (void)state;
    unsigned a[6], b[6], firsts[2] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        order_make(2, 3, seed, a);
        order_make(2, 3, seed, b);
        assert_memory_equal(a, b, sizeof a);
        firsts[a[0]]++;
    }
    assert_in_range(firsts[0], 30, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reversed),
                                       cmocka_unit_test(test_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
