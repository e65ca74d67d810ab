/* The insert as PostgreSQL's own protocol, version 3 (its documentation, chapter "Frontend/Backend
 * Protocol", sections "Extended Query" and "Message Formats"): what is sent for one insert, and
 * what comes back for it. Pure: no input, no output. The statement was prepared by
 * store_postgres_wire_begin(). */
#ifndef STORAGE_STORE_POSTGRES_FRAMES_H
#define STORAGE_STORE_POSTGRES_FRAMES_H

#include "base/span.h"
#include "storage/store_postgres_wire.h"

/* The exact length of what store_postgres_frames_insert() writes. */
size_t store_postgres_frames_bytes(int schema, const struct store_insert *i);

/* Writes Bind and Execute for one insert at `at`, and Sync if `i->is_last`, and returns the end. The
 * Sync commits the inserts since the last one. */
char *store_postgres_frames_insert(char *at, int schema, const struct store_insert *i);

enum { STORE_POSTGRES_KEPT_BYTES = 256 };

/* Where in the replies a connection is. All zero: nothing was sent, nothing has come. */
struct store_postgres_stream {
    /* Next, of the oldest insert; DUE_MORE: of the next insert, or the end of the transaction. */
    enum { DUE_BIND, DUE_ROW, DUE_COMPLETE, DUE_MORE, DUE_READY } due;
    bool is_grouped; /* several inserts may share a transaction */
    uint32_t skip;   /* bytes still to come of a message that was understood by its beginning */
    uint32_t len;
    char kept[STORE_POSTGRES_KEPT_BYTES]; /* the beginning of a message, if it came in pieces */
};

/* Takes one reply off the front of `bytes`, which is moved on; keeps an unfinished message. WIRE_ROW
 * or WIRE_NO_ROW for each insert in turn, or WIRE_ERROR for the whole rest of its transaction, then
 * WIRE_SYNC; how many share a Sync is the caller's to know. WIRE_NOTHING: all bytes were used;
 * WIRE_LOST: this is not what the protocol allows here, and nothing that follows can be trusted.
 * Notices, changed parameters and notifications are skipped wherever they come. */
struct store_postgres_reply store_postgres_frames_next(struct store_postgres_stream *s,
                                                       struct span *bytes);

#endif
