#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"
#include "net/worker.h"

enum { POSTERS = 4, POSTS = 20000 };

static const struct ring_config ring_config = {
    .entries = 64, .completions = 256, .buffers = 8, .buffer_bytes = 256};

static void open_loop(struct loop *l)
{
    struct fail f = {0};
    if (!loop_open(l, &ring_config, &f))
        fail_msg("%s", f.text);
}

/* --- one thread --- */

struct note {
    struct task task;
    struct loop *loop;
    unsigned number, runs, again;
};

static unsigned order[64], order_len;

static void note_run(struct task *t)
{
    struct note *n = (struct note *)t;
    order[order_len++ % 64] = n->number;
    n->runs++;
    if (n->again) {
        n->again--;
        loop_defer(n->loop, t);
    }
}

/* What is put off runs in the next turn, in order, each once however often it was put off. */
static void test_defer(void **state)
{
    (void)state;
    struct loop l;
    open_loop(&l);
    struct note notes[5];
    order_len = 0;
    for (unsigned i = 0; i < 5; i++)
        notes[i] = (struct note){.task.run = note_run, .loop = &l, .number = i};
    for (unsigned i = 0; i < 10; i++)
        loop_defer(&l, &notes[i % 5].task);
    assert_int_equal(order_len, 0);
    loop_turn(&l, 0);
    assert_int_equal(order_len, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(order[i], i);
        assert_int_equal(notes[i].runs, 1);
    }
    loop_turn(&l, 0);
    assert_int_equal(order_len, 5);
    loop_close(&l);
}

/* A task that puts itself off again runs once a turn, and the turn before it does not wait. */
static void test_defer_again(void **state)
{
    (void)state;
    struct loop l;
    open_loop(&l);
    struct note n = {.task.run = note_run, .loop = &l, .again = 3};
    loop_defer(&l, &n.task);
    for (unsigned turn = 1; turn <= 3; turn++) {
        loop_turn(&l, RING_FOREVER);
        assert_int_equal(n.runs, turn);
    }
    loop_turn(&l, 0);
    assert_int_equal(n.runs, 4);
    loop_turn(&l, 0);
    assert_int_equal(n.runs, 4);
    loop_close(&l);
}

struct counted_hook {
    struct loop_hook hook;
    unsigned calls;
};

static void count_hook(struct loop_hook *h)
{
    ((struct counted_hook *)h)->calls++;
}

/* Every hook is called once a turn, until it is removed. */
static void test_hooks(void **state)
{
    (void)state;
    struct loop l;
    open_loop(&l);
    struct counted_hook hooks[3] = {{.hook.before_submit = count_hook},
                                    {.hook.before_submit = count_hook},
                                    {.hook.before_submit = count_hook}};
    for (int i = 0; i < 3; i++)
        loop_hook_add(&l, &hooks[i].hook);
    loop_turn(&l, 0);
    loop_hook_remove(&l, &hooks[1].hook);
    loop_turn(&l, 0);
    loop_hook_remove(&l, &hooks[0].hook);
    loop_hook_remove(&l, &hooks[0].hook);
    loop_turn(&l, 0);
    assert_int_equal(hooks[0].calls, 2);
    assert_int_equal(hooks[1].calls, 1);
    assert_int_equal(hooks[2].calls, 3);
    loop_close(&l);
}

struct alarm_clock {
    struct timer timer;
    struct loop *loop;
    uint64_t at_ns;
};

static void ring_alarm(struct timer *t)
{
    struct alarm_clock *a = (struct alarm_clock *)t;
    a->at_ns = a->loop->now_ns;
    loop_stop(a->loop);
}

/* A loop that waits for nothing else wakes for a timer, never early. */
static void test_timer_wakes(void **state)
{
    (void)state;
    struct loop l;
    open_loop(&l);
    struct alarm_clock a = {.timer.due = ring_alarm, .loop = &l};
    uint64_t due_ns = clock_ns() + 20 * NS_PER_MS;
    assert_true(timer_set(&l.timers, &a.timer, due_ns));
    loop_run(&l);
    assert_true(a.at_ns >= due_ns && a.at_ns < due_ns + 5 * NS_PER_S);
    loop_close(&l);
}

static uint64_t own_deadline_ns;

static uint64_t own_next_wake(struct loop *l)
{
    (void)l;
    return own_deadline_ns;
}

/* An owner's own deadline ends the wait as a timer's does. */
static void test_own_deadline_wakes(void **state)
{
    (void)state;
    struct loop l;
    open_loop(&l);
    own_deadline_ns = clock_ns() + 10 * NS_PER_MS;
    l.next_wake = own_next_wake;
    loop_turn(&l, RING_FOREVER);
    assert_true(l.now_ns >= own_deadline_ns);
    loop_close(&l);
}

static void stop_loop(struct task *t)
{
    loop_stop(((struct note *)t)->loop);
}

/* A loop may post to itself; what it posts runs after the wait began. */
static void test_post_to_itself(void **state)
{
    (void)state;
    struct loop l;
    open_loop(&l);
    struct note n = {.task.run = stop_loop, .loop = &l};
    loop_post(&l, &n.task);
    loop_run(&l);
    loop_close(&l);
}

/* --- several threads --- */

struct post {
    struct task task;
    unsigned poster, number;
};

static struct post posts[POSTERS][POSTS];
static unsigned next_number[POSTERS], posts_run;
static pthread_t loop_thread;

static void take_post(struct task *t)
{
    struct post *p = (struct post *)t;
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(p->number, next_number[p->poster]);
    next_number[p->poster]++;
    posts_run++;
}

struct poster {
    struct worker *worker;
    unsigned number;
};

static void *post_all(void *arg)
{
    const struct poster *p = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        posts[p->number][i] = (struct post){{.run = take_post}, p->number, i};
        loop_post(&p->worker->loop, &posts[p->number][i].task);
    }
    return NULL;
}

static bool remember_thread(struct worker *w, struct fail *f)
{
    (void)w, (void)f;
    loop_thread = pthread_self();
    return true;
}

static void stop_worker(struct worker *w)
{
    loop_stop(&w->loop);
}

/* Posts of four threads at once all run, on the loop's thread, each poster's in its order, and all
 * before a stop that was posted after them. */
static void test_posts_of_many(void **state)
{
    (void)state;
    struct worker w = {.name = "test", .ring = ring_config, .begin = remember_thread};
    struct fail f = {0};
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    assert_true(worker_start(&w, &f));
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){&w, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    worker_stop(&w, stop_worker);
    worker_join(&w);
    assert_int_equal(posts_run, POSTERS * POSTS);
}

struct player {
    struct worker worker;
    char name[16];
    int signals_blocked;
};

static bool look_around(struct worker *w, struct fail *f)
{
    struct player *p = (struct player *)w;
    sigset_t blocked;
    (void)f;
    pthread_getname_np(pthread_self(), p->name, sizeof p->name);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    p->signals_blocked = sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM);
    return true;
}

/* A worker has its name, takes no signals, and tells its CPU time after its end as before. */
static void test_worker(void **state)
{
    (void)state;
    struct player p = {.worker = {.name = "some-name", .ring = ring_config, .begin = look_around}};
    struct fail f = {0};
    assert_true(worker_start(&p.worker, &f));
    assert_string_equal(p.name, "some-name");
    assert_true(p.signals_blocked);
    uint64_t before_ns = worker_cpu_ns(&p.worker);
    assert_true(before_ns > 0);
    worker_stop(&p.worker, stop_worker);
    worker_join(&p.worker);
    worker_join(&p.worker);
    assert_true(worker_cpu_ns(&p.worker) >= before_ns);
}

static bool refuse(struct worker *w, struct fail *f)
{
    (void)w;
    return fail_set(f, EXIT_LACKING, "no, thanks");
}

/* A `begin` that fails makes the start fail with its words; a join is then nothing. */
static void test_worker_that_cannot_begin(void **state)
{
    (void)state;
    struct worker w = {.name = "test", .ring = ring_config, .begin = refuse};
    struct fail f = {0};
    assert_false(worker_start(&w, &f));
    assert_string_equal(f.text, "no, thanks");
    assert_int_equal(f.exit, EXIT_LACKING);
    worker_join(&w);
}

static unsigned ends;

static void count_end(struct worker *w)
{
    assert_true(w->loop.wake_fd >= 0);
    ends++;
}

/* Started, stopped and joined a hundred times: `end` is called each time, nothing is left over. */
static void test_worker_again_and_again(void **state)
{
    (void)state;
    ends = 0;
    for (int i = 0; i < 100; i++) {
        struct worker w = {.name = "test", .ring = ring_config, .end = count_end};
        struct fail f = {0};
        if (!worker_start(&w, &f))
            fail_msg("%s", f.text);
        worker_stop(&w, stop_worker);
        worker_join(&w);
    }
    assert_int_equal(ends, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defer),
        cmocka_unit_test(test_defer_again),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_timer_wakes),
        cmocka_unit_test(test_own_deadline_wakes),
        cmocka_unit_test(test_post_to_itself),
        cmocka_unit_test(test_posts_of_many),
        cmocka_unit_test(test_worker),
        cmocka_unit_test(test_worker_that_cannot_begin),
        cmocka_unit_test(test_worker_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
