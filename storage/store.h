/* The one interface to what keeps devices: an insert, confirmed when its row is committed. A store
 * belongs to one loop and is used on its thread alone. Adapters: PostgreSQL
 * (storage/store_postgres.c), SQLite (storage/store_sqlite.c). */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/span.h"
#include "base/uuid.h"
#include "metrics/hist.h"
#include "net/loop.h"

enum store_outcome {
    STORE_DONE,        /* committed (PostgreSQL, SQLite); set and confirmed (caches) */
    STORE_UNAVAILABLE, /* certainly not done: no connection, or the queue is full */
    STORE_UNKNOWN, /* the connection was lost or the deadline passed while it was under way: it may
                      have been done */
    STORE_REFUSED, /* the store said no to this one; others may pass */
};
#define STORE_OUTCOMES 4

/* One insert under way. The owner fills the first part and keeps the struct and what the spans
 * point to unchanged until `done`, which is called exactly once, on the loop's thread, never from
 * within store_insert(). */
struct store_insert {
    char uuid[UUID_TEXT_BYTES];
    struct span mac, firmware; /* valid UTF-8 without NUL, at most 255 characters each */
    int64_t created_us;        /* since the epoch; updated_at is the same */
    void (*done)(struct store_insert *i, enum store_outcome outcome);

    int64_t id; /* set before done(STORE_DONE) */

    /* the adapter's */
    struct store_insert *next;
    uint64_t begun_ns;
    struct task answer;
    enum store_outcome outcome;
    bool is_alone; /* shares its transaction with no other */
    bool is_last;  /* of its transaction: the commit follows it */
    struct loop *loop;
};

/* What any adapter counts; written on the loop's thread, read by any (relaxed). outcomes sum to
 * inserts - in_flight. */
struct store_counters {
    uint64_t inserts, in_flight, reconnects;
    uint64_t outcomes[STORE_OUTCOMES];
    uint32_t connections;    /* open now */
    uint32_t pool;           /* as many as there should be */
    uint32_t *by_connection; /* what each of the pool's has to answer, `pool` numbers */
    struct hist *latency;    /* of the ones done: begun to confirmed */
};

struct store {
    const struct store_ops *ops;
    struct loop *loop;
    struct store_counters counters;
};

struct store_ops {
    const char *name; /* "postgres", "sqlite" */
    void (*insert)(struct store *s, struct store_insert *i);
    /* On the loop's thread, from anywhere but `insert`: what is in flight is answered with what is
     * known of it, what is queued with STORE_UNAVAILABLE, before this returns. The loop may go on
     * or end. */
    void (*close)(struct store *s);
    /* Gives the memory back, after the loop's last turn: until then the kernel may still know of
     * its operations, and others may read its counters. Called by storage_free() alone. */
    void (*free)(struct store *s);
};

/* Queues an insert; statements of one turn leave together when the turn ends. */
static inline void store_insert(struct store *s, struct store_insert *i)
{
    s->ops->insert(s, i);
}

static inline void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

#endif
