/* What the client's own threads used of their cores, over any part of a run: whether the client was
 * the limit is asked of the time that is quoted, which on a ramp is one stage of it.
 *
 * The collecting thread marks the run at its start, each second, and at the end of what is due. */
#ifndef LOAD_EFFORT_H
#define LOAD_EFFORT_H

#include <stdint.h>

#include "load/generator.h"

struct effort_mark {
    uint64_t at_ns; /* clock_ns() */
    struct worker_time *threads;
};

struct effort {
    unsigned thread_count;
    struct effort_mark *marks; /* in the order of time */
    unsigned mark_count, mark_room;
};

/* In percent of one core. */
struct effort_share {
    double cpu_pct;       /* summed over threads */
    double worst_cpu_pct; /* of the thread that had least left ... */
    double
        worst_starved_pct; /* ... and for how long it was ready and had no core, proc(5) schedstat */
};

/* Notes what each thread has used by now. */
void effort_mark(struct effort *e, const struct generator *generators, unsigned count);

/* Between the marks nearest to these two, at least from one mark to the next. Needs two marks. */
struct effort_share effort_between(const struct effort *e, uint64_t begin_ns, uint64_t end_ns);

void effort_free(struct effort *e);

#endif
