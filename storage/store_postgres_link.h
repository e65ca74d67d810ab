/* The life of one PostgreSQL connection on a loop: connecting, preparing, ready, lost, waiting to
 * try again; and the inserts that are under way on it. A loss is noticed by the socket or by the
 * deadline of the oldest insert.
 *
 * libpq connects, authenticates and prepares. Where the connection is not encrypted, inserts and
 * replies then travel over the ring as frames of our own (store_postgres_frames.h): the inserts of
 * a turn in one send, the replies where the kernel put them. libpq's PGconn owns the socket to its
 * end, but reads and writes no more. Elsewhere libpq does that as well (store_postgres_wire.h). */
#ifndef STORAGE_STORE_POSTGRES_LINK_H
#define STORAGE_STORE_POSTGRES_LINK_H

#include "base/bytes.h"
#include "base/rng.h"
#include "net/loop.h"
#include "storage/inserts.h"
#include "storage/store_postgres_frames.h"
#include "storage/store_postgres_setup.h"

enum store_postgres_link_state {
    LINK_WAITING,    /* until it is time to try again */
    LINK_CONNECTING, /* libpq speaks with the server (PQconnectPoll) */
    LINK_PREPARING,  /* the statement is being prepared */
    LINK_READY,
    LINK_CLOSING, /* lost; the kernel still holds operations of its socket */
};

struct store_postgres_link;

/* All on the loop's thread. `lost` follows a `ready` (or the open); inserts that were under way are
 * in `unknown`, whose members are the callee's then. It may come from within any call below. */
struct store_postgres_link_events {
    void (*ready)(struct store_postgres_link *l);
    void (*answered)(struct store_postgres_link *l, struct store_insert *i,
                     enum store_outcome outcome);
    void (*lost)(struct store_postgres_link *l, struct insert_queue *unknown);
    /* A transaction that several inserts shared was rolled back, for the error of one or of all;
     * they are the callee's then, to be tried alone. */
    void (*undone)(struct store_postgres_link *l, struct insert_queue *group);
};

struct store_postgres_link {
    const struct store_postgres_link_events *events;
    void *owner;
    const struct store_postgres_server *server;
    struct loop *loop;

    enum store_postgres_link_state state;
    struct pg_conn *conn;
    struct op readable, writable;
    struct timer timer; /* always armed, so that moving it never needs memory */
    uint64_t tried_ns;  /* when the attempt to connect began, or when the next one will */
    uint64_t backoff_ns;
    struct rng rng;
    struct insert_queue
        under_way;                /* in the order of their replies, one transaction after another */
    struct store_insert *replied; /* the last of the oldest transaction that has its reply, but no
                                      commit yet; NULL: none has */
    bool has_error;               /* the oldest transaction was rolled back */
    bool is_outdated;             /* its statement is of no more use: with nothing under way it is
                                     given up, to begin anew */
    uint32_t open_count;          /* inserts at the end whose transaction may take more */
    bool is_dirty;                /* inserts were queued since the last flush */

    /* of frames of our own */
    bool is_direct;
    bool is_parked; /* the socket was full; nothing more may be sent before `rest` is */
    struct op arrival, sending, parked;
    struct store_insert *unsent; /* the first in under_way that was not sent */
    struct span sent;            /* in the turn under way */
    struct bytes rest;           /* what the socket did not take */
    struct store_postgres_stream stream;

    bool is_ending;
};

/* Connects and prepares at once, blocking: a store that starts is ready or says why not. `owner`,
 * `events`, `server` and `loop` are set by the caller. `ready` is not called. */
bool store_postgres_link_open(struct store_postgres_link *l, struct fail *f) MUST_USE;

/* Whether an insert may be queued now. */
static inline bool store_postgres_link_takes(const struct store_postgres_link *l)
{
    return l->state == LINK_READY && !l->is_parked && !l->is_outdated;
}

/* Queues an insert on a link that takes one. Up to server->batch inserts that are queued between two
 * flushes, and are not to be alone, share a transaction. */
void store_postgres_link_insert(struct store_postgres_link *l, struct store_insert *i);

/* Sends what was queued; in the hook before the loop enters the kernel. */
void store_postgres_link_flush(struct store_postgres_link *l);

/* Ends the link for good; `lost` is called if it was ready. */
void store_postgres_link_close(struct store_postgres_link *l);

/* After the loop's last turn: closes the socket, which until then keeps its number from being given
 * to a stranger while the kernel still knows of our operations. */
void store_postgres_link_free(struct store_postgres_link *l);

#endif
