/* One connection and the request on it: due, sent, answered or lost, recorded. Many thousands of
 * them make a load; all of a thread's users belong to its generator. */
#ifndef LOAD_USER_H
#define LOAD_USER_H

#include "conn/client.h"

struct generator;

/* A list of users, first in first out. A user is in at most one at a time. */
struct user_list {
    struct user *first, *last;
    uint32_t count;
};

struct user {
    struct client client;
    struct generator *generator;
    struct user *before, *after; /* in `list` */
    struct user_list *list;      /* NULL: none */

    uint64_t due_ns, sent_ns; /* of the request in flight (clock_ns()) */
    uint64_t free_ns;         /* since when the connection waits for a request */
    uint32_t step;            /* of the schedule, that the request was due in */
    bool has_request; /* closed loop: a request is this user's to make; open loop: in flight */
    bool has_thought; /* clients ramp: its next request may be sent */
    bool is_flying;   /* sent, and neither answered nor lost */
    bool is_open;
    unsigned address; /* the plan's, that was tried last */
    unsigned tries;   /* of addresses, before the start */
    bool was_tried;   /* it was open once, or every address failed */
    bool was_useful;  /* an answer came since the connection was opened */
    uint64_t received_seen;
    bool is_sampled; /* the body of this answer is kept: */
    struct bytes sample;

    struct timer think; /* clients ramp: until the next request */
    struct timer retry; /* until the connection may be tried again */
    uint64_t retry_wait_ns;
};

/* Makes an idle user in zeroed memory. */
void user_init(struct user *u, struct generator *g);

/* Opens the connection; the client must be idle. */
void user_connect(struct user *u);

/* Sends the request that was due at `due_ns`; the connection must be usable. */
void user_send(struct user *u, uint64_t due_ns, uint32_t step, uint64_t now_ns);

/* Tells the generator when `until_ns` has come. */
void user_think(struct user *u, uint64_t until_ns);

/* The request in flight is given up at the run's end: unfinished. */
void user_abandon(struct user *u, uint64_t now_ns);

/* Ends the connection for good: no retries. Nothing happens if it is idle. */
void user_quit(struct user *u);

/* Adds at the end, removes from the list the user is in (none: nothing happens), takes the first or
 * gives NULL. O(1). */
void user_list_add(struct user_list *l, struct user *u);
void user_list_remove(struct user *u);
struct user *user_list_take(struct user_list *l);

#endif
