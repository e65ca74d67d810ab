#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"
#include "target/fib.h"

static const struct ring_config ring_config = {
    .entries = 64, .completions = 256, .buffers = 8, .buffer_bytes = 256};

enum { LONG_N = 60 }; /* hours: whoever waits for it without a cancellation does not come back */

struct counted {
    struct fib_job job;
    unsigned answers;
};

static struct loop loop;
static unsigned answered;

static void answer(struct task *t)
{
    struct counted *c = (struct counted *)((char *)t - offsetof(struct counted, job.answer));
    c->answers++;
    answered++;
}

static struct counted counted_of(unsigned n)
{
    return (struct counted){.job = {.n = n, .loop = &loop, .answer.run = answer}};
}

static struct fib_pool *start_pool(unsigned threads, unsigned queue)
{
    struct fail f = {0};
    answered = 0;
    if (!loop_open(&loop, &ring_config, &f))
        fail_msg("%s", f.text);
    struct fib_pool *p = fib_pool_start(threads, queue, NULL, &f);
    if (!p)
        fail_msg("%s", f.text);
    return p;
}

static void await(unsigned count)
{
    while (answered < count)
        loop_turn(&loop, RING_FOREVER);
    assert_int_equal(answered, count);
}

static void stop_pool(struct fib_pool *p)
{
    fib_pool_stop(p);
    loop_close(&loop);
}

/* A job waits until the worker has taken it: the queue is empty again and it runs. */
static void submit_and_let_run(struct fib_pool *p, struct counted *c)
{
    uint64_t before_ns = fib_pool_cpu_ns(p);
    assert_true(fib_submit(p, &c->job));
    while (fib_pool_cpu_ns(p) < before_ns + 2 * NS_PER_MS)
        ;
}

/* The recursion against addition, as far as it can be awaited. */
static void test_values(void **state)
{
    (void)state;
    uint64_t a = 0, b = 1;
    for (unsigned n = 0; n <= 30; n++) {
        assert_true(fib_naive(n) == a);
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    assert_true(fib_naive(35) == 9227465);
}

/* The pool, whose recursion looks for cancellation in its upper part, finds the same numbers. */
static void test_pool_values(void **state)
{
    (void)state;
    enum { JOBS = 31 };
    struct counted jobs[JOBS];
    struct fib_pool *p = start_pool(3, JOBS);
    for (unsigned n = 0; n < JOBS; n++) {
        jobs[n] = counted_of(n);
        assert_true(fib_submit(p, &jobs[n].job));
    }
    await(JOBS);
    for (unsigned n = 0; n < JOBS; n++) {
        assert_true(jobs[n].job.result == fib_naive(n));
        assert_int_equal(jobs[n].answers, 1);
    }
    stop_pool(p);
}

/* One more than the queue holds is refused and never answered; those in it are. */
static void test_queue_limit(void **state)
{
    (void)state;
    struct fib_pool *p = start_pool(1, 3);
    struct counted running = counted_of(LONG_N), waiting[4];
    submit_and_let_run(p, &running);
    for (unsigned i = 0; i < 4; i++) {
        waiting[i] = counted_of(10);
        assert_int_equal(fib_submit(p, &waiting[i].job), i < 3);
    }
    fib_cancel(&running.job);
    await(4);
    for (unsigned i = 0; i < 3; i++)
        assert_true(waiting[i].job.result == 55);
    assert_int_equal(waiting[3].answers, 0);
    assert_true(fib_submit(p, &waiting[3].job));
    await(5);
    stop_pool(p);
}

/* A running job that is cancelled ends within a moment, and is answered. */
static void test_cancel_running(void **state)
{
    (void)state;
    struct fib_pool *p = start_pool(1, 1);
    struct counted c = counted_of(LONG_N);
    submit_and_let_run(p, &c);
    assert_int_equal(c.answers, 0);
    uint64_t begun_ns = clock_ns();
    fib_cancel(&c.job);
    await(1);
    assert_true(clock_ns() - begun_ns < 2 * NS_PER_S);
    assert_int_equal(c.answers, 1);
    stop_pool(p);
}

/* A waiting job that is cancelled is answered at once, and its place in the queue is another's. */
static void test_cancelled_makes_room(void **state)
{
    (void)state;
    enum { WAITING = 3 };
    struct fib_pool *p = start_pool(1, WAITING);
    struct counted running = counted_of(LONG_N), waiting[WAITING], next[WAITING];
    submit_and_let_run(p, &running);
    for (unsigned i = 0; i < WAITING; i++) {
        waiting[i] = counted_of(LONG_N);
        next[i] = counted_of(10);
        assert_true(fib_submit(p, &waiting[i].job));
    }
    for (unsigned i = 0; i < WAITING; i++) {
        struct counted *c = &waiting[(i + 1) % WAITING]; /* the middle, the end, the begin */
        assert_false(fib_submit(p, &next[i].job));
        fib_cancel(&c->job);
        await(i + 1);
        assert_int_equal(c->answers, 1);
        assert_true(fib_submit(p, &next[i].job));
    }
    assert_int_equal(running.answers, 0);
    fib_cancel(&running.job);
    await(2 * WAITING + 1);
    for (unsigned i = 0; i < WAITING; i++)
        assert_true(next[i].job.result == 55);
    stop_pool(p);
}

/* Waiting jobs that are cancelled cost nothing, and each is answered once. */
static void test_cancel_waiting(void **state)
{
    (void)state;
    enum { WAITING = 50 };
    struct fib_pool *p = start_pool(1, WAITING);
    struct counted running = counted_of(LONG_N), waiting[WAITING];
    submit_and_let_run(p, &running);
    for (unsigned i = 0; i < WAITING; i++) {
        waiting[i] = counted_of(LONG_N);
        assert_true(fib_submit(p, &waiting[i].job));
        fib_cancel(&waiting[i].job);
    }
    fib_cancel(&running.job);
    await(WAITING + 1);
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(waiting[i].answers, 1);
    stop_pool(p);
}

/* Stopping cancels what runs and what waits; every job is answered, none is taken any more. */
static void test_stop_with_work(void **state)
{
    (void)state;
    enum { JOBS = 20 };
    struct counted jobs[JOBS];
    struct fib_pool *p = start_pool(2, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = counted_of(LONG_N);
        assert_true(fib_submit(p, &jobs[i].job));
    }
    fib_pool_stop(p);
    await(JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(jobs[i].answers, 1);
        assert_true(atomic_load(&jobs[i].job.is_cancelled));
    }
    loop_close(&loop);
}

/* The plain function as a compiler sees it. */
__attribute__((noinline)) static uint64_t plain(unsigned n)
{
    return n < 2 ? n : plain(n - 1) + plain(n - 2);
}

static uint64_t least_ns(uint64_t (*f)(unsigned), unsigned n)
{
    volatile unsigned given = n; /* no call can be spared */
    volatile uint64_t result;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 7; i++) {
        uint64_t begun_ns = clock_thread_cpu_ns();
        result = f(given);
        uint64_t took_ns = clock_thread_cpu_ns() - begun_ns;
        if (took_ns < least)
            least = took_ns;
    }
    (void)result;
    return least;
}

/* The work is the point: it costs what the plain function costs, and each n 1.6 times the one
 * before. A closed form, a memo or a folded call would be a hundred times too cheap. */
static void test_cost(void **state)
{
    (void)state;
    uint64_t ours_ns = least_ns(fib_naive, 32), plain_ns = least_ns(plain, 32);
    print_message("fib(32): %llu us, plain recursion %llu us\n", (unsigned long long)ours_ns / 1000,
                  (unsigned long long)plain_ns / 1000);
    assert_true(ours_ns > plain_ns / 8 && ours_ns < plain_ns * 8);
    uint64_t less_ns = least_ns(fib_naive, 26); /* fib(32) / fib(26) is 17.9 */
    assert_true(ours_ns > less_ns * 5 && ours_ns < less_ns * 60);
}

/* The pool's CPU time has what its jobs took. */
static void test_pool_cost(void **state)
{
    (void)state;
    struct fib_pool *p = start_pool(1, 1);
    struct counted c = counted_of(32);
    uint64_t before_ns = fib_pool_cpu_ns(p), alone_ns = least_ns(fib_naive, 32);
    assert_true(fib_submit(p, &c.job));
    await(1);
    uint64_t took_ns = fib_pool_cpu_ns(p) - before_ns;
    assert_true(took_ns > alone_ns / 8 && took_ns < alone_ns * 8 + 20 * NS_PER_MS);
    stop_pool(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_pool_values),
        cmocka_unit_test(test_queue_limit),
        cmocka_unit_test(test_cancel_running),
        cmocka_unit_test(test_cancelled_makes_room),
        cmocka_unit_test(test_cancel_waiting),
        cmocka_unit_test(test_stop_with_work),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_pool_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
