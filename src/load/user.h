/* One connection and the requests on it: due, sent, answered or lost, recorded. Many thousands of
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

/* A request under way: sent, and neither answered nor lost; without keep-alive also before it is
 * sent, while its connection is made. Each user has --pipeline of them, used round and round. */
struct flight {
    struct flight *before, *after; /* among the generator's, in the order in which they began */
    struct user *user;
    uint64_t due_ns, sent_ns; /* clock_ns() */
    uint64_t number;          /* of the request, from 0, unique over threads */
    uint32_t step;            /* of the schedule, that the request was due in */
    bool is_sampled;          /* the body of its answer is kept */
};

struct user {
    struct client client;
    struct generator *generator;
    struct user *before, *after; /* in `list` */
    struct user_list *list;      /* NULL: none */
    struct user *next_unsent;    /* in the generator's list of users with unsent requests */

    struct flight *flights;              /* its own, a ring */
    uint16_t first_flight, flight_count; /* the oldest of those under way; how many they are */
    uint16_t unsent;                     /* the last of them, which leave with this turn */

    uint64_t free_ns;   /* since when the connection may take another request */
    uint64_t landed_ns; /* when its last request ended */
    bool has_request;   /* closed loop: took a request before it had a connection */
    bool has_thought;   /* clients ramp: its next request may be sent */
    bool is_open;
    unsigned address; /* the plan's, that was tried last */
    unsigned tries;   /* of addresses, before the start */
    bool was_wanted;  /* its connection was asked for */
    bool was_opened;  /* at least once */
    bool was_tried;   /* it was open once, or every address failed */
    bool was_useful;  /* an answer came since the connection was opened */
    uint64_t received_seen;
    struct bytes sample; /* the body of the oldest request's answer, if that is to be kept */

    struct timer think; /* clients ramp: until the next request */
    struct timer retry; /* until the connection may be tried again */
    uint64_t retry_wait_ns;
};

/* 18 000 connections are to cost at most 2 KiB each, with their share of what a thread has. */
_Static_assert(sizeof(struct user) + sizeof(struct flight) <= 1024, "a connection stays small");

/* Makes an idle user in zeroed memory, with room for flights. */
void user_init(struct user *u, struct generator *g, struct flight *flights);

/* Opens the connection; the client must be idle. */
void user_connect(struct user *u);

/* Whether another request may be begun: on the open connection, or without keep-alive by opening
 * one. */
bool user_has_room(const struct user *u);

/* Begins request `number`, which was due at `due_ns`; the user must have room. It leaves with
 * user_flush(), which must be called before the turn ends, and does nothing if nothing is unsent. */
void user_send(struct user *u, uint64_t due_ns, uint32_t step, uint64_t number, uint64_t now_ns);
void user_flush(struct user *u);

/* Tells the generator when `until_ns` has come. */
void user_think(struct user *u, uint64_t until_ns);

/* The oldest request under way is given up at the run's end: unfinished. */
void user_abandon(struct user *u, uint64_t now_ns);

/* Ends the connection for good: no retries. Nothing happens if it is idle. */
void user_quit(struct user *u);

/* Adds at the end, removes from the list the user is in (none: nothing happens), takes the first or
 * gives NULL. O(1). */
void user_list_add(struct user_list *l, struct user *u);
void user_list_remove(struct user *u);
struct user *user_list_take(struct user_list *l);

#endif
