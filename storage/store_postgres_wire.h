/* The insert on the wire: libpq in pipeline mode, never blocking. What it sends and what comes
 * back, without knowledge of polls, deadlines or queues. */
#ifndef STORAGE_STORE_POSTGRES_WIRE_H
#define STORAGE_STORE_POSTGRES_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "storage/store.h"

struct pg_conn;

enum store_postgres_reply_kind {
    WIRE_NOTHING, /* more has to arrive first */
    WIRE_OK,      /* the statement was prepared */
    WIRE_ROW,     /* inserted, not yet committed; `id` is set */
    WIRE_ERROR,   /* the server's error for the statement; `sqlstate` and `is_fatal` are set */
    WIRE_SYNC,    /* what the statement did is committed, or rolled back if there was an error */
    WIRE_LOST,    /* the connection is over; nothing more will come */
};

struct store_postgres_reply {
    enum store_postgres_reply_kind kind;
    int64_t id;
    char sqlstate[6];
    bool is_fatal; /* the server ends the connection with it */
};

/* A connected PGconn enters pipeline mode and the insert is queued to be prepared, for the columns
 * of `schema` (enum storage_schema). Brings WIRE_OK, then WIRE_SYNC. False: the connection is over.
 */
bool store_postgres_wire_begin(struct pg_conn *conn, int schema) MUST_USE;

/* Queues one insert with a Sync of its own, which makes it a transaction of its own. Brings
 * WIRE_ROW or WIRE_ERROR, then WIRE_SYNC; replies come in the order of the inserts. False: the
 * connection is over, and whether the insert was done is not known. */
bool store_postgres_wire_insert(struct pg_conn *conn, int schema,
                                const struct store_insert *i) MUST_USE;

/* Sends what is queued. 1: the socket is full, call again once it is writable or readable; 0: all
 * is sent; -1: the connection is over. */
int store_postgres_wire_flush(struct pg_conn *conn) MUST_USE;

/* Takes what has arrived. False: the connection is over, but replies that came before its end are
 * still to be had. */
bool store_postgres_wire_receive(struct pg_conn *conn) MUST_USE;

/* The next reply of what was received. */
struct store_postgres_reply store_postgres_wire_next(struct pg_conn *conn);

/* What an error means for the one insert that it answers: the server rolled it back. */
enum store_outcome store_postgres_wire_outcome(const struct store_postgres_reply *r);

#endif
