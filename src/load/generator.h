/* One thread of the load generator: its users, its part of the schedule, its counts.
 *
 * Closed loop: a user that is ready takes the next of the thread's requests. Open loop: thread i of
 * T takes the indices k = i mod T of the schedule (of those that are this shard's, load/shard.h); what is due and not sent is a range of indices,
 * shared by all users of the thread, so that a slow connection delays nobody's request: the oldest
 * due index goes to the connection that has been free for longest.
 *
 * The collecting thread gives orders by posting tasks; the generator replies by counting up in
 * `struct crew` and waking it. */
#ifndef LOAD_GENERATOR_H
#define LOAD_GENERATOR_H

#include <stdatomic.h>

#include "base/rng.h"
#include "load/series.h"
#include "load/user.h"
#include "load/waking.h"
#include "net/worker.h"

/* What the generators of a run share. */
struct crew {
    int wake_fd; /* eventfd(2): something below changed */
    _Atomic unsigned ready, swapped, finished;
};

enum generator_phase {
    GENERATOR_CONNECTING, /* before the start */
    GENERATOR_RUNNING,    /* sends, and after the window awaits what is under way */
    GENERATOR_FINISHED,   /* nothing is due or under way any more */
    GENERATOR_CLOSING,
};

/* That a run is to end, see generator_end(). */
struct end_order {
    struct task task;
    struct generator *generator;
    uint64_t window_end_ns, hard_end_ns;
};

struct generator {
    struct worker worker;
    const struct load_plan *plan;
    struct crew *crew;
    unsigned index; /* 0 to threads - 1 */
    struct user *users;
    uint32_t user_count;
    struct flight *flights; /* of all users */
    struct user_list
        ready; /* closed loop: may want to send; open loop: nothing under way on them */
    struct user_list unconnected; /* to be connected, whether or not a request is due */
    struct user_list spare;       /* with requests under way, and room for more (--pipeline) */
    struct flight *first_flight, *last_flight; /* under way, oldest first */
    uint32_t flight_count;
    struct user *unsent_users, **unsent_end; /* with requests that leave in this turn */
    struct rng rng;                          /* of think times, and for what requests have drawn */
    struct loop_hook hook;
    enum generator_phase phase;
    uint32_t connecting_count, connecting_max; /* at once; the latter adapts */
    uint64_t connecting_cut_ns;                /* when it was last made smaller */
    uint32_t first_tries; /* CONNECTING: users whose first connection is still being tried */
    unsigned address;     /* index of the plan's address that is used */
    unsigned reached;     /* a bit for each of them that a connection to stood */
    uint32_t open_count;
    uint32_t wanted_count;  /* users whose connection was asked for; not that of one who thinks */
    uint32_t opened_count;  /* ... and stood at least once */
    uint64_t open_total;    /* connections that were ever open */
    uint32_t closing_count; /* CLOSING: connections that are not yet closed */

    /* when; clock_ns() */
    bool has_begun; /* a turn was taken after the start */
    uint64_t start_ns;
    uint64_t window_end_ns; /* nothing is due from here on */
    uint64_t hard_end_ns;   /* what is under way then is unfinished */

    /* closed loop */
    uint32_t active_count;  /* the first users, which take part; all but on a clients ramp */
    uint64_t next_stage_ns; /* when more take part; TIMER_NEVER: never */
    uint64_t requests_left; /* that may still be begun; UINT64_MAX: as many as fit the window */
    uint32_t requests_out;  /* begun and not ended */
    uint64_t request_count; /* sent so far */

    /* open loop */
    uint64_t next_k, end_k; /* the oldest due index that was not sent; index past the last */
    uint64_t next_due_ns;   /* its time; TIMER_NEVER when there is none */
    uint32_t next_step;     /* its step; on a clients ramp the present one */
    struct pace_walk walk;
    uint64_t first_ok_ns;
    struct waking waking;
    uint64_t asleep_until_ns; /* the wake that the last turn asked for; 0: it did not sleep */

    /* counts; read by others only when the thread has ended */
    struct block blocks[2], *block; /* the one being filled */
    uint64_t connect_failures, descriptor_failures, port_failures;
    int connect_errno;
    int first_errno; /* of the first tries, if none of them stood; settled before `ready` is told */
    uint64_t ok_in_window;   /* open loop: answers within a window that begins with the first */
    uint64_t overrun_ns;     /* closed loop: time that users went on after the window, summed */
    uint64_t last_end_ns;    /* when the last request ended */
    uint64_t service_sum_ns; /* of all requests, whatever became of them */
    uint64_t ended;
    double flying_ns; /* requests in flight, integrated over time by turns */
    uint64_t flying_since_ns;
    uint32_t flying_count; /* after the last turn */

    /* the latest of the bodies that are kept, a ring of plan->config.samples */
    struct load_sample *samples;
    uint64_t
        statuses[LOAD_STATUSES]; /* answers by their status, so that it can be said what came */
    uint64_t sampled;            /* so far */
    uint64_t asked;              /* requests sent, of which every LOAD_SAMPLE_EVERY-th is sampled */

    struct task start_task, swap_task;
    struct block *swapped;    /* the block that was handed over */
    uint64_t start_order_ns;  /* when to start */
    struct end_order ends[2]; /* the collecting thread's until they are posted */
    unsigned end_count;       /* of them, posted; the collecting thread's */
};

/* --- orders, from the collecting thread --- */

/* Starts the thread; it opens its connections and counts `ready` up when each was tried once. */
bool generator_start(struct generator *g, const struct load_plan *plan, struct crew *crew,
                     unsigned index, struct fail *f) MUST_USE;

/* Begins to send at `start_ns`. */
void generator_go(struct generator *g, uint64_t start_ns);

/* Hands over the block filled so far as g->swapped and counts `swapped` up; that block is the
 * generator's again at the next call, and must be cleared by then. */
void generator_swap(struct generator *g);

/* Nothing is due from `window_end_ns` on; what is under way at `hard_end_ns` is unfinished. At most
 * twice: a run that was ended may be interrupted while its last answers are awaited. */
void generator_end(struct generator *g, uint64_t window_end_ns, uint64_t hard_end_ns);

/* Closes the connections, ends the thread and waits for that; the counts stay. */
void generator_stop(struct generator *g);
/* After that: moves what was sampled to `out`, which has room for plan->config.samples; returns how
 * many there are. */
unsigned generator_take_samples(struct generator *g, struct load_sample *out);
void generator_free_memory(struct generator *g);

/* --- from its users --- */

/* What happened to a user's connection and request; `now_ns` is the turn's time. */
void generator_opened(struct generator *g, struct user *u);
/* Counts a connection that could not be had; true: there is another address to try at once. */
bool generator_connect_failed(struct generator *g, struct user *u, int error_code);
void generator_landed(struct generator *g, struct user *u, const struct flight *flight,
                      uint64_t now_ns);
void generator_succeeded(struct generator *g, uint64_t now_ns);
/* Whether the request that is sent now is a sampled one; keeps its answer, whose memory is taken. */
bool generator_samples(struct generator *g);
void generator_sampled(struct generator *g, struct bytes *body, uint64_t now_ns);
void generator_free(struct generator *g, struct user *u);    /* it may have room */
void generator_thought(struct generator *g, struct user *u); /* its think time is over */
void generator_idle(struct generator *g, struct user *u);    /* there is no connection */
void generator_closed(struct generator *g);

#endif
