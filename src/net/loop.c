/* The order of a turn: what was put off, what is due, what the hooks want to send, one enter, what
 * completed. */
#include "net/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

static void woken(struct op *op, int res, unsigned flags);

bool loop_open(struct loop *l, const struct ring_config *config, struct fail *f)
{
    *l = (struct loop){.wake_fd = -1};
    l->deferred_end = &l->deferred;
    if (!ring_open(&l->ring, config, f))
        return false;
    l->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (l->wake_fd < 0) {
        ring_close(&l->ring);
        return fail_set(f, EXIT_LACKING, "no event descriptor could be had: %s", strerror(errno));
    }
    op_init(&l->wake, woken);
    ring_read_event(&l->ring, &l->wake, l->wake_fd, &l->wake_value);
    l->now_ns = clock_ns();
    return true;
}

void loop_close(struct loop *l)
{
    ring_close(&l->ring);
    close(l->wake_fd);
    timers_free(&l->timers);
}

void loop_run(struct loop *l)
{
    while (!l->is_stopping)
        loop_turn(l, RING_FOREVER);
}

static void run_deferred(struct loop *l)
{
    struct task *t = l->deferred;
    l->deferred = NULL;
    l->deferred_end = &l->deferred;
    while (t) {
        struct task *next = t->next;
        t->is_queued = false;
        t->run(t);
        t = next;
    }
}

static uint64_t wait_until(struct loop *l)
{
    uint64_t until = timers_next(&l->timers);
    if (l->next_wake) {
        uint64_t own = l->next_wake(l);
        if (own < until)
            until = own;
    }
    return until;
}

void loop_turn(struct loop *l, uint64_t wait_ns)
{
    if (!l->ring.is_behind) {
        run_deferred(l);
        timers_run(&l->timers, l->now_ns);
        for (struct loop_hook *h = l->hooks; h; h = h->next)
            h->before_submit(h);
    }
    if (l->deferred || l->is_stopping)
        wait_ns = 0;
    if (wait_ns) {
        uint64_t until = wait_until(l);
        if (until != TIMER_NEVER) {
            uint64_t now_ns = clock_ns();
            uint64_t left_ns = until > now_ns ? until - now_ns : 0;
            if (left_ns < wait_ns)
                wait_ns = left_ns;
        }
    }
    ring_enter(&l->ring, wait_ns);
    l->now_ns = clock_ns();
    ring_complete(&l->ring);
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
    struct loop_hook **end = &l->hooks;
    while (*end)
        end = &(*end)->next;
    h->next = NULL;
    *end = h;
}

void loop_hook_remove(struct loop *l, struct loop_hook *h)
{
    struct loop_hook **at = &l->hooks;
    while (*at && *at != h)
        at = &(*at)->next;
    if (*at)
        *at = h->next;
}

void loop_defer(struct loop *l, struct task *t)
{
    if (t->is_queued)
        return;
    t->is_queued = true;
    t->next = NULL;
    *l->deferred_end = t;
    l->deferred_end = &t->next;
}

/* --- between threads --- */

/* A stack: whoever finds it empty wakes the loop, which takes it whole and turns it round. */
void loop_post(struct loop *l, struct task *t)
{
    struct task *top = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do
        t->next = top;
    while (!atomic_compare_exchange_weak_explicit(&l->posted, &top, t, memory_order_release,
                                                  memory_order_relaxed));
    if (!top) {
        uint64_t one = 1;
        if (write(l->wake_fd, &one, sizeof one) != sizeof one)
            fail_end(EXIT_FAILED, "a thread could not be woken (write to an eventfd: %s)",
                     strerror(errno));
    }
}

static void woken(struct op *op, int res, unsigned flags)
{
    struct loop *l = (struct loop *)((char *)op - offsetof(struct loop, wake));
    struct task *t = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire),
                *in_order = NULL;
    (void)res, (void)flags;
    ring_read_event(&l->ring, &l->wake, l->wake_fd, &l->wake_value);
    while (t) {
        struct task *next = t->next;
        t->next = in_order;
        in_order = t;
        t = next;
    }
    while (in_order) {
        struct task *next = in_order->next;
        in_order->run(in_order);
        in_order = next;
    }
}
