#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rng.h"
#include "net/timer.h"

enum { TIMERS = 500 };

struct entry {
    struct timer timer;
    uint64_t wanted_ns; /* the model's deadline; TIMER_NEVER: not armed */
    unsigned calls;
};

static uint64_t now_ns;

static void count_call(struct timer *t)
{
    struct entry *e = (struct entry *)t;
    assert_true(t->deadline_ns == TIMER_NEVER);
    assert_true(e->wanted_ns <= now_ns);
    e->wanted_ns = TIMER_NEVER;
    e->calls++;
}

static uint64_t earliest(const struct entry *entries, size_t count)
{
    uint64_t best = TIMER_NEVER;
    for (size_t i = 0; i < count; i++)
        if (entries[i].wanted_ns < best)
            best = entries[i].wanted_ns;
    return best;
}

static void run_at(struct timers *ts, uint64_t at_ns)
{
    now_ns = at_ns;
    timers_run(ts, at_ns);
}

/* Nothing is armed: nothing is due, now or ever. */
static void test_empty(void **state)
{
    (void)state;
    struct timers ts = {0};
    struct entry e = {.timer.due = count_call};
    assert_true(timers_next(&ts) == TIMER_NEVER);
    run_at(&ts, UINT64_MAX - 1);
    timer_clear(&ts, &e.timer);
    assert_int_equal(e.calls, 0);
    timers_free(&ts);
}

/* Due at its deadline, not before, once. */
static void test_one(void **state)
{
    (void)state;
    struct timers ts = {0};
    struct entry e = {.timer.due = count_call, .wanted_ns = 100};
    assert_true(timer_set(&ts, &e.timer, 100));
    assert_true(timers_next(&ts) == 100);
    run_at(&ts, 99);
    assert_int_equal(e.calls, 0);
    run_at(&ts, 100);
    assert_int_equal(e.calls, 1);
    run_at(&ts, 1000);
    assert_int_equal(e.calls, 1);
    timers_free(&ts);
}

/* Moved later it stays silent at the old deadline; moved earlier it does not wait for it. */
static void test_moved(void **state)
{
    (void)state;
    struct timers ts = {0};
    struct entry e = {.timer.due = count_call};
    assert_true(timer_set(&ts, &e.timer, 100));
    e.wanted_ns = 300;
    assert_true(timer_set(&ts, &e.timer, 300));
    assert_true(timers_next(&ts) <= 300);
    run_at(&ts, 200);
    assert_int_equal(e.calls, 0);
    assert_true(timers_next(&ts) == 300);
    e.wanted_ns = 250;
    assert_true(timer_set(&ts, &e.timer, 250));
    run_at(&ts, 250);
    assert_int_equal(e.calls, 1);
    assert_true(timers_next(&ts) == TIMER_NEVER);
    timers_free(&ts);
}

/* A cleared timer is never called, and may be armed again. */
static void test_cleared(void **state)
{
    (void)state;
    struct timers ts = {0};
    struct entry e = {.timer.due = count_call};
    assert_true(timer_set(&ts, &e.timer, 100));
    timer_clear(&ts, &e.timer);
    timer_clear(&ts, &e.timer);
    assert_true(timers_next(&ts) == TIMER_NEVER);
    run_at(&ts, 200);
    assert_int_equal(e.calls, 0);
    e.wanted_ns = 300;
    assert_true(timer_set(&ts, &e.timer, 300));
    run_at(&ts, 300);
    assert_int_equal(e.calls, 1);
    timers_free(&ts);
}

struct chain {
    struct timer timer, *other;
    struct timers *ts;
    unsigned calls;
};

static void rearm(struct timer *t)
{
    struct chain *c = (struct chain *)t;
    timer_clear(c->ts, c->other);
    if (++c->calls < 10)
        assert_true(timer_set(c->ts, t, now_ns + 5));
}

/* A timer may arm itself again and clear another that is due in the same run. */
static void test_changes_while_running(void **state)
{
    (void)state;
    struct timers ts = {0};
    struct entry victim = {.timer.due = count_call};
    struct chain c = {.timer.due = rearm, .other = &victim.timer, .ts = &ts};
    assert_true(timer_set(&ts, &c.timer, 10));
    assert_true(timer_set(&ts, &victim.timer, 11));
    for (uint64_t at_ns = 10; at_ns < 1000; at_ns += 5)
        run_at(&ts, at_ns);
    assert_int_equal(c.calls, 10);
    assert_int_equal(victim.calls, 0);
    timers_free(&ts);
}

static void change_one(struct timers *ts, struct entry *e, struct rng *rng, uint64_t clock_ns)
{
    if (rng_below(rng, 4) == 0) {
        timer_clear(ts, &e->timer);
        e->wanted_ns = TIMER_NEVER;
    } else {
        e->wanted_ns = clock_ns + rng_below(rng, 1000);
        assert_true(timer_set(ts, &e->timer, e->wanted_ns));
    }
}

/* Against a plain list of deadlines: after any changes those and only those are called that are
 * due, and the next look is never late. */
static void test_model(void **state)
{
    (void)state;
    static struct entry entries[TIMERS];
    const uint64_t seed = 42;
    struct rng rng;
    struct timers ts = {0};
    uint64_t clock_ns = 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed);
    for (size_t i = 0; i < TIMERS; i++)
        entries[i] = (struct entry){.timer.due = count_call, .wanted_ns = TIMER_NEVER};
    for (int round = 0; round < 20000; round++) {
        for (uint64_t n = rng_below(&rng, 12); n; n--)
            change_one(&ts, &entries[rng_below(&rng, TIMERS)], &rng, clock_ns);
        uint64_t due_ns = earliest(entries, TIMERS);
        assert_true(timers_next(&ts) <= due_ns);
        clock_ns += rng_below(&rng, 40);
        run_at(&ts, clock_ns);
        assert_true(earliest(entries, TIMERS) > clock_ns);
    }
    run_at(&ts, clock_ns + 2000);
    assert_true(earliest(entries, TIMERS) == TIMER_NEVER);
    assert_int_equal(ts.count, 0);
    timers_free(&ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_cleared),
        cmocka_unit_test(test_changes_while_running),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
