/* What threads count, and how it comes together. A thread fills a block; once a second it changes
 * to its other block, and the collecting thread adds the filled one to the row of that second, to
 * the step of the schedule that each request was due in, and to the whole run. Threads and
 * collector never touch the same block, so recording takes no lock. */
#ifndef LOAD_SERIES_H
#define LOAD_SERIES_H

#include "load/load.h"
#include "load/plan.h"

/* --- a thread's side --- */

/* What became of requests that were due in one step. */
struct tally {
    uint32_t step;
    bool is_used;
    struct load_counts counts; /* `scheduled`: taken from the schedule, sent or not */
    uint64_t sent_in_time;     /* sent while their step lasted, or within a hundredth after it */
    struct hist *latency, *service, *send_lag; /* NULL until needed; the latter two: open loop */
    struct hist *others[LOAD_STATUS_CLASSES];  /* of `latency`, what is no 2xx */
};

struct block {
    struct tally *tallies; /* a step's place is its number modulo `room` */
    unsigned room;         /* grows if the thread was held up for longer than requests live */

    /* when the block was handed over */
    uint32_t in_flight, backlog, connections_open;
};

/* An empty block with room for the steps that can be under way; emptied; freed. */
void block_open(struct block *b, const struct load_plan *plan);
void block_clear(struct block *b);
void block_close(struct block *b);

struct tally *block_tally_new(struct block *b, uint32_t step); /* for block_tally() */

/* The tally of a step in this block. */
static inline struct tally *block_tally(struct block *b, uint32_t step)
{
    struct tally *t = &b->tallies[step % b->room];
    return t->is_used && t->step == step ? t : block_tally_new(b, step);
}

void tally_record(struct hist **h, uint64_t ns); /* makes the histogram when it is the first */

/* --- the collector's side --- */

/* A step over all threads; its rows are the seconds whose middle lies in it. */
struct step_sum {
    struct tally tally;
    uint64_t answered_rows; /* answers that came in its rows */
    uint64_t due_rows;      /* answers that should have: see series_second() */
};

struct series {
    const struct load_plan *plan;
    struct load_second *rows;
    unsigned row_count, row_room;

    struct load_counts total;
    struct hist *latency, *service, *send_lag; /* the whole run */

    struct load_second row; /* the second being added up */
    struct hist *row_latency, *row_service, *row_send_lag;
    struct hist *row_others[LOAD_STATUS_CLASSES]; /* NULL until needed */
    uint64_t row_begin_ns;                        /* from the start */
    uint64_t end_ns; /* from the start: nothing is due from here on; UINT64_MAX: the schedule's */
    double service_mean_ns; /* of the last row that had answers */

    struct step_sum *steps; /* those that may still change; place as in a block */
    unsigned step_room;
    uint32_t step_first;  /* the first that may */
    struct step_sum held; /* the highest step that was held, if held.tally.is_used */
    unsigned slack_rows;  /* rows in a row in which the target did not keep up */
};

/* Opens an empty series; closing it frees what load.c has not taken out of it. */
void series_open(struct series *s, const struct load_plan *plan);
void series_close(struct series *s);

/* Adds what one thread counted since its last block. */
void series_add(struct series *s, const struct block *b);

/* Ends the row at `end_ns` from the start. The target keeps up in a row if at least 95 % of the
 * answers that were to be expected came, and 99 % of what ended was good. Expected are the requests
 * that were due in the row as it was one mean service time earlier: a target that takes half a
 * second for each answer is not slow to keep up. Returns the row, with its histograms, valid until
 * series_next(). */
struct load_second *series_second(struct series *s, uint64_t end_ns, double client_cpu_pct);

/* Begins the next row. */
void series_next(struct series *s);

/* Nothing is due from `end_ns` from the start on, whatever the schedule says. */
void series_cut(struct series *s, uint64_t end_ns);

/* Whether the target has not kept up for three rows in a row. */
bool series_is_over(const struct series *s);

/* Judges the steps that are left; steps that end after `end_ns` were cut short. */
void series_finish(struct series *s, uint64_t end_ns);

#endif
