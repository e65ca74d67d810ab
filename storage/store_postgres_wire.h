/* The insert on the wire by libpq in pipeline mode, never blocking: what it sends and what comes
 * back, without knowledge of polls, deadlines or queues. Every connection begins with it; those
 * whose bytes are encrypted stay with it. */
#ifndef STORAGE_STORE_POSTGRES_WIRE_H
#define STORAGE_STORE_POSTGRES_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "storage/store.h"

struct pg_conn;

/* The prepared insert, as store_postgres_wire_begin() names it and with its parameters. */
#define STORE_POSTGRES_STATEMENT "iubench"
enum { STORE_POSTGRES_PARAMETERS = 4 }; /* uuid, mac, firmware, time; all in binary */

enum store_postgres_reply_kind {
    WIRE_NOTHING, /* more has to arrive first */
    WIRE_OK,      /* the statement was prepared; or nothing that would not be known already */
    WIRE_ROW,     /* inserted, not yet committed; `id` is set */
    WIRE_NO_ROW,  /* a rule or a trigger took the row: nothing is stored of this insert */
    WIRE_ERROR,   /* the server's error; `sqlstate` and `is_fatal` are set */
    WIRE_SYNC, /* what was done since the last one is committed, or undone if there was an error */
    WIRE_LOST, /* the connection is over; nothing more will come */
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

/* Whether the connection's bytes are the protocol's own (store_postgres_frames.h), so that another
 * than libpq may write and read them; under TLS and GSS they are not. */
bool store_postgres_wire_is_plain(struct pg_conn *conn);

/* A time as the protocol has it: microseconds since 2000-01-01. */
static inline int64_t store_postgres_wire_time(int64_t since_epoch_us)
{
    return since_epoch_us - INT64_C(946684800) * 1000000;
}

/* Queues one insert, and a Sync, which commits the inserts since the last one. They bring WIRE_ROW
 * or WIRE_NO_ROW each in turn, or WIRE_ERROR for the whole rest of their transaction, then
 * WIRE_SYNC. False: the connection is over, and whether the insert was done is not known. */
bool store_postgres_wire_insert(struct pg_conn *conn, int schema,
                                const struct store_insert *i) MUST_USE;
bool store_postgres_wire_sync(struct pg_conn *conn) MUST_USE;

/* Sends what is queued. 1: the socket is full, call again once it is writable or readable; 0: all
 * is sent; -1: the connection is over. */
int store_postgres_wire_flush(struct pg_conn *conn) MUST_USE;

/* Takes what has arrived. False: the connection is over, but replies that came before its end are
 * still to be had. */
bool store_postgres_wire_receive(struct pg_conn *conn) MUST_USE;

/* The next reply of what was received. */
struct store_postgres_reply store_postgres_wire_next(struct pg_conn *conn);

/* What an error means for an insert that is alone in its transaction: the server rolled it back. */
enum store_outcome store_postgres_wire_outcome(const struct store_postgres_reply *r);

/* Whether an error says that the statement has to be prepared again: the table has been made anew
 * with other types, or the statement is gone. */
bool store_postgres_wire_is_outdated(const struct store_postgres_reply *r);

#endif
