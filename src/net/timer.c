/* A heap of four children a node, one-based. A timer whose deadline has moved later stays where it
 * is; timers_run() finds it early and sinks it to its new place. */
#include "net/timer.h"

#include <stdlib.h>

enum { CHILDREN = 4 };

static size_t parent_of(size_t place)
{
    return (place - 2) / CHILDREN + 1;
}

static size_t first_child_of(size_t place)
{
    return (place - 1) * CHILDREN + 2;
}

static void put(struct timers *ts, size_t place, struct timer *t)
{
    ts->heap[place] = t;
    t->place = place;
}

static void rise(struct timers *ts, struct timer *t)
{
    size_t place = t->place;
    while (place > 1 && ts->heap[parent_of(place)]->queued_ns > t->queued_ns) {
        put(ts, place, ts->heap[parent_of(place)]);
        place = parent_of(place);
    }
    put(ts, place, t);
}

static size_t earliest_child(const struct timers *ts, size_t place)
{
    size_t first = first_child_of(place), best = 0;
    for (size_t child = first; child < first + CHILDREN && child <= ts->count; child++)
        if (!best || ts->heap[child]->queued_ns < ts->heap[best]->queued_ns)
            best = child;
    return best;
}

static void sink(struct timers *ts, struct timer *t)
{
    size_t place = t->place, child;
    while ((child = earliest_child(ts, place)) && ts->heap[child]->queued_ns < t->queued_ns) {
        put(ts, place, ts->heap[child]);
        place = child;
    }
    put(ts, place, t);
}

static bool heap_room(struct timers *ts)
{
    if (ts->count + 1 < ts->room)
        return true;
    size_t room = ts->room ? ts->room * 2 : 64;
    struct timer **heap = realloc(ts->heap, room * sizeof *heap);
    if (!heap)
        return false;
    ts->heap = heap;
    ts->room = room;
    return true;
}

bool timer_set(struct timers *ts, struct timer *t, uint64_t deadline_ns)
{
    CHECK(t->due && deadline_ns != TIMER_NEVER);
    t->deadline_ns = deadline_ns;
    if (t->place) {
        if (deadline_ns < t->queued_ns) {
            t->queued_ns = deadline_ns;
            rise(ts, t);
        }
        return true;
    }
    if (!heap_room(ts)) {
        t->deadline_ns = TIMER_NEVER;
        return false;
    }
    t->queued_ns = deadline_ns;
    t->place = ++ts->count;
    rise(ts, t);
    return true;
}

static void take_out(struct timers *ts, struct timer *t)
{
    struct timer *last = ts->heap[ts->count--];
    size_t place = t->place;
    t->place = 0;
    if (last == t)
        return;
    put(ts, place, last);
    rise(ts, last);
    sink(ts, last);
}

void timer_clear(struct timers *ts, struct timer *t)
{
    if (t->place)
        take_out(ts, t);
    t->deadline_ns = TIMER_NEVER;
}

void timers_run(struct timers *ts, uint64_t now_ns)
{
    while (ts->count && ts->heap[1]->queued_ns <= now_ns) {
        struct timer *t = ts->heap[1];
        if (t->deadline_ns > now_ns) {
            t->queued_ns = t->deadline_ns;
            sink(ts, t);
            continue;
        }
        take_out(ts, t);
        t->deadline_ns = TIMER_NEVER;
        t->due(t);
    }
}

uint64_t timers_next(const struct timers *ts)
{
    return ts->count ? ts->heap[1]->queued_ns : TIMER_NEVER;
}

void timers_free(struct timers *ts)
{
    free(ts->heap);
    *ts = (struct timers){0};
}
