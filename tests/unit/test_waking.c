/* Waking early: as much as sleeps are late where that matters, not at all where it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/waking.h"

static struct waking after(uint64_t late_ns, uint64_t service_ns)
{
    struct waking w = WAKING_START;
    for (int i = 0; i < 200; i++) {
        waking_slept(&w, late_ns + (i % 2 ? 1000 : 0));
        waking_served(&w, service_ns);
    }
    return w;
}

/* A fast target: the lateness and its spread, not more than twice of it when it hardly spreads. */
static void test_fast_target(void **state)
{
    struct waking w = after(20000, 70000);
    (void)state;
    assert_in_range(waking_early_ns(&w), 21000, 26000);
}

/* Milliseconds for an answer: sleep as ever. */
static void test_slow_target(void **state)
{
    struct waking w = after(20000, 2000000);
    (void)state;
    assert_int_equal(waking_early_ns(&w), 0);
}

/* A target that becomes slow, and fast again, is followed. */
static void test_follows(void **state)
{
    struct waking w = after(20000, 70000);
    (void)state;
    for (int i = 0; i < 100; i++)
        waking_served(&w, 5000000);
    assert_int_equal(waking_early_ns(&w), 0);
    for (int i = 0; i < 200; i++)
        waking_served(&w, 70000);
    assert_true(waking_early_ns(&w) > 0);
}

/* However late sleeps end, no more than the bound is burnt. */
static void test_bound(void **state)
{
    struct waking w = after(50000000, 70000);
    (void)state;
    assert_int_equal(waking_early_ns(&w), WAKING_EARLY_MAX_NS);
}

/* Before anything is known the first request is not slept through either. */
static void test_start(void **state)
{
    struct waking w = WAKING_START;
    (void)state;
    assert_in_range(waking_early_ns(&w), 1, WAKING_EARLY_MAX_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast_target), cmocka_unit_test(test_slow_target),
        cmocka_unit_test(test_follows),     cmocka_unit_test(test_bound),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
