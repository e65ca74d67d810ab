/* Deadlines of one thread: a heap of timers with nanosecond deadlines. A timer lives inside its
 * owner. Moving a deadline later, which every request does, only stores it: the heap is put right
 * when the old deadline comes up. */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

#define TIMER_NEVER UINT64_MAX

struct timer;
typedef void timer_due_f(struct timer *t);

struct timer {
    timer_due_f *due; /* called from timers_run() once the deadline has passed; the timer is unarmed
                         by then */
    uint64_t deadline_ns; /* on clock_ns(); TIMER_NEVER when not armed */
    uint64_t queued_ns;   /* where it stands in the heap; private */
    size_t place;         /* 1-based place in the heap, 0 when not in it; private */
};

struct timers {
    struct timer **heap; /* heap[1] is the earliest; 4 children each */
    size_t count, room;
};

/* Arms or moves `t`. O(1) when the deadline moves later, else O(log n). False only if memory is
 * out. */
bool timer_set(struct timers *ts, struct timer *t, uint64_t deadline_ns);

/* Disarms `t`; nothing happens if it is not armed. Must be called before the owner's memory is
 * reused. O(log n). */
void timer_clear(struct timers *ts, struct timer *t);

/* Calls `due` of every timer whose deadline is at or before `now_ns`. */
void timers_run(struct timers *ts, uint64_t now_ns);

/* The time of the earliest look that timers_run() has to take, TIMER_NEVER if there is none. May be
 * too early, never late. */
uint64_t timers_next(const struct timers *ts);

/* Frees the heap; timers that are armed are forgotten, not called. */
void timers_free(struct timers *ts);

#endif
