/* One thread's event loop: its ring, its deadlines, what other threads posted to it, and what was
 * put off to the next turn. A turn: run what is due, let the hooks queue their sends, then one
 * enter into the kernel, then the completions. While the ring is behind, a turn only enters and
 * completes: whoever put something off until his send is certain is not called before it is. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "net/ring.h"
#include "net/timer.h"

/* Work handed to a loop, by another thread (loop_post) or by itself (loop_defer). Embedded in its
 * owner, which must stay until `run` was called; in one list at a time. */
struct task {
    void (*run)(struct task *t);
    struct task *next;
    bool is_queued; /* by loop_defer */
};

/* Called once per turn, right before the loop enters the kernel: the place to send what the turn
 * has collected. */
struct loop_hook {
    void (*before_submit)(struct loop_hook *h);
    struct loop_hook *next;
};

struct loop {
    struct ring ring;
    struct timers timers;
    uint64_t now_ns; /* clock_ns() as of the start of this turn's completions: use it instead of
                        reading again */
    struct loop_hook *hooks;
    struct task *deferred, **deferred_end;
    _Atomic(struct task *) posted;
    int wake_fd;
    struct op wake;
    uint64_t wake_value;
    bool is_stopping; /* loop_run() ends after this turn */
    uint64_t (*next_wake)(
        struct loop *l); /* optional: an owner's own next deadline (ns), asked before waiting */
    void *owner;         /* whatever the role keeps per thread */
};

/* Opens the ring on the calling thread, which from then on is the loop's; on failure as
 * ring_open(). Closed by the same thread, after the last completion. */
bool loop_open(struct loop *l, const struct ring_config *config, struct fail *f) MUST_USE;
void loop_close(struct loop *l);

/* Turns until loop_stop() was called. */
void loop_run(struct loop *l);
void loop_turn(struct loop *l, uint64_t wait_ns);
static inline void loop_stop(struct loop *l)
{
    l->is_stopping = true;
}

/* Calls the hook in every turn until it is removed; it stays its owner's. */
void loop_hook_add(struct loop *l, struct loop_hook *h);
void loop_hook_remove(struct loop *l, struct loop_hook *h); /* not from within a hook */

/* Runs `t` in the next turn, which then does not wait. Same thread only; a task that is queued
 * already stays queued once. */
void loop_defer(struct loop *l, struct task *t);

/* Runs `t` on the loop's thread, soon, in the order posted. Any thread. The loop must still be
 * open. */
void loop_post(struct loop *l, struct task *t);

#endif
